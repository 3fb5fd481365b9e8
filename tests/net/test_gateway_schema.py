"""The shapes say what the gateway answers, and their schemas refuse what they do not say."""

import json
from collections.abc import Iterator
from typing import Any, TypedDict

import httpx
import jsonschema_rs
import pytest
import trio
from answer_shapes import check_answer, shape_faults
from dict_market_data import CALL, FUTURE
from test_gateway_backend import DictBackend
from test_gateway_inputs import KEY, OWNER, ask, order, running, websocket

from engine.commands import CANCEL_ALL, PLACE, WITHDRAW, Action, Command
from net.gateway.account_data import ProtectionView, SettingsView
from net.gateway.api import Api, Call, Method, answer_now
from net.gateway.asyncapi import make_asyncapi
from net.gateway.limits import Limits
from net.gateway.methods import METHODS
from net.gateway.openapi import make_openapi, param_schema
from net.gateway.schema import Schema, make_schema
from net.gateway.shapes.scalars import DecimalText
from net.gateway.tables.channels import CHANNELS
from net.gateway.wire import Request

# What has no answer without a WebSocket, or without a signature: other tests ask for these.
WITHOUT_EXAMPLE = {
    name for name, method in METHODS.items()
    if method.is_websocket_only or (not method.example and any(param.is_required for param in method.params))
}  # fmt: skip


def trade_once(backend: DictBackend) -> Command:
    """One account has an order, a trade with itself and a withdrawal."""
    backend.balances[OWNER, 0] = 5_000_000_000
    actions = (
        Action(PLACE, side=0, price_ticks=640_000, size_lots=10),
        Action(PLACE, side=1, price_ticks=640_000, size_lots=4),
        Action(PLACE, side=0, price_ticks=630_000, size_lots=10), Action(WITHDRAW, size_lots=1_000_000),
    )  # fmt: skip
    command = Command(OWNER, 7, 2_000_000_000_000, actions).signed(KEY, backend.domain.domain_separator)
    backend.take(command)
    return command


def traded_backend() -> tuple[DictBackend, dict[str, str]]:
    """After `trade_once`; and what stands for what in examples."""
    backend = DictBackend()
    command = trade_once(backend)
    return backend, {
        "owner": "0x" + OWNER.hex(), "command": command.encode().hex(), "order_id": "BTC-PERPETUAL-1",
        "command_id": next(iter(backend.known)).hex(),
    }  # fmt: skip


def example_params(method: Method, known: dict[str, str]) -> dict[str, Any]:
    """The parameters of the reference's example, with `0x…` made real."""
    pairs = [part.split("=", 1) for part in method.example.split("&") if part]
    return {name: known[name] if "…" in value or name == "order_id" else value for name, value in pairs}


@pytest.mark.parametrize("name", sorted(METHODS.keys() - WITHOUT_EXAMPLE))
async def test_the_example_of_every_method_is_answered_in_its_shape(name: str) -> None:
    backend, known = traded_backend()
    call = Call(
        Api(backend, Limits(), METHODS), Request(1, name, example_params(METHODS[name], known)), 0
    )  # fmt: skip
    reply = await answer_now(call)
    assert "result" in json.loads(reply.text), reply.text
    assert check_answer(name, reply.text) == []


def test_most_methods_have_an_example() -> None:
    assert len(METHODS.keys() - WITHOUT_EXAMPLE) >= 24


async def test_answers_to_signed_commands_have_their_shapes() -> None:
    backend = DictBackend()
    api = Api(backend, Limits(), METHODS)
    reply = await answer_now(Call(api, Request(1, "private/buy", order()), 0))
    assert "result" in json.loads(reply.text) and check_answer("private/buy", reply.text) == []
    command = Command.of(CANCEL_ALL, owner=OWNER, nonce=9, expiry_ms=2_000_000_000_000, market=0)
    signed = command.signed(KEY, backend.domain.domain_separator)
    params = {"command": signed.encode().hex()}
    reply = await answer_now(Call(api, Request(1, "public/x_submit", params), 0))
    assert "result" in json.loads(reply.text) and check_answer("public/x_submit", reply.text) == []


