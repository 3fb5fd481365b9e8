"""Stop and take-profit orders that wait off the book (ORD-9).

A trigger is a place that is kept until the mark, or the last price, reaches its trigger price. Those of an account are
one list in order of ids. While its parent order is open without a fill a trigger is dormant: `parent_id` is set.

The rule is that the clock looks at every trigger, in order of ids. Most of them it need not touch. Bounds of the
trigger prices that wait, kept by market, say whether a price can have reached any. At the end of a block
`mark_triggers` marks those for which something else has changed, among the accounts that the block touched. And what
firing changes is read from the rows of fills and cancellations it leaves, so that triggers with higher ids still see it
in the same clock.

Kernels make no arrays, so triggers are put into order by a binary heap in the field `spare` of the pool's first rows:
place `at` of the heap is `triggers[at]["spare"]`. It is zero again when a function returns.
"""

import numpy as np

from engine.accounts import find_position, touch
from engine.commands import AT_MARKET, REDUCE_ONLY, SELL, TRIGGER_BELOW, TRIGGER_ON_LAST, UNDER_PROTECTION
from engine.compiling import entry_point, inlined, kernel
from engine.notices import notify
from engine.orderbook import find_order
from engine.orders import place
from engine.results import Code
from engine.rows import release_row
from engine.tables import (
    BY_REDUCE_ONLY,
    BY_SIBLING,
    CANCELLATION_COUNT,
    DIRTY_AUX,
    DIRTY_COUNT,
    FILL_COUNT,
    MARKET_COUNT,
    NOTICE_TRIGGER,
    OFFER_ROW,
    ORDER_ROW_MASK,
    PHASE_CONTINUOUS,
    TRIGGER_ROW,
    TRIGGERS_LIVE,
    TRIGGERS_MARKED,
    TRIGGERS_USED,
    Number,
    Outputs,
    Tables,
    Truth,
)

OK, NOTHING, ONE, ANY = np.int64(Code.OK), np.int64(0), np.int64(1), np.int64(-1)
AUX, REDUCED, SIBLING, FIRED = (np.int64(number) for number in (DIRTY_AUX, BY_REDUCE_ONLY, BY_SIBLING, NOTICE_TRIGGER))
POOL_ROW_MASK = np.int64(OFFER_ROW - 1)
PLACE_FLAGS = np.int64(REDUCE_ONLY | UNDER_PROTECTION | 4 | 8 | AT_MARKET)
ON_LAST, BELOW = np.int64(TRIGGER_ON_LAST), np.int64(TRIGGER_BELOW)
NO_RECEIPT = np.int64(-1)
WAITING, MARKED, QUEUED = np.int64(1), np.int64(2), np.int64(3)  # `is_live` of a trigger


@kernel
def find_trigger(t: Tables, account: Number, order_id: Number) -> Number:
    """Row of an account's waiting trigger with this id; 0 if there is none."""
    row = order_id & POOL_ROW_MASK
    if order_id & TRIGGER_ROW == 0 or order_id & OFFER_ROW != 0 or row >= t.counters[TRIGGERS_USED]:
        return NOTHING
    trigger = t.triggers[row]
    is_it = trigger["is_live"] != 0 and trigger["order_id"] == order_id and np.int64(trigger["account"]) == account
    return row if is_it else NOTHING


@kernel
def find_named_trigger(t: Tables, account: Number, market: Number, order_id: Number, client_id: Number) -> Number:
    """Row of an account's trigger in a market that carries both given names (0: any); 0 if there is none."""
    row = np.int64(t.accounts[account]["trigger_first"])
    while row != NOTHING:
        trigger = t.triggers[row]
        is_named = (order_id == 0 or trigger["order_id"] == order_id) and (
            client_id == 0 or trigger["client_id"] == client_id
        )
        if is_named and np.int64(trigger["market"]) == market and (order_id != 0 or client_id != 0):
            return row
        row = np.int64(trigger["next"])
    return NOTHING


