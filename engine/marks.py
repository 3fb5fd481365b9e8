"""Mark prices, price bands and what a lot of each market demands as margin (MRK, MUL, MAR-1, MAR-2, ORD-1).

Everything here happens at a reprice and is written into the market's row, so that the hot path multiplies a position by
a unit and never prices anything. A unit is quote per lot; demands round up, worth rounds down.

A mark leans on the oracle: the book may pull it by one per cent of the index, no further, and only through a median of
three. Multipliers make margin dearer when prices move, validators disagree, or open interest outgrows insurance; they
are functions of the state within hard bounds, so nobody has to be awake for them.
"""

import numpy as np

from engine.black76 import price_option
from engine.compiling import inlined, kernel
from engine.elementary import compute_sqrt_years
from engine.fixed import mul_div_ceil, mul_div_floor, mul_shift_floor
from engine.notices import notify
from engine.orderbook import best_level, best_rank, rank_of
from engine.svi import svi_vol_q56
from engine.tables import (
    EXPIRY_COUNT,
    INSURANCE_ACCOUNT,
    INSURANCE_COVER,
    KIND_CALL,
    KIND_PERPETUAL,
    KIND_PUT,
    KIND_SPOT,
    MARK_EPOCH,
    MARKET_COUNT,
    MUST_REPRICE,
    NOTICE_MARK,
    NOTICE_MULTIPLIER,
    PHASE_CONTINUOUS,
    PHASE_SETTLED,
    REPRICED_MS,
    STABLE_E8,
    UNDERLYING_COUNT,
    Number,
    Outputs,
    Tables,
    Truth,
)

ZERO, BPS = np.int64(0), np.int64(10_000)
LOT_SCALE = np.int64(10**10)  # e8 price x e8 lot -> quote units of 1e-6
MARK_NOTICE, MULTIPLIER_NOTICE = np.int64(NOTICE_MARK), np.int64(NOTICE_MULTIPLIER)
REPRICE_MS_MAX = 1_000
MINUTE_MS = 60_000
EMA_MS = 150_000
BASIS_DIVISOR = 100  # a mark is within 1 % of its base
TWAP_SLOTS = 450
MULTIPLIER_BPS_MAX, MOVED_BPS_MAX, DOUBT_BPS_MAX = np.int64(20_000), np.int64(5_000), np.int64(2_500)
VARIANCE_WEIGHT = 32
CALM_BPS = 50  # validators that disagree by no more than this are no reason for more margin
MOVE_BPS_MAX = 1_000_000
QUOTE_CAP = np.int64(1 << 60)  # sums of open interest stop here: far above all money there can be
PEG_BPS, PEG_FACTOR = 9_900, 4
SHORT_BPS, SHORT_BPS_MIN, SHORT_MAINTENANCE_BPS, PUT_BUFFER_BPS = 1_500, 1_300, 900, 10_500


@inlined
def unit_of(price_e8: Number, lot_e8: Number) -> Number:
    """What one lot is worth at a price: quote, rounded down (NUM-3)."""
    return mul_div_floor(price_e8, lot_e8, LOT_SCALE)


@inlined
def is_option(kind: Number) -> Truth:
    return kind in (KIND_CALL, KIND_PUT)


@kernel
def best_ticks(t: Tables, market: Number, side: Number) -> Number:
    """Best resting price of a side, 0 if nothing rests there."""
    side_index = market * 2 + side
    if best_level(t.orderbook, side_index) == 0:
        return ZERO
    return rank_of(t.orderbook, side_index, best_rank(t.orderbook, side_index))


@inlined
def _median(a: Number, b: Number, c: Number) -> Number:
    return max(min(a, b), min(max(a, b), c))


@kernel
def compute_forward(t: Tables, number: Number) -> Number:
    """Forward of an expiry in e8, 0 before the first; what is sampled already is fixed (MRK-3)."""
    dated = t.expiries[number]
    forward_e8, count = dated["forward_e8"], dated["twap_count"]
    if count == 0 or forward_e8 == 0:
        return forward_e8
    return (dated["twap_sum_e8"] + forward_e8 * (TWAP_SLOTS - count)) // TWAP_SLOTS


