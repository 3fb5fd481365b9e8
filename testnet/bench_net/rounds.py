"""The loads that one network is put under: as much as it bears, half of that, and next to nothing."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

import trio
from rich.console import Console
from rich.progress import Progress

from testnet.bench_net.clients import ClientFleet
from testnet.bench_net.figures import Figures, compute_figures
from testnet.bench_net.loader import Load
from testnet.bench_net.nodes import Counted, read_counters, subtract
from testnet.bench_net.profiler import Profiler
from testnet.launch import Network

LEAD_S = 1.5  # clients connect
RAMP_S = 3.0
SETTLE_S = 1.5
IDLE_PER_S = 4.0
# Of what a closed loop reached, what is tried first in an open one, and what is left after each try that failed; the
# same steps upwards.
FIRST_SHARE, NEXT_SHARE = 0.92, 0.88
# Clients do not send to the very command: what is offered to try the goal.
GOAL_SHARE = 1.01
TRIES_MAX = 4
# A closed loop keeps so many seconds of the goal's rate under way.
OUTSTANDING_S = 0.6
PROGRESS_INTERVAL_S = 0.5
RATE_MESSAGES_MIN = 2  # messages a second that are always offered


@dataclass(frozen=True, slots=True)
class Kind:
    """How commands are signed and sent. `ceiling_per_s`: more commands a second are never offered."""

    name: str
    entry: str
    actions_per_message: int
    goal_per_s: int
    ceiling_per_s: int


KINDS = {
    "json": Kind("one by one, JSON", "json", 1, 0, 4_000),
    "1": Kind("one by one", "frames", 1, 4_000, 8_000),
    "20": Kind("batches of 20", "frames", 20, 25_000, 40_000),
    "100": Kind("batches of 100", "frames", 100, 50_000, 80_000),
}


class Outcome(Protocol):
    """What a window says of the rate that was offered."""

    @property
    def is_sustained(self) -> bool: ...

    @property
    def executed_per_s(self) -> float: ...


T = TypeVar("T", bound=Outcome)


async def find_highest(
    attempt: Callable[[float], Awaitable[T]], first_per_s: float, goal_per_s: float, ceiling_per_s: float
) -> T:
    """The highest rate tried that was kept up over a whole window, or the last that was tried: lower ones until one is
    kept up, the goal among them, and from one below the goal upwards until one is not.
    """
    rate_per_s, best, was_too_much = first_per_s, None, False
    for _ in range(TRIES_MAX):
        figures = await attempt(rate_per_s)
        if figures.is_sustained:
            best = figures
            if was_too_much or figures.executed_per_s >= goal_per_s or rate_per_s >= ceiling_per_s:
                break
            rate_per_s = min(rate_per_s / NEXT_SHARE, ceiling_per_s)
        elif best is not None:
            break
        else:
            was_too_much = True
            next_per_s, goal_offer_per_s = min(rate_per_s, figures.executed_per_s) * NEXT_SHARE, goal_per_s * GOAL_SHARE
            rate_per_s = goal_offer_per_s if next_per_s < goal_offer_per_s < rate_per_s else next_per_s
    return best or figures


@dataclass(slots=True)
class Rounds:
    """Runs loads on one network and keeps what came of them."""

    setup: str
    network: Network
    fleet: ClientFleet
    window_s: float
    console: Console
    profiler: Profiler | None = None

    def note(self, kind: Kind, load: str, text: str) -> None:
        self.console.print(f"{self.setup}: {kind.name}, {load}: {text}", highlight=False)

    async def measure_idle(self, kind: Kind) -> Figures:
        """A few messages a second, so that clients have something to time."""
        return await self._open(kind, "idle", IDLE_PER_S * kind.actions_per_message, min(self.window_s, 30.0))

    async def measure_full(self, kind: Kind) -> Figures:
        """See `find_highest`."""
        first_per_s = min(await self._probe(kind) * FIRST_SHARE, kind.ceiling_per_s)
        return await find_highest(
            lambda rate_per_s: self._open(kind, "full", rate_per_s, self.window_s),
            first_per_s, kind.goal_per_s, kind.ceiling_per_s,
        )  # fmt: skip

    async def measure_half(self, kind: Kind, full: Figures) -> Figures:
        """At half of the goal, or of what was reached where that is less."""
        reached_per_s = min(full.executed_per_s, kind.goal_per_s or full.executed_per_s)
        return await self._open(kind, "half", reached_per_s / 2, self.window_s)

    async def measure_at(self, kind: Kind, load: str, rate_per_s: float) -> Figures:
        """At a rate that the user chose."""
        return await self._open(kind, load, rate_per_s, self.window_s)

    async def _probe(self, kind: Kind) -> float:
        """Commands a second, as fast as answers come. Who is through with all that was signed was faster than what is
        ever offered, perhaps before the window began.
        """
        window_s = max(8.0, self.window_s / 4)
        goal_per_s = kind.goal_per_s or kind.ceiling_per_s // 4
        outstanding = max(8, int(goal_per_s * OUTSTANDING_S / kind.actions_per_message))
        count = int(kind.ceiling_per_s * (window_s + RAMP_S) / kind.actions_per_message)
        figures, is_exhausted = await self._run(kind, "probe", window_s, count, outstanding=outstanding)
        return kind.ceiling_per_s / FIRST_SHARE if is_exhausted else figures.executed_per_s

    async def _open(self, kind: Kind, load: str, rate_per_s: float, window_s: float) -> Figures:
        messages_per_s = max(RATE_MESSAGES_MIN, rate_per_s / kind.actions_per_message)
        count = int(messages_per_s * (window_s + RAMP_S + 2)) + 16
        return (await self._run(kind, load, window_s, count, messages_per_s=messages_per_s))[0]

    async def _run(
        self, kind: Kind, load: str, window_s: float, count: int, messages_per_s: float = 0.0, outstanding: int = 0
    ) -> tuple[Figures, bool]:
        """What came of it, and whether all that was signed was sent before the end."""
        self.note(kind, load, f"signing {count:,} messages")
        await self.fleet.sign(count, kind.actions_per_message)
        await trio.sleep(SETTLE_S)
        starts_s = time.monotonic() + LEAD_S + RAMP_S
        offered = f" at {messages_per_s * kind.actions_per_message:,.0f} a second" if messages_per_s else ""
        self.note(kind, load, f"{window_s:.0f} s{offered}")
        order = Load(kind.entry, starts_s, starts_s + window_s, messages_per_s, outstanding)
        found: list[list[Counted]] = []
        async with trio.open_nursery() as nursery:
            if self.profiler is not None and load == "full":
                nursery.start_soon(self.profiler.run, self.network, starts_s, window_s)
            nursery.start_soon(self._look, starts_s, window_s, found)
            nursery.start_soon(self._show_progress, starts_s, window_s)
            clients, is_exhausted = await self.fleet.run(order)
        if is_exhausted:
            self.note(kind, load, "all that was signed is sent before the end")
        nodes = [subtract(after, before) for before, after in zip(*found, strict=True)]
        figures = compute_figures(self.setup, kind.name, load, nodes, clients, kind.actions_per_message, window_s)
        self.note(kind, load, f"{figures.executed_per_s:,.0f} a second executed")
        return figures, is_exhausted

    async def _show_progress(self, starts_s: float, window_s: float) -> None:
        with Progress(console=self.console, transient=True) as progress:
            task = progress.add_task("measuring", total=window_s)
            while (elapsed_s := time.monotonic() - starts_s) < window_s:
                progress.update(task, completed=max(0.0, elapsed_s))
                await trio.sleep(PROGRESS_INTERVAL_S)

    async def _look(self, starts_s: float, window_s: float, found: list[list[Counted]]) -> None:
        await trio.sleep(max(0.0, starts_s - time.monotonic()))
        found.append(await read_counters(self.network))
        await trio.sleep(max(0.0, starts_s + window_s - time.monotonic()))
        found.append(await read_counters(self.network))
