"""Speculative execution: states for every block that may become final, whoever built it, and for no other."""

import pytest

from consensus.messages import ZERO_HASH, Block, Header, keccak
from engine.params import DEFAULT_MARKETS, ExchangeParams
from engine.payload import Payload
from engine.state import genesis
from validator.batches import BatchPool
from validator.executor import Executor, to_commitment
from validator.recovery import make_genesis_header

PARAMS = ExchangeParams(DEFAULT_MARKETS, b"\1" * 20, 4, 31337, b"\2" * 20)
GENESIS_STATE = genesis(PARAMS, 1_000)
GENESIS = make_genesis_header(GENESIS_STATE, 1)


@pytest.fixture
def executor():
    return Executor(PARAMS, BatchPool(4), GENESIS.hash(), GENESIS_STATE)


def build(executor: Executor, parent: Header, view: int, is_remembered: bool) -> Block:
    """What a leader does: execute an empty payload, then put the answer into the header."""
    payload = Payload((), (), (), view).encode()
    timestamp_ms = 1_000 + view
    executed = executor.run(parent.hash(), 1, parent.height + 1, timestamp_ms, Payload.decode(payload))
    if is_remembered:
        executor.remember(parent.hash(), timestamp_ms, payload, executed)
    commitment = to_commitment(executed.result).encode()
    header = Header(
        1, view, parent.height + 1, parent.hash(), parent.view, 0, timestamp_ms, keccak(payload), ZERO_HASH, commitment
    )
    return Block(header, payload)


def test_a_child_of_our_own_block_executes_before_ours_is_final(executor):
    """Agreement never asks a leader to execute its own block: its state has to be found through the block."""
    held = {}
    executor.find_block = held.get
    own = build(executor, GENESIS, 1, is_remembered=True)
    held[own.hash()] = own
    other = Executor(PARAMS, BatchPool(4), GENESIS.hash(), GENESIS_STATE)
    assert other.execute(own) == own.header.commitment
    child = build(other, own.header, 2, is_remembered=False)
    assert executor.execute(child) == child.header.commitment


def test_two_children_of_one_parent_do_not_disturb_each_other(executor):
    left = build(executor, GENESIS, 1, is_remembered=False)
    right = build(executor, GENESIS, 2, is_remembered=False)
    assert executor.execute(right) == right.header.commitment
    assert executor.execute(left) == left.header.commitment


def test_what_cannot_become_final_is_forgotten(executor):
    left, right = (build(executor, GENESIS, view, is_remembered=False) for view in (1, 2))
    executor.execute(left), executor.execute(right)
    child = build(executor, left.header, 3, is_remembered=False)
    executor.execute(child)
    executor.finalise(left.hash())
    assert executor.get(right.hash()) is None and executor.get(GENESIS.hash()) is None
    assert executor.get(child.hash()).height == 2
    assert executor.finalise(child.hash()).height == 2


def test_an_invalid_payload_and_an_unknown_parent_have_no_result(executor):
    block = build(executor, GENESIS, 1, is_remembered=False)
    garbage = Block(block.header._replace(payload_root=keccak(b"x")), b"x")
    assert executor.execute(garbage) is None
    orphan = Block(block.header._replace(parent_hash=b"\7" * 32), block.payload)
    assert executor.execute(orphan) is None
    missing = Payload(((0, 1, b"\5" * 32),), (), (), 1)
    assert executor.missing_batches(missing) == [(0, 1, b"\5" * 32)]
    assert executor.run(GENESIS.hash(), 1, 1, 2_000, missing) is None


def test_final_blocks_in_a_row_give_the_same_results_on_states_that_are_given_up(executor):
    chain, parent = [], GENESIS
    for view in (1, 2, 3):
        chain.append(build(executor, parent, view, is_remembered=False))
        executor.execute(chain[-1])
        parent = chain[-1].header
    follower = Executor(PARAMS, BatchPool(4), GENESIS.hash(), GENESIS_STATE)
    assert follower.execute(chain[0]) == chain[0].header.commitment
    follower.finalise(chain[0].hash())
    given_up = follower.final.state
    for block in chain[1:]:
        assert follower.advance(block) == block.header.commitment
        follower.finalise(block.hash())
    assert follower.final.state.tables is given_up.tables
    assert executor.final.state.tables is not given_up.tables
    assert executor.execute(build(executor, GENESIS, 4, is_remembered=False)) is not None


def test_a_state_with_a_child_is_not_given_up(executor):
    left, right = (build(executor, GENESIS, view, is_remembered=False) for view in (1, 2))
    assert executor.execute(left) == left.header.commitment
    before = executor.final.state.tables
    assert executor.advance(right) == right.header.commitment
    assert executor.get(right.hash()).state.tables is not before
