"""Images in rows and columns: the plane of a code of two units, traversals of larger codes, samples by class."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from dlkit.baselines import spread
from dlkit.capabilities import capabilities_of, commands_for, require, who
from dlkit.data import read_images, to_pixels
from dlkit.decoding import Decoder
from dlkit.errors import DataError, UsageError
from dlkit.files import atomic_path, made_folder
from dlkit.generation import Generating
from dlkit.loading import load_for
from dlkit.morphing import code_path
from dlkit.plane import Range, code_ranges, lattice, tiled
from dlkit.report import plots
from dlkit.report.code_plots import image_plane
from dlkit.report.picture import png

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from dlkit.data import ImageData
    from dlkit.display import Display
    from dlkit.run import Run
    from dlkit.runtime import Runtime

_FITTED = 5_000
"""At most so many training images give the ranges."""
PLANE, TRAVERSAL, SAMPLES, CORNERS = 20, 11, 10, 8
"""Images along a side of a plane, of a traversal, of each class, and between corners, where the user does not say."""


class Grid:
    """What a run's grid shows.

    Args:
        run: a run that encodes and decodes, or that generates images of classes, or that makes images of latents.
        display: where progress is shown.
        runtime: by default one with the run's options.
        size: images in a row.
        ranges: of the first unit, or of all; by default where the training images' codes are.
        units: how many units are traversed, the most variable first.
        image: the file around which they are; by default the first held-out image.
        label: the class of four images, what lies between which is shown in place of images of each class.
        values: place of a label or number → what it is to be in all images; of runs that were told such.

    Raises:
        UsageError: the run can do neither; ranges that do not fit.
        DataError: the image or the run's data cannot be read.
    """

    def __init__(
        self,
        run: Run,
        display: Display,
        runtime: Runtime | None = None,
        *,
        size: int | None = None,
        ranges: list[Range] | None = None,
        units: int = 8,
        image: Path | None = None,
        label: int | None = None,
        values: Mapping[int, float] | None = None,
    ) -> None:
        self.run, self.size, self.ranges, self.units, self.image = run, size, ranges, units, image
        self.label, self.values = label, values
        self.display, self.runtime = display, runtime
        self._data: ImageData | None = None
        able = capabilities_of(run)
        if "grid" not in commands_for(able):
            raise UsageError(
                f"A run of {run.technique} neither encodes and decodes nor generates images of classes.",
                f"{who('encode', 'decode')} {who('generate', 'condition')}",
            )
        self.two_way = {"encode", "decode"} <= able
        self.by_class = "condition" in able and run.spec.target == "classes"
        if not self.two_way and (ranges or image):
            raise UsageError(f"--range and --image are about codes of images; a run of {run.technique} has none.")
        if self.two_way and (label is not None or values):
            raise UsageError(f"--class and --with are about generated images; a run of {run.technique} draws codes.")
        if label is not None:
            require(run, "draw")

    def draw(self) -> tuple[Figure, dict[str, Any]]:
        """The figure, and what it shows as plain JSON."""
        if not self.two_way:
            return self._samples() if self.by_class and self.label is None else self._corners()
        decoder = Decoder(self.run, self.display, self.runtime)
        code = decoder.encode(torch.zeros(1, *self.run.spec.shape))
        if self.ranges is not None and len(self.ranges) not in (1, 2 if code.shape[1] == 2 else 1):
            raise UsageError(f"--range has {2 * len(self.ranges)} numbers; a code of {code.shape[1]} units takes two.")
        return self._plane(decoder) if code.shape[1] == 2 and self.image is None else self._traversals(decoder)

    def write(self, target: Path | None) -> dict[str, Any]:
        """Draw it into ``target``, a .png file, or into ``grids/001/grid.png`` of the run, and so on."""
        figure, facts = self.draw()
        target = target or made_folder(None, self.run.path / "grids") / "grid.png"
        with atomic_path(target) as temporary:
            temporary.write_bytes(png(figure))
        return {"picture": target, **facts}

    def _plane(self, decoder: Decoder) -> tuple[Figure, dict[str, Any]]:
        count = self.size or PLANE
        x, y = 2 * self.ranges if self.ranges and len(self.ranges) == 1 else self.ranges or self._ranges(decoder)
        images = decoder.images(lattice(x, y, count))
        whole = tiled(images.view(count, count, *images.shape[1:]))
        return image_plane(whole, count, x, y), {"kind": "plane", "size": count, "ranges": [x, y]}

    def _traversals(self, decoder: Decoder) -> tuple[Figure, dict[str, Any]]:
        """A row for each unit: the image's code, in which that unit alone goes through its range."""
        count = self.size or TRAVERSAL
        image = self._image()
        code = decoder.encode(image[None])
        codes = self._codes(decoder)
        order = codes.double().var(0, correction=0).argsort(descending=True, stable=True)[: self.units].tolist()
        ranges = [self.ranges[0]] * codes.shape[1] if self.ranges else code_ranges(codes)
        varied = code.repeat(len(order), count, 1)
        for row, unit in enumerate(order):
            varied[row, :, unit] = torch.linspace(ranges[unit][0], ranges[unit][1], count)
        images = decoder.images(varied.view(-1, code.shape[1]))
        rows = [torch.cat([image[None], decoder.images(code)]), *torch.split(images, count)]
        titles = [f"z[{unit}]: {ranges[unit][0]:.2g} … {ranges[unit][1]:.2g}" for unit in order]
        facts = {"kind": "traversals", "size": count, "units": order,
                 "ranges": [ranges[unit] for unit in order]}  # fmt: skip
        return plots.image_grid(rows, ["image, decoded", *titles]), facts

    def _samples(self) -> tuple[Figure, dict[str, Any]]:
        """A row for each class, at most twenty."""
        count = self.size or SAMPLES
        generating = Generating(self.run, self.display, self.runtime)
        classes = self.run.spec.classes[:20]
        rows = [generating.images(count, label) for label in range(len(classes))]
        return plots.image_grid(rows, list(classes)), {"kind": "classes", "size": count, "classes": list(classes)}

    def _corners(self) -> tuple[Figure, dict[str, Any]]:
        """The first four generated images in the corners, and what lies between them: see :func:`code_path`."""
        count = self.size or CORNERS
        generating = Generating(self.run, self.display, self.runtime, values=self.values)
        codes, labels = generating.drawn(range(4), self.label)
        left, right = (code_path(codes[up], codes[up + 2], count, "spherical") for up in (0, 1))
        rows = [code_path(one, other, count, "spherical") for one, other in zip(left, right, strict=True)]
        decoder = Decoder(self.run, self.display, generating.runtime, labels=None if labels is None else labels[:1])
        images = decoder.images(torch.cat(rows))
        facts = {"kind": "corners", "size": count, "seed": generating.runtime.seed}
        return plots.image_grid(torch.split(images, count), [""] * count), facts

    def _ranges(self, decoder: Decoder) -> list[Range]:
        return code_ranges(self._codes(decoder))

    def _codes(self, decoder: Decoder) -> Tensor:
        train = spread(self._loaded().train, _FITTED)
        return decoder.runtime.collect(decoder.technique.encode, train)

    def _loaded(self) -> ImageData:
        if self._data is None:
            self._data = load_for(self.run, self.display)
        return self._data

    def _image(self) -> Tensor:
        """The image around which units vary, ``(C, H, W)``."""
        if self.image is None:
            return self._loaded().held_out.pixels(torch.tensor([0]))[0]
        if not self.image.is_file():
            raise DataError(f"There is no image {str(self.image)!r}.", "--image takes the path of an image file.")
        return to_pixels(read_images([self.image], self.run.spec))[0]


def parse_ranges(text: str) -> list[Range]:
    """``-3,3`` or ``-3,3,0,20`` → ranges.

    Raises:
        UsageError: other than two or four numbers, or a low end that is not below the high one.
    """
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    pairs = list(zip(numbers[::2], numbers[1::2], strict=False))
    if len(numbers) not in (2, 4) or not all(-1e30 < low < high < 1e30 for low, high in pairs):
        raise UsageError(
            f"--range {text!r} is not LOW,HIGH or LOW,HIGH,LOW,HIGH.", "For example: --range 0,20 or --range -3,3,0,20"
        )
    return pairs
