"""`python -m testnet.drill_rotation`: four validators become seven while they trade, and no block waits for it.

Four newcomers follow the chain as observers, then register; one member leaves. Epochs are short, and
the registry lets newcomers in over two of them. Then it is read from everybody's disk what happened: one chain without
a gap, a seal for each epoch, checkpoints in the new one, and how long nothing was final. Exit code 0 only if all hold.
"""

import json
import sqlite3
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import cyclopts
import trio
from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from contracts.records import ChainError, Refused
from contracts.settlement import Settlement
from net.client import HansaError
from testnet import newcomers
from testnet.drill_escape import list_leaves
from testnet.homes import FolderError, NodePorts, node_home
from testnet.launch import Launcher, LaunchError, Network, Options, in_thread
from testnet.local import ChildDied, Processes
from testnet.ports import PortLease
from testnet.terms import Terms
from validator.store import Store

FOUNDERS, NEWCOMERS, LEAVER = 4, 4, 3
AT_LAST = tuple(number for number in range(FOUNDERS + NEWCOMERS) if number != LEAVER)
EPOCH_MS = 40_000
PAUSE_MS_MAX = 2_000
LOOK_INTERVAL_S = 0.01
AFTER_S = 10.0
CLOSE_BLOCKS = 3
# What stands against a folder that nothing was done with yet.
NOT_READY = {"stake", "node", "clock", "address"}
LIMIT_S = 420.0
RESULTS = Path("build/results/drill-rotation.json")
EXIT_FAILED, EXIT_BROKEN = 1, 2


@dataclass(slots=True)
class Pulse:
    """When the newest final block of the network appeared on a disk, as seen by a look every few milliseconds."""

    height: int = 0
    seen_s: float = 0.0
    pauses: list[tuple[float, int]] = field(default_factory=list)  # how long it took, and to which height

    def look(self, height: int, now_s: float) -> None:
        if height <= self.height:
            return
        if self.height:
            self.pauses.append((now_s - self.seen_s, height))
        self.height, self.seen_s = height, now_s


@dataclass(frozen=True, slots=True)
class EpochLine:
    """One epoch as the disks have it. Times in milliseconds."""

    epoch: int
    members: int
    first_height: int
    last_height: int
    trailing_blocks: int
    pause_before_ms: int
    longest_pause_ms: int


@dataclass(frozen=True, slots=True)
class Check:
    text: str
    is_met: bool
    detail: str = ""


