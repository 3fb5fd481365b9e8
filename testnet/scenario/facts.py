"""What a run has shown, as its back end tells it. Times are seconds after the network ran, money is in quote units."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at all members; None for one that did not answer."""

    at_s: float
    heights: tuple[int | None, ...]

    @property
    def newest(self) -> int:
        return max((height for height in self.heights if height is not None), default=0)


@dataclass(frozen=True, slots=True)
class Final:
    """A block became final: its height, when, and how long it took from its proposal on."""

    at_s: float
    height: int
    finality_ms: float


@dataclass(frozen=True, slots=True)
class Books:
    """The sums of the newest header that all members have, and what the settlement contract says of the same."""

    claims_quote: int
    debt_quote: int
    withdrawals_quote: int
    consumed_quote: int  # deposits up to the header's inbox cursor
    deposits_quote: int
    claimed_quote: int  # withdrawals that were paid
    escrow_quote: int

    @property
    def missing_quote(self) -> int:
        """Of what was deposited and consumed; 0 when all is well, negative when there is too much."""
        return self.consumed_quote - self.claims_quote + self.debt_quote - self.withdrawals_quote

    @property
    def escrow_missing_quote(self) -> int:
        return self.deposits_quote - self.claimed_quote - self.escrow_quote


@dataclass(frozen=True, slots=True)
class Liquidation:
    """One account, when its trades stood in a block. `fault`: why it was wrong; empty: it was due."""

    at_s: float
    height: int
    account: int
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that the report's timeline shows: a fault that began or ended, a probe, a restart."""

    at_s: float
    text: str


@dataclass(slots=True)
class Facts:
    """A back end fills in what it knows, and says by its `Abilities` which conditions can be judged from that."""

    member_count: int
    duration_s: float = 0.0
    samples: list[Sample] = field(default_factory=list)
    finals: list[Final] = field(default_factory=list)
    are_alive: tuple[bool, ...] = ()
    heights_compared: int = 0
    disagreements: list[str] = field(default_factory=list)
    books: Books | None = None
    trades: int = 0
    liquidations: list[Liquidation] = field(default_factory=list)
    funding_blocks: int = 0  # how many blocks were looked at for it
    funding_payments: int = 0
    funding_breaks: list[str] = field(default_factory=list)
    priced_blocks: int = 0  # blocks with price reports
    price_breaks: list[str] = field(default_factory=list)
    expiries_settled: int = 0
    settlement_breaks: list[str] = field(default_factory=list)
    offences: dict[int, tuple[str, ...]] = field(default_factory=dict)  # by proven culprit
    convicted: tuple[int, ...] = ()  # by the court on the settlement chain
    audit_blocks: int = 0
    audit_findings: list[str] = field(default_factory=list)
    first_onchain_height: int = 0
    onchain_height: int = 0
    onchain_findings: list[str] = field(default_factory=list)
    state_root: str = ""
    broken: str = ""  # a property that the back end itself watches, and that ended the run
    notes: list[str] = field(default_factory=list)  # for the reader of the report


@dataclass(frozen=True, slots=True)
class Verdict:
    """One condition or one attempt of a probe, and what was measured."""

    name: str
    text: str
    measured: str
    is_met: bool
