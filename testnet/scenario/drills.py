"""`python -m testnet.scenario.drills`: every scenario of testnet/scenarios, one after the other, with a page each.

Prints a table, writes build/results/drills.json and build/drills/NAME.html (of other back ends than real processes:
drills-NAME.json, and pages in a folder of its name). Exit code 0 only if every condition of
every scenario held; 2 when one of them cannot be run on this machine.
"""

import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import cyclopts
from cyclopts import Parameter
from rich.console import Console

from testnet.failures import EXIT_FAILED, EXIT_IMPOSSIBLE, Failed
from testnet.scenario.backend import Place, Unable
from testnet.scenario.page import write_page
from testnet.scenario.parsing import load_scenario
from testnet.scenario.records import Scenario
from testnet.scenario.run_command import BACKENDS, SCENARIOS, find_scenario, play, print_verdicts
from testnet.scenario.words import ScenarioError, suggest
from testnet.verdicts import Row, exit_code, print_rows, write_rows

RESULTS, PAGES = Path("build/results"), Path("build/drills")

app = cyclopts.App(name="python -m testnet.scenario.drills", help=__doc__)


def list_names(backend: str = "processes") -> list[str]:
    """The simulator has scenarios of hours besides, in a folder of their own."""
    folders = [SCENARIOS, SCENARIOS / "virtual"] if backend == "sim" else [SCENARIOS]
    return sorted(path.stem for folder in folders for path in folder.glob("*.toml"))


@app.default
def main(
    *,
    only: Annotated[tuple[str, ...], Parameter(help="these alone")] = (),
    backend: Annotated[str, Parameter(help=f"one of {', '.join(BACKENDS)}")] = "processes",
    dir: Annotated[Path, Parameter(help="where the networks live; each made anew")] = Path(".hansa-drills/scenarios"),
    base_port: Annotated[int, Parameter(help="first port to try")] = 28600,
) -> int:
    """About a minute and a half each on processes."""
    console = Console(stderr=True)
    known = list_names(backend)
    for name in only:
        if name not in known:
            console.print(f"drills: there is no scenario {name!r}{suggest(name, known)}", highlight=False)
            return EXIT_IMPOSSIBLE
    if backend not in BACKENDS:
        console.print(f"drills: there is no back end {backend!r}{suggest(backend, list(BACKENDS))}", highlight=False)
        return EXIT_IMPOSSIBLE
    rows, bodies, is_impossible = [], [], False
    for name in only or known:
        place = Place(dir.resolve() / name, base_port)
        try:
            scenario = load_scenario(find_scenario(name))
            if refusals := BACKENDS[backend](place, console).abilities.find_refusals(scenario):
                rows.append(Row(name, f"not on this back end: {', '.join(refusals)}"))
                continue
            row, body = run_drill(scenario, backend, place, console)
        except (ScenarioError, Unable) as error:
            console.print(f"drills: {error}", markup=False, highlight=False, soft_wrap=True)
            row, body, is_impossible = Row(name, "cannot be run here", "runs", False), {"scenario": name}, True
        rows.append(row)
        bodies.append(body)
    print_rows(f"drills, {backend}; pages in {pages_of(backend)}/", rows)
    results = "drills.json" if backend == "processes" else f"drills-{backend}.json"
    write_rows(RESULTS / results, {"backend": backend, "drills": bodies}, rows)
    return EXIT_IMPOSSIBLE if is_impossible else exit_code(rows)


def pages_of(backend: str) -> Path:
    """Another back end's pages do not replace those of real validators."""
    return PAGES if backend == "processes" else PAGES / backend


def run_drill(scenario: Scenario, backend: str, place: Place, console: Console) -> tuple[Row, dict[str, Any]]:
    """A row of the table, and what is written about it. Raises `Unable`."""
    console.rule(scenario.name)
    began_s = time.monotonic()
    try:
        outcome = play(scenario, backend, place, console)
    except Failed as failed:
        body = {"scenario": scenario.name, "exit_code": failed.exit_code}
        if failed.exit_code != EXIT_FAILED:
            raise Unable(f"{scenario.name}: see above") from None
        return Row(scenario.name, "broke off", "every condition holds", False), body
    took_s = time.monotonic() - began_s
    print_verdicts(outcome, console)
    page = pages_of(backend) / f"{scenario.name}.html"
    write_page(outcome, page)
    met = sum(verdict.is_met for verdict in outcome.verdicts)
    value = (
        f"{met} of {len(outcome.verdicts)} conditions, {len(outcome.facts.liquidations)} liquidations, {took_s:.0f} s"
    )
    verdicts = [asdict(verdict) for verdict in outcome.verdicts]
    return Row(scenario.name, value, "every condition holds", outcome.is_passed), {
        "scenario": scenario.name, "took_s": round(took_s, 1), "verdicts": verdicts, "page": str(page),
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(app())
