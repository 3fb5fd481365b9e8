"""A state as bytes and back: what a node starts from and what a late one fetches.

The bytes are the used parts of all tables as they lie in memory, so they are the same on every node and quick to write
and to read. Hash tables, the account tree and the digests are left out and built anew. Nothing of a snapshot is
believed: every row number is checked against the rows that exist before a kernel follows it, then the audit walks all
accounts, orders and levels (`engine.invariants`), and the state root that follows from it all must be the one named.

CBOR array: magic, engine version, parameter digest, state root, numbers, hashes, columns, then one byte string for each
table by name; behind it the SHA-256 of these bytes, by which damage is found before anything is read.
"""

from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any

import cbor2
import numpy as np

from engine.accounts import make_indexes
from engine.allocate import make_tables
from engine.compiling import entry_point
from engine.errors import InvariantBroken, SnapshotError
from engine.invariants import audit_tables
from engine.limits import ENGINE_VERSION, NONCES_REMEMBERED, WITHDRAWAL_DEPTH, WITHDRAWALS_MAX
from engine.orderbook import BLOCKS_USED, DIRECTORY_USED, LEVELS_PER_BLOCK, ROWS_USED, WORDS_USED
from engine.params import ExchangeParams
from engine.portfolio import restore_codes
from engine.restored import check_structure
from engine.root import refresh_tree, set_roots
from engine.state import USED_ROWS, EngineState
from engine.tables import (
    ACCOUNT_COUNT,
    CLIENT_IDS_REMEMBERED,
    DIRTY_AUX,
    DIRTY_LEAF,
    FEE_TIERS,
    MARK_EPOCH,
    MARKET_COUNT,
    OFFERS_USED,
    ORDERS_LIVE,
    POSITIONS_USED,
    PROTECTIONS_USED,
    SESSIONS_USED,
    SYSTEM_ACCOUNTS,
    TRIGGERS_USED,
    USER_ACCOUNT_FIRST,
    WITHDRAWALS,
    Tables,
    Truth,
)
from engine.triggers import restore_triggers

MAGIC = b"hansa/snapshot/v2"
_NUMBERS = (
    "height", "time_ms", "l1_block", "inbox_cursor", "inbox_ignored_count", "deposits_total_quote",
    "withdrawals_total_quote",
)  # fmt: skip
_DIGESTS = ("inbox_hash", "oracle_root", "events_digest")
_COLUMNS = ("report_times_ms", "batch_sequences")
_DERIVED = frozenset(
    {"account_index", "position_index", "node_hashes", "node_sums", "aux_digests", "orderbook", "portfolio"}
)
_PACKED = frozenset({"nonces", "client_ids"})
# What triggers wait for is made anew; the bounds of a state that traded are wider than need be.
_BOUNDS = ("above_mark_ticks", "below_mark_ticks", "above_last_ticks", "below_last_ticks")
_HASH_BYTES = 32


def _used_parts(tables: Tables) -> Iterator[tuple[str, np.ndarray, int, int]]:
    """(name, array, first element, end) of everything that is written, in order."""
    counters, book = tables.counters, tables.orderbook
    yield "counters", counters, 0, len(counters)
    yield "book.counters", book.counters, 0, len(book.counters)
    for name in sorted(set(Tables._fields) - _DERIVED - _PACKED - {"counters"}):
        table = getattr(tables, name)
        if name == "details":
            end = int(book.counters[ROWS_USED])
        else:
            end = int(counters[USED_ROWS[name]]) if name in USED_ROWS else len(table)
        yield name, table, 0, min(end, len(table))
    levels = len(book.blocks) * LEVELS_PER_BLOCK
    yield "book.sides", book.sides, 0, 2 * int(counters[MARKET_COUNT])
    for name, end in (("directory", DIRECTORY_USED), ("words", WORDS_USED), ("blocks", BLOCKS_USED)):
        yield f"book.{name}", getattr(book, name), 0, int(book.counters[end])
    yield "book.levels", book.book, 0, LEVELS_PER_BLOCK * int(book.counters[BLOCKS_USED])
    yield "book.orders", book.book, levels, min(levels + int(book.counters[ROWS_USED]), len(book.book))
    yield "book.rows", book.rows, 0, len(book.rows)


