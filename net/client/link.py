"""One WebSocket to a node that outlives its connections, and its nodes.

A call that was not answered is sent again, to the letter, on the next connection, be it to another node: reads do no
harm twice, and a signed command executes once, whatever the number of copies. Subscriptions are renewed and go on where
they broke off, if the node still has what came in between; otherwise a book starts with a new snapshot. A connection on
which nothing comes, although the node promised a sign of life, is lost.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

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
from net.client.socket import Socket, open_socket

logger = logging.getLogger(__name__)
PATH = "/ws/api/v2"
HEARTBEAT_S = 10  # the least that a node grants
SILENCE_S = 2.5 * HEARTBEAT_S
_BACKOFF_S_MIN, _BACKOFF_S_MAX = 0.05, 5.0


@dataclass(slots=True)
class _Waiting:
    text: str
    event: anyio.Event = field(default_factory=anyio.Event)
    answer: Answer | None = None


class Link:
    """Calls and notifications over one connection at a time, to the first of `urls` that answers. `run` keeps it up."""

    def __init__(self, urls: Sequence[str], timeout_s: float) -> None:
        self._urls = tuple(urls)
        self._at = 0
        self._timeout_s = timeout_s
        self._socket: Socket | None = None
        self._waiting: dict[int, _Waiting] = {}
        self._listeners: dict[str, list[MemoryObjectSendStream[Notification]]] = {}
        self._confirmed: set[str] = set()  # channels to renew; a subscription still under way is a waiting call
        self._seen: dict[str, int] = {}  # by channel the number of the last message that came
        self._next_id = 0
        self.connection_count = 0

    @property
    def url(self) -> str:
        """The node that is talked to, or tried."""
        return self._urls[self._at]

    async def run(self) -> None:
        """Connects, and after every loss again, to the next node first, for ever."""
        failed_count, backoff_s = 0, _BACKOFF_S_MIN
        while True:
            try:
                async with open_socket(self.url, PATH) as socket:
                    failed_count, backoff_s = 0, _BACKOFF_S_MIN
                    await self._serve(socket)
            except (OSError, HansaError) as error:
                logger.info("sdk.link_lost url=%s error=%r", self.url, error)
            finally:
                self._socket = None
            self._at = (self._at + 1) % len(self._urls)
            failed_count += 1
            if failed_count % len(self._urls) == 0:
                await anyio.sleep(backoff_s)
                backoff_s = min(backoff_s * 2, _BACKOFF_S_MAX)

    async def call(self, call: Call) -> Any:
        """The result, or raises the node's `HansaError`. Raises `OutcomeUnknown` when no node answers in time."""
        self._next_id += 1
        request_id = self._next_id
        waiting = self._waiting[request_id] = _Waiting(encode_call(request_id, call))
        try:
            with anyio.move_on_after(self._timeout_s):
                await self._send(waiting.text)
                await waiting.event.wait()
        finally:
            del self._waiting[request_id]
        if waiting.answer is None:
            raise OutcomeUnknown(0, f"no answer to {call.method} within {self._timeout_s} s")
        if waiting.answer.error is not None:
            raise waiting.answer.error
        return waiting.answer.result

    async def listen(self, channels: tuple[str, ...], buffer: int) -> MemoryObjectReceiveStream[Notification]:
        """Subscribes; where others listen already, a book starts again for all of them.

        A listener that falls `buffer` messages behind has its channel closed.
        """
        sender, receiver = anyio.create_memory_object_stream[Notification](buffer)
        for channel in channels:
            self._listeners.setdefault(channel, []).append(sender)
        try:
            await self.call(_subscribe_call(list(channels)))
            self._confirmed.update(channels)
        except BaseException:
            receiver.close()
            self._forget(sender)
            raise
        return receiver

    async def unlisten(self, receiver: MemoryObjectReceiveStream[Notification]) -> None:
        """Ends a subscription; the node is told when it was the last of its channels."""
        receiver.close()
        gone = self._prune()
        if gone and self._socket is not None:
            await self.call(Call("public/unsubscribe", {"channels": gone}))

    async def _serve(self, socket: Socket) -> None:
        self.connection_count += 1
        await socket.send(encode_call(0, Call("public/set_heartbeat", {"interval": HEARTBEAT_S})))
        if self._confirmed:
            await socket.send(encode_call(0, _subscribe_call(sorted(self._confirmed), self._seen)))
        self._socket = socket  # a call made from here on sends itself
        for waiting in list(self._waiting.values()):
            await socket.send(waiting.text)
        text: str | bytes | None = ""
        while text is not None:
            with anyio.move_on_after(SILENCE_S) as silence:
                text = await socket.receive()
            if silence.cancelled_caught:
                raise HansaError(0, f"nothing came for {SILENCE_S} s")
            if text:
                await self._on_message(text)

    async def _send(self, text: str) -> None:
        """Sends now, if connected; what was not answered is sent again by `_serve`."""
        if self._socket is not None:
            await self._socket.send(text)

    async def _on_message(self, text: str | bytes) -> None:
        message = decode_message(text)
        if isinstance(message, Answer):
            waiting = self._waiting.get(message.request_id)
            if waiting is not None:
                waiting.answer = message
                waiting.event.set()
        elif isinstance(message, Notification):
            if message.channel in self._listeners:
                self._seen[message.channel] = message.number
            for sender in list(self._listeners.get(message.channel, ())):
                self._deliver(sender, message)
        elif is_test_request(text):
            await self._send(encode_call(0, Call("public/test", {})))

    def _deliver(self, sender: MemoryObjectSendStream[Notification], message: Notification) -> None:
        try:
            sender.send_nowait(message)
        except (anyio.WouldBlock, anyio.BrokenResourceError):
            self._forget(sender)

    def _forget(self, sender: MemoryObjectSendStream[Notification]) -> None:
        sender.close()
        for senders in self._listeners.values():
            if sender in senders:
                senders.remove(sender)
        self._prune()

    def _prune(self) -> list[str]:
        """Drops listeners that are gone; the channels without any left."""
        for senders in self._listeners.values():
            for sender in [s for s in senders if not s.statistics().open_receive_streams]:
                sender.close()
                senders.remove(sender)
        gone = [channel for channel, senders in self._listeners.items() if not senders]
        for channel in gone:
            del self._listeners[channel]
            self._seen.pop(channel, None)
        self._confirmed.difference_update(gone)
        return gone


def _subscribe_call(channels: list[str], seen: Mapping[str, int] | None = None) -> Call:
    resumed = {channel: seen[channel] for channel in channels if channel in seen} if seen else {}
    return Call("public/subscribe", {"channels": channels} | ({"x_resume": resumed} if resumed else {}))
