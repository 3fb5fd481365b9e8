"""What must hold in the end, one record a kind: the `[[assert]]` tables of a scenario. `testnet.scenario.judging` says
whether it does.
"""

from dataclasses import dataclass

from testnet.scenario.harms import kind_of
from testnet.scenario.words import word


@dataclass(frozen=True, slots=True)
class NodesAlive:
    """Every honest validator answers at the end, those that were killed, too."""


@dataclass(frozen=True, slots=True)
class HeightsGrow:
    """Each time that faults end and none is left, all honest validators stand on new heights soon."""

    within_s: float = word("how soon", least=1)
    blocks: int = word("how many new heights", default=3, least=1)


@dataclass(frozen=True, slots=True)
class KeepsGoing:
    """At no time is the newest certified height older than this: what at most f members suffer stops nobody."""

    gap_s: float = word("the longest time without a new height", least=0.5)


@dataclass(frozen=True, slots=True)
class StandsStill:
    """With more than f members gone nothing may become final: from one time to another no height is added."""

    from_s: float = word("beginning; leave time for what was on its way", least=0)
    to_s: float = word("end", least=0)


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """At the end every honest validator is near the highest."""

    blocks: int = word("how near", default=10, least=0)


@dataclass(frozen=True, slots=True)
class RootsEqual:
    """Every height has one header and one root on all validators, compared up to where the last one is."""

    heights: int = word("how many heights must have been compared", default=20, least=1)


@dataclass(frozen=True, slots=True)
class MoneyConserved:
    """What accounts claim, less bad debt, and what was withdrawn is what was deposited, to the unit; the contract holds
    the rest.
    """


@dataclass(frozen=True, slots=True)
class NoWrongLiquidation:
    """Each liquidation was of an account below its maintenance margin at a mark of fresh prices; replayed from the
    blocks.
    """

    liquidations: int = word("how many there must have been, so that this says something", default=0, least=0)


@dataclass(frozen=True, slots=True)
class NoLiquidationWithin:
    """Nobody is liquidated so soon after the chain goes on: prices have to be fresh and orders possible before."""

    of_s: float = word("time after the first block that follows a halt", least=0)
    halt_s: float = word("how long without a block is a halt", default=5.0, least=1)


@dataclass(frozen=True, slots=True)
class FundingContinuous:
    """Every market's funding index moves by what an hour's samples of the premium make due, and by nothing else: each
    payment is computed again, none is lost, doubled or forgotten.
    """

    payments: int = word("how many there must have been, so that this says something", default=0, least=0)


@dataclass(frozen=True, slots=True)
class PricesHonest:
    """Every index that the exchange used lies within what honest members reported for that block, or between that and
    the index before it: no liar moved it. Replayed from the reports in the blocks.
    """


@dataclass(frozen=True, slots=True)
class SettledByRule:
    """What expired settled at the mean of the indexes in its blocks, to the last digit, whatever anybody wanted."""

    expiries: int = word("how many must have come", default=1, least=1)


@dataclass(frozen=True, slots=True)
class FinalityBelow:
    """Time from proposal to certificate, of the slowest validator. It tells the machine's load, too."""

    p99_ms: int = word("of a hundred blocks one may take longer", least=1)


@dataclass(frozen=True, slots=True)
class EvidenceNames:
    """Proven contradictions name exactly these members, and the court on the settlement chain knows them."""

    members: tuple[int, ...] = word("who lied", least=0)


@dataclass(frozen=True, slots=True)
class NobodyHonestSlashed:
    """No proof names, and no court convicts, a member that did not lie in this scenario."""


@dataclass(frozen=True, slots=True)
class AuditClean:
    """`hansa audit` replays every validator's disk and finds nothing."""


@dataclass(frozen=True, slots=True)
class CheckpointOnChain:
    """The settlement contract has accepted checkpoints, and their headers are the validators'."""

    checkpoints: int = word("how many heights later than at the beginning", default=1, least=1)


@dataclass(frozen=True, slots=True)
class Traded:
    """People were there: so many trades between traders of different validators."""

    trades: int = word("at least", default=1, least=1)


Condition = (
    NodesAlive | HeightsGrow | KeepsGoing | StandsStill | CaughtUp | RootsEqual | MoneyConserved | NoWrongLiquidation
    | NoLiquidationWithin | FundingContinuous | PricesHonest | SettledByRule | FinalityBelow | EvidenceNames
    | NobodyHonestSlashed | AuditClean | CheckpointOnChain | Traded
)  # fmt: skip
CONDITIONS: dict[str, type[Condition]] = {
    kind_of(record): record
    for record in (
        NodesAlive, HeightsGrow, KeepsGoing, StandsStill, CaughtUp, RootsEqual, MoneyConserved, NoWrongLiquidation,
        NoLiquidationWithin, FundingContinuous, PricesHonest, SettledByRule, FinalityBelow, EvidenceNames,
        NobodyHonestSlashed, AuditClean, CheckpointOnChain, Traded,
    )
}  # fmt: skip
