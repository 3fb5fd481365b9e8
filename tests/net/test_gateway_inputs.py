"""Every kind of bad input gets its number, over HTTP and over a WebSocket, and never reaches the node."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx
import pytest
import trio
from coincurve import PrivateKey
from test_gateway_backend import CONTRACT, DictBackend
from trio_websocket import WebSocketConnection, open_websocket_url

from engine.commands import (
    AMEND,
    BUY,
    CANCEL,
    CANCEL_ALL_AFTER,
    COUNT_OFFSET,
    PLACE,
    SELL,
    TRANSFER,
    TRIGGER,
    Action,
    Command,
    address_of,
    compute_domain_separator,
)
from engine.results import Code
from net.gateway.app import GatewayConfig, serve
from net.gateway.backend import Refusal
from net.gateway.limits import Limits

KEY = PrivateKey(b"\x07" * 32)
OWNER = address_of(KEY.public_key)
BODY = ("instrument_name", "amount", "price", "type", "label")


@asynccontextmanager
async def running(backend: DictBackend, limits: Limits | None = None) -> AsyncIterator[str]:
    """A real server on a free port; yields its URL."""
    config = GatewayConfig("127.0.0.1", 0, limits or Limits(shutdown_s=0.1))
    async with trio.open_nursery() as nursery:
        urls = await nursery.start(serve, backend, config)
        yield urls[0]
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def websocket(url: str) -> AsyncIterator[WebSocketConnection]:
    async with open_websocket_url(url.replace("http", "ws") + "/ws/api/v2", disconnect_timeout=1) as connection:
        yield connection


async def ask(connection: WebSocketConnection, text: str) -> dict:
    await connection.send_message(text)
    with trio.fail_after(5):
        return json.loads(await connection.get_message())


def order(**changes: object) -> dict:
    """A good order for 0.010 BTC at 64000.0, signed; `changes` replace parameters afterwards, None removes."""
    command = Command.of(
        PLACE, owner=OWNER, nonce=time.time_ns() // 1000, expiry_ms=2_000_000_000_000, market=0, side=BUY,
        price_ticks=640_000, size_lots=10, client_id=5,
    ).signed(KEY, DictBackend().domain.domain_separator)  # fmt: skip
    params = {
        "instrument_name": "BTC-PERPETUAL", "amount": "0.010", "price": "64000", "type": "limit", "label": "5",
        "owner": "0x" + OWNER.hex(), "nonce": command.nonce, "expiry_ms": command.expiry_ms,
        "signature": "0x" + command.signature.hex(),
    }  # fmt: skip
    return {name: value for name, value in (params | changes).items() if value is not None}


def buy(**changes: object) -> str:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": "private/buy", "params": order(**changes)})


def raw_number(name: str, text: str) -> str:
    """A buy with a number written exactly as `text`."""
    return buy(**{name: "@"}).replace('"@"', text)


def wrong_chain() -> str:
    command = Command.of(
        PLACE, owner=OWNER, nonce=9, expiry_ms=2_000_000_000_000, market=0, side=BUY, price_ticks=640_000,
        size_lots=10, client_id=5,
    ).signed(KEY, compute_domain_separator(1, CONTRACT))  # fmt: skip
    return buy(nonce=9, signature=command.signature.hex())


BAD = [
    ("truncated JSON", '{"jsonrpc":"2.0","id":1,"method":"pub', -32700, 601),
    ("empty object", "{}", -32600, 602),
    ("a list", "[]", -32600, 602),
    ("a number", "7", -32600, 602),
    ("NaN", raw_number("price", "NaN"), -32700, 601),
    ("infinity", raw_number("price", "-Infinity"), -32700, 601),
    ("deep nesting", "[" * 20_000, -32700, 601),
    ("method is no text", '{"id":1,"method":7}', -32600, 602),
    ("positional parameters", '{"id":1,"method":"public/test","params":[1]}', -32600, 602),
    ("id is an object", '{"id":{},"method":"public/test"}', -32600, 602),
    ("another version", '{"jsonrpc":"1.0","id":1,"method":"public/test"}', -32600, 602),
    ("too large", '{"id":1,"method":"' + "x" * 70_000 + '"}', -32600, 604),
    ("unknown method", '{"id":1,"method":"public/nothing"}', -32601, 603),
    ("unknown market", buy(instrument_name="DOGE-PERPETUAL"), 10020, 707),
    ("price off tick", buy(price="64000.05"), 10043, 705),
    ("amount off lot", buy(amount="0.0105"), 10021, 706),
    ("zero amount", buy(amount="0"), 10021, 302),
    ("negative amount", buy(amount="-0.010"), 10021, 302),
    ("amount above the largest", buy(amount="100000"), 10021, 303),
    ("zero price", buy(price=0), 10023, 304),
    ("negative price", buy(price="-64000"), 10023, 304),
    ("price above the largest", buy(price="99999999999"), 10023, 304),
    ("amount overflows", buy(amount="9" * 30), -32602, 704),
    ("amount has hundreds of digits", raw_number("amount", "9" * 400), -32602, 704),
    ("1e999", raw_number("price", "1e999"), -32602, 704),
    ("1e-9999999", raw_number("price", "1e-9999999"), -32602, 704),
    ("nonce overflows", buy(nonce=1 << 70), -32602, 704),
    ("nonce zero", buy(nonce=0), -32602, 704),
    ("nonce is a fraction", raw_number("nonce", "1.5"), -32602, 702),
    ("nonce is true", buy(nonce=True), -32602, 702),
    ("subaccount overflows", buy(subaccount=1 << 32), -32602, 704),
    ("price is words", buy(price="six"), -32602, 703),
    ("price is a list", buy(price=[1]), -32602, 702),
    ("price is NaN text", buy(price="NaN"), -32602, 703),
    ("other digits", buy(amount="٠.٠١٠"), -32602, 703),
    ("instrument is a number", buy(instrument_name=1), -32602, 702),
    ("label is words", buy(label="mine"), -32602, 702),
    ("no price", buy(price=None), -32602, 701),
    ("no signature", buy(signature=None), -32602, 701),
    ("market order with a price", buy(type="market"), 10033, 710),
    ("unknown type", buy(type="trailing_stop"), -32602, 708),
    ("stop without a trigger price", buy(type="stop_market", price=None), -32602, 701),
    ("good til time without one", buy(time_in_force="x_good_til_time"), -32602, 701),
    ("edit without a size", json.dumps({"id": 1, "method": "private/edit", "params": order(amount=None)}), -32602, 701),
    ("unknown time in force", buy(time_in_force="good_til_friday"), -32602, 708),
    ("good til another time of day", buy(time_in_force="good_til_day", x_good_till_ms=1 << 41), -32602, 708),
    ("a parameter that would be ignored", buy(trigger_price="1"), 10033, 710),
    ("reduce-only that was not signed", buy(reduce_only=True), 13009, 102),
    ("post-only and immediate", buy(post_only=True, time_in_force="immediate_or_cancel"), -32602, 708),
    ("bad hex", buy(signature="0x" + "zz" * 65), -32602, 709),
    ("short hex", buy(owner="0x1234"), -32602, 709),
    ("signature of another content", buy(amount="0.011"), 13009, 102),
    ("signature of nobody", buy(signature="00" * 64 + "05"), 13009, 102),
    ("another owner", buy(owner="0x" + "33" * 20), 13009, 102),
    ("another chain id", wrong_chain(), 13009, 102),
    ("channel that does not exist", '{"id":1,"method":"public/subscribe","params":{"channels":["x.y"]}}', 11050, 608),
    ("book of no market", '{"id":1,"method":"public/subscribe","params":{"channels":["book.X.raw"]}}', 10020, 707),
    ("raw command too short", '{"id":1,"method":"public/x_submit","params":{"command":"00"}}', -32602, 709),
    ("raw command of odd digits", '{"id":1,"method":"public/x_submit","params":{"command":"0"}}', -32602, 709),
    ("raw command without an action", json.dumps({"id": 1, "method": "public/x_submit",
                                                  "params": {"command": "00" * 208}}), -32602, 709),
    ("raw command of zeros", json.dumps({"id": 1, "method": "public/x_submit",
                                         "params": {"command": "00" * COUNT_OFFSET + "01" + "00" * 102}}),
     11029, 101),
    ("order that never was", '{"id":1,"method":"private/get_order_state","params":{"order_id":"BTC-PERPETUAL-9"}}',
     10004, 711),
    ("order id is words", '{"id":1,"method":"private/get_order_state","params":{"order_id":"nine"}}', 10020, 707),
    ("account without deposit", json.dumps({"id": 1, "method": "private/get_account_summary",
                                            "params": {"owner": "00" * 20}}), 10009, 202),
    ("command nobody saw", json.dumps({"id": 1, "method": "public/x_get_command_status",
                                       "params": {"command_id": "00" * 32}}), 13020, 712),
]  # fmt: skip


async def test_bad_input_has_its_number_and_the_connection_lives() -> None:
    backend = DictBackend()
    async with running(backend) as url, websocket(url) as connection, httpx.AsyncClient(base_url=url) as http:
        for what, text, rpc_code, number in BAD:
            answer = await ask(connection, text)
            assert (answer["error"]["code"], answer["error"]["data"]["code"]) == (rpc_code, number), (what, answer)
            assert answer["error"]["data"]["hint"], what
            if "/subscribe" not in text:
                response = await http.post("/api/v2", content=text.encode())
                found = response.json()["error"]
                assert (found["code"], found["data"]["code"]) == (rpc_code, number), (what, found)
                assert response.status_code in (400, 404, 413), what
        assert (await ask(connection, '{"id":9,"method":"public/test"}'))["id"] == 9
        assert backend.submitted == []
        good = await ask(connection, buy())
        assert good["result"]["order"]["order_state"] == "open"
        assert len(backend.submitted) == 1


async def test_bad_signature_says_whose_it_is_and_for_which_domain() -> None:
    async with running(DictBackend()) as url, websocket(url) as connection:
        error = (await ask(connection, wrong_chain()))["error"]
        assert error["data"]["domain"]["chainId"] == 31337
        assert error["data"]["recovered_signer"] != error["data"]["owner"] == "0x" + OWNER.hex()
        assert "chain id 31337" in error["data"]["hint"] and error["data"]["recovered_signer"] in error["data"]["hint"]


async def test_wallet_style_signature_and_exact_json_numbers_are_taken() -> None:
    backend = DictBackend()
    async with running(backend) as url, websocket(url) as connection:
        params = order()
        signature = bytes.fromhex(params["signature"][2:])
        params |= {"signature": (signature[:64] + bytes([signature[64] + 27])).hex(), "amount": "@a", "price": "@p"}
        text = json.dumps({"id": 1, "method": "private/buy", "params": params})
        answer = await ask(connection, text.replace('"@a"', "1.0e-2").replace('"@p"', "64000.00"))
        assert answer["result"]["order"]["amount"] == "0.010", answer
        assert backend.submitted[0].action.size_lots == 10


FORMS = [
    ("buy", {"type": "market", "price": None}, {"kind": PLACE, "time_in_force": 1, "flags": 16, "price_ticks": 0}),
    ("buy", {"type": "market", "price": None, "time_in_force": "fill_or_kill"},
     {"kind": PLACE, "time_in_force": 3, "flags": 16, "price_ticks": 0}),
    ("sell", {"time_in_force": "fill_or_kill", "x_self_trade": "decrement"},
     {"kind": PLACE, "side": SELL, "time_in_force": 3, "flags": 12}),
    ("buy", {"time_in_force": "x_good_til_time", "x_good_till_ms": 1 << 41, "mmp": True},
     {"kind": PLACE, "time_in_force": 4, "good_till_ms": 1 << 41, "flags": 2}),
    ("buy", {"post_only": True, "reject_post_only": False}, {"kind": PLACE, "time_in_force": 5}),
    ("sell", {"reduce_only": True, "display_amount": "0.001"},
     {"kind": PLACE, "side": SELL, "flags": 1, "display_lots": 1}),
    ("sell", {"type": "stop_market", "price": None, "amount": None, "reduce_only": True, "trigger_price": "63000"},
     {"kind": TRIGGER, "side": SELL, "time_in_force": 1, "flags": 1 | 16 | 64, "price_ticks": 0, "size_lots": 0,
          "trigger_ticks": 630_000}),
    ("buy", {"type": "stop_limit", "trigger_price": "63000", "trigger": "last_price"},
     {"kind": TRIGGER, "flags": 32, "trigger_ticks": 630_000}),
    ("buy", {"type": "take_limit", "trigger_price": "63000"}, {"kind": TRIGGER, "flags": 64, "trigger_ticks": 630_000}),
    ("sell", {"type": "take_limit", "trigger_price": "65000"},
     {"kind": TRIGGER, "side": SELL, "flags": 0, "trigger_ticks": 650_000}),
    ("edit", {"order_id": "BTC-PERPETUAL-17", "instrument_name": None, "label": None, "type": None},
     {"kind": AMEND, "order_id": 17, "client_id": 0}),
    ("edit", {"type": None, "price": None}, {"kind": AMEND, "price_ticks": 0}),
    ("x_cancel_all_after", {"x_deadline_ms": 1 << 41} | dict.fromkeys(BODY),
     {"kind": CANCEL_ALL_AFTER, "good_till_ms": 1 << 41, "price_ticks": 0, "size_lots": 0, "client_id": 0}),
    ("submit_transfer_to_subaccount", dict.fromkeys(BODY) | {"amount": "1.5", "destination": 3},
     {"kind": TRANSFER, "link": 3, "price_ticks": 0, "size_lots": 1_500_000, "client_id": 0}),
    ("submit_transfer_to_user", dict.fromkeys(BODY) | {"amount": "1.5", "destination": "0x" + "33" * 20},
     {"kind": TRANSFER, "data": b"\x33" * 20 + bytes(4), "price_ticks": 0, "size_lots": 1_500_000, "client_id": 0}),
]  # fmt: skip


@pytest.mark.parametrize(("method", "changes", "signed"), FORMS)
async def test_every_named_form_is_the_action_that_was_signed(method: str, changes: dict, signed: dict) -> None:
    """The parameters are what Deribit's clients send; the owner has signed what stands beside them."""
    backend = DictBackend()
    fields = {"kind": PLACE, "market": 0, "side": BUY, "price_ticks": 640_000, "size_lots": 10, "client_id": 5} | signed
    command = Command(OWNER, 77, 2_000_000_000_000, (Action(**fields),)).signed(KEY, backend.domain.domain_separator)
    params = order(nonce=77, signature="0x" + command.signature.hex(), **changes)
    async with running(backend) as url, websocket(url) as connection:
        answer = await ask(connection, json.dumps({"id": 1, "method": f"private/{method}", "params": params}))
        assert [item.action for item in backend.submitted] == [command.action], answer
        shown = answer["result"].get("order") or {} if "result" in answer else {}
        if shown and method != "edit":
            assert shown["order_type"] == changes.get("type", "limit")


