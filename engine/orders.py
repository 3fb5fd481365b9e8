"""Placing, amending and cancelling orders (docs/spec.md, section 4).

`engine.acceptance` judges; an accepted order trades what it crosses and rests what is left, if it is of a kind that
rests. A refused action changes nothing. The list of an account's resting orders is in the order of their ids.
"""

import numpy as np

from engine.acceptance import (
    LINK_PPM,
    LINK_SHIFT,
    OK,
    Order,
    Verdict,
    can_rest,
    does_cross,
    is_listed,
    judge_order,
)
from engine.accounts import (
    ONE,
    ZERO,
    change_orders,
    find_order_of_client,
    find_position,
    open_position,
    remember_client_id,
    touch,
)
from engine.commands import FILL_OR_KILL, REDUCE_ONLY, SELF_TRADE_SHIFT
from engine.compiling import inlined, kernel
from engine.execution import (
    AUX,
    Party,
    cancel_order,
    count_open_lots,
    cut_order,
    forget_order,
    index_of_row,
    row_of_index,
    trip_protections,
    walk_book,
)
from engine.fees import TRADE
from engine.hints import hint_rest
from engine.orderbook import change_lots, find_order, make_order_id, rank_of, rest_order, take_row, unlink_order
from engine.results import Code, OrderState
from engine.tables import (
    FILL_COUNT,
    MARKET_COUNT,
    NEXT_RANK,
    NEXT_SEQUENCE,
    ORDER_ROW_BITS,
    ORDERS_LIVE,
    PHASE_CONTINUOUS,
    Number,
    Outputs,
    Tables,
    Truth,
)

UNKNOWN_MARKET, UNKNOWN_ORDER = np.int64(Code.UNKNOWN_MARKET), np.int64(Code.UNKNOWN_ORDER)
POSITIONS_FULL = np.int64(Code.POSITIONS_FULL)
STATE_NONE, STATE_OPEN = np.int64(OrderState.NONE), np.int64(OrderState.OPEN)
STATE_FILLED, STATE_CANCELLED = np.int64(OrderState.FILLED), np.int64(OrderState.CANCELLED)
ALL_MARKETS = np.int64(-1)


@inlined
def take_sequence(t: Tables) -> Number:
    """The next number for an accepted place, trigger or offer (ORD-2)."""
    sequence = t.counters[NEXT_SEQUENCE]
    t.counters[NEXT_SEQUENCE] = sequence + ONE
    return sequence


@inlined
def rest_lots(
    t: Tables, account: Number, row: Number, order_id: Number, market: Number, side: Number, price_ticks: Number,
    lots: Number, display_lots: Number, unit_charge_quote: Number, position_row: Number,
) -> None:  # fmt: skip
    """Put lots of an order into the book, behind all others of the price; the rest of its details is set elsewhere.

    An iceberg shows `display_lots` of them. `check_room` has seen that there is a price level.
    """
    book, detail, index = t.orderbook, t.details[row], index_of_row(t, row)
    side_index = market * 2 + side
    shown_lots = min(lots, display_lots) if display_lots != 0 else lots
    rest_order(book, side_index, rank_of(book, side_index, price_ticks), index, order_id, account, shown_lots)
    if shown_lots != lots:
        change_lots(book, index, ZERO, lots - shown_lots)
    detail["hidden_lots"] = lots - shown_lots
    detail["unit_charge_quote"] = unit_charge_quote
    detail["price_ticks"] = price_ticks
    detail["rank"] = t.counters[NEXT_RANK]
    t.counters[NEXT_RANK] += ONE
    change_orders(t, account, position_row, side, lots, lots * unit_charge_quote)


