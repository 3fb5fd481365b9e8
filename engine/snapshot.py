"""A state as bytes and back. The bytes are canonical: equal states give equal bytes, and only those bytes are accepted.

CBOR array: magic, engine version, parameter digest, then the numbers and columns of the state in the order of
`encode_snapshot`. Accounts in use come in index order (system accounts first), orders in order of their ids.
Everything derived (book order, tree, sums, account sums) is built anew and must give the state root that the snapshot
names.
"""

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import cbor2
import numpy as np

from engine.book import link_order, take_row
from engine.errors import InvariantBroken, SnapshotError
from engine.invariants import check_orders, require_invariants
from engine.layout import (
    ACCOUNT,
    ACCOUNT_COUNT,
    BALANCE,
    CLIENT_ID,
    DIRTY,
    DIRTY_LEAF,
    DIRTY_NONCES,
    KEY_A,
    KEY_C,
    KEY_COUNT,
    MARK,
    MARK_MS,
    MARKET,
    MARKET_STATE_COLUMNS,
    NEXT_ORDER_ID,
    NONCE_COUNT,
    ORDER_COUNT,
    ORDER_FIRST,
    ORDER_ID,
    ORDER_LOTS_MAX,
    ORDER_TICKS_MAX,
    ORIGINAL_LOTS,
    OWN_NEXT,
    PLACED_MS,
    POSITION_COUNT,
    POSITION_LOTS,
    POSITION_MAX,
    POSITIONS_OPEN,
    PRICE_TICKS,
    SIDE,
    SIZE_LOTS,
    WITHDRAWALS,
)
from engine.limits import (
    BALANCE_QUOTE_MAX,
    ENGINE_VERSION,
    NONCES_REMEMBERED,
    USER_ACCOUNT_FIRST,
    WITHDRAWAL_DEPTH,
    WITHDRAWALS_MAX,
)
from engine.params import ExchangeParams
from engine.root import encode_rows
from engine.tree import ZERO_HASH

if TYPE_CHECKING:
    from engine.state import EngineState

MAGIC = b"hansa/snapshot/v1"
_ORDER_COLUMNS = (ORDER_ID, ACCOUNT, MARKET, SIDE, PRICE_TICKS, SIZE_LOTS, CLIENT_ID, ORIGINAL_LOTS, PLACED_MS)


def accounts_in_use(state: "EngineState") -> list[int]:
    """Indices of all accounts, ascending."""
    return [index for index in range(int(state.tables.counters[ACCOUNT_COUNT])) if state.has_account(index)]


def _encode_orders(state: "EngineState") -> bytes:
    """All open orders by id."""
    tables = state.tables
    rows = []
    for account in accounts_in_use(state):
        row = int(tables.accounts[account, ORDER_FIRST])
        for _ in range(int(tables.accounts[account, ORDER_COUNT])):
            rows.append(row)
            row = int(tables.orders[row, OWN_NEXT])
    rows.sort(key=lambda row: int(tables.orders[row, ORDER_ID]))
    return encode_rows(tables.orders[rows][:, _ORDER_COLUMNS])


def encode_snapshot(state: "EngineState") -> bytes:
    """Canonical bytes of a state."""
    tables = state.tables
    used = accounts_in_use(state)
    counts = tables.accounts[used, NONCE_COUNT]
    nonces = [tables.nonces[index, :count] for index, count in zip(used, counts)]
    frontier = [
        node if state.withdrawals_count >> height & 1 else ZERO_HASH
        for height, node in enumerate(state.withdrawal_frontier)
    ]
    return cbor2.dumps(
        [
            MAGIC, ENGINE_VERSION, state.params_digest, state.state_root, state.height, state.time_ms, state.l1_block,
            state.inbox_cursor, state.inbox_hash, state.inbox_ignored_count, state.deposits_total_quote,
            state.withdrawals_total_quote, state.withdrawals_count, b"".join(frontier), state.oracle_root,
            state.events_digest, int(tables.counters[NEXT_ORDER_ID]), encode_rows(state.report_times_ms),
            encode_rows(state.batch_sequences), encode_rows(tables.markets[:, MARKET_STATE_COLUMNS]),
            encode_rows(tables.accounts[used, KEY_A : KEY_C + 1]), encode_rows(tables.accounts[used, BALANCE]),
            encode_rows(tables.positions[used, :, POSITION_LOTS]), encode_rows(counts),
            encode_rows(np.concatenate(nonces)), _encode_orders(state),
        ],
        canonical=True,
    )  # fmt: skip


