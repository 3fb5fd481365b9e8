"""What became of every command and who traded, of every finalised block: arrays, written in rows of many.

A result or a trade is named by its *place*: height, then its number in the block. Results are found by the command's id
(`command_index`). A trade names the one before it of each of its accounts and of its market, so the newest trades of
one of them are a walk along a chain that begins in memory. What is read from the disk is one chunk of a block, some
fifty kilobytes.
"""

from collections import OrderedDict
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from engine.results import Code
from validator.command_index import PLACE_MASK, UNSPENT, CommandIndex
from validator.order_memory import KNOWN_FILL
from validator.store import CHUNK_ROWS, PLACE_BITS, Chunk, MinuteRow, Store

# 56 bytes: the receipt of one action, without what its place says.
RESULT = np.dtype(
    [(name, "<i8") for name in ("order_id", "filled_lots", "remaining_lots", "filled_value", "withdrawal_index")]
    + [("account_index", "<i4"), ("cancelled_count", "<u4"), ("code", "<u2"), ("order_state", "u1"), ("spare", "u1", 5)]
)
RESULT_NAMES = tuple(name for name in RESULT.names or () if name != "spare")
MINUTE_MS = 60_000
# Of results and of trades: what a busy exchange makes in half a second, a quiet one in some minutes. Older ones are
# read from the store, and a cache that takes hours to fill looks like a leak all the while.
CACHE_BYTES_MAX = 1 << 20
# Of a chunk beside its rows: a quiet exchange has two rows a block.
CHUNK_OVERHEAD_BYTES = 1_024
_ACCOUNTS = ("maker_account", "taker_account")
# The ends of the chains are written when that many trades, and so many for each account that ever traded, were made.
TRADES_BETWEEN_ENDS, TRADES_AN_ACCOUNT = 1 << 16, 2
# Results that have not spent the command's nonce: it may yet execute.
UNSPENT_CODES = (100, 299)


class Trade(NamedTuple):
    """One trade: its number on the network, when it was made, and a row of KNOWN_FILL."""

    number: int
    time_ms: int
    row: np.void

    @property
    def height(self) -> int:
        return self.number >> PLACE_BITS


class Found(NamedTuple):
    """One result."""

    height: int
    time_ms: int
    row: np.void
    place: int


def make_results(receipts: np.ndarray) -> np.ndarray:
    """Receipts as they are stored."""
    results = np.zeros(len(receipts), RESULT)
    for name in RESULT_NAMES:
        results[name] = receipts[name]
    return results


def first_place(height: int) -> int:
    """Place of a block's first result and of its first trade."""
    return height << PLACE_BITS