@kernel
def _compute_linear_mark(t: Tables, number: Number, base_e8: Number, time_ms: Number) -> Number:
    """Mark of a perpetual or future from its base (MRK-2); moves the market's average basis."""
    market = t.markets[number]
    tick_e8, last_ticks = market["tick_e8"], market["last_ticks"]
    bid_ticks, ask_ticks = best_ticks(t, number, ZERO), best_ticks(t, number, np.int64(1))
    has_mid = 0 < bid_ticks < ask_ticks and market["phase"] == PHASE_CONTINUOUS
    if has_mid:
        waited_ms = min(time_ms - market["mark_ms"], EMA_MS) if market["mark_ms"] != 0 else ZERO
        basis_e8 = (bid_ticks + ask_ticks) * tick_e8 // 2 - base_e8
        market["basis_ema_e8"] += mul_div_floor(basis_e8 - market["basis_ema_e8"], waited_ms, EMA_MS)
    leaned_e8 = base_e8 + market["basis_ema_e8"]
    booked_e8 = leaned_e8
    if has_mid and last_ticks != 0:
        booked_e8 = _median(bid_ticks, ask_ticks, last_ticks) * tick_e8
    mark_e8 = _median(base_e8, leaned_e8, booked_e8)
    width_e8 = base_e8 // BASIS_DIVISOR
    mark_e8 = min(max(mark_e8, base_e8 - width_e8, tick_e8), base_e8 + width_e8)
    return max(mark_e8, tick_e8)


@kernel
def compute_option_mark(t: Tables, number: Number) -> Number:
    """Mark of an option (MRK-3), -1 without forward or surface; sets the market's Greeks per lot.

    delta_unit: quote per lot for a move of the forward by 100 %; vega_unit: quote per lot for a volatility higher by
    1.00; both rounded down (ORD-8).
    """
    market = t.markets[number]
    dated = t.expiries[market["expiry"]]
    forward_e8 = compute_forward(t, market["expiry"])
    if forward_e8 == 0 or dated["surface_ms"] == 0:
        return np.int64(-1)
    root_q60, strike_e8 = dated["sqrt_years_q60"], market["strike_e8"]
    vol_q56 = svi_vol_q56(
        dated["a_e8"], dated["b_e8"], dated["rho_e8"], dated["m_e8"], dated["sigma_e8"],
        strike_e8, forward_e8, dated["inverse_sqrt_years_q40"],
    )  # fmt: skip
    call_e8, put_e8, delta_q62, _, vega_q60, _, _ = price_option(forward_e8, strike_e8, vol_q56, root_q60)
    is_put = market["kind"] == KIND_PUT
    if is_put:
        delta_q62 -= np.int64(1 << 62)
    market["delta_unit"] = mul_shift_floor(delta_q62, unit_of(forward_e8, market["lot_e8"]), 62)
    market["vega_unit"] = unit_of(mul_shift_floor(vega_q60, forward_e8, 60), market["lot_e8"])
    return put_e8 if is_put else call_e8


