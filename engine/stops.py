"""Taking in TRIGGER actions: what can be judged before a trigger fires, and where it then waits (ORD-9)."""

import numpy as np

from engine.accounts import is_client_id_used, remember_client_id, touch
from engine.commands import (
    AT_MARKET,
    FILL_OR_KILL,
    GOOD_TILL_TIME,
    IMMEDIATE_OR_CANCEL,
    POST_ONLY_SLIDE,
    REDUCE_ONLY,
    TRIGGER_BELOW,
    TRIGGER_ON_LAST,
)
from engine.compiling import kernel
from engine.orderbook import find_order
from engine.results import Code, OrderState
from engine.rows import take_lowest_row
from engine.tables import (
    DIRTY_AUX,
    MARKET_COUNT,
    NEXT_SEQUENCE,
    ORDER_ROW_BITS,
    ORDER_ROW_MASK,
    TRIGGER_ROW,
    TRIGGERS_LIVE,
    TRIGGERS_USED,
    Number,
    Outputs,
    Tables,
    Truth,
)
from engine.triggers import PLACE_FLAGS, WAITING, find_trigger, note_threshold

OK = np.int64(Code.OK)
UNKNOWN_MARKET, SIZE_NOT_POSITIVE = np.int64(Code.UNKNOWN_MARKET), np.int64(Code.SIZE_NOT_POSITIVE)
SIZE_TOO_LARGE, PRICE_OUT_OF_RANGE = np.int64(Code.SIZE_TOO_LARGE), np.int64(Code.PRICE_OUT_OF_RANGE)
DUPLICATE_CLIENT_ID, UNKNOWN_ENUM = np.int64(Code.DUPLICATE_CLIENT_ID), np.int64(Code.UNKNOWN_ENUM)
CONTRADICTORY, BAD_TRIGGER = np.int64(Code.CONTRADICTORY), np.int64(Code.BAD_TRIGGER)
ABOVE_SESSION_CAP, TOO_MANY_TRIGGERS = np.int64(Code.ABOVE_SESSION_CAP), np.int64(Code.TOO_MANY_TRIGGERS)
TABLE_FULL = np.int64(Code.TABLE_FULL)
NOTHING, ONE = np.int64(0), np.int64(1)
AUX, STATE_OPEN = np.int64(DIRTY_AUX), np.int64(OrderState.OPEN)
TRIGGERS_PER_ACCOUNT = 32
KNOWN_FLAGS = np.int64(PLACE_FLAGS | TRIGGER_ON_LAST | TRIGGER_BELOW)


@kernel
def _check_terms(t: Tables, account: Number, action: np.void) -> Number:
    """Rules 301 to 311 of the place that a trigger carries, as far as they can be judged before it fires."""
    if np.int64(action["market"]) >= t.counters[MARKET_COUNT]:
        return UNKNOWN_MARKET
    market = t.markets[np.int64(action["market"])]
    flags, price_ticks, size_lots = np.int64(action["flags"]), action["price_ticks"], action["size_lots"]
    if market["is_listed"] == 0:
        return UNKNOWN_MARKET
    if size_lots < 0 or (size_lots == 0 and flags & REDUCE_ONLY == 0):
        return SIZE_NOT_POSITIVE
    if size_lots > market["order_lots_max"]:
        return SIZE_TOO_LARGE
    if flags & AT_MARKET:
        if price_ticks != 0:
            return PRICE_OUT_OF_RANGE
    elif price_ticks < 1 or price_ticks > market["price_ticks_max"]:
        return PRICE_OUT_OF_RANGE
    if action["client_id"] != 0 and is_client_id_used(t, account, action["client_id"]):
        return DUPLICATE_CLIENT_ID
    time_in_force = np.int64(action["time_in_force"])
    if time_in_force == GOOD_TILL_TIME or time_in_force > POST_ONLY_SLIDE:  # a trigger has no field for a time
        return UNKNOWN_ENUM
    if np.int64(action["side"]) > 1 or flags & ~KNOWN_FLAGS != 0:
        return UNKNOWN_ENUM
    return OK


@kernel
def _resolve_link(t: Tables, account: Number, market: Number, link_id: Number) -> tuple[Truth, Number, Number]:
    """`(is it right, parent id, row of the sibling)`: a link to nothing, an own trigger or an own open order."""
    if link_id == 0:
        return True, NOTHING, NOTHING
    if link_id & TRIGGER_ROW:
        row = find_trigger(t, account, link_id)
        if row == NOTHING or np.int64(t.triggers[row]["market"]) != market or t.triggers[row]["sibling_id"] != 0:
            return False, NOTHING, NOTHING
        return True, np.int64(t.triggers[row]["parent_id"]), row
    if find_order(t.orderbook, link_id, account) == NOTHING:
        return False, NOTHING, NOTHING
    detail = t.details[link_id & ORDER_ROW_MASK]
    if np.int64(detail["market"]) != market:
        return False, NOTHING, NOTHING
    return True, link_id if detail["filled_lots"] == 0 else NOTHING, NOTHING


