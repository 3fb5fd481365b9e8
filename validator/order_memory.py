"""The arrays in which a node remembers orders, and the compiled code that brings them up to date with a block.

What is open lies in a pool, found by the row that its id names (docs/spec.md, ORD-2). An order that has not come to
rest has no row yet: what a block makes is found by its sequence until the block ends. Receipts, notices, fills and
cancellations tell most of what happens to an order; cuts of reduce-only orders and of orders that met their own account
leave no word (ORD-5, ORD-6), so those are compared with the engine's tables.
"""

from typing import NamedTuple

import numpy as np

from engine.commands import AMEND, DECREMENT, PLACE, REDUCE_ONLY, SELF_TRADE_SHIFT, TRIGGER
from engine.compiling import entry_point, inlined, kernel
from engine.execution import index_of_row
from engine.handles import Handle
from engine.results import Code, OrderState
from engine.tables import (
    NOTICE_TRIGGER,
    OFFER_ROW,
    ORDER_ROW_BITS,
    ORDER_ROW_MASK,
    TRIGGER_ROW,
    TRIGGERS_USED,
    Number,
    Tables,
    Truth,
)

# 112 bytes: an order or a waiting trigger. `filled_value` is the sum of price_ticks x size_lots of its fills,
# `cancel_reason` -1 without one; the last row of fields is this module's.
KNOWN_ORDER = np.dtype(
    [(name, "<i8") for name in ("order_id", "client_id", "price_ticks", "size_lots", "remaining_lots", "filled_value")]
    + [(name, "<i8") for name in ("created_ms", "updated_ms", "display_lots", "good_till_ms", "trigger_ticks")]
    + [(name, "<u4") for name in ("account", "market", "flags")]
    + [(name, "u1") for name in ("side", "time_in_force", "state", "is_waiting")]
    + [("cancel_reason", "i1"), ("is_touched", "u1"), ("told_state", "u1"), ("is_counted", "u1"), ("spare", "<u4")]
)
# A trade as it is stored. The ids are those under which the orders are known to their owners, whether or not they had
# come to rest; `previous` is the trade before it of the same account or market (0: none), which makes a chain of each.
KNOWN_FILL = np.dtype(
    [(name, "<i8") for name in ("price_ticks", "size_lots", "maker_order_id", "taker_order_id", "maker_fee_quote")]
    + [(name, "<i8") for name in ("taker_fee_quote", "maker_client_id", "taker_client_id")]
    + [(name, "<i8") for name in ("maker_previous", "taker_previous", "market_previous")]
    + [(name, "<i4") for name in ("market", "maker_account", "taker_account")]
    + [("taker_side", "u1"), ("is_liquidation", "u1"), ("spare", "<u2")]
)
WHOLE_LOTS = np.int64(1 << 62)  # size of a trigger that closes whatever the position will be
# counters
FREE_COUNT, TOUCHED_COUNT, NEW_COUNT, STAMP = range(4)
COUNTERS = 4

ONE, NOTHING, UNTOLD = np.int64(1), np.int64(0), np.int64(255)
OK = np.int64(Code.OK)
OPEN, FILLED = np.int64(OrderState.OPEN), np.int64(OrderState.FILLED)
CANCELLED, NONE = np.int64(OrderState.CANCELLED), np.int64(OrderState.NONE)
ROW_BITS, ROW_MASK = np.int64(ORDER_ROW_BITS), np.int64(ORDER_ROW_MASK)
TRIGGER_BIT, OFFER_BIT, POOL_ROW_MASK = np.int64(TRIGGER_ROW), np.int64(OFFER_ROW), np.int64(OFFER_ROW - 1)
FIRED = np.int64(NOTICE_TRIGGER)


class _MemoryFields(NamedTuple):
    pool: np.ndarray  # KNOWN_ORDER; row 0 is nobody's
    free: np.ndarray  # uint32: a stack of rows of the pool that hold nothing
    touched: np.ndarray  # uint32: rows of the pool that the block changed
    of_order_row: np.ndarray  # uint32: row of the pool by row of the order; 0: none
    of_trigger_row: np.ndarray
    of_new: np.ndarray  # uint32: the same by sequence, from the block's first on
    reducing: np.ndarray  # int32 by account: open reduce-only orders
    visited: np.ndarray  # int64 by account: the last block that looked at all its orders
    account_last: np.ndarray  # int64: the last trade of an account
    market_last: np.ndarray
    counters: np.ndarray


class Memory(Handle, _MemoryFields):
    """Everything that is followed from block to block."""


