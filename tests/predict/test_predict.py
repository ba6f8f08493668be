from __future__ import annotations

import csv
import dataclasses
import io
import json

import numpy as np
import pytest
import torch
from fake_models import FakeAutoencoder, FakeClassifier, FakeOptions, fake_images, fake_spec, technique_of
from PIL import Image

from dlkit.data.text import csv_text
from dlkit.errors import DataError, DlkitError, UsageError
from dlkit.export import export
from dlkit.predict import OnnxPredictor, TechniquePredictor, predict


def make_predictor(kind, spec, through, tmp_path):
    technique = kind(FakeOptions(), spec)
    if through == "technique":
        return TechniquePredictor(technique, spec)
    target = tmp_path / "model.onnx"
    export(technique, spec, fake_images(spec), name="fake", options=technique.options, target=target)
    return OnnxPredictor(target)


def save_images(folder, names, spec):
    """Grey PNG files of the size that the spec wants, and their raw pixels."""
    raw = fake_images(spec, len(names))
    paths = []
    for name, image in zip(names, raw, strict=True):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0].numpy()).save(path, "PNG")
        paths.append(path)
    return paths, raw


def read_csv(text):
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.parametrize("through", ["technique", "onnx"])
def test_probabilities_as_csv(through, tmp_path):
    spec = fake_spec()
    predictor = make_predictor(FakeClassifier, spec, through, tmp_path)
    paths, raw = save_images(tmp_path / "in", ["a.png", "b.png", "c.png"], spec)
    out = io.StringIO()
    summary = predict(predictor, paths, batch_size=2, top_k=2, stdout=out)
    (expected,) = FakeClassifier(FakeOptions(), spec).module(raw / 255)
    rows = read_csv(out.getvalue())
    assert [row["file"] for row in rows] == [str(path) for path in paths]
    assert list(rows[0]) == ["file", "class", "probability", "class_2", "probability_2"]
    names = ["zero", "'=one", "two"]  # a class name that a spreadsheet would compute
    for row, probabilities in zip(rows, expected.tolist(), strict=True):
        order = sorted(range(3), key=lambda index: -probabilities[index])
        assert [row["class"], row["class_2"]] == [names[order[0]], names[order[1]]]
        assert float(row["probability"]) == pytest.approx(probabilities[order[0]], abs=1e-6)
    assert summary == {"images": 3, "skipped": [], "out": None}


@pytest.mark.parametrize("through", ["technique", "onnx"])
def test_pictures_and_codes_beside_them(through, tmp_path):
    spec = fake_spec()
    predictor = make_predictor(FakeAutoencoder, spec, through, tmp_path)
    paths, raw = save_images(tmp_path / "in", ["a/x.png", "b/x.png", "y.png"], spec)
    out = tmp_path / "out"
    out.mkdir()
    (out / "y.png").write_text("mine")
    summary = predict(predictor, paths, out=out)
    assert summary["out"] == str(out)
    code, reconstruction = FakeAutoencoder(FakeOptions(), spec).module(raw / 255)
    for name, image in zip(["x", "x-2", "y-2"], reconstruction, strict=True):
        written = np.asarray(Image.open(out / f"{name}.png"))
        assert written.dtype == np.uint8
        np.testing.assert_allclose(written, image[0].detach() * 255, atol=0.51)
    assert (out / "y.png").read_text() == "mine"
    rows = read_csv((out / "predictions.csv").read_text())
    assert [row["reconstruction"] for row in rows] == ["x.png", "x-2.png", "y-2.png"]  # which picture is whose
    found = [[float(row[f"code_{unit}"]) for unit in range(5)] for row in rows]
    np.testing.assert_allclose(found, code.detach(), atol=1e-5)
    assert sorted(path.name for path in out.iterdir()) == ["predictions.csv", "x-2.png", "x.png", "y-2.png", "y.png"]


def test_png_alone_where_asked(tmp_path):
    spec = fake_spec()
    paths, _ = save_images(tmp_path / "in", ["x.png"], spec)
    out = tmp_path / "out"
    predict(TechniquePredictor(FakeAutoencoder(FakeOptions(), spec), spec), paths, out=out, format="png")
    assert [path.name for path in out.iterdir()] == ["x.png"]


