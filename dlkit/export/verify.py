"""The proof: the reloaded file and the model, side by side on real images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dlkit.errors import ExportMismatchError
from dlkit.technique import OutputKind

TOLERANCE = 1e-4
"""Largest allowed absolute difference of any output, float32 arithmetic, same pixels; of *numbers*, which are in units
of their own, as a share of those above 1."""

MAX_IMAGES = 256

_BATCH = 64

_TIE = 1e-6  # two classes closer than this are equally probable in float32; either may come out on top

_EDGES = 0.05  # at most this share of the images (and one) may lie on the edge of a step

Model = Callable[..., Sequence[Tensor]]

Edges = Callable[..., Sequence[tuple[Tensor, Tensor]]]
"""Raw images → for each output the least and the greatest value that rounding may make of it, ``(B, …)`` each."""


@dataclass(frozen=True)
class Difference:
    """Largest absolute difference of each output, and on how many images.

    Attributes:
        images: how many were compared.
        by_output: largest absolute differences, images on edges left out.
        edges: images on the edge of a step of the model, where rounding decides which side is taken.
    """

    images: int
    by_output: Mapping[str, float]
    edges: int = 0


def compare(
    reference: Model,
    candidate: Model,
    inputs: Tensor | Sequence[Tensor],
    outputs: Mapping[str, OutputKind],
    edges: Edges | None = None,
) -> Difference:
    """Run both on the same raw inputs, in batches of 1, 7 and more, which proves the dynamic batch dimension.

    Args:
        reference, candidate: inputs → the outputs, on the CPU. Where the candidate gives an image as uint8, and the
            reference the pixels that it was rounded from, the difference is what rounding cannot explain.
        inputs: raw images ``(n, C, H, W)``, or whatever the models take, n ≥ 1 of each; the first
            :data:`MAX_IMAGES` are used.
        outputs: name → kind, in order.
        edges: for a model that steps (trees, nearest neighbours): an image where the two differ, and where the
            candidate stays within these bounds, is not counted as different but as lying on an edge.

    Raises:
        ExportMismatchError: a difference beyond :data:`TOLERANCE`, another top-1 class, another shape, a value
            that is not finite, or a batch that the candidate refuses.
    """
    taken = [values[:MAX_IMAGES] for values in ([inputs] if isinstance(inputs, Tensor) else inputs)]
    images = len(taken[0])
    largest = dict.fromkeys(outputs, 0.0)
    on_edge = 0
    for batch in _batches(taken):
        expected = reference(*batch)
        try:
            found = candidate(*batch)
        except Exception as error:  # whatever the foreign runtime raises
            raise ExportMismatchError(
                f"The exported model fails on a batch of {len(batch[0])}: {_first_line(error)}",
                "Something in the model depends on the batch size. Nothing was written.",
            ) from error
        if len(found) != len(outputs):
            raise ExportMismatchError(f"The exported model has {len(found)} outputs, the model {len(outputs)}.")
        kept = torch.ones(len(batch[0]), dtype=torch.bool)
        if edges is not None:
            kept = ~_on_edge(batch[0], expected, found, edges)
        on_edge += int((~kept).sum())
        for (name, kind), one, other in zip(outputs.items(), expected, found, strict=True):
            rows = kept if one.shape == other.shape else slice(None)
            largest[name] = max(largest[name], _difference(name, kind, one[rows], other[rows]))
    if on_edge > max(1, _EDGES * images):
        raise ExportMismatchError(
            f"The exported model takes another side of a step of the model for {on_edge} of {images} images.",
            "Rounding decides too much of what it says: its steps are too dense. Nothing was written.",
        )
    return Difference(images, largest, on_edge)


def _on_edge(batch: Tensor, expected: Sequence[Tensor], found: Sequence[Tensor], edges: Edges) -> Tensor:
    """bool ``(B,)``: images where the two differ, and rounding explains it."""
    differ = torch.zeros(len(batch), dtype=torch.bool)
    for one, other in zip(expected, found, strict=True):
        if one.shape == other.shape:
            differ |= ((one - other).abs() > TOLERANCE).flatten(1).any(1)
    rows = differ.nonzero()[:, 0]
    if len(rows) == 0:
        return differ
    for (low, high), other in zip(edges(batch[rows]), found, strict=True):
        within = (other[rows] >= low - TOLERANCE) & (other[rows] <= high + TOLERANCE)
        differ[rows] &= within.flatten(1).all(1)
    return differ


def _batches(inputs: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    count = len(inputs[0])
    yield [values[:1] for values in inputs]
    yield [values[torch.arange(1, 8) % count] for values in inputs]  # fewer than eight are repeated
    for start in range(8, count, _BATCH):
        yield [values[start : start + _BATCH] for values in inputs]


def _difference(name: str, kind: OutputKind, expected: Tensor, found: Tensor) -> float:
    if expected.shape != found.shape:
        raise ExportMismatchError(
            f"Output {name!r}: the exported model returns {tuple(found.shape)}, the model {tuple(expected.shape)}."
        )
    one, other = expected.double(), found.double()
    if not (one.isfinite().all() and other.isfinite().all()):
        which = "exported model" if one.isfinite().all() else "model"
        raise ExportMismatchError(f"Output {name!r}: the {which} returns values that are not finite.")
    gaps = (one - other).abs() / (one.abs().clamp(min=1) if kind == "numbers" else 1)
    if found.dtype == torch.uint8 and expected.is_floating_point():
        gaps = ((255 * one.clamp(0, 1) - other).abs() - 0.5).clamp(min=0) / 255
    difference = float(gaps.max()) if one.numel() else 0.0
    if difference > TOLERANCE:
        raise ExportMismatchError(
            f"Output {name!r}: the exported model differs from the model by {difference:.3g}, more than {TOLERANCE:g}.",
            "Nothing was written. Random draws at inference, or an operation that the format computes differently, "
            "do this; `--format safetensors` keeps the weights alone.",
        )
    if kind == "probabilities":
        _check_top1(name, one, other)
    return difference


def _check_top1(name: str, expected: Tensor, found: Tensor) -> None:
    chosen = expected.gather(1, found.argmax(1, keepdim=True)).squeeze(1)
    different = int((expected.amax(1) - chosen > _TIE).sum())
    if different:
        raise ExportMismatchError(f"Output {name!r}: another class comes first for {different} of {len(found)} images.")


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:300]}"
