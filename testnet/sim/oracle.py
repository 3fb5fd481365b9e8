"""What every validator reports of prices: a random walk that all of them see, bent by oracle faults and by moves that a
scenario orders.
"""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from engine.payload import PriceReport
from testnet.sim.exchange import PRICE_E8, Exchange

FEED_E8_MAX = 1 << 48
STALE_MS = 20_000
BPS = 10_000
# Of an expiry, after its forward: a, b, rho, m and sigma of a calm and sound surface, as reports carry them (ORA-1).
FEED_OFFSET = 1 << 32
SURFACE = (280_000 + FEED_OFFSET, 2_000_000, FEED_OFFSET - 30_000_000, FEED_OFFSET, 10_000_000)


@dataclass(frozen=True, slots=True)
class Move:
    """By so much the price has moved for good when it ends, evenly from its beginning on. Virtual times."""

    begins_ms: int
    ends_ms: int
    change_bps: int
    underlying: int | None  # None: all of them

    def factor_ppm(self, now_ms: int) -> int:
        done_ms = min(max(now_ms - self.begins_ms, 0), self.ends_ms - self.begins_ms)
        return 1_000_000 + self.change_bps * 100 * done_ms // max(1, self.ends_ms - self.begins_ms)


class Oracle:
    """Faults are by member; several may be at work at once."""

    def __init__(
        self, rng: random.Random, exchange: Exchange, fired: Counter[str], get_now_ms: Callable[[], int]
    ) -> None:
        self._rng = rng
        self._get_now_ms = get_now_ms
        self._exchange = exchange
        self._fired = fired
        self._walk_e8 = list(PRICE_E8)
        self._stepped_s = 0
        self.feeds_e8 = list(PRICE_E8)
        self.faults: dict[int, str] = {}  # member -> missing, stale or extreme
        self.moves: list[Move] = []

    def make_report(self, member: int, wall_ms: int) -> PriceReport | None:
        """A signed report; None while the member's source is down."""
        self._walk(wall_ms // 1000)
        self.feeds_e8 = self._bend(self._get_now_ms())
        feeds_e8, time_ms = (*self.feeds_e8, *self._list_expiries()), wall_ms
        fault = self.faults.get(member)
        if fault is not None:
            self._fired[f"oracle: {fault}"] += 1
        if fault == "missing":
            return None
        if fault == "stale":
            time_ms = max(1, wall_ms - STALE_MS)
        if fault == "extreme":
            feeds_e8 = tuple(self._rng.choice((0, 1, FEED_E8_MAX, feed * 2)) for feed in feeds_e8)
        return self._exchange.signers[member].sign_price_report(member, time_ms, feeds_e8)

    def _walk(self, second: int) -> None:
        if second > self._stepped_s:
            self._stepped_s = second
            self._walk_e8 = [feed + feed * self._rng.randint(-10, 10) // BPS for feed in self._walk_e8]

    def _bend(self, now_ms: int) -> list[int]:
        feeds_e8 = list(self._walk_e8)
        for move in self.moves:
            for number in range(len(feeds_e8)) if move.underlying is None else (move.underlying,):
                feeds_e8[number] = feeds_e8[number] * move.factor_ppm(now_ms) // 1_000_000
        return feeds_e8

    def _list_expiries(self) -> list[int]:
        """Forward and surface of each, as reports list them."""
        names, feeds = self._exchange.params.underlyings, []
        for name, _ in self._exchange.params.expiries:
            feeds += [self.feeds_e8[names.index(name)], *SURFACE]
        return feeds
