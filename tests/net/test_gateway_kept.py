"""Answers whose text is kept: the same as if it was made anew, and never an old one."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from dict_market_data import CALL, FUTURE
from test_gateway_backend import DictBackend

from engine.tables import PHASE_SETTLED
from net.gateway import market_methods
from net.gateway.api import Api, Call, answer_now
from net.gateway.kept import TEXTS_MAX, KeptTexts
from net.gateway.limits import Limits
from net.gateway.methods import METHODS
from net.gateway.wire import JsonText, Request, result_text

METHOD = "public/get_instruments"


async def list_instruments(api: Api, **params: object) -> list[dict[str, Any]]:
    reply = await answer_now(Call(api, Request(1, METHOD, params), 0))
    return json.loads(reply.text)["result"]


async def list_names(api: Api, **params: object) -> list[str]:
    return [row["instrument_name"] for row in await list_instruments(api, **params)]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The markets that were put into words."""
    numbers: list[int] = []
    make = market_methods.present_market.instrument

    def count(instruments: Any, number: int) -> dict[str, Any]:
        numbers.append(number)
        return make(instruments, number)

    monkeypatch.setattr(market_methods.present_market, "instrument", count)
    yield numbers


def make_api() -> tuple[DictBackend, Api]:
    backend = DictBackend()
    return backend, Api(backend, Limits(), METHODS)


async def test_it_is_made_once_for_each_way_to_ask(made: list[int]) -> None:
    _, api = make_api()
    first = await list_instruments(api)
    count = len(made)
    assert count == len(first) > 0
    assert await list_instruments(api) == await list_instruments(api, currency="USDC") == first
    assert await list_instruments(api, currency="any", kind="any", expired=False) == first
    assert len(made) == count
    btc = await list_instruments(api, currency="btc")
    assert 0 < len(btc) < len(first) and await list_instruments(api, currency="BTC") == btc
    assert len(made) == count + len(btc)


async def test_it_changes_with_a_market_that_is_listed() -> None:
    backend, api = make_api()
    before = await list_names(api)
    backend.market_data.listed += (FUTURE, CALL)
    assert await list_names(api) == [*before, FUTURE.symbol, CALL.symbol]
    assert await list_names(api, kind="option") == [CALL.symbol]


async def test_it_changes_with_a_parameter() -> None:
    backend, api = make_api()
    first, *rest = backend.market_data.listed
    assert (await list_instruments(api))[0]["taker_commission"] == "0.0005"
    backend.market_data.listed = (replace(first, taker_fee_bps=7), *rest)
    assert (await list_instruments(api))[0]["taker_commission"] == "0.0007"


async def test_it_changes_with_a_market_that_ends_and_back() -> None:
    backend, api = make_api()
    names = await list_names(api)
    assert await list_names(api, expired=True) == []
    backend.market_data.phase_of[0] = PHASE_SETTLED
    assert (await list_names(api), await list_names(api, expired=True)) == (names[1:], names[:1])
    assert (await list_instruments(api, expired=True))[0]["state"] == "settled"
    backend.market_data.phase_of.clear()
    assert (await list_names(api), await list_names(api, expired=True)) == (names, [])


async def test_wrong_parameters_are_refused_as_before() -> None:
    _, api = make_api()
    await list_instruments(api)
    for params, number in (({"kind": "x"}, 708), ({"expired": 3}, 702), ({"currency": 1}, 702)):
        reply = await answer_now(Call(api, Request(1, METHOD, params), 0))
        assert json.loads(reply.text)["error"]["data"]["code"] == number


async def test_whoever_asks_for_what_there_is_not_is_not_remembered() -> None:
    _, api = make_api()
    for number in range(1_000):
        assert await list_instruments(api, currency=f"X{number}") == []
    assert not api.instrument_texts._texts


def test_there_is_an_end_of_what_is_kept() -> None:
    kept, marks = KeptTexts(), b""
    for key in range(2 * TEXTS_MAX):
        assert kept.find(None, marks, key, lambda key=key: [key]) == f"[{key}]"
    assert len(kept._texts) == TEXTS_MAX


def test_a_text_is_put_into_the_envelope_as_its_object_would_be() -> None:
    rows = [{"a": 'ü"', "b": None}, {"c": [1, 2]}]
    plain, kept = (
        json.loads(result_text("x", rows_or_text, 7, True, {"matching": 1}))
        for rows_or_text in (rows, JsonText(json.dumps(rows)))
    )
    assert plain["result"] == kept["result"] == rows
    assert list(plain) == list(kept) == ["jsonrpc", "id", "result", "usIn", "usOut", "usDiff", "testnet", "x_credits"]
    assert {key: plain[key] for key in ("jsonrpc", "id", "usIn", "testnet", "x_credits")} == {
        "jsonrpc": "2.0", "id": "x", "usIn": 7, "testnet": True, "x_credits": {"matching": 1},
    }  # fmt: skip
