"""The VAE's pictures: samples, reconstructions, code space, units in use, the ELBO's parts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dlkit.baselines import PCABaseline
from dlkit.report import Picture, plots
from dlkit_builtin.vae.bound import ACTIVE, unit_activity
from dlkit_builtin.vae.measuring import Sample, sample, some
from dlkit_builtin.vae.plots import parts, units

if TYPE_CHECKING:
    from dlkit.data import ImageData
    from dlkit.runtime import Runtime
    from dlkit_builtin.vae.technique import Vae

COLUMNS = 12
ROWS = 6
CLASSES = 12
POINTS = 3_000


def pictures(technique: Vae, data: ImageData, runtime: Runtime) -> Iterator[Picture]:
    """Samples; then of held-out images all the others."""
    yield _samples(technique, runtime)
    if not len(data.held_out):
        return
    held_out = sample(technique, some(data.held_out, POINTS, runtime), runtime)
    yield _reconstructions(held_out)
    yield _code_space(technique, held_out, data)
    yield _units(held_out)
    splits = {data.held_out.name: held_out}
    if data.held_out is not data.train and len(data.train):
        splits["train"] = sample(technique, some(data.train, POINTS, runtime), runtime)
    yield _parts(splits)


def _samples(technique: Vae, runtime: Runtime) -> Picture:
    """Images of codes from the prior; a row for each class where there are classes, a column for each code."""
    generator = runtime.generator("samples")
    classes = technique.spec.classes[:CLASSES] if technique.network.classes else ()
    with runtime.inference():
        if not classes:
            rows = list(technique.generate(ROWS * COLUMNS, generator).float().cpu().chunk(ROWS))
            caption = "Images that the decoder makes of codes drawn from a standard normal; none is of the data."
            return Picture("generated", "Samples", caption, plots.image_grid(rows, [""] * ROWS))
        codes = technique.noise(COLUMNS, generator)
        labels = torch.arange(len(classes), device=runtime.device)
        rows = [technique.decode(codes, label.expand(COLUMNS)).float().cpu() for label in labels]
    caption = (
        "A row for each class, a column for each code drawn from a standard normal: what a column shares is what the "
        "code says and the class does not."
    )
    return Picture("generated", "Samples of each class", caption, plots.image_grid(rows, list(classes)))


def _reconstructions(shown: Sample) -> Picture:
    images, outputs = shown.images[:COLUMNS], shown.reconstructions[:COLUMNS]
    rows = {"image": images, "reconstruction": outputs, "difference": (outputs - images).abs()}
    caption = "Held-out images, the decoder's image of their mean codes, and the absolute difference."
    return Picture("reconstructions", "Reconstructions", caption, plots.image_grid(list(rows.values()), list(rows)))


def _code_space(technique: Vae, shown: Sample, data: ImageData) -> Picture:
    codes: Tensor = shown.codes
    size = technique.options.code
    if size > 2 and len(codes) > 1:
        how = f"The first two principal components of the {size}-dimensional mean codes"
        codes = torch.from_numpy(PCABaseline(codes, 2).encode(codes))
    else:
        how, codes = "The mean codes", codes[:, :2]
    codes = torch.nn.functional.pad(codes, (0, 2 - codes.shape[1]))  # a code of one unit spans a line
    coloured = ", coloured by class" if shown.labels is not None else ""
    caption = f"{how} of {len(codes):,} held-out images{coloured}. The prior is a standard normal around the middle."
    return Picture("code-space", "Code space", caption, plots.scatter(codes, shown.labels, data.spec.classes))


def _units(shown: Sample) -> Picture:
    activity, kl = unit_activity(shown.codes), shown.kl.mean(0)
    active = int((activity > ACTIVE).sum())
    caption = (
        f"For each code unit, how much its mean varies over {len(shown.codes):,} held-out images, and its mean KL "
        f"divergence from the prior. {active} of {len(activity)} vary by more than {ACTIVE} (the line) and are active; "
        "the others are noise that the decoder ignores."
    )
    return Picture("active-units", "Code units in use", caption, units(activity, kl, ACTIVE))


def _parts(splits: dict[str, Sample]) -> Picture:
    values = {
        split: (-float(each.log_likelihood.mean()), float(each.kl.sum(1).mean())) for split, each in splits.items()
    }
    caption = (
        "The negative ELBO per image: what reconstructions miss, −log p(x|z), and what codes cost, the KL divergence."
    )
    return Picture("elbo", "The ELBO in its two parts", caption, parts(values))
