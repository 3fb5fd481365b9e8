"""What a node remembers of its markets beside their trades: opening and closing prices of minutes, indexes and marks
once a minute, funding, settlements. All of it follows from the blocks.

Rows are written with the block that makes them, and counted once, however often a block is replayed.
"""

from collections.abc import Collection

import numpy as np

from engine import views
from engine.state import EngineState
from engine.tables import NOTICE_FUNDING, NOTICE_SETTLEMENT, UNDERLYING_COUNT
from net.gateway.market_data import CandleView, FundingView, SettlementView
from validator.store import MINUTE_MS, Store

SCHEMA = """
CREATE TABLE IF NOT EXISTS minute_ends (market INTEGER NOT NULL, minute INTEGER NOT NULL, open_ticks INTEGER NOT NULL,
    close_ticks INTEGER NOT NULL, last_fill INTEGER NOT NULL, PRIMARY KEY (market, minute)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS minute_prices (minute INTEGER PRIMARY KEY, time_ms INTEGER NOT NULL, indexes BLOB NOT NULL,
    marks BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS fundings (market INTEGER NOT NULL, time_ms INTEGER NOT NULL, height INTEGER NOT NULL,
    rate_ppb INTEGER NOT NULL, change_quote INTEGER NOT NULL, index_e8 INTEGER NOT NULL,
    PRIMARY KEY (market, time_ms)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS settlements (market INTEGER PRIMARY KEY, time_ms INTEGER NOT NULL, height INTEGER NOT NULL,
    settle_e8 INTEGER NOT NULL, index_e8 INTEGER NOT NULL, lot_quote INTEGER NOT NULL,
    open_interest_lots INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS settlements_by_time ON settlements (time_ms);
"""
# Of indexes and marks: sixteen bytes a market and minute, so a hundred markets come to some 70 megabytes.
PRICES_KEPT_MINUTES = 32 * 24 * 60
_WORD = 8
# A row per span: what of its minutes can be summed, with its first and last minute; the minutes' prices beside them. A
# minute that was written before its ends were kept opens at its low and closes at its high.
_CANDLES_SQL = """
WITH spans AS (SELECT market, minute / :minutes AS span, MIN(minute) AS first, MAX(minute) AS last,
        MAX(high_ticks) AS high, MIN(low_ticks) AS low, SUM(volume_lots) AS volume, SUM(turnover) AS turnover
    FROM minutes WHERE market=:market AND minute BETWEEN :begin AND :end GROUP BY span)
SELECT span, COALESCE(a.open_ticks, low), high, low, COALESCE(b.close_ticks, high), volume, turnover FROM spans
    LEFT JOIN minute_ends a ON a.market=spans.market AND a.minute=first
    LEFT JOIN minute_ends b ON b.market=spans.market AND b.minute=last ORDER BY span
"""