@kernel
def reducible_lots(t: Tables, account: Number, market: Number, side: Number) -> Number:
    """How much a trade of this side can reduce the account's position: 0 when flat or on the same side."""
    row = find_position(t, account, market)
    if row == NOTHING:
        return NOTHING
    lots: Number = t.positions[row]["lots"]
    return max(lots if side == SELL else -lots, NOTHING)


@inlined
def note_threshold(t: Tables, row: Number) -> None:
    """Widen the bounds of the market by a trigger's price, unless it is dormant."""
    trigger = t.triggers[row]
    if trigger["parent_id"] != 0:
        return
    market, flags, ticks = t.markets[np.int64(trigger["market"])], np.int64(trigger["flags"]), trigger["trigger_ticks"]
    if flags & TRIGGER_BELOW:
        if flags & TRIGGER_ON_LAST:
            market["below_last_ticks"] = max(market["below_last_ticks"], ticks)
        else:
            market["below_mark_ticks"] = max(market["below_mark_ticks"], ticks)
    elif flags & TRIGGER_ON_LAST:
        known = market["above_last_ticks"]
        market["above_last_ticks"] = ticks if known == 0 else min(known, ticks)
    else:
        known = market["above_mark_ticks"]
        market["above_mark_ticks"] = ticks if known == 0 else min(known, ticks)


@kernel
def _is_reached(t: Tables, market_index: Number, flags: Number, trigger_ticks: Number) -> Truth:
    """Whether the market admits firing and its price has reached `trigger_ticks` (at least 1)."""
    market = t.markets[market_index]
    if market["phase"] != PHASE_CONTINUOUS or market["is_fresh"] == 0:
        return False
    if flags & TRIGGER_ON_LAST:
        reached, wanted = market["last_ticks"], trigger_ticks
    else:
        reached, wanted = market["mark_e8"], trigger_ticks * market["tick_e8"]
    if reached == 0:
        return False
    return reached <= wanted if flags & TRIGGER_BELOW else reached >= wanted


@kernel
def _can_fire(t: Tables, market_index: Number) -> Truth:
    """Whether any awake trigger of a market may be due, by the market's bounds."""
    market = t.markets[market_index]
    return (
        (market["above_mark_ticks"] != 0 and _is_reached(t, market_index, NOTHING, market["above_mark_ticks"]))
        or (market["below_mark_ticks"] != 0 and _is_reached(t, market_index, BELOW, market["below_mark_ticks"]))
        or (market["above_last_ticks"] != 0 and _is_reached(t, market_index, ON_LAST, market["above_last_ticks"]))
        or (
            market["below_last_ticks"] != 0
            and _is_reached(t, market_index, ON_LAST | BELOW, market["below_last_ticks"])
        )
    )


@kernel
def _clear_bounds(t: Tables) -> None:
    for market_index in range(t.counters[MARKET_COUNT]):
        market = t.markets[market_index]
        market["above_mark_ticks"] = market["below_mark_ticks"] = NOTHING
        market["above_last_ticks"] = market["below_last_ticks"] = NOTHING


@kernel
def _renew_bounds(t: Tables) -> None:
    """Make the bounds of all markets exact."""
    _clear_bounds(t)
    for row in range(ONE, t.counters[TRIGGERS_USED]):
        if t.triggers[row]["is_live"] != 0:
            note_threshold(t, row)


@inlined
def _id_at(t: Tables, at: Number) -> Number:
    """Id of the trigger in a place of the heap."""
    return np.int64(t.triggers[np.int64(t.triggers[at]["spare"])]["order_id"])


@inlined
def _swap(t: Tables, at: Number, other: Number) -> None:
    first, second = np.int64(t.triggers[at]["spare"]), np.int64(t.triggers[other]["spare"])
    t.triggers[at]["spare"] = second
    t.triggers[other]["spare"] = first


