"""`python -m testnet.sim.fork_campaign --forks 400 --trials 8`: forced forks counted, some of them brought to court.

Exit code 0 only if there were enough forks, each named at least f+1 liars and nobody else, and the contract on a
development chain convicted as many, of real signatures.
"""

import argparse
import json
import sys
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from consensus.messages import fault_bound
from testnet.sim.courtroom import Trial, try_forks
from testnet.sim.forks import ForkResult, draw_fork_plan, iterate_forks, run_fork

RESULTS = Path("build/results/sim-forks.json")


def make_table(results: list[ForkResult]) -> Table:
    table = Table("members", "liars", "seeds", "forks", "needed", "least named by certificates", "by nodes", "failures")
    groups: dict[tuple[int, int], list[ForkResult]] = {}
    for result in results:
        groups.setdefault((result.member_count, len(result.twins)), []).append(result)
    for (members, liars), group in sorted(groups.items()):
        forks = [result for result in group if result.is_fork]
        named = [
            str(min((getattr(result, name) for result in forks), default=0)) for name in ("by_certificates", "by_nodes")
        ]
        failures = sum(bool(result.failure) for result in group)
        cells = (members, liars, len(group), len(forks), fault_bound(members) + 1, *named, failures)
        table.add_row(*(str(cell) for cell in cells))
    return table


def make_trial_table(trials: list[Trial]) -> Table:
    table = Table("seed", "members", "liars", "cases", "needed", "convicted", "failure", title="before the contract")
    for trial in trials:
        lists = [" ".join(map(str, members)) for members in (trial.liars, trial.convicted)]
        cells = (trial.seed, trial.member_count, lists[0], trial.cases, trial.needed, lists[1], trial.failure)
        table.add_row(*(str(cell) for cell in cells))
    return table


def summarise(results: list[ForkResult], elapsed_s: float) -> dict[str, object]:
    forks = [result for result in results if result.is_fork]
    rules: Counter[str] = Counter()
    node_rules: Counter[str] = Counter()
    for result in forks:
        rules.update(result.rules)
        node_rules.update(result.node_rules)
    return {
        "seeds": len(results),
        "forks": len(forks),
        "failures": [f"seed {result.seed}: {result.failure}" for result in results if result.failure],
        "fewest_named_beyond_f": min((min(r.by_certificates, r.by_nodes) - r.needed + 1 for r in forks), default=0),
        "conflicts_between_certificates": dict(sorted(rules.items())),
        "evidence_by_nodes": dict(sorted(node_rules.items())),
        "elapsed_s": round(elapsed_s, 1),
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="testnet.sim.fork_campaign", description=__doc__)
    parser.add_argument("--forks", type=int, default=400, help="how many forks to force")
    parser.add_argument("--trials", type=int, default=8, help="how many of them go to court with real signatures")
    parser.add_argument("--seed", type=int, default=None, help="only this one")
    options = parser.parse_args()
    console = Console()
    if options.seed is not None:
        result = run_fork(options.seed).result
        console.print(draw_fork_plan(options.seed), asdict(result))
        return int(bool(result.failure))
    start_s = time.monotonic()
    results = []
    for result in iterate_forks(options.forks):
        results.append(result)
        if result.failure:
            console.print(f"seed {result.seed}: {result.failure}\n  replay: {make_replay_command(result)}", style="red")
    summary = summarise(results, time.monotonic() - start_s)
    trials = try_forks([result.seed for result in results if result.is_fork][: options.trials])
    console.print(make_table(results), make_trial_table(trials), summary)
    answer = {**summary, "trials": [asdict(trial) for trial in trials], "results": [asdict(fork) for fork in results]}
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(answer, indent=1) + "\n")
    has_failed = bool(summary["failures"]) or any(trial.failure for trial in trials)
    return int(has_failed or sum(result.is_fork for result in results) < options.forks)


def make_replay_command(result: ForkResult) -> str:
    return f"python -m testnet.sim.fork_campaign --seed {result.seed}"


if __name__ == "__main__":
    sys.exit(main())
