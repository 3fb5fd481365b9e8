"""Offers off the book (ORD-11): a quote for one account or for all, which one ACCEPT takes whole at its price.

An offer reserves nothing; whether its account can bear the trade is asked when somebody accepts. The pool is small, so
it is searched row by row.
"""

import numpy as np

from engine.acceptance import check_holding
from engine.accounts import find_position, open_position, reserve_positions
from engine.compiling import kernel
from engine.execution import Party, cut_both, settle_fill
from engine.exposure import compute_unit_charge, is_reducing, is_row_affordable
from engine.fees import BLOCK_TRADE
from engine.notices import notify
from engine.results import Code, OrderState
from engine.rows import release_row, take_lowest_row
from engine.settings import can_open_position
from engine.tables import (
    ACCOUNT_COUNT,
    BY_EXPIRY,
    CANCELLATION_COUNT,
    MARKET_COUNT,
    NEXT_SEQUENCE,
    NOTICE_OFFER,
    OFFER_ROW,
    OFFERS_LIVE,
    OFFERS_USED,
    ORDER_ROW_BITS,
    PHASE_CONTINUOUS,
    SYSTEM_ACCOUNTS,
    TRIGGER_ROW,
    USER_ACCOUNT_FIRST,
    Number,
    Outputs,
    Tables,
    Truth,
)

OK, UNKNOWN_MARKET = np.int64(Code.OK), np.int64(Code.UNKNOWN_MARKET)
SIZE_NOT_POSITIVE, SIZE_TOO_LARGE = np.int64(Code.SIZE_NOT_POSITIVE), np.int64(Code.SIZE_TOO_LARGE)
PRICE_OUT_OF_RANGE, PRICE_OUTSIDE_BAND = np.int64(Code.PRICE_OUT_OF_RANGE), np.int64(Code.PRICE_OUTSIDE_BAND)
PRICE_MISSING, UNKNOWN_ORDER = np.int64(Code.NO_PRICE), np.int64(Code.UNKNOWN_ORDER)
UNKNOWN_ENUM, PHASE_REFUSES = np.int64(Code.UNKNOWN_ENUM), np.int64(Code.PHASE_REFUSES)
CONTRADICTORY, ABOVE_SESSION_CAP = np.int64(Code.CONTRADICTORY), np.int64(Code.ABOVE_SESSION_CAP)
COUNTERPARTY_FAILED, POSITIONS_FULL = np.int64(Code.COUNTERPARTY_FAILED), np.int64(Code.POSITIONS_FULL)
TABLE_FULL, INSUFFICIENT_MARGIN = np.int64(Code.TABLE_FULL), np.int64(Code.INSUFFICIENT_MARGIN)
NOTHING, ONE, ANY = np.int64(0), np.int64(1), np.int64(-1)
BUY_SIDE, SELL_SIDE = np.int64(0), np.int64(1)
EXPIRED, OFFERED = np.int64(BY_EXPIRY), np.int64(NOTICE_OFFER)
STATE_OPEN, STATE_FILLED = np.int64(OrderState.OPEN), np.int64(OrderState.FILLED)
OFFERS_PER_ACCOUNT = 8
OFFER_BITS = np.int64(TRIGGER_ROW | OFFER_ROW)
POOL_ROW_MASK = np.int64(OFFER_ROW - 1)


@kernel
def find_offer(t: Tables, order_id: Number) -> Number:
    """Row of the offer with this id, expired or not; 0 if there is none."""
    row = order_id & POOL_ROW_MASK
    if order_id & OFFER_BITS != OFFER_BITS or row >= t.counters[OFFERS_USED]:
        return NOTHING
    return row if t.offers[row]["is_live"] != 0 and t.offers[row]["order_id"] == order_id else NOTHING


@kernel
def find_own_offer(t: Tables, account: Number, market: Number, order_id: Number, client_id: Number) -> Number:
    """Row of an account's offer in a market with this id and, unless it is 0, this client id; 0 if there is none."""
    row = find_offer(t, order_id)
    if row == NOTHING:
        return NOTHING
    offer = t.offers[row]
    is_own = np.int64(offer["account"]) == account and np.int64(offer["market"]) == market
    return row if is_own and (client_id == 0 or offer["client_id"] == client_id) else NOTHING


