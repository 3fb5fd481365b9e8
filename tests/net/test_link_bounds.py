"""What one peer can cost a member: bounded queues, budgets, and no vote behind anybody's megabytes."""

from dataclasses import replace

import trio
from test_committee import FAST, NETWORK_ID, assert_linked, make_members, make_seed, next_event, open_member, until

from consensus.messages import NOTARIZE, Vote
from net.allowance import MEMBER, Kind, Rate
from net.committee import ANSWERS_WAITING_MAX, STRANGER_FIRST, Committee, CommitteeLimits, Inbound, PeerDown, PeerUp
from net.link import LinkLimits
from net.rogue import open_rogue, stop_reading
from net.wire import (
    PROTOCOL_VERSION,
    SNAPSHOT_CHUNK_BYTES,
    BlockRequest,
    Chunk,
    Consensus,
    Hello,
    Ping,
    Priority,
    RangeRequest,
    encode_frame,
)

VOTE = Consensus(Vote(NOTARIZE, 1, 1, bytes([1]) * 32, 1, bytes(96)))
MEGABYTE = Chunk(bytes(32), 0, bytes(SNAPSHOT_CHUNK_BYTES))


def make_hello(index: int) -> bytes:
    return encode_frame(Hello(NETWORK_ID, PROTOCOL_VERSION, index, 0, 0, bytes(32)))


async def test_a_vote_overtakes_megabytes_of_answers() -> None:
    members = make_members(2)
    async with open_member(members, 0) as low, open_member(members, 1) as high:
        await assert_linked(low, high)
        while high.send(0, MEGABYTE):
            pass
        assert high.statistics()[0].queue_bytes > 4 * SNAPSHOT_CHUNK_BYTES
        high.send(0, VOTE)
        kinds = []
        while "Consensus" not in kinds:
            event = await next_event(low, Inbound)
            kinds.append(type(event.frame).__name__)
        assert kinds.count("Chunk") <= 1


async def speak_and_never_read(committee: Committee, members: list, index: int, nursery: trio.Nursery) -> None:
    """A peer that looks alive: it says its pings, and takes nothing from its socket."""
    rogue = await enter(nursery, index)
    stream = await rogue.open_link(members[committee.me])
    await stream.write(make_hello(index))
    stop_reading(stream.muxed_conn)

    async def ping() -> None:
        token = 0
        try:
            while True:
                token += 1
                await stream.write(encode_frame(Ping(token, 1, 1)))
                await trio.sleep(0.2)
        except Exception:
            return  # the victim has closed it

    nursery.start_soon(ping)


async def enter(nursery: trio.Nursery, index: int) -> object:
    ready: list[object] = []
    is_ready = trio.Event()

    async def hold() -> None:
        async with open_rogue(make_seed(index)) as rogue:
            ready.append(rogue)
            is_ready.set()
            await trio.sleep_forever()

    nursery.start_soon(hold)
    await is_ready.wait()
    return ready[0]


async def test_a_member_that_never_reads_loses_its_link_when_its_queue_is_full() -> None:
    members = make_members(3)
    limits = CommitteeLimits(link=replace(FAST.link, queue_bytes_max=2_000_000, sync_queue_bytes_max=1_500_000))
    async with open_member(members, 0, limits) as victim, open_member(members, 1) as honest:
        await assert_linked(victim, honest)
        async with trio.open_nursery() as nursery:
            await speak_and_never_read(victim, members, 2, nursery)
            await until(lambda: 2 in victim.peers())
            largest_bytes = 0
            # Its socket takes some megabytes before the queue fills.
            with trio.fail_after(20):
                while 2 in victim.peers():
                    victim.send(2, MEGABYTE, Priority.AGREEMENT)
                    largest_bytes = max(largest_bytes, victim.statistics()[2].queue_bytes)
                    await trio.sleep(0)
            down = await next_event(victim, PeerDown)
            assert "queue over 2000000 bytes" in down.reason
            assert largest_bytes <= 2_000_000
            nursery.cancel_scope.cancel()
        await assert_linked(victim, honest)
        assert victim.statistics()[1].links == 1