async def test_after_queueing_there_is_no_error_but_the_engines_own() -> None:
    backend = DictBackend()
    backend.is_held = True
    async with running(backend) as url, websocket(url) as connection:
        text = buy(x_timeout_s=0)
        answer = await ask(connection, text)
        assert answer["result"]["x_status"] == "received" and not answer["result"]["x_is_final"]
        assert answer["result"]["order"]["order_state"] == "pending"
        assert answer["result"]["x_receipt"]["command_id"] == answer["result"]["x_command_id"]
        again = await ask(connection, text)
        assert again["result"]["x_command_id"] == answer["result"]["x_command_id"]
        assert len(backend.submitted) == 1, "the same command is queued once"
        backend.finalise(backend.submitted[0])
        assert (await ask(connection, text))["result"]["order"]["order_state"] == "open"
        backend.failure = OSError("the queue is broken")
        assert (await ask(connection, buy(x_timeout_s=0)))["result"]["x_status"] == "received"


async def test_a_message_of_several_actions_has_an_answer_for_each() -> None:
    backend = DictBackend()
    async with running(backend) as url, websocket(url) as connection:
        actions = (
            Action(PLACE, side=BUY, price_ticks=640_000, size_lots=10, client_id=5), Action(CANCEL, order_id=99),
            Action(CANCEL, client_id=5),
        )  # fmt: skip
        command = Command(OWNER, 7, 2_000_000_000_000, actions).signed(KEY, backend.domain.domain_separator)
        params = {"command": command.encode().hex()}
        text = json.dumps({"id": 1, "method": "public/x_submit", "params": params})
        result = (await ask(connection, text))["result"]
        assert result["x_is_final"] and result["x_receipt"]["command_id"] == result["x_command_id"]
        placed, unknown, cancelled = result["x_actions"]
        assert (placed["order"]["order_state"], cancelled["cancelled"]) == ("open", 1)
        assert unknown["error"]["data"]["code"] == Code.UNKNOWN_ORDER
        status = {"id": 1, "method": "public/x_get_command_status", "params": {"command_id": unknown["x_command_id"]}}
        assert (await ask(connection, json.dumps(status)))["result"]["code"] == Code.UNKNOWN_ORDER
        text = json.dumps({"id": 1, "method": "public/x_decode_action", "params": params})
        shown = (await ask(connection, text))["result"]
        assert shown["action_ids"] == [entry["x_command_id"] for entry in result["x_actions"]]
        assert shown["is_signed_by_owner"] and len(shown["fields"]["actions"]) == 3


