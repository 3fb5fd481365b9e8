"""128-bit arithmetic of the kernels against Python's unbounded integers, over all of int64."""

import numba
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numba import njit

from engine import fixed
from engine.fixed import (
    count_leading_zeros,
    count_trailing_zeros,
    mul_div_ceil,
    mul_div_floor,
    mul_high,
    mul_shift_floor,
    mul_shift_round,
    mul_sub_shift_round,
    prefetch,
)

LOWEST, HIGHEST = -(1 << 63), (1 << 63) - 1
# Every length of number is as likely as every other, and the ends come often.
LENGTHS = st.integers(1, 63).flatmap(lambda bits: st.integers(-(1 << bits), (1 << bits) - 1))
INT64 = LENGTHS | st.sampled_from([0, 1, -1, LOWEST, LOWEST + 1, HIGHEST, HIGHEST - 1, 1 << 32, (1 << 32) - 1])
POSITIVE = INT64.filter(lambda number: number > 0)
many = settings(deadline=None, max_examples=400)


def wrapped(value: int) -> int:
    return ((value + (1 << 63)) % (1 << 64)) - (1 << 63)


def clipped(value: int) -> int:
    return min(max(value, LOWEST), HIGHEST)


def rounded(value: int, shift: int) -> int:
    """To the nearest, halves upward: twice the value and one more, halved once more than asked for."""
    return (2 * value + (1 << shift)) >> (shift + 1)


@many
@given(INT64, INT64, st.integers(0, 127))
def test_products_are_exact_and_shift_down(left, right, shift) -> None:
    assert mul_high(left, right) == (left * right) >> 64
    assert mul_shift_floor(left, right, shift) == wrapped((left * right) >> shift)


@many
@given(INT64, INT64, st.integers(0, 126))
@example(LOWEST, LOWEST, 63)
@example(3, 1, 1)
@example(-3, 1, 1)
def test_products_round_to_the_nearest(left, right, shift) -> None:
    assert mul_shift_round(left, right, shift) == wrapped(rounded(left * right, shift))


SMALL = LENGTHS.map(lambda number: number >> 1)


@many
@given(SMALL, SMALL, SMALL, SMALL, st.integers(0, 126))
def test_a_difference_of_products_is_rounded_once(a, b, c, d, shift) -> None:
    assert mul_sub_shift_round(a, b, c, d, shift) == wrapped(rounded(a * b - c * d, shift))


@settings(deadline=None, max_examples=3000)
@given(INT64, INT64, POSITIVE)
@example(LOWEST, LOWEST, HIGHEST)
@example(LOWEST, HIGHEST, HIGHEST)
@example(HIGHEST, HIGHEST, HIGHEST)
@example(LOWEST, 1, 1)
@example(LOWEST, -1, 1)
@example((1 << 62) + 12345, (1 << 61) + 1, (1 << 62) - 1)
def test_quotients_are_exact_and_saturate(left, right, divisor) -> None:
    assert mul_div_floor(left, right, divisor) == clipped(left * right // divisor)
    assert mul_div_ceil(left, right, divisor) == max(clipped(-(-left * right // divisor)), -HIGHEST)


@many
@given(POSITIVE, POSITIVE, st.integers(-2, 2), st.integers(-2, 2))
def test_quotients_next_to_a_whole_number(factor, divisor, offset, sign) -> None:
    left = clipped(factor * sign + offset)
    for right in (divisor, divisor - 1, -divisor):
        assert mul_div_floor(left, right, divisor) == clipped(left * right // divisor)
        assert mul_div_ceil(left, right, divisor) == max(clipped(-(-left * right // divisor)), -HIGHEST)


@pytest.mark.parametrize("divisor", [0, -1, LOWEST])
def test_a_divisor_that_is_none_counts_as_one(divisor) -> None:
    assert mul_div_floor(7, -3, divisor) == mul_div_ceil(7, -3, divisor) == -21


@many
@given(INT64)
def test_bits_are_counted_from_both_ends(bits) -> None:
    text = f"{bits % (1 << 64):064b}"
    assert count_leading_zeros(bits) == len(text) - len(text.lstrip("0"))
    assert count_trailing_zeros(bits) == len(text) - len(text.rstrip("0"))


@many
@given(INT64, INT64, INT64, INT64, st.integers(0, 127))
def test_the_plain_twin_gives_the_same_bits_even_where_results_wrap(a, b, c, d, shift) -> None:
    assert fixed._plain_mul_sub_shift_round(a, b, c, d, shift) == mul_sub_shift_round(a, b, c, d, shift)
    assert fixed._plain_mul_shift_round(a, b, shift) == mul_shift_round(a, b, shift)
    assert fixed._plain_mul_div_floor(a, b, c) == mul_div_floor(a, b, c)
    assert fixed._plain_mul_div_ceil(a, b, c) == mul_div_ceil(a, b, c)


@njit
def sum_with_prefetch(records, numbers):
    total = 0
    for index in range(len(records)):
        prefetch(records, index + 1_000_000)
        prefetch(numbers, -index)
        total += records[index]["lots"] + numbers[index]
    return total


def test_prefetch_changes_nothing_for_any_index() -> None:
    records = np.zeros(8, dtype=[("lots", np.int64), ("side", np.int32)])
    records["lots"] = range(8)
    assert sum_with_prefetch(records, np.arange(16, dtype=np.int64)[::2]) == 28 + 56


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")
def test_compiled_code_has_no_float_and_calls_no_library() -> None:
    @njit
    def all_operations(a, b, c):
        first = mul_div_floor(a, b, c) + mul_div_ceil(a, b, c) + mul_high(a, b)
        second = mul_shift_round(a, b, c) + mul_shift_floor(a, b, c) + mul_sub_shift_round(a, b, c, a, 7)
        return first + second + count_leading_zeros(a) + count_trailing_zeros(b)

    all_operations(1, 2, 3)
    (code,) = all_operations.inspect_llvm().values()
    (machine,) = all_operations.inspect_asm().values()
    assert " double" not in code and " float" not in code
    assert "__divti3" not in machine and "__udivti3" not in machine
