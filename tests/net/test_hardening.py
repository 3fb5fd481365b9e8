"""A host between one honest member and one attacker: whatever arrives, the host and its honest link stay."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import pytest
import trio
from libp2p.stream_muxer.yamux import yamux
from test_committee import FAST, HOST, NETWORK_ID, assert_linked, make_members, make_seed, open_member, until

from net.committee import Committee, MemberAddress
from net.doorkeeper import DoorLimits
from net.fastlane import WINDOW_BYTES
from net.hardening import abort_connection
from net.peer_identity import peer_id_of
from net.rogue import open_rogue
from net.wire import PROTOCOL_VERSION, BlockRequest, FrameType, Hello, Pong, encode_frame

ROGUE = 2
HELLO = encode_frame(Hello(NETWORK_ID, PROTOCOL_VERSION, ROGUE, 0, 0, bytes(32)))


@asynccontextmanager
async def open_scene() -> AsyncIterator[tuple[list[MemberAddress], Committee]]:
    """Members 0 (the victim) and 1 linked; member 2 is the rogue. Afterwards the honest link must never have moved."""
    members = make_members(3)
    limits = replace(FAST, link=replace(FAST.link, hello_timeout_s=0.5))
    async with open_member(members, 0, limits) as victim, open_member(members, 1, limits) as honest:
        await assert_linked(victim, honest)
        yield members, victim
        await assert_linked(victim, honest)
        assert victim.statistics()[1].links == 1


async def drain(stream: object, until_s: float = 5.0) -> None:
    """Reads until the other side ends the stream."""
    with trio.fail_after(until_s):
        try:
            while await stream.read(65536):
                pass
        except trio.TooSlowError:
            raise
        except Exception:
            return


ATTACKS: dict[str, bytes] = {
    "oversized frame": HELLO + (2**31).to_bytes(4, "big") + bytes([FrameType.VOTE]),
    "unknown type": HELLO + encode_frame(Pong(1))[:4] + b"\xee" + bytes(8),
    "random bytes": HELLO + bytes(range(7, 256)) * 50,
    "malformed vote": HELLO + (3).to_bytes(4, "big") + bytes([FrameType.VOTE]) + b"\xff\xff\xff",
    "second hello": HELLO + HELLO,
    "no hello": encode_frame(BlockRequest(bytes(32))),
    "silence": b"",
    "another index": encode_frame(Hello(NETWORK_ID, PROTOCOL_VERSION, 1, 0, 0, bytes(32))),
    "another version": encode_frame(Hello(NETWORK_ID, 99, ROGUE, 0, 0, bytes(32))),
}


@pytest.mark.parametrize("attack", ATTACKS)
async def test_a_member_that_sends_rubbish_loses_its_link_only(attack: str) -> None:
    async with open_scene() as (members, victim), open_rogue(make_seed(ROGUE)) as rogue:
        stream = await rogue.open_link(members[0])
        if ATTACKS[attack]:
            await stream.write(ATTACKS[attack])
        await drain(stream)
        await until(lambda: ROGUE not in victim.peers())
        if attack != "silence":
            assert victim.statistics()[ROGUE].score > 0


async def test_a_truncated_frame_ends_with_its_stream() -> None:
    async with open_scene() as (members, victim), open_rogue(make_seed(ROGUE)) as rogue:
        stream = await rogue.open_link(members[0])
        await stream.write(HELLO + encode_frame(BlockRequest(bytes(32)))[:20])
        await until(lambda: ROGUE in victim.peers())
        await stream.close()
        await until(lambda: ROGUE not in victim.peers())


async def test_repeated_rubbish_bans_at_the_handshake() -> None:
    async with open_scene() as (members, victim), open_rogue(make_seed(ROGUE)) as rogue:
        for _ in range(2):
            stream = await rogue.open_link(members[0])
            await stream.write(ATTACKS["malformed vote"])
            await drain(stream)
        assert victim.statistics()[ROGUE].banned_for_s > 5
        with pytest.raises(Exception):  # noqa: B017 (the library's choice)
            await rogue.open_link(members[0])


NEGOTIATIONS: dict[str, bytes] = {
    "not multistream": b"\x05abcd\n",
    "not a string": b"\x05\xff\xfe\xfd\xfc\n",
    "no length": b"\xff" * 20,
    "huge length": b"\xff\xff\xff\xff\x0f" + bytes(4096),
    "unknown protocol": b"\x13/multistream/1.0.0\n\x0b/hansa/xyz\n",
}


@pytest.mark.parametrize("name", NEGOTIATIONS)
async def test_malformed_negotiation_on_an_authenticated_stream(name: str) -> None:
    async with open_scene() as (members, victim), open_rogue(make_seed(ROGUE)) as rogue:
        stream = await (await rogue.connect(members[0])).new_stream()
        await stream.write(NEGOTIATIONS[name])
        with trio.move_on_after(0.3):
            await drain(stream)
        assert ROGUE not in victim.peers()


@pytest.mark.parametrize("name", NEGOTIATIONS)
async def test_malformed_negotiation_of_a_stranger(name: str) -> None:
    async with open_scene() as (members, _):
        tcp = await trio.open_tcp_stream(HOST, members[0].port)
        await tcp.send_all(NEGOTIATIONS[name])
        with trio.move_on_after(0.3), suppress(trio.BrokenResourceError):
            while await tcp.receive_some():
                pass
        await tcp.aclose()


async def test_plaintext_is_not_offered() -> None:
    async with open_scene() as (members, _):
        tcp = await trio.open_tcp_stream(HOST, members[0].port)
        await tcp.send_all(b"\x13/multistream/1.0.0\n\x11/plaintext/2.0.0\n")
        answer = b""
        with trio.move_on_after(1):
            while b"na\n" not in answer:
                answer += await tcp.receive_some()
        assert b"\x03na\n" in answer
        await tcp.aclose()


async def test_a_stranger_and_a_member_out_of_turn_are_refused() -> None:
    async with open_scene() as (members, victim):
        async with open_rogue(bytes([200]) * 32) as stranger:
            with pytest.raises(Exception):  # noqa: B017 (the library's choice)
                await stranger.open_link(members[0])
        # Member 0 has the lowest index, so nobody admits it inbound.
        async with open_rogue(make_seed(0)) as lower:
            with pytest.raises(Exception):  # noqa: B017 (the library's choice)
                await lower.open_link(members[1])
        assert victim.peers() == [1]


async def test_inbound_slots_come_back() -> None:
    members, slots = make_members(3), 4
    async with open_member(members, 0, replace(FAST, inbound_slots=slots)) as victim:
        async with open_rogue(make_seed(ROGUE)) as rogue:
            for _ in range(3 * slots):
                stream = await rogue.open_link(members[0])
                await stream.write(HELLO)
                await until(lambda: ROGUE in victim.peers())
                abort_connection(stream.muxed_conn)
                await until(lambda: ROGUE not in victim.peers())
        async with open_member(members, 1) as honest:
            await assert_linked(victim, honest)


async def test_idle_connections_of_one_address_do_not_take_all_slots() -> None:
    members = make_members(2)
    async with open_member(members, 0) as victim, trio.open_nursery() as nursery:
        idle = [
            await trio.open_tcp_stream(HOST, members[0].port) for _ in range(DoorLimits().connections_per_address + 5)
        ]
        await trio.sleep(0.2)
        with trio.fail_after(2):  # the last ones are closed at once
            for tcp in idle[-5:]:
                while await tcp.receive_some():
                    pass
        nursery.cancel_scope.cancel()
        assert victim.peers() == []
        for tcp in idle:
            await tcp.aclose()


async def say_rubbish(port: int, source: str) -> bytes:
    """And hear the answer, to its end."""
    answer = b""
    with suppress(OSError, trio.BrokenResourceError):
        async with await trio.open_tcp_stream(HOST, port, local_address=source) as tcp:
            await tcp.send_all(NEGOTIATIONS["not multistream"])
            while data := await tcp.receive_some():
                answer += data
    return answer


async def test_an_address_whose_attempts_come_to_nothing_is_shut_out(caplog: pytest.LogCaptureFixture) -> None:
    """Thirty times rubbish from the street; whoever comes from where a member lives is let in all the while."""
    members, street = make_members(3), "127.0.9.9"
    async with open_member(members, 0) as victim, open_member(members, 1) as honest:
        await assert_linked(victim, honest)
        for _ in range(30):
            await say_rubbish(members[0].port, street)
        assert f"address.shut_out address={street} seconds=30" in caplog.text
        async with open_rogue(make_seed(ROGUE)) as late:
            with pytest.raises(Exception):  # noqa: B017 (the library's choice)
                await late.open_link(members[0], street)
            await (await late.open_link(members[0])).write(HELLO)
            await until(lambda: ROGUE in victim.peers())


async def test_who_is_shut_out_keeps_nobody_else_waiting() -> None:
    """Sixteen at a time go on coming from the street and meet closed sockets."""
    members, street, answers = make_members(3), "127.0.9.10", list[bytes]()

    async def come_again_and_again() -> None:
        while True:
            answers.append(await say_rubbish(members[0].port, street))

    async with open_member(members, 0) as victim, open_rogue(make_seed(ROGUE)) as late:
        for _ in range(30):
            await say_rubbish(members[0].port, street)
        async with trio.open_nursery() as nursery:
            for _ in range(16):
                nursery.start_soon(come_again_and_again)
            with trio.fail_after(10):
                while len(answers) < 100:
                    await trio.sleep(0.01)
                await (await late.open_link(members[0])).write(HELLO)
                await until(lambda: ROGUE in victim.peers())
            nursery.cancel_scope.cancel()
    assert not any(answers)


async def overrun_window(muxed: yamux.Yamux) -> None:
    """Far more data than was granted, into a stream that nobody reads."""
    stream = await muxed.open_stream()
    header = yamux.struct.pack(yamux.YAMUX_HEADER_FORMAT, 0, yamux.TYPE_DATA, 0, stream.stream_id, 60_000)
    for _ in range(3 * WINDOW_BYTES // 60_000):
        await muxed.secured_conn.write(header + bytes(60_000))


async def open_many_streams(muxed: yamux.Yamux) -> None:
    for stream_id in range(1001, 3001, 2):
        header = yamux.struct.pack(yamux.YAMUX_HEADER_FORMAT, 0, yamux.TYPE_WINDOW_UPDATE, yamux.FLAG_SYN, stream_id, 0)
        await muxed.secured_conn.write(header)


async def announce_a_giant(muxed: yamux.Yamux) -> None:
    header = yamux.struct.pack(yamux.YAMUX_HEADER_FORMAT, 0, yamux.TYPE_DATA, 0, 1, 2**32 - 1)
    await muxed.secured_conn.write(header + bytes(1000))


@pytest.mark.parametrize("attack", [overrun_window, open_many_streams, announce_a_giant])
async def test_yamux_abuse_costs_the_abuser_its_connection(attack: Callable[[yamux.Yamux], Awaitable[None]]) -> None:
    async with open_scene() as (members, victim), open_rogue(make_seed(ROGUE)) as rogue:
        connection = await rogue.connect(members[0])
        with trio.move_on_after(5), suppress(Exception):  # the victim closes the socket, the library has many words
            await attack(connection.muxed_conn)
            await connection.muxed_conn.event_closed.wait()
        await until(lambda: ROGUE not in victim.peers())
        rogue_id = peer_id_of(members[ROGUE].network_key)
        await until(lambda: not victim._swarm.get_connections(rogue_id))


async def test_rubbish_under_the_muxer_harms_nobody() -> None:
    async with open_scene() as (members, victim), open_rogue(make_seed(ROGUE)) as rogue:
        for seed in range(5):
            muxed = (await rogue.connect(members[0])).muxed_conn
            with suppress(Exception):
                for _ in range(20):
                    await muxed.secured_conn.write(random.Random(seed).randbytes(120))
            await trio.sleep(0.05)
            abort_connection(muxed)
        assert victim.peers() == [1]


async def test_the_host_starts_again_when_the_library_fails_after_all() -> None:
    async def fail() -> None:
        raise RuntimeError("a defect that we have not met")

    members = make_members(2)
    async with open_member(members, 0) as low, open_member(members, 1) as high:
        for broken in (low, high):
            await assert_linked(low, high)
            broken._swarm.manager.run_task(fail)
            await until(lambda: not low.peers() and not high.peers())
        await assert_linked(low, high)


async def test_a_consumer_that_leaves_ends_nothing() -> None:
    members = make_members(2)
    async with open_member(members, 0) as low, open_member(members, 1) as high:
        await assert_linked(low, high)
        low.events.close()
        high.send(0, BlockRequest(bytes(32)))
        await until(lambda: low.statistics()[1].links > 1)
