"""One local WebSocket connection: requests in, answers and notifications out through one bounded queue.

Requests are sent on in the order they come, so that a cancel never overtakes its order; waiting for their answers goes
side by side. What comes over a channel waits until the answer to its subscription is out.
"""

import logging
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Protocol

import trio
from starlette.websockets import WebSocket, WebSocketDisconnect

from net.gateway.sending import send_together, take_waiting
from net.trader.api_keys import Grant

logger = logging.getLogger(__name__)
OUTGOING_MESSAGES_MAX = 20_000
WAITING_MAX = 256
_CLOSE_TRY_AGAIN_LATER, _CLOSE_POLICY = 1013, 1008
_IDLE_TICK_S = 1.0
_TEST_REQUEST = '{"jsonrpc":"2.0","method":"heartbeat","params":{"type":"test_request"}}'


class Once:
    """Calls something the first time it is called."""

    def __init__(self, action: Callable[[], None]) -> None:
        self._action: Callable[[], None] | None = action

    def __call__(self) -> None:
        action, self._action = self._action, None
        if action is not None:
            action()


class Clerk(Protocol):
    """Whoever answers: `net.trader.desk`."""

    async def answer_text(
        self, text: str | bytes, session: "Session", on_sent: Callable[[], None]
    ) -> tuple[str, Callable[[], None]]:
        """The answer, and what to do once it is queued. `on_sent` is called when the next request may begin."""

    async def end_session(self, session: "Session") -> None: ...


class Session:
    """The state of one connection: its login, its queue, its heartbeat."""

    def __init__(self, clerk: Clerk, websocket: WebSocket) -> None:
        self.grant: Grant | None = None
        self.heartbeat_s = 0
        self.order_ids: dict[str, None] = {}  # placed over this connection, for cancel_on_disconnect
        self._clerk = clerk
        self._websocket = websocket
        self._outgoing, self._to_send = trio.open_memory_channel[str](OUTGOING_MESSAGES_MAX)
        self._held: dict[str, deque[str]] = {}
        self._heard_count = 0
        self._waiting = trio.Semaphore(WAITING_MAX)
        self._scope = trio.CancelScope()
        self._close = (1000, "")

    def push(self, channel: str, text: str) -> None:
        """Queues a notification; a client that does not read loses the connection."""
        held = self._held.get(channel)
        if held is not None:
            held.append(text)
            return
        try:
            self._outgoing.send_nowait(text)
        except trio.WouldBlock:
            self._drop(_CLOSE_TRY_AGAIN_LATER, "slow consumer: read faster, then connect again")
        except trio.BrokenResourceError:
            logger.debug("gateway.notification_dropped (its connection has ended)")

    def hold(self, channels: list[str]) -> None:
        """Keeps back what comes over these until `release`."""
        for channel in channels:
            self._held.setdefault(channel, deque())

    def release(self, channels: list[str]) -> None:
        for channel in channels:
            for text in self._held.pop(channel, ()):
                self.push(channel, text)

    async def run(self) -> None:
        """Until either side closes."""
        await self._websocket.accept()
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._write)
                    nursery.start_soon(self._beat)
                    await self._read(nursery)
                    nursery.cancel_scope.cancel()
            if self._close[0] != 1000:
                await self._guarded(lambda: self._websocket.close(*self._close))
        finally:
            self._to_send.close()
            with trio.CancelScope(shield=True), trio.move_on_after(10):
                await self._clerk.end_session(self)

    async def _read(self, nursery: trio.Nursery) -> None:
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            self._heard_count += 1
            await self._waiting.acquire()
            await nursery.start(self._answer, message.get("text") or message.get("bytes") or "")

    async def _answer(self, text: str | bytes, task_status: Any) -> None:
        sent = Once(task_status.started)
        try:
            answer, after_reply = await self._clerk.answer_text(text, self, sent)
            sent()
            await self._outgoing.send(answer)
            after_reply()
        except trio.BrokenResourceError:
            logger.debug("gateway.answer_dropped (its connection has ended)")
        finally:
            self._waiting.release()

    async def _write(self) -> None:
        async for first in self._to_send:
            await self._guarded(partial(send_together, self._websocket, take_waiting(first, self._to_send)))

    async def _guarded(self, send: Callable[[], Awaitable[object]]) -> None:
        try:
            await send()
        except (WebSocketDisconnect, RuntimeError, OSError, trio.BrokenResourceError) as error:
            logger.debug("gateway.session_lost error=%r", error)
            self._scope.cancel()

    def _drop(self, code: int, reason: str) -> None:
        self._close = (code, reason)
        self._scope.cancel()

    async def _beat(self) -> None:
        """Sends `test_request` every interval; silence for a whole interval after one ends the connection."""
        asked_at_count = -1
        while True:
            interval_s = self.heartbeat_s
            await trio.sleep(interval_s or _IDLE_TICK_S)
            if not interval_s:
                asked_at_count = -1
            elif asked_at_count == self._heard_count:
                return self._drop(_CLOSE_POLICY, "heartbeat missed: answer test_request with public/test")
            else:
                asked_at_count = self._heard_count
                self.push("", _TEST_REQUEST)