def test_pixels_are_clipped_and_rounded(tmp_path):
    spec = fake_spec()
    values = torch.tensor([-1.0, 0.0, 0.5, 0.999, 1.0, 7.0, 127.4 / 255, 127.6 / 255])
    kind = technique_of(lambda pixels: values.repeat(len(pixels), 3, 8, 1), kind="image", name="shown")
    paths, _ = save_images(tmp_path / "in", ["x.png"], spec)
    predict(TechniquePredictor(kind(FakeOptions(), spec), spec), paths, out=tmp_path / "out")
    written = np.asarray(Image.open(tmp_path / "out" / "x.png"))
    assert written.shape == (8, 8, 3)
    assert written[0, :, 1].tolist() == [0, 0, 128, 255, 255, 255, 127, 128]


def test_json_is_one_document(tmp_path):
    spec = fake_spec()
    paths, raw = save_images(tmp_path / "in", ["a.png", "b.png", "c.png"], spec)
    out = io.StringIO()
    predictor = TechniquePredictor(FakeClassifier(FakeOptions(), spec), spec)
    predict(predictor, paths, format="json", batch_size=2, top_k=1, stdout=out)
    rows = json.loads(out.getvalue())
    (expected,) = FakeClassifier(FakeOptions(), spec).module(raw / 255)
    for row, probabilities in zip(rows, expected, strict=True):
        (best,) = row["probabilities"]
        assert best["class"] == spec.classes[int(probabilities.argmax())]
        assert np.float32(best["probability"]) == pytest.approx(probabilities.max().item(), abs=1e-6)


def test_npz_holds_every_output_and_needs_no_pickle(tmp_path):
    spec = fake_spec()
    paths, raw = save_images(tmp_path / "in", ["a.png", "b.png", "c.png"], spec)
    out = tmp_path / "found.npz"
    predict(TechniquePredictor(FakeAutoencoder(FakeOptions(), spec), spec), paths, out=out, batch_size=2)
    code, reconstruction = FakeAutoencoder(FakeOptions(), spec).module(raw / 255)
    with np.load(out, allow_pickle=False) as arrays:
        assert arrays["files"].tolist() == [str(path) for path in paths]
        np.testing.assert_allclose(arrays["code"], code.detach(), atol=1e-6)
        np.testing.assert_allclose(arrays["reconstruction"], reconstruction.detach(), atol=1e-6)


def test_bad_images_stop_or_are_skipped(tmp_path):
    spec = fake_spec()
    paths, raw = save_images(tmp_path / "in", ["a.png", "b.png", "c.png"], spec)
    paths[1].write_bytes(b"no image")
    predictor = TechniquePredictor(FakeClassifier(FakeOptions(), spec), spec)
    target = tmp_path / "out.csv"
    with pytest.raises(DataError, match=r"b\.png: ") as caught:
        predict(predictor, paths, out=target)
    assert "--on-bad-image skip" in caught.value.hint
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]
    summary = predict(predictor, paths, out=target, on_bad_image="skip")
    rows = read_csv(target.read_text())
    assert [row["file"] for row in rows] == [str(paths[0]), str(paths[2])]
    (expected,) = FakeClassifier(FakeOptions(), spec).module(raw[2:] / 255)
    assert float(rows[1]["probability"]) == pytest.approx(expected.max().item(), abs=1e-6)
    assert summary["images"] == 2
    assert [each["file"] for each in summary["skipped"]] == [str(paths[1])]
    with pytest.raises(DataError, match="cannot be read"):
        predict(predictor, paths[1:2], on_bad_image="skip", stdout=io.StringIO())


def test_odd_names_are_safe(tmp_path):
    import os

    spec = fake_spec()
    names = ["=cmd()\n.png", os.fsdecode(b"\xff\x1b[2J.png"), "x" * 240 + ".png"]
    paths, _ = save_images(tmp_path / "in", names, spec)
    out = tmp_path / "out"
    predict(TechniquePredictor(FakeAutoencoder(FakeOptions(), spec), spec), paths, out=out)
    assert len(list(out.glob("*.png"))) == 3
    assert all(path.name.isprintable() for path in out.iterdir())
    text = (out / "predictions.csv").read_text()
    assert "\x1b" not in text
    assert len(text.splitlines()) == 4


