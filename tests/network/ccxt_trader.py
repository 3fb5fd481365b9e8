"""ccxt as anybody installs it, through `hansa gateway`: only URLs and keys are changed."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import ccxt
import ccxt.pro
import httpx

from testnet import funding
from tests.network.harness import LocalNetwork, wait_until

SYMBOL = "BTC/USDC:USDC"
MARKET = "BTC-PERPETUAL"
LOT = Decimal("0.010")


class GatewayProcess:
    """`hansa gateway` as a trader starts it, with an API key that its command made."""

    def __init__(self, url: str, client_id: str, secret: str) -> None:
        self.url, self.client_id, self.secret = url, client_id, secret

    def configure(self, exchange: Any) -> Any:
        """The only settings that differ from Deribit's."""
        exchange.urls["api"] = {"rest": self.url, "ws": self.url.replace("http", "ws") + "/ws/api/v2"}
        exchange.apiKey, exchange.secret = self.client_id, self.secret
        exchange.options["code"] = "USDC"
        return exchange

    def channels(self) -> list[str]:
        """What it says that its clients are subscribed to."""
        channels: list[str] = httpx.get(f"{self.url}/status", timeout=10).json()["channels"]
        return channels

    def is_ready(self) -> bool:
        """Whether it listens and a node is well."""
        try:
            return any(node["well"] for node in httpx.get(f"{self.url}/status", timeout=5).json()["nodes"])
        except httpx.TransportError:
            return False

    def first_node(self) -> str:
        """The URL of the node that it asks first."""
        nodes = httpx.get(f"{self.url}/status", timeout=10).json()["nodes"]
        return next(node["url"] for node in nodes if node["first"])


@contextmanager
def running_gateway(network: LocalNetwork, trader: funding.ChainAccount, folder: Path) -> Iterator[GatewayProcess]:
    environment = os.environ | {"HANSA_KEY": trader.key.hex()}
    command = [sys.executable, "-m", "validator", "gateway"]
    made = subprocess.run(
        [*command, "keys", "new", "--folder", str(folder)], env=environment, capture_output=True, text=True, check=True
    )
    words = made.stdout.split()
    client_id, secret = words[1], words[3]
    (port,) = network._ports.choose(31_700, 1)
    nodes = [part for url in network.urls for part in ("--node", url)]
    genesis = network.folder / "node0" / "genesis.toml"
    options = ["--folder", str(folder), "--port", str(port), "--genesis", str(genesis), "--verbose"]
    with (folder / "gateway.txt").open("w") as log:
        process = subprocess.Popen([*command, *nodes, *options], env=environment, stdout=log, stderr=log)
        place = GatewayProcess(f"http://127.0.0.1:{port}", client_id, secret)
        try:
            wait_until(place.is_ready, 60, "the gateway has nodes")
            yield place
        finally:
            process.terminate()
            process.wait(20)


def drive_sync(place: GatewayProcess) -> dict[str, Any]:
    """Markets, prices, the account, an order's life. The answers, for more to be said about them."""
    exchange = place.configure(ccxt.deribit())
    market = exchange.load_markets()[SYMBOL]
    assert market["linear"] and market["swap"] and market["contractSize"] == 1
    book, ticker = exchange.fetch_order_book(SYMBOL), exchange.fetch_ticker(SYMBOL)
    balance, positions = exchange.fetch_balance(), exchange.fetch_positions([SYMBOL])
    price = exchange.price_to_precision(SYMBOL, ticker["info"]["mark_price"] and float(ticker["markPrice"]) * 0.95)
    placed = exchange.create_order(SYMBOL, "limit", "buy", 0.02, float(price), {"label": "ccxt bid", "postOnly": True})
    assert placed["status"] == "open" and placed["postOnly"] and placed["info"]["label"] == "ccxt bid"
    assert placed["info"]["api"] is True
    changed = exchange.edit_order(placed["id"], SYMBOL, "limit", "buy", 0.01, float(price) - 10)
    assert changed["id"] == placed["id"] and changed["amount"] == 0.01
    assert changed["price"] == round(float(price) - 10, 1)
    assert [order["id"] for order in exchange.fetch_open_orders(SYMBOL)] == [placed["id"]]
    assert [order["info"]["label"] for order in exchange.fetch_open_orders()] == ["ccxt bid"]
    cancelled = exchange.cancel_order(placed["id"], SYMBOL)
    assert cancelled["status"] == "canceled" and exchange.fetch_open_orders(SYMBOL) == []
    assert exchange.fetch_order(placed["id"], SYMBOL)["status"] == "canceled"
    try:
        exchange.create_order(SYMBOL, "limit", "buy", 400, float(price))
    except ccxt.InsufficientFunds:
        refused = True
    else:
        refused = False
    return {"book": book, "ticker": ticker, "balance": balance, "positions": positions, "refused": refused}


