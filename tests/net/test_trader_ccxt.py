"""`ccxt.deribit` and `ccxt.pro.deribit` as anybody installs them, through the gateway: only URLs and keys are changed.

The nodes here are real APIs over a dictionary exchange.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import ccxt
import ccxt.pro
import httpx
import pytest
import trio
from test_gateway_inputs import running
from test_trader_gateway import MARKET, Running, funded, trading
from test_trader_gateway_nodes import Nodes

SYMBOL = "BTC/USDC:USDC"


def configure(exchange: Any, place: Running) -> Any:
    exchange.urls["api"] = {"rest": place.url, "ws": place.url.replace("http", "ws") + "/ws/api/v2"}
    exchange.apiKey, exchange.secret = place.client_id, place.secret
    exchange.options["code"] = "USDC"
    return exchange


def drive(place: Running) -> None:
    exchange = configure(ccxt.deribit(), place)
    market = exchange.load_markets()[SYMBOL]
    assert (market["id"], market["linear"], market["contractSize"]) == (MARKET, True, 1)
    assert exchange.fetch_balance()["USDC"]["total"] == 1000
    assert exchange.fetch_positions([SYMBOL]) == []
    placed = exchange.create_order(SYMBOL, "limit", "buy", 0.01, 64000.1, {"label": "first", "postOnly": True})
    assert (placed["status"], placed["price"], placed["postOnly"]) == ("open", 64000.1, True)
    assert exchange.fetch_order_book(SYMBOL)["bids"] == [[64000.1, 0.01]]
    assert exchange.fetch_ticker(SYMBOL)["bid"] == 64000.1
    assert [order["info"]["label"] for order in exchange.fetch_open_orders()] == ["first"]
    sold = exchange.create_order(SYMBOL, "market", "sell", 0.004)
    assert (sold["status"], sold["filled"], sold["average"]) == ("closed", 0.004, 64000.1)
    assert [trade["takerOrMaker"] for trade in exchange.fetch_order_trades(placed["id"], SYMBOL)] == ["maker"]
    assert exchange.cancel_order(placed["id"], SYMBOL)["status"] == "canceled"
    assert {order["id"] for order in exchange.fetch_closed_orders(SYMBOL)} == {placed["id"], sold["id"]}
    assert {trade["order"] for trade in exchange.fetch_my_trades(SYMBOL)} == {placed["id"], sold["id"]}
    assert exchange.fetch_trades(SYMBOL)[0]["amount"] == 0.004
    exchange.create_order(SYMBOL, "limit", "buy", 0.01, 60000)
    exchange.cancel_all_orders()
    assert exchange.fetch_open_orders(SYMBOL) == []
    for error, call in (
        (ccxt.OrderNotFound, lambda: exchange.cancel_order(f"{MARKET}-999", SYMBOL)),
        (
            ccxt.InvalidOrder,
            lambda: exchange.create_order(SYMBOL, "limit", "buy", 0.01, 64000.1, {"price": "64000.15"}),
        ),
        (ccxt.AuthenticationError, lambda: configure(ccxt.deribit(), _stranger(place)).fetch_balance()),
    ):
        with pytest.raises(error):
            call()


def _stranger(place: Running) -> Any:
    class Stranger:
        url, client_id, secret = place.url, place.client_id, "not the secret"

    return Stranger


class Feeds:
    """ccxt.pro's watch methods, each in a task; `seen` counts what came and keeps the last."""

    def __init__(self, exchange: Any) -> None:
        self.exchange = exchange
        self.last: dict[str, Any] = {}
        self.count: dict[str, int] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        for name in ("watch_order_book", "watch_ticker", "watch_trades", "watch_orders", "watch_my_trades"):
            self._tasks.append(asyncio.create_task(self._follow(name, getattr(self.exchange, name))))
        await self.wait(lambda: {"watch_order_book", "watch_ticker"} <= self.count.keys())
        await self.wait(lambda: len(self.channels()) == len(self._tasks))

    def channels(self) -> list[str]:
        """What the gateway says that its clients are subscribed to."""
        return httpx.get(self.exchange.urls["api"]["rest"] + "/status", timeout=10).json()["channels"]

    async def _follow(self, name: str, watch: Callable[[str], Awaitable[Any]]) -> None:
        while True:
            self.last[name] = await watch(SYMBOL)
            self.count[name] = self.count.get(name, 0) + 1

    async def wait(self, question: Callable[[], object]) -> None:
        async with asyncio.timeout(60):
            while not question():
                for task in self._tasks:
                    if task.done():
                        task.result()
                await asyncio.sleep(0.02)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.exchange.close()


async def drive_pro(place: Running, end_first_node: Callable[[], None]) -> None:
    exchange = configure(ccxt.pro.deribit(), place)
    feeds = Feeds(exchange)
    try:
        await exchange.load_markets()
        await feeds.start()
        bid = await exchange.create_order(SYMBOL, "limit", "buy", 0.01, 64000, {"label": "bid"})
        await feeds.wait(lambda: _status(feeds, bid) == "open")
        await feeds.wait(lambda: _best_bid(feeds) == [64000, 0.01])
        sold = await exchange.create_order(SYMBOL, "limit", "sell", 0.004, 64000)
        await feeds.wait(lambda: _status(feeds, sold) == "closed")
        await feeds.wait(lambda: feeds.count.get("watch_my_trades") and feeds.count.get("watch_trades"))
        end_first_node()
        known = dict(feeds.count)
        sold = await exchange.create_order(SYMBOL, "limit", "sell", 0.006, 64000)
        assert sold["status"] == "closed"
        await feeds.wait(lambda: _status(feeds, sold) == "closed" and _status(feeds, bid) == "closed")
        await feeds.wait(lambda: all(feeds.count[name] > known[name] for name in known))
        await feeds.wait(lambda: feeds.last["watch_order_book"]["bids"] == [])
    finally:
        await feeds.stop()


def _best_bid(feeds: Feeds) -> list[float]:
    bids = feeds.last["watch_order_book"]["bids"]
    return list(bids[0][:2]) if bids else []


def _status(feeds: Feeds, order: dict[str, Any]) -> str | None:
    """The last status that `watch_orders` told; ccxt keeps the orders that it has heard of."""
    told = feeds.exchange.orders
    return next((entry["status"] for entry in reversed(told or []) if entry["id"] == order["id"]), None)


async def test_ccxt_trades_through_the_gateway(tmp_path: Path) -> None:
    async with running(funded()) as url, trading([url], tmp_path) as place:
        await trio.to_thread.run_sync(drive, place)


async def test_ccxt_pro_watches_and_goes_on_when_the_node_goes_away(tmp_path: Path, nursery: trio.Nursery) -> None:
    nodes = Nodes(funded(), nursery)
    urls = [await nodes.start(), await nodes.start()]
    async with trading(urls, tmp_path) as place:

        def end_first_node() -> None:
            trio.from_thread.run_sync(lambda: nodes.end(place.gateway.pool.ranked()[0].url))

        await trio.to_thread.run_sync(lambda: asyncio.run(drive_pro(place, end_first_node)))
