"""The exchange as a ccxt class, against a real gateway: blocking, on asyncio, and watching."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import ccxt
import pytest
import trio
from test_client import KEY_HEX, MARKET, funded
from test_gateway_inputs import OWNER, running

from engine.commands import AMEND, PLACE, Command, recover_signer
from net.client.ccxt_exchange import AsyncHansaExchange, HansaExchange, ProHansaExchange
from net.client.labels import number_label

SYMBOL = "BTC/USDC:USDC"


def config(url: str) -> dict[str, Any]:
    return {"url": url, "walletAddress": "0x" + OWNER.hex(), "privateKey": KEY_HEX, "enableRateLimit": False}


async def on_asyncio(work: Callable[[str], Awaitable[None]], url: str) -> None:
    await trio.to_thread.run_sync(lambda: asyncio.run(asyncio.wait_for(work(url), 30)))


async def test_a_bots_day_with_the_blocking_class() -> None:
    exchange = funded()

    def work(url: str) -> None:
        bot = HansaExchange(config(url))
        assert bot.load_markets()[SYMBOL]["id"] == MARKET
        placed = bot.create_order(SYMBOL, "limit", "buy", 0.01, 64000, {"postOnly": True, "label": "bid-1"})
        assert (placed["status"], placed["price"], placed["amount"]) == ("open", 64000, 0.01)
        assert placed["clientOrderId"] == "bid-1" and placed["postOnly"]
        assert bot.fetch_order_book(SYMBOL)["bids"] == [[64000, 0.01]]
        assert bot.fetch_ticker(SYMBOL)["markPrice"] == 64000
        with pytest.raises(ccxt.BadRequest):  # the exchange in dictionaries knows no amends; it gets a signed one
            bot.edit_order(placed["id"], SYMBOL, "limit", "buy", 0.02, 63999.5)
        sold = bot.create_order(SYMBOL, "limit", "sell", 0.004, 63000, {"timeInForce": "IOC"})
        assert sold["status"] == "closed" and sold["filled"] == 0.004
        assert bot.fetch_balance()["USDC"]["total"] == 1000
        assert {trade["takerOrMaker"] for trade in bot.fetch_my_trades(SYMBOL)} == {"maker", "taker"}
        assert bot.fetch_trades(SYMBOL)[0]["price"] == 64000
        assert bot.cancel_order(placed["id"], SYMBOL)["id"] == placed["id"]
        bot.cancel_all_orders(SYMBOL)
        assert bot.fetch_open_orders(SYMBOL) == []

    async with running(exchange) as url:
        await trio.to_thread.run_sync(work, url)
    signed: list[Command] = list(exchange.submitted)
    separator = exchange.domain.domain_separator
    assert {recover_signer(command, separator) for command in signed} == {OWNER}
    assert signed[0].action.client_id == number_label("bid-1")
    assert [command.action.kind for command in signed[:3]] == [PLACE, AMEND, PLACE]


async def test_refusals_are_ccxts_exceptions() -> None:
    exchange = funded()

    def work(url: str) -> None:
        bot = HansaExchange(config(url))
        with pytest.raises(ccxt.ExchangeError, match="load_markets"):
            bot.privateGetCancelAll()
        bot.load_markets()
        count = len(exchange.submitted)
        with pytest.raises(ccxt.InvalidOrder):
            bot.create_order(SYMBOL, "limit", "buy", 0.01, 64000, {"label": "x" * 65})
        with pytest.raises(ccxt.ExchangeError, match="nearest"):
            bot.privateGetBuy({"instrument_name": MARKET, "amount": "0.01", "price": "64000.05"})
        assert len(exchange.submitted) == count, "what is wrong never leaves this machine"
        bot.create_order(SYMBOL, "limit", "buy", 0.01, 64000)
        with pytest.raises(ccxt.InvalidOrder):
            bot.create_order(SYMBOL, "limit", "sell", 0.01, 63000, {"postOnly": True})
        with pytest.raises(ccxt.OrderNotFound):
            bot.cancel_order(f"{MARKET}-99", SYMBOL)
        with pytest.raises(ccxt.AuthenticationError):
            HansaExchange({"url": url}).fetch_balance()

    async with running(exchange) as url:
        await trio.to_thread.run_sync(work, url)


async def test_the_class_for_asyncio_signs_the_same_way() -> None:
    async def work(url: str) -> None:
        bot = AsyncHansaExchange(config(url))
        try:
            await bot.load_markets()
            placed = await bot.create_order(SYMBOL, "limit", "buy", 0.01, 64000, {"label": "bid-2"})
            assert placed["status"] == "open" and placed["clientOrderId"] == "bid-2"
            assert [item["id"] for item in await bot.fetch_open_orders(SYMBOL)] == [placed["id"]]
        finally:
            await bot.close()

    async with running(funded()) as url:
        await on_asyncio(work, url)


async def until_seen(
    bot: ProHansaExchange, watching: Coroutine[Any, Any, Any], side: str, extra: dict[str, Any]
) -> Any:
    """What a watcher hears of: orders are placed until it hears of one, as nothing says when it has begun to listen."""
    task = asyncio.create_task(watching)
    while not task.done():
        await bot.create_order(SYMBOL, "limit", side, 0.001, 63999, extra)
        await asyncio.wait({task}, timeout=0.1)
    return await task


async def test_the_watching_class_says_whose_it_is_and_sees_the_market() -> None:
    async def work(url: str) -> None:
        bot = ProHansaExchange(config(url))
        try:
            await bot.load_markets()
            assert (await bot.authenticate())["result"]["x_owner"] == "0x" + OWNER.hex()
            book = await bot.watch_order_book(SYMBOL)
            assert book["bids"] == []
            await bot.create_order(SYMBOL, "limit", "buy", 0.001, 64000)
            while not book["bids"]:
                book = await bot.watch_order_book(SYMBOL)
            placed = await until_seen(bot, bot.watch_orders(SYMBOL), "buy", {"label": "bid-9"})
            assert {(order["status"], order["clientOrderId"]) for order in placed} == {("open", "bid-9")}
            (trade, *_) = await until_seen(bot, bot.watch_my_trades(SYMBOL), "sell", {"timeInForce": "IOC"})
            assert trade["symbol"] == SYMBOL and trade["order"]
        finally:
            await bot.close()

    async with running(funded()) as url:
        await on_asyncio(work, url)
