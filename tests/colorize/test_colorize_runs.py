"""From the command line to predictions, exports, reports, and features for others."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from coloured_shapes import write
from dlkit_builtin.colorize.lab import rgb_to_lab
from dlkit_builtin.colorize.networks import default_channels, subsampling
from dlkit_builtin.colorize.options import ColorizeOptions
from PIL import Image

from dlkit.cli.main import main
from dlkit.discovery import registry
from dlkit.run import open_run
from dlkit.settings import resolve
from dlkit.technique import CAPABILITIES


def dlkit(*words: object) -> None:
    assert main([str(word) for word in words]) == 0


def lightness(path: Path) -> torch.Tensor:
    pixels = torch.from_numpy(np.asarray(Image.open(path).convert("RGB")).copy()).permute(2, 0, 1)[None] / 255
    return rgb_to_lab(pixels)[:, 0]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Odd and not square, in bins, at half the size; with all its figures and pictures."""
    root = tmp_path_factory.mktemp("colorize")
    data = write(root / "shapes.npz", count=48, height=17, width=23)
    dlkit("colorize", "--data", data, "--mode", "bins", "--grid", 20, "--subsample", 2, "--layers", "6,8,10",
          "--epochs", 2, "--threads", 1, "--runs", root / "runs", "--quiet")  # fmt: skip
    return root / "runs" / "colorize" / "shapes-001"


def test_a_training_is_evaluated_and_drawn(run: Path) -> None:
    rows = json.loads((run / "evaluation.json").read_text())["metrics"]
    names = [row["name"] for row in rows if row["split"] == "test"]
    assert names[:6] == ["ab_rmse", "delta_e", "psnr", "auc", "auc_balanced", "colourfulness"]
    assert {"knn_accuracy", "linear_probe_accuracy"} <= {*names}
    assert set(rows[0]["baselines"]) == {"grey image", "mean colour", "mean colour of the lightness"}
    pictures = {entry["name"] for entry in json.loads((run / "plots" / "index.json").read_text())}
    assert {"colorized", "worst", "colours"} <= pictures


def test_files_get_colours_and_keep_their_lightness(run: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    (tmp_path / "in").mkdir()
    for name, shape in (("grey", (17, 23)), ("colour", (17, 23, 3))):
        Image.fromarray(random.integers(0, 256, shape, dtype=np.uint8)).save(tmp_path / "in" / f"{name}.png")
    dlkit("export", run, "--out", tmp_path / "model.onnx", "--quiet")
    found = {}
    for source, out in ((run, "of-run"), (tmp_path / "model.onnx", "of-file")):
        dlkit("predict", source, tmp_path / "in", "--out", tmp_path / out, "--quiet")
        written = sorted((tmp_path / out).rglob("*.png"))
        assert len(written) == 2
        for path, name in zip(written, ("colour", "grey"), strict=True):
            assert (lightness(path) - lightness(tmp_path / "in" / f"{name}.png")).abs().max() < 0.75  # 8 bits
        found[out] = np.stack([np.asarray(Image.open(path)).astype(int) for path in written])
    assert found["of-run"].shape == (2, 17, 23, 3)
    assert abs(found["of-run"] - found["of-file"]).max() <= 1


def test_the_model_does_not_look_at_colours_and_keeps_lightness(run: Path) -> None:
    technique = open_run(str(run)).load_technique()
    images = torch.rand(3, 3, 17, 23, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        colorized, code = technique.inference_module()(images)
        grey = rgb_to_lab(images)[:, :1] / 100
        assert torch.equal(code, technique.encode(images))  # type: ignore[attr-defined]
        torch.testing.assert_close(rgb_to_lab(colorized)[:, :1] / 100, grey, atol=1e-5, rtol=0)
        again, _ = technique.inference_module()(colorized)
        torch.testing.assert_close(again, colorized, atol=1e-3, rtol=0)
    assert code.shape == (3, 10)


@pytest.mark.parametrize("mode", ["regression", "bins"])
@pytest.mark.parametrize("size", [(1, 1), (2, 5), (9, 7), (33, 32)], ids=str)
def test_any_size(run: Path, mode: str, size: tuple[int, int]) -> None:
    from dataclasses import replace

    spec = replace(open_run(str(run)).spec, height=size[0], width=size[1])
    card = registry().technique("colorize")
    options = resolve(card, flags={"mode": mode}).options
    technique = card.load()(options, spec)
    for capability in card.capabilities(options):
        assert isinstance(technique, CAPABILITIES[capability])
    with torch.no_grad():
        colorized, code = technique.inference_module()(torch.rand(2, *spec.shape))
    assert colorized.shape == (2, *spec.shape)
    assert code.shape == (2, default_channels(size)[-1])


def test_defaults_follow_the_size() -> None:
    assert default_channels((32, 32)) == (16, 32, 64, 128)
    assert default_channels((300, 224)) == (16, 32, 64, 128, 256)
    bins = ColorizeOptions(mode="bins")
    assert [subsampling(bins, (side, 32)) for side in (32, 64, 65, 224, 256)] == [1, 1, 2, 4, 4]
    assert subsampling(ColorizeOptions(), (256, 256)) == 1


def test_its_encoder_is_a_backbone(run: Path, tmp_path: Path) -> None:
    dlkit("train", "features", "--data", run.parents[2] / "shapes.npz", "--backbone", f"run:{run}", "--runs", tmp_path,
          "--threads", 1, "--quiet")  # fmt: skip
    (made,) = (tmp_path / "features").glob("shapes-*")
    assert open_run(str(made)).status["status"] == "finished"


def test_colour_images_are_its_default(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dlkit("colorize", "--write-config", tmp_path / "c.toml", "--quiet")
    assert 'data = "photo-tiles"' in (tmp_path / "c.toml").read_text()
    assert main(["colorize", "--data", "digits", "--runs", str(tmp_path)]) == 3
    assert "Give colour images: photo-tiles" in capsys.readouterr().err
    assert not list(tmp_path.glob("colorize"))
