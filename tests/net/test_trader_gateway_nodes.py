"""What the gateway on a trader's machine does when nodes fail it: another is asked, nothing executes twice, nothing
that happened is missed, and what no certificate proves is not called final.
"""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import trio
from test_gateway_backend import DictBackend
from test_gateway_inputs import OWNER, running
from test_trader_gateway import MARKET, funded, log_in, socket, trading
from trio_websocket import WebSocketConnection

from consensus.messages import Certificate, Header
from net.client.proof import ProofError
from net.gateway.app import GatewayConfig, serve
from net.gateway.backend import Refusal
from net.gateway.limits import Limits
from net.succession import Succession


class Nodes:
    """Several APIs over one exchange, each of which can be ended on its own."""

    def __init__(self, backend: DictBackend, nursery: trio.Nursery) -> None:
        self.backend = backend
        self._nursery = nursery
        self._scopes: dict[str, trio.CancelScope] = {}

    async def start(self) -> str:
        scope = trio.CancelScope()

        async def run(task_status: Any) -> None:
            with scope:
                await serve(self.backend, GatewayConfig("127.0.0.1", 0, Limits(shutdown_s=0.05)), task_status)

        urls = await self._nursery.start(run)
        self._scopes[urls[0]] = scope
        return str(urls[0])

    def end(self, url: str) -> None:
        self._scopes[url].cancel()


async def next_of(connection: WebSocketConnection, channel: str) -> Any:
    with trio.fail_after(15):
        while True:
            message = json.loads(await connection.get_message(), parse_float=Decimal)
            if message.get("params", {}).get("channel") == channel:
                return message["params"]["data"]


async def test_clients_keep_their_channels_when_the_node_goes_away(tmp_path: Path, nursery: trio.Nursery) -> None:
    nodes = Nodes(funded(), nursery)
    urls = [await nodes.start(), await nodes.start()]
    async with trading(urls, tmp_path) as place, socket(place) as connection:
        await log_in(place, connection)
        book, trades, orders = f"book.{MARKET}.raw", f"trades.{MARKET}.raw", "user.orders.any.any.raw"
        await place.ask(connection, "private/subscribe", {"channels": [book, trades, orders]})
        await place.get("private/buy", instrument_name=MARKET, amount="0.010", price="64000", label="bid")
        assert (await next_of(connection, orders))["order_state"] == "open"
        followed = place.gateway.pool.ranked()[0]
        nodes.end(followed.url)
        while followed.is_connected:
            await trio.sleep(0.01)
        sold = await place.get("private/sell", instrument_name=MARKET, amount="0.010", price="64000")
        assert sold["result"]["order"]["order_state"] == "filled"
        assert (await next_of(connection, trades))[0]["trade_id"] == sold["result"]["trades"][0]["trade_id"]
        with trio.fail_after(10):
            while True:
                order = await next_of(connection, orders)
                if (order["label"], order["order_state"]) == ("bid", "filled"):
                    break
        with pytest.raises(trio.TooSlowError), trio.fail_after(0.5):
            await next_of(connection, trades)  # each trade is told once, however often it was heard of


async def test_a_book_starts_again_with_a_snapshot(tmp_path: Path, nursery: trio.Nursery) -> None:
    nodes = Nodes(funded(), nursery)
    urls = [await nodes.start(), await nodes.start()]
    async with trading(urls, tmp_path) as place, socket(place) as connection:
        book = f"book.{MARKET}.raw"
        await place.ask(connection, "public/subscribe", {"channels": [book]})
        assert (await next_of(connection, book))["type"] == "snapshot"
        nodes.end(place.gateway.pool.ranked()[0].url)
        assert (await next_of(connection, book))["type"] == "snapshot"
        await place.get("private/buy", instrument_name=MARKET, amount="0.010", price="64000")
        assert (await next_of(connection, book))["bids"] == [["new", Decimal("64000.0"), Decimal("0.010")]]