class RotationDrill:
    """One run, from an empty folder to seven members."""

    def __init__(self, options: Options, processes: Processes, console: Console) -> None:
        self._options, self._processes, self._console = options, processes, console
        self._folder = options.folder.resolve()
        self._launcher = Launcher(options, processes, console)
        self._ports = PortLease()
        self._pulse = Pulse()
        self._stores: dict[int, Store] = {}
        self.joined_height = 0  # where the first newcomer came
        self.ready_height = 0  # where all of them follow
        self.epochs: list[EpochLine] = []
        self.pauses_ms: dict[str, int] = {}
        self.refused: newcomers.Answer | None = None  # who asked before anything was ready
        self.dry_runs: dict[int, newcomers.Answer] = {}

    async def run(self) -> list[Check]:
        network = await self._launcher.bring_up()
        self._launcher.start_traders(10)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._take_pulse)
            await trio.sleep(10)
            self.joined_height = self._pulse.height
            await self._leave()  # it stays until there are others
            await self._join(network)
            epoch = await self._wait_for_seven()
            self._say(f"seven members agree; {AFTER_S:.0f} s more, and a checkpoint of theirs")
            await trio.sleep(AFTER_S)
            onchain_height = await self._wait_for_checkpoint(network, epoch)
            self._say("reading everybody's disk")
            checks = self._judge(epoch, onchain_height)
            nursery.cancel_scope.cancel()
        return checks

    def _say(self, text: str) -> None:
        self._console.print(f"{time.strftime('%H:%M:%S')}  {text}", markup=False, highlight=False, soft_wrap=True)

    def _store(self, number: int) -> Store:
        if number not in self._stores:
            self._stores[number] = Store(node_home(self._folder, number).data / "blocks.sqlite", is_read_only=True)
        return self._stores[number]

    async def _take_pulse(self) -> None:
        """Of two founders that stay; whoever is first."""
        while True:
            self._processes.check()
            height = max(self._store(number).height() for number in (0, 1))
            self._pulse.look(height, trio.current_time())
            await trio.sleep(LOOK_INTERVAL_S)

    async def _join(self, network: Network) -> None:
        numbers = range(FOUNDERS, FOUNDERS + NEWCOMERS)
        ports = self._ports.choose(self._options.base_port + 200, 2 * NEWCOMERS)
        places = [NodePorts(peer, api) for peer, api in zip(ports[::2], ports[1::2])]
        keys = [newcomers.make_home(self._folder, network.config, *place) for place in zip(numbers, places)]
        self.refused = await in_thread(newcomers.join, self._folder, FOUNDERS, "--dry-run")
        self._say(f"node{FOUNDERS} asks too early, and hears why it cannot join:")
        for name, words in self.refused.against.items():
            self._say(f"  {name}: {words}")
        for number, own in zip(numbers, keys):
            await in_thread(newcomers.bring_stake, network.rpc_url, network.config, own)
            newcomers.start_node(self._processes, self._folder, number)
        for number in numbers:
            await self._wait_until_following(number)
            self._say(f"node{number} follows at height {self._pulse.height}, as nobody yet")
        self.ready_height = self._pulse.height
        for number in numbers:
            self.dry_runs[number] = await in_thread(newcomers.join, self._folder, number, "--dry-run")
            answer = await in_thread(newcomers.join, self._folder, number)
            self._say(f"node{number} has joined the queue at height {self._pulse.height}: {len(answer.checks)} checks")

    async def _wait_until_following(self, number: int) -> None:
        """It is where the others are, give or take what one look takes."""
        with trio.fail_after(LIMIT_S):
            while self._height(number) + CLOSE_BLOCKS < self._pulse.height:
                await trio.sleep(0.2)

    def _height(self, number: int) -> int:
        """0 while the node has not made its store yet."""
        try:
            return self._store(number).height()
        except sqlite3.OperationalError:
            return 0

    async def _leave(self) -> None:
        await in_thread(newcomers.leave, self._folder, LEAVER)
        self._say(f"node{LEAVER} asks to leave")

    async def _wait_for_seven(self) -> int:
        """Everybody who stays has the committee of seven on its disk, and final blocks of its epoch, which is told."""
        known = 1
        give_up_at_s = trio.current_time() + LIMIT_S
        while True:
            seats = self._store(0).seats()
            if seats and seats[-1].epoch > known:
                known = seats[-1].epoch
                self._say(f"epoch {known} has begun at height {self._pulse.height}: members {seats[-1].numbers}")
            if seats and seats[-1].numbers == AT_LAST and self._have_all(seats[-1].epoch):
                return seats[-1].epoch
            if trio.current_time() > give_up_at_s:
                raise LaunchError(f"no committee of seven within {LIMIT_S:.0f} s; see the logs in {self._folder}")
            await trio.sleep(0.2)

    def _have_all(self, epoch: int) -> bool:
        seats = self._store(0).seats()[-1]
        finals = [self._store(number).final(self._store(number).height()) for number in seats.numbers]
        return all(final is not None and final.block.header.epoch == epoch for final in finals)

    async def _wait_for_checkpoint(self, network: Network, epoch: int) -> int:
        """The height of a checkpoint of that epoch; the last one there is when none comes."""
        settlement = await in_thread(Settlement, network.rpc_url, network.config.contract)
        root = self._store(0).seal(epoch - 1)
        height = 0
        with trio.move_on_after(60):
            while root is None or height <= root.height:
                height = (await in_thread(settlement.last)).height
                await trio.sleep(0.5)
        return height

    # what the disks say

    def _epochs(self) -> list[EpochLine]:
        store = self._store(0)
        finals = list(store.finals(1, 1 << 30))
        sizes = {seats.epoch: len(seats.numbers) for seats in store.seats()} | {1: FOUNDERS}
        times_ms = {final.block.header.height: final.block.header.timestamp_ms for final in finals}
        lines = []
        for epoch in sorted({final.block.header.epoch for final in finals}):
            heights = [final.block.header.height for final in finals if final.block.header.epoch == epoch]
            gaps_ms = [times_ms[height] - times_ms[height - 1] for height in heights[1:]]
            before_ms = times_ms[heights[0]] - times_ms[heights[0] - 1] if heights[0] > 1 else 0
            seal = store.seal(epoch)
            lines.append(
                EpochLine(
                    epoch, sizes.get(epoch, 0), heights[0], heights[-1], 0 if seal is None else len(seal.trailing),
                    before_ms, max(gaps_ms, default=0),
                )
            )  # fmt: skip
        return lines

    def _measure(self) -> dict[str, int]:
        """The longest pause before anybody joined, while newcomers' processes start, at epochs' beginnings, and apart
        from those while all eight run: what a busy machine costs shows in the others.
        """
        starts = {line.first_height for line in self.epochs}
        parts: dict[str, list[float]] = {"before": [], "joining": [], "epoch_start": [], "after": []}
        for pause_s, height in self._pulse.pauses:
            if height <= self.joined_height:
                parts["before"].append(pause_s)
            elif height <= self.ready_height:
                parts["joining"].append(pause_s)
            else:
                parts["epoch_start" if height in starts else "after"].append(pause_s)
        return {name: round(1_000 * max(found, default=0)) for name, found in parts.items()}

    def _judge(self, epoch: int, onchain_height: int) -> list[Check]:
        epochs = self.epochs = self._epochs()
        self.pauses_ms = self._measure()
        last = next(seats for seats in self._store(0).seats() if seats.epoch == epoch)
        chains = {
            number: {final.block.header.height: final.block.hash() for final in self._store(number).finals(1, 1 << 30)}
            for number in range(FOUNDERS + NEWCOMERS)
        }
        longest = max(chains.values(), key=len)
        is_whole = all(sorted(chain) == list(range(min(chain), max(chain) + 1)) for chain in chains.values() if chain)
        is_one = all(longest.get(height, name) == name for chain in chains.values() for height, name in chain.items())
        told = set() if self.refused is None else set(self.refused.against)
        first_height = next(line.first_height for line in epochs if line.epoch == epoch)
        return [
            Check("who asked too early was told every reason, and nothing was sent", told >= NOT_READY,
                  ", ".join(sorted(told))),
            Check("the dry runs before joining found nothing against it",
                  all(answer.exit_code == 0 and not answer.against for answer in self.dry_runs.values())
                  and len(self.dry_runs) == NEWCOMERS,
                  "; ".join(f"node{number} {answer.against}" for number, answer in self.dry_runs.items()
                            if answer.against)),
            Check("seven members agree", len(last.numbers) == len(AT_LAST), str(last.numbers)),
            Check("who left is not among them, the newcomers are", LEAVER not in last.numbers
                  and set(range(FOUNDERS, FOUNDERS + NEWCOMERS)) <= set(last.numbers)),
            Check("no height is missing on any disk", is_whole),
            Check("every height has one block on all disks, and so one root", is_one),
            Check("checkpoints go on in the seven's epoch", onchain_height >= first_height, f"height {onchain_height}"),
            Check(f"no change of committee kept blocks from being final for {PAUSE_MS_MAX} ms",
                  self.pauses_ms["epoch_start"] <= PAUSE_MS_MAX,
                  ", ".join(f"{name.replace('_', ' ')} {pause_ms} ms" for name, pause_ms in self.pauses_ms.items())),
        ]  # fmt: skip


