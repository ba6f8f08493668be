"""Batches in parts on several threads: the same images as in one piece."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import current_thread

import pytest
import torch

from dlkit.augment import Draws, History, Policy, Scenes, apply, parts, sample_keys
from dlkit.augment.parts import in_parts
from dlkit.errors import UsageError


@pytest.fixture
def three_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Where a few numbers are worth one."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    monkeypatch.setattr(parts, "_LEAST", 16)
    yield
    torch.set_num_threads(before)


def scenes(count: int = 10) -> Scenes:
    random = torch.Generator().manual_seed(1)
    images = torch.rand(count, 3, 16, 12, generator=random)
    boxes = torch.tensor([[2.0, 3, 8, 9]]).repeat(count, 1, 1)
    labels = torch.eye(count)
    return Scenes(images, (images[:, :1] > 0.5).byte(), boxes, boxes[..., :2], labels)


@pytest.mark.parametrize("text", ["trivial", "rotate:20 noise:gaussian flip@0.3", "flip crop mixup trivial"])
def test_parts_make_the_whole(text: str, three_threads: None, monkeypatch: pytest.MonkeyPatch) -> None:
    policy, draws = Policy.parse(text), Draws(sample_keys(3, torch.arange(10)))
    batch = Scenes(scenes().images, labels=scenes().labels) if policy.mixes else scenes()
    history, expected_history = History.of(10), History.of(10)
    with torch.inference_mode():
        found = apply(policy, batch, draws, history)
    monkeypatch.setattr(parts, "_LEAST", 2**40)
    expected = apply(policy, batch, draws, expected_history)
    for name in ("images", "masks", "boxes", "keypoints", "labels"):
        own, theirs = getattr(found, name), getattr(expected, name)
        if theirs is not None:
            torch.testing.assert_close(own, theirs, rtol=0, atol=1e-6, equal_nan=True)
    assert history.images == expected_history.images


def test_threads_compute_alone_and_leave_others_be(three_threads: None) -> None:
    seen: list[tuple[str, int]] = []

    def work(rows: slice) -> Scenes:
        seen.append((current_thread().name, torch.get_num_threads()))
        return scenes().at(rows)

    assert torch.equal(in_parts(work, scenes()).images, scenes().images)
    assert len(seen) == 3
    assert all(name.startswith("augment") and threads == 1 for name, threads in seen)
    assert torch.get_num_threads() == 3
    with ThreadPoolExecutor(1) as later:
        assert later.submit(torch.get_num_threads).result() == 3


def test_errors_come_through(three_threads: None) -> None:
    policy, draws = Policy.parse("flip background:nowhere"), Draws(sample_keys(3, torch.arange(10)))
    with pytest.raises(UsageError, match="has no pictures"):
        apply(policy, scenes(), draws)
