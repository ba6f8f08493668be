"""Codes of images as an .npz file, exact or in few bits, for `dlkit decode` and for whatever people do with them."""

from __future__ import annotations

import io
import lzma
import zipfile
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dlkit.data.npz import BROKEN, check_size
from dlkit.errors import DataError, UsageError
from dlkit.files import atomic_path
from dlkit.loading import load_for
from dlkit.quantize import MOST_BITS, Quantizer, pack, unpack
from dlkit.runtime import Runtime
from dlkit.session import ready
from dlkit.technique import Encodes

if TYPE_CHECKING:
    from dlkit.data import Split
    from dlkit.display import Display
    from dlkit.run import Run

_LZMA_BYTES = 16 << 20
"""Beyond that LZMA takes too long to try."""


def write_codes(
    run: Run,
    target: Path,
    display: Display,
    *,
    data: str | None = None,
    runtime: Runtime | None = None,
    bits: int | None = None,
) -> dict[str, Any]:
    """Encode all splits of the run's data (or of other data) and write ``codes`` (N, Z) float32, ``split`` (N,) and,
    where there are any, ``labels`` (N,) int64, ``classes`` (K,) and ``files`` (N,).

    With ``bits`` there are ``packed`` (N, ceil(Z · bits / 8)) uint8, ``bits``, ``low`` (Z,) and ``step`` (Z,) in place
    of ``codes``: see :mod:`dlkit.quantize`. The ranges are those of the run's own training images.

    Returns:
        ``{"path", "images", "size"}``; with ``bits`` also ``bits``, ``bytes_per_image`` (of the packed code),
        ``stored_bytes_per_image`` (what it takes in the file) and ``outside`` (the share of numbers beyond the range).

    Raises:
        UsageError: the technique does not encode, the file exists, or bits other than 1 … 16.
    """
    if target.exists():
        raise UsageError(f"{str(target)!r} exists, and nothing is overwritten.", "Choose another file with --out.")
    runtime = runtime or Runtime(run.settings.runtime, display)
    technique = ready(run, runtime)
    if not isinstance(technique, Encodes):
        raise UsageError(
            f"A run of {run.technique} does not encode.", "`dlkit info NAME` says what a technique can do."
        )
    loaded = load_for(run, display, data=data)
    splits = [split for split in (loaded.train, loaded.val, loaded.test) if len(split)]
    codes = np.concatenate([runtime.collect(technique.encode, split).numpy() for split in splits])
    about = _about(splits, loaded.spec.classes)
    told: dict[str, Any] = {"path": target, "images": len(codes), "size": codes.shape[1]}
    if bits is None:
        with atomic_path(target) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, codes=codes, **about)
        return told
    train = codes[about["split"] == "train"] if data is None else None
    if train is None:
        train = runtime.collect(technique.encode, load_for(run, display).train).numpy()
    quantizer = Quantizer.fit(train, bits)
    packed = pack(quantizer.cells(codes), bits)
    arrays = {"packed": packed, "bits": np.array(bits), "low": quantizer.low, "step": quantizer.step, **about}
    stored = _write_small(target, arrays)["packed"]
    return told | {
        "bits": bits,
        "bytes_per_image": quantizer.bytes,
        "stored_bytes_per_image": stored / len(codes),
        "outside": float(quantizer.outside(codes).mean()),
    }


def _about(splits: list[Split], classes: tuple[str, ...]) -> dict[str, Any]:
    """What is known of each image but its code."""
    arrays: dict[str, Any] = {"split": np.concatenate([np.full(len(split), split.name) for split in splits])}
    if all(split.labels is not None for split in splits):
        arrays["labels"] = np.concatenate([split.labels.numpy() for split in splits if split.labels is not None])
        arrays["classes"] = np.array(classes, dtype=str)
    if all(split.targets is not None for split in splits):
        arrays["targets"] = np.concatenate([split.targets.numpy() for split in splits if split.targets is not None])
        arrays["classes"] = np.array(classes, dtype=str)
    if all(split.files is not None for split in splits):
        arrays["files"] = np.array([str(file) for split in splits for file in split.files or ()])
    return arrays