@kernel
def _set_band(market: np.void, index_e8: Number) -> None:
    """Highest buy and lowest sell price that orders may have (ORD-1)."""
    mark_e8, tick_e8 = market["mark_e8"], market["tick_e8"]
    width_e12 = (index_e8 if is_option(market["kind"]) else mark_e8) * market["band_bps"]
    highest = (mark_e8 * BPS + width_e12) // (tick_e8 * BPS)
    lowest = -((width_e12 - mark_e8 * BPS) // (tick_e8 * BPS))
    market["buy_limit_ticks"] = min(max(highest, 1), market["price_ticks_max"])
    market["sell_limit_ticks"] = max(lowest, 1)


@kernel
def _set_mark(t: Tables, out: Outputs, number: Number, time_ms: Number) -> None:
    """Mark and band of one market whose index is fresh; a notice (mark, index, F, forward) if the mark moved."""
    market = t.markets[number]
    index_e8, kind = t.underlyings[market["underlying"]]["index_e8"], market["kind"]
    forward_e8: Number = ZERO
    if kind != KIND_PERPETUAL and kind != KIND_SPOT:
        forward_e8 = compute_forward(t, market["expiry"])
    if is_option(kind):
        mark_e8 = compute_option_mark(t, number)
        if mark_e8 < 0:
            return
    elif kind == KIND_SPOT:
        mark_e8 = max(index_e8, market["tick_e8"])
    else:
        mark_e8 = _compute_linear_mark(t, number, forward_e8 if forward_e8 != 0 else index_e8, time_ms)
    mark_e8 = min(mark_e8, market["price_ticks_max"] * market["tick_e8"])
    if mark_e8 != market["mark_e8"] or market["mark_ms"] == 0:
        notify(t, out, MARK_NOTICE, number, mark_e8, index_e8, market["funding_quote"], forward_e8)
    market["mark_e8"] = mark_e8
    market["mark_ms"] = time_ms
    market["mark_ticks"] = mark_e8 // market["tick_e8"]
    _set_band(market, index_e8)


@kernel
def _sample_variance(t: Tables, number: Number, time_ms: Number) -> None:
    """Once a minute: the average of squared moves in bps follows the last one (MUL-1)."""
    underlying = t.underlyings[number]
    if underlying["is_fresh"] == 0 or time_ms // MINUTE_MS == underlying["variance_at_ms"] // MINUTE_MS:
        return
    last_e8 = underlying["variance_index_e8"]
    if last_e8 != 0:
        move_bps = min(mul_div_floor(abs(underlying["index_e8"] - last_e8), BPS, last_e8), MOVE_BPS_MAX)
        underlying["variance_bps2"] += (move_bps * move_bps - underlying["variance_bps2"]) // VARIANCE_WEIGHT
    underlying["variance_index_e8"] = underlying["index_e8"]
    underlying["variance_at_ms"] = time_ms


@kernel
def compute_multiplier(t: Tables, number: Number) -> Number:
    """What initial margin of an underlying's markets is multiplied with, in bps: 10,000 to 20,000 (MUL-1)."""
    underlying = t.underlyings[number]
    reference_bps = underlying["reference_move_bps"]
    moved_bps: Number = ZERO
    if reference_bps != 0:
        ratio_bps = mul_div_floor(underlying["variance_bps2"], BPS, reference_bps * reference_bps)
        moved_bps = min(max((ratio_bps - BPS) // 2, ZERO), MOVED_BPS_MAX)
    disputed_bps: Number = min(max(underlying["dispersion_bps"] - CALM_BPS, 0) * 25, DOUBT_BPS_MAX)
    uncovered_bps: Number = ZERO
    cover = t.counters[INSURANCE_COVER]
    if cover != 0:
        open_quote = underlying["open_interest_quote"]
        covered_quote = mul_div_floor(max(t.accounts[INSURANCE_ACCOUNT]["balance_quote"], 0), cover, 1)
        if open_quote > covered_quote:
            uncovered_bps = mul_div_floor(DOUBT_BPS_MAX, open_quote - covered_quote, open_quote)
    return min(BPS + moved_bps + disputed_bps + uncovered_bps, MULTIPLIER_BPS_MAX)


@kernel
def compute_initial_bps(t: Tables, number: Number) -> Number:
    """Initial margin of a perpetual or future in bps of its value, for its open interest and the times (MAR-2)."""
    market = t.markets[number]
    base_bps, low_quote, high_quote = market["initial_bps"], market["oi_low_quote"], market["oi_high_quote"]
    scaled_bps: Number = ZERO
    if high_quote != 0:
        open_quote = mul_div_floor(market["open_interest_lots"], market["notional_unit"], 1)
        above_quote = max(open_quote - low_quote, 0)
        scaled_bps = mul_div_floor(above_quote, BPS - base_bps, max(high_quote - low_quote, 1))
        scaled_bps = min(scaled_bps, BPS - base_bps)
    stable_bps = t.counters[STABLE_E8] // BPS
    depeg_bps: Number = BPS
    if stable_bps != 0:
        depeg_bps += PEG_FACTOR * max(PEG_BPS - stable_bps, 0)
    factor = t.underlyings[market["underlying"]]["multiplier_bps"] * depeg_bps
    return min(mul_div_ceil(base_bps + scaled_bps, factor, BPS * BPS), BPS)


@kernel
def _set_option_units(t: Tables, number: Number, worth_unit: Number) -> None:
    """Margin of an option per lot (MAR-1): a long's is its value, a short's grows with the index."""
    market = t.markets[number]
    underlying = t.underlyings[market["underlying"]]
    index_e8, strike_e8 = underlying["index_e8"], market["strike_e8"]
    index_unit = unit_of(index_e8, market["lot_e8"])
    is_put = market["kind"] == KIND_PUT
    away_e8 = index_e8 - strike_e8 if is_put else strike_e8 - index_e8
    away_bps = mul_div_floor(max(away_e8, 0), BPS, index_e8)
    initial_unit = mul_div_ceil(index_unit, max(SHORT_BPS - away_bps, SHORT_BPS_MIN), BPS)
    maintenance_unit = mul_div_ceil(index_unit, SHORT_MAINTENANCE_BPS, BPS)
    if is_put:
        maintenance_unit = max(maintenance_unit, mul_div_ceil(worth_unit, SHORT_MAINTENANCE_BPS, BPS))
        initial_unit = max(initial_unit, mul_div_ceil(maintenance_unit, PUT_BUFFER_BPS, BPS))
    market["im_long_unit"] = market["mm_long_unit"] = worth_unit
    market["im_short_unit"] = mul_div_ceil(initial_unit, underlying["multiplier_bps"], BPS)
    market["mm_short_unit"] = maintenance_unit
    market["initial_effective_bps"] = underlying["multiplier_bps"]


@kernel
def set_units(t: Tables, number: Number) -> None:
    """Margin per lot of one market with a mark, long and short (MAR-1)."""
    market = t.markets[number]
    worth_unit = unit_of(market["mark_e8"], market["lot_e8"])
    market["value_unit"] = worth_unit - market["funding_quote"]
    if is_option(market["kind"]):
        _set_option_units(t, number, worth_unit)
        return
    initial_bps = market["initial_bps"]
    if market["kind"] != KIND_SPOT:
        initial_bps = compute_initial_bps(t, number)
    market["initial_effective_bps"] = initial_bps
    market["im_long_unit"] = market["im_short_unit"] = mul_div_ceil(worth_unit, initial_bps, BPS)
    market["mm_long_unit"] = market["mm_short_unit"] = mul_div_ceil(worth_unit, market["maintenance_bps"], BPS)
    market["delta_unit"] = worth_unit
    market["vega_unit"] = 0


@kernel
def _add_open_interest(t: Tables, number: Number) -> None:
    """Set the notional of one lot (options: the index's) and add the market's open interest to its underlying."""
    market = t.markets[number]
    underlying = t.underlyings[market["underlying"]]
    price_e8 = underlying["index_e8"] if is_option(market["kind"]) else market["mark_e8"]
    market["notional_unit"] = unit_of(price_e8, market["lot_e8"])
    if market["kind"] != KIND_SPOT:
        open_quote = min(mul_div_floor(market["open_interest_lots"], market["notional_unit"], 1), QUOTE_CAP)
        underlying["open_interest_quote"] = min(underlying["open_interest_quote"] + open_quote, QUOTE_CAP)


@kernel
def _set_multipliers(t: Tables, out: Outputs) -> None:
    """New multipliers; a notice (new, old) for each that moved."""
    for number in range(t.counters[UNDERLYING_COUNT]):
        underlying = t.underlyings[number]
        old_bps, new_bps = underlying["multiplier_bps"], compute_multiplier(t, number)
        underlying["multiplier_bps"] = new_bps
        if new_bps != old_bps:
            notify(t, out, MULTIPLIER_NOTICE, np.int64(number), new_bps, old_bps, ZERO, ZERO)


@kernel
def clear_units(t: Tables, number: Number) -> None:
    """A settled market demands nothing and is worth nothing (MAR-1)."""
    market = t.markets[number]
    market["value_unit"] = market["notional_unit"] = market["delta_unit"] = market["vega_unit"] = 0
    market["im_long_unit"] = market["im_short_unit"] = market["mm_long_unit"] = market["mm_short_unit"] = 0


@kernel
def is_reprice_due(t: Tables, time_ms: Number) -> Truth:
    """Whether something a mark depends on has changed, or a second has passed (MRK-1)."""
    return t.counters[MUST_REPRICE] != 0 or time_ms - t.counters[REPRICED_MS] >= REPRICE_MS_MAX


@kernel
def reprice(t: Tables, out: Outputs, time_ms: Number) -> None:
    """New marks, bands, multipliers and units of all markets with a fresh index; kept free margins become unknown."""
    for number in range(t.counters[UNDERLYING_COUNT]):
        _sample_variance(t, np.int64(number), time_ms)
        t.underlyings[number]["open_interest_quote"] = 0
    for number in range(t.counters[EXPIRY_COUNT]):
        dated = t.expiries[number]
        roots = compute_sqrt_years(max(dated["expiry_ms"] - time_ms, 0))
        dated["sqrt_years_q60"], dated["inverse_sqrt_years_q40"] = roots
    for number in range(t.counters[MARKET_COUNT]):
        market = t.markets[number]
        if market["phase"] != PHASE_SETTLED:
            if t.underlyings[market["underlying"]]["is_fresh"] != 0:
                _set_mark(t, out, np.int64(number), time_ms)
            _add_open_interest(t, np.int64(number))
    _set_multipliers(t, out)
    for number in range(t.counters[MARKET_COUNT]):
        if t.markets[number]["phase"] != PHASE_SETTLED and t.markets[number]["mark_ms"] != 0:
            set_units(t, np.int64(number))
    t.counters[MARK_EPOCH] += 1
    t.counters[MUST_REPRICE] = 0
    t.counters[REPRICED_MS] = time_ms
