"""The arrays in which a node remembers final blocks say the same as dictionaries and lists: on whole drawn days, with
restarts in between and the index of commands merged at any point.
"""

import sqlite3

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.messages import FINALIZE, ZERO_HASH, Block, Certificate, Header, keccak
from engine import views
from engine.payload import Batch, Payload
from engine.signatures import verify_messages
from engine.tables import ACCOUNT_COUNT, USER_ACCOUNT_FIRST
from tests.engine.agreement import execute, genesis
from tests.engine.blocks import START_MS
from tests.engine.days import write_day
from tests.engine.worlds import build_block, make_world_params
from tests.validator.obvious_ledger import FILL_NAMES, RECEIPT_NAMES, ObviousLedger
from validator import command_index, history
from validator.batches import CheckedBatch
from validator.executor import Executed, to_commitment
from validator.ledger import Ledger
from validator.orders import read_view
from validator.prechecks import account_key
from validator.stats import Stats
from validator.store import Store, StoreError

AT_ONCE = 8  # commands that the index takes over at a time, so that a short day has several levels


def check(batch):
    ids = verify_messages(batch.messages, batch.actions, bytes(32), batch.signers).ids
    return CheckedBatch(
        Batch(batch.author, batch.sequence, b"", b""), ids[:1].tobytes(), batch.messages, batch.actions, batch.signers,
        ids,
    )  # fmt: skip


