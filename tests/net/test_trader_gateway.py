"""The gateway on a trader's machine against real nodes' APIs: logins, scopes, signing, exact numbers, failing nodes."""

import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import trio
from test_gateway_backend import DictBackend
from test_gateway_inputs import KEY, OWNER, running
from trio_websocket import WebSocketConnection, open_websocket_url

from net.client.labels import number_label
from net.client.verifying import Verifier
from net.keystore import write_json
from net.trader.api_keys import KeyRing
from net.trader.gateway import TraderConfig, TraderGateway

MARKET = "BTC-PERPETUAL"
EVERYTHING = "account:read_write trade:read_write wallet:read_write"


def funded() -> DictBackend:
    backend = DictBackend()
    backend.balances[OWNER, 0] = 1_000_000_000
    return backend


class Running:
    """A gateway with one API key."""

    def __init__(self, gateway: TraderGateway, ring: KeyRing, url: str, scope: str) -> None:
        self.gateway, self.url, self.ring = gateway, url, ring
        key, self.secret = ring.add("bot", scope, 0)
        self.client_id = key.client_id

    def header(self, method: str, uri: str, body: str = "", ts: int | None = None) -> dict[str, str]:
        """As Deribit's clients sign a request."""
        timestamp_ms = str(time.time_ns() // 1_000_000 if ts is None else ts)
        nonce = str(time.time_ns())
        text = f"{timestamp_ms}\n{nonce}\n{method}\n{uri}\n{body}\n"
        signature = hmac.new(self.secret.encode(), text.encode(), hashlib.sha256).hexdigest()
        value = f"deri-hmac-sha256 id={self.client_id},ts={timestamp_ms},sig={signature},nonce={nonce}"
        return {"Authorization": value}

    async def get(self, name: str, **params: object) -> dict[str, Any]:
        """A signed GET; numbers of the answer with a point are `Decimal`."""
        uri = f"/api/v2/{name}" + (f"?{httpx.QueryParams(params)}" if params else "")
        async with httpx.AsyncClient(timeout=20) as client:
            response = await client.get(self.url + uri, headers=self.header("GET", uri))
        return json.loads(response.text, parse_float=Decimal)

    async def ask(self, connection: WebSocketConnection, method: str, params: object = None) -> dict[str, Any]:
        """A call over a WebSocket; what comes over channels before its answer is passed over."""
        call = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params or {}}
        await connection.send_message(json.dumps(call))
        with trio.fail_after(20):
            while True:
                answer = json.loads(await connection.get_message(), parse_float=Decimal)
                if answer.get("id") == 7:
                    return answer


@asynccontextmanager
async def trading(
    urls: list[str],
    folder: Path,
    scope: str = EVERYTHING,
    has_key: bool = True,
    verifier: Verifier | None = None,
    **options: Any,
) -> AsyncIterator[Running]:
    """A gateway before these nodes, on a free port."""
    path = folder / "api_keys.json"
    write_json(path, {"master": {}, "keys": []})
    ring = KeyRing(path, b"\x09" * 32)
    config = TraderConfig(urls, folder, OWNER, KEY if has_key else None, port=0, **options)
    gateway = TraderGateway(config, ring, verifier)
    async with trio.open_nursery() as nursery:
        url = await nursery.start(gateway.run)
        await gateway.pool.wait_node(10)
        yield Running(gateway, ring, url, scope)
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def socket(place: Running) -> AsyncIterator[WebSocketConnection]:
    async with open_websocket_url(place.url.replace("http", "ws") + "/ws/api/v2", disconnect_timeout=1) as connection:
        yield connection


async def log_in(place: Running, connection: WebSocketConnection) -> dict[str, Any]:
    named = {"grant_type": "client_credentials", "client_id": place.client_id, "client_secret": place.secret}
    return (await place.ask(connection, "public/auth", named))["result"]


async def test_an_order_is_signed_here_and_traded_there(tmp_path: Path) -> None:
    async with running(funded()) as url, trading([url], tmp_path) as place:
        bought = await place.get("private/buy", instrument_name=MARKET, amount=0.010, price=64000.5, label="my bid")
        order = bought["result"]["order"]
        assert (order["order_state"], order["label"], order["price"]) == ("open", "my bid", Decimal("64000.5"))
        assert order["amount"] == Decimal("0.010") and bought["result"]["x_is_final"] is True
        opened = await place.get("private/get_open_orders_by_instrument", instrument_name=MARKET)
        assert [(entry["order_id"], entry["label"]) for entry in opened["result"]] == [(order["order_id"], "my bid")]
        sold = await place.get("private/sell", instrument_name=MARKET, amount="0.005", type="market")
        assert sold["result"]["order"]["order_state"] == "filled"
        gone = await place.get("private/cancel", order_id=order["order_id"])
        assert gone["result"]["order_state"] == "cancelled" and gone["result"]["label"] == "my bid"
        summary = (await place.get("private/get_account_summary", currency="USDC"))["result"]
        assert summary["x_owner"] == "0x" + OWNER.hex() and isinstance(summary["equity"], Decimal)