class _HappenedFields(NamedTuple):
    receipts: np.ndarray
    actions: np.ndarray  # of all batches, one a receipt
    fills: np.ndarray
    cancellations: np.ndarray
    liquidations: np.ndarray
    deleverages: np.ndarray
    notices: np.ndarray
    known_fills: np.ndarray  # KNOWN_FILL: written here, a row a fill


class Happened(Handle, _HappenedFields):
    """What one block did."""


@inlined
def _find(m: Memory, order_id: Number, first_sequence: Number) -> Number:
    """Row in the pool of an order or trigger by its id, with or without the row in it; 0 for what nobody placed."""
    sequence = order_id >> ROW_BITS
    if sequence >= first_sequence:
        at = sequence - first_sequence
        return np.int64(m.of_new[at]) if at < m.counters[NEW_COUNT] else NOTHING
    row, slot = order_id & ROW_MASK, NOTHING
    if row & TRIGGER_BIT == 0:
        if row < len(m.of_order_row):
            slot = np.int64(m.of_order_row[row])
    elif row & OFFER_BIT == 0 and row & POOL_ROW_MASK < len(m.of_trigger_row):
        slot = np.int64(m.of_trigger_row[row & POOL_ROW_MASK])
    return slot if slot != NOTHING and m.pool[slot]["order_id"] >> ROW_BITS == sequence else NOTHING


@inlined
def _touch(m: Memory, slot: Number, time_ms: Number) -> None:
    order = m.pool[slot]
    order["updated_ms"] = time_ms
    if order["is_touched"] == 0:
        order["is_touched"] = ONE
        m.touched[m.counters[TOUCHED_COUNT]] = slot
        m.counters[TOUCHED_COUNT] += ONE


@inlined
def _take_slot(m: Memory, order_id: Number, first_sequence: Number, time_ms: Number) -> Number:
    """A row of the pool for a new order or trigger."""
    m.counters[FREE_COUNT] -= ONE
    slot = np.int64(m.free[m.counters[FREE_COUNT]])
    order = m.pool[slot]
    order["order_id"] = order_id
    order["filled_value"] = NOTHING
    order["created_ms"] = time_ms
    order["state"] = OPEN
    order["cancel_reason"] = -ONE
    order["is_touched"] = NOTHING
    order["is_counted"] = NOTHING
    order["told_state"] = UNTOLD
    m.of_new[(order_id >> ROW_BITS) - first_sequence] = slot
    _touch(m, slot, time_ms)
    return slot


@kernel
def _take_fired(m: Memory, h: Happened, first_sequence: Number, time_ms: Number) -> None:
    """A trigger leaves; if its order was taken, that is open from now on under an id of its own."""
    for at in range(len(h.notices)):
        notice = h.notices[at]
        if notice["kind"] != FIRED:
            continue
        slot = _find(m, notice["subject"], first_sequence)
        if slot == NOTHING:
            continue
        trigger, is_taken = m.pool[slot], notice["value_b"] == OK
        trigger["state"] = FILLED if is_taken else NONE
        _touch(m, slot, time_ms)
        if is_taken:
            made = m.pool[_take_slot(m, notice["value_c"], first_sequence, time_ms)]
            made["client_id"] = trigger["client_id"]
            made["price_ticks"] = trigger["price_ticks"]
            made["size_lots"] = trigger["size_lots"]
            made["remaining_lots"] = trigger["remaining_lots"]
            made["display_lots"] = trigger["display_lots"]
            made["good_till_ms"] = trigger["good_till_ms"]
            made["trigger_ticks"] = trigger["trigger_ticks"]
            made["account"] = trigger["account"]
            made["market"] = trigger["market"]
            made["flags"] = trigger["flags"]
            made["side"] = trigger["side"]
            made["time_in_force"] = trigger["time_in_force"]
            made["is_waiting"] = NOTHING
            made["told_state"] = CANCELLED


@kernel
def _take_placed(m: Memory, h: Happened, first_sequence: Number, time_ms: Number) -> None:
    """Orders and triggers that the engine took; their fills and their end follow as their own events."""
    for at in range(len(h.receipts)):
        receipt, action = h.receipts[at], h.actions[at]
        kind = np.int64(action["kind"])
        if receipt["code"] != OK or (kind != PLACE and kind != TRIGGER):
            continue
        order = m.pool[_take_slot(m, receipt["order_id"], first_sequence, time_ms)]
        size_lots = action["size_lots"] if action["size_lots"] != 0 else WHOLE_LOTS
        order["client_id"] = action["client_id"]
        order["price_ticks"] = action["price_ticks"]
        order["size_lots"] = size_lots
        order["remaining_lots"] = size_lots
        order["display_lots"] = action["display_lots"]
        order["good_till_ms"] = action["good_till_ms"]
        order["trigger_ticks"] = action["trigger_ticks"]
        order["account"] = receipt["account_index"]
        order["market"] = action["market"]
        order["flags"] = action["flags"]
        order["side"] = action["side"]
        order["time_in_force"] = action["time_in_force"]
        order["is_waiting"] = ONE if kind == TRIGGER else NOTHING
        order["told_state"] = receipt["order_state"]