def _require(holds: object, message: str) -> None:
    if not holds:
        raise SnapshotError(message)


_NUMBERS = (4, 5, 6, 7, 9, 10, 11, 12, 16)
_HASHES = (3, 8, 14, 15)
_FIELDS = 26


def load_items(data: bytes, params: ExchangeParams) -> list[Any]:
    """The array after checks of shape and of whose snapshot it is."""
    try:
        items: object = cbor2.loads(data)
    except Exception as error:  # cbor2 raises many kinds on damaged bytes; all mean the same here
        raise SnapshotError("not CBOR") from error
    if type(items) is not list or len(items) != _FIELDS:
        raise SnapshotError("not a snapshot")
    _require(items[0] == MAGIC, "not a snapshot of this format")
    _require(items[1] == ENGINE_VERSION and type(items[1]) is int, "a snapshot of another engine version")
    _require(items[2] == params.digest(), "a snapshot of other parameters")
    for at in range(2, _FIELDS):
        kind = int if at in _NUMBERS else bytes
        _require(type(items[at]) is kind, f"item {at} has the wrong type")
    for at in _NUMBERS:
        _require(0 <= items[at] < 1 << (128 if at in (10, 11) else 62), f"item {at} out of range")
    for at in _HASHES:
        _require(len(items[at]) == 32, f"item {at} is no hash")
    _require(len(items[13]) == 32 * WITHDRAWAL_DEPTH and items[12] <= WITHDRAWALS_MAX, "withdrawal tree out of range")
    return items


def _decode_rows(data: bytes, columns: int) -> np.ndarray:
    """(n, columns) int64; raises when the length does not fit."""
    _require(len(data) % (8 * columns) == 0, "a column has the wrong length")
    return np.frombuffer(data, dtype=">i8").astype(np.int64).reshape(-1, columns)


def _fill_markets(state: "EngineState", data: bytes) -> None:
    rows = _decode_rows(data, len(MARKET_STATE_COLUMNS))
    markets = state.tables.markets
    _require(len(rows) == len(markets) and (rows >= 0).all(), "market rows out of range")
    markets[:, MARKET_STATE_COLUMNS] = rows
    _require((markets[:, MARK] <= markets[:, ORDER_TICKS_MAX]).all(), "a mark is out of range")
    _require((markets[:, MARK_MS] <= state.time_ms).all(), "a mark comes from the future")


def _fill_accounts(state: "EngineState", items: list[Any]) -> None:
    """Accounts with balances, positions and nonces. Keys must be unique and system accounts in their places."""
    tables = state.tables
    market_count = len(state.params.markets)
    system = 2 + market_count
    balances, counts = _decode_rows(items[21], 1)[:, 0], _decode_rows(items[23], 1)[:, 0]
    positions, keys = _decode_rows(items[22], market_count), _decode_rows(items[20], 3)
    users = len(keys) - system
    _require(len(balances) == len(counts) == len(positions) == len(keys) and users >= 0, "account columns differ")
    _require(USER_ACCOUNT_FIRST + users <= state.params.accounts_max, "too many accounts")
    used = [*range(system), *range(USER_ACCOUNT_FIRST, USER_ACCOUNT_FIRST + users)]
    _require((keys[:system] == tables.accounts[:system, KEY_A : KEY_C + 1]).all(), "a system account is missing")
    tables.accounts[used, KEY_A : KEY_C + 1] = keys
    sorted_keys = sorted((tuple(key), index) for key, index in zip(keys.tolist(), used))
    _require(all(one[0] != two[0] for one, two in pairwise(sorted_keys)), "an account appears twice")
    tables.by_key[: len(used)] = [index for _, index in sorted_keys]
    tables.counters[KEY_COUNT] = len(used)
    tables.counters[ACCOUNT_COUNT] = USER_ACCOUNT_FIRST + users
    in_bounds = (balances <= BALANCE_QUOTE_MAX) & (balances >= -BALANCE_QUOTE_MAX)
    _require(in_bounds.all(), "a balance is out of bounds")
    limits = tables.markets[:, POSITION_MAX]
    _require(((positions <= limits) & (positions >= -limits)).all(), "a position is out of bounds")
    _require((positions[:system] == 0).all(), "a system account has a position")
    tables.accounts[used, BALANCE] = balances
    tables.positions[used, :, POSITION_LOTS] = positions
    tables.accounts[used, POSITION_COUNT] = (positions != 0).sum(axis=1)
    tables.counters[POSITIONS_OPEN] = (positions != 0).sum()
    _require(((counts >= 0) & (counts <= NONCES_REMEMBERED)).all(), "too many nonces")
    nonces = _decode_rows(items[24], 1)[:, 0]
    _require(len(nonces) == counts.sum(), "nonces and their counts differ")
    tables.accounts[used, NONCE_COUNT] = counts
    at = 0
    for index, count in zip(used, counts.tolist()):
        own = nonces[at : at + count]
        _require(count == 0 or (own[0] >= 1 and (own[1:] > own[:-1]).all()), "nonces are not ascending")
        tables.nonces[index, :count] = own
        at += count
    tables.accounts[used, DIRTY] = DIRTY_LEAF | DIRTY_NONCES