async def test_what_the_node_would_refuse_is_refused_before_it_is_signed(tmp_path: Path) -> None:
    backend = funded()
    async with running(backend) as url, trading([url], tmp_path) as place:
        for code, params in (
            (705, {"price": "64000.05", "amount": "0.010"}),
            (706, {"price": "64000", "amount": "0.0105"}),
            (707, {"price": "64000", "amount": "0.010", "instrument_name": "DOGE-PERPETUAL"}),
            (906, {"price": "64000", "amount": "0.010", "label": "x" * 65}),
        ):
            answer = await place.get("private/buy", **({"instrument_name": MARKET} | params))
            assert answer["error"]["data"]["code"] == code
        assert "nearest is 64000.1" in (
            await place.get("private/buy", instrument_name=MARKET, amount=0.01, price=64000.05)
        )["error"]["data"]["hint"]  # fmt: skip
    assert backend.book(0, 10).bids == ()


async def test_numbers_are_written_digit_by_digit(tmp_path: Path) -> None:
    async with running(funded()) as url, trading([url], tmp_path) as place:
        await place.get("private/buy", instrument_name=MARKET, amount="0.010", price="64000.1")
        async with httpx.AsyncClient() as client:
            book = (await client.get(f"{place.url}/api/v2/public/get_order_book?instrument_name={MARKET}")).text
            domain = (await client.get(f"{place.url}/api/v2/public/x_get_domain")).json()
        assert '"bids": [[64000.1, 0.010]]' in book
        assert domain["result"]["instruments"][0]["tick_size"] == "0.1"  # our own methods are the node's, to the letter