@inlined
def _add_order(
    t: Tables, account: Number, sequence: Number, order: Order, verdict: Verdict, filled_lots: Number, lots: Number,
    position_row: Number, time_ms: Number,
) -> Number:  # fmt: skip
    """A new order comes to rest with `lots` of its size; returns its id."""
    index = take_row(t.orderbook)
    row, order_id = row_of_index(t, index), make_order_id(t.orderbook, sequence, index)
    detail, owner, market = t.details[row], t.accounts[account], t.markets[order.market]
    detail["filled_lots"] = filled_lots
    detail["display_lots"] = order.display_lots
    detail["good_till_ms"] = order.good_till_ms
    detail["client_id"] = order.client_id
    detail["flags"] = order.flags
    detail["position"] = position_row
    detail["builder"] = order.link >> LINK_SHIFT
    detail["market"] = order.market
    detail["original_lots"] = verdict.size_lots
    detail["placed_ms"] = time_ms
    detail["builder_ppm"] = order.link & LINK_PPM
    detail["side"] = order.side
    detail["time_in_force"] = order.time_in_force
    detail["account"] = account
    last = np.int64(owner["order_last"])
    detail["own_previous"], detail["own_next"] = last, ZERO
    if last != 0:
        t.details[last]["own_next"] = row
    else:
        owner["order_first"] = row
    owner["order_last"] = row
    owner["order_count"] = np.int64(owner["order_count"]) + ONE
    market["book_orders"] += ONE
    t.counters[ORDERS_LIVE] += ONE
    if order.flags & REDUCE_ONLY:
        position = t.positions[position_row]
        position["reduce_only_count"] = np.int64(position["reduce_only_count"]) + ONE
    rest_lots(
        t, account, row, order_id, order.market, order.side, verdict.price_ticks, lots, order.display_lots,
        verdict.unit_charge_quote, position_row,
    )  # fmt: skip
    return order_id


@inlined
def write_receipt(
    t: Tables, out: Outputs, receipt_row: Number, code: Number, account: Number, state: Number, order_id: Number,
    filled_lots: Number, left_lots: Number, filled_value: Number,
) -> None:  # fmt: skip
    """What became of an order, if the action has a receipt (row -1: none)."""
    if receipt_row < 0:
        return
    receipt = out.receipts[receipt_row]
    receipt["code"] = code
    receipt["order_state"] = state
    receipt["order_id"] = order_id
    receipt["filled_lots"] = filled_lots
    receipt["remaining_lots"] = left_lots
    receipt["filled_value"] = filled_value
    receipt["account_index"] = account


@inlined
def _take(
    t: Tables, out: Outputs, account: Number, order_id: Number, order: Order, verdict: Verdict, position_row: Number,
    time_ms: Number, defers_protection: Truth,
) -> tuple[Number, Number, Number, Truth]:  # fmt: skip
    """Trade what crosses, if the market is continuous: results of `match_order`."""
    market, side, price_ticks = order.market, order.side, verdict.price_ticks
    is_open = t.markets[market]["phase"] == PHASE_CONTINUOUS
    if not is_open or not does_cross(t, market, side, price_ticks):
        return ZERO, ZERO, ZERO, False
    is_whole = order.time_in_force == FILL_OR_KILL
    self_trade_mode = ZERO if is_whole else (order.flags >> SELF_TRADE_SHIFT) & 3
    taker = Party(account, position_row, order_id, ZERO, ZERO, order.link >> LINK_SHIFT, order.link & LINK_PPM)
    first_fill = t.counters[FILL_COUNT]
    result = walk_book(
        t, out, market, side, price_ticks, verdict.size_lots, taker, self_trade_mode, TRADE, is_whole, time_ms
    )
    if is_whole and not defers_protection:
        trip_protections(t, out, first_fill, time_ms)
    return result


