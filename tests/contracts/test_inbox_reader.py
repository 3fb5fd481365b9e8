"""The inbox read without web3 is the inbox that web3 reads."""

import pytest
from settlement_world import World

from contracts.inbox_reader import InboxReader, ask_over_http
from contracts.records import ChainError


def make_reader(world: World) -> InboxReader:
    def ask(method: str, params: list[object]) -> object:
        return world.provider.make_request(method, params)["result"]  # type: ignore[arg-type]

    return InboxReader(ask, world.deployment.settlement)


def test_it_tells_what_web3_tells_page_by_page_and_no_further_than_asked(world: World) -> None:
    reader = make_reader(world)
    assert reader.inbox_entries(0, 10, world.contract.latest_block()) == []
    for amount in (1, 2**40, 2**62 - 1):
        world.deposit(amount)
    world.chain.mine()
    assert reader.finalized_block() == world.contract.finalized_block()
    last = world.contract.latest_block()
    known = world.contract.inbox_entries(0, 10, last)
    assert len(known) == 3
    assert reader.inbox_entries(0, 10, last) == known
    assert reader.inbox_entries(0, 2, last) == known[:2]
    assert reader.inbox_entries(2, 256, last) == known[2:]
    assert reader.inbox_entries(3, 256, last) == []
    assert reader.inbox_entries(0, 10, known[0].block_number) == known[:1]
    assert reader.inbox_entries(0, 10, 0) == []


def log_of(index: int) -> dict[str, object]:
    topics = ["0x" + word.hex() for word in (bytes(32), index.to_bytes(32, "big"), bytes(32), bytes(32))]
    return {"topics": topics, "data": "0x" + bytes(224).hex(), "blockNumber": "0x1"}


@pytest.mark.parametrize(
    "answers",
    [
        {"eth_call": "0x0", "eth_getLogs": [log_of(1)]},
        {"eth_call": "0x0", "eth_getLogs": [log_of(0), log_of(2)]},
        {"eth_call": "0x0", "eth_getLogs": [{"topics": [], "data": "0x", "blockNumber": "0x1"}]},
        {"eth_call": "0x0", "eth_getLogs": [log_of(0) | {"data": "zz"}]},
        {"eth_call": "0x0", "eth_getLogs": [log_of(0) | {"data": "0x" + bytes(192).hex()}]},
        {"eth_call": "0x0", "eth_getLogs": None},
        {"eth_call": "0x", "eth_getLogs": []},
        {"eth_call": None, "eth_getLogs": []},
    ],
)
def test_answers_without_sense_are_the_worlds_failure(answers: dict[str, object]) -> None:
    with pytest.raises(ChainError):
        InboxReader(lambda method, _: answers[method], "0x" + "11" * 20).inbox_entries(0, 10, 5)


def test_an_answer_without_a_final_block_or_none_at_all_is_the_worlds_failure() -> None:
    with pytest.raises(ChainError):
        InboxReader(lambda *_: None, "0x" + "11" * 20).finalized_block()
    with pytest.raises(ChainError, match="did not answer"):
        InboxReader(ask_over_http("http://127.0.0.1:1"), "0x" + "11" * 20).finalized_block()
