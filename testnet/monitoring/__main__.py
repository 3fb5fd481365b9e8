"""`python -m testnet.monitoring`: a local network under the Prometheus files that `hansa dashboards export` writes.

promtool judges them; a Prometheus scrapes four trading validators; then every rule must be evaluated, every number
there, and every panel of the dashboard has data. Exit code 0 only if all hold, 2 where Prometheus is not installed.
"""

import json
import sys
import time
from pathlib import Path
from typing import Annotated

import cyclopts
import trio
from cyclopts import Parameter
from rich.console import Console

from contracts.records import ChainError, Refused
from net.client import HansaError
from testnet.drill_escape import list_leaves
from testnet.homes import FolderError
from testnet.launch import Launcher, LaunchError, Options
from testnet.local import ChildDied, Processes
from testnet.monitoring.check import check_files, check_server, read_courses
from testnet.monitoring.prometheus import Missing, Programs, Prometheus, find_programs, start_server
from testnet.ports import PortLease
from testnet.verdicts import Row, exit_code, print_rows, write_rows
from validator.dashboards_command import find_targets, write_files

RESULTS = Path("build/results/check-dashboards.json")
PANELS = Path("build/results/check-dashboards-panels.json")  # for tests/grafana, which draws them
PORT_OFFSET = 400
EXIT_BROKEN = 2


async def watch(
    options: Options, processes: Processes, programs: Programs, console: Console, duration_s: float, hold_s: float
) -> list[Row]:
    """The network, its Prometheus, and what that shows."""
    launcher = Launcher(options, processes, console)
    network = await launcher.bring_up()
    launcher.start_traders(5)
    (port,) = PortLease().choose(options.base_port + PORT_OFFSET, 1)
    folder, url = options.folder / "monitoring", f"http://127.0.0.1:{port}"
    write_files(folder, find_targets((), options.folder), url)
    rows = check_files(programs, folder)
    start_server(processes, programs, folder, port)
    async with Prometheus(url) as server:
        await server.wait()
        console.print(f"Prometheus watches at {url}", highlight=False)
        await trio.sleep(duration_s)
        rows += [row async for row in check_server(server, len(network.nodes))]
        courses = await read_courses(server, time.time(), duration_s)
    PANELS.parent.mkdir(parents=True, exist_ok=True)
    PANELS.write_text(json.dumps(courses))
    if hold_s:
        print_rows(f"{url} stays for {hold_s:.0f} s", rows)
        await trio.sleep(hold_s)
    return rows


def main(
    *,
    dir: Annotated[Path, Parameter(help="where the network lives; made anew")] = Path(".hansa-drills/monitoring"),
    validators: Annotated[int, Parameter(help="committee size")] = 4,
    duration_s: Annotated[float, Parameter(name="--duration", help="seconds that Prometheus watches first")] = 60.0,
    hold_s: Annotated[float, Parameter(name="--hold", help="seconds that everything stays afterwards")] = 0.0,
    rate: Annotated[float, Parameter(help="commands per second, all traders together")] = 30.0,
    base_port: Annotated[int, Parameter(help="first port to try")] = 32600,
) -> int:
    """Check the exported dashboards and alert rules against a running network.

    Example: python -m testnet.monitoring --duration 120
    """
    console = Console(stderr=True)
    try:
        programs = find_programs()
    except Missing as error:
        console.print(f"check-dashboards: {error}", markup=False, highlight=False, soft_wrap=True)
        return EXIT_BROKEN
    options = Options(validators, dir.resolve(), "embedded", 1, 0, True, rate, base_port, is_fresh=True)
    started_s, failures, rows = time.monotonic(), list[BaseException](), list[Row]()
    with Processes() as processes:
        try:
            rows = trio.run(watch, options, processes, programs, console, duration_s, hold_s)
        except* (FolderError, LaunchError, ChildDied, ChainError, Refused, HansaError, trio.TooSlowError) as group:
            failures += list_leaves(group)
    for failure in failures:
        console.print(f"check-dashboards: {failure!r}", markup=False, highlight=False, soft_wrap=True)
    if failures:
        return EXIT_BROKEN
    print_rows("dashboards and alert rules against a running network", rows)
    write_rows(RESULTS, {"validators": validators, "elapsed_s": round(time.monotonic() - started_s, 1)}, rows)
    return exit_code(rows)


if __name__ == "__main__":
    sys.exit(cyclopts.App(name="monitoring", default_command=main)())
