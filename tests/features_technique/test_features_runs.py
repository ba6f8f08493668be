"""The technique from the command line to files, and what goes into the estimator."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from dlkit_builtin.features.inputs import Resize, image_form
from dlkit_builtin.features.options import FeaturesOptions
from dlkit_builtin.features.technique import Features
from small_features import class_targets, raw_images, small_spec, technique_with
from torch.nn import functional as F

from dlkit.cli.main import main
from dlkit.errors import UsageError
from dlkit.loading import load_for
from dlkit.run import open_run
from dlkit.runtime import Runtime
from dlkit.technique import State

WORDS = ["--random-init", "--image-size", "32", "--channels", "3", "--threads", "1", "--quiet", "--no-cache"]


def test_from_files_to_a_run_and_back(shapes_npz: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "features", "--backbone", "test_resnet,resnet10t", "--stage", "test_resnet:top,resnet10t:layer1",
             "--relu", "--l2", "--concat", "raw", "--raw-size", "8", "--classifier", "svm-rbf", "--search", "grid",
             "--param", "C=1|10", "--pca", "0.99", "--data", str(shapes_npz), "--runs", str(tmp_path)]  # fmt: skip
    assert main([*words, *WORDS]) == 0
    run = open_run(str(tmp_path / "features" / "shapes-001"))
    table = json.loads((run.path / "search.json").read_text())
    assert sorted(row["parameters"]["C"] for row in table) == [1, 10]
    kept = json.loads((run.path / "evaluation.json").read_text())
    assert [row["C"] for row in kept["tables"][-1]["rows"]] == [row["parameters"]["C"] for row in table]
    before = run.load_evaluation()
    capsys.readouterr()
    assert main(["evaluate", str(run.path), "--json", "--quiet"]) == 0
    assert before is not None
    assert before.get("accuracy", "test").value > 0.6  # of 16 images in three classes
    technique = run.load_technique()
    with torch.inference_mode():
        codes = technique.encode(torch.rand(2, 3, 32, 32))
    sizes = [each.stage(taps[0].stage).channels for each, taps in zip(technique.model.inputs.backbones, technique.model.inputs.taps, strict=True)]  # noqa: E501  # fmt: skip
    assert codes.shape == (2, sum(sizes) + 3 * 8 * 8)
    for size, start in zip(sizes, np.cumsum([0, *sizes]), strict=False):
        np.testing.assert_allclose(codes[:, start : start + size].norm(dim=1), 1, rtol=1e-5)
    assert (codes >= 0).all()


def test_a_run_with_an_estimator_is_a_backbone(
    shapes_npz: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its features are used, its estimator is not: neither for building it, nor for loading the run that uses it."""
    monkeypatch.setattr("dlkit.session.save_pictures", lambda *_: None)
    words = ["--data", str(shapes_npz), "--runs", str(tmp_path)]
    assert main(["features", *words, *WORDS, "--backbone", "test_resnet", "--classifier", "knn"]) == 0
    small = ["--threads", "1", "--quiet", "--no-cache", "--strategy", "linear-probe"]
    assert main(["transfer", *words, *small, "--backbone", "run:features/shapes-001"]) == 0
    images = torch.rand(2, 3, 32, 32)
    with torch.inference_mode():
        codes = [open_run(str(tmp_path / name / "shapes-001")).load_technique().encode(images)
                 for name in ("features", "transfer")]  # fmt: skip
    torch.testing.assert_close(*codes)


def test_training_predicts_from_what_inference_computes(shapes_npz: Path, tmp_path: Path) -> None:
    """Features that are extracted for the estimator are those of the inference module."""
    words = ["--backbone", "test_resnet", "--relu", "--concat", "raw", "--no-fast", "--data", str(shapes_npz)]
    words += ["--runs", str(tmp_path)]
    assert main(["train", "features", *words, *WORDS]) == 0
    run = open_run(str(tmp_path / "features" / "shapes-001"))
    technique = run.load_technique()
    data = load_for(run, Silent())
    runtime = Runtime(run.settings.runtime)
    extracted = technique.model.inputs.extract(data.test, runtime)
    with torch.inference_mode():
        computed = technique.encode(data.test.pixels()).numpy()
    np.testing.assert_allclose(extracted, computed, atol=1e-4)


class Silent:
    """Shows nothing."""

    def __new__(cls) -> object:
        from dlkit.display import Display

        return Display(quiet=True)


def test_a_run_needs_neither_network_nor_files(monkeypatch: pytest.MonkeyPatch) -> None:
    technique = technique_with(class_targets(np.arange(60) % 3), small_spec(), classifier="knn")
    state = technique.state()
    state = State({name: tensor.clone() for name, tensor in state.tensors.items()}, json.loads(json.dumps(state.plain)))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    again = Features.load(state, technique.options, technique.spec)
    images = raw_images(7, small_spec(), seed=4).float() / 255
    with torch.inference_mode():
        np.testing.assert_array_equal(again.classify(images), technique.classify(images))


@pytest.mark.parametrize("size", [(16, 16), (20, 11), (64, 48)])
def test_resizing_is_pytorchs_own(size: tuple[int, int]) -> None:
    images = torch.rand(2, 3, 32, 24)
    expected = F.interpolate(images, size, mode="bilinear", antialias=True, align_corners=False)
    torch.testing.assert_close(Resize((32, 24), size)(images), expected, atol=1e-5, rtol=1e-4)


def test_images_are_read_for_the_largest_backbone_and_resized_for_the_others() -> None:
    options = FeaturesOptions(backbone=("test_resnet", "resnet10t"), random_init=True)
    form = image_form(options)
    assert form.height == max(image_form(FeaturesOptions(backbone=(name,))).height for name in options.backbone)
    torch.manual_seed(0)
    technique = Features(options, small_spec(side=form.height))
    small = technique.model.inputs.backbones[0]
    own = image_form(FeaturesOptions(backbone=("test_resnet",))).height
    assert own != form.height
    images = torch.rand(2, 3, form.height, form.height)
    resized = F.interpolate(images, (own, own), mode="bilinear", antialias=True)
    body = small.network.body  # type: ignore[union-attr]
    with torch.inference_mode():
        expected = body((resized - small.mean) / small.std)
        found = small(images)
    torch.testing.assert_close(found, expected.flatten(1) if expected.ndim == 2 else expected.mean((2, 3)), atol=1e-4, rtol=1e-3)  # noqa: E501  # fmt: skip


def test_unknown_stages_are_answered_with_what_there_is() -> None:
    with pytest.raises(UsageError, match="test_resnet has no stage 'layr1'"):
        Features(FeaturesOptions(backbone=("test_resnet",), random_init=True, stage=("layr1",)), small_spec())