async def test_logins(tmp_path: Path) -> None:
    async with running(funded()) as url, trading([url], tmp_path) as place, socket(place) as connection:
        assert (await place.ask(connection, "private/get_positions"))["error"]["code"] == 13009
        wrong = {"grant_type": "client_credentials", "client_id": place.client_id, "client_secret": "nonsense"}
        assert (await place.ask(connection, "public/auth", wrong))["error"]["code"] == 13004
        tokens = await log_in(place, connection)
        assert tokens["scope"] == EVERYTHING and tokens["token_type"] == "bearer"
        assert (await place.ask(connection, "private/get_positions"))["result"] == []
        assert (await place.ask(connection, "private/logout"))["result"] == "ok"
        assert (await place.ask(connection, "private/get_positions"))["error"]["code"] == 13009
        renewed = await place.ask(
            connection, "public/auth", {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
        )
        assert renewed["error"]["code"] == 13004  # the logout ended it
        tokens = await log_in(place, connection)
        renewal = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
        renewed = (await place.ask(connection, "public/auth", renewal))["result"]
        async with httpx.AsyncClient() as client:
            for token, code in ((renewed["access_token"], None), (tokens["access_token"], 13009), ("x", 13009)):
                headers = {"Authorization": f"Bearer {token}"}
                answer = (await client.get(f"{place.url}/api/v2/private/get_positions", headers=headers)).json()
                assert answer.get("error", {}).get("code") == code


async def test_a_signed_login_counts_once_and_now(tmp_path: Path) -> None:
    def signed(place: Running, timestamp_ms: int) -> dict[str, object]:
        digest = hmac.new(place.secret.encode(), f"{timestamp_ms}\n5\n".encode(), hashlib.sha256).hexdigest()
        return {
            "grant_type": "client_signature", "client_id": place.client_id, "timestamp": timestamp_ms, "nonce": "5",
            "data": "", "signature": digest,
        }  # fmt: skip

    now_ms = time.time_ns() // 1_000_000
    async with running(funded()) as url, trading([url], tmp_path) as place, socket(place) as connection:
        assert "result" in await place.ask(connection, "public/auth", signed(place, now_ms))
        assert (await place.ask(connection, "public/auth", signed(place, now_ms)))["error"]["code"] == 13004
        assert (await place.ask(connection, "public/auth", signed(place, now_ms - 90_000)))["error"]["code"] == 13004
        uri = f"/api/v2/private/buy?instrument_name={MARKET}&amount=0.010&price=64000"
        headers = place.header("GET", uri)
        async with httpx.AsyncClient() as client:
            assert "result" in (await client.get(place.url + uri, headers=headers)).json()
            assert (await client.get(place.url + uri, headers=headers)).json()["error"]["code"] == 13009
            other = (await client.get(place.url + uri.replace("0.010", "9.000"), headers=headers)).json()
        assert other["error"]["code"] == 13009
        assert len((await place.get("private/get_open_orders"))["result"]) == 1


async def test_a_key_may_do_what_its_scope_says_and_nothing_after_it_was_removed(tmp_path: Path) -> None:
    async with running(funded()) as url, trading([url], tmp_path, "trade:read account:read") as place:
        assert (await place.get("private/get_open_orders"))["result"] == []
        order = {"instrument_name": MARKET, "amount": "0.010", "price": "64000"}
        assert (await place.get("private/buy", **order))["error"]["code"] == 13021
        assert (await place.get("private/withdraw", currency="USDC", amount="1"))["error"]["code"] == 13021
        assert place.ring.remove(place.client_id)
        assert (await place.get("private/get_open_orders"))["error"]["code"] == 13009
    async with running(funded()) as url, trading([url], tmp_path, has_key=False) as place:
        assert (await place.get("private/buy", **order))["error"]["data"]["code"] == 907


async def test_only_this_machine_is_served(tmp_path: Path) -> None:
    async with running(funded()) as url, trading([url], tmp_path) as place, httpx.AsyncClient() as client:
        path = f"{place.url}/api/v2/public/test"
        assert (await client.get(path)).status_code == 200
        for headers in ({"Host": "evil.example"}, {"Origin": "https://evil.example"}):
            refused = await client.get(path, headers=headers)
            assert refused.status_code == 403 and refused.json()["error"]["data"]["code"] == 908


async def test_channels_carry_numbers_and_the_clients_labels(tmp_path: Path) -> None:
    backend = funded()
    async with running(backend) as url, trading([url], tmp_path) as place, socket(place) as connection:
        await log_in(place, connection)
        users = ["user.orders.any.any.raw", f"user.trades.{MARKET}.raw"]
        channels = [f"book.{MARKET}.raw", f"trades.{MARKET}.raw", *users]
        assert (await place.ask(connection, "private/subscribe", {"channels": channels}))["result"] == channels
        seen: dict[str, list[Any]] = {}

        async def read_until(channel: str) -> Any:
            with trio.fail_after(10):
                while channel not in seen:
                    message = json.loads(await connection.get_message(), parse_float=Decimal)
                    if "params" in message:
                        seen.setdefault(message["params"]["channel"], []).append(message["params"]["data"])
            return seen.pop(channel)

        assert (await read_until(channels[0]))[0]["type"] == "snapshot"
        await place.get("private/buy", instrument_name=MARKET, amount="0.010", price="64000", label="a")
        (order, *_) = await read_until(channels[2])
        assert (order["label"], order["price"]) == ("a", Decimal("64000.0"))
        assert (await read_until(channels[0]))[0]["bids"] == [["new", Decimal("64000.0"), Decimal("0.010")]]
        await place.get("private/sell", instrument_name=MARKET, amount="0.004", price="64000", label="b")
        trades = await read_until(channels[3])
        assert sorted(fill["label"] for fill in trades[0]) == ["a", "b"]
        ((trade,), *_) = await read_until(channels[1])
        assert trade["amount"] == Decimal("0.004")
        assert (await place.ask(connection, "public/unsubscribe", {"channels": channels[:2]}))["result"] == channels[:2]


async def test_labels_survive_a_restart(tmp_path: Path) -> None:
    async with running(funded()) as url:
        async with trading([url], tmp_path) as place:
            await place.get("private/buy", instrument_name=MARKET, amount="0.010", price="64000", label="strategy 7")
            await place.get("private/buy", instrument_name=MARKET, amount="0.010", price="63000", label="17")
        async with trading([url], tmp_path) as place:
            labels = [order["label"] for order in (await place.get("private/get_open_orders"))["result"]]
            assert sorted(labels) == ["17", "strategy 7"]
            assert (await place.get("private/cancel_by_label", label="strategy 7"))["result"] == 1
            assert (await place.get("private/cancel_by_label", label="strategy 7"))["error"]["code"] == 10004
            assert (await place.get("private/cancel_all"))["result"] == 1
    assert number_label("17") == 17 and number_label("strategy 7") > 1 << 32
