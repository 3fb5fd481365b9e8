"""Each test starts from an active committee of four and an empty inbox."""

from collections.abc import Iterator

import pytest
from settlement_world import World


@pytest.fixture(scope="session")
def active_world() -> Iterator[tuple[World, int]]:
    world = World()
    world.register_all()
    world.activate()
    yield world, world.chain.head.block_number
    world.chain.close()


@pytest.fixture
def world(active_world: tuple[World, int]) -> World:
    """An active committee and an empty inbox; what the last test did is rewound."""
    shared, block = active_world
    shared.chain.rewind(block)
    shared.chain.reset_clock()
    shared.contract = shared.as_account(0)
    return shared


@pytest.fixture
def open_world() -> Iterator[World]:
    """Registration is open, nobody has registered."""
    world = World()
    yield world
    world.chain.close()
