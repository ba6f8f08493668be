"""Carrying out a strategy: from a pretrained network to one that knows the new classes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from dlkit.augment.training import COPIES, with_copies
from dlkit.backbones import Tap
from dlkit.backbones.backbone import TOP
from dlkit.errors import UsageError
from dlkit.features import extract, side_by_side
from dlkit.layerwise import vectors
from dlkit.options.suggest import did_you_mean
from dlkit.probes.targets import Ints
from dlkit.supervised.objective import labelled
from dlkit_builtin.transfer.finetune import train_strategy
from dlkit_builtin.transfer.heads import fit_mlp, in_units_of, mlp, standardised
from dlkit_builtin.transfer.scratch import drawn_from, scratch_backbone
from dlkit_builtin.transfer.study import Study, Taps, study

if TYPE_CHECKING:
    from dlkit.backbones import Backbone
    from dlkit.data import ImageData, Split
    from dlkit.runtime import Runtime
    from dlkit.runtime.phase import RunLike
    from dlkit_builtin.transfer.network import Network
    from dlkit_builtin.transfer.options import TransferOptions


_ON_A_STAGE = ("linear-probe", "mlp-head")
"""The strategies that ``--stage`` is for."""


@dataclass
class Job:
    """What a strategy works with.

    Attributes:
        network: with the pretrained backbone; changed in place.
        data: ``train`` is learned from, ``val`` chooses the best epoch where it has images.
        study: of all labelled training images of the run, with at least the taps that are needed; None: made here.
        images: which of the study's images ``data.train`` holds (positions in ``range(N)``); None: all of them.
    """

    network: Network
    data: ImageData
    runtime: Runtime
    run: RunLike
    options: TransferOptions
    study: Study | None = None
    images: Ints | None = None

    def studied(self, taps: Taps) -> Study:
        """A study that has these taps."""
        if self.study is None:
            self.study = study(self.network.backbone, taps, self.data, self.runtime, self.options)
        return self.study


def chosen_stage(backbone: Backbone, options: TransferOptions) -> Tap:
    """The stage that ``--stage`` names.

    Raises:
        UsageError: the backbone has none of that name.
    """
    names = [stage.name for stage in backbone.stages]
    if options.stage not in names:
        hint = did_you_mean(options.stage, names) or f"Its stages: {', '.join(names)}."
        raise UsageError(f"--stage {options.stage}: {options.backbone} has no such stage.", hint)
    return Tap(options.stage)


def check_stage(backbone: Backbone, options: TransferOptions) -> None:
    """Look at ``--stage``.

    Raises:
        UsageError: the backbone has no such stage, or the strategy takes others.
    """
    chosen_stage(backbone, options)
    if options.stage != TOP and options.strategy not in _ON_A_STAGE:
        raise UsageError(
            f"--stage {options.stage}: --strategy {options.strategy} itself says which stages it takes.",
            f"Use --strategy {' or '.join(_ON_A_STAGE)}.",
        )


def with_features_augmented(data: ImageData, strategy: str, runtime: Runtime) -> ImageData:
    """For a strategy on features that ``auto`` chose: the training images with augmented copies, if so was asked."""
    augmentation = data.train.augmentation
    if augmentation is None or strategy not in PROBES:
        return data
    augmentation.used = True
    train = with_copies(data.train, data.spec, augmentation.policy, COPIES, runtime)
    return dataclasses.replace(data, train=train)


def every_stage(backbone: Backbone) -> Taps:
    """All stages, averaged over places."""
    return tuple(Tap(stage.name) for stage in backbone.stages)


def linear_probe(job: Job) -> None:
    """Logistic regression (ridge for numbers) on the features of one stage."""
    _fit_probe(job, (chosen_stage(job.network.backbone, job.options),))


def stage_probe(job: Job) -> None:
    """A linear probe on the stage, or on all stages together, that does best by cross-validation."""
    _fit_probe(job, best_taps(job.studied(every_stage(job.network.backbone))))


def best_taps(found: Study) -> Taps:
    """The single stage, or all of them, whose probe has the lowest loss by cross-validation.

    The top stage is left only for what is better by a standard error of the paired difference: with ten images, some
    early stage often looks better by chance, and is far worse.
    """
    taps = tuple(found.features)
    top = (taps[-1],)
    best = min([*((tap,) for tap in reversed(taps)), taps], key=lambda some: found.probe(some).loss)
    gain = found.probe(top).losses - found.probe(best).losses
    return best if gain.mean() > gain.std(ddof=1) / math.sqrt(len(gain)) else top


def _fit_probe(job: Job, taps: Taps) -> None:
    network = job.network
    head = in_units_of(network.objective, job.studied(taps).head(taps, job.images))
    network.taps = taps
    network.head = job.runtime.prepare(head)


def mlp_head(job: Job) -> None:
    """A small MLP on the features of one stage, trained on standardised features."""
    network, options, runtime = job.network, job.options, job.runtime
    taps = (chosen_stage(network.backbone, options),)
    train = labelled(job.data.train)
    features = _features(job, taps, train)
    mean, scale = features.mean(0), np.maximum(features.std(0), 1e-6)
    with drawn_from(runtime.derive("head")):
        head = runtime.prepare(mlp((features.shape[1], *options.hidden, network.objective.outputs), options.dropout))
    val = labelled(job.data.val)
    fit_mlp(
        head,
        _vectors(train, (features - mean) / scale),
        _vectors(val, (_features(job, taps, val) - mean) / scale),
        runtime,
        job.run,
        options,
        network.objective,
        phase="mlp-head",
    )
    network.taps, network.head = taps, standardised(head, mean, scale)


def _vectors(split: Split, features: np.ndarray[tuple[int, int], np.dtype[np.float32]]) -> Split:
    return vectors(split.name, torch.from_numpy(features), split.labels, split.targets)


def _features(job: Job, taps: Taps, split: Split) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    found = extract(job.network.backbone, split, taps, job.runtime, job.options)
    return side_by_side(found, taps)


def carry_out(strategy: str, job: Job) -> None:
    """Train the job's network by a strategy; its head and taps become the strategy's own."""
    if strategy in PROBES:
        PROBES[strategy](job)
        return
    network = job.network
    if strategy == "lp-ft":
        _fit_probe(job, (Tap(TOP),))
    else:
        if strategy == "scratch":
            side = max(job.data.spec.height, job.data.spec.width)
            seed = job.runtime.derive("scratch")
            network.backbone = job.runtime.prepare(scratch_backbone(job.options, side, seed))
        network.taps = (Tap(TOP),)
        with drawn_from(job.runtime.derive("head")):
            network.head = job.runtime.prepare(nn.Linear(network.backbone.size, network.objective.outputs))
    train_strategy(network, strategy, job.data, job.runtime, job.run, job.options)


PROBES: dict[str, Callable[[Job], None]] = {
    "linear-probe": linear_probe,
    "stage-probe": stage_probe,
    "mlp-head": mlp_head,
}
"""The strategies that leave the backbone as it is."""