@inlined
def execute_order(
    t: Tables, out: Outputs, account: Number, order: Order, verdict: Verdict, position_row: Number, time_ms: Number,
    receipt_row: Number, defers_protection: Truth,
) -> Number:  # fmt: skip
    """Trade and rest an order that was judged acceptable, and write its receipt; returns its id.

    With `defers_protection` (combos) the caller trips protections by `trip_protections`.
    """
    sequence = take_sequence(t)
    order_id = sequence << ORDER_ROW_BITS
    filled_lots, lost_lots, filled_value, is_ended = _take(
        t, out, account, order_id, order, verdict, position_row, time_ms, defers_protection
    )
    left_lots = verdict.size_lots - filled_lots - lost_lots
    state = STATE_FILLED if left_lots == 0 and not is_ended else STATE_CANCELLED
    if left_lots > 0 and not is_ended and can_rest(order.time_in_force):
        order_id = _add_order(t, account, sequence, order, verdict, filled_lots, left_lots, position_row, time_ms)
        state = STATE_OPEN
        touch(t, out, account, AUX)
    if order.client_id != 0:
        remember_client_id(t, account, order.client_id)
        touch(t, out, account, AUX)
    write_receipt(t, out, receipt_row, OK, account, state, order_id, filled_lots, left_lots, filled_value)
    return order_id


@inlined
def place_order(
    t: Tables, out: Outputs, account: Number, order: Order, time_ms: Number, receipt_row: Number
) -> tuple[Number, Number]:
    """PLACE, compiled into its caller: judge an order and execute it; returns `(code, order id)`, id 0 if refused."""
    hint_rest(t)
    code: Number = UNKNOWN_MARKET
    if is_listed(t, order.market):
        position_row = find_position(t, account, order.market)
        verdict = judge_order(t, account, order, position_row, ZERO, time_ms)
        code = verdict.code
        if code == OK and position_row == 0:
            position_row = open_position(t, account, order.market)
            code = OK if position_row != 0 else POSITIONS_FULL
        if code == OK:
            return OK, execute_order(t, out, account, order, verdict, position_row, time_ms, receipt_row, False)
    write_receipt(t, out, receipt_row, code, account, STATE_NONE, ZERO, ZERO, ZERO, ZERO)
    return code, ZERO


@kernel
def place(
    t: Tables, out: Outputs, account: Number, market: Number, side: Number, time_in_force: Number, flags: Number,
    price_ticks: Number, size_lots: Number, client_id: Number, display_lots: Number, good_till_ms: Number,
    link: Number, order_quote_max: Number, time_ms: Number, receipt_row: Number,
) -> tuple[Number, Number]:  # fmt: skip
    """PLACE with the parts of the order one by one, for callers that do it seldom."""
    order = Order(
        market, side, time_in_force, flags, price_ticks, size_lots, client_id, display_lots, good_till_ms, link,
        order_quote_max,
    )  # fmt: skip
    return place_order(t, out, account, order, time_ms, receipt_row)


@inlined
def find_own_order(t: Tables, account: Number, market: Number, order_id: Number, client_id: Number) -> Number:
    """Row of the account's resting order of a market by its id, or by its client id if the id is 0; 0 if there is none
    (308). If both are given, both must be the order's.
    """
    if order_id != 0:
        index = find_order(t.orderbook, order_id, account)
        row = row_of_index(t, index) if index != 0 else ZERO
    else:
        row = find_order_of_client(t, account, client_id) if client_id != 0 else ZERO
    if row == 0 or np.int64(t.details[row]["market"]) != market:
        return ZERO
    return row if client_id == 0 or t.details[row]["client_id"] == client_id else ZERO


@kernel
def cancel_orders(
    t: Tables, out: Outputs, account: Number, market: Number, reason: Number, flag_mask: Number
) -> Number:
    """Cancel the account's orders of a market (-1: of all) in order of ids, if `flag_mask` is not 0 only those with one
    of its flags; returns how many.
    """
    count, row = ZERO, np.int64(t.accounts[account]["order_first"])
    while row != 0:
        detail = t.details[row]
        following = np.int64(detail["own_next"])
        is_meant = market == ALL_MARKETS or np.int64(detail["market"]) == market
        if is_meant and (flag_mask == 0 or np.int64(detail["flags"]) & flag_mask != 0):
            cancel_order(t, out, row, reason)
            count += ONE
        row = following
    return count


