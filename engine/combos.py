"""Several orders as one: the legs of a combination all fill, or none of them is an order at all (ORD-10).

Each leg is judged as a fill or kill of its market, margin apart; then all legs together are judged for margin and for
what they cost. What rule 312 counts cannot vanish while the legs execute, because they are in different markets and
market makers' protection waits until the last of them is done.
"""

import numpy as np

from engine.acceptance import LINK_PPM, Order, Verdict, check_holding, check_price, check_terms, is_listed
from engine.accounts import change_orders, find_position, open_position, reserve_positions
from engine.commands import FILL_OR_KILL, IMMEDIATE_OR_CANCEL, REDUCE_ONLY
from engine.compiling import kernel
from engine.execution import count_open_lots, find_dead_reason, row_of_index, trip_protections
from engine.exposure import compute_unit_charge, read_free
from engine.orderbook import best_level, head_of, next_level, next_order, rank_of, rank_of_level
from engine.orders import execute_order
from engine.results import Code
from engine.settings import can_open_position
from engine.tables import (
    AUCTION_FILL_COUNT,
    FILL_COUNT,
    FILLS_MAX,
    Number,
    Outputs,
    Tables,
    Truth,
)

OK, UNKNOWN_MARKET, UNKNOWN_ENUM = np.int64(Code.OK), np.int64(Code.UNKNOWN_MARKET), np.int64(Code.UNKNOWN_ENUM)
CONTRADICTORY, NOT_FILLABLE = np.int64(Code.CONTRADICTORY), np.int64(Code.NOT_FILLABLE)
INSUFFICIENT_MARGIN, LEG_FAILED = np.int64(Code.INSUFFICIENT_MARGIN), np.int64(Code.LEG_FAILED)
POSITIONS_FULL, NOTHING, ONE, BUY_SIDE = np.int64(Code.POSITIONS_FULL), np.int64(0), np.int64(1), np.int64(0)
LEGS_MIN, LEGS_MAX = 2, 4
WHOLE = np.int64(FILL_OR_KILL)


@kernel
def _read_leg(action: np.void, order_quote_max: Number) -> Order:
    """The order that a leg asks for, as fill or kill."""
    return Order(
        np.int64(action["market"]), np.int64(action["side"]), WHOLE, np.int64(action["flags"]),
        np.int64(action["price_ticks"]), np.int64(action["size_lots"]), np.int64(action["client_id"]),
        np.int64(action["display_lots"]), np.int64(action["good_till_ms"]), np.int64(action["link"]), order_quote_max,
    )  # fmt: skip


@kernel
def _judge_leg(t: Tables, account: Number, action: np.void, order_quote_max: Number, time_ms: Number) -> Verdict:
    """All rules of a leg but margin."""
    order = _read_leg(action, order_quote_max)
    if not is_listed(t, order.market):
        return Verdict(UNKNOWN_MARKET, NOTHING, NOTHING, NOTHING)
    position_row = find_position(t, account, order.market)
    code, price_ticks = check_price(t, order, position_row)
    size_lots: Number = NOTHING
    if code == OK:
        code, price_ticks, size_lots = check_terms(t, account, order, price_ticks, position_row, False, time_ms)
        time_in_force = np.int64(action["time_in_force"])
        is_known = time_in_force <= IMMEDIATE_OR_CANCEL or time_in_force == WHOLE
        if not is_known and (code == OK or code > CONTRADICTORY):
            code = CONTRADICTORY
    if code != OK:
        return Verdict(code, NOTHING, NOTHING, NOTHING)
    code = check_holding(t, account, order.market, order.side, size_lots, position_row)
    if code == OK and not can_open_position(t, account, position_row):
        code = POSITIONS_FULL
    charge_quote = compute_unit_charge(t, order.market, order.side, price_ticks, order.link & LINK_PPM)
    return Verdict(code, price_ticks, size_lots, charge_quote)


@kernel
def _plan_fill(
    t: Tables, market: Number, side: Number, limit_ticks: Number, lots: Number, account: Number, time_ms: Number
) -> tuple[Number, Number]:
    """`(sum of price_ticks x lots, most fills)` of the orders that rule 312 counts, for `lots` that are there."""
    book, other = t.orderbook, market * 2 + ONE - side
    left_lots, value, fill_count = lots, NOTHING, NOTHING
    level = best_level(book, other)
    while level != 0 and left_lots > 0:
        price_ticks = rank_of(book, other, rank_of_level(book, level))
        index = head_of(book, level)
        while index != 0:
            row, maker = row_of_index(t, index), np.int64(book.book[index]["account"])
            open_lots, display_lots = count_open_lots(t, row), t.details[row]["display_lots"]
            fill_count += ONE if display_lots == 0 else open_lots // display_lots + 1
            is_certain = maker != account and np.int64(t.details[row]["flags"]) & REDUCE_ONLY == 0
            if is_certain and find_dead_reason(t, maker, row, time_ms) < 0:
                taken_lots = min(open_lots, left_lots)
                left_lots -= taken_lots
                value += taken_lots * price_ticks
            index = next_order(book, index)
        level = next_level(book, level)
    return value, fill_count


@kernel
def _is_margined(
    t: Tables, account: Number, actions: np.ndarray, first: Number, count: Number, verdicts: tuple[Verdict, ...]
) -> Truth:
    """Whether `E >= D` with all legs open; their positions must be open."""
    for leg in range(count):
        _open_leg(t, account, actions[first + leg], verdicts[leg], ONE)
    is_margined = read_free(t, account) >= 0
    for leg in range(count):
        _open_leg(t, account, actions[first + leg], verdicts[leg], -ONE)
    return is_margined