def _pack(table: np.ndarray, mask: np.ndarray) -> bytes:
    packed: bytes = table[: len(mask)][mask].tobytes()
    return packed


def _masks(tables: Tables) -> tuple[np.ndarray, np.ndarray]:
    """Which remembered nonces and client ids there are, (accounts, 64) and (accounts, 16)."""
    count = int(tables.counters[ACCOUNT_COUNT])
    nonce_counts = tables.accounts["nonce_count"][:count, None]
    return np.arange(NONCES_REMEMBERED) < nonce_counts, tables.client_ids[:count] != 0


def encode_snapshot(state: EngineState) -> bytes:
    """Canonical bytes of a state: equal histories give equal bytes."""
    tables = state.tables
    nonces, client_ids = _masks(tables)
    items: list[Any] = [MAGIC, ENGINE_VERSION, state.params_digest, state.state_root]
    items += [getattr(state, name) for name in _NUMBERS]
    items += [getattr(state, name) for name in _DIGESTS]
    items.append(b"".join(state.withdrawal_frontier))
    items += [getattr(state, name).astype("<i8").tobytes() for name in _COLUMNS]
    items.append(client_ids.sum(axis=1, dtype=np.uint8).tobytes())
    items += [_pack(tables.nonces, nonces), _pack(tables.client_ids, client_ids)]
    for name, array, first, end in _used_parts(tables):
        part = array[first:end]
        if name == "markets":
            part = part.copy()
            for bound in _BOUNDS:
                part[bound] = 0
        items.append(part.tobytes())
    return seal_snapshot(cbor2.dumps(items, canonical=True))


def seal_snapshot(items: bytes) -> bytes:
    """CBOR items with their hash behind them."""
    return items + sha256(items).digest()


def content_hash(snapshot: bytes) -> bytes:
    """32 bytes that name a snapshot: its last ones. Nothing is checked."""
    return snapshot[-_HASH_BYTES:]


def _require(holds: object, message: str) -> None:
    if not holds:
        raise SnapshotError(message)


def _take(items: list[Any], kind: type, what: str) -> Any:
    _require(items and type(items[-1]) is kind, f"{what} has the wrong type")
    return items.pop()


def _load(data: bytes, params: ExchangeParams) -> list[Any]:
    """The items behind the head, in reverse, after checks of whose snapshot it is."""
    body = data[:-_HASH_BYTES]
    _require(body and sha256(body).digest() == content_hash(data), "damaged bytes")
    try:
        items: object = cbor2.loads(body)
    except Exception as error:  # cbor2 raises many kinds on damaged bytes; all mean the same here
        raise SnapshotError("not CBOR") from error
    if type(items) is not list or len(items) < 20 or items[0] != MAGIC:
        raise SnapshotError("not a snapshot of this format")
    _require(type(items[1]) is int and items[1] == ENGINE_VERSION, "a snapshot of another engine version")
    _require(items[2] == params.digest(), "a snapshot of other parameters")
    return items[:0:-1]


def _fill_state(state: EngineState, items: list[Any]) -> None:
    """Numbers, hashes and columns."""
    for name in _NUMBERS:
        number = _take(items, int, name)
        _require(0 <= number < 1 << 62, f"{name} out of range")
        setattr(state, name, number)
    for name in _DIGESTS:
        digest = _take(items, bytes, name)
        _require(len(digest) == 32, f"{name} is no hash")
        setattr(state, name, digest)
    frontier = _take(items, bytes, "withdrawal tree")
    _require(len(frontier) == 32 * WITHDRAWAL_DEPTH, "withdrawal tree out of range")
    state.withdrawal_frontier = tuple(frontier[at : at + 32] for at in range(0, len(frontier), 32))
    for name in _COLUMNS:
        column = np.frombuffer(_take(items, bytes, name), dtype="<i8").copy()
        _require(len(column) == state.params.validator_count and (column >= 0).all(), f"{name} out of range")
        setattr(state, name, column)


def _fill_part(name: str, array: np.ndarray, first: int, end: int, data: bytes) -> None:
    _require(len(data) == (end - first) * array[:1].nbytes and end <= len(array), f"{name} has the wrong length")
    array[first:end] = np.frombuffer(data, dtype=array.dtype).reshape((end - first, *array.shape[1:]))


