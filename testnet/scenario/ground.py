"""Where the members of a scenario live, and what can happen to them there: the difference between back ends whose
validators are real (`testnet.scenario.process_backend`).
"""

from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

from testnet.faults.line import Lines
from testnet.faults.namespaces import Namespaces, find_obstacle
from testnet.faults.processes import kill, pause, resume
from testnet.faults.weather import CALM, Weather
from testnet.launch import Site
from testnet.local import Child, Processes
from testnet.scenario.backend import Abilities
from testnet.scenario.conditions import CONDITIONS
from testnet.scenario.harms import KINDS, Delay, Loss, Partition
from testnet.scenario.probes import TRIALS
from testnet.scenario.records import Scenario
from testnet.wan.network import SITE


class Ground(Protocol):
    """`enter`, then `join`, before any member starts; whatever they make is gone when the stack is left."""

    @property
    def name(self) -> str:
        """Of the back end, as `--backend` names it."""

    @property
    def abilities(self) -> Abilities: ...

    def find_obstacle(self, scenario: Scenario) -> str:
        """What this machine lacks for it, and the cure; empty: nothing."""

    def enter(self, stack: ExitStack, scenario: Scenario, folder: Path) -> Site: ...

    def join(self, processes: Processes, scenario: Scenario, folder: Path) -> None:
        """From the main thread: a child dies with the thread that starts it."""

    def kill(self, processes: Processes, children: list[Child]) -> None:
        """kill -9 of all at once; none is there when it returns."""

    def pause(self, child: Child) -> None: ...

    def resume(self, child: Child) -> None: ...

    def set_weather(self, start: int, end: int, weather: Weather) -> None:
        """Of one direction between two members, from now on."""


class ProcessGround:
    """Processes on loopback, or in network namespaces joined by a router where a scenario has weather."""

    name = "processes"
    abilities = Abilities(frozenset(KINDS), frozenset(CONDITIONS), frozenset(TRIALS))

    def __init__(self) -> None:
        self._namespaces: Namespaces | None = None
        self._lines: Lines | None = None

    def find_obstacle(self, scenario: Scenario) -> str:
        if has_weather(scenario) and (obstacle := find_obstacle()):
            return f"partition, delay and loss need namespaces: {obstacle}"
        return ""

    def enter(self, stack: ExitStack, scenario: Scenario, folder: Path) -> Site:
        if not has_weather(scenario):
            return Site()
        self._namespaces = stack.enter_context(Namespaces(scenario.network.validators))
        return SITE

    def join(self, processes: Processes, scenario: Scenario, folder: Path) -> None:
        if self._namespaces is not None:
            self._lines = Lines(processes, self._namespaces, CALM, scenario.network.seed, folder.parent)

    def kill(self, processes: Processes, children: list[Child]) -> None:
        for child in children:
            child.process.kill()
        for child in children:
            kill(processes, child)

    def pause(self, child: Child) -> None:
        pause(child)

    def resume(self, child: Child) -> None:
        resume(child)

    def set_weather(self, start: int, end: int, weather: Weather) -> None:
        if self._lines is None:
            raise RuntimeError("weather without namespaces: `enter` makes them for scenarios that have such faults")
        self._lines.change(weather, [start], [end])


def has_weather(scenario: Scenario) -> bool:
    return any(isinstance(fault.harm, Partition | Delay | Loss) for fault in scenario.faults)
