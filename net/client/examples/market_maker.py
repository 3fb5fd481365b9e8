"""Makes a market: two levels on each side of the mark, leaning against what it holds.

Each turn is one signed message that replaces all quotes. They are under market-maker protection, which cancels them
inside the exchange when too much trades at once, and behind a dead man's switch, which cancels them when this program
or its node falls silent.
"""

import time
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

import anyio

from engine.params import MarketParams
from net.client import AsyncClient, HansaError
from net.client.examples.starting import start

INSTRUMENT = "BTC-PERPETUAL"
LEVELS_BPS = (5, 15)
LEVEL_LOTS = 20
POSITION_LOTS_MAX = 400  # where quotes have moved by a whole first level
TURN_S = 1.0
SWITCH_MS = 15_000
LEAVE_S_MAX = 5.0  # what is still open then the switch cancels


def make_levels(
    market: MarketParams, mark_usd: Decimal, position_base: Decimal
) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Bids and asks as (price, amount)."""
    lot, tick = Decimal(market.lot_size), Decimal(market.tick_size)
    lean = position_base / (POSITION_LOTS_MAX * lot) * LEVELS_BPS[0]
    sides: list[list[tuple[str, str]]] = []
    for sign, rounding in ((-1, ROUND_FLOOR), (1, ROUND_CEILING)):
        away_usd = [mark_usd * (1 + (sign * bps - lean) / 10_000) for bps in LEVELS_BPS]
        prices = [(price_usd / tick).to_integral_value(rounding) * tick for price_usd in away_usd]
        sides.append([(f"{max(price_usd, tick):f}", f"{LEVEL_LOTS * lot:f}") for price_usd in prices])
    return sides[0], sides[1]


async def quote(client: AsyncClient, market: MarketParams, mark_usd: Decimal, position_base: Decimal) -> None:
    """Replaces all quotes, and waits until nothing can undo it."""
    bids, asks = make_levels(market, mark_usd, position_base)
    quoted = await client.mass_quote(INSTRUMENT, bids, asks)
    refused = [str(outcome.error) for outcome in quoted.outcomes if outcome.error]
    print(f"{INSTRUMENT} {bids[0][0]} / {asks[0][0]}, holding {position_base}", *refused)


async def run(client: AsyncClient) -> None:
    """Until cancelled; then nothing of it stays in the book."""
    network = await client.network()
    market = network.market(INSTRUMENT)[1]
    await client.set_protection(5_000, freeze_ms=2_000, value_usdc=100_000, delta_usdc=50_000)
    try:
        while True:
            try:
                await client.cancel_all_after(time.time_ns() // 1_000_000 + SWITCH_MS, wait="received")
                mark_usd = (await client.ticker(INSTRUMENT)).mark_price_usd
                held = {item.instrument_name: item.size_base for item in await client.positions()}
                if mark_usd is not None:
                    # Not left half way: cancels come first in a block, and quotes on their way outlive the one below.
                    with anyio.move_on_after(LEAVE_S_MAX, shield=True):
                        await quote(client, market, mark_usd, held.get(INSTRUMENT, Decimal(0)))
            except HansaError as error:
                print(f"this turn is left out: {error}")
            await anyio.sleep(TURN_S)
    finally:
        with anyio.move_on_after(LEAVE_S_MAX, shield=True):
            await client.cancel_all(INSTRUMENT)


if __name__ == "__main__":
    start(__doc__, run)
