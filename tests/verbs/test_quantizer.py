"""Codes in few bits: packed as bits are, and no value moves by more than half a step."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from dlkit.errors import UsageError
from dlkit.quantize import Quantizer, pack, unpack

NUMBERS = st.floats(-1e4, 1e4, width=32)


@settings(deadline=None, max_examples=150)
@given(arrays(np.float32, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=NUMBERS), st.integers(1, 16))
def test_no_value_within_the_range_moves_by_more_than_half_a_step(codes: np.ndarray, bits: int) -> None:
    quantizer = Quantizer.fit(codes, bits)
    moved = np.abs(quantizer.rounded(codes).astype(np.float64) - codes)
    rounding = 2e-7 * np.abs(codes).max()  # of float32
    assert (moved <= quantizer.step / 2 + rounding).all()
    assert not quantizer.outside(codes).any()
    np.testing.assert_allclose(quantizer.step * 2**bits, np.ptp(codes.astype(np.float64), axis=0))


@settings(deadline=None, max_examples=150)
@given(st.integers(1, 16), st.integers(1, 7), st.integers(0, 6), st.randoms(use_true_random=False))
def test_packing_is_exact_and_takes_as_many_bytes_as_it_must(bits: int, units: int, count: int, random: object) -> None:
    cells = np.random.default_rng(random.randrange(2**32)).integers(0, 2**bits, (count, units)).astype(np.uint16)
    packed = pack(cells, bits)
    assert packed.shape == (count, -(-units * bits // 8))
    assert packed.dtype == np.uint8
    for row, numbers in zip(packed, cells, strict=True):  # spelled out
        text = "".join(f"{number:0{bits}b}" for number in numbers)
        assert bytes(row) == int(text.ljust(8 * packed.shape[1], "0"), 2).to_bytes(packed.shape[1], "big")
    np.testing.assert_array_equal(unpack(packed, bits, units), cells)


def test_cells_by_hand() -> None:
    quantizer = Quantizer.fit(np.array([[0.0, 5.0], [8.0, 5.0]]), 2)  # cells of 2; a unit that never changes
    assert quantizer.step.tolist() == [2, 0]
    given_codes = np.array([[0.0, 5.0], [1.9, 5.0], [2.0, 5.0], [8.0, 5.0], [-3.0, 5.0], [11.0, 6.0]])
    assert quantizer.cells(given_codes)[:, 0].tolist() == [0, 0, 1, 3, 0, 3]
    assert quantizer.rounded(given_codes).tolist() == [[1, 5], [1, 5], [3, 5], [7, 5], [1, 5], [7, 5]]
    assert quantizer.outside(given_codes).tolist() == [[False] * 2] * 4 + [[True, False], [True, True]]
    assert quantizer.bytes == 1
    assert pack(np.array([[3, 1]], dtype=np.uint16), 2).tolist() == [[0b11010000]]


@pytest.mark.parametrize("bits", [0, 17, -1])
def test_other_numbers_of_bits_are_refused(bits: int) -> None:
    with pytest.raises(UsageError, match="1 to 16 bits"):
        Quantizer.fit(np.zeros((2, 2)), bits)
