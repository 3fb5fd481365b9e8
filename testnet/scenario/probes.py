"""What somebody tries on purpose while the network runs, one record a kind: the `[[probe]]` tables of a scenario.

A probe needs real nodes or a real settlement contract, acts on them as anybody could from outside, and is its own
judge: what it has tried and what became of it are rows of the report.
"""

from dataclasses import dataclass

from testnet.scenario.harms import kind_of
from testnet.scenario.words import word


@dataclass(frozen=True, slots=True)
class ZeroRoot:
    """Withdrawals that nobody made are proven by zeros, against checkpoints of zeros, the real last one, and heights
    that were never posted; a header of zeros is posted as a checkpoint (Nomad, 2022).
    """


@dataclass(frozen=True, slots=True)
class ReplayedExit:
    """A withdrawal that was paid is claimed again with every way of writing its proof differently (Polygon, 2021)."""


@dataclass(frozen=True, slots=True)
class RemovedLimits:
    """One operator, then the owner of the deployment's key, try everything that would lift a limit of the custody at
    once (Drift, 2026).
    """


@dataclass(frozen=True, slots=True)
class LostAnswer:
    """Orders are sent, and the connection breaks before the answer; each is sent again to other nodes until one says
    what became of it. None may execute twice, none may be called refused and execute (Hyperliquid, 2025).
    """

    orders: int = word("how many", default=12, least=1, most=200)


Trial = ZeroRoot | ReplayedExit | RemovedLimits | LostAnswer
TRIALS: dict[str, type[Trial]] = {
    kind_of(record): record for record in (ZeroRoot, ReplayedExit, RemovedLimits, LostAnswer)
}


@dataclass(frozen=True, slots=True)
class Probe:
    """One `[[probe]]` and when it begins, in seconds after the network runs."""

    number: int
    trial: Trial
    at_s: float

    @property
    def kind(self) -> str:
        return kind_of(type(self.trial))