def _check_counters(tables: Tables) -> None:
    """Every watermark within its table, before anything is measured by it."""
    counters, book = tables.counters, tables.orderbook
    _require((counters >= 0).all() and (book.counters >= 0).all(), "a counter is negative")
    for name, counter in USED_ROWS.items():
        _require(counters[counter] <= len(getattr(tables, name)), f"{name}: more rows than there is room for")
    parts = ((ROWS_USED, tables.details), (BLOCKS_USED, book.blocks), (DIRECTORY_USED, book.directory))
    for counter, part in (*parts, (WORDS_USED, book.words)):
        _require(book.counters[counter] <= len(part), "more of the book than there is room for")
    _require(min(book.counters[ROWS_USED], book.counters[BLOCKS_USED]) >= 1, "row and block of nobody are missing")
    _require(counters[ACCOUNT_COUNT] >= USER_ACCOUNT_FIRST, "system accounts are missing")
    _require(counters[WITHDRAWALS] <= WITHDRAWALS_MAX, "too many withdrawals")


def _check_links(tables: Tables) -> None:
    """Every row number that a kernel may follow names a row that exists. The audit finds circles and contradictions."""
    counters, book = tables.counters, tables.orderbook
    accounts = tables.accounts[: int(counters[ACCOUNT_COUNT])]
    positions = tables.positions[: int(counters[POSITIONS_USED])]
    orders = int(book.counters[ROWS_USED]) + 1
    details, triggers = tables.details[:orders], tables.triggers[: int(counters[TRIGGERS_USED]) + 1]
    markets = int(counters[MARKET_COUNT])
    limits = (
        (accounts, ("order_first", "order_last"), orders), (accounts, ("position_first",), len(positions)),
        (accounts, ("session_first",), int(counters[SESSIONS_USED]) + 1), (accounts, ("referrer",), len(accounts)),
        (accounts, ("protection",), int(counters[PROTECTIONS_USED]) + 1),
        (accounts, ("trigger_first",), len(triggers)), (accounts, ("nonce_count",), NONCES_REMEMBERED + 1),
        (positions, ("account",), len(accounts)), (positions, ("market",), markets),
        (positions, ("next", "previous"), len(positions)),
        (details, ("own_next", "own_previous"), orders), (details, ("position",), len(positions)),
        (details, ("builder",), len(accounts)), (details, ("market",), markets), (details, ("side",), 2),
        (triggers, ("account",), len(accounts)), (triggers, ("market",), markets), (triggers, ("next",), len(triggers)),
        (tables.sessions, ("next",), int(counters[SESSIONS_USED]) + 1),
        (tables.offers, ("account", "counterparty"), len(accounts)), (tables.offers, ("market",), markets),
    )  # fmt: skip
    for table, names, limit in limits:
        for name in names:
            _require(len(table) == 0 or int(table[name].max()) < limit, f"a row number in {name} is out of range")
    for name, limit in (("underlying", len(tables.underlyings)), ("expiry", len(tables.expiries))):
        column = tables.markets[name][:markets]
        _require((column >= -1).all() and (column < limit).all(), f"a market's {name} is out of range")
    _check_book_links(tables, orders)


def _check_book_links(tables: Tables, orders: int) -> None:
    """The same for levels, blocks and directories."""
    book, counters = tables.orderbook, tables.orderbook.counters
    blocks = int(counters[BLOCKS_USED])
    levels, first = blocks * LEVELS_PER_BLOCK, len(book.blocks) * LEVELS_PER_BLOCK
    for part in (book.book[:levels], book.book[first : first + orders]):
        for name in ("next", "previous"):
            column = part[name]
            is_level, is_order = column < levels, (column >= first) & (column < first + orders)
            _require((is_level | is_order).all(), f"the book's {name} is out of range")
        _require((part["level"] < levels).all(), "an order's level is out of range")
    live = book.book[first : first + orders]["account"]
    _require(len(live) == 0 or int(live.max()) < int(tables.counters[ACCOUNT_COUNT]), "an order's account is unknown")
    _require((book.directory[: int(counters[DIRECTORY_USED])] < blocks).all(), "a directory names no block")
    sides = book.sides[: 2 * int(tables.counters[MARKET_COUNT])]
    _require((sides["best_level"] < levels).all(), "a best level is out of range")
    _require((book.blocks[:blocks]["side_index"] < max(len(sides), 1)).all(), "a block's side is out of range")


