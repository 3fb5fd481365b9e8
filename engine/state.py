"""The state of the exchange after one block: tables for the kernels, a few numbers and hashes beside them.

A state that `execute` returned is never changed again: the next block works on a copy of what has been used so far, or,
when the caller gives the parent up, on the tables themselves (ADR 8, ADR 10).
"""

from typing import Any

import numpy as np

from engine.allocate import make_tables
from engine.memory import make_zeros
from engine.orderbook import ROWS_USED, copy_orderbook, make_orderbook
from engine.params import ExchangeParams
from engine.root import refresh_tree, set_roots
from engine.sumtree import make_nodes
from engine.tables import (
    ACCOUNT_COUNT,
    ASSET_COUNT,
    EXPIRY_COUNT,
    MARKET_COUNT,
    OFFERS_USED,
    POSITIONS_USED,
    PROTECTIONS_USED,
    SESSIONS_USED,
    SYSTEM_ACCOUNTS,
    TRIGGERS_USED,
    UNDERLYING_COUNT,
    USER_ACCOUNT_FIRST,
    WITHDRAWALS,
    Tables,
)
from engine.tree import EMPTY_FRONTIER, ZERO_HASH

# Which counter says how many rows of a table are used; tables that are not named are copied whole.
USED_ROWS = {
    "accounts": ACCOUNT_COUNT, "nonces": ACCOUNT_COUNT, "client_ids": ACCOUNT_COUNT, "aux_digests": ACCOUNT_COUNT,
    "positions": POSITIONS_USED, "triggers": TRIGGERS_USED, "offers": OFFERS_USED, "sessions": SESSIONS_USED,
    "protections": PROTECTIONS_USED, "markets": MARKET_COUNT, "underlyings": UNDERLYING_COUNT,
    "expiries": EXPIRY_COUNT, "assets": ASSET_COUNT, "scenarios": MARKET_COUNT,
}  # fmt: skip


class EngineState:
    """One post-state. Build it with `genesis`, `execute` or `decode_snapshot`."""

    __slots__ = (
        "account_root",
        "account_sums",
        "batch_sequences",
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
        "room",
        "sealed_epoch",
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
    room: dict[str, np.ndarray]  # what blocks write to beside the tables, see `make_outputs`; in no root
    sealed_epoch: int
    state_root: bytes
    tables: Tables
    time_ms: int
    withdrawal_frontier: tuple[bytes, ...]
    withdrawals_root: bytes
    withdrawals_total_quote: int

    def copy(self) -> "EngineState":
        """A state with tables of its own, that another thread may work on; hashes and parameters are shared."""
        twin = self.shared()
        twin.tables, twin.room = copy_tables(self.tables), {}
        twin.report_times_ms = self.report_times_ms.copy()
        twin.batch_sequences = self.batch_sequences.copy()
        return twin

    def shared(self) -> "EngineState":
        """Another object with the very same tables: for a block that consumes its parent."""
        twin = EngineState.__new__(EngineState)
        for name in EngineState.__slots__:
            setattr(twin, name, getattr(self, name))
        return twin

    @property
    def withdrawals_count(self) -> int:
        """Withdrawals since genesis; also the index of the next one."""
        return int(self.tables.counters[WITHDRAWALS])

    def has_account(self, index: int) -> bool:
        """Whether an account index is in use: a system account or a user."""
        is_user = USER_ACCOUNT_FIRST <= index < int(self.tables.counters[ACCOUNT_COUNT])
        return 0 <= index < SYSTEM_ACCOUNTS or is_user


def _copy_rows(table: np.ndarray, used: int) -> np.ndarray:
    twin = make_zeros(table.shape, table.dtype)
    twin[:used] = table[:used]
    return twin


def _copy_nodes(node_hashes: np.ndarray, node_sums: np.ndarray, leaves: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes of a tree whose first `leaves` leaves exist: on each floor the first ones."""
    floor = len(node_hashes) // 2
    twins = make_nodes(floor)
    while floor:
        for twin, table in zip(twins, (node_hashes, node_sums)):
            twin[floor : floor + leaves] = table[floor : floor + leaves]
        floor //= 2
        leaves = (leaves + 1) // 2
    return twins


def copy_tables(tables: Tables) -> Tables:
    """Tables with the same contents; what was never used is neither read nor written."""
    counters = tables.counters
    book = tables.orderbook
    entries = len(book.directory)
    orderbook = make_orderbook(len(book.sides) // 2, len(tables.details), len(book.blocks) - 1, entries)
    copy_orderbook(book, orderbook)
    nodes = _copy_nodes(tables.node_hashes, tables.node_sums, int(counters[ACCOUNT_COUNT]))
    copies: dict[str, Any] = {"orderbook": orderbook, "node_hashes": nodes[0], "node_sums": nodes[1]}
    for name in Tables._fields:
        table = getattr(tables, name)
        if name in copies:
            continue
        if name in USED_ROWS:
            copies[name] = _copy_rows(table, int(counters[USED_ROWS[name]]) + 1)
        elif name == "details":
            copies[name] = _copy_rows(table, int(book.counters[ROWS_USED]) + 1)
        else:
            copies[name] = _copy_rows(table, len(table))
    return Tables(**copies)


def genesis(params: ExchangeParams, time_ms: int) -> EngineState:
    """The state before the first block: system accounts, no money, no prices."""
    state = EngineState.__new__(EngineState)
    state.params, state.params_digest = params, params.digest()
    state.height, state.time_ms, state.l1_block = 0, time_ms, 0
    state.tables, state.room = make_tables(params, time_ms), {}
    state.report_times_ms = np.zeros(params.validator_count, dtype=np.int64)
    state.batch_sequences = np.zeros(params.validator_count, dtype=np.int64)
    state.inbox_cursor, state.inbox_hash, state.inbox_ignored_count = 0, ZERO_HASH, 0
    state.deposits_total_quote = state.withdrawals_total_quote = 0
    state.withdrawal_frontier = EMPTY_FRONTIER
    state.oracle_root = state.events_digest = ZERO_HASH
    state.sealed_epoch = 0
    refresh_tree(state, np.arange(SYSTEM_ACCOUNTS), is_repriced=False)
    set_roots(state)
    return state
