"""Logarithm, exponential and square root of fixed-point numbers, by tables and 128-bit products.

No division, no iteration, no float: an argument is normalised to a mantissa by counting its leading zeros, the
mantissa goes through a polynomial of `engine.pricing_tables`, the exponent is put back. A name ends in the format of
the result: `_q57` means that the integer counts units of 2**-57. Arguments out of range are clamped, never refused.
"""

from typing import Any

from engine.compiling import inlined, kernel
from engine.fixed import Number, count_leading_zeros, mul_div_floor, mul_high, mul_shift_floor, mul_shift_round
from engine.pricing_tables import EXPONENTIAL, LOGARITHM, ROOT, ROW_MASK, evaluate

MANTISSA_ONE = 1 << 62
INT64_MAX = (1 << 63) - 1
YEAR_MS = 365 * 24 * 3600 * 1000
TIME_LEFT_MS_MAX = 60 * YEAR_MS

# ln 2 in Q57 (floor), and what the floor left in units of Q69.
LN2_Q57, LN2_REST_Q69 = 99893036290645747, 1401
LN2_REST_BITS = 12
_SHIFT_MAX = 126
# 1 / ln 2 in Q62.
LOG2_E_Q62 = 6653256548922161246


@inlined
def scale_saturated(left: Number, right: Number, shift: Number) -> Number:
    """`left * right / 2**shift` of non-negative numbers to the nearest, shift >= 1; INT64_MAX where it does not fit.

    Results in the last 2**(64 - shift) numbers below 2**63 saturate too.
    """
    shift = min(shift, _SHIFT_MAX)
    result: Number = mul_shift_round(left, right, shift)
    # A product whose upper half stays below this rounds to less than 2**63; for a shift above 62 every one does.
    if mul_high(left, right) >= (1 << min(shift - 1, 62)) - 1:
        result = INT64_MAX
    return result


@inlined
def logarithm_parts(value: Number) -> Any:
    """`(exponent, base_q57, rest_q69)` of an integer value >= 1: ln value = exponent * ln 2 + base + rest.

    Kept apart so that the caller can subtract two logarithms before it rounds. Error of the sum below 2**-64.
    """
    zeros = count_leading_zeros(value)
    fraction = (value << (zeros - 1)) - MANTISSA_ONE
    row = (fraction + (1 << 54)) >> 55
    offset = (fraction - (row << 55)) << 9
    row = row & ROW_MASK
    square = mul_high(offset, offset)
    even = LOGARITHM[row, 3] + mul_high(LOGARITHM[row, 5], square)
    odd = LOGARITHM[row, 4] + mul_high(LOGARITHM[row, 6], square)
    even = LOGARITHM[row, 1] + mul_high(even, square)
    odd = LOGARITHM[row, 2] + mul_high(odd, square)
    total = even + mul_high(odd, offset)
    return 63 - zeros, LOGARITHM[row, 0], LOGARITHM[row, 7] + mul_high(total, offset)


@inlined
def log_ratio(numerator: Number, denominator: Number) -> Any:
    """`(x, bits)`: ln(numerator / denominator) = x / 2**bits for integers >= 1.

    bits is 69 where the logarithm is below 2**-8, and 57 elsewhere (|x| < 44 * 2**57). Error below 2**-63 near the
    money, 2**-56 elsewhere: small enough after a division by a total deviation as small as 1e-5.
    """
    exponent, base, rest = logarithm_parts(numerator)
    other_exponent, other_base, other_rest = logarithm_parts(denominator)
    exponent -= other_exponent
    base += exponent * LN2_Q57 - other_base
    rest += exponent * LN2_REST_Q69 - other_rest
    coarse = base + (rest >> LN2_REST_BITS)
    if -(1 << 49) < coarse < (1 << 49):
        return (base << LN2_REST_BITS) + rest, 69
    return coarse, 57


@inlined
def log_ratio_q57(numerator: Number, denominator: Number) -> Number:
    """ln(numerator / denominator) of integers >= 1 (smaller ones count as 1) in Q57, within 2 units."""
    x, bits = log_ratio(max(numerator, 1), max(denominator, 1))
    return x >> (bits - 57)


