"""Noise and yamux of py-libp2p 0.8.1 with few system calls, task switches and copies: the same bytes on the wire.

The library moves a frame of a stream through some twenty-five locks and seven task switches. Here, once a connection
has negotiated yamux, one task reads the socket, opens every whole noise message that has come and cuts the yamux frames
out of them; whoever writes seals and writes in one go. Two rules keep this simple and safe:

* **Reading never writes.** Answers (pongs, acknowledgements, window updates) are noted and travel with the next write,
  or with a task of their own when there is none; two ends that answer each other can therefore not block each other.
* **A stream with a lane is read by its reader.** `open_lane` gives one stream of a connection to one reader, who from
  then on reads the socket itself, without a task between; other streams of the connection are served on the way.

Waits for py-libp2p: a yamux that parses what has arrived without a lock per frame, and a noise transport with one read
per chunk (upstream has neither in 0.8.1). Touches private attributes like `net/hardening.py`, which checks the version.
"""

import os
import struct
from contextlib import suppress
from types import MethodType
from typing import Any

import trio
from libp2p.abc import INetStream
from libp2p.network.connection.exceptions import RawConnError
from libp2p.peer.id import ID
from libp2p.stream_muxer.yamux import yamux
from libp2p.stream_muxer.yamux.yamux import (
    FLAG_ACK,
    FLAG_FIN,
    FLAG_RST,
    FLAG_SYN,
    HEADER_SIZE,
    TYPE_DATA,
    TYPE_GO_AWAY,
    TYPE_PING,
    TYPE_WINDOW_UPDATE,
    YAMUX_HEADER_FORMAT,
)

HEADER = struct.Struct(YAMUX_HEADER_FORMAT)
TAG_BYTES = 16
PLAIN_BYTES_MAX = 65535 - TAG_BYTES
# With its header a full data frame is a full noise message.
DATA_BYTES_MAX = PLAIN_BYTES_MAX - HEADER_SIZE
# Room for two full noise messages: what is left of one never keeps the next from being read in one call.
READ_BYTES = 128 * 1024 + 1024
WINDOW_BYTES = 4 * 1024 * 1024
WINDOW_STEP_BYTES = 1024 * 1024
WINDOW_GRANT_AFTER_BYTES = 4096
# A write without waiting wants a window that holds the largest frame of agreement or orders, and more.
WINDOW_KEPT_BYTES = 512 * 1024
STREAMS_MAX = 8
ANSWER_BYTES_MAX = 16 * 1024
# What the kernel may hold unsent: votes wait behind it when a link is slow, and behind no more.
UNSENT_BYTES_MAX = 128 * 1024
TCP_NOTSENT_LOWAT = 25  # of linux/tcp.h; the socket module names it from Python 3.12 on


class PeerError(Exception):
    """The other side broke the rules of noise or yamux; its connection ends."""


class ConnectionEnded(Exception):
    """The socket or the stream has ended."""


