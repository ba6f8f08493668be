"""Tied weights are one tensor: in the decoder, while training, after loading, in an export."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from dlkit_builtin.autoencoder.layers import Transposed, TransposedConv
from dlkit_builtin.autoencoder.technique import Autoencoder
from safetensors.torch import load_file
from small_autoencoders import new_run, options, pixels, runtime, small, spec
from torch import Tensor, nn
from torch.nn import functional as F

import dlkit
from dlkit.data import load_data
from dlkit.export import export
from dlkit.options import DataOptions

DENSE: dict[str, Any] = {"tied": True, "code_activation": "sigmoid"}
CONV: dict[str, Any] = {"tied": True, "net": "conv", "layers": (3, 4)}


def adjoint(layer: nn.Module, inputs: Tensor, outputs: Tensor) -> Tensor:
    """The transpose of a linear map applied to ``outputs``, by autograd."""
    inputs = inputs.clone().requires_grad_()
    [transposed] = torch.autograd.grad(layer(inputs), inputs, outputs)
    return transposed


def test_a_transposed_layer_is_the_transpose() -> None:
    layer = nn.Linear(7, 3)
    h = torch.rand(4, 3)
    torch.testing.assert_close(Transposed(layer)(h), h @ layer.weight)


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("size", [(8, 8), (7, 5), (1, 6)], ids=str)
def test_a_transposed_convolution_is_the_adjoint(size: tuple[int, int], kernel: int) -> None:
    layer = nn.Conv2d(2, 3, kernel, stride=2, padding=kernel // 2)
    images = torch.rand(4, 2, *size)
    maps = torch.rand_like(layer(images))
    mirrored = TransposedConv(layer, tuple(maps.shape[2:]), size)
    torch.testing.assert_close(mirrored(maps), adjoint(layer, images, maps))


def by_hand(state: dict[str, Tensor], images: Tensor) -> tuple[Tensor, Tensor]:
    """The dense network 64-7-6-5 with a sigmoid code, from the encoder's weights alone and all biases."""
    w = [state[f"encoder.{name}.weight"] for name in ("hidden.0", "hidden.2", "code")]
    b = [state[f"encoder.{name}.bias"] for name in ("hidden.0", "hidden.2", "code")]
    c = [state[f"decoder.{name}.bias"] for name in ("hidden.0", "hidden.2", "output")]
    h = torch.relu(torch.relu(images.flatten(1) @ w[0].T + b[0]) @ w[1].T + b[1])
    code = torch.sigmoid(h @ w[2].T + b[2])
    g = torch.relu(torch.relu(code @ w[2] + c[0]) @ w[1] + c[1])
    return torch.sigmoid(g @ w[0] + c[2]).view_as(images), code


@pytest.mark.parametrize("given", [DENSE, CONV], ids=["dense", "conv"])
def test_the_state_holds_each_weight_once_and_loads(given: dict[str, Any]) -> None:
    technique = small(**given)
    state = technique.state()
    assert not [name for name in state.tensors if name.startswith("decoder") and name.endswith("weight")]
    assert len(list(technique.network.parameters())) == len([name for name in state.tensors if "normalize" not in name])
    again = Autoencoder.load(state, technique.options, technique.spec)
    images = pixels()
    assert torch.equal(again.reconstruct(images), technique.reconstruct(images))
    with torch.no_grad():
        again.network.encoder.code.weight.mul_(2)  # type: ignore[operator, union-attr]
    assert not torch.equal(again.decode(technique.encode(images)), technique.reconstruct(images))


@pytest.mark.parametrize("shape", [(3, 13, 17), (1, 5, 4), (1, 1, 1)], ids=str)
@pytest.mark.parametrize("more", [{}, {"batch_norm": True, "dropout": 0.2}, {"kernel": 5}], ids=str)
def test_tied_conv_nets_give_any_size_back(shape: tuple[int, int, int], more: dict[str, Any]) -> None:
    technique = small(shape, **CONV, **more)
    images = pixels(3, shape)
    for mode in (True, False):
        assert technique.inference_module().train(mode)(images)[0].shape == images.shape


