"""The node's end of the feed: a Unix socket that only the operator's own processes can open.

Nobody is ever waited for. An event is queued for each reader that asked for its kind, encoded once and only if there
is one; whoever lags by more than its queue is cut off and asks for what it missed. Questions are answered in a worker
thread, one at a time a reader, with a pause after each: a reader may be greedy, and agreement must not notice.
"""

import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import trio

from net.feed.protocol import (
    FEED_VERSION,
    REQUEST_BYTES_MAX,
    FeedAnswer,
    FeedError,
    FeedFrame,
    FeedSplitter,
    HistoryRequest,
    SealRequest,
    Subscribe,
    decode_feed,
    encode_feed,
)
from net.feed.sockets import serve_privately

READERS_MAX = 8
QUEUE_BYTES_MAX = 8 * 1024 * 1024
SUBSCRIBE_TIMEOUT_S = 2.0
ANSWER_PAUSE_S = 0.02
WRITE_BYTES = 256 * 1024
READ_BYTES = 4096

log = logging.getLogger("hansa.feed")

Answerer = Callable[[HistoryRequest | SealRequest], FeedAnswer]


class FeedServer:
    """`greet`: what a new reader of these streams is told first. `answer` runs in a worker thread."""

    def __init__(self, path: Path, greet: Callable[[int], list[FeedAnswer]], answer: Answerer) -> None:
        self._path = path
        self._greet, self._answer = greet, answer
        self._readers: list[_Reader] = []

    def is_wanted(self, stream: int) -> bool:
        """Whether anybody reads this stream; what is not wanted need not be made."""
        return any(reader.streams & stream for reader in self._readers)

    def publish(self, stream: int, event: FeedAnswer) -> None:
        """To every reader of the stream, without waiting."""
        readers = [reader for reader in self._readers if reader.streams & stream]
        if not readers:
            return
        data = encode_feed(event)
        for reader in readers:
            if not reader.push(data):
                log.warning("feed.dropped queue_bytes_max=%d (a reader lags by more)", QUEUE_BYTES_MAX)
                self._readers.remove(reader)

    async def run(self) -> None:
        """Until cancelled. A socket that an earlier process left behind is replaced."""
        await serve_privately(self._path, READERS_MAX, self._serve, log)

    async def _serve(self, stream: trio.SocketStream) -> None:
        reader = _Reader(stream)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(reader.write)
                try:
                    await self._read(reader)
                finally:
                    nursery.cancel_scope.cancel()
        except* (OSError, trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError):
            pass  # the reader has ended, or was cut off
        except* FeedError as group:
            log.warning("feed.refused error=%s", group.exceptions[0])
        except* Exception as group:  # a store that cannot be read now, say: no reader may end the node
            log.error("feed.failed", exc_info=group)
        finally:
            if reader in self._readers:
                self._readers.remove(reader)

    async def _read(self, reader: "_Reader") -> None:
        requests = _frames(reader.stream)
        with trio.fail_after(SUBSCRIBE_TIMEOUT_S):
            first = await anext(requests, None)
        if first is None:
            return
        if not isinstance(first, Subscribe) or first.version != FEED_VERSION:
            raise FeedError(f"a reader of feed version {FEED_VERSION} subscribes first")
        for event in self._greet(first.streams):
            reader.push(encode_feed(event))
        reader.streams = first.streams
        self._readers.append(reader)
        async for request in requests:
            if not isinstance(request, HistoryRequest | SealRequest):
                raise FeedError("a reader subscribes once, then asks")
            answer = await trio.to_thread.run_sync(self._answer, request)
            if not reader.push(encode_feed(answer)):
                return
            await trio.sleep(ANSWER_PAUSE_S)


class _Reader:
    """One connection and what waits to be written to it."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream, self.streams = stream, 0
        self._queue: deque[bytes] = deque()
        self._queue_bytes = 0
        self._wake = trio.Event()

    def push(self, data: bytes) -> bool:
        """False when the reader lags too far, and is cut off."""
        if self._queue_bytes + len(data) > QUEUE_BYTES_MAX + len(data) * (not self._queue):
            self.stream.socket.close()
            return False
        self._queue.append(data)
        self._queue_bytes += len(data)
        self._wake.set()
        return True

    async def write(self) -> None:
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            while self._queue:
                data = b"".join(self._take())
                await self.stream.send_all(data)

    def _take(self) -> Iterator[bytes]:
        size_bytes = 0
        while self._queue and size_bytes < WRITE_BYTES:
            data = self._queue.popleft()
            size_bytes += len(data)
            self._queue_bytes -= len(data)
            yield data


async def _frames(stream: trio.SocketStream) -> AsyncIterator[FeedFrame]:
    splitter = FeedSplitter(REQUEST_BYTES_MAX)
    while data := await stream.receive_some(READ_BYTES):
        for body in splitter.feed(bytes(data)):
            yield decode_feed(body)
