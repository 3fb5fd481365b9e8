"""Streams of orders for the book alone: seeded, made with integers only, equal on every machine.

An event is an order that rests what it cannot trade, an order that trades at once or not at all (IOC), or the
cancellation of an order by its identifier. Which orders live when an event is drawn depends on all trades before it, so
the generator executes what it draws. What it draws is pinned by the digest of the trades that an obvious book makes.

Half of all events add, 41 to 51 % cancel (that keeps the depth at its target), 5 % take. Cancels go to recent orders in
six of ten cases, sometimes to orders that are long gone. Prices lie around a slow random walk: two thirds of them 5
ticks away on average, some 50, a few 800. Markets are chosen as `markets * u**3`: few are busy, all are used.
"""

import hashlib
from typing import NamedTuple

import numpy as np

from engine.compiling import entry_point, inlined, kernel
from engine.fixed import count_leading_zeros
from engine.orderbook import (
    NOTHING,
    PRICE_TICKS_MAX,
    ROWS_USED,
    Orderbook,
    best_level,
    best_rank,
    change_lots,
    find_order,
    free_row,
    head_of,
    index_of_id,
    list_market,
    make_order_id,
    make_orderbook,
    rank_of,
    rest_order,
    take_row,
    unlink_order,
)

EVENT = np.dtype(
    [("order_id", "<i8"), ("lots", "<i4"), ("account", "<u4"), ("price_ticks", "<u4"), ("market", "<u2")]
    + [("kind", "u1"), ("side", "u1"), ("target", "<u4"), ("spare", "<u4")]
)  # `target`: number of the event that added what a cancel removes; `order_id` is its identifier in the engine's book
TRADE = np.dtype(
    [("maker_id", "<i8"), ("taker_id", "<i8"), ("lots", "<i8"), ("price_ticks", "<u4"), ("sequence", "<u4")]
)
ADD, CANCEL, IOC = np.int64(0), np.int64(1), np.int64(2)
RECENT_EVENTS = 128  # about half of them add
MIDDLE_TICKS = 1_000_000


class Flow(NamedTuple):
    """A stream: `prefill` events that only add, then `events`. `digest` pins the trades of all of them."""

    name: str
    markets: int
    accounts: int
    prefill: int
    depth: int
    events: int
    digest: str


class Drawn(NamedTuple):
    """What the generator works on: random state, middle prices with 16 fractional bits, identifiers by number."""

    state: np.ndarray
    mids: np.ndarray
    ids: np.ndarray
    events: np.ndarray
    trades: np.ndarray


FLOWS = (
    Flow("m1small", 1, 1_000, 1_000, 1_000, 1_500_000, "15d9c0e4c47fbb6b"),
    Flow("m1", 1, 1_000, 20_000, 20_000, 1_500_000, "f6dbf1a60df5a507"),
    Flow("m50", 50, 20_000, 500_000, 480_000, 1_500_000, "5eaed4966ed5e49a"),
)