def test_formulas_are_defused_in_text_but_numbers_stay(tmp_path, monkeypatch):
    spec = fake_spec()
    save_images(tmp_path, ["=1+1.png"], spec)
    monkeypatch.chdir(tmp_path)
    from pathlib import Path

    kind = technique_of(lambda pixels: torch.full((len(pixels), 2), -0.1))
    out = io.StringIO()
    predict(TechniquePredictor(kind(FakeOptions(), spec), spec), [Path("=1+1.png")], stdout=out)
    assert out.getvalue() == "file,out_0,out_1\n'=1+1.png,-0.1,-0.1\n"


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@x", "\t=1", "\r=1"])
def test_what_a_spreadsheet_takes_for_a_formula(text):
    assert csv_text(text) == f"'{text}"
    assert csv_text("x" + text) == "x" + text


def test_single_values_have_one_column(tmp_path):
    spec = fake_spec()
    paths, _ = save_images(tmp_path / "in", ["a.png"], spec)
    kind = technique_of(lambda pixels: pixels.flatten(1).mean(1, keepdim=True), name="brightness")
    out = io.StringIO()
    predict(TechniquePredictor(kind(FakeOptions(), spec), spec), paths, stdout=out)
    assert out.getvalue().splitlines()[0] == "file,brightness"


def test_predictions_that_are_not_finite_are_an_error(tmp_path):
    spec = fake_spec()
    paths, _ = save_images(tmp_path / "in", ["a.png"], spec)
    kind = technique_of(lambda pixels: pixels.flatten(1) * float("nan"))
    with pytest.raises(DlkitError, match=r"a\.png is not a finite number"):
        predict(TechniquePredictor(kind(FakeOptions(), spec), spec), paths, out=tmp_path / "x.csv")
    assert not (tmp_path / "x.csv").exists()


@pytest.mark.parametrize(
    ("function", "kind", "message"),
    [
        (lambda x: x.flatten(1)[:, :5].softmax(1), "probabilities", "5 probabilities for 3 classes"),
        (lambda x: x, "code", "should be"),
        (lambda x: x.repeat(1, 2, 1, 1), "image", "no picture"),
    ],
)
def test_outputs_that_belie_their_kind(function, kind, message, tmp_path):
    spec = fake_spec()
    paths, _ = save_images(tmp_path / "in", ["a.png"], spec)
    predictor = TechniquePredictor(technique_of(function, kind=kind)(FakeOptions(), spec), spec)
    with pytest.raises(DlkitError, match=message):
        predict(predictor, paths, out=tmp_path / "out", format="png" if kind == "image" else "csv")


def test_a_full_table_is_refused_before_any_work(tmp_path):
    spec = fake_spec()
    (tmp_path / "x.csv").write_text("mine")
    predictor = TechniquePredictor(FakeClassifier(FakeOptions(), spec), spec)
    with pytest.raises(UsageError, match="exists"):
        predict(predictor, [tmp_path / "not there"], out=tmp_path / "x.csv")
    assert (tmp_path / "x.csv").read_text() == "mine"


@pytest.mark.parametrize("kind", ["scores", "numbers"])
def test_labels_and_numeric_columns_go_by_their_names(kind, tmp_path):
    spec = dataclasses.replace(fake_spec(), classes=("file", "=dog", "age"))
    paths, _ = save_images(tmp_path / "in", ["a.png"], spec)
    model = technique_of(lambda pixels: pixels.new_tensor([[0.5, 0.25, 0.1]]).repeat(len(pixels), 1), kind=kind)
    out = io.StringIO()
    predict(TechniquePredictor(model(FakeOptions(), spec), spec), paths, format="csv", stdout=out)
    (row,) = read_csv(out.getvalue())
    assert row == {"file": str(paths[0]), "out_file": "0.5", "'=dog": "0.25", "age": "0.1"}
    out = io.StringIO()
    predict(TechniquePredictor(model(FakeOptions(), spec), spec), paths, format="json", stdout=out)
    assert json.loads(out.getvalue())[0]["out"] == {"file": 0.5, "=dog": 0.25, "age": 0.1}
