"""What a pruned node lets go of, and what it must not: whoever begins with its snapshots finds all that follows them,
restarts recover, and the API knows nothing of what is gone.
"""

import numpy as np
import pytest

from engine.commands import BUY, PLACE, SELL
from engine.snapshot import encode_snapshot
from net.wire import RangeRequest
from tests.validator.chainlet import GENESIS, GENESIS_STATE, MARK_TICKS, PARAMS, SEPARATOR, certify, seal, sign
from tests.validator.executed_exchange import ExecutedExchange
from validator.catchup import Ask, Head, RangeSync
from validator.config import KEEP_BLOCKS_MIN, ConfigError, NodeConfig, load_node, save_toml
from validator.history import RESULT, first_place
from validator.order_memory import KNOWN_FILL
from validator.pruning import compute_floor, find_provable, list_snapshots, prune
from validator.ranges import answer_range
from validator.recovery import recover
from validator.snapshots import SnapshotShelf, read_snapshots, write_bytes, write_snapshot
from validator.store import Seal, Store

LAST, SNAPSHOT_HEIGHT, FLOOR, SEALED = 12, 9, 7, 3


@pytest.fixture(scope="module")
def states():
    return {}


@pytest.fixture(scope="module")
def exchange(tmp_path_factory, states):
    """Twelve blocks, a trade in each after the first; the state after the ninth is a snapshot."""
    made = ExecutedExchange(tmp_path_factory.mktemp("pruned"))
    for height in range(2, LAST + 1):
        trade = {"market": 0, "price_ticks": MARK_TICKS, "size_lots": 1}
        records = [
            sign(0, PLACE, 2 * height, side=BUY, **trade).encode(),
            sign(1, PLACE, 2 * height, side=SELL, **trade).encode(),
        ]
        batch = seal(1, height, records)
        made.store.put_batch(batch.batch_hash, 1, height, batch.batch.encode())
        made.make_block(batch)
        states[height] = made.chain.executor.final.state
    write_snapshot(folder_of(made), states[SNAPSHOT_HEIGHT])
    made.store.put_seal(1, Seal(SEALED, certify(made.chain.blocks[SEALED - 1]), ()))
    made.store.commit()
    made.count_before = count_rows(made.store)
    made.pruned = prune(made.store, FLOOR)
    made.store.commit()
    made.store.sync()
    yield made
    made.store.close()


def folder_of(exchange):
    return exchange.store._path.parent / "snapshots"


def count_rows(store: Store) -> dict[str, int]:
    tables = ("blocks", "batches", "batch_data", "results", "fills")
    return {table: store.rows(f"SELECT COUNT(*) FROM {table}")[0][0] for table in tables}


@pytest.mark.parametrize(
    ("keep", "snapshots", "onchain", "floor"),
    [
        (0, [900], 900, 0),  # an archive
        (300, [], 900, 0),  # no snapshot: a start would need everything
        (300, [900, 600], 950, 600),  # whoever fetches the older one needs what follows
        (300, [950, 900], 400, 400),  # the newest checkpoint is old
        (300, [950, 900], 0, 0),  # there is none yet
        (300, [950, 900], 950, 701),
        (2_000, [950, 900], 950, 0),
    ],
)
def test_the_floor_is_the_lowest_that_anybody_needs(keep, snapshots, onchain, floor):
    assert compute_floor(1_000, keep, snapshots, onchain) == floor


def test_blocks_batches_results_and_trades_below_the_floor_are_gone(exchange):
    store, count = exchange.store, count_rows(exchange.store)
    gone = FLOOR - 1 - 1  # of heights 1 to 6 one ended an epoch and stays
    assert exchange.pruned == gone and store.earliest_height() == FLOOR
    assert [final.block.header.height for final in store.finals(1, 100)] == [SEALED, *range(FLOOR, LAST + 1)]
    before = exchange.count_before
    assert before["blocks"] - count["blocks"] == gone
    assert before["batches"] - count["batches"] == before["batch_data"] - count["batch_data"] == gone - 1
    for table, record in (("results", RESULT), ("fills", KNOWN_FILL)):
        read = store.results_from if table == "results" else store.fills_from
        chunks = list(read(0, first_place(LAST + 1), record))
        assert [chunk.first for chunk in chunks] == [first_place(height) for height in range(FLOOR, LAST + 1)]
    assert prune(store, FLOOR) == 0


def test_a_few_go_at_a_time_and_a_crash_before_the_sync_loses_nothing(tmp_path):
    chain = ExecutedExchange(tmp_path)
    for _ in range(5):
        chain.make_block()
    chain.store.sync()
    assert prune(chain.store, 5, limit=3) == 3
    with_reader = Store(tmp_path / "blocks.sqlite", is_read_only=True)
    assert with_reader.earliest_height() == 1
    chain.store.commit()
    assert with_reader.earliest_height() == 4
    assert prune(chain.store, 5, limit=3) == 1
    chain.store.commit()
    assert with_reader.earliest_height() == 5 and chain.service.status().earliest_height == 5
    with_reader.close()
    chain.store.close()


