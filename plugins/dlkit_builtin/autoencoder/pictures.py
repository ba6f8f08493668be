"""The autoencoder's pictures: reconstructions, filters, code space, worst cases."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dlkit.baselines import PCABaseline
from dlkit.baselines.quality import image_quality
from dlkit.report import Picture, plots
from dlkit_builtin.autoencoder.code_pictures import asks_of_code, code_pictures
from dlkit_builtin.autoencoder.evaluation import Sample, sample
from dlkit_builtin.autoencoder.networks import ConvEncoder, DenseEncoder

if TYPE_CHECKING:
    from dlkit.data import ImageData
    from dlkit.runtime import Runtime
    from dlkit_builtin.autoencoder.technique import Autoencoder

COLUMNS = 12
POINTS = 3_000
FILTERS = 100


def pictures(technique: Autoencoder, data: ImageData, runtime: Runtime) -> Iterator[Picture]:
    """All pictures, of held-out images."""
    split = data.held_out
    held_out = sample(technique, split, runtime, most=POINTS)
    if not len(held_out.images):
        return
    yield _rows(technique, held_out, "reconstructions", "Reconstructions", torch.arange(len(held_out.images))[:COLUMNS])
    yield _filters(technique)
    if asks_of_code(technique):
        yield from code_pictures(technique, held_out)
    yield _code_space(technique, held_out, data)
    yield _worst(technique, held_out)


def _rows(technique: Autoencoder, shown: Sample, name: str, title: str, chosen: Tensor) -> Picture:
    """Input / corrupted / output / difference rows for some images."""
    images, outputs = shown.images[chosen], shown.reconstructions[chosen]
    rows = {"image": images, "reconstruction": outputs, "difference": (outputs - images).abs()}
    caption = "Held-out images, what the network makes of them, and the absolute difference."
    if technique.options.denoise is not None:
        rows = {"corrupted input": shown.inputs[chosen].clamp(0, 1), "output": outputs, "target": images} | {
            "difference": rows["difference"]
        }
        caption = (
            f"Held-out images corrupted by {technique.options.denoise}, the network's output, the clean target that it "
            "never saw, and the absolute difference."
        )
    return Picture(name, title, caption, plots.image_grid(list(rows.values()), list(rows)))


def _filters(technique: Autoencoder) -> Picture:
    encoder = technique.network.encoder
    channels, height, width = technique.spec.shape
    if isinstance(encoder, DenseEncoder):
        first = next(module for module in encoder.modules() if isinstance(module, torch.nn.Linear))
        weights = first.weight.detach().cpu().view(-1, channels, height, width)
        which = "code units" if technique.options.shallow else "first hidden units"
        caption = f"Weights from the pixels to each of the {which}."
    else:
        assert isinstance(encoder, ConvEncoder)  # noqa: S101 - build() makes these two
        first_conv = next(module for module in encoder.modules() if isinstance(module, torch.nn.Conv2d))
        weights = first_conv.weight.detach().cpu()
        caption = "The convolution kernels of the first stage."
    if len(weights) > FILTERS:  # the strongest say most
        strongest = weights.flatten(1).norm(dim=1).argsort(descending=True)[:FILTERS]
        weights = weights[strongest]
        caption += f" The {FILTERS} with the largest norm."
    return Picture("filters", "First-layer filters", caption, plots.filters(weights.float()))


def _code_space(technique: Autoencoder, shown: Sample, data: ImageData) -> Picture:
    codes = shown.codes
    if codes.shape[1] > 2 and len(codes) > 1:
        codes = torch.from_numpy(PCABaseline(codes, 2).encode(codes))
        how = f"The first two principal components of the {technique.code}-dimensional codes"
    else:
        how, codes = "The codes", codes[:, :2]
    codes = torch.nn.functional.pad(codes, (0, 2 - codes.shape[1]))  # a code of one unit spans a line
    caption = f"{how} of {len(codes):,} held-out images{', coloured by class' if shown.labels is not None else ''}."
    labels = None if shown.labels is None else shown.labels
    return Picture("code-space", "Code space", caption, plots.scatter(codes, labels, data.spec.classes))


def _worst(technique: Autoencoder, shown: Sample) -> Picture:
    error = torch.from_numpy(image_quality(shown.reconstructions, shown.images).mse)
    worst = error.argsort(descending=True)[:COLUMNS]
    return _rows(technique, shown, "worst", "Worst reconstructions", worst)