@kernel
def _push(t: Tables, count: Number, row: Number) -> Number:
    """Add a trigger to a heap of `count`; returns how many it has then."""
    at = count + 1
    t.triggers[at]["spare"] = row
    while at > 1 and _id_at(t, at) < _id_at(t, at >> 1):
        _swap(t, at, at >> 1)
        at >>= 1
    return count + 1


@kernel
def _pop(t: Tables, count: Number) -> Number:
    """Row of the trigger with the lowest id of a heap of `count`, which then has one less."""
    lowest = np.int64(t.triggers[1]["spare"])
    t.triggers[1]["spare"] = np.int64(t.triggers[count]["spare"])
    t.triggers[count]["spare"] = NOTHING
    at = ONE
    while 2 * at < count:
        child = 2 * at
        if child + 1 < count and _id_at(t, child + 1) < _id_at(t, child):
            child += 1
        if _id_at(t, at) <= _id_at(t, child):
            break
        _swap(t, at, child)
        at = child
    return lowest


@kernel
def _release(t: Tables, out: Outputs, row: Number) -> None:
    """A trigger ends: out of its account's list, forgotten by its sibling, its row free."""
    trigger = t.triggers[row]
    account = np.int64(trigger["account"])
    before, at = NOTHING, np.int64(t.accounts[account]["trigger_first"])
    while at != row:
        before, at = at, np.int64(t.triggers[at]["next"])
    if before == NOTHING:
        t.accounts[account]["trigger_first"] = np.int64(trigger["next"])
    else:
        t.triggers[before]["next"] = np.int64(trigger["next"])
    sibling = find_trigger(t, account, trigger["sibling_id"])
    if sibling != NOTHING:
        t.triggers[sibling]["sibling_id"] = NOTHING
    if np.int64(trigger["is_live"]) == MARKED:
        t.counters[TRIGGERS_MARKED] -= 1
    trigger["is_live"] = NOTHING
    trigger["next"] = NOTHING
    t.counters[TRIGGERS_LIVE] -= 1
    release_row(t.trigger_rows, row)
    touch(t, out, account, AUX)


@kernel
def remove_trigger(t: Tables, out: Outputs, row: Number, reason: Number) -> None:
    """End a trigger without firing it and say so among the cancellations."""
    trigger = t.triggers[row]
    count = t.counters[CANCELLATION_COUNT]
    gone = out.cancellations[count]
    gone["order_id"] = trigger["order_id"]
    gone["account"] = np.int64(trigger["account"])
    gone["market"] = np.int64(trigger["market"])
    gone["side"] = np.int64(trigger["side"])
    gone["price_ticks"] = trigger["price_ticks"]
    gone["remaining_lots"] = trigger["size_lots"]
    gone["client_id"] = trigger["client_id"]
    gone["reason"] = reason
    t.counters[CANCELLATION_COUNT] = count + 1
    _release(t, out, row)


@kernel
def cancel_triggers(t: Tables, out: Outputs, account: Number, market: Number, reason: Number) -> Number:
    """Remove an account's triggers in one market (-1: in all), in order of ids; returns how many."""
    cancelled_count = NOTHING
    row = np.int64(t.accounts[account]["trigger_first"])
    while row != NOTHING:
        following = np.int64(t.triggers[row]["next"])
        if market == ANY or np.int64(t.triggers[row]["market"]) == market:
            remove_trigger(t, out, row, reason)
            cancelled_count += 1
        row = following
    return cancelled_count


@kernel
def cancel_market_triggers(t: Tables, out: Outputs, market: Number, reason: Number) -> Number:
    """Remove everybody's triggers in a market, in order of ids; returns how many."""
    count: Number = NOTHING
    for row in range(ONE, t.counters[TRIGGERS_USED]):
        if t.triggers[row]["is_live"] != 0 and np.int64(t.triggers[row]["market"]) == market:
            count = _push(t, count, row)
    for left in range(count, 0, -1):
        remove_trigger(t, out, _pop(t, np.int64(left)), reason)
    return count


