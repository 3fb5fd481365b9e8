"""What can go wrong with a network, one record a kind: the `[[fault]]` tables of a scenario.

Every fault has, besides what its kind has: `kind`, `at_s` (seconds after the network runs), `for_s` (how long; 0: to
the end of the run) and `targets` (numbers of validators, or "all").
"""

import re
from dataclasses import dataclass

from testnet.scenario.words import word

BEHAVIOURS = ("equivocate", "withhold", "forge", "censor", "stale_prices", "false_prices")
DIRECTIONS = ("both", "to", "from")
PRICE_MOVE_BPS_MAX = 9_000
SKEW_MS_MAX = 3_600_000
DELAY_MS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Crash:
    """kill -9: nothing is flushed, nothing said. It is started again on the same disk when the fault ends."""


@dataclass(frozen=True, slots=True)
class Pause:
    """The process stands still with open sockets, as under SIGSTOP or on a machine that swaps, and then goes on."""


@dataclass(frozen=True, slots=True)
class DiskLost:
    """Blocks and states are deleted while the process is down; what the key has signed is kept. Its end starts it."""


@dataclass(frozen=True, slots=True)
class Partition:
    """The targets and the others do not hear each other; within each side all is well."""

    direction: str = word(
        "`both`; `to`: the targets hear nobody, and are heard; `from`: nobody hears the targets, who hear",
        default="both", choices=DIRECTIONS,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Delay:
    """Everything between the targets and anybody takes longer, one way."""

    delay_ms: float = word("the mean", least=0, most=DELAY_MS_MAX)
    jitter_ms: float = word("drawn evenly from so much less to so much more", default=0.0, least=0, most=DELAY_MS_MAX)


@dataclass(frozen=True, slots=True)
class Loss:
    """A share of the packets between the targets and anybody never arrives; TCP sends them again."""

    share: float = word("of all packets, one way", least=0, most=0.9)


@dataclass(frozen=True, slots=True)
class ClockSkew:
    """The targets' time of day is wrong. Timers are not: no machine's monotonic clock jumps."""

    skew_ms: int = word("ahead; negative: behind", least=-SKEW_MS_MAX, most=SKEW_MS_MAX)


@dataclass(frozen=True, slots=True)
class DiskFull:
    """No byte more fits onto the targets' disks until the fault ends."""


@dataclass(frozen=True, slots=True)
class SlowDisk:
    """Every sync of the targets' disks takes longer."""

    sync_ms: int = word("so much", least=1, most=10_000)


@dataclass(frozen=True, slots=True)
class Byzantine:
    """The targets lie with their own keys: `equivocate` proposes two blocks in one view; `withhold` proposes, and gives
    its batches and votes to nobody; `forge` sends votes and prices in others' names and certificates that nobody
    signed; `censor` leaves all others' batches out of its blocks; `stale_prices` reports the price of the moment when
    it began as if it were new; `false_prices` reports a fifth more than it sees.
    """

    behaviour: str = word("how they lie", choices=BEHAVIOURS)


@dataclass(frozen=True, slots=True)
class NoPrices:
    """The price programs of the targets are dead: they report no price."""


@dataclass(frozen=True, slots=True)
class PriceMove:
    """The market moves by this much within the fault's time, as every honest validator sees it, and stays there. Has no
    targets.
    """

    change_bps: int = word(
        "of the price; negative: down", least=-PRICE_MOVE_BPS_MAX, most=PRICE_MOVE_BPS_MAX
    )  # fmt: skip
    underlying: str = word("whose price; empty: of all", default="")


@dataclass(frozen=True, slots=True)
class TimeLeap:
    """Everybody's time of day goes ahead at once, validators', traders' and the settlement chain's, and never comes
    back: within `pause` of all it makes a halt of an hour out of seconds. Has no targets.
    """

    leap_s: float = word("how far", least=1, most=86_400)


@dataclass(frozen=True, slots=True)
class ChainDown:
    """The settlement chain answers nobody. Has no targets."""


Harm = (
    Crash | Pause | DiskLost | Partition | Delay | Loss | ClockSkew | DiskFull | SlowDisk | Byzantine | NoPrices
    | PriceMove | TimeLeap | ChainDown
)  # fmt: skip
HARMS: tuple[type[Harm], ...] = (
    Crash, Pause, DiskLost, Partition, Delay, Loss, ClockSkew, DiskFull, SlowDisk, Byzantine, NoPrices, PriceMove,
    TimeLeap, ChainDown,
)  # fmt: skip
WITHOUT_TARGETS: tuple[type[Harm], ...] = (PriceMove, TimeLeap, ChainDown)


def kind_of(record: type) -> str:
    """`DiskFull` is written `disk_full`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", record.__name__).lower()


KINDS: dict[str, type[Harm]] = {kind_of(record): record for record in HARMS}


@dataclass(frozen=True, slots=True)
class Fault:
    """One `[[fault]]`: a harm, its time in seconds after the network runs, and its members. `ends_s` is the end of the
    run where it lasts that long.
    """

    number: int
    harm: Harm
    at_s: float
    ends_s: float
    targets: tuple[int, ...]
    is_healed: bool  # whether it ends before the run does

    @property
    def kind(self) -> str:
        return kind_of(type(self.harm))

    @property
    def title(self) -> str:
        """As pictures and tables show it."""
        name = self.harm.behaviour if isinstance(self.harm, Byzantine) else self.kind
        members = ", ".join(map(str, self.targets))
        return f"{name.replace('_', ' ')}{f' of {members}' if members else ''}"
