"""`python -m testnet.soak`: an hour of a small exchange's life, sampled every five seconds; nothing may grow in it."""

import sys
from pathlib import Path
from typing import Annotated

import cyclopts
import trio
from cyclopts import Parameter
from rich.console import Console

from contracts.settlement import ChainError, Refused
from testnet.homes import FolderError
from testnet.launch import LaunchError, Options
from testnet.local import ChildDied, Processes
from testnet.soak.run import Soak
from testnet.soak.verdict import exit_code, list_rows, print_rows, write_results

EXIT_NOT_RUN = 2
# Caches fill, books find their depth, the allocator its size: that is no growth yet.
WARM_UP_SHARE = 0.25
WARM_UP_S_MAX = 600.0

app = cyclopts.App(name="python -m testnet.soak", help=__doc__)


@app.default
def main(
    *,
    duration_s: Annotated[int, Parameter(name="--duration", help="seconds; 120 to try it out")] = 3600,
    rate: Annotated[float, Parameter(help="commands per second, all traders together")] = 20.0,
    seed: Annotated[int, Parameter(help="of prices, traders and visitors")] = 1,
    dir: Annotated[Path, Parameter(help="where the network lives; made anew")] = Path(".hansa-drills/soak"),
    base_port: Annotated[int, Parameter(help="first port to try")] = 30_800,
) -> int:
    """Exit code 0: no memory, handles, threads or tasks grew after the warm-up, and everybody came back.

    Example: python -m testnet.soak --duration 120
    """
    console = Console(stderr=True)
    options = Options(4, dir.resolve(), "embedded", seed, duration_s, True, rate, base_port, True)
    try:
        with Processes() as processes:
            soak = Soak(options, processes, console)
            trio.run(soak.run)
    except (FolderError, LaunchError, ChildDied, ChainError, Refused) as error:
        console.print(f"soak: {error}", markup=False, highlight=False, soft_wrap=True)
        return EXIT_NOT_RUN
    warm_up_s = min(WARM_UP_S_MAX, WARM_UP_SHARE * duration_s)
    rows = []
    for name, held in soak.lives.items():
        began_s = held[0].time_s
        rows += list_rows(name, [moment for moment in held if moment.time_s - began_s >= warm_up_s])
    print_rows(rows, Console(width=150))
    visits = soak.visits
    console.print(f"{visits.came} visits, {visits.failed} of which found nobody in", highlight=False)
    for problem in soak.problems:
        console.print(f"problem: {problem}", markup=False, highlight=False, soft_wrap=True)
    write_results(rows, soak.problems, duration_s)
    return exit_code(rows, soak.problems)


if __name__ == "__main__":
    sys.exit(app())
