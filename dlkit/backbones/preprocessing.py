"""How images are brought into the form that weights were trained with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self, get_args

from dlkit.data.spec import ImageForm, Interpolation
from dlkit.errors import DataError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Of ImageNet's training images in [0, 1], as nearly all published weights use them."""


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """Size, crop and interpolation of the images; then ``(pixels - mean) / std`` per channel, on pixels in [0, 1]."""

    form: ImageForm = field(default_factory=lambda: ImageForm(height=224, width=224, crop=0.875))
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(C, H, W)`` of what the network takes."""
        return (len(self.mean), self.form.height, self.form.width)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {"form": asdict(self.form), "mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`to_json`."""
        return cls(form=ImageForm(**plain["form"]), mean=tuple(plain["mean"]), std=tuple(plain["std"]))

    def told_by(self, metadata: Mapping[str, str], path: str) -> Preprocessing:
        """The same, but for what a weights file says of itself.

        Args:
            metadata: ``input`` (``3x160x160``), ``mean`` and ``std`` (``0.485,0.456,0.406``), ``crop``,
                ``interpolation``; any of them may be missing.
            path: of the file, for messages.

        Raises:
            DataError: a value cannot be read.
        """
        form, key = self.form, ""
        try:
            if key := "input" if "input" in metadata else "":
                channels, height, width = (int(part) for part in metadata[key].split("x"))
                form = replace(form, height=height, width=width, channels=1 if channels == 1 else 3)
            if key := "crop" if "crop" in metadata else "":
                form = replace(form, crop=float(metadata[key]))
            numbers: dict[str, tuple[float, ...]] = {}
            for key in ("mean", "std"):
                if key in metadata:
                    numbers[key] = tuple(float(part) for part in metadata[key].split(","))
        except ValueError as error:
            raise DataError(f"{path}: its metadata say {key} = {metadata[key]!r}, which cannot be read.") from error
        form = replace(form, interpolation=interpolation(metadata.get("interpolation", form.interpolation)))
        return Preprocessing(form=form, mean=numbers.get("mean", self.mean), std=numbers.get("std", self.std))


def interpolation(name: str) -> Interpolation:
    """What others call it → one that images can be resized with; bicubic where they know another."""
    known: tuple[Interpolation, ...] = get_args(Interpolation)
    return next((mode for mode in known if mode == name), "bicubic")


def averaged(values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    """Statistics per channel for a network that takes another number of channels: their mean, for each."""
    if len(values) == channels:
        return values
    return (sum(values) / len(values),) * channels
