"""What one member knows of one epoch: views, blocks and what is under way. Data and small queries; the rules live
elsewhere.

Windows. `floor_view` is the highest view known to be finalised: nothing is signed at or below it. Views and blocks
are kept from `floor_view - retain_views` on; votes are taken up to `view + future_views`. Between floor and current
view only certificates, own votes and at most three votes per member and view accumulate, and views pass there no
faster than timers that grow.

Views of an instance count from 1. Its root (genesis, or the sealing block of the epoch before) counts as view 0.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from consensus.committee import weigh
from consensus.effects import CancelTimer, Effect, SetTimer
from consensus.events import NextCommittee, TimerId
from consensus.evidence import OFFENCES
from consensus.leaders import get_leader
from consensus.messages import (
    FINALIZE,
    NOTARIZE,
    NULLIFY,
    Approval,
    Block,
    Certificate,
    Evidence,
    Proposal,
    Vote,
    quorum,
)
from consensus.timeouts import CoreConfig

# The life of a block here.
HELD = "held"  # its parent is not executed yet
CHECKING = "checking"  # the host looks for the data that the payload names
REFUSED = "refused"  # the host would not vote for it; a certificate overrides that
EXECUTING = "executing"
OK = "ok"  # own execution gives exactly the header's commitment
BAD = "bad"  # it does not, or the block breaks a rule that no certificate overrides

PENDING_PER_PEER_MAX = 64


@dataclass(slots=True)
class ViewState:
    """One view."""

    view: int
    proposal: Proposal | None = None  # the leader's first
    proposal_hash: bytes = b""
    is_admitted: bool = False  # R3: the proposal's certificates are valid
    nullify_reason: str = ""  # R5: not empty once this view is to be given up
    is_leader_heard: bool = False
    is_retrying: bool = False  # R8: the retry timer is armed
    is_approval_asked: bool = False  # EP3: the proposal's approval is being verified, or was
    asked: dict[int, bytes] = field(default_factory=dict)  # kind -> hash: asked of the signer, or signed
    refused: dict[int, bytes] = field(default_factory=dict)  # kind -> hash: never asked again
    own: dict[int, Vote] = field(default_factory=dict)  # kind -> vote
    votes: dict[int, dict[int, Vote]] = field(default_factory=lambda: {NOTARIZE: {}, NULLIFY: {}, FINALIZE: {}})
    certificates: dict[int, Certificate] = field(default_factory=dict)
    aggregating: dict[int, int] = field(default_factory=dict)  # kind -> token
    collectors: tuple[int, ...] = ()  # CO1: computed when first asked for
    is_open_to_all: bool = False  # CO3: the collectors failed us
    build_parent: bytes | None = None  # R2: a payload on this parent was asked for
    draft: "Draft | None" = None  # R2: own block, not signed yet


@dataclass(frozen=True, slots=True)
class Draft:
    """An own proposal before its vote is signed."""

    block: Block
    parent_certificate: Certificate | None
    nullifications: tuple[Certificate, ...]
    approval: Approval | None = None  # EP2: of a block that seals the epoch


@dataclass(slots=True)
class BlockEntry:
    block: Block
    hash: bytes
    status: str
    own_commitment: bytes | None = None
    is_acceptable: bool = False  # R3: the host would vote for it; executing a certified block does not need that


@dataclass(slots=True)
class Wanted:
    """A certified block that is not here (R9)."""

    view: int
    proposer: int | None
    next_ms: int
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class PendingProposal:
    peer: int
    view: int
    block_hash: bytes
    certificates: tuple[Certificate, ...]


@dataclass(frozen=True, slots=True)
class PendingCertificate:
    peer: int
    certificate: Certificate


@dataclass(frozen=True, slots=True)
class PendingEvidence:
    """`peer` answers for the signatures: it sent the evidence, or the vote that made the pair."""

    peer: int
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class PendingApproval:
    peer: int
    view: int
    approval: Approval


Pending = PendingApproval | PendingProposal | PendingCertificate | PendingEvidence


class State:
    """All of it, plus `out`, the effects of the event at hand, and `is_dirty`, whether a rule may have become true."""

    def __init__(self, config: CoreConfig, leaders: tuple[int, ...]) -> None:
        if len(leaders) != config.member_count or sorted(leaders) != list(range(config.member_count)):
            raise ValueError("leaders must be a permutation of the committee")
        self.config = config
        self.leaders = leaders
        self.weights = config.weights or (1,) * config.member_count
        if len(self.weights) != config.member_count:
            raise ValueError("every member has one weight")
        self.quorum = quorum(sum(self.weights))
        self.now_ms = 0
        self.out: list[Effect] = []
        self.is_dirty = False
        self.is_started = False
        self.is_halted = False
        self.is_diverged = False
        self.is_syncing = False
        self.is_closed = False  # EP5
        self.next_committee: NextCommittee | None = None
        self.approval: Approval | None = None  # verified, of `next_committee`
        self.view = 1
        self.views: dict[int, ViewState] = {}
        root = Block(config.genesis, b"")
        self.root_hash = config.genesis.hash()
        self.final = BlockEntry(root, self.root_hash, OK, config.genesis.commitment)
        self.final_certificate: Certificate | None = None
        self.top_certificate: Certificate | None = None
        self.blocks: dict[bytes, BlockEntry] = {self.root_hash: self.final}
        self.wanted: dict[bytes, Wanted] = {}
        self.pending: dict[int, Pending] = {}
        self.aggregations: dict[int, tuple[int, int, bytes]] = {}  # token -> (kind, view, hash)
        self.token_count = 0
        self.expelled: dict[int, str] = {}
        self.proven: dict[tuple[int, int], Evidence] = {}  # R10: (member, offence) -> its first proof
        self.peer_views: dict[int, int] = {}  # how far each member was seen
        self.missed_turns: dict[int, int] = {}
        self.last_block_ms: int | None = None
        self.final_ms = 0
        self.behind_ms: int | None = None
        self.fetch_timer_ms: int | None = None
        self.egress_bytes: dict[int, int] = {}
        self.egress_ms: dict[int, int] = {}
        self.helped_ms: dict[int, int] = {}
        self.standstill_cursor = 0

    @property
    def floor_view(self) -> int:
        """The highest view known to be finalised."""
        return self.top_certificate.view if self.top_certificate is not None else self.view_of(self.final)

    @property
    def can_sign(self) -> bool:
        """Not while syncing, diverged or halted, not in an epoch that has ended (EP5), and never as an observer."""
        return (
            self.config.me is not None
            and self.is_started
            and not (self.is_syncing or self.is_diverged or self.is_halted or self.is_closed)
        )

    def emit(self, effect: Effect) -> None:
        self.out.append(effect)

    def next_token(self) -> int:
        self.token_count += 1
        return self.token_count

    def set_timer(self, timer_id: TimerId, at_ms: int) -> None:
        self.out.append(SetTimer(timer_id, at_ms))

    def cancel_timer(self, timer_id: TimerId) -> None:
        self.out.append(CancelTimer(timer_id))

    def leader(self, view: int) -> int:
        return get_leader(self.leaders, view)

    def has_quorum(self, signers: Iterable[int]) -> bool:
        """R6: do these distinct members weigh enough for a certificate?"""
        return weigh(self.weights, signers) >= self.quorum

    def view_of(self, entry: BlockEntry) -> int:
        """The view of a block in this instance; its root counts as view 0."""
        return 0 if entry.hash == self.root_hash else entry.block.header.view

    def open_view(self, view: int) -> ViewState:
        """The state of a view; the caller has checked that the view lies in the window."""
        state = self.views.get(view)
        if state is None:
            state = self.views[view] = ViewState(view)
        return state

    def is_proven(self, members: tuple[int, ...], offence: int) -> bool:
        """R10: is this offence of all these members proven already?"""
        return all((member, offence) in self.proven for member in members)

    def certificate(self, kind: int, view: int) -> Certificate | None:
        state = self.views.get(view)
        return None if state is None else state.certificates.get(kind)

    def has_certificate_for(self, entry: BlockEntry) -> bool:
        state = self.views.get(entry.block.header.view)
        if state is None:
            return False
        return any(known.header_hash == entry.hash for kind, known in state.certificates.items() if kind != NULLIFY)

    def live_views(self) -> list[ViewState]:
        """Views above the floor, ascending."""
        floor = self.floor_view
        return [self.views[view] for view in sorted(view for view in self.views if view > floor)]

    def prune(self) -> None:
        """Forget what no rule can ask for again (R7)."""
        lowest = self.floor_view - self.config.retain_views
        final_view = self.view_of(self.final)
        self.views = {view: state for view, state in self.views.items() if view >= lowest}
        self.blocks = {
            block_hash: entry for block_hash, entry in self.blocks.items() if self._is_kept(entry, lowest, final_view)
        }
        self.wanted = {
            block_hash: wanted
            for block_hash, wanted in self.wanted.items()
            if wanted.view > final_view and wanted.view >= lowest
        }
        self.aggregations = {
            token: statement for token, statement in self.aggregations.items() if statement[1] > self.floor_view
        }

    def _is_kept(self, entry: BlockEntry, lowest: int, final_view: int) -> bool:
        """What is executed but not delivered stays, however old: perhaps nobody else has it (depth is bounded)."""
        if entry is self.final:
            return True
        view = self.view_of(entry)
        if view > final_view:
            return view >= lowest or entry.status in (EXECUTING, OK)
        return entry.status == OK and view >= lowest and entry.hash != self.root_hash

    def sizes(self) -> dict[str, tuple[int, int]]:
        """For every structure: how large it is, and how large it may be."""
        config = self.config
        span = config.retain_views + max(0, self.view - self.floor_view) + config.future_views + 2
        members = config.member_count
        return {
            "views": (len(self.views), span),
            "votes": (
                max((len(by) for state in self.views.values() for by in state.votes.values()), default=0),
                members,
            ),
            "blocks": (len(self.blocks), 2 * span + 1 + self.floor_view - self.view_of(self.final)),
            "wanted": (len(self.wanted), 2 * span),
            "pending": (len(self.pending), PENDING_PER_PEER_MAX * members),
            "aggregations": (len(self.aggregations), 3 * span),
            "proven": (len(self.proven), members * len(OFFENCES)),
            "peers": (max(len(self.peer_views), len(self.missed_turns), len(self.egress_bytes)), members),
        }
