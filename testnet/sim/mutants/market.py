"""Bugs of the exchange itself (M1 to M4): who decides a price, who is liquidated, what funding has come to.

The engine's kernels are compiled, so a bug is planted around them, in the block's own order of work.
"""

from typing import Any

import numpy as np

from engine import apply, feeds
from engine.tables import HALT_GAP_MS, PHASE, PHASE_CONTINUOUS, TIME_MS
from testnet.sim.mutants.patches import Mutant, Patches

DEMANDS = ("mm_long_unit", "mm_short_unit")
TIMES = 3


def one_report_decides(patches: Patches) -> None:
    """The index goes where the last of the reports says, not to their median."""
    honest = feeds.move_feeds

    def move_feeds(t: Any, values: np.ndarray, _: int, time_ms: int) -> None:
        honest(t, np.ascontiguousarray(values[:, -1:]), 1, time_ms)

    patches.put(feeds, "move_feeds", move_feeds)


def liquidates_early(patches: Patches) -> None:
    """At three times the maintenance margin."""
    honest = vars(apply)["liquidate"]

    def liquidate(t: Any, out: Any, time_ms: int) -> None:
        before = {name: t.markets[name].copy() for name in DEMANDS}
        for name in DEMANDS:
            t.markets[name] *= TIMES
        honest(t, out, time_ms)
        for name in DEMANDS:
            t.markets[name] = before[name]

    patches.put(apply, "liquidate", liquidate)


def liquidates_in_a_halt(patches: Patches) -> None:
    """Whatever the exchange's phase, and on books that are not open yet."""
    honest = vars(apply)["liquidate"]

    def liquidate(t: Any, out: Any, time_ms: int) -> None:
        before = int(t.counters[PHASE]), t.markets["phase"].copy()
        t.counters[PHASE] = PHASE_CONTINUOUS
        t.markets["phase"] = PHASE_CONTINUOUS
        honest(t, out, time_ms)
        t.counters[PHASE], t.markets["phase"] = before

    patches.put(apply, "liquidate", liquidate)


def a_halt_touches_funding(patches: Patches) -> None:
    """By one unit a lot, of which nothing tells."""
    honest = vars(apply)["run_clock"]

    def run_clock(t: Any, out: Any, time_ms: int) -> None:
        is_halt = time_ms - int(t.counters[TIME_MS]) > int(t.counters[HALT_GAP_MS])
        honest(t, out, time_ms)
        if is_halt:
            t.markets["funding_quote"] += 1
            t.markets["value_unit"] -= 1

    patches.put(apply, "run_clock", run_clock)


def settles_at_the_last_price(patches: Patches) -> None:
    """Whoever moves the index for a moment chooses what a future is worth."""
    honest = vars(apply)["run_clock"]

    def run_clock(t: Any, out: Any, time_ms: int) -> None:
        for dated in t.expiries:
            if 0 < dated["expiry_ms"] <= time_ms and not dated["is_settled"]:
                dated["twap_sum_e8"] = t.underlyings[dated["underlying"]]["index_e8"] * dated["twap_count"]
        honest(t, out, time_ms)

    patches.put(apply, "run_clock", run_clock)


MUTANTS = (
    Mutant(one_report_decides, "ORA-2", "market", 20),
    Mutant(liquidates_early, "LIQ-2", "market", 20),
    Mutant(liquidates_in_a_halt, "PHA-3", "market", 20),
    Mutant(a_halt_touches_funding, "FND-3", "market", 20),
    Mutant(settles_at_the_last_price, "EXP-1", "market", 20),
)
