"""What a lot of each market is worth in each scenario of the portfolio model (docs/portfolio.md, PMR-2 to PMR-9).

A row of `Tables.scenarios` has all that `engine.portfolio` needs of a market, so that an account costs additions and
multiplications only: 33 scenarios, the two moves of the basis, then the columns named below. It is made at a reprice
and holds until the next. Values are in quote per lot and rounded down; who is short counts one unit more.

Shocked prices are those of `engine.black76`, with the volatility of `engine.svi` at the forward before the shock. The
model is that of Derive's second portfolio manager (PMRM-2), described in its published parameters and documentation.
"""

from typing import Any

import numpy as np

from engine.black76 import price_option
from engine.compiling import inlined, kernel
from engine.elementary import exp_minus_q62, exp_plus_q56, log_ratio_q57
from engine.fixed import mul_div_ceil, mul_div_floor, mul_shift_floor, mul_shift_round
from engine.svi import svi_vol_q56
from engine.tables import KIND_CALL, KIND_FUTURE, KIND_PERPETUAL, KIND_PUT, KIND_SPOT, STABLE_E8, Number, Tables

ZERO = np.int64(0)
BPS, E5, E8, E10 = np.int64(10**4), np.int64(10**5), np.int64(10**8), np.int64(10**10)
LINEAR_SCALE = BPS * E5
TWAP_SLOTS = np.int64(450)
LANE_QUOTE_MAX = np.int64(1 << 55)

SCENARIO_COUNT, SHIFTED_COUNT = 33, 31  # the last two tilt the surface and leave the spot alone
BASIS = 33  # number of the basis contingency among the reasons
BASIS_UP, BASIS_DOWN = 33, 34
LANES = 35
# What equity counts; contingencies for maintenance and on top of them for initial margin; what collateral is worth
# above what equity counts; notional at the index; kind; the expiry's static discount (Q31) and basis factor (Q56); key
# of the market in an account's order of positions. The first five are money, so sums over 40 words cannot overflow.
MARK_UNIT, MAINTENANCE_UNIT, INITIAL_UNIT, CORRECTION, NOTIONAL_UNIT, KIND, STATIC, BASIS_FACTOR, CODE = range(35, 44)
MONEY_WORDS = 40
# Code: underlying + 1, expiry + 1 (0: none), lowest market with the same expiry and strike; below, room for a row.
UNDERLYING_SHIFT, EXPIRY_SHIFT, STRIKE_SHIFT = np.int64(48), np.int64(35), np.int64(23)

SAME, UP, DOWN, LINEAR, ABSOLUTE = range(5)
_GRID = (11_350, 8_650, 10_900, 9_100, 10_450, 9_550, 10_000)
_TAILS = (
    (3_400, 21_000), (6_700, 42_000), (15_000, 27_720), (20_000, 13_860),
    (30_000, 6_930), (40_000, 4_620), (50_000, 3_465), (60_000, 2_772),
)  # fmt: skip
_ROWS = (
    *((spot, UP, 100_000) for spot in (11_800, 8_200)),
    *((spot, vol, 100_000) for spot in _GRID for vol in (UP, SAME, DOWN)),
    *((spot, UP, damp) for spot, damp in _TAILS),
    *((10_000, vol, 100_000) for vol in (LINEAR, ABSOLUTE)),
    *((spot, SAME, 100_000) for spot in (10_450, 9_550)),
)
SPOTS_BPS = np.array([row[0] for row in _ROWS], np.int64)
VOLS = np.array([row[1] for row in _ROWS], np.int64)
DAMPS_E5 = np.array([row[2] for row in _ROWS], np.int64)
FIRST_TAIL = 23
UNMOVED = 21  # spot and volatility as they are

