"""From paths to batches of raw images, the next one decoded while the model works on this one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dlkit.data.decode import quiet_pil
from dlkit.data.files import FileImages
from dlkit.data.memory import check_batch
from dlkit.data.spec import DataSpec


@dataclass(frozen=True)
class Decoded:
    """One batch.

    Attributes:
        paths: of the images that could be read.
        images: raw ``(len(paths), C, H, W)``, as the spec says.
        bad: path → reason, of the others.
    """

    paths: Sequence[Path]
    images: Tensor
    bad: dict[Path, str]


def decode_batches(
    paths: Sequence[Path], spec: DataSpec, *, batch_size: int, workers: int | None = None
) -> Iterator[Decoded]:
    """Read ``paths`` in order, to the same pixels that training saw.

    Args:
        paths: image files.
        spec: of the model.
        batch_size: files a batch; those that cannot be read are missing in it.
        workers: decoding threads; by default one per usable CPU.

    Raises:
        DataError: a batch does not fit into memory.
    """
    check_batch(spec, min(batch_size, len(paths)))
    files = FileImages(paths, workers=workers)

    def decode(start: int) -> Decoded:
        chunk = paths[start : start + batch_size]
        out = np.empty((len(chunk), *spec.shape), dtype=spec.pixel_type)
        bad = files.read(np.arange(start, start + len(chunk)), spec, out)
        good = [position for position in range(len(chunk)) if position not in bad]
        images = torch.from_numpy(out[good] if bad else out)
        return Decoded([chunk[i] for i in good], images, {chunk[i]: reason for i, reason in bad.items()})

    with quiet_pil(), ThreadPoolExecutor(1, thread_name_prefix="decode-ahead") as ahead:
        following = ahead.submit(decode, 0)
        for start in range(0, len(paths), batch_size):
            current = following
            if start + batch_size < len(paths):
                following = ahead.submit(decode, start + batch_size)
            yield current.result()
