"""How fast orders match here: three flows and their peers, `python -m tests.engine.bench --only matching`.

Thread CPU time, medians of interleaved rounds. A speed is printed only for a book that made exactly the pinned trades.
The obvious Python book is the judge of the digests. `lightmatchingengine` (2019.1.4, pure Python) runs the start of
each flow when it can be imported, and is compared with the engine on the same events.
"""

import heapq
import importlib
import statistics
import time
from typing import Any

import numpy as np

from engine.compiling import entry_point, inlined
from engine.orderbook import (
    ROWS_USED,
    Orderbook,
    copy_orderbook,
    index_of_id,
    level_at,
    prefetch_neighbours,
    prefetch_record,
    rank_of,
)
from tests.engine.bench_row import Row, report, require_equal
from tests.engine.flows import (
    ADD,
    CANCEL,
    FLOWS,
    IOC,
    TRADE,
    Flow,
    digest_columns,
    digest_trades,
    execute_event,
    make_books,
    make_flow,
)

BATCH_EVENTS = 10_000
PREFETCH_EVENTS = 6
RING_MASK = 31  # a ring of 32 remembers targets for up to 16 events ahead
CACHED_ORDERS = 50_000  # up to here the books fit a core's own cache, and hints only cost
PEER_EVENTS = 60_000
ROUNDS = 11
TARGETS = {"m1small": 30_000_000, "m1": 30_000_000, "m50": 18_000_000}


@inlined
def target_of(books: Orderbook, event: np.void) -> int:
    """The record that an event begins with: the order to cancel, or the level to rest on."""
    side = np.int64(event["market"]) * 2 + np.int64(event["side"])
    level = level_at(books, side, rank_of(books, side, np.int64(event["price_ticks"])))
    return level + (index_of_id(books, event["order_id"]) - level) * np.int64(event["kind"] == CANCEL)


@entry_point
def match_batch(
    books: Orderbook,
    events: np.ndarray,
    first: int,
    end: int,
    trades: np.ndarray,
    count: int,
    ahead: int,
    ring: np.ndarray,
) -> int:
    """Execute the events from `first` to before `end`; returns the number of trades.

    `ahead` is how many events lie between the two hints and before the event itself, 0 for no hints. `ring` remembers
    which records were hinted at; what it holds before does not matter.
    """
    for number in range(first, end):
        if ahead > 0:
            far = number + 2 * ahead
            target = target_of(books, events[min(far, end - 1)])
            ring[far & RING_MASK] = target
            prefetch_record(books, target)
            prefetch_neighbours(books, ring[(number + ahead) & RING_MASK])
        count, _ = execute_event(books, events[number], number, trades, count)
    return count


def run_batches(books: Orderbook, events: np.ndarray, first: int, trades: np.ndarray, ahead: int) -> int:
    count, ring = 0, np.zeros(RING_MASK + 1, np.int64)
    for start in range(first, len(events), BATCH_EVENTS):
        end = min(start + BATCH_EVENTS, len(events))
        count = match_batch(books, events, start, end, trades, count, ahead, ring)
    return count


def choose_ahead(books: Orderbook) -> int:
    """How many events ahead to prefetch: not at all while the books fit a core's own cache."""
    return PREFETCH_EVENTS if books.counters[ROWS_USED] > CACHED_ORDERS else 0


class ObviousBook:
    """Price-time priority from what Python has: heaps of prices, and per price a dict of orders in time order.

    `cancels_own`: an order that meets one of its own account cancels it and goes on.
    """

    def __init__(self, cancels_own: bool = False) -> None:
        self.cancels_own = cancels_own
        self.heaps: dict[int, list[int]] = {}
        self.queues: dict[int, dict[int, dict[int, int]]] = {}
        self.places: dict[int, tuple[int, int, int]] = {}
        self.trades: list[tuple[int, int, int, int, int]] = []

    def remove(self, number: int) -> None:
        side, key, _ = self.places.pop(number)
        queue = self.queues[side][key]
        del queue[number]
        if not queue:
            del self.queues[side][key]  # its price stays in the heap until it comes up

    def best(self, side: int) -> int | None:
        """The best price of a side as a number that grows with being worse: asks rise, bids are negative."""
        heap, queues = self.heaps.setdefault(side, []), self.queues.setdefault(side, {})
        while heap and heap[0] not in queues:
            heapq.heappop(heap)
        return heap[0] if heap else None

    def on_event(
        self, number: int, kind: int, side: int, price_ticks: int, lots: int, account: int, target: int
    ) -> None:
        if kind == CANCEL:
            if target in self.places and self.places[target][2] == account:
                self.remove(target)
            return
        other, sign = side ^ 1, -1 if side % 2 == 0 else 1
        while lots and (best := self.best(other)) is not None and best <= -sign * price_ticks:
            queue = self.queues[other][best]
            maker = next(iter(queue))
            if self.cancels_own and self.places[maker][2] == account:
                self.remove(maker)
                continue
            fill = min(lots, queue[maker])
            self.trades.append((maker, number, fill, abs(best), len(self.trades)))
            lots -= fill
            queue[maker] -= fill
            if not queue[maker]:
                self.remove(maker)
        if lots and kind == ADD:
            key = sign * price_ticks
            if self.best(side) is None or key not in self.queues[side]:
                heapq.heappush(self.heaps[side], key)
            self.queues[side].setdefault(key, {})[number] = lots
            self.places[number] = (side, key, account)


