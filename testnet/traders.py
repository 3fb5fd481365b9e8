"""The traders of a local network. Each knows one node, one key and one role; a role's habit is one turn of it."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal

import trio

from engine.params import MarketParams
from engine.units import format_price, format_size, parse_size_lots
from net.client import AsyncClient, HansaError, OutcomeUnknown
from testnet.cast import GAMBLER_TOP_UP_QUOTE
from testnet.funding import USDC_QUOTE, ChainAccount
from testnet.report import Report

MAKER_LEVELS_BPS = (4, 10)
MAKER_LOTS = (50, 400)
MAKER_POSITION_LOTS = 4_000
MAKER_SKEW_BPS = 20
TAKER_LOTS = (5, 60)
TAKER_REACH_BPS = 50
GAMBLER_LEVERAGE = 18
GAMBLER_REACH_BPS = 25
BPS_UNIT = 10_000


class TradeMatcher:
    """Counts trades whose two sides sit at different nodes. Both sides of a trade see the same trade id."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._first_seen: dict[str, int] = {}
        self._counted: set[str] = set()

    def see(self, trade_id: str, node_index: int) -> None:
        if trade_id not in self._first_seen:
            self._first_seen[trade_id] = node_index
            self._report.trades_seen += 1
        elif self._first_seen[trade_id] != node_index and trade_id not in self._counted:
            self._counted.add(trade_id)
            self._report.cross_node_trades += 1


def floor_ticks(price_usd: Decimal, market: MarketParams) -> int:
    """A mark or an index, which need not lie on a tick."""
    return int(price_usd / Decimal(market.tick_size))


@dataclass(slots=True)
class Trader:
    """What every habit works with. `pace(count)` waits until `count` more commands may be sent."""

    role: str
    account: ChainAccount
    node_index: int
    client: AsyncClient
    markets: tuple[MarketParams, ...]
    report: Report
    matcher: TradeMatcher
    pace: Callable[[int], Awaitable[None]]
    draw: random.Random
    turn: int = 0

    async def mark_ticks(self, market: MarketParams) -> int:
        """0 while the market has no price."""
        mark = (await self.client.ticker(market.symbol)).mark_price_usd
        return 0 if mark is None else floor_ticks(mark, market)

    async def place(
        self, market: MarketParams, is_buy: bool, price_ticks: int, lots: int, time_in_force: str, wait: str
    ) -> int:
        """One order; what becomes of it is counted. The number of its trades so far."""
        send = self.client.buy if is_buy else self.client.sell
        price_ticks = min(max(1, price_ticks), market.price_ticks_max)
        started_s = trio.current_time()
        try:
            self.report.commands_sent += 1
            placed = await send(
                market.symbol,
                format_size(lots, market),
                format_price(price_ticks, market),
                time_in_force=time_in_force,
                wait=wait,
            )
        except HansaError as error:
            self.note(error)
            return 0
        self.report.commands_final += placed.progress.is_final
        if placed.progress.is_final:
            self.report.note_order(int((trio.current_time() - started_s) * 1000))
        for fill in placed.trades:
            self.matcher.see(fill.trade_id, self.node_index)
        return len(placed.trades)

    def note(self, error: HansaError) -> None:
        self.report.count_refusal("unknown" if isinstance(error, OutcomeUnknown) else error.reason or "unreachable")


async def quote(trader: Trader) -> None:
    """Quotes two levels on both sides of the mark, leaning against its position; every turn another market."""
    market = trader.markets[trader.turn % len(trader.markets)]
    trader.turn += 1
    await trader.pace(1 + 2 * len(MAKER_LEVELS_BPS))
    mark_ticks = await trader.mark_ticks(market)
    if not mark_ticks:
        return
    position_lots = 0
    for position in await trader.client.positions():
        if position.instrument_name == market.symbol:
            position_lots = parse_size_lots(f"{position.size_base:f}", market)
    lean_bps = max(-MAKER_SKEW_BPS, min(MAKER_SKEW_BPS, position_lots * MAKER_SKEW_BPS // MAKER_POSITION_LOTS))
    centre_ticks = mark_ticks - mark_ticks * lean_bps // BPS_UNIT
    trader.report.commands_sent += 1
    await trader.client.cancel_all(market.symbol, wait="received")
    for level, distance_bps in enumerate(MAKER_LEVELS_BPS):
        offset_ticks = max(1, centre_ticks * distance_bps // BPS_UNIT)
        time_in_force = "good_til_cancelled" if level else "post_only"
        for is_buy in (True, False):
            price_ticks = centre_ticks - offset_ticks if is_buy else centre_ticks + offset_ticks
            lots = trader.draw.randint(*MAKER_LOTS)
            await trader.place(market, is_buy, price_ticks, lots, time_in_force, "received")
    for fill in await trader.client.user_trades(market.symbol, 50):
        trader.matcher.see(fill.trade_id, trader.node_index)


async def take(trader: Trader) -> None:
    """Takes a little from a random side of a random market."""
    await trader.pace(1)
    market = trader.draw.choice(trader.markets)
    mark_ticks = await trader.mark_ticks(market)
    if not mark_ticks:
        return
    is_buy = trader.draw.random() < 0.5
    reach_ticks = mark_ticks * TAKER_REACH_BPS // BPS_UNIT
    price_ticks = mark_ticks + reach_ticks if is_buy else mark_ticks - reach_ticks
    lots = trader.draw.randint(*TAKER_LOTS)
    await trader.place(market, is_buy, price_ticks, lots, "immediate_or_cancel", "final")


async def gamble(trader: Trader) -> None:
    """Holds as much of one market as its money allows, and more after every gain, until it is liquidated."""
    await trader.pace(1)
    market = trader.markets[trader.account.number % len(trader.markets)]
    mark_ticks = await trader.mark_ticks(market)
    account = await trader.client.account()
    if not mark_ticks or account.equity <= 0:
        return
    held = sum(int(position.value * USDC_QUOTE) for position in account.positions)
    wanted_quote = int(account.equity * USDC_QUOTE) * GAMBLER_LEVERAGE - abs(held)
    lots = wanted_quote // (mark_ticks * market.quote_per_tick_lot)
    if lots < 10:
        await trio.sleep(1)
        return
    is_buy = held > 0 or (held == 0 and trader.draw.random() < 0.5)
    reach_ticks = mark_ticks * GAMBLER_REACH_BPS // BPS_UNIT
    price_ticks = mark_ticks + reach_ticks if is_buy else mark_ticks - reach_ticks
    await trader.place(market, is_buy, price_ticks, lots, "immediate_or_cancel", "final")


async def is_broke(trader: Trader) -> bool:
    """Whether a liquidation has left next to nothing."""
    account = await trader.client.account()
    return not account.positions and account.equity * USDC_QUOTE < GAMBLER_TOP_UP_QUOTE // 20
