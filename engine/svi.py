"""Volatility surfaces in integers: one raw SVI slice per expiry, evaluated and checked for arbitrage.

    w(k) = a + b (rho (k - m) + sqrt((k - m)**2 + sigma**2)),  k = ln(strike / forward),  vol = sqrt(w / T)

w is the total variance up to expiry (Gatheral, A parsimonious arbitrage-free implied volatility parameterization, 2004;
Gatheral and Jacquier, Arbitrage-free SVI volatility surfaces, Quantitative Finance 14, 2014). The five parameters are
integers in units of 1e-8; they resolve w to 1e-8, an at-the-money vol of 50 % one day before expiry to about one part
in 1e5. Evaluation is total: parameters are clamped to a range that no sound slice leaves (`is_slice_sound`), k to
+-4 sqrt(a + b sigma), w to 2**-55 .. 144, vol to 2**-56 .. 8.
"""

from typing import Any

import numpy as np

from engine.black76 import VOL_Q56_MAX
from engine.compiling import entry_point, inlined, kernel
from engine.elementary import log_ratio_q57, root_parts, scale_saturated
from engine.fixed import (
    Number,
    count_leading_zeros,
    mul_div_floor,
    mul_shift_floor,
    mul_shift_round,
    mul_sub_shift_round,
)

Truth = bool | np.bool_

UNIT_E8 = 10**8
# 2**57 / 1e8 in Q32.
_Q57_PER_E8_Q32 = 6189700196426901374
VARIANCE_Q55_MAX = 144 << 55

A_E8_MAX, B_E8_MAX, M_E8_MAX, SIGMA_E8_MIN, SIGMA_E8_MAX = 16 * 10**8, 2 * 10**8, 8 * 10**8, 10**4, 8 * 10**8
# Roger Lee, The moment formula for implied volatility at extreme strikes, 2004: w grows at most like 2 |k|.
WING_E8_MAX = 2 * 10**8
# Slices are checked on three grids: sixteenths up to +-2, as many equal steps over the range that is evaluated, and
# quarters of sigma around m.
_WIDE_STEPS, _NARROW_STEPS = 32, 16
_SIXTEENTH_Q57 = 1 << 53
_LARGE = 1 << 60


@inlined
def to_q57(number_e8: Number) -> Number:
    """A number in units of 1e-8, below 64 in magnitude, in Q57, within one unit."""
    return mul_shift_round(number_e8, _Q57_PER_E8_Q32, 32)


@inlined
def _clamp_parameters(a_e8: Number, b_e8: Number, rho_e8: Number, m_e8: Number, sigma_e8: Number) -> Any:
    return (
        min(max(a_e8, -A_E8_MAX), A_E8_MAX),
        min(max(b_e8, 0), B_E8_MAX),
        min(max(rho_e8, -UNIT_E8), UNIT_E8),
        min(max(m_e8, -M_E8_MAX), M_E8_MAX),
        min(max(sigma_e8, SIGMA_E8_MIN), SIGMA_E8_MAX),
    )


@inlined
def _hypotenuse(distance_q57: Number, sigma_q57: Number) -> Any:
    """`(root_q62, exponent)` of sqrt(distance**2 + sigma**2); sigma is at least 1."""
    longest: Any = abs(distance_q57)
    shift = count_leading_zeros(max(longest, sigma_q57)) - 1
    distance, sigma = distance_q57 << shift, sigma_q57 << shift
    root, _, exponent = root_parts(mul_sub_shift_round(distance, distance, -sigma, sigma, 64), 50 + 2 * shift)
    return root, exponent


@inlined
def variance_q55(
    a_e8: Number, b_e8: Number, rho_e8: Number, m_e8: Number, sigma_e8: Number, log_strike_q57: Number
) -> Number:
    """w(k) in Q55 at k = log_strike (|k| <= 48), clamped to 1 unit .. 144; within 2**-51 of the formula."""
    a_e8, b_e8, rho_e8, m_e8, sigma_e8 = _clamp_parameters(a_e8, b_e8, rho_e8, m_e8, sigma_e8)
    distance = log_strike_q57 - to_q57(m_e8)
    root, exponent = _hypotenuse(distance, to_q57(sigma_e8))
    # rho is below 2 in Q62 and the sum of both terms below 128 in Q55.
    inner_q55 = mul_shift_round(to_q57(rho_e8) << 5, distance, 64) + (root >> (7 - exponent))
    variance = (to_q57(a_e8) >> 2) + mul_shift_round(to_q57(b_e8), max(inner_q55, 0), 57)
    return min(max(variance, 1), VARIANCE_Q55_MAX)