@kernel
def _release(t: Tables, row: Number) -> None:
    t.offers[row]["is_live"] = NOTHING
    t.counters[OFFERS_LIVE] -= 1
    release_row(t.offer_rows, row)


@kernel
def remove_offer(t: Tables, out: Outputs, row: Number, reason: Number) -> None:
    """End an offer that nobody accepted and say so among the cancellations."""
    offer = t.offers[row]
    gone = out.cancellations[t.counters[CANCELLATION_COUNT]]
    t.counters[CANCELLATION_COUNT] += 1
    gone["order_id"] = offer["order_id"]
    gone["account"] = np.int64(offer["account"])
    gone["market"] = np.int64(offer["market"])
    gone["side"] = np.int64(offer["side"])
    gone["price_ticks"] = offer["price_ticks"]
    gone["remaining_lots"] = offer["size_lots"]
    gone["client_id"] = offer["client_id"]
    gone["reason"] = reason
    _release(t, row)


@kernel
def _find_next(t: Tables, account: Number, market: Number, until_ms: Number, after_id: Number) -> Number:
    """Row of the offer with the lowest id above `after_id` of an account and a market (-1: any) whose time ends by
    `until_ms` (-1: whenever); 0 if there is none.
    """
    found, found_id = NOTHING, NOTHING
    for number in range(ONE, t.counters[OFFERS_USED]):
        row = np.int64(number)
        offer = t.offers[row]
        order_id = offer["order_id"]
        if offer["is_live"] == 0 or order_id <= after_id or (found != NOTHING and order_id > found_id):
            continue
        is_whose = account == ANY or np.int64(offer["account"]) == account
        is_where = market == ANY or np.int64(offer["market"]) == market
        if is_whose and is_where and (until_ms == ANY or offer["good_till_ms"] <= until_ms):
            found, found_id = row, order_id
    return found


@kernel
def _cancel(t: Tables, out: Outputs, account: Number, market: Number, until_ms: Number, reason: Number) -> Number:
    """Remove offers in order of ids; returns how many. Arguments as for `_find_next`."""
    count, last_id = NOTHING, NOTHING
    while t.counters[OFFERS_LIVE] != 0:
        row = _find_next(t, account, market, until_ms, last_id)
        if row == NOTHING:
            break
        last_id = np.int64(t.offers[row]["order_id"])
        remove_offer(t, out, row, reason)
        count += 1
    return count


@kernel
def cancel_offers(t: Tables, out: Outputs, account: Number, market: Number, reason: Number) -> Number:
    """Remove an account's offers in one market (-1: in all), in order of ids; returns how many."""
    return _cancel(t, out, account, market, ANY, reason)


@kernel
def cancel_market_offers(t: Tables, out: Outputs, market: Number, reason: Number) -> Number:
    """Remove everybody's offers in a market, in order of ids; returns how many."""
    return _cancel(t, out, ANY, market, ANY, reason)


@kernel
def sweep_offers(t: Tables, out: Outputs, time_ms: Number) -> None:
    """Remove the offers whose time has ended."""
    _cancel(t, out, ANY, ANY, time_ms, EXPIRED)


@kernel
def _check_band(t: Tables, market_index: Number, side: Number, price_ticks: Number) -> Number:
    """Rule 305; without a mark there is no band."""
    market = t.markets[market_index]
    if market["mark_ms"] == 0:
        return OK
    if side == BUY_SIDE and price_ticks > market["buy_limit_ticks"]:
        return PRICE_OUTSIDE_BAND
    if side == SELL_SIDE and price_ticks < market["sell_limit_ticks"]:
        return PRICE_OUTSIDE_BAND
    return OK


@kernel
def _is_priced(t: Tables, account: Number, market_index: Number, side: Number, size_lots: Number) -> Truth:
    """Rule 306: a mark that is fresh, or any if the trade only reduces."""
    market = t.markets[market_index]
    if market["mark_ms"] == 0:
        return False
    if market["is_fresh"] != 0:
        return True
    return side <= SELL_SIDE and is_reducing(t, find_position(t, account, market_index), side, size_lots)


