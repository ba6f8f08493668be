"""How good images are that come back from codes of few bytes, beside PCA and JPEG at the same bytes."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from dlkit.baselines import PCABaseline, spread
from dlkit.baselines.quality import psnr
from dlkit.metrics import Metrics, Row, Table
from dlkit.quantize import Quantizer
from dlkit.report import Picture

if TYPE_CHECKING:
    from dlkit.data import ImageData
    from dlkit.runtime import Runtime

BITS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16)
QUALITIES = (1, 5, 10, 20, 35, 50, 65, 80, 90, 95)
IMAGES, TRAIN_IMAGES, COMPONENTS = 128, 5_000, 256
"""At most so many images are compared, so many fit ranges and PCA, and so many components has that."""
_VALUES, _TRAIN_VALUES = 5_000_000, 30_000_000
"""And at most so many pixel values in all: a few seconds."""
CODES, JPEG = "rate_distortion", "jpeg"
"""Names of the two tables."""

Floats = NDArray[np.floating[Any]]


def rate_distortion(technique: Any, data: ImageData, runtime: Runtime) -> tuple[Table, ...]:
    """Two tables: codes and PCA by bits, and JPEG by quality; none where there are no training images.

    Args:
        technique: it encodes and decodes; its modules are on the device and in eval mode.
        data: ranges and PCA are fitted on ``data.train``, distortion is that of ``data.held_out``.
        runtime: where it is computed.
    """
    train, held_out = spread(data.train, TRAIN_IMAGES, _TRAIN_VALUES), spread(data.held_out, IMAGES, _VALUES)
    if not len(train) or not len(held_out):
        return ()
    images = held_out.pixels()
    fitted, codes = (runtime.collect(technique.encode, split).numpy() for split in (train, held_out))

    def decode(values: Floats) -> Tensor:
        with runtime.inference():
            chunks = torch.split(torch.from_numpy(values.astype(np.float32)), IMAGES)
            return torch.cat([technique.decode(chunk.to(runtime.device)).float().cpu() for chunk in chunks])

    pca = PCAByBits(train.pixels(), codes.shape[1])
    jpeg = jpeg_rows(images)
    rows = [_row(bits, fitted, codes, decode, pca, images, jpeg) for bits in BITS]
    _, exact = _distortion(decode(codes), images)
    note = (
        f"{len(images):,} {held_out.name} images; ranges and PCA fitted on {len(train):,} training images. JPEG is "
        f"counted by its data alone, without headers and tables. With exact codes (float32) the PSNR is {exact:.2f} dB."
    )
    tables = [Table(name=CODES, title="Codes in few bits", rows=tuple(rows), note=note)]
    if jpeg:
        note = "Standard tables; chroma of half the resolution. The data alone, and the whole file with its headers."
        tables.append(Table(name=JPEG, title="JPEG of the same images", rows=tuple(jpeg), note=note))
    return tuple(tables)


def _row(
    bits: int, fitted: Floats, codes: Floats, decode: Callable[[Floats], Tensor], pca: PCAByBits, images: Tensor,
    jpeg: Sequence[Row],
) -> Row:  # fmt: skip
    quantizer = Quantizer.fit(fitted, bits)
    own = _distortion(decode(quantizer.rounded(codes)), images)
    size = codes.shape[1] * bits / 8
    components, each = pca.choice(codes.shape[1] * bits)
    other = _distortion(pca.restored(images, components, each), images)
    return {
        "bits": bits,
        "bytes per image": size,
        "MSE": own[0],
        "PSNR (dB)": own[1],
        "PCA MSE": other[0],
        "PCA PSNR (dB)": other[1],
        "PCA": f"{components} × {each} bits",
        "JPEG PSNR (dB)": _jpeg_at(size, jpeg),
    }


class PCAByBits:
    """PCA whose coefficients are quantised as codes are; how many in how many bits is chosen on training images.

    Args:
        images: training images ``(N, C, H, W)``.
        units: size of the code that it is compared with; up to four times as many components are looked at.
    """

    def __init__(self, images: Tensor, units: int) -> None:
        self._pca = PCABaseline(images, min(4 * units, COMPONENTS))
        codes = self._pca.encode(images)
        self._quantizers = {bits: Quantizer.fit(codes, bits) for bits in BITS}
        energy = codes.astype(np.float64).__pow__(2).mean(0)
        self.loss = {  # components are orthonormal: an error of a coefficient is one of the image
            bits: np.cumsum(((quantizer.rounded(codes) - codes).astype(np.float64) ** 2).mean(0) - energy)
            for bits, quantizer in self._quantizers.items()
        }
        """Bits → how the squared error per training image changes with the first 1, 2, … components, ``(K,)``."""

    def choice(self, budget: int) -> tuple[int, int]:
        """Components and bits of each, together at most ``budget`` bits, that are best on the training images."""
        found = {}
        for bits in BITS:
            most = min(budget // bits, self._pca.components)
            if most:
                best = int(self.loss[bits][:most].argmin())
                found[best + 1, bits] = self.loss[bits][best]
        return min(found, key=lambda pair: found[pair])

    def restored(self, images: Tensor, components: int, bits: int) -> Tensor:
        """Images ``(N, C, H, W)`` from so many quantised coefficients."""
        return self._pca.decode(self._quantizers[bits].rounded(self._pca.encode(images))[:, :components])


def jpeg_rows(images: Tensor) -> list[Row]:
    """What JPEG takes and loses at each quality, means over images ``(N, 1 or 3, H, W)``; empty for other channels."""
    if images.shape[1] not in (1, 3):
        return []
    raw = (images * 255).round().byte().permute(0, 2, 3, 1).numpy()
    pictures = [Image.fromarray(each[:, :, 0] if each.shape[2] == 1 else each) for each in raw]
    rows: list[Row] = []
    for quality in QUALITIES:
        files = [_jpeg(picture, quality) for picture in pictures]
        restored = np.stack([np.asarray(Image.open(io.BytesIO(file), formats=("JPEG",))) for file in files])
        pixels = torch.from_numpy(restored).reshape(raw.shape).permute(0, 3, 1, 2).float() / 255
        mse, decibels = _distortion(pixels, images)
        rows.append(
            {
                "quality": quality,
                "bytes of data": float(np.mean([data_bytes(file) for file in files])),
                "bytes of the file": float(np.mean([len(file) for file in files])),
                "MSE": mse,
                "PSNR (dB)": decibels,
            }
        )
    return rows


def _jpeg(picture: Image.Image, quality: int) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def data_bytes(file: bytes) -> int:
    """The entropy-coded bytes of a baseline JPEG: from the end of its scan's header (SOS) to the last marker (EOI)."""
    place = 2  # after SOI
    while file[place + 1] != 0xDA:
        place += 2 + int.from_bytes(file[place + 2 : place + 4], "big")
    return len(file) - (place + 2 + int.from_bytes(file[place + 2 : place + 4], "big")) - 2


