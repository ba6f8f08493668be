"""The Python API on tensors and files, beside the technique itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import dlkit
from dlkit.data import load_data
from dlkit.errors import DataError, UsageError
from dlkit.options import DataOptions


@pytest.fixture(scope="module")
def model(trained: Path) -> dlkit.Model:
    return dlkit.load(trained)


@pytest.fixture(scope="module")
def images(shapes_npz: Path) -> torch.Tensor:
    return load_data(DataOptions(data=str(shapes_npz))).test.pixels()


def test_load_by_path_name_and_latest(trained: Path) -> None:
    root = trained.parents[1]
    for reference in (trained, str(trained), "shapes-001", "autoencoder/shapes-001", "latest"):
        assert dlkit.load(reference, runs=root).run.path == trained
    with pytest.raises(UsageError, match="No run 'nope'"):
        dlkit.load("nope", runs=root)


def test_results_are_the_techniques(model: dlkit.Model, images: torch.Tensor) -> None:
    network: Any = model.run.load_technique().inference_module()
    with torch.inference_mode():
        reconstruction, code = network(images)
    assert torch.equal(model.encode(images), code)
    assert torch.equal(model.reconstruct(images), reconstruction)
    assert torch.equal(model.decode(code), reconstruction)
    predicted = model.predict(images)
    assert list(predicted) == ["reconstruction", "code"]
    assert torch.equal(predicted["reconstruction"], reconstruction)
    assert torch.equal(predicted["code"], code)
    assert code.shape == (16, 6)
    assert not any(tensor.requires_grad for tensor in (model.encode(images), model.decode(code)))


def test_files_are_read_as_the_data_was(model: dlkit.Model, images: torch.Tensor, tmp_path: Path) -> None:
    paths = []
    for index, image in enumerate(images[:3]):
        path = tmp_path / f"{index}.png"
        Image.fromarray((image[0] * 255).round().byte().numpy()).save(path)
        paths.append(path)
    assert torch.equal(model.encode(paths), model.encode(images[:3]))
    assert torch.equal(model.encode([str(path) for path in paths]), model.encode(images[:3]))
    assert torch.equal(model.encode(paths[0]), model.encode(images[:1]))
    assert torch.equal(model.encode(str(paths[0])), model.encode(images[:1]))
    large = Image.fromarray(np.zeros((20, 30, 3), dtype=np.uint8))
    large.save(tmp_path / "large.png")
    assert model.reconstruct([tmp_path / "large.png"]).shape == (1, 1, 8, 8)
    with pytest.raises(DataError, match=r"gone\.png"):
        model.encode([tmp_path / "gone.png"])


@pytest.mark.parametrize(
    "wrong",
    [torch.zeros(8, 8), torch.zeros(1, 8, 8), torch.zeros(2, 3, 8, 8), torch.zeros(2, 1, 8, 9),
     torch.zeros(2, 1, 8, 8, dtype=torch.uint8), torch.zeros(2, 1, 8, 8, dtype=torch.int64)],
    ids=lambda tensor: f"{tuple(tensor.shape)}-{tensor.dtype}",
)  # fmt: skip
def test_wrong_images_are_refused(model: dlkit.Model, wrong: torch.Tensor) -> None:
    for method in (model.encode, model.reconstruct, model.predict):
        with pytest.raises(UsageError, match=r"expected .*\(B, C, H, W\)"):
            method(wrong)


def test_wrong_codes_are_refused(model: dlkit.Model) -> None:
    with pytest.raises(UsageError, match=r"expected \(B, 6\)"):
        model.decode(torch.zeros(2, 5))


def test_what_a_technique_cannot_do_is_said(model: dlkit.Model, images: torch.Tensor) -> None:
    with pytest.raises(UsageError, match="autoencoder does not classify"):
        model.classify(images)


def test_no_images_are_fine(model: dlkit.Model, images: torch.Tensor) -> None:
    assert model.encode(images[:0]).shape == (0, 6)
    assert model.encode([]).shape == (0, 6)


def test_double_precision_pixels_are_taken(model: dlkit.Model, images: torch.Tensor) -> None:
    assert torch.equal(model.encode(images.double()), model.encode(images))


def test_metrics_and_evaluation(model: dlkit.Model, shapes_npz: Path) -> None:
    assert model.metrics.get("psnr", "test").value > 0
    assert model.evaluate() == model.metrics
    assert model.evaluate(shapes_npz) == model.metrics


def test_train_takes_typed_values_text_and_a_config(
    shapes_npz: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("dlkit.session.conclude", lambda run, *arguments: None)
    config = tmp_path / "c.toml"
    config.write_text(f'data = "{shapes_npz}"\nthreads = 1\nepochs = 1\nlayers = [9]\ncode = 3\ndenoise = true\n')
    made = dlkit.train("autoencoder", config=config, runs=tmp_path / "runs", code="5", denoise=False, lr=0.01)
    options = made.run.settings.options
    assert (options.code, options.layers, options.denoise, options.lr, options.epochs) == (5, (9,), None, 0.01, 1)
    assert made.encode(torch.zeros(1, 1, 8, 8)).shape == (1, 5)
    assert made.metrics == dlkit.load(runs=tmp_path / "runs").metrics
    assert capfd.readouterr() == ("", "")
    again = dlkit.train("autoencoder", config=config, runs=str(tmp_path / "runs"), name="mine", denoise="mask:0.5")
    assert again.run.name == "mine-001"
    assert str(again.run.settings.options.denoise) == "mask:0.5"


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [("autoencodr", {}, "Did you mean 'autoencoder'"), ("autoencoder", {"epoch": 3}, "Did you mean 'epochs'"),
     ("autoencoder", {"code": 0}, "at least 1"), ("autoencoder", {"net": "dens"}, "Did you mean 'dense'")],
)  # fmt: skip
def test_wrong_options_are_usage_errors(tmp_path: Path, name: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        dlkit.train(name, runs=tmp_path, **options)
    assert said in str(caught.value)
    assert not list(tmp_path.iterdir())
