"""Integer arithmetic that says how it rounds and cannot overflow within `engine.limits`.

A product that would pass 63 bits is never formed: `value = whole * denominator + rest` gives
`value * numerator / denominator = whole * numerator + rest * numerator / denominator` exactly.
"""

from numba import njit

from engine.layout import Number, Truth

_HALF_BITS = 31
_HALF_MASK = (1 << _HALF_BITS) - 1
_FULL_BITS = 2 * _HALF_BITS
_FULL_MASK = (1 << _FULL_BITS) - 1


@njit(cache=True)
def mul_div_floor(value: Number, numerator: Number, denominator: Number) -> Number:
    """`floor(value * numerator / denominator)`; value >= 0, 0 <= numerator, denominator < 2**31, result below 2**63."""
    whole = value // denominator
    rest = value - whole * denominator
    return whole * numerator + rest * numerator // denominator


@njit(cache=True)
def mul_div_ceil(value: Number, numerator: Number, denominator: Number) -> Number:
    """`ceil(value * numerator / denominator)`; value >= 0, 0 <= numerator, denominator < 2**31, result below 2**63."""
    whole = value // denominator
    rest = value - whole * denominator
    return whole * numerator + (rest * numerator + denominator - 1) // denominator


@njit(cache=True)
def _product(left: Number, right: Number) -> tuple[Number, Number]:
    """High and low part (low has 62 bits) of a product of two numbers in [0, 2**62)."""
    left_high, left_low = left >> _HALF_BITS, left & _HALF_MASK
    right_high, right_low = right >> _HALF_BITS, right & _HALF_MASK
    middle = left_high * right_low + left_low * right_high
    low = ((middle & _HALF_MASK) << _HALF_BITS) + left_low * right_low
    return left_high * right_high + (middle >> _HALF_BITS) + (low >> _FULL_BITS), low & _FULL_MASK


@njit(cache=True)
def is_product_at_least(left: Number, left_factor: Number, right: Number, right_factor: Number) -> Truth:
    """`left * left_factor >= right * right_factor` in 128 bits; |left|, |right| < 2**62, factors in [0, 2**62)."""
    if left >= 0:
        if right <= 0:
            return True
        high, low = _product(left, left_factor)
        other_high, other_low = _product(right, right_factor)
    else:
        if right >= 0:
            return left_factor == 0 and (right == 0 or right_factor == 0)
        high, low = _product(-right, right_factor)
        other_high, other_low = _product(-left, left_factor)
    return high > other_high or (high == other_high and low >= other_low)
