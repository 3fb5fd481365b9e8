"""`make sim`, `make sim-long HOURS=1`, `python -m testnet.simulate --seed 7 --trace`: the node under faults.

Without options: 200 seeds with short safety phases, each twice, and 300 Twins cases. Every failure prints the command
that replays it.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

if TYPE_CHECKING:
    from testnet.sim.campaign import Campaign

RESULTS = Path("build/results")
LONG_SEEDS_MAX = 1 << 40
COLUMNS = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())


def replay_command(seed: int, is_short: bool) -> str:
    return f"python -m testnet.simulate --seed {seed}{' --short' if is_short else ''} --trace"


def run_campaign(options: argparse.Namespace, console: Console) -> "Campaign":
    """Seeds one after the other, or on several processes, under a progress bar."""
    from testnet.sim.campaign import Campaign, run_many, run_seed, run_twice

    campaign, is_short = Campaign(), options.long is None
    count = options.seeds if is_short else LONG_SEEDS_MAX
    seeds = range(options.start, options.start + count)
    start_s = time.monotonic()
    with Progress(*COLUMNS, console=console, disable=options.quiet) as progress:
        label = "seeds" if is_short else f"seeds in {options.long:g} h"
        task = progress.add_task(label, total=count if is_short else None)
        for result, cpu_s in run_many(run_twice if is_short else run_seed, seeds, options.workers, options.long):
            campaign.add(result)
            campaign.cpu_s += cpu_s
            if result.failure:
                command = replay_command(result.seed, is_short)
                progress.console.print(f"seed {result.seed}: {result.failure}\n  replay: {command}", style="red")
            progress.advance(task)
    campaign.elapsed_s = time.monotonic() - start_s
    return campaign


def run_twins(options: argparse.Namespace, console: Console) -> list[str]:
    """The first Twins cases, each twice; the failures."""
    from testnet.sim.twins import run_cases

    failures = []
    with Progress(*COLUMNS, console=console, disable=options.quiet) as progress:
        task = progress.add_task("twins", total=options.twins)
        for result in run_cases(options.twins):
            if result.failure:
                failures.append(f"Twins case {result.number}: {result.failure}")
                progress.console.print(failures[-1], style="red")
            progress.advance(task)
    return failures


def show(campaign: "Campaign", console: Console) -> None:
    table = Table("measure", "value")
    for row in campaign.summarise():
        table.add_row(*row)
    console.print(table)
    fired = Table("fault, behaviour, repair", "times")
    for name, count in sorted(campaign.fired.items()):
        fired.add_row(name, str(count))
    console.print(fired)
    for name in campaign.never_fired:
        console.print(f"never fired: {name}", style="red")


def run_one(options: argparse.Namespace, console: Console) -> int:
    """Replay one seed or plan, twice (Z1), or reduce it."""
    from testnet.sim.campaign import SHORT_SAFETY_MS, run_plan
    from testnet.sim.plan import decode_plan, encode_plan
    from testnet.sim.reduce import reduce_plan
    from testnet.sim.swarm import draw_plan

    def make_plan() -> Any:
        if options.plan is not None:
            return decode_plan(options.plan)
        plan = draw_plan(options.seed)
        return draw_plan(options.seed, min(plan.safety_ms, SHORT_SAFETY_MS)) if options.short else plan

    first, second = run_plan(make_plan(), options.trace), run_plan(make_plan())
    console.print({name: value for name, value in asdict(first).items() if name != "fired"})
    if options.reduce and first.failure:
        for note in reduce_plan(make_plan(), first.failure):
            console.print(note, markup=False)
        return 1
    console.print(f"plan: {encode_plan(make_plan())}", markup=False)
    if first != second:
        console.print("Z1 two runs of one seed differ", style="red")
    return int(bool(first.failure) or first != second)


def iterate_options() -> Iterator[tuple[str, dict[str, Any]]]:
    yield "--seeds", {"type": int, "default": 200, "help": "how many short seeds, each twice"}
    yield "--twins", {"type": int, "default": 300, "help": "how many Twins cases, each twice"}
    yield "--start", {"type": int, "default": 0, "help": "the first seed"}
    yield "--workers", {"type": int, "default": os.cpu_count() or 1, "help": "processes"}
    yield "--long", {"type": float, "default": None, "metavar": "HOURS", "help": "seeds of full length for so long"}
    yield "--seed", {"type": int, "default": None, "help": "only this one, twice, and compare (Z1)"}
    yield "--short", {"action": "store_true", "help": "with --seed: a short safety phase, as without --long"}
    yield "--plan", {"default": None, "help": "only this plan (JSON, as --reduce prints it)"}
    yield "--trace", {"action": "store_true", "help": "print every event of --seed or --plan"}
    yield (
        "--reduce",
        {"action": "store_true", "help": "of a failing --seed or --plan, the least plan that fails so"},
    )
    yield "--quiet", {"action": "store_true", "help": "no progress bar"}


def main() -> int:
    parser = argparse.ArgumentParser(prog="testnet.simulate", description=__doc__)
    for name, settings in iterate_options():
        parser.add_argument(name, **settings)
    options = parser.parse_args()
    console = Console()
    if options.seed is not None or options.plan is not None:
        return run_one(options, console)
    campaign = run_campaign(options, console)
    show(campaign, console)
    twins_failures = run_twins(options, console) if options.long is None else []
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / ("sim.json" if options.long is None else "sim-long.json")
    path.write_text(json.dumps(campaign.to_json() | {"twins failures": twins_failures}, indent=1) + "\n")
    return int(bool(campaign.failures or campaign.never_fired or twins_failures))


if __name__ == "__main__":
    sys.exit(main())
