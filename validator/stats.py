"""The node in numbers: time to finality, commands per second. Reported only; nothing decides by them."""

from collections import deque
from collections.abc import Callable

import numpy as np

from validator.steps import Steps

RATE_WINDOW_MS = 10_000
FINALITY_WINDOW_MS = 30_000
# Longer times to finality are counted as this long.
FINALITY_MS_MAX = 20_000
CODES_MAX = 1_000


class Stats:
    """Finality is measured from the proposal's time (its proposer's clock) to the moment this node holds the
    certificate.
    """

    def __init__(self, wall_ms: Callable[[], int]) -> None:
        self.steps = Steps(wall_ms)
        self._wall_ms = wall_ms
        self._finality_ms: deque[tuple[int, int]] = deque()
        self._commands: deque[tuple[int, int]] = deque()
        self.commands_total = 0
        self.last_final_ms = 0
        self._actions_by_code = np.zeros(CODES_MAX, dtype=np.int64)
        self._blocks_by_finality_ms = np.zeros(FINALITY_MS_MAX + 1, dtype=np.int64)

    def on_final(self, time_ms: int, command_count: int, is_live: bool) -> None:
        """`is_live` is false for a block that came by catching up, which says nothing about finality."""
        now_ms = self._wall_ms()
        self.last_final_ms = now_ms
        self.commands_total += command_count
        self._commands.append((now_ms, command_count))
        self._trim(now_ms)
        if is_live:
            finality_ms = max(0, now_ms - time_ms)
            self._finality_ms.append((now_ms, finality_ms))
            self._blocks_by_finality_ms[min(finality_ms, FINALITY_MS_MAX)] += 1

    def on_codes(self, codes: np.ndarray) -> None:
        """What became of a block's actions."""
        self._actions_by_code += np.bincount(codes, minlength=CODES_MAX)

    def actions_by_code(self) -> dict[int, int]:
        """Final actions since the start, by result code."""
        return _to_dict(self._actions_by_code)

    def blocks_by_finality_ms(self) -> dict[int, int]:
        """Blocks that became final before our eyes since the start, by the whole milliseconds that took."""
        return _to_dict(self._blocks_by_finality_ms)

    def finality_ms(self, percent: int) -> int:
        """Percentile over the last thirty seconds, 0 when nothing became final in them."""
        self._trim(self._wall_ms())
        ordered = sorted(sample_ms for _, sample_ms in self._finality_ms)
        return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] if ordered else 0

    def commands_per_s(self) -> int:
        """Over the last ten seconds."""
        self._trim(self._wall_ms())
        return sum(count for _, count in self._commands) * 1000 // RATE_WINDOW_MS

    def _trim(self, now_ms: int) -> None:
        while self._commands and self._commands[0][0] < now_ms - RATE_WINDOW_MS:
            self._commands.popleft()
        while self._finality_ms and self._finality_ms[0][0] < now_ms - FINALITY_WINDOW_MS:
            self._finality_ms.popleft()


def _to_dict(counts: np.ndarray) -> dict[int, int]:
    """Positions that are not zero."""
    at = np.flatnonzero(counts)
    return dict(zip(at.tolist(), counts[at].tolist(), strict=True))
