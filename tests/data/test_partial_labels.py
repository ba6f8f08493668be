"""`--labels`: a stratified, nested, repeatable draw within train and val; nothing else is touched."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dlkit.cli.main import main
from dlkit.data import ImageData, load_data
from dlkit.data.partial import draw
from dlkit.errors import DataError
from dlkit.options import DataOptions
from dlkit.options.values import LabelBudget


def load(data: str | Path = "digits", **given: object) -> ImageData:
    labels = given.pop("labels", None)
    budget = None if labels is None else LabelBudget.parse(str(labels))
    return load_data(DataOptions(data=str(data), labels=budget, **given))  # type: ignore[arg-type]


@given(
    sizes=st.lists(st.integers(2, 40), min_size=2, max_size=6),
    val=st.floats(0, 0.5),
    share=st.floats(0.05, 1),
    seed=st.integers(0, 99),
)
def test_draws_are_proportional_and_nested(sizes: list[int], val: float, share: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    strata = random.permutation(np.repeat(np.arange(len(sizes)), sizes))
    train = random.random(len(strata)) >= val
    groups = len(np.unique(strata[train]))
    wanted = max(groups, round(share * len(strata)))
    kept = draw(strata, train, wanted, seed)
    assert len(kept) == len(np.unique(kept)) == wanted
    assert (np.diff(kept) > 0).all()
    assert set(strata[train]) == set(strata[kept][train[kept]])  # each class that can be learned is
    for part in (train, ~train):
        for stratum in range(len(sizes)):
            size, count = ((strata == stratum) & part).sum(), ((strata[kept] == stratum) & part[kept]).sum()
            # The classes that are given their first label beforehand take some from the others' shares.
            assert abs(count - size * wanted / len(strata)) <= 1 + groups
    assert set(draw(strata, train, groups, seed)) <= set(kept) <= set(draw(strata, train, len(strata), seed))
    assert np.array_equal(kept, draw(strata, train, wanted, seed))


def test_shares_are_webster_s() -> None:
    """Where no class is so rare that it is given a label, the shares are the rounded quotas."""
    strata = np.repeat([0, 1, 2], [600, 300, 100])
    kept = draw(strata, np.ones(1000, dtype=bool), 50, 0)
    assert np.bincount(strata[kept]).tolist() == [30, 15, 5]


def test_labels_are_hidden_in_train_and_val_only() -> None:
    whole, partly = load(), load(labels=100)
    assert [int((split.labels >= 0).sum()) for split in partly.splits] == [90, 10, 359]  # type: ignore[operator]
    for before, after in zip(whole.splits, partly.splits, strict=True):
        assert before.labels is not None
        assert after.labels is not None
        assert torch.equal(before.raw(), after.raw())
        known = after.labels >= 0
        assert torch.equal(after.labels[known], before.labels[known])
    assert min(partly.spec.class_counts["train"]) >= 8
    assert partly.spec.fingerprint != whole.spec.fingerprint == load(labels=1).spec.fingerprint
    assert "the labels of 90 train and 10 val images are kept, those of the other 1,338 are hidden" in partly.notices[0]


def test_the_draw_repeats_and_follows_the_split_seed(shapes_npz: Path) -> None:
    first, again, other = (load(shapes_npz, labels=20, split_seed=seed) for seed in (0, 0, 1))
    assert first.spec.fingerprint == again.spec.fingerprint != other.spec.fingerprint


def test_a_share_is_of_what_is_labelled() -> None:
    assert sum(load(labels=0.1).spec.class_counts["train"]) == 130  # 129.4 of 1294, and 14.4 of 144 in val
    assert sum(load(labels=0.1, val_fraction=0).spec.class_counts["train"]) == 144


def test_a_run_hides_the_same_labels_again() -> None:
    """As `dlkit evaluate` loads a run's own data; other data keeps all labels."""
    first = load(labels=60)
    options = DataOptions(labels=LabelBudget(60))
    assert load_data(options, like=first.spec).spec.fingerprint == first.spec.fingerprint


def test_other_data_keeps_its_labels(shapes_npz: Path, tmp_path: Path) -> None:
    trained = load(shapes_npz, labels=12).spec
    copy = tmp_path / "copy.npz"
    copy.write_bytes(shapes_npz.read_bytes())
    other = load_data(DataOptions(data=str(copy), labels=LabelBudget(12)), like=trained)
    assert sum(map(sum, other.spec.class_counts.values())) == 96


def test_several_labels_and_numbers(tmp_path: Path) -> None:
    images = np.zeros((60, 4, 4), np.uint8)
    images[:, 0, 0] = np.arange(60)
    np.savez(tmp_path / "several.npz", images=images, labels=np.eye(4, dtype=int)[np.arange(60) % 4][:, :3])
    np.savez(tmp_path / "numbers.npz", images=images, labels=np.linspace(0, 1, 60))
    for name in ("several", "numbers"):
        data = load(tmp_path / f"{name}.npz", labels=20)
        known = [int((~split.targets.isnan().all(1)).sum()) for split in data.splits]  # type: ignore[union-attr]
        assert known[0] + known[1] == 20
        assert known[2] == 12


@pytest.mark.parametrize(("labels", "count"), [(5, "5 labels"), (2000, "2,000 labels"), (0.001, "1 labels")])
def test_too_few_and_too_many(labels: float, count: str) -> None:
    with pytest.raises(DataError, match=f"--labels {labels}: {count}, but digits has 1,438 labelled images"):
        load(labels=labels)


def test_data_without_labels(tmp_path: Path) -> None:
    np.savez(tmp_path / "plain.npz", images=np.zeros((20, 4, 4), np.uint8))
    with pytest.raises(DataError, match="no labels to hide"):
        load(tmp_path / "plain.npz", labels=5)


@pytest.mark.parametrize(("text", "budget"), [
    ("100", LabelBudget(100)), ("0.25", LabelBudget(None, 0.25)), ("1", LabelBudget()), ("1.0", LabelBudget()),
    (".5", LabelBudget(None, 0.5)), ("2", LabelBudget(2)),
])  # fmt: skip
def test_budgets_are_read_and_written(text: str, budget: LabelBudget) -> None:
    assert LabelBudget.parse(text) == budget == LabelBudget.parse(str(budget))


@pytest.mark.parametrize("text", ["0", "-5", "1.5", "ten", "0.0", "", "1e3", "nan"])
def test_other_budgets_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"like 100, or a share like 0\.1"):
        LabelBudget.parse(text)


def test_the_verb_counts_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "digits", "--labels", "100"]) == 0
    out = capsys.readouterr().out
    assert "labelled       459 (train 90, val 10, test 359)" in out
    assert "unlabelled     1,338 (train 1,204, val 134)" in out
    assert main(["data", "digits", "--labels", "100", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["unlabelled"] == {"train": 1204, "val": 134, "test": 0}


def test_training_says_how_many_there_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "classifier", "--net", "mlp", "--layers", "4", "--labels", "100", "--dry-run",
             "--runs", str(tmp_path)]  # fmt: skip
    assert main(words) == 0
    assert "90 of the 1,294 training images are labelled" in capsys.readouterr().err
