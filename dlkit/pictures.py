"""The pictures that every report has, whatever the technique."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from dlkit.augment.pictures import augmentation_pictures
from dlkit.capabilities import capabilities_of
from dlkit.data.spread import evenly
from dlkit.metrics import Metrics
from dlkit.report import Picture
from dlkit.technique import Illustrates

if TYPE_CHECKING:
    from dlkit.data import ImageData, Split
    from dlkit.run import Run
    from dlkit.runtime import Runtime
    from dlkit.technique import Technique

TWO_WAY = frozenset({"encode", "decode"})
"""Capabilities with which the core itself measures and draws codes."""
SAMPLES = 48
"""So many training images are shown in the report."""


def pictures_of(run: Run, technique: Technique[Any], data: ImageData, runtime: Runtime) -> Iterator[Picture]:
    """Some training images, also augmented ones where training saw such, then what the technique draws."""
    from dlkit.report import plots  # matplotlib: what is wrong with a command is told sooner without

    shown = _some(data.train)
    caption = f"{len(shown)} of {len(data.train):,} training images, as the model gets them."
    yield Picture("samples", "Samples", caption, plots.samples(shown.pixels(), shown.labels, data.spec.classes))
    yield from augmentation_pictures(run.settings.augment.augment, data.train, runtime)
    if isinstance(technique, Illustrates):
        yield from technique.pictures(data, runtime)


def _some(split: Split) -> Split:
    """A few images, labelled ones where there are any, evenly spread: folders come class by class."""
    if split.labels is not None and (split.labels >= 0).any():
        split = split.subset((split.labels >= 0).nonzero()[:, 0])
    return split.subset(evenly(len(split), SAMPLES))


def code_pictures(
    run: Run, technique: Technique[Any], metrics: Metrics, data: ImageData, runtime: Runtime
) -> Iterator[Picture]:
    """What the core draws of codes that can be decoded; the plane of two units is kept for the report too."""
    if not capabilities_of(run) >= TWO_WAY:
        return
    from dlkit.plane import make_plane, plane_picture, save_plane
    from dlkit.rate_distortion import rate_distortion_picture

    plane = make_plane(technique, data, runtime)
    if plane is not None:
        save_plane(plane, run.path / "plots")
        yield plane_picture(plane)
    curve = rate_distortion_picture(metrics)
    if curve is not None:
        yield curve
