"""The governor of a local network: when an expiry has settled, the next one is listed, with a future and a chain around
the index (docs/spec.md, GOV-2). Everything about both underlyings goes into one signed message.
"""

import logging
import time
from dataclasses import dataclass

import trio

from engine.commands import LIST, Action
from engine.params import KINDS, MarketParams
from net.client import AsyncClient, HansaError
from net.client.protocol import Network
from testnet.listing import Listing, choose_expiries, list_expiry
from testnet.traders import Trader, floor_ticks

log = logging.getLogger("hansa.bots")
LOOK_INTERVAL_S = 5.0


@dataclass(frozen=True, slots=True)
class ListMarket:
    """What `AsyncClient.batch` signs: a market like `template`, which keeps its parameters, with terms of its own."""

    market: MarketParams
    template: MarketParams

    def to_action(self, network: Network) -> Action:
        underlyings = list(dict.fromkeys(market.underlying_name for market in network.markets))
        return Action(
            LIST, market=network.market(self.template.symbol)[0], side=KINDS.index(self.market.kind),
            link=underlyings.index(self.market.underlying_name) + 1, good_till_ms=self.market.expiry_ms,
            price_ticks=self.market.strike_e8, trigger_ticks=self.market.tick_e8, size_lots=self.market.lot_e8,
            display_lots=self.market.price_ticks_max,
        )  # fmt: skip


async def keep_listing(governor: AsyncClient, traders: list[Trader]) -> None:
    """Lists what is missing and tells the traders, for ever."""
    while True:
        try:
            network = await governor.refresh()
            requests = await choose_listings(governor, network.markets, time.time_ns() // 1_000_000)
            if requests:
                done = await governor.batch(requests)
                refused = [str(outcome.error) for outcome in done.outcomes if outcome.error is not None]
                log.info(
                    "bots.listed listed=%d asked=%d refused=%s",
                    len(requests) - len(refused),
                    len(requests),
                    refused[:1],
                )
                network = await governor.refresh()
            for trader in traders:
                trader.markets = network.markets
        except HansaError as error:
            log.warning("bots.listing_failed error=%s", error)
        await trio.sleep(LOOK_INTERVAL_S)


async def choose_listings(client: AsyncClient, markets: tuple[MarketParams, ...], now_ms: int) -> list[ListMarket]:
    """The near expiry that every underlying lacks, if its index is known."""
    requests: list[ListMarket] = []
    for perpetual in (market for market in markets if market.kind == "perpetual"):
        name = perpetual.underlying_name
        expiry_ms = choose_missing_expiry(markets, name, now_ms)
        index_usd = (await client.ticker(perpetual.symbol)).index_price_usd if expiry_ms else None
        if index_usd is None:
            continue
        index_e8 = floor_ticks(index_usd, perpetual) * perpetual.tick_e8
        for market in list_expiry(name, expiry_ms, now_ms, index_e8):
            requests.append(ListMarket(market, find_template(markets, market)))
    return requests


def choose_missing_expiry(markets: tuple[MarketParams, ...], name: str, now_ms: int) -> int:
    """0 as long as two expiries of the underlying are ahead; else the one of those that belong there which is not
    listed.
    """
    ahead = {market.expiry_ms for market in markets if market.underlying_name == name and market.expiry_ms > now_ms}
    if len(ahead) >= len(choose_expiries(Listing(), now_ms)):
        return 0
    return next((expiry_ms for expiry_ms in choose_expiries(Listing(), now_ms) if expiry_ms not in ahead), 0)


def find_template(markets: tuple[MarketParams, ...], market: MarketParams) -> MarketParams:
    """The first market of its kind and underlying; settled ones still say their parameters."""
    return next(
        other for other in markets if (other.kind, other.underlying_name) == (market.kind, market.underlying_name)
    )
