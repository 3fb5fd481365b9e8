"""Copies of states into the tables of states that are over.

A state has tables of its own (ADR 8), and a block is executed on a copy of its parent's. Fresh memory for that costs
more than what is copied: the system zeroes each page at its first write, some 900 bytes an account and a few megabytes
however small the exchange is. Once a block is final, what was before it is over: its tables can take the next copy.

A state may still be looked at then: by who proves accounts, writes snapshots or answers a client, in this thread or
another. Only tables that nobody else refers to are written again, neither whole nor by a view of a single array;
CPython counts references, so this is known and not believed.
"""

import sys
from collections import deque
from typing import cast

import numpy as np

from engine.orderbook import ROWS_USED, Orderbook, copy_orderbook, copy_rows
from engine.state import USED_ROWS, EngineState
from engine.tables import ACCOUNT_COUNT, Tables

# The service keeps some two dozen final states for proofs (`service.PROOF_STATES_MAX`), whose tables come back here
# when it drops them.
SPARES_MAX = 32
# Each block takes one and gives one. More are idle after many blocks became final at once, as after a pause: without
# this bound a validator grew by some megabytes with each.
IDLE_MAX = 4
# References to an object that one owner holds, as `sys.getrefcount` sees them from where a local name holds it, too:
# the owner's, the name's and that of the call itself.
REFERENCES_OF_OWNED = 3
# Copied by the counters of the book or the shape of the tree.
_APART = ("orderbook", "details", "node_hashes", "node_sums")


class Spares:
    """The last few states that were given up, for the copies that come."""

    def __init__(self) -> None:
        self._given: deque[EngineState] = deque(maxlen=SPARES_MAX)

    def give(self, state: EngineState) -> None:
        """The caller needs the state no more; others may. Of states that follow each other in the same tables, as
        `Executor.advance` makes them, the first stands for all.
        """
        if all(given.tables is not state.tables for given in self._given):
            self._given.append(state)

    def copy(self, state: EngineState) -> EngineState:
        """A state with tables of its own, equal to those of `state`."""
        tables = self._take(state.tables)
        if tables is None:
            return state.copy()
        copy_tables_into(state.tables, tables)
        twin = state.shared()
        twin.tables = tables
        twin.report_times_ms = state.report_times_ms.copy()
        twin.batch_sequences = state.batch_sequences.copy()
        return twin

    def _take(self, like: Tables) -> Tables | None:
        """Tables of the same capacities that nobody else refers to. Those in use stay in their place: the oldest of
        them are the first to be given up. One of too many idle ones is let go: not all at once, for the system takes
        its time to take memory back.
        """
        taken, idle_count, at = None, 0, 0
        while at < len(self._given) and idle_count <= IDLE_MAX:
            state = self._given[at]
            tables = state.tables
            is_idle = REFERENCES_OF_OWNED == sys.getrefcount(state) == sys.getrefcount(tables)
            idle_count += is_idle
            if taken is None and is_idle and _are_free(tables, like):
                taken = tables
                del self._given[at]
            elif idle_count > IDLE_MAX:
                del self._given[at]
            else:
                at += 1
        return taken


def _are_free(tables: Tables, like: Tables) -> bool:
    return _have_one_owner(tables, like) and _have_one_owner(tables.orderbook, like.orderbook)


def _have_one_owner(arrays: Tables | Orderbook, like: Tables | Orderbook) -> bool:
    """No array, and no memory under one, is referred to from elsewhere; all are as large as those of `like`."""
    for at in range(len(arrays)):
        array = arrays[at]
        if sys.getrefcount(array) != REFERENCES_OF_OWNED:
            return False
        if isinstance(array, np.ndarray):
            memory = array.base
            if memory is not None and sys.getrefcount(memory) != REFERENCES_OF_OWNED:
                return False
            if array.shape != cast(np.ndarray, like[at]).shape:
                return False
    return True


def copy_tables_into(source: Tables, target: Tables) -> None:
    """Make `target` equal to `source`, as a fresh copy would be. What neither has ever used is not touched: counters of
    rows in use never go down, so beyond them a table holds zeros.
    """
    _copy_nodes(source, target)
    copy_rows(source.details, target.details, *(int(it.orderbook.counters[ROWS_USED]) + 1 for it in (source, target)))
    copy_orderbook(source.orderbook, target.orderbook)
    for name in Tables._fields:
        mine, theirs = getattr(target, name), getattr(source, name)
        if name in USED_ROWS:
            counter = USED_ROWS[name]
            copy_rows(theirs, mine, int(source.counters[counter]) + 1, int(target.counters[counter]) + 1)
    for name in Tables._fields:  # the counters last: they say what there was
        if name not in USED_ROWS and name not in _APART:
            getattr(target, name)[...] = getattr(source, name)


def _copy_nodes(source: Tables, target: Tables) -> None:
    """On each floor of the tree the first nodes exist, as many as there are leaves below, and one may stand behind
    them: the hash of nothing, where the last one has no sibling.
    """
    leaves, leaves_before = int(source.counters[ACCOUNT_COUNT]), int(target.counters[ACCOUNT_COUNT])
    floor = len(source.node_hashes) // 2
    while floor:
        for theirs, mine in ((source.node_hashes, target.node_hashes), (source.node_sums, target.node_sums)):
            copy_rows(theirs[floor : 2 * floor], mine[floor : 2 * floor], leaves, leaves_before + 1)
        floor //= 2
        leaves, leaves_before = (leaves + 1) // 2, (leaves_before + 1) // 2
