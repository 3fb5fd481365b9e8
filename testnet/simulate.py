"""`python -m testnet.simulate --seeds 500`: agreement under faults; each failure prints its replay command."""

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from testnet.sim.twins import CaseResult, run_cases
from testnet.sim.world import Result, World, draw_plan

RESULTS = Path("build/results/sim.json")


def run_seed(seed: int, trace: bool = False, **changes: object) -> Result:
    """One seed from plan to verdict; `changes` overrides fields of the plan."""
    plan = draw_plan(seed)
    for name, value in changes.items():
        setattr(plan, name, value)
    return World(plan, trace).run()


def run_seeds(seeds: range, console: Console) -> list[Result]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    results = []
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("seeds", total=len(seeds))
        for seed in seeds:
            result = run_seed(seed)
            results.append(result)
            if result.failure:
                progress.console.print(f"seed {seed}: {result.failure}\n  replay: {replay_command(seed)}", style="red")
            progress.advance(task)
    return results


def run_twins(count: int, console: Console) -> list[CaseResult]:
    """The first `count` Twins cases, each twice."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    results = []
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("twins", total=count)
        for result in run_cases(count):
            results.append(result)
            if result.failure:
                progress.console.print(f"Twins case {result.number}: {result.failure}", style="red")
            progress.advance(task)
    return results


def replay_command(seed: int) -> str:
    return f"python -m testnet.simulate --seed {seed} --trace"


def make_table(results: list[Result], elapsed_s: float) -> Table:
    table = Table("measure", "value")
    rows = (
        ("seeds", len(results)),
        ("failures", sum(bool(result.failure) for result in results)),
        ("blocks final", sum(result.height for result in results)),
        ("crashes", sum(result.crashes for result in results)),
        ("range syncs", sum(result.syncs for result in results)),
        ("evidence", sum(result.evidence for result in results)),
        ("events", sum(result.events for result in results)),
        ("virtual hours", f"{sum(result.virtual_ms for result in results) / 3_600_000:.2f}"),
        ("seeds per hour", f"{len(results) / elapsed_s * 3600:.0f}"),
    )
    for name, value in rows:
        table.add_row(name, str(value))
    return table


def main() -> int:
    parser = argparse.ArgumentParser(prog="testnet.simulate", description=__doc__)
    parser.add_argument("--seeds", type=int, default=500, help="how many seeds")
    parser.add_argument("--start", type=int, default=0, help="the first of them")
    parser.add_argument("--seed", type=int, default=None, help="only this one, twice, and compare (Z1)")
    parser.add_argument("--trace", action="store_true", help="print every event of --seed")
    parser.add_argument("--twins", type=int, default=0, help="how many Twins cases, each twice")
    options = parser.parse_args()
    console = Console()
    if options.seed is not None:
        first, second = run_seed(options.seed, options.trace), run_seed(options.seed)
        console.print(asdict(first))
        is_same = first.audit == second.audit
        if not is_same:
            console.print("Z1 two runs of one seed differ", style="red")
        return int(bool(first.failure) or not is_same)
    start_s = time.monotonic()
    results = run_seeds(range(options.start, options.start + options.seeds), console)
    console.print(make_table(results, time.monotonic() - start_s))
    cases = run_twins(options.twins, console)
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps([asdict(result) for result in results], indent=1) + "\n")
    return int(any(result.failure for result in results) or any(case.failure for case in cases))


if __name__ == "__main__":
    sys.exit(main())
