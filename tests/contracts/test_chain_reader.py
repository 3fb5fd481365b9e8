"""What is read without web3 is what web3 reads, by ranges of blocks; answers without sense are the world's failure."""

import pytest
from settlement_world import HeaderFields, World

from contracts.chain_reader import ChainReader, ask_over_http, find_break
from contracts.records import ChainError


def make_reader(world: World) -> ChainReader:
    def ask(method: str, params: list[object]) -> object:
        return world.provider.make_request(method, params)["result"]  # type: ignore[arg-type]

    return ChainReader(ask, world.deployment.settlement)


def test_it_tells_what_web3_tells_range_by_range(world: World) -> None:
    reader, contract = make_reader(world), world.contract
    first = contract.latest_block() + 1
    for amount in (1, 2**40, 2**62 - 1):
        world.deposit(amount)
    world.chain.mine()
    last = contract.latest_block()
    assert reader.finalized_block() == contract.finalized_block()
    known = contract.inbox_entries(0, 10, last)
    assert len(known) == 3
    assert list(reader.news(first, last).entries) == list(reader.news(0, last).entries) == known
    by_block = [reader.news(block, block).entries for block in range(first, last + 1)]
    assert [entry for entries in by_block for entry in entries] == known
    assert reader.news(known[-1].block_number + 1, last).entries == ()
    assert find_break(tuple(known), 0, bytes(32)) == ""


def test_checkpoints_come_with_their_blocks_and_the_posted_height_with_the_youngest(world: World) -> None:
    reader = make_reader(world)
    assert reader.posted_height() == 0
    for height in (3, 8):
        world.post(HeaderFields(height=height, view=height))
    record = world.contract.last_checkpoint()
    assert record is not None
    checkpoints = reader.news(0, world.contract.latest_block()).checkpoints
    assert [item.height for item in checkpoints] == [3, 8]
    assert (checkpoints[1].header_hash, checkpoints[1].block_number) == (record.header_hash, record.block_number)
    assert reader.posted_height() == 8


def test_another_chain_another_contract_and_none_are_noticed(world: World) -> None:
    contract = world.contract
    reader, domain = make_reader(world), contract.domain()
    assert reader.check(contract.chain_id, domain) <= contract.latest_block()
    with pytest.raises(ChainError, match="wrong chain"):
        reader.check(contract.chain_id + 1, domain)
    with pytest.raises(ChainError, match="wrong contract"):
        reader.check(contract.chain_id, bytes(32))
    reader = ChainReader(reader._ask, "0x" + "11" * 20)
    with pytest.raises(ChainError, match="no sense"):  # an account without code returns nothing
        reader.check(contract.chain_id, domain)


def log_of(reader_topic: str, block: int = 1, **changes: object) -> dict[str, object]:
    return {
        "topics": [reader_topic, *["0x" + bytes(32).hex()] * 3], "data": "0x" + bytes(224).hex(),
        "blockNumber": hex(block), "logIndex": "0x0",
    } | changes  # fmt: skip


def entry_topic(world: World) -> str:
    asked = []
    ChainReader(lambda _, params: asked.append(params[0]) or [], world.deployment.settlement).news(1, 5)
    return str(asked[0]["topics"][0][0])


@pytest.mark.parametrize(
    "changes",
    [
        {"topics": []},
        {"topics": ["0x" + "12" * 32]},
        {"data": "zz"},
        {"data": "0x" + bytes(192).hex()},
        {"data": "0x" + bytes(225).hex()},
        {"data": None},
        {"blockNumber": "0x6"},
        {"blockNumber": None},
        {"logIndex": "x"},
    ],
)
def test_logs_without_sense_are_the_worlds_failure(world: World, changes: dict[str, object]) -> None:
    good = log_of(entry_topic(world))
    assert len(ChainReader(lambda *_: [good], world.deployment.settlement).news(1, 5).entries) == 1
    with pytest.raises(ChainError):
        ChainReader(lambda *_: [good | changes], world.deployment.settlement).news(1, 5)


@pytest.mark.parametrize("answer", [None, "0x", "zz", 5, [], {}, {"number": "zz"}])
def test_answers_without_sense_are_the_worlds_failure(answer: object) -> None:
    reader = ChainReader(lambda *_: answer, "0x" + "11" * 20)
    for question in (reader.finalized_block, reader.posted_height, lambda: reader.check(1, bytes(32))):
        with pytest.raises(ChainError):
            question()


def test_an_endpoint_that_is_not_there_is_the_worlds_failure() -> None:
    with pytest.raises(ChainError, match="did not answer"):
        ChainReader(ask_over_http("http://127.0.0.1:1"), "0x" + "11" * 20).finalized_block()


def test_a_broken_hash_chain_and_a_gap_are_found(world: World) -> None:
    for amount in (5, 6, 7):
        world.deposit(amount)
    entries = make_reader(world).news(0, world.contract.latest_block()).entries
    assert find_break(entries[1:], 1, entries[0].hash) == ""
    assert find_break(entries[1:], 1, bytes(32)) == "entry 1 does not give the hash that it names"
    assert "gap" in find_break((entries[0], entries[2]), 0, bytes(32))
