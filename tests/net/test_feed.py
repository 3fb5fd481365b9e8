"""The feed of a validator to its operator's other processes: order, history, laggards, bytes of any kind."""

import os
import sqlite3
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import cbor2
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from net.feed import server as feed_server
from net.feed.client import FeedEnded, open_feed
from net.feed.protocol import (
    BLOCKS,
    FEED_VERSION,
    FRAME_BYTES_MAX,
    STATUS,
    BatchEvent,
    CheckpointEvent,
    CommitteeEvent,
    FactsEvent,
    FeedAnswer,
    FeedError,
    FeedFrame,
    FeedSplitter,
    FinalEvent,
    Hello,
    HistoryPiece,
    HistoryRequest,
    SealAnswer,
    SealRequest,
    StatusEvent,
    Subscribe,
    decode_feed,
    encode_feed,
)
from net.feed.server import FeedServer

BROKEN_EPOCH = 99
HELLO = Hello(FEED_VERSION, bytes(32), bytes(32), 0, 9)
FINAL = FinalEvent(3, 1, b"block", b"certificate", True, (b"batch", b""))
FRAMES: list[FeedFrame] = [
    Subscribe(FEED_VERSION, BLOCKS),
    HistoryRequest(1, 2, 3, True),
    SealRequest(1, 2),
    HELLO,
    FINAL,
    BatchEvent(b"batch"),
    CheckpointEvent(1, 20, bytes(32), 7, bytes(64)),
    StatusEvent(3, 1, 5, 3, 1_700_000_000_000, False),
    FactsEvent(b"facts"),
    CommitteeEvent(b"seats"),
    HistoryPiece(4, (FINAL, FINAL)),
    SealAnswer(5, b"seats", (b"one", b"two"), b"certificate"),
]


def final(height: int) -> FinalEvent:
    return FinalEvent(height, 1, b"block", b"certificate", True, ())


