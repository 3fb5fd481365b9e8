"""Funding of perpetuals: what longs pay shorts while the book trades above the index, and the reverse (FND).

Once a minute the premium of the book over the index is sampled, once an hour the mean becomes a rate and moves `F`, the
market's `funding_quote`: what one lot long has paid since listing. No account is touched. A position is valued at
`unit(mark) - F` and trades move `p v - F`, so every holder's equity follows, the payments of longs and shorts cancel to
the unit, and no pool has to be kept.

The idea of a cumulative index per market is StarkEx' and dYdX'; premium, hourly payment of an eighth and the clamp
against the interest follow Hyperliquid's published formula.
"""

import numpy as np

from engine.compiling import kernel
from engine.fixed import mul_div_floor
from engine.marks import unit_of
from engine.notices import notify
from engine.orderbook import best_level, next_level, rank_of, rank_of_level
from engine.tables import (
    KIND_PERPETUAL,
    MARK_EPOCH,
    MARKET_COUNT,
    NOTICE_FUNDING,
    PHASE_CONTINUOUS,
    PHASE_SETTLED,
    Number,
    Outputs,
    Tables,
)

ZERO, ONE = np.int64(0), np.int64(1)
FUNDING_NOTICE = np.int64(NOTICE_FUNDING)
MINUTE_MS, HOUR_MS = 60_000, 3_600_000
RATE_ONE = np.int64(10**9)  # rates are in units of 1e-9
RATE_PER_BPS = 100_000
CLAMP_RATE = 500_000  # 0.05 %
HOURS_SCALE = 8 * 10**9  # a rate is for eight hours


@kernel
def compute_impact_price(t: Tables, market: Number, side: Number) -> Number:
    """Mean price in e8 (floor) of the first `impact_quote` of a side of the book, 0 if less rests there (FND-2)."""
    row = t.markets[market]
    per_tick_lot, missing_quote = row["quote_per_tick_lot"], row["impact_quote"]
    side_index = market * 2 + side
    level = best_level(t.orderbook, side_index)
    lots_sum: Number = ZERO
    value_sum: Number = ZERO
    while missing_quote > 0 and level != 0:
        price_ticks = rank_of(t.orderbook, side_index, rank_of_level(t.orderbook, level))
        lot_quote = price_ticks * per_tick_lot
        lots = min(t.orderbook.book[level]["lots"], (missing_quote + lot_quote - 1) // lot_quote)
        lots_sum += lots
        value_sum += lots * price_ticks
        missing_quote -= lots * lot_quote
        level = next_level(t.orderbook, level)
    if missing_quote > 0 or lots_sum == 0:
        return ZERO
    return mul_div_floor(value_sum, row["tick_e8"], lots_sum)


@kernel
def compute_premium(t: Tables, market: Number) -> Number:
    """How far the book lies outside the index, in 1e-9 of it, floor: positive above it, 0 where the index is inside."""
    index_e8 = t.underlyings[t.markets[market]["underlying"]]["index_e8"]
    bid_e8, ask_e8 = compute_impact_price(t, market, ZERO), compute_impact_price(t, market, ONE)
    above_e8 = max(bid_e8 - index_e8, 0)
    below_e8 = max(index_e8 - ask_e8, 0) if ask_e8 != 0 else ZERO
    return min(max(mul_div_floor(above_e8 - below_e8, RATE_ONE, index_e8), -RATE_ONE), RATE_ONE)


@kernel
def compute_rate(t: Tables, market: Number) -> Number:
    """The rate for eight hours, in 1e-9, that the samples of the hour give (FND-3)."""
    row = t.markets[market]
    premium = row["premium_sum"] // row["premium_count"]
    interest = row["interest_bps"] * RATE_PER_BPS
    cap = min(row["funding_cap_bps"] * RATE_PER_BPS, RATE_ONE)
    return min(max(premium + min(max(interest - premium, -CLAMP_RATE), CLAMP_RATE), -cap), cap)


@kernel
def _pay_funding(t: Tables, out: Outputs, market: Number) -> None:
    """Move F by one hour of the rate; a notice (rate, change of F, F, number of samples)."""
    row = t.markets[market]
    rate = compute_rate(t, market)
    index_unit = unit_of(t.underlyings[row["underlying"]]["index_e8"], row["lot_e8"])
    # unit x rate may pass 63 bits: the unit is taken apart, the rest of the division is carried.
    whole, rest = index_unit // HOURS_SCALE, index_unit % HOURS_SCALE
    total = rest * rate + row["funding_rest"]
    change_quote = whole * rate + total // HOURS_SCALE
    row["funding_rest"] = total % HOURS_SCALE
    row["funding_quote"] += change_quote
    row["value_unit"] -= change_quote
    notify(t, out, FUNDING_NOTICE, market, rate, change_quote, row["funding_quote"], row["premium_count"])
    row["premium_sum"] = row["premium_count"] = 0
    if change_quote != 0:
        t.counters[MARK_EPOCH] += 1


@kernel
def advance_funding(t: Tables, out: Outputs, time_ms: Number) -> None:
    """First what an hour that has ended owes, then the sample of a minute that has begun, for every perpetual."""
    for number in range(t.counters[MARKET_COUNT]):
        market = np.int64(number)
        row = t.markets[market]
        if row["kind"] != KIND_PERPETUAL or row["phase"] == PHASE_SETTLED or row["is_fresh"] == 0:
            continue
        if time_ms // HOUR_MS != row["funding_at_ms"] // HOUR_MS:
            if row["premium_count"] != 0:
                _pay_funding(t, out, market)
            row["funding_at_ms"] = time_ms
        if row["phase"] == PHASE_CONTINUOUS and time_ms // MINUTE_MS != row["premium_at_ms"] // MINUTE_MS:
            row["premium_sum"] += compute_premium(t, market)
            row["premium_count"] += 1
            row["premium_at_ms"] = time_ms
