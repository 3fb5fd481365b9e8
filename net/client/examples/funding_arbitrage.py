"""Earns funding without a view: against a perpetual whose holders pay, it holds the dated future the other way round.

Perpetual above the index: longs pay shorts, so it is short the perpetual and long the future, and the reverse. Both
legs go out as one combination: all or none, for no more than a limit on the net price. So it never stands on one leg.
"""

import time
from decimal import Decimal

import anyio

from engine.params import MarketParams
from net.client import AsyncClient, Buy, HansaError, Sell
from net.client.examples.delta_hedger import round_to
from net.client.examples.starting import start

PERPETUAL = "BTC-PERPETUAL"
FUNDING_8H_MIN = Decimal("0.00001")
STEP_LOTS, POSITION_LOTS_MAX = 10, 50
REACH_BPS = 40
TURN_S = 2.0


def find_future(markets: tuple[MarketParams, ...], now_ms: int) -> MarketParams | None:
    """The first of the same underlying to expire, with a day to go."""
    wanted = PERPETUAL.partition("-")[0]
    futures = [m for m in markets if m.kind == "future" and m.underlying_name == wanted]
    living = [market for market in futures if market.expiry_ms > now_ms + 86_400_000]
    return min(living, key=lambda market: market.expiry_ms, default=None)


async def trade_once(client: AsyncClient, perpetual: MarketParams, future: MarketParams) -> bool:
    """Whether a pair was traded."""
    near, far = await client.ticker(PERPETUAL), await client.ticker(future.symbol)
    held = {item.instrument_name: item.size_base for item in await client.positions()}
    lot = Decimal(perpetual.lot_size)
    is_short = near.funding_8h > 0
    room_base = POSITION_LOTS_MAX * lot + (1 if is_short else -1) * held.get(PERPETUAL, Decimal(0))
    marks_usd = near.mark_price_usd, far.mark_price_usd
    if abs(near.funding_8h) < FUNDING_8H_MIN or room_base < STEP_LOTS * lot or None in marks_usd:
        return False
    amount_base = STEP_LOTS * lot
    legs: list[Buy] = []
    for market, mark_usd, kind in zip(
        (perpetual, future), marks_usd, (Sell, Buy) if is_short else (Buy, Sell), strict=True
    ):
        assert mark_usd is not None
        reach_bps = REACH_BPS if kind is Buy else -REACH_BPS
        limit_usd = round_to(mark_usd * (10_000 + reach_bps) / 10_000, market.tick_size)
        legs.append(kind(market.symbol, amount_base, limit_usd, "fill_or_kill"))
    outcomes = (await client.combo(legs, net_usdc=_net_usdc(legs))).outcomes
    refused = next((str(outcome.error) for outcome in outcomes if outcome.error), None)
    side = "short" if is_short else "long"
    print(f"funding {near.funding_8h} a 8 h: {side} {PERPETUAL} against {future.symbol}: {refused or 'done'}")
    return refused is None


def _net_usdc(legs: list[Buy]) -> Decimal:
    """What both legs cost at their limits: the combination is refused where they would cost more."""
    signs = [-1 if isinstance(leg, Sell) else 1 for leg in legs]
    total = sum(
        (sign * Decimal(str(leg.amount_base)) * Decimal(str(leg.price_usd)) for sign, leg in zip(signs, legs)),
        Decimal(0),
    )
    return round_to(total, "0.000001")


async def run(client: AsyncClient) -> None:
    """Until cancelled. What it holds stays, and earns."""
    network = await client.network()
    perpetual = network.market(PERPETUAL)[1]
    while True:
        try:
            future = find_future((await client.refresh()).markets, time.time_ns() // 1_000_000)
            if future is None:
                print("no dated future is listed: nothing to hold against the perpetual")
            else:
                await trade_once(client, perpetual, future)
        except HansaError as error:
            print(f"this turn is left out: {error}")
        await anyio.sleep(TURN_S)


if __name__ == "__main__":
    start(__doc__, run)