@kernel
def _check_offer(t: Tables, account: Number, action: np.void, order_quote_max: Number, time_ms: Number) -> Number:
    """The first rule that an OFFER breaks, the table's room apart."""
    market_index, side = np.int64(action["market"]), np.int64(action["side"])
    if market_index >= t.counters[MARKET_COUNT] or t.markets[market_index]["is_listed"] == 0:
        return UNKNOWN_MARKET
    market, price_ticks, size_lots = t.markets[market_index], action["price_ticks"], action["size_lots"]
    if size_lots <= 0:
        return SIZE_NOT_POSITIVE
    if size_lots > market["order_lots_max"]:
        return SIZE_TOO_LARGE
    if price_ticks < 1 or price_ticks > market["price_ticks_max"]:
        return PRICE_OUT_OF_RANGE
    code = _check_band(t, market_index, side, price_ticks)
    if code != OK:
        return code
    if not _is_priced(t, account, market_index, side, size_lots):
        return PRICE_MISSING
    if side > SELL_SIDE:
        return UNKNOWN_ENUM
    if market["phase"] != PHASE_CONTINUOUS:
        return PHASE_REFUSES
    link = action["link"]
    is_system = link < SYSTEM_ACCOUNTS
    is_for_known = link != account and (is_system or USER_ACCOUNT_FIRST <= link < t.counters[ACCOUNT_COUNT])
    if action["good_till_ms"] <= time_ms or not is_for_known:
        return CONTRADICTORY
    if order_quote_max != 0 and price_ticks * market["quote_per_tick_lot"] * size_lots > order_quote_max:
        return ABOVE_SESSION_CAP
    return OK


@kernel
def _count_offers(t: Tables, account: Number) -> Number:
    count = NOTHING
    for row in range(ONE, t.counters[OFFERS_USED]):
        if t.offers[row]["is_live"] != 0 and np.int64(t.offers[row]["account"]) == account:
            count += 1
    return count


@kernel
def place_offer(
    t: Tables, out: Outputs, account: Number, action: np.void, order_quote_max: Number, time_ms: Number,
    receipt_row: Number,
) -> Number:  # fmt: skip
    """Take in an OFFER and return the code. Notice: offer, account, market, for whom."""
    code = _check_offer(t, account, action, order_quote_max, time_ms)
    if code != OK:
        return code
    if _count_offers(t, account) >= OFFERS_PER_ACCOUNT:
        return TABLE_FULL
    row = take_lowest_row(t.offer_rows, len(t.offers))
    if row == NOTHING:
        return TABLE_FULL
    order_id = (t.counters[NEXT_SEQUENCE] << ORDER_ROW_BITS) + OFFER_BITS + row
    t.counters[NEXT_SEQUENCE] += 1
    t.counters[OFFERS_USED] = max(t.counters[OFFERS_USED], row + 1)
    t.counters[OFFERS_LIVE] += 1
    offer = t.offers[row]
    offer["order_id"], offer["client_id"], offer["placed_ms"] = order_id, action["client_id"], time_ms
    offer["price_ticks"], offer["size_lots"] = action["price_ticks"], action["size_lots"]
    offer["good_till_ms"], offer["counterparty"] = action["good_till_ms"], action["link"]
    offer["account"], offer["market"], offer["side"] = account, action["market"], action["side"]
    offer["is_live"] = ONE
    receipt = out.receipts[receipt_row]
    receipt["order_id"], receipt["order_state"], receipt["remaining_lots"] = order_id, STATE_OPEN, action["size_lots"]
    notify(t, out, OFFERED, order_id, account, np.int64(action["market"]), action["link"], NOTHING)
    return OK


@kernel
def _find_acceptable(t: Tables, account: Number, market: Number, order_id: Number, time_ms: Number) -> Number:
    """Row of the offer that an account may accept in a market now, else 0 (308)."""
    row = find_offer(t, order_id)
    if row == NOTHING:
        return NOTHING
    offer = t.offers[row]
    counterparty = np.int64(offer["counterparty"])
    is_for_account = counterparty in (NOTHING, account) and np.int64(offer["account"]) != account
    is_open = np.int64(offer["market"]) == market and offer["good_till_ms"] > time_ms
    return row if is_for_account and is_open else NOTHING


