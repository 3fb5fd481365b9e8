"""What runs a scenario: the simulator in virtual time, processes on this machine, or containers.

`testnet.scenario.running` drives any of them: `start`, then `wait_until`, `apply` and `heal` in the order of the plan,
then `observe`, and `stop` whatever happened.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from testnet.scenario.facts import Facts, Verdict
from testnet.scenario.harms import BEHAVIOURS, Byzantine, Fault, kind_of
from testnet.scenario.probes import Probe
from testnet.scenario.records import Scenario

SHOWN_REFUSALS_MAX = 8


class Unable(Exception):
    """The back end cannot run this scenario, here or at all; the message says why and what could."""


@dataclass(frozen=True, slots=True)
class Abilities:
    """Kinds of faults, conditions and probes, and behaviours of liars, that a back end has."""

    faults: frozenset[str]
    conditions: frozenset[str]
    probes: frozenset[str] = frozenset()
    behaviours: frozenset[str] = field(default=frozenset(BEHAVIOURS))

    def find_refusals(self, scenario: Scenario) -> list[str]:
        """What the scenario asks for and this back end has not."""
        kinds = [("fault", fault.kind, self.faults) for fault in scenario.faults]
        kinds += [("assert", kind_of(type(condition)), self.conditions) for condition in scenario.conditions]
        kinds += [("probe", probe.kind, self.probes) for probe in scenario.probes]
        kinds += [
            ("behaviour", fault.harm.behaviour, self.behaviours)
            for fault in scenario.faults
            if isinstance(fault.harm, Byzantine)
        ]
        return list(dict.fromkeys(f"{table} {kind}" for table, kind, known in kinds if kind not in known))


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run may work. `folder`: empty, or an earlier run's, which is forgotten; `base_port`: the first to try."""

    folder: Path
    base_port: int = 28_600


class Backend(Protocol):
    """Times are seconds since `start` returned. May raise `Unable` before anything has started."""

    @property
    def name(self) -> str:
        """As `--backend` names it."""

    @property
    def abilities(self) -> Abilities: ...

    def find_obstacle(self, scenario: Scenario) -> str:
        """What this machine lacks for it, and the cure; empty: nothing."""

    async def start(self, scenario: Scenario) -> None:
        """The network runs, and whoever trades has begun, when this returns."""

    async def wait_until(self, at_s: float) -> float:
        """Until then, looking at the members meanwhile; the time that it is then."""

    async def apply(self, fault: Fault) -> None: ...

    async def heal(self, fault: Fault) -> None: ...

    async def attempt(self, probe: Probe) -> list[Verdict]:
        """Everything that the probe tries, and what became of it."""

    async def observe(self) -> Facts:
        """At the end, while the members still run; liars stay what they are."""

    async def stop(self) -> None:
        """Nothing that was started is left."""


def refuse_what_it_lacks(backend: Backend, scenario: Scenario) -> None:
    """Raises `Unable`, before anything starts."""
    refusals = backend.abilities.find_refusals(scenario)
    if refusals:
        shown = "; ".join(refusals[:SHOWN_REFUSALS_MAX])
        raise Unable(f"the back end {backend.name!r} has no {shown}: choose another --backend, or leave it out")
    obstacle = backend.find_obstacle(scenario)
    if obstacle:
        raise Unable(f"{scenario.name} cannot run here: {obstacle}")
