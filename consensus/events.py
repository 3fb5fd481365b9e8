"""Everything that may happen to the core, as data. Times are milliseconds of the host's monotonic clock."""

from dataclasses import dataclass

from consensus.messages import Approval, Block, Certificate, Vote

TimerId = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Received:
    """A raw message from the authenticated link of committee member `peer`."""

    peer: int
    data: bytes


@dataclass(frozen=True, slots=True)
class TimerFired:
    timer_id: TimerId


@dataclass(frozen=True, slots=True)
class Signed:
    """Answer to `Sign`. The vote counts only from here on."""

    vote: Vote


@dataclass(frozen=True, slots=True)
class Refused:
    """Answer to `Sign`: the signer's guard refused. The core never asks for that kind in that view again."""

    kind: int
    view: int
    reason: str


@dataclass(frozen=True, slots=True)
class Aggregated:
    """Answer to `Aggregate`: a certificate, or else the members whose signatures are wrong (at least one)."""

    token: int
    certificate: Certificate | None
    bad_signers: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class CertificatesVerified:
    """Answer to `VerifyCertificates`: are all the aggregate signatures right?"""

    token: int
    ok: bool


@dataclass(frozen=True, slots=True)
class Built:
    """Answer to `Build`. The host has executed the payload on the parent's state; the core makes the header."""

    view: int
    parent_hash: bytes
    payload: bytes
    timestamp_ms: int
    commitment: bytes


@dataclass(frozen=True, slots=True)
class PayloadChecked:
    """Answer to `CheckPayload`: the host holds everything the payload names and finds it valid (or not).

    While data is missing the host answers late or never; timers do their work meanwhile.
    """

    block_hash: bytes
    ok: bool


@dataclass(frozen=True, slots=True)
class Executed:
    """Answer to `Execute`: the own result, or None for an invalid block."""

    block_hash: bytes
    commitment: bytes | None


@dataclass(frozen=True, slots=True)
class Synced:
    """The host verified and executed the chain up to this finalised block; `certificate` finalises exactly it.

    Also how a restarted host tells its last finalised block: before or after `start`, preferably before. Of the block
    that seals the epoch, `certificate` may finalise the last of the `trailing` blocks instead (EP5).
    """

    block: Block
    certificate: Certificate
    trailing: tuple[Block, ...] = ()


@dataclass(frozen=True, slots=True)
class PeerConnected:
    """A link to a member is up: what it may have missed is sent again."""

    peer: int


@dataclass(frozen=True, slots=True)
class NextCommittee:
    """EP1: the registry of the next epoch as the host sees it, fixed at a final block of the settlement chain."""

    committee_hash: bytes
    weights: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Approved:
    """EP2: a quorum of the next committee is ready; the host has verified it. A leader may now seal the epoch."""

    approval: Approval


Event = (
    Received
    | TimerFired
    | Signed
    | Refused
    | Aggregated
    | CertificatesVerified
    | Built
    | PayloadChecked
    | Executed
    | Synced
    | PeerConnected
    | NextCommittee
    | Approved
)