@inlined
def log_strike_limit_q57(a_e8: Number, b_e8: Number, sigma_e8: Number) -> Number:
    """4 sqrt(a + b sigma) in Q57, at most 48: beyond, the volatility stays what it is there."""
    variance = (to_q57(a_e8) >> 2) + mul_shift_round(to_q57(b_e8), to_q57(sigma_e8), 59)
    root, _, exponent = root_parts(min(max(variance, 1), VARIANCE_Q55_MAX), 55)
    return root >> (3 - exponent)


@inlined
def svi_vol_q56(
    a_e8: Number,
    b_e8: Number,
    rho_e8: Number,
    m_e8: Number,
    sigma_e8: Number,
    strike_e8: Number,
    forward_e8: Number,
    inverse_sqrt_years_q40: Number,
) -> Number:
    """The volatility of a strike in Q56, rounded to the nearest, 1 .. `VOL_Q56_MAX`.

    strike and forward in the same unit (below 1 counts as 1); inverse_sqrt_years as `compute_sqrt_years` gives it.
    """
    a_e8, b_e8, rho_e8, m_e8, sigma_e8 = _clamp_parameters(a_e8, b_e8, rho_e8, m_e8, sigma_e8)
    limit = log_strike_limit_q57(a_e8, b_e8, sigma_e8)
    log_strike = min(max(log_ratio_q57(strike_e8, forward_e8), -limit), limit)
    variance = variance_q55(a_e8, b_e8, rho_e8, m_e8, sigma_e8, log_strike)
    root, _, exponent = root_parts(variance, 55)
    vol = scale_saturated(root, max(inverse_sqrt_years_q40, 1), 46 - exponent)
    return min(max(vol, 1), VOL_Q56_MAX)


@entry_point
def svi_vols(slice_e8: Any, strikes_e8: Any, forward_e8: Number, inverse_sqrt_years_q40: Number, vols_q56: Any) -> None:
    """`svi_vol_q56` of every strike of one expiry; slice_e8 holds a, b, rho, m, sigma; all arrays int64."""
    for row in range(len(vols_q56)):
        vols_q56[row] = svi_vol_q56(
            slice_e8[0],
            slice_e8[1],
            slice_e8[2],
            slice_e8[3],
            slice_e8[4],
            strikes_e8[row],
            forward_e8,
            inverse_sqrt_years_q40,
        )


@kernel
def _is_in_bounds(a_e8: Number, b_e8: Number, rho_e8: Number, m_e8: Number, sigma_e8: Number) -> Truth:
    """Ranges, the wings' slope b (1 + |rho|) <= 2, and a lowest variance a + b sigma sqrt(1 - rho**2) >= 0."""
    if not (-A_E8_MAX <= a_e8 <= A_E8_MAX and 0 <= b_e8 <= B_E8_MAX and -UNIT_E8 < rho_e8 < UNIT_E8):
        return False
    if not (-M_E8_MAX <= m_e8 <= M_E8_MAX and SIGMA_E8_MIN <= sigma_e8 <= SIGMA_E8_MAX):
        return False
    if max(b_e8 * (UNIT_E8 + rho_e8), b_e8 * (UNIT_E8 - rho_e8)) > WING_E8_MAX * UNIT_E8:
        return False
    root, _, exponent = root_parts((UNIT_E8 - rho_e8) * (UNIT_E8 + rho_e8), 0)
    # sqrt(1e16 - rho_e8**2) is a number in units of 1e-8 again.
    cosine_e8 = root >> (62 - exponent)
    lowest_e8 = mul_div_floor(b_e8 * sigma_e8, cosine_e8, UNIT_E8 * UNIT_E8)
    return a_e8 + lowest_e8 >= 0