def print_outcome(drill: RotationDrill, checks: list[Check], console: Console) -> None:
    table = Table("epoch", "members", "heights", "trailing blocks", "pause at its start", "longest pause within")
    for line in drill.epochs:
        table.add_row(
            str(line.epoch), str(line.members), f"{line.first_height}-{line.last_height}", str(line.trailing_blocks),
            f"{line.pause_before_ms} ms", f"{line.longest_pause_ms} ms",
        )  # fmt: skip
    console.print(table)
    for check in checks:
        text = f"{'ok  ' if check.is_met else 'FAIL'}  {check.text}" + (f": {check.detail}" if check.detail else "")
        console.print(text, markup=False, highlight=False, soft_wrap=True)


def write_results(drill: RotationDrill, checks: list[Check], elapsed_s: float) -> None:
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    body = {
        "passed": all(check.is_met for check in checks), "elapsed_s": round(elapsed_s, 1),
        "longest_pauses_ms": drill.pauses_ms,
        "epochs": [asdict(line) for line in drill.epochs], "checks": [asdict(check) for check in checks],
    }  # fmt: skip
    RESULTS.write_text(json.dumps(body, indent=1) + "\n")


def main(
    *,
    dir: Annotated[Path, Parameter(help="where the network lives; made anew")] = Path(".hansa-drills/rotation"),
    rate: Annotated[float, Parameter(help="commands per second, all traders together")] = 20.0,
    base_port: Annotated[int, Parameter(help="first port to try")] = 32300,
    epoch_s: Annotated[float, Parameter(help="length of an epoch")] = EPOCH_MS / 1_000,
) -> int:
    """Let a committee of four become one of seven while it works.

    Example: python -m testnet.drill_rotation --epoch-s 60
    """
    console = Console(stderr=True)
    terms = Terms(epoch_length_ms=round(1_000 * epoch_s))
    options = Options(FOUNDERS, dir.resolve(), "embedded", 1, 0, True, rate, base_port, is_fresh=True, terms=terms)
    started_s, failures = time.monotonic(), list[BaseException]()
    checks: list[Check] = []
    with Processes() as processes:
        drill = RotationDrill(options, processes, console)
        try:
            checks = trio.run(drill.run)
        except* (FolderError, LaunchError, ChildDied, ChainError, Refused, HansaError) as group:
            failures += list_leaves(group)
    for failure in failures:
        console.print(f"drill: {failure}", markup=False, highlight=False, soft_wrap=True)
    if failures:
        return EXIT_BROKEN
    write_results(drill, checks, time.monotonic() - started_s)
    print_outcome(drill, checks, console)
    return 0 if all(check.is_met for check in checks) else EXIT_FAILED


if __name__ == "__main__":
    sys.exit(cyclopts.App(name="drill_rotation", default_command=main)())
