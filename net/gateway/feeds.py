"""Subscriptions: each finalised block is turned into text once per channel and pushed to every subscriber of it.

Falling behind the node drops all mirrors of books and gives every subscriber a new snapshot.
"""

from dataclasses import dataclass, field
from typing import Any, Protocol

import trio

from net.gateway import present_market
from net.gateway.backend import Backend, BlockEvent
from net.gateway.book import WHOLE_BOOK_LEVELS, BookMirror
from net.gateway.channel import Channel
from net.gateway.errors import UNKNOWN_CHANNEL, ApiError
from net.gateway.instruments import Instruments
from net.gateway.user_channels import COMMANDS_PREFIX, Account, UserFeed, parse_user_channel
from net.gateway.wire import notification_text

FLUSH_INTERVAL_S = 0.1
Key = tuple[str, bytes, int | None]


class Subscriber(Protocol):
    """Whoever takes text without ever making the hub wait."""

    def push(self, text: str) -> None: ...


def parse_channel(name: str, instruments: Instruments, account: Account | None) -> Channel:
    """`account`: that of the connection's `public/auth`. Raises `ApiError` for a channel that does not exist."""
    if name == "x.blocks":
        return Channel(name, "blocks")
    kind, _, rest = name.partition(".")
    if kind == "user" or name.startswith(COMMANDS_PREFIX):
        return parse_user_channel(name, instruments, account)
    instrument_name, _, pace = rest.rpartition(".")
    if kind not in ("book", "trades", "ticker") or pace not in ("raw", "100ms"):
        raise ApiError(UNKNOWN_CHANNEL, "channels", f"{name[:100]!r}: see the channels in docs/api.md")
    market = instruments.number(instrument_name, "channels")
    return Channel(name, kind, market=market, is_batched=pace == "100ms" and kind != "trades")


@dataclass(slots=True)
class _Feed:
    channel: Channel
    subscribers: dict[Subscriber, None] = field(default_factory=dict)  # ordered, unlike a set
    mirror: BookMirror | None = None
    last_ticker: object = None
    user: UserFeed | None = None
    is_stale: bool = False

    def push(self, data: object) -> None:
        text = notification_text(self.channel.name, data)
        for subscriber in list(self.subscribers):
            subscriber.push(text)


class Hub:
    """All subscriptions of one gateway. `run` feeds it; everything else is synchronous."""

    def __init__(self, backend: Backend, instruments: Instruments) -> None:
        self._backend = backend
        self._instruments = instruments
        self._feeds: dict[Key, _Feed] = {}

    async def run(self) -> None:
        """Reads blocks for ever; after lagging behind the node, starts over with new snapshots."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._flush_batched)
            while True:
                async with self._backend.subscribe() as events:
                    for feed in list(self._feeds.values()):
                        feed.mirror = None
                        self._push_snapshot(feed, list(feed.subscribers))
                    async for event in events:
                        self.publish(event)
                await trio.sleep(FLUSH_INTERVAL_S)

    def subscribe(self, subscriber: Subscriber, channel: Channel) -> None:
        """Adds the subscriber and pushes the state that the channel's changes build on; again, if it asks again."""
        if channel.key not in self._feeds:
            self._feeds[channel.key] = self._open(channel)
        feed = self._feeds[channel.key]
        feed.subscribers[subscriber] = None
        self._push_snapshot(feed, [subscriber])

    def _open(self, channel: Channel) -> _Feed:
        if channel.kind == "book":
            self._backend.watch_book(channel.market)
        is_user = channel.kind.startswith("user.") or channel.kind == "x.commands"
        return _Feed(channel, user=UserFeed(channel, self._backend, self._instruments) if is_user else None)

    def unsubscribe(self, subscriber: Subscriber, channel: Channel) -> None:
        feed = self._feeds.get(channel.key)
        if feed is not None:
            feed.subscribers.pop(subscriber, None)
            if not feed.subscribers:
                del self._feeds[channel.key]
                if feed.channel.kind == "book":
                    self._backend.forget_book(feed.channel.market)

    def publish(self, event: BlockEvent) -> None:
        """Pushes what one block changed."""
        for feed in list(self._feeds.values()):
            channel = feed.channel
            if channel.kind == "book":
                self._mirror(feed).add(event, event.book_changes.get(channel.market, ()))
            if channel.kind in ("book", "ticker"):
                feed.is_stale = True
                if not channel.is_batched:
                    self._emit(feed)
            elif feed.user is not None:
                for data in feed.user.on_block(event):
                    feed.push(data)
            else:
                data = _show(event, channel, self._instruments)
                if data:
                    feed.push(data)

    async def _flush_batched(self) -> None:
        while True:
            await trio.sleep(FLUSH_INTERVAL_S)
            for feed in list(self._feeds.values()):
                if feed.channel.is_batched and feed.is_stale:
                    self._emit(feed)

    def _emit(self, feed: _Feed) -> None:
        """Pushes the state of a book or ticker channel, if it differs from what its subscribers know."""
        feed.is_stale = False
        if feed.channel.kind == "book":
            mirror = self._mirror(feed)
            change = mirror.flush()
            if change is not None:
                previous_id, levels = change
                feed.push(present_market.book_message(self._instruments, "change", mirror, levels, previous_id))
            return
        ticker = present_market.ticker(self._instruments, self._backend.ticker(feed.channel.market))
        if feed.last_ticker != ticker:
            feed.last_ticker = ticker
            feed.push(ticker)

    def _mirror(self, feed: _Feed) -> BookMirror:
        if feed.mirror is None:
            feed.mirror = BookMirror(self._backend.book(feed.channel.market, WHOLE_BOOK_LEVELS))
        return feed.mirror

    def _push_snapshot(self, feed: _Feed, subscribers: list[Subscriber]) -> None:
        channel = feed.channel
        if channel.kind == "book":
            mirror = self._mirror(feed)
            data = present_market.book_message(self._instruments, "snapshot", mirror, mirror.levels(), None)
        elif channel.kind == "ticker":
            data = present_market.ticker(self._instruments, self._backend.ticker(channel.market))
        else:
            for item in feed.user.again() if feed.user is not None else ():
                _push(channel, item, subscribers)
            return
        _push(channel, data, subscribers)


def _push(channel: Channel, data: object, subscribers: list[Subscriber]) -> None:
    text = notification_text(channel.name, data)
    for subscriber in subscribers:
        subscriber.push(text)


def _show(event: BlockEvent, channel: Channel, instruments: Instruments) -> dict[str, Any] | list[dict[str, Any]]:
    """What a block means to a channel of a market's trades, or to that of blocks."""
    if channel.kind == "blocks":
        return present_market.block(event)
    return [present_market.trade(instruments, trade) for trade in event.trades_of(channel.market)]