@kernel
def _take_amended(m: Memory, h: Happened, first_sequence: Number, time_ms: Number) -> None:
    """A new total size, and a new price unless it is 0."""
    for at in range(len(h.receipts)):
        receipt, action = h.receipts[at], h.actions[at]
        if receipt["code"] != OK or np.int64(action["kind"]) != AMEND:
            continue
        slot = _find(m, receipt["order_id"], first_sequence)
        if slot == NOTHING:
            continue
        order = m.pool[slot]
        filled_lots = order["size_lots"] - order["remaining_lots"]
        if action["price_ticks"] != 0:
            order["price_ticks"] = action["price_ticks"]
        order["size_lots"] = action["size_lots"]
        order["remaining_lots"] = action["size_lots"] - filled_lots
        order["told_state"] = receipt["order_state"]
        _touch(m, slot, time_ms)


@inlined
def _fill(m: Memory, slot: Number, price_ticks: Number, lots: Number, time_ms: Number) -> None:
    order = m.pool[slot]
    if np.int64(order["state"]) != OPEN:
        return
    order["remaining_lots"] -= lots
    order["filled_value"] += price_ticks * lots
    if order["remaining_lots"] == 0:
        order["state"] = FILLED
    _touch(m, slot, time_ms)


@kernel
def _take_fills(m: Memory, h: Happened, first_sequence: Number, first_trade: Number, time_ms: Number) -> None:
    """Both sides of every trade, and the trade as it is stored."""
    for at in range(len(h.fills)):
        fill, known, trade = h.fills[at], h.known_fills[at], first_trade + at
        price_ticks, lots = fill["price_ticks"], fill["size_lots"]
        known["price_ticks"] = price_ticks
        known["size_lots"] = lots
        known["maker_order_id"] = fill["maker_order_id"]
        known["taker_order_id"] = fill["taker_order_id"]
        known["maker_fee_quote"] = fill["maker_fee_quote"]
        known["taker_fee_quote"] = fill["taker_fee_quote"]
        known["market"] = fill["market"]
        known["maker_account"] = fill["maker_account"]
        known["taker_account"] = fill["taker_account"]
        known["taker_side"] = fill["taker_side"]
        known["is_liquidation"] = fill["is_liquidation"]
        slot = _find(m, fill["maker_order_id"], first_sequence)
        if slot != NOTHING:
            known["maker_order_id"] = m.pool[slot]["order_id"]
            known["maker_client_id"] = m.pool[slot]["client_id"]
            _fill(m, slot, price_ticks, lots, time_ms)
        slot = _find(m, fill["taker_order_id"], first_sequence)
        if slot != NOTHING:
            known["taker_order_id"] = m.pool[slot]["order_id"]
            known["taker_client_id"] = m.pool[slot]["client_id"]
            _fill(m, slot, price_ticks, lots, time_ms)
        maker, taker, market = fill["maker_account"], fill["taker_account"], fill["market"]
        known["maker_previous"] = m.account_last[maker]
        known["taker_previous"] = m.account_last[taker]
        known["market_previous"] = m.market_last[market]
        m.account_last[maker] = trade
        m.account_last[taker] = trade
        m.market_last[market] = trade


@kernel
def _take_cancelled(m: Memory, h: Happened, first_sequence: Number, time_ms: Number) -> None:
    for at in range(len(h.cancellations)):
        row = h.cancellations[at]
        slot = _find(m, row["order_id"], first_sequence)
        if slot != NOTHING and np.int64(m.pool[slot]["state"]) == OPEN:
            m.pool[slot]["state"] = CANCELLED
            m.pool[slot]["cancel_reason"] = row["reason"]
            _touch(m, slot, time_ms)


@inlined
def _is_resting(t: Tables, order_id: Number) -> Truth:
    row = order_id & ROW_MASK
    return row != 0 and row < len(t.details) and t.orderbook.book[index_of_row(t, row)]["order_id"] == order_id


