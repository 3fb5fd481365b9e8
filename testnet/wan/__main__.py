"""`python -m testnet.wan`: validators far from each other, in network namespaces joined by slow and lossy lines.

Every packet between two validators passes a router in user space (TUN devices; the kernel's netem is not needed), which
keeps it for the delay of its direction and loses some. Clients and the settlement chain are near every validator, by
a second network without delay. Needs root. Prints a table for each committee, writes build/results/bench-wan.json; exit
code 0 only if every goal is met, 2 when it cannot be run here.
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
from testnet.faults.weather import Weather
from testnet.launch import Options
from testnet.verdicts import Row, exit_code, print_rows, write_rows
from testnet.wan.figures import Outcome, list_rows
from testnet.wan.network import SITE, run_committee

RESULTS = Path("build/results/bench-wan.json")

app = cyclopts.App(name="python -m testnet.wan", help=__doc__)


@app.default
def main(
    *,
    members: Annotated[tuple[int, ...], Parameter(help="sizes of the committees, one after the other")] = (4, 7),
    delay_ms: Annotated[float, Parameter(help="one way")] = 50.0,
    jitter_ms: Annotated[float, Parameter(help="delays are drawn from delay - jitter to delay + jitter")] = 10.0,
    lost: Annotated[float, Parameter(help="share of packets that never arrive")] = 0.001,
    window: Annotated[float, Parameter(help="seconds of each measurement")] = 30.0,
    rate: Annotated[float, Parameter(help="commands per second, all traders together")] = 30.0,
    seed: Annotated[int, Parameter(help="of prices, traders and weather")] = 1,
    base_port: Annotated[int, Parameter(help="first port to try")] = 30600,
) -> int:
    """Some two minutes a committee; measure on a machine that does nothing else."""
    console = Console(stderr=True)
    weather = Weather(delay_ms, jitter_ms, lost)
    rows: list[Row] = []
    outcomes: list[Outcome] = []
    for count in members:

        def measure(count: int = count) -> Outcome:
            with tempfile.TemporaryDirectory(prefix="hansa-wan-") as folder:
                options = Options(
                    count, Path(folder) / "network", "embedded", seed, 0, True, rate, base_port, True, site=SITE
                )
                return trio.run(run_committee, options, weather, window, console)

        try:
            outcome = attempt(console, "bench-wan", measure)
        except Failed as failed:
            return failed.exit_code
        outcomes.append(outcome)
        rows += list_rows(outcome)
        title = f"{count} validators, {delay_ms:g} ± {jitter_ms:g} ms one way, {lost:.2%} lost, through TUN devices"
        print_rows(title, list_rows(outcome))
    write_rows(RESULTS, {"outcomes": [asdict(outcome) for outcome in outcomes]}, rows)
    return exit_code(rows)


if __name__ == "__main__":
    sys.exit(app())
