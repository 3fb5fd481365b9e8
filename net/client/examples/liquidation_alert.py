"""Warns before the exchange acts: says how far the account is from liquidation, now and after a fall and a rise.

The fall and the rise are simulated by the exchange's own engine, with the account's real positions. Only reads: it
needs no key, just `--account`.
"""

from decimal import Decimal

import anyio

from net.client import AsyncClient, HansaError
from net.client.examples.starting import start

SHOCKS_PPM = (-100_000, 100_000)
ALARM_RATIO = Decimal("0.8")  # of equity, bound by maintenance margin
TURN_S = 2.0


def used(equity: Decimal, maintenance_margin: Decimal) -> Decimal:
    """Part of the equity that maintenance margin binds; at 1 the account is liquidated."""
    return Decimal(9) if equity <= 0 < maintenance_margin else maintenance_margin / equity if equity else Decimal(0)


async def look_once(client: AsyncClient) -> list[str]:
    """Warnings, none while all is well."""
    account = await client.account()
    warnings = []
    now = used(account.equity, account.maintenance_margin)
    if now >= ALARM_RATIO:
        warnings.append(f"NOW: {now:.0%} of the equity of {account.equity} USDC is bound by maintenance margin")
    for shift_ppm in SHOCKS_PPM:
        moved = await client.simulate(price_shift_ppm=shift_ppm)
        after = used(Decimal(moved["equity"]), Decimal(moved["maintenance_margin"]))
        if after >= ALARM_RATIO:
            warnings.append(f"if prices move by {shift_ppm / 10_000:+.0f} %: {after:.0%} of the equity is bound")
    for position in account.positions:
        if position.liquidation_price_usd is not None:
            warnings.append(f"{position.instrument_name}: liquidation at {position.liquidation_price_usd}")
    return warnings


async def run(client: AsyncClient) -> None:
    """Until cancelled."""
    while True:
        try:
            for warning in await look_once(client) or ["all is well"]:
                print(warning)
        except HansaError as error:
            print(f"not known: {error}")
        await anyio.sleep(TURN_S)


if __name__ == "__main__":
    start(__doc__, run)
