"""`python -m testnet.bench_consensus`: how fast four validators on this machine agree, start again and catch up.

Every figure stands beside a baseline of the same run: the same network before its traders begin, or the network's own
block rate. Prints a table, writes `build/results/bench-consensus.json`; exit code 0 only if every goal is met.
"""

import json
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import cyclopts
import trio
from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from testnet.bench_figures import CatchUp, Restarted, Sample, measure_catch_up, measure_restart, percentile, sample
from testnet.launch import Launcher, Options
from testnet.local import Processes
from testnet.sim import measure as simulated

RESULTS = Path("build/results/bench-consensus.json")
# The nodes' own percentiles look back thirty seconds: nothing of the phase before may be in them.
WINDOW_S = 32.0
WITHDRAW_AFTER_S = 10.0
RESTARTS = 3
SETTLE_S = 3.0
DOWN_S = 40.0
Part = Literal["load", "restart", "catch-up", "simulated"]
PARTS: tuple[Part, ...] = ("load", "restart", "catch-up", "simulated")


@dataclass(frozen=True, slots=True)
class Row:
    """`is_met` None for a figure without a goal."""

    measure: str
    value: float
    baseline: float | None = None
    goal: str = ""
    is_met: bool | None = None

    @property
    def ratio(self) -> float | None:
        return self.value / self.baseline if self.baseline else None


STEP_TEXTS = {
    "here": "here, its place in the chain proven", "signed": "judged and the vote signed",
    "notarise_said": "the vote on its way", "executed": "executed", "notarised": "a quorum's notarisation",
    "finalise_said": "the vote to finalise on its way", "finalised": "finality",
}  # fmt: skip


# Goals are those of a machine with two cores that runs nothing else.


def list_load_rows(idle: Sample, load: Sample) -> list[Row]:
    return [
        Row("blocks/s under load", load.blocks_per_s, idle.blocks_per_s, ">= 10", load.blocks_per_s >= 10),
        Row("finality p50, ms", load.finality_p50_ms, idle.finality_p50_ms, "<= 100", load.finality_p50_ms <= 100),
        Row("finality p99, ms", load.finality_p99_ms, idle.finality_p99_ms, "<= 300", load.finality_p99_ms <= 300),
        Row("CPU of one node for one block, ms", load.cpu_ms, idle.cpu_ms),
        Row("commands/s", load.commands_per_s),
        Row("order sent to final answer p50, ms", percentile(load.order_ms, 50)),
        Row("order sent to final answer p99, ms", percentile(load.order_ms, 99)),
        *(
            Row(f"proposal to {STEP_TEXTS.get(step, step)} p50, ms", value, idle.steps_p50_ms.get(step))
            for step, value in load.steps_p50_ms.items()
        ),
    ]


def list_restart_rows(restarts: list[Restarted]) -> list[Row]:
    slowest_s = max(restart.wall_s for restart in restarts)
    return [
        Row("kill -9 and start to a vote that counts, worst, s", slowest_s, None, "<= 5", slowest_s <= 5),
        Row("CPU of such a start, worst, s", max(restart.cpu_s for restart in restarts)),
    ]


def list_catch_up_rows(catch_up: CatchUp) -> list[Row]:
    return [
        Row(
            f"catching up over {catch_up.blocks} blocks, blocks/s", catch_up.blocks_per_s,
            catch_up.network_blocks_per_s, ">= 20 x", catch_up.ratio >= 20,
        )
    ]  # fmt: skip


def list_simulated_rows() -> list[Row]:
    """What no machine has room for: many members, partitions, long gaps, in simulated time."""
    return [
        Row(f"simulated: {row['measure']}", row["value"], None, row["goal"], row["ok"] if row["goal"] else None)
        for row in simulated.rows()
    ]


async def measure(options: Options, processes: Processes, console: Console, parts: tuple[Part, ...]) -> list[Row]:
    """One network, from its founding to the last figure."""
    rows: list[Row] = []
    launcher = Launcher(options, processes, console)
    network = await launcher.bring_up()
    if "load" in parts:
        console.print(f"without traders, {WINDOW_S:.0f} s", highlight=False)
        idle = await sample(network, options.folder, WINDOW_S)
    launcher.start_traders(WITHDRAW_AFTER_S)
    await trio.sleep(SETTLE_S)
    if "load" in parts:
        console.print(f"under load, {WINDOW_S:.0f} s", highlight=False)
        rows += list_load_rows(idle, await sample(network, options.folder, WINDOW_S))
    if "restart" in parts:
        restarts = []
        for number in range(RESTARTS):
            console.print(f"kill -9 and start, {number + 1} of {RESTARTS}", highlight=False)
            index = 1 + number % (options.validator_count - 1)
            restarts.append(await measure_restart(launcher, processes, network, index))
            await trio.sleep(SETTLE_S)
        rows += list_restart_rows(restarts)
    if "catch-up" in parts:
        console.print(f"a node down for {DOWN_S:.0f} s, then catching up", highlight=False)
        last = options.validator_count - 1
        rows += list_catch_up_rows(await measure_catch_up(launcher, processes, network, last, DOWN_S))
    return rows


def print_rows(rows: list[Row]) -> None:
    table = Table("measure", "value", "baseline", "ratio", "goal", "")
    for row in rows:
        baseline = "" if row.baseline is None else f"{row.baseline:.1f}"
        ratio = "" if row.ratio is None else f"{row.ratio:.1f} x"
        mark = "" if row.is_met is None else "[green]ok[/]" if row.is_met else "[red]MISSED[/]"
        table.add_row(row.measure, f"{row.value:.1f}", baseline, ratio, row.goal, mark)
    Console().print(table)


def write_rows(rows: list[Row]) -> None:
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps([asdict(row) | {"ratio": row.ratio} for row in rows], indent=1) + "\n")


app = cyclopts.App(name="python -m testnet.bench_consensus", help=__doc__)


@app.default
def main(
    *,
    rate: Annotated[float, Parameter(help="commands per second, all traders together")] = 30.0,
    seed: Annotated[int, Parameter(help="of prices and traders")] = 1,
    base_port: Annotated[int, Parameter(help="first port to try")] = 27600,
    only: Annotated[tuple[Part, ...], Parameter(help="parts to measure")] = PARTS,
) -> int:
    """A few minutes; measure on a machine that does nothing else."""
    console = Console(stderr=True)
    rows: list[Row] = []
    if set(only) != {"simulated"}:
        rows += measure_network(rate, seed, base_port, only, console)
    if "simulated" in only:
        console.print("simulated committees", highlight=False)
        rows += list_simulated_rows()
    print_rows(rows)
    write_rows(rows)
    return 0 if all(row.is_met is not False for row in rows) else 1


def measure_network(rate: float, seed: int, base_port: int, parts: tuple[Part, ...], console: Console) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="hansa-bench-") as folder, Processes() as processes:
        options = Options(4, Path(folder) / "network", "embedded", seed, 0, True, rate, base_port, True)
        return trio.run(measure, options, processes, console, parts)


if __name__ == "__main__":
    sys.exit(app())