@entry_point
def _unpack(table: np.ndarray, counts: np.ndarray, values: np.ndarray, is_ascending: Truth) -> Truth:
    """Give each row of `table` the next `counts[row]` of `values`; whether all are positive, and in order if asked."""
    at = np.int64(0)
    for row in range(counts.shape[0]):
        last = np.int64(0)
        for column in range(counts[row]):
            value = values[at]
            if value <= last:
                return False
            table[row, column] = value
            last = value if is_ascending else np.int64(0)
            at += 1
    return True


def _fill_packed(tables: Tables, id_counts: bytes, nonces: bytes, client_ids: bytes) -> None:
    """Remembered nonces, which ascend, and client ids."""
    count = int(tables.counters[ACCOUNT_COUNT])
    ids = np.frombuffer(id_counts, dtype=np.uint8).astype(np.int64)
    _require(len(ids) == count and (ids <= CLIENT_IDS_REMEMBERED).all(), "client ids out of range")
    nonce_counts = tables.accounts["nonce_count"][:count].astype(np.int64)
    for table, counts, data, is_ascending in (
        (tables.nonces, nonce_counts, nonces, True), (tables.client_ids, ids, client_ids, False),
    ):  # fmt: skip
        values = np.frombuffer(data, dtype="<i8").astype(np.int64)
        _require(len(values) == int(counts.sum()), "nonces or client ids are missing")
        _require(_unpack(table, counts, values, is_ascending), "nonces or client ids out of range")


def _rebuild(state: EngineState) -> None:
    """Hash tables, account tree and roots from the tables."""
    tables = state.tables
    count = int(tables.counters[ACCOUNT_COUNT])
    used = np.concatenate((np.arange(SYSTEM_ACCOUNTS), np.arange(USER_ACCOUNT_FIRST, count)))
    tables.accounts["dirty"][used] = DIRTY_LEAF | DIRTY_AUX
    is_bounded = refresh_tree(state, used, is_repriced=False)
    _require(is_bounded, "claims or debts of all accounts out of bounds")
    state.sealed_epoch = int(tables.counters[MARK_EPOCH])
    set_roots(state)


def _attempt(work: Callable[[], None]) -> None:
    try:
        work()
    except InvariantBroken as error:
        raise SnapshotError(str(error)) from error


def decode_snapshot(data: bytes, params: ExchangeParams) -> EngineState:
    """The state whose canonical bytes these are, root and all. Raises `SnapshotError` on anything else."""
    items = _load(data, params)
    _take(items, int, "engine version")
    _take(items, bytes, "parameters")
    state_root = _take(items, bytes, "state root")
    state = EngineState.__new__(EngineState)
    state.params, state.params_digest = params, params.digest()
    state.tables, state.room = make_tables(params, 0), {}
    _fill_state(state, items)
    packed = tuple(_take(items, bytes, "remembered numbers") for _ in range(3))
    for name, array, first, end in _used_parts(state.tables):
        _fill_part(name, array, first, end, _take(items, bytes, name))
        if name in ("counters", "book.counters"):
            _check_counters(state.tables)
    _require(not items, "more than a snapshot")
    _require(len(state.tables.fee_tiers) == FEE_TIERS, "fee tiers differ")
    _check_links(state.tables)
    _fill_packed(state.tables, *packed)
    _require(state.tables.counters[ORDERS_LIVE] <= len(state.tables.details), "too many orders")
    _require(state.tables.counters[OFFERS_USED] <= len(state.tables.offers), "too many offers")
    check_structure(state.tables)
    state.tables = make_indexes(state.tables)
    _attempt(lambda: audit_tables(state))
    restore_codes(state.tables)
    restore_triggers(state.tables)
    _rebuild(state)
    _require(state.state_root == state_root, "the state root differs")
    return state
