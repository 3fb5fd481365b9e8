"""One large committee on one machine, from its founding until the killed are back.

Its validators are forked from one process that has loaded everything: they share that memory, and a start costs next to
nothing, where sixteen starts from nothing would cost half a minute of two processors.
"""

import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio
from rich.console import Console

from consensus.messages import fault_bound
from net.client import AsyncClient, HansaError
from testnet.bench_figures import read_status
from testnet.counters import Window, compare, read_counters
from testnet.crash.validators import Validator, Validators
from testnet.failures import wait_for_signal
from testnet.launch import Launcher, Network, Options
from testnet.local import ChildDied, Processes
from testnet.report import load_report

WITHDRAW_AFTER_S = 20.0
START_GAP_S = 0.3
FORM_S_MAX = 180.0
BACK_S_MAX = 240.0
POLL_S = 0.5
NEAR_BLOCKS = 3
HEIGHTS_COMPARED_MAX = 40


@dataclass(frozen=True, slots=True)
class Outcome:
    """`proportional_mib`: of each node, shared memory divided among those who share it; `resident_mib` counts it in
    full.
    """

    member_count: int
    killed_count: int
    formed_s: float
    steady: Window
    bereft: Window
    back_s: float
    voting_again: int
    compared: int
    disagreements: list[str]
    proportional_mib: list[int]
    resident_mib: list[int]
    deaths: list[str]


class Committee:
    """The running validators, and what is asked of them."""

    def __init__(self, network: Network, validators: Validators, console: Console) -> None:
        self._network, self._validators, self._console = network, validators, console

    @property
    def urls(self) -> list[str]:
        return self._network.api_urls

    async def start(self, seats: list[Validator], limit_s: float) -> float:
        """Seconds until each of these is at the others' height and votes."""
        began_s = trio.current_time()
        for seat in seats:
            self._validators.start(seat)
            await trio.sleep(START_GAP_S)
        with trio.fail_after(limit_s):
            while True:
                self.check()
                statuses = [await read_status(url) for url in self.urls]
                top = max(status.get("height", 0) for status in statuses)
                there = [seat for seat in seats if _is_there(statuses[seat.index], top)]
                if len(there) == len(seats) and top > 0:
                    return trio.current_time() - began_s
                self._say(f"{len(there)} of {len(seats)} are there, height {top}")
                await trio.sleep(POLL_S)

    def kill(self, seats: list[Validator]) -> None:
        self._validators.end(seats, signal.SIGKILL)

    def check(self) -> None:
        """Raises `ChildDied` if a validator has ended by itself."""
        self._validators.listen(0)
        if self._validators.deaths:
            raise ChildDied("; ".join(self._validators.deaths))

    async def observe(self, seats: list[Validator], window_s: float) -> Window:
        urls = [self.urls[seat.index] for seat in seats]
        before = await read_counters(urls)
        await trio.sleep(window_s)
        self.check()
        return compare(before, await read_counters(urls))

    async def wait_for_votes(self, seats: list[Validator], limit_s: float) -> int:
        """How many of these were among the signers of a new certificate within the time. Each names a quorum only, so
        who is slow is in few of them.
        """
        missing = {seat.index for seat in seats}
        with trio.move_on_after(limit_s):
            async with AsyncClient(self.urls[0], timeout_s=30) as client:
                height = (await client.status())["height"]
                while missing:
                    try:
                        missing -= set((await client.certificate(height + 1))["signers"])
                        height += 1
                    except HansaError:
                        await trio.sleep(POLL_S / 5)
        return len(seats) - len(missing)

    async def compare_roots(self) -> tuple[int, list[str]]:
        """How many heights were compared on all nodes, evenly from the first to the last that all have; and which of
        them have two roots.
        """
        top = min([(await read_status(url)).get("height", 0) for url in self.urls])
        heights = sorted(set(range(1, top + 1, max(1, top // HEIGHTS_COMPARED_MAX))) | ({top} if top else set()))
        told: dict[int, dict[str, list[int]]] = {height: {} for height in heights}
        for index, url in enumerate(self.urls):
            async with AsyncClient(url, timeout_s=30) as client:
                for height in heights:
                    certificate = await client.certificate(height)
                    told[height].setdefault(certificate["state_root"], []).append(index)
        return len(heights), [f"height {height}: {roots}" for height, roots in told.items() if len(roots) > 1]

    def read_memory(self) -> tuple[list[int], list[int]]:
        """MiB of each node: proportional, resident (proc(5), smaps_rollup)."""
        found = [_read_rollup(seat.pid) for seat in self._validators.seats if seat.pid is not None]
        return [memory["Pss"] >> 10 for memory in found], [memory["Rss"] >> 10 for memory in found]

    def _say(self, text: str) -> None:
        self._console.print(text, highlight=False)


def _is_there(status: dict[str, Any], top: int) -> bool:
    return bool(status) and not status["is_syncing"] and status["height"] >= top - NEAR_BLOCKS


def _read_rollup(pid: int) -> dict[str, int]:
    """KiB by name."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    return {line.split(":")[0]: int(line.split()[1]) for line in lines}


async def run_committee(options: Options, window_s: float, console: Console) -> Outcome:
    """Everything that is started is gone when this returns, or raises."""
    with Processes() as processes:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait_for_signal)
            outcome = await _run(options, processes, window_s, console)
            nursery.cancel_scope.cancel()
    return outcome


async def _run(options: Options, processes: Processes, window_s: float, console: Console) -> Outcome:
    count = options.validator_count
    launcher = Launcher(options, processes, console)
    network = await launcher.found()
    validators = Validators(processes, options.folder, count)
    committee = Committee(network, validators, console)
    seats, dying = validators.seats, validators.seats[count - fault_bound(count) :]
    living = seats[: count - len(dying)]
    formed_s = await committee.start(seats, FORM_S_MAX)
    await launcher.fund(network)
    launcher.start_traders(WITHDRAW_AFTER_S)
    await wait_for_commands(options.folder)
    console.print(f"all {count} at work, {window_s:.0f} s", highlight=False)
    steady = await committee.observe(seats, window_s)
    proportional_mib, resident_mib = committee.read_memory()
    console.print(f"kill -9 of {len(dying)}, {window_s:.0f} s without them", highlight=False)
    committee.kill(dying)
    bereft = await committee.observe(living, window_s)
    console.print(f"{len(dying)} start again", highlight=False)
    back_s = await committee.start(dying, BACK_S_MAX)
    voting_again = await committee.wait_for_votes(dying, BACK_S_MAX)
    compared, disagreements = await committee.compare_roots()
    return Outcome(
        count, len(dying), formed_s, steady, bereft, back_s, voting_again, compared, disagreements, proportional_mib,
        resident_mib, validators.deaths,
    )  # fmt: skip


async def wait_for_commands(folder: Path) -> None:
    """Until traders trade. Raises `TooSlowError`."""
    with trio.fail_after(FORM_S_MAX):
        while not load_report(folder / "bots").commands_sent:
            await trio.sleep(POLL_S)