class Watching:
    """ccxt.pro with its feeds read by tasks; `seen` holds what each has told."""

    def __init__(self, place: GatewayProcess) -> None:
        self._place = place
        self.exchange = place.configure(ccxt.pro.deribit())
        self.seen: dict[str, list[Any]] = {"book": [], "trades": [], "orders": [], "fills": [], "ticker": []}
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "Watching":
        await self.exchange.load_markets()
        await self.exchange.authenticate()
        for name, watch in (
            ("book", self.exchange.watch_order_book), ("trades", self.exchange.watch_trades),
            ("orders", self.exchange.watch_orders), ("fills", self.exchange.watch_my_trades),
            ("ticker", self.exchange.watch_ticker),
        ):  # fmt: skip
            self._tasks.append(asyncio.create_task(self._follow(name, watch)))
        await self.wait(lambda: self.seen["book"] and self.seen["ticker"], "the first book and ticker")
        await self.wait(lambda: len(self._place.channels()) == len(self._tasks), "all channels are subscribed")
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.exchange.close()

    async def _follow(self, name: str, watch: Callable[[str], Awaitable[Any]]) -> None:
        while True:
            told = await watch(SYMBOL)
            # ccxt goes on writing into what it returns
            self.seen[name].append(json.loads(json.dumps(told)))

    async def wait(self, question: Callable[[], object], what: str, limit_s: float = 30) -> None:
        give_up_at_s = asyncio.get_running_loop().time() + limit_s
        while not question():
            for task in self._tasks:
                if task.done():
                    task.result()
            assert asyncio.get_running_loop().time() < give_up_at_s, f"not within {limit_s} s: {what}"
            await asyncio.sleep(0.05)

    def orders(self) -> dict[str, str]:
        """The last status of every order that was told."""
        return {order["id"]: order["status"] for told in self.seen["orders"] for order in told}

    def fill_ids(self) -> set[str]:
        return {fill["id"] for told in self.seen["fills"] for fill in told}


async def trade_once(network: LocalNetwork, watching: Watching, node: int, side: str) -> None:
    """A maker of the network at `node`, and ccxt as the taker; every feed tells of it."""
    maker, exchange = network.client(node, network.traders[0]), watching.exchange
    mark_usd = await asyncio.to_thread(lambda: maker.ticker(MARKET).mark_price_usd)
    place = maker.sell if side == "buy" else maker.buy
    resting = await asyncio.to_thread(lambda: place(MARKET, LOT, mark_usd, time_in_force="post_only"))
    assert resting.order.state == "open"
    known = len(watching.seen["trades"]), len(watching.seen["book"])
    taken = await exchange.create_order(SYMBOL, "limit", side, float(LOT), float(mark_usd), {"timeInForce": "IOC"})
    assert taken["status"] == "closed" and taken["filled"] == float(LOT), taken
    (fill,) = taken["trades"]
    await watching.wait(lambda: fill["id"] in watching.fill_ids(), "watch_my_trades tells of the fill")
    await watching.wait(lambda: watching.orders().get(taken["id"]) == "closed", "watch_orders tells of the order")
    await watching.wait(lambda: len(watching.seen["trades"]) > known[0], "watch_trades tells of the trade")
    await watching.wait(lambda: len(watching.seen["book"]) > known[1], "watch_order_book goes on")


async def drive_pro(network: LocalNetwork, place: GatewayProcess) -> None:
    """Feeds and fills, then the node behind the gateway is killed, and everything goes on."""
    async with Watching(place) as watching:
        exchange = watching.exchange
        await trade_once(network, watching, 0, "buy")
        (position,) = await exchange.fetch_positions([SYMBOL])
        assert (position["side"], position["contracts"]) == ("long", float(LOT))
        fills = await exchange.fetch_my_trades(SYMBOL)
        assert {fill["id"] for fill in fills} == watching.fill_ids()
        closed = await exchange.fetch_closed_orders(SYMBOL)
        assert next(iter(fills))["order"] in {order["id"] for order in closed}
        price = round(float((await exchange.fetch_ticker(SYMBOL))["markPrice"]) * 0.95, 1)
        resting = await exchange.create_order(SYMBOL, "limit", "buy", float(LOT), price)
        await watching.wait(lambda: watching.orders().get(resting["id"]) == "open", "watch_orders tells of a new order")

        victim = network.urls.index(place.first_node())
        await asyncio.to_thread(network.kill_node, victim)
        cancelled = await exchange.cancel_order(resting["id"], SYMBOL)
        assert cancelled["status"] == "canceled"
        await watching.wait(
            lambda: watching.orders().get(resting["id"]) == "canceled", "watch_orders goes on after the kill"
        )
        known = len(watching.seen["ticker"])
        await trade_once(network, watching, (victim + 1) % len(network.urls), "sell")
        await watching.wait(lambda: len(watching.seen["ticker"]) > known, "watch_ticker goes on after the kill")
        assert all(entry["contracts"] == 0 for entry in await exchange.fetch_positions([SYMBOL]))
        network.start_node(victim)  # in this thread: a node ends with the thread that started it
        await asyncio.to_thread(wait_until, lambda: network.status(victim), 60, "the killed node is back")
