"""What every validator reports of prices: a random walk that all of them see, bent by oracle faults."""

import random
from collections import Counter

from engine.payload import PriceReport
from testnet.sim.exchange import PRICE_E8, Exchange

FEED_E8_MAX = 1 << 48
STALE_MS = 20_000


class Oracle:
    """Faults are by member; several may be at work at once."""

    def __init__(self, rng: random.Random, exchange: Exchange, fired: Counter[str]) -> None:
        self._rng = rng
        self._exchange = exchange
        self._fired = fired
        self._feeds_e8 = list(PRICE_E8)
        self._stepped_s = 0
        self.faults: dict[int, str] = {}  # member -> missing, stale or extreme

    def make_report(self, member: int, wall_ms: int) -> PriceReport | None:
        """A signed report; None while the member's source is down."""
        self._walk(wall_ms // 1000)
        feeds_e8, time_ms = tuple(self._feeds_e8), wall_ms
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
            self._feeds_e8 = [feed + feed * self._rng.randint(-10, 10) // 10_000 for feed in self._feeds_e8]