async def test_refusals_of_the_node_and_of_the_head_state() -> None:
    backend = DictBackend()
    async with running(backend) as url, websocket(url) as connection:
        for refusal, rpc_code, number in (
            (Refusal.SYNCING, 13028, 801), (Refusal.NO_QUORUM, 10040, 802), (Refusal.QUEUE_FULL, 10047, 803),
            (Refusal.HALTED, 11051, 804),
        ):  # fmt: skip
            backend.refusal = refusal
            error = (await ask(connection, buy()))["error"]
            assert (error["code"], error["data"]["code"]) == (rpc_code, number)
        backend.refusal, backend.precheck = None, Code.INSUFFICIENT_MARGIN
        error = (await ask(connection, buy()))["error"]
        assert (error["code"], error["data"]["code"], error["data"]["stage"]) == (10009, 401, "precheck")


async def test_rate_and_connection_limits() -> None:
    limits = replace(Limits(shutdown_s=0.1), requests_per_s=0, requests_burst=5, connections_max=1)
    async with running(DictBackend(), limits) as url, websocket(url) as connection:
        answers = [await ask(connection, '{"id":1,"method":"public/test"}') for _ in range(8)]
        assert sum("error" in answer for answer in answers) == 3
        assert answers[-1]["error"]["code"] == 10028
        async with httpx.AsyncClient(base_url=url) as http:
            response = await http.get("/api/v2/public/test")
            assert (response.status_code, response.json()["error"]["data"]["code"]) == (503, 606)