@kernel
def _check_trigger(t: Tables, account: Number, action: np.void, is_linked: Truth, order_quote_max: Number) -> Number:
    """Rules 314 to 317 and 504, after `_check_terms`."""
    market, flags, trigger_ticks = (
        t.markets[np.int64(action["market"])],
        np.int64(action["flags"]),
        action["trigger_ticks"],
    )
    is_taking = np.int64(action["time_in_force"]) in (IMMEDIATE_OR_CANCEL, FILL_OR_KILL)
    if flags & AT_MARKET != 0 and not is_taking:
        return CONTRADICTORY
    if not is_linked or trigger_ticks < 1 or trigger_ticks > market["price_ticks_max"]:
        return BAD_TRIGGER
    worth_ticks = trigger_ticks if flags & AT_MARKET else action["price_ticks"]
    if order_quote_max != 0 and worth_ticks * market["quote_per_tick_lot"] * action["size_lots"] > order_quote_max:
        return ABOVE_SESSION_CAP
    count, row = NOTHING, np.int64(t.accounts[account]["trigger_first"])
    while row != NOTHING:
        count += 1
        row = np.int64(t.triggers[row]["next"])
    return OK if count < TRIGGERS_PER_ACCOUNT else TOO_MANY_TRIGGERS


@kernel
def _link_last(t: Tables, account: Number, row: Number) -> None:
    """Put a trigger at the end of its account's list: the highest id."""
    at = np.int64(t.accounts[account]["trigger_first"])
    if at == NOTHING:
        t.accounts[account]["trigger_first"] = row
        return
    while np.int64(t.triggers[at]["next"]) != NOTHING:
        at = np.int64(t.triggers[at]["next"])
    t.triggers[at]["next"] = row


@kernel
def place_trigger(
    t: Tables, out: Outputs, account: Number, action: np.void, link_id: Number, order_quote_max: Number,
    time_ms: Number, receipt_row: Number,
) -> Number:  # fmt: skip
    """Take in a TRIGGER and return the code. `link_id` is the action's link with 1 and 2 already turned into an id
    (0: none, -1: there is no such place or trigger).
    """
    code = _check_terms(t, account, action)
    if code != OK:
        return code
    is_linked, parent_id, sibling = _resolve_link(t, account, np.int64(action["market"]), link_id)
    code = _check_trigger(t, account, action, is_linked, order_quote_max)
    if code != OK:
        return code
    row = take_lowest_row(t.trigger_rows, len(t.triggers))
    if row == NOTHING:
        return TABLE_FULL
    order_id = (t.counters[NEXT_SEQUENCE] << ORDER_ROW_BITS) + TRIGGER_ROW + row
    t.counters[NEXT_SEQUENCE] += 1
    t.counters[TRIGGERS_USED] = max(t.counters[TRIGGERS_USED], row + 1)
    t.counters[TRIGGERS_LIVE] += 1
    trigger = t.triggers[row]
    trigger["order_id"], trigger["client_id"], trigger["placed_ms"] = order_id, action["client_id"], time_ms
    trigger["trigger_ticks"], trigger["price_ticks"] = action["trigger_ticks"], action["price_ticks"]
    trigger["size_lots"], trigger["parent_id"], trigger["sibling_id"] = action["size_lots"], parent_id, NOTHING
    trigger["account"], trigger["market"], trigger["side"] = account, action["market"], action["side"]
    trigger["flags"], trigger["time_in_force"] = action["flags"], action["time_in_force"]
    trigger["is_live"], trigger["next"] = WAITING, NOTHING
    if sibling != NOTHING:
        trigger["sibling_id"] = t.triggers[sibling]["order_id"]
        t.triggers[sibling]["sibling_id"] = order_id
    _link_last(t, account, row)
    note_threshold(t, row)
    if action["client_id"] != 0:
        remember_client_id(t, account, action["client_id"])
    touch(t, out, account, AUX)
    receipt = out.receipts[receipt_row]
    receipt["order_id"], receipt["order_state"], receipt["remaining_lots"] = order_id, STATE_OPEN, action["size_lots"]
    return OK
