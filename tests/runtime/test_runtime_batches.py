from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from runtime_fakes import FakeRun, FakeSplit
from torch import Tensor, nn

from dlkit.errors import DataError
from dlkit.options import RuntimeOptions, TrainOptions
from dlkit.runtime import Runtime
from dlkit.runtime.batches import ahead, cut


@given(st.integers(0, 60), st.integers(1, 12), st.booleans())
def test_cuts_cover_everything_once(count: int, size: int, merge: bool) -> None:
    cuts = cut(count, size, merge_single=merge)
    assert [index for start, end in cuts for index in range(start, end)] == list(range(count))
    sizes = [end - start for start, end in cuts]
    assert all(each == size for each in sizes[:-1])
    if merge and size > 1 and count > 1:
        assert min(sizes) > 1


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("kind", [torch.uint8, torch.float32])
def test_evaluation_batches(in_memory: bool, kind: torch.dtype) -> None:
    raw = torch.randint(0, 256, (23, 3, 2, 2), dtype=torch.uint8)
    raw = raw if kind == torch.uint8 else raw / 255
    split = FakeSplit(raw.clone(), torch.arange(23) * 2, in_memory)
    runtime = Runtime(RuntimeOptions(device="cpu", workers=2))
    batches = list(runtime.batches(split, 5))  # type: ignore[arg-type]
    assert [len(batch) for batch in batches] == [5, 5, 5, 5, 3]
    assert torch.equal(torch.cat([batch.images for batch in batches]), split.pixels())
    assert torch.cat([batch.indices for batch in batches]).tolist() == list(range(23))
    labels = torch.cat([batch.labels for batch in batches if batch.labels is not None])
    assert torch.equal(labels, split.labels)  # type: ignore[arg-type]
    for batch in runtime.batches(split, 5):  # type: ignore[arg-type]
        batch.images.fill_(7)
    assert torch.equal(split.tensor, raw)


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("count", [0, 1, 7])
def test_collecting_keeps_the_order_and_learns_nothing(count: int, in_memory: bool) -> None:
    split = FakeSplit(torch.rand(count, 1, 2, 2), None, in_memory)
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    found = Runtime(RuntimeOptions(device="cpu")).collect(network, split, 3)  # type: ignore[arg-type]
    torch.testing.assert_close(found, network(split.pixels()).detach())
    assert found.shape == (count, 3)
    assert not found.requires_grad


def test_reading_ahead_is_bounded_and_in_order() -> None:
    begun: list[int] = []

    def read(start: int, end: int) -> Tensor:
        begun.append(start)
        time.sleep(0.002 * (start % 3))
        return torch.tensor([start, end])

    stream = ahead(read, cut(40, 1), workers=3)
    for index in range(40):
        assert next(stream).tolist() == [index, index + 1]
        assert len(begun) <= index + 1 + 6
    with pytest.raises(StopIteration):
        next(stream)


def test_an_error_comes_when_its_turn_comes_and_threads_end() -> None:
    def read(start: int, _: int) -> Tensor:
        if start == 3:
            raise DataError("lost.png: cannot be read any more")
        return torch.tensor(start)

    before = threading.active_count()
    stream = ahead(read, cut(100, 1), workers=2)
    assert [int(next(stream)) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(DataError, match="lost"):
        next(stream)
    stream = ahead(read, cut(3, 1), workers=2)
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() <= before


def test_streaming_trains_like_memory(tmp_path: Path) -> None:
    raw = torch.randint(0, 256, (37, 1, 2, 2), dtype=torch.uint8)
    weights = []
    for in_memory in (True, False):
        runtime = Runtime(RuntimeOptions(device="cpu", workers=2, threads=1))
        net = nn.Linear(4, 4)
        options = TrainOptions(epochs=2, batch_size=8, optimizer="sgd")
        optimizer = runtime.optimizer(net.parameters(), options)
        runtime.fit(
            FakeRun(tmp_path / str(in_memory)), phase="main", options=options, state={"net": net, "opt": optimizer},
            data=FakeSplit(raw, torch.arange(37), in_memory),  # type: ignore[arg-type]
            step=lambda batch, net=net, opt=optimizer, runtime=runtime: runtime.update(  # type: ignore[misc]
                opt, lambda x, y: ((net(x.flatten(1)) - y[:, None]) ** 2).mean(), batch.images, batch.labels
            ),
        )  # fmt: skip
        weights.append(net.weight.detach())
    assert torch.equal(*weights)