# Roots of 30 days and of one day in years of 365, Q60, rounded down.
_ROOT_30_DAYS_Q60, _ROOT_DAY_Q60 = np.int64(330532322310407176), np.int64(60346669637992698)
_ONE_Q56 = np.int64(1 << 56)
_VOL_UP_MIN_Q56 = np.int64((1 << 56) * 4 // 10)
_SKEW_CAP_Q56, _SKEW_REACH_MIN_Q57 = np.int64(1 << 54), np.int64((1 << 57) // 100)
_BASIS_ADD_Q56, _YEARS_MAX_Q56 = np.int64(1 << 55), np.int64(4 << 56)
LINEAR_MAINTENANCE_BPS, LINEAR_INITIAL_BPS = np.int64(300), np.int64(100)
CONFIDENCE_MIN_BPS, DISPERSION_FACTOR = np.int64(5_500), np.int64(20)


@inlined
def shock_forward(t: Tables, number: Number, spot_bps: Number) -> Number:
    """Forward of an expiry in e8 when the spot is multiplied: what is sampled already does not move (PMR-3); floor."""
    dated = t.expiries[number]
    forward_e8 = dated["forward_e8"]
    if forward_e8 == 0:
        forward_e8 = t.underlyings[dated["underlying"]]["index_e8"]
    left = forward_e8 * (TWAP_SLOTS - dated["twap_count"])
    return (dated["twap_sum_e8"] + mul_div_floor(left, spot_bps, BPS)) // TWAP_SLOTS


@kernel
def _vol_factors(root_q60: Number) -> Any:
    """`(up_q56, down_q56)`: what the volatility of an expiry is multiplied with (PMR-4)."""
    half_log_q57 = log_ratio_q57(_ROOT_30_DAYS_Q60, max(root_q60, _ROOT_DAY_Q60))
    if half_log_q57 >= 0:
        size_q56 = exp_plus_q56(mul_div_floor(half_log_q57, 6, 10))
    else:
        size_q56 = exp_minus_q62(mul_div_floor(-half_log_q57, 26, 100)) >> 6
    return _ONE_Q56 + mul_div_floor(size_q56, 5, 10), max(_ONE_Q56 - mul_div_floor(size_q56, 3, 10), ZERO)


@inlined
def _tilt(vol_q56: Number, log_strike_q57: Number, root_q60: Number) -> Number:
    """A volatility tilted by its strike (PMR-4)."""
    cap_q56 = max(_SKEW_CAP_Q56 - root_q60 // 160, ZERO)
    reach_q57 = max(_SKEW_REACH_MIN_Q57, mul_div_floor(root_q60, 3, 10))
    clipped_q57 = min(max(log_strike_q57, -reach_q57), reach_q57)
    return mul_shift_round(vol_q56, _ONE_Q56 + mul_div_floor(clipped_q57, cap_q56, reach_q57), 56)


@kernel
def _expiry_factors(root_q60: Number) -> Any:
    """`(static_q31, basis_q56)`: discount of what options are worth, and weight of the basis moves (PMR-6, PMR-8)."""
    years_q56 = mul_shift_round(root_q60, root_q60, 64)
    static_q31 = mul_div_floor(exp_minus_q62(mul_div_floor(years_q56, 32, 100)), 95, 100) >> 31
    return static_q31, _BASIS_ADD_Q56 + 2 * min(years_q56, _YEARS_MAX_Q56)


@inlined
def _dampen(price_e8: Number, lot_e8: Number, damp_e5: Number) -> Number:
    """A lot at a price, dampened, in quote; floor, over units of 1e-5 quote."""
    return mul_div_floor(mul_div_floor(price_e8, lot_e8, E5), damp_e5, E10)


@inlined
def _set_lane(t: Tables, number: Number, lane: Number, value_quote: Number, limit_quote: Number) -> None:
    t.scenarios[number, lane] = min(max(value_quote, -limit_quote), limit_quote)


@kernel
def _set_greeks(t: Tables, number: Number, gamma_q48: Number, theta_q60: Number, rho_e8: Number) -> None:
    """Greeks of an option per lot that a mark does not need, rounded down.

    gamma_unit: by how much delta_unit rises when the forward rises by 100 %, as a tangent; theta_unit: quote per day;
    rho_unit: quote for a discount rate higher by 1.00.
    """
    market = t.markets[number]
    forward_e8, lot_e8 = shock_forward(t, market["expiry"], BPS), market["lot_e8"]
    market["gamma_unit"] = mul_shift_floor(gamma_q48, mul_div_floor(forward_e8, lot_e8, E10), 48)
    market["theta_unit"] = mul_div_floor(mul_shift_floor(theta_q60, forward_e8, 60), lot_e8, E10)
    market["rho_unit"] = mul_div_floor(rho_e8, lot_e8, E10)


@kernel
def _set_option(t: Tables, number: Number, limit_quote: Number) -> None:
    """Value of one lot of an option in each scenario (PMR-5), and its Greeks."""
    market = t.markets[number]
    dated = t.expiries[market["expiry"]]
    root_q60, strike_e8, lot_e8 = dated["sqrt_years_q60"], market["strike_e8"], market["lot_e8"]
    is_put = market["kind"] == KIND_PUT
    forward_e8 = shock_forward(t, market["expiry"], BPS)
    vol_q56 = svi_vol_q56(
        dated["a_e8"], dated["b_e8"], dated["rho_e8"], dated["m_e8"], dated["sigma_e8"],
        strike_e8, forward_e8, dated["inverse_sqrt_years_q40"],
    )  # fmt: skip
    up_q56, down_q56 = _vol_factors(root_q60)
    log_strike_q57 = log_ratio_q57(strike_e8, forward_e8)
    distance_q57 = log_strike_q57 if log_strike_q57 > 0 else -log_strike_q57
    for lane in range(LANES):
        how, shocked_q56 = VOLS[lane], vol_q56
        if how == UP:
            shocked_q56 = max(mul_shift_round(vol_q56, up_q56, 56), _VOL_UP_MIN_Q56)
        elif how == DOWN:
            shocked_q56 = mul_shift_round(vol_q56, down_q56, 56)
        elif how == LINEAR:
            shocked_q56 = _tilt(vol_q56, log_strike_q57, root_q60)
        elif how == ABSOLUTE:
            shocked_q56 = _tilt(vol_q56, distance_q57, root_q60)
        shocked_e8 = shock_forward(t, market["expiry"], SPOTS_BPS[lane])
        call_e8, put_e8, _, gamma_q48, _, theta_q60, rho_e8 = price_option(shocked_e8, strike_e8, shocked_q56, root_q60)
        price_e8 = put_e8 if is_put else call_e8
        _set_lane(t, number, lane, _dampen(price_e8, lot_e8, DAMPS_E5[lane]), limit_quote)
        if lane == UNMOVED:
            if is_put:
                rho_e8 = -mul_shift_round(put_e8, mul_shift_round(root_q60, root_q60, 64), 56)
            _set_greeks(t, number, gamma_q48, theta_q60, rho_e8)


@kernel
def _set_linear(t: Tables, number: Number, worth_unit: Number, limit_quote: Number) -> None:
    """Change of the value of one lot of what is no option in each scenario (PMR-5)."""
    market = t.markets[number]
    is_future = market["kind"] == KIND_FUTURE
    before_e8 = shock_forward(t, market["expiry"], BPS) if is_future else ZERO
    for lane in range(LANES):
        spot_bps, damp_e5 = SPOTS_BPS[lane], DAMPS_E5[lane]
        if is_future:
            change = _dampen(shock_forward(t, market["expiry"], spot_bps) - before_e8, market["lot_e8"], damp_e5)
        else:
            change = mul_div_floor(worth_unit, (spot_bps - BPS) * damp_e5, LINEAR_SCALE)
        _set_lane(t, number, lane, change, limit_quote)
    market["gamma_unit"] = market["theta_unit"] = market["rho_unit"] = 0


@kernel
def _set_charges(t: Tables, number: Number, worth_unit: Number) -> None:
    """Contingencies per lot, rounded up (PMR-9); naked shorts depend on the account and are not among them."""
    market, row = t.markets[number], t.scenarios[number]
    underlying = t.underlyings[market["underlying"]]
    confidence_bps = max(ZERO, BPS - DISPERSION_FACTOR * underlying["dispersion_bps"])
    lack_bps = BPS - confidence_bps if confidence_bps < CONFIDENCE_MIN_BPS else ZERO
    if market["kind"] == KIND_SPOT:
        row[MAINTENANCE_UNIT] = mul_div_ceil(worth_unit, market["maintenance_bps"], BPS)
        extra_bps = market["initial_bps"] - market["maintenance_bps"] + lack_bps
        row[INITIAL_UNIT] = mul_div_ceil(worth_unit, extra_bps, BPS)
        return
    is_linear = market["kind"] == KIND_PERPETUAL or market["kind"] == KIND_FUTURE
    maintenance_bps = LINEAR_MAINTENANCE_BPS if is_linear else ZERO
    initial_bps = LINEAR_INITIAL_BPS + lack_bps if is_linear else lack_bps
    row[MAINTENANCE_UNIT] = mul_div_ceil(underlying["index_e8"], market["lot_e8"] * maintenance_bps, E10 * BPS)
    row[INITIAL_UNIT] = mul_div_ceil(underlying["index_e8"], market["lot_e8"] * initial_bps, E10 * BPS)


@kernel
def _find_strike(t: Tables, number: Number) -> Number:
    """Lowest market with the strike and the expiry of an option."""
    market = t.markets[number]
    for other in range(number):
        twin = t.markets[other]
        is_option = twin["kind"] == KIND_CALL or twin["kind"] == KIND_PUT
        if is_option and twin["expiry"] == market["expiry"] and twin["strike_e8"] == market["strike_e8"]:
            return np.int64(other)
    return number


@kernel
def compute_code(t: Tables, number: Number) -> Number:
    """Key by which an account's positions are ordered; it follows from what a market is and never changes."""
    market = t.markets[number]
    code = (market["underlying"] + 1) << UNDERLYING_SHIFT
    if market["kind"] == KIND_FUTURE or market["kind"] == KIND_CALL or market["kind"] == KIND_PUT:
        code |= (market["expiry"] + 1) << EXPIRY_SHIFT
    if market["kind"] == KIND_CALL or market["kind"] == KIND_PUT:
        code |= _find_strike(t, number) << STRIKE_SHIFT
    return code


@kernel
def clear_scenarios(t: Tables, number: Number) -> None:
    """A market without a mark or settled: it takes no part in any portfolio."""
    market = t.markets[number]
    for word in range(t.scenarios.shape[1]):
        t.scenarios[number, word] = 0
    market["gamma_unit"] = market["theta_unit"] = market["rho_unit"] = 0


@kernel
def set_scenarios(t: Tables, number: Number) -> None:
    """Fill the row of a market that has a mark, and its Greeks gamma, theta and rho."""
    market, row = t.markets[number], t.scenarios[number]
    kind, underlying = market["kind"], t.underlyings[market["underlying"]]
    is_option = kind in (KIND_CALL, KIND_PUT)
    mark_unit = mul_div_floor(market["mark_e8"], market["lot_e8"], E10)
    worth_unit = mark_unit
    stable_e8 = t.counters[STABLE_E8]
    if kind == KIND_SPOT and stable_e8 > 0:
        worth_unit = mul_div_floor(mark_unit, E8, stable_e8)
    limit_quote = LANE_QUOTE_MAX // max(market["position_lots_max"], 1)
    if row[CODE] == 0:
        row[CODE] = compute_code(t, number)
    if kind == KIND_FUTURE or is_option:
        row[STATIC], row[BASIS_FACTOR] = _expiry_factors(t.expiries[market["expiry"]]["sqrt_years_q60"])
    if is_option:
        _set_option(t, number, limit_quote)
    else:
        _set_linear(t, number, worth_unit, limit_quote)
    _set_charges(t, number, worth_unit)
    row[MARK_UNIT], row[CORRECTION], row[KIND] = mark_unit, worth_unit - mark_unit, kind
    row[NOTIONAL_UNIT] = min(mul_div_ceil(underlying["index_e8"], market["lot_e8"], E10), limit_quote)
