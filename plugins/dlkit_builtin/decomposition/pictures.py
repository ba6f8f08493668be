"""Pictures: the atoms, what they explain, images built up from more and more of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from dlkit.baselines import PCABaseline, affordable
from dlkit.baselines.quality import image_quality
from dlkit.report import Picture, plots
from dlkit.report.figures import number
from dlkit.report.style import BLUE, INK, PALE, styled
from dlkit_builtin.decomposition.evaluation import Sample, chosen, sample

if TYPE_CHECKING:
    from dlkit.data import ImageData
    from dlkit.runtime import Runtime
    from dlkit_builtin.decomposition.technique import Decomposition

COLUMNS = 12
POINTS = 3_000
ATOMS = 96
FIT_IMAGES = 5_000
GROWING = (1, 2, 5, 10, 20, 50, 100, 200, 500)
NAMES = {"pca": "components", "svd": "components", "ica": "components", "nmf": "parts", "kmeans": "centres",
         "sparse": "atoms"}  # fmt: skip


def pictures(technique: Decomposition, data: ImageData, runtime: Runtime) -> Iterator[Picture]:
    """All pictures, of held-out images."""
    held_out = sample(technique, data.held_out, runtime, most=POINTS)
    yield _atoms(technique, held_out)
    if not len(held_out.images):
        return
    first = torch.arange(len(held_out.images))[:COLUMNS]
    yield _rows(held_out, "reconstructions", "Reconstructions", first)
    if technique.options.method != "kmeans" and technique.code > 1:
        yield _growing(technique, held_out, first)
    if len(data.train):
        yield _explained(technique, data, runtime)
    yield _code_space(technique, held_out, data)
    error = torch.from_numpy(image_quality(held_out.reconstructions, held_out.images).mse)
    yield _rows(held_out, "worst", "Worst reconstructions", error.argsort(descending=True)[:COLUMNS])


def _rows(shown: Sample, name: str, title: str, which: Tensor) -> Picture:
    images, outputs = shown.images[which], shown.reconstructions[which]
    rows = {"image": images, "reconstruction": outputs, "difference": (outputs - images).abs()}
    caption = "Held-out images, what the code keeps of them, and the absolute difference."
    return Picture(name, title, caption, plots.image_grid(list(rows.values()), list(rows)))


def _atoms(technique: Decomposition, held_out: Sample) -> Picture:
    """Signed ones in diverging colours; parts and centres as images."""
    method, model = technique.options.method, technique.network.model
    atoms = model.atoms.detach().cpu().view(-1, *technique.spec.shape)
    title, note = NAMES[method].capitalize(), f"The first {ATOMS} of {len(atoms)}." if len(atoms) > ATOMS else ""
    if method == "kmeans":
        return _centres(technique, atoms, held_out)
    if method == "nmf":
        bright = atoms / atoms.flatten(1).amax(1).clamp_min(1e-12)[:, None, None, None]
        rows = list(torch.split(bright[:ATOMS], 16))
        caption = f"What images are sums of, each as bright as can be; nothing is subtracted. {note}"
        return Picture("atoms", title, caption, plots.image_grid(rows, [""] * len(rows), cell=0.5))
    order = {"pca": "by the variance that they explain", "svd": "by their singular values"}.get(method)
    caption = f"Red is added, blue is taken away{f'; in order, {order}' if order else ''}. {note}"
    if technique.spec.channels == 3:
        caption = f"Colours around grey, which is zero{f'; in order, {order}' if order else ''}. {note}"
    return Picture("atoms", title, caption, plots.filters(atoms[:ATOMS]))


def _centres(technique: Decomposition, centres: Tensor, held_out: Sample) -> Picture:
    """In the order of how many held-out images they stand for."""
    values = technique.network.normalize.inverse(centres.to(technique.network.model.atoms.device)).cpu()
    counts = torch.bincount(held_out.codes.argmin(1), minlength=len(centres))
    order = counts.argsort(descending=True, stable=True)[:ATOMS]
    captions = [f"{int(counts[place])} image{'' if counts[place] == 1 else 's'}" for place in order]
    figure = plots.captioned([values[place] for place in order], captions, columns=12, cell=0.8)
    return Picture("atoms", "Centres", f"Of {len(held_out.images):,} held-out images so many are nearest.", figure)


def _growing(technique: Decomposition, shown: Sample, which: Tensor) -> Picture:
    """Images from their first k components, or from the k that contribute most to them."""
    codes, atoms = shown.codes[which], technique.network.model.atoms.cpu()
    ordered = technique.options.method in ("pca", "svd")
    weight = codes.abs() * atoms.norm(dim=1)
    ranks = torch.arange(codes.shape[1]).expand_as(codes) if ordered else weight.argsort(1, True).argsort(1)
    start = [] if technique.options.method in ("svd", "nmf") else [0]  # nothing at all is black there
    counts = start + [k for k in GROWING if k < technique.code] + [technique.code]
    device = technique.network.model.atoms.device
    rows = {
        f"k = {k}" if k else "mean image": technique.decode((codes * (ranks < k)).to(device)).cpu() for k in counts
    } | {"image": shown.images[which]}
    said = "the first k components" if ordered else f"the k {NAMES[technique.options.method]} that matter most to it"
    caption = f"Each image from {said}, for k as written at the left."
    return Picture("growing", "More and more of them", caption, plots.image_grid(list(rows.values()), list(rows)))


def _explained(technique: Decomposition, data: ImageData, runtime: Runtime) -> Picture:
    """The scree of ordered components; the model's explained variance on the curve of PCA's for all."""
    some = sample(technique, data.train, runtime, most=FIT_IMAGES)
    around = float((some.images - some.images.mean(0)).double().square().sum())
    ours = 1 - float((some.images - some.reconstructions).double().square().sum()) / around if around else 1.0
    fitted = chosen(data.train, affordable(FIT_IMAGES, technique.spec.shape), runtime).pixels()
    pca = PCABaseline(fitted, technique.code)
    figure = scree(pca.shares, technique.shares, technique.options.method, technique.code, ours)
    caption = f"Share of the training images' variance. At {technique.code}: {number(ours)}."
    if technique.shares and technique.options.method == "svd":
        caption += (
            " Bars: share of the sum of squares, of which the first component, close to the mean image, has most."
        )
    return Picture("explained-variance", "Explained variance", caption, figure)


@styled
def scree(pca: Any, shares: Any, method: str, code: int, value: float) -> Figure:
    """Bars of what each component explains, the cumulative curve of PCA, and the method's value.

    Args:
        pca: what each of PCA's components explains, ``(K,)``.
        shares: the same of the method, or empty.
        method: its name.
        code: K.
        value: what the method explains altogether.
    """
    figure = Figure(figsize=(6.4, 3.6))
    ax: Any = figure.add_subplot()
    if len(shares):
        ax.bar(np.arange(1, len(shares) + 1), shares, color=PALE, width=0.9, label="each component")
    ax.plot(np.arange(1, len(pca) + 1), np.cumsum(pca), color=INK, linewidth=1.4, label="first k of PCA")
    ax.plot([code], [value], "o", color=BLUE, markersize=7, label=f"{method}, {code}: {number(value)}", zorder=4)
    ax.set_xlim(0.3, max(code, len(pca)) + 0.7)
    ax.set_ylim(0, 1.03)
    ax.set_xlabel("k")
    ax.set_ylabel("explained variance")
    ax.grid(axis="y")
    ax.set_axisbelow(True)
    ax.legend(loc="center right")
    return figure


def _code_space(technique: Decomposition, shown: Sample, data: ImageData) -> Picture:
    codes, method = shown.codes, technique.options.method
    if method in ("pca", "svd"):
        how, codes = "The first two components", codes[:, :2]
    elif codes.shape[1] > 2 and len(codes) > 1:
        how, codes = (
            "The first two principal components of the codes",
            torch.from_numpy(PCABaseline(codes, 2).encode(codes)),
        )
    else:
        how, codes = "The codes", codes[:, :2]
    codes = torch.nn.functional.pad(codes, (0, 2 - codes.shape[1]))
    caption = f"{how} of {len(codes):,} held-out images{', coloured by class' if shown.labels is not None else ''}."
    return Picture("code-space", "Code space", caption, plots.scatter(codes, shown.labels, data.spec.classes))
