"""A search on small images, its policy as a file, its model, its learners, and going on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from dlkit_builtin.augment_search.learner import learner_settings
from dlkit_builtin.augment_search.options import AugmentSearchOptions
from dlkit_builtin.augment_search.search import HURTS
from dlkit_builtin.augment_search.trials import Trials

import dlkit
from dlkit.augment import Policy
from dlkit.cli.main import main
from dlkit.data import ImageData, load_data
from dlkit.display import Display
from dlkit.errors import UsageError
from dlkit.files import write_json
from dlkit.options.core import DataOptions, RuntimeOptions
from dlkit.run import Run
from dlkit.runtime import Runtime

OPTIONS: dict[str, Any] = {
    "augmenters": "flip,rotate,translate", "epochs": 8, "search_seeds": 2, "final_seeds": 2, "threads": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A config of a small classifier, and images of bars in the left or the right half: mirroring is what hurts."""
    folder = tmp_path_factory.mktemp("small")
    random = np.random.default_rng(0)
    images = random.integers(0, 60, (160, 8, 8)).astype(np.uint8)
    labels = np.arange(160) % 2
    for image, label in zip(images, labels, strict=True):
        column = random.integers(0, 3) + 5 * label
        image[:, column] = 255
    split = np.repeat(["train", "val", "test"], [110, 20, 30])
    np.savez(folder / "sides.npz", images=images, labels=labels, classes=np.array(["left", "right"]), split=split)
    lines = ['technique = "classifier"', 'net = "mlp"', "layers = [16]", "batch_size = 16", "lr = 0.01"]
    (folder / "learner.toml").write_text("\n".join(lines))
    return folder


@pytest.fixture(scope="module")
def run(small: Path) -> Run:
    options = OPTIONS | {"learner": small / "learner.toml", "data": small / "sides.npz", "runs": small / "runs"}
    return dlkit.train("augment-search", **options).run


def test_mirroring_is_found_harmful_where_sides_are_classes(run: Run) -> None:
    figures = run.load_evaluation()
    assert figures is not None
    tables = {table.name: table for table in figures.tables}
    (mirrored,) = (row for row in tables["augmenters"].rows if row["augmenter"] == "flip:horizontal")
    assert mirrored["verdict"] == HURTS
    assert float(mirrored["gain"]) < -10  # type: ignore[arg-type]
    accuracy = figures.get("accuracy", "test")
    assert accuracy.baselines["the usual: flip crop"] < accuracy.value - 0.1
    assert (run.path / "plots" / "gains.png").is_file()
    assert (run.path / "plots" / "harmful.png").is_file()
    assert not (run.path / "compared").exists()


def test_a_trial_learns_as_any_training_does_and_never_sees_the_test_split(small: Path, tmp_path: Path) -> None:
    seen: list[ImageData] = []

    def trained(data: ImageData, *_: Any) -> None:
        seen.append(data)
        raise RuntimeError

    learner: Any = SimpleNamespace(
        options=AugmentSearchOptions(search_seeds=2), settings=SimpleNamespace(to_plain=dict), trained=trained
    )
    data = load_data(DataOptions(data=str(small / "sides.npz")))
    trials = Trials(learner, data, Runtime(RuntimeOptions(threads=1)), tmp_path / "search.json")
    with pytest.raises(RuntimeError):
        trials.accuracy("", 0)
    assert [len(split) for split in seen[0].splits] == [55, 20, 0]
    assert trials.count() == 0


def test_the_policy_is_a_file_that_training_takes(run: Run, small: Path, tmp_path: Path, capsys: Any) -> None:
    technique: Any = run.load_technique()
    out = tmp_path / "policy.toml"
    if not technique.found:
        assert main(["export", str(run.path), "--out", str(out)]) == 2
        assert "no augmentation was better" in capsys.readouterr().err
        technique.found = "rotate:5@0.5"
        out.write_text(technique.texts()["policy.toml"])
    else:
        assert main(["export", str(run.path), "--out", str(out)]) == 0
    written = Policy.parse(str(out))
    assert [step.name for step in written.steps] == [step.name for step in Policy.parse(technique.found).steps]
    words = ["train", "classifier", "--data", str(small / "sides.npz"), "--augment", str(out), "--dry-run", "--quiet"]
    assert main(words) == 0


def test_the_model_is_exported_and_predicts(run: Run, tmp_path: Path) -> None:
    model = dlkit.load(run.path)
    answers = model.classify(torch.rand(3, 1, 8, 8))
    assert torch.allclose(answers.sum(1), torch.ones(3))
    out = tmp_path / "model.safetensors"
    assert main(["export", str(run.path), "--part", "model", "--out", str(out), "--quiet"]) == 0
    assert out.is_file()


