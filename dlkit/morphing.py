"""From one image to another through the code: a straight path, or along a sphere."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from dlkit.capabilities import capabilities_of, require
from dlkit.data import read_images, to_pixels
from dlkit.data.spread import evenly
from dlkit.decoding import Decoder
from dlkit.errors import DataError, UsageError
from dlkit.files import atomic_path, made_folder
from dlkit.generation import Generating
from dlkit.report import plots
from dlkit.report.picture import png

if TYPE_CHECKING:
    from dlkit.display import Display
    from dlkit.run import Run
    from dlkit.runtime import Runtime

PATHS = ("linear", "spherical")
_SHOWN = 12
"""Images in a row of the strip at most; spread evenly over the path."""
_SIDE = 160
"""Pixels of a GIF's longer side at least; small images are enlarged by whole factors."""
_FRAME, _END = 80, 640
"""Milliseconds that a frame and an end of the path are shown."""


def code_path(start: Tensor, end: Tensor, steps: int, kind: str) -> Tensor:
    """Codes from one to the other, both included.

    linear:     z(t) = (1 − t) a + t b
    spherical:  z(t) = ((1 − t) |a| + t |b|) · (sin((1 − t) ω) a/|a| + sin(t ω) b/|b|) / sin ω,  cos ω = a·b / |a||b|

    The direction moves along the great circle at constant speed (Shoemake 1985, Animating rotation with quaternion
    curves, section 3.3) and the length changes linearly, so that codes of a Gaussian prior keep a likely length on the
    way (White 2016, Sampling generative networks). Where a and b are parallel, or one is zero, the two paths are the
    same; between opposite directions, which have no shortest way, the path is linear too.

    Args:
        start, end: ``(Z,)``.
        steps: how many, at least 2.
        kind: ``linear`` or ``spherical``.

    Returns:
        ``(steps, Z)``, the first and the last exactly the given ones.
    """
    t = torch.linspace(0, 1, steps, dtype=torch.float64)[:, None]
    a, b = start.double(), end.double()
    path = (1 - t) * a + t * b
    lengths = a.norm(), b.norm()
    omega = angle(start, end)
    if kind == "spherical" and min(lengths) > 0 and 1e-6 < omega < math.pi - 1e-6:
        direction = torch.sin((1 - t) * omega) * a / lengths[0] + torch.sin(t * omega) * b / lengths[1]
        path = ((1 - t) * lengths[0] + t * lengths[1]) * direction / math.sin(omega)
    path = path.to(start.dtype)
    path[0], path[-1] = start, end
    return path


def angle(start: Tensor, end: Tensor) -> float:
    """Between two codes ``(Z,)``, in radians."""
    cosine = F.cosine_similarity(start.double(), end.double(), dim=0).clamp(-1, 1)
    return math.acos(float(cosine))


class Morph:
    """Two images and what lies between them: see :func:`between_images` and :func:`between_draws`.

    Attributes:
        decoder: of the run.
        codes: of the two, ``(2, Z)``.
        steps: images of a path, both ends included.
        ends: the images themselves, ``(2, C, H, W)``; None where they are what the codes make.
    """

    def __init__(self, decoder: Decoder, codes: Tensor, steps: int, ends: Tensor | None = None) -> None:
        self.decoder, self.codes, self.steps, self.ends = decoder, codes, steps, ends

    def images(self, kind: str) -> Tensor:
        """A path, ``(steps, C, H, W)``: the first and the last image are the decoded codes of the ends."""
        return self.decoder.images(code_path(self.codes[0], self.codes[1], self.steps, kind))

    def write(self, kinds: Sequence[str], folder: Path | None) -> dict[str, Any]:
        """Write ``strip.png`` and a GIF for each path, there and back.

        Returns:
            ``{"folder", "strip", "gifs", "distance", "angle"}``: of the two codes, Euclidean and in degrees.
        """
        paths = {kind: self.images(kind) for kind in kinds}
        folder = made_folder(folder, self.decoder.run.path / "morphs")
        for kind, images in paths.items():
            write_gif(images, folder / f"{kind}.gif")
        with atomic_path(folder / "strip.png") as temporary:
            temporary.write_bytes(png(self._strip(paths)))
        return {
            "folder": folder,
            "strip": folder / "strip.png",
            "gifs": [folder / f"{kind}.gif" for kind in kinds],
            "distance": float((self.codes[0] - self.codes[1]).norm()),
            "angle": math.degrees(angle(self.codes[0], self.codes[1])),
        }

    def _strip(self, paths: dict[str, Tensor]) -> Any:
        """A row for each path, between the images themselves."""
        shown = evenly(self.steps, _SHOWN)
        rows = [images[shown] for images in paths.values()]
        titles = [f"{place / (self.steps - 1):.2f}" for place in shown.tolist()]
        if self.ends is not None:
            rows = [torch.cat([self.ends[:1], row, self.ends[1:]]) for row in rows]
            titles = ["A", *titles, "B"]
        return plots.image_grid(rows, list(paths), titles)


