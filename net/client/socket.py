"""One WebSocket to a node as it is: what is sent goes out, what comes is given back, and nothing outlives it. For tools
that send by the thousand and keep their own books; everybody else wants `AsyncClient`.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from trio_websocket import ConnectionClosed, WebSocketConnection, open_websocket_url

_MESSAGE_BYTES_MAX = 64 << 20
_CONNECT_S = 20.0


class Socket:
    """Made by `open_socket`."""

    def __init__(self, connection: WebSocketConnection) -> None:
        self._connection = connection

    async def send(self, data: str | bytes) -> bool:
        """Text or binary message; waits while the node does not read. False when the connection has ended."""
        try:
            await self._connection.send_message(data)
        except ConnectionClosed:
            return False
        return True

    async def receive(self) -> str | bytes | None:
        """The next message; None when the connection has ended."""
        try:
            data: str | bytes = await self._connection.get_message()
        except ConnectionClosed:
            return None
        return data


@asynccontextmanager
async def open_socket(url: str, path: str) -> AsyncIterator[Socket]:
    """`url` is the node's, `http://host:port`; `path` begins with a slash."""
    address = url.replace("http", "ws", 1) + path
    async with open_websocket_url(
        address, max_message_size=_MESSAGE_BYTES_MAX, connect_timeout=_CONNECT_S, disconnect_timeout=1
    ) as connection:
        yield Socket(connection)
