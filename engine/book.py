"""The order book of one market and side: sorted price levels, each a first-in first-out list of orders.

A side is an array of levels with the best price last, so that matching and quoting near the touch move little memory.
A row of `orders` is in two lists at once: its level's (time order) and its account's (order of placing). Rows come
from a free list; which row an order gets is invisible outside.

Positions keep the lots of an account's open buys and sells beside its size; they change here and nowhere else.
"""

from numba import njit

from engine.layout import (
    ACCOUNT,
    BOOK_ORDERS,
    BUY_ROW,
    CANCELLATION_COUNT,
    CLIENT_ID,
    FREE_ROW,
    IS_BOOK_DIRTY,
    LEVEL_FIRST,
    LEVEL_LAST,
    LEVEL_LOTS,
    LEVEL_ORDERS,
    LEVEL_TICKS,
    LEVELS,
    MARKET,
    NEXT,
    NOTHING,
    ORDER_COUNT,
    ORDER_FIRST,
    ORDER_ID,
    ORDER_LAST,
    ORDERS_LIVE,
    OWN_NEXT,
    OWN_PREVIOUS,
    POSITION_BUYS,
    PREVIOUS,
    PRICE_TICKS,
    ROWS_USED,
    SIDE,
    SIZE_LOTS,
    Number,
    Outputs,
    Tables,
    Truth,
)


@njit(cache=True)
def rank_price(price_ticks: Number, side: Number) -> Number:
    """Prices of one side as numbers that grow towards the best: buys rise, sells fall."""
    return price_ticks if side == BUY_ROW else -price_ticks


@njit(cache=True)
def find_level(tables: Tables, market: Number, side: Number, price_ticks: Number) -> Number:
    """Index of the first level of a side that is at least as good as the price; the number of levels if none is."""
    low = 0
    high = tables.markets[market, LEVELS + side]
    rank = rank_price(price_ticks, side)
    while low < high:
        middle = (low + high) // 2
        if rank_price(tables.levels[market, side, middle, LEVEL_TICKS], side) < rank:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True)
def get_best_level(tables: Tables, market: Number, side: Number) -> Number:
    """Index of the best level of a side, or -1 when the side is empty."""
    return tables.markets[market, LEVELS + side] - 1


@njit(cache=True)
def does_cross(price_ticks: Number, side: Number, resting_price_ticks: Number) -> Truth:
    """Whether an order of `side` at a price trades against a resting order of the other side."""
    return rank_price(price_ticks, side) >= rank_price(resting_price_ticks, side)


@njit(cache=True)
def take_row(tables: Tables) -> Number:
    """A free row of `orders`; the shell has made sure that there is one."""
    row = tables.counters[FREE_ROW]
    if row != NOTHING:
        tables.counters[FREE_ROW] = tables.orders[row, NEXT]
        return row
    row = tables.counters[ROWS_USED]
    tables.counters[ROWS_USED] += 1
    return row


@njit(cache=True)
def _open_level(tables: Tables, market: Number, side: Number, price_ticks: Number) -> Number:
    """Index of the level at a price, newly made if there is none."""
    at = find_level(tables, market, side, price_ticks)
    levels = tables.levels[market, side]
    count = tables.markets[market, LEVELS + side]
    if at < count and levels[at, LEVEL_TICKS] == price_ticks:
        return at
    for index in range(count, at, -1):
        levels[index] = levels[index - 1]
    levels[at, LEVEL_TICKS] = price_ticks
    levels[at, LEVEL_FIRST] = NOTHING
    levels[at, LEVEL_LAST] = NOTHING
    levels[at, LEVEL_LOTS] = 0
    levels[at, LEVEL_ORDERS] = 0
    tables.markets[market, LEVELS + side] = count + 1
    return at


@njit(cache=True)
def link_order(tables: Tables, row: Number) -> None:
    """Put a filled-in row (id, account, market, side, price, size) behind all orders at its price."""
    order = tables.orders[row]
    market, side, account = order[MARKET], order[SIDE], order[ACCOUNT]
    level = tables.levels[market, side, _open_level(tables, market, side, order[PRICE_TICKS])]
    last = level[LEVEL_LAST]
    order[NEXT] = NOTHING
    order[PREVIOUS] = last
    if last == NOTHING:
        level[LEVEL_FIRST] = row
    else:
        tables.orders[last, NEXT] = row
    level[LEVEL_LAST] = row
    level[LEVEL_LOTS] += order[SIZE_LOTS]
    level[LEVEL_ORDERS] += 1
    owner = tables.accounts[account]
    own_last = owner[ORDER_LAST]
    order[OWN_NEXT] = NOTHING
    order[OWN_PREVIOUS] = own_last
    if own_last == NOTHING:
        owner[ORDER_FIRST] = row
    else:
        tables.orders[own_last, OWN_NEXT] = row
    owner[ORDER_LAST] = row
    owner[ORDER_COUNT] += 1
    tables.positions[account, market, POSITION_BUYS + side] += order[SIZE_LOTS]
    tables.markets[market, BOOK_ORDERS] += 1
    tables.markets[market, IS_BOOK_DIRTY] = 1
    tables.counters[ORDERS_LIVE] += 1