def make_books(flow: Flow) -> Orderbook:
    """Empty books with the widest price range for every market, and room for all that the flow rests."""
    entries = 2 * (PRICE_TICKS_MAX // 64 + 1)
    orders = 2 * max(flow.prefill, flow.depth) + 10_000
    books = make_orderbook(flow.markets, orders, 2_000 * flow.markets, flow.markets * entries)
    for _ in range(flow.markets):
        list_market(books, PRICE_TICKS_MAX)
    return books


@inlined
def execute_event(books: Orderbook, event: np.void, number: int, trades: np.ndarray, count: int) -> tuple[int, int]:
    """Execute an event; its trades are written from row `count` on.

    Returns the new count and the identifier of the order that now rests, 0 if none does.
    """
    account = np.int64(event["account"])
    if event["kind"] == CANCEL:
        index = find_order(books, event["order_id"], account)
        if index != NOTHING:
            unlink_order(books, index)
            free_row(books, index)
        return count, NOTHING
    side = np.int64(event["market"]) * 2 + np.int64(event["side"])
    ticks, lots = np.int64(event["price_ticks"]), np.int64(event["lots"])
    limit_rank = rank_of(books, side ^ 1, ticks)
    while lots > 0 and best_rank(books, side ^ 1) <= limit_rank:
        trade = trades[count]
        trade["price_ticks"] = rank_of(books, side ^ 1, best_rank(books, side ^ 1))
        index = head_of(books, best_level(books, side ^ 1))
        maker = books.book[index]
        fill = min(lots, maker["lots"])
        trade["maker_id"] = maker["order_id"]
        trade["taker_id"] = number << 24
        trade["lots"] = fill
        trade["sequence"] = count
        count += 1
        lots -= fill
        if fill == maker["lots"]:
            unlink_order(books, index)
            free_row(books, index)
        else:
            change_lots(books, index, -fill, NOTHING)
    if lots == 0 or event["kind"] != ADD:
        return count, NOTHING
    index = take_row(books)
    if index == NOTHING:
        return count, NOTHING
    order_id = make_order_id(books, number, index)
    if rest_order(books, side, rank_of(books, side, ticks), index, order_id, account, lots) == NOTHING:
        free_row(books, index)
        return count, NOTHING
    return count, order_id


@inlined
def draw(state: np.ndarray) -> int:
    """31 random bits: two small multiplicative generators combined (L'Ecuyer 1988), without overflow in 64 bits."""
    state[0] = state[0] * 40014 % 2147483563
    state[1] = state[1] * 40692 % 2147483399
    return (state[0] - state[1]) & 0x7FFFFFFF


@inlined
def draw_below(state: np.ndarray, limit: int) -> int:
    return draw(state) * limit >> 31


@kernel
def draw_exponential(state: np.ndarray, mean: int) -> int:
    """Roughly exponential whole number: minus the logarithm of a uniform one, its fraction taken as linear."""
    bits = draw(state) | 1
    shift = count_leading_zeros(bits) - 32
    fraction = (bits << shift & 0x7FFFFFFF) >> 15
    return mean * 45426 * ((shift << 16) - fraction) >> 32  # 45426 = ln 2 in 16 bits


@inlined
def is_alive(books: Orderbook, order_id: int) -> bool:
    return order_id != 0 and books.book[index_of_id(books, order_id)]["order_id"] == order_id


@kernel
def draw_target(state: np.ndarray, books: Orderbook, ids: np.ndarray, number: int) -> int:
    """Number of the event whose order is to be cancelled: often a recent one, sometimes a dead one."""
    choice = draw_below(state, 100)
    if choice < 3:
        return draw_below(state, number)
    for _ in range(8 if choice < 63 else 0):
        target = max(number - 1 - draw_below(state, RECENT_EVENTS), 0)
        if is_alive(books, ids[target]):
            return target
    for _ in range(64):
        order_id = books.book[index_of_id(books, draw_below(state, books.counters[ROWS_USED]))]["order_id"]
        if order_id != 0:
            return order_id >> 24
    return 0


@kernel
def draw_order(state: np.ndarray, books: Orderbook, mids: np.ndarray, event: np.void, accounts: int, kind: int) -> None:
    """Fill an event that adds or takes."""
    uniform, side = draw(state) >> 15, draw(state) & 1
    market = uniform * uniform * uniform * len(mids) >> 48
    mids[market] += draw_below(state, 6555) - 3277
    event["market"] = market
    event["side"] = side
    event["account"] = (draw(state) >> 11) * (draw(state) >> 11) * accounts >> 40
    event["lots"] = 1 + draw_exponential(state, 12)
    sign = 1 - 2 * side
    other = market * 2 + (side ^ 1)
    if kind == IOC and best_level(books, other) != NOTHING:
        event["kind"] = IOC
        event["price_ticks"] = rank_of(books, other, best_rank(books, other)) + sign * draw_below(state, 6)
        return
    choice = draw_below(state, 100)
    away_ticks = draw_exponential(state, 5 if choice < 65 else 50 if choice < 93 else 800)
    event["kind"] = ADD
    event["price_ticks"] = (mids[market] >> 16) + side - sign * away_ticks


@entry_point
def fill_flow(books: Orderbook, drawn: Drawn, prefill: int, depth: int, accounts: int) -> int:
    """Draw and execute all events, the first in row 1; returns how many trades they made."""
    state, mids, ids, events, trades = drawn
    count, living = 0, 0
    for number in range(1, len(events)):
        event, choice = events[number], draw_below(state, 100)
        cancel_percent = 0 if number <= prefill else 41 if living < depth else 51
        if choice < cancel_percent:
            target = draw_target(state, books, ids, number)
            event["kind"] = CANCEL
            event["target"] = target
            event["order_id"] = ids[target]
            event["account"] = events[target]["account"]
            event["market"] = events[target]["market"]
            living -= is_alive(books, ids[target])
        else:
            draw_order(state, books, mids, event, accounts, IOC if choice >= 95 and number > prefill else ADD)
        before = count
        count, order_id = execute_event(books, event, number, trades, count)
        ids[number] = order_id
        living += order_id != 0
        for at in range(before, count):
            living -= not is_alive(books, trades[at]["maker_id"])
    return count


def make_flow(flow: Flow) -> tuple[np.ndarray, np.ndarray, Orderbook]:
    """The events of a flow (row 0 is empty, so that a row is its number), their trades and the books after them."""
    books, rows = make_books(flow), 1 + flow.prefill + flow.events
    drawn = Drawn(
        state=np.array([20081009, 31415926]),
        mids=np.full(flow.markets, MIDDLE_TICKS << 16),
        ids=np.zeros(rows, np.int64),
        events=np.zeros(rows, EVENT),
        trades=np.zeros(rows, TRADE),
    )
    count = fill_flow(books, drawn, flow.prefill, flow.depth, flow.accounts)
    return drawn.events, drawn.trades[:count], books


def digest_columns(trades: np.ndarray) -> str:
    """Digest of int64 rows: maker's number, taker's number, lots, price in ticks, sequence."""
    return hashlib.sha256(trades.astype("<i8").tobytes()).hexdigest()[:16]


def digest_trades(trades: np.ndarray) -> str:
    """Digest of who traded with whom, when, how much and at which price; rows of the book do not matter."""
    numbers = (trades["maker_id"] >> 24, trades["taker_id"] >> 24)
    return digest_columns(np.stack([*numbers, trades["lots"], trades["price_ticks"], trades["sequence"]], axis=1))
