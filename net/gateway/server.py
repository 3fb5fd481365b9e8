"""hypercorn's connections behind a door, with an end for those that nobody reads from; those that break end alone.

hypercorn 0.18 shields every write from cancellation and gives it no limit: a client that does not read keeps its
connection, the task that writes to it, and the end of the server waiting for as long as it likes. And a client that
does not wait for the end of its WebSocket handshake, but says more at once, makes it answer with an error and then with
a welcome, which h11 refuses: where nobody catches that, the server ends, and with it all connections.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from math import inf
from typing import Any

import h11
import hypercorn.config
import hypercorn.trio.run
import trio
from h11 import LocalProtocolError
from hypercorn.events import Closed, Event, RawData
from hypercorn.protocol.ws_stream import ASGIWebsocketState, WSStream
from hypercorn.trio.tcp_server import TCPServer
from wsproto.connection import ConnectionState

from net.gateway.door import Door

logger = logging.getLogger(__name__)
_more_follows = ContextVar("more_follows", default=False)
serving: "ContextVar[BoundedServer]" = ContextVar("serving")  # whose connection the task is of


@contextmanager
def more_follows() -> Iterator[None]:
    """What this task sends within waits for what is sent next on its connection, to leave in one write with it. HTTP/2
    sends from a task of its own and does not wait.
    """
    token = _more_follows.set(True)
    try:
        yield
    finally:
        _more_follows.reset(token)


def blame(fault: str) -> None:
    """The connection that this task is of ends badly, which counts against its address at the door."""
    server = serving.get(None)
    if server is not None:
        server.blame(fault)


def _address_of(stream: Any) -> str:
    """Raises `OSError` when its other end has left already."""
    socket = getattr(stream, "transport_stream", stream).socket
    return str(socket.getpeername()[0])


class BoundedServer(TCPServer):
    """One connection. `config.send_s_max`: how long one write may take; `config.door`: who decides about it."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._address = ""
        self._is_blamed = False
        self._is_over = False
        self._held: list[bytes] = []  # whole frames, see `more_follows`

    async def run(self) -> None:
        serving.set(self)
        door: Door | None = getattr(self.config, "door", None)  # other servers of this process have none
        if door is None:
            return await self._serve()
        try:
            self._address = _address_of(self.stream)
        except OSError:
            return None  # it has left already
        visit = door.knock(self._address, trio.current_time())
        try:
            await trio.sleep(visit.wait_s)
            if not visit.refusal:  # else whoever accepted the socket closes it
                await self._serve()
                self.blame(self._find_fault())
        finally:
            door.leave(visit)
        return None

    def blame(self, fault: str) -> None:
        """Why this connection ends badly, if it does. It may go on for a while, but counts against its address now."""
        door: Door | None = getattr(self.config, "door", None)
        if not fault or self._is_blamed or door is None:
            return
        self._is_blamed = True
        shut_out_s = door.fail(self._address, trio.current_time())
        if shut_out_s:
            logger.warning("api.shut_out address=%s seconds=%.0f ending=%r", self._address, shut_out_s, fault)

    def _find_fault(self) -> str:
        """What of HTTP/1.1 a client has left behind."""
        protocol = getattr(self, "protocol", None)
        connection = getattr(getattr(protocol, "protocol", None), "connection", None)
        if not isinstance(connection, h11.Connection):
            return ""
        if connection.their_state is h11.ERROR:
            return "it speaks no HTTP"
        return "it did not finish a request" if connection.trailing_data[0] else ""

    async def _serve(self) -> None:
        try:
            await super().run()
        except* LocalProtocolError as group:
            self.blame("it does not wait for the end of a handshake")
            logger.debug("session.lost error=%r", group.exceptions[0])
        except* Exception as group:
            logger.warning("api.connection_failed error=%r (it ends alone)", group.exceptions[0])

    async def _read_data(self) -> None:
        await super()._read_data()
        self._is_over = True
        await self.idle_task.stop()

    async def _idle_timeout(self) -> None:
        """hypercorn keeps a connection that its client has ended until this is over, and the door counts it."""
        if not self._is_over:
            await super()._idle_timeout()

    async def protocol_send(self, event: Event) -> None:
        if not isinstance(event, RawData):
            return await super().protocol_send(event)
        self._held.append(event.data)
        return None if _more_follows.get() else await self.flush()

    def takes_frames(self) -> bool:
        """Whether this is an open WebSocket over bare TCP and HTTP/1.1 whose client offered no extension, such as
        compression: then whole messages may be sent past the protocol's layers, which keep no account of them.
        """
        stream = getattr(self.protocol.protocol, "stream", None)
        return (
            isinstance(stream, WSStream)
            and stream.state is ASGIWebsocketState.CONNECTED
            and stream.handshake.extensions is None
            and stream.connection.state is ConnectionState.OPEN
            and isinstance(self.stream, trio.SocketStream)
        )

    def send_now(self, frames: list[bytes]) -> bool:
        """Where `takes_frames` says so: in one write, as much as the kernel takes at once. False: `flush` the rest."""
        stream: Any = self.stream
        data, sent_bytes = b"".join(frames), 0
        if not self._held and not self.send_lock.locked():
            with suppress(OSError):  # full, or lost, which `flush` finds, too
                sent_bytes = os.write(stream.socket.fileno(), data)
        if sent_bytes < len(data):
            self._held.append(data[sent_bytes:])
        return sent_bytes == len(data)

    async def flush(self) -> None:
        """What is held leaves; a client that does not take it in time loses the connection."""
        is_over = False
        limit_s: float = getattr(self.config, "send_s_max", inf)  # other servers of this process have none
        async with self.send_lock:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + limit_s) as scope:
                data, self._held = b"".join(self._held), []
                try:
                    await self.stream.send_all(data)
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    is_over = True
        if scope.cancelled_caught:
            self.blame("it does not read")
            await trio.aclose_forcefully(self.stream)
        if is_over or scope.cancelled_caught:
            await self.protocol.handle(Closed())


def _without_protocol_errors(app: Any) -> Any:
    """What h11 says of a client's mistake is no error of ours, to be logged with a traceback."""

    async def run(scope: Any, receive: Any, send: Any) -> None:
        try:
            await app(scope, receive, send)
        except* LocalProtocolError as group:
            logger.debug("session.lost error=%r", group.exceptions[0])

    return run


async def serve_bounded(
    app: Any, config: hypercorn.config.Config, send_s_max: float, task_status: Any = trio.TASK_STATUS_IGNORED, *,
    door: Door | None = None,
) -> None:  # fmt: skip
    """`hypercorn.trio.serve` with such connections; no write takes longer than `send_s_max`. Without a door everybody
    may come in.
    """
    setattr(hypercorn.trio.run, "TCPServer", BoundedServer)  # noqa: B010  (the name is not exported)
    config.send_s_max = send_s_max  # type: ignore[attr-defined]
    config.door = door  # type: ignore[attr-defined]
    await hypercorn.trio.serve(_without_protocol_errors(app), config, mode="asgi", task_status=task_status)