class SealedSocket:
    """Whole noise messages in and out of the TCP socket under a secured connection."""

    def __init__(self, secured: Any) -> None:
        transport = secured.conn
        protocol = transport.noise_state.noise_protocol
        self._socket = transport.read_writer.read_write_closer.stream.stream.socket
        # The library's own states count the messages, so that no nonce is ever used twice whoever writes.
        self._sealing, self._opening = protocol.cipher_state_encrypt, protocol.cipher_state_decrypt
        self._seal, self._open = self._sealing.cipher.cipher.encrypt, self._opening.cipher.cipher.decrypt
        self._buffer = memoryview(bytearray(READ_BYTES))
        self._start = self._end = 0
        self._may_be_more = False
        self._left = memoryview(b"")
        with suppress(OSError):  # where it is not Linux, a slow link has more in front of a vote
            self._socket.setsockopt(trio.socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT, UNSENT_BYTES_MAX)

    async def read(self) -> list[bytes]:
        """What has come, opened: at least one message. Cancelled while it waits, it has lost nothing."""
        while True:
            messages = self._open_whole()
            if messages:
                return messages
            # After a short read there is nothing more: asking the kernel once more would only be told so.
            if self._may_be_more:
                await trio.lowlevel.checkpoint()
            else:
                await trio.lowlevel.wait_readable(self._open_fileno())
            self._fill()

    async def write(self, data: bytes) -> None:
        """Seals and writes. The caller sees to it that one writes at a time; cancelled midway, the socket is closed."""
        await self._drain()
        self.write_now(data)
        await self._drain()

    @property
    def is_behind(self) -> bool:
        """Sealed bytes wait for the kernel: whoever writes next writes them first."""
        return bool(self._left)

    def write_now(self, data: bytes) -> None:
        """Seals and writes as much as the kernel takes; what it does not take waits."""
        for at in range(0, len(data), PLAIN_BYTES_MAX):
            piece = data if len(data) <= PLAIN_BYTES_MAX else data[at : at + PLAIN_BYTES_MAX]
            count = self._sealing.n
            sealed: bytes = self._seal((count << 32).to_bytes(12, "little"), piece, None)
            self._sealing.n = count + 1
            parts = (len(sealed).to_bytes(2, "big"), sealed)
            sent = 0 if self._left else self._write_some(parts)
            if sent < 2 + len(sealed):
                self._left = memoryview(bytes(self._left) + b"".join(parts)[sent:])

    def close(self) -> None:
        """At once, and without waiting for anybody."""
        self._socket.close()

    def _open_fileno(self) -> int:
        number: int = self._socket.fileno()
        if number < 0:
            raise ConnectionEnded("closed")
        return number

    def _fill(self) -> None:
        if self._start:
            rest = self._end - self._start
            self._buffer[:rest] = self._buffer[self._start : self._end]
            self._start, self._end = 0, rest
        room = self._buffer[self._end :]
        try:
            count = os.readv(self._open_fileno(), (room,))
        except BlockingIOError:
            self._may_be_more = False
            return
        except OSError as error:
            raise ConnectionEnded(f"connection lost: {error}") from error
        if not count:
            raise ConnectionEnded("end of connection")
        self._end += count
        self._may_be_more = count == len(room)

    def _open_whole(self) -> list[bytes]:
        messages = []
        buffer, at, end, opening = self._buffer, self._start, self._end, self._opening
        while end - at >= 2:
            sealed_end = at + 2 + (buffer[at] << 8 | buffer[at + 1])
            if sealed_end > end:
                break
            count = opening.n
            try:
                messages.append(self._open((count << 32).to_bytes(12, "little"), buffer[at + 2 : sealed_end], None))
            except Exception as error:  # the library's word for a forged message has no common base
                raise PeerError("a noise message does not open") from error
            opening.n = count + 1
            at = sealed_end
        if at == end:
            at = self._end = 0
        self._start = at
        return messages

    async def _drain(self) -> None:
        try:
            while self._left:
                await trio.lowlevel.wait_writable(self._open_fileno())
                self._left = self._left[self._write_some((self._left,)) :]
        except trio.Cancelled:
            self.close()  # half a message is out: nothing that follows could be read
            raise

    def _write_some(self, parts: tuple[bytes | memoryview, ...]) -> int:
        try:
            return os.writev(self._open_fileno(), parts)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise ConnectionEnded(f"connection lost: {error}") from error


