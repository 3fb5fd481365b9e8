"""Expiry and delisting: a market ends, and every position becomes money (EXP).

In the last 30 minutes the fresh index is sampled once in each slot of 4 s; a future settles at the mean, an option at
what it pays at the mean. No vote and no operator takes part. Because holdings of a derivative sum to zero, turning them
into quote at one unit moves money between accounts and makes none. A spot market only closes: lots of collateral belong
to their holders, count nothing as margin from then on, and can be withdrawn.
"""

import numpy as np

from engine.accounts import move_balance, move_position
from engine.compiling import kernel
from engine.execution import cancel_order, row_of_index
from engine.marks import clear_units, unit_of
from engine.notices import notify
from engine.offers import cancel_market_offers
from engine.orderbook import best_level, head_of
from engine.phases import set_market_phase
from engine.tables import (
    BY_SETTLEMENT,
    EXPIRY_COUNT,
    KIND_CALL,
    KIND_FUTURE,
    KIND_PERPETUAL,
    KIND_PUT,
    KIND_SPOT,
    MARK_EPOCH,
    MARKET_COUNT,
    NOTICE_SETTLEMENT,
    PHASE_SETTLED,
    POSITIONS_USED,
    Number,
    Outputs,
    Tables,
    Truth,
)
from engine.triggers import cancel_market_triggers

ZERO = np.int64(0)
SETTLED, FOR_SETTLEMENT = np.int64(PHASE_SETTLED), np.int64(BY_SETTLEMENT)
SETTLEMENT_NOTICE = np.int64(NOTICE_SETTLEMENT)
TWAP_MS, SLOT_MS = 1_800_000, 4_000


@kernel
def sample_index(t: Tables, number: Number, time_ms: Number) -> None:
    """Add the index to an expiry's mean, once in each 4 s slot of its last 30 minutes (EXP-1)."""
    dated = t.expiries[number]
    underlying = t.underlyings[dated["underlying"]]
    begins_ms = dated["expiry_ms"] - TWAP_MS
    if underlying["is_fresh"] == 0 or not begins_ms <= time_ms < dated["expiry_ms"]:
        return
    slot = (time_ms - begins_ms) // SLOT_MS
    if dated["twap_count"] == 0 or slot != dated["twap_slot"]:
        dated["twap_sum_e8"] += underlying["index_e8"]
        dated["twap_count"] += 1
        dated["twap_slot"] = slot


@kernel
def compute_settlement_price(t: Tables, number: Number) -> Number:
    """Mean of an expiry's samples in e8 (floor); without any the fresh index, 0 while there is none (EXP-1)."""
    dated = t.expiries[number]
    if dated["twap_count"] != 0:
        return dated["twap_sum_e8"] // dated["twap_count"]
    underlying = t.underlyings[dated["underlying"]]
    return underlying["index_e8"] if underlying["is_fresh"] != 0 else ZERO


@kernel
def compute_payoff(t: Tables, market: Number, price_e8: Number) -> Number:
    """What a unit of the base pays in e8 when its expiry settles at a price; at most the market's highest (EXP-2)."""
    row = t.markets[market]
    payoff_e8 = price_e8
    if row["kind"] == KIND_CALL:
        payoff_e8 = max(price_e8 - row["strike_e8"], 0)
    elif row["kind"] == KIND_PUT:
        payoff_e8 = max(row["strike_e8"] - price_e8, 0)
    return min(payoff_e8, row["price_ticks_max"] * row["tick_e8"])


@kernel
def cancel_book(t: Tables, out: Outputs, market: Number, reason: Number) -> None:
    """Cancel every order of a market: buys first, best first."""
    orderbook = t.orderbook
    for side_index in range(market * 2, market * 2 + 2):
        level = best_level(orderbook, side_index)
        while level != 0:
            cancel_order(t, out, row_of_index(t, head_of(orderbook, level)), reason)
            level = best_level(orderbook, side_index)