async def test_a_long_request_counts_as_several() -> None:
    limits = replace(Limits(shutdown_s=0.1), requests_per_s=0, requests_burst=5)
    text = json.dumps({"id": 1, "method": "public/get_time"})
    long = text + " " * (3 * limits.request_unit_bytes - len(text))
    async with running(DictBackend(), limits) as url:
        async with websocket(url) as connection:
            answers = [await ask(connection, each) for each in (long, long, text, text, text)]
            assert [answer.get("error", {}).get("code") for answer in answers] == [None, 10028, None, None, 10028]
        async with httpx.AsyncClient(base_url=url) as http:
            codes = [(await http.post("/api/v2", content=each)).status_code for each in (long, long, text, text, text)]
            assert codes == [200, 429, 200, 200, 429]


async def test_many_requests_at_once_are_all_answered_in_order() -> None:
    backend = DictBackend()
    limits = replace(Limits(shutdown_s=0.1), outgoing_messages_max=2, waiting_per_connection_max=2)
    async with running(backend, limits) as url, websocket(url) as connection:
        texts = [json.dumps({"id": at, "method": "public/get_time"}) for at in range(300)]
        texts[10:10] = [buy(nonce=1), buy()]

        async def send() -> None:
            for text in texts:
                await connection.send_message(text)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            answers = [json.loads(await connection.get_message()) for _ in texts]
        assert sorted(answer["id"] for answer in answers if "result" in answer) == sorted([*range(300), 1])
        assert sum("error" in answer for answer in answers) == 1 == len(backend.submitted)


