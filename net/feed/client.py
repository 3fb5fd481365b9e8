"""A reader's end of the feed: events as they come, questions with their answers, and a chain without gaps."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from net.feed.protocol import (
    FEED_VERSION,
    FRAME_BYTES_MAX,
    HISTORY_BLOCKS_MAX,
    FeedAnswer,
    FeedError,
    FeedFrame,
    FeedRequest,
    FeedSplitter,
    FinalEvent,
    Hello,
    HistoryPiece,
    HistoryRequest,
    SealAnswer,
    SealRequest,
    Subscribe,
    decode_feed,
    encode_feed,
)
from net.feed.sockets import connect_privately

READ_BYTES = 256 * 1024
EVENTS_MAX = 256
HELLO_TIMEOUT_S = 5.0
ANSWER_TIMEOUT_S = 30.0


class FeedEnded(Exception):
    """The node is not there, has ended, or has dropped this reader: connect again."""


@asynccontextmanager
async def open_feed(path: Path, streams: int) -> AsyncIterator["Feed"]:
    """Raises `FeedEnded` when there is no node at the socket, or one of another version."""
    try:
        stream = await connect_privately(path)
    except OSError as error:
        raise FeedEnded(f"{path}: {error}") from None
    async with stream:
        feed = Feed(stream)
        await feed._say(Subscribe(FEED_VERSION, streams))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(feed._read)
            with trio.move_on_after(HELLO_TIMEOUT_S):
                await feed._greeted.wait()
            if feed.hello is None:
                nursery.cancel_scope.cancel()
            else:
                try:
                    yield feed
                finally:
                    nursery.cancel_scope.cancel()
        if feed.hello is None:
            raise FeedEnded(f"{path}: no greeting of a node with feed version {FEED_VERSION}")


class Feed:
    """One connection. `hello` is the node's greeting."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.hello: Hello | None = None
        self._stream = stream
        self._greeted = trio.Event()
        self._send_events, self._events = trio.open_memory_channel[FeedAnswer](EVENTS_MAX)
        self._tokens = itertools.count(1)
        self._waiting: dict[int, trio.MemorySendChannel[FeedAnswer]] = {}
        self._write_lock = trio.Lock()

    async def next_event(self) -> FeedAnswer:
        """The next event of the streams subscribed to. Raises `FeedEnded`."""
        try:
            return await self._events.receive()
        except trio.EndOfChannel:
            raise FeedEnded("the node has closed the feed") from None

    async def history(self, from_height: int, limit: int, has_bodies: bool) -> tuple[FinalEvent, ...]:
        """Consecutive final blocks from exactly this height; none when the node lacks it. Raises `FeedEnded`."""
        token = next(self._tokens)
        request = HistoryRequest(token, from_height, min(limit, HISTORY_BLOCKS_MAX), has_bodies)
        answer = await self._ask(token, request)
        return answer.finals if isinstance(answer, HistoryPiece) else ()

    async def seal(self, epoch: int) -> SealAnswer | None:
        """Who is the committee of an epoch; None when the node does not know. Raises `FeedEnded`."""
        token = next(self._tokens)
        answer = await self._ask(token, SealRequest(token, epoch))
        return answer if isinstance(answer, SealAnswer) and answer.seats else None

    async def _ask(self, token: int, request: FeedRequest) -> FeedAnswer:
        send, receive = trio.open_memory_channel[FeedAnswer](1)
        self._waiting[token] = send
        try:
            await self._say(request)
            with trio.fail_after(ANSWER_TIMEOUT_S):
                return await receive.receive()
        except (trio.EndOfChannel, trio.TooSlowError):
            raise FeedEnded("the node does not answer") from None
        finally:
            self._waiting.pop(token, None)

    async def _say(self, request: FeedRequest) -> None:
        try:
            async with self._write_lock:
                await self._stream.send_all(encode_feed(request))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise FeedEnded("the node has closed the feed") from None

    async def _read(self) -> None:
        splitter = FeedSplitter(FRAME_BYTES_MAX)
        try:
            while data := await self._stream.receive_some(READ_BYTES):
                for body in splitter.feed(bytes(data)):
                    self._take(decode_feed(body))
        except (FeedError, trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            self._greeted.set()
            self._send_events.close()
            for waiting in self._waiting.values():
                waiting.close()

    def _take(self, frame: FeedFrame) -> None:
        match frame:
            case Hello():
                self.hello = frame
                self._greeted.set()
            case HistoryPiece(token) | SealAnswer(token):
                if token in self._waiting:
                    self._waiting[token].send_nowait(frame)
            case Subscribe() | HistoryRequest() | SealRequest():
                raise FeedError("a node asks nothing")
            case _:
                try:
                    self._send_events.send_nowait(frame)
                except trio.WouldBlock:
                    raise FeedError("this reader lags") from None
