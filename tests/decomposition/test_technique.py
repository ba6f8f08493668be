"""The technique as a whole: training, saving, figures, exports, single pictures, and what goes wrong."""

from __future__ import annotations

import json
import math
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from dlkit_builtin.decomposition import fitting, models
from dlkit_builtin.decomposition.evaluation import hoyer
from dlkit_builtin.decomposition.options import DecompositionOptions
from dlkit_builtin.decomposition.pictures import pictures
from dlkit_builtin.decomposition.rank import Spectrum, open_picture
from dlkit_builtin.decomposition.technique import Decomposition
from PIL import Image
from sklearn.decomposition import PCA

from dlkit.cli.main import main
from dlkit.data import ImageData, load_data
from dlkit.errors import DataError, UsageError
from dlkit.export.exporting import export
from dlkit.options import DataOptions, RuntimeOptions
from dlkit.runtime import Runtime

METHODS = ("pca", "svd", "ica", "nmf", "kmeans", "sparse")


@pytest.fixture(scope="module")
def data(shapes_npz: Path) -> ImageData:
    return load_data(DataOptions(data=str(shapes_npz)))


def learned(data: ImageData, **given: Any) -> tuple[Decomposition, Runtime]:
    runtime = Runtime(RuntimeOptions(device="cpu", threads=1))
    chosen: dict[str, Any] = {"code": 5, "iterations": 3 if given.get("method") == "sparse" else 200}
    technique = Decomposition(DecompositionOptions(**chosen | given), data.spec)
    record: Any = SimpleNamespace(log=lambda _: None)
    technique.train(data, runtime, record)
    return technique, runtime


@pytest.fixture(scope="module")
def trained_ones(data: ImageData) -> dict[str, tuple[Decomposition, Runtime]]:
    return {method: learned(data, method=method) for method in METHODS}


@pytest.mark.parametrize("method", METHODS)
def test_what_is_loaded_is_what_was_saved(
    trained_ones: dict[str, tuple[Decomposition, Runtime]], data: ImageData, method: str
) -> None:
    technique, _ = trained_ones[method]
    state = technique.state()
    plain = json.loads(json.dumps(state.plain, allow_nan=False))
    again = Decomposition.load(type(state)(state.tensors, plain), technique.options, data.spec)
    pixels = data.test.pixels()
    codes = technique.encode(pixels)
    assert codes.shape == (16, 5)
    assert torch.equal(again.encode(pixels), codes)
    back = technique.decode(codes)
    assert torch.equal(again.decode(codes), back)
    assert torch.equal(technique.reconstruct(pixels), back)
    assert all(torch.equal(*pair) for pair in zip(technique.inference_module()(pixels), (back, codes), strict=True))
    assert float(back.min()) >= 0
    assert float(back.max()) <= 1
    assert float((back - pixels).square().mean()) < float((data.train.pixels().mean(0) - pixels).square().mean())
    assert (again.shares, again.learned) == (technique.shares, technique.learned)
    assert list(technique.plan()) == []


@pytest.mark.parametrize("method", ["pca", "kmeans", "sparse"])
def test_an_export_computes_the_same(
    trained_ones: dict[str, tuple[Decomposition, Runtime]], data: ImageData, method: str, tmp_path: Path
) -> None:
    technique, _ = trained_ones[method]
    report = export(technique, data.spec, data.test.raw(), name="decomposition", options=technique.options,
                    target=tmp_path / "model.onnx")  # fmt: skip
    assert report.difference < 1e-5
    if method == "sparse":
        import onnx

        nodes = onnx.load(tmp_path / "model.onnx").graph.node
        assert [node.op_type for node in nodes].count("Loop") == 1


