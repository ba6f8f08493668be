"""The one pass over all pixels: decode (into memory, or to verify), digest, count."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from dlkit.data.data import BadImage, Pixels, Resident, Streamed
from dlkit.data.decode import quiet_pil
from dlkit.data.digests import digests
from dlkit.data.listing import Images, Ints
from dlkit.data.spec import DataSpec
from dlkit.data.statistics import Statistics
from dlkit.display import Progress

_CHUNK_BYTES = 1 << 23


@dataclass
class Examined:
    """A split after the pass.

    Attributes:
        pixels: its images.
        kept: the listing's index of each.
        digests: SHA-256 of each.
        bad: those that could not be read.
    """

    pixels: Pixels
    kept: Ints
    digests: list[bytes] = field(default_factory=list)
    bad: list[BadImage] = field(default_factory=list)


def examine(
    images: Images,
    indices: Ints,
    spec: DataSpec,
    *,
    in_memory: bool,
    statistics: Statistics | None,
    progress: Progress,
) -> Examined:
    """Read every image of a split once.

    Args:
        indices: the split's images, as numbers of ``images``.
        in_memory: keep the pixels; otherwise they are read again when asked for.
        statistics: takes in the pixels, where wanted.
    """
    size = max(1, _CHUNK_BYTES // (spec.channels * spec.height * spec.width))
    everything = np.empty((len(indices) if in_memory else 0, *spec.shape), dtype=spec.pixel_type)
    scratch = np.empty((0 if in_memory else min(size, len(indices)), *spec.shape), dtype=spec.pixel_type)
    done = Examined(Resident(torch.empty(0)), indices)
    good = np.ones(len(indices), dtype=np.bool_)
    with quiet_pil():
        for start in range(0, len(indices), size):
            chunk = indices[start : start + size]
            out = everything[start : start + len(chunk)] if in_memory else scratch[: len(chunk)]
            reasons = images.read(chunk, spec, out)
            for position, reason in reasons.items():
                good[start + position] = False
                done.bad.append(BadImage(_name(images, int(chunk[position])), reason))
            whole = out[good[start : start + len(chunk)]] if reasons else out
            done.digests += digests(whole)
            if statistics is not None:
                statistics.add(torch.from_numpy(whole))
            progress.advance(len(chunk))
    if not good.all():
        done.kept = indices[good]
        everything = everything[good] if in_memory else everything
    done.pixels = Resident(torch.from_numpy(everything)) if in_memory else Streamed(images, done.kept, spec)
    return done


def _name(images: Images, index: int) -> str:
    return images.names[index] if images.names is not None else f"image {index}"
