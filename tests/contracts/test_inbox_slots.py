"""The inbox uses the slots of consumed entries again, and in a flood takes new ones: no entry is refused or lost."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from settlement_world import MAX_SILENCE_S, HeaderFields, World

from contracts.records import Refused

RING = 256
GOOD = HeaderFields()
ALL_MARKETS = 2**32 - 1


@pytest.fixture(scope="module")
def flooded_world() -> Iterator[tuple[World, list[bytes], int]]:
    """Three times as many entries as the ring has slots, none of them consumed; a deposit is the last."""
    world = World()
    world.register_all()
    world.activate()
    for _ in range(3 * RING - 1):
        world.contract._send("force_cancel", 0, ALL_MARKETS)
    world.deposit(77)
    hashes = [bytes(32)]
    while len(hashes) <= 3 * RING:
        page = world.contract.inbox_entries(len(hashes) - 1, RING, world.contract.latest_block())
        hashes += [entry.hash for entry in page]
    yield world, hashes, world.chain.head.block_number
    world.chain.close()


@pytest.fixture
def flood(flooded_world: tuple[World, list[bytes], int]) -> tuple[World, list[bytes]]:
    world, hashes, block = flooded_world
    world.chain.rewind(block)
    world.chain.reset_clock()
    return world, hashes


def consume(world: World, hashes: list[bytes], cursor: int, height: int) -> None:
    world.post(replace(GOOD, height=height, inbox_cursor=cursor, inbox_hash=hashes[cursor]))


def test_every_prefix_of_a_flood_is_known(flood: tuple[World, list[bytes]]) -> None:
    world, hashes = flood
    for cursor in (0, 1, RING - 1, RING, RING + 1, 2 * RING, 3 * RING - 1, 3 * RING):
        assert world.contract.inbox_hash(cursor) == hashes[cursor]
    assert world.contract.inbox_hash(3 * RING + 1) == bytes(32)
    assert world.contract.inbox_length() == 3 * RING
    assert world.contract.deposited_total(3 * RING) == 77


def test_any_prefix_of_a_flood_is_consumed_and_no_other(flood: tuple[World, list[bytes]]) -> None:
    world, hashes = flood
    with pytest.raises(Refused, match="checkpoint: inbox hash"):
        world.post(replace(GOOD, inbox_cursor=RING, inbox_hash=hashes[2 * RING]))
    with pytest.raises(Refused, match="cursor beyond the inbox"):
        world.post(replace(GOOD, inbox_cursor=3 * RING + 1, inbox_hash=bytes(32)))
    for height, cursor in enumerate((1, RING - 1, RING, RING + 1, 2 * RING + 7, 3 * RING), start=1):
        consume(world, hashes, cursor, height)
    assert world.contract.last().inbox_cursor == 3 * RING


def test_slots_of_consumed_entries_are_used_again(flood: tuple[World, list[bytes]]) -> None:
    world, hashes = flood
    consume(world, hashes, 3 * RING, height=1)
    gas = [world.contract._send("force_cancel", 0, ALL_MARKETS).gas_used for _ in range(3)]
    assert max(gas) < 60_000
    assert world.contract.inbox_hash(3 * RING) == hashes[3 * RING]
    (entry,) = world.contract.inbox_entries(3 * RING + 2, 1, world.contract.latest_block())
    assert world.contract.inbox_hash(3 * RING + 3) == entry.hash
    # What had this slot before is forgotten, and is not taken for something else.
    assert world.contract.inbox_hash(3) == bytes(32)
    with pytest.raises(Refused, match="cursor beyond the inbox"):
        world.post(replace(GOOD, height=2, inbox_cursor=3 * RING + 4, inbox_hash=bytes(32)))
    world.post(replace(GOOD, height=2, inbox_cursor=3 * RING + 3, inbox_hash=entry.hash))


def test_the_last_prefix_outlives_a_flood_behind_it(flood: tuple[World, list[bytes]]) -> None:
    """A checkpoint that consumes nothing more names the same prefix again."""
    world, hashes = flood
    consume(world, hashes, RING, height=1)
    consume(world, hashes, RING, height=2)
    world.contract._send("force_cancel", 0, ALL_MARKETS)
    consume(world, hashes, RING, height=3)


def test_a_deposit_in_a_flood_returns_to_its_sender(flood: tuple[World, list[bytes]]) -> None:
    world, hashes = flood
    consume(world, hashes, 2 * RING, height=1)
    world.pass_time(MAX_SILENCE_S + 1)
    world.contract.freeze()
    (entry,) = world.contract.inbox_entries(3 * RING - 1, 1, world.contract.latest_block())
    before = world.contract.token_balance(world.contract.sender)
    world.contract.refund(entry)
    assert world.contract.token_balance(world.contract.sender) == before + 77
