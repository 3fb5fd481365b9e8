"""Subscriptions of all local clients over one connection to one node, which may change under them.

A channel is subscribed once at the node, whoever listens. When the node goes away the next one is subscribed to the
same channels: books start again with a snapshot, as the node sends it; trades made in between are asked for, and open
orders are told anew, so that a client misses nothing.
"""

import logging
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

import trio

from net.gateway.errors import UNKNOWN_CHANNEL, ApiError
from net.trader.exact import encode, with_numbers
from net.trader.labels import Labels
from net.trader.pool import Pool
from net.trader.upstream import NodeLost, NodeRefused, Upstream

logger = logging.getLogger(__name__)
_SUBSCRIBE_S = 8.0
_PATIENCE_S = 15.0
_CAUGHT_UP_COUNT = 1000
_TOLD_TRADES_MAX = 8 * _CAUGHT_UP_COUNT
_CURRENCIES = ("any", "USDC")


class Listener(Protocol):
    """A local connection."""

    def push(self, channel: str, text: str) -> None:
        """Queues a notification; never waits."""


@dataclass(frozen=True, slots=True)
class Route:
    """Where a client's channel comes from, and what of it the client wants."""

    upstream: str
    instrument_name: str = ""
    kind: str = "any"
    base: str = "any"


@dataclass(slots=True)
class _Feed:
    """One channel of the node."""

    listeners: dict[tuple[Listener, str], Route] = field(default_factory=dict)
    since_height: int = 0  # what happened up to here is nobody's news
    told_trades: OrderedDict[tuple[str, str, str], None] = field(default_factory=OrderedDict)
    open_orders: dict[str, dict[str, Any]] = field(default_factory=dict)


