"""The devnet's time: that of the exchange, which may stand still and be moved ahead, and never goes back by itself.

Moving time makes blocks on the way, because nothing in the engine happens without one: a sample of each perpetual's
premium in every minute (FND-2 of docs/spec.md), funding at every hour (FND-3), the 450 samples of an expiry's last half
hour (EXP-1), and no gap that halts the exchange (PHA-3).
"""

import time
from collections.abc import Callable, Iterator

from engine.settlement import SLOT_MS, TWAP_MS

# The grid of blocks, and from which way on another one, which is still below the gap that halts an exchange.
STEP_MS, LONG_WAY_MS, LONG_STEP_MS = 60_000, 2 * 3_600_000, 300_000
STEP_MS_MAX = 300_000


class VirtualClock:
    """Milliseconds since 1970. Frozen, it stands where it was put; otherwise it goes on from there."""

    def __init__(self, start_ms: int, is_frozen: bool, monotonic_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self.is_frozen = is_frozen
        self._monotonic_ns = monotonic_ns
        self.put(start_ms)

    def put(self, time_ms: int) -> None:
        """It is `time_ms` now."""
        self._put_ms, self._put_at_ns = time_ms, self._monotonic_ns()

    def now_ms(self) -> int:
        if self.is_frozen:
            return self._put_ms
        return self._put_ms + (self._monotonic_ns() - self._put_at_ns) // 1_000_000


def plan_blocks(now_ms: int, until_ms: int, expiries_ms: tuple[int, ...], step_ms: int) -> Iterator[int]:
    """Times of the blocks on the way from `now_ms`, exclusive, to `until_ms`, inclusive: the full steps, each slot of
    an expiry's last half hour, and the expiry itself.
    """
    at_ms = now_ms
    while at_ms < until_ms:
        next_ms = min(until_ms, (at_ms // step_ms + 1) * step_ms)
        for expiry_ms in expiries_ms:
            begins_ms = expiry_ms - TWAP_MS
            if at_ms < begins_ms:
                next_ms = min(next_ms, begins_ms)
            elif at_ms < expiry_ms:
                next_ms = min(next_ms, begins_ms + ((at_ms - begins_ms) // SLOT_MS + 1) * SLOT_MS)
        at_ms = next_ms
        yield at_ms


def choose_step_ms(way_ms: int) -> int:
    """The grid for a way of that length, unless the caller names another."""
    return STEP_MS if way_ms <= LONG_WAY_MS else LONG_STEP_MS
