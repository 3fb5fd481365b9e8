"""Implied volatility in integers, on a grid: the given price lies between those of the volatility found and the next.

A call never loses by more volatility, so there is one such place, whatever path finds it. The path is Newton's (start:
Manaster and Koehler, Journal of Finance 37, 1982, from where it cannot overshoot), each step a little longer than asked
so that the place is soon seen from both sides, inside a bracket that is halved when two steps in a row have not done
so: about ten evaluations.
"""

from typing import Any

from engine.black76 import MONEY_E8_MAX, VOL_Q56_MAX, price_option_at
from engine.compiling import entry_point, inlined
from engine.elementary import log_ratio, root_parts, scale_saturated
from engine.fixed import Number, count_leading_zeros, mul_div_floor, mul_shift_floor

# The grid's step in Q56: 2**-36, below the effect of one unit of 1e-8 on most prices.
GRID_Q56 = 1 << 20
# Three evaluations halve the bracket at least once.
_EVALUATIONS_MAX = 3 * 40
# A step is made longer by this part of itself.
_LONGER_SHIFT = 10


@inlined
def _first_guess_q56(log_moneyness_q57: Number, inverse_sqrt_years_q40: Number) -> Number:
    """sqrt(2 |ln(forward / strike)| / T), where the price bends the other way; at least 1/16 of a deviation of 1."""
    magnitude: Any = abs(log_moneyness_q57)
    root, _, exponent = root_parts(min(max(magnitude, 1 << 48), 31 << 57), 56)
    return min(scale_saturated(root, max(inverse_sqrt_years_q40, 1), 46 - exponent), VOL_Q56_MAX)


@inlined
def implied_vol_q56(
    call_e8: Number, forward_e8: Number, strike_e8: Number, sqrt_years_q60: Number, inverse_sqrt_years_q40: Number
) -> Number:
    """A multiple of 2**-36 in Q56 whose call is worth at most call_e8 while that of the next one is worth more.

    Money is scaled up to 62 bits before it is compared, so half a unit of rounding hides nothing. 0 for a price not
    above intrinsic, `VOL_Q56_MAX` (800 %) for one that no volatility exceeds. A put's price enters as put + forward -
    strike. The last two arguments are those of `compute_sqrt_years`; the last only guides the search.
    """
    forward_e8 = min(max(forward_e8, 1), MONEY_E8_MAX)
    strike_e8 = min(max(strike_e8, 1), MONEY_E8_MAX)
    if call_e8 >= forward_e8:
        return VOL_Q56_MAX
    if call_e8 <= max(forward_e8 - strike_e8, 0):
        return 0
    scale = count_leading_zeros(max(forward_e8, strike_e8)) - 2
    call, forward, strike = call_e8 << scale, forward_e8 << scale, strike_e8 << scale
    x, x_bits = log_ratio(forward, strike)
    low: Any = 0
    high: Any = VOL_Q56_MAX + GRID_Q56
    steps = 0
    guess = _first_guess_q56(x >> (x_bits - 57), inverse_sqrt_years_q40)
    for _ in range(_EVALUATIONS_MAX):
        if high - low <= GRID_Q56:
            break
        vol = min(max(guess & -GRID_Q56, low + GRID_Q56), high - GRID_Q56)
        worth, _, _, _, vega_q60, _, _ = price_option_at(forward, strike, x, x_bits, vol, sqrt_years_q60)
        before = high - low
        if worth <= call:
            low = vol
        else:
            high = vol
        steps = 0 if 2 * (high - low) <= before else steps + 1
        if steps >= 2:
            guess, steps = low + ((high - low) >> 1), 0
        else:
            asked = mul_div_floor(call - worth, 1 << 56, max(mul_shift_floor(vega_q60, forward, 60), 1))
            step: Any = min(max(asked, -VOL_Q56_MAX), VOL_Q56_MAX)
            longer = (abs(step) >> _LONGER_SHIFT) + GRID_Q56
            guess = max(vol + step + (longer if worth <= call else -longer), 0)
    return low


@entry_point
def implied_vols(
    calls_e8: Any, forwards_e8: Any, strikes_e8: Any, sqrt_years_q60: Any, inverse_sqrt_years_q40: Any, vols_q56: Any
) -> None:
    """`implied_vol_q56` of row after row, written to vols_q56; all arguments are int64 arrays of one length."""
    for row in range(len(vols_q56)):
        vols_q56[row] = implied_vol_q56(
            calls_e8[row], forwards_e8[row], strikes_e8[row], sqrt_years_q60[row], inverse_sqrt_years_q40[row]
        )
