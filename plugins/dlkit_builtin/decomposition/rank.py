"""A single picture as a matrix: its best approximations of rank k (Eckart and Young 1936).

Each channel X (H × W) is U S Vᵀ. X_k = Σ_{j ≤ k} sⱼ uⱼ vⱼᵀ is the nearest matrix of rank k, and what it misses is known
beforehand: ‖X − X_k‖² = Σ_{j > k} sⱼ².
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from dlkit.data import read_images, to_pixels
from dlkit.data.files import FileImages
from dlkit.data.spec import DataSpec
from dlkit.display import Display
from dlkit.errors import DataError
from dlkit.files import atomic_path, made_folder, write_json
from dlkit.report import plots
from dlkit.report.figures import number
from dlkit.report.picture import png
from dlkit.report.style import BLUE, INK, PALE, styled

Floats = NDArray[np.float64]
FLOAT_BYTES = 4


@dataclass(frozen=True)
class Approximation:
    """A picture of rank k.

    Attributes:
        k: the rank of each channel.
        pixels: ``(C, H, W)``, not clipped.
        numbers: what it takes to write it down, k (H + W) of each channel: the singular values go into a factor.
        share: of the picture's own numbers, C H W.
        error: ‖X − X_k‖ / ‖X‖ over all channels.
        psnr: of the clipped picture, dB.
    """

    k: int
    pixels: Floats
    numbers: int
    share: float
    error: float
    psnr: float


class Spectrum:
    """The singular value decomposition of a picture's channels.

    Args:
        pixels: ``(C, H, W)`` in [0, 1].
    """

    def __init__(self, pixels: Floats) -> None:
        self.pixels = np.asarray(pixels, dtype=np.float64)
        self._left, self.values, self._right = np.linalg.svd(self.pixels, full_matrices=False)

    @property
    def rank(self) -> int:
        """The most that k can be, min(H, W)."""
        return int(self.values.shape[1])

    def approximation(self, k: int) -> Approximation:
        """The best of rank k, 1 ≤ k ≤ :attr:`rank`."""
        channels, height, width = self.pixels.shape
        found = (self._left[:, :, :k] * self.values[:, None, :k]) @ self._right[:, :k]
        missed = float(np.square(self.pixels - found.clip(0, 1)).mean())
        whole = float(np.square(self.values).sum())
        numbers = channels * k * (height + width)
        return Approximation(
            k=k, pixels=found, numbers=numbers, share=numbers / self.pixels.size,
            error=math.sqrt(float(np.square(self.values[:, k:]).sum()) / whole) if whole else 0.0,
            psnr=min(100.0, -10 * math.log10(max(missed, 1e-10))),
        )  # fmt: skip


def open_picture(path: Path) -> Floats:
    """An image file's pixels in its own size, ``(C, H, W)`` float64 in [0, 1].

    Raises:
        DataError: there is none, or it cannot be read.
    """
    if not path.is_file():
        raise DataError(f"There is no image {str(path)!r}.", "PICTURE is the path of an image file.")
    survey = FileImages([path]).survey(Display(quiet=True))
    height, width = (int(each) for each in survey.sizes[0])
    if not height:
        raise DataError(f"{str(path)!r} is not an image that can be read.")
    spec = DataSpec(source=str(path), name=path.stem, channels=1 if survey.grey else 3, height=height, width=width,
                    pixel_type="float32" if survey.deep else "uint8")  # fmt: skip
    return to_pixels(read_images([path], spec))[0].double().numpy()


def write_approximations(path: Path, ranks: Sequence[int], folder: Path) -> dict[str, Any]:
    """Write the approximations of a picture as PNG files of its size, a strip of them, and the singular values.

    Args:
        path: the picture.
        ranks: each k; those above the picture's rank are left out.
        folder: a new folder.

    Returns:
        ``{"folder", "strip", "spectrum", "rank", "size", "approximations"}``.

    Raises:
        DataError: the picture cannot be read, or no k is within its rank.
    """
    spectrum = Spectrum(open_picture(path))
    kept = [spectrum.approximation(k) for k in sorted({*ranks}) if k <= spectrum.rank]
    if not kept:
        raise DataError(
            f"{str(path)!r} has the rank {spectrum.rank}; no k is that small.", "Name smaller ranks with -k."
        )
    target = made_folder(folder, folder.parent)
    for each in kept:
        _save(each.pixels, target / f"rank-{each.k}.png")
    for name, figure in (("strip", strip(spectrum, kept)), ("spectrum", spectrum_plot(spectrum, kept))):
        with atomic_path(target / f"{name}.png") as temporary:
            temporary.write_bytes(png(figure))
    rows = [{key: value for key, value in vars(each).items() if key != "pixels"} | {"bytes": FLOAT_BYTES * each.numbers}
            for each in kept]  # fmt: skip
    told = {"rank": spectrum.rank, "size": list(spectrum.pixels.shape), "approximations": rows}
    write_json(target / "rank.json", told)
    return {"folder": target, "strip": target / "strip.png", "spectrum": target / "spectrum.png", **told}


def _save(pixels: Floats, target: Path) -> None:
    levels = np.rint(pixels.clip(0, 1) * 255).astype(np.uint8)
    image = Image.fromarray(levels[0] if len(levels) == 1 else np.ascontiguousarray(levels.transpose(1, 2, 0)))
    with atomic_path(target) as temporary:
        image.save(temporary, format="PNG")


def strip(spectrum: Spectrum, kept: Sequence[Approximation]) -> Figure:
    """The approximations side by side, the picture last, with what each takes and misses."""
    images = [torch.from_numpy(each.pixels).float() for each in kept] + [torch.from_numpy(spectrum.pixels).float()]
    captions = [
        f"k = {each.k}\n{each.share:.1%} of the numbers\nerror {each.error:.1%}, {each.psnr:.1f} dB" for each in kept
    ]
    size = " × ".join(str(each) for each in spectrum.pixels.shape[:0:-1])
    captions.append(f"the picture\n{size}, rank {spectrum.rank}\n")
    return plots.captioned(images, captions, columns=len(images), cell=1.9)


@styled
def spectrum_plot(spectrum: Spectrum, kept: Sequence[Approximation]) -> Figure:
    """Singular values, and the error of each rank."""
    figure = Figure(figsize=(8.4, 3.4), layout="constrained")
    axes: Any = figure.subplots(1, 2)
    squares = np.square(spectrum.values).sum(0)
    places = np.arange(1, spectrum.rank + 1)
    axes[0].plot(places, np.sqrt(squares), color=INK, linewidth=1.4)
    axes[0].set_yscale("log")
    axes[0].set_ylim(bottom=max(float(np.sqrt(squares).max()) * 1e-5, 1e-6))
    axes[0].set_ylabel("singular value")
    rest = np.append(np.cumsum(squares[::-1])[::-1][1:], 0)
    axes[1].plot(places, np.sqrt(rest / max(squares.sum(), 1e-300)), color=INK, linewidth=1.4)
    for each in kept:
        axes[1].plot([each.k], [each.error], "o", color=BLUE, markersize=5)
        axes[1].annotate(f"{each.k}: {number(each.error)}", (each.k, each.error), (5, 4), fontsize=8,
                         textcoords="offset points")  # fmt: skip
    axes[1].set_ylabel("relative error")
    axes[1].set_ylim(bottom=0)
    for ax in axes:
        ax.set_xlabel("k")
        ax.set_xscale("log")
        ax.grid(color=PALE, linewidth=0.5)
        ax.set_axisbelow(True)
    return figure
