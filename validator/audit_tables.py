"""What else a node keeps of a block, compared with what executing the block gives: withdrawals, results, trades, the
sums of a minute's trades, and at the end the index of commands and what is kept of the markets.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from consensus.messages import Header
from engine.state import EngineState
from validator.audit_index import IndexAudit
from validator.audit_markets import MarketAudit
from validator.audit_rows import Mismatch, Rows
from validator.batches import CheckedBatch
from validator.executor import Executed
from validator.history import MINUTE_MS, RESULT, first_place, make_results, sum_minutes
from validator.ledger import gather_actions
from validator.order_memory import KNOWN_FILL
from validator.orders import Orders
from validator.store import CHUNK_ROWS, MinuteRow

ID_BYTES = 32
_WITHDRAWAL_NAMES = ("id", "height", "time_ms", "account", "owner", "amount_quote", "asset")
_MINUTE_NAMES = ("market", "minute", "volume_lots", "high_ticks", "low_ticks", "turnover", "last_fill")
_CHAIN = ("maker_previous", "taker_previous", "market_previous")
UNKNOWN = -1


class TableAudit:
    """Follows the replayed blocks as the node followed them when they became final."""

    def __init__(self, rows: Rows, start: EngineState) -> None:
        self._rows = rows
        self._orders = Orders(start)
        if start.height:
            # Which trades were the last before a snapshot it does not say: what is stored of them is taken over.
            for last in self._orders.last_trades:
                last[:] = UNKNOWN
        self._index = IndexAudit(rows, start.height + 1)
        self._markets = MarketAudit(rows, start)
        self._start_minute = start.time_ms // MINUTE_MS if start.height else UNKNOWN
        self._minutes: dict[tuple[int, int], MinuteRow] = {}

    def check(self, header: Header, executed: Executed, batches: list[CheckedBatch]) -> int:
        """How many withdrawals the block has. Raises `Mismatch`."""
        result, height, time_ms = executed.result, header.height, header.timestamp_ms
        if result is None:
            raise ValueError("an executed block has a result")
        wanted = [(leaf[0], height, time_ms, *leaf[1:]) for leaf in result.withdrawals]
        if wanted:
            found = self._rows.rows_of(height, "withdrawals", "id BETWEEN ? AND ?", wanted[0][0], wanted[-1][0])
            _compare(height, "withdrawals", _WITHDRAWAL_NAMES, found, wanted)
        actions, ids = gather_actions(batches)
        fills = np.zeros(len(result.fills), KNOWN_FILL)
        self._orders.follow(executed.state, result, actions, fills, first_place(height), wants_changed=False)
        results = make_results(result.receipts)
        self._check_results(height, time_ms, ids, results)
        self._check_fills(height, time_ms, fills)
        self._index.add(height, ids, results["code"])
        last_trade = first_place(height) + len(fills) - 1
        self._markets.add(height, executed.state, result.notices, fills, last_trade)
        if len(fills):
            self._add_minutes(height, sum_minutes(fills, time_ms, last_trade))
        return len(wanted)

    def finish(self, height: int) -> None:
        """After the last block, which has this height. Raises `Mismatch`."""
        self._check_minutes(height, list(self._minutes.values()))
        self._index.check(height)
        self._markets.finish(height)

    def close(self) -> None:
        self._markets.close()

    def _check_results(self, height: int, time_ms: int, ids: np.ndarray, results: np.ndarray) -> None:
        rows = self._read_chunks(height, time_ms, "results", len(results))
        for (first, _, own_ids, data), at in zip(rows, range(0, len(results), CHUNK_ROWS)):
            wanted_ids = ids[at : at + CHUNK_ROWS]
            found_ids = _read(height, "results", "ids", own_ids, np.dtype((np.uint8, ID_BYTES)), len(wanted_ids))
            is_other = np.flatnonzero((found_ids != wanted_ids).any(axis=1))
            if len(is_other):
                row = int(is_other[0])
                words = f"{found_ids[row].tobytes().hex()} instead of {wanted_ids[row].tobytes().hex()}"
                raise Mismatch(height, "results", "ids", f"{words} in row {first + row}")
            _compare_arrays(height, "results", first, _read(height, "results", "rows", data, RESULT, len(wanted_ids)),
                            results[at : at + CHUNK_ROWS])  # fmt: skip

    def _check_fills(self, height: int, time_ms: int, fills: np.ndarray) -> None:
        rows = self._read_chunks(height, time_ms, "fills", len(fills))
        for (first, _, data), at in zip(rows, range(0, len(fills), CHUNK_ROWS)):
            wanted = fills[at : at + CHUNK_ROWS]
            found = _read(height, "fills", "rows", data, KNOWN_FILL, len(wanted))
            for name in _CHAIN:
                is_open = (wanted[name] == UNKNOWN) & (found[name] >= 0) & (found[name] < first_place(height))
                wanted[name][is_open] = found[name][is_open]
            _compare_arrays(height, "fills", first, found, wanted)

    def _read_chunks(self, height: int, time_ms: int, table: str, count: int) -> list[tuple[Any, ...]]:
        """The rows of one block, with the numbers and the time that they must have."""
        begin = first_place(height)
        found = self._rows.rows_of(height, table, "id BETWEEN ? AND ?", begin, first_place(height + 1) - 1)
        wanted = [(begin + at, time_ms) for at in range(0, count, CHUNK_ROWS)]
        _compare(height, table, ("id", "time_ms"), [row[:2] for row in found], wanted)
        return found

    def _add_minutes(self, height: int, minutes: list[MinuteRow]) -> None:
        minute = minutes[0][1]
        over = [row for row in self._minutes.values() if row[1] < minute]
        self._check_minutes(height, over)
        for row in over:
            del self._minutes[row[0], row[1]]
        for row in minutes:
            old = self._minutes.get((row[0], row[1]), row[:2] + (0, row[3], row[4], 0, 0))
            volume, turnover = old[2] + row[2], old[5] + row[5]
            self._minutes[row[0], row[1]] = (
                row[0], minute, volume, max(old[3], row[3]), min(old[4], row[4]), turnover, row[6],
            )  # fmt: skip

    def _check_minutes(self, height: int, minutes: Sequence[MinuteRow]) -> None:
        """Those that began before the replay are not known, and a running node has put newer blocks into the last."""
        for wanted in minutes:
            found = self._rows.rows_of(height, "minutes", "market=? AND minute=?", *wanted[:2])
            is_newer = len(found) == 1 and isinstance(found[0][6], int) and found[0][6] >= first_place(height + 1)
            if wanted[1] > self._start_minute and not is_newer:
                _compare(height, "minutes", _MINUTE_NAMES, found, [wanted])


def _read(height: int, table: str, name: str, data: object, record: np.dtype, count: int) -> np.ndarray:
    if not isinstance(data, bytes) or len(data) != count * record.itemsize:
        raise Mismatch(height, table, name, f"damaged: not the {count * record.itemsize} bytes of {count} rows")
    return np.frombuffer(data, record)


def _compare_arrays(height: int, table: str, first: int, found: np.ndarray, wanted: np.ndarray) -> None:
    if found.tobytes() == wanted.tobytes():
        return
    for name in wanted.dtype.names or ():
        is_other = np.flatnonzero(found[name] != wanted[name]) if found[name].ndim == 1 else np.arange(0)
        if len(is_other):
            row = int(is_other[0])
            raise Mismatch(
                height, table, name, f"{found[name][row]} instead of {wanted[name][row]} in row {first + row}"
            )
    raise Mismatch(height, table, "rows", "bytes that no field has are not zero")


def _compare(
    height: int, table: str, names: tuple[str, ...], found: Sequence[tuple[Any, ...]], wanted: Sequence[tuple[Any, ...]]
) -> None:
    for row, right in zip(found, wanted):
        for name, value, expected in zip(names, row, right, strict=True):
            if value != expected:
                raise Mismatch(
                    height, table, name, f"{_show(value)} instead of {_show(expected)} in row {_show(right[0])}"
                )
    if len(found) != len(wanted):
        raise Mismatch(height, table, "(rows)", f"{len(found)} rows instead of {len(wanted)}")


def _show(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
