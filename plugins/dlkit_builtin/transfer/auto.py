"""Measure, then choose: probes on every stage by cross-validation, then a race of the strategies that may win."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from dlkit.backbones import Tap
from dlkit.backbones.backbone import TOP
from dlkit.probes.estimates import interleaved, learning_curve
from dlkit.probes.targets import SCORES, targets_of
from dlkit.runtime import Runtime
from dlkit_builtin.transfer.advice import Advice, reasons
from dlkit_builtin.transfer.candidates import Candidate, Judge
from dlkit_builtin.transfer.catalog import CELLS, STRATEGIES
from dlkit_builtin.transfer.measure import measure
from dlkit_builtin.transfer.race import Diary, Race
from dlkit_builtin.transfer.stages import stage_estimates
from dlkit_builtin.transfer.strategies import best_taps, every_stage
from dlkit_builtin.transfer.study import Study, study
from dlkit_builtin.transfer.trial import Trial

if TYPE_CHECKING:
    from dlkit.data import ImageData, Split
    from dlkit.data.spec import DataSpec
    from dlkit_builtin.transfer.network import Network
    from dlkit_builtin.transfer.options import TransferOptions

SHARES = (0.1, 0.2, 0.4, 0.7, 1.0)
"""Of a fold's training images, in the learning curve."""
FEWEST = 10
"""Images from which a learning curve can be drawn."""
ENOUGH = 30
"""With fewer labelled images nothing is raced: an estimate from them could not tell strategies apart."""
MOST = 2_500
"""At most so many labelled images are looked at; more would cost time and change no choice."""


def advise(
    network: Network, data: ImageData, runtime: Runtime, options: TransferOptions, diary: Path | None = None
) -> Advice:
    """Measure the data, estimate the probes, race what may beat them, and choose.

    Args:
        network: with the pretrained backbone, on the device; not changed.
        data: only its training split is looked at, its images as they are: how they are augmented does not enter.
        runtime: where.
        options: the budget, and how strategies train.
        diary: a file that keeps the race's results, so that it can be interrupted.
    """
    total, _ = targets_of(data.train, data.spec)
    data = dataclasses.replace(data, train=_some(data.train, data.spec, runtime).augmented(None))
    found = study(network.backbone, every_stage(network.backbone), data, runtime, options)
    _say(runtime, f"Probing {len(found.features)} stages by cross-validation on {len(found.targets):,} images")
    stages = stage_estimates(found)
    measurements = measure(found, total, network.backbone, max(stages, key=lambda stage: stage.probe).stage)
    trial = Trial(network, data, options, runtime, found)
    _say(runtime, "Trying mlp-head")
    probes = [*_probes(found), _mlp_head(trial)]
    judge = Judge(probes[0], CELLS[measurements.size, measurements.similarity][1], measurements.per_class)
    candidates = _raced(probes, judge, trial, diary)
    best = judge.choose(candidates)
    word = SCORES[data.spec.target]
    said = reasons(measurements, candidates, best, word)
    curve = _learning_curve(found, runtime) if measurements.size == "little" and len(found.targets) >= FEWEST else ()
    return Advice(
        measurements=measurements,
        stages=tuple(stages),
        candidates=tuple(candidates),
        expected={candidate.strategy: judge.expected(candidate) for candidate in candidates if candidate.tried.any()},
        choice=best.strategy,
        reasons=(*said, *([_more_data(curve, word)] if curve else [])),
        curve=curve,
    )


def _say(runtime: Runtime, text: str) -> None:
    if runtime.display is not None:
        runtime.display.info(text)


def _some(split: Split, spec: DataSpec, runtime: Runtime) -> Split:
    """The labelled images, or as many of each class alike as :data:`MOST` allows."""
    targets, known = targets_of(split, spec)
    if len(known) > MOST:
        known = np.sort(known[interleaved(targets, runtime.derive("some") % 2**32)[:MOST]])
        _say(runtime, f"Strategies are compared on {MOST:,} of {len(targets):,} labelled training images.")
    return split.subset(torch.from_numpy(known))


def _raced(probes: list[Candidate], judge: Judge, trial: Trial, diary: Path | None) -> list[Candidate]:
    """The probes, and what was raced against them, the cheapest first."""
    say = trial.runtime.display.info if trial.runtime.display is not None else lambda _: None
    # --l2-sp holds weights near pretrained ones, which scratch does not have.
    strategies = _order(set(judge.named) - ({"scratch"} if trial.options.l2_sp > 0 else set()))
    if len(trial.study.targets) < ENOUGH:
        say(f"Fewer than {ENOUGH} images cannot tell strategies apart: none that trains by gradients is tried.")
        strategies = []
    race = Race(
        known=probes,
        parts=trial.study.parts,
        try_out=trial.scores,
        expected_seconds=trial.expected_seconds,
        judge=judge,
        budget=trial.options.budget.seconds,
        diary=Diary(diary, trial.key()),
        say=say,
    )
    return sorted(race.run(strategies), key=lambda candidate: list(STRATEGIES).index(candidate.strategy))


def _learning_curve(found: Study, runtime: Runtime) -> tuple[tuple[float, float, float], ...]:
    taps, seed = best_taps(found), runtime.derive("learning curve") % 2**32
    return tuple(learning_curve(found.joined(taps), found.targets, found.probe(taps).C, found.parts, SHARES, seed))


def _probes(found: Study) -> list[Candidate]:
    taps = best_taps(found)
    where = "all stages together" if len(taps) > 1 else f"stage {taps[0]}"
    return [
        Candidate(strategy="linear-probe", scores=found.probe((Tap(TOP),)).scores),
        Candidate(strategy="stage-probe", scores=found.probe(taps).scores, note=f"Best on {where}."),
    ]


def _mlp_head(trial: Trial) -> Candidate:
    scores = np.full(len(trial.study.targets), np.nan)
    for fold, (_, test) in enumerate(trial.study.parts):
        scores[test] = trial.scores("mlp-head", fold)
    return Candidate(strategy="mlp-head", scores=scores)


def _order(named: Collection[str]) -> list[str]:
    """What is raced: strategies with gradients, those of the table's cell first, each group the cheapest first.

    From random weights only where the textbook says so: it is hopeless elsewhere, and takes long.
    """
    raced = ["finetune-top", "finetune-deep", "lp-ft", "finetune", *(["scratch"] if "scratch" in named else [])]
    return sorted(raced, key=lambda name: name not in named)


def _more_data(curve: Sequence[tuple[float, float, float]], word: str) -> str:
    """What doubling the data may bring, from the curve's last two points: a line in the logarithm of the number, up to
    the largest score there is."""
    (few, low, before), (many, high, error) = curve[-2], curve[-1]
    doublings = float(np.log2(many / few))
    slope, doubt = (high - low) / doublings, 1.96 * float(np.hypot(before, error)) / doublings
    end = f"at this rate twice as many would bring it to about {min(high + slope, 1.0):.2f}"
    if slope <= 0:
        end = "it does not rise there"
    elif slope < doubt:
        end = f"{end}, but the curve is within its error"
    return (
        f"More data: with {few:.0f} images the probe reaches {word} {low:.3f}, with {many:.0f} it reaches {high:.3f} "
        f"(± {1.96 * error:.3f}); {end}."
    )