@kernel
def _needs_look(t: Tables, row: Number) -> Truth:
    """Whether something else than a price asks for a trigger: its parent has a fill or is gone, or it would close a
    position that is no more.
    """
    trigger = t.triggers[row]
    account, parent_id = np.int64(trigger["account"]), trigger["parent_id"]
    if parent_id != 0:
        is_open = find_order(t.orderbook, parent_id, account) != NOTHING
        return not is_open or t.details[parent_id & ORDER_ROW_MASK]["filled_lots"] != 0
    is_idle = trigger["size_lots"] == 0
    return is_idle and reducible_lots(t, account, np.int64(trigger["market"]), np.int64(trigger["side"])) == 0


@inlined
def _mark(t: Tables, row: Number) -> None:
    before = np.int64(t.triggers[row]["is_live"])
    after = MARKED if _needs_look(t, row) else WAITING
    t.triggers[row]["is_live"] = after
    t.counters[TRIGGERS_MARKED] += after - before


@kernel
def mark_triggers(t: Tables, out: Outputs) -> None:
    """Mark the triggers that the next clock must look at, among the accounts that the block has touched so far.

    To be called when a block's last order has executed; the clock itself calls it for what comes before the triggers.
    """
    if t.counters[TRIGGERS_LIVE] == 0:
        return
    for at in range(t.counters[DIRTY_COUNT]):
        row = np.int64(t.accounts[out.dirty[at]]["trigger_first"])
        while row != NOTHING:
            _mark(t, row)
            row = np.int64(t.triggers[row]["next"])


@entry_point
def restore_triggers(t: Tables) -> None:
    """Make marks and bounds anew after triggers, orders and positions were read from a snapshot."""
    t.counters[TRIGGERS_MARKED] = NOTHING
    for row in range(ONE, t.counters[TRIGGERS_USED]):
        if t.triggers[row]["is_live"] != 0:
            t.triggers[row]["is_live"] = WAITING
            _mark(t, row)
    _renew_bounds(t)


@kernel
def _look(t: Tables, out: Outputs, row: Number) -> Truth:
    """Wake a dormant trigger, or remove one that has nothing to wait for; returns whether it now waits for a price."""
    trigger = t.triggers[row]
    account, parent_id = np.int64(trigger["account"]), trigger["parent_id"]
    is_reducing = reducible_lots(t, account, np.int64(trigger["market"]), np.int64(trigger["side"])) > 0
    if parent_id != 0:
        if find_order(t.orderbook, parent_id, account) != NOTHING:
            if t.details[parent_id & ORDER_ROW_MASK]["filled_lots"] == 0:
                return False
        elif not is_reducing:
            remove_trigger(t, out, row, SIBLING)
            return False
        trigger["parent_id"] = NOTHING
        touch(t, out, account, AUX)
    if trigger["size_lots"] == 0 and not is_reducing:
        remove_trigger(t, out, row, REDUCED)
        return False
    return True


@kernel
def _fire(t: Tables, out: Outputs, row: Number, time_ms: Number) -> None:
    """A due trigger leaves, its sibling is removed, and its order is placed. Notice: trigger, account, code, order id,
    market.
    """
    trigger = t.triggers[row]
    trigger_id, client_id, sibling_id = trigger["order_id"], trigger["client_id"], trigger["sibling_id"]
    account, market_index = np.int64(trigger["account"]), np.int64(trigger["market"])
    side, flags = np.int64(trigger["side"]), np.int64(trigger["flags"]) & PLACE_FLAGS
    price_ticks, size_lots = trigger["price_ticks"], trigger["size_lots"]
    time_in_force = np.int64(trigger["time_in_force"])
    if size_lots == 0:
        held_lots = reducible_lots(t, account, market_index, side)
        size_lots = min(held_lots, t.markets[market_index]["order_lots_max"])
    _release(t, out, row)
    sibling = find_trigger(t, account, sibling_id)
    if sibling != NOTHING:
        remove_trigger(t, out, sibling, SIBLING)
    # The trigger's client id is among the remembered ones, so the order gets it only after it was judged.
    code, order_id = place(
        t, out, account, market_index, side, time_in_force, flags, price_ticks, size_lots, NOTHING, NOTHING, NOTHING,
        NOTHING, NOTHING, time_ms, NO_RECEIPT,
    )  # fmt: skip
    if code == OK and client_id != 0 and find_order(t.orderbook, order_id, account) != NOTHING:
        t.details[order_id & ORDER_ROW_MASK]["client_id"] = client_id
    notify(t, out, FIRED, trigger_id, account, code, order_id, market_index)