def _jpeg_at(size: float, rows: Sequence[Row]) -> float | str:
    """PSNR at so many bytes of data, between qualities by interpolation; empty where no quality is so small."""
    if not rows or size < float(rows[0]["bytes of data"]):
        return ""
    bytes_, decibels = ([float(row[name]) for row in rows] for name in ("bytes of data", "PSNR (dB)"))
    return float(np.interp(math.log(size), np.log(bytes_), decibels))


def _distortion(restored: Tensor, images: Tensor) -> tuple[float, float]:
    """Means over images of MSE and PSNR, both clipped to [0, 1]."""
    mse = (restored.clamp(0, 1) - images).double().square().flatten(1).mean(1)
    return float(mse.mean()), float(psnr(mse).mean())


def rate_distortion_picture(metrics: Metrics) -> Picture | None:
    """The curve, drawn from the tables; None where there are none."""
    from dlkit.report.code_plots import rate_distortion_curves

    tables = {table.name: table for table in metrics.tables}
    if CODES not in tables:
        return None
    rows, jpeg = tables[CODES].rows, tables[JPEG].rows if JPEG in tables else ()
    caption = (
        "How close images are that come back from codes of so many bytes (below the marks: the bits of a unit). "
        f"{tables[CODES].note}"
    )
    return Picture("rate-distortion", "Rate and distortion", caption, rate_distortion_curves(rows, jpeg))
