"""Codes in few bits: each unit's range cut into 2^b cells of one width, packed bit by bit.

Uniform scalar quantisation with the levels in the middle of the cells (Gersho and Gray 1992, Vector Quantization and
Signal Compression, section 5.4): within the range no value moves by more than half a cell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlkit.errors import UsageError

MOST_BITS = 16

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Quantizer:
    """A uniform quantiser for each of ``Z`` units.

    Attributes:
        bits: of a unit, 1 … 16.
        low: where each unit's first cell begins, float64 ``(Z,)``.
        step: width of its cells, float64 ``(Z,)``; 0 for a unit that never changes, which is kept exactly.
    """

    bits: int
    low: NDArray[np.float64]
    step: NDArray[np.float64]

    @classmethod
    def fit(cls, codes: Floats, bits: int) -> Quantizer:
        """The quantiser whose cells cover exactly the range of ``codes`` ``(N, Z)``, N ≥ 1.

        Raises:
            UsageError: bits other than 1 … 16.
        """
        if not 1 <= bits <= MOST_BITS:
            raise UsageError(f"A unit of a code takes 1 to {MOST_BITS} bits, not {bits}.")
        low, high = (codes.astype(np.float64).min(0), codes.astype(np.float64).max(0))
        return cls(bits, low, (high - low) / 2**bits)

    @property
    def bytes(self) -> int:
        """What the packed code of one image takes."""
        return -(-len(self.low) * self.bits // 8)

    def outside(self, codes: Floats) -> NDArray[np.bool_]:
        """Which values ``(N, Z)`` lie beyond the range, so that the outermost level stands for them."""
        high = self.low + self.step * 2**self.bits
        slack = 1e-6 * (high - self.low)  # of float32 codes that were the range's own ends
        beyond: NDArray[np.bool_] = (codes < self.low - slack) | (codes > high + slack)
        return beyond

    def cells(self, codes: Floats) -> NDArray[np.uint16]:
        """Codes ``(N, Z)`` → the number of each value's cell, 0 … 2^b − 1; beyond the range the outermost."""
        width = np.where(self.step > 0, self.step, 1.0)
        cells = np.floor((codes.astype(np.float64) - self.low) / width)
        return np.clip(cells, 0, 2**self.bits - 1).astype(np.uint16)

    def values(self, cells: NDArray[np.uint16]) -> NDArray[np.float32]:
        """The middle of each cell, ``(N, Z)``: the inverse of :meth:`cells` but for half a step."""
        return (self.low + (cells + 0.5) * self.step).astype(np.float32)

    def rounded(self, codes: Floats) -> NDArray[np.float32]:
        """What comes back of codes ``(N, Z)``."""
        return self.values(self.cells(codes))


def pack(cells: NDArray[np.uint16], bits: int) -> NDArray[np.uint8]:
    """Numbers ``(N, Z)`` below 2^bits → ``(N, ceil(Z · bits / 8))`` bytes.

    A row holds the units in order, each with its highest bit first, and ends with zero bits to a whole byte.
    """
    places = np.arange(bits - 1, -1, -1, dtype=np.uint16)
    each = ((cells[:, :, None] >> places) & 1).astype(np.uint8)
    return np.packbits(each.reshape(len(cells), cells.shape[1] * bits), axis=1)


def unpack(packed: NDArray[np.uint8], bits: int, units: int) -> NDArray[np.uint16]:
    """The inverse of :func:`pack`: bytes → numbers ``(N, units)``."""
    each = np.unpackbits(packed, axis=1, count=units * bits).reshape(len(packed), units, bits)
    weights = (1 << np.arange(bits - 1, -1, -1)).astype(np.uint32)
    return (each @ weights).astype(np.uint16)
