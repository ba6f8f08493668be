"""The classifier's pictures: those of everything that learns from labels, and a look into its layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from torch import Tensor, nn

from dlkit.data.spread import evenly
from dlkit.report import Picture, plots
from dlkit.supervised.objective import labelled
from dlkit.supervised.pictures import supervised_pictures
from dlkit.supervised.saliency import saliency_picture
from dlkit_builtin.classifier.regions import regions

if TYPE_CHECKING:
    from dlkit.data import ImageData, Split
    from dlkit.runtime import Runtime
    from dlkit_builtin.classifier.technique import Classifier, Network

IMAGES = 3
"""So many images have their maps shown."""
MAPS = 10
"""The strongest maps of a layer, and the images that drive a feature most."""
POINTS = 2_000
"""At most so many held-out images are searched for those that drive features, or drawn in the plane."""
SALIENT = 8


def pictures(technique: Classifier, data: ImageData, runtime: Runtime) -> Iterator[Picture]:
    """All pictures, of held-out images."""
    split = data.held_out
    if not len(split):
        return
    features = runtime.collect(technique.encode, split)
    yield from supervised_pictures(
        technique.predict(split, runtime),
        data,
        features_after=features,
        titles=("raw pixels", "features"),
        saliency=_saliency(technique, split, runtime),
        seed=runtime.seed,
    )
    yield _filters(technique)
    yield from _maps(technique.network.eval(), split, runtime)
    chosen = evenly(len(split), POINTS)
    shown = split.subset(chosen)
    yield _driving(shown, features[chosen])
    yield from _planes(technique, labelled(shown), runtime)


def _saliency(technique: Classifier, split: Split, runtime: Runtime) -> Picture | None:
    """Where the last stage that has places looks, of a few images of classes."""
    network = technique.network.eval()
    stages = [stage for name, stage in network.body.named_children() if name.startswith(("conv-", "stage-"))]
    if not stages or technique.spec.target == "number":
        return None
    shown = split.subset(evenly(len(split), SALIENT))
    images = shown.pixels().to(runtime.device)
    return saliency_picture(network, stages[-1], images, shown.labels, technique.spec.classes, files=shown.files)


def _filters(technique: Classifier) -> Picture:
    first = next(layer for layer in technique.network.body.modules() if isinstance(layer, nn.Linear | nn.Conv2d))
    weights = first.weight.detach().cpu().float()
    caption = "The convolution kernels of the first layer."
    if isinstance(first, nn.Linear):
        weights = weights.view(-1, *technique.spec.shape)
        caption = "Weights from the pixels to each unit of the first hidden layer."
    return Picture("filters", "First-layer filters", caption, plots.filters(weights))


def _maps(network: Network, split: Split, runtime: Runtime) -> Iterator[Picture]:
    """The strongest maps of each convolutional stage, for a few images."""
    images = split.pixels(evenly(len(split), IMAGES))
    rows, names = [], []
    with runtime.inference():
        maps = network.normalize(images.to(runtime.device))
        found = []
        for name, stage in network.body.named_children():
            maps = stage(maps)
            if maps.ndim == 4:
                found.append((name, maps.float().cpu()))
    for index, image in enumerate(images):
        rows.append(image[None])
        names.append(f"image {index + 1}")
        for name, of_all in found:
            rows.append(_strongest(of_all[index]))
            names.append(name)
    if found:
        caption = (f"Some held-out images; below each the {MAPS} maps of every stage with the largest mean, each on "
                   "its own scale from its least to its largest value.")  # fmt: skip
        yield Picture("maps", "What the layers respond to", caption, plots.image_grid(rows, names, cell=0.6))


def _strongest(maps: Tensor) -> Tensor:
    """``(C, H, W)`` → at most :data:`MAPS` of them, ``(n, 1, H, W)`` in [0, 1]."""
    kept = maps.flatten(1).mean(1).topk(min(MAPS, len(maps))).indices
    flat = maps[kept].flatten(1)
    low, high = flat.amin(1, keepdim=True), flat.amax(1, keepdim=True)
    return ((flat - low) / (high - low).clamp(min=1e-12)).view(len(kept), 1, *maps.shape[1:])


def _driving(split: Split, features: Tensor) -> Picture:
    """For the features that vary most: the images on which they are largest."""
    varying = features.std(0, correction=0).topk(min(MAPS, features.shape[1])).indices
    best = features[:, varying].topk(min(MAPS, len(features)), dim=0).indices.T
    rows = [split.pixels(indices) for indices in best]
    caption = "A row for each of the features that vary most: the held-out images on which it is largest."
    return Picture("driving-images", "What features respond to", caption,
                   plots.image_grid(rows, [f"feature {index}" for index in varying.tolist()]))  # fmt: skip


def _planes(technique: Classifier, split: Split, runtime: Runtime) -> Iterator[Picture]:
    """Decision regions where inputs, or features, are points of a plane."""
    network, shape = technique.network, technique.spec.shape
    if not len(split):
        return

    def of_features(points: Tensor) -> Tensor:
        return network.objective.activate(network.output(points))

    def of_pixels(points: Tensor) -> Tensor:
        return of_features(network.features(points.view(-1, *shape)))

    says = "what the network says of each point, and the held-out images"
    if network.size == 2:
        places = runtime.collect(technique.encode, split)
        yield Picture("feature-regions", "Decision regions in feature space", f"The two features: {says}.",
                      regions(_answers(of_features, runtime), places, split, technique.spec))  # fmt: skip
    if shape[0] * shape[1] * shape[2] == 2:
        places = split.pixels().flatten(1)
        yield Picture("input-regions", "Decision regions in input space", f"The two pixels: {says}.",
                      regions(_answers(of_pixels, runtime), places, split, technique.spec))  # fmt: skip


def _answers(function: Callable[[Tensor], Tensor], runtime: Runtime) -> Callable[[Tensor], Tensor]:
    def answers(points: Tensor) -> Tensor:
        with runtime.inference():
            return function(points.to(runtime.device)).float().cpu()

    return answers