class MarketHistory:
    """See the module's text."""

    def __init__(self, store: Store) -> None:
        self._store = store
        store.extend(SCHEMA)
        self._last_minute = -1

    def add(self, height: int, state: EngineState, notices: np.ndarray) -> None:
        """A block: the state after it, and what it says."""
        minute = state.time_ms // MINUTE_MS
        if minute != self._last_minute:
            self._last_minute = minute
            self._put_prices(minute, state)
        if len(notices):
            self._put_fundings(height, state, notices[notices["kind"] == NOTICE_FUNDING])
            self._put_settlements(height, state, notices[notices["kind"] == NOTICE_SETTLEMENT])

    def add_fills(self, fills: np.ndarray, time_ms: int, last_trade: int) -> None:
        """The trades of a block."""
        markets, starts = np.unique(fills["market"], return_index=True)
        ends = len(fills) - 1 - np.unique(fills["market"][::-1], return_index=True)[1]
        opens, closes = fills["price_ticks"][starts], fills["price_ticks"][ends]
        minute = time_ms // MINUTE_MS
        rows = [
            (market, minute, open_ticks, close_ticks, last_trade)
            for market, open_ticks, close_ticks in zip(markets.tolist(), opens.tolist(), closes.tolist(), strict=True)
        ]
        self._store.write(
            "INSERT INTO minute_ends VALUES (?,?,?,?,?) ON CONFLICT (market, minute) DO UPDATE SET "
            "close_ticks=excluded.close_ticks, last_fill=excluded.last_fill WHERE excluded.last_fill>last_fill",
            rows,
        )

    def _put_prices(self, minute: int, state: EngineState) -> None:
        tables = state.tables
        indexes = tables.underlyings[: int(tables.counters[UNDERLYING_COUNT])]["index_e8"].tobytes()
        marks = tables.markets[: views.market_count(state)]["mark_e8"].tobytes()
        row = (minute, state.time_ms, indexes, marks)
        self._store.write("INSERT OR IGNORE INTO minute_prices VALUES (?,?,?,?)", [row])
        self._store.write("DELETE FROM minute_prices WHERE minute<?", [(minute - PRICES_KEPT_MINUTES,)])

    def _put_fundings(self, height: int, state: EngineState, notices: np.ndarray) -> None:
        rows = [
            (market, state.time_ms, height, int(notice["value_a"]), int(notice["value_b"]), _index_e8(state, market))
            for notice in notices for market in (int(notice["subject"]),)
        ]  # fmt: skip
        self._store.write("INSERT OR IGNORE INTO fundings VALUES (?,?,?,?,?,?)", rows)

    def _put_settlements(self, height: int, state: EngineState, notices: np.ndarray) -> None:
        rows = []
        for notice in notices:
            market = int(notice["subject"])
            number = int(state.tables.markets[market]["expiry"])
            index_e8 = int(state.tables.expiries[number]["settle_e8"]) if number >= 0 else _index_e8(state, market)
            settle_e8, lot_quote, open_lots = (int(notice[name]) for name in ("value_a", "value_b", "value_d"))
            rows.append((market, state.time_ms, height, settle_e8, index_e8, lot_quote, open_lots))
        self._store.write("INSERT OR IGNORE INTO settlements VALUES (?,?,?,?,?,?,?)", rows)

    # reading

    def candles(self, market: int, span_ms: tuple[int, int], resolution_ms: int) -> list[CandleView]:
        """See `MarketData.candles`."""
        minutes = resolution_ms // MINUTE_MS
        begin, end = span_ms[0] // resolution_ms * minutes, span_ms[1] // MINUTE_MS
        values: dict[str, object] = {"minutes": minutes, "market": market, "begin": begin, "end": end}
        rows = self._store.rows(_CANDLES_SQL, values)
        return [CandleView(span * resolution_ms, *rest) for span, *rest in rows]

    def first_trade_ticks(self, market: int, since_ms: int) -> int:
        """Price of the first trade since the minute of a time, 0 without one."""
        sql = "SELECT open_ticks FROM minute_ends WHERE market=? AND minute>=? ORDER BY minute LIMIT 1"
        found = self._store.rows(sql, (market, since_ms // MINUTE_MS))
        return int(found[0][0]) if found else 0

    def marks(self, market: int, span_ms: tuple[int, int], count: int) -> list[tuple[int, int]]:
        """See `MarketData.marks`."""
        return self._read_prices("marks", market, span_ms, count)

    def indexes(self, underlying: int, span_ms: tuple[int, int], count: int) -> list[tuple[int, int]]:
        """See `MarketData.indexes`."""
        return self._read_prices("indexes", underlying, span_ms, count)

    def _read_prices(self, column: str, number: int, span_ms: tuple[int, int], count: int) -> list[tuple[int, int]]:
        sql = (
            f"SELECT time_ms, substr({column}, ?, {_WORD}) FROM minute_prices WHERE minute BETWEEN ? AND ? "
            "AND time_ms BETWEEN ? AND ? ORDER BY minute DESC LIMIT ?"
        )
        minutes = [time_ms // MINUTE_MS for time_ms in span_ms]
        rows = self._store.rows(sql, (number * _WORD + 1, *minutes, *span_ms, count))
        found = [(time_ms, int.from_bytes(word, "little", signed=True)) for time_ms, word in reversed(rows)]
        return [(time_ms, price_e8) for time_ms, price_e8 in found if price_e8]

    def last_rates_ppb(self) -> dict[int, int]:
        """By market, the rate of its last payment."""
        sql = "SELECT market, rate_ppb, MAX(time_ms) FROM fundings GROUP BY market"
        return {market: rate_ppb for market, rate_ppb, _ in self._store.rows(sql)}

    def fundings(self, market: int, span_ms: tuple[int, int], count: int) -> list[FundingView]:
        """See `MarketData.fundings`."""
        sql = (
            "SELECT market, time_ms, height, rate_ppb, change_quote, index_e8 FROM fundings "
            "WHERE market=? AND time_ms<=? ORDER BY time_ms DESC LIMIT ?"
        )
        rows = self._store.rows(sql, (market, span_ms[1], count + 1))[::-1]
        before_e8 = [row[-1] for row in (*rows[:1], *rows[:-1])]
        found = [FundingView(*(*row, before)) for row, before in zip(rows, before_e8, strict=True)]
        return [view for view in found if view.time_ms >= span_ms[0]][-count:]

    def settlements(self, markets: Collection[int] | None, before_ms: int, count: int) -> list[SettlementView]:
        """See `MarketData.settlements`."""
        only = "" if markets is None else f"AND market IN ({','.join(str(int(market)) for market in markets)})"
        sql = (
            "SELECT market, time_ms, height, settle_e8, index_e8, lot_quote, open_interest_lots FROM settlements "
            f"WHERE time_ms<? {only} ORDER BY time_ms DESC, market LIMIT ?"
        )
        return [SettlementView(*row) for row in self._store.rows(sql, (before_ms, count))]


def _index_e8(state: EngineState, market: int) -> int:
    return int(state.tables.underlyings[int(state.tables.markets[market]["underlying"])]["index_e8"])
