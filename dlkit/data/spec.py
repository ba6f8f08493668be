"""What a technique needs to know about data before it sees a pixel; light, plain, kept in every run."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from dlkit.options.values import MOST_SIDE

NormalizeMode = Literal["none", "channel", "mean-image", "standardize"]
ResizeMode = Literal["crop", "pad", "stretch"]
PixelType = Literal["uint8", "float32"]
TargetKind = Literal["classes", "multi-label", "number"]
"""What labels say: one class per image, any number of classes per image, or a number (several numbers)."""
LABEL_WORDS: Mapping[TargetKind, str] = {"classes": "classes", "multi-label": "labels", "number": "numbers"}
"""What a spec's ``classes`` are called."""
LABEL_SAYS: Mapping[TargetKind, str] = {
    "classes": "one class per image", "multi-label": "several labels per image", "number": "numbers",
}  # fmt: skip
"""The same in a sentence: the labels are …"""
Interpolation = Literal["bicubic", "bilinear", "nearest", "lanczos"]


@dataclass(frozen=True, kw_only=True)
class ImageForm:
    """How a technique wants its images where the user does not say: what a pretrained network was trained with.

    Attributes:
        height, width: in pixels.
        channels: 1 or 3.
        crop: with ``resize="crop"``, the share of the covering square (or rectangle) that is kept, around the centre.
        interpolation: of the resizing.
    """

    height: int
    width: int
    channels: int = 3
    crop: float = 1.0
    interpolation: Interpolation = "bicubic"


@dataclass(frozen=True, kw_only=True)
class Normalization:
    """``(pixels - mean) / std`` with the train split's statistics, on pixels in [0, 1].

    ``mean`` and ``std`` are float32 in C order, little-endian; ``shape`` broadcasts against ``(C, H, W)``:
    ``(C, 1, 1)`` for ``channel``, ``(C, H, W)`` for ``mean-image`` (std 1) and ``standardize`` (each
    pixel its own std), ``(1, 1, 1)`` for ``none`` (mean 0, std 1).
    """

    mode: NormalizeMode = "none"
    shape: tuple[int, int, int] = (1, 1, 1)
    mean: bytes = b"\x00\x00\x00\x00"
    std: bytes = b"\x00\x00\x80?"  # 1.0

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, the arrays in base64."""
        return {
            "mode": self.mode,
            "shape": list(self.shape),
            "mean": base64.b64encode(self.mean).decode("ascii"),
            "std": base64.b64encode(self.std).decode("ascii"),
        }

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Normalization:
        """The inverse of :meth:`to_json`."""
        channels, height, width = plain["shape"]
        return cls(
            mode=plain["mode"],
            shape=(channels, height, width),
            mean=base64.b64decode(plain["mean"]),
            std=base64.b64decode(plain["std"]),
        )


@dataclass(frozen=True, kw_only=True)
class DataSpec:
    """The shape and identity of a data set, as a run records it.

    Attributes:
        source: what ``--data`` named (``digits``, a path).
        name: short name for run directories and titles.
        channels, height, width: of every image after reading and resizing.
        pixel_type: how raw images are held: ``uint8`` (white is 255) or ``float32`` (white is 1).
        resize: how images of other sizes are brought to ``height × width``.
        crop: the share of each side that ``resize="crop"`` keeps of what covers, around the centre.
        interpolation: of the resizing.
        target: what the labels say.
        classes: class names in the frozen order that label numbers refer to; empty when unlabelled. With
            ``target="multi-label"`` the names of the labels, with ``"number"`` the names of the numeric columns.
        counts: images per split (``train``, ``val``, ``test``).
        class_counts: split → images per class, in the order of ``classes``.
        normalization: the train split's statistics.
        fingerprint: SHA-256 over the decoded images, labels and splits.
    """

    source: str
    name: str
    channels: int
    height: int
    width: int
    pixel_type: PixelType = "uint8"
    resize: ResizeMode = "crop"
    crop: float = 1.0
    interpolation: Interpolation = "bicubic"
    target: TargetKind = "classes"
    classes: tuple[str, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    class_counts: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    normalization: Normalization = Normalization()
    fingerprint: str = ""

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(C, H, W)``."""
        return (self.channels, self.height, self.width)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self) | {"normalization": self.normalization.to_json()}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> DataSpec:
        """The inverse of :meth:`to_json`, for JSON that may come from anyone.

        Raises:
            ValueError, TypeError, KeyError, AttributeError: it is no spec, or its values are impossible.
        """
        fields = dict(plain)
        fields["classes"] = tuple(plain["classes"])
        fields["class_counts"] = {split: tuple(counts) for split, counts in plain["class_counts"].items()}
        fields["normalization"] = Normalization.from_json(plain["normalization"])
        spec = cls(**fields)
        _check_images(spec)
        _check_labels(spec)
        _check_normalization(spec)
        return spec


def _check_images(spec: DataSpec) -> None:
    """What is built from a value of the wrong kind would fail far from here."""
    for name in ("source", "name", "fingerprint"):
        _require(isinstance(getattr(spec, name), str), f"{name} = {getattr(spec, name)!r}")
    for name, most in (("channels", 4), ("height", MOST_SIDE), ("width", MOST_SIDE)):
        value = getattr(spec, name)
        _require(type(value) is int and 1 <= value <= most, f"{name} = {value!r}")
    for name, known in (("pixel_type", PixelType), ("resize", ResizeMode), ("interpolation", Interpolation)):
        _require(getattr(spec, name) in get_args(known), f"{name} = {getattr(spec, name)!r}")
    _require(type(spec.crop) in (int, float) and 0 < spec.crop <= 2, f"crop = {spec.crop!r}")


def _check_labels(spec: DataSpec) -> None:
    _require(spec.target in get_args(TargetKind), f"target = {spec.target!r}")
    _require(all(isinstance(name, str) for name in spec.classes), f"classes = {spec.classes!r}")
    rows = spec.class_counts.values()
    counts = [*spec.counts.values(), *(count for row in rows for count in row)]
    _require(all(type(count) is int and count >= 0 for count in counts), f"counts = {counts}")
    _require(all(len(row) == len(spec.classes) for row in rows), f"class_counts = {spec.class_counts!r}")


def _check_normalization(spec: DataSpec) -> None:
    normalization, size = spec.normalization, 1
    _require(normalization.mode in get_args(NormalizeMode), f"mode = {normalization.mode!r}")
    for own, images in zip(normalization.shape, spec.shape, strict=True):
        _require(type(own) is int and own in (1, images), f"normalization of {normalization.shape} for {spec.shape}")
        size *= own
    lengths = {len(normalization.mean), len(normalization.std)}
    _require(lengths == {4 * size}, f"normalization holds other than {size} numbers")


def _require(holds: bool, said: str) -> None:
    if not holds:
        raise ValueError(said)