class Node:
    """A server that has the blocks 1 to 9 behind it."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[HistoryRequest | SealRequest] = []
        self.path = folder / "feed.sock"
        self.server = FeedServer(self.path, lambda _: [HELLO], self.answer)

    def answer(self, request: HistoryRequest | SealRequest) -> FeedAnswer:
        self.asked.append(request)
        if isinstance(request, SealRequest) and request.epoch == BROKEN_EPOCH:
            raise sqlite3.OperationalError("disk I/O error")
        if isinstance(request, SealRequest):
            return SealAnswer(request.token, b"", (), b"")
        heights = range(request.from_height, min(10, request.from_height + request.limit))
        return HistoryPiece(request.token, tuple(final(height) for height in heights))


@asynccontextmanager
async def open_node(folder: Path) -> AsyncIterator[Node]:
    node = Node(folder)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(node.server.run)
        with trio.fail_after(30):
            while not node.path.exists():
                await trio.sleep(0.005)
        yield node
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: type(frame).__name__)
def test_every_frame_comes_back(frame: FeedFrame) -> None:
    (body,) = FeedSplitter(FRAME_BYTES_MAX).feed(encode_feed(frame))
    assert decode_feed(body) == frame


@given(st.binary(max_size=200))
def test_any_bytes_are_a_frame_or_an_error(data: bytes) -> None:
    try:
        frame = decode_feed(data)
    except FeedError:
        return
    assert encode_feed(frame)[4:] == data


@pytest.mark.parametrize(
    "item",
    [[1, 1], [1, 1, True], [1, 1, -1], [99, 1], [2, 1, 2, 3, 1], [17, 3, 1, b"", b"", True, b""], [22, 1, [[1]]], 7],
)
def test_wrong_fields_are_refused(item: object) -> None:
    with pytest.raises(FeedError):
        decode_feed(cbor2.dumps(item, canonical=True))


def test_a_length_over_the_limit_is_refused_before_its_bytes_come() -> None:
    with pytest.raises(FeedError):
        FeedSplitter(100).feed((101).to_bytes(4, "big"))


async def test_a_reader_gets_what_it_asked_for_in_order(tmp_path: Path) -> None:
    async with open_node(tmp_path) as node, open_feed(node.path, BLOCKS) as feed:
        assert feed.hello == HELLO
        node.server.publish(STATUS, StatusEvent(1, 1, 1, 1, 1, False))
        for height in range(10, 40):
            node.server.publish(BLOCKS, final(height))
        assert [await feed.next_event() for _ in range(30)] == [final(height) for height in range(10, 40)]


async def test_only_the_owner_can_open_the_socket(tmp_path: Path) -> None:
    async with open_node(tmp_path) as node:
        assert stat.S_IMODE(os.stat(node.path).st_mode) == 0o600


async def test_what_was_before_is_asked_for_in_pieces(tmp_path: Path) -> None:
    async with open_node(tmp_path) as node, open_feed(node.path, BLOCKS) as feed:
        assert [event.height for event in await feed.history(4, 3, False)] == [4, 5, 6]
        assert await feed.history(50, 3, False) == ()
        assert await feed.seal(7) is None
        assert len(node.asked) == 3


async def test_nobody_reads_and_nothing_is_made(tmp_path: Path) -> None:
    async with open_node(tmp_path) as node:
        assert not node.server.is_wanted(BLOCKS)
        async with open_feed(node.path, BLOCKS):
            assert node.server.is_wanted(BLOCKS) and not node.server.is_wanted(STATUS)
        with trio.fail_after(30):
            while node.server.is_wanted(BLOCKS):
                await trio.sleep(0.005)


async def test_a_reader_that_never_reads_is_dropped_and_the_others_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_server, "QUEUE_BYTES_MAX", 64 * 1024)
    big = FinalEvent(1, 1, bytes(16 * 1024), b"", True, ())
    async with open_node(tmp_path) as node, open_feed(node.path, BLOCKS) as honest:
        idle = await trio.open_unix_socket(node.path)
        await idle.send_all(encode_feed(Subscribe(FEED_VERSION, STATUS)))
        await idle.receive_some(4096)
        for _ in range(60):
            node.server.publish(STATUS, big)
            node.server.publish(BLOCKS, final(1))
            await honest.next_event()
        assert not node.server.is_wanted(STATUS)
        assert node.server.is_wanted(BLOCKS)
        await idle.aclose()


@pytest.mark.parametrize(
    "said",
    [b"\xff" * 8, (16).to_bytes(4, "big") + bytes(16), encode_feed(HELLO), encode_feed(Subscribe(FEED_VERSION + 1, 1))],
    ids=["length", "junk", "answer", "version"],
)
async def test_a_reader_that_talks_nonsense_is_cut_off(tmp_path: Path, said: bytes) -> None:
    async with open_node(tmp_path) as node, open_feed(node.path, BLOCKS) as honest:
        stream = await trio.open_unix_socket(node.path)
        await stream.send_all(said)
        with trio.fail_after(30):
            try:
                while await stream.receive_some(4096):
                    pass
            except trio.BrokenResourceError:
                pass
        node.server.publish(BLOCKS, final(1))
        assert await honest.next_event() == final(1)


async def test_a_store_that_cannot_be_read_ends_the_reader_and_not_the_node(tmp_path: Path) -> None:
    async with open_node(tmp_path) as node, open_feed(node.path, BLOCKS) as honest:
        with pytest.raises(BaseExceptionGroup) as caught:
            async with open_feed(node.path, BLOCKS) as unlucky:
                await unlucky.seal(BROKEN_EPOCH)
        assert caught.group_contains(FeedEnded)
        node.server.publish(BLOCKS, final(1))
        assert await honest.next_event() == final(1)


async def test_a_node_that_ends_ends_the_feed(tmp_path: Path) -> None:
    with pytest.raises(FeedEnded):
        async with open_feed(tmp_path / "feed.sock", BLOCKS):
            raise AssertionError("there is no node")
    async with trio.open_nursery() as nursery:
        node = Node(tmp_path)
        scope = trio.CancelScope()

        async def run() -> None:
            with scope:
                await node.server.run()

        nursery.start_soon(run)
        while not node.path.exists():
            await trio.sleep(0.005)
        async with open_feed(node.path, BLOCKS) as feed:
            scope.cancel()
            with trio.fail_after(30), pytest.raises(FeedEnded):
                await feed.next_event()
    assert not node.path.exists()
