"""The whole inbox in one look, however long it is, and only where all endpoints agree."""

from typing import Any

import pytest

from contracts.inbox_reader import InboxReader
from contracts.records import ChainError
from validator.watcher import PAGE_ENTRIES, read_inbox

FINAL_BLOCK = 9


def make_reader(entry_count: int, amount: int = 5, final_block: int = FINAL_BLOCK) -> InboxReader:
    """An endpoint whose chain took all entries in block 3."""

    def make_log(index: int) -> dict[str, Any]:
        topics = ["0x" + word.hex() for word in (bytes(32), index.to_bytes(32, "big"), bytes(32), bytes(32))]
        words = [bytes(32)] * 3 + [amount.to_bytes(32, "big")] + [bytes(32)] * 3
        return {"topics": topics, "data": "0x" + b"".join(words).hex(), "blockNumber": "0x3"}

    def ask(method: str, params: list[Any]) -> Any:
        if method == "eth_getBlockByNumber":
            return {"number": hex(final_block)}
        if method == "eth_call":
            return "0x1"
        wanted = [int(topic, 16) for topic in params[0]["topics"][1]]
        return [make_log(index) for index in wanted if index < entry_count and int(params[0]["toBlock"], 16) >= 3]

    return InboxReader(ask, "0x" + "11" * 20)


@pytest.mark.parametrize("count", [0, 1, PAGE_ENTRIES - 1, PAGE_ENTRIES, PAGE_ENTRIES + 1, 3 * PAGE_ENTRIES + 7])
def test_all_entries_are_read(count: int) -> None:
    block, entries = read_inbox([make_reader(count)], 0)
    assert block == FINAL_BLOCK
    assert [entry.index for entry in entries] == list(range(count))
    assert read_inbox([make_reader(count)], count) == (FINAL_BLOCK, [])


def test_the_slowest_endpoint_decides_how_far() -> None:
    assert read_inbox([make_reader(4), make_reader(4, final_block=2)], 0) == (2, [])


def test_endpoints_that_disagree_are_believed_in_nothing() -> None:
    with pytest.raises(ChainError, match="disagree"):
        read_inbox([make_reader(4), make_reader(4, amount=6)], 0)
    with pytest.raises(ChainError, match="disagree"):
        read_inbox([make_reader(PAGE_ENTRIES + 1), make_reader(PAGE_ENTRIES)], 0)
