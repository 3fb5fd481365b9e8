"""`python -m testnet.bench_api`: what 200 WebSocket clients cost the committee, and one that never reads the others.

A local network with traders; all clients at one validator's API, in a process with the priority of the API's. Rounds of
three windows: without clients; with them and one more that subscribes to everything; the same, but that one reads
nothing. Every other round has them the other way round, for a network gets slower with what it holds. Time to finality
is counted by all nodes, the delay of a message by its client, from the time of its block to its receipt. Ratios are of
the same run. Prints a table, writes `build/results/bench-api.json`; exit code 0 only if no ratio is beyond noise and
the mute client was dropped.
Measure on a machine that does nothing else.
"""

import json
import sys
import tempfile
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import cyclopts
import trio
from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from net.client import AsyncClient
from testnet.counters import Reading, percentile, read_counters
from testnet.launch import Launcher, Network, Options, in_thread
from testnet.local import Child, Processes
from validator.compilecache import prepare_compile_cache

RESULTS = Path("build/results/bench-api.json")
CLIENTS = 200
MUTE_CHANNELS_MAX = 64
SETTLE_S = 5.0
# What windows without any change differ by on a machine with two cores.
NOISE_RATIO, NOISE_MS = 1.25, 20
# Answers to a client that does not read wait this long, see `Limits.send_s_max`.
DROPPED_S = 30.0
PHASES = ("alone", "clients", "mute")


@dataclass(slots=True)
class Phase:
    """All windows of one kind together."""

    finality_ms: Counter[int] = field(default_factory=Counter)
    delays_ms: Counter[int] = field(default_factory=Counter)
    lost: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """`baseline` of the same run; `is_met` None for a figure without a goal."""

    measure: str
    value: float
    baseline: float | None = None
    is_met: bool | None = None

    @property
    def ratio(self) -> float | None:
        return self.value / self.baseline if self.baseline else None


class FleetProcess:
    """The clients' process; one order at a time."""

    def __init__(self, child: Child) -> None:
        self._child = child

    async def order(self, **order: Any) -> dict[str, Any]:
        return await in_thread(self._ask, json.dumps(order).encode() + b"\n")

    def _ask(self, line: bytes) -> dict[str, Any]:
        process = self._child.process
        assert process.stdin is not None and process.stdout is not None, "it was started with pipes"
        process.stdin.write(line)
        process.stdin.flush()
        answer = process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the clients ended:\n{self._child.tail()}")
        found: dict[str, Any] = json.loads(answer)
        return found


async def measure(options: Options, processes: Processes, console: Console, plan: "Plan") -> tuple[list[Row], bool]:
    """Rows and whether the mute client was dropped in every round."""
    launcher = Launcher(options, processes, console)
    network = await launcher.bring_up()
    launcher.start_traders(10.0)
    await trio.sleep(SETTLE_S)
    async with AsyncClient(network.api_urls[0]) as client:
        names = [instrument["instrument_name"] for instrument in await client.call("public/get_instruments")]
    channels = [f"{kind}.{names[0]}.raw" for kind in ("book", "trades", "ticker")]
    everything = [f"{kind}.{name}.raw" for name in names for kind in ("book", "ticker")][:MUTE_CHANNELS_MAX]
    phases = {name: Phase() for name in PHASES}
    is_dropped = True
    for number in range(plan.rounds):
        console.print(f"round {number + 1} of {plan.rounds}", highlight=False)
        is_even = number % 2 == 0
        if is_even:
            await watch(network, phases["alone"], plan.window_s, None)
        fleet = start_fleet(processes, network, channels, options.folder)
        await fleet.order(open=plan.clients)
        await trio.sleep(SETTLE_S)
        for name in PHASES[1:] if is_even else PHASES[:0:-1]:
            if name == "clients":
                await fleet.order(twin=everything)
                await watch(network, phases[name], plan.window_s, fleet)
                await fleet.order(close_twin=True)
            else:
                await fleet.order(mute=everything)
                await watch(network, phases[name], max(plan.window_s, DROPPED_S), fleet)
                is_dropped &= bool((await fleet.order(is_dropped=True))["is_dropped"])
        await fleet.order(close=True)
        processes.stop(processes.named("clients"))
        if not is_even:
            await trio.sleep(SETTLE_S)
            await watch(network, phases["alone"], plan.window_s, None)
    return list_rows(phases), is_dropped


