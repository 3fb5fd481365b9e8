"""What the store has synced is there after a crash, whatever the database file itself has seen."""

import shutil

from consensus.messages import COMMITMENT_BYTES, FINALIZE, ZERO_HASH, Block, Certificate, Header, keccak
from validator.store import EARLY_BYTES, RECENT_BLOCKS, RECENT_QUERY, Store


def copy_as_a_crash_leaves_it(folder, name):
    twin = folder.parent / name
    shutil.copytree(folder, twin, ignore=shutil.ignore_patterns("*-shm"))
    return Store(twin / "blocks.sqlite")


def put_and_sync(store, number):
    store.put_batch(bytes([number]) * 32, 0, number, b"batch")
    store.commit()
    assert not store.is_synced
    store.sync()
    assert store.is_synced


def test_synced_rows_survive_without_a_checkpoint_and_across_one(tmp_path):
    folder = tmp_path / "running"
    store = Store(folder / "blocks.sqlite")
    put_and_sync(store, 1)
    assert copy_as_a_crash_leaves_it(folder, "before").batch(b"\1" * 32) == b"batch"
    store.checkpoint()
    put_and_sync(store, 2)  # the log begins anew
    crashed = copy_as_a_crash_leaves_it(folder, "after")
    assert [crashed.batch(bytes([number]) * 32) for number in (1, 2, 3)] == [b"batch", b"batch", None]
    store.close()


def test_a_checkpoint_keeps_the_log_short(tmp_path):
    lengths = {}
    for is_kept_short in (True, False):
        path = tmp_path / str(is_kept_short) / "blocks.sqlite"
        store = Store(path)
        for number in range(1, 60):
            put_and_sync(store, number)
            if is_kept_short:
                store.checkpoint()
        lengths[is_kept_short] = path.with_name("blocks.sqlite-wal").stat().st_size
        store.close()
    assert 4 * lengths[True] < lengths[False]


def test_only_recent_final_blocks_are_looked_up_by_hash(tmp_path):
    """Whoever asks for a hash that nobody has costs a look at few blocks, however long the chain is."""
    store, blocks = Store(tmp_path / "blocks.sqlite"), []
    for height in range(1, RECENT_BLOCKS + 3):
        header = Header(1, height, height, bytes(32), 0, 0, height, keccak(b""), ZERO_HASH, bytes(COMMITMENT_BYTES))
        blocks.append(Block(header, b""))
        store.put_final(blocks[-1], Certificate(FINALIZE, 1, height, header.hash(), b"\7", bytes(96)))
    found = [store.recent(block.hash()) for block in blocks]
    assert found == [None, None, *blocks[2:]]
    assert store.recent(b"\1" * 32) is None
    plan = store._db.execute("EXPLAIN QUERY PLAN " + RECENT_QUERY, (RECENT_BLOCKS, b"")).fetchall()
    assert any("rowid>?" in row[3] for row in plan), plan
    store.close()


def test_many_batches_are_written_out_before_a_vote_asks_for_them(tmp_path):
    store = Store(tmp_path / "blocks.sqlite")
    reader = Store(tmp_path / "blocks.sqlite", is_read_only=True)
    for number in (1, 2):
        store.put_batch(bytes([number]) * 32, 0, number, bytes(EARLY_BYTES // 2))
        store.commit_early()
        is_enough = number == 2
        assert (reader.batch(b"\1" * 32) is not None) == is_enough
        assert store.is_synced != is_enough  # what is written is not durable yet
    store.close()