async def test_a_peer_whose_socket_takes_nothing_for_long_is_dropped_however_little_waits() -> None:
    members = make_members(3)
    limits = CommitteeLimits(link=replace(FAST.link, write_timeout_s=1.0))
    async with open_member(members, 0, limits) as victim, trio.open_nursery() as nursery:
        await speak_and_never_read(victim, members, 2, nursery)
        await until(lambda: 2 in victim.peers())
        for _ in range(5):  # more than the kernel takes, far less than the queue does
            victim.send(2, MEGABYTE)
        with trio.fail_after(10):
            down = await next_event(victim, PeerDown)
        assert down.reason == "reads nothing for 1 s"
        nursery.cancel_scope.cancel()


async def test_a_member_that_reads_nothing_on_its_next_link_either_is_banned() -> None:
    members = make_members(3)
    limits = CommitteeLimits(link=replace(FAST.link, write_timeout_s=1.0))
    async with open_member(members, 0, limits) as victim, open_member(members, 1, limits) as honest:
        await assert_linked(victim, honest)
        for bans in (0, 1):
            async with trio.open_nursery() as nursery:
                await speak_and_never_read(victim, members, 2, nursery)
                await until(lambda: 2 in victim.peers())
                for _ in range(5):
                    victim.send(2, MEGABYTE)
                await until(lambda: 2 not in victim.peers())
                nursery.cancel_scope.cancel()
            assert (victim.statistics()[2].banned_for_s > 0) == bool(bans)
        assert victim.statistics()[1].banned_for_s == 0 and 1 in victim.peers()


async def test_a_listener_that_never_reads_is_dropped_and_nobody_notices() -> None:
    members = make_members(3)
    limits = CommitteeLimits(link=replace(FAST.link, write_timeout_s=1.0), strangers_max=1)
    async with open_member(members[:2], 0, limits) as victim, open_member(members[:2], 1) as honest:
        await assert_linked(victim, honest)
        async with trio.open_nursery() as nursery:
            await speak_and_never_read(victim, members, 2, nursery)
            up = await next_event(victim, PeerUp)
            assert up == PeerUp(STRANGER_FIRST, 0, 0)
            sent, heard = 0, 0
            with trio.fail_after(20):
                while STRANGER_FIRST in victim._links:
                    sent += victim.broadcast(MEGABYTE)
                    heard += isinstance((await next_event(honest, Inbound)).frame, Chunk)
                    await trio.sleep(0.01)
            nursery.cancel_scope.cancel()
        assert heard > 0
        assert victim.statistics()[1].links == 1


async def test_the_listeners_share_of_the_line_is_bounded() -> None:
    members = make_members(2)
    limits = CommitteeLimits(link=FAST.link, strangers_max=1)
    async with open_member(members[:1], 0, limits) as host, open_member(members, 1) as listener:
        await until(lambda: listener.peers() == [0])
        await next_event(host, PeerUp)
        taken = 0
        while host.send(STRANGER_FIRST, VOTE) and taken < 1_000_000:
            taken += 1
            if taken % 100 == 0:
                await trio.sleep(0)
        assert not host.send(STRANGER_FIRST, VOTE), "it is in debt"
        assert listener.peers() == [0], "and keeps its link"


async def test_a_listener_is_heard_when_it_asks_and_not_when_it_votes() -> None:
    members = make_members(2)
    limits = CommitteeLimits(link=FAST.link, strangers_max=1)
    async with open_member(members[:1], 0, limits) as host, open_member(members, 1) as listener:
        await until(lambda: listener.peers() == [0])
        for frame in (VOTE, RangeRequest(1, 1), VOTE, BlockRequest(bytes(32))):
            listener.send(0, frame)
        heard = [(await next_event(host, Inbound)).frame for _ in range(2)]
        assert heard == [RangeRequest(1, 1), BlockRequest(bytes(32))]


