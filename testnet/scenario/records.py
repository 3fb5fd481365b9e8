"""A scenario as it is run: the network, who trades, what goes wrong when, and what must hold in the end."""

from dataclasses import dataclass

from testnet.scenario.conditions import Condition
from testnet.scenario.harms import Byzantine, Fault
from testnet.scenario.probes import Probe
from testnet.scenario.words import word

VALIDATORS_MAX = 32
DURATION_S_MAX = 86_400


@dataclass(frozen=True, slots=True)
class NetworkPlan:
    """What is built. The seed decides prices, traders and whatever a back end draws."""

    duration_s: float = word("how long the run lasts after the network has come up", least=1, most=DURATION_S_MAX)
    validators: int = word("committee size", default=4, least=1, most=VALIDATORS_MAX)
    seed: int = word("of prices, traders and chance", default=1, least=0)
    epoch_s: float = word("how long a committee stays; 0: for ever", default=0.0, least=0)
    has_options: bool = word("futures and options are listed, too", default=False)
    expiry_s: float = word("when the near expiry comes, with options; 0: on a Friday days ahead", default=0.0, least=0)


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """What traders do. Without the table nobody trades."""

    commands_per_s: float = word("all traders together", default=20.0, least=0, most=10_000)
    withdraw_after_s: float = word("when the first withdrawal is asked for", default=10.0, least=0)


@dataclass(frozen=True, slots=True)
class Scenario:
    """`story`: what happened in the world, and what must not happen here; for the report."""

    name: str
    title: str
    story: str
    network: NetworkPlan
    load: LoadPlan | None
    faults: tuple[Fault, ...]
    probes: tuple[Probe, ...]
    conditions: tuple[Condition, ...]

    @property
    def liars(self) -> dict[int, str]:
        """Member -> its behaviour. A member has one in a scenario."""
        return {
            member: fault.harm.behaviour
            for fault in self.faults
            if isinstance(fault.harm, Byzantine)
            for member in fault.targets
        }

    @property
    def honest(self) -> tuple[int, ...]:
        return tuple(member for member in range(self.network.validators) if member not in self.liars)
