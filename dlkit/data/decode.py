"""From an image, as PIL opens it, to the pixels that a spec asks for. Every image of every verb passes here.

- EXIF orientation is applied; of an animation the first frame is read; colour profiles are not applied.
- Transparency is composited on white, before resizing.
- 16-bit images keep their depth: value / 65535 as float32. Other integers are value / 255.
- Grey from colour is ITU-R 601-2 luma (PIL's ``L``), colour from grey repeats the channel.
- Resizing is PIL's, bicubic unless the spec says otherwise, with antialiasing, on the region that ``crop``, ``pad``
  (black) or ``stretch`` asks for; a crop keeps the spec's share of each side, as pretrained networks are evaluated;
  JPEG files are first scaled down by 2, 4 or 8 inside the decoder (``draft``), never below the size asked for.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dlkit.data.listing import Pixels
from dlkit.data.spec import DataSpec

# A closed list: others can do more than decode (EPS runs Ghostscript).
_FORMATS = ("PNG", "JPEG", "MPO", "BMP", "DIB", "GIF", "TIFF", "WEBP", "PPM", "TGA", "JPEG2000", "AVIF", "ICO")
EXTENSIONS = frozenset((
    ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".gif", ".tif", ".tiff", ".webp",
    ".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".jp2", ".avif", ".ico",
))  # fmt: skip
DEEP_MODES = frozenset(("I", "F", "I;16", "I;16L", "I;16B", "I;16N"))
GREY_MODES = frozenset(("1", "L", "LA", "La")) | DEEP_MODES

_SAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def allowed_formats() -> list[str]:
    """Those of the formats that this build of Pillow reads. Call it once, before threads start."""
    Image.init()
    return [name for name in _FORMATS if name in Image.OPEN]


@contextmanager
def opened(source: str | PathLike[str] | BinaryIO, formats: list[str]) -> Iterator[Image.Image]:
    """Open an image, header only.

    Raises:
        ValueError: more pixels than PIL's limit (a decompression bomb).
        OSError: not an image of one of the formats.
    """
    with Image.open(source, formats=formats) as image:
        limit = Image.MAX_IMAGE_PIXELS
        if limit is not None and image.width * image.height > limit:
            raise ValueError(f"{image.width} x {image.height} pixels: more than the limit of {limit:,}")
        yield image


@contextmanager
def quiet_pil() -> Iterator[None]:
    """PIL's warnings about odd metadata off; the filters are the process's, so enter it in one thread."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield


def orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8; 1 where there is none. Does not decode."""
    if image.format not in ("JPEG", "MPO", "WEBP") and "exif" not in image.info:
        return 1  # PNG would be decoded to look for a trailing chunk; TIFF is turned by PIL itself
    try:
        turn = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # metadata may hold anything; the pixels are what counts
        return 1
    return turn if turn in _TURNS else 1


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Height and width after EXIF orientation."""
    swapped = orientation(image) >= 5
    return (image.width, image.height) if swapped else (image.height, image.width)


def fit(image: Image.Image, spec: DataSpec) -> Pixels:
    """Bring an opened image to the spec's form.

    Returns:
        ``(C, H, W)``, uint8 or float32 in [0, 1] as ``spec.pixel_type`` says.

    Raises:
        Exception: whatever PIL raises on a broken file; ValueError for values out of range.
    """
    before = orientation(image)
    width, height = (spec.height, spec.width) if before >= 5 else (spec.width, spec.height)
    full = image.size
    extent = _draft(image, (width, height), spec)
    image.load()
    turn = _TURNS.get(orientation(image))
    flat = _flatten(image, spec.channels)
    if full != (width, height) or _crops(spec):
        flat = _resize(flat, extent, (width, height), spec)
    if turn is not None:
        flat = flat.transpose(turn)
    return _to_array(flat, spec)


def fit_array(array: Pixels, spec: DataSpec) -> Pixels:
    """The same for ``(H, W, C)`` uint8 or float32 in [0, 1]; C = 1, 2 (with alpha), 3 or 4 (with alpha)."""
    if array.dtype == np.uint8:
        plane = array[..., 0] if array.shape[2] == 1 else array
        return fit(Image.fromarray(np.ascontiguousarray(plane)), spec)
    planes = _float_channels(array, spec.channels)
    fitted = [_to_array(_resize_float(plane, spec), _one_channel(spec)) for plane in planes]
    return np.concatenate(fitted)


def _one_channel(spec: DataSpec) -> DataSpec:
    from dataclasses import replace

    return replace(spec, channels=1)


