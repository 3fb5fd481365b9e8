"""One WebSocket to a node that outlives its connections.

A call that was not answered is sent again, to the letter, on the next connection: reads do no harm twice, and a signed
command executes once, whatever the number of copies. Subscriptions are renewed; a book then starts with a new snapshot.
"""

import logging
from dataclasses import dataclass, field
from typing import Any

import trio
from trio_websocket import (
    ConnectionClosed,
    ConnectionTimeout,
    DisconnectionTimeout,
    HandshakeError,
    WebSocketConnection,
    open_websocket_url,
)

from net.client.protocol import (
    Answer,
    Call,
    HansaError,
    Notification,
    OutcomeUnknown,
    decode_message,
    encode_call,
    is_test_request,
)

logger = logging.getLogger(__name__)
_BACKOFF_S_MIN, _BACKOFF_S_MAX = 0.05, 5.0
_MESSAGE_BYTES_MAX = 64 << 20
_CONNECT_S = 10.0


@dataclass(slots=True)
class _Waiting:
    text: str
    event: trio.Event = field(default_factory=trio.Event)
    answer: Answer | None = None


class Link:
    """Calls and notifications over one connection at a time. `run` keeps it up."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._connection: WebSocketConnection | None = None
        self._waiting: dict[int, _Waiting] = {}
        self._listeners: dict[str, list[trio.MemorySendChannel[Notification]]] = {}
        self._confirmed: set[str] = set()  # channels to renew; a subscription still under way is a waiting call
        self._next_id = 0
        self.connection_count = 0

    async def run(self) -> None:
        """Connects, and again after every loss, for ever."""
        backoff_s = _BACKOFF_S_MIN
        while True:
            try:
                async with open_websocket_url(
                    self._url, max_message_size=_MESSAGE_BYTES_MAX, connect_timeout=_CONNECT_S, disconnect_timeout=1
                ) as connection:
                    backoff_s = _BACKOFF_S_MIN
                    await self._serve(connection)
            except (
                ConnectionClosed, DisconnectionTimeout, HandshakeError, ConnectionTimeout, OSError, HansaError
            ) as error:  # fmt: skip
                logger.info("connection to %s lost: %r", self._url, error)
            finally:
                self._connection = None
            await trio.sleep(backoff_s)
            backoff_s = min(backoff_s * 2, _BACKOFF_S_MAX)

    async def call(self, call: Call) -> Any:
        """The result, or raises the node's `HansaError`. Raises `OutcomeUnknown` when no node answers in time."""
        self._next_id += 1
        request_id = self._next_id
        waiting = self._waiting[request_id] = _Waiting(encode_call(request_id, call))
        try:
            with trio.move_on_after(self._timeout_s):
                await self._send(waiting.text)
                await waiting.event.wait()
        finally:
            del self._waiting[request_id]
        if waiting.answer is None:
            raise OutcomeUnknown(0, f"no answer to {call.method} within {self._timeout_s} s")
        if waiting.answer.error is not None:
            raise waiting.answer.error
        return waiting.answer.result

    async def listen(self, channels: tuple[str, ...], buffer: int) -> trio.MemoryReceiveChannel[Notification]:
        """Subscribes; where others listen already, a book starts again for all of them.

        A listener that falls `buffer` messages behind has its channel closed.
        """
        sender, receiver = trio.open_memory_channel[Notification](buffer)
        for channel in channels:
            self._listeners.setdefault(channel, []).append(sender)
        try:
            await self.call(_subscribe_call(list(channels)))
            self._confirmed.update(channels)
        except BaseException:
            self._forget(sender)
            raise
        return receiver

    async def unlisten(self, receiver: trio.MemoryReceiveChannel[Notification]) -> None:
        """Ends a subscription; the node is told when it was the last of its channels."""
        receiver.close()
        gone = self._prune()
        if gone and self._connection is not None:
            await self.call(Call("public/unsubscribe", {"channels": gone}))

    async def _serve(self, connection: WebSocketConnection) -> None:
        self.connection_count += 1
        self._connection = connection
        if self._confirmed:
            await connection.send_message(encode_call(0, _subscribe_call(sorted(self._confirmed))))
        for waiting in list(self._waiting.values()):
            await connection.send_message(waiting.text)
        while True:
            await self._on_message(await connection.get_message())

    async def _send(self, text: str) -> None:
        """Sends now, if connected; what was not answered is sent again by `_serve`."""
        if self._connection is not None:
            try:
                await self._connection.send_message(text)
            except ConnectionClosed:
                logger.debug("connection lost while sending")

    async def _on_message(self, text: str | bytes) -> None:
        message = decode_message(text)
        if isinstance(message, Answer):
            waiting = self._waiting.get(message.request_id)
            if waiting is not None:
                waiting.answer = message
                waiting.event.set()
        elif isinstance(message, Notification):
            for sender in list(self._listeners.get(message.channel, ())):
                self._deliver(sender, message)
        elif is_test_request(text):
            await self._send(encode_call(0, Call("public/test", {})))

    def _deliver(self, sender: trio.MemorySendChannel[Notification], message: Notification) -> None:
        try:
            sender.send_nowait(message)
        except (trio.WouldBlock, trio.BrokenResourceError):
            self._forget(sender)

    def _forget(self, sender: trio.MemorySendChannel[Notification]) -> None:
        sender.close()
        for senders in self._listeners.values():
            if sender in senders:
                senders.remove(sender)
        self._prune()

    def _prune(self) -> list[str]:
        """Drops listeners that are gone; the channels without any left."""
        for channel, senders in self._listeners.items():
            self._listeners[channel] = [s for s in senders if s.statistics().open_receive_channels]
        gone = [channel for channel, senders in self._listeners.items() if not senders]
        for channel in gone:
            del self._listeners[channel]
        self._confirmed.difference_update(gone)
        return gone


def _subscribe_call(channels: list[str]) -> Call:
    return Call("public/subscribe", {"channels": channels})
