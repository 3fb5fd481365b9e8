"""European options on a forward in integers: Black (1976), undiscounted, with all Greeks of the call.

    call = F N(d1) - K N(d2),  d1 = ln(F / K) / sd + sd / 2,  d2 = d1 - sd,  sd = vol * sqrt(T)

Every step is a 128-bit product, a table of polynomials (`engine.pricing_tables`) or a shift: no division, no iteration.
A price is one multiply-subtract with one rounding. An error of d1 does not reach it (F n(d1) = K n(d2): its effect on
the two terms cancels), so what remains are the last bits of the tables and of sd: below 6e-18 * (F + K) units besides
the half unit of the rounding. The put is the call less the forward plus the strike, so parity holds exactly.

Nothing overflows or raises. Arguments are clamped: forward and strike to 1 .. 2**62 - 1, vol to 2**-56 .. 8 (800 %),
vol * sqrt(T) to 2**-55 .. 24; Greeks that leave their format stay just below 2**63. An option whose time or vol is 0
costs its intrinsic value. Put Greeks follow from the call's: delta - 1, equal gamma, vega and theta.

Two habits make it fast. Maxima and minima that real data may take either way are written as max(x, 0), which compiles
to arithmetic instead of a branch that is guessed wrong. Shifts by a variable number act on one word, never on two.
"""

from typing import Any

from engine.compiling import entry_point, inlined
from engine.elementary import INT64_MAX, MANTISSA_ONE, log_ratio
from engine.fixed import Number, count_leading_zeros, mul_high, mul_shift_round, mul_sub_shift_round
from engine.pricing_tables import DENSITY, DISTRIBUTION, RECIPROCAL, evaluate

MONEY_E8_MAX = (1 << 62) - 1
VOL_Q56_MAX = 8 << 56
# Total deviation sd = mantissa * 2**exponent: 24 = 1.5 * 2**4.
_EXPONENT_MIN, _EXPONENT_MAX = -55, 4
_LARGEST_MANTISSA_Q62 = 3 << 61
_D_Q56_MAX = 9 << 56
# 1 / 730 in Q71: theta is half of vol**2 * gamma, for one day of 365.
_HALF_DAY_Q71 = 3234497591006606311
# A call above this (1.4 billion) does not raise rho further.
_RHO_CALL_E8_MAX = (1 << 57) - 1

CALL, PUT, DELTA, GAMMA, VEGA, THETA, RHO = range(7)
OPTION_COLUMNS = 7


@inlined
def _total_deviation(vol_q56: Number, vol_zeros: Number, root_q60: Number, root_zeros: Number) -> Any:
    """`(mantissa_q62, exponent)` of vol * sqrt(T), clamped; both arguments are at least 1."""
    product = mul_high(vol_q56 << (vol_zeros - 1), root_q60 << (root_zeros - 1))
    shift = count_leading_zeros(product) - 1
    mantissa, exponent = product << shift, 12 - vol_zeros - root_zeros - shift
    if exponent > _EXPONENT_MAX or (exponent == _EXPONENT_MAX and mantissa > _LARGEST_MANTISSA_Q62):
        mantissa, exponent = _LARGEST_MANTISSA_Q62, _EXPONENT_MAX
    return mantissa, max(exponent, _EXPONENT_MIN)


@inlined
def _reciprocal_q62(mantissa_q62: Number) -> Number:
    """1 / mantissa for a mantissa in [1, 2)."""
    fraction = mantissa_q62 - MANTISSA_ONE
    row = (fraction + (1 << 55)) >> 56
    return evaluate(RECIPROCAL, row, (fraction - (row << 56)) << 8)


@inlined
def _quotient_q56(x: Number, x_bits: Number, inverse_q62: Number, exponent: Number) -> Number:
    """x / sd, right below 16 in magnitude, and between 16 and 64 where it is larger: N is 0 or 1 there."""
    magnitude: Any = abs(x)
    zeros = count_leading_zeros(magnitude)
    doubled = mul_high(magnitude << (zeros - 1), inverse_q62) << 1
    # For x = 0 there are 64 zeros, a shift that Python reads as 63 and the processor, too; the product is 0.
    shift = max(x_bits + exponent + zeros - 58, 0)
    quotient = doubled >> (63 - max(63 - shift, 0))
    return quotient if x >= 0 else -quotient


@inlined
def _piece_of(d_q56: Number) -> Any:
    """Row and offset in the tables of the normal distribution for |d|, at most 9."""
    magnitude: Any = abs(d_q56)
    distance = _D_Q56_MAX - max(_D_Q56_MAX - magnitude, 0)
    row = (distance + (1 << 51)) >> 52
    return row, (distance - (row << 52)) << 12


@inlined
def _distribution_q62(d_q56: Number, row: Number, offset_q64: Number) -> Number:
    """N(d) of the piece of |d|."""
    below = max(MANTISSA_ONE - evaluate(DISTRIBUTION, row, offset_q64), 0)
    return MANTISSA_ONE - below if d_q56 >= 0 else below


@inlined
def _shift_saturated(value: Number, shift: Number) -> Number:
    """`floor(value / 2**shift)` of a non-negative value, held just below 2**63 where it would not fit; shift > -63."""
    doublings = max(-shift, 0)
    room = INT64_MAX >> doublings
    return (room - max(room - value, 0)) << doublings >> (63 - max(63 - max(shift, 0), 0))