async def test_every_channel_carries_what_its_row_says() -> None:
    names = [row.example.replace("0x…", "0x" + OWNER.hex()) for row in CHANNELS]
    backend = DictBackend()
    backend.posted_height = 1
    backend.market_data.listed += (CALL,)
    async with running(backend) as url, websocket(url) as connection:
        auth = {"id": 0, "method": "public/auth", "params": {"grant_type": "x_owner", "owner": OWNER.hex()}}
        assert (await ask(connection, json.dumps(auth)))["result"]["x_owner"] == "0x" + OWNER.hex()
        request = {"id": 1, "method": "public/subscribe", "params": {"channels": names}}
        assert (await ask(connection, json.dumps(request)))["result"] == names
        frozen = ProtectionView(1_000, 0, 1, 1, 1, backend.time_ms, 1, 1, 1, 1 << 50)
        backend.account_data.known_settings[OWNER, 0] = SettingsView(0, 0, 0, 0, (), (), None, frozen, ())
        backend.market_data.listed += (FUTURE,)
        trade_once(backend)
        waiting = dict(zip(names, CHANNELS))
        with trio.fail_after(5):
            while waiting:
                message = json.loads(await connection.get_message())
                assert message["method"] == "subscription"
                name, data = message["params"]["channel"], message["params"]["data"]
                row = CHANNELS[names.index(name)]
                assert shape_faults(row.data, data) == [], name
                waiting.pop(name, None)


def test_a_wrong_field_a_missing_one_and_one_too_many_are_found() -> None:
    good = {"jsonrpc": "2.0", "result": {"version": "1"}}
    assert check_answer("public/test", json.dumps(good)) == []
    for result in ({}, {"version": 1}, {"version": "1", "more": 1}, [], None):
        assert len(check_answer("public/test", json.dumps(good | {"result": result}))) == 1, result


class Loop(TypedDict, total=False):
    """Holds itself."""

    inner: "Loop | None"
    amount: DecimalText


SCHEMAS = [
    (DecimalText, ["1", "-0.50", "123"], [1, "1.", ".5", "1e5", "", "NaN", None]),
    (DecimalText | None, ["1", None], [1, "x"]),
    (list[int], [[], [1]], [1, ["1"], [1.5]]),
    (tuple[int, str], [[1, "a"]], [[1], ["a", 1], [1, "a", 2], "a"]),
    (dict[str, bool], [{}, {"a": True}], [{"a": 1}, []]),
    (Loop, [{}, {"inner": {"inner": None, "amount": "1"}}], [{"inner": {"amount": 1}}, {"other": 1}, []]),
    (Loop | list[str], [{}, ["a"]], [[1], 1, {"other": 1}]),
]  # fmt: skip


@pytest.mark.parametrize(("shape", "good", "bad"), SCHEMAS)
def test_schemas_take_what_the_type_means_and_nothing_else(shape: Any, good: list[object], bad: list[object]) -> None:
    components: dict[str, Schema] = {}
    schema = make_schema(shape, components, is_strict=True)
    validator = jsonschema_rs.validator_for(schema | {"components": {"schemas": components}})
    for value in good:
        assert validator.is_valid(value), value
    for value in bad:
        assert not validator.is_valid(value), value


def test_what_has_no_schema_is_refused() -> None:
    for shape in (bytes, set[int], dict[int, str]):
        with pytest.raises(TypeError):
            make_schema(shape, {})


async def test_a_node_serves_its_own_descriptions() -> None:
    async with running(DictBackend()) as url, httpx.AsyncClient(base_url=url) as http:
        described = (await http.get("/openapi.json")).json()
        assert described["openapi"] == "3.1.0" and described["paths"].keys() == {
            "/api/v2", "/health", *(f"/api/v2/{name}" for name, row in METHODS.items() if not row.is_websocket_only)
        }  # fmt: skip
        operations = (await http.get("/asyncapi.json")).json()["operations"]
        assert {name.replace("/", ".") for name in METHODS} <= operations.keys()
        assert len(operations) == len(METHODS) + len(CHANNELS)
        text = (await http.get("/llms.txt")).text
        assert all(name in text for name in METHODS)


def test_every_reference_in_the_descriptions_leads_somewhere() -> None:
    for document in (make_openapi(METHODS), make_asyncapi(METHODS, CHANNELS)):
        for reference in find_references(document):
            part: Any = document
            for step in reference.removeprefix("#/").split("/"):
                part = part[step]


def find_references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if "$ref" in part:
            yield part["$ref"]
        for value in part.values():
            yield from find_references(value)
    if isinstance(part, list):
        for value in part:
            yield from find_references(value)


def test_every_kind_of_parameter_has_a_schema() -> None:
    for method in METHODS.values():
        for param in method.params:
            schema = param_schema(param)
            assert schema and jsonschema_rs.validator_for(schema)