@inlined
def ln_q57(value: Number) -> Number:
    """ln of an integer >= 1 (smaller ones count as 1) in Q57, within 2 units; of a Qn number subtract n * LN2_Q57."""
    exponent, base, rest = logarithm_parts(max(value, 1))
    return base + exponent * LN2_Q57 + ((rest + exponent * LN2_REST_Q69) >> LN2_REST_BITS)


@inlined
def _power_of_two_q62(fraction_q62: Number) -> Number:
    """2**(u - 1) for 0 <= u <= 1."""
    row = (fraction_q62 + (1 << 55)) >> 56
    return evaluate(EXPONENTIAL, row, (fraction_q62 - (row << 56)) << 8)


@inlined
def exp_minus_q62(x_q57: Number) -> Number:
    """exp(-x) for x >= 0 (below counts as 0) in Q62, within 16 units; 0 from x = 62 ln 2 on."""
    x_q57 = max(x_q57, 0)
    halvings = mul_shift_floor(x_q57, LOG2_E_Q62, 119)
    fraction = mul_shift_floor(x_q57, LOG2_E_Q62, 57) & (MANTISSA_ONE - 1)
    return _power_of_two_q62(MANTISSA_ONE - fraction) >> min(halvings, 63)


@inlined
def exp_plus_q56(x_q57: Number) -> Number:
    """exp(x) for 0 <= x < 7 ln 2 in Q56, relative error below 2**-54; beyond, the largest int64; x < 0 counts as 0."""
    x_q57 = max(x_q57, 0)
    doublings = mul_shift_floor(x_q57, LOG2_E_Q62, 119)
    fraction = mul_shift_floor(x_q57, LOG2_E_Q62, 57) & (MANTISSA_ONE - 1)
    if doublings > 6:
        return INT64_MAX
    return min(_power_of_two_q62(fraction), MANTISSA_ONE - 1) << 1 >> (6 - doublings)


@inlined
def _root_row(mantissa_q61: Number) -> Any:
    """Table row and offset of a mantissa in [1, 4)."""
    fraction = mantissa_q61 - (1 << 61)
    row = (fraction + (1 << 54)) >> 55
    return row, (fraction - (row << 55)) << 9


@inlined
def root_parts(value: Number, bits: Number) -> Any:
    """`(root_q62, inverse_q62, exponent)`: sqrt(value / 2**bits) = root * 2**exponent, inverse = 1 / root.

    value >= 1; 1 <= root < 2. Both relative errors are below 2**-59.
    """
    # The shift makes the remaining power of two a power of four.
    shift = count_leading_zeros(value) - 1
    shift -= (bits + shift - 61) & 1
    mantissa = value << shift if shift >= 0 else value >> 1
    row, offset = _root_row(mantissa)
    inverse = evaluate(ROOT, row, offset)
    return mul_shift_round(mantissa, inverse, 61), inverse, (61 - bits - shift) >> 1


@inlined
def sqrt_q60(value_q60: Number) -> Number:
    """Square root in Q60 of a Q60 number, rounded down, within one unit and 2**-59 of its value; 0 for one below 1."""
    if value_q60 < 1:
        return 0
    root, _, exponent = root_parts(value_q60, 60)
    return root >> (2 - exponent)


@kernel
def compute_sqrt_years(time_left_ms: Number) -> Any:
    """`(sqrt_years_q60, inverse_sqrt_years_q40)` of a time to expiry; a year has 365 days.

    Clamped to 0 .. 60 years. Rounded down, each within two units and 2**-58 of its value. An expired time gives a root
    of 0 and the inverse of one millisecond.
    """
    left_ms = min(max(time_left_ms, 1), TIME_LEFT_MS_MAX)
    zeros = count_leading_zeros(left_ms)
    ratio = mul_div_floor(left_ms << (zeros - 1), 1 << 33, YEAR_MS)
    root, inverse, exponent = root_parts(ratio, zeros + 32)
    sqrt_years_q60 = root >> (2 - exponent)
    return sqrt_years_q60 if time_left_ms > 0 else 0, inverse >> (22 + exponent)
