"""One WebSocket to a node as it is: what is sent goes out, what comes is given back, and nothing outlives it. For tools
that send by the thousand and keep their own books; everybody else wants `AsyncClient`. On trio and on asyncio.
"""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from socket import IPPROTO_TCP, TCP_NODELAY
from urllib.parse import urlsplit

import anyio
from anyio.abc import ByteStream, SocketAttribute
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Message,
    Ping,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)
from wsproto.utilities import ProtocolError

_MESSAGE_BYTES_MAX = 64 << 20
_READ_BYTES = 1 << 18
_CONNECT_S = 10.0
_CLOSE_S = 1.0


class NotConnected(ConnectionError):
    """No WebSocket came about: nobody answers there, or what answers is no node."""


class Socket:
    """Made by `open_socket`. Several tasks may send; one receives."""

    def __init__(self, stream: ByteStream, protocol: WSConnection) -> None:
        self._stream = stream
        self._protocol = protocol
        self._is_open = True
        self._writing = anyio.Lock(fast_acquire=True)
        self._parts: list[str | bytes] = []
        self._parts_bytes = 0

    async def send(self, data: str | bytes) -> bool:
        """Text or binary message; waits while the node does not read. False when the connection has ended."""
        return await self._write(TextMessage(data) if isinstance(data, str) else BytesMessage(data))

    async def receive(self) -> str | bytes | None:
        """The next message; None when the connection has ended."""
        while self._is_open:
            for event in self._protocol.events():
                message = await self._on_event(event)
                if message is not None:
                    return message
            await self._read()
        return None

    async def close(self) -> None:
        """Says goodbye if that takes no time, and lets go of the connection."""
        try:
            with anyio.move_on_after(_CLOSE_S, shield=True):
                await self._write(CloseConnection(code=1000))
        finally:
            self._is_open = False
            await anyio.aclose_forcefully(self._stream)

    async def shake_hands(self, host: str, path: str) -> None:
        """Raises `NotConnected` unless the other side accepts."""
        await self._write(Request(host=host, target=path))
        while self._is_open:
            for event in self._protocol.events():
                match event:
                    case AcceptConnection():
                        return
                    case RejectConnection(status_code=status):
                        raise NotConnected(f"refused with HTTP status {status}")
                    case RejectData():
                        continue
            await self._read()
        raise NotConnected("closed before it was a WebSocket")

    async def _on_event(self, event: Event) -> str | bytes | None:
        match event:
            case Message(data=data, message_finished=is_whole):
                self._parts.append(data)
                self._parts_bytes += len(data)
                if is_whole:
                    parts, self._parts, self._parts_bytes = self._parts, [], 0
                    return parts[0] if len(parts) == 1 else type(parts[0])().join(parts)  # type: ignore[arg-type]
                self._is_open = self._parts_bytes <= _MESSAGE_BYTES_MAX
            case Ping():
                await self._write(event.response())
            case CloseConnection():
                await self._write(event.response())
                self._is_open = False
        return None

    async def _read(self) -> None:
        try:
            self._protocol.receive_data(await self._stream.receive(_READ_BYTES))
        except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, ProtocolError):
            self._is_open = False

    async def _write(self, event: Event) -> bool:
        async with self._writing:
            if not self._is_open:
                return False
            try:
                await self._stream.send(self._protocol.send(event))
            except (anyio.BrokenResourceError, anyio.ClosedResourceError, ProtocolError):
                self._is_open = False
            except BaseException:  # cancelled half way through a frame: whatever came after it would be garbage
                self._is_open = False
                await anyio.aclose_forcefully(self._stream)
                raise
        return self._is_open


@asynccontextmanager
async def open_socket(url: str, path: str) -> AsyncIterator[Socket]:
    """`url` is the node's, `http://host:port` or `https://`; `path` begins with a slash. Raises `NotConnected`."""
    parts = urlsplit(url)
    is_secure = parts.scheme in ("https", "wss")
    host, port = parts.hostname or "", parts.port or (443 if is_secure else 80)
    try:
        with anyio.fail_after(_CONNECT_S):
            stream = await _connect(host, port, is_secure)
            socket = Socket(stream, WSConnection(ConnectionType.CLIENT))
            try:
                await socket.shake_hands(parts.netloc, path)
            except BaseException:
                await anyio.aclose_forcefully(stream)
                raise
    except (OSError, TimeoutError, ProtocolError) as error:
        raise NotConnected(f"no node at {url}: {str(error) or 'it does not answer'}") from error
    try:
        yield socket
    finally:
        await socket.close()


async def _connect(host: str, port: int, is_secure: bool) -> ByteStream:
    if not is_secure:
        stream = await anyio.connect_tcp(host, port)
        stream.extra(SocketAttribute.raw_socket).setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        return stream
    context = ssl.create_default_context()
    return await anyio.connect_tcp(host, port, ssl_context=context, tls_standard_compatible=False)