def start_fleet(processes: Processes, network: Network, channels: list[str], folder: Path) -> FleetProcess:
    place = urlsplit(network.api_urls[0])
    argv = [sys.executable, "-m", "testnet.bench_api.fleet", str(place.hostname), str(place.port), *channels]
    return FleetProcess(processes.start("clients", argv, folder / "clients.log", is_piped=True))


async def watch(network: Network, phase: Phase, window_s: float, fleet: FleetProcess | None) -> None:
    """One window, into its phase."""
    before = await read_counters(network.api_urls)
    if fleet is None:
        await trio.sleep(window_s)
    else:
        told = await fleet.order(measure_s=window_s)
        phase.delays_ms += Counter({int(ms): count for ms, count in told["delays_ms"].items()})
        phase.lost = max(phase.lost, told["lost"])
    phase.finality_ms += count_finality(before, await read_counters(network.api_urls))


def count_finality(before: list[Reading], after: list[Reading]) -> Counter[int]:
    """Blocks of all nodes between two looks, by time to finality."""
    found: Counter[int] = Counter()
    for first, last in zip(before, after, strict=True):
        found += last.finality_ms - first.finality_ms
    return found


def list_rows(phases: dict[str, Phase]) -> list[Row]:
    alone, clients, mute = (phases[name] for name in PHASES)
    received = clients.delays_ms.total()
    lost = max(clients.lost, mute.lost)
    rows = [Row("messages received", received, None, received > 0), Row("clients lost", lost, None, not lost)]
    for percent in (50, 99):
        rows += [
            judge(f"finality p{percent} with clients, ms", clients.finality_ms, alone.finality_ms, percent),
            judge(f"finality p{percent} with the mute one, ms", mute.finality_ms, alone.finality_ms, percent),
            judge(f"delay p{percent} with the mute one, ms", mute.delays_ms, clients.delays_ms, percent),
        ]
    return rows


def judge(measure: str, counts: Counter[int], baseline: Counter[int], percent: int) -> Row:
    """Beyond noise is what is longer by a quarter and by some milliseconds."""
    value_ms, baseline_ms = percentile(counts, percent), percentile(baseline, percent)
    is_met = bool(counts) and (value_ms <= baseline_ms * NOISE_RATIO or value_ms <= baseline_ms + NOISE_MS)
    return Row(measure, value_ms, baseline_ms, is_met)


def print_rows(rows: list[Row], is_dropped: bool) -> None:
    table = Table("measure", "value", "without", "ratio", "")
    for row in rows:
        baseline = "" if row.baseline is None else f"{row.baseline:.0f}"
        ratio = "" if row.ratio is None else f"{row.ratio:.2f} x"
        mark = "" if row.is_met is None else "[green]ok[/]" if row.is_met else "[red]BEYOND NOISE[/]"
        table.add_row(row.measure, f"{row.value:.0f}", baseline, ratio, mark)
    table.add_row("the client that never reads was dropped", "", "", "", "[green]ok[/]" if is_dropped else "[red]NO[/]")
    Console().print(table)


@dataclass(frozen=True, slots=True)
class Plan:
    """What the user asked for."""

    clients: int
    window_s: float
    rounds: int


app = cyclopts.App(name="python -m testnet.bench_api", help=__doc__)


@app.default
def main(
    *,
    validators: Annotated[int, Parameter(help="committee size")] = 4,
    clients: Annotated[int, Parameter(help="how many read")] = CLIENTS,
    window_s: Annotated[float, Parameter(name="--window", help="seconds of a window")] = 30.0,
    rounds: Annotated[int, Parameter(help="of three windows each")] = 4,
    api: Annotated[Literal["own", "inside"], Parameter(help="who serves the API")] = "own",
    rate: Annotated[float, Parameter(help="commands per second, all traders together")] = 30.0,
    base_port: Annotated[int, Parameter(help="first port to try")] = 27600,
) -> int:
    """Some eight minutes."""
    prepare_compile_cache()
    console = Console(stderr=True)
    with tempfile.TemporaryDirectory(prefix="hansa-bench-") as folder, Processes() as processes:
        options = Options(
            validators, Path(folder) / "network", "embedded", 1, 0, True, rate, base_port, True, api_process=api
        )  # fmt: skip
        rows, is_dropped = trio.run(measure, options, processes, console, Plan(clients, window_s, rounds))
    print_rows(rows, is_dropped)
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    shown = [asdict(row) | {"ratio": row.ratio} for row in rows]
    found = {"api": api, "validators": validators, "clients": clients, "is_dropped": is_dropped, "rows": shown}
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    return 0 if is_dropped and all(row.is_met is not False for row in rows) else 1


if __name__ == "__main__":
    sys.exit(app())
