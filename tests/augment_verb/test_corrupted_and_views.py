"""`evaluate --corrupt` and `--tta`, beside the plain figures."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from dlkit.augment import AugmenterCard, Draws, Policy, Scenes, apply, sample_keys
from dlkit.augment.cards import augmenter
from dlkit.augment.exact import exactly
from dlkit.cli.main import main
from dlkit.run import Run, open_run

CARDS = ("noise:gaussian", "blur:gaussian")


@pytest.fixture
def run(classifier: Run, tmp_path: Path) -> Run:
    return open_run(str(shutil.copytree(classifier.path, tmp_path / "run")))


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> list[AugmenterCard]:
    """Two corruptions."""
    cards = [augmenter(name) for name in CARDS]
    monkeypatch.setattr("dlkit.robustness.corruptions", lambda: cards)
    return cards


def told(words: list[str], capsys: Any) -> Any:
    assert main([*words, "--json", "--quiet"]) == 0
    return json.loads(capsys.readouterr().out)


def test_each_cell_is_the_accuracy_on_images_corrupted_so(run: Run, few: list[AugmenterCard], capsys: Any) -> None:
    found = told(["evaluate", str(run.path), "--corrupt"], capsys)
    (mean,), (table,) = found["metrics"], found["tables"]
    clean = run.load_evaluation()
    assert clean is not None
    assert mean["baselines"] == {"clean images": clean.get("accuracy", "test").value}
    assert table["rows"][0]["mean"] == pytest.approx(clean.get("accuracy", "test").value)
    cells = [[row[key] for key in ("0.2", "0.4", "0.6", "0.8", "1")] for row in table["rows"][1:]]
    assert mean["value"] == pytest.approx(np.mean(cells))
    from dlkit.data import load_data
    from dlkit.runtime import Runtime

    test = load_data(run.settings.data).test
    module = run.load_technique().inference_module()
    seed = Runtime(run.settings.runtime).derive("corrupt", "noise:gaussian")
    step = exactly(augmenter("noise:gaussian"), 0.6)
    draws = Draws(sample_keys(seed, torch.arange(len(test))))
    noisy = apply(Policy((step,)), Scenes(test.pixels()), draws).images.mul(255).round().clamp(0, 255) / 255
    assert test.labels is not None
    with torch.inference_mode():
        right = (module(noisy)[0].argmax(1) == test.labels).double().mean()
    assert cells[0][2] == pytest.approx(float(right))
    again = told(["evaluate", str(run.path), "--corrupt"], capsys)
    assert again == found


def test_the_report_shows_it_until_the_model_is_another(run: Run, few: list[AugmenterCard], capsys: Any) -> None:
    assert main(["evaluate", str(run.path), "--corrupt", "--quiet"]) == 0
    page = (run.path / "report.html").read_text()
    assert "by corruption and strength" in page
    assert "What the corruptions look like" in page
    assert Image.open(run.path / "plots" / "robustness.png").width > 100
    assert main(["resume", str(run.path), "--epochs", "13", "--quiet"]) == 0
    assert "by corruption and strength" not in (run.path / "report.html").read_text()


def test_techniques_without_classes_have_their_own_figure(
    trained: Path, tmp_path: Path, few: list[AugmenterCard], capsys: Any
) -> None:
    run = open_run(str(shutil.copytree(trained, tmp_path / "run")))
    found = told(["evaluate", str(run.path), "--corrupt"], capsys)
    assert found["metrics"][0]["name"].startswith("corrupted_")
    values = [row[key] for row in found["tables"][0]["rows"] for key in ("0.2", "1")]
    assert np.isfinite(values).all()


def test_one_strength_is_one_magnitude_for_every_image() -> None:
    card = augmenter("rotate")
    images = torch.rand(4, 1, 12, 12)
    turned = apply(Policy((exactly(card, 1.0),)), Scenes(images), Draws(sample_keys(0, torch.arange(4)))).images
    (angle,) = (parameter.strong for parameter in card.parameters if parameter.name == "angle")
    again = apply(Policy.parse(f"rotate:{angle}..{angle}"), Scenes(images), Draws(sample_keys(1, torch.arange(4))))
    assert torch.equal(turned, again.images)


def test_views_that_change_nothing_change_nothing(run: Run, capsys: Any) -> None:
    plain = told(["evaluate", str(run.path)], capsys)["metrics"]
    same = told(["evaluate", str(run.path), "--tta", "--augment", "rotate:0"], capsys)["metrics"]
    values = {row["name"]: row["value"] for row in plain}
    for row in same:
        assert row["value"] == pytest.approx(values[row["name"]], abs=1e-6)
        assert row["baselines"]["without views"] == pytest.approx(values[row["name"]], abs=1e-6)


def test_predicted_views_are_the_mean_of_single_predictions(run: Run, tmp_path: Path, capsys: Any) -> None:
    random = np.random.default_rng(2)
    images = random.integers(0, 256, (3, 8, 8), dtype=np.uint8)
    for number, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"{number}.png")
        Image.fromarray(image[:, ::-1]).save(tmp_path / f"mirrored-{number}.png")
    files = [str(tmp_path / f"{number}.png") for number in range(3)]
    mirrored = [str(tmp_path / f"mirrored-{number}.png") for number in range(3)]

    def probabilities(paths: list[str], *words: str) -> Any:
        out = tmp_path / f"{len(list(tmp_path.glob('*.npz')))}.npz"
        assert main(["predict", str(run.path), *paths, "--out", str(out), "--quiet", *words]) == 0
        return np.load(out)["probabilities"]

    both = probabilities(files, "--tta", "--augment", "flip@1", "--views", "1")
    np.testing.assert_allclose(both, (probabilities(files) + probabilities(mirrored)) / 2, atol=1e-6)
    one = probabilities(files[1:2], "--tta")
    np.testing.assert_allclose(one, probabilities(files, "--tta", "--batch-size", "2")[1:2], atol=1e-6)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--tta", "--corrupt"], "different evaluations"),
        (["--augment", "flip"], "Add --tta"),
        (["--views", "3"], "Add --tta"),
        (["--tta", "--augment", "flp"], "^^^"),
        (["--tta", "--augment", "mixup"], "mixes images"),
        (["--seeds", "3"], "--without"),
        (["--without", "nonsense"], "nonsense"),
        (["--without", "generated", "--data", "digits"], "own data"),
    ],
)
def test_what_does_not_fit_is_told(classifier: Run, words: list[str], said: str, capsys: Any) -> None:
    assert main(["evaluate", str(classifier.path), *words]) == 2
    assert said in capsys.readouterr().err


def test_views_are_for_what_predicts(trained: Path, capsys: Any) -> None:
    assert main(["evaluate", str(trained), "--tta"]) == 2
    assert "averages predictions" in capsys.readouterr().err
