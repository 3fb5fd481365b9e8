"""Attacks by who holds no key of the network: on the committee port, from addresses of their own."""

import random
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress

import trio

from net.committee import MemberAddress
from net.rogue import open_rogue
from testnet.hostile.scene import Count, Scene

JUNK_SOURCE, DRIP_SOURCE, FLOOD_SOURCE, HANDSHAKE_SOURCE = (f"127.0.66.{last}" for last in range(1, 5))
MULTISTREAM = b"\x13/multistream/1.0.0\n"
NOISE = b"\x07/noise\n"
JUNK_PER_S = 20
CONNECTIONS_PER_S = 100
HANDSHAKES_PER_S = 20
HANDSHAKES_AT_ONCE = 8
DRIPPING_MAX = 100
DRIP_INTERVAL_S = 0.5
PATIENCE_S = 2.0


async def send_junk(scene: Scene, count: Count) -> None:
    """Random bytes where a negotiation, a handshake or a length is expected."""
    await _at_each(scene, count, _send_junk_to)


async def drip(scene: Scene, count: Count) -> None:
    """Many connections, each of which says its first words one byte at a time."""
    await _at_each(scene, count, _drip_at)


async def flood_connections(scene: Scene, count: Count) -> None:
    """Connections that are opened and left, as fast as they can be made."""
    await _at_each(scene, count, _flood)


async def flood_handshakes(scene: Scene, count: Count) -> None:
    """Complete noise handshakes by keys that nobody knows: the dearest thing that a stranger can ask for."""
    await _at_each(scene, count, _shake_hands)


async def _at_each(scene: Scene, count: Count, attack: Callable[[MemberAddress, Count], Awaitable[None]]) -> None:
    async with trio.open_nursery() as nursery:
        for victim in scene.victims:
            nursery.start_soon(attack, victim, count)


async def _connect(victim: MemberAddress, source: str) -> trio.SocketStream:
    return await trio.open_tcp_stream(victim.host, victim.port, local_address=source)


async def _send_junk_to(victim: MemberAddress, count: Count) -> None:
    draw = random.Random(secrets.randbits(64))
    while True:
        kinds = {
            "random bytes": draw.randbytes(draw.choice([1, 100, 5_000])),
            "junk after multistream": MULTISTREAM + draw.randbytes(200),
            "junk after noise was chosen": MULTISTREAM + NOISE + draw.randbytes(2_000),
            "huge length": b"\xff\xff\xff\xff\x7f" + bytes(4_000),
            "huge noise message": MULTISTREAM + NOISE + b"\xff\xff" + bytes(65_535),
        }
        kind = draw.choice(sorted(kinds))
        try:
            async with await _connect(victim, JUNK_SOURCE) as tcp:
                count("connections", 1)
                await tcp.send_all(kinds[kind])
                count(f"sent: {kind}", 1)
                count("bytes sent", len(kinds[kind]))
                with trio.move_on_after(PATIENCE_S):
                    while await tcp.receive_some():
                        pass
                    count("closed by the node", 1)
        except (OSError, trio.BrokenResourceError):
            count("closed by the node", 1)
        await trio.sleep(1 / JUNK_PER_S)


async def _drip_at(victim: MemberAddress, count: Count) -> None:
    async def one() -> None:
        try:
            async with await _connect(victim, DRIP_SOURCE) as tcp:
                count("connections", 1)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(send, tcp, nursery.cancel_scope)
                    with suppress(trio.BrokenResourceError):  # reset is closed, too
                        while await tcp.receive_some():
                            pass
                    count("closed by the node", 1)
                    nursery.cancel_scope.cancel()
        except OSError:
            count("refused", 1)
        slots.release()

    async def send(tcp: trio.SocketStream, scope: trio.CancelScope) -> None:
        try:
            for byte in MULTISTREAM + NOISE + bytes(200):
                await tcp.send_all(bytes([byte]))
                count("bytes sent", 1)
                await trio.sleep(DRIP_INTERVAL_S)
        except trio.BrokenResourceError:
            scope.cancel()

    slots = trio.Semaphore(DRIPPING_MAX)
    async with trio.open_nursery() as nursery:
        while True:
            await slots.acquire()
            nursery.start_soon(one)
            await trio.sleep(0.02)


async def _flood(victim: MemberAddress, count: Count) -> None:
    while True:
        try:
            tcp = await _connect(victim, FLOOD_SOURCE)
            count("connections", 1)
            await tcp.aclose()
        except OSError:
            count("refused", 1)
        await trio.sleep(1 / CONNECTIONS_PER_S)


async def _shake_hands(victim: MemberAddress, count: Count) -> None:
    slots = trio.Semaphore(HANDSHAKES_AT_ONCE)
    async with open_rogue(secrets.token_bytes(32)) as rogue, trio.open_nursery() as nursery:

        async def one() -> None:
            try:
                with trio.move_on_after(PATIENCE_S):
                    await rogue.connect(victim, HANDSHAKE_SOURCE)
                    count("admitted", 1)
            except Exception:  # whatever the library makes of a connection that was hung up
                count("refused", 1)
            finally:
                slots.release()

        while True:
            await slots.acquire()
            count("attempts", 1)
            nursery.start_soon(one)
            await trio.sleep(1 / HANDSHAKES_PER_S)
