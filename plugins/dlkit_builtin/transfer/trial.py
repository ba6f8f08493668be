"""Trying a strategy out on a fold of the training images, and leaving nothing behind."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import time
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from dlkit.files import scratch_folder
from dlkit.options.values import Duration
from dlkit.run.scratch import Scratch
from dlkit.runtime import Runtime
from dlkit_builtin.transfer.strategies import Job, carry_out
from dlkit_builtin.transfer.study import Study

if TYPE_CHECKING:
    from dlkit.data import ImageData, Split
    from dlkit_builtin.transfer.network import Network
    from dlkit_builtin.transfer.options import TransferOptions


_SHARE_OF_WORK = {"finetune-top": 0.4, "finetune-deep": 0.8}
"""Of a whole network's training, roughly: what is frozen is computed once."""


class Trial:
    """Trying a strategy out on a fold of the training images."""

    def __init__(
        self, network: Network, data: ImageData, options: TransferOptions, runtime: Runtime, found: Study
    ) -> None:
        self.network, self.data, self.options, self.runtime, self.study = network, data, options, runtime, found

    @cached_property
    def seconds_per_image(self) -> float:
        """What training the whole network takes for an image, by trying one batch."""
        network = self.runtime.prepare(copy.deepcopy(self.network)).requires_grad_(True)
        batch = next(iter(self.runtime.batches(self.data.train, self.options.batch_size)))
        for _ in range(2):  # the first pass also chooses kernels
            start = time.perf_counter()
            network(batch.images).sum().backward()
        return (time.perf_counter() - start) / len(batch)

    def expected_seconds(self, strategy: str, fold: int) -> float:
        """About how long a trial is going to take."""
        images = len(self.study.parts[fold][0])
        return _SHARE_OF_WORK.get(strategy, 1.0) * self.options.epochs * images * self.seconds_per_image

    def key(self) -> str:
        """What the scores depend on."""
        whole = hashlib.sha256(repr(dataclasses.replace(self.options, budget=Duration(1))).encode())
        whole.update(f"{self.data.spec.fingerprint} {self.network.backbone.fingerprint()} {self.runtime.seed}".encode())
        return whole.hexdigest()

    def scores(self, strategy: str, fold: int) -> NDArray[np.float64]:
        """Train on the fold's training images, predict its others, ``(n,)`` scores."""
        train, test = self.study.parts[fold]
        split = self.data.train
        some = split.subset(torch.from_numpy(self.study.known[train]))
        others = split.subset(torch.from_numpy(self.study.known[test]))
        nothing = split.subset(torch.zeros(0, dtype=torch.int64))
        # A runtime of its own: the run's must not count the trial's phases among its own.
        runtime = Runtime(dataclasses.replace(self.runtime.options, seed=self.runtime.derive(strategy, fold) % 2**31))
        network = runtime.prepare(copy.deepcopy(self.network))
        network.objective.learn(some)
        with scratch_folder("race") as folder:
            data = dataclasses.replace(self.data, train=some, val=nothing, test=nothing)
            carry_out(strategy, Job(network, data, runtime, Scratch(folder), self.options, self.study, train))
        return self.study.targets.subset(test).scores(_outputs(network, others, runtime))


def _outputs(network: Network, split: Split, runtime: Runtime) -> NDArray[np.float32]:
    """What a network says of a split, ``(N, K)``."""
    network.eval()
    return np.asarray(runtime.collect(lambda images: network.objective.activate(network(images)), split, 32))
