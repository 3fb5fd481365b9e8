"""One soak: four validators, their traders, clients that come and go, links that break, one validator that restarts."""

import random

import httpx
import trio
from rich.console import Console

from testnet.bench_figures import read_height
from testnet.faults.processes import pause, resume
from testnet.homes import node_home
from testnet.launch import Launcher, Network, Options, in_thread
from testnet.local import Processes
from testnet.soak.churn import Visits, visit_for_ever
from testnet.soak.sampling import Holdings, take_holdings

SAMPLE_INTERVAL_S = 5.0
WITHDRAW_AFTER_S = 10.0
# The last validator is stopped and started anew, the one before it is paused until its links have ended.
RESTARTED, PAUSED = 3, 2
RESTARTS = 4
PAUSE_S = 6.0
RETURN_S_MAX = 120.0


class Soak:
    """`lives` holds what was seen of each process: one list for each start of each validator."""

    def __init__(self, options: Options, processes: Processes, console: Console) -> None:
        self._options = options
        self._processes = processes
        self._console = console
        self._launcher = Launcher(options, processes, console)
        self._draw = random.Random(options.seed)
        self.lives: dict[str, list[Holdings]] = {}
        self.visits = Visits()
        self.problems: list[str] = []

    async def run(self) -> None:
        """Raises what a launcher raises when the network does not come up."""
        network = await self._launcher.bring_up()
        self._launcher.start_traders(WITHDRAW_AFTER_S)
        first_height = await read_height(network.api_urls[0])
        symbol = network.config.markets[0].symbol
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._sample, network)
            nursery.start_soon(visit_for_ever, network.api_urls, symbol, self._draw, self.visits)
            nursery.start_soon(self._disturb, network)
            await trio.sleep(self._options.duration_s)
            nursery.cancel_scope.cancel()
        heights = [await read_height(url) for url in network.api_urls]
        if min(heights) <= first_height:
            self.problems.append(f"heights stood still: {heights}")
        self.problems += [child.describe_end() for child in self._processes.find_dead()]

    async def _sample(self, network: Network) -> None:
        started_s = trio.current_time()
        async with httpx.AsyncClient() as client:
            while True:
                for index, node in enumerate(network.nodes):
                    name = f"node{index}, process {node.process.pid}"
                    data = node_home(self._options.folder, index).data
                    now_s = trio.current_time() - started_s
                    held = await take_holdings(client, now_s, node.process.pid, network.api_urls[index], data)
                    if held is not None:
                        self.lives.setdefault(name, []).append(held)
                await trio.sleep(SAMPLE_INTERVAL_S)

    async def _disturb(self, network: Network) -> None:
        """Evenly over the run: a pause, a restart."""
        interval_s = self._options.duration_s / (2 * RESTARTS + 1)
        for _ in range(RESTARTS):
            await trio.sleep(interval_s)
            self._console.print(f"node{PAUSED} pauses for {PAUSE_S:.0f} s", highlight=False)
            pause(network.nodes[PAUSED])
            try:
                await trio.sleep(PAUSE_S)
            finally:
                resume(network.nodes[PAUSED])
            await trio.sleep(interval_s - PAUSE_S if interval_s > PAUSE_S else 0)
            await self._restart(network)

    async def _restart(self, network: Network) -> None:
        self._console.print(f"node{RESTARTED} restarts", highlight=False)
        await in_thread(self._processes.stop, network.nodes[RESTARTED])
        network.nodes[RESTARTED] = self._launcher.start_node(RESTARTED)
        with trio.move_on_after(RETURN_S_MAX) as scope:
            while await read_height(network.api_urls[RESTARTED]) < await read_height(network.api_urls[0]) - 3:
                await trio.sleep(0.5)
        if scope.cancelled_caught:
            self.problems.append(f"node{RESTARTED} did not come back in {RETURN_S_MAX:.0f} s")
