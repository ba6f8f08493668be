"""The stack's pictures: those of everything that learns from labels, its filters, and its layers one by one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from dlkit.report import Picture, plots
from dlkit.supervised.pictures import supervised_pictures
from dlkit_builtin.stacked.evaluation import probes
from dlkit_builtin.stacked.network import Network, weights_of

if TYPE_CHECKING:
    from dlkit.data import ImageData
    from dlkit.runtime import Runtime
    from dlkit_builtin.stacked.technique import Stacked


def pictures(technique: Stacked, data: ImageData, runtime: Runtime) -> Iterator[Picture]:
    """All pictures, of held-out images."""
    split, frozen = data.held_out, technique.frozen(runtime)
    if not len(split):
        return
    yield from supervised_pictures(
        technique.predict(split, runtime),
        data,
        features_after=runtime.collect(technique.encode, split),
        features_before=None if frozen is None else runtime.collect(frozen.features, split),
        titles=("raw pixels" if frozen is None else "before fine-tuning", "after fine-tuning"),
        seed=runtime.seed,
    )
    yield from _layers(technique, data, runtime)
    if frozen is not None:
        learned = f"as --pretrain {technique.options.pretrain} learned them"
        caption = f"Weights from the pixels to each unit of the first hidden layer, {learned}."
        yield _filters(frozen, "filters-pretrained", "First-layer filters before fine-tuning", caption)
    caption = "The same after fine-tuning on labels." if frozen is not None else (
        "Weights from the pixels to each unit of the first hidden layer.")  # fmt: skip
    yield _filters(technique.network, "filters", "First-layer filters", caption)


def _layers(technique: Stacked, data: ImageData, runtime: Runtime) -> Iterator[Picture]:
    found = probes(technique, data, runtime)
    if found is not None:
        caption = (
            f"A linear classifier on the outputs of each layer, fitted on {found.images:,} labelled training images: "
            f"its accuracy on {found.tested:,} {found.split} images, with 95 % intervals."
        )
        yield Picture("layers", "Layer by layer", caption, plots.stage_curve(found.layers, found.intervals()))


def _filters(network: Network, name: str, title: str, caption: str) -> Picture:
    weights = weights_of(network.layers[0]).weight.detach().cpu().float()
    return Picture(name, title, caption, plots.filters(weights.view(-1, *network.shape)))