@inlined
def _compare(t: Tables, m: Memory, slot: Number, time_ms: Number) -> None:
    """How an order rests after the block: what was cut from it belongs to it no more."""
    order = m.pool[slot]
    row = order["order_id"] & ROW_MASK
    detail = t.details[row]
    remaining_lots = t.orderbook.book[index_of_row(t, row)]["lots"] + detail["hidden_lots"]
    size_lots = detail["filled_lots"] + remaining_lots
    is_same = order["remaining_lots"] == remaining_lots and order["size_lots"] == size_lots
    if not is_same or order["price_ticks"] != detail["price_ticks"]:
        order["price_ticks"] = detail["price_ticks"]
        order["size_lots"] = size_lots
        order["remaining_lots"] = remaining_lots
        _touch(m, slot, time_ms)


@kernel
def _look_at_touched(t: Tables, m: Memory, time_ms: Number) -> None:
    """Orders that something happened to and that no cancellation told of: they rest, or they are filled as far as they
    could trade, or they have left without their rest. One that only traded, and does not rest any more, is filled: what
    is missing was cut from it before.
    """
    for at in range(m.counters[TOUCHED_COUNT]):
        slot = np.int64(m.touched[at])
        order = m.pool[slot]
        if np.int64(order["state"]) != OPEN or order["is_waiting"] != 0:
            continue
        if _is_resting(t, order["order_id"]):
            _compare(t, m, slot, time_ms)
            continue
        told = np.int64(order["told_state"])  # UNTOLD is the highest
        is_filled = told == FILLED or told > CANCELLED
        filled_lots = order["size_lots"] - order["remaining_lots"]
        if order["size_lots"] >= WHOLE_LOTS or is_filled:
            order["size_lots"] = filled_lots
            order["remaining_lots"] = NOTHING
        is_done = is_filled or (order["remaining_lots"] == 0 and filled_lots > 0)
        order["state"] = FILLED if is_done else CANCELLED


@kernel
def _visit(t: Tables, m: Memory, account: Number, flag_mask: Number, first_sequence: Number, time_ms: Number) -> None:
    """Compare all orders of an account that have one of the flags, or all for a mask of 0."""
    row = np.int64(t.accounts[account]["order_first"])
    while row != 0:
        order_id = t.orderbook.book[index_of_row(t, row)]["order_id"]
        slot = _find(m, order_id, first_sequence)
        is_meant = flag_mask == 0 or np.int64(t.details[row]["flags"]) & flag_mask != 0
        if slot != NOTHING and is_meant and np.int64(m.pool[slot]["state"]) == OPEN:
            _compare(t, m, slot, time_ms)
        row = np.int64(t.details[row]["own_next"])


@inlined
def _visit_reducing(t: Tables, m: Memory, account: Number, first_sequence: Number, time_ms: Number) -> None:
    """Once a block, if the account has reduce-only orders."""
    if m.reducing[account] > 0 and m.visited[account] != m.counters[STAMP]:
        m.visited[account] = m.counters[STAMP]
        _visit(t, m, account, REDUCE_ONLY, first_sequence, time_ms)


@kernel
def _look_at_cut(t: Tables, m: Memory, h: Happened, first_sequence: Number, time_ms: Number) -> None:
    """Orders that may have been cut without a word."""
    for at in range(len(h.fills)):
        _visit_reducing(t, m, h.fills[at]["maker_account"], first_sequence, time_ms)
        _visit_reducing(t, m, h.fills[at]["taker_account"], first_sequence, time_ms)
    for at in range(len(h.liquidations)):
        _visit_reducing(t, m, h.liquidations[at]["account"], first_sequence, time_ms)
    for at in range(len(h.deleverages)):
        _visit_reducing(t, m, h.deleverages[at]["bankrupt_account"], first_sequence, time_ms)
        _visit_reducing(t, m, h.deleverages[at]["account"], first_sequence, time_ms)
    # A maker that met an order of its own account may have shrunk with it. Its stamp is another: all orders count here.
    all_stamp = -m.counters[STAMP]
    for at in range(m.counters[TOUCHED_COUNT]):
        order = m.pool[np.int64(m.touched[at])]
        account = np.int64(order["account"])
        is_told, mode = np.int64(order["told_state"]) != UNTOLD, np.int64(order["flags"]) >> SELF_TRADE_SHIFT & 3
        if is_told and mode == DECREMENT and m.visited[account] != all_stamp:
            m.visited[account] = all_stamp
            _visit(t, m, account, NOTHING, first_sequence, time_ms)


@inlined
def _place_of(m: Memory, order_id: Number, slot: Number, is_open: Truth) -> None:
    """Enter an open order under its row, or take a closed one from it."""
    row = order_id & ROW_MASK
    rows = m.of_trigger_row if row & TRIGGER_BIT != 0 else m.of_order_row
    at = row & POOL_ROW_MASK if row & TRIGGER_BIT != 0 else row
    if is_open:
        rows[at] = slot
    elif np.int64(rows[at]) == slot:
        rows[at] = NOTHING