@kernel
def _open_leg(t: Tables, account: Number, action: np.void, verdict: Verdict, sign: Number) -> None:
    """Count a leg among the account's open orders (1) or no longer (-1)."""
    row = find_position(t, account, np.int64(action["market"]))
    lots = sign * verdict.size_lots
    change_orders(t, account, row, np.int64(action["side"]), lots, lots * verdict.unit_charge_quote)


@kernel
def _is_cheap_enough(
    t: Tables, account: Number, actions: np.ndarray, first: Number, count: Number, verdicts: tuple[Verdict, ...],
    cost_quote_max: Number, time_ms: Number,
) -> Truth:  # fmt: skip
    """Whether buys less sells cost at most so much (312), and the block has room for the fills (MAT-4)."""
    cost_quote = NOTHING
    fill_count = t.counters[FILL_COUNT] - t.counters[AUCTION_FILL_COUNT]
    for leg in range(count):
        action, verdict = actions[first + leg], verdicts[leg]
        market, side = np.int64(action["market"]), np.int64(action["side"])
        value, most_fills = _plan_fill(t, market, side, verdict.price_ticks, verdict.size_lots, account, time_ms)
        value_quote = value * t.markets[market]["quote_per_tick_lot"]
        cost_quote += value_quote if side == BUY_SIDE else -value_quote
        fill_count += most_fills
    return cost_quote <= cost_quote_max and fill_count <= FILLS_MAX


@kernel
def _are_markets_different(actions: np.ndarray, first: Number, count: Number) -> Truth:
    for leg in range(count):
        for other in range(leg):
            if np.int64(actions[first + leg]["market"]) == np.int64(actions[first + other]["market"]):
                return False
    return True


@kernel
def _open_positions(t: Tables, account: Number, actions: np.ndarray, first: Number, count: Number) -> Truth:
    """Give the account a position in the market of every leg; false if there are not enough rows for them."""
    new_count = NOTHING
    for leg in range(count):
        new_count += np.int64(find_position(t, account, np.int64(actions[first + leg]["market"])) == 0)
    if not reserve_positions(t, new_count):
        return False
    for leg in range(count):
        open_position(t, account, np.int64(actions[first + leg]["market"]))
    return True


@kernel
def _refuse(out: Outputs, first: Number, count: Number, failed: Number, code: Number) -> None:
    """Receipts of the legs: the failed one (-1: none of them) has its code, the others 321."""
    for leg in range(count):
        out.receipts[first + leg]["code"] = code if leg == failed else LEG_FAILED


@kernel
def _judge_combo(
    t: Tables, account: Number, actions: np.ndarray, at: Number, verdicts: tuple[Verdict, ...], time_ms: Number
) -> Number:
    """401 and 312 for legs that are right one by one."""
    first, count = at + ONE, np.int64(actions[at]["side"])
    if not _is_margined(t, account, actions, first, count, verdicts):
        return INSUFFICIENT_MARGIN
    cost_quote_max = actions[at]["price_ticks"]
    if not _is_cheap_enough(t, account, actions, first, count, verdicts, cost_quote_max, time_ms):
        return NOT_FILLABLE
    return OK


@kernel
def _check_shape(actions: np.ndarray, first: Number, count: Number, good_till_ms: Number, time_ms: Number) -> Number:
    """310 and 314 of the combination itself."""
    if count < LEGS_MIN or count > LEGS_MAX:
        return UNKNOWN_ENUM
    is_late = good_till_ms != 0 and good_till_ms <= time_ms
    return CONTRADICTORY if is_late or not _are_markets_different(actions, first, count) else OK


@kernel
def execute_combo(
    t: Tables, out: Outputs, account: Number, actions: np.ndarray, at: Number, order_quote_max: Number, time_ms: Number
) -> Number:
    """COMBO in row `at`, its legs in the rows behind it: judge and execute all of them; returns the code of the combo
    and writes the receipts of the legs.
    """
    first, count = at + ONE, np.int64(actions[at]["side"])
    code = _check_shape(actions, first, count, actions[at]["good_till_ms"], time_ms)
    if code != OK:
        _refuse(out, first, count, -ONE, OK)
        return code
    # With two or three legs the last is judged again instead of none, because kernels make no lists.
    last = count - ONE
    verdicts = (
        _judge_leg(t, account, actions[first], order_quote_max, time_ms),
        _judge_leg(t, account, actions[first + 1], order_quote_max, time_ms),
        _judge_leg(t, account, actions[first + min(np.int64(2), last)], order_quote_max, time_ms),
        _judge_leg(t, account, actions[first + last], order_quote_max, time_ms),
    )
    for leg in range(count):
        if verdicts[leg].code != OK:
            _refuse(out, first, count, np.int64(leg), verdicts[leg].code)
            return LEG_FAILED
    if not _open_positions(t, account, actions, first, count):
        _refuse(out, first, count, NOTHING, POSITIONS_FULL)
        return LEG_FAILED
    code = _judge_combo(t, account, actions, at, verdicts, time_ms)
    if code != OK:
        _refuse(out, first, count, -ONE, OK)
        return code
    first_fill = t.counters[FILL_COUNT]
    for leg in range(count):
        order = _read_leg(actions[first + leg], order_quote_max)
        position_row = find_position(t, account, order.market)
        execute_order(t, out, account, order, verdicts[leg], position_row, time_ms, first + leg, True)
    trip_protections(t, out, first_fill, time_ms)
    return OK
