"""The devnet's prices: they stand still until somebody moves them, or follow the seeded path of local networks.

What is set by hand overrides both. Forwards and surfaces go with the index (`validator.volatility`); a volatility that
is set by hand is that of every expiry of the underlying at the money, and the smile keeps its shape: with
total variance theta scaled by r**2, raw SVI scales as a r**2, b r, m r, sigma r.
"""

from dataclasses import dataclass, field
from math import isqrt
from typing import Any

from engine.params import MarketParams
from validator.pricefeed import PathFeed, compute_start_ticks
from validator.volatility import FEED_OFFSET, UNIT_E8, YEAR_MS, list_expiry_feeds

BPS_UNIT = 10_000
# Of the factor by which a surface is stretched.
RATIO_ONE = 10**9


@dataclass(slots=True)
class Prices:
    """`indexes_e8`, `volatilities_bps`: by name of the underlying, what was set by hand."""

    seed: int
    markets: tuple[MarketParams, ...]
    is_moving: bool = False
    indexes_e8: dict[str, int] = field(default_factory=dict)
    volatilities_bps: dict[str, int] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Underlyings in the order of their feeds."""
        return tuple(dict.fromkeys(market.underlying_name for market in self.markets))

    def feeds(self, time_ms: int, expiries: tuple[tuple[int, int], ...]) -> tuple[int, ...]:
        """The numbers of a price report (ORA-1). `expiries`: (number of underlying, time), in the state's order."""
        names = self.names
        indexes_e8 = [self.indexes_e8.get(name, base) for name, base in zip(names, self._bases_e8(time_ms))]
        numbers = [*indexes_e8]
        for underlying, expiry_ms in expiries:
            name = names[underlying]
            slice_ = list_expiry_feeds(self.seed, name, indexes_e8[underlying], expiry_ms, time_ms)
            if name in self.volatilities_bps and any(slice_):
                slice_ = stretch_surface(slice_, self.volatilities_bps[name], expiry_ms - time_ms)
            numbers += slice_
        return tuple(numbers)

    def _bases_e8(self, time_ms: int) -> list[int]:
        if self.is_moving:
            return list(PathFeed(self.seed, self.markets).feeds(time_ms))
        firsts: dict[str, MarketParams] = {}
        for market in self.markets:
            firsts.setdefault(market.underlying_name, market)
        return [compute_start_ticks(market) * market.tick_e8 for market in firsts.values()]

    def save(self) -> dict[str, Any]:
        """As JSON knows it."""
        return {
            "is_moving": self.is_moving, "indexes_e8": dict(self.indexes_e8),
            "volatilities_bps": dict(self.volatilities_bps),
        }  # fmt: skip

    def load(self, saved: dict[str, Any]) -> None:
        """Back to what was saved."""
        self.is_moving = saved["is_moving"]
        self.indexes_e8, self.volatilities_bps = dict(saved["indexes_e8"]), dict(saved["volatilities_bps"])


def stretch_surface(feeds: tuple[int, ...], volatility_bps: int, left_ms: int) -> tuple[int, ...]:
    """The six numbers of an expiry with another volatility at the money."""
    forward_e8, a_fed, b_e8, rho_fed, m_fed, sigma_e8 = feeds
    a_e8, rho_e8, m_e8 = a_fed - FEED_OFFSET, rho_fed - FEED_OFFSET, m_fed - FEED_OFFSET
    # a = theta (1 - rho**2) / 2, see `validator.volatility`.
    theta_e8 = 2 * a_e8 * UNIT_E8**2 // (UNIT_E8**2 - rho_e8**2)
    wanted_e8 = volatility_bps**2 * left_ms // YEAR_MS
    ratio = isqrt(wanted_e8 * RATIO_ONE**2 // max(theta_e8, 1))
    return (
        forward_e8, a_e8 * ratio**2 // RATIO_ONE**2 + FEED_OFFSET, max(b_e8 * ratio // RATIO_ONE, 1), rho_fed,
        m_e8 * ratio // RATIO_ONE + FEED_OFFSET, max(sigma_e8 * ratio // RATIO_ONE, 1),
    )  # fmt: skip
