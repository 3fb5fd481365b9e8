"""What a round does first: votes leave before anything is done about blocks that are final, and that is told only once
it is on the disk.
"""

import time
from pathlib import Path

import pytest
from chainlet import DOMAIN, GENESIS, GENESIS_STATE, MEMBERS, PARAMS, SECRETS
from machine import LEADERS, Machine

from consensus import crypto
from consensus.messages import (
    FINALIZE,
    NOTARIZE,
    ZERO_HASH,
    Block,
    Certificate,
    Header,
    Proposal,
    Vote,
    encode_message,
    keccak,
    make_bitmap,
    vote_digest,
)
from engine.payload import Payload
from validator.batches import BatchPool
from validator.executor import Executor, to_commitment


def vote(signer: int, kind: int, block: Block) -> Vote:
    view, block_hash = block.header.view, block.hash()
    signature = crypto.sign(SECRETS[signer], vote_digest(DOMAIN, kind, 1, view, block_hash))
    return Vote(kind, 1, view, block_hash, signer, signature)


def certify(kind: int, block: Block) -> Certificate:
    signature = crypto.aggregate([vote(signer, kind, block).signature for signer in (1, 2, 3)])
    assert signature is not None
    return Certificate(kind, 1, block.header.view, block.hash(), make_bitmap([1, 2, 3], MEMBERS), signature)


def propose(block: Block, parent: Certificate | None) -> tuple[int, Proposal]:
    leader = block.header.proposer
    return leader, Proposal(block, vote(leader, NOTARIZE, block), parent, ())


@pytest.fixture
def chain() -> list[Block]:
    """Two empty blocks, of views 1 and 2, proposed now."""
    executor = Executor(PARAMS, BatchPool(MEMBERS), GENESIS.hash(), GENESIS_STATE)
    blocks, parent = [], GENESIS
    for view in (1, 2):
        time_ms, payload = time.time_ns() // 1_000_000 + view, Payload((), (), (), 0)
        executed = executor.run(parent.hash(), 1, view, time_ms, payload)
        assert executed is not None and executed.result is not None
        header = Header(
            1, view, view, parent.hash(), parent.view, LEADERS[view - 1], time_ms, keccak(payload.encode()), ZERO_HASH,
            to_commitment(executed.result).encode(),
        )  # fmt: skip
        blocks.append(Block(header, payload.encode()))
        executor.execute(blocks[-1])
        parent = header
    return blocks


def name(said: object) -> object:
    return (said.kind, said.view) if isinstance(said, Vote) else said


def test_a_vote_does_not_wait_for_what_is_done_about_final_blocks(tmp_path: Path, chain: list[Block]) -> None:
    """All at once, as after a pause: the finalisation of one block and the proposal of the next."""
    first, second = chain
    machine = Machine(tmp_path)
    machine.receive(*propose(first, None))
    machine.order.clear()
    machine.agreement.receive(1, encode_message(certify(NOTARIZE, first)))
    machine.agreement.receive(1, encode_message(certify(FINALIZE, first)))
    leader, proposal = propose(second, certify(NOTARIZE, first))
    machine.agreement.receive(leader, encode_message(proposal))
    machine.agreement.tick()
    assert [name(said) for said in machine.order] == [(FINALIZE, 1), (NOTARIZE, 2), 1]
    assert machine.store.is_synced and machine.store.final(1) is not None
    machine.close()


def test_what_is_final_while_nothing_is_said_shares_the_one_sync(tmp_path: Path, chain: list[Block]) -> None:
    machine = Machine(tmp_path)
    machine.receive(*propose(chain[0], None))
    machine.order.clear()
    machine.agreement.receive(1, encode_message(certify(FINALIZE, chain[0])))
    machine.agreement.handle()
    assert machine.order == [1] and machine.agreement.must_speak
    files = machine.agreement.write_out()
    assert machine.store in files and machine.journal in files
    for file in files:
        file.sync()
    machine.agreement.speak()
    assert not machine.agreement.finish()
    machine.close()