def test_figures_are_what_numpy_says(trained_ones: dict[str, tuple[Decomposition, Runtime]], data: ImageData) -> None:
    technique, runtime = trained_ones["nmf"]
    figures = technique.evaluate(data, runtime)
    train, test = (split.pixels().flatten(1).double().numpy() for split in (data.train, data.test))
    own = technique.reconstruct(data.test.pixels()).flatten(1).double().numpy()
    around = np.square(test - train.mean(0)).sum()
    row = figures.get("explained_variance", "test")
    assert row.value == pytest.approx(1 - np.square(test - own).sum() / around)
    pca = PCA(5, svd_solver="full").fit(train)
    restored = pca.inverse_transform(pca.transform(test)).clip(0, 1)
    assert row.baselines["PCA, 5 components"] == pytest.approx(1 - np.square(test - restored).sum() / around, abs=1e-5)
    assert row.baselines["mean image"] == pytest.approx(0, abs=1e-6)
    codes = technique.encode(data.test.pixels()).double().numpy()
    root = math.sqrt(5)
    expected = np.mean([(root - np.abs(z).sum() / np.linalg.norm(z)) / (root - 1) for z in codes])
    assert figures.get("code_sparsity", "test").value == pytest.approx(expected)
    assert figures.get("code_zeros", "test").value == pytest.approx((codes == 0).mean())
    assert figures.get("knn_accuracy", "test").baselines.keys() == {"raw pixels", "majority class"}


def test_hoyer_knows_its_ends() -> None:
    assert hoyer(torch.tensor([[0, 0, 3.0], [1, 1, 1], [0, 0, 0]])).tolist() == pytest.approx([1, 0, 1])


def test_pca_is_not_beside_itself(trained_ones: dict[str, tuple[Decomposition, Runtime]], data: ImageData) -> None:
    technique, runtime = trained_ones["pca"]
    figures = technique.evaluate(data, runtime)
    assert figures.get("psnr", "test").baselines.keys() == {"mean image"}
    explained = figures.get("explained_variance", "train").value  # of clipped pixels, so a little more
    assert sum(technique.shares) < explained < sum(technique.shares) + 0.05


@pytest.mark.parametrize("method", METHODS)
def test_pictures(trained_ones: dict[str, tuple[Decomposition, Runtime]], data: ImageData, method: str) -> None:
    technique, runtime = trained_ones[method]
    names = [picture.name for picture in pictures(technique, data, runtime)]
    shown = ["atoms", "reconstructions", "growing", "explained-variance", "code-space", "worst"]
    assert names == [name for name in shown if (name, method) != ("growing", "kmeans")]


def test_normalised_images(shapes_npz: Path) -> None:
    data = load_data(DataOptions(data=str(shapes_npz), normalize="standardize"))
    technique, _ = learned(data, method="pca", code=40)
    pixels = data.test.pixels()
    assert float((technique.reconstruct(pixels) - pixels).square().mean()) < 0.005
    with pytest.raises(UsageError, match="nowhere negative"):
        learned(data, method="nmf")


def test_images_that_are_read_when_needed_are_learned_in_batches(shapes_npz: Path) -> None:
    data = load_data(DataOptions(data=str(shapes_npz), in_memory="no"))
    if data.train.in_memory:
        pytest.skip("arrays are in memory anyway")
    technique, _ = learned(data)
    assert technique.learned["batches"] is True


@pytest.mark.parametrize(
    ("given", "message"),
    [({"code": 65}, "at most 64 components"), ({"method": "kmeans", "code": 70}, "at most 64 components"),
     ({"method": "ica", "code": 64}, "directions only")],
)  # fmt: skip
def test_more_components_than_there_are(data: ImageData, given: dict[str, Any], message: str) -> None:
    with pytest.raises((UsageError, DataError), match=message):
        learned(data, **given)


@pytest.mark.parametrize("method", ["nmf", "sparse"])
def test_more_atoms_than_pixels(data: ImageData, method: str) -> None:
    technique, _ = learned(data, method=method, code=80, iterations=20 if method == "nmf" else 1)
    pixels = data.train.pixels()
    assert technique.encode(pixels).shape == (64, 80)
    assert float((technique.reconstruct(pixels) - pixels).square().mean()) < 0.02


