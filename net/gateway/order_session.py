"""One WebSocket connection for binary order entry: frames of orders in, receipts and outcomes out, every frame a
message of its own (docs/protocol.md, section 8).

A client that has too many frames unanswered is not read. One that does not read what it is told, `send_s_max` long or
`order_outgoing_bytes_max` behind, loses the connection; what it sends again on the next is answered with what became
of it.
"""

import logging
from collections import deque

import trio
from starlette.websockets import WebSocket, WebSocketDisconnect

from net.gateway.api import Api
from net.gateway.backend import OrderStream
from net.gateway.errors import INVALID_REQUEST, RATE_LIMITED, SLOW_CONSUMER, TOO_LARGE, Fault
from net.gateway.limits import TokenBucket
from net.gateway.sending import WRITE_BYTES, send_together
from net.gateway.server import blame
from net.gateway.session import CLOSE_POLICY, CLOSE_TRY_AGAIN_LATER
from net.order_frames import FRAME_BYTES_MAX, FRAME_MESSAGES_MAX, FrameError, Orders, count_messages, refuse

logger = logging.getLogger(__name__)


class OrderSession:
    """The state of one connection: what waits to be sent, and why it is to end."""

    def __init__(self, api: Api, websocket: WebSocket, now_s: float) -> None:
        limits = api.limits
        self._api = api
        self._websocket = websocket
        self._frames = TokenBucket(limits.requests_per_s, limits.requests_burst, limits.requests_burst, now_s)
        self._messages = TokenBucket(
            limits.order_messages_per_s, limits.order_messages_burst, limits.order_messages_burst, now_s
        )
        self._outgoing: deque[bytes] = deque()
        self._outgoing_bytes = 0
        self._has_outgoing = trio.Event()
        self._closing: tuple[int, Fault] | None = None

    def push(self, frame: bytes) -> None:
        """Queues a frame; too much in the queue ends the connection."""
        self._outgoing.append(frame)
        self._outgoing_bytes += len(frame)
        if self._outgoing_bytes > self._api.limits.order_outgoing_bytes_max:
            self._outgoing.clear()
            self._closing = self._closing or (CLOSE_TRY_AGAIN_LATER, SLOW_CONSUMER)
        self._has_outgoing.set()

    async def run(self) -> None:
        """Until either side closes."""
        await self._websocket.accept()
        with self._api.backend.open_order_stream(self.push) as stream:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write, nursery.cancel_scope)
                await self._read(stream)
                nursery.cancel_scope.cancel()

    async def _read(self, stream: OrderStream) -> None:
        while self._closing is None:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            data = message.get("bytes")
            if data is None:
                self._close(CLOSE_POLICY, INVALID_REQUEST)
            else:
                await self._on_frame(stream, data)
        await trio.sleep_forever()  # the writer says why and ends it

    async def _on_frame(self, stream: OrderStream, data: bytes) -> None:
        tag = int.from_bytes(data[:8], "little")
        if len(data) > FRAME_BYTES_MAX:
            return self.push(refuse(tag, TOO_LARGE.number))
        try:
            orders = Orders.decode(data)
        except FrameError:
            return self.push(refuse(tag, INVALID_REQUEST.number))
        now_s, count = trio.current_time(), count_messages(orders.messages)
        if count > FRAME_MESSAGES_MAX:
            return self.push(refuse(tag, TOO_LARGE.number))
        if not self._frames.is_allowed(now_s) or not self._messages.is_allowed(now_s, count):
            return self.push(refuse(tag, RATE_LIMITED.number))
        return await stream.submit(orders)

    def _close(self, close_code: int, fault: Fault) -> None:
        self._closing = (close_code, fault)
        self._has_outgoing.set()

    async def _write(self, scope: trio.CancelScope) -> None:
        try:
            await self._drain()
        except (WebSocketDisconnect, RuntimeError, OSError, trio.BrokenResourceError) as error:
            logger.debug("order_session.lost error=%r", error)
        scope.cancel()

    async def _drain(self) -> None:
        limits = self._api.limits
        while self._closing is None:
            await self._has_outgoing.wait()
            self._has_outgoing = trio.Event()
            while self._outgoing and self._closing is None:
                frames = self._take_frames()
                if not await send_together(self._websocket, frames, limits.send_s_max):
                    self._close(CLOSE_TRY_AGAIN_LATER, SLOW_CONSUMER)
        code, fault = self._closing
        if fault is SLOW_CONSUMER:
            blame("it does not read")
        with trio.move_on_after(limits.close_grace_s):
            await self._websocket.close(code, f"{fault.number} {fault.reason}: {fault.hint}")

    def _take_frames(self) -> list[bytes]:
        """What makes up one write."""
        frames, size_bytes = [], 0
        while self._outgoing and size_bytes < WRITE_BYTES:
            frames.append(self._outgoing.popleft())
            size_bytes += len(frames[-1])
        self._outgoing_bytes -= size_bytes
        return frames
