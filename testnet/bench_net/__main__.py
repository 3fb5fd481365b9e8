"""`python -m testnet.bench_net`: orders a second through four validators on this machine, every signature checked and
every command executed on every node.

Load comes from client processes that are connected to different nodes. For commands signed one by one and in batches of
20 and 100: the highest rate that is kept up, then half of it for the time to finality. Beside it, in the same run, the
same engine behind a single node, and four nodes that speak over bare TCP instead of libp2p. Prints tables, writes
`build/results/bench-net.json`; exit code 0 only if every goal that was measured is met and all nodes end with the same
chain. Measure on a machine that does nothing else.
"""

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import cyclopts
import trio
from cyclopts import Parameter
from rich.console import Console

from engine.commands import compute_domain_separator
from testnet.bench_net import table
from testnet.bench_net.accounts import LoadError, deposit_all, spread_all
from testnet.bench_net.clients import ClientFleet
from testnet.bench_net.figures import Figures
from testnet.bench_net.nodes import Disagreement, wait_for_same_chain
from testnet.bench_net.prices import keep_prices
from testnet.bench_net.profiler import Profiler, find_command
from testnet.bench_net.rounds import KINDS, Kind, Rounds
from testnet.homes import FolderError
from testnet.launch import Launcher, LaunchError, Network, Options, in_thread
from testnet.local import ChildDied, Processes
from testnet.terms import Terms
from validator.compilecache import prepare_compile_cache
from validator.config import address_bytes