class LightMatchingBook:
    """The same events for `lightmatchingengine`, which has no IOC orders and forgets to forget filled ones."""

    def __init__(self, package: Any) -> None:
        self.engine = package.LightMatchingEngine()
        self.names: dict[int, int] = {}
        self.orders: dict[int, Any] = {}
        self.trades: list[tuple[int, int, int, int, int]] = []

    def on_event(
        self, number: int, kind: int, side: int, price_ticks: int, lots: int, account: int, target: int
    ) -> None:
        if kind == CANCEL:
            order = self.orders.get(target)
            if order is not None and order.leaves_qty:
                self.engine.cancel_order(order.order_id, order.instmt)
            return
        order, fills = self.engine.add_order(side >> 1, price_ticks, lots, 1 + side % 2)
        self.names[order.order_id], self.orders[number] = number, order
        for fill in fills:
            if fill.order_id != order.order_id:
                maker = self.names[fill.order_id]
                self.trades.append((maker, number, fill.trade_qty, fill.trade_price, len(self.trades)))
        if kind == IOC and order.leaves_qty:
            self.engine.cancel_order(order.order_id, order.instmt)


def run_python(book: Any, events: np.ndarray, timed_from: int) -> tuple[float, str]:
    """Give all events to a book of Python objects; returns seconds for those from `timed_from` on, and the digest."""
    sides = events["market"].astype(int) * 2 + events["side"]
    columns = [events["kind"], sides, *(events[name] for name in ("price_ticks", "lots", "account", "target"))]
    rows = list(zip(range(len(events)), *(column.tolist() for column in columns)))
    for row in rows[1:timed_from]:
        book.on_event(*row)
    start = time.thread_time()
    for row in rows[timed_from:]:
        book.on_event(*row)
    seconds = time.thread_time() - start
    return seconds, digest_columns(np.array(book.trades, "<i8").reshape(-1, 5))


def require(name: str, digest: str, expected: str) -> None:
    require_equal(f"trades of {name}", digest, expected)


def time_engine(books: Orderbook, events: np.ndarray, first: int, trades: np.ndarray, ahead: int) -> tuple[float, int]:
    start = time.thread_time()
    count = run_batches(books, events, first, trades, ahead)
    return time.thread_time() - start, count


def measure_flow(flow: Flow, rounds: int) -> list[Row]:
    """Speeds of one flow in events per second; the engine's are medians over rounds that alternate the variants."""
    report(f"matching, {flow.name}: the obvious book")
    events, _, _ = make_flow(flow)
    first = 1 + flow.prefill
    python_s, digest = run_python(ObviousBook(), events, first)
    require(f"the obvious book on {flow.name}", digest, flow.digest)
    start, books, trades = make_books(flow), make_books(flow), np.zeros(len(events), TRADE)
    before = run_batches(start, events[:first], 1, trades, 0)
    seconds: dict[int, list[float]] = {0: [], PREFETCH_EVENTS: []}
    for turn in range(rounds):
        for ahead in sorted(seconds, reverse=turn % 2 == 1):
            copy_orderbook(start, books)
            took_s, count = time_engine(books, events, first, trades[before:], ahead)
            seconds[ahead].append(took_s)
            trades["sequence"][before : before + count] += before
            require(f"the engine on {flow.name}", digest_trades(trades[: before + count]), flow.digest)
    plain, hinted = (statistics.median(took) for took in seconds.values())
    best = hinted if choose_ahead(start) else plain
    live = int(np.count_nonzero(start.book["order_id"]))
    title = f"matching alone, {flow.markets} market{'s' * (flow.markets > 1)}, {live:,} live orders"
    note = f"{flow.events / plain / 1e6:.1f} M/s without hints, {flow.events / hinted / 1e6:.1f} M/s with"
    own = Row(
        title, flow.events / best, "events/s", TARGETS[flow.name], python_s / best, "obvious Python book", flow.digest,
        note,
    )  # fmt: skip
    return [own, measure_peer(flow, events)]


def measure_peer(flow: Flow, events: np.ndarray) -> Row:
    """The first events of a flow, from empty books, by `lightmatchingengine` and by the engine."""
    title = f"first {PEER_EVENTS:,} events of it from empty books"
    part = events[: 1 + PEER_EVENTS]
    _, expected = run_python(ObviousBook(), part, 1)
    empty, books, trades, own = make_books(flow), make_books(flow), np.zeros(len(part), TRADE), []
    for _ in range(ROUNDS):
        took_s, count = time_engine(books, part, 1, trades, 0)
        require(f"the engine on the start of {flow.name}", digest_trades(trades[:count]), expected)
        copy_orderbook(empty, books)
        own.append(took_s)
    figure = PEER_EVENTS / statistics.median(own)
    try:
        package = importlib.import_module("lightmatchingengine.lightmatchingengine")
    except ImportError:
        return Row(title, figure, "events/s", 0, "not installed", "lightmatchingengine", expected)
    peer_s, digest = run_python(LightMatchingBook(package), part, 1)
    require(f"lightmatchingengine on {flow.name}", digest, expected)
    return Row(title, figure, "events/s", 0, peer_s / statistics.median(own), "lightmatchingengine", expected)


def run(rounds: int = ROUNDS) -> list[Row]:
    """Two rows per flow."""
    return [row for flow in FLOWS for row in measure_flow(flow, rounds)]
