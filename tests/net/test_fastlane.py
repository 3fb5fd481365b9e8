"""Our noise and yamux against the library's own: the same bytes on the wire, whoever speaks, however it is cut."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from libp2p import new_swarm
from libp2p.network.swarm import Swarm
from libp2p.protocol_muxer.multiselect import Multiselect
from libp2p.protocol_muxer.multiselect_client import MultiselectClient
from libp2p.protocol_muxer.multiselect_communicator import MultiselectCommunicator
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport
from libp2p.stream_muxer.yamux import yamux
from libp2p.tools.anyio_service import background_trio_service
from multiaddr import Multiaddr
from test_committee import HOST, make_members, make_seed, until

from net.fastlane import (
    ANSWER_BYTES_MAX,
    HEADER,
    STREAMS_MAX,
    WINDOW_BYTES,
    ConnectionEnded,
    FastYamux,
    PeerError,
    open_lane,
)
from net.hardening import close_swarm, create_noise_key_pair, open_swarm, quiet_library_logging
from net.peer_identity import derive_key_pair, peer_id_of
from net.rogue import Rogue, open_rogue

ECHO = "/hansa/test/echo/1"
OURS, THEIRS = 0, 1


async def negotiate(stream: Any) -> None:
    await Multiselect({ECHO: None}).negotiate(MultiselectCommunicator(stream))


async def echo_in_a_lane(stream: Any) -> None:
    await negotiate(stream)
    lane = await open_lane(stream)
    while True:
        for piece in await lane.read():
            await lane.write(bytes(piece))


async def echo_as_the_library_does(stream: Any) -> None:
    await negotiate(stream)
    while True:
        await stream.write(await stream.read(65536))


@asynccontextmanager
async def serve(swarm: Swarm, port: int) -> AsyncIterator[Swarm]:
    async with background_trio_service(swarm):
        await swarm.listen(Multiaddr(f"/ip4/{HOST}/tcp/{port}"))
        try:
            yield swarm
        finally:
            with trio.move_on_after(2, shield=True):
                await close_swarm(swarm)


def make_ours(port: int, handler: Callable[[Any], Awaitable[None]] = echo_in_a_lane) -> Swarm:
    listen = Multiaddr(f"/ip4/{HOST}/tcp/{port}")
    return open_swarm(derive_key_pair(make_seed(OURS)), listen, lambda _: True, lambda _: True, handler)


def make_stock(port: int) -> Swarm:
    """As the library comes, but for what it must not do here: offer plaintext."""
    quiet_library_logging()
    key_pair = derive_key_pair(make_seed(THEIRS))
    noise = Transport(key_pair, noise_privkey=create_noise_key_pair().private_key)
    swarm = new_swarm(
        key_pair=key_pair, sec_opt={NOISE: noise}, muxer_opt={yamux.PROTOCOL_ID: yamux.Yamux},
        listen_addrs=[Multiaddr(f"/ip4/{HOST}/tcp/{port}")],
    )  # fmt: skip

    async def guarded(stream: Any) -> None:
        try:
            await echo_as_the_library_does(stream)
        except Exception:
            await stream.reset()

    swarm.set_stream_handler(guarded)
    return swarm


@asynccontextmanager
async def open_stock(port: int) -> AsyncIterator[Swarm]:
    swarm = make_stock(port)
    async with background_trio_service(swarm):
        await swarm.listen(Multiaddr(f"/ip4/{HOST}/tcp/{port}"))
        yield swarm
        await swarm.close()


async def select_echo(connection: Any) -> Any:
    stream = await connection.new_stream()
    await MultiselectClient().select_one_of([ECHO], MultiselectCommunicator(stream))
    return stream


async def read_exactly(read: Callable[[], Awaitable[list[Any]]], size: int) -> bytes:
    got = bytearray()
    while len(got) < size:
        for piece in await read():
            got += piece
    return bytes(got)


SIZES = (1, 200, 65_507, 65_508, 300_000, 5_000_000)


async def test_a_library_peer_dials_us_and_hears_its_bytes_again() -> None:
    ours, theirs = make_members(2)
    async with serve(make_ours(ours.port), ours.port), open_stock(theirs.port) as stock:
        stream = await select_echo(await Rogue(stock).connect(ours))

        async def read() -> list[bytes]:
            return [await stream.read(65536)]

        for size in SIZES:
            data = random.Random(size).randbytes(size)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(stream.write, data)
                with trio.fail_after(20):
                    assert await read_exactly(read, size) == data


async def test_we_dial_a_library_peer_and_hear_our_bytes_again() -> None:
    ours, theirs = make_members(2)
    async with open_stock(theirs.port), serve(make_ours(ours.port), ours.port) as swarm:
        lane = await open_lane(await select_echo(await Rogue(swarm).connect(theirs)))
        for size in SIZES:
            data = random.Random(size).randbytes(size)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(lane.write, data)
                with trio.fail_after(20):
                    assert await read_exactly(lane.read, size) == data


async def test_the_library_ping_is_answered_while_a_lane_reads() -> None:
    ours, theirs = make_members(2)
    async with serve(make_ours(ours.port), ours.port), open_stock(theirs.port) as stock:
        connection = await Rogue(stock).connect(ours)
        await select_echo(connection)
        await until(lambda: connection.muxed_conn.rtt() > 0, timeout_s=3)


async def test_other_streams_are_served_beside_a_lane() -> None:
    ours, theirs = make_members(2)
    async with (
        serve(make_ours(ours.port, echo_as_the_library_does), ours.port),
        serve(make_ours(theirs.port), theirs.port) as dialer,
    ):
        connection = await Rogue(dialer).connect(ours)
        lane, beside = await open_lane(await select_echo(connection)), await connection.new_stream()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lane.read)  # somebody must read the connection
            await beside.write(b"\x13/multistream/1.0.0\n")
            with trio.fail_after(5):
                assert await beside.read(20) == b"\x13/multistream/1.0.0\n"
            await lane.write(b"enough")


async def test_a_connection_has_one_lane() -> None:
    ours, theirs = make_members(2)
    async with serve(make_ours(ours.port), ours.port), serve(make_ours(theirs.port), theirs.port) as dialer:
        connection = await Rogue(dialer).connect(ours)
        first, second = await select_echo(connection), await select_echo(connection)
        await open_lane(first)
        with pytest.raises(PeerError, match="one link"):
            await open_lane(second)


async def test_what_came_before_the_lane_is_read_first() -> None:
    ours, theirs = make_members(2)

    async def wait_then_read(stream: Any) -> None:
        await negotiate(stream)
        muxed = stream.muxed_conn
        await until(lambda: len(muxed.stream_buffers[stream.muxed_stream.stream_id]) == 5)
        lane = await open_lane(stream)
        assert await read_exactly(lane.read, 5) == b"early"
        await lane.write(b"late")
        await trio.sleep_forever()

    async with (
        serve(make_ours(ours.port, wait_then_read), ours.port),
        serve(make_ours(theirs.port), theirs.port) as dialer,
    ):
        stream = await select_echo(await Rogue(dialer).connect(ours))
        await stream.write(b"early")
        with trio.fail_after(5):
            assert await stream.read(4) == b"late"


async def test_a_stream_that_ends_ends_its_lane() -> None:
    ours = make_members(1)[0]
    async with serve(make_ours(ours.port, negotiate), ours.port), open_rogue(make_seed(THEIRS)) as dialer:
        stream = await select_echo(await dialer.connect(ours))
        with trio.fail_after(5), pytest.raises(ConnectionEnded):
            lane = await open_lane(stream)
            while True:
                await lane.read()


async def answer_flood(muxed: FastYamux) -> None:
    """Pings, and not one answer read: a sender that reads nothing makes us keep answers."""
    pings = HEADER.pack(0, yamux.TYPE_PING, yamux.FLAG_SYN, 0, 7) * (ANSWER_BYTES_MAX // HEADER.size + 1)
    await muxed.write_frames(pings)


async def wrong_version(muxed: FastYamux) -> None:
    await muxed.write_frames(HEADER.pack(1, yamux.TYPE_PING, yamux.FLAG_SYN, 0, 7))


async def unknown_type(muxed: FastYamux) -> None:
    await muxed.write_frames(HEADER.pack(0, 9, 0, 0, 7))


async def stream_of_the_wrong_side(muxed: FastYamux) -> None:
    await muxed.write_frames(HEADER.pack(0, yamux.TYPE_WINDOW_UPDATE, yamux.FLAG_SYN, 2, 0))


async def too_many_streams(muxed: FastYamux) -> None:
    for at in range(STREAMS_MAX + 1):
        await muxed.write_frames(HEADER.pack(0, yamux.TYPE_WINDOW_UPDATE, yamux.FLAG_SYN, 101 + 2 * at, 0))


async def more_than_granted(muxed: FastYamux) -> None:
    await muxed.open_stream()
    await muxed.write_frames(HEADER.pack(0, yamux.TYPE_DATA, 0, 1, WINDOW_BYTES + 1))


async def forged_message(muxed: FastYamux) -> None:
    muxed._socket._write_some(((40).to_bytes(2, "big"), bytes(40)))


ABUSES = (
    wrong_version, unknown_type, stream_of_the_wrong_side, too_many_streams, more_than_granted, forged_message,
    answer_flood,
)  # fmt: skip


@pytest.mark.parametrize("abuse", ABUSES)
@pytest.mark.parametrize("has_lane", [False, True])
async def test_who_breaks_the_rules_loses_the_connection(
    abuse: Callable[[FastYamux], Awaitable[None]], has_lane: bool
) -> None:
    ours = make_members(1)[0]
    async with serve(make_ours(ours.port), ours.port) as swarm, open_rogue(make_seed(THEIRS)) as rogue:
        connection = await rogue.connect(ours)
        if has_lane:
            await select_echo(connection)
        await abuse(connection.muxed_conn)
        rogue_id = peer_id_of(derive_key_pair(make_seed(THEIRS)).public_key.to_bytes())
        await until(lambda: not swarm.get_connections(rogue_id), timeout_s=5)