@kernel
def _is_butterfly_free(
    a_e8: Number, b_e8: Number, rho_e8: Number, m_e8: Number, sigma_e8: Number, log_strike_q57: Number
) -> Truth:
    """Durrleman's g(k) >= 0 at one k, as g w: (w - k w' / 2)**2 / w - w'**2 / 4 - w'**2 w / 16 + w'' w / 2.

    In Q52, each term rounded down where positive: a slice within 2**-48 of the edge may be refused. Where w is at its
    limit the volatility is flat and nothing is asked.
    """
    variance = variance_q55(a_e8, b_e8, rho_e8, m_e8, sigma_e8, log_strike_q57)
    if variance >= VARIANCE_Q55_MAX:
        return True
    w_q52 = max(variance >> 3, 1)
    distance, sigma = log_strike_q57 - to_q57(m_e8), to_q57(sigma_e8)
    root, exponent = _hypotenuse(distance, sigma)
    hypotenuse_q57 = max(root >> (5 - exponent), 1)
    direction_q60 = mul_div_floor(distance, 1 << 60, hypotenuse_q57)
    slope_q57 = mul_shift_round(to_q57(b_e8), (to_q57(rho_e8) << 3) + direction_q60, 60)
    cosine_q60 = mul_div_floor(sigma, 1 << 60, hypotenuse_q57)
    bend_q57 = mul_shift_floor(to_q57(b_e8), mul_shift_floor(cosine_q60, cosine_q60, 60), 60)
    curvature_q40 = mul_div_floor(bend_q57, 1 << 40, hypotenuse_q57)

    tangent_q52 = w_q52 - mul_shift_round(log_strike_q57, slope_q57, 63)
    square = min(mul_div_floor(tangent_q52, tangent_q52, w_q52), _LARGE)
    convexity = min(scale_saturated(curvature_q40, w_q52, 41), _LARGE)
    quarter_slope = mul_shift_round(slope_q57, slope_q57, 64)
    return square + convexity >= quarter_slope + mul_shift_round(quarter_slope, w_q52, 54)


@kernel
def is_slice_sound(a_e8: Number, b_e8: Number, rho_e8: Number, m_e8: Number, sigma_e8: Number) -> Truth:
    """Whether one expiry's slice is in bounds and free of butterfly arbitrage on fixed grids of k.

    The grids: -2 .. 2 in sixteenths; 32 equal steps to each side up to +-4 sqrt(a + b sigma), the range of evaluation;
    m +- 4 sigma in quarters of sigma, where the smile bends most. Any integers may be asked about.
    """
    if not _is_in_bounds(a_e8, b_e8, rho_e8, m_e8, sigma_e8):
        return False
    stride = log_strike_limit_q57(a_e8, b_e8, sigma_e8) // _WIDE_STEPS
    for step in range(-_WIDE_STEPS, _WIDE_STEPS + 1):
        if not _is_butterfly_free(a_e8, b_e8, rho_e8, m_e8, sigma_e8, stride * step):
            return False
        if not _is_butterfly_free(a_e8, b_e8, rho_e8, m_e8, sigma_e8, _SIXTEENTH_Q57 * step):
            return False
    for step in range(-_NARROW_STEPS, _NARROW_STEPS + 1):
        log_strike = to_q57(m_e8) + to_q57(sigma_e8) // 4 * step
        if not _is_butterfly_free(a_e8, b_e8, rho_e8, m_e8, sigma_e8, log_strike):
            return False
    return True


@kernel
def is_calendar_free(earlier_e8: Any, later_e8: Any) -> Truth:
    """Whether total variance nowhere falls with time, on the first two grids, the second of the later slice."""
    stride = log_strike_limit_q57(later_e8[0], later_e8[1], later_e8[4]) // _WIDE_STEPS
    for step in range(-2 * _WIDE_STEPS, 2 * _WIDE_STEPS + 2):
        k = (stride if step & 1 else _SIXTEENTH_Q57) * (step >> 1)
        earlier = variance_q55(earlier_e8[0], earlier_e8[1], earlier_e8[2], earlier_e8[3], earlier_e8[4], k)
        later = variance_q55(later_e8[0], later_e8[1], later_e8[2], later_e8[3], later_e8[4], k)
        if later < earlier:
            return False
    return True


@entry_point
def is_surface_sound(slices_e8: Any) -> Truth:
    """Whether a surface admits no arbitrage on the grids: slices_e8 is (expiries, 5) int64, earliest expiry first.

    Every row (a, b, rho, m, sigma) must be sound by itself and not below the row before it.
    """
    for row in range(len(slices_e8)):
        own = slices_e8[row]
        if not is_slice_sound(own[0], own[1], own[2], own[3], own[4]):
            return False
        if row > 0 and not is_calendar_free(slices_e8[row - 1], own):
            return False
    return True
