"""`python -m testnet.scenario.seeds`: scenarios in virtual time, on many seeds each.

A seed decides prices, traders and every delay, so each is another run of the same story; all conditions must hold in
all of them. A failure is repeated by `--only NAME --first SEED --count 1`. Writes build/results/drills-seeds.json; exit
code 0 only if every run passed.
"""

import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated

import cyclopts
import trio
from cyclopts import Parameter
from rich.console import Console

from testnet.failures import EXIT_IMPOSSIBLE
from testnet.scenario.drills import list_names
from testnet.scenario.parsing import load_scenario
from testnet.scenario.run_command import find_scenario
from testnet.scenario.running import run_scenario
from testnet.scenario.simulator_backend import SimulatorBackend
from testnet.scenario.words import suggest
from testnet.verdicts import Row, exit_code, print_rows, write_rows

RESULTS = Path("build/results/drills-seeds.json")
# Worlds leave holes in a process' memory (testnet.sim.campaign).
RUNS_OF_A_PROCESS = 12

app = cyclopts.App(name="python -m testnet.scenario.seeds", help=__doc__)


@dataclass(slots=True)
class Trial:
    """One scenario on one seed; `unmet`: what was measured where a condition failed."""

    name: str
    seed: int
    took_s: float = 0.0
    liquidations: int = 0
    unmet: list[str] = field(default_factory=list)


def try_seed(job: tuple[str, int]) -> Trial:
    """In a process of its own."""
    name, seed = job
    scenario = load_scenario(find_scenario(name))
    scenario = replace(scenario, network=replace(scenario.network, seed=seed))
    trial, start_s = Trial(name, seed), time.process_time()
    try:
        outcome = trio.run(run_scenario, scenario, SimulatorBackend(), lambda _: None)
    except Exception as error:  # whatever it is, the seed that does it is the finding
        trial.unmet.append(f"{type(error).__name__}: {error}")
    else:
        trial.unmet = [f"{verdict.name}: {verdict.measured}" for verdict in outcome.verdicts if not verdict.is_met]
        trial.liquidations = len(outcome.facts.liquidations)
    trial.took_s = round(time.process_time() - start_s, 1)
    return trial


def run_all(jobs: list[tuple[str, int]], workers: int) -> Iterator[Trial]:
    context = multiprocessing.get_context("forkserver")
    with context.Pool(workers, maxtasksperchild=RUNS_OF_A_PROCESS) as pool:
        yield from pool.imap(try_seed, jobs)


@app.default
def main(
    *,
    only: Annotated[tuple[str, ...], Parameter(help="these scenarios alone")] = (),
    count: Annotated[int, Parameter(help="how many seeds of each")] = 10,
    first: Annotated[int, Parameter(help="the first seed")] = 1,
    workers: Annotated[int, Parameter(help="processes")] = os.cpu_count() or 1,
) -> int:
    """Some seconds of one processor a run."""
    console, known = Console(stderr=True), list_names("sim")
    for name in only:
        if name not in known:
            console.print(f"seeds: there is no scenario {name!r}{suggest(name, known)}", highlight=False)
            return EXIT_IMPOSSIBLE
    names = only or tuple(known)
    trials: list[Trial] = []
    for trial in run_all([(name, seed) for name in names for seed in range(first, first + count)], workers):
        trials.append(trial)
        for text in trial.unmet:
            console.print(f"{trial.name}, seed {trial.seed}: {text}", style="red", markup=False, soft_wrap=True)
    rows = [make_row(name, [trial for trial in trials if trial.name == name]) for name in names]
    print_rows(f"scenarios on seeds {first} to {first + count - 1}", rows)
    write_rows(RESULTS, {"trials": [asdict(trial) for trial in trials]}, rows)
    return exit_code(rows)


def make_row(name: str, trials: list[Trial]) -> Row:
    passed = sum(not trial.unmet for trial in trials)
    liquidations = sum(trial.liquidations for trial in trials)
    took_s = sum(trial.took_s for trial in trials) / max(1, len(trials))
    value = f"{passed} of {len(trials)} passed, {liquidations} liquidations, {took_s:.1f} s of processor each"
    return Row(name, value, "every condition holds on every seed", passed == len(trials) > 0)


if __name__ == "__main__":
    sys.exit(app())
