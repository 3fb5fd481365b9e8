"""`python -m testnet.hostile`: four validators trade while they are attacked, one kind of attack after the other."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import cyclopts
import trio
from cyclopts import Parameter
from rich.console import Console

from contracts.settlement import ChainError, Refused
from testnet.homes import FolderError
from testnet.hostile.campaign import Campaign, make_options
from testnet.hostile.verdict import exit_code, print_rows, write_results
from testnet.launch import LaunchError
from testnet.local import ChildDied, Processes

EXIT_NOT_RUN = 2
Attack = Literal[
    "junk", "slow negotiation", "connections", "handshakes", "api flood", "api junk", "api slow readers", "gossip spam",
    "member never reads", "member drips", "member repeats", "member out of protocol", "member breaks frames",
]  # fmt: skip

app = cyclopts.App(name="python -m testnet.hostile", help=__doc__)


@app.default
def main(
    *,
    duration_s: Annotated[int, Parameter(name="--duration", help="seconds in all; 60 to try it out")] = 600,
    rate: Annotated[float, Parameter(help="commands per second, all traders together")] = 20.0,
    seed: Annotated[int, Parameter(help="of prices and traders")] = 1,
    dir: Annotated[Path, Parameter(help="where the network lives; made anew")] = Path(".hansa-drills/hostile"),
    base_port: Annotated[int, Parameter(help="first port to try")] = 30_600,
    only: Annotated[tuple[Attack, ...], Parameter(help="attacks to run")] = (),
) -> int:
    """Exit code 0: agreement went on, memory stayed bounded, who attacked was shut out and nobody else.

    Example: python -m testnet.hostile --duration 60
    """
    console = Console(stderr=True)
    options = make_options(dir.resolve(), duration_s, rate, seed, base_port)
    try:
        with Processes() as processes:
            rows, ending = trio.run(Campaign(options, processes, console, only).run)
    except (FolderError, LaunchError, ChildDied, ChainError, Refused) as error:
        console.print(f"hostile: {error}", markup=False, highlight=False, soft_wrap=True)
        return EXIT_NOT_RUN
    print_rows(rows, ending, Console(width=180))
    write_results(rows, ending)
    return exit_code(rows, ending)


if __name__ == "__main__":
    sys.exit(app())
