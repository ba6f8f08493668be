"""An epoch drawn by weights: as often as they say, repeatable, and the same after a crash."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from runtime_fakes import FakeRun, FakeSplit
from torch import Tensor

from dlkit.options import RuntimeOptions, TrainOptions
from dlkit.options.values import Duration
from dlkit.runtime import Batch, Runtime

WEIGHTS = torch.tensor([0.0, 1.0, 1.0, 2.0, 4.0] * 50)


class CrashError(Exception):
    pass


def drawn(path: Path, *, crash_at: int | None = None, seed: int = 0) -> Tensor:
    """The images that two epochs saw, in order."""
    runtime = Runtime(RuntimeOptions(device="cpu", threads=1, seed=seed))
    options = TrainOptions(epochs=2, batch_size=16, checkpoint_every=Duration(1e-9))
    seen = torch.zeros(2 * len(WEIGHTS), dtype=torch.int64)
    place = torch.zeros(1, dtype=torch.int64)

    def step(batch: Batch) -> dict[str, Tensor]:
        if crash_at is not None and int(place) >= crash_at:
            raise CrashError
        seen[int(place) : int(place) + len(batch)] = batch.indices
        place.add_(len(batch))
        return {"loss": torch.zeros(())}

    data = FakeSplit(torch.zeros(len(WEIGHTS), 1, 2, 2), torch.arange(len(WEIGHTS)))
    state = {"seen": seen, "place": place}
    runtime.fit(FakeRun(path), phase="train", data=data, options=options, state=state, step=step, weights=WEIGHTS)  # type: ignore[arg-type]
    return seen


def test_images_come_as_often_as_their_weights_say(tmp_path: Path) -> None:
    seen = drawn(tmp_path)
    counts = torch.bincount(seen % 5, minlength=5).double()
    expected = len(seen) * torch.tensor([0, 1, 1, 2, 4]).double() / 8
    assert counts[0] == 0
    assert (counts - expected).abs().max() < 4 * expected.max().sqrt()
    assert not torch.equal(seen[:250], seen[250:])


def test_the_draws_repeat_with_the_seed_and_after_a_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dlkit.runtime.fit._SAVING_SHARE", 1e9)
    whole = drawn(tmp_path / "whole")
    assert torch.equal(drawn(tmp_path / "again"), whole)
    assert not torch.equal(drawn(tmp_path / "other", seed=1), whole)
    with pytest.raises(CrashError):
        drawn(tmp_path / "crashed", crash_at=100)
    assert torch.equal(drawn(tmp_path / "crashed"), whole)
