"""Links between honest members, in one process: meshing, delivery, restarts, back-pressure, clean shutdown."""

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import trio

from engine.commands import CANCEL_ALL, Command
from engine.payload import Batch
from net.committee import (
    STRANGER_FIRST,
    Committee,
    CommitteeLimits,
    Event,
    Inbound,
    MemberAddress,
    PeerDown,
    PeerUp,
    open_committee,
)
from net.identity import derive_network_key
from net.link import HelloState, LinkLimits
from net.wire import BatchFrame, BlockRequest, RangeRequest

NETWORK_ID = bytes([9]) * 32
HOST = "127.0.0.1"
MESSAGE = Command.of(CANCEL_ALL, bytes(20), 1, 1).encode()
FAST = CommitteeLimits(link=LinkLimits(heartbeat_s=0.1, dead_after_s=1.0))


def make_seed(index: int) -> bytes:
    return bytes([index + 1]) * 32


def make_members(count: int) -> list[MemberAddress]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind((HOST, 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return [MemberAddress(i, derive_network_key(make_seed(i)), HOST, port) for i, port in enumerate(ports)]


@asynccontextmanager
async def open_member(
    members: list[MemberAddress], index: int, limits: CommitteeLimits = FAST, network_id: bytes = NETWORK_ID
) -> AsyncIterator[Committee]:
    async with open_committee(
        seed=make_seed(index),
        me=index,
        members=members,
        network_id=network_id,
        listen_host=HOST,
        hello=lambda: HelloState(10 + index, 20 + index),
        limits=limits,
    ) as committee:
        yield committee


async def until(condition: Callable[[], bool], timeout_s: float = 10.0) -> float:
    """Seconds until the condition holds."""
    start_s = trio.current_time()
    with trio.fail_after(timeout_s):
        while not condition():
            await trio.sleep(0.01)
    return trio.current_time() - start_s


async def next_event(committee: Committee, kind: type, timeout_s: float = 10.0) -> Event:
    with trio.fail_after(timeout_s):
        while True:
            event = await committee.events.receive()
            if isinstance(event, kind):
                return event


async def assert_linked(one: Committee, other: Committee) -> None:
    """Both ends deliver; sent again until it arrives, for a link may just be ending."""
    for sender, receiver in ((one, other), (other, one)):
        wanted = Inbound(sender.me, BlockRequest(bytes([sender.me]) * 32))
        with trio.fail_after(10):
            while True:
                sender.send(receiver.me, wanted.frame)
                with trio.move_on_after(0.2):
                    while await next_event(receiver, Inbound) != wanted:
                        pass
                    break


async def test_four_members_mesh_and_hear_each_broadcast() -> None:
    members = make_members(4)
    async with AsyncExitStack() as stack:
        committees = [await stack.enter_async_context(open_member(members, i)) for i in (2, 0, 3, 1)]
        await until(lambda: all(len(committee.peers()) == 3 for committee in committees))
        for committee in committees:
            assert committee.broadcast(RangeRequest(committee.me, 1)) == 3
        for committee in committees:
            others = set(range(4)) - {committee.me}
            events = [await committee.events.receive() for _ in range(6)]
            assert {event for event in events if isinstance(event, PeerUp)} == {
                PeerUp(other, 10 + other, 20 + other) for other in others
            }
            assert {event for event in events if isinstance(event, Inbound)} == {
                Inbound(other, RangeRequest(other, 1)) for other in others
            }


async def test_a_newcomer_is_linked_once_both_know_it_and_cut_off_when_it_leaves() -> None:
    members = make_members(4)
    async with AsyncExitStack() as stack:
        old = [await stack.enter_async_context(open_member(members[:3], i)) for i in range(3)]
        await until(lambda: all(len(committee.peers()) == 2 for committee in old))
        newcomer = await stack.enter_async_context(open_member(members, 3))
        old[0].update(members)
        await until(lambda: newcomer.peers() == [0] and old[0].peers() == [1, 2, 3])
        for committee in old[1:]:
            committee.update(members)
        await until(lambda: newcomer.peers() == [0, 1, 2])
        for committee in old:
            await assert_linked(committee, newcomer)
        without_first = members[1:]
        for committee in (*old[1:], newcomer):
            committee.update(without_first)
        await until(lambda: newcomer.peers() == [1, 2] and old[1].peers() == [2, 3] and old[0].peers() == [])
        assert set(newcomer.statistics()) == {1, 2}
        newcomer.update(members)
        for committee in old[1:]:
            committee.update(members)
        await until(lambda: all(len(committee.peers()) == 3 for committee in (*old, newcomer)))


async def test_a_stranger_listens_within_its_slot_until_it_is_a_member() -> None:
    members = make_members(5)
    limits = CommitteeLimits(link=FAST.link, strangers_max=1)
    async with AsyncExitStack() as stack:
        host = await stack.enter_async_context(open_member(members[:1], 0, limits))
        stranger = await stack.enter_async_context(open_member(members, 3))
        await until(lambda: stranger.peers() == [0])
        up = await next_event(host, PeerUp)
        assert isinstance(up, PeerUp) and up.peer == STRANGER_FIRST
        assert host.peers() == [] and host.statistics() == {}
        assert host.broadcast(BlockRequest(bytes(32))) == 1 and host.send(STRANGER_FIRST, BlockRequest(bytes(32)))
        another = await stack.enter_async_context(open_member(members, 4))
        await trio.sleep(0.5)
        assert 0 not in another.peers(), "there is one slot"
        host.update([members[0], members[3]])
        await until(lambda: host.peers() == [3] and 0 in stranger.peers())
        await assert_linked(host, stranger)
        await until(lambda: 0 in another.peers())


async def test_without_slots_no_stranger_is_admitted() -> None:
    members = make_members(2)
    async with open_member(members[:1], 0), open_member(members, 1) as stranger:
        await trio.sleep(0.5)
        assert stranger.peers() == []


async def test_no_more_members_are_linked_than_the_limit_says() -> None:
    members = make_members(4)
    async with open_member(members, 3, CommitteeLimits(link=FAST.link, members_max=2)) as committee:
        assert set(committee.statistics()) == {0, 1}


async def test_a_restarted_member_links_again_in_both_directions() -> None:
    members = make_members(3)
    async with open_member(members, 0) as low, open_member(members, 2) as high:
        for _ in range(2):
            async with open_member(members, 1) as middle:
                await until(lambda: 1 in low.peers() and 1 in high.peers())
                await assert_linked(low, middle)
                await assert_linked(high, middle)
            assert await until(lambda: low.peers() == [2] and high.peers() == [0]) < 1
        assert low.statistics()[1].links == 2
        assert low.statistics()[2].links == 1


async def test_up_and_down_alternate() -> None:
    members = make_members(2)
    async with open_member(members, 0) as low:
        for _ in range(3):
            async with open_member(members, 1):
                assert isinstance(await next_event(low, PeerUp | PeerDown), PeerUp)
            assert isinstance(await next_event(low, PeerUp | PeerDown), PeerDown)


async def test_a_slow_consumer_holds_its_peers_back_and_loses_nothing() -> None:
    members, count = make_members(2), 3000
    limits = CommitteeLimits(link=FAST.link, events_max=4)
    async with open_member(members, 0, limits) as low, open_member(members, 1, limits) as high:
        await until(lambda: low.peers() == [1])
        for sequence in range(1, count + 1):
            assert high.send(0, BatchFrame(Batch(1, sequence, MESSAGE * 10, bytes(64))))
        await trio.sleep(2 * FAST.link.dead_after_s)
        assert low.peers() == [1] and low.statistics()[1].links == 1
        sequences = []
        while len(sequences) < count:
            event = await next_event(low, Inbound)
            sequences.append(event.frame.batch.sequence)
        assert sequences == list(range(1, count + 1))
        assert high.statistics()[0].writes < count / 4


async def test_a_full_queue_ends_the_link_and_says_so() -> None:
    members = make_members(2)
    limits = CommitteeLimits(link=LinkLimits(queue_bytes_max=100_000, sync_queue_bytes_max=50_000))
    async with open_member(members, 0, limits) as low, open_member(members, 1, limits) as high:
        await next_event(high, PeerUp)  # a link that ends before it was announced is not announced as down either
        frame = BatchFrame(Batch(1, 1, MESSAGE * 200, bytes(64)))
        assert [high.send(0, frame) for _ in range(3)] == [True, True, False]
        down = await next_event(high, PeerDown)
        assert "queue over" in down.reason
        await assert_linked(low, high)


async def test_statistics_count_and_measure() -> None:
    members = make_members(2)
    async with open_member(members, 0) as low, open_member(members, 1) as high:
        await assert_linked(low, high)
        await until(lambda: low.statistics()[1].rtt_ms > 0)
        seen = low.statistics()[1]
        assert seen.connected and seen.links == 1 and (seen.height, seen.view) == (11, 21)
        assert seen.bytes_in > 0 and seen.frames_out > 0 and seen.last_heard_ago_s < 1
        assert 0 < seen.rtt_ms < 1000


async def test_a_member_of_another_network_is_refused() -> None:
    members = make_members(2)
    async with open_member(members, 0) as low, open_member(members, 1, network_id=bytes(32)) as high:
        await until(lambda: low.statistics()[1].score + high.statistics()[0].score > 0)
        assert low.peers() == [] == high.peers()


async def test_a_taken_port_is_an_error_at_once() -> None:
    members = make_members(1)
    async with open_member(members, 0):
        with pytest.raises(OSError, match="in use"):
            async with open_member(members, 0):
                pass


async def test_a_wrong_seed_is_an_error_at_once() -> None:
    members = make_members(2)
    with pytest.raises(ValueError, match="not that of member"):
        async with open_committee(
            seed=make_seed(0), me=1, members=members, network_id=NETWORK_ID, listen_host=HOST, hello=lambda: (0, 0)
        ):
            pass


async def test_shutdown_is_quick_and_frees_the_port() -> None:
    members = make_members(3)
    async with open_member(members, 0), open_member(members, 2):
        for _ in range(2):
            with trio.CancelScope() as scope:
                async with open_member(members, 1) as middle:
                    await until(lambda middle=middle: middle.peers() == [0, 2])
                    start_s = trio.current_time()
                    scope.cancel()
                    await trio.sleep_forever()
            assert trio.current_time() - start_s < 2
