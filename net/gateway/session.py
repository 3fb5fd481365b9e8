"""One WebSocket connection: requests in, answers and notifications out through one bounded queue.

Signed requests are taken up in the order they arrive, so that a cancel never overtakes the order it is meant for, and
so are the others; only waiting for finality happens beside the next requests. Who asks for much at once is answered bit
by bit, and what is signed passes that queue: a thousand questions would be a second of a processor that the node wants,
too. A client that does not read its answers is not read either; one
that does not read its notifications, or nothing at all for `send_s_max`, loses the connection.
"""

import json
import logging
from collections.abc import Awaitable, Callable
from math import inf
from typing import NamedTuple

import trio
from starlette.websockets import WebSocket, WebSocketDisconnect

from net.gateway.api import Api, Call, Pending, answer, complete
from net.gateway.channel import Channel
from net.gateway.credits import CREDITS_PER_REQUEST, CreditPools, hold_back, price_request
from net.gateway.errors import (
    HEARTBEAT_MISSED,
    INVALID_REQUEST,
    RATE_LIMITED,
    SLOW_CONSUMER,
    TOO_LARGE,
    TOO_MANY_CHANNELS,
    ApiError,
    Fault,
)
from net.gateway.sending import send_together, take_waiting
from net.gateway.server import blame
from net.gateway.wire import Request, RequestError, error_text, now_us, parse_request
from net.peers import TokenBucket

logger = logging.getLogger(__name__)
CLOSE_TRY_AGAIN_LATER = 1013
CLOSE_POLICY = 1008
_TEST_REQUEST = json.dumps({"jsonrpc": "2.0", "method": "heartbeat", "params": {"type": "test_request"}})


class _Read(NamedTuple):
    """A request that is not signed, and when its turn comes."""

    request: Request
    start_us: int
    at_s: float