class FastYamux(yamux.Yamux):
    """The library's yamux with a reader and a writer of its own, enforced windows and a bounded number of streams."""

    streams_max = STREAMS_MAX

    def __init__(self, secured_conn: Any, peer_id: ID, is_initiator: bool | None = None) -> None:
        super().__init__(secured_conn, peer_id, is_initiator=is_initiator)
        self.streams = _Streams()
        self._socket = SealedSocket(secured_conn)
        self._rest: bytes = secured_conn._drain(None)  # what came along with the last word of the negotiation
        self._body_stream: yamux.YamuxStream | None = None
        self._body_bytes = 0
        self._body_flags = 0
        self._answers = bytearray()
        self._has_answers = trio.Event()
        self._reading = trio.CancelScope()
        self._reader_gone = trio.Event()
        self._lane: Lane | None = None
        self._lane_ended = trio.Event()

    async def serve(self) -> None:
        """Until the connection ends; raises nothing that a peer can cause."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self._stale_stream_sweeper)
            nursery.start_soon(self._write_answers)
            await nursery.start(self._handle_incoming_with_ready_signal)
            self._established = True
            self.event_started.set()

    async def handle_incoming(self) -> None:
        """Reads until a lane takes over, then waits for the lane's end."""
        try:
            with self._reading:
                await self._read_on()
            self._reader_gone.set()
            if self._lane is not None:
                await self._lane_ended.wait()
        except (PeerError, ConnectionEnded, trio.ClosedResourceError):
            pass
        finally:
            self.abort()
            self._reader_gone.set()
            with trio.CancelScope(shield=True):
                await self._cleanup_on_error()

    async def _read_on(self) -> None:
        while True:
            await self.read_some()

    async def read_some(self) -> None:
        """Waits for bytes and hands them on."""
        for message in await self._socket.read():
            self._take(message)

    async def close(self, error_code: int = yamux.GO_AWAY_NORMAL) -> None:
        """The library's way, then the end of whoever reads."""
        try:
            await super().close(error_code)
        finally:
            self.abort()

    def abort(self) -> None:
        """Closes the TCP socket, at once and without waiting for anybody.

        The library's own ways down wait for the write lock, which a write to a stopped peer holds for ever.
        """
        self._socket.close()
        self._lane_ended.set()

    async def claim(self, lane: "Lane") -> None:
        """From now on `lane` reads the connection. Raises `PeerError` for a second lane."""
        stream = lane.stream
        if self._lane is not None:
            raise PeerError("a connection has one link")
        if stream.stream_id not in self.streams:
            raise ConnectionEnded("end of stream")
        self._lane = lane
        if waiting := bytes(self.stream_buffers[stream.stream_id]):
            lane.on_data(memoryview(waiting))
        self.stream_buffers[stream.stream_id].clear()
        increment = WINDOW_BYTES - stream.recv_window
        stream.recv_window = stream.target_recv_window = WINDOW_BYTES
        self.answer(TYPE_WINDOW_UPDATE, 0, stream.stream_id, increment)
        self._reading.cancel()
        await self._reader_gone.wait()

    def answer(self, kind: int, flags: int, stream_id: int, value: int) -> None:
        """Notes a frame without a body, to be written soon."""
        self._answers += HEADER.pack(0, kind, flags, stream_id, value)
        if len(self._answers) > ANSWER_BYTES_MAX:
            raise PeerError("asks more than it reads answers")
        self._has_answers.set()

    async def write_frames(self, *parts: bytes) -> None:
        """Writes whole frames, and the answers that wait."""
        try:
            self._write_lock.acquire_nowait()
        except trio.WouldBlock:
            await self._write_lock.acquire()
        try:
            await self._socket.write(self._join(parts))
        finally:
            self._write_lock.release()

    @property
    def can_write_now(self) -> bool:
        """Nobody writes, and nothing waits for the kernel."""
        return not (self._socket.is_behind or self._write_lock.locked())

    def write_frames_now(self, *parts: bytes) -> bool:
        """`write_frames` where `can_write_now` holds; False when the kernel has not taken all yet."""
        self._socket.write_now(self._join(parts))
        return not self._socket.is_behind

    def _join(self, parts: tuple[bytes, ...]) -> bytes:
        if self._answers:
            parts = (bytes(self._answers), *parts)
            self._answers.clear()
        return b"".join(parts)

    async def _write_frame(self, data: bytes) -> None:
        try:
            await self.write_frames(data)
        except (ConnectionEnded, trio.ClosedResourceError) as error:
            raise RawConnError(str(error)) from error

    async def _write_answers(self) -> None:
        while True:
            await self._has_answers.wait()
            self._has_answers = trio.Event()
            try:
                if self._answers:
                    await self.write_frames()
            except (ConnectionEnded, trio.ClosedResourceError):
                return

    def _take(self, data: bytes) -> None:
        """The frames of one noise message, which need not end where the message ends."""
        if self._rest:
            data, self._rest = self._rest + data, b""
        view, at, size_bytes = memoryview(data), 0, len(data)
        while at < size_bytes:
            if self._body_bytes:
                end = min(size_bytes, at + self._body_bytes)
                self._body_bytes -= end - at
                self._take_body(view[at:end])
                at = end
            elif size_bytes - at < HEADER_SIZE:
                self._rest = data[at:]
                return
            else:
                self._take_header(*HEADER.unpack_from(data, at))
                at += HEADER_SIZE

    def _take_header(self, version: int, kind: int, flags: int, stream_id: int, value: int) -> None:
        if version:
            raise PeerError(f"yamux version {version}")
        if kind == TYPE_DATA:
            stream = self._find_stream(stream_id, flags)
            if stream is not None:
                if value > stream.recv_window:
                    raise PeerError("sent more than it was granted")
                stream.recv_window -= value
            elif value > WINDOW_BYTES:
                raise PeerError("a frame larger than any window")
            self._body_stream, self._body_bytes, self._body_flags = stream, value, flags
            if not value:
                self._end_frame(stream, flags)
        elif kind == TYPE_WINDOW_UPDATE:
            stream = self._find_stream(stream_id, flags)
            if stream is not None:
                stream.send_window += value
                if self._lane is not None and self._lane.stream is stream:
                    self._lane.on_window()
                self._end_frame(stream, flags)
        elif kind == TYPE_PING:
            if flags & FLAG_SYN:
                self.answer(TYPE_PING, FLAG_ACK, 0, value)
        elif kind == TYPE_GO_AWAY:
            raise ConnectionEnded("the peer goes away")
        else:
            raise PeerError(f"yamux frame type {kind}")

    def _find_stream(self, stream_id: int, flags: int) -> yamux.YamuxStream | None:
        stream = self.streams.get(stream_id)
        if not flags & FLAG_SYN:
            return stream
        if stream is not None or len(self.streams) >= self.streams_max or stream_id % 2 == self.is_initiator_value:
            raise PeerError("opens a stream that it may not")
        stream = yamux.YamuxStream(stream_id, self, False)
        self.streams[stream_id] = stream
        self.stream_buffers[stream_id] = bytearray()
        self.stream_events[stream_id] = trio.Event()
        if not flags & FLAG_RST:
            self.answer(TYPE_WINDOW_UPDATE, FLAG_ACK, stream_id, 0)
        try:
            self.new_stream_send_channel.send_nowait(stream)
        except (trio.WouldBlock, trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise PeerError("opens streams faster than they are served") from error
        return stream

    def _take_body(self, piece: memoryview) -> None:
        stream = self._body_stream
        if stream is not None:
            if self._lane is not None and self._lane.stream is stream:
                self._lane.on_data(piece)
            elif stream.stream_id in self.stream_buffers:
                self.stream_buffers[stream.stream_id].extend(piece)
                self.stream_events[stream.stream_id].set()
        if not self._body_bytes:
            self._end_frame(stream, self._body_flags)

    def _end_frame(self, stream: yamux.YamuxStream | None, flags: int) -> None:
        if stream is None or not flags & (FLAG_FIN | FLAG_RST):
            return
        stream.recv_closed = True
        if flags & FLAG_RST:
            stream.reset_received = stream.closed = True
        elif stream.send_closed:
            stream.closed = True
        if stream.stream_id in self.stream_events:
            self.stream_events[stream.stream_id].set()
        if self._lane is not None and self._lane.stream is stream:
            self._lane.on_window()
        if stream.closed:
            # Its lock guards nothing here: between two awaits no other task runs.
            self._finalize_stream_locked(stream, fully_closed=True)


async def open_lane(net_stream: INetStream) -> "Lane":
    """Takes the connection's reading over; nobody else may read or write the stream afterwards."""
    stream: yamux.YamuxStream = net_stream.muxed_stream  # type: ignore[attr-defined]
    muxed: FastYamux = stream.conn  # type: ignore[assignment]
    lane = Lane(stream, muxed)
    await muxed.claim(lane)
    return lane


class Lane:
    """One stream of a connection, read and written by one link."""

    def __init__(self, stream: yamux.YamuxStream, muxed: FastYamux) -> None:
        self.stream = stream
        self._muxed = muxed
        self._window_open = trio.Event()
        self._consumed_bytes = 0
        self._pieces: list[memoryview] = []

    async def read(self) -> list[memoryview]:
        """What has come for the stream, at least something; to be consumed before the next call."""
        try:
            while not self._pieces:
                if self.stream.recv_closed:
                    raise ConnectionEnded("end of stream")
                await self._muxed.read_some()
        except (PeerError, ConnectionEnded, trio.ClosedResourceError):
            self._muxed.abort()  # nobody else would read it
            raise
        pieces, self._pieces = self._pieces, []
        self._consumed_bytes += sum(map(len, pieces))
        if self._consumed_bytes >= WINDOW_STEP_BYTES:
            self.stream.recv_window += self._consumed_bytes
            self._muxed.answer(TYPE_WINDOW_UPDATE, 0, self.stream.stream_id, self._consumed_bytes)
            self._consumed_bytes = 0
        return pieces

    async def write(self, data: bytes) -> None:
        """Writes all of it, and what an earlier `write_now` left; waits for window and socket."""
        stream, at, size_bytes = self.stream, 0, len(data)
        if not data:
            await self._muxed.write_frames()
        while at < size_bytes:
            if stream.closed:
                raise ConnectionEnded("end of stream")
            if not stream.send_window:
                self._window_open = trio.Event()
                await self._window_open.wait()
                continue
            end = min(size_bytes, at + DATA_BYTES_MAX, at + stream.send_window)
            stream.send_window -= end - at
            header = HEADER.pack(0, TYPE_DATA, 0, stream.stream_id, end - at)
            await self._muxed.write_frames(header, data if end - at == size_bytes else data[at:end])
            at = end

    @property
    def can_write_now(self) -> bool:
        """`write_now` is welcome."""
        return self.stream.send_window >= WINDOW_KEPT_BYTES and self._muxed.can_write_now and not self.stream.closed

    def write_now(self, data: bytes) -> bool:
        """Where `can_write_now` holds: writes without waiting. False when some of it waits for the next `write`."""
        stream, is_done = self.stream, True
        for at in range(0, len(data), DATA_BYTES_MAX):
            piece = data if len(data) <= DATA_BYTES_MAX else data[at : at + DATA_BYTES_MAX]
            stream.send_window -= len(piece)
            is_done = self._muxed.write_frames_now(HEADER.pack(0, TYPE_DATA, 0, stream.stream_id, len(piece)), piece)
        return is_done

    def on_data(self, piece: memoryview) -> None:
        """Bytes for the stream."""
        self._pieces.append(piece)

    def on_window(self) -> None:
        """There is room to write, or nothing to write to any more."""
        self._window_open.set()


class _Streams(dict[int, yamux.YamuxStream]):
    """Streams of one connection; gives each the cheap window policy, for as long as it has no lane."""

    def __setitem__(self, stream_id: int, stream: yamux.YamuxStream) -> None:
        stream._auto_tune_and_send_window_update = MethodType(_update_window, stream)  # type: ignore[method-assign]
        super().__setitem__(stream_id, stream)


async def _update_window(stream: yamux.YamuxStream, *, bytes_read: int = 0) -> None:
    """One large grant, then one update per step consumed. The library sends an update for every single read, and
    grants twice what was read, so that no bound on the buffer would ever hold."""
    stream._pending_recv_release += bytes_read
    increment = 0
    if stream.target_recv_window < WINDOW_BYTES:
        if stream._pending_recv_release > WINDOW_GRANT_AFTER_BYTES:
            increment = WINDOW_BYTES - stream.target_recv_window + stream._pending_recv_release
            stream.target_recv_window = WINDOW_BYTES
    elif stream._pending_recv_release >= WINDOW_STEP_BYTES:
        increment = stream._pending_recv_release
    if increment:
        stream._pending_recv_release = 0
        stream.recv_window += increment
        await stream.send_window_update(increment)
