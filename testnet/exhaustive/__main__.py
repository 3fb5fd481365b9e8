"""`python -m testnet.exhaustive`: every order of messages of four members in two views, and what removed rules do."""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from testnet.exhaustive.campaign import FULL, QUICK, WALKS, check_removal, check_scenario, get_removal, get_scenario
from testnet.exhaustive.removals import REMOVALS
from testnet.exhaustive.search import Outcome
from testnet.exhaustive.universe import SCENARIOS

RESULTS = Path("build/results/exhaustive.json")
BOUNDS = (
    "4 members, 1 of them byzantine, views 1 and 2; two blocks a parent from a byzantine leader; no restarts, no range "
    "sync; late hosts only under honest leaders (the others by --scenario)"
)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="testnet.exhaustive", description=__doc__)
    parser.add_argument("--scenario", choices=[known.name for known in SCENARIOS], help="only this one")
    parser.add_argument("--quick", action="store_true", help="the smallest scenario and all removed rules: seconds")
    parser.add_argument("--states", type=int, default=None, help="stop each scenario after so many states")
    parser.add_argument("--without", choices=list(REMOVALS), help="only this rule removed: must be noticed")
    parser.add_argument("--all-mutations", action="store_true", help="only the removed rules, one after the other")
    return parser.parse_args()


def choose(options: argparse.Namespace) -> tuple[list[str], list[str]]:
    """Names of scenarios and of rules to remove."""
    if options.without:
        return [], [options.without]
    if options.all_mutations:
        return [], list(REMOVALS)
    if options.scenario:
        return [options.scenario], []
    if options.quick:
        return list(QUICK), list(REMOVALS)
    return list(FULL), list(REMOVALS)


def make_table(outcomes: list[Outcome]) -> Table:
    table = Table(
        "scenario", "states", "transitions", "depth", "member states", "core calls", "walks", "seconds", "verdict"
    )
    for known in outcomes:
        verdict = known.violation or ("all properties hold" if known.is_complete else "cut off, holds so far")
        numbers = (known.states, known.transitions, known.depth, known.member_states, known.core_calls, known.walks)
        table.add_row(known.scenario, *(f"{number:,}" for number in numbers), f"{known.elapsed_s:.1f}", verdict)
    return table


def make_removal_table(found: dict[str, Outcome]) -> Table:
    table = Table("without", "what it then does", "states", "seconds", "steps", "noticed as")
    for rule, known in found.items():
        steps = str(len(known.trace))
        noticed = known.violation or "NOT NOTICED"
        table.add_row(rule, get_removal(rule).text, f"{known.states:,}", f"{known.elapsed_s:.1f}", steps, noticed)
    return table


def print_trace(console: Console, title: str, outcome: Outcome) -> None:
    """The shortest way to the violation."""
    console.print(f"{title}: {outcome.violation or 'nothing found'}")
    for count, line in enumerate(outcome.trace, 1):
        console.print(f"  {count}. {line}")


def main() -> int:
    options = parse_options()
    scenarios, rules = choose(options)
    console, errors = Console(width=160, highlight=False), Console(stderr=True)
    outcomes: list[Outcome] = []
    found: dict[str, Outcome] = {}
    for name in scenarios:
        errors.print(f"checking: {name}")
        outcomes.append(check_scenario(get_scenario(name), options.states, WALKS))
        if outcomes[-1].violation:
            print_trace(console, name, outcomes[-1])
    for rule in rules:
        errors.print(f"removing {rule}")
        found[rule] = check_removal(get_removal(rule))
        print_trace(console, f"without {rule}", found[rule])
    if outcomes:
        console.print(make_table(outcomes))
        console.print(f"bounds: {BOUNDS}")
    if found:
        console.print(make_removal_table(found))
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    results = {
        "bounds": BOUNDS,
        "scenarios": [asdict(outcome) for outcome in outcomes],
        "removed": {rule: asdict(outcome) for rule, outcome in found.items()},
    }
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    return int(any(outcome.violation for outcome in outcomes) or not all(known.violation for known in found.values()))


if __name__ == "__main__":
    sys.exit(main())
