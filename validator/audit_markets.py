"""What a node keeps of its markets beside their trades, compared with what the replayed blocks give: first and last
prices of minutes, indexes and marks once a minute, funding, settlements.
"""

from contextlib import closing
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

from engine.state import EngineState
from validator.audit_rows import Mismatch, Rows
from validator.market_history import PRICES_KEPT_MINUTES, MarketHistory
from validator.store import MINUTE_MS, Store

_HEIGHTS = "height BETWEEN ? AND ?"
_MINUTES = "minute BETWEEN ? AND ?"
# A running node may begin a minute, and drop its oldest prices, between two questions.
_SLACK_MINUTES = 2


class _Table(NamedTuple):
    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]


_ENDS = _Table("minute_ends", ("market", "minute", "open_ticks", "close_ticks", "last_fill"), ("market", "minute"))
_PRICES = _Table("minute_prices", ("minute", "time_ms", "indexes", "marks"), ("minute",))
_FUNDINGS = _Table(
    "fundings", ("market", "time_ms", "height", "rate_ppb", "change_quote", "index_e8"), ("market", "time_ms")
)
_SETTLEMENTS = _Table(
    "settlements",
    ("market", "time_ms", "height", "settle_e8", "index_e8", "lot_quote", "open_interest_lots"), ("market",),
)  # fmt: skip


class MarketAudit:
    """Writes the tables anew while the blocks are replayed, and compares them at the end: there may be more rows than
    memory holds.
    """

    def __init__(self, rows: Rows, start: EngineState) -> None:
        self._rows = rows
        self._first_height = start.height + 1
        # Of the minute in which a replay begins at a snapshot, the beginning is not known.
        self._first_minute = start.time_ms // MINUTE_MS + 1 if start.height else 0
        self._last_minute = 0
        self._folder = TemporaryDirectory(prefix="hansa-audit-")
        self._path = Path(self._folder.name) / "markets.sqlite"
        self._store = Store(self._path)
        self._history = MarketHistory(self._store)

    def add(self, height: int, state: EngineState, notices: np.ndarray, fills: np.ndarray, last_trade: int) -> None:
        """The next block: the state after it, what it says, its trades and the number of the last of them."""
        self._last_minute = state.time_ms // MINUTE_MS
        if len(fills):
            self._history.add_fills(fills, state.time_ms, last_trade)
        self._history.add(height, state, notices)

    def finish(self, height: int) -> None:
        """After the last block, which has this height. Raises `Mismatch`."""
        self._store.commit()
        with closing(Rows(self._path)) as wanted:
            self._check(height, wanted)

    def close(self) -> None:
        """What was written anew is deleted."""
        self._store.close()
        self._folder.cleanup()

    def _check(self, height: int, wanted: Rows) -> None:
        for table in (_FUNDINGS, _SETTLEMENTS):
            self._compare(height, wanted, table, _HEIGHTS, self._first_height, height)
        newest = self._rows.rows_of(height, "minute_prices", "minute=(SELECT MAX(minute) FROM minute_prices)")
        kept_minute = newest[0][0] - PRICES_KEPT_MINUTES + _SLACK_MINUTES if newest else 0
        self._compare(height, wanted, _PRICES, _MINUTES, max(self._first_minute, kept_minute), self._last_minute)
        self._compare(height, wanted, _ENDS, _MINUTES, self._first_minute, self._last_minute - 1)
        if self._first_minute <= self._last_minute:
            self._check_last_ends(height, wanted)

    def _check_last_ends(self, height: int, wanted: Rows) -> None:
        """A running node may have put newer blocks into the last minute: what it has now is then not ours to judge."""
        try:
            self._compare(height, wanted, _ENDS, _MINUTES, self._last_minute, self._last_minute)
        except Mismatch:
            if self._rows.heights()[1] == height:
                raise

    def _compare(self, height: int, wanted: Rows, table: _Table, where: str, first: int, last: int) -> None:
        sql = f"SELECT {', '.join(table.columns)} FROM {table.name} WHERE {where} ORDER BY {', '.join(table.key)}"
        pairs = zip_longest(*(rows.stream(height, table.name, sql, first, last) for rows in (self._rows, wanted)))
        for row, right in pairs:
            if row is None or (right is not None and _key(table, right) < _key(table, row)):
                raise Mismatch(height, table.name, "(rows)", f"there is no row {_name(table, right)}")
            if right is None or _key(table, row) != _key(table, right):
                raise Mismatch(height, table.name, "(rows)", f"nothing gives a row {_name(table, row)}")
            for name, value, expected in zip(table.columns, row, right, strict=True):
                if value != expected:
                    words = f"{_show(value)} instead of {_show(expected)} in row {_name(table, right)}"
                    raise Mismatch(height, table.name, name, words)


def _key(table: _Table, row: tuple[Any, ...]) -> tuple[int, ...]:
    """The columns of a table's key are whole numbers, and the first ones."""
    return row[: len(table.key)]


def _name(table: _Table, row: tuple[Any, ...]) -> str:
    return ", ".join(f"{name} {value}" for name, value in zip(table.key, row))


def _show(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
