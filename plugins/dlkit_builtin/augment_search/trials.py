"""Trials: a policy, a seed, and how well the model answers for images that it did not learn from; each is kept."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from dlkit.data.folds import parts
from dlkit.data.spread import evenly
from dlkit.errors import DataError
from dlkit.files import scratch_folder, write_json
from dlkit.run.reading import read_object
from dlkit.supervised.objective import labelled
from dlkit_builtin.augment_search.learner import Learner, nothing_of, predictions, right, seeded

if TYPE_CHECKING:
    from dlkit.data import ImageData, Split
    from dlkit.runtime import Runtime


class BudgetSpentError(Exception):
    """No trial more fits into the budget."""


class Trials:
    """Accuracies of policies, seed by seed. Seed s is tested on part s of the training images, and learns from the
    others, so that over the seeds every image is tested once.

    Args:
        learner: what is trained.
        data: whose training images are parted; of val, some choose the epoch; test is not looked at.
        runtime: of the seed.
        path: where what was found is kept, so that a search that was stopped goes on.
        told: called after each new trial with the policy, the seed and the accuracy.
    """

    def __init__(
        self,
        learner: Learner,
        data: ImageData,
        runtime: Runtime,
        path: Path,
        told: Callable[[str, int, float], None] = lambda *_: None,
    ) -> None:
        self._learner, self._data, self._runtime, self._path, self._told = learner, data, runtime, path, told
        options = learner.options
        self.seeds, self._budget = options.search_seeds, options.budget.seconds
        self.images = _some(labelled(data.train), options.images, runtime)
        self._part = _parts(self.images, options.search_seeds, runtime)
        val = labelled(data.val)  # it chooses the epoch, as it does where the policy is used
        self._val = val.subset(evenly(len(val), len(self.images) // options.search_seeds))
        self._key = self._facts()
        kept = read_object(path)
        self._found: dict[str, dict[str, Any]] = kept["trials"] if kept.get("key") == self._key else {}

    def _facts(self) -> str:
        """What the accuracies depend on."""
        own = dataclasses.asdict(dataclasses.replace(self._learner.options, augmenters=(), final_seeds=1))
        own.pop("budget")
        facts = [repr(own), self._learner.settings.to_plain(), self._data.spec.fingerprint, self._runtime.seed]
        return hashlib.sha256(json.dumps(facts, default=str).encode()).hexdigest()

    @property
    def spent(self) -> float:
        """Seconds of all trials, those of earlier sessions included."""
        return float(sum(row["seconds"] for row in self._found.values()))

    def count(self) -> int:
        """How many trials there were."""
        return len(self._found)

    @property
    def affordable(self) -> int:
        """How many trials the whole budget is enough for, going by those that there were."""
        return int(self._budget / max(self.spent / max(1, self.count()), 1e-3))

    def accuracy(self, policy: str, seed: int) -> float:
        """Of the model with this policy and this seed, on the part of this seed.

        Raises:
            BudgetSpentError: it was not tried before, and time is up.
        """
        key = f"{seed} {policy}"
        if key not in self._found:
            longest = max((row["seconds"] for row in self._found.values()), default=0.0)
            if self._found and self.spent + longest > self._budget:
                raise BudgetSpentError
            start = time.perf_counter()
            value = self._tried(policy, seed)
            self._found[key] = {"accuracy": value, "seconds": round(time.perf_counter() - start, 3)}
            write_json(self._path, {"key": self._key, "trials": self._found})
            self._told(policy, seed, value)
        return float(self._found[key]["accuracy"])

    def _tried(self, policy: str, seed: int) -> float:
        test = torch.from_numpy(np.flatnonzero(self._part == seed))
        train = torch.from_numpy(np.flatnonzero(self._part != seed))
        data = dataclasses.replace(
            self._data, train=self.images.subset(train), val=self._val, test=nothing_of(self.images)
        )
        runtime = seeded(self._runtime, self._runtime.derive("trial", seed) % 2**31)
        with scratch_folder("augment-search") as folder:
            technique = self._learner.trained(data, policy, runtime, folder)
        held = self.images.subset(test)
        return float(right(predictions(technique, held, runtime), held).double().mean())


def _some(split: Split, most: int, runtime: Runtime) -> Split:
    """At most so many images, drawn once; copies of one image stay together where there are any."""
    if len(split) <= most:
        return split
    order = torch.randperm(len(split), generator=runtime.generator("images", device="cpu"))
    return split.subset(order[:most].sort().values)


def _parts(split: Split, count: int, runtime: Runtime) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The part, 0 … count − 1, of each image; classes are spread evenly, copies are with their image.

    Raises:
        DataError: too few images.
    """
    assert split.labels is not None  # noqa: S101 - the card needs labels
    sources = torch.arange(len(split)) if split.sources is None else split.sources
    _, first, group = np.unique(sources.numpy(), return_index=True, return_inverse=True)
    if len(first) < 2 * count:
        raise DataError(
            f"{len(first)} labelled training images are too few to be tested in {count} parts.",
            "Give more images, or fewer --search-seeds.",
        )
    part = parts(split.labels.numpy()[first], len(first), count, runtime.derive("parts") % 2**32)
    return np.asarray(part[group.ravel()])
