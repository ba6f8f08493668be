"""The operations that published policies choose from, as augmenters with a value for each magnitude between 0 and 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from dlkit.augment import Draws, History, Scenes, operate
from dlkit.augment.cards import augmenters


@dataclass(frozen=True)
class Operation:
    """One of them.

    Attributes:
        augmenter: its name; "": the image stays as it is.
        parameter: what the magnitude sets; "": nothing.
        weak, strong: its value at magnitude 0 and 1, evenly between.
        signed: either sign, drawn.
        slope: ``weak`` and ``strong`` are tangents of the angle that the augmenter takes.
        side: the values are shifts in whole pixels, the augmenter takes a share of the height (0) or width (1); where
            that is less than ``strong``, they are so much shorter, or nothing would be left of many a small image.
        shares: the values were shares of that side at first.
        words: other parameters.
    """

    augmenter: str = ""
    parameter: str = ""
    weak: float = 0.0
    strong: float = 0.0
    signed: bool = False
    slope: bool = False
    side: int | None = None
    shares: bool = False
    words: Mapping[str, str] = field(default_factory=dict)

    def values(self, magnitudes: Tensor, signs: Tensor, size: tuple[int, int]) -> dict[str, Tensor | str]:
        """What the augmenter takes, for magnitudes in [0, 1] and signs ±1, ``(n,)`` on the CPU."""
        if not self.parameter:
            return dict(self.words)
        values = self.weak + magnitudes * (self.strong - self.weak)
        if self.signed:
            values = values * signs
        if self.slope:
            values = torch.rad2deg(values.atan())
        if self.side is not None:
            length = size[self.side]
            pixels = values * (length if self.shares else min(1.0, length / self.strong))
            values = (pixels.abs() + 1e-3).floor() * pixels.sign() / length
        if self.parameter == "bits":
            values = values.round()
        return {self.parameter: values, **self.words}


def space(
    *, shear: float, translate: float, rotate: float, change: float, bits: tuple[int, int], pixels: bool = False
) -> dict[str, Operation]:
    """AutoAugment's operations (Cubuk et al. 2019, table 6) without SamplePairing and Cutout, under their names.

    Args:
        shear: largest slope.
        translate: largest shift: a share of the side or, with ``pixels``, pixels.
        rotate: largest angle in degrees.
        change: of brightness, colour, contrast and sharpness.
        bits: that stay at magnitude 0 and 1.
        pixels: what ``translate`` means.
    """
    along = {"X": "horizontal", "Y": "vertical"}
    shears = {f"Shear{axis}": Operation("shear", "angle", strong=shear, signed=True, slope=True, words={"axis": word})
              for axis, word in along.items()}  # fmt: skip
    shifts = {f"Translate{axis}": Operation("translate", "share", strong=translate, signed=True, side="YX".index(axis),
                                            shares=not pixels, words={"axis": word})
              for axis, word in along.items()}  # fmt: skip
    names = {"Brightness": "brightness", "Color": "saturation", "Contrast": "contrast", "Sharpness": "sharpness"}
    changes = {name: Operation(own, "change", strong=change, signed=True) for name, own in names.items()}
    return {
        "Identity": Operation(),
        **shears,
        **shifts,
        "Rotate": Operation("rotate", "angle", strong=rotate, signed=True),
        **changes,
        "Posterize": Operation("posterize", "bits", weak=bits[0], strong=bits[1]),
        "Solarize": Operation("solarize", "threshold", weak=1.0, strong=0.0),
        "AutoContrast": Operation("auto-contrast"),
        "Equalize": Operation("equalize"),
        "Invert": Operation("invert"),
    }


@dataclass(frozen=True)
class Choice:
    """What is done to each image of a batch; all ``(B,)`` on the CPU.

    Attributes:
        operations: int64, places in a sequence of operations; −1: nothing.
        magnitudes: float32 in [0, 1].
        signs: float32, ±1.
    """

    operations: Tensor
    magnitudes: Tensor
    signs: Tensor

    @classmethod
    def drawn(cls, draws: Draws, count: int, magnitudes: Tensor, done: Tensor | None = None) -> Choice:
        """Any of so many operations alike, at given magnitudes, with either sign; for the images that ``done`` says."""
        here = draws.on_cpu()
        operations = here.integers("operation", count)
        if done is not None:
            operations = torch.where(done, operations, -1)
        return cls(operations, magnitudes, here.integers("sign", 2) * 2.0 - 1)


def perform(
    scenes: Scenes, draws: Draws, choice: Choice, operations: Sequence[Operation], history: History | None
) -> Scenes:
    """The images, each changed by its operation; images with the same one go through it together."""
    parts, known, own = [], augmenters(), draws.fork("operation")
    for place in sorted(set(choice.operations.tolist())):
        if place < 0 or not operations[place].augmenter:
            continue
        rows, operation = (choice.operations == place).nonzero()[:, 0], operations[place]
        values = operation.values(choice.magnitudes[rows], choice.signs[rows], scenes.size)
        card, some = known[operation.augmenter], history and history.at(rows)
        parts.append((rows, operate(card, scenes.at(rows), own.at(rows), values, some)))
    return scenes.put_all(parts)


def even(draws: Draws, bins: int) -> Tensor:
    """Magnitudes that are even over so many values from 0 to 1, ``(B,)`` on the CPU."""
    return draws.on_cpu().integers("magnitude", bins).float() / (bins - 1)


TRIVIAL = space(shear=0.99, translate=32, rotate=135, change=0.99, bits=(8, 2), pixels=True)
RAND = space(shear=0.3, translate=150 / 331, rotate=30, change=0.9, bits=(8, 4))
AUGMIX = space(shear=0.3, translate=1 / 3, rotate=30, change=0.9, bits=(4, 0))
