"""Messages that wait together leave in one write, in frames as wsproto makes them, compressed where that was agreed."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import hypercorn.config
import pytest
import trio
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket
from wsproto import ConnectionType, WSConnection
from wsproto.connection import Connection
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Event, Message, Request, TextMessage
from wsproto.extensions import Extension, PerMessageDeflate

from net.gateway.sending import WRITE_BYTES, SharedText, make_frame, send_together, take_waiting
from net.gateway.server import BoundedServer, serve_bounded, serving

SIZES_BYTES = (0, 1, 125, 126, 127, 65_535, 65_536, 70_000)
PAYLOADS: list[str | bytes] = ["a" * 40_000, SharedText("b" * 40_000), b"c" * 70_000, "", "Grüße", b""]


@pytest.mark.parametrize("size_bytes", SIZES_BYTES)
@pytest.mark.parametrize("kind", [TextMessage, BytesMessage])
def test_a_frame_is_the_one_that_wsproto_makes(size_bytes: int, kind: type[Message]) -> None:
    payload = "x" * size_bytes if kind is TextMessage else b"x" * size_bytes
    assert make_frame(payload) == Connection(ConnectionType.SERVER).send(kind(data=payload))


def test_the_frame_of_a_shared_text_is_made_once() -> None:
    text = SharedText('{"price":"ü"}')
    assert text.frame == make_frame('{"price":"ü"}')
    assert text.frame is text.frame


@asynccontextmanager
async def serving_websocket(run: Callable[[WebSocket], Awaitable[None]]) -> AsyncIterator[tuple[str, int]]:
    async def accept(websocket: WebSocket) -> None:
        await websocket.accept()
        await run(websocket)

    config = hypercorn.config.Config.from_mapping({"bind": ["127.0.0.1:0"], "graceful_timeout": 0.1})
    async with trio.open_nursery() as nursery:
        app = Starlette(routes=[WebSocketRoute("/", accept)])
        urls = await nursery.start(serve_bounded, app, config, 5)
        place = urlsplit(urls[0])
        yield place.hostname, place.port
        nursery.cancel_scope.cancel()


class Client:
    """A WebSocket by hand, so that what arrives can be counted."""

    def __init__(self, tcp: trio.SocketStream) -> None:
        self._tcp = tcp
        self._ws = WSConnection(ConnectionType.CLIENT)
        self.received_bytes = 0

    async def open(self, extensions: list[Extension]) -> None:
        await self.send(Request(host="h", target="/", extensions=extensions))

    async def send(self, event: Event) -> None:
        await self._tcp.send_all(self._ws.send(event))

    async def events(self) -> AsyncIterator[Event]:
        """Until the server ends the connection."""
        while data := await self._tcp.receive_some():
            self.received_bytes += len(data)
            self._ws.receive_data(data)
            for event in self._ws.events():
                yield event

    async def read_messages(self, count: int) -> list[str | bytes]:
        found: list[str | bytes] = []
        part: str | bytes | None = None
        async for event in self.events():
            if isinstance(event, Message):
                part = event.data if part is None else part + event.data
                if event.message_finished:
                    found.append(part)
                    part = None
            if len(found) == count:
                break
        return found


@asynccontextmanager
async def connected(place: tuple[str, int], extensions: list[Extension]) -> AsyncIterator[Client]:
    with trio.fail_after(10):
        async with await trio.open_tcp_stream(*place) as tcp:
            client = Client(tcp)
            await client.open(extensions)
            yield client


class Writes:
    """What the server writes: directly, and through the protocol's layers, the handshake first."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.direct: list[list[bytes]] = []
        self.others: list[list[bytes]] = []
        flush, send_now = BoundedServer.flush, BoundedServer.send_now

        async def note_flush(server: BoundedServer) -> None:
            self.others.append(list(server._held))
            await flush(server)

        def note_send_now(server: BoundedServer, frames: list[bytes]) -> bool:
            self.direct.append(frames)
            return send_now(server, frames)

        monkeypatch.setattr(BoundedServer, "flush", note_flush)
        monkeypatch.setattr(BoundedServer, "send_now", note_send_now)


async def send_all(websocket: WebSocket) -> None:
    assert await send_together(websocket, PAYLOADS)
    await websocket.receive()


async def test_all_of_it_leaves_in_one_write(monkeypatch: pytest.MonkeyPatch) -> None:
    writes = Writes(monkeypatch)
    async with serving_websocket(send_all) as place, connected(place, []) as client:
        assert await client.read_messages(len(PAYLOADS)) == PAYLOADS
    assert writes.direct == [[make_frame(item) for item in PAYLOADS]]


async def test_what_was_agreed_to_be_compressed_is(monkeypatch: pytest.MonkeyPatch) -> None:
    writes = Writes(monkeypatch)
    async with serving_websocket(send_all) as place, connected(place, [PerMessageDeflate()]) as client:
        assert await client.read_messages(len(PAYLOADS)) == PAYLOADS
        assert client.received_bytes < 10_000
    assert not writes.direct and [len(frames) for frames in writes.others[:2]] == [1, len(PAYLOADS)]


async def test_what_the_kernel_does_not_take_at_once_follows_in_order() -> None:
    payloads: list[str | bytes] = [bytes([number]) * 1_000_000 for number in range(30)]

    async def send_twice(websocket: WebSocket) -> None:
        async with trio.open_nursery() as nursery:  # another task sends before the first is through
            nursery.start_soon(send_together, websocket, payloads[:20])
            await trio.lowlevel.checkpoint()
            nursery.start_soon(send_together, websocket, payloads[20:])
        await websocket.receive()

    async with serving_websocket(send_twice) as place, connected(place, []) as client:
        await trio.sleep(0.1)
        found = await client.read_messages(len(payloads))
        for part in (payloads[:20], payloads[20:]):
            assert [item for item in found if item in part] == part


async def test_nothing_is_sent_once_the_other_side_has_closed() -> None:
    tried = trio.Event()

    async def send_late(websocket: WebSocket) -> None:
        while (await websocket.receive())["type"] != "websocket.disconnect":
            pass
        assert not serving.get().takes_frames()
        await send_together(websocket, ["late", "later"])
        tried.set()

    async with serving_websocket(send_late) as place, connected(place, []) as client:
        async for event in client.events():
            if isinstance(event, AcceptConnection):
                await client.send(CloseConnection(1000))
            else:
                assert isinstance(event, CloseConnection)
        await tried.wait()


async def test_what_waits_makes_up_one_write_and_no_more() -> None:
    to_send, waiting = trio.open_memory_channel[str](10)
    for size_chars in (100, WRITE_BYTES, 1):
        to_send.send_nowait("x" * size_chars)
    assert [len(text) for text in take_waiting("first", waiting)] == [5, 100, WRITE_BYTES]
    assert [len(text) for text in take_waiting("first", waiting)] == [5, 1]
    to_send.close()
    assert take_waiting("last", waiting) == ["last"]
