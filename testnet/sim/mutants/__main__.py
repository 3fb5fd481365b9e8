"""`python -m testnet.sim.mutants`: plant every bug, print what found it, fail if one survives."""

import argparse
import json
import multiprocessing
import sys
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from testnet.sim.mutants.campaign import MUTANTS, Control, Verdict, choose_controls, control, hunt
from testnet.sim.mutants.patches import Mutant

RESULTS = Path("build/results/mutants.json")


def run_all(mutants: list[Mutant], workers: int, console: Console) -> tuple[list[Verdict], list[Control]]:
    """Every mutant in a process of its own, so that nothing cached outlives it."""
    context = multiprocessing.get_context("fork")
    with context.Pool(workers, maxtasksperchild=1) as pool:
        verdicts = []
        for verdict in pool.imap(hunt, mutants):
            verdicts.append(verdict)
            found = f"seed {verdict.seed}: {verdict.failure}" if verdict.failure else "SURVIVED"
            line = f"{verdict.name} [{verdict.profile}] {verdict.elapsed_s:.0f} s, {found}"
            console.print(line, highlight=False, markup=False)
        controls = pool.starmap(control, choose_controls(verdicts).items())
    return verdicts, controls


def make_table(verdicts: list[Verdict]) -> Table:
    table = Table("mutant", "rule", "profile", "killed by seed", "seeds tried", "seconds", "property")
    for verdict in verdicts:
        seed = "survived" if verdict.seed is None else str(verdict.seed)
        numbers = (seed, str(verdict.seeds_tried), f"{verdict.elapsed_s:.1f}")
        table.add_row(verdict.name, verdict.rule, verdict.profile, *numbers, verdict.checker)
    return table


def main() -> int:
    parser = argparse.ArgumentParser(prog="testnet.sim.mutants", description=__doc__)
    parser.add_argument("--only", default="", help="mutants whose name contains this")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    options = parser.parse_args()
    console = Console()
    mutants = [mutant for mutant in MUTANTS if options.only in mutant.name]
    verdicts, controls = run_all(mutants, options.workers, console)
    survivors = [verdict.name for verdict in verdicts if verdict.seed is None]
    failures = [f"{entry.profile}: {failure}" for entry in controls for failure in entry.failures]
    console.print(make_table(verdicts))
    console.print(f"{len(verdicts) - len(survivors)} of {len(verdicts)} mutants killed", highlight=False)
    console.print(f"unmutated: {sum(entry.seeds for entry in controls)} runs, {len(failures)} failures")
    for line in (*survivors, *failures):
        console.print(line, style="red", markup=False)
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    answer = {
        "killed": len(verdicts) - len(survivors),
        "mutants": [{**asdict(verdict), "checker": verdict.checker} for verdict in verdicts],
        "unmutated": [asdict(entry) for entry in controls],
    }
    RESULTS.write_text(json.dumps(answer, indent=1) + "\n")
    return int(bool(survivors or failures or not verdicts))


if __name__ == "__main__":
    sys.exit(main())
