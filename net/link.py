"""One live link to one peer: hello, then a reader, a coalescing writer and a heartbeat over one stream.

A link ends exactly once, for the first reason that anybody gives, by closing the TCP socket under it. It never raises.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import trio

from net.fastlane import DATA_BYTES_MAX
from net.framing import FrameSplitter
from net.hardening import abort_connection
from net.link_queue import OutboundQueue
from net.peers import Offence
from net.wire import (
    PROTOCOL_VERSION,
    Frame,
    FrameType,
    Hello,
    Ping,
    Pong,
    Priority,
    WireError,
    decode_frame,
    encode_frame,
)

RTT_WEIGHT = 0.25
WRITES_TOGETHER_MAX = 4
_LINK_KINDS = frozenset((FrameType.HELLO, FrameType.PING, FrameType.PONG))

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LinkLimits:
    """Patience and room of a link. Validators share starved machines, so silence is forgiven for three seconds, and a
    write of a few round trips' worth may take ten.

    A write is one noise message: what is more urgent waits for no more than that. A ping is sent when nothing else was
    for `heartbeat_s`, and in any case every `heartbeat_s * beats_per_ping`, for it also says how far this node is.
    """

    heartbeat_s: float = 0.5
    beats_per_ping: int = 4
    dead_after_s: float = 3.0
    hello_timeout_s: float = 5.0
    write_timeout_s: float = 10.0
    write_bytes_max: int = DATA_BYTES_MAX
    queue_bytes_max: int = 8 * 1024 * 1024
    sync_queue_bytes_max: int = 6 * 1024 * 1024


class HelloState(NamedTuple):
    """What this node says of itself in a hello and in heartbeats."""

    height: int
    view: int
    engine_digest: bytes = bytes(32)


@dataclass(slots=True)
class PeerCounters:
    """Totals of one peer over all its links, and what was last heard of it."""

    links: int = 0
    frames_in: int = 0
    frames_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    writes: int = 0
    last_heard_s: float = 0.0
    rtt_ms: float = 0.0
    height: int = 0
    view: int = 0


class Wire(Protocol):
    """What a link reads and writes: a lane of a libp2p connection, or what stands in for it where that is measured."""

    async def read(self) -> Sequence[bytes | memoryview]:
        """What has come, at least something; raises when it has ended."""

    async def write(self, data: bytes) -> None:
        """Waits until the wire has taken all of it, and what `write_now` left."""

    @property
    def can_write_now(self) -> bool:
        """`write_now` may be called."""

    def write_now(self, data: bytes) -> bool:
        """Writes without waiting. False when some of it waits for `write`."""


@dataclass(frozen=True, slots=True)
class LinkHooks:
    """What a link asks of the committee above it."""

    open_wire: Callable[[Any], Awaitable[Wire]]
    network_id: bytes
    me: int
    state: Callable[[], HelloState]
    schedule: Callable[["Link"], None]
    offer: Callable[[int, Frame], bool]
    deliver: Callable[[int, Frame], Awaitable[None]]
    report: Callable[[int, Offence], None]
    take_allowance: Callable[[int, FrameType, int], float]


class _LinkFailure(Exception):
    """Ends the link; the text is the reason."""


class Link:
    """One stream to one peer. `exchange_hello`, then `run`; `send` and `close` at any time from any task."""

    def __init__(
        self, peer: int, stream: Any, hooks: LinkHooks, limits: LinkLimits, counters: PeerCounters,
        has_number: bool = True,
    ) -> None:  # fmt: skip
        """`has_number`: the other side must know that it is `peer`."""
        self.peer = peer
        self._has_number = has_number
        self.reason = ""
        self.finished = trio.Event()
        self._stream = stream
        self._wire: Wire | None = None
        self._hooks = hooks
        self._limits = limits
        self._counters = counters
        self._queue = OutboundQueue(limits.queue_bytes_max, limits.sync_queue_bytes_max)
        self._splitter = FrameSplitter()
        self._early: list[tuple[FrameType, bytes]] = []
        self._wake = trio.Event()
        self._scope = trio.CancelScope()
        self._silence_s = 0.0
        self._is_running = False
        self._is_scheduled = False
        self._is_writing = False
        self._stuck_s = 0.0
        self._reader_waits = False
        self._announced = False
        self._ping_token = 0
        self._ping_sent_s = 0.0

    @property
    def queue_bytes(self) -> int:
        """Bytes that wait to be written."""
        return self._queue.size_bytes

    @property
    def waiting_answers(self) -> int:
        """How many answers the peer has not taken yet."""
        return self._queue.answer_count

    @property
    def muxed_conn(self) -> Any:
        """The connection under the link."""
        return self._stream.muxed_conn

    def send(self, data: bytes, priority: Priority) -> bool:
        """Queues an encoded frame, without waiting. False when the link is down or its queue is full."""
        if self.reason:
            return False
        if not self._queue.push(data, priority):
            if self._queue.overflowed:
                self.close(f"queue over {self._limits.queue_bytes_max} bytes")
            return False
        if not self._is_scheduled and self._is_running:
            self._is_scheduled = True
            self._hooks.schedule(self)
        return True

    def flush(self) -> None:
        """Writes what is queued, if that needs no waiting; otherwise the link's own writer does."""
        self._is_scheduled = False
        wire = self._wire
        if self.reason or wire is None:
            return
        try:
            for _ in range(WRITES_TOGETHER_MAX):
                if not self._queue.size_bytes:
                    return
                if self._is_writing or not wire.can_write_now:
                    break
                data, frame_count = self._queue.take(self._limits.write_bytes_max)
                self._note_write(len(data), frame_count)
                if not wire.write_now(data):
                    self._is_writing = True  # the writer takes it from here
                    break
        except Exception as error:  # as in `_guard`
            self.close(str(error) or repr(error))
        self._wake.set()

    def _note_write(self, size_bytes: int, frame_count: int) -> None:
        self._counters.writes += 1
        self._counters.frames_out += frame_count
        self._counters.bytes_out += size_bytes

    def close(self, reason: str) -> None:
        """Ends the link at once."""
        if not self.reason:
            self.reason = reason
            abort_connection(self.muxed_conn)
            self._scope.cancel()

    async def exchange_hello(self) -> Hello | None:
        """Both sides speak first, neither waits for the other. None when the link has ended over it."""
        try:
            with trio.fail_after(self._limits.hello_timeout_s):
                self._wire = await self._hooks.open_wire(self._stream)
                await self._wire.write(encode_frame(self._own_hello()))
                while not self._early:
                    self._early = await self._read_frames()
            kind, body = self._early.pop(0)
            hello = decode_frame(kind, body)
            if not isinstance(hello, Hello):
                raise WireError(f"{kind.name} before hello")
            self._check_hello(hello)
            return hello
        except trio.TooSlowError:
            self.close("no hello")
        except WireError as error:
            self._hooks.report(self.peer, Offence.MALFORMED_FRAME)
            self.close(str(error))
        except Exception as error:  # the stream's own errors are of many kinds and all mean that it has ended
            self.close(str(error) or repr(error))
        return None

    async def run(self, announce: Callable[[], Awaitable[None]]) -> bool:
        """Serves the link until it ends; whether `announce`, which precedes the first delivery, came to its end."""

        async def read() -> None:
            await self._wait(announce)
            self._announced = True
            await self._read()

        with self._scope:
            async with trio.open_nursery() as nursery:
                for part in (read, self._write, self._beat):
                    nursery.start_soon(self._guard, part)
        return self._announced

    def _own_hello(self) -> Hello:
        state = self._hooks.state()
        return Hello(
            self._hooks.network_id, PROTOCOL_VERSION, self._hooks.me, state.height, state.view, state.engine_digest
        )

    def _check_hello(self, hello: Hello) -> None:
        if hello.network_id != self._hooks.network_id:
            problem = f"network {hello.network_id.hex()[:16]}, ours is {self._hooks.network_id.hex()[:16]}"
        elif hello.protocol_version != PROTOCOL_VERSION:
            problem = f"protocol version {hello.protocol_version}, ours is {PROTOCOL_VERSION}"
        elif self._has_number and hello.index != self.peer:
            problem = f"claims to be member {hello.index}"
        else:
            if hello.engine_digest != self._hooks.state().engine_digest:
                _log.warning("link.other_engine peer=%d engine=%s", self.peer, hello.engine_digest.hex())
            self._counters.height, self._counters.view = hello.height, hello.view
            return
        _log.warning("link.refused peer=%d reason=%s", self.peer, problem)
        self._hooks.report(self.peer, Offence.WRONG_HELLO)
        raise _LinkFailure(problem)

    async def _guard(self, part: Callable[[], Awaitable[None]]) -> None:
        """A part of a link ends the link, whatever happens in it."""
        try:
            await part()
        except WireError as error:
            self._hooks.report(self.peer, Offence.MALFORMED_FRAME)
            self.close(str(error))
        except Exception as error:  # the stream's own errors are of many kinds and all mean that it has ended
            self.close(str(error) or repr(error))

    async def _read_frames(self) -> list[tuple[FrameType, bytes]]:
        assert self._wire is not None, "a hello comes first"
        pieces = await self._wire.read()
        size_bytes = sum(map(len, pieces))
        self._silence_s = 0.0
        self._counters.bytes_in += size_bytes
        self._counters.last_heard_s = trio.current_time()
        frames: list[tuple[FrameType, bytes]] = []
        for piece in pieces:
            frames += self._splitter.feed(piece)
        return frames

    async def _read(self) -> None:
        frames = self._early
        while True:
            for kind, body in frames:
                self._counters.frames_in += 1
                pause_s = self._hooks.take_allowance(self.peer, kind, len(body))
                if pause_s > 0:
                    await self._wait(trio.sleep, pause_s)
                frame = decode_frame(kind, body)
                if kind in _LINK_KINDS:
                    self._answer(frame)
                elif not self._hooks.offer(self.peer, frame):
                    await self._wait(self._hooks.deliver, self.peer, frame)
            frames = await self._read_frames()

    def _answer(self, frame: Frame) -> None:
        match frame:
            case Ping(token, height, view):
                self._counters.height, self._counters.view = height, view
                self.send(encode_frame(Pong(token)), Priority.AGREEMENT)
            case Pong(token):
                if token == self._ping_token and self._ping_sent_s:
                    self._note_rtt(trio.current_time() - self._ping_sent_s)
            case _:
                raise WireError("a second hello")

    async def _wait(self, action: Callable[..., Awaitable[None]], *arguments: Any) -> None:
        """A reader that waits for us hears nothing; that is not the peer's silence."""
        self._reader_waits = True
        try:
            await action(*arguments)
        finally:
            self._reader_waits = False

    def _note_rtt(self, rtt_s: float) -> None:
        self._ping_sent_s = 0.0
        old_ms = self._counters.rtt_ms
        self._counters.rtt_ms = rtt_s * 1e3 if not old_ms else old_ms + RTT_WEIGHT * (rtt_s * 1e3 - old_ms)

    async def _write(self) -> None:
        """Where writing has to wait: at the start, for the kernel, for the other side's window."""
        assert self._wire is not None, "a hello comes first"
        self._is_running = True
        while True:
            if self._is_writing:
                await self._wire.write(b"")
            while self._queue.size_bytes:
                self._is_writing = True
                data, frame_count = self._queue.take(self._limits.write_bytes_max)
                await self._wire.write(data)
                self._stuck_s = 0.0
                self._note_write(len(data), frame_count)
            self._is_writing = False
            self._stuck_s = 0.0
            self._wake = trio.Event()
            await self._wake.wait()

    async def _beat(self) -> None:
        beat, expected_writes = 0, self._counters.writes
        while True:
            if self._counters.writes == expected_writes or beat % self._limits.beats_per_ping == 0:
                self._ping()
                expected_writes = self._counters.writes + 1
            else:
                expected_writes = self._counters.writes
            beat += 1
            started_s = trio.current_time()
            await trio.sleep(self._limits.heartbeat_s)
            # When this process was stopped or starved, the lost time says nothing about the peer.
            passed_s = min(trio.current_time() - started_s, 2 * self._limits.heartbeat_s)
            if not self._reader_waits:
                self._silence_s += passed_s
            self._stuck_s += passed_s if self._is_writing else 0.0
            if self._silence_s >= self._limits.dead_after_s:
                raise _LinkFailure(f"silent for {self._limits.dead_after_s:g} s")
            if self._stuck_s >= self._limits.write_timeout_s:
                self._hooks.report(self.peer, Offence.NOT_READING)
                raise _LinkFailure(f"reads nothing for {self._limits.write_timeout_s:g} s")

    def _ping(self) -> None:
        state = self._hooks.state()
        self._ping_token += 1
        self._ping_sent_s = trio.current_time()
        self.send(encode_frame(Ping(self._ping_token, state.height, state.view)), Priority.AGREEMENT)
