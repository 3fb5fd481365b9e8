"""L6: what an honest author sealed is final within a bound, whoever leads. Asked only of runs without other faults.

The bound is the time after which voters insist on a batch, and some turns of leaders that may all be liars.
"""

from collections.abc import Sequence

from testnet.sim.checkers.violation import require
from validator.inclusion import INCLUSION_MS

TURNS_MS = 10_000


class CensorshipChecker:
    def __init__(self) -> None:
        self._sealed_ms: dict[tuple[int, int], int] = {}  # author and sequence -> virtual time

    def on_sealed(self, author: int, sequence: int, now_ms: int) -> None:
        """An honest member has sealed a batch and sent it to all."""
        self._sealed_ms[author, sequence] = now_ms

    def on_first_final(self, cursors: Sequence[int], now_ms: int) -> None:
        """`cursors`: by author, the sequence up to which the final state has taken batches."""
        self._sealed_ms = {key: at_ms for key, at_ms in self._sealed_ms.items() if key[1] > cursors[key[0]]}
        self.check(now_ms)

    def check(self, now_ms: int) -> None:
        for (author, _), at_ms in self._sealed_ms.items():
            wait_ms = now_ms - at_ms
            require(wait_ms <= INCLUSION_MS + TURNS_MS, f"L6 a batch of member {author} waits for {wait_ms} ms")