@kernel
def _read_order(t: Tables, row: Number, price_ticks: Number, lots: Number, order_quote_max: Number) -> Order:
    """A resting order as a new one of `lots` at a price (0: its own)."""
    detail = t.details[row]
    builder = np.int64(detail["builder"])
    return Order(
        np.int64(detail["market"]), np.int64(detail["side"]), np.int64(detail["time_in_force"]),
        np.int64(detail["flags"]), price_ticks if price_ticks != 0 else detail["price_ticks"], lots,
        detail["client_id"], min(detail["display_lots"], max(lots, ZERO)), detail["good_till_ms"],
        (builder << LINK_SHIFT) | detail["builder_ppm"], order_quote_max,
    )  # fmt: skip


@kernel
def _replace_order(
    t: Tables, out: Outputs, account: Number, row: Number, order: Order, verdict: Verdict, time_ms: Number,
    receipt_row: Number,
) -> None:  # fmt: skip
    """Execute an amended order whose lots have left its account's sums: it keeps row, id and place in the list."""
    detail, index = t.details[row], index_of_row(t, row)
    record, position_row = t.orderbook.book[index], np.int64(detail["position"])
    order_id = record["order_id"]
    change_lots(t.orderbook, index, ZERO, -detail["hidden_lots"])
    unlink_order(t.orderbook, index)
    record["level"] = ZERO  # so that reduce-only cuts pass it over while it trades
    detail["hidden_lots"] = ZERO
    filled_lots, lost_lots, filled_value, is_ended = _take(
        t, out, account, order_id, order, verdict, position_row, time_ms, False
    )
    left_lots = verdict.size_lots - filled_lots - lost_lots
    detail["filled_lots"] += filled_lots
    state = STATE_FILLED if left_lots == 0 and not is_ended else STATE_CANCELLED
    if left_lots > 0 and not is_ended:
        state = STATE_OPEN
        rest_lots(
            t, account, row, order_id, order.market, order.side, verdict.price_ticks, left_lots,
            detail["display_lots"], verdict.unit_charge_quote, position_row,
        )  # fmt: skip
    else:
        forget_order(t, row)
    touch(t, out, account, AUX)
    write_receipt(t, out, receipt_row, OK, account, state, order_id, filled_lots, left_lots, filled_value)


@kernel
def amend(
    t: Tables, out: Outputs, account: Number, market: Number, order_id: Number, client_id: Number, price_ticks: Number,
    size_lots: Number, order_quote_max: Number, time_ms: Number, receipt_row: Number,
) -> Number:  # fmt: skip
    """AMEND (ORD-4): give a resting order a new price (0: as it is) and a new total size; returns the code."""
    code: Number = UNKNOWN_MARKET
    row: Number = ZERO
    if 0 <= market < t.counters[MARKET_COUNT]:
        row = find_own_order(t, account, market, order_id, client_id)
        code = UNKNOWN_ORDER
    if row != 0:
        detail = t.details[row]
        lots, filled_lots = count_open_lots(t, row), detail["filled_lots"]
        left_lots = size_lots - filled_lots if size_lots > filled_lots else ZERO
        order = _read_order(t, row, price_ticks, left_lots, order_quote_max)
        if order.price_ticks == detail["price_ticks"] and 0 < left_lots <= lots:
            detail["original_lots"] = size_lots
            if left_lots < lots:
                cut_order(t, out, row, lots - left_lots)
            touch(t, out, account, AUX)
            found_id = t.orderbook.book[index_of_row(t, row)]["order_id"]
            write_receipt(t, out, receipt_row, OK, account, STATE_OPEN, found_id, ZERO, left_lots, ZERO)
            return OK
        position_row, charge_quote = np.int64(detail["position"]), lots * detail["unit_charge_quote"]
        change_orders(t, account, position_row, order.side, -lots, -charge_quote)
        verdict = judge_order(t, account, order, position_row, ONE, time_ms)
        code = verdict.code
        if code == OK:
            detail["original_lots"] = size_lots
            _replace_order(t, out, account, row, order, verdict, time_ms, receipt_row)
            return OK
        change_orders(t, account, position_row, order.side, lots, charge_quote)
    write_receipt(t, out, receipt_row, code, account, STATE_NONE, ZERO, ZERO, ZERO, ZERO)
    return code