RESULTS = Path("build/results/bench-net.json")
WINDOW_S, QUICK_WINDOW_S = 60.0, 10.0
Setup = Literal["hansa", "single", "raw"]
SETUPS: tuple[Setup, ...] = ("hansa", "single", "raw")
TITLES = {"hansa": "four validators", "single": "one node, no network", "raw": "four, bare TCP"}
VALIDATORS = {"hansa": 4, "single": 1, "raw": 4}
MODULES = {"hansa": "validator", "single": "validator", "raw": "testnet.bench_net.raw_node"}
KindName = Literal["json", "1", "20", "100"]
EXAMPLES = """Examples:

  python -m testnet.bench_net

  python -m testnet.bench_net --quick --only hansa --kinds 100 --profile

  python -m testnet.bench_net --only hansa --kinds 20 --rate 12500 --duration 30
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """What the user asked for. `rate_per_s` 0: look for the highest."""

    setups: tuple[Setup, ...]
    kinds: tuple[Kind, ...]
    window_s: float
    rate_per_s: float
    base_port: int
    folder: Path
    profiler: Profiler | None
    is_kept: bool


async def measure(plan: Plan, setup: Setup, kind: Kind, console: Console) -> list[Figures]:
    """All windows of one network for one kind of load, from its founding to its end."""
    rows = []
    with Processes() as processes:
        async with open_network(plan, setup, processes, console) as network:
            fleet = ClientFleet(processes, network, plan.folder / setup)
            rounds = Rounds(TITLES[setup], network, fleet, plan.window_s, console, plan.profiler)
            if plan.profiler is not None:
                plan.profiler.label = f"{TITLES[setup]}, {kind.name}, full load"
            if setup == "hansa" and kind == plan.kinds[0] and not plan.rate_per_s:
                rows.append(await rounds.measure_idle(kind))
            if plan.rate_per_s:
                rows.append(await rounds.measure_at(kind, "full", plan.rate_per_s))
            else:
                rows.append(full := await rounds.measure_full(kind))
                if setup == "hansa":
                    rows.append(await rounds.measure_half(kind, full))
            fleet.stop()
            height = await wait_for_same_chain(network)
            rounds.note(kind, "end", f"all nodes have the same chain up to height {height}")
    return rows


@asynccontextmanager
async def open_network(plan: Plan, setup: Setup, processes: Processes, console: Console) -> AsyncIterator[Network]:
    """A new network whose traders have money."""
    folder = plan.folder / setup
    prices = plan.folder / "prices.json"
    options = Options(
        VALIDATORS[setup], folder / "network", "embedded", 1, 0, True, 1.0, plan.base_port, True,
        Terms(price_source=f"file:{prices}"), validator_module=MODULES[setup],
    )  # fmt: skip
    async with trio.open_nursery() as nursery:
        await nursery.start(keep_prices, prices)
        network = await Launcher(options, processes, console).bring_up()
        console.print(f"{TITLES[setup]}: deposits of the traders", highlight=False)
        contract = address_bytes(network.config.contract)
        await in_thread(deposit_all, network.rpc_url, network.config.contract)
        await in_thread(spread_all, network.api_urls[0], compute_domain_separator(network.config.chain_id, contract))
        yield network
        nursery.cancel_scope.cancel()


app = cyclopts.App(name="python -m testnet.bench_net", help=__doc__, help_epilogue=EXAMPLES)


@app.default
def main(
    *,
    only: Annotated[tuple[Setup, ...], Parameter(help="which networks", consume_multiple=True)] = SETUPS,
    kinds: Annotated[tuple[KindName, ...], Parameter(help="actions a message", consume_multiple=True)] = (
        "1", "20", "100", "json",
    ),
    duration_s: Annotated[float, Parameter(name="--duration", help="seconds of a window")] = WINDOW_S,
    quick: Annotated[bool, Parameter(help="windows of ten seconds", negative="")] = False,
    rate: Annotated[float, Parameter(help="commands a second to offer; 0 looks for the highest")] = 0.0,
    profile: Annotated[bool, Parameter(help="py-spy on one node under full load", negative="")] = False,
    native: Annotated[bool, Parameter(help="with frames of C code", negative="")] = False,
    base_port: Annotated[int, Parameter(help="first port to try")] = 27600,
    dir: Annotated[Path | None, Parameter(help="keep networks and logs there; without it they are deleted")] = None,
) -> int:  # fmt: skip
    """About half an hour; with --quick some eight minutes."""
    prepare_compile_cache()  # children take it from the environment
    console = Console(stderr=True)
    if profile and find_command() is None:
        console.print("py-spy is not on the PATH: install it, or leave --profile out")
        return 2
    folder = dir or Path(tempfile.mkdtemp(prefix="hansa-bench-"))
    folder.mkdir(parents=True, exist_ok=True)
    profiler = Profiler(folder, native) if profile else None
    window_s = QUICK_WINDOW_S if quick else duration_s
    plan = Plan(
        only,
        tuple(KINDS[kind] for kind in kinds),
        window_s,
        rate,
        base_port,
        folder.resolve(),
        profiler,
        dir is not None,
    )
    try:
        rows, failures = run(plan, console)
    finally:
        if dir is None:
            shutil.rmtree(folder, ignore_errors=True)
    return report(rows, failures, profiler, window_s)


def run(plan: Plan, console: Console) -> tuple[list[Figures], list[str]]:
    """Every kind of load on a network of its own, for blocks by the gigabyte stay with each. What failed does not keep
    the rest from being measured.
    """
    rows: list[Figures] = []
    failures: list[str] = []
    for setup in plan.setups:
        for kind in plan.kinds:
            if setup != "hansa" and not kind.goal_per_s and len(plan.kinds) > 1:
                continue  # JSON beside frames is no matter of links
            try:
                rows += trio.run(measure, plan, setup, kind, console)
            except* Exception as group:  # a node that does not answer, a process that ended: many kinds, one meaning
                failures.append(f"{TITLES[setup]}, {kind.name}: {describe(_find_first(group))}")
                console.print(f"[red]failed[/] {failures[-1]}", highlight=False)
            if not plan.is_kept:
                shutil.rmtree(plan.folder / setup, ignore_errors=True)
    return rows, failures


def describe(error: BaseException) -> str:
    """Our own errors say what to do; of others the kind matters, too."""
    is_ours = isinstance(error, (LaunchError, FolderError, ChildDied, Disagreement, LoadError))
    return str(error) if is_ours else repr(error)


def _find_first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    first = group.exceptions[0]
    return _find_first(first) if isinstance(first, BaseExceptionGroup) else first


def report(rows: list[Figures], failures: list[str], profiler: Profiler | None, window_s: float) -> int:
    """Tables and results; the exit code."""
    console = Console(width=None if sys.stdout.isatty() else 200)
    goals = table.judge(rows, TITLES["hansa"])
    table.print_rows(console, rows)
    table.print_ratios(console, rows, TITLES["hansa"])
    table.print_details(console, rows)
    table.print_profiles(console, profiler.profiles if profiler is not None else [])
    table.print_goals(console, goals)
    about = {
        "cores": os.cpu_count(), "python": platform.python_version(), "window_s": window_s,
        "load_average": [round(value, 1) for value in os.getloadavg()],
    }  # fmt: skip
    for failure in failures:
        console.print(f"failed: {failure}", highlight=False, markup=False)
    table.write_results(RESULTS, rows, goals, about | {"failures": failures})
    return 0 if not failures and all(goal.is_met for goal in goals) else 1


if __name__ == "__main__":
    sys.exit(app())
