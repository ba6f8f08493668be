"""Single files, as a run's data was read: what ``predict`` uses."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dlkit.data.decode import quiet_pil
from dlkit.data.files import FileImages
from dlkit.data.spec import DataSpec
from dlkit.data.text import enumerated
from dlkit.errors import DataError


def read_images(paths: Sequence[str | PathLike[str]], spec: DataSpec, *, workers: int | None = None) -> Tensor:
    """Decode image files to the same pixels that training would have seen.

    Args:
        paths: n image files.
        spec: of the trained run.
        workers: decoding threads; by default one per usable CPU.

    Returns:
        Raw images ``(n, C, H, W)``, uint8 or float32 as ``spec.pixel_type`` says; see
        :func:`dlkit.data.to_pixels`.

    Raises:
        DataError: files that cannot be read, with the reasons.
    """
    images = FileImages([Path(path) for path in paths], workers=workers)
    out = np.empty((len(images), *spec.shape), dtype=spec.pixel_type)
    with quiet_pil():
        bad = images.read(np.arange(len(images)), spec, out)
    if bad:
        lines = [f"{images.names[position]}: {reason}" for position, reason in bad.items()]
        raise DataError(f"{len(bad)} of {len(images)} images cannot be read:\n{enumerated(lines)}")
    return torch.from_numpy(out)
