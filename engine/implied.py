"""Implied volatility in integers: the largest one on a grid whose price does not exceed the given price.

The price of a call never falls with volatility, so the answer is the edge between two neighbours of the grid, whatever
path finds it. The path is Newton's (start: Manaster and Koehler, Journal of Finance 37, 1982, from where it cannot
overshoot), each step a little longer than asked so that the edge is soon seen from both sides, inside a bracket that is
halved when two steps in a row have not done so.
"""

from typing import Any

from numba import njit

from engine.black76 import MONEY_E8_MAX, VOL_Q56_MAX, price_option
from engine.elementary import log_ratio_q57, root_parts, scale_saturated
from engine.fixed import Number, mul_div_floor, mul_shift_floor

# The grid's step in Q56: 2**-36, below the effect of one unit of 1e-8 on most prices.
GRID_Q56 = 1 << 20
# Three evaluations halve the bracket at least once.
_EVALUATIONS_MAX = 3 * 40


@njit(forceinline=True)
def _first_guess_q56(forward_e8: Number, strike_e8: Number, inverse_sqrt_years_q40: Number) -> Number:
    """sqrt(2 |ln(forward / strike)| / T), where the price bends the other way; at least 1/16 of a deviation of 1."""
    log_moneyness: Any = abs(log_ratio_q57(forward_e8, strike_e8))
    root, _, exponent = root_parts(min(max(log_moneyness, 1 << 48), 31 << 57), 56)
    return min(scale_saturated(root, max(inverse_sqrt_years_q40, 1), 46 - exponent), VOL_Q56_MAX)


@njit(forceinline=True)
def implied_vol_q56(
    call_e8: Number, forward_e8: Number, strike_e8: Number, sqrt_years_q60: Number, inverse_sqrt_years_q40: Number
) -> Number:
    """The largest multiple of 2**-36 in Q56 whose call price is at most call_e8; 0 if there is none (below intrinsic).

    `VOL_Q56_MAX` (800 %) for a price that no volatility exceeds. A put's price enters as put + forward - strike. The
    last two arguments are those of `compute_sqrt_years`; the last only guides the search. About ten evaluations.
    """
    forward_e8 = min(max(forward_e8, 1), MONEY_E8_MAX)
    strike_e8 = min(max(strike_e8, 1), MONEY_E8_MAX)
    low: Any = 0
    high: Any = VOL_Q56_MAX + GRID_Q56
    steps = 0
    guess = _first_guess_q56(forward_e8, strike_e8, inverse_sqrt_years_q40)
    for _ in range(_EVALUATIONS_MAX):
        if high - low <= GRID_Q56:
            break
        vol = min(max(guess & -GRID_Q56, low + GRID_Q56), high - GRID_Q56)
        priced_e8, _, _, _, vega_q60, _, _ = price_option(forward_e8, strike_e8, vol, sqrt_years_q60)
        before = high - low
        if priced_e8 <= call_e8:
            low = vol
        else:
            high = vol
        steps = 0 if 2 * (high - low) <= before else steps + 1
        if steps >= 2:
            guess, steps = low + ((high - low) >> 1), 0
        else:
            vega_e8 = max(mul_shift_floor(vega_q60, forward_e8, 60), 1)
            asked = mul_div_floor(call_e8 - priced_e8, 1 << 56, vega_e8)
            step: Any = min(max(asked, -VOL_Q56_MAX), VOL_Q56_MAX)
            longer = (abs(step) >> 5) + GRID_Q56
            guess = max(vol + step + (longer if priced_e8 <= call_e8 else -longer), 0)
    return low


@njit(cache=True)
def implied_vols(
    calls_e8: Any, forwards_e8: Any, strikes_e8: Any, sqrt_years_q60: Any, inverse_sqrt_years_q40: Any, vols_q56: Any
) -> None:
    """`implied_vol_q56` of row after row, written to vols_q56; all arguments are int64 arrays of one length."""
    for row in range(len(vols_q56)):
        vols_q56[row] = implied_vol_q56(
            calls_e8[row], forwards_e8[row], strikes_e8[row], sqrt_years_q60[row], inverse_sqrt_years_q40[row]
        )
