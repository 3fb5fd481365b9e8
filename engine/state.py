"""The state of the exchange after one block: tables for the kernels, a few numbers and hashes beside them.

A state that `execute` returned is never changed again: the next block works on a copy. Table capacities are powers of
two that grow when a block could need more; they, order rows and free lists are invisible in roots and snapshots.
"""

import numpy as np

from engine.errors import SnapshotError
from engine.layout import (
    ACCOUNT_COLUMNS,
    ACCOUNT_COUNT,
    ACCOUNT_ORDERS_MAX,
    BOOK_ORDERS_MAX,
    COUNTER_COLUMNS,
    DIRTY,
    DIRTY_LEAF,
    DIRTY_NONCES,
    FREE_ROW,
    IS_BOOK_DIRTY,
    KEY_A,
    KEY_C,
    KEY_COUNT,
    LEVEL_COLUMNS,
    LEVELS,
    MARKET_COLUMNS,
    NEXT_ORDER_ID,
    NOTHING,
    ORDER_COLUMNS,
    ORDER_FIRST,
    ORDER_LAST,
    POSITION_COLUMNS,
    ROWS_USED,
    WITHDRAWALS,
    Tables,
)
from engine.leaves import build_empty_nodes, update_tree
from engine.limits import FUNDING_ACCOUNT_FIRST, NONCES_REMEMBERED, USER_ACCOUNT_FIRST
from engine.params import ExchangeParams
from engine.root import StateCommitment, commitment_of, compute_state_root, refresh_book_digests
from engine.snapshot import encode_snapshot, fill_state, load_items, require_restored
from engine.tree import EMPTY_FRONTIER, ZERO_HASH, compute_account_root, compute_withdrawals_root, encode_key

__all__ = [
    "EngineState", "SnapshotError", "decode_snapshot", "encode_snapshot", "genesis", "genesis_commitment",
    "system_owner",
]  # fmt: skip

ACCOUNTS_CAPACITY_FIRST = 1024
ORDERS_CAPACITY_FIRST = 4096
LEVELS_CAPACITY_FIRST = 256


class EngineState:
    """One immutable post-state. Build it with `genesis`, `execute` or `decode_snapshot`."""

    __slots__ = (
        "account_root",
        "account_sums",
        "batch_sequences",
        "book_digests",
        "deposits_total_quote",
        "events_digest",
        "height",
        "inbox_cursor",
        "inbox_hash",
        "inbox_ignored_count",
        "l1_block",
        "oracle_root",
        "params",
        "params_digest",
        "report_times_ms",
        "state_root",
        "tables",
        "time_ms",
        "withdrawal_frontier",
        "withdrawals_root",
        "withdrawals_total_quote",
    )

    account_root: bytes
    account_sums: bytes
    batch_sequences: np.ndarray
    book_digests: tuple[bytes, ...]
    deposits_total_quote: int
    events_digest: bytes
    height: int
    inbox_cursor: int
    inbox_hash: bytes
    inbox_ignored_count: int
    l1_block: int
    oracle_root: bytes
    params: ExchangeParams
    params_digest: bytes
    report_times_ms: np.ndarray
    state_root: bytes
    tables: Tables
    time_ms: int
    withdrawal_frontier: tuple[bytes, ...]
    withdrawals_root: bytes
    withdrawals_total_quote: int

    def copy(self) -> "EngineState":
        """A state with tables of its own; hashes and parameters are shared."""
        twin = EngineState.__new__(EngineState)
        for name in EngineState.__slots__:
            setattr(twin, name, getattr(self, name))
        twin.tables = Tables(*(table.copy() for table in self.tables))
        twin.report_times_ms = self.report_times_ms.copy()
        twin.batch_sequences = self.batch_sequences.copy()
        return twin

    @property
    def withdrawals_count(self) -> int:
        """Withdrawals since genesis; also the index of the next one."""
        return int(self.tables.counters[WITHDRAWALS])

    def has_account(self, index: int) -> bool:
        """Whether an account index is in use: a system account of this exchange or a user."""
        system = 0 <= index < FUNDING_ACCOUNT_FIRST + len(self.params.markets)
        return system or USER_ACCOUNT_FIRST <= index < int(self.tables.counters[ACCOUNT_COUNT])


def system_owner(index: int) -> bytes:
    """Owner of a system account: its index + 1 as 20 bytes. Nobody has the key."""
    return (index + 1).to_bytes(20, "big")


def _build_tables(params: ExchangeParams, accounts: int, orders: int, levels: int) -> Tables:
    """Empty tables of the given capacities."""
    markets = np.zeros((len(params.markets), MARKET_COLUMNS), dtype=np.int64)
    for index, market in enumerate(params.markets):
        numbers = (
            market.quote_per_tick_lot, market.initial_margin_bps, market.maintenance_margin_bps, market.maker_fee_bps,
            market.taker_fee_bps, market.liquidation_fee_bps, market.price_band_bps, market.size_lots_max,
            market.position_lots_max, market.price_ticks_max, market.oracle_stale_ms,
        )  # fmt: skip
        markets[index, : len(numbers)] = numbers
        markets[index, IS_BOOK_DIRTY] = 1
    counters = np.zeros(COUNTER_COLUMNS, dtype=np.int64)
    counters[ACCOUNT_COUNT] = USER_ACCOUNT_FIRST
    counters[NEXT_ORDER_ID] = 1
    counters[FREE_ROW] = NOTHING
    counters[ACCOUNT_ORDERS_MAX] = params.account_orders_max
    counters[BOOK_ORDERS_MAX] = params.book_orders_max
    rows = np.zeros((accounts, ACCOUNT_COLUMNS), dtype=np.int64)
    rows[:, (ORDER_FIRST, ORDER_LAST)] = NOTHING
    tables = Tables(
        accounts=rows,
        positions=np.zeros((accounts, len(params.markets), POSITION_COLUMNS), dtype=np.int64),
        nonces=np.zeros((accounts, NONCES_REMEMBERED), dtype=np.int64),
        aux_digests=np.zeros((accounts, 32), dtype=np.uint8),
        by_key=np.zeros(accounts, dtype=np.int64),
        orders=np.zeros((orders, ORDER_COLUMNS), dtype=np.int64),
        levels=np.zeros((len(params.markets), 2, levels, LEVEL_COLUMNS), dtype=np.int64),
        markets=markets,
        counters=counters,
        node_hashes=np.zeros((2 * accounts, 32), dtype=np.uint8),
        node_sums=np.zeros((2 * accounts, 2), dtype=np.int64),
    )
    build_empty_nodes(tables)
    return tables