def _float_channels(array: NDArray[np.float32], channels: int) -> list[NDArray[np.float32]]:
    """Planes of a float image: alpha over white, then luma or repetition as for 8 bits."""
    if array.shape[2] in (2, 4):
        alpha = array[..., -1:]
        array = array[..., :-1] * alpha + (1 - alpha)
    if array.shape[2] == channels:
        return [array[..., channel] for channel in range(channels)]
    if channels == 3:
        return [array[..., 0]] * 3
    return [array @ np.array([0.299, 0.587, 0.114], dtype=np.float32)]  # ITU-R 601-2


def _resize_float(plane: NDArray[np.float32], spec: DataSpec) -> Image.Image:
    image = Image.fromarray(np.ascontiguousarray(plane, dtype=np.float32))
    if image.size == (spec.width, spec.height) and not _crops(spec):
        return image
    return _resize(image, image.size, (spec.width, spec.height), spec)


def _crops(spec: DataSpec) -> bool:
    return spec.resize == "crop" and spec.crop < 1


def _draft(image: Image.Image, target: tuple[int, int], spec: DataSpec) -> tuple[float, float]:
    """Have a JPEG decoded at the least scale at which the part that is kept still has the target's pixels.

    Returns:
        Width and height of the image's content at that scale; the pixels may reach beyond it by a fraction.
    """
    full = image.size
    if image.format not in ("JPEG", "MPO") or (full == target and spec.channels == 3 and not _crops(spec)):
        return full
    wanted = target
    if spec.resize != "stretch":
        scales = target[0] / full[0], target[1] / full[1]
        scale = max(scales) / spec.crop if spec.resize == "crop" else min(scales)
        wanted = max(1, round(full[0] * scale)), max(1, round(full[1] * scale))
    drafted = image.draft("L" if spec.channels == 1 else "RGB", wanted)
    return (drafted[1][2], drafted[1][3]) if drafted is not None else full


def _flatten(image: Image.Image, channels: int) -> Image.Image:
    """Mode L, RGB, or F with values in [0, 1]; no transparency."""
    if image.mode in DEEP_MODES:
        return _deep(image)
    see_through = image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or (
        "transparency" in image.info and image.mode in ("1", "L", "P", "RGB")
    )
    if see_through:
        white = Image.new("RGBA", image.size, "white")
        white.alpha_composite(image.convert("RGBA"))
        image = white
    elif image.mode not in ("1", "L", "RGB"):
        image = image.convert("RGB")  # palette, CMYK, YCbCr, LAB, HSV
    wanted = "L" if channels == 1 else "RGB"
    return image if image.mode == wanted else image.convert(wanted)


def _deep(image: Image.Image) -> Image.Image:
    """16-bit integers or floats → mode F in [0, 1].

    Raises:
        ValueError: values that do not fit into 16 bits, or floats outside [0, 1].
    """
    values = np.asarray(image)
    low, high = float(values.min()), float(values.max())
    top = 1.0 if image.mode == "F" else 65535.0
    if not (low >= 0 and high <= top):
        raise ValueError(f"values from {low:g} to {high:g}, expected 0 to {top:g}")
    return Image.fromarray(values.astype(np.float32) / np.float32(top))


def _resize(image: Image.Image, extent: tuple[float, float], target: tuple[int, int], spec: DataSpec) -> Image.Image:
    """Resize the part of the image, ``extent`` from its corner, that the spec keeps."""
    ratios = extent[0] / target[0], extent[1] / target[1]
    sampling = _SAMPLING[spec.interpolation]
    if spec.resize == "stretch":
        return image.resize(target, sampling, box=(0, 0, *extent))
    if spec.resize == "crop":
        kept = target[0] * min(ratios) * spec.crop, target[1] * min(ratios) * spec.crop
        left, top = max(0.0, (extent[0] - kept[0]) / 2), max(0.0, (extent[1] - kept[1]) / 2)
        box = (left, top, min(left + kept[0], extent[0]), min(top + kept[1], extent[1]))
        return image.resize(target, sampling, box=box)
    width, height = (max(1, min(most, round(size / max(ratios)))) for size, most in zip(extent, target, strict=True))
    canvas = Image.new(image.mode, target)
    inner = image.resize((width, height), sampling, box=(0, 0, *extent))
    canvas.paste(inner, ((target[0] - width) // 2, (target[1] - height) // 2))
    return canvas


def _to_array(image: Image.Image, spec: DataSpec) -> Pixels:
    array: Pixels = np.asarray(image)
    grey = array.ndim == 2
    array = np.broadcast_to(array, (spec.channels, *array.shape)) if grey else array.transpose(2, 0, 1)
    if array.dtype == np.uint8:
        return array if spec.pixel_type == "uint8" else array.astype(np.float32) / np.float32(255)
    array = np.clip(array, 0, 1)  # bicubic weights are negative in places
    return np.rint(array * 255).astype(np.uint8) if spec.pixel_type == "uint8" else array
