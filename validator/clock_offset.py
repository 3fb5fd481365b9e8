"""How far this machine's clock is from the committee's, by the price reports that every member signs once a second.

A report carries its maker's time, so `our time - its time` is the offset of the two clocks and the way's time together.
Of each member the least of the last half minute counts, when the way was short, and of all members the median: f of
them may lie about their clocks. What remains of the way makes this clock look ahead by some milliseconds. For people
and alerts only; nothing decides by it.
"""

from collections import deque
from statistics import median_low

REPORTS_KEPT = 30


class ClockOffset:
    """Of this clock against the others'."""

    def __init__(self) -> None:
        self._ahead_ms: dict[int, deque[int]] = {}

    def observe(self, member: int, report_ms: int, now_ms: int) -> None:
        """A report that `member` made by its clock and sent itself has just come."""
        self._ahead_ms.setdefault(member, deque(maxlen=REPORTS_KEPT)).append(now_ms - report_ms)

    def forget(self, member: int) -> None:
        """It is not linked any more."""
        self._ahead_ms.pop(member, None)

    @property
    def ahead_ms(self) -> int | None:
        """None when nobody was heard."""
        return median_low(min(seen) for seen in self._ahead_ms.values()) if self._ahead_ms else None