def index_entries(first: int, ids: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Keys and places of results that follow each other, for the index. An unknown account and a bad signature are not
    entered. Neither spends a nonce: anybody's copy of it may yet execute, after a deposit or with the right signature.
    """
    is_known = (codes != Code.UNKNOWN_ACCOUNT) & (codes != Code.BAD_SIGNATURE)
    places = np.arange(first, first + len(codes), dtype=np.uint64)
    places[(codes >= UNSPENT_CODES[0]) & (codes <= UNSPENT_CODES[1])] |= UNSPENT
    keys = np.ascontiguousarray(ids[:, :8]).view("<u8").ravel()
    return keys[is_known], places[is_known]


class _Cache:
    """Chunks that were written or read lately."""

    def __init__(self) -> None:
        self._chunks: OrderedDict[int, Chunk] = OrderedDict()
        self._size_bytes = 0

    def put(self, chunk: Chunk) -> None:
        old = self._chunks.pop(chunk.first, None)
        self._size_bytes += _count_bytes(chunk) - (_count_bytes(old) if old else 0)
        self._chunks[chunk.first] = chunk
        while self._size_bytes > CACHE_BYTES_MAX:
            self._size_bytes -= _count_bytes(self._chunks.popitem(last=False)[1])

    def get(self, first: int) -> Chunk | None:
        chunk = self._chunks.get(first)
        if chunk is not None:
            self._chunks.move_to_end(first)
        return chunk


def _count_bytes(chunk: Chunk) -> int:
    return int(chunk.rows.nbytes + chunk.ids.nbytes) + CHUNK_OVERHEAD_BYTES


NO_IDS = np.empty((0, 32), np.uint8)


def _cut(height: int, time_ms: int, rows: np.ndarray, ids: np.ndarray) -> Iterator[Chunk]:
    for at in range(0, len(rows), CHUNK_ROWS):
        part = slice(at, at + CHUNK_ROWS)
        # Copies: a view would keep the block's whole table.
        yield Chunk(first_place(height) + at, time_ms, rows[part].copy(), ids[part].copy())


class History:
    """See the module's text. `account_last` and `market_last`, the ends of the chains, are whoever's follows blocks;
    they are filled in here once, as of the state's height.
    """

    def __init__(
        self, store: Store, height: int, account_last: np.ndarray, market_last: np.ndarray,
        index: CommandIndex | None = None,
    ) -> None:  # fmt: skip
        self._store = store
        self._account_last, self._market_last = account_last, market_last
        self.index = CommandIndex(store) if index is None else index
        self._results, self._fills = _Cache(), _Cache()
        self._trades_since_ends = 0
        self._restore_ends(height)
        for chunk in store.results_from(self.index.taken_over + 1, first_place(height + 1) - 1, RESULT):
            self.index.add(*index_entries(chunk.first, chunk.ids, chunk.rows["code"]))

    def _restore_ends(self, height: int) -> None:
        ends = self._store.trade_ends(first_place(height + 1) - 1)
        begin = 0
        if ends is not None:
            begin, accounts, markets = ends
            self._account_last[: len(accounts)], self._market_last[: len(markets)] = accounts, markets
        for chunk in self._store.fills_from(begin + 1, first_place(height + 1) - 1, KNOWN_FILL):
            numbers = chunk.first + np.arange(len(chunk.rows))
            sides = np.stack([chunk.rows[name] for name in _ACCOUNTS], axis=1)
            # Numbers ascend, and the last of several wins.
            self._account_last[sides.ravel()] = np.repeat(numbers, 2)
            self._market_last[chunk.rows["market"]] = numbers
            self._trades_since_ends += len(numbers)
        traded = np.flatnonzero(self._account_last)
        self._accounts_used = int(traded[-1]) + 1 if len(traded) else 0

    def add(self, height: int, time_ms: int, ids: np.ndarray, results: np.ndarray, fills: np.ndarray) -> None:
        """A block: ids (n, 32) and RESULT rows of its actions, KNOWN_FILL rows of its trades."""
        if len(results):
            chunks = list(_cut(height, time_ms, results, ids))
            self._store.put_results(chunks)
            for chunk in chunks:
                self._results.put(chunk)
            self.index.add(*index_entries(first_place(height), ids, results["code"]))
        if len(fills):
            self._add_fills(height, time_ms, fills)

    def _add_fills(self, height: int, time_ms: int, fills: np.ndarray) -> None:
        chunks = list(_cut(height, time_ms, fills, NO_IDS))
        self._store.put_fills(chunks)
        for chunk in chunks:
            self._fills.put(chunk)
        last_trade = first_place(height) + len(fills) - 1
        self._store.put_minutes(sum_minutes(fills, time_ms, last_trade))
        self._trades_since_ends += len(fills)
        self._accounts_used = max(self._accounts_used, *(int(fills[name].max()) + 1 for name in _ACCOUNTS))
        if self._trades_since_ends >= TRADES_BETWEEN_ENDS + TRADES_AN_ACCOUNT * self._accounts_used:
            self._store.put_trade_ends(last_trade, self._account_last[: self._accounts_used], self._market_last)
            self._trades_since_ends = 0

    # results

    def find(self, command_id: bytes, is_new: bool = False) -> Found | None:
        """What a finalised block made of a command; `is_new`: no block older than those in memory can hold it.

        A replayed command keeps its first result, unless that one had not spent its nonce: then a later block may have
        executed it, and that is what its owner must be told.
        """
        key = int.from_bytes(command_id[:8], "little")
        marked = self.index.find_new(key) if is_new else self.index.find(key)
        unspent = sorted({place & int(PLACE_MASK) for place in marked if place & int(UNSPENT)}, reverse=True)
        spent = sorted({place for place in marked if not place & int(UNSPENT)})
        for place in (*spent, *unspent):
            found = self.result_at(place, command_id)
            if found is not None:
                return found
        return None

    def result_at(self, place: int, command_id: bytes) -> Found | None:
        """The result at a place, if it is this command's."""
        named = self.named_result_at(place)
        return named[1] if named is not None and named[0] == command_id else None

    def named_result_at(self, place: int) -> tuple[bytes, Found] | None:
        """The result at a place and the id of its command."""
        at = place % CHUNK_ROWS
        chunk = self._results.get(place - at)
        if chunk is None:
            chunk = self._store.results_chunk(place - at, RESULT)
            if chunk is None:
                return None
            self._results.put(chunk)
        if at >= len(chunk.rows):
            return None
        return chunk.ids[at].tobytes(), Found(place >> PLACE_BITS, chunk.time_ms, chunk.rows[at], place)

    # trades

    def _fills_chunk(self, first: int) -> Chunk | None:
        chunk = self._fills.get(first)
        if chunk is None:
            chunk = self._store.fills_chunk(first, KNOWN_FILL)
            if chunk is not None:
                self._fills.put(chunk)
        return chunk

    def fills_of_order(self, order_id: int, height: int) -> list[Trade]:
        """Trades of an order in one block, oldest first."""
        found, first = [], first_place(height)
        while (chunk := self._fills_chunk(first)) is not None:
            is_own = (chunk.rows["maker_order_id"] == order_id) | (chunk.rows["taker_order_id"] == order_id)
            found += [Trade(first + int(at), chunk.time_ms, chunk.rows[at]) for at in np.flatnonzero(is_own)]
            if len(chunk.rows) < CHUNK_ROWS:
                break
            first += CHUNK_ROWS
        return found

    def _walk(self, number: int, count: int, account: int | None) -> Iterator[Trade]:
        """Trades from one on, each older than the one before; what a gap in the store hides is not told."""
        while number and count:
            at = number % CHUNK_ROWS
            chunk = self._fills_chunk(number - at)
            if chunk is None or at >= len(chunk.rows):
                return
            row = chunk.rows[at]
            yield Trade(number, chunk.time_ms, row)
            side = "market" if account is None else "maker" if row["maker_account"] == account else "taker"
            before = int(row[f"{side}_previous"])
            if before >= number:
                return  # damage, which an audit names
            number, count = before, count - 1

    def fills_of_market(self, market: int, count: int) -> list[Trade]:
        """Newest first."""
        return list(self._walk(int(self._market_last[market]), count, None))

    def newest_of_market(self, market: int) -> Iterator[Trade]:
        """A market's trades, newest first, read as they are asked for."""
        return self._walk(int(self._market_last[market]), -1, None)

    def fills_of_account(self, account: int, count: int) -> list[Trade]:
        """Newest first."""
        return list(self.walk_account(account, count))

    def walk_account(self, account: int, count: int) -> Iterator[Trade]:
        """The same one by one, for who does not know yet how many he wants."""
        return self._walk(self.last_trade_of(account), count, account)

    def last_trade_of(self, account: int) -> int:
        """Its number, 0 without one."""
        return int(self._account_last[account])

    # merging

    def settle(self) -> None:
        """Take over and merge all that is due, here and now."""
        while (work := self.index.next_work()) is not None:
            self.index.complete(work, work.make())


def sum_minutes(fills: np.ndarray, time_ms: int, last_trade: int) -> list[MinuteRow]:
    """By market what a block's trades come to: (market, minute, lots, highest, lowest price_ticks, sum of price x
    size, last trade).
    """
    order = np.argsort(fills["market"], kind="stable")
    markets, prices, lots = (fills[name][order] for name in ("market", "price_ticks", "size_lots"))
    starts = np.flatnonzero(np.concatenate(([True], np.diff(markets) != 0)))
    columns = (
        markets[starts], np.add.reduceat(lots, starts), np.maximum.reduceat(prices, starts),
        np.minimum.reduceat(prices, starts), np.add.reduceat(prices * lots, starts),
    )  # fmt: skip
    minute = time_ms // MINUTE_MS
    return [
        (market, minute, volume, high, low, turnover, last_trade)
        for market, volume, high, low, turnover in zip(*(column.tolist() for column in columns))
    ]
