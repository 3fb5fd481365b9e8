"""`python -m testnet.sixteen`: a committee of sixteen on one machine forms, agrees, loses f members and gets them back.

All its processes are forked from one. Prints what a block costs beside the model of its frames, writes
build/results/bench-sixteen.json; exit code 0 only if blocks go on after the kills, all come back and vote, and every
node has the same roots.
"""

import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import cyclopts
import trio
from cyclopts import Parameter
from rich.console import Console

from testnet.failures import Failed, attempt
from testnet.launch import Options
from testnet.sixteen.figures import list_rows
from testnet.sixteen.network import Outcome, run_committee
from testnet.verdicts import exit_code, print_rows, write_rows

RESULTS = Path("build/results/bench-sixteen.json")

app = cyclopts.App(name="python -m testnet.sixteen", help=__doc__)


@app.default
def main(
    *,
    members: Annotated[int, Parameter(help="size of the committee, 4 to 32")] = 16,
    window: Annotated[float, Parameter(help="seconds of each measurement")] = 60.0,
    rate: Annotated[float, Parameter(help="commands per second, all traders together")] = 5.0,
    seed: Annotated[int, Parameter(help="of prices and traders")] = 1,
    base_port: Annotated[int, Parameter(help="first port to try")] = 31600,
) -> int:
    """Some four minutes; measure on a machine that does nothing else."""
    console = Console(stderr=True)

    def measure() -> Outcome:
        with tempfile.TemporaryDirectory(prefix="hansa-sixteen-") as folder:
            options = Options(members, Path(folder) / "network", "embedded", seed, 0, True, rate, base_port, True)
            return trio.run(run_committee, options, window, console)

    try:
        outcome = attempt(console, "bench-sixteen", measure)
    except Failed as failed:
        return failed.exit_code
    rows = list_rows(outcome)
    print_rows(f"{members} validators, {rate:g} commands/s offered", rows)
    write_rows(RESULTS, {"outcome": asdict(outcome)}, rows)
    return exit_code(rows)


if __name__ == "__main__":
    sys.exit(app())
