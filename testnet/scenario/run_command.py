"""`hansa testnet run`: one scenario on one back end, judged."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import trio
from rich.console import Console
from rich.table import Table

from testnet.failures import EXIT_FAILED, EXIT_IMPOSSIBLE, Failed, attempt, wait_for_signal
from testnet.scenario.backend import Backend, Place, Unable, refuse_what_it_lacks
from testnet.scenario.page import write_page
from testnet.scenario.parsing import load_scenario
from testnet.scenario.records import Scenario
from testnet.scenario.running import Outcome, run_scenario
from testnet.scenario.words import ScenarioError
from testnet.verdicts import LINE_WIDTH

SCENARIOS = Path(__file__).resolve().parent.parent / "scenarios"


def make_processes(place: Place, console: Console) -> Backend:
    from testnet.scenario.ground import ProcessGround
    from testnet.scenario.process_backend import ProcessBackend

    return ProcessBackend(place, console, ProcessGround())


def make_containers(place: Place, console: Console) -> Backend:
    from testnet.scenario.container_ground import ContainerGround
    from testnet.scenario.process_backend import ProcessBackend

    return ProcessBackend(place, console, ContainerGround(console))


def make_simulator(_: Place, __: Console) -> Backend:
    from testnet.scenario.simulator_backend import SimulatorBackend

    return SimulatorBackend()


BACKENDS: dict[str, Callable[[Place, Console], Backend]] = {
    "processes": make_processes,
    "docker": make_containers,
    "sim": make_simulator,
}


def find_scenario(name: str) -> Path:
    """A file, or the name of one of ours."""
    own = [folder / f"{name}.toml" for folder in (SCENARIOS, SCENARIOS / "virtual")]
    return next((path for path in own if path.exists() and not Path(name).exists()), Path(name))


async def _run(scenario: Scenario, backend: Backend, console: Console) -> Outcome:
    def say(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait_for_signal)
        outcome = await run_scenario(scenario, backend, say)
        nursery.cancel_scope.cancel()
    return outcome


def play(scenario: Scenario, backend_name: str, place: Place, console: Console) -> Outcome:
    """Run it. Raises `Unable` where it cannot be, `Failed` after saying why the run did not come to its end."""
    backend = BACKENDS[backend_name](place, console)
    refuse_what_it_lacks(backend, scenario)
    place.folder.parent.mkdir(parents=True, exist_ok=True)
    return attempt(console, scenario.name, lambda: trio.run(_run, scenario, backend, console))


def run_one(name: str, backend_name: str, place: Place, is_json: bool, page: Path | None) -> int:
    """0: every condition holds; 1: one does not, or the run broke off; 2: file or machine do not allow it."""
    console = Console(stderr=True)
    try:
        scenario = load_scenario(find_scenario(name))
        outcome = play(scenario, backend_name, place, console)
    except (ScenarioError, Unable) as error:
        console.print(f"hansa testnet run: {error}", markup=False, highlight=False, soft_wrap=True)
        return EXIT_IMPOSSIBLE
    except Failed as failed:
        return failed.exit_code
    if page is not None:
        write_page(outcome, page)
    if is_json:
        print(json.dumps(to_json(outcome)))
    print_verdicts(outcome, console if is_json else Console())
    return 0 if outcome.is_passed else EXIT_FAILED


def to_json(outcome: Outcome) -> dict[str, Any]:
    facts = asdict(outcome.facts)
    for name in ("samples", "finals"):
        del facts[name]
    return {
        "scenario": outcome.scenario.name, "backend": outcome.backend, "passed": outcome.is_passed,
        "verdicts": [asdict(verdict) for verdict in outcome.verdicts],
        "happenings": [asdict(happening) for happening in outcome.happenings], "facts": facts,
    }  # fmt: skip


def print_verdicts(outcome: Outcome, console: Console) -> None:
    table = Table("condition", "measured", "", title=f"{outcome.scenario.title} ({outcome.backend})")
    for verdict in outcome.verdicts:
        table.add_row(verdict.text, verdict.measured, "[green]ok[/]" if verdict.is_met else "[red]FAILED[/]")
    (console if console.is_terminal else Console(file=console.file, width=LINE_WIDTH)).print(table)
