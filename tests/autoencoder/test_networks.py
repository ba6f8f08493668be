"""The networks: shapes for any image size, unpooling, initialisation, the way to pixels and back."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from dlkit_builtin.autoencoder.layers import Pool, Unpool
from dlkit_builtin.autoencoder.networks import code_size
from dlkit_builtin.autoencoder.options import AutoencoderOptions, capabilities
from dlkit_builtin.autoencoder.technique import Autoencoder
from torch import Tensor, nn
from torch.nn import functional as F

from dlkit.cli.main import main
from dlkit.data.spec import DataSpec, Normalization
from dlkit.errors import UsageError
from dlkit.layers import initialise, limit_norm, penalised

SIZES = [(1, 8, 8), (3, 13, 17), (1, 28, 28), (3, 5, 4), (1, 1, 7), (1, 1, 1)]
NETS: list[dict[str, Any]] = [
    {"net": "dense"},
    *({"net": "conv", "upsample": how} for how in ("transposed", "nearest", "unpool")),
    {"net": "conv", "kernel": 5, "layers": (4, 3, 2)},
    {"net": "conv", "kernel": 1, "layers": (4,), "batch_norm": True, "dropout": 0.2, "activation": "gelu"},
]


def spec(shape: tuple[int, int, int] = (1, 8, 8), normalization: Normalization | None = None) -> DataSpec:
    channels, height, width = shape
    return DataSpec(
        source="x", name="x", channels=channels, height=height, width=width,
        normalization=normalization or Normalization(),
    )  # fmt: skip


def pixels(shape: tuple[int, int, int], count: int = 3) -> Tensor:
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("shape", SIZES, ids=str)
@pytest.mark.parametrize("net", NETS, ids=lambda net: "-".join(map(str, net.values())))
def test_any_image_size_comes_back(net: dict[str, Any], shape: tuple[int, int, int]) -> None:
    options = AutoencoderOptions(**{"layers": (6, 5), "code": 4, **net})
    technique = Autoencoder(options, spec(shape))
    images = pixels(shape)
    for mode in (True, False):
        reconstruction, code = technique.inference_module().train(mode)(images)
        assert reconstruction.shape == images.shape
        assert code.shape == (3, 4)
    assert reconstruction.min() >= 0
    assert reconstruction.max() <= 1  # itself too: in float32 the sigmoid of 17 is 1
    assert torch.equal(technique.reconstruct(images), reconstruction)
    assert torch.equal(technique.encode(images), code)
    assert list(technique.outputs()) == ["reconstruction", "code"]
    if "decode" in capabilities(options):
        assert torch.equal(technique.decode(code), reconstruction)
    else:
        with pytest.raises(UsageError, match="switches"):
            technique.decode(code)


@pytest.mark.parametrize("net", NETS[:4], ids=lambda net: "-".join(map(str, net.values())))
def test_nothing_mixes_images(net: dict[str, Any]) -> None:
    technique = Autoencoder(AutoencoderOptions(**net, layers=(6, 5), code=4), spec((1, 9, 6)))
    images = pixels((1, 9, 6), 4)
    one_by_one = torch.cat([technique.reconstruct(image[None]) for image in images])
    torch.testing.assert_close(technique.reconstruct(images), one_by_one)


def test_defaults() -> None:
    assert code_size(AutoencoderOptions(), (1, 8, 8)) == 32
    assert code_size(AutoencoderOptions(), (1, 28, 28)) == 128
    assert code_size(AutoencoderOptions(), (1, 1, 1)) == 1
    assert code_size(AutoencoderOptions(code=500), (1, 8, 8)) == 500
    dense = Autoencoder(AutoencoderOptions(code=7), spec((1, 8, 8))).network
    widths = [(layer.in_features, layer.out_features) for layer in dense.modules() if isinstance(layer, nn.Linear)]
    assert widths == [(64, 1000), (1000, 500), (500, 7), (7, 500), (500, 1000), (1000, 64)]


def test_an_even_kernel_is_refused() -> None:
    with pytest.raises(ValueError, match=r"--kernel must be odd, .* got 4"):
        AutoencoderOptions(net="conv", kernel=4)


@pytest.mark.parametrize("flags", [["--upsample", "nearest"], ["--kernel", "5"]], ids=" ".join)
def test_what_only_conv_nets_have_is_not_ignored(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "autoencoder", "--net", "dense", *flags, "--write-config", "never.toml"]) == 2
    assert "--upsample and --kernel shape convolutional networks; add --net conv" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "meant"), [(["--denoise", "gausian:0.3"], "gaussian"), (["--schedule", "cosin"], "cosine")]
)
def test_a_slip_inside_a_value_is_answered(flags: list[str], meant: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "autoencoder", *flags, "--write-config", "never.toml"]) == 2
    assert capsys.readouterr().err.rstrip().endswith(f"Did you mean {meant!r}?")


@pytest.mark.parametrize("size", [(8, 8), (7, 5), (1, 6)], ids=str)
def test_unpooling_is_torchs(size: tuple[int, int]) -> None:
    maps = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    pooled, switches = Pool()(maps)
    expected, where = F.max_pool2d(maps, 2, ceil_mode=True, return_indices=True)
    assert torch.equal(pooled, expected)
    assert torch.equal(switches, where)
    grown = Unpool(size)(pooled, switches)
    assert torch.equal(grown, F.max_unpool2d(pooled, switches, 2, output_size=size))
    assert torch.equal(F.max_pool2d(grown.abs(), 2, ceil_mode=True), pooled.abs()) or (pooled < 0).any()


# Layer → (inputs that reach one output unit, output units that one input reaches), counted by hand.
FANS = {
    nn.Linear: lambda layer: (layer.in_features, layer.out_features),
    nn.Conv2d: lambda layer: (
        layer.in_channels * layer.kernel_size[0] ** 2,
        layer.out_channels * layer.kernel_size[0] ** 2 / layer.stride[0] ** 2,
    ),
    nn.ConvTranspose2d: lambda layer: (
        layer.in_channels * layer.kernel_size[0] ** 2 / layer.stride[0] ** 2,
        layer.out_channels * layer.kernel_size[0] ** 2,
    ),
}
STD = {
    "he": lambda fan_in, fan_out: math.sqrt(2 / fan_in),
    "xavier": lambda fan_in, fan_out: math.sqrt(2 / (fan_in + fan_out)),
    "gaussian": lambda fan_in, fan_out: 0.01,
}


@pytest.mark.parametrize("scheme", ["he", "xavier", "gaussian"])
@pytest.mark.parametrize("net", [{"net": "dense", "layers": (120, 90)}, {"net": "conv", "layers": (30, 40)}], ids=str)
def test_initial_weights_have_the_papers_spread(scheme: Any, net: dict[str, Any]) -> None:
    torch.manual_seed(0)
    network = Autoencoder(AutoencoderOptions(**net, init=scheme, code=50), spec((3, 12, 12))).network
    seen = set()
    for layer in network.modules():
        if type(layer) in FANS:
            seen.add(type(layer))
            weight, bias = layer.weight, layer.bias
            expected = STD[scheme](*FANS[type(layer)](layer))
            assert abs(weight.std().item() / expected - 1) < 5 / math.sqrt(2 * weight.numel())
            assert abs(weight.mean().item()) < 5 * expected / math.sqrt(weight.numel())
            assert not bias.any()
    assert len(seen) == (1 if net["net"] == "dense" else 3)


def test_he_keeps_the_scale_of_activations_through_transposed_convolution() -> None:
    """What the fan of a strided transposed convolution is for: ReLU maps keep their mean square (He et al., eq. 10)."""
    torch.manual_seed(0)
    grow = nn.ConvTranspose2d(64, 64, 3, stride=2, padding=1, output_padding=1)
    initialise(grow, "he")
    maps = torch.randn(8, 64, 16, 16).relu()
    ratio = grow(maps).relu().square().mean() / maps.square().mean()
    assert 0.85 < ratio < 1.15


@pytest.mark.parametrize("net", ["dense", "conv"])
def test_limit_norm_scales_down_only_what_is_too_long(net: Any) -> None:
    torch.manual_seed(0)
    network = Autoencoder(AutoencoderOptions(net=net, layers=(6, 5), code=4), spec((1, 8, 8))).network
    before = [weight.clone() for weight in penalised(network)]
    limit_norm(network, 1.0)
    shrunk = 0
    for layer, old in zip([layer for layer in network.modules() if type(layer) in FANS], before, strict=True):
        new = layer.weight.detach()
        if isinstance(layer, nn.ConvTranspose2d):  # (in, out, k, k): all that flows into one output unit
            new, old = new.transpose(0, 1), old.transpose(0, 1)
        for unit, was in zip(new.flatten(1), old.flatten(1), strict=True):
            if was.norm() <= 1:
                assert torch.equal(unit, was)
            else:
                shrunk += 1
                torch.testing.assert_close(unit, was / was.norm())
    assert shrunk


MODES = {
    "channel": ((3, 1, 1), [0.2, 0.5, 0.7], [0.1, 0.3, 0.5]),
    "mean-image": ((3, 2, 2), [i / 12 for i in range(12)], [1.0] * 12),
    "standardize": ((3, 2, 2), [i / 12 for i in range(12)], [0.1 + i / 20 for i in range(12)]),
}


@pytest.mark.parametrize("mode", MODES)
def test_normalisation_is_inside_and_undone_at_the_end(mode: Any) -> None:
    shape, mean, std = MODES[mode]
    means, stds = (torch.tensor(values).reshape(shape) for values in (mean, std))
    normalization = Normalization(mode=mode, shape=shape, mean=means.numpy().tobytes(), std=stds.numpy().tobytes())
    technique = Autoencoder(AutoencoderOptions(layers=(5,), code=3), spec((3, 2, 2), normalization))
    images = pixels((3, 2, 2), 4)
    seen: list[Tensor] = []
    technique.network.encoder.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    reconstruction = technique.reconstruct(images)
    torch.testing.assert_close(seen[0], (images - means) / stds)
    linear, _ = technique.network(images)
    torch.testing.assert_close(reconstruction, (linear * stds + means).clamp(0, 1))
    torch.testing.assert_close(
        technique.reconstruction_loss(images, images), (linear - (images - means) / stds).square().mean()
    )
    with pytest.raises(UsageError, match=f"--normalize {mode}"):
        Autoencoder(AutoencoderOptions(loss="bce"), spec((3, 2, 2), normalization))


def test_a_perfect_network_gives_the_pixels_back() -> None:
    """A decoder that puts out what the encoder was given: normalisation and its inverse cancel."""

    class Through(nn.Module):
        def forward(self, images: Tensor, switches: object = None) -> Any:
            return images if switches is not None else (images, [])

    shape, mean, std = MODES["standardize"]
    means, stds = (torch.tensor(values).reshape(shape) for values in (mean, std))
    normalization = Normalization(
        mode="standardize", shape=shape, mean=means.numpy().tobytes(), std=stds.numpy().tobytes()
    )
    technique = Autoencoder(AutoencoderOptions(layers=(5,), code=3), spec((3, 2, 2), normalization))
    technique.network.encoder = technique.network.decoder = Through()
    images = pixels((3, 2, 2), 4)
    torch.testing.assert_close(technique.reconstruct(images), images)


def test_losses() -> None:
    images, noisy = pixels((1, 4, 4)), pixels((1, 4, 4)) + 0.3
    for loss, function in (("mse", F.mse_loss), ("bce", F.binary_cross_entropy)):
        options: Any = AutoencoderOptions(loss=loss, l1=0.01, layers=(5,), code=3)  # type: ignore[arg-type]
        technique = Autoencoder(options, spec((1, 4, 4)))
        plain = function(technique.reconstruct(noisy), images)
        torch.testing.assert_close(technique.reconstruction_loss(noisy, images), plain)
        weights = [p for name, p in technique.network.named_parameters() if name.endswith("weight")]
        penalty = sum(float(weight.detach().double().abs().sum()) for weight in weights)
        assert technique.loss(noisy, images).item() == pytest.approx(plain.item() + 0.01 * penalty, rel=1e-5)


def test_batch_norm_is_not_penalised() -> None:
    technique = Autoencoder(AutoencoderOptions(batch_norm=True, layers=(5,), code=3), spec((1, 4, 4)))
    assert len(penalised(technique.network)) == 4
    assert all(weight.ndim == 2 for weight in penalised(technique.network))


def test_state_and_back() -> None:
    options = AutoencoderOptions(net="conv", batch_norm=True, layers=(5, 4), code=3)
    technique = Autoencoder(options, spec((1, 6, 6)))
    technique.network.train()(pixels((1, 6, 6)))  # moves batch norm's statistics
    again = Autoencoder.load(technique.state(), options, spec((1, 6, 6)))
    images = pixels((1, 6, 6))
    assert torch.equal(again.reconstruct(images), technique.reconstruct(images))


@pytest.mark.parametrize("codes", [torch.zeros(2, 4), torch.zeros(3), torch.zeros(2, 3, 1)], ids=lambda c: str(c.shape))
def test_codes_of_the_wrong_size_are_refused(codes: Tensor) -> None:
    technique = Autoencoder(AutoencoderOptions(layers=(5,), code=3), spec((1, 6, 6)))
    with pytest.raises(UsageError, match=r"expected \(B, 3\)"):
        technique.decode(codes)


def test_batch_norm_needs_two_images() -> None:
    with pytest.raises(UsageError, match="--batch-norm"):
        Autoencoder(AutoencoderOptions(batch_norm=True, batch_size=1), spec())
