"""`python -m testnet.retry_storm`: a thousand signed commands, each sent five times to nodes drawn at random, while one
of them is killed with -9 and comes back. Each has to execute exactly once, and every node has to say the same of it,
asked by hash, by nonce and by label.
"""

import random
import sys
import time
from functools import partial
from pathlib import Path
from typing import Annotated

import cyclopts
import trio
from cyclopts import Parameter
from rich.console import Console

from contracts.settlement import ChainError, Refused
from net.client import AsyncClient
from testnet.bench_figures import read_height
from testnet.faults.processes import kill
from testnet.homes import FolderError
from testnet.launch import Launcher, LaunchError, Network, Options, in_thread
from testnet.local import ChildDied, Processes
from testnet.retry_storm.audit import Findings, audit
from testnet.retry_storm.commands import Sent, sign_commands
from testnet.retry_storm.storm import Storm
from testnet.verdicts import Row, exit_code, print_rows, write_rows

EXIT_NOT_RUN = 2
RESULTS = Path("build/results/retry-storm.json")
NODES = 4
PRICE_SHARE = (99, 100)  # of the mark: near enough to be admitted, and nobody sells
EXPIRY_S = 600
RETURN_S_MAX = 120.0
SHOWN_PROBLEMS_MAX = 20

app = cyclopts.App(name="python -m testnet.retry_storm", help=__doc__)


class Run:
    """One network and its storm."""

    def __init__(self, options: Options, count: int, processes: Processes, console: Console) -> None:
        self._launcher = Launcher(options, processes, console)
        self._processes = processes
        self._console = console
        self._draw = random.Random(options.seed)
        self._count = count
        self.storm = Storm([], self._draw)
        self.findings = Findings()
        self.down_s = 0.0

    async def run(self) -> None:
        """Raises what a launcher raises when the network does not come up."""
        network = await self._launcher.bring_up()
        self.storm.urls = network.api_urls
        await self._wait_credited(network)
        sent = await self._sign(network)
        await self.storm.run(sent, partial(self._disturb, network))
        await self._wait_level(network)
        self.findings = await audit(network.api_urls, sent, self.storm.answers)

    async def _wait_credited(self, network: Network) -> None:
        """Until every node knows every account: before, it would rightly refuse."""
        with trio.fail_after(RETURN_S_MAX):
            for url in network.api_urls:
                async with AsyncClient(url) as client:
                    for _, account in network.cast:
                        owner = account.address_text
                        while not await client.call("private/get_subaccounts", owner=owner):
                            await trio.sleep(0.2)

    async def _sign(self, network: Network) -> list[Sent]:
        async with AsyncClient(network.api_urls[0]) as client:
            domain = await client.call("public/x_get_domain")
            mark = await client.ticker(network.config.markets[0].symbol)
        tick = network.config.markets[0].tick_size
        assert mark.mark_price_usd is not None
        ticks = int(mark.mark_price_usd / type(mark.mark_price_usd)(tick)) * PRICE_SHARE[0] // PRICE_SHARE[1]
        now_us = time.time_ns() // 1000
        return sign_commands(
            [account for _, account in network.cast], self._count, bytes.fromhex(domain["domain_separator"][2:]),
            now_us, now_us // 1000 + EXPIRY_S * 1000, ticks,
        )  # fmt: skip

    async def _disturb(self, network: Network) -> None:
        """One node dies after a quarter of the commands and comes back after the half."""
        victim = self._draw.randrange(NODES)
        await self.storm.wait_done(self._count // 4)
        self._console.print(f"kill -9 of node{victim}", highlight=False)
        started_s = trio.current_time()
        await in_thread(kill, self._processes, network.nodes[victim])
        await self.storm.wait_done(self._count // 2)
        network.nodes[victim] = self._launcher.start_node(victim)
        self.down_s = trio.current_time() - started_s

    async def _wait_level(self, network: Network) -> None:
        """Until every node has what the first one has now, three blocks later."""
        goal = await read_height(network.api_urls[0]) + 3
        with trio.fail_after(RETURN_S_MAX):
            while min([await read_height(url) for url in network.api_urls]) < goal:
                await trio.sleep(0.2)


def list_rows(run: Run, count: int, elapsed_s: float) -> list[Row]:
    counts, found = run.storm.counts, run.findings
    silent = sum(1 for known in run.storm.answers.values() if not known.answered)
    return [
        Row("commands", str(count)),
        Row("sends", str(counts["sends"]), f">= {5 * count}", counts["sends"] >= 5 * count),
        Row("answers", str(counts["answers"])),
        Row("sends to a node that was gone", str(counts["silences"])),
        Row("refused as busy or catching up, sent elsewhere", str(counts["refused, elsewhere"])),
        Row("commands that nobody answered", str(silent), "0", not silent),
        Row("executed exactly once", str(found.executed_once), str(count), found.executed_once == count),
        Row("statuses compared, by hash, nonce and label on all nodes", str(found.compared)),
        Row("disagreements", str(len(found.problems)), "0", not found.problems),
        Row("one node was gone for", f"{run.down_s:.1f} s"),
        Row("all of it took", f"{elapsed_s:.0f} s"),
    ]


@app.default
def main(
    *,
    commands: Annotated[int, Parameter(help="how many, each sent five times")] = 1000,
    seed: Annotated[int, Parameter(help="of prices, and of who is asked and killed")] = 1,
    dir: Annotated[Path, Parameter(help="where the network lives; made anew")] = Path(".hansa-drills/retry-storm"),
    base_port: Annotated[int, Parameter(help="first port to try")] = 31_200,
) -> int:
    """Exit code 0: every command executed exactly once and every node says so.

    Example: python -m testnet.retry_storm --commands 200
    """
    console = Console(stderr=True)
    options = Options(NODES, dir.resolve(), "embedded", seed, 0, True, 0.0, base_port, True)
    started_s = time.monotonic()
    try:
        with Processes() as processes:
            run = Run(options, commands, processes, console)
            trio.run(run.run)
    except (FolderError, LaunchError, ChildDied, ChainError, Refused) as error:
        console.print(f"retry storm: {error}", markup=False, highlight=False, soft_wrap=True)
        return EXIT_NOT_RUN
    rows = list_rows(run, commands, time.monotonic() - started_s)
    print_rows("retry storm", rows)
    for problem in run.findings.problems[:SHOWN_PROBLEMS_MAX]:
        console.print(f"problem: {problem}", markup=False, highlight=False, soft_wrap=True)
    write_rows(RESULTS, {"commands": commands, "seed": seed, "problems": run.findings.problems}, rows)
    return exit_code(rows)


if __name__ == "__main__":
    sys.exit(app())
