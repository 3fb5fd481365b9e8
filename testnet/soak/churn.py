"""Clients that come, ask, subscribe and leave, some of them without a word; what an exchange's day is made of."""

import random
from contextlib import suppress
from dataclasses import dataclass

import httpx
import trio

from net.client import AsyncClient, HansaError

VISITORS = 8
STAY_S_MAX = 10.0
LISTEN_S = 2.0
CHANNELS = ["x.blocks", "book.{symbol}.raw", "trades.{symbol}.raw", "ticker.{symbol}.100ms"]


@dataclass(slots=True)
class Visits:
    """What the visitors did."""

    came: int = 0
    failed: int = 0


async def visit_for_ever(urls: list[str], symbol: str, draw: random.Random, visits: Visits) -> None:
    """`VISITORS` at a time."""
    async with trio.open_nursery() as nursery:
        for number in range(VISITORS):
            nursery.start_soon(_visit_on, urls, symbol, random.Random(draw.random() + number), visits)


async def _visit_on(urls: list[str], symbol: str, draw: random.Random, visits: Visits) -> None:
    while True:
        visits.came += 1
        try:
            # Leaving in the middle of whatever it is at: that is how clients leave.
            with trio.move_on_after(draw.uniform(0.1, STAY_S_MAX)):
                await draw.choice([_ask, _listen])(draw.choice(urls), symbol, draw)
        except* (HansaError, httpx.HTTPError, OSError):
            visits.failed += 1
        await trio.sleep(draw.uniform(0.1, 1.0))


async def _ask(url: str, symbol: str, draw: random.Random) -> None:
    async with httpx.AsyncClient(timeout=5) as client:
        while True:
            await client.get(f"{url}/api/v2/public/get_order_book", params={"instrument_name": symbol})
            await trio.sleep(draw.uniform(0.05, 0.5))


async def _listen(url: str, symbol: str, draw: random.Random) -> None:
    async with AsyncClient(url, timeout_s=5) as client:
        channels = [channel.format(symbol=symbol) for channel in draw.sample(CHANNELS, 2)]
        with suppress(HansaError):
            await client.call("public/subscribe", channels=channels)
        await trio.sleep(draw.uniform(0.1, LISTEN_S))
