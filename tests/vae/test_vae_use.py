"""A trained one from the command line: figures, pictures, generating by class, as a backbone, exported."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from dlkit_builtin.vae.evaluation import evaluate
from dlkit_builtin.vae.measuring import sample
from dlkit_builtin.vae.pictures import pictures
from dlkit_builtin.vae.technique import Vae
from PIL import Image
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsClassifier
from vae_models import options, runtime

import dlkit
from dlkit.cli.main import main
from dlkit.data import load_data
from dlkit.options import DataOptions
from dlkit.report.picture import png

QUALITY = {"psnr", "ssim", "mse", "squared_error"}
CODE = {"knn_accuracy", "linear_probe_accuracy"}


@pytest.fixture(scope="module")
def conditional(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A conditional model of the digits."""
    root = tmp_path_factory.mktemp("conditional") / "runs"
    words = ["--epochs", "25", "--layers", "128", "--code", "6", "--threads", "1", "--runs", str(root), "--quiet"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dlkit.session.save_pictures", lambda *_: None)
        assert main(["train", "vae", "--conditional", *words, "--nll-images", "50"]) == 0
    return root / "vae" / "digits-001"


def test_generated_images_are_of_the_class_asked_for(conditional: Path) -> None:
    data = load_data(DataOptions(data="digits"))
    assert data.train.labels is not None
    knn = KNeighborsClassifier(5).fit(data.train.pixels().flatten(1).numpy(), data.train.labels.numpy())
    technique = dlkit.load(conditional).run.load_technique()
    wanted = torch.arange(10).repeat(20)
    with torch.inference_mode():
        images = technique.generate(200, torch.Generator().manual_seed(0), wanted)  # type: ignore[attr-defined]
    assert (knn.predict(images.flatten(1).numpy()) == wanted.numpy()).mean() > 0.9
    spread = images.view(20, 10, 64).std(0).mean()
    assert float(spread) > 0.01  # not ten times one image


def test_typed_codes_are_decoded_as_a_class(
    conditional: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = ",".join(["0"] * 6)
    assert main(["decode", str(conditional), "--code", code, "--out", str(tmp_path / "any.png")]) == 2
    assert "--class" in capsys.readouterr().err
    for name in ("3", "8"):
        target = str(tmp_path / f"{name}.png")
        assert main(["decode", str(conditional), "--code", code, "--class", name, "--out", target, "--quiet"]) == 0
    three, eight = (np.asarray(Image.open(tmp_path / f"{name}.png"), dtype=float) / 255 for name in ("3", "8"))
    technique = dlkit.load(conditional).run.load_technique()
    with torch.inference_mode():
        expected = technique.decode(torch.zeros(2, 6), torch.tensor([3, 8]))[:, 0].numpy()  # type: ignore[attr-defined]
    np.testing.assert_allclose(np.stack([three, eight]), expected, atol=1 / 255)
    words = ["morph", str(conditional), "0", "1", "--class", "8", "--out", str(tmp_path / "path"), "--quiet"]
    assert main(words) == 0


def test_bayes_rule_finds_the_class(conditional: Path) -> None:
    metrics = dlkit.load(conditional).metrics
    assert metrics is not None
    accuracy = metrics.get("class_accuracy", "test")
    assert accuracy.value > 0.85
    assert accuracy.baselines["majority class"] < 0.2
    assert "their class being told" in metrics.get("nll", "test").note


def test_a_run_is_a_backbone(shapes_npz: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dlkit.session.save_pictures", lambda *_: None)
    words = ["--data", str(shapes_npz), "--threads", "1", "--quiet", "--runs", str(tmp_path)]
    small = ["--layers", "32", "--likelihood", "gaussian", "--epochs", "40", "--nll-images", "5"]
    assert main(["train", "vae", *words, *small]) == 0
    run = f"run:{tmp_path / 'vae' / 'shapes-001'}"
    assert main(["train", "features", "--backbone", run, "--no-cache", *words]) == 0
    metrics = dlkit.load(tmp_path / "features" / "shapes-001").metrics
    assert metrics is not None
    assert metrics.get("accuracy", "test").value > 0.6  # of 16 images in three classes


def test_a_conditional_code_is_left_with_what_the_class_does_not_say(conditional: Path) -> None:
    metrics = dlkit.load(conditional).metrics
    assert metrics is not None
    probe = metrics.get("linear_probe_accuracy", "test")
    assert probe.value < 0.5 < probe.baselines["raw pixels"]


def test_it_exports(conditional: Path, tmp_path: Path) -> None:
    assert main(["export", str(conditional), "--out", str(tmp_path / "vae.onnx"), "--quiet"]) == 0
    session = onnxruntime.InferenceSession(str(tmp_path / "vae.onnx"))
    raw = load_data(DataOptions(data="digits")).test.raw(torch.arange(20))
    found = session.run(None, {session.get_inputs()[0].name: raw.numpy()})
    with torch.inference_mode():
        module = dlkit.load(conditional).run.load_technique().inference_module()
        expected = module(raw.float() / (255 if raw.dtype is torch.uint8 else 1))
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-4)


def test_figures_and_baselines(shapes_npz: Path) -> None:
    data, ours = load_data(DataOptions(data=str(shapes_npz))), runtime()
    technique = Vae(options(), data.spec)
    metrics = evaluate(technique, data, ours)
    both = QUALITY | {"elbo", "active_units"}
    assert {(row.name, row.split) for row in metrics} == {
        *((name, split) for name in both for split in ("train", "test")), *((name, "test") for name in CODE | {"nll"}),
    }  # fmt: skip
    train, test = data.train.pixels().flatten(1).numpy(), data.test.pixels().flatten(1).numpy()
    pca = PCA(4, random_state=0).fit(train)
    restored = pca.inverse_transform(pca.transform(test))
    mse = metrics.get("mse", "test")
    assert mse.baselines["PCA, 4 components"] == pytest.approx(np.square(restored - test).mean(), rel=1e-4)
    own = technique.reconstruct(data.test.pixels()).detach().flatten(1).numpy()
    assert mse.value == pytest.approx(np.square(own - test).mean(), rel=1e-4)
    [table] = metrics.tables
    for row in table.rows:
        assert row["ELBO"] == pytest.approx(float(row["log p(x|z)"]) - float(row["KL(q(z|x) ‖ p(z))"]), rel=1e-5)
        assert row["ELBO"] == pytest.approx(metrics.get("elbo", str(row["split"])).value)
    assert metrics.get("nll", "test").value <= -metrics.get("elbo", "test").value
    assert evaluate(technique, data, runtime()) == metrics


def test_a_gaussian_model_stands_beside_probabilistic_pca(shapes_npz: Path) -> None:
    data = load_data(DataOptions(data=str(shapes_npz)))
    metrics = evaluate(Vae(options(likelihood="gaussian"), data.spec), data, runtime())
    assert set(metrics.get("nll", "test").baselines) == {"independent pixels", "probabilistic PCA, 4 components"}


def test_a_conditional_model_guesses_where_there_are_no_labels(shapes_npz: Path, tmp_path: Path) -> None:
    data = load_data(DataOptions(data=str(shapes_npz)))
    technique, ours = Vae(options(conditional=True, binarize="dynamic"), data.spec), runtime()
    with np.load(shapes_npz) as archive:
        np.savez(tmp_path / "bare.npz", images=archive["images"])
    bare = load_data(DataOptions(data=str(tmp_path / "bare.npz")), like=data.spec)
    names = {row.name for row in evaluate(technique, bare, ours)}
    assert names == QUALITY | {"nll", "elbo", "active_units"}
    shown = sample(technique, bare.held_out, ours)
    assert shown.classes is not None
    assert torch.equal(shown.classes, technique.classify(shown.images).argmax(1))


@pytest.mark.parametrize("given", [{"code": 2}, {"code": 1, "likelihood": "gaussian"}, {"conditional": True}], ids=str)
def test_pictures(given: dict[str, object], shapes_npz: Path) -> None:
    data = load_data(DataOptions(data=str(shapes_npz)))
    drawn = list(pictures(Vae(options(**given), data.spec), data, runtime()))
    assert [picture.name for picture in drawn] == ["generated", "reconstructions", "code-space", "active-units", "elbo"]
    assert all(len(png(picture.figure)) > 1000 for picture in drawn[3:])