@njit(cache=True)
def reduce_order(tables: Tables, row: Number, lots: Number) -> None:
    """Take filled lots off a resting order; an order of size 0 is still linked."""
    order = tables.orders[row]
    market, side = order[MARKET], order[SIDE]
    at = find_level(tables, market, side, order[PRICE_TICKS])
    order[SIZE_LOTS] -= lots
    tables.levels[market, side, at, LEVEL_LOTS] -= lots
    tables.positions[order[ACCOUNT], market, POSITION_BUYS + side] -= lots
    tables.markets[market, IS_BOOK_DIRTY] = 1


@njit(cache=True)
def _unlink_own(tables: Tables, row: Number) -> None:
    order = tables.orders[row]
    owner = tables.accounts[order[ACCOUNT]]
    before, behind = order[OWN_PREVIOUS], order[OWN_NEXT]
    if before == NOTHING:
        owner[ORDER_FIRST] = behind
    else:
        tables.orders[before, OWN_NEXT] = behind
    if behind == NOTHING:
        owner[ORDER_LAST] = before
    else:
        tables.orders[behind, OWN_PREVIOUS] = before
    owner[ORDER_COUNT] -= 1


@njit(cache=True)
def unlink_order(tables: Tables, row: Number) -> None:
    """Take an order off the book, whatever is left of it, and free its row."""
    order = tables.orders[row]
    market, side = order[MARKET], order[SIDE]
    at = find_level(tables, market, side, order[PRICE_TICKS])
    levels = tables.levels[market, side]
    before, behind = order[PREVIOUS], order[NEXT]
    if before == NOTHING:
        levels[at, LEVEL_FIRST] = behind
    else:
        tables.orders[before, NEXT] = behind
    if behind == NOTHING:
        levels[at, LEVEL_LAST] = before
    else:
        tables.orders[behind, PREVIOUS] = before
    levels[at, LEVEL_LOTS] -= order[SIZE_LOTS]
    levels[at, LEVEL_ORDERS] -= 1
    if levels[at, LEVEL_ORDERS] == 0:
        count = tables.markets[market, LEVELS + side]
        for index in range(at, count - 1):
            levels[index] = levels[index + 1]
        tables.markets[market, LEVELS + side] = count - 1
    _unlink_own(tables, row)
    tables.positions[order[ACCOUNT], market, POSITION_BUYS + side] -= order[SIZE_LOTS]
    tables.markets[market, BOOK_ORDERS] -= 1
    tables.markets[market, IS_BOOK_DIRTY] = 1
    tables.counters[ORDERS_LIVE] -= 1
    order[NEXT] = tables.counters[FREE_ROW]
    tables.counters[FREE_ROW] = row


@njit(cache=True)
def cancel_order(tables: Tables, outputs: Outputs, row: Number, reason: Number) -> Number:
    """Take an unfilled order off the book and record it; returns the lots that were left."""
    order = tables.orders[row]
    lots = order[SIZE_LOTS]
    count = tables.counters[CANCELLATION_COUNT]
    record = outputs.cancellations[count]
    record[0] = order[ORDER_ID]
    record[1] = order[ACCOUNT]
    record[2] = order[MARKET]
    record[3] = order[SIDE]
    record[4] = order[PRICE_TICKS]
    record[5] = lots
    record[6] = order[CLIENT_ID]
    record[7] = reason
    tables.counters[CANCELLATION_COUNT] = count + 1
    unlink_order(tables, row)
    return lots


@njit(cache=True)
def cancel_orders(tables: Tables, outputs: Outputs, account: Number, market: Number, reason: Number) -> Number:
    """Cancel an account's orders of one market (-1: of all) in the order of placing; returns how many."""
    row = tables.accounts[account, ORDER_FIRST]
    count = 0
    while row != NOTHING:
        behind = tables.orders[row, OWN_NEXT]
        if market == NOTHING or tables.orders[row, MARKET] == market:
            cancel_order(tables, outputs, row, reason)
            count += 1
        row = behind
    return count
