"""One node, as the gateway sees it: a connection that is made again for ever, its height, its health.

A call that loses its connection fails at once with `NodeLost`, so that another node can be asked: the SDK's link waits
for the same one instead. Heights come with every block (`x.blocks`), health with a look every second.
"""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import trio

from net.client.socket import NotConnected, Socket, open_socket

logger = logging.getLogger(__name__)
_BACKOFF_S_MIN, _BACKOFF_S_MAX = 0.05, 2.0
_LOOK_INTERVAL_S = 1.0
_LOOK_S_MAX = 3.0
_SEND_S_MAX = 3.0
_BLOCKS = "x.blocks"


class NodeLost(Exception):
    """The node went away, or was never there, before it answered."""


class NodeRefused(Exception):
    """The node's `error`, as it wrote it."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(str(error.get("message")))
        self.error = error

    @property
    def data(self) -> dict[str, Any]:
        data = self.error.get("data")
        return data if isinstance(data, dict) else {}

    @property
    def number(self) -> int:
        """The node's own number (docs/errors.md)."""
        number = self.data.get("code")
        return number if isinstance(number, int) else 0


# (node, channel, data) of a notification; (node,) when a connection was made or lost.
OnNotification = Callable[["Upstream", str, Any], None]
OnChange = Callable[["Upstream"], None]


@dataclass(slots=True)
class _Waiting:
    event: trio.Event = field(default_factory=trio.Event)
    message: dict[str, Any] | None = None


class Upstream:
    """`run` keeps the connection; everything else is for the same task tree."""

    def __init__(self, url: str, on_notification: OnNotification, on_change: OnChange, account: dict[str, Any]) -> None:
        """`account`: owner and subaccount that user channels are about."""
        self.url = url
        self.height = 0
        self.latency_s = 0.0
        self.is_connected = False
        self.is_well = False  # connected, not syncing, not halted
        self.domain: dict[str, Any] | None = None  # the node's answer to public/x_get_domain
        self._account = account
        self._on_notification, self._on_change = on_notification, on_change
        self._connection: Socket | None = None
        self._waiting: dict[int, _Waiting] = {}
        self._next_id = 0
        self._grown = trio.Event()

    async def run(self) -> None:
        """Until cancelled."""
        backoff_s = _BACKOFF_S_MIN
        while True:
            try:
                async with open_socket(self.url, "/ws/api/v2") as connection:
                    backoff_s = _BACKOFF_S_MIN
                    await self._serve(connection)
            except NotConnected as error:
                logger.info("gateway.node_unreachable url=%s error=%s", self.url, error)
            finally:
                self._lose()
            await trio.sleep(backoff_s)
            backoff_s = min(backoff_s * 2, _BACKOFF_S_MAX)

    async def call(self, method: str, params: dict[str, Any], timeout_s: float) -> Any:
        """The result. Raises `NodeRefused`, or `NodeLost` without a connection or an answer in time."""
        return await self.wait_answer(await self.post(method, params), timeout_s)

    async def post(self, method: str, params: dict[str, Any]) -> int:
        """Sends a request; its number goes to `wait_answer`. Raises `NodeLost` without a connection."""
        if self._connection is None:
            raise NodeLost(self.url)
        self._next_id += 1
        request_id = self._next_id
        self._waiting[request_id] = _Waiting()
        request = {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}
        is_sent = False
        # Half a message would end the connection of everybody, so a client that goes away does not cut it.
        with trio.CancelScope(shield=True, deadline=trio.current_time() + _SEND_S_MAX):
            is_sent = await self._connection.send(json.dumps(request))
        if not is_sent:
            del self._waiting[request_id]
            raise NodeLost(self.url)
        return request_id

    async def wait_answer(self, request_id: int, timeout_s: float) -> Any:
        """As `call`. To be called once for each request that was sent."""
        waiting = self._waiting[request_id]
        try:
            with trio.move_on_after(timeout_s):
                await waiting.event.wait()
        finally:
            del self._waiting[request_id]
        if waiting.message is None:
            raise NodeLost(self.url)
        if "result" in waiting.message:
            return waiting.message["result"]
        raise NodeRefused(waiting.message.get("error") or {"code": -32600, "message": "no result"})

    async def wait_height(self, height: int, timeout_s: float) -> bool:
        """Whether the node has come to a height in time."""
        with trio.move_on_after(timeout_s):
            while self.height < height:
                await self._grown.wait()
        return self.height >= height

    async def _serve(self, connection: Socket) -> None:
        self._connection = connection
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch, nursery.cancel_scope)
            try:
                while (text := await connection.receive()) is not None:
                    self._on_message(text)
            except NodeLost as error:
                logger.info("gateway.node_lost url=%s error=%s", self.url, error)
            nursery.cancel_scope.cancel()

    async def _watch(self, scope: trio.CancelScope) -> None:
        """Looks at the node every second; silence ends the connection."""
        try:
            self.domain = await self.call("public/x_get_domain", {}, _LOOK_S_MAX)
            await self.call("public/auth", {"grant_type": "x_owner"} | self._account, _LOOK_S_MAX)
            await self.call("public/subscribe", {"channels": [_BLOCKS]}, _LOOK_S_MAX)
            while True:
                asked_at_s = trio.current_time()
                status = await self.call("public/status", {}, _LOOK_S_MAX)
                self._judge(status, trio.current_time() - asked_at_s)
                await trio.sleep(_LOOK_INTERVAL_S)
        except (NodeLost, NodeRefused) as error:
            logger.info("gateway.node_mute url=%s error=%r", self.url, error)
            scope.cancel()

    def _judge(self, status: dict[str, Any], latency_s: float) -> None:
        self.latency_s = latency_s if not self.latency_s else 0.8 * self.latency_s + 0.2 * latency_s
        self._grow(int(status.get("height", 0)))
        was_well, was_connected = self.is_well, self.is_connected
        self.is_connected = True
        self.is_well = not status.get("is_syncing") and not status.get("is_halted")
        if (was_well, was_connected) != (self.is_well, True):
            self._on_change(self)

    def _grow(self, height: int) -> None:
        if height > self.height:
            self.height = height
            self._grown.set()
            self._grown = trio.Event()

    def _lose(self) -> None:
        self._connection = None
        for waiting in self._waiting.values():
            waiting.event.set()
        if self.is_connected:
            self.is_connected = self.is_well = False
            self._on_change(self)

    def _on_message(self, text: str | bytes) -> None:
        try:
            message = json.loads(text, parse_float=Decimal)
        except ValueError:
            raise NodeLost(f"{self.url} sent no JSON") from None
        if not isinstance(message, dict):
            raise NodeLost(f"{self.url} sent no JSON-RPC")
        if message.get("method") == "subscription":
            params = message.get("params") or {}
            channel, data = str(params.get("channel")), params.get("data")
            if channel == _BLOCKS and isinstance(data, dict):
                self._grow(int(data.get("height", 0)))
            self._on_notification(self, channel, data)
            return
        waiting = self._waiting.get(message.get("id") or 0)
        if waiting is not None and waiting.message is None:
            waiting.message = message
            waiting.event.set()
