"""Runs the phases against a network that trades meanwhile, and looks at what is left of it."""

import sys
from pathlib import Path

import httpx
import trio
from rich.console import Console

from testnet import homes
from testnet.bench_figures import read_height
from testnet.hostile.attacker import read_report
from testnet.hostile.phases import Phase, plan
from testnet.hostile.scene import TRAITOR
from testnet.hostile.verdict import Ending, Row, judge, make_row
from testnet.hostile.watching import Watcher
from testnet.launch import Launcher, Network, Options, in_thread
from testnet.local import Child, ChildDied, Processes

WITHDRAW_AFTER_S = 10.0
WARM_UP_S = 10.0
SETTLE_S = 2.0
ATTACK_START_S_MAX = 30.0
# The traitor's own validator comes back after the attacks; the last ban that they earned it may last this long.
RETURN_S_MAX = 330.0
HEIGHTS_COMPARED = 40
FINAL_GRACE_S = 20.0


class Campaign:
    """One run. `processes` ends whatever is left of it."""

    def __init__(self, options: Options, processes: Processes, console: Console, only: tuple[str, ...] = ()) -> None:
        self._options = options
        self._only = only
        self._processes = processes
        self._console = console
        self._launcher = Launcher(options, processes, console)
        self._is_traitor_gone = False

    async def run(self) -> tuple[list[Row], Ending]:
        """Raises what a launcher raises when the network does not come up."""
        network = await self._launcher.bring_up()
        self._launcher.start_traders(WITHDRAW_AFTER_S)
        self._start_observer(network)
        await trio.sleep(WARM_UP_S)
        rows = []
        for phase, duration_s in plan(self._options.duration_s, self._only):
            if phase.is_traitor_gone and not self._is_traitor_gone:
                await in_thread(self._processes.stop, network.nodes[TRAITOR])
                self._is_traitor_gone = True
                await trio.sleep(SETTLE_S)
            rows.append(await self._run_phase(network, phase, duration_s))
        judge(rows)
        return rows, await self._finish(network)

    async def _run_phase(self, network: Network, phase: Phase, duration_s: float) -> Row:
        self._console.print(f"{phase.name}, {duration_s:.0f} s", highlight=False)
        honest = [index for index in range(len(network.nodes)) if not phase.is_traitor_gone or index != TRAITOR]
        report = self._options.folder / "attackers" / f"{phase.attack or 'nobody'}.json"
        watcher = Watcher(network, honest)
        if phase.attack:
            attacker = await self._start_attacker(phase, report)
        await watcher.begin()
        observed = self._count_observed()
        public_bytes_max = await watcher.sample_with(self._processes.named("public0"), duration_s)
        is_attacked = True
        if phase.attack:
            is_attacked = attacker.process.poll() is None
            await in_thread(self._processes.stop, attacker)
        seen = await watcher.end()
        observed = self._count_observed() - observed
        await trio.sleep(SETTLE_S)
        done = read_report(report) if phase.attack else {}
        row = make_row(phase, duration_s, seen, done, observed, public_bytes_max)
        if not is_attacked:
            row.problems.append(f"the attacker has ended: {report.with_suffix('.log')}")
        return row

    def _start_observer(self, network: Network) -> None:
        """Follows the chain through the public host, checks all it is told, and prints a line a block."""
        genesis = homes.node_home(self._options.folder, 0).genesis
        argv = [sys.executable, "-m", "validator", "follow", "--json", "--genesis", str(genesis)]
        for address in network.public_addresses:
            argv += ["--bootstrap", address]
        self._processes.start("observer", argv, self._options.folder / "observer.txt")

    def _count_observed(self) -> int:
        """Certified blocks that the observer has printed so far."""
        return (self._options.folder / "observer.txt").read_text().count('"state_root"')

    async def _start_attacker(self, phase: Phase, report: Path) -> Child:
        """It has begun when this returns, if it can: it runs at the lowest priority. Raises `ChildDied`."""
        report.parent.mkdir(exist_ok=True)
        report.unlink(missing_ok=True)
        argv = [sys.executable, "-m", "testnet.hostile.attacker", phase.attack, str(self._options.folder.resolve())]
        argv += ["--report", str(report)]
        attacker = self._processes.start(f"attacker: {phase.attack}", argv, report.with_suffix(".log"))
        give_up_at_s = trio.current_time() + ATTACK_START_S_MAX
        while not read_report(report).get(phase.proofs[0]) and trio.current_time() < give_up_at_s:
            if attacker.process.poll() is not None:
                raise ChildDied(attacker.describe_end())
            await trio.sleep(0.1)
        return attacker

    async def _finish(self, network: Network) -> Ending:
        """The traitor's honest self returns; all must live, be at one height and tell the same history."""
        if self._is_traitor_gone:
            self._console.print("the last member's own validator returns", highlight=False)
            network.nodes[TRAITOR] = self._launcher.start_node(TRAITOR)
        with trio.move_on_after(RETURN_S_MAX) as scope:
            while await read_height(network.api_urls[TRAITOR]) < await read_height(network.api_urls[0]) - 3:
                await trio.sleep(0.5)
        ending = Ending(
            are_all_alive=not self._processes.find_dead(),
            heights=[await read_height(url) for url in network.api_urls],
            heights_compared=0,
            disagreements=[],
        )
        await _compare(network, ending)
        if scope.cancelled_caught:
            ending.problems.append("the returned validator did not catch up")
        if not ending.are_all_alive:
            ending.problems.append(f"a process has ended: {[child.name for child in self._processes.find_dead()]}")
        if ending.disagreements or not ending.heights_compared:
            ending.problems.append(f"histories differ: {ending.disagreements}")
        return ending


async def _compare(network: Network, ending: Ending) -> None:
    """Header hash and state root of some heights from the first to the last, on every validator. The one that was away
    may have come back by a snapshot: of the blocks before, it says nothing.
    """
    last_height = min(ending.heights)
    step = max(1, last_height // HEIGHTS_COMPARED)
    async with httpx.AsyncClient(timeout=10) as client:
        for height in [*range(1, last_height, step), last_height]:
            told = []
            for index, url in enumerate(network.api_urls):
                may_lack = index == TRAITOR and height < last_height
                root = await _ask_root(client, url, height, 0.0 if may_lack else FINAL_GRACE_S)
                told += [] if may_lack and root is None else [root]
            if len(set(told)) > 1 or None in told:
                ending.disagreements.append(f"height {height}: {sorted(map(str, told))}")
            else:
                ending.heights_compared += 1


async def _ask_root(client: httpx.AsyncClient, url: str, height: int, patience_s: float) -> tuple[str, str] | None:
    """None when the node does not have that height for so long."""
    give_up_at_s = trio.current_time() + patience_s
    while True:
        answer = await client.get(f"{url}/api/v2/public/x_get_certificate", params={"height": height})
        result = answer.json().get("result")
        if result is not None:
            return result["header_hash"], result["state_root"]
        if trio.current_time() >= give_up_at_s:
            return None
        await trio.sleep(0.2)


def make_options(folder: Path, duration_s: int, rate: float, seed: int, base_port: int) -> Options:
    """Four validators on an embedded chain, each with an API process of its own, as operators have it."""
    return Options(
        4, folder, "embedded", seed, duration_s, True, rate, base_port, True, public_count=1, api_process="own"
    )