@kernel
def close_market(t: Tables, out: Outputs, market: Number, settle_e8: Number) -> None:
    """End trading for good; holdings of a derivative are left to `settle_positions`.

    A notice: settlement price, what a lot pays, F, open interest.
    """
    cancel_book(t, out, market, FOR_SETTLEMENT)
    cancel_market_triggers(t, out, market, FOR_SETTLEMENT)
    cancel_market_offers(t, out, market, FOR_SETTLEMENT)
    row = t.markets[market]
    row["settle_e8"] = settle_e8
    lot_quote = unit_of(settle_e8, row["lot_e8"])
    notify(t, out, SETTLEMENT_NOTICE, market, settle_e8, lot_quote, row["funding_quote"], row["open_interest_lots"])
    set_market_phase(t, out, market, SETTLED, ZERO)
    row["is_fresh"] = 1
    clear_units(t, market)
    t.counters[MARK_EPOCH] += 1


@kernel
def settle_positions(t: Tables, out: Outputs) -> None:
    """Turn all holdings of settled derivatives into quote at `unit(settle) - F` a lot, in order of their rows."""
    for row in range(1, t.counters[POSITIONS_USED]):
        position = t.positions[row]
        lots = position["lots"]
        if lots == 0:
            continue
        market = np.int64(position["market"])
        ended = t.markets[market]
        if ended["phase"] == PHASE_SETTLED and ended["kind"] != KIND_SPOT:
            account = np.int64(position["account"])
            worth_unit = unit_of(ended["settle_e8"], ended["lot_e8"]) - ended["funding_quote"]
            move_position(t, out, account, market, -lots)
            move_balance(t, out, account, lots * worth_unit)


@kernel
def _settle_expiry(t: Tables, out: Outputs, number: Number) -> Truth:
    """Close the markets of an expiry whose time has come, if there is a price; whether it did."""
    price_e8 = compute_settlement_price(t, number)
    if price_e8 == 0:
        return False
    dated = t.expiries[number]
    dated["settle_e8"], dated["is_settled"] = price_e8, 1
    for market in range(t.counters[MARKET_COUNT]):
        row = t.markets[market]
        is_dated = row["kind"] == KIND_FUTURE or row["kind"] == KIND_CALL or row["kind"] == KIND_PUT
        if is_dated and row["expiry"] == number and row["phase"] != PHASE_SETTLED:
            close_market(t, out, np.int64(market), compute_payoff(t, np.int64(market), price_e8))
    return True


@kernel
def _delist(t: Tables, out: Outputs, market: Number) -> Truth:
    """Close a perpetual at its fresh index, or a spot market, whose last hour has passed; whether it did."""
    row = t.markets[market]
    underlying = t.underlyings[row["underlying"]]
    if row["kind"] == KIND_PERPETUAL and underlying["is_fresh"] == 0:
        return False
    close_market(t, out, market, compute_payoff(t, market, underlying["index_e8"]))
    return True


@kernel
def settle_markets(t: Tables, out: Outputs, time_ms: Number) -> None:
    """The clock's settlement: samples, then what has expired, then what is delisted."""
    has_closed: Truth = False
    for number in range(t.counters[EXPIRY_COUNT]):
        dated = t.expiries[number]
        if dated["is_settled"] == 0:
            sample_index(t, np.int64(number), time_ms)
            if time_ms >= dated["expiry_ms"]:
                has_closed = _settle_expiry(t, out, np.int64(number)) or has_closed
    for number in range(t.counters[MARKET_COUNT]):
        row = t.markets[number]
        is_endless = row["kind"] == KIND_PERPETUAL or row["kind"] == KIND_SPOT
        if is_endless and row["phase"] != PHASE_SETTLED and 0 < row["delist_ms"] <= time_ms:
            has_closed = _delist(t, out, np.int64(number)) or has_closed
    if has_closed:
        settle_positions(t, out)