async def test_a_command_goes_to_several_nodes_and_executes_once(tmp_path: Path, nursery: trio.Nursery) -> None:
    nodes = Nodes(funded(), nursery)
    urls = [await nodes.start() for _ in range(3)]
    async with trading(urls, tmp_path, fanout=3) as place:
        for _ in range(5):
            assert (await place.get("private/buy", instrument_name=MARKET, amount="0.010", price="64000"))["result"]
        opened = (await place.get("private/get_open_orders"))["result"]
        assert len(opened) == 5 == len(nodes.backend.open_orders(OWNER, 0))


async def test_a_node_in_trouble_is_no_answer_while_another_has_one(tmp_path: Path, nursery: trio.Nursery) -> None:
    ill, nodes = Nodes(funded(), nursery), Nodes(funded(), nursery)
    ill.backend.refusal = Refusal.QUEUE_FULL
    urls = [await ill.start(), await nodes.start()]
    order = {"instrument_name": MARKET, "amount": "0.010", "price": "64000"}
    async with trading(urls[:1], tmp_path) as place:
        assert (await place.get("private/buy", **order))["error"]["data"]["code"] == 803
    async with trading(urls, tmp_path) as place:
        while not all(node.is_well for node in place.gateway.pool.nodes):
            await trio.sleep(0.01)
        assert (await place.get("private/buy", **order))["result"]["order"]["order_state"] == "open"


async def test_a_command_whose_node_goes_silent_is_sent_elsewhere_as_it_is(
    tmp_path: Path, nursery: trio.Nursery
) -> None:
    backend = funded()
    backend.is_held = True
    nodes = Nodes(backend, nursery)
    urls = [await nodes.start(), await nodes.start()]
    async with trading(urls, tmp_path, fanout=1) as place:
        while not all(node.is_well for node in place.gateway.pool.nodes):
            await trio.sleep(0.01)
        answers: list[dict[str, Any]] = []

        async def buy() -> None:
            answers.append(await place.get("private/buy", instrument_name=MARKET, amount="0.010", price="64000"))

        async with trio.open_nursery() as waiting:
            waiting.start_soon(buy)
            while not backend.submitted:
                await trio.sleep(0.01)
            nodes.end(place.gateway.pool.ranked()[0].url)
            await trio.sleep(0.3)
            backend.finalise(backend.submitted[0])
        assert answers[0]["result"]["order"]["order_state"] == "open"
        assert len(backend.submitted) == 1 == len(backend.open_orders(OWNER, 0))


async def test_without_any_node_a_client_is_told_to_try_again(tmp_path: Path, nursery: trio.Nursery) -> None:
    nodes = Nodes(funded(), nursery)
    urls = [await nodes.start()]
    async with trading(urls, tmp_path) as place:
        nodes.end(urls[0])
        while place.gateway.pool.ranked():
            await trio.sleep(0.01)
        with trio.fail_after(30):
            answer = await place.get("private/get_positions")
        assert (answer["error"]["code"], answer["error"]["data"]["code"]) == (10040, 904)


class Believer:
    """A verifier that believes everything, or nothing."""

    newest_epoch = 1

    def __init__(self, believes: bool) -> None:
        self.network_id = "0x" + DictBackend().domain.network_id.hex()
        self._believes = believes

    def verify(self, header: Header, certificate: Certificate) -> None:
        if not self._believes:
            raise ProofError("not the committee's")

    def learn(self, succession: Succession) -> None:
        raise AssertionError("no epoch is unknown to it")


@pytest.mark.parametrize(("verifier", "shown"), [(Believer(True), "proven"), (None, "unchecked")])
async def test_answers_say_whether_a_certificate_was_checked(
    tmp_path: Path, verifier: Believer | None, shown: str
) -> None:
    order = {"instrument_name": MARKET, "amount": "0.010", "price": "64000"}
    async with running(funded()) as url, trading([url], tmp_path, verifier=verifier) as place:
        assert (await place.get("private/buy", **order))["result"]["x_certificate"] == shown


async def test_what_nobody_certified_is_not_called_final(tmp_path: Path) -> None:
    order = {"instrument_name": MARKET, "amount": "0.010", "price": "64000"}
    async with running(funded()) as url, trading([url], tmp_path, verifier=Believer(False)) as place:
        assert (await place.get("private/buy", **order))["error"]["data"]["code"] == 905
