"""Market makers of futures and options: everything about one expiry renewed by one signed message.

Each goes round the expiries, one message every `MESSAGE_INTERVAL_S`. A market's quotes are replaced when its mark has
left them by half of their distance, or when they have traded; what has not moved costs nothing. All quotes are under
market-maker protection: a maker that is hit too much at once loses its other quotes for a moment, and renews them.
"""

import time
from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal

import trio

from engine.commands import ACTIONS_MAX
from engine.params import MarketParams
from engine.units import format_price, format_size, parse_size_lots
from net.client import Buy, CancelAll, HansaError, Sell, SetMarginMode, SetProtection
from testnet.traders import BPS_UNIT, Trader, floor_ticks

Request = CancelAll | Buy | Sell

MESSAGE_INTERVAL_S = 2.0
TURNS_MAX = 12  # then quotes are renewed in any case
ACTIONS_PER_MARKET = 3
# How far a quote is from the mark: this part of the mark, and for options of the index, too.
FUTURE_DISTANCE_BPS, OPTION_DISTANCE_BPS, OPTION_INDEX_BPS = 8, 150, 4
FUTURE_LOTS, OPTION_LOTS = (50, 300), (10, 60)
# Where quotes have moved by their whole distance, so that whoever comes next rather takes the position off.
LEAN_LOTS = {"future": 4_000, "call": 400, "put": 400}
PROTECTION = SetProtection(window_ms=5_000, freeze_ms=2_000, value_usdc=200_000, delta_usdc=100_000, vega_usdc=100_000)


@dataclass(frozen=True, slots=True)
class Mark:
    """What a maker knows of a market."""

    mark_ticks: int
    index_ticks: int


@dataclass(frozen=True, slots=True)
class Quotes:
    """What stands in a book, unless it was taken away: around which mark, how far off, with which position, since
    which turn.
    """

    mark_ticks: int
    distance_ticks: int
    position_lots: int
    turn: int

    def is_stale(self, mark_ticks: int, position_lots: int, turn: int) -> bool:
        has_moved = abs(mark_ticks - self.mark_ticks) * 2 > self.distance_ticks
        return has_moved or position_lots != self.position_lots or turn - self.turn >= TURNS_MAX


@dataclass(slots=True)
class OptionMaker:
    """One maker. `turn` differs between makers, so that they do not renew the same expiry at the same time."""

    trader: Trader
    turn: int
    quotes: dict[str, Quotes] = field(default_factory=dict)

    async def run(self) -> None:
        await self._set_up()
        while True:
            groups = group_by_expiry(self.trader.markets, time.time_ns() // 1_000_000)
            try:
                await self._renew(groups[self.turn % len(groups)] if groups else [])
            except HansaError as error:
                self.trader.note(error)
            self.turn += 1
            await trio.sleep(MESSAGE_INTERVAL_S)

    async def _set_up(self) -> None:
        """Protection for every maker, portfolio margin for the first; again until it holds."""
        requests = [PROTECTION, SetMarginMode("portfolio")] if self.turn == 0 else [PROTECTION]
        while True:
            try:
                self.trader.report.commands_sent += 1
                done = await self.trader.client.batch(requests)
                if all(outcome.error is None for outcome in done.outcomes):
                    return
            except HansaError as error:
                self.trader.note(error)
            await trio.sleep(1)

    async def _renew(self, markets: list[MarketParams]) -> None:
        held = {item.instrument_name: item.size_base for item in await self.trader.client.positions()}
        marks = await self._read_marks(markets[0].underlying_name) if markets else {}
        requests: list[Request] = []
        for market in markets:
            known = marks.get(market.symbol)
            position_lots = parse_size_lots(f"{held.get(market.symbol, 0):f}", market)
            old = self.quotes.get(market.symbol)
            if known is None or (old is not None and not old.is_stale(known.mark_ticks, position_lots, self.turn)):
                continue
            distance_ticks = compute_distance_ticks(market, known)
            self.quotes[market.symbol] = Quotes(known.mark_ticks, distance_ticks, position_lots, self.turn)
            requests += self._replace(market, known.mark_ticks, distance_ticks, position_lots)
        if requests:
            await self.trader.pace(1)
            self.trader.report.commands_sent += 1
            self.trader.report.quotes_sent += sum(not isinstance(request, CancelAll) for request in requests)
            await self.trader.client.batch(requests, wait="received")

    async def _read_marks(self, name: str) -> dict[str, Mark]:
        """Of all markets of an underlying that are open and have a mark; the perpetual's stands for the index."""
        lines = await self.trader.client.call("public/get_book_summary_by_currency", currency=name)
        known = {line["instrument_name"]: line["mark_price"] for line in lines if line["mark_price"] is not None}
        by_symbol = {market.symbol: market for market in self.trader.markets}
        index_usd = next((Decimal(price) for symbol, price in known.items() if is_perpetual(by_symbol, symbol)), None)
        if index_usd is None:
            return {}
        return {
            symbol: Mark(floor_ticks(Decimal(price), by_symbol[symbol]), floor_ticks(index_usd, by_symbol[symbol]))
            for symbol, price in known.items()
            if symbol in by_symbol
        }

    def _replace(self, market: MarketParams, mark_ticks: int, distance_ticks: int, position_lots: int) -> list[Request]:
        """A message cancels before it places (docs/spec.md, BLK-2)."""
        centre_ticks = mark_ticks - compute_lean_ticks(market, distance_ticks, position_lots)
        requests: list[Request] = [CancelAll(market.symbol)]
        for kind, price_ticks in ((Buy, centre_ticks - distance_ticks), (Sell, centre_ticks + distance_ticks)):
            if not 0 < price_ticks <= market.price_ticks_max:
                continue  # nobody bids for what is worth nothing
            lots = self.trader.draw.randint(*(FUTURE_LOTS if market.kind == "future" else OPTION_LOTS))
            amount_base, price_usd = format_size(lots, market), format_price(price_ticks, market)
            requests.append(kind(market.symbol, amount_base, price_usd, "post_only_slide", mmp=True))
        return requests


def is_perpetual(by_symbol: dict[str, MarketParams], symbol: str) -> bool:
    return symbol in by_symbol and by_symbol[symbol].kind == "perpetual"


def group_by_expiry(markets: tuple[MarketParams, ...], now_ms: int) -> list[list[MarketParams]]:
    """What one message renews: the markets of one underlying and expiry that is ahead, as many as a message holds."""
    groups: dict[tuple[str, int], list[MarketParams]] = defaultdict(list)
    for market in markets:
        if market.expiry_ms > now_ms:
            groups[market.underlying_name, market.expiry_ms].append(market)
    at_once = ACTIONS_MAX // ACTIONS_PER_MARKET
    return [group[at : at + at_once] for group in groups.values() for at in range(0, len(group), at_once)]


def compute_distance_ticks(market: MarketParams, known: Mark) -> int:
    """How far quotes are from the mark."""
    if market.kind == "future":
        return max(1, known.mark_ticks * FUTURE_DISTANCE_BPS // BPS_UNIT)
    return max(1, (known.mark_ticks * OPTION_DISTANCE_BPS + known.index_ticks * OPTION_INDEX_BPS) // BPS_UNIT)


def compute_lean_ticks(market: MarketParams, distance_ticks: int, position_lots: int) -> int:
    """How much lower a long position quotes, and a short one higher; at most the distance."""
    lean_lots = LEAN_LOTS[market.kind]
    return distance_ticks * max(-lean_lots, min(lean_lots, position_lots)) // lean_lots
