"""No text and no parameters, however strange, make the API fail: every message has one answer, never `internal`."""

import json

import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_gateway_backend import DictBackend
from test_gateway_inputs import KEY, OWNER, ask, order, running, websocket

from engine.commands import Action, Command, is_well_formed
from net.gateway.api import Api, Call, answer_now
from net.gateway.errors import INTERNAL
from net.gateway.limits import Limits
from net.gateway.methods import METHODS
from net.gateway.wire import RequestError, parse_named_request, parse_request

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
    | st.sampled_from(["0x" + "00" * 20, "00" * 65, "BTC-PERPETUAL", "BTC-PERPETUAL-1", "1e999", "-0", "x.blocks"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip
PARAM_NAMES = sorted({param.name for method in METHODS.values() for param in method.params} | {"depth", "reduce_only"})
REQUESTS = st.fixed_dictionaries({
    "jsonrpc": st.just("2.0"), "id": st.integers(0, 9), "method": st.sampled_from(sorted(METHODS)),
    "params": st.dictionaries(st.sampled_from(PARAM_NAMES), JSON, max_size=8)
    | st.dictionaries(st.sampled_from(PARAM_NAMES), JSON, max_size=2).map(lambda changes: order() | changes),
})  # fmt: skip

I64 = st.integers(-(1 << 63), (1 << 63) - 1) | st.integers(-1, 3)
ACTIONS = st.builds(
    Action, kind=st.integers(0, 5) | st.integers(5, 255), market=st.sampled_from([0, 1, 2, 1 << 31]),
    side=st.sampled_from([0, 1, 7]), time_in_force=st.integers(0, 3), flags=st.sampled_from([0, 0, 9]),
    price_ticks=I64, size_lots=I64, client_id=I64, order_id=st.sampled_from([0, 0, 5]), link=st.sampled_from([0, 0, 5]),
)  # fmt: skip
COMMANDS = st.builds(
    Command, owner=st.just(OWNER), nonce=I64, expiry_ms=I64,
    actions=st.lists(ACTIONS, min_size=1, max_size=3).map(tuple),
)  # fmt: skip


def respond(api: Api, text: str | bytes) -> dict:
    """The whole way of one HTTP call without its socket."""
    try:
        call = Call(api, parse_request(text), 0)
    except RequestError as error:
        return {"error": error.error.to_json()}
    return json.loads(trio.run(answer_now, call).text)


def check(answer: dict) -> None:
    assert ("result" in answer) != ("error" in answer)
    assert answer.get("error", {"data": {"code": 0}})["data"]["code"] != INTERNAL.number, answer


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(REQUESTS)
def test_any_parameters_of_any_method(request_item: dict) -> None:
    check(respond(Api(DictBackend(), Limits(), METHODS), json.dumps(request_item)))


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["public/x_submit", "public/x_decode_action"]), COMMANDS)
def test_any_raw_command(method: str, command: Command) -> None:
    signed = command.signed(KEY, DictBackend().domain.domain_separator) if is_well_formed(command) else command
    params = {"command": signed.encode().hex(), "x_wait": "received"}
    check(respond(Api(DictBackend(), Limits(), METHODS), json.dumps({"id": 1, "method": method, "params": params})))


@settings(max_examples=300, deadline=None)
@given(JSON.map(json.dumps) | st.text(max_size=200) | st.binary(max_size=200))
def test_any_text(text: str | bytes) -> None:
    check(respond(Api(DictBackend(), Limits(), METHODS), text))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=100) | JSON.map(lambda item: json.dumps(item).encode()))
def test_any_body_under_a_method_name(body: bytes) -> None:
    try:
        parse_named_request(body, "public/test")
    except RequestError as error:
        assert error.error.fault.rpc_code in (-32700, -32600)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(REQUESTS.map(json.dumps) | JSON.map(json.dumps) | st.text(max_size=50), min_size=20, max_size=40))
def test_a_connection_survives_any_messages(messages: list[str]) -> None:
    async def main() -> None:
        async with running(DictBackend()) as url, websocket(url) as connection:
            for text in messages:
                if "subscribe" not in text and "heartbeat" not in text:
                    check(await ask(connection, text.encode("utf-8", "replace").decode()))
            assert (await ask(connection, '{"id":77,"method":"public/test"}'))["id"] == 77

    trio.run(main)
