"""Candles and trades by time against what looking at every trade gives; blocks that are replayed; rows of before."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from net.gateway.market_data import CandleView
from validator.history import first_place, sum_minutes
from validator.market_history import MarketHistory
from validator.order_memory import KNOWN_FILL
from validator.store import CHUNK_ROWS, MINUTE_MS, Chunk, Store
from validator.trade_search import find_trades

HOUR_MS = 60 * MINUTE_MS
START_MS = 1_700_000_040_000  # a whole minute, no whole hour
MARKETS = 3


class Made(NamedTuple):
    number: int
    time_ms: int
    market: int
    price_ticks: int
    size_lots: int


class Exchange:
    """Blocks of random trades, some of more than one chunk, with long pauses between some."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.store = Store(folder / "blocks.sqlite")
        self.history = MarketHistory(self.store)
        self.trades: list[Made] = []
        self._blocks: list[tuple[int, int, np.ndarray]] = []
        draw = random.Random(seed)
        time_ms = START_MS
        for height in range(1, 60):
            time_ms += draw.choice((50, 200, 20_000, MINUTE_MS, 3 * HOUR_MS))
            self._blocks.append((height, time_ms, self._draw_fills(draw, height, time_ms)))
        for at in range(len(self._blocks)):
            self.replay(at)

    def _draw_fills(self, draw: random.Random, height: int, time_ms: int) -> np.ndarray:
        fills = np.zeros(draw.choice((0, 1, 3, CHUNK_ROWS + 7)), KNOWN_FILL)
        for at, row in enumerate(fills):
            row["market"], row["price_ticks"] = draw.randrange(MARKETS), draw.randint(90, 110)
            row["size_lots"] = draw.randint(1, 9)
            terms = (int(row[name]) for name in ("market", "price_ticks", "size_lots"))
            self.trades.append(Made(first_place(height) + at, time_ms, *terms))
        return fills

    def replay(self, at: int) -> None:
        """A block, for the first time or again."""
        height, time_ms, fills = self._blocks[at]
        if not len(fills):
            return
        last = first_place(height) + len(fills) - 1
        self.store.put_fills([
            Chunk(first_place(height) + row, time_ms, fills[row : row + CHUNK_ROWS], np.empty((0, 32), np.uint8))
            for row in range(0, len(fills), CHUNK_ROWS)
        ])  # fmt: skip
        self.store.put_minutes(sum_minutes(fills, time_ms, last))
        self.history.add_fills(fills, time_ms, last)

    def expect_candles(self, market: int, span_ms: tuple[int, int], resolution_ms: int) -> list[CandleView]:
        begin_ms, end_ms = span_ms[0] // resolution_ms * resolution_ms, span_ms[1] // MINUTE_MS * MINUTE_MS + MINUTE_MS
        spans: dict[int, list[Made]] = {}
        for trade in self.trades:
            if trade.market == market and begin_ms <= trade.time_ms < end_ms:
                spans.setdefault(trade.time_ms // resolution_ms * resolution_ms, []).append(trade)
        return [
            CandleView(
                at_ms, made[0].price_ticks, max(item.price_ticks for item in made),
                min(item.price_ticks for item in made), made[-1].price_ticks, sum(item.size_lots for item in made),
                sum(item.size_lots * item.price_ticks for item in made),
            )
            for at_ms, made in sorted(spans.items())
        ]  # fmt: skip

    def expect_trades(
        self, markets: list[int] | None, span_ms: tuple[int, int], span_ids: tuple[int, int], is_oldest_first: bool
    ) -> list[int]:
        found = [
            item.number for item in self.trades
            if (markets is None or item.market in markets) and span_ms[0] <= item.time_ms <= span_ms[1]
            and span_ids[0] <= item.number <= span_ids[1]
        ]  # fmt: skip
        return found if is_oldest_first else found[::-1]


@pytest.fixture(scope="module", params=[1, 2, 3])
def exchange(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    made = Exchange(tmp_path_factory.mktemp("history"), request.param)
    yield made
    made.store.close()


def draw_span(draw: random.Random, exchange: Exchange) -> tuple[int, int]:
    low, high = exchange.trades[0].time_ms - HOUR_MS, exchange.trades[-1].time_ms + HOUR_MS
    times = [draw.randint(low, high), draw.choice(exchange.trades).time_ms]
    return min(times), max(times)


def test_candles_are_what_the_trades_come_to(exchange: Exchange) -> None:
    draw = random.Random(7)
    for _ in range(60):
        market, resolution_ms = draw.randrange(MARKETS), draw.choice((1, 5, 60, 1_440)) * MINUTE_MS
        span_ms = draw_span(draw, exchange)
        found = exchange.history.candles(market, span_ms, resolution_ms)
        assert found == exchange.expect_candles(market, span_ms, resolution_ms)


def test_a_block_that_is_replayed_counts_once(exchange: Exchange) -> None:
    span_ms = (exchange.trades[0].time_ms, exchange.trades[-1].time_ms)
    before = exchange.history.candles(0, span_ms, MINUTE_MS)
    for at in range(40, 59):
        exchange.replay(at)
    assert exchange.history.candles(0, span_ms, MINUTE_MS) == before


def test_trades_are_found_whatever_is_asked(exchange: Exchange) -> None:
    draw = random.Random(9)
    for _ in range(200):
        markets = draw.choice((None, [0], [1, 2], []))
        span_ms = draw.choice((draw_span(draw, exchange), (0, 1 << 62)))
        numbers = sorted(draw.choice(exchange.trades).number for _ in range(2))
        span_ids = draw.choice(((0, 1 << 62), (numbers[0], numbers[1])))
        count, is_oldest_first = draw.choice((1, 10, 1_000, 5_000)), draw.random() < 0.5
        trades, has_more = find_trades(exchange.store, markets, span_ms, span_ids, count, is_oldest_first)
        wanted = exchange.expect_trades(markets, span_ms, span_ids, is_oldest_first)
        assert [trade.number for trade in trades] == wanted[:count] and has_more == (len(wanted) > count)


def test_a_store_without_trades_finds_none(tmp_path: Path) -> None:
    store = Store(tmp_path / "blocks.sqlite")
    assert find_trades(store, None, (0, 1 << 62), (0, 1 << 62), 5, False) == ([], False)
    assert MarketHistory(store).candles(0, (0, 1 << 40), MINUTE_MS) == []
    store.close()


def test_minutes_of_before_open_at_their_low_and_close_at_their_high(tmp_path: Path) -> None:
    """A store that an earlier version wrote has sums of minutes and not their ends."""
    store = Store(tmp_path / "blocks.sqlite")
    store.put_minutes([(0, 10, 5, 120, 100, 550, 1)])
    assert MarketHistory(store).candles(0, (0, 20 * MINUTE_MS), MINUTE_MS) == [
        CandleView(10 * MINUTE_MS, 100, 120, 100, 120, 5, 550)
    ]
    store.close()
