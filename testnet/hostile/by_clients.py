"""Attacks on the traders' API, in bare bytes over TCP: nobody who attacks uses our client."""

import json
import random
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress

import trio

from testnet.hostile.scene import ApiAddress, Count, Scene

FLOOD_SOURCE, JUNK_SOURCE, SLOW_SOURCE = (f"127.0.77.{last}" for last in range(1, 4))
FLOOD_CONNECTIONS = 8
FLOOD_REQUESTS_PER_S = 200
FLOOD_PADDING_BYTES = 40_000
SLOW_CONNECTIONS = 300
SLOW_INTERVAL_S = 1.0
JUNK_PER_S = 50
PATIENCE_S = 2.0
RETRY_S = 0.2
RECEIVE_BUFFER_BYTES = 4096
RECEIVE_BYTES = 64 * 1024
TEXT_FRAME = 0x81
BINARY_FRAME = 0x82
UPGRADE = (
    "GET {path} HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


async def flood_requests(scene: Scene, count: Count) -> None:
    """Valid requests over HTTP, far above the allowance of one address, which long ones use up sooner."""
    await _at_each(scene, count, _flood)


async def send_junk(scene: Scene, count: Count) -> None:
    """What is no JSON, no request, no HTTP and no WebSocket frame, on every route."""
    await _at_each(scene, count, _send_junk_to)


async def read_slowly(scene: Scene, count: Count) -> None:
    """Subscribers of everything who read nothing, and requests that take for ever to be said."""
    await _at_each(scene, count, _hold)


async def _at_each(scene: Scene, count: Count, attack: Callable[[ApiAddress, Count], Awaitable[None]]) -> None:
    async with trio.open_nursery() as nursery:
        for api in scene.apis:
            nursery.start_soon(attack, api, count)


async def _connect(api: ApiAddress, source: str) -> trio.SocketStream:
    return await trio.open_tcp_stream(api.host, api.port, local_address=source)


def post(body: bytes) -> bytes:
    """A JSON-RPC call over HTTP."""
    head = f"POST /api/v2 HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def websocket_frame(opcode: int, payload: bytes) -> bytes:
    """A client's frame (RFC 6455), masked with zeros."""
    length = len(payload)
    prefix = bytes([0x80 | length]) if length < 126 else b"\xfe" + length.to_bytes(2, "big")
    return bytes([opcode]) + prefix + bytes(4) + payload


async def _flood(api: ApiAddress, count: Count) -> None:
    call = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "public/get_instruments"}).encode()
    short, long = post(call), post(call + b" " * FLOOD_PADDING_BYTES)

    async def one(request: bytes) -> None:
        while True:
            with suppress(OSError, trio.BrokenResourceError):
                async with await _connect(api, FLOOD_SOURCE) as tcp:
                    count("connections", 1)
                    await _ask(tcp, request, count)
            await trio.sleep(RETRY_S)

    async with trio.open_nursery() as nursery:
        for number in range(FLOOD_CONNECTIONS):
            nursery.start_soon(one, long if number % 2 else short)


async def _ask(tcp: trio.SocketStream, request: bytes, count: Count) -> None:
    while True:
        await tcp.send_all(request)
        count("requests", 1)
        answer = await tcp.receive_some(RECEIVE_BYTES)
        if not answer:
            return
        if answer.startswith(b"HTTP/1.1 "):
            count(f"answered {answer[9:12].decode(errors='replace')}", 1)
        await trio.sleep(FLOOD_CONNECTIONS / FLOOD_REQUESTS_PER_S)


def draw_junk(draw: random.Random) -> tuple[str, bytes]:
    """Something a server has to refuse, and its name."""
    deep = b"[" * 5_000
    call = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "private/buy", "params": {"amount": "1e999999"}}).encode()
    submit = json.dumps(
        {"jsonrpc": "2.0", "id": 1, "method": "public/x_submit", "params": {"command": "0xzz"}}
    ).encode()
    upgrade = UPGRADE.format(path="/ws/api/v2").encode()
    orders = UPGRADE.format(path="/ws/orders").encode()
    kinds = {
        "no HTTP": draw.randbytes(500),
        "no JSON": post(draw.randbytes(300)),
        "deep JSON": post(deep),
        "wrong parameters": post(call),
        "a command that is none": post(submit),
        "a body over its limit": post(bytes(80_000)),
        "a length that is none": b"POST /api/v2 HTTP/1.1\r\nHost: h\r\nContent-Length: -5\r\n\r\n",
        "a head over its limit": b"GET / HTTP/1.1\r\nX: " + b"a" * 40_000,
        "junk in a WebSocket": upgrade + websocket_frame(TEXT_FRAME, draw.randbytes(100)) + draw.randbytes(100),
        "junk orders": orders + b"".join(websocket_frame(BINARY_FRAME, draw.randbytes(2_000)) for _ in range(5)),
    }
    name = draw.choice(sorted(kinds))
    return name, kinds[name]


async def _send_junk_to(api: ApiAddress, count: Count) -> None:
    draw = random.Random(secrets.randbits(64))
    while True:
        name, data = draw_junk(draw)
        with suppress(OSError, trio.BrokenResourceError):
            async with await _connect(api, JUNK_SOURCE) as tcp:
                count(f"sent: {name}", 1)
                count("bytes sent", len(data))
                await tcp.send_all(data)
                with trio.move_on_after(PATIENCE_S):
                    count("answered", bool(await tcp.receive_some(RECEIVE_BYTES)))
        await trio.sleep(1 / JUNK_PER_S)


async def _hold(api: ApiAddress, count: Count) -> None:
    async with trio.open_nursery() as nursery:
        for number in range(SLOW_CONNECTIONS):
            nursery.start_soon(_subscribe_and_not_read if number % 2 else _say_slowly, api, count)
            await trio.sleep(0.01)


async def _subscribe_and_not_read(api: ApiAddress, count: Count) -> None:
    """Asks for everything again and again; the answers pile up on the other side."""
    channels = ["x.blocks", "book.BTC-PERPETUAL.raw", "trades.BTC-PERPETUAL.raw", "ticker.BTC-PERPETUAL.raw"]
    calls = [
        {"jsonrpc": "2.0", "id": 1, "method": "public/subscribe", "params": {"channels": channels}},
        {"jsonrpc": "2.0", "id": 2, "method": "public/get_instruments"},
    ]
    words = b"".join(websocket_frame(TEXT_FRAME, json.dumps(call).encode()) for call in calls)
    while True:
        with suppress(OSError, trio.BrokenResourceError):
            async with await _connect(api, SLOW_SOURCE) as tcp:
                tcp.socket.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
                count("subscribers", 1)
                await tcp.send_all(UPGRADE.format(path="/ws/api/v2").encode())
                while True:
                    await tcp.send_all(words)
                    count("bytes sent", len(words))
                    await trio.sleep(SLOW_INTERVAL_S)
        count("subscribers dropped", 1)
        await trio.sleep(RETRY_S)


async def _say_slowly(api: ApiAddress, count: Count) -> None:
    while True:
        with suppress(OSError, trio.BrokenResourceError):
            async with await _connect(api, SLOW_SOURCE) as tcp:
                count("slow requests", 1)
                await tcp.send_all(b"POST /api/v2 HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n")
                while True:
                    await tcp.send_all(b" ")
                    await trio.sleep(SLOW_INTERVAL_S)
        count("slow requests dropped", 1)
        await trio.sleep(RETRY_S)
