"""An API whose copy of the exchange lags says so, and answers nothing old."""

import json

import pytest
from test_gateway_backend import DictBackend

from net.gateway.api import ANSWERED_ALWAYS, Api, Call, Reply, answer
from net.gateway.limits import Limits
from net.gateway.methods import METHODS
from net.gateway.wire import Request


async def ask(api: Api, method: str) -> dict:
    reply = await answer(Call(api, Request(1, method, {"instrument_name": "BTC-PERPETUAL"}), 0))
    assert isinstance(reply, Reply)
    return json.loads(reply.text)


async def test_while_it_lags_it_answers_only_how_far_it_is() -> None:
    is_behind = True
    api = Api(DictBackend(), Limits(), METHODS, lambda: is_behind)
    refused = await ask(api, "public/ticker")
    assert refused["error"]["data"]["code"] == 801
    assert "result" in await ask(api, "public/status") and "result" in await ask(api, "public/test")
    is_behind = False
    assert "result" in await ask(api, "public/ticker")


@pytest.mark.parametrize("name", sorted(METHODS))
async def test_nothing_private_is_answered_then(name: str) -> None:
    api = Api(DictBackend(), Limits(), METHODS, lambda: True)
    if name not in ANSWERED_ALWAYS:
        assert (await ask(api, name))["error"]["data"]["code"] == 801
    else:
        assert not name.startswith("private/")
