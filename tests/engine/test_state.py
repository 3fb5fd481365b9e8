"""States are values: a copy shares no memory, a block leaves its parent alone, and consuming it changes no root."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engine.apply import PayloadInvalid, execute
from engine.commands import BUY
from engine.difference import diff
from engine.snapshot import encode_snapshot
from engine.state import EngineState, genesis
from engine.tables import Tables
from tests.engine.blocks import ALICE, MARK, START_MS, batch, block, deposit, funded, make_params, place, trader
from tests.engine.days import live, write_day

ROOT = Path(__file__).parent.parent.parent


def arrays(state: EngineState) -> list[np.ndarray]:
    tables = state.tables
    found = [getattr(tables, name) for name in Tables._fields if name != "orderbook"]
    book = tables.orderbook
    found += [book.book, book.blocks, book.sides, book.directory, book.words, book.rows, book.counters]
    return [*found, state.report_times_ms, state.batch_sequences]


@pytest.fixture(scope="module")
def day() -> list[tuple]:
    return list(live(write_day(4, 24, 14)))


def test_a_copy_is_equal_and_shares_nothing(day) -> None:
    state = day[-1][0]
    twin = state.copy()
    assert encode_snapshot(twin) == encode_snapshot(state) and diff(twin, state) is None
    for mine, theirs in zip(arrays(state), arrays(twin), strict=True):
        assert not np.shares_memory(mine, theirs) and mine.dtype == theirs.dtype and mine.shape == theirs.shape


def test_a_block_leaves_its_parent_alone(day) -> None:
    """All states of the day are still what they were when they were made."""
    for (state, _), (again, _) in zip(day, live(write_day(4, 24, 14)), strict=True):
        assert encode_snapshot(state) == encode_snapshot(again)


def test_a_consumed_parent_gives_the_same_roots(day) -> None:
    consumed = [result.commitment for _, result in live(write_day(4, 24, 14), consume=True)]
    assert consumed == [result.commitment for _, result in day]


REFUSED = [
    ("the same height", {"height": 1}),
    ("no later time", {"time_ms": START_MS}),
    ("a time beyond all", {"time_ms": 1 << 50}),
    ("an earlier block of the chain", {"l1_block": -1}),
    ("a short seed", {"seed": bytes(31)}),
    ("a gap in the inbox", {"inbox": (deposit(9, ALICE, 1),)}),
]


@pytest.mark.parametrize("changes", [row[1] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_no_honest_block_is_refused_and_no_other_runs(changes) -> None:
    state = funded()
    root = state.state_root
    with pytest.raises(PayloadInvalid):
        execute(state, block(state)._replace(**changes))
    assert state.state_root == root


@pytest.mark.parametrize(("author", "sequence"), [(-1, 1), (4, 1), (0, 0), (0, 1 << 63)])
def test_batches_need_an_author_and_a_sequence(author, sequence) -> None:
    state = funded()
    with pytest.raises(PayloadInvalid):
        execute(state, block(state, batches=(batch(author, sequence, [place(ALICE, 1, BUY, MARK, 1)]),)))


def test_sequences_never_fall() -> None:
    state = funded()
    state, _ = execute(state, block(state, batches=(batch(1, 5, [place(ALICE, 1, BUY, MARK - 1, 1)]),)))
    with pytest.raises(PayloadInvalid, match="does not follow"):
        execute(state, block(state, batches=(batch(1, 5, [place(ALICE, 2, BUY, MARK - 1, 1)]),)))


def test_genesis_is_a_function_of_its_parameters() -> None:
    one, two = (genesis(make_params(), START_MS) for _ in range(2))
    assert one.state_root == two.state_root and one.state_root != genesis(make_params(chain_id=1), START_MS).state_root
    assert one.state_root != genesis(make_params(), START_MS + 1).state_root
    assert not one.has_account(64) and all(one.has_account(index) for index in range(3))
    assert not one.has_account(3) and not funded().has_account(67)
    assert funded().has_account(64) and trader(1) == ALICE


MEMORY = """
from tests.engine.blocks import START_MS, make_params
from engine.allocate import make_tables
def resident_kb():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1])
params = make_params(accounts_max=1 << 20, orders_max=1 << 20, positions_max=1 << 20)
before = resident_kb()
tables = make_tables(params, START_MS)
print(len(tables.accounts), resident_kb() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_room_for_a_million_accounts_costs_no_memory() -> None:
    """Pages come when they are first written: tables for a million accounts, orders and positions stay below 96 MB,
    most of it large pages of which a few bytes are used.
    """
    answer = subprocess.run(
        [sys.executable, "-c", MEMORY], cwd=ROOT, capture_output=True, text=True, timeout=300, check=True
    )
    accounts, resident_kb = (int(part) for part in answer.stdout.split())
    assert accounts == 1 << 20 and resident_kb < 98_304


def test_what_a_block_did_stays_told_when_the_next_is_executed() -> None:
    """Blocks write one after the other to the same memory."""
    names = ("receipts", "fills", "cancellations", "liquidations", "deleverages", "notices")
    told = []
    for _, result in live(write_day(4, 24, 14), consume=True):
        tables = [getattr(result, name) for name in names]
        told.append((tables, [table.tobytes() for table in tables]))
    assert any(len(tables[1]) for tables, _ in told), "nothing was traded"
    assert all([table.tobytes() for table in tables] == before for tables, before in told)