@kernel
def _queue_due(t: Tables, count: Number, after_id: Number) -> Number:
    """Put the triggers above an id that are marked or whose price is reached into the heap of `count`; returns its new
    size. The bounds are then those of the triggers that are not due.
    """
    _clear_bounds(t)
    for row in range(ONE, t.counters[TRIGGERS_USED]):
        trigger = t.triggers[row]
        state = np.int64(trigger["is_live"])
        if state == 0 or state == QUEUED:
            continue
        is_due = state == MARKED or (
            trigger["parent_id"] == 0
            and _is_reached(t, np.int64(trigger["market"]), np.int64(trigger["flags"]), trigger["trigger_ticks"])
        )
        if not is_due:
            note_threshold(t, row)
        elif trigger["order_id"] > after_id:
            if state == MARKED:
                t.counters[TRIGGERS_MARKED] -= 1
            trigger["is_live"] = QUEUED
            count = _push(t, count, row)
    return count


@kernel
def _queue_changed(t: Tables, count: Number, account: Number, after_id: Number) -> Number:
    """Put an account's triggers above an id that something else than a price asks for into the heap."""
    row = np.int64(t.accounts[account]["trigger_first"])
    while row != NOTHING:
        trigger = t.triggers[row]
        if trigger["order_id"] > after_id and np.int64(trigger["is_live"]) == WAITING and _needs_look(t, row):
            trigger["is_live"] = QUEUED
            count = _push(t, count, row)
        row = np.int64(trigger["next"])
    return count


@kernel
def fire_triggers(t: Tables, out: Outputs, time_ms: Number) -> None:
    """The clock's look at all triggers, in order of ids (ORD-9)."""
    if t.counters[TRIGGERS_LIVE] == 0:
        return
    mark_triggers(t, out)
    is_any_due = t.counters[TRIGGERS_MARKED] != 0
    for market_index in range(t.counters[MARKET_COUNT]):
        is_any_due = is_any_due or _can_fire(t, np.int64(market_index))
    if not is_any_due:
        return
    count = _queue_due(t, NOTHING, NOTHING)
    while count > 0:
        row = _pop(t, count)
        count -= 1
        trigger = t.triggers[row]
        if trigger["is_live"] == 0:
            continue
        trigger["is_live"] = WAITING
        trigger_id, market = trigger["order_id"], np.int64(trigger["market"])
        is_awake = _look(t, out, row)
        if not is_awake or not _is_reached(t, market, np.int64(trigger["flags"]), trigger["trigger_ticks"]):
            continue
        first_fill, first_cancellation = t.counters[FILL_COUNT], t.counters[CANCELLATION_COUNT]
        _fire(t, out, row, time_ms)
        for at in range(first_fill, t.counters[FILL_COUNT]):
            count = _queue_changed(t, count, out.fills[at]["maker_account"], trigger_id)
            count = _queue_changed(t, count, out.fills[at]["taker_account"], trigger_id)
        for at in range(first_cancellation, t.counters[CANCELLATION_COUNT]):
            count = _queue_changed(t, count, out.cancellations[at]["account"], trigger_id)
        if _can_fire(t, market):
            count = _queue_due(t, count, trigger_id)
    _renew_bounds(t)