@inlined
def price_option(forward_e8: Number, strike_e8: Number, vol_q56: Number, sqrt_years_q60: Number) -> Any:
    """`(call_e8, put_e8, delta_q62, gamma_q48, vega_q60, theta_q60, rho_e8)` of one expiry and strike, per unit.

    forward and strike are in 1e-8 quote, vol in Q56, sqrt_years is the root of the years left in Q60
    (`engine.elementary.compute_sqrt_years`). Results:

    call_e8, put_e8    1e-8 quote, rounded to the nearest; put = call - forward + strike exactly; never below intrinsic,
                       never above forward or strike.
    delta_q62          d call / d forward = N(d1), 0 .. 2**62.
    gamma_q48          forward * d delta / d forward = n(d1) / sd; gamma times one forward.
    vega_q60           d call / d vol / forward = n(d1) * sqrt(T), for a change of vol by 1.00.
    theta_q60          -(vol**2 / 2) * gamma * forward / 365: change per day of 24 h, divided by the forward; <= 0.
    rho_e8             -T * call_e8, T in Q56, rounded to the nearest: d (exp(-r T) call) / d r at r = 0 for a rate that
                       discounts and moves no forward, in 1e-8 quote for a change of r by 1.00. The put's is -T * put.

    To have gamma, vega or theta in money multiply by forward_e8 and shift. Source: Black, The pricing of commodity
    contracts, Journal of Financial Economics 3, 1976.
    """
    forward_e8 = min(max(forward_e8, 1), MONEY_E8_MAX)
    strike_e8 = min(max(strike_e8, 1), MONEY_E8_MAX)
    x, x_bits = log_ratio(forward_e8, strike_e8)
    return price_option_at(forward_e8, strike_e8, x, x_bits, vol_q56, sqrt_years_q60)


@inlined
def price_option_at(
    forward_e8: Number, strike_e8: Number, x: Number, x_bits: Number, vol_q56: Number, sqrt_years_q60: Number
) -> Any:
    """`price_option` where x / 2**x_bits = ln(forward / strike) is known, as `log_ratio` gives it.

    For grids of volatilities over one strike; forward and strike must be in 1 .. 2**62 - 1.
    """
    vol_q56 = min(max(vol_q56, 1), VOL_Q56_MAX)
    root_q60 = max(sqrt_years_q60, 1)
    vol_zeros = count_leading_zeros(vol_q56)
    mantissa, exponent = _total_deviation(vol_q56, vol_zeros, root_q60, count_leading_zeros(root_q60))
    inverse = _reciprocal_q62(mantissa)
    deviation_q56 = ((mantissa >> (5 - exponent)) + 1) >> 1
    d1_q56 = _quotient_q56(x, x_bits, inverse, exponent) + (deviation_q56 >> 1)
    d2_q56 = d1_q56 - deviation_q56

    row, offset = _piece_of(d1_q56)
    delta_q62 = _distribution_q62(d1_q56, row, offset)
    density_q62 = max(evaluate(DENSITY, row, offset), 0)
    row, offset = _piece_of(d2_q56)
    exercised_q62 = _distribution_q62(d2_q56, row, offset)

    call_e8 = mul_sub_shift_round(forward_e8, delta_q62, strike_e8, exercised_q62, 62)
    intrinsic_e8 = max(forward_e8 - strike_e8, 0)
    call_e8 = intrinsic_e8 + max(call_e8 - intrinsic_e8, 0)
    call_e8 = forward_e8 - max(forward_e8 - call_e8, 0)

    # n(d1) / mantissa in Q60, at most 0.4.
    peak = mul_high(density_q62, inverse)
    normal_vol = vol_q56 << (vol_zeros - 1)
    decay = mul_high(mul_high(mul_high(normal_vol, normal_vol), _HALF_DAY_Q71) << 3, peak << 4)
    theta_q60 = -_shift_saturated(decay, exponent + 2 * vol_zeros - 4)
    gamma_q48 = _shift_saturated(peak, exponent + 12)
    vega_q60 = mul_high(density_q62 << 2, root_q60)
    years_q56 = mul_high(root_q60, root_q60)
    rho_e8 = -mul_shift_round(min(call_e8, _RHO_CALL_E8_MAX), years_q56, 56)
    return call_e8, call_e8 - forward_e8 + strike_e8, delta_q62, gamma_q48, vega_q60, theta_q60, rho_e8


@entry_point
def price_options(forwards_e8: Any, strikes_e8: Any, vols_q56: Any, sqrt_years_q60: Any, options: Any) -> None:
    """`price_option` of row after row, written to `options` (rows, OPTION_COLUMNS); all arguments are int64 arrays."""
    for row in range(len(options)):
        call_e8, put_e8, delta_q62, gamma_q48, vega_q60, theta_q60, rho_e8 = price_option(
            forwards_e8[row], strikes_e8[row], vols_q56[row], sqrt_years_q60[row]
        )
        options[row, CALL], options[row, PUT], options[row, DELTA] = call_e8, put_e8, delta_q62
        options[row, GAMMA], options[row, VEGA] = gamma_q48, vega_q60
        options[row, THETA], options[row, RHO] = theta_q60, rho_e8
