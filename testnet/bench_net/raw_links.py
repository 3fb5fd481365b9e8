"""What `net.committee` would be on bare TCP: the same links, frames, queues and heartbeats without libp2p, noise and
yamux. A measuring stick for what those cost, and nothing else: whoever dials says who it is, and is believed.
"""

import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import trio

from net.committee import Committee, CommitteeLimits, MemberAddress
from net.hardening import check_port_free
from net.link import HelloState, Wire

INDEX_BYTES = 2
READ_BYTES = 128 * 1024


class RawStream:
    """A TCP connection with the face of a libp2p stream."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._left = b""  # what the kernel did not take at once
        self._is_writing = False
        # The way that `net.hardening.abort_connection` takes to the socket.
        closer = SimpleNamespace(stream=SimpleNamespace(stream=stream))
        self.muxed_conn = SimpleNamespace(
            secured_conn=SimpleNamespace(conn=SimpleNamespace(read_writer=SimpleNamespace(read_write_closer=closer)))
        )

    async def read(self) -> list[bytes]:
        data = bytes(await self._stream.receive_some(READ_BYTES))
        if not data:
            raise trio.BrokenResourceError("end of stream")
        return [data]

    async def write(self, data: bytes) -> None:
        data, self._left, self._is_writing = self._left + data, b"", True
        try:
            await self._stream.send_all(data)
        finally:
            self._is_writing = False

    @property
    def can_write_now(self) -> bool:
        return not self._left and not self._is_writing

    def write_now(self, data: bytes) -> bool:
        """As the links that are measured: without a change of task while the kernel has room."""
        try:
            sent_bytes = os.write(self._stream.socket.fileno(), data)
        except BlockingIOError:
            sent_bytes = 0
        self._left = data[sent_bytes:]
        return not self._left


class RawCommittee(Committee):
    """The committee's links over plain TCP."""

    async def _serve_once(self, host: str, port: int, on_start: Callable[[], None]) -> None:
        listeners = await trio.open_tcp_listeners(port, host=host)
        self._swarm_ready.set()
        on_start()
        await trio.serve_listeners(self._accept_tcp, listeners)

    async def _open_wire(self, stream: Any) -> Wire:
        wire: RawStream = stream
        return wire

    async def _accept_tcp(self, stream: trio.SocketStream) -> None:
        try:
            index = int.from_bytes(await stream.receive_some(INDEX_BYTES), "big")
            await self._serve_link(index, RawStream(stream))
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError):
            return

    async def _dial(self, member: MemberAddress) -> Any | None:
        try:
            with trio.fail_after(self._limits.dial_timeout_s):
                stream = await trio.open_tcp_stream(member.host, member.port)
                await stream.send_all(self.me.to_bytes(INDEX_BYTES, "big"))
        except (OSError, trio.TooSlowError, trio.BrokenResourceError):
            return None
        return RawStream(stream)


@asynccontextmanager
async def open_committee(
    *,
    seed: bytes,
    me: int,
    members: Sequence[MemberAddress],
    network_id: bytes,
    listen_host: str,
    hello: Callable[[], HelloState],
    listen_port: int | None = None,
    limits: CommitteeLimits,
) -> AsyncIterator[Committee]:
    """As `net.committee.open_committee`."""
    if listen_port is None:
        raise ValueError("a measured node is told where it listens")
    check_port_free(listen_host, listen_port)
    async with trio.open_nursery() as nursery:
        committee = RawCommittee(seed, me, network_id, hello, limits, nursery)
        committee.update(members)
        nursery.start_soon(committee._flush)
        await nursery.start(committee._serve, listen_host, listen_port)
        try:
            yield committee
        finally:
            nursery.cancel_scope.cancel()
