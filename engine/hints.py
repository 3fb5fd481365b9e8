"""What an action will touch, asked for some actions ahead: memory is then there when the action executes.

An action touches a dozen records that lie anywhere in memory, each 100 ns away when the tables are large. The far hint
asks for the records whose place follows from the action alone; the near one, given half as many actions ahead, finds
those in the cache and asks for what they lead to. Hints change nothing, and what they ask for may be wrong: others
come between.
"""

import numpy as np

from engine.accounts import position_slot
from engine.compiling import inlined
from engine.fixed import prefetch, prefetch_line
from engine.orderbook import index_of_id, level_at, prefetch_record, rank_of
from engine.rows import peek_lowest_row
from engine.tables import ORDER_ROW_MASK, Number, Tables

SECOND_LINE = np.int64(64)


@inlined
def hint_place_far(t: Tables, account: Number, market: Number, side: Number, price_ticks: Number) -> None:
    """A valid account is about to place an order in a valid market; side and price may be anything."""
    side_index = market * 2 + (side & 1)
    prefetch(t.accounts, account)
    prefetch(t.position_index, position_slot(t, account, market))
    if 0 < price_ticks <= t.markets[market]["price_ticks_max"]:
        prefetch_record(t.orderbook, level_at(t.orderbook, side_index, rank_of(t.orderbook, side_index, price_ticks)))


@inlined
def hint_place_near(t: Tables, account: Number, market: Number, side: Number, price_ticks: Number) -> None:
    """Second hint for a place: its position, the order that will stand before it, the account's last order."""
    side_index = market * 2 + (side & 1)
    prefetch(t.positions, np.int64(t.position_index[position_slot(t, account, market)]))
    prefetch(t.details, np.int64(t.accounts[account]["order_last"]))
    if 0 < price_ticks <= t.markets[market]["price_ticks_max"]:
        level = level_at(t.orderbook, side_index, rank_of(t.orderbook, side_index, price_ticks))
        prefetch_record(t.orderbook, np.int64(t.orderbook.book[level]["previous"]))


@inlined
def hint_cancel_far(t: Tables, account: Number, order_id: Number) -> None:
    """A valid account is about to cancel or amend an order; any id will do."""
    prefetch(t.accounts, account)
    prefetch(t.details, order_id & ORDER_ROW_MASK)
    prefetch_record(t.orderbook, index_of_id(t.orderbook, order_id))


@inlined
def hint_cancel_near(t: Tables, order_id: Number) -> None:
    """Second hint for a cancel: neighbours in the queue and in the account's list, level and position."""
    row = order_id & ORDER_ROW_MASK
    if row < len(t.details):
        order, detail = t.orderbook.book[index_of_id(t.orderbook, order_id)], t.details[row]
        prefetch_record(t.orderbook, np.int64(order["next"]))
        prefetch_record(t.orderbook, np.int64(order["previous"]))
        prefetch_record(t.orderbook, np.int64(order["level"]))
        prefetch(t.positions, np.int64(detail["position"]))
        prefetch(t.details, np.int64(detail["own_next"]))
        prefetch(t.details, np.int64(detail["own_previous"]))


@inlined
def hint_rest(t: Tables) -> None:
    """An order may come to rest: ask for the records of the lowest free row."""
    row = peek_lowest_row(t.orderbook.rows, len(t.details))
    prefetch(t.details, row)
    prefetch_line(t.details, row, SECOND_LINE)
    prefetch_record(t.orderbook, index_of_id(t.orderbook, row))
