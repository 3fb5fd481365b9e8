"""Who posts which header and when: by blocks, by time, on demand, in turns, again after a reorganisation."""

from dataclasses import dataclass, field

import pytest
import trio
from trio.testing import MockClock

from contracts.records import ChainError, Refused, TxResult
from tests.validator.chainlet import Chainlet, certify
from validator.submitter import (
    LOOK_INTERVAL_S,
    RESEND_AFTER_S,
    SUBMIT_TURN_S,
    Cadence,
    Candidate,
    Submitter,
)
from validator.watcher import OnChain

MEMBERS = 4
CADENCE = Cadence(interval_blocks=60, interval_s=600.0)
BLOCK = Chainlet().add([])
CERTIFICATE = certify(BLOCK)


def candidate(height: int, me: int = 0) -> Candidate:
    return Candidate(BLOCK.header._replace(height=height), CERTIFICATE, me, MEMBERS)


@dataclass
class FakeContract:
    """Takes headers that advance, and can be told to fail. `posted`: what it took, with when."""

    last_height: int = 0
    is_dead: bool = False
    posted: list[tuple[int, float]] = field(default_factory=list)
    calls: list[tuple[bytes, list[int], bytes]] = field(default_factory=list)

    async def checkpoint(self, header: bytes, absent: list[int], signature: bytes) -> TxResult:
        if self.is_dead:
            raise ChainError("the settlement chain did not answer")
        self.calls.append((header, absent, signature))
        height = int.from_bytes(header[96:128], "big")
        if height <= self.last_height:
            raise Refused("checkpoint: height")
        self.last_height = height
        self.posted.append((height, trio.current_time()))
        return TxResult(bytes(32), 1, 200_000)


@dataclass
class FakeNode:
    """`certified`: the newest header. `prepared`: what was made durable."""

    certified: int = 0
    me: int = 0
    urgent: bool = False
    prepared: list[int] = field(default_factory=list)

    def find_candidate(self, above_height: int) -> Candidate | None:
        return candidate(self.certified, self.me) if self.certified > above_height else None

    def is_urgent(self, candidate: Candidate, posted_height: int) -> bool:
        return self.urgent

    async def wait_final(self) -> None:
        await trio.sleep_forever()

    async def prepare(self, height: int) -> None:
        self.prepared.append(height)


class Scene:
    """A submitter at work. The chain shows what was posted at once, unless a test holds it back."""

    def __init__(self, *contracts: FakeContract, node: FakeNode) -> None:
        self.contracts, self.node, self.on_chain = contracts, node, OnChain()
        self._scope = trio.CancelScope()

    async def run_for(self, duration_s: float) -> None:
        with trio.move_on_after(duration_s):
            await Submitter([contract.checkpoint for contract in self.contracts], CADENCE).run(self.on_chain, self.node)

    @property
    def heights(self) -> list[int]:
        return [height for height, _ in self.contracts[0].posted]


def turn_of(me: int, posted_height: int = 0) -> int:
    from validator.submitter import _find_turn

    return _find_turn(candidate(1, me), posted_height)


FIRST = next(me for me in range(MEMBERS) if turn_of(me) == 0)


@pytest.mark.parametrize(
    ("certified", "urgent", "wait_s", "heights"),
    [
        (59, False, 100, []),  # too few blocks, too soon
        (60, False, 1, [60]),
        (61, False, 1, [61]),
        (4, True, 1, [4]),  # somebody waits
        (4, False, CADENCE.interval_s - 2, []),
        (4, False, CADENCE.interval_s + 2, [4]),
        (0, True, 100, []),  # nothing is certified
    ],
)
async def test_by_blocks_by_time_and_on_demand(
    autojump_clock: MockClock, certified: int, urgent: bool, wait_s: float, heights: list[int]
) -> None:
    scene = Scene(FakeContract(), node=FakeNode(certified, FIRST, urgent))
    await scene.run_for(wait_s)
    assert scene.heights == heights
    assert scene.node.prepared == heights  # its claims file comes first


async def test_what_is_posted_is_the_header_its_signature_and_who_is_absent(autojump_clock: MockClock) -> None:
    scene = Scene(FakeContract(), node=FakeNode(60, FIRST))
    await scene.run_for(1)
    assert scene.contracts[0].calls == [(candidate(60).header.encode(), [3], CERTIFICATE.signature)]
    assert scene.on_chain.posted_height == 60


@pytest.mark.parametrize("me", range(MEMBERS))
async def test_members_take_turns_and_the_next_steps_in(autojump_clock: MockClock, me: int) -> None:
    scene = Scene(FakeContract(), node=FakeNode(60, me))
    began_s = trio.current_time()
    await scene.run_for(MEMBERS * SUBMIT_TURN_S + 2)
    ((height, at_s),) = scene.contracts[0].posted
    waited_s = at_s - began_s - turn_of(me) * SUBMIT_TURN_S
    assert height == 60 and 0 <= waited_s <= 3 * LOOK_INTERVAL_S


async def test_that_another_was_faster_is_no_error(autojump_clock: MockClock) -> None:
    contract = FakeContract(last_height=64)
    scene = Scene(contract, node=FakeNode(60, FIRST))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.run_for, 30)
        await trio.sleep(1)
        scene.on_chain.posted_height = 64  # the next poll shows it
    assert scene.heights == [] and len(contract.calls) == 1


async def test_the_same_is_not_posted_twice_while_endpoints_lag(autojump_clock: MockClock) -> None:
    """What the contract took from us counts, although the endpoints show an older block for a while."""
    scene = Scene(FakeContract(), node=FakeNode(60, FIRST, urgent=True))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.run_for, RESEND_AFTER_S - 2)
        for _ in range(60):
            await trio.sleep(0.5)
            scene.on_chain.posted_height = 0
    assert len(scene.contracts[0].calls) == 1


async def test_a_checkpoint_that_the_chain_takes_back_is_sent_again_unchanged(autojump_clock: MockClock) -> None:
    contract, node = FakeContract(), FakeNode(60, FIRST)
    scene = Scene(contract, node=node)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.run_for, 2 * RESEND_AFTER_S)
        await trio.sleep(5)
        contract.last_height = scene.on_chain.posted_height = 0
        node.certified = 64
    assert scene.heights == [60, 60]
    assert contract.calls[0] == contract.calls[1]


async def test_what_is_final_is_not_sent_again_whatever_endpoints_show(autojump_clock: MockClock) -> None:
    scene = Scene(FakeContract(), node=FakeNode(60, FIRST))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.run_for, 3 * RESEND_AFTER_S)
        await trio.sleep(5)
        scene.on_chain.height = 60
        scene.node.certified = 0
        await trio.sleep(1)
        scene.on_chain.posted_height = 0
    assert len(scene.contracts[0].calls) == 1


async def test_when_an_endpoint_is_dead_the_next_one_is_asked(autojump_clock: MockClock) -> None:
    dead, alive = FakeContract(is_dead=True), FakeContract()
    scene = Scene(dead, alive, node=FakeNode(60, FIRST))
    await scene.run_for(5)
    assert [height for height, _ in alive.posted] == [60] and dead.posted == []
