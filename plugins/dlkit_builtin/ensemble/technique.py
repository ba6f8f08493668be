"""An ensemble (Hansen and Salamon 1990):  p(y | x) = Σᵢ wᵢ pᵢ(y | x),  or ∝ Πᵢ pᵢ(y | x)^wᵢ,  with Σᵢ wᵢ = 1."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor, nn

from dlkit.data.spec import DataSpec
from dlkit.errors import UsageError
from dlkit.metrics import Metric, Metrics, Table
from dlkit.supervised.metrics import supervised_metrics, supervised_tables
from dlkit.supervised.objective import OUTPUT_KINDS
from dlkit.supervised.pictures import supervised_pictures
from dlkit.technique import OutputKind, PhasePlan, State
from dlkit_builtin.ensemble.members import Member, finely_different, members_of, restored, states
from dlkit_builtin.ensemble.options import EnsembleOptions

if TYPE_CHECKING:
    from dlkit.data import ImageData
    from dlkit.report import Picture
    from dlkit.run import Run
    from dlkit.runtime import Runtime

_BATCH = 64
_LEAST = 1e-12  # of a probability, where logarithms are taken


class Average(nn.Module):
    """The members side by side, and their average.

    Args:
        members: all of one ensemble.
        shares: w, not yet scaled to sum to one.
        geometric: the geometric mean of probabilities.
    """

    def __init__(self, members: Sequence[Member], shares: Sequence[float], *, geometric: bool) -> None:
        super().__init__()
        self.parts = nn.ModuleList(member.technique.inference_module() for member in members)
        self.outputs = [member.output for member in members]
        self.orders = [list(member.order) for member in members]
        self.shares = [share / sum(shares) for share in shares]
        self.geometric = geometric

    def each(self, images: Tensor) -> list[Tensor]:
        """Pixels ``(B, C, H, W)`` → each member's outputs ``(B, K)``, in the ensemble's order of classes."""
        found = []
        for part, output, order in zip(self.parts, self.outputs, self.orders, strict=True):
            values: Tensor = part(images)[output]
            found.append(values if order == sorted(order) else values[:, order])
        return found

    def combined(self, outputs: Sequence[Tensor]) -> Tensor:
        """Members' outputs ``(B, K)`` → their average ``(B, K)``."""
        if self.geometric:
            logs = [share * each.clamp(min=_LEAST).log() for share, each in zip(self.shares, outputs, strict=True)]
            return torch.stack(logs).sum(0).softmax(1)
        return torch.stack([share * each for share, each in zip(self.shares, outputs, strict=True)]).sum(0)

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """Pixels ``(B, C, H, W)`` → ``(average,)``."""
        return (self.combined(self.each(images)),)


class Ensemble:
    """See the module's docstring; capability: classify (of classes).

    Raises:
        UsageError: members that do not fit one another or the data.
    """

    def __init__(self, options: EnsembleOptions, spec: DataSpec, members: list[Member] | None = None) -> None:
        self.options = options
        self.spec = spec
        if options.average == "geometric" and spec.target != "classes":
            raise UsageError(f"--average geometric is for class probabilities; the labels of {spec.name} are others.")
        self.members = members_of(options, spec) if members is None else members
        shares = options.shares or (1.0,) * len(self.members)
        self.model = Average(self.members, shares, geometric=options.average == "geometric").eval()

    def plan(self) -> Sequence[PhasePlan]:
        """Nothing is trained."""
        return []

    def train(self, data: ImageData, runtime: Runtime, run: Run) -> None:
        """Nothing but warnings where the data is not what a member was trained on."""
        runtime.prepare(self.model)
        for member in self.members:
            if how := finely_different(member, self.spec):
                runtime.warn(
                    f"{member.name} learned from images with {how}; here it gets them as the first member does."
                )
        strange = [member.name for member in self.members if member.spec.fingerprint != data.spec.fingerprint]
        if strange:
            runtime.warn(
                f"{', '.join(strange)}: trained on other images or splits than these, so that some of the images "
                "tested here may be among those that were learned; the figures may be too good."
            )
        run.log(f"Members: {', '.join(member.name for member in self.members)}")

    def evaluate(self, data: ImageData, runtime: Runtime) -> Metrics:
        """Figures on held-out images, beside those of the best member; and a table of all members."""
        outputs, single = self._outputs(data, runtime)
        rows = supervised_metrics(outputs, data, runtime)
        others = [supervised_metrics(each, data, runtime) for each in single]
        beside = tuple(_beside(row, [_like(row, other) for other in others]) for row in rows)
        return Metrics(beside, (self._table(rows, others), *supervised_tables(outputs, data)))

    def _outputs(self, data: ImageData, runtime: Runtime) -> tuple[Tensor, list[Tensor]]:
        """On the held-out images: the ensemble's outputs, and each member's."""
        found = runtime.collect(lambda images: torch.stack(self.model.each(images), 1), data.held_out, _BATCH)
        single = list(found.unbind(1))
        return self.model.combined(single), single

    def _table(self, rows: Sequence[Metric], others: Sequence[Sequence[Metric]]) -> Table:
        names = ["ensemble", *(member.name for member in self.members)]
        kinds = ["", *(str(member.recipe["technique"]) for member in self.members)]
        table = tuple(
            {"member": name, "technique": kind} | {row.label: figures[row.name] for row in rows if row.name in figures}
            for name, kind, figures in zip(
                names, kinds, [{row.name: row.value for row in each} for each in (rows, *others)], strict=True
            )
        )
        return Table(name="members", title="Members", rows=table, note="On the same held-out images.")

    def pictures(self, data: ImageData, runtime: Runtime) -> Iterable[Picture]:
        """What all techniques that learn from labels show."""
        return (
            supervised_pictures(self._outputs(data, runtime)[0], data, seed=runtime.seed) if len(data.held_out) else []
        )

    def classify(self, images: Tensor) -> Tensor:
        """Pixels ``(B, C, H, W)`` → probabilities ``(B, K)``."""
        probabilities: Tensor = self.model(images)[0]
        return probabilities

    def outputs(self) -> Mapping[str, OutputKind]:
        """Probabilities, scores of labels, or numbers."""
        kind = OUTPUT_KINDS[self.spec.target]
        return {kind: kind}

    def inference_module(self) -> nn.Module:
        """``forward(pixels) -> (average,)``."""
        return self.model.eval()

    def state(self) -> State:
        """All members': their runs are not needed any more."""
        return states(self.members)

    @classmethod
    def load(cls, state: State, options: EnsembleOptions, spec: DataSpec) -> Self:
        """The inverse of :meth:`state`."""
        return cls(options, spec, restored(state, spec))


def _like(row: Metric, rows: Iterable[Metric]) -> float | None:
    return next((each.value for each in rows if each.name == row.name), None)


def _beside(row: Metric, values: Sequence[float | None]) -> Metric:
    """The figure with the best member's and the members' mean among its baselines."""
    known = [value for value in values if value is not None]
    if not known:
        return row
    best = max(known) if row.better == "higher" else min(known)
    return dataclasses.replace(
        row, baselines={"best member": best, "mean of members": sum(known) / len(known), **row.baselines}
    )
