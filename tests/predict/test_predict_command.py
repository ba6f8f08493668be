"""A run's model through the command line: export it, predict with both, compare."""

from __future__ import annotations

import csv
import io
import json
import os

import numpy as np
import onnx
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from dlkit.cli.main import main
from dlkit.data import load_data
from dlkit.discovery import registry
from dlkit.errors import UsageError
from dlkit.export import export_run
from dlkit.export.weights_format import read_weights
from dlkit.run import Run
from dlkit.settings import resolve


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of the autoencoder on digits whose weights are what they were initialised to."""
    card = registry().technique("autoencoder")
    root = tmp_path_factory.mktemp("runs")
    settings = resolve(
        card, sets=["net=conv", "layers=4,8", "code=6", "normalize=mean-image", "batch_norm=true", f"runs={root}"]
    )
    data = load_data(settings.data)
    torch.manual_seed(0)
    technique = card.load()(settings.options, data.spec)
    made = Run.create(settings, data.spec)
    made.save_model(technique.state(), distribution="dlkit", version="0")
    return made


@pytest.fixture(scope="module")
def model(run):
    """Its ONNX file."""
    return export_run(run).path


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Twelve digits as PNG files, white = 240, so that nothing is exact."""
    folder = tmp_path_factory.mktemp("images")
    for number, digit in enumerate(load_digits().images[:12]):
        Image.fromarray((digit * 15).astype(np.uint8)).save(folder / f"{number}.png")
    return folder


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_run_exports_with_all_that_is_needed(run, model):
    metadata = {each.key: each.value for each in onnx.load(model).metadata_props}
    assert model == run.path / "exports" / f"autoencoder-{run.name}.onnx"
    assert metadata["technique"] == "autoencoder"
    assert metadata["run"] == run.name
    assert "code = 6" in metadata["options"]
    assert str(run.path.parents[1]) not in model.read_bytes().decode("latin-1")
    with pytest.raises(UsageError, match="exists"):
        export_run(run)


def test_weights_of_a_run_load_with_its_normalisation(run, tmp_path):
    report = export_run(run, "safetensors", tmp_path / "w.safetensors")
    assert (report.images, report.difference) == (256, 0)
    _, spec, _ = read_weights(report.path)
    assert spec.normalization == run.spec.normalization


def test_run_and_onnx_agree_on_files(run, model, images, capsys):
    tables = []
    for reference in (str(run.path), str(model)):
        assert main(["predict", reference, str(images), "--format", "csv", "--quiet"]) == 0
        tables.append(list(csv.DictReader(io.StringIO(capsys.readouterr().out))))
    assert [row["file"] for row in tables[0]] == [str(images / f"{number}.png") for number in range(12)]
    for one, other in zip(*tables, strict=True):
        codes = np.array([[float(row[f"code_{unit}"]) for unit in range(6)] for row in (one, other)])
        np.testing.assert_allclose(codes[0], codes[1], atol=1e-4)


def test_pictures_go_to_a_folder_and_json_tells(model, images, capsys):
    assert main(["predict", str(model), str(images), "--out", "out", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"images": 12, "skipped": [], "out": "out"}
    assert len(list(os.scandir("out"))) == 13  # and predictions.csv


def test_json_without_out_is_the_table(model, images, capsys):
    assert main(["predict", str(model), str(images / "3.png"), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert len(row["code"]) == 6


def test_a_list_on_standard_input(model, images, capsys, monkeypatch):
    listed = "".join(f"{images / name}\n" for name in ("5.png", "2.png")).encode()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(listed)))
    assert main(["predict", str(model), "-", "--format", "json"]) == 0
    assert [row["file"] for row in json.loads(capsys.readouterr().out)] == [
        str(images / name) for name in ("5.png", "2.png")
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["MODEL", "nothing.png"], 3, "nothing.png"),
        (["MODEL", "IMAGES"], 2, "--out DIR"),
        (["MODEL", "IMAGES", "--format", "png", "--json"], 2, "needs --out"),
        (["MODEL", "IMAGES", "--device", "cuda"], 2, "on the CPU"),
        (["model.pt2", "IMAGES"], 2, "can execute code"),
        (["model.pth", "IMAGES"], 2, "executes what its maker"),
        (["model.safetensors", "IMAGES"], 2, "weights alone"),
        (["none.onnx", "IMAGES"], 3, "No such file"),
        (["no-such-run", "IMAGES"], 2, "no-such-run"),
        (["MODEL"], 2, "IMAGES"),
        (["MODEL", "IMAGES", "--out", "~nobody-here/x"], 2, "no such home directory"),
        (["~nobody-here/m.onnx", "IMAGES"], 2, "no such home directory"),
    ],
)
def test_what_a_user_can_get_wrong(arguments, code, message, model, images, capsys):
    named = {"MODEL": str(model), "IMAGES": str(images)}
    assert main(["predict", *(named.get(each, each) for each in arguments)]) == code
    captured = capsys.readouterr()
    assert message in captured.err
    assert "Traceback" not in captured.err
    assert captured.out == ""
