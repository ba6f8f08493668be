"""Checks of training: that it works, teaches, repeats, resumes, and keeps away from the test split."""

from __future__ import annotations

import random
import signal
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dlkit import session
from dlkit.errors import Interrupted
from dlkit.loading import load_training_data
from dlkit.places import anchored
from dlkit.run import Run
from dlkit.runtime import Runtime
from dlkit.runtime.signals import interruptible
from dlkit.technique import State
from dlkit.testing.bench import Bench, Silent, Trained, phases, with_bench, without_test
from dlkit.testing.items import NotApplicable

_TIMES = ("seconds", "images_per_second")
_SESSIONS = 200
_NEAR = 1e-3  # float32 sums over a batch that two processes share round otherwise, and optimizers magnify it


@with_bench
def training_works(bench: Bench) -> None:
    """It trains on tiny data, and what it learned is finite tensors and plain JSON."""
    state = bench.trained.technique.state()
    assert isinstance(state, State), f"state() must give dlkit.technique.State, got {type(state).__name__}"
    assert state.tensors, "state() holds no tensors: what was learned belongs there"
    for name, tensor in state.tensors.items():
        assert isinstance(tensor, Tensor), f"state().tensors[{name!r}] is {type(tensor).__name__}, not a tensor"
        assert not tensor.is_floating_point() or tensor.isfinite().all(), f"{name} is not finite after training"
    planned = [phase.name for phase in bench.trained.technique.plan()]
    trained = {str(row.get("phase")) for row in bench.trained.run.metrics()}
    unplanned = trained - set(planned)
    assert not unplanned, f"plan() lists the phases {planned}, but training went through {sorted(unplanned)} too"


@with_bench
def nothing_deprecated(bench: Bench) -> None:
    """Training and evaluating uses nothing that a coming release of dlkit takes away."""
    _ = bench.trained, bench.figures
    assert not bench.deprecations, "; ".join(sorted(bench.deprecations))


@with_bench
def default_run_works(bench: Bench) -> None:
    """The whole way of `dlkit train NAME`, with default options (and those that the trial says it needs)."""
    run = session.train(bench.settings(small=False), Silent())
    assert run.status.get("status") == "finished", f"the run's status is {run.status}"
    missing = [name for name in ("model.safetensors", "evaluation.json", "report.html", "plots/index.json")
               if not (run.path / name).is_file()]  # fmt: skip
    assert not missing, f"the run lacks {', '.join(missing)}"
    assert run.load_evaluation(), "evaluate() gave no figures"


@with_bench
def loss_falls(bench: Bench) -> None:
    """In each phase the recorded training loss is lower at the end than at the beginning."""
    name = f"train_{bench.trial.falls}"
    trained = bench.train(bench.settings(**_longer(bench)))
    for phase, rows in phases(trained).items():
        losses = [row[name] for row in rows if isinstance(row.get(name), float)]
        assert losses, f"phase {phase!r} records no {name!r}; Trial(falls=…) names the figure that training brings down"
        assert len(losses) == 1 or min(losses[1:]) < losses[0], (
            f"the figure {name!r} of phase {phase!r} does not fall: {_shown(losses)}"
        )


def _longer(bench: Bench) -> dict[str, Any]:
    """A few more epochs than other checks need, where there are epochs."""
    epochs = getattr(bench.settings().options, "epochs", None)
    return {} if epochs is None else {"epochs": max(4, 2 * int(epochs))}


@with_bench
def seed_repeats(bench: Bench) -> None:
    """A second training with the same seed, whatever Python's and NumPy's own generators do."""
    random.seed(1)
    np.random.seed(1)
    again = bench.train(bench.trained.settings)
    random.seed(2)
    np.random.seed(2)
    _same(bench.trained, again, "trained again with the same seed")


@with_bench
def resume_equals(bench: Bench) -> None:
    """Stopped by a signal in every epoch of every phase, each time resumed by a new object."""
    if threading.current_thread() is not threading.main_thread():
        raise NotApplicable("signals reach the main thread only")
    phases(bench.trained)
    settings = anchored(bench.settings())
    run = None
    for _ in range(_SESSIONS):
        quiet = Silent()
        try:
            with interruptible():
                runtime = Runtime(settings.runtime, quiet)
                data = load_training_data(settings, quiet)
                technique = session.build_technique(settings, data.spec, runtime)
                run = _Stopping(Run.create(settings, data.spec) if run is None else run)
                technique.train(data, runtime, run)
        except Interrupted:
            continue
        finally:
            if run is not None:
                run.close()
        _same(bench.trained, Trained(run, technique, data, runtime, settings), "stopped and resumed")
        return
    raise AssertionError(f"stopped {_SESSIONS} times, it still is not at its end: does it go on where it stopped?")


