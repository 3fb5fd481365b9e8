"""Counts of a measured quantity by size. Reported only; nothing decides by it."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence

# Seconds: from a sync of a fast disk to a stall that operators must hear of.
SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class Histogram:
    """Observations by upper bound, and their sum."""

    def __init__(self, bounds: Sequence[float] = SECONDS) -> None:
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(self._bounds) + 1)
        self.total = 0.0

    def observe(self, value: float, count: int = 1) -> None:
        """`value` was seen `count` times. A value equal to a bound lies below it."""
        self._counts[bisect_left(self._bounds, value)] += count
        self.total += value * count

    def buckets(self) -> Iterator[tuple[str, int]]:
        """(upper bound, how many were not above it), the last without a bound: as Prometheus has them."""
        running = 0
        for bound, count in zip((*map(str, self._bounds), "+Inf"), self._counts, strict=True):
            running += count
            yield bound, running
