"""Many seeds: run on several processes, watched, counted and judged."""

import gc
import multiprocessing
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import takewhile
from typing import Any

from testnet.sim.plan import Plan
from testnet.sim.swarm import EXPECTED, draw_plan
from testnet.sim.world import Result, World
from validator.allocator import spare_what_stays

SHORT_SAFETY_MS = 6_000
WARM_MS = 2_000
# A campaign shorter than this may well not see everything that can be drawn.
EXPECTED_SEEDS_MIN = 2_000


def run_seed(seed: int, trace: bool = False, safety_ms: int | None = None, **changes: object) -> Result:
    """One seed from plan to verdict; `changes` overrides fields of the plan."""
    plan = draw_plan(seed, safety_ms)
    for name, value in changes.items():
        setattr(plan, name, value)
    return World(plan, trace).run()


def run_short(seed: int) -> Result:
    """A seed with a short safety phase."""
    usual = draw_plan(seed)
    return run_seed(seed, safety_ms=min(usual.safety_ms, SHORT_SAFETY_MS))


def run_twice(seed: int) -> Result:
    """A short seed, and again: Z1 demands equal audits."""
    first, second = run_short(seed), run_short(seed)
    if not first.failure and first != second:
        first.failure = "Z1 two runs of one seed differ"
    return first


def run_plan(plan: Plan, trace: bool = False) -> Result:
    return World(plan, trace).run()


@dataclass(slots=True)
class Campaign:
    """What many seeds came to."""

    results: list[Result] = field(default_factory=list)
    fired: Counter[str] = field(default_factory=Counter)
    elapsed_s: float = 0.0
    cpu_s: float = 0.0

    def add(self, result: Result) -> None:
        self.results.append(result)
        self.fired.update(result.fired)

    @property
    def failures(self) -> list[Result]:
        return [result for result in self.results if result.failure]

    @property
    def never_fired(self) -> list[str]:
        """What could have been drawn and never had an effect; short campaigns are not asked."""
        if len(self.results) < EXPECTED_SEEDS_MIN:
            return []
        return [name for name in EXPECTED if not self.fired[name]]

    @property
    def virtual_hours(self) -> float:
        return sum(result.virtual_ms for result in self.results) / 3_600_000

    def summarise(self) -> list[tuple[str, str]]:
        results, cpu_hours = self.results, max(self.cpu_s, 0.001) / 3600
        sums = {
            name: sum(getattr(result, name) for result in results)
            for name in ("height", "messages", "deposits", "crashes", "syncs", "evidence", "events")
        }
        return [
            ("seeds", str(len(results))),
            ("violations", str(len(self.failures))),
            ("virtual hours", f"{self.virtual_hours:.2f}"),
            ("seeds per core hour", f"{len(results) / cpu_hours:.0f}"),
            ("virtual hours per core hour", f"{self.virtual_hours / cpu_hours:.1f}"),
            ("blocks final", str(sums["height"])),
            ("orders executed", str(sums["messages"])),
            ("deposits taken", str(sums["deposits"])),
            ("crashes", str(sums["crashes"])),
            ("ranges synced", str(sums["syncs"])),
            ("evidence", str(sums["evidence"])),
            ("events", str(sums["events"])),
        ]

    def to_json(self) -> dict[str, Any]:
        return {
            "summary": dict(self.summarise()),
            "fired": dict(sorted(self.fired.items())),
            "never fired": self.never_fired,
            "failures": [asdict(result) for result in self.failures],
            "audits": {result.seed: result.audit for result in self.results},
        }


# Worlds leave holes in a process' memory: after nine hundred seeds it was three times as large and two fifths slower.
TASKS_PER_CHILD = 25


def run_many(task: Any, seeds: range, workers: int, hours: float | None = None) -> Iterator[tuple[Result, float]]:
    """Results as they come, each with the processor seconds it took; no new seed is begun after so many hours."""
    run_plan(Plan(0, safety_ms=WARM_MS))  # kernels and signatures are made before the processes part
    spare_what_stays()
    deadline_s = None if hours is None else time.monotonic() + hours * 3600
    timely = takewhile(lambda _: deadline_s is None or time.monotonic() <= deadline_s, seeds)
    context = multiprocessing.get_context("fork")
    with context.Pool(workers, maxtasksperchild=TASKS_PER_CHILD) as pool:
        window: list[Any] = []
        for seed in timely:  # few jobs ahead, so that the deadline is kept
            window.append(pool.apply_async(time_task, ((task, seed),)))
            if len(window) >= workers * 3:
                yield window.pop(0).get()
        for pending in window:
            yield pending.get()


def time_task(job: tuple[Any, int]) -> tuple[Result, float]:
    """Garbage is collected between two seeds only: a world is one big circle, and all of it goes at once."""
    task, seed = job
    start_s = time.process_time()
    gc.disable()
    try:
        result = task(seed)
    finally:
        gc.enable()
    gc.collect()
    return result, time.process_time() - start_s
