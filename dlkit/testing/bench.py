"""Where techniques are tried out: a folder of their own, tiny data, and trainings that several checks look at."""

from __future__ import annotations

import atexit
import contextlib
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from dlkit import session
from dlkit.card import Card, Trial
from dlkit.data import ImageData
from dlkit.display import Display
from dlkit.files import scratch_folder
from dlkit.interface import DlkitDeprecationWarning
from dlkit.loading import load_training_data
from dlkit.metrics import Metrics
from dlkit.places import anchored
from dlkit.run import Run
from dlkit.runtime import Runtime
from dlkit.runtime.signals import interruptible
from dlkit.settings import Settings, resolve
from dlkit.technique import Technique
from dlkit.testing.images import Colours, write_shapes
from dlkit.testing.items import NotApplicable
from dlkit.testing.subjects import Subject

Changed = Callable[[ImageData], ImageData]


@dataclass(frozen=True)
class Trained:
    """A training that was carried out up to the model, with neither figures nor pictures."""

    run: Run
    technique: Technique[Any]
    data: ImageData
    runtime: Runtime
    settings: Settings


class Silent(Display):
    """A display that does not even warn: tiny data is odd in many ways."""

    def __init__(self) -> None:
        super().__init__(quiet=True)

    def warn(self, text: str) -> None:
        """Say nothing."""


class Bench:
    """A technique, and what its checks share. Make it with :func:`bench`.

    Args:
        card: the technique's.
        trial: how it wants to be tried out.

    Attributes:
        folder: its own; it goes away with the process.
        deprecations: what its trainings used that is going to be removed from dlkit.
    """

    def __init__(self, card: Card, trial: Trial) -> None:
        self.card, self.trial = card, trial
        temporary = contextlib.ExitStack()
        atexit.register(temporary.close)
        self.folder = temporary.enter_context(scratch_folder("check")).resolve()
        for name in ("data", "work", "home"):
            (self.folder / name).mkdir()
        self._made = 0
        self.deprecations: set[str] = set()

    def data(self, channels: Colours | None = None, *, labelled: bool = True) -> str:
        """A path for ``--data``; by default of as many channels as the trial says, else of one."""
        wanted: Colours = channels or ("3" if str(self.trial.small.get("channels", "1")) == "3" else "1")
        path = self.folder / "data" / f"shapes-{wanted}{'' if labelled else '-unlabelled'}.npz"
        return str(path if path.is_file() else write_shapes(path, wanted, labelled=labelled))

    def settings(self, *, small: bool = True, **changes: object) -> Settings:
        """Options for a training on the tiny data, in a directory of runs that is new."""
        self._made += 1
        runs = str(self.folder / f"runs-{self._made}")
        flags: dict[str, object] = {"data": self.data(), "runs": runs, "threads": 1, "device": "cpu"}
        flags |= {**self.trial.needs, **self.prepared}
        if small:
            flags |= self._sized_batches() | dict(self.trial.small)
        return resolve(self.card, flags=flags | changes)

    @cached_property
    def prepared(self) -> Mapping[str, object]:
        """What the trial's ``prepare`` gives."""
        if not self.trial.prepare:
            return {}
        module, _, function = self.trial.prepare.partition(":")
        prepare = getattr(import_module(module), function)
        found: Mapping[str, object] = prepare(self.data(), self.folder / "prepared")
        return found

    def _sized_batches(self) -> dict[str, object]:
        """Several batches to an epoch, so that a training can be stopped within one."""
        names = {option.name for option in _options(self.card)}
        return {"batch_size": 12, "epochs": 2} if {"batch_size", "epochs"} <= names else {}

    @cached_property
    def trained(self) -> Trained:
        """The training that most checks look at."""
        return self.train(self.settings())

    @cached_property
    def figures(self) -> Metrics:
        """What it evaluates to, on its own data."""
        with noting(self.deprecations):
            return self.trained.technique.evaluate(self.trained.data, self.trained.runtime)

    def train(self, settings: Settings, change: Changed = lambda data: data) -> Trained:
        """Train as `dlkit train` does, up to the model.

        Args:
            settings: all options.
            change: what is done to the data before training.
        """
        settings = anchored(settings)
        quiet = Silent()
        with interruptible(), noting(self.deprecations):
            runtime = Runtime(settings.runtime, quiet)
            data = load_training_data(settings, quiet)
            technique = session.build_technique(settings, data.spec, runtime)
            run = Run.create(settings, data.spec)
            with run.locked():
                technique.train(change(data), runtime, run)
                run.close()
            run.save_model(technique.state(), distribution="", version="")
        return Trained(run, technique, data, runtime, settings)


@contextlib.contextmanager
def noting(deprecations: set[str]) -> Iterator[None]:
    """Add to a set what is used, within the block, of dlkit's interface that is going to be removed."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", DlkitDeprecationWarning)
        try:
            yield
        finally:
            deprecations |= {str(each.message) for each in caught}


def bench(subject: Subject) -> Bench:
    """The bench of a technique, the same for all of its checks in this process."""
    return _bench(subject.name, subject.plugin.distribution, _Held(subject))


class _Held:
    """A subject as a part of a key that it does not take part in: options may be unhashable."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Held)

    def __hash__(self) -> int:
        return 0


@cache
def _bench(_name: str, _distribution: str, held: _Held) -> Bench:
    return Bench(held.subject.card, held.subject.trial)


@contextlib.contextmanager
def apart(folder: Path) -> Iterator[None]:
    """Work in an empty directory of ``folder``, with a cache of its own; threads and the like are put back."""
    home, threads = os.environ.get("DLKIT_HOME"), torch.get_num_threads()
    os.environ["DLKIT_HOME"] = str(folder / "home")
    try:
        with contextlib.chdir(folder / "work"):
            yield
    finally:
        torch.set_num_threads(threads)
        if home is None:
            os.environ.pop("DLKIT_HOME", None)
        else:
            os.environ["DLKIT_HOME"] = home


def with_bench(check: Callable[[Bench], None]) -> Callable[[Subject], None]:
    """A check of a technique, given its bench and kept apart from the user's files."""

    def run(subject: Subject) -> None:
        own = bench(subject)
        with apart(own.folder):
            check(own)

    run.__doc__ = check.__doc__
    return run


def phases(trained: Trained) -> dict[str, list[dict[str, Any]]]:
    """The rows of each phase that ``runtime.fit`` went through.

    Raises:
        NotApplicable: there is none.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for row in trained.run.metrics():
        found.setdefault(str(row.get("phase")), []).append(row)
    if not found:
        raise NotApplicable("it trains without runtime.fit")
    return found


def without_test(data: ImageData, replacement: Any) -> ImageData:
    """The same data with something else in place of the test split."""
    return replace(data, test=replacement)


def _options(card: Card) -> list[Any]:
    from dlkit.settings import all_options

    return all_options(card)
