"""One line of the benchmark's table, and the small things that all benchmarks share."""

import statistics
import sys
import time
from collections.abc import Callable
from typing import NamedTuple


class Row(NamedTuple):
    """A figure and its target: at least that much if the unit is a rate ("events/s"), else at most.

    `ratio` says how many times as long `baseline` took, in the same run, for the same result, whose digest is `digest`.
    """

    name: str
    figure: float
    unit: str
    target: float
    ratio: float | str
    baseline: str
    digest: str = ""
    note: str = ""

    @property
    def is_met(self) -> bool:
        """Whether the figure reaches its target (0: it has none)."""
        if not self.target:
            return True
        return self.figure >= self.target if self.unit.endswith("/s") else self.figure <= self.target


class Disagreement(Exception):
    """Two ways to the same result differ: no speed may be printed."""


def require_equal(what: str, found: object, expected: object) -> None:
    """Refuse to measure what computes something else."""
    if found != expected:
        raise Disagreement(f"{what}: {found}, not {expected}")


def report(text: str) -> None:
    """Progress, for whoever waits."""
    print(f"  {text}", file=sys.stderr, flush=True)


def measure_s(variants: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of thread CPU time of each variant, interleaved A B B A."""
    taken: dict[str, list[float]] = {name: [] for name in variants}
    for turn in range(rounds):
        for name in sorted(variants, reverse=turn % 2 == 1):
            started = time.thread_time()
            variants[name]()
            taken[name].append(time.thread_time() - started)
    return {name: statistics.median(seconds) for name, seconds in taken.items()}