def test_the_api_tells_what_is_left_and_nothing_of_what_is_gone(exchange):
    service, history = exchange.service, exchange.ledger.history
    history._results._chunks.clear()
    history._fills._chunks.clear()
    assert service.status().earliest_height == FLOOR
    trades = history.fills_of_market(0, 100)
    assert [trade.number >> 20 for trade in trades] == list(range(LAST, FLOOR - 1, -1))
    for height, is_there in ((SNAPSHOT_HEIGHT, True), (FLOOR - 2, False)):
        assert (history.named_result_at(first_place(height)) is not None) is is_there


def test_a_restart_recovers_from_the_snapshot_and_what_is_left(exchange, states):
    found = recover(
        read_snapshots(folder_of(exchange), PARAMS), PARAMS, exchange.store, GENESIS_STATE, GENESIS, SEPARATOR
    )
    assert (found.state.height, found.state.state_root) == (LAST, states[LAST].state_root)


def test_a_late_node_is_told_that_old_blocks_are_gone_and_given_all_above_the_snapshot(exchange):
    assert answer_range(exchange.store, RangeRequest(FLOOR - 1, 64)).blocks == ()
    assert answer_range(exchange.store, RangeRequest(SEALED, 64)).blocks[0].block.header.height == SEALED
    offer = SnapshotShelf(folder_of(exchange)).offer(exchange.store, 0, 0)
    assert offer is not None and offer.block.header.height == SNAPSHOT_HEIGHT
    above = answer_range(exchange.store, RangeRequest(SNAPSHOT_HEIGHT + 1, 64))
    assert [item.block.header.height for item in above.blocks] == list(range(SNAPSHOT_HEIGHT + 1, LAST + 1))
    assert all(item.batches for item in above.blocks)


def test_among_pruned_peers_an_archive_is_asked_and_without_one_a_snapshot_is_needed(exchange):
    def start(archives):
        sync = RangeSync(
            quorum_of=lambda _: 3, head=lambda: Head(0, GENESIS.hash()), is_genuine=lambda _: True,
            is_held=lambda _: False,
        )  # fmt: skip
        asked = [effect for peer in (1, 2, 3) for effect in sync.on_peer(0, peer, LAST)]
        answered = dict.fromkeys((1, 2, 3), False)
        while todo := [effect for effect in asked if isinstance(effect, Ask)]:
            asked = []
            for ask in todo:
                if ask.request.from_height == 1 and ask.peer not in archives:
                    asked += sync.on_response(1, ask.peer, answer_range(exchange.store, ask.request))
                answered[ask.peer] = True
        return sync

    assert start(archives=()).is_stranded
    assert not start(archives=(3,)).is_stranded


def test_the_snapshot_below_the_last_checkpoint_outlives_newer_ones(tmp_path, states):
    for height in (4, 6, 8, 10, 12):
        write_bytes(tmp_path, height, encode_snapshot(states[height]))
    assert find_provable(tmp_path, 7) == {6} and find_provable(tmp_path, 3) == frozenset()
    write_snapshot(tmp_path, states[12], find_provable(tmp_path, 7))
    assert sorted(list_snapshots(tmp_path)) == [6, 8, 10, 12]


def test_the_index_forgets_pages_of_pruned_results_and_finds_the_others(exchange):
    index = exchange.ledger.history.index
    index._at_once = 4
    exchange.ledger.history.settle()
    pages = sum(exchange.store.count_index_pages().values())
    keys = {int(place >> np.uint64(20)): int(key) for key, place in zip(index._keys, index._places)}
    index.forget_before(first_place(FLOOR))
    exchange.store.commit()
    assert sum(exchange.store.count_index_pages().values()) < pages or index.taken_over < first_place(FLOOR)
    assert index._page_counts == exchange.store.count_index_pages()
    assert index.find(keys[LAST])


def test_a_number_below_what_agreement_needs_is_refused(tmp_path):
    for keep, is_fine in ((0, True), (KEEP_BLOCKS_MIN, True), (KEEP_BLOCKS_MIN - 1, False), (-1, False)):
        save_toml(tmp_path / "config.toml", NodeConfig(0, (), keep_blocks=keep))
        if is_fine:
            assert load_node(tmp_path / "config.toml").keep_blocks == keep
        else:
            with pytest.raises(ConfigError, match="keep_blocks is 0"):
                load_node(tmp_path / "config.toml")
