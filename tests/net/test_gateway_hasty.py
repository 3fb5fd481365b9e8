"""Clients who say more before their WebSocket handshake is over: the connection ends, and nobody else's."""

import logging
import random
from urllib.parse import urlsplit

import pytest
import trio
from test_gateway_backend import DictBackend
from test_gateway_inputs import ask, running, websocket

from net.gateway.limits import Limits

UPGRADE = (
    "GET {path} HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
FRAME = b"\x81\x84" + bytes(4) + b"test"
TIMES = 8


async def hurry(host: str, port: int, pieces: list[bytes]) -> None:
    async with await trio.open_tcp_stream(host, port) as tcp:
        for piece in pieces:
            try:
                await tcp.send_all(piece)
            except trio.BrokenResourceError:
                return
            await trio.lowlevel.checkpoint()
        with trio.move_on_after(0.2):
            try:
                while await tcp.receive_some():
                    pass
            except trio.BrokenResourceError:
                pass


@pytest.mark.parametrize("path", ["/ws/api/v2", "/ws/orders"])
async def test_they_end_no_connection_but_their_own(path: str, caplog: pytest.LogCaptureFixture) -> None:
    upgrade = UPGRADE.format(path=path).encode()
    hasty = [
        [upgrade + FRAME], [upgrade, FRAME], [upgrade + FRAME, FRAME], [upgrade[:-2] + b"\r\n" + FRAME[:3], FRAME[3:]],
        [upgrade + upgrade], [upgrade, upgrade, FRAME], [upgrade + random.Random(1).randbytes(300)],
        [upgrade[:40], b"\r\n\r\n"],
    ]  # fmt: skip
    caplog.set_level(logging.INFO)
    async with running(DictBackend(), Limits(shutdown_s=0.1, bad_endings_max=1_000)) as url:
        place = urlsplit(url)
        assert place.hostname is not None and place.port is not None
        async with websocket(url) as patient:
            async with trio.open_nursery() as nursery:
                for pieces in hasty * TIMES:
                    nursery.start_soon(hurry, place.hostname, place.port, pieces)
            assert "result" in await ask(patient, '{"id": 1, "method": "public/test"}')
    told = [record for record in caplog.records if record.levelno >= logging.WARNING or record.exc_info]
    assert not told, [record.getMessage() for record in told]