class _Stopping(Run):
    """A run whose training is interrupted once an epoch is over: after the next epoch's first step, or at the end."""

    def __init__(self, run: Run) -> None:
        super().__init__(run.path)

    def epoch_ended(self, phase: str, row: Any) -> None:  # noqa: ARG002 - Run's signature
        signal.raise_signal(signal.SIGINT)


@with_bench
def test_split_is_unseen(bench: Bench) -> None:
    """Training with a test split that cannot be looked at."""
    again = bench.train(bench.settings(), lambda data: without_test(data, _Unseen(len(data.test))))
    _same(bench.trained, again, "trained with other test images")


class _Unseen:
    """In place of ``data.test``: it has a length, and nothing else."""

    name = "test"

    def __init__(self, length: int) -> None:
        self._length = length

    def __len__(self) -> int:
        return self._length

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"training looks at data.test.{name}; the test split is for evaluate() alone")


@with_bench
def two_processes(bench: Bench) -> None:
    """The same training, its batches shared by two processes; equal but for how sums round."""
    torch.manual_seed(0)
    run = session.train(bench.settings(devices=2), Silent())
    assert run.status.get("status") == "finished", f"with two processes the run's status is {run.status}"
    found, expected = run.load_technique().state().tensors, bench.trained.technique.state().tensors
    assert found.keys() == expected.keys(), "with two processes state() has other tensors"
    broken = [name for name, tensor in found.items() if tensor.is_floating_point() and not tensor.isfinite().all()]
    assert not broken, f"with two processes {', '.join(broken[:5])} are not finite"
    if "two_processes:equal" in bench.trial.exceptions:
        return
    gaps = {name: float((tensor.double() - expected[name].double()).abs().max()) for name, tensor in found.items()
            if tensor.numel() and tensor.is_floating_point()}  # fmt: skip
    worst = max(gaps, key=lambda name: gaps[name], default="")
    assert gaps.get(worst, 0.0) <= _NEAR, (
        f"with two processes {worst!r} differs by {gaps[worst]:.3g}: draw for the whole batch and keep the rows of "
        'one\'s own (runtime.rng does), take sums over the batch through the runtime; or except "two_processes:equal"'
    )


def _same(one: Trained, other: Trained, how: str) -> None:
    """Equal to the bit: tensors, plain state, and what was recorded but for times."""
    first, second = one.technique.state(), other.technique.state()
    names = sorted(first.tensors.keys() ^ second.tensors.keys())
    assert not names, f"{how}, state() has other tensors: {', '.join(names)}"
    unequal = [name for name, tensor in first.tensors.items() if not _equal(tensor, second.tensors[name])]
    assert not unequal, (
        f"{how}, {len(unequal)} of {len(first.tensors)} tensors differ: {', '.join(unequal[:5])}. Draw from "
        "runtime.rng in steps and from runtime.generator elsewhere, and give fit all that changes as `state`."
    )
    plain, others = _timeless(first.plain), _timeless(second.plain)
    assert plain == others, f"{how}, state().plain differs: {plain} and {others}"
    rows, others = _timeless(one.run.metrics()), _timeless(other.run.metrics())
    assert rows == others, f"{how}, metrics.jsonl differs: {rows[-1:]} and {others[-1:]}"


def _equal(one: Tensor, other: Tensor) -> bool:
    return one.dtype == other.dtype and one.shape == other.shape and bool(torch.equal(one.cpu(), other.cpu()))


def _timeless(plain: Any) -> Any:
    """Plain JSON without what the clock says."""
    if isinstance(plain, Mapping):
        return {key: _timeless(value) for key, value in plain.items() if key not in _TIMES}
    return [_timeless(item) for item in plain] if isinstance(plain, list | tuple) else plain


def _shown(losses: list[float]) -> str:
    return " → ".join(f"{loss:.4g}" for loss in (losses if len(losses) < 8 else [*losses[:3], *losses[-3:]]))
