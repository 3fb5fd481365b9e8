"""Orders by way of a public host: passed on as they are, refused when the API is away or there are too many."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from certified_chain import Chain, make_keyring
from hypercorn.config import Config
from hypercorn.trio import serve
from public_scene import DEFAULTS, HOST, free_ports, open_public, until
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from net.public.host import PeerLost
from validator.public_submit import AWAY, BUSY, SUBMIT_BYTES_MAX, SUBMIT_PROTOCOL, SUBMITS_BURST, Submitting


@asynccontextmanager
async def open_api(calls: list[Any]) -> AsyncIterator[str]:
    async def take(request: Request) -> JSONResponse:
        calls.append(await request.json())
        return JSONResponse({"jsonrpc": "2.0", "id": 1, "result": {"x_command_id": "0x01"}, "usIn": 1})

    (port,) = free_ports(1)
    config = Config()
    config.bind, config.accesslog, config.errorlog = [f"{HOST}:{port}"], None, None
    app = Starlette(routes=[Route("/api/v2", take, methods=["POST"])])
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(serve, app, config))
        yield f"http://{HOST}:{port}"
        nursery.cancel_scope.cancel()


async def test_an_order_reaches_the_api_as_it_was_signed(tmp_path: Path) -> None:
    calls: list[Any] = []
    async with open_api(calls) as url:
        config = replace(DEFAULTS, submit_url=url)
        async with open_public(tmp_path, [Chain(make_keyring(2))], 2, config) as ((_, _), (_, asker)):
            await until(lambda: bool(asker.host.peer_ids))
            peer = asker.host.peer_ids[0]
            answer = await asker.host.ask(peer, SUBMIT_PROTOCOL, b"\x01\x02\x03")
            assert json.loads(answer) == {"result": {"x_command_id": "0x01"}}
            with pytest.raises(PeerLost):
                await asker.host.ask(peer, SUBMIT_PROTOCOL, bytes(SUBMIT_BYTES_MAX + 1))
    assert [call["params"]["command"] for call in calls] == ["0x010203"]
    assert calls[0]["method"] == "public/x_submit"


async def test_whoever_submits_too_much_is_told_so_and_the_api_is_spared() -> None:
    calls: list[Any] = []
    async with open_api(calls) as url:
        submitting = Submitting(url)
        answers = [await submitting.answer(b"peer", b"\x01") for _ in range(3)]
        submitting._budget.tokens = 0.0
        submitting._budget.updated_s = trio.current_time()
        assert await submitting.answer(b"peer", b"\x01") == BUSY
    assert len(calls) == 3 and BUSY not in answers and submitting._budget.burst == SUBMITS_BURST


async def test_an_api_that_is_away_is_an_answer_too() -> None:
    (port,) = free_ports(1)
    assert await Submitting(f"http://{HOST}:{port}").answer(b"peer", b"\x01") == AWAY
