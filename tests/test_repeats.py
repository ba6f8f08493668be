"""Several trainings: their runs are ordinary ones, and their means and intervals are those of the textbook."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import t, ttest_1samp

from dlkit import session
from dlkit.cli.main import main
from dlkit.metrics import Metric, Metrics
from dlkit.repeats import mean_and_t_interval, possible_interval
from dlkit.run import open_run

WORDS = [
    "train",
    "autoencoder",
    "--layers",
    "8",
    "--code",
    "3",
    "--epochs",
    "1",
    "--batch-size",
    "32",
    "--threads",
    "1",
]


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of evaluation, pictures and report: figures that follow from the seed and the fold."""

    def conclude(run: object, technique: object, data: object, *rest: object) -> None:
        settings = run.settings
        value = 10.0 + settings.runtime.seed + len(data.test)
        rows = [Metric(name="psnr", label="PSNR", value=value, split="test", better="higher", baselines={"PCA": 12.0})]
        if settings.runtime.seed == 3:
            rows.append(Metric(name="rare", label="rare", value=1.0, split="test", better="higher"))
        run.save_evaluation(Metrics(tuple(rows)))

    monkeypatch.setattr(session, "conclude", conclude)


def test_the_interval_is_students() -> None:
    values = [0.91, 0.93, 0.90, 0.95, 0.92]
    mean, interval = mean_and_t_interval(values, shared=False)
    theirs = ttest_1samp(values, 0).confidence_interval(0.95)
    assert (mean, *interval) == pytest.approx((np.mean(values), theirs.low, theirs.high))


def test_the_interval_of_folds_is_corrected() -> None:
    values = [0.91, 0.93, 0.90, 0.95, 0.92]
    half = t.ppf(0.975, 4) * np.std(values, ddof=1) * np.sqrt(1 / 5 + 1 / 4)  # test set : training set = 1 : 4
    mean, interval = mean_and_t_interval(values, shared=True)
    assert interval == pytest.approx((mean - half, mean + half))


def test_a_figure_that_is_not_finite_has_no_interval() -> None:
    mean, interval = mean_and_t_interval([1.0, float("nan")], shared=False)
    assert np.isnan(mean)
    assert interval is None


def test_intervals_stay_within_what_a_figure_can_be() -> None:
    def rows(values: list[float], **more: object) -> list[Metric]:
        return [Metric(name="x", label="x", value=v, split="test", better="higher", **more) for v in values]

    assert possible_interval((-0.3, 1.2), rows([0.4, 0.5], interval=(0.2, 0.7))) == (0.0, 1.0)
    assert possible_interval((-0.3, 1.2), rows([0.4, 0.5])) == (-0.3, 1.2)  # an R², say
    assert possible_interval((-119.0, 208.8), rows([40.0, 50.0], unit="s")) == (0.0, 208.8)
    assert possible_interval((5.0, 5.0), rows([5.0, 5.0])) is None


def test_seeds_make_ordinary_runs_and_one_summary(
    brief: None, shapes_npz: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*WORDS, "--data", str(shapes_npz), "--runs", str(tmp_path), "--seed", "3", "--seeds", "3", "--json"]
    assert main(words) == 0
    told = json.loads(capsys.readouterr().out)
    runs = [open_run(path) for path in told["runs"]]
    assert [run.settings.runtime.seed for run in runs] == [3, 4, 5]
    assert all(run.status["status"] == "finished" for run in runs)
    assert len({run.spec.fingerprint for run in runs}) == 1
    (row,) = told["metrics"]  # `rare` is not in all of them
    assert row["value"] == pytest.approx(10 + 4 + 16)
    assert row["interval"] == pytest.approx([30 - t.ppf(0.975, 2) / 3**0.5, 30 + t.ppf(0.975, 2) / 3**0.5])
    assert row["baselines"] == {"PCA": 12.0}
    assert told["tables"][0]["rows"] == [
        {"figure": "PSNR", "split": "test", "seed 3": 29.0, "seed 4": 30.0, "seed 5": 31.0}
    ]
    for run in runs:
        kept = json.loads((run.path / "repeats.json").read_text())
        assert kept["metrics"] == told["metrics"]
        assert kept["runs"] == [run.name for run in runs]
        assert "Over 3 seeds" in (run.path / "report.html").read_text()


def test_folds_test_every_image_once(brief: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = np.random.default_rng(0).integers(0, 256, (30, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "all.npz", images=images, labels=np.arange(30) % 2)
    assert main([*WORDS, "--data", str(tmp_path / "all.npz"), "--runs", str(tmp_path), "--kfold", "3"]) == 0
    assert "Over 3 folds" in capsys.readouterr().out
    runs = [open_run(f"all-00{number}", tmp_path) for number in (1, 2, 3)]
    assert [str(run.settings.data.fold) for run in runs] == ["1/3", "2/3", "3/3"]
    assert [run.spec.counts["test"] for run in runs] == [10, 10, 10]


def test_what_was_done_is_summed_up_where_a_later_run_fails(
    brief: None, shapes_npz: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = session.train

    def fails(settings: object, *arguments: object, **named: object) -> object:
        if settings.runtime.seed == 2:
            raise KeyboardInterrupt
        return train(settings, *arguments, **named)

    monkeypatch.setattr(session, "train", fails)
    words = [*WORDS, "--data", str(shapes_npz), "--runs", str(tmp_path), "--seeds", "5", "--quiet"]
    assert main(words) == 130
    assert json.loads((tmp_path / "autoencoder/shapes-001/repeats.json").read_text())["title"] == "Over 2 seeds"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--seeds", "1"], "'--seeds': 1 is not in the range"),
        (["--seeds", "2", "--kfold", "3"], "--seeds and --kfold cannot be combined"),
        (["--kfold", "3", "--dry-run"], "--kfold and --dry-run cannot be combined"),
        (["--kfold", "3", "--fold", "1/3"], "--fold 1/3 is one part of a --kfold"),
    ],
)
def test_what_cannot_be(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "autoencoder", *words]) == 2
    assert message in capsys.readouterr().err
