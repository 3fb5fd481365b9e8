"""A client that never reads loses its connection, and keeps nothing else from ending."""

import json
import socket
from urllib.parse import urlsplit

import trio
from test_gateway_backend import DictBackend
from test_gateway_inputs import running

from net.gateway.limits import Limits

READ_BYTES = 1 << 16
QUESTIONS = 4_000


def connect(url: str) -> socket.socket:
    """A WebSocket connection by hand with as small a window as there is."""
    place = urlsplit(url)
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(5)
    client.connect((place.hostname, place.port))
    client.sendall(
        b"GET /ws/api/v2 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    while not client.recv(1, socket.MSG_PEEK):
        pass
    return client


def ask_much(client: socket.socket) -> None:
    """Questions without reading an answer, until the server does not take more."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "public/get_instruments", "params": {}}).encode()
    frame = bytes([0x81, 0x80 | len(body)]) + bytes(4) + body
    client.settimeout(0.3)
    try:
        for _ in range(QUESTIONS):
            client.sendall(frame)
    except OSError:
        pass  # full, or already hung up


def read_to_end(client: socket.socket) -> None:
    """Raises `TimeoutError` when there is no end."""
    client.settimeout(5)
    try:
        while client.recv(READ_BYTES):
            pass
    except ConnectionError:
        pass


async def test_a_client_that_never_reads_is_hung_up_on() -> None:
    async with running(DictBackend(), Limits(shutdown_s=0.1, send_s_max=1, requests_burst=10_000)) as url:
        client = await trio.to_thread.run_sync(connect, url)
        await trio.to_thread.run_sync(ask_much, client)
        await trio.sleep(2.5)  # twice as long as a write may take
        await trio.to_thread.run_sync(read_to_end, client)
        client.close()


async def test_it_does_not_keep_the_server_from_ending() -> None:
    with trio.fail_after(10):
        async with running(DictBackend(), Limits(shutdown_s=0.1, send_s_max=1, requests_burst=10_000)) as url:
            client = await trio.to_thread.run_sync(connect, url)
            await trio.to_thread.run_sync(ask_much, client)
    client.close()