def add_account(state: EngineState, index: int, owner: bytes, subaccount: int, place: int) -> None:
    """Give an index to a new key whose place among the sorted keys is known."""
    tables = state.tables
    count = int(tables.counters[KEY_COUNT])
    tables.accounts[index, KEY_A : KEY_C + 1] = encode_key(owner, subaccount)
    tables.accounts[index, DIRTY] = DIRTY_LEAF | DIRTY_NONCES
    tables.by_key[place + 1 : count + 1] = tables.by_key[place:count].copy()
    tables.by_key[place] = index
    tables.counters[KEY_COUNT] = count + 1


def genesis(params: ExchangeParams, time_ms: int) -> EngineState:
    """The state before the first block: system accounts, no money, no prices."""
    state = EngineState.__new__(EngineState)
    state.params = params
    state.params_digest = params.digest()
    state.height = 0
    state.time_ms = time_ms
    state.tables = _build_tables(params, ACCOUNTS_CAPACITY_FIRST, ORDERS_CAPACITY_FIRST, LEVELS_CAPACITY_FIRST)
    state.report_times_ms = np.zeros(params.validator_count, dtype=np.int64)
    state.batch_sequences = np.zeros(params.validator_count, dtype=np.int64)
    state.inbox_cursor = 0
    state.inbox_hash = ZERO_HASH
    state.inbox_ignored_count = 0
    state.l1_block = 0
    state.deposits_total_quote = 0
    state.withdrawals_total_quote = 0
    state.withdrawal_frontier = EMPTY_FRONTIER
    state.oracle_root = ZERO_HASH
    state.events_digest = ZERO_HASH
    state.book_digests = (ZERO_HASH,) * len(params.markets)
    for index in range(FUNDING_ACCOUNT_FIRST + len(params.markets)):
        add_account(state, index, system_owner(index), 0, index)
    seal(state, have_marks_changed=False)
    return state


def seal(state: EngineState, have_marks_changed: bool) -> bool:
    """Bring all hashes up to date with the tables; False when a sum of the account tree is out of bounds."""
    is_bounded = bool(update_tree(state.tables, have_marks_changed))
    if is_bounded:
        state.account_root, state.account_sums = compute_account_root(state.tables)
        state.withdrawals_root = compute_withdrawals_root(state.withdrawal_frontier, state.withdrawals_count)
        refresh_book_digests(state)
        state.state_root = compute_state_root(state)
    return is_bounded


def _double_until(capacity: int, need: int) -> int:
    while capacity < need:
        capacity *= 2
    return capacity


def ensure_capacity(state: EngineState, new_accounts: int, new_orders: int) -> None:
    """Make room for what one block can add at most. Contents and roots stay the same."""
    old = state.tables
    accounts = _double_until(old.accounts.shape[0], int(old.counters[ACCOUNT_COUNT]) + new_accounts)
    orders = _double_until(old.orders.shape[0], int(old.counters[ROWS_USED]) + new_orders)
    levels = _double_until(old.levels.shape[2], int(old.markets[:, LEVELS : LEVELS + 2].max()) + new_orders)
    if (accounts, orders, levels) == (old.accounts.shape[0], old.orders.shape[0], old.levels.shape[2]):
        return
    new = _build_tables(state.params, accounts, orders, levels)
    for name in ("accounts", "positions", "nonces", "aux_digests", "by_key", "orders"):
        table = getattr(old, name)
        getattr(new, name)[: table.shape[0]] = table
    new.levels[:, :, : old.levels.shape[2]] = old.levels
    new.markets[:] = old.markets
    new.counters[:] = old.counters
    if accounts == old.accounts.shape[0]:
        new.node_hashes[:] = old.node_hashes
        new.node_sums[:] = old.node_sums
    else:
        count = int(old.counters[ACCOUNT_COUNT])
        used = [index for index in range(count) if state.has_account(index)]
        new.accounts[used, DIRTY] |= DIRTY_LEAF
    state.tables = new


def genesis_commitment(state: EngineState) -> StateCommitment:
    """The ten words a header carries for a state: of genesis, or of any restored one."""
    return commitment_of(state)


def decode_snapshot(data: bytes, params: ExchangeParams) -> EngineState:
    """The state whose canonical bytes these are, root and all. Raises `SnapshotError` on anything else."""
    items = load_items(data, params)
    state = genesis(params, 0)
    ensure_capacity(state, len(items[21]) // 8, len(items[25]) // 8)
    try:
        fill_state(state, items)
    except OverflowError as error:
        raise SnapshotError("a number is out of range") from error
    if not seal(state, have_marks_changed=False):
        raise SnapshotError("claims or debts of all accounts out of bounds")
    require_restored(state, items, data)
    return state
