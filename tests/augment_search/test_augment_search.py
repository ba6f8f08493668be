"""The search: halving and intervals on made-up gains, a real one on shapes, its policy as a file, and going on."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dlkit_builtin.augment_search.arms import Arm, at_strengths, single_arms
from dlkit_builtin.augment_search.learner import learner_settings
from dlkit_builtin.augment_search.options import AugmentSearchOptions
from dlkit_builtin.augment_search.search import HELPS, HURTS, UNCLEAR, Search
from dlkit_builtin.augment_search.trials import BudgetSpentError
from scipy.stats import t

import dlkit
from dlkit.augment import Policy
from dlkit.cli.main import main
from dlkit.display import Display
from dlkit.errors import UsageError
from dlkit.files import write_json
from dlkit.run import Run


class Made:
    """Trials with known effects and a little noise."""

    def __init__(
        self, effects: Mapping[str, float], seeds: int = 5, most: int = 10_000, affordable: int = 10_000
    ) -> None:
        self.effects, self.seeds, self.most, self.affordable = effects, seeds, most, affordable
        self.done: list[tuple[str, int]] = []

    def count(self) -> int:
        return len(self.done)

    def accuracy(self, policy: str, seed: int) -> float:
        if (policy, seed) not in self.done:
            if len(self.done) >= self.most:
                raise BudgetSpentError
            self.done.append((policy, seed))
        random = np.random.default_rng([seed, *policy.encode()])
        steps = policy.split()
        return 0.8 + sum(self.effects.get(step, 0.0) for step in steps) + random.normal(0, 0.004)


def arms(count: int) -> list[Arm]:
    """``flip@0.01``, ``flip@0.02``…: policies that can be parsed, and have no strengths."""
    return [Arm(f"arm {number}", "made", f"flip@{number / 100:g}") for number in range(1, count + 1)]


def searched(trials: Made, tried: list[Arm]) -> Search:
    search = Search(trials, tried)  # type: ignore[arg-type]
    search.run()
    return search


def test_what_helps_is_found_and_what_hurts_is_named() -> None:
    tried = arms(16)
    trials = Made({tried[3].policy: 0.05, tried[7].policy: 0.03, tried[5].policy: -0.08})
    search = searched(trials, tried)
    verdicts = {gain.arm.name: gain.verdict for gain in search.results}
    assert verdicts["arm 4"] == verdicts["arm 8"] == HELPS
    assert verdicts["arm 6"] == HURTS
    assert list(verdicts.values()).count(UNCLEAR) >= 11
    assert search.found == f"{tried[3].policy} {tried[7].policy}"  # both together are better than either
    assert search.complete


def test_halving_spends_little_on_the_rest() -> None:
    tried = arms(16)
    trials = Made({})
    search = searched(trials, tried)
    seeds = sorted((len(gain.gains) for gain in search.results if "+" not in gain.arm.name), reverse=True)
    assert seeds == [5] * 4 + [3] * 4 + [2] * 8
    assert all(gain.verdict != HURTS or gain.mean < 0 for gain in search.results)


def test_intervals_pool_the_scatter_of_all_arms() -> None:
    tried = arms(6)
    search = searched(Made({}, seeds=2), tried)
    gains = np.array([gain.gains for gain in search.results if "+" not in gain.arm.name])
    scatter = math.sqrt(((gains - gains.mean(1, keepdims=True)) ** 2).sum() / len(gains))
    together = [gain for gain in search.results if "+" in gain.arm.name]
    if not together:  # the pool is these arms alone
        half = t.ppf(0.975, len(gains)) * scatter / math.sqrt(2)
        low, high = search.results[0].interval
        assert high - low == pytest.approx(2 * half)


def test_a_spent_budget_ends_it_with_what_there_is() -> None:
    tried = arms(8)
    search = searched(Made({tried[2].policy: 0.1}, most=20), tried)
    assert not search.complete
    assert search.found == tried[2].policy
    assert searched(Made({arm.policy: -0.1 for arm in tried}), tried).found == ""


def test_a_small_budget_tries_few_augmenters_well() -> None:
    tried = arms(16)
    search = searched(Made({tried[2].policy: 0.1, tried[9].policy: 0.2}, affordable=30), tried)
    assert search.left_out == 10
    assert len(search.results) == 6  # the first ones
    assert search.found == tried[2].policy
    assert searched(Made({}, affordable=75), tried).left_out == 1
    assert searched(Made({}, affordable=80), tried).left_out == 0


def test_what_is_compared_in_the_end_has_all_seeds_unless_it_hurts() -> None:
    trivial = Arm("trivial", "policies", "trivial")
    better = {arm.policy: 0.02 for arm in arms(12)}
    seeds = {gain.arm.name: len(gain.gains) for gain in searched(Made(better), [*arms(12), trivial]).results}
    assert seeds["trivial"] == 5
    hurt = searched(Made({"trivial": -0.1}), [*arms(12), trivial])
    assert next(len(gain.gains) for gain in hurt.results if gain.arm == trivial) == 2


def test_augmenters_are_added_to_a_policy_that_is_best() -> None:
    tried = [Arm(name, "policies", name) for name in ("trivial", "rand", "augmix")] + arms(4)
    effects = {"trivial": 0.1, "rand": 0.09, tried[4].policy: 0.03}
    search = searched(Made(effects), tried)
    assert search.found == f"trivial {tried[4].policy}"
    assert not any({"trivial", "rand"} <= set(gain.arm.policy.split()) for gain in search.results)


def test_an_augmenter_is_not_added_to_itself() -> None:
    usual = Arm("flip:horizontal + crop", "together", "flip crop")
    parts = [Arm("flip:horizontal", "geometric", "flip:horizontal"), Arm("crop", "geometric", "crop@0.5")]
    search = searched(Made({"flip": 0.1, "flip:horizontal": 0.09, "crop@0.5": 0.08}), [usual, *parts])
    assert search.found == "flip crop"
    assert not any("crop@0.5" in gain.arm.policy and "flip" in gain.arm.policy for gain in search.results)


def test_arms_are_augmenters_that_work_on_these_images() -> None:
    grey = {arm.name: arm for arm in single_arms((), grey=True, mixes=False)}
    colour = {arm.name for arm in single_arms((), grey=False, mixes=True)}
    assert {"flip:horizontal", "flip:vertical", "rotate", "noise:gaussian", "trivial"} <= set(grey)
    assert {"saturation", "mixup"} <= colour - set(grey)
    assert all(str(Policy.parse(arm.policy)) == arm.policy for arm in grey.values())
    stronger = at_strengths(grey["rotate"])
    assert [arm.strength for arm in stronger] == [0.25, 1.0]  # half is the default
    assert at_strengths(grey["flip:vertical"]) == []
    assert [arm.policy for arm in at_strengths(grey["trivial"])] == ["trivial:0.25", "trivial:0.5"]  # it is 1 already
    first = single_arms((), grey=True, mixes=False)[:9]
    assert [arm.policy for arm in first[:2]] == ["flip crop", "trivial"]
    assert len({arm.family for arm in first}) >= 8
    assert {arm.family for arm in single_arms(("noise",), grey=True, mixes=False)} == {"noise"}
    with pytest.raises(UsageError, match="no augmenter or family 'rotat'"):
        single_arms(("rotat",), grey=True, mixes=False)


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
    from dlkit_builtin.augment_search.trials import Trials

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
    from dlkit.runtime import Runtime

    data = load_training_data(run.settings, Display(quiet=True))
    figures = technique.evaluate(data, Runtime(run.settings.runtime))
    assert {row.name for row in figures if row.name.startswith("gain")} == {"gain_over_none", "gain_over_usual"}
    (policies,) = (table for table in figures.tables if table.name == "policies")
    assert [row["policy"] for row in policies.rows] == ["none", "usual", "trivial: found", "found"][
        : len(policies.rows)
    ]


def test_a_learner_on_features_is_refused(tmp_path: Path, shapes_npz: Path, capsys: Any) -> None:
    (tmp_path / "probe.toml").write_text('technique = "transfer"\nrandom_init = true\n')
    words = ["train", "augment-search", "--data", str(shapes_npz), "--backbone", "test_resnet", "--image-size", "16",
             "--learner", str(tmp_path / "probe.toml"), "--runs", str(tmp_path / "runs")]  # fmt: skip
    assert main([*words, "--dry-run", "--quiet"]) == 0
    (tmp_path / "probe.toml").write_text('technique = "transfer"\nrandom_init = true\nstrategy = "linear-probe"\n')
    assert main([*words, "--dry-run"]) == 2
    assert "learns from features" in capsys.readouterr().err
