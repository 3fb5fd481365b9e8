"""Attacks by a member of the committee: its process is the attacker, with its keys. One of four may do so (f = 1)."""

import random
import secrets
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import trio

from consensus import crypto
from consensus.messages import NULLIFY, ZERO_HASH, Block, Proposal, Vote, vote_digest
from net.committee import MemberAddress
from net.framing import FrameSplitter
from net.rogue import Rogue, hang_up, open_rogue, stop_reading
from net.wire import (
    PROTOCOL_VERSION,
    RANGE_BLOCKS_MAX,
    BatchFrame,
    BatchRequest,
    BlockRequest,
    Consensus,
    Frame,
    FrameType,
    Hello,
    Ping,
    Pong,
    RangeRequest,
    decode_frame,
    encode_frame,
)
from testnet.hostile.frames import FrameSource
from testnet.hostile.scene import TRAITOR, Count, Scene

READ_CHUNK_BYTES = 256 * 1024
REDIAL_S = 0.5
LINK_TIMEOUT_S = 5.0
REMEMBERED_FRAMES = 64
HEARTBEAT_S = 0.5
COPIES_PER_WRITE_MAX = 50
WRITE_BYTES_MAX = 256 * 1024
DUPLICATE_WRITES_PER_S = 40
STRAY_FRAMES_PER_S = 100
REQUESTS_PER_S = 20
DRIP_INTERVAL_S = 0.05
STRAY_KINDS = tuple(kind for kind in FrameType if kind is not FrameType.HELLO)
# What anybody may pass on any number of times without giving itself away; votes are their signers' own to send.
REPEATED_KINDS = frozenset({FrameType.CERTIFICATE, FrameType.BATCH, FrameType.PRICE})
STALE_VIEWS = 50
EPOCH = 1


@dataclass(slots=True)
class Link:
    """One link of the traitor: the stream, and what it has heard."""

    victim: MemberAddress
    stream: Any
    scene: Scene
    count: Count
    source: FrameSource = field(default_factory=lambda: FrameSource(random.Random(secrets.randbits(64))))
    heard: deque[bytes] = field(default_factory=lambda: deque(maxlen=REMEMBERED_FRAMES))
    lock: trio.Lock = field(default_factory=trio.Lock)  # writes of more than 64 KiB would mix

    async def send(self, data: bytes, frames: int = 1) -> None:
        async with self.lock:
            await self.stream.write(data)
        self.count("frames sent", frames)
        self.count("bytes sent", len(data))

    async def greet(self) -> None:
        """An honest hello, whatever follows."""
        hello = Hello(self.scene.network_id, PROTOCOL_VERSION, TRAITOR, self.source.height, self.source.view, bytes(32))
        await self.send(encode_frame(hello))

    async def listen(self) -> None:
        """Reads, answers pings and keeps what was said, until the other side hangs up."""
        splitter = FrameSplitter()
        while data := await self.stream.read(READ_CHUNK_BYTES):
            for kind, body in splitter.feed(data):
                self.count("frames heard", 1)
                await self._note(kind, body, decode_frame(kind, body))

    async def _note(self, kind: FrameType, body: bytes, frame: Frame) -> None:
        match frame:
            case Hello() | Pong():
                return
            case Ping(token, height, view):
                self.source.height, self.source.view = height, view
                await self.send(encode_frame(Pong(token)))
                return
            case Consensus(Proposal(Block() as block)):
                self.source.hashes = (*self.source.hashes[-20:], block.hash())
            case BatchFrame(batch):
                self.source.hashes = (*self.source.hashes[-20:], batch.hash())
        if kind in REPEATED_KINDS:
            self.heard.append(len(body).to_bytes(4, "big") + bytes([kind]) + body)

    async def beat(self) -> None:
        while True:
            await self.send(encode_frame(Ping(1, self.source.height, self.source.view)))
            await trio.sleep(HEARTBEAT_S)


Behaviour = Callable[[Link], Awaitable[None]]


async def repeat_everything(scene: Scene, count: Count) -> None:
    """What it hears from anybody, it says again, many times over."""
    await _at_each(scene, count, _repeat)


async def say_what_does_not_belong(scene: Scene, count: Count) -> None:
    """Frames of every type that decode: votes in others' names, answers that nobody asked for, blocks of no chain."""
    await _at_each(scene, count, _stray)


async def never_read(scene: Scene, count: Count) -> None:
    """Asks for all blocks, again and again, and takes nothing from the socket."""
    await _at_each(scene, count, _ask_and_not_read)


async def drip(scene: Scene, count: Count) -> None:
    """Good frames, one byte at a time."""
    await _at_each(scene, count, _drip)


async def break_frames(scene: Scene, count: Count) -> None:
    """Frames over their limits, of no type, cut short; and bytes that are no yamux."""
    await _at_each(scene, count, _break)


async def _at_each(scene: Scene, count: Count, behaviour: Behaviour) -> None:
    async with open_rogue(scene.traitor_keys.network) as rogue, trio.open_nursery() as nursery:
        for victim in scene.victims:
            nursery.start_soon(_keep_linking, rogue, victim, scene, count, behaviour)


