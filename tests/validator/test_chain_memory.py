"""What a node remembers of the settlement chain between two starts."""

from dataclasses import replace
from pathlib import Path

import pytest

from engine.payload import InboxEntry
from validator.store import NOTHING_SEEN, ChainSeen, Store

ENTRIES = [InboxEntry(index, 1, b"\1" * 20, b"\2" * 20, 0, b"\3" * 20, 5, bytes(32), 7) for index in range(6)]
SEEN = ChainSeen(90, 6, 44, b"\4" * 32)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "blocks.sqlite")
    assert made.chain(0) == (NOTHING_SEEN, [])
    made.put_chain(ChainSeen(50, 4, 0, b""), ENTRIES[:4])
    made.put_chain(SEEN, ENTRIES[4:])
    made.commit()
    return made


def test_a_start_finds_what_is_not_consumed_yet(store: Store) -> None:
    assert store.chain(2) == (SEEN, ENTRIES[2:])
    assert store.chain(6) == (SEEN, [])


def test_a_node_that_is_further_than_its_memory_reads_on_from_there(store: Store) -> None:
    assert store.chain(9) == (SEEN, [])


def test_a_gap_means_reading_everything_again(store: Store) -> None:
    store.chain(4)  # drops the first four
    assert store.chain(2) == (NOTHING_SEEN, [])
    store.put_chain(replace(SEEN, block=95, entry_count=8), [])
    assert store.chain(4) == (NOTHING_SEEN, [])