def between_images(
    run: Run, ends: Sequence[Path] | Tensor, steps: int, display: Display, runtime: Runtime | None = None
) -> Morph:
    """Between two images, through the codes of a run that encodes and decodes.

    Args:
        run: the run.
        ends: two image files, read as the run's images were; or their pixels ``(2, C, H, W)``.
        steps: images of a path, both ends included.
        display: where progress is shown.
        runtime: by default one with the run's options.

    Raises:
        UsageError: the run does not encode or decode.
        DataError: an image cannot be read.
    """
    if "draw" in capabilities_of(run) and "decode" not in capabilities_of(run):
        raise UsageError(
            f"A run of {run.technique} makes images of noise, and cannot find the noise of a given image.",
            "A and B are numbers of images that `dlkit generate` makes, such as 3 and 17.",
        )
    require(run, "encode", "decode")
    pixels = ends if isinstance(ends, Tensor) else _read(ends, run)
    decoder = Decoder(run, display, runtime)
    return Morph(decoder, decoder.encode(pixels), steps, pixels)


def between_draws(
    run: Run,
    ends: tuple[int, int],
    steps: int,
    display: Display,
    runtime: Runtime | None = None,
    *,
    label: int | None = None,
    values: Mapping[int, float] | None = None,
) -> Morph:
    """Between two images that a run with the capability ``draw`` generates.

    Args:
        run: the run.
        ends: their numbers: 3 is ``00003.png`` of `dlkit generate` with the runtime's seed.
        steps, display, runtime: as in :func:`between_images`.
        label: the class of all images; by default the first one's.
        values: place of a label or number → what it is to be in all images; the others are the first one's.

    Raises:
        UsageError: the run draws nothing.
    """
    require(run, "draw", "generate")
    generating = Generating(run, display, runtime, values=values)
    codes, labels = generating.drawn(ends, label)
    decoder = Decoder(run, display, generating.runtime, labels=None if labels is None else labels[:1])
    return Morph(decoder, codes, steps)


def write_gif(images: Tensor, target: Path, *, frame: int = _FRAME, back: bool = True) -> None:
    """Images ``(N, C, H, W)`` as an endless GIF: forth, and back again without showing the ends twice.

    Args:
        images: pixels; small ones are enlarged by whole factors.
        target: the file.
        frame: milliseconds that each is shown, and the ends at least eight times a path's.
        back: or else it begins again after the last.
    """
    pixels = (images.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()
    factor = max(1, math.ceil(_SIDE / max(pixels.shape[1:3])))
    frames = [_enlarged(each, factor) for each in pixels]
    frames += frames[-2:0:-1] if back else []
    ends = (0, len(images) - 1)
    times = [max(_END, frame) if place in ends else frame for place in range(len(frames))]
    with atomic_path(target) as temporary:
        frames[0].save(temporary, "GIF", save_all=True, append_images=frames[1:], duration=times, loop=0)


def _enlarged(pixels: Any, factor: int) -> Image.Image:
    large = np.repeat(np.repeat(pixels, factor, 0), factor, 1)
    grey = large if large.shape[2] == 3 else large.mean(2, dtype=np.float32).astype(np.uint8)
    return Image.fromarray(grey)


def _read(paths: Sequence[Path], run: Run) -> Tensor:
    for path in paths:
        if not path.is_file():
            raise DataError(f"There is no image {str(path)!r}.", "A and B are the paths of image files.")
    return to_pixels(read_images(list(paths), run.spec))
