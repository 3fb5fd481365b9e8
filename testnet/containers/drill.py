"""`python -m testnet.containers.drill`: one container of a trading network is cut off, and comes back.

The last of the validators loses its network, as when a switch dies: the others must go on without it, and when it is
back it must catch up, vote again, and have the same root as everybody at every height. A table on stdout,
build/results/drill-docker.json; exit code 0 only if all of it holds, 2 where there is no Docker engine.
"""

import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import cyclopts
import trio
from cyclopts import Parameter
from rich.console import Console

from consensus.messages import fault_bound
from testnet.bench_figures import read_height
from testnet.containers.faults import Member
from testnet.containers.image import IMAGE
from testnet.containers.place import Containers, Wanted
from testnet.crash.audit import StoreReader
from testnet.failures import Failed, attempt, wait_for_signal
from testnet.homes import node_home
from testnet.launch import Launcher, Network, Options, in_thread
from testnet.local import Processes
from testnet.verdicts import Row, exit_code, print_rows, write_rows
from testnet.wan.network import NEAR_BLOCKS, POLL_S, wait_until_compared
from testnet.watch import Watch

RESULTS = Path("build/results/drill-docker.json")
WITHDRAW_AFTER_S = 10.0
SETTLE_S = 10.0
BACK_S_MAX = 120.0
AFTERWARDS_BLOCKS = 20
app = cyclopts.App(name="python -m testnet.containers.drill", help=__doc__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What happened between the cut and the time when all had the same chain again."""

    cut_s: float
    height_at_cut: int
    blocks_meanwhile: int
    blocks_behind: int
    back_s: float
    blocks_afterwards: int
    compared: int
    disagreements: list[str]


@app.default
def main(
    *,
    validators: Annotated[int, Parameter(help="at least four, so that one may be missing")] = 4,
    cut: Annotated[float, Parameter(help="seconds without network")] = 15.0,
    rate: Annotated[float, Parameter(help="commands per second, all traders together")] = 20.0,
    seed: Annotated[int, Parameter(help="of prices and traders")] = 1,
    image: Annotated[str, Parameter(help="of the containers")] = IMAGE,
    base_port: Annotated[int, Parameter(help="first port to try")] = 26600,
) -> int:
    """A minute or two, without building the image."""
    console = Console(stderr=True)
    if fault_bound(validators) < 1:
        console.print("drill-docker: --validators must be at least 4, or none may be missing", markup=False)
        return 2

    def drill() -> Outcome:
        with tempfile.TemporaryDirectory(prefix="hansa-docker-") as folder:
            path = Path(folder) / "network"
            places = Containers(Wanted(path, image), console)
            with places as site, Processes() as processes:
                options = Options(
                    validators, path, "embedded", seed, 0, True, rate, base_port, True, site=site, api_process="own"
                )
                last = validators - 1
                member = Member(places.client, site.names[last], places.network.name, site.api_hosts[last])
                return trio.run(_run, options, processes, member, cut, console)

    try:
        outcome = attempt(console, "drill-docker", drill)
    except Failed as failed:
        return failed.exit_code
    rows = list_rows(outcome)
    print_rows(f"{validators} validators in containers, one without network for {cut:g} s", rows)
    write_rows(RESULTS, asdict(outcome), rows)
    return exit_code(rows)


def list_rows(outcome: Outcome) -> list[Row]:
    return [
        Row("blocks of the others meanwhile", str(outcome.blocks_meanwhile), "> 0", outcome.blocks_meanwhile > 0),
        Row("blocks behind when it was back", str(outcome.blocks_behind), "> 0", outcome.blocks_behind > 0),
        Row("until it had caught up", f"{outcome.back_s:.1f} s", f"<= {BACK_S_MAX:g} s", outcome.back_s <= BACK_S_MAX),
        Row("blocks it shared afterwards", str(outcome.blocks_afterwards), f">= {AFTERWARDS_BLOCKS}",
            outcome.blocks_afterwards >= AFTERWARDS_BLOCKS),
        Row("heights with one root on all nodes", str(outcome.compared), "> 0", outcome.compared > 0),
        Row("heights with several roots", str(len(outcome.disagreements)), "0", not outcome.disagreements),
    ]  # fmt: skip


async def _run(options: Options, processes: Processes, member: Member, cut_s: float, console: Console) -> Outcome:
    """Everything that is started is gone when this returns, or raises."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait_for_signal)
        launcher = Launcher(options, processes, console)
        network = await launcher.bring_up()
        launcher.start_traders(WITHDRAW_AFTER_S)
        watch = Watch(network.api_urls)
        await nursery.start(watch.run)
        await trio.sleep(SETTLE_S)
        own_home = node_home(options.folder, options.validator_count - 1).path
        outcome = await cut_off(network, watch, member, own_home, cut_s, console)
        nursery.cancel_scope.cancel()
    return outcome


async def cut_off(
    network: Network, watch: Watch, member: Member, own_home: Path, cut_s: float, console: Console
) -> Outcome:
    """The last member loses its network for a while. Raises `trio.TooSlowError` if it does not come back in time."""
    witness_url, own_url = network.api_urls[0], network.api_urls[-1]
    height = await read_height(witness_url)
    console.print(f"height {height}: {member.container} loses its network", highlight=False)
    await in_thread(member.isolate)
    await trio.sleep(cut_s)
    stopped_at = await in_thread(read_stored_height, own_home)
    reached = await read_height(witness_url)
    await in_thread(member.rejoin)
    mended_s = trio.current_time()
    console.print(f"height {reached}: it is back, at height {stopped_at}", highlight=False)
    with trio.fail_after(BACK_S_MAX):
        while await read_height(own_url) < await read_height(witness_url) - NEAR_BLOCKS:
            await trio.sleep(POLL_S)
    back_s = trio.current_time() - mended_s
    caught_up_at = await read_height(own_url)
    console.print(f"height {caught_up_at}: it has caught up after {back_s:.1f} s", highlight=False)
    with trio.move_on_after(BACK_S_MAX):
        while await read_height(own_url) < caught_up_at + AFTERWARDS_BLOCKS:
            await trio.sleep(POLL_S)
    afterwards = await read_height(own_url) - caught_up_at
    await wait_until_compared(watch)
    return Outcome(
        cut_s, height, reached - height, reached - stopped_at, back_s, afterwards, watch.roots.compared_count,
        watch.roots.disagreements,
    )  # fmt: skip


def read_stored_height(home: Path) -> int:
    """From its disk, which this machine sees while nobody reaches the node."""
    return max(StoreReader(home / "data" / "blocks.sqlite").read_all(), default=0)


if __name__ == "__main__":
    sys.exit(app())
