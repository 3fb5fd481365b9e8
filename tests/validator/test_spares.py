"""Tables that are written again hold what a fresh copy holds, and nobody's who still looks at them."""

import weakref

import numpy as np
import pytest

from engine.apply import execute
from engine.state import EngineState, copy_tables, genesis
from engine.tables import Tables
from tests.engine.blocks import START_MS
from tests.engine.days import write_day
from tests.engine.worlds import build_block, make_world_params
from validator.spares import IDLE_MAX, SPARES_MAX, Spares, copy_tables_into


@pytest.fixture(scope="module")
def days() -> list[list[EngineState]]:
    """The states of three days that have nothing in common but their tables' sizes."""
    lived = []
    for seed, actions in ((3, 12), (4, 40), (5, 2)):
        state, states = genesis(make_world_params(), START_MS), []
        for step in write_day(seed, 14, actions).steps:
            state, _ = execute(state, build_block(state, step))
            states.append(state)
        lived.append(states)
    return lived


def list_differences(left: Tables, right: Tables) -> list[str]:
    """Names of the tables that are not the same to the last byte, used or not."""
    pairs = [(name, getattr(left, name), getattr(right, name)) for name in Tables._fields if name != "orderbook"]
    pairs += [(f"book.{name}", *two) for name, *two in zip(left.orderbook._fields, left.orderbook, right.orderbook)]
    return [name for name, mine, theirs in pairs if mine.tobytes() != theirs.tobytes()]


@pytest.mark.parametrize(
    ("source", "target"), [((0, 3), (0, 12)), ((0, 13), (1, 13)), ((1, 13), (2, 5)), ((2, 2), (1, 9))]
)
@pytest.mark.parametrize("entries_per_block", [1, 1 << 40], ids=["entry by entry", "whole directory"])
def test_what_is_written_again_is_a_fresh_copy(days, source, target, entries_per_block, monkeypatch) -> None:
    """Into the very tables that blocks were executed on, with whatever they left there."""
    monkeypatch.setattr("engine.orderbook._ENTRIES_PER_BLOCK_MIN", entries_per_block)
    wanted, used = copy_tables(days[source[0]][source[1]].tables), days[target[0]][target[1]].tables
    held = copy_tables(used)
    assert list_differences(wanted, used)  # else this would show nothing
    copy_tables_into(wanted, used)
    assert list_differences(wanted, used) == []
    copy_tables_into(held, used)
    assert list_differences(held, used) == []


def test_a_given_state_is_the_next_copy(days) -> None:
    spares, parent = Spares(), days[0][-1]
    spares.give(parent.copy())
    other = spares.copy(parent)
    taken = other.tables
    assert list_differences(copy_tables(parent.tables), taken) == []
    spares.give(other)
    del other, taken
    again = spares.copy(days[1][-1])
    assert list_differences(copy_tables(days[1][-1].tables), again.tables) == []


def is_copied_into(spares: Spares, parent: EngineState, address: int) -> bool:
    """Whether the next copy lies where the accounts of the given state lay."""
    return spares.copy(parent).tables.accounts.ctypes.data == address


@pytest.mark.parametrize(
    "look",
    [
        lambda state: state,
        lambda state: state.tables,
        lambda state: state.tables.orderbook,
        lambda state: state.tables.accounts,
        lambda state: state.tables.accounts[3:5],
        lambda state: state.tables.accounts["balance_quote"],
        lambda state: state.tables.markets[:1],
        lambda state: state.tables.orderbook.book[:2]["lots"],
        lambda state: memoryview(state.tables.node_hashes),
        lambda state: state.shared(),
    ],
    ids=["state", "tables", "book", "array", "slice", "column", "slice of a plain one", "levels", "buffer", "twin"],
)
def test_who_still_looks_keeps_what_it_sees(days, look) -> None:
    spares, parent = Spares(), days[0][-1]
    state = parent.copy()
    address, seen = state.tables.accounts.ctypes.data, look(state)
    spares.give(state)
    del state
    assert not is_copied_into(spares, parent, address)
    del seen
    assert is_copied_into(spares, parent, address)


def test_tables_of_another_size_are_not_used(days) -> None:
    spares = Spares()
    spares.give(genesis(make_world_params(accounts_max=512), START_MS))
    copy = spares.copy(days[0][0])
    assert copy.tables.accounts.shape == days[0][0].tables.accounts.shape
    assert np.array_equal(copy.tables.counters, days[0][0].tables.counters)


def test_what_many_blocks_at_once_took_is_given_back(days) -> None:
    """As after a pause: a dozen states become idle together, and a block takes one and gives one."""
    spares, parent = Spares(), days[0][-1]
    states = [parent.copy() for _ in range(IDLE_MAX + 8)]
    alive = [weakref.ref(state.tables.accounts) for state in states]
    while states:
        spares.give(states.pop())
    for _ in range(IDLE_MAX + 8):
        spares.give(spares.copy(parent))
    assert sum(accounts() is not None for accounts in alive) <= IDLE_MAX + 1


def test_states_in_the_same_tables_take_one_place(days) -> None:
    """As blocks that are caught up with leave them: else they would push out what the next copies need."""
    spares, parent = Spares(), days[0][-1]
    spare = parent.copy()
    accounts = weakref.ref(spare.tables.accounts)
    spares.give(spare)
    del spare
    head = parent.copy()
    for _ in range(SPARES_MAX):
        spares.give(head)
        head = head.shared()
    assert accounts() is not None
