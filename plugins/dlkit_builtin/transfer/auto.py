"""Measure, then choose: probes on every stage by cross-validation, then a race of the strategies that may win."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from dlkit.backbones import Tap
from dlkit.backbones.backbone import TOP
from dlkit.options.values import Duration
from dlkit.probes.estimates import learning_curve
from dlkit.runtime import Runtime
from dlkit_builtin.transfer.advice import Advice, reasons
from dlkit_builtin.transfer.candidates import Candidate, Judge
from dlkit_builtin.transfer.catalog import CELLS, STRATEGIES
from dlkit_builtin.transfer.measure import Measurements, measure
from dlkit_builtin.transfer.race import Diary, race
from dlkit_builtin.transfer.stages import stage_estimates
from dlkit_builtin.transfer.strategies import Job, best_taps, carry_out, every_stage
from dlkit_builtin.transfer.study import Study, study

if TYPE_CHECKING:
    from dlkit.data import ImageData
    from dlkit_builtin.transfer.network import Network
    from dlkit_builtin.transfer.options import TransferOptions

SHARES = (0.1, 0.2, 0.4, 0.7, 1.0)
"""Of a fold's training images, in the learning curve."""


class Scratch:
    """A run for trials: nothing is recorded, and its checkpoints go with it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def record(self, row: Mapping[str, Any]) -> None:
        """Nothing is kept."""

    def metrics_position(self) -> int:
        """There is none."""
        return 0

    def cut_metrics(self, position: int) -> None:
        """There are none."""

    def checkpoint_path(self, phase: str, which: Literal["last", "best"]) -> Path:
        """A place in the temporary directory."""
        folder = self.path / phase
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{which}.safetensors"


def advise(
    network: Network, data: ImageData, runtime: Runtime, options: TransferOptions, diary: Path | None = None
) -> Advice:
    """Measure the data, estimate the probes, race what may beat them, and choose.

    Args:
        network: with the pretrained backbone, on the device; not changed.
        data: only its training split is looked at.
        runtime: where.
        options: the budget, and how strategies train.
        diary: a file that keeps the race's results, so that it can be interrupted.
    """
    found = study(network.backbone, every_stage(network.backbone), data, runtime, options)
    stages = stage_estimates(found)
    best_stage = max(stages, key=lambda stage: stage.probe).stage
    measurements = measure(found, network.backbone, best_stage)
    say = runtime.display.info if runtime.display is not None else lambda _: None
    trial = Trial(network, data, options, runtime, found)
    known = [*_probes(found), _mlp_head(trial)]
    judge = Judge(known[0], CELLS[measurements.size, measurements.similarity][1])
    candidates = race(
        known,
        _order(measurements, [candidate.strategy for candidate in known]),
        found.parts,
        trial.scores,
        judge=judge,
        budget=options.budget.seconds,
        diary=Diary(diary, trial.key()),
        say=say,
    )
    candidates.sort(key=lambda candidate: list(STRATEGIES).index(candidate.strategy))
    best = judge.choose(candidates)
    word = {"classes": "accuracy", "multi-label": "label accuracy", "number": "R²"}[data.spec.target]
    said = reasons(measurements, candidates, best, word)
    curve: list[tuple[float, float, float]] = []
    if measurements.size == "little":
        taps = best_taps(found)
        seed = runtime.derive("learning curve") % 2**32
        curve = learning_curve(found.joined(taps), found.targets, found.probe(taps).C, found.parts, SHARES, seed)
        said.append(_more_data(curve, word))
    return Advice(
        measurements=measurements,
        stages=tuple(stages),
        candidates=tuple(candidates),
        expected={candidate.strategy: judge.expected(candidate) for candidate in candidates if candidate.tried.any()},
        choice=best.strategy,
        reasons=tuple(said),
        curve=tuple(curve),
    )


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


def _order(measurements: Measurements, known: Sequence[str]) -> list[str]:
    """What is raced: strategies with gradients, those of the table's cell first, each group the cheapest first."""
    _, named = CELLS[measurements.size, measurements.similarity]
    raced = ("finetune-top", "finetune-deep", "lp-ft", "finetune")
    left = [name for name in STRATEGIES if name in raced and name not in known]
    return sorted(left, key=lambda name: name not in named)


def _more_data(curve: Sequence[tuple[float, float, float]], word: str) -> str:
    """What doubling the data may bring, from the curve's last two points (a line in the logarithm of the number)."""
    (few, low, _), (many, high, error) = curve[-2], curve[-1]
    slope = (high - low) / np.log2(many / few)
    return (
        f"More data: with {few:.0f} images the probe reaches {word} {low:.3f}, with {many:.0f} it reaches {high:.3f} "
        f"(± {1.96 * error:.3f}); at this rate twice as many would bring about {100 * slope:+.0f} points."
    )


class Trial:
    """Trying a strategy out on a fold of the training images."""

    def __init__(
        self, network: Network, data: ImageData, options: TransferOptions, runtime: Runtime, found: Study
    ) -> None:
        self.network, self.data, self.options, self.runtime, self.study = network, data, options, runtime, found

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
        with tempfile.TemporaryDirectory(prefix="dlkit-race-") as folder:
            data = dataclasses.replace(self.data, train=some, val=nothing, test=nothing)
            carry_out(strategy, Job(network, data, runtime, Scratch(Path(folder)), self.options, self.study, train))
        return self.study.targets.subset(test).scores(predicted(network, others, runtime))


def predicted(network: Network, split: Any, runtime: Runtime) -> NDArray[np.float32]:
    """What a network says of a split, ``(N, K)``."""
    network.eval()
    with runtime.inference():
        logits = torch.cat([network(batch.images).float() for batch in runtime.batches(split, 32)])
        return np.asarray(network.objective.activate(logits).cpu())