@kernel
def _check_means(
    t: Tables, account: Number, market: Number, side: Number, size_lots: Number, price_ticks: Number
) -> Number:
    """Rules 401 to 405 and 505 for one of the two accounts of a trade."""
    row = find_position(t, account, market)
    charge_quote = compute_unit_charge(t, market, side, price_ticks, NOTHING)
    if not is_row_affordable(t, account, market, row, side, size_lots, charge_quote):
        return INSUFFICIENT_MARGIN
    code = check_holding(t, account, market, side, size_lots, row)
    if code == OK and not can_open_position(t, account, row):
        code = POSITIONS_FULL
    return code


@kernel
def _check_accept(t: Tables, account: Number, action: np.void, row: Number, order_quote_max: Number) -> Number:
    """The first rule that an ACCEPT of the offer in a row (0: none) breaks."""
    market_index, side = np.int64(action["market"]), np.int64(action["side"])
    market, offer = t.markets[market_index], t.offers[row]
    price_ticks, size_lots = offer["price_ticks"], offer["size_lots"]
    if row == NOTHING:
        return UNKNOWN_ORDER
    if _check_band(t, market_index, side, price_ticks) != OK:
        return PRICE_OUTSIDE_BAND
    if not _is_priced(t, account, market_index, side, size_lots):
        return PRICE_MISSING
    if side > SELL_SIDE:
        return UNKNOWN_ENUM
    if market["phase"] != PHASE_CONTINUOUS:
        return PHASE_REFUSES
    maker, maker_side = np.int64(offer["account"]), np.int64(offer["side"])
    if side == maker_side:
        return CONTRADICTORY
    if order_quote_max != 0 and price_ticks * market["quote_per_tick_lot"] * size_lots > order_quote_max:
        return ABOVE_SESSION_CAP
    code = _check_means(t, account, market_index, side, size_lots, price_ticks)
    if code == OK and _check_means(t, maker, market_index, maker_side, size_lots, price_ticks) != OK:
        code = COUNTERPARTY_FAILED
    if code == OK:
        is_new, is_maker_new = find_position(t, account, market_index) == 0, find_position(t, maker, market_index) == 0
        if not reserve_positions(t, np.int64(is_new) + np.int64(is_maker_new)):
            code = POSITIONS_FULL
    return code


@kernel
def accept_offer(
    t: Tables, out: Outputs, account: Number, action: np.void, order_quote_max: Number, time_ms: Number,
    receipt_row: Number,
) -> Number:  # fmt: skip
    """ACCEPT an offer: all of it trades at its price, if both accounts can bear it; returns the code."""
    market = np.int64(action["market"])
    if market >= t.counters[MARKET_COUNT] or t.markets[market]["is_listed"] == 0:
        return UNKNOWN_MARKET
    row = _find_acceptable(t, account, market, action["order_id"], time_ms)
    code = _check_accept(t, account, action, row, order_quote_max)
    if code != OK:
        return code
    offer = t.offers[row]
    order_id, price_ticks, lots = offer["order_id"], offer["price_ticks"], offer["size_lots"]
    maker = np.int64(offer["account"])
    _release(t, row)
    giving = Party(maker, open_position(t, maker, market), order_id, NOTHING, NOTHING, NOTHING, NOTHING)
    taking = Party(account, open_position(t, account, market), NOTHING, NOTHING, NOTHING, NOTHING, NOTHING)
    settle_fill(t, out, market, price_ticks, lots, np.int64(action["side"]), giving, taking, BLOCK_TRADE, time_ms)
    cut_both(t, out, market, giving, taking)
    receipt = out.receipts[receipt_row]
    receipt["order_id"], receipt["order_state"] = order_id, STATE_FILLED
    receipt["filled_lots"], receipt["filled_value"] = lots, price_ticks * lots
    return OK