@kernel
def _end(m: Memory) -> None:
    """Rows of orders that left may belong to new ones already: so first those that left."""
    for turn in range(2):
        is_open = turn == 1
        for at in range(m.counters[TOUCHED_COUNT]):
            slot = np.int64(m.touched[at])
            order = m.pool[slot]
            if (np.int64(order["state"]) == OPEN) != is_open:
                continue
            _place_of(m, order["order_id"], slot, is_open)
            counts = is_open and order["flags"] & REDUCE_ONLY != 0 and order["is_waiting"] == 0
            m.reducing[order["account"]] += np.int32(counts) - np.int32(order["is_counted"])
            order["is_counted"] = ONE if counts else NOTHING
            order["is_touched"] = NOTHING
            order["told_state"] = UNTOLD


@entry_point
def follow(t: Tables, m: Memory, h: Happened, first_sequence: Number, first_trade: Number, time_ms: Number) -> Number:
    """Take in a block, whose orders have sequences from `first_sequence` on and whose trades are numbered from
    `first_trade`. `t`: the tables after it. Returns how many rows of the pool were touched; those that are not open any
    more are the caller's to free.
    """
    m.counters[TOUCHED_COUNT] = NOTHING
    m.counters[STAMP] += ONE
    _take_fired(m, h, first_sequence, time_ms)
    _take_placed(m, h, first_sequence, time_ms)
    _take_amended(m, h, first_sequence, time_ms)
    _take_fills(m, h, first_sequence, first_trade, time_ms)
    _take_cancelled(m, h, first_sequence, time_ms)
    _look_at_cut(t, m, h, first_sequence, time_ms)
    _look_at_touched(t, m, time_ms)
    _end(m)
    count: Number = m.counters[TOUCHED_COUNT]
    return count


@kernel
def _restore_order(t: Tables, m: Memory, row: Number, account: Number) -> None:
    detail, record = t.details[row], t.orderbook.book[index_of_row(t, row)]
    order = m.pool[_take_slot(m, record["order_id"], record["order_id"] >> ROW_BITS, detail["placed_ms"])]
    order["client_id"] = detail["client_id"]
    order["price_ticks"] = detail["price_ticks"]
    order["remaining_lots"] = record["lots"] + detail["hidden_lots"]
    order["size_lots"] = detail["filled_lots"] + order["remaining_lots"]
    # What earlier fills were worth is not in the state: they were at this price or better.
    order["filled_value"] = detail["filled_lots"] * detail["price_ticks"]
    order["display_lots"] = detail["display_lots"]
    order["good_till_ms"] = detail["good_till_ms"]
    order["trigger_ticks"] = NOTHING
    order["account"] = account
    order["market"] = detail["market"]
    order["flags"] = detail["flags"]
    order["side"] = detail["side"]
    order["time_in_force"] = detail["time_in_force"]
    order["is_waiting"] = NOTHING


@entry_point
def restore(t: Tables, m: Memory, account_count: Number) -> Number:
    """Open orders and triggers of a state that was loaded instead of followed."""
    m.counters[TOUCHED_COUNT] = NOTHING
    m.counters[NEW_COUNT] = ONE
    for account in range(account_count):
        row = np.int64(t.accounts[account]["order_first"])
        while row != 0:
            _restore_order(t, m, row, account)
            row = np.int64(t.details[row]["own_next"])
    for at in range(ONE, t.counters[TRIGGERS_USED]):
        trigger = t.triggers[at]
        if trigger["is_live"] == 0:
            continue
        order_id = trigger["order_id"]
        order = m.pool[_take_slot(m, order_id, order_id >> ROW_BITS, trigger["placed_ms"])]
        order["client_id"] = trigger["client_id"]
        order["price_ticks"] = trigger["price_ticks"]
        order["size_lots"] = trigger["size_lots"] if trigger["size_lots"] != 0 else WHOLE_LOTS
        order["remaining_lots"] = order["size_lots"]
        order["display_lots"] = NOTHING
        order["good_till_ms"] = trigger["good_till_ms"]
        order["trigger_ticks"] = trigger["trigger_ticks"]
        order["account"] = trigger["account"]
        order["market"] = trigger["market"]
        order["flags"] = trigger["flags"]
        order["side"] = trigger["side"]
        order["time_in_force"] = trigger["time_in_force"]
        order["is_waiting"] = ONE
    _end(m)
    count: Number = m.counters[TOUCHED_COUNT]
    return count
