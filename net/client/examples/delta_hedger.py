"""Holds options without caring where the price goes: keeps the delta of everything about BTC near zero.

The delta of each position comes from the exchange, which computes it as its margin does. What is too much of it is
sold or bought in the perpetual, at once or not at all.
"""

from decimal import ROUND_HALF_EVEN, Decimal

import anyio

from engine.params import MarketParams
from net.client import AsyncClient, HansaError
from net.client.examples.starting import start

UNDERLYING, HEDGE = "BTC", "BTC-PERPETUAL"
DELTA_BASE_MAX = Decimal("0.05")
REACH_BPS = 30
TURN_S = 1.0


def round_to(value: Decimal, step_text: str) -> Decimal:
    step = Decimal(step_text)
    return (value / step).to_integral_value(ROUND_HALF_EVEN) * step


async def hedge_once(client: AsyncClient, market: MarketParams) -> Decimal:
    """The delta before, in units of the underlying; one order where it is too much."""
    positions = await client.positions()
    delta_base = sum((p.delta_base for p in positions if p.instrument_name.startswith(UNDERLYING)), Decimal(0))
    amount_base = abs(round_to(delta_base, market.lot_size))
    mark_usd = (await client.ticker(HEDGE)).mark_price_usd
    if abs(delta_base) <= DELTA_BASE_MAX or mark_usd is None or not amount_base:
        return delta_base
    is_long = delta_base > 0
    limit_usd = round_to(mark_usd * (10_000 + (-REACH_BPS if is_long else REACH_BPS)) / 10_000, market.tick_size)
    send = client.sell if is_long else client.buy
    placed = await send(HEDGE, amount_base, limit_usd, time_in_force="immediate_or_cancel")
    done = None if placed.order is None else placed.order.filled_base
    print(f"delta {delta_base:.4f}: {'sold' if is_long else 'bought'} {done} of {amount_base} {HEDGE}")
    return delta_base


async def run(client: AsyncClient) -> None:
    """Until cancelled. The hedge stays: the options do, too."""
    market = (await client.network()).market(HEDGE)[1]
    while True:
        try:
            await hedge_once(client, market)
        except HansaError as error:
            print(f"this turn is left out: {error}")
        await anyio.sleep(TURN_S)


if __name__ == "__main__":
    start(__doc__, run)