class Session:
    """The state of one connection: its queue, channels and heartbeat."""

    def __init__(self, api: Api, websocket: WebSocket, pools: CreditPools) -> None:
        self.account: tuple[bytes, int] | None = None
        self._api = api
        self._websocket = websocket
        self._pools = pools
        self._outgoing, self._to_send = trio.open_memory_channel[str](api.limits.outgoing_messages_max)
        self._outgoing_bytes = 0
        self._has_read = trio.Event()
        self._waiting = trio.Semaphore(api.limits.waiting_per_connection_max)
        self._refusing = trio.Semaphore(api.limits.refusals_waiting_max)
        rate, burst = float(api.limits.reads_per_s), float(api.limits.reads_burst)
        self._turns = TokenBucket(rate, burst, burst, trio.current_time())
        self._reads, self._to_answer = trio.open_memory_channel[_Read](api.limits.waiting_per_connection_max)
        self._reads_waiting = 0
        self._channels: dict[str, Channel] = {}
        self._closing: tuple[int, str] | None = None
        self._is_dropped = trio.Event()
        self._heard_count = 0
        self._heartbeat_s = 0
        self._heartbeat_changed = trio.Event()

    @property
    def has_unsent(self) -> bool:
        """See `Subscriber`."""
        return self._outgoing_bytes > 0

    def push(self, text: str) -> None:
        """Queues a notification; a full queue ends the connection."""
        if self._closing is None:
            try:
                if not self._has_room(len(text), self._api.limits.outgoing_bytes_max):
                    raise trio.WouldBlock
                self._outgoing.send_nowait(text)
                self._count(len(text))
            except trio.WouldBlock:
                self._drop(CLOSE_TRY_AGAIN_LATER, SLOW_CONSUMER)

    def _has_room(self, size_bytes: int, bytes_max: int) -> bool:
        return not self._outgoing_bytes or self._api.backlog.has_room(self._outgoing_bytes + size_bytes, bytes_max)

    def _count(self, size_bytes: int) -> None:
        self._outgoing_bytes += size_bytes
        self._api.backlog.waiting_bytes += size_bytes

    def check_room(self, channels: list[Channel]) -> None:
        """Raises `ApiError` when these would be too many."""
        names = {channel.name for channel in channels} | self._channels.keys()
        limit = self._api.limits.channels_per_connection_max
        if len(names) > limit:
            raise ApiError(TOO_MANY_CHANNELS, "channels", f"at most {limit} channels per connection")

    def subscribe(self, channels: list[Channel], seen: dict[str, int]) -> None:
        """Pushes what each channel starts with, or what came after the message that was `seen` of it."""
        for channel in channels:
            known = self._channels.get(channel.name)
            if known is not None and known.key != channel.key:  # the connection means another account now
                self._api.hub.unsubscribe(self, known)
            self._channels[channel.name] = channel
            self._api.hub.subscribe(self, channel, seen.get(channel.name))

    def unsubscribe(self, names: list[str]) -> list[str]:
        """Which of them were subscribed."""
        known = {name: channel for name in names if (channel := self._channels.pop(name, None)) is not None}
        for channel in known.values():
            self._api.hub.unsubscribe(self, channel)
        return list(known)

    def unsubscribe_all(self) -> None:
        self.unsubscribe(list(self._channels))

    def set_heartbeat(self, interval_s: int) -> None:
        """0 turns it off."""
        self._heartbeat_s = interval_s
        self._heartbeat_changed.set()
        self._heartbeat_changed = trio.Event()

    async def run(self) -> None:
        """Until either side closes."""
        await self._websocket.accept()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write)
                nursery.start_soon(self._end_when_dropped, nursery.cancel_scope)
                nursery.start_soon(self._beat)
                nursery.start_soon(self._answer_in_turn, nursery)
                await self._read(nursery)
                nursery.cancel_scope.cancel()
        finally:
            self.unsubscribe_all()
            self._count(-self._outgoing_bytes)

    async def _read(self, nursery: trio.Nursery) -> None:
        while self._closing is None:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            self._heard_count += 1
            await self._on_message(message.get("text") or message.get("bytes") or "", nursery)

    async def _on_message(self, text: str | bytes, nursery: trio.Nursery) -> None:
        start_us = now_us()
        is_testnet = self._api.is_testnet
        length_bytes = len(text) if isinstance(text, bytes) else len(text.encode("utf-8", "surrogatepass"))
        if length_bytes > self._api.limits.message_bytes_max:
            return await self._reply(error_text(None, ApiError(TOO_LARGE), start_us, is_testnet))
        if not text:
            return await self._reply(error_text(None, ApiError(INVALID_REQUEST), start_us, is_testnet))
        try:
            request = parse_request(text)
        except RequestError as error:
            self._pools.take(*price_request(None, self._api.limits, length_bytes), trio.current_time())
            return await self._reply(error_text(error.request_id, error.error, start_us, is_testnet))
        method, now_s = self._api.methods.get(request.method), trio.current_time()
        pool, credit_count = price_request(method, self._api.limits, length_bytes)
        wait_ms = self._pools.take(pool, credit_count, now_s)
        if wait_ms:
            await self._refusing.acquire()
            nursery.start_soon(self._refuse_late, request, wait_ms, start_us)
        elif method is not None and method.is_signed:
            await self._answer(request, start_us, nursery)
        else:
            await self._read_in_turn(_Read(request, start_us, now_s), credit_count / CREDITS_PER_REQUEST, nursery)
        return None

    async def _read_in_turn(self, read: "_Read", turns: float, nursery: trio.Nursery) -> None:
        """Now, or behind those that wait."""
        wait_s = self._turns.take(turns, read.at_s)
        if wait_s == 0 and not self._reads_waiting:
            return await self._answer(read.request, read.start_us, nursery)
        self._reads_waiting += 1
        await self._reads.send(read._replace(at_s=read.at_s + wait_s))
        return None

    async def _answer_in_turn(self, nursery: trio.Nursery) -> None:
        async for read in self._to_answer:
            await trio.sleep_until(read.at_s)
            await self._answer(read.request, read.start_us, nursery)
            self._reads_waiting -= 1

    async def _answer(self, request: Request, start_us: int, nursery: trio.Nursery) -> None:
        call = Call(self._api, request, start_us, self, self._pools)
        outcome = await answer(call)
        if isinstance(outcome, Pending):
            await self._waiting.acquire()
            nursery.start_soon(self._finish, call, outcome)
        else:
            await self._reply(outcome.text)
            call.run_after_reply()

    async def _refuse_late(self, request: Request, wait_ms: int, start_us: int) -> None:
        """For lack of credits. A few of these may wait, so that they do not hold up a cancel; who is refused more often
        is not read meanwhile.
        """
        try:
            held_s, left_ms = hold_back(wait_ms, self._api.limits)
            await trio.sleep(held_s)
            refused = ApiError(RATE_LIMITED, retry_after_ms=left_ms)
            await self._reply(error_text(request.request_id, refused, start_us, self._api.is_testnet))
        finally:
            self._refusing.release()

    async def _reply(self, text: str) -> None:
        """Queues an answer, waiting for room: who does not read his answers is not asked for more requests."""
        while self._closing is None and not self._has_room(len(text), self._api.limits.answer_bytes_max):
            self._has_read = trio.Event()
            await self._has_read.wait()
        if self._closing is None:
            self._count(len(text))
            await self._outgoing.send(text)

    async def _finish(self, call: Call, pending: Pending) -> None:
        try:
            reply = await complete(call, pending)
            await self._reply(reply.text)
        finally:
            self._waiting.release()

    async def _write(self) -> None:
        await self._guarded(self._drain)

    async def _drain(self) -> None:
        async for first in self._to_send:
            texts = take_waiting(first, self._to_send)
            if not await send_together(self._websocket, texts, self._api.limits.send_s_max):
                self._drop(CLOSE_TRY_AGAIN_LATER, SLOW_CONSUMER)
            if self._closing is not None:
                return
            self._count(-sum(map(len, texts)))
            self._has_read.set()

    async def _guarded(self, send: Callable[[], Awaitable[None]]) -> None:
        try:
            await send()
        except (WebSocketDisconnect, RuntimeError, OSError, trio.BrokenResourceError) as error:
            logger.debug("session.lost error=%r", error)
            self._is_dropped.set()

    def _drop(self, close_code: int, fault: Fault) -> None:
        self._closing = (close_code, f"{fault.number} {fault.reason}: {fault.hint}")
        self._is_dropped.set()

    async def _end_when_dropped(self, scope: trio.CancelScope) -> None:
        await self._is_dropped.wait()
        if self._closing is not None:
            code, reason = self._closing
            if code == CLOSE_TRY_AGAIN_LATER:
                blame("it does not read")
            with trio.move_on_after(self._api.limits.close_grace_s):
                await self._guarded(lambda: self._websocket.close(code, reason))
        scope.cancel()

    async def _beat(self) -> None:
        """Sends `test_request` every interval; silence for a whole interval after one ends the connection."""
        asked_at_count = -1
        while True:
            with trio.move_on_after(self._heartbeat_s or inf) as pause:
                await self._heartbeat_changed.wait()
            if not pause.cancelled_caught:
                asked_at_count = -1
            elif asked_at_count == self._heard_count:
                return self._drop(CLOSE_POLICY, HEARTBEAT_MISSED)
            else:
                asked_at_count = self._heard_count
                self.push(_TEST_REQUEST)