class Twins:
    """Both ledgers, fed the same blocks."""

    def __init__(self, folder, seed, blocks, actions):
        self.script = write_day(seed, blocks, actions)
        self.path = folder / "blocks.sqlite"
        self.state = genesis(make_world_params(**self.script.changes), START_MS)
        self.slow = ObviousLedger(self.state)
        self.open()

    def open(self):
        self.store = Store(self.path)
        self.ledger = Ledger(self.store, Stats(lambda: 0), self.state)
        self.ledger.history.index._at_once = AT_ONCE

    def restart(self, state=None, told=None):
        """A node that starts again knows open orders only as far as the state tells of them. `told`: what the twin knew
        at an earlier state.
        """
        self.store.close()
        self.state = self.state if state is None else state
        slow = ObviousLedger(self.state)
        for name, value in (told or self.tell()).items():
            setattr(slow, name, value)
        self.slow = slow
        self.open()

    def tell(self):
        return {name: getattr(self.slow, name).copy() for name in ("results", "fills", "minutes")}

    def run(self, step, is_committed):
        block_input = build_block(self.state, step)
        batches = [check(batch) for batch in block_input.batches]
        self.state, result = execute(self.state, block_input)
        height, time_ms = self.state.height, self.state.time_ms
        payload = Payload((), (), block_input.inbox, 1).encode()
        header = Header(
            1, height, height, bytes(32), height - 1, 0, time_ms, keccak(payload), ZERO_HASH,
            to_commitment(result).encode(),
        )  # fmt: skip
        block = Block(header, payload)
        certificate = Certificate(FINALIZE, 1, height, block.hash(), b"\7", bytes(96))
        changes = {}
        follow = self.ledger.orders.follow

        def note(*arguments):
            changes["orders"] = follow(*arguments[:-1], wants_changed=True)
            return changes["orders"]

        self.ledger.orders.follow = note
        executed = Executed(height, time_ms, bytes(32), self.state, result, None)
        self.ledger.apply(block, certificate, executed, batches, is_live=True)
        self.ledger.publish()
        del self.ledger.orders.follow
        self.slow.apply(self.state, result, batches)
        changed = {order.order_id: order for order in (read_view(self.state, row) for row in changes["orders"])}
        assert changed == {order.order_id: order for order in self.slow.changed.values()}, f"height {height}"
        if is_committed:
            self.store.commit()

    def compare(self):
        for account in range(USER_ACCOUNT_FIRST, int(self.state.tables.counters[ACCOUNT_COUNT])):
            key = account_key(self.state, account)
            orders = sorted((order for order in self.slow.open.values() if (order.owner, order.subaccount) == key),
                            key=lambda order: order.order_id)  # fmt: skip
            assert list(self.ledger.orders.open_of(*key)) == orders
            assert self.ledger.orders.count_waiting(account) == sum(order.is_waiting for order in orders)
            own = [fill for fill in self.slow.fills if account in fill[6][5:7]]
            assert self.show(self.ledger.history.fills_of_account(account, 1 << 20)) == own[::-1]
            assert self.show(self.ledger.history.fills_of_account(account, 3)) == own[::-1][:3]
        for order in (*self.slow.open.values(), *self.slow.closed.values()):
            assert self.ledger.orders.get(order.order_id) == order
        for market in range(views.market_count(self.state)):
            own = [fill for fill in self.slow.fills if fill[6][4] == market]
            assert self.show(self.ledger.history.fills_of_market(market, 1 << 20)) == own[::-1]
            days = [row for (of, _), row in self.slow.minutes.items() if of == market]
            columns = list(zip(*days)) or [(0,)] * 4
            expected = (sum(columns[0]), max(columns[1]), min(columns[2]), sum(columns[3]))
            assert self.store.market_day(market, 0) == expected
        for command_id, (height, time_ms, fields) in self.slow.results.items():
            found = self.ledger.history.find(command_id)
            assert (found.height, found.time_ms) == (height, time_ms)
            assert tuple(int(found.row[name]) for name in RECEIPT_NAMES) == fields
            fills = [fill for fill in self.slow.fills if fields[0] in fill[2:4] and fill[0] >> 20 == height]
            assert self.show(self.ledger.history.fills_of_order(fields[0], height)) == fills
            assert self.ledger.history.find(command_id[:8] + bytes(24)) is None

    @staticmethod
    def show(trades):
        names = ("maker_order_id", "taker_order_id", "maker_client_id", "taker_client_id")
        return [
            (trade.number, trade.time_ms, *(int(trade.row[name]) for name in names),
             tuple(int(trade.row[name]) for name in FILL_NAMES))
            for trade in trades
        ]  # fmt: skip


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Chunks, caches and distances so small that a short day passes all of them."""
    monkeypatch.setattr(history, "CHUNK_ROWS", 4)
    monkeypatch.setattr("validator.store.CHUNK_ROWS", 4)
    monkeypatch.setattr(history, "CACHE_BYTES_MAX", 2_000)
    monkeypatch.setattr(history, "TRADES_BETWEEN_ENDS", 8)
    monkeypatch.setattr(history, "TRADES_AN_ACCOUNT", 0)
    monkeypatch.setattr("validator.orders.POOL_ROWS_MIN", 8)


ACTS = st.lists(st.sampled_from(["go on", "restart", "merge", "merge and restart", "merge in part"]), max_size=14)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 1 << 32), actions=st.integers(2, 20), acts=ACTS)
def test_both_say_the_same_whatever_happens_in_between(tmp_path_factory, seed, actions, acts):
    twins = Twins(tmp_path_factory.mktemp("history"), seed, len(acts) + 1, actions)
    for step, act in zip(twins.script.steps, ["go on", *acts]):
        twins.run(step, is_committed=act == "go on")
        if act.startswith("merge in part"):
            work = twins.ledger.history.index.next_work()
            if work is not None:
                twins.ledger.history.index.complete(work, work.make())
        elif act.startswith("merge"):
            twins.ledger.history.settle()
        if act.endswith("restart"):
            twins.restart()
    twins.compare()
    twins.ledger.history.settle()
    twins.restart()
    twins.compare()


def test_a_long_day_reaches_what_it_is_for(tmp_path):
    twins = Twins(tmp_path, 5, 90, 24)
    for number, step in enumerate(twins.script.steps):
        twins.run(step, is_committed=True)
        if number % 3 == 0:
            twins.ledger.history.settle()
    twins.ledger.history.settle()
    twins.compare()
    levels = {level for level, _ in twins.store.count_index_pages()}
    assert max(levels) >= 2 and twins.ledger.history.index._count < 2 * AT_ONCE
    assert len(twins.slow.fills) > 100 and twins.store.trade_ends(1 << 62) is not None
    assert any(order.is_waiting for order in (*twins.slow.open.values(), *twins.slow.closed.values()))


@pytest.mark.parametrize("is_merged", [True, False])
def test_blocks_that_come_again_after_a_restart_further_back_count_once(tmp_path, is_merged):
    """Snapshots were damaged: the store holds more blocks than the state that the node starts from."""
    twins = Twins(tmp_path, 8, 40, 20)
    for number, step in enumerate(twins.script.steps):
        if number == 25:
            state, told, known = twins.state, twins.tell(), len(twins.slow.fills)
        twins.run(step, is_committed=True)
        if is_merged:
            twins.ledger.history.settle()
    twins.restart(state, told)
    for step in twins.script.steps[25:]:
        twins.run(step, is_committed=True)
        twins.ledger.history.settle()
    twins.compare()
    assert len(twins.slow.fills) > known > 10


def test_a_walk_ends_where_the_store_has_a_gap(tmp_path):
    twins = Twins(tmp_path, 5, 60, 20)
    for step in twins.script.steps:
        twins.run(step, is_committed=True)
    twins.restart()
    middle = twins.slow.fills[len(twins.slow.fills) // 2][0] >> 20
    twins.store.close()
    database = sqlite3.connect(twins.path)
    database.execute("DELETE FROM fills WHERE id>>20<=?", (middle,))
    database.commit()
    database.close()
    twins.open()
    for market in range(7):
        kept = [fill for fill in twins.slow.fills if fill[6][4] == market and fill[0] >> 20 > middle]
        assert twins.show(twins.ledger.history.fills_of_market(market, 1 << 20)) == kept[::-1]


def test_data_of_another_layout_is_refused(tmp_path):
    path = tmp_path / "blocks.sqlite"
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE blocks (height INTEGER PRIMARY KEY)")
    database.close()
    for is_read_only in (False, True):
        with pytest.raises(StoreError, match=r"layout 0.*leave guard and journal"):
            Store(path, is_read_only)


def test_keys_of_every_slice_are_found_in_every_level(tmp_path):
    draw = np.random.default_rng(1)
    store = Store(tmp_path / "blocks.sqlite")
    index = command_index.CommandIndex(store, 64)
    keys = draw.integers(0, 1 << 64, 64 * 8 * 8 * 3, dtype=np.uint64)
    keys[:8] = keys[100:108]  # two commands with the first eight bytes of their ids in common
    for at in range(0, len(keys), 32):
        index.add(keys[at : at + 32], np.arange(at + 1, at + 33, dtype=np.uint64))
        while (work := index.next_work()) is not None:
            index.complete(work, work.make())
    assert {level for level, _ in store.count_index_pages()} == {0, 1, 2} and index._count <= 128
    for key in keys:
        assert sorted(index.find(int(key))) == (np.flatnonzero(keys == key) + 1).tolist()
    assert index.find(12345) == []
    again = command_index.CommandIndex(store, 64)
    assert again.taken_over == len(keys) - index._count
    assert all(sorted(again.find(int(key))) == sorted(index.find(int(key))) for key in keys[:200])


def test_memory_of_the_newest_commands_is_taken_once(tmp_path):
    store = Store(tmp_path / "blocks.sqlite")
    node, mirror = (command_index.CommandIndex(store, 64) for _ in range(2))
    keys = np.random.default_rng(2).integers(0, 1 << 64, 64 * 20, dtype=np.uint64)
    tables = set()
    for at in range(0, len(keys), 32):
        for index in (node, mirror):
            index.add(keys[at : at + 32], np.arange(at + 1, at + 33, dtype=np.uint64))
        while (work := node.next_work()) is not None:
            node.complete(work, work.make())
        mirror.follow_store()
        tables |= {(id(index._keys), id(index._places)) for index in (node, mirror)}
        assert mirror.taken_over == node.taken_over and mirror._count == node._count
    assert len(tables) == 2 and node.taken_over > 0
    for at, key in enumerate(keys):
        assert node.find(int(key)) == [at + 1] and mirror.find_new(int(key)) == node.find_new(int(key))