async def _keep_linking(rogue: Rogue, victim: MemberAddress, scene: Scene, count: Count, behaviour: Behaviour) -> None:
    """Whenever it is thrown out it comes again, as long as it is let in."""
    while True:
        try:
            async with _open(rogue, victim, scene, count) as link:
                await behaviour(link)
                count("links ended by the node", 1)
        except Exception:  # whatever the library makes of a connection that was hung up
            count("refused or thrown out", 1)
        await trio.sleep(REDIAL_S)


@asynccontextmanager
async def _open(rogue: Rogue, victim: MemberAddress, scene: Scene, count: Count) -> AsyncIterator[Link]:
    with trio.fail_after(LINK_TIMEOUT_S):
        stream = await rogue.open_link(victim)
    try:
        link = Link(victim, stream, scene, count)
        await link.greet()
        count("links", 1)
        yield link
    finally:
        hang_up(stream.muxed_conn)


async def _while_listening(link: Link, attack: Callable[[Link], Awaitable[None]]) -> None:
    async with trio.open_nursery() as nursery:

        async def listen() -> None:
            with suppress(Exception):  # the end of the stream, by whatever name
                await link.listen()
            nursery.cancel_scope.cancel()

        nursery.start_soon(listen)
        nursery.start_soon(link.beat)
        await attack(link)


async def _repeat(link: Link) -> None:
    async def repeat(link: Link) -> None:
        while True:
            if link.heard:
                chosen = link.source.draw.choice([*link.heard, make_stale_vote(link), make_request(link)])
                copies = max(1, min(COPIES_PER_WRITE_MAX, WRITE_BYTES_MAX // len(chosen)))
                await link.send(chosen * copies, copies)
            await trio.sleep(1 / DUPLICATE_WRITES_PER_S)

    await _while_listening(link, repeat)


def make_stale_vote(link: Link) -> bytes:
    """Its own, in good form, of a view that is long over."""
    keys, domain = link.scene.traitor_keys, link.scene.domain
    view = max(1, link.source.view - STALE_VIEWS)
    signature = crypto.sign(keys.voting_secret(), vote_digest(domain, NULLIFY, EPOCH, view, ZERO_HASH))
    return encode_frame(Consensus(Vote(NULLIFY, EPOCH, view, ZERO_HASH, TRAITOR, signature)))


def make_request(link: Link) -> bytes:
    """For a block or batch that everybody has."""
    wanted = link.source.hash()
    is_batch = link.source.draw.random() < 0.5
    return encode_frame(BatchRequest(TRAITOR, 1, wanted) if is_batch else BlockRequest(wanted))


async def _stray(link: Link) -> None:
    async def stray(link: Link) -> None:
        while True:
            frame = link.source.any_frame(STRAY_KINDS)
            await link.send(encode_frame(frame))
            link.count(f"sent: {type(frame).__name__}", 1)
            await trio.sleep(1 / STRAY_FRAMES_PER_S)

    await _while_listening(link, stray)


async def _ask_and_not_read(link: Link) -> None:
    stop_reading(link.stream.muxed_conn)
    while True:
        await link.send(encode_frame(RangeRequest(1, RANGE_BLOCKS_MAX)))
        link.count("requests", 1)
        await trio.sleep(1 / REQUESTS_PER_S)


async def _drip(link: Link) -> None:
    async def trickle(link: Link) -> None:
        while True:
            frame = encode_frame(link.source.frame(FrameType.PROPOSAL))
            for at in range(len(frame)):
                await link.stream.write(frame[at : at + 1])
                link.count("bytes sent", 1)
                await trio.sleep(DRIP_INTERVAL_S)
            link.count("frames sent", 1)

    await _while_listening_only(link, trickle)


async def _while_listening_only(link: Link, attack: Callable[[Link], Awaitable[None]]) -> None:
    """Without heartbeats: a ping in the middle of a frame would be part of it."""
    async with trio.open_nursery() as nursery:

        async def listen() -> None:
            with suppress(Exception):  # the end of the stream, by whatever name
                while await link.stream.read(READ_CHUNK_BYTES):
                    pass
            nursery.cancel_scope.cancel()

        nursery.start_soon(listen)
        await attack(link)


async def _break(link: Link) -> None:
    draw = link.source.draw
    broken = {
        "oversized": (2**31).to_bytes(4, "big") + bytes([FrameType.VOTE]) + bytes(100_000),
        "of no type": (8).to_bytes(4, "big") + b"\xee" + bytes(8),
        "random": draw.randbytes(5_000),
        "malformed": (3).to_bytes(4, "big") + bytes([FrameType.VOTE]) + b"\xff\xff\xff",
        "a second hello": encode_frame(Hello(link.scene.network_id, PROTOCOL_VERSION, TRAITOR, 0, 0, bytes(32))),
    }
    kind = draw.choice([*broken, "no yamux"])
    link.count(f"sent: {kind}", 1)
    if kind == "no yamux":
        await link.stream.muxed_conn.secured_conn.write(draw.randbytes(500))
    else:
        await link.send(broken[kind])
    with trio.move_on_after(LINK_TIMEOUT_S), suppress(Exception):
        await link.listen()
