"""Every order that traded and then left the book, of every account, as it was when it left.

Rows lie in the store in chunks of a block's, named by place as results and trades are. A row names the one before it of
its account, so an account's orders are a walk along a chain whose ends are in memory and now and then on the disk. What
left without a trade is not kept: a maker's quotes are a hundred times as many.
"""

from collections import OrderedDict
from collections.abc import Iterator

import numpy as np

from validator.history import first_place
from validator.order_memory import KNOWN_ORDER
from validator.store import CHUNK_ROWS, Store

CLOSED_ORDER = np.dtype([*KNOWN_ORDER.descr, ("previous", "<i8")])
SCHEMA = """
CREATE TABLE IF NOT EXISTS closed_orders (id INTEGER PRIMARY KEY, rows BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS closed_ends (one INTEGER PRIMARY KEY CHECK (one = 1), last_order INTEGER NOT NULL,
    accounts BLOB NOT NULL);
"""
# The ends of the chains are written after so many orders.
ORDERS_BETWEEN_ENDS = 1 << 16
CHUNKS_CACHED_MAX = 64


class ClosedOrders:
    """See the module's text."""

    def __init__(self, store: Store, height: int, account_count: int) -> None:
        self._store = store
        self._last = np.zeros(account_count, np.int64)
        self._since_ends = 0
        self._cache: OrderedDict[int, np.ndarray] = OrderedDict()
        store.extend(SCHEMA)
        self._restore(first_place(height + 1) - 1)

    def _restore(self, last_place: int) -> None:
        """The ends of the chains as of a height."""
        begin = -1
        sql = "SELECT last_order, accounts FROM closed_ends WHERE last_order<=?"
        for last_order, accounts in self._store.rows(sql, (last_place,)):
            ends = np.frombuffer(accounts, np.int64)
            self._last[: len(ends)], begin = ends, last_order
        sql = "SELECT id, rows FROM closed_orders WHERE id>? AND id<=? ORDER BY id"
        for first, data in self._store.rows(sql, (begin, last_place)):
            rows = np.frombuffer(data, CLOSED_ORDER)
            # Places ascend, and the last of several wins.
            self._last[rows["account"]] = first + np.arange(len(rows))
            self._since_ends += len(rows)

    def add(self, height: int, left: np.ndarray) -> None:
        """The orders (KNOWN_ORDER) that left the book in a block; kept are those that traded."""
        traded = left[left["filled_value"] > 0]
        if not len(traded):
            return
        rows = np.zeros(len(traded), CLOSED_ORDER)
        # As bytes: numpy is slow with records that it need not understand.
        as_bytes = rows.view(np.uint8).reshape(len(rows), CLOSED_ORDER.itemsize)
        as_bytes[:, : KNOWN_ORDER.itemsize] = traded.view(np.uint8).reshape(len(rows), KNOWN_ORDER.itemsize)
        places = first_place(height) + np.arange(len(rows))
        order = np.argsort(rows["account"], kind="stable")
        accounts = rows["account"][order]
        is_first = np.concatenate(([True], accounts[1:] != accounts[:-1]))
        before = np.concatenate(([0], places[order][:-1]))
        rows["previous"][order] = np.where(is_first, self._last[accounts], before)
        self._last[rows["account"]] = places
        for at in range(0, len(rows), CHUNK_ROWS):
            part = rows[at : at + CHUNK_ROWS].copy()
            self._store.write("INSERT OR REPLACE INTO closed_orders VALUES (?,?)", [(int(places[at]), part.tobytes())])
            self._put(int(places[at]), part)
        self._since_ends += len(rows)
        if self._since_ends >= ORDERS_BETWEEN_ENDS:
            used = np.flatnonzero(self._last)
            row = (1, int(places[-1]), self._last[: int(used[-1]) + 1].tobytes())
            self._store.write("INSERT OR REPLACE INTO closed_ends VALUES (?,?,?)", [row])
            self._since_ends = 0

    def walk(self, account: int, count: int) -> Iterator[np.void]:
        """An account's, the last to leave first; what a gap in the store hides is not told."""
        place = int(self._last[account])
        while place and count:
            at = place % CHUNK_ROWS
            rows = self._read(place - at)
            if rows is None or at >= len(rows):
                return
            yield rows[at]
            before = int(rows[at]["previous"])
            if before >= place:
                return
            place, count = before, count - 1

    def _put(self, first: int, rows: np.ndarray) -> None:
        self._cache[first] = rows
        self._cache.move_to_end(first)
        if len(self._cache) > CHUNKS_CACHED_MAX:
            self._cache.popitem(last=False)

    def _read(self, first: int) -> np.ndarray | None:
        rows = self._cache.get(first)
        if rows is None:
            found = self._store.rows("SELECT rows FROM closed_orders WHERE id=?", (first,))
            if not found:
                return None
            rows = np.frombuffer(found[0][0], CLOSED_ORDER)
            self._put(first, rows)
        return rows
