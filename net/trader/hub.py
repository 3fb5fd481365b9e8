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


class Listener(Protocol):
    """A local connection."""

    def push(self, channel: str, text: str) -> None:
        """Queues a notification; never waits."""


@dataclass(slots=True)
class _Feed:
    """One channel of the node."""

    listeners: dict[Listener, None] = field(default_factory=dict)  # ordered, unlike a set
    is_live: bool = False  # a node has said that it is subscribed
    since_height: int = 0  # what happened up to here is nobody's news
    told_trades: OrderedDict[tuple[str, str, str], None] = field(default_factory=OrderedDict)
    open_orders: dict[str, dict[str, Any]] = field(default_factory=dict)


class Hub:
    """`run` follows the node to ask first. `owner` is the account that user channels are about."""

    def __init__(self, labels: Labels, owner: str, subaccount: int) -> None:
        self.pool: Pool
        self._labels = labels
        self._account = {"owner": owner, "subaccount": subaccount}
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

    def channels(self) -> list[str]:
        """What clients are subscribed to."""
        return sorted(name for name, feed in self._feeds.items() if feed.is_live)

    async def subscribe(self, listener: Listener, names: list[str]) -> list[str]:
        """Raises `ApiError` or `NodeRefused`, and then none of the channels is subscribed."""
        added = [name for name in names if listener not in self._feeds.setdefault(name, _Feed()).listeners]
        for name in added:
            self._feeds[name].listeners[listener] = None
        try:
            await self._subscribe_upstream(names)
        except BaseException:
            self._forget(listener, added)
            raise
        return names

    async def unsubscribe(self, listener: Listener, names: Iterable[str] | None = None) -> list[str]:
        """Which of them were subscribed; all of the listener's without names."""
        wanted = list(self._feeds) if names is None else names
        known = [name for name in wanted if name in self._feeds and listener in self._feeds[name].listeners]
        gone = self._forget(listener, known)
        node = self._node
        if gone and node is not None:
            try:
                await node.call("public/unsubscribe", {"channels": gone}, _SUBSCRIBE_S)
            except (NodeLost, NodeRefused) as error:
                logger.debug("gateway.unsubscribe_failed channels=%s error=%r", gone, error)
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
                _note_order(feed, order)
        shown = self._with_labels(data) if channel.startswith("user.") else data
        message = {"channel": channel, "data": shown if channel.startswith("x.") else with_numbers(shown)}
        text = encode({"jsonrpc": "2.0", "method": "subscription", "params": message})
        for listener in list(feed.listeners):
            listener.push(channel, text)

    def _with_labels(self, data: Any) -> Any:
        if isinstance(data, list):
            return [self._with_labels(item) for item in data]
        if not isinstance(data, dict):
            return data
        shown = {name: self._with_labels(item) if isinstance(item, list) else item for name, item in data.items()}
        return shown | {"label": self._labels.text(data["label"])} if isinstance(data.get("label"), str) else shown

    def _forget(self, listener: Listener, names: Iterable[str]) -> list[str]:
        """The channels that nobody listens to any more."""
        for name in names:
            self._feeds[name].listeners.pop(listener, None)
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
                    feed = self._feeds.get(channel)
                    if feed is not None and not feed.is_live:
                        feed.is_live, feed.since_height = True, node.height
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
        logger.info("gateway.channels_moved count=%d url=%s", len(channels), node.url)
        try:
            await node.wait_height(self.pool.seen_height, 2.0)
            await node.call("public/subscribe", {"channels": channels}, _SUBSCRIBE_S)
            for channel in channels:
                await self._catch_up(node, channel)
        except NodeLost:
            self._node = None if self._node is node else self._node
        except NodeRefused as error:
            logger.warning("gateway.channels_refused url=%s error=%s", node.url, error)
        if old is not None and old.is_connected and old is not self._node:
            try:
                await old.call("public/unsubscribe", {"channels": channels}, _SUBSCRIBE_S)
            except (NodeLost, NodeRefused):
                return

    async def _catch_up(self, node: Upstream, channel: str) -> None:
        """What happened while no node was followed."""
        feed = self._feeds.get(channel)
        parts = channel.split(".")
        if feed is None or parts[0] not in ("trades", "user"):
            return
        is_own = parts[0] == "user"
        topic, *named = parts[1:] if is_own else parts
        question = _question(named)
        if question is None or topic not in ("trades", "orders"):
            return
        if is_own:
            question |= self._account
        count = {"count": _CAUGHT_UP_COUNT}
        by = "by_instrument" if "instrument_name" in question else "by_currency"
        if topic == "orders":
            found = await node.call(f"private/get_open_orders_{by}", question, _SUBSCRIBE_S)
            await self._replay_orders(node, channel, feed, found)
        else:
            method = f"private/get_user_trades_{by}" if is_own else f"public/get_last_trades_{by}"
            answer = await node.call(method, question | count, _SUBSCRIBE_S)
            missed = [trade for trade in answer["trades"] if trade["x_height"] > feed.since_height]
            missed.sort(key=lambda trade: trade["x_height"])
            if missed and channel in self._feeds:
                self._deliver(channel, feed, missed)

    async def _replay_orders(self, node: Upstream, channel: str, feed: _Feed, now_open: list[dict[str, Any]]) -> None:
        """Tells the open orders that changed, and the end of those that ended unseen."""
        known = dict(feed.open_orders)
        told = [order for order in now_open if _shown_state(known.get(order["order_id"])) != _shown_state(order)]
        for order_id in sorted(known.keys() - {order["order_id"] for order in now_open}):
            try:
                told.append(await node.call("private/get_order_state", {"order_id": order_id}, _SUBSCRIBE_S))
            except NodeRefused:
                told.append(known[order_id] | {"order_state": "cancelled"})
        is_single = channel.endswith(".raw")  # Deribit's: one order a message, and lists of them at every other pace
        for data in told if is_single else [told] if told else []:
            if channel in self._feeds:
                self._deliver(channel, feed, data)


def _question(named: list[str]) -> dict[str, Any] | None:
    """What the rest of a channel's name asks for: an instrument, or a kind and a currency. None for an owner's."""
    match named:
        case [instrument_name, _pace] if not instrument_name.startswith("0x"):
            return {"instrument_name": instrument_name}
        case [kind, currency, _pace]:
            return {"currency": currency} | ({} if kind == "any" else {"kind": kind})
    return None


def _note_order(feed: _Feed, order: dict[str, Any]) -> None:
    order_id = str(order.get("order_id"))
    feed.open_orders.pop(order_id, None)
    if order.get("order_state") in ("open", "untriggered"):
        feed.open_orders[order_id] = order


def _shown_state(order: dict[str, Any] | None) -> dict[str, Any]:
    """What of an order a client would miss."""
    names = ("order_state", "price", "amount", "filled_amount", "trigger_price")
    return {name: (order or {}).get(name) for name in names}


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
