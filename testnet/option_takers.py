"""Traders who buy and sell futures and options and hedge what they hold with perpetuals."""

import time
from collections import defaultdict
from decimal import Decimal

import trio

from engine.params import MarketParams
from engine.units import parse_price_ticks
from testnet.traders import BPS_UNIT, TAKER_REACH_BPS, Trader

LOTS = {"future": (5, 60), "call": (1, 10), "put": (1, 10)}
PAUSE_S = (0.5, 2.0)
HEDGE_EVERY_TURNS = 4
# What is not worth a hedge, and the largest hedge at once, in lots of the perpetual.
HEDGE_LOTS_MIN, HEDGE_LOTS_MAX = 5, 2_000


async def take_option(trader: Trader) -> None:
    """Takes a little from one side of a future or an option, and now and then trades the delta away."""
    trader.turn += 1
    await trio.sleep(trader.draw.uniform(*PAUSE_S))
    if trader.turn % HEDGE_EVERY_TURNS == 0:
        await hedge(trader)
        return
    now_ms = time.time_ns() // 1_000_000
    market = trader.draw.choice([market for market in trader.markets if market.expiry_ms > now_ms])
    is_buy = trader.draw.random() < 0.5
    ticker = await trader.client.ticker(market.symbol)
    price_usd = ticker.best_ask_price_usd if is_buy else ticker.best_bid_price_usd
    if price_usd is None:
        return
    await trader.pace(1)
    lots = trader.draw.randint(*LOTS[market.kind])
    price_ticks = parse_price_ticks(f"{price_usd:f}", market)
    trades = await trader.place(market, is_buy, price_ticks, lots, "immediate_or_cancel", "final")
    if market.kind in ("call", "put"):
        trader.report.option_trades += trades


async def hedge(trader: Trader) -> None:
    """Sells or buys perpetuals so that the account loses and gains nothing when an index moves a little."""
    for market, delta_base in (await compute_deltas_base(trader)).items():
        lots = min(int(abs(delta_base) / Decimal(market.lot_size)), HEDGE_LOTS_MAX)
        mark_ticks = await trader.mark_ticks(market)
        if lots < HEDGE_LOTS_MIN or not mark_ticks:
            continue
        is_buy = delta_base < 0
        reach_ticks = mark_ticks * TAKER_REACH_BPS // BPS_UNIT
        await trader.pace(1)
        price_ticks = mark_ticks + reach_ticks if is_buy else mark_ticks - reach_ticks
        await trader.place(market, is_buy, price_ticks, lots, "immediate_or_cancel", "final")


async def compute_deltas_base(trader: Trader) -> dict[MarketParams, Decimal]:
    """By perpetual: how much of its underlying the positions are worth when it moves, in units of the base."""
    names = {market.symbol: market.underlying_name for market in trader.markets}
    perpetuals = {market.underlying_name: market for market in trader.markets if market.kind == "perpetual"}
    deltas: dict[MarketParams, Decimal] = defaultdict(Decimal)
    for position in await trader.client.call("private/get_positions", owner=trader.client.owner):
        deltas[perpetuals[names[position["instrument_name"]]]] += Decimal(position["delta"])
    return deltas
