"""Subscriptions: each finalised block is turned into text once per channel and pushed to every subscriber of it.

Falling behind the node drops what all channels know and tells every subscriber anew. A channel that nobody listens to
is remembered for a while, so that whoever lost the connection can go on where it broke off; what changes meanwhile is
one message then. When there is more to send than the machine can, messages become fewer and larger instead of late.
"""

import trio

from net.gateway.backend import Backend, BlockEvent
from net.gateway.channel import Channel
from net.gateway.instruments import Instruments
from net.gateway.market_channels import make_market_source, parse_market_channel
from net.gateway.sources import Source
from net.gateway.stream import Stream, Subscriber
from net.gateway.user_channels import COMMANDS_PREFIX, Account, UserFeed, parse_user_channel

FLUSH_INTERVAL_MS = 100
# Of channels without a subscriber.
IDLE_S, IDLE_MAX = 30.0, 256
Key = tuple[str, bytes, int | None]


class Hub:
    """All subscriptions of one gateway. `run` feeds it; everything else is synchronous."""

    def __init__(self, backend: Backend, instruments: Instruments) -> None:
        self._backend = backend
        self._instruments = instruments
        self._streams: dict[Key, Stream] = {}

    async def run(self) -> None:
        """Reads blocks for ever; after lagging behind the node, starts over with new snapshots."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_time)
            while True:
                async with self._backend.subscribe() as events:
                    self._start_over()
                    async for event in events:
                        self.publish(event)
                await trio.sleep(FLUSH_INTERVAL_MS / 1000)

    def _start_over(self) -> None:
        for stream in list(self._streams.values()):
            stream.source.reset()
            for data in stream.source.again():
                stream.push(data)

    def parse(self, name: str, account: Account | None) -> Channel:
        """`account`: that of the connection's `public/auth`. Raises `ApiError` for a channel that does not exist."""
        if name.startswith(("user.", COMMANDS_PREFIX)):
            return parse_user_channel(name, self._instruments, account)
        return parse_market_channel(name, self._backend, self._instruments)

    def subscribe(self, subscriber: Subscriber, channel: Channel, seen: int | None = None) -> None:
        """Adds the subscriber and pushes what came after the message `seen`, or, without it or when that is not here
        any more, the state that the channel's changes build on; again, if it asks again.
        """
        if channel.key not in self._streams:
            self._streams[channel.key] = Stream(channel, self._open(channel))
        stream = self._streams[channel.key]
        if not stream.subscribers:
            stream.flush()
        stream.subscribers[subscriber] = None
        if seen is None or not stream.resume(subscriber, seen):
            stream.greet(subscriber)

    def _open(self, channel: Channel) -> Source:
        if channel.kind.startswith("user.") or channel.kind == "x.commands":
            return UserFeed(channel, self._backend, self._instruments)
        return make_market_source(channel.name, self._backend, self._instruments)

    def unsubscribe(self, subscriber: Subscriber, channel: Channel) -> None:
        stream = self._streams.get(channel.key)
        if stream is not None:
            stream.subscribers.pop(subscriber, None)
            stream.left_s = trio.current_time()

    def publish(self, event: BlockEvent) -> None:
        """Pushes what one block changed. Who is behind already is told of several blocks in one message."""
        streams = list(self._streams.values())
        for stream in streams:
            stream.source.is_held = stream.can_wait()
        for stream in streams:
            for data in stream.source.on_block(event):
                stream.push(data)

    async def _keep_time(self) -> None:
        now_ms = 0
        while True:
            await trio.sleep(FLUSH_INTERVAL_MS / 1000)
            now_ms += FLUSH_INTERVAL_MS
            due = [stream for stream in self._streams.values() if self._is_due(stream, now_ms)]
            for stream in due:
                stream.flush()
            self._forget_idle()

    @staticmethod
    def _is_due(stream: Stream, now_ms: int) -> bool:
        """What was held goes out as soon as its readers have caught up."""
        pace_ms = stream.channel.pace_ms
        return (now_ms % pace_ms == 0 if pace_ms else stream.source.is_held) and not stream.can_wait()

    def _forget_idle(self) -> None:
        idle = sorted(
            (stream for stream in self._streams.values() if not stream.subscribers), key=lambda item: item.left_s
        )
        old_s = trio.current_time() - IDLE_S
        for at, stream in enumerate(idle):
            if stream.left_s <= old_s or len(idle) - at > IDLE_MAX:
                stream.source.close()
                del self._streams[stream.channel.key]