def test_a_stopped_search_goes_on_to_the_same_model(
    run: Run, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dlkit.errors import Interrupted

    monkeypatch.setattr("dlkit.session.save_pictures", lambda _, plots: write_json(plots / "index.json", []))
    tried, left = Trials._tried, [4]

    def stopped(self: Trials, policy: str, seed: int) -> float:
        left[0] -= 1
        if left[0] < 0:
            raise Interrupted(2)
        return tried(self, policy, seed)

    monkeypatch.setattr(Trials, "_tried", stopped)
    options = OPTIONS | {"learner": small / "learner.toml", "data": small / "sides.npz", "runs": tmp_path}
    with pytest.raises(Interrupted):
        dlkit.train("augment-search", **options)
    monkeypatch.setattr(Trials, "_tried", tried)
    (path,) = (tmp_path / "augment-search").iterdir()
    assert len(json.loads((path / "search.json").read_text())["trials"]) == 4
    assert main(["resume", str(path), "--quiet"]) == 0
    again, once = (Run(each).load_technique().state() for each in (path, run.path))
    assert again.plain["found"] == once.plain["found"]
    assert again.plain["rows"] == once.plain["rows"]
    assert all(torch.equal(tensor, once.tensors[name]) for name, tensor in again.tensors.items())
    shutil.rmtree(path)


def test_a_learner_is_what_its_config_is_for_and_never_augmented_by_it(tmp_path: Path) -> None:
    config = tmp_path / "learner.toml"
    config.write_text(
        'technique = "transfer"\nbackbone = "test_resnet"\nrandom_init = true\nstrategy = "lp-ft"\naugment = "flip"'
    )
    options = AugmentSearchOptions(learner=str(config))
    plain, flipped = learner_settings(options), learner_settings(options, "flip:vertical")
    assert (plain.card.name, plain.options.backbone, plain.options.strategy) == ("transfer", "test_resnet", "lp-ft")
    assert plain.augment.augment is None
    assert str(flipped.augment.augment) == "flip:vertical"
    config.write_text('technique = "vae"')
    with pytest.raises(UsageError, match="vae does not learn classes"):
        learner_settings(options)


def test_what_is_found_may_be_what_it_is_compared_with(run: Run) -> None:
    technique: Any = run.load_technique()
    technique.found = "trivial"
    assert technique.top == "trivial"
    assert [name for name, _, seed in technique._comparisons() if seed == 0] == ["none", "usual", "trivial"]
    from dlkit.loading import load_training_data

    data = load_training_data(run.settings, Display(quiet=True))
    figures = technique.evaluate(data, Runtime(run.settings.runtime))
    assert {row.name for row in figures if row.name.startswith("gain")} == {"gain_over_none", "gain_over_usual"}
    (policies,) = (table for table in figures.tables if table.name == "policies")
    assert [row["policy"] for row in policies.rows] == ["none", "usual", "trivial: found", "found"][
        : len(policies.rows)
    ]


def test_more_budget_goes_on_with_the_search(small: Path, tmp_path: Path) -> None:
    options = OPTIONS | {"learner": small / "learner.toml", "data": small / "sides.npz", "runs": tmp_path, "epochs": 1}
    run = dlkit.train("augment-search", **options | {"final_seeds": 1, "budget": "0.001s"}).run
    before = json.loads((run.path / "search.json").read_text())["trials"]
    technique: Any = run.load_technique()
    assert not technique.facts["complete"]
    assert main(["resume", str(run.path), "--budget", "5m", "--quiet"]) == 0
    after = json.loads((run.path / "search.json").read_text())["trials"]
    assert {key: after[key] for key in before} == before
    technique = Run(run.path).load_technique()
    assert technique.facts["complete"]
    assert technique.facts["trials"] == len(after) > len(before)


def test_augmenters_that_there_are_not_are_told_before_a_run_begins(small: Path, tmp_path: Path, capsys: Any) -> None:
    words = ["train", "augment-search", "--data", str(small / "sides.npz"), "--runs", str(tmp_path / "runs")]
    assert main([*words, "--augmenters", "flip,rotat"]) == 2
    assert "Did you mean 'rotate'?" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_it_cannot_be_trained_for_longer(run: Run, capsys: Any) -> None:
    assert main(["resume", str(run.path), "--epochs", "9"]) == 2
    assert "--epochs: a run of augment-search cannot be trained for longer" in capsys.readouterr().err


def test_a_learner_on_features_is_refused(tmp_path: Path, shapes_npz: Path, capsys: Any) -> None:
    (tmp_path / "probe.toml").write_text('technique = "transfer"\nrandom_init = true\n')
    words = ["train", "augment-search", "--data", str(shapes_npz), "--backbone", "test_resnet", "--image-size", "16",
             "--learner", str(tmp_path / "probe.toml"), "--runs", str(tmp_path / "runs")]  # fmt: skip
    assert main([*words, "--dry-run", "--quiet"]) == 0
    (tmp_path / "probe.toml").write_text('technique = "transfer"\nrandom_init = true\nstrategy = "linear-probe"\n')
    assert main([*words, "--dry-run"]) == 2
    assert "learns from features" in capsys.readouterr().err
