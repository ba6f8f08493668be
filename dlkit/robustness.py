"""How a run's headline figure falls on corrupted images, each corruption at five strengths: `evaluate --corrupt`.

After Hendrycks and Dietterich 2019, Benchmarking neural network robustness to common corruptions and perturbations:
figures of one trained model on images that were never augmented so in training, unless somebody chose to.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from dlkit.augment import AugmenterCard, Draws, Policy, Scenes, apply, sample_keys
from dlkit.augment.cards import augmenters
from dlkit.augment.exact import corrupts, exactly
from dlkit.capabilities import capabilities_of
from dlkit.data.data import ImageData, Resident, Split, to_pixels
from dlkit.data.spread import evenly
from dlkit.errors import DataError, UsageError
from dlkit.files import write_json
from dlkit.loading import load_to_evaluate
from dlkit.metrics import Metric, Metrics, Row, Table
from dlkit.report import Picture, plots
from dlkit.report.figures import headline, number
from dlkit.report.picture import add_pictures
from dlkit.report.report import write_report
from dlkit.run.run import ROBUSTNESS
from dlkit.session import ready

if TYPE_CHECKING:
    from dlkit.display import Display
    from dlkit.run import Run
    from dlkit.runtime import Runtime
    from dlkit.technique import Technique

STRENGTHS = (0.2, 0.4, 0.6, 0.8, 1.0)
IMAGES = 2_000
"""So many held-out images at most, spread evenly."""
_CHUNK = 256
_COLUMNS = tuple(f"{strength:g}" for strength in STRENGTHS)


def evaluate_corrupted(run: Run, runtime: Runtime, display: Display, *, data: str | None = None) -> Metrics:
    """A run's headline figure under each corruption; on its own data also for its report.

    Args:
        run: a trained run.
        runtime: where to compute.
        display: where progress is shown.
        data: other data than the run's own.

    Raises:
        UsageError: the run makes images from noise, and is judged by these.
    """
    if "draw" in capabilities_of(run):
        raise UsageError(
            f"--corrupt is about images that a model is given. A run of {run.technique} is judged by those it makes.",
            "It is for techniques that predict, encode or reconstruct.",
        )
    technique = ready(run, runtime)
    loaded, own = load_to_evaluate(run, display, data)
    measured = Robustness(run, technique, loaded, runtime, display)
    if own:
        measured.keep()
    return measured.metrics


def corruptions() -> list[AugmenterCard]:
    """The augmenters that robustness is measured with, as they are listed."""
    return [card for card in augmenters().values() if corrupts(card)]


class Robustness:
    """What a run says of corrupted images.

    Args:
        run: it.
        technique: its trained model, on the runtime's device.
        data: whose held-out images are corrupted.
        runtime: of the seed: the same images are corrupted in the same way each time.
        display: where progress is shown.

    Raises:
        DataError: the technique gives no figure on these images.
    """

    def __init__(
        self, run: Run, technique: Technique[Any], data: ImageData, runtime: Runtime, display: Display
    ) -> None:
        self.run, self.technique, self.runtime = run, technique, runtime
        held_out = data.held_out
        self.split = held_out.subset(evenly(len(held_out), IMAGES))
        self._data, self._all = data, len(held_out)
        self.cards = corruptions()
        clean = self._figures(self.split)
        known = headline(run.load_evaluation() or clean)
        found = next((row for row in clean if known is not None and row.name == known.name), headline(clean))
        if found is None:
            raise DataError(f"{run.name} gives no figure on these images.", "Are they labelled?")
        self.clean: Metric = found
        self.values = self._measured(display)

    def _measured(self, display: Display) -> list[list[float]]:
        total = len(self.cards) * len(STRENGTHS)
        with display.progress("Evaluating corrupted images", total, "evaluations") as bar:
            return [[self._value(card, strength, bar) for strength in STRENGTHS] for card in self.cards]

    def _value(self, card: AugmenterCard, strength: float, bar: Any) -> float:
        figures = self._figures(self.corrupted(card, strength))
        bar.advance()
        return next((row.value for row in figures if row.name == self.clean.name), math.nan)

    def corrupted(self, card: AugmenterCard, strength: float) -> Split:
        """The held-out images as a corruption leaves them; at every strength with the same draws."""
        seed, policy = self.runtime.derive("corrupt", card.name), Policy((exactly(card, strength),))
        parts: list[Tensor] = []
        for start in range(0, len(self.split), _CHUNK):
            places = torch.arange(start, min(start + _CHUNK, len(self.split)))
            raw = self.split.raw(places)
            draws = Draws(sample_keys(seed, places), self.runtime.device)
            with torch.inference_mode():
                images = apply(policy, Scenes(to_pixels(raw.to(self.runtime.device))), draws).images.cpu()
            parts.append(images.mul(255).round_().clamp_(0, 255).byte() if raw.dtype is torch.uint8 else images)
        split = self.split
        return Split(split.name, Resident(torch.cat(parts).clone()), split.labels, split.files, None, split.targets)

    def _figures(self, split: Split) -> Metrics:
        """The technique's figures on these images alone: without training images no baselines are fitted."""
        nothing = torch.zeros(0, dtype=torch.int64)
        parts = {each.name: each.subset(nothing) for each in self._data.splits} | {split.name: split}
        return self.technique.evaluate(dataclasses.replace(self._data, **parts), self.runtime)  # type: ignore[arg-type]

    @property
    def metrics(self) -> Metrics:
        """The mean beside the clean figure, and a table with a row for each corruption."""
        clean = self.clean
        every = [value for row in self.values for value in row]
        images = f"{len(self.split):,} images" + (f" of {self._all:,}" if len(self.split) < self._all else "")
        mean = Metric(
            name=f"corrupted_{clean.name}",
            label=f"{clean.label}, corrupted images",
            value=_mean(every),
            split=clean.split,
            unit=clean.unit,
            better=clean.better,
            baselines={"clean images": clean.value},
            bounds=("clean images",),
            note=f"mean over {len(self.cards)} corruptions at {len(STRENGTHS)} strengths, {images}",
        )
        rows: list[Row] = [self._row("none", [clean.value] * len(STRENGTHS))]
        rows += [self._row(card.name, values) for card, values in zip(self.cards, self.values, strict=True)]
        table = Table(
            name="corruptions",
            title=f"{clean.label} on {clean.split} by corruption and strength",
            rows=tuple(rows),
            note="The same images at every strength; strength 1 is the strongest that an augmenter offers.",
        )
        return Metrics((mean,), (table,))

    def _row(self, name: str, values: Sequence[float]) -> Row:
        return {"corruption": name, **dict(zip(_COLUMNS, values, strict=True)), "mean": _mean(values)}

    def pictures(self) -> Iterator[Picture]:
        """The table as a heat map, and what the corruptions do to an image."""
        clean, (mean,) = self.clean, self.metrics.rows
        matrix = torch.tensor([[clean.value] * (len(STRENGTHS) + 1), *([*row, _mean(row)] for row in self.values)])
        caption = (
            f"{clean.label} on {clean.split} images under each corruption, from weak to strong: on average "
            f"{number(mean.value)}, on clean images {number(clean.value)}."
        )
        names = ["none", *(card.name for card in self.cards)]
        figure = plots.heatmap(matrix, names, [*_COLUMNS, "mean"], ("strength", ""))
        yield Picture("robustness", "Corrupted images", caption, figure)
        image = self.split.pixels(torch.zeros(1, dtype=torch.int64))
        one = [torch.cat([image, *(self._first(card, strength) for strength in STRENGTHS)]) for card in self.cards]
        titles = [card.name for card in self.cards]
        yield Picture(
            "corruptions",
            "What the corruptions look like",
            "The first held-out image, and the same image under each corruption from weak to strong.",
            plots.image_grid(one, titles, ["clean", *_COLUMNS]),
        )

    def _first(self, card: AugmenterCard, strength: float) -> Tensor:
        draws = Draws(sample_keys(self.runtime.derive("corrupt", card.name), torch.zeros(1, dtype=torch.int64)))
        scenes = Scenes(self.split.pixels(torch.zeros(1, dtype=torch.int64)))
        return apply(Policy((exactly(card, strength),)), scenes, draws).images

    def keep(self) -> None:
        """Put table and pictures into the run's report, until it is evaluated anew."""
        metrics = self.metrics
        write_json(self.run.path / ROBUSTNESS, {"metrics": metrics.to_json(), "tables": metrics.tables_json()})
        add_pictures(self.pictures(), self.run.path / "plots")
        write_report(self.run.path)


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return math.fsum(known) / len(known) if known else math.nan
