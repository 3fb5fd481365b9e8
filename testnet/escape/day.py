"""A day at the exchange before the bots come: traders hold a perpetual and an option, and one leaves a bad debt.

The debt is honest: `daring` buys seventeen times its money from `vulture`, whose only bid lies far below the market.
The price falls by five per cent, the liquidation has nobody else to sell to, and the insurance fund is too small
(LIQ-2, LIQ-3 of docs/spec.md).
"""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from functools import partial

import trio

from engine.params import MarketParams
from engine.units import format_price, format_size, parse_price_ticks
from net.client import AsyncClient, HansaError
from testnet.escape.cast import Cast, Person
from testnet.escape.market import BPS_UNIT, Prices

WAIT_S = 180
POLL_S = 0.3
LEVERAGE = 17
FALL_BPS = 500
# In the band of the fallen mark (1,000 bps of 57,000), and worth less than the margin is long.
VULTURE_BID_BPS = 8_700
OPTION_LOTS = 150
PERPETUAL_LOTS = 100
REACH_BPS = 50


class DayFailed(Exception):
    """The exchange did not do what the drill needs; the message says what."""


class Day:
    """Clients of everybody, each at their own node. Use as an async context manager."""

    def __init__(self, cast: Cast, urls: list[str], markets: tuple[MarketParams, ...]) -> None:
        self._cast = cast
        self._urls = urls
        self._markets = markets
        self._stack = AsyncExitStack()
        self._clients: dict[str, AsyncClient] = {}

    async def __aenter__(self) -> "Day":
        for person in self._cast.everybody:
            client = AsyncClient(self._urls[person.node_index], key="0x" + person.account.key.hex())
            self._clients[person.name] = await self._stack.enter_async_context(client)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def wait_until_open(self) -> None:
        """Every deposit is credited and every market has a mark."""
        for person in self._cast.everybody:
            await self._wait_until(partial(has_money, self._clients[person.name]), f"the deposit of {person.name}")
        reader = self._clients[self._cast.traders[0].name]
        for market in self._markets:
            await self._wait_until(partial(has_mark, reader, market.symbol), f"a mark of {market.symbol}")

    async def open_positions(self) -> None:
        """Every taker buys an option from the first maker, and a perpetual from the second."""
        maker, other, *_ = self._cast.traders
        options = [market for market in self._markets if market.kind in ("call", "put")]
        takers = [person for person in self._cast.traders if person.name.startswith("taker")]
        for number, taker in enumerate(takers):
            await self._trade(maker, taker, options[number % len(options)], OPTION_LOTS)
            await self._trade(other, taker, self._markets[number % 2], PERPETUAL_LOTS)

    async def ask_for_withdrawal(self, person: Person, amount_usdc: str) -> None:
        """Debited on the exchange; nobody claims it before the committee is dead."""
        await self._clients[person.name].withdraw(amount_usdc)

    async def make_bad_debt(self, prices: Prices) -> None:
        """Returns once the account of `daring` is worth less than nothing and holds no position."""
        daring, vulture, market = self._cast.daring, self._cast.vulture, self._markets[0]
        mark_ticks = await self._mark_ticks(market)
        lots = daring.deposit_quote * LEVERAGE // (mark_ticks * market.quote_per_tick_lot)
        await self._trade(vulture, daring, market, lots)
        bid_ticks = mark_ticks * VULTURE_BID_BPS // BPS_UNIT
        await self._clients[vulture.name].buy(market.symbol, format_size(lots, market), format_price(bid_ticks, market))
        prices.fall(market.underlying_name, FALL_BPS)
        await self._wait_until(partial(is_ruined, self._clients[daring.name]), f"the liquidation of {daring.name}")

    async def _trade(self, maker: Person, taker: Person, market: MarketParams, lots: int) -> None:
        """`maker` sells `lots` to `taker` at the mark."""
        mark_ticks = await self._mark_ticks(market)
        text_base = format_size(lots, market)
        await self._clients[maker.name].sell(market.symbol, text_base, format_price(mark_ticks, market))
        limit_ticks = mark_ticks + max(1, mark_ticks * REACH_BPS // BPS_UNIT)
        placed = await self._clients[taker.name].buy(
            market.symbol, text_base, format_price(limit_ticks, market), time_in_force="immediate_or_cancel"
        )
        if not placed.trades:
            raise DayFailed(f"{taker.name} could not buy {text_base} {market.symbol} from {maker.name}")

    async def _mark_ticks(self, market: MarketParams) -> int:
        mark_usd = (await self._clients[self._cast.traders[0].name].ticker(market.symbol)).mark_price_usd
        if mark_usd is None:
            raise DayFailed(f"{market.symbol} has no mark")
        return parse_price_ticks(f"{mark_usd:f}", market)

    async def _wait_until(self, is_so: Callable[[], Awaitable[bool]], what: str) -> None:
        with trio.move_on_after(WAIT_S):
            while True:
                with suppress(HansaError):
                    if await is_so():
                        return
                await trio.sleep(POLL_S)
        raise DayFailed(f"waited {WAIT_S} s in vain for {what}")


async def has_money(client: AsyncClient) -> bool:
    return bool((await client.account()).balance > 0)


async def has_mark(client: AsyncClient, instrument_name: str) -> bool:
    return (await client.ticker(instrument_name)).mark_price_usd is not None


async def is_ruined(client: AsyncClient) -> bool:
    """No position left, and less than nothing."""
    account = await client.account()
    return not account.positions and bool(account.balance < 0)