async def test_http_get_forms_pages_and_cors() -> None:
    backend = DictBackend()
    backend.balances[OWNER, 0] = 1_000_000
    async with running(backend) as url, httpx.AsyncClient(base_url=url, headers={"origin": "https://x.test"}) as http:
        response = await http.get("/api/v2/public/ticker", params={"instrument_name": "BTC-PERPETUAL"})
        assert response.json()["result"]["mark_price"] == "64000.0"
        assert response.headers["access-control-allow-origin"] == "*"
        owned = {"owner": OWNER.hex(), "subaccount": "0"}
        summary = await http.get("/api/v2/private/get_account_summary", params=owned)
        assert summary.json()["result"]["balance"] == "1.000000"
        placed = await http.get("/api/v2/private/buy", params=order())
        assert placed.json()["result"]["order"]["order_state"] == "open", placed.text
        named = await http.post("/api/v2/public/get_order_book", json={"instrument_name": "BTC-PERPETUAL", "depth": 1})
        assert named.json()["result"]["bids"] == [["64000.0", "0.010"]]
        assert (await http.get("/api/v2/public/nothing")).status_code == 404
        assert (await http.get("/health")).json()["ok"] is True
        page = await http.get("/")
        assert "Hansa" in page.text and "default-src 'none'" in page.headers["content-security-policy"]
        page = await http.get("/escape")
        assert (
            "Get your money out" in page.text and "connect-src http: https:" in page.headers["content-security-policy"]
        )
        named = (await http.get("/api/v2/public/x_get_domain")).json()["result"]["domain"]
        assert named["verifyingContract"].startswith("0x")  # where the page finds the contract's address
        status = (await http.get("/api/v2/public/status")).json()
        assert status["result"]["validator_count"] == 4 and status["testnet"] is True
        assert status["usDiff"] == status["usOut"] - status["usIn"]


@pytest.mark.parametrize("method", ["public/subscribe", "public/set_heartbeat", "public/unsubscribe_all"])
async def test_subscriptions_need_a_websocket(method: str) -> None:
    async with running(DictBackend()) as url, httpx.AsyncClient(base_url=url) as http:
        assert (await http.get(f"/api/v2/{method}")).json()["error"]["code"] == 10030