async def test_a_flood_waits_in_the_flooders_socket_and_others_are_heard() -> None:
    members = make_members(3)
    slow = {kind: Rate(frames_per_s=10, bytes_per_s=1e9, burst_s=5) for kind in Kind}
    limits = CommitteeLimits(link=FAST.link, member_rates={**MEMBER, Kind.AGREEMENT: slow[Kind.AGREEMENT]})
    async with (
        open_member(members, 0, limits) as victim,
        open_member(members, 1) as honest,
        open_member(members, 2) as flooder,
    ):
        await until(lambda: victim.peers() == [1, 2])
        for _ in range(2_000):
            flooder.send(0, VOTE)
        heard: set[int] = set()
        honest.send(0, VOTE)
        while heard != {1, 2}:
            heard.add((await next_event(victim, Inbound)).peer)
        await trio.sleep(0.3)
        await assert_linked(victim, honest)
        # Fifty at once, then ten a second; pings and the hello are paid from the same budget.
        assert victim.statistics()[2].frames_in < 200
        assert victim.peers() == [1, 2]


async def test_a_beat_is_silent_when_something_else_was_said() -> None:
    members = make_members(2)
    limits = CommitteeLimits(link=LinkLimits(heartbeat_s=0.1, beats_per_ping=1_000, dead_after_s=1.0))
    async with open_member(members, 0, limits) as low, open_member(members, 1, limits) as high:
        await until(lambda: low.peers() == [1] and high.peers() == [0])

        def count_frames() -> int:
            return low.statistics()[1].frames_out

        async def talk(committee: Committee, peer: int) -> int:
            before = count_frames()
            for _ in range(40):
                committee.send(peer, VOTE)
                await next_event(high if committee is low else low, Inbound)
                await trio.sleep(0.05)
            return count_frames() - before

        async with trio.open_nursery() as nursery:
            nursery.start_soon(talk, high, 0)
            assert await talk(low, 1) <= 40 + 4, "votes, and hardly a ping"
        assert low.peers() == [1]
        before = count_frames()
        await trio.sleep(1.0)
        assert count_frames() > before, "silence is broken by pings"
        assert low.peers() == [1]


async def test_a_member_that_moved_is_found_at_its_new_address() -> None:
    members, others = make_members(2), make_members(2)
    moved = [replace(members[0], port=others[0].port), members[1]]
    async with open_member(members, 1) as high:
        async with open_member(members, 0):
            await until(lambda: high.peers() == [0])
        await until(lambda: high.peers() == [])
        async with open_member(moved, 0) as low:
            high.update(moved)
            await assert_linked(low, high)


async def test_a_member_under_a_strangers_key_is_a_stranger() -> None:
    """The number in a hello is believed of nobody: it must be the one that the registry binds the key to."""
    members = make_members(3)
    async with open_member(members, 0) as victim, open_rogue(bytes([200]) * 32) as rogue:
        try:
            stream = await rogue.open_link(members[0])
            await stream.write(make_hello(2))
        except Exception:
            pass  # refused at the handshake
        await trio.sleep(0.3)
        assert victim.peers() == []


async def test_who_does_not_read_its_answers_is_to_get_no_more_of_them() -> None:
    answer = Chunk(bytes(32), 0, bytes(1 << 16))
    members = make_members(3)
    async with open_member(members, 0) as victim, open_member(members, 1) as honest:
        await assert_linked(victim, honest)
        async with trio.open_nursery() as nursery:
            await speak_and_never_read(victim, members, 2, nursery)
            await until(lambda: 2 in victim.peers())
            with trio.fail_after(20):
                while victim.takes_answers(2):  # its socket takes some megabytes first
                    assert victim.send(2, answer)
                    await trio.sleep(0)
            assert victim.statistics()[2].queue_bytes > (ANSWERS_WAITING_MAX - 1) * len(answer.data)
            for _ in range(10 * ANSWERS_WAITING_MAX):  # who reads is never refused for long
                assert victim.send(1, answer)
                await until(lambda: victim.takes_answers(1))
            nursery.cancel_scope.cancel()