def _fill_orders(state: "EngineState", data: bytes) -> None:
    """Put every open order back into its book, oldest first."""
    tables = state.tables
    rows = _decode_rows(data, len(_ORDER_COLUMNS))
    ids, accounts, markets, sides, prices, sizes, clients, originals, placed = rows.T
    next_order_id = int(tables.counters[NEXT_ORDER_ID])
    known = (markets >= 0) & (markets < len(state.params.markets)) & (sides >= 0) & (sides <= 1)
    known &= (accounts >= USER_ACCOUNT_FIRST) & (accounts < tables.counters[ACCOUNT_COUNT])
    _require(known.all(), "an order names no market, side or account")
    limits = tables.markets[markets]
    sized = (prices >= 1) & (prices <= limits[:, ORDER_TICKS_MAX]) & (sizes >= 1) & (sizes <= originals)
    sized &= (originals <= limits[:, ORDER_LOTS_MAX]) & (clients >= 0) & (placed >= 0) & (placed <= state.time_ms)
    _require(sized.all(), "an order is out of range")
    _require(len(ids) == 0 or (ids[0] >= 1 and ids[-1] < next_order_id), "an order id is out of range")
    _require((ids[1:] > ids[:-1]).all(), "orders are not ascending")
    for values in rows:
        row = int(take_row(tables))
        tables.orders[row, _ORDER_COLUMNS] = values
        link_order(tables, row)


def fill_state(state: "EngineState", items: list[Any]) -> None:
    """Write the items of `load_items` into an empty state with room for them."""
    (_, _, _, _, state.height, state.time_ms, state.l1_block, state.inbox_cursor, state.inbox_hash) = items[:9]
    state.inbox_ignored_count, state.deposits_total_quote, state.withdrawals_total_quote = items[9:12]
    state.tables.counters[WITHDRAWALS] = items[12]
    state.withdrawal_frontier = tuple(items[13][at : at + 32] for at in range(0, len(items[13]), 32))
    state.oracle_root, state.events_digest = items[14], items[15]
    state.tables.counters[NEXT_ORDER_ID] = items[16]
    _require(items[16] >= 1, "an order id is out of range")
    for name, data in (("report_times_ms", items[17]), ("batch_sequences", items[18])):
        column = _decode_rows(data, 1)[:, 0]
        _require(len(column) == state.params.validator_count and (column >= 0).all(), f"{name} out of range")
        setattr(state, name, column)
    _fill_markets(state, items[19])
    _fill_accounts(state, items)
    _fill_orders(state, items[25])


def require_restored(state: "EngineState", items: list[Any], data: bytes) -> None:
    """The rebuilt state has the named root, holds every invariant and encodes to the same bytes."""
    _require(state.state_root == items[3], "the state root differs")
    try:
        require_invariants(state)
    except InvariantBroken as error:
        raise SnapshotError(str(error)) from error
    _require(int(check_orders(state.tables)) == 0, "books and accounts differ")
    _require(encode_snapshot(state) == data, "not the canonical encoding")