class Hub:
    """`run` follows the node to ask first. `owner` is the account that user channels are about."""

    def __init__(self, labels: Labels, owner: str, subaccount: int) -> None:
        self.pool: Pool
        self._labels = labels
        self._owner, self._subaccount = owner, subaccount
        self._feeds: dict[str, _Feed] = {}
        self._node: Upstream | None = None

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            node = await self.pool.wait_node(float("inf"))
            if node is not self._node:
                await self._move_to(node)
            with trio.move_on_after(1.0):
                await self.pool.wait_change()

    def on_change(self, node: Upstream) -> None:
        """A node came or went; its subscriptions went with the connection."""
        if node is self._node and not node.is_connected:
            self._node = None

    async def subscribe(self, listener: Listener, names: list[str]) -> list[str]:
        """Raises `ApiError` or `NodeRefused`, and then none of the channels is subscribed."""
        routes = {name: self._route(name) for name in names}
        added = [name for name in names if (listener, name) not in self._feed(routes[name]).listeners]
        for name, route in routes.items():
            self._feed(route).listeners[listener, name] = route
        try:
            await self._subscribe_upstream([route.upstream for route in routes.values()])
        except BaseException:
            self._forget(listener, added)
            raise
        return names

    async def unsubscribe(self, listener: Listener, names: Iterable[str] | None = None) -> list[str]:
        """Which of them were subscribed; all of the listener's without names."""
        wanted = None if names is None else set(names)
        known = [
            name for feed in self._feeds.values() for (who, name) in feed.listeners
            if who is listener and (wanted is None or name in wanted)
        ]  # fmt: skip
        gone = self._forget(listener, known)
        node = self._node
        if gone and node is not None:
            try:
                await node.call("public/unsubscribe", {"channels": gone}, _SUBSCRIBE_S)
            except (NodeLost, NodeRefused) as error:
                logger.debug("unsubscribing %s: %r", gone, error)
        return known

    def on_notification(self, node: Upstream, channel: str, data: Any) -> None:
        """One message of a node; those of others than the one followed are late and dropped."""
        feed = self._feeds.get(channel)
        if node is self._node and feed is not None:
            self._deliver(channel, feed, data)

    def _deliver(self, channel: str, feed: _Feed, data: Any) -> None:
        if channel.startswith(("trades.", "user.trades.")) and isinstance(data, list):
            data = _untold(feed, data)
            if not data:
                return
        if channel.startswith("user.orders."):
            for order in data if isinstance(data, list) else [data]:
                self._note_order(feed, order)
        shown = with_numbers(self._with_labels(data) if channel.startswith("user.") else data)
        texts: dict[tuple[str, Route], str | None] = {}
        for (listener, name), route in list(feed.listeners.items()):
            if (name, route) not in texts:
                part = self._part(route, shown)
                message = {"channel": name, "data": part}
                body = {"jsonrpc": "2.0", "method": "subscription", "params": message}
                texts[name, route] = None if part is None else encode(body)
            text = texts[name, route]
            if text is not None:
                listener.push(name, text)

    def _part(self, route: Route, data: Any) -> Any:
        """What of a message the client asked for; None for nothing."""
        if not route.upstream.startswith("user.") or not isinstance(data, list):
            return data
        kept = [item for item in data if self._is_wanted(route, item)]
        return kept or None

    def _is_wanted(self, route: Route, item: dict[str, Any]) -> bool:
        name = str(item.get("instrument_name"))
        parts = name.split("-")
        kind = "option" if len(parts) == 4 else "spot" if len(parts) == 1 else "future"
        return (
            item.get("x_subaccount", self._subaccount) == self._subaccount
            and route.instrument_name in ("", name)
            and route.kind in ("any", kind)
        )

    def _with_labels(self, data: Any) -> Any:
        if isinstance(data, list):
            return [self._with_labels(item) for item in data]
        if isinstance(data, dict) and isinstance(data.get("label"), str):
            return data | {"label": self._labels.text(data["label"])}
        return data

    def _note_order(self, feed: _Feed, order: dict[str, Any]) -> None:
        order_id = str(order.get("order_id"))
        feed.open_orders.pop(order_id, None)
        if order.get("order_state") in ("open", "untriggered"):
            feed.open_orders[order_id] = order

    def _route(self, name: str) -> Route:
        """Raises `ApiError`. Market channels are the node's; user channels are those of the owner."""
        parts = name.split(".")
        if parts[0] != "user":
            return Route(name)
        if len(parts) < 4 or parts[1] not in ("orders", "trades"):
            raise ApiError(UNKNOWN_CHANNEL, "channels", f"{name[:100]!r}: see the channels in docs/api.md")
        upstream = f"user.{parts[1]}.{self._owner}"
        if len(parts) == 4:
            return Route(upstream, instrument_name=parts[2])
        return Route(upstream, kind=parts[2])

    def _feed(self, route: Route) -> _Feed:
        return self._feeds.setdefault(route.upstream, _Feed())

    def _forget(self, listener: Listener, names: Iterable[str]) -> list[str]:
        """The node's channels that nobody listens to any more."""
        for name in names:
            for feed in self._feeds.values():
                feed.listeners.pop((listener, name), None)
        gone = [channel for channel, feed in self._feeds.items() if not feed.listeners]
        for channel in gone:
            del self._feeds[channel]
        return gone

    async def _subscribe_upstream(self, channels: list[str]) -> None:
        give_up_at_s = trio.current_time() + _PATIENCE_S
        while True:
            node = self._node or await self.pool.wait_node(max(0.0, give_up_at_s - trio.current_time()))
            try:
                if node is not self._node:
                    await self._move_to(node)
                await node.call("public/subscribe", {"channels": sorted(set(channels))}, _SUBSCRIBE_S)
                for channel in channels:
                    if channel in self._feeds and not self._feeds[channel].since_height:
                        self._feeds[channel].since_height = node.height
                return
            except NodeLost:
                if trio.current_time() > give_up_at_s:
                    raise ApiError(UNKNOWN_CHANNEL, "channels", "no node answers") from None
                await trio.sleep(0.05)

    async def _move_to(self, node: Upstream) -> None:
        """Follow another node from now on."""
        old, self._node = self._node, node
        channels = sorted(self._feeds)
        if not channels:
            return
        logger.info("%d channels now come from %s", len(channels), node.url)
        try:
            await node.wait_height(self.pool.seen_height, 2.0)
            await node.call("public/subscribe", {"channels": channels}, _SUBSCRIBE_S)
            for channel in channels:
                await self._catch_up(node, channel)
        except NodeLost:
            self._node = None if self._node is node else self._node
        except NodeRefused as error:
            logger.warning("%s does not carry on with the channels: %s", node.url, error)
        if old is not None and old.is_connected and old is not self._node:
            try:
                await old.call("public/unsubscribe", {"channels": channels}, _SUBSCRIBE_S)
            except (NodeLost, NodeRefused):
                return

    async def _catch_up(self, node: Upstream, channel: str) -> None:
        """What happened while no node was followed."""
        feed = self._feeds.get(channel)
        if feed is None:
            return
        account = {"owner": self._owner, "subaccount": self._subaccount}
        if channel.startswith("trades."):
            named = {"instrument_name": channel.split(".")[1], "count": _CAUGHT_UP_COUNT}
            answer = await node.call("public/get_last_trades_by_instrument", named, _SUBSCRIBE_S)
            self._replay(channel, feed, answer["trades"])
        elif channel.startswith("user.trades."):
            params = account | {"currency": "USDC", "count": _CAUGHT_UP_COUNT}
            answer = await node.call("private/get_user_trades_by_currency", params, _SUBSCRIBE_S)
            self._replay(channel, feed, answer["trades"])
        elif channel.startswith("user.orders."):
            await self._catch_up_orders(node, channel, feed)

    def _replay(self, channel: str, feed: _Feed, trades: list[dict[str, Any]]) -> None:
        missed = [trade for trade in reversed(trades) if trade["x_height"] > feed.since_height]
        if missed and channel in self._feeds:
            self._deliver(channel, feed, missed)

    async def _catch_up_orders(self, node: Upstream, channel: str, feed: _Feed) -> None:
        """Tells the open orders again, and the end of those that ended unseen."""
        account = {"owner": self._owner, "subaccount": self._subaccount}
        known = dict(feed.open_orders)
        now_open = await node.call("private/get_open_orders", account, _SUBSCRIBE_S)
        ended = sorted(known.keys() - {order["order_id"] for order in now_open})
        told = [order for order in now_open if known.get(order["order_id"]) != order]
        for order_id in ended:
            try:
                told.append(await node.call("private/get_order_state", {"order_id": order_id}, _SUBSCRIBE_S))
            except NodeRefused:
                told.append(known[order_id] | {"order_state": "cancelled"})
        if told and channel in self._feeds:
            self._deliver(channel, feed, told)


def _untold(feed: _Feed, trades: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The trades that were not told yet, which they are from now on."""
    fresh = []
    for trade in trades:
        name = (str(trade.get("instrument_name")), str(trade.get("trade_id")), str(trade.get("order_id")))
        if name not in feed.told_trades:
            feed.told_trades[name] = None
            fresh.append(trade)
    while len(feed.told_trades) > _TOLD_TRADES_MAX:
        feed.told_trades.popitem(last=False)
    return fresh