def test_a_dense_network_is_the_transposed_product() -> None:
    technique = small(**DENSE)
    images = pixels()
    expected = by_hand(dict(technique.state().tensors), images)
    for ours, theirs in zip(technique.inference_module()(images), expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_gradients_of_both_uses_meet() -> None:
    technique = small(layers=(), tied=True)
    images, network = pixels(), technique.network
    technique.reconstruction_loss(images, images).backward()  # type: ignore[no-untyped-call]
    ours = network.encoder.code.weight.grad  # type: ignore[union-attr]
    up, down = (network.encoder.code.weight.detach().clone().requires_grad_() for _ in range(2))  # type: ignore[operator, union-attr]
    code = F.linear(images.flatten(1), up, network.encoder.code.bias)  # type: ignore[arg-type, union-attr]
    output = torch.sigmoid(code @ down + network.decoder.output.bias)  # type: ignore[operator, union-attr]
    (output - images.flatten(1)).square().mean().backward()  # type: ignore[no-untyped-call]
    assert up.grad is not None
    assert down.grad is not None
    torch.testing.assert_close(ours, up.grad + down.grad)


@pytest.fixture(scope="module")
def trained(shapes_npz: Path, tmp_path_factory: pytest.TempPathFactory) -> Autoencoder:
    """The dense network of ``by_hand``, trained for a moment."""
    data = load_data(DataOptions(data=str(shapes_npz)))
    torch.manual_seed(0)
    technique = Autoencoder(options(**DENSE, layers=(7, 6), code=5, epochs=2, lr=0.01, contractive=0.1), data.spec)
    technique.train(data, runtime(), new_run(tmp_path_factory.mktemp("tied")))
    return technique


def test_weights_are_still_tied_after_export(trained: Autoencoder, tmp_path: Path) -> None:
    images = pixels(20)
    uint8 = (images * 255).to(torch.uint8)
    path = tmp_path / "tied.onnx"
    export(trained, trained.spec, uint8, name="tied", options=trained.options, target=path, format="onnx")
    inputs = uint8.float() / 255
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    outputs = session.run(None, {session.get_inputs()[0].name: uint8.numpy()})
    expected = by_hand({name: tensor.detach() for name, tensor in trained.state().tensors.items()}, inputs)
    for ours, theirs in zip(outputs, expected, strict=True):
        torch.testing.assert_close(torch.from_numpy(ours), theirs, rtol=1e-4, atol=1e-5)


def test_an_export_of_a_conv_net_and_of_plain_weights(tmp_path: Path) -> None:
    technique = small(**CONV)
    images = (pixels(5) * 255).to(torch.uint8)
    for form, name in (("onnx", "model.onnx"), ("safetensors", "model.safetensors")):
        report = export(
            technique,
            technique.spec,
            images,
            name="conv",
            options=technique.options,
            target=tmp_path / name,
            format=form,
        )
        assert report.difference <= 1e-4
    assert not [name for name in load_file(tmp_path / "model.safetensors") if "decoder" in name and "weight" in name]


def test_what_the_code_activation_does_to_the_spec_is_nothing() -> None:
    technique = Autoencoder(options(**DENSE), spec())
    assert 0 <= technique.encode(pixels()).min() <= technique.encode(pixels()).max() <= 1


def test_a_constrained_run_is_a_backbone(shapes_npz: Path, tmp_path: Path) -> None:
    """Its encoder feeds other techniques, whose copies of it keep the tied weights."""
    given: dict[str, Any] = {"data": shapes_npz, "runs": tmp_path, "threads": 1}
    layers: dict[str, Any] = {"layers": (9,), "code": 6, "greedy": True, "greedy_epochs": 1, "epochs": 1}
    model = dlkit.train("autoencoder", **given, **layers, tied=True, sparse="kl:0.1", contractive=True)
    assert {row.name for row in model.metrics} >= {
        "mean_activation",
        "active_units",
        "jacobian_norm",
        "relative_jacobian",
    }
    features = dlkit.train("features", **given, backbone=f"run:{model.run.path}")
    assert features.predict(pixels(3))["probabilities"].shape == (3, 3)