def test_codes_of_another_size(trained_ones: dict[str, tuple[Decomposition, Runtime]]) -> None:
    with pytest.raises(UsageError, match=r"expected \(B, 5\)"):
        trained_ones["pca"][0].decode(torch.zeros(2, 6))


def test_steps_that_do_not_suffice_are_told(monkeypatch: pytest.MonkeyPatch, data: ImageData) -> None:
    monkeypatch.setattr(models, "STEPS", (1,))
    warned: list[str] = []
    monkeypatch.setattr(Runtime, "warn", lambda _, text: warned.append(text))
    learned(data, method="nmf")
    assert any("not quite enough" in text for text in warned)


def test_from_the_command_line(
    shapes_npz: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "decomposition", "--data", str(shapes_npz), "--code", "4", "--threads", "1",
             "--runs", str(tmp_path / "runs")]  # fmt: skip
    assert main([*words, "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["phases"] == []
    assert not (tmp_path / "runs").exists()
    with monkeypatch.context() as patch:
        patch.setattr(fitting, "_exact", lambda *_: signal.raise_signal(signal.SIGINT))
        assert main([*words, "--quiet"]) == 130
    run = tmp_path / "runs" / "decomposition" / "shapes-001"
    assert not list(run.glob("model*"))
    assert not list(run.rglob("*.tmp"))
    assert json.loads((run / "status.json").read_text())["status"] == "interrupted"
    assert main(["resume", str(run), "--quiet"]) == 0
    assert json.loads((run / "status.json").read_text())["status"] == "finished"
    assert "Learning 4 components (pca) from 64 images at once" in (run / "log.txt").read_text()
    features = ["train", "features", "--backbone", f"run:{run}", "--data", str(shapes_npz), "--threads", "1",
                "--runs", str(tmp_path / "runs"), "--quiet"]  # fmt: skip
    assert main(features) == 0


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_approximations_of_a_picture(mode: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    random = np.random.default_rng(0)
    raw = random.integers(0, 256, (20, 14) if mode == "L" else (20, 14, 3), dtype=np.uint8)
    Image.fromarray(raw).save(tmp_path / "a.png")
    pixels = open_picture(tmp_path / "a.png")
    spectrum = Spectrum(pixels)
    for k in (1, 5, 14):
        found = spectrum.approximation(k)
        assert np.linalg.matrix_rank(found.pixels).max() <= k
        missed = np.linalg.norm(pixels - found.pixels)
        values = np.linalg.svd(pixels, compute_uv=False)
        assert missed == pytest.approx(math.sqrt(np.square(values[:, k:]).sum()), abs=1e-9)  # Eckart–Young
        assert found.error == pytest.approx(missed / np.linalg.norm(pixels), abs=1e-9)
        assert found.numbers == len(pixels) * k * 34
    words = ["approximate", str(tmp_path / "a.png"), "-k", "1,3,50", "--out", str(tmp_path / "out")]
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["k"] for row in told["approximations"]] == [1, 3]
    written = np.asarray(Image.open(tmp_path / "out" / "rank-3.png"), dtype=float)
    expected = spectrum.approximation(3).pixels.clip(0, 1) * 255
    assert np.abs(written - (expected[0] if mode == "L" else expected.transpose(1, 2, 0))).max() <= 0.5 + 1e-9
    assert (tmp_path / "out" / "strip.png").is_file()
    assert main(words) == 2


def test_approximations_that_cannot_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(np.zeros((3, 3), np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "text.png").write_text("not an image")
    for words, code, message in (
        (["a.png", "-k", "0"], 2, "whole numbers of at least 1"),
        (["a.png", "-k", "4"], 3, "no k is that small"),
        (["none.png"], 3, "There is no image"),
        (["text.png"], 3, "not an image"),
    ):
        assert main(["approximate", str(tmp_path / words[0]), *words[1:], "--out", str(tmp_path / "out")]) == code
        assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert Spectrum(open_picture(tmp_path / "a.png")).approximation(1).error == 0  # all black