def _write_small(target: Path, arrays: dict[str, Any]) -> dict[str, int]:
    """An .npz whose members are each compressed by what makes them smallest: nothing, deflate or LZMA, which
    ``numpy.load`` all reads; name → bytes in the file."""
    with atomic_path(target) as temporary:
        with zipfile.ZipFile(temporary, "w") as archive:
            for name, array in arrays.items():
                stream = io.BytesIO()
                np.lib.format.write_array(stream, np.asarray(array), allow_pickle=False)
                content = stream.getvalue()
                archive.writestr(f"{name}.npy", content, _method(content), compresslevel=9)
        with zipfile.ZipFile(temporary) as archive:
            return {each.filename.removesuffix(".npy"): each.compress_size for each in archive.infolist()}


def _method(content: bytes) -> int:
    sizes = {zipfile.ZIP_STORED: len(content), zipfile.ZIP_DEFLATED: len(zlib.compress(content, 9))}
    if len(content) <= _LZMA_BYTES:
        sizes[zipfile.ZIP_LZMA] = len(lzma.compress(content))
    return min(sizes, key=lambda method: sizes[method])


@dataclass(frozen=True)
class Codes:
    """Codes that were read from a file.

    Attributes:
        values: float32 ``(N, Z)``.
        names: what to call each image: its file, else its split and number.
        labels: int64 ``(N,)`` classes or float32 ``(N, K)`` labels or numbers, where the file has some.
    """

    values: NDArray[np.float32]
    names: list[str]
    labels: NDArray[Any] | None = None


def read_codes(path: Path) -> Codes:
    """Codes as :func:`write_codes` writes them; ``codes`` alone is enough, so files made elsewhere are read too.

    Raises:
        DataError: the file is missing or broken, or holds no codes.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            check_size(file, path)
            arrays = {name: file[name] for name in file.files}
        values = _unpacked(arrays) if "packed" in arrays else np.asarray(arrays["codes"], dtype=np.float32)
        if values.ndim != 2 or not np.isfinite(values).all():
            raise ValueError(f"codes of shape {values.shape}; expected finite numbers (N, Z)")
        names = [str(name) for name in arrays["files"]] if "files" in arrays else _numbered(arrays, len(values))
        if len(names) != len(values):
            raise ValueError(f"{len(names)} names for {len(values)} codes")
        labels = arrays.get("labels", arrays.get("targets"))
        if labels is not None and (len(labels) != len(values) or labels.dtype.kind not in "iuf"):
            raise ValueError(f"labels of type {labels.dtype} and shape {labels.shape} for {len(values)} codes")
    except FileNotFoundError as error:
        raise DataError(f"There is no file {str(path)!r}.", "`dlkit encode RUN` writes codes.") from error
    except (*BROKEN, TypeError, AttributeError) as error:
        raise DataError(
            f"{str(path)!r} does not hold codes: {error}.", "`dlkit encode RUN` writes such files."
        ) from error
    return Codes(values, names, labels)


def _unpacked(arrays: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
    bits, low, step, packed = int(arrays["bits"]), arrays["low"], arrays["step"], arrays["packed"]
    quantizer = Quantizer(bits, low, step)
    fits = low.ndim == 1 and low.shape == step.shape and packed.ndim == 2 and packed.shape[1] == quantizer.bytes
    if not 1 <= bits <= MOST_BITS or not fits or packed.dtype != np.uint8:
        raise ValueError(f"{packed.dtype} of shape {packed.shape} is not {len(low)} units in {bits} bits each")
    return quantizer.values(unpack(packed, bits, len(low)))


def _numbered(arrays: dict[str, NDArray[Any]], count: int) -> list[str]:
    """Split and number within it: what messages call an image without a file."""
    splits = [str(split) for split in arrays["split"]] if "split" in arrays else ["image"] * count
    seen: Counter[str] = Counter()
    names = []
    for split in splits:
        names.append(f"{split}-{seen[split]:05d}")
        seen[split] += 1
    return names
