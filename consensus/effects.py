"""Everything the core asks of its host, as data.

The host's contract: effects are processed in order; everything persisted is durable (one fsync) before the next
`Send` or `Finalized` leaves; answers come back as events, at once, late or never. Times are milliseconds of the clock
of `now_ms`.
"""

from dataclasses import dataclass

from consensus.events import TimerId
from consensus.messages import Approval, Block, Certificate, Evidence, Header, Vote


@dataclass(frozen=True, slots=True)
class Persist:
    """Append to the journal; durable before the next Send or Finalized. Given back in order as `durable` at restart."""

    record: bytes


@dataclass(frozen=True, slots=True)
class Sign:
    """Sign the vote digest behind the guard; answered by `Signed` or `Refused`."""

    kind: int
    view: int
    header_hash: bytes


@dataclass(frozen=True, slots=True)
class Send:
    """To one member, or to all others if `peer` is None."""

    peer: int | None
    data: bytes


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Fire `timer_id` at `at_ms`, a time of the clock of `now_ms`; replaces an armed timer of the same id."""

    timer_id: TimerId
    at_ms: int


@dataclass(frozen=True, slots=True)
class CancelTimer:
    timer_id: TimerId


@dataclass(frozen=True, slots=True)
class Aggregate:
    """Aggregate the votes, verify once, name the bad signers on failure; answered by `Aggregated`."""

    token: int
    kind: int
    view: int
    header_hash: bytes
    votes: tuple[Vote, ...]


@dataclass(frozen=True, slots=True)
class VerifyCertificates:
    """Check the aggregate signatures and nothing else; answered by `CertificatesVerified`.

    The core has counted the signers. A single vote is checked the same way, as a certificate with one signer.
    """

    token: int
    certificates: tuple[Certificate, ...]


@dataclass(frozen=True, slots=True)
class VerifyApproval:
    """EP3: check the aggregate over `ready_digest` against the keys of the next committee, and nothing else.

    Answered by `CertificatesVerified`. The core has counted the signers.
    """

    token: int
    approval: Approval


@dataclass(frozen=True, slots=True)
class Build:
    """Build and execute a payload on this executed parent; answer `Built` at `deadline_ms` (absolute) at the latest.

    The timestamp must be above the parent's.
    """

    view: int
    parent_hash: bytes
    parent_header: Header
    deadline_ms: int


@dataclass(frozen=True, slots=True)
class CheckPayload:
    """Is everything the payload names held and valid, and is the header timely? Answered by `PayloadChecked`."""

    block: Block
    parent: Header


@dataclass(frozen=True, slots=True)
class Execute:
    """Execute on the parent's state, which was executed or built before; answered by `Executed`."""

    block: Block


@dataclass(frozen=True, slots=True)
class FetchBlock:
    """Ask these members for a block by its hash; the `Block` message comes back as `Received`."""

    block_hash: bytes
    peers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Finalized:
    """Final for ever, in height order, each block once. `certificate` finalises the block or a descendant of it."""

    block: Block
    certificate: Certificate


@dataclass(frozen=True, slots=True)
class EpochSealed:
    """EP5: the epoch's last block is final; it was given out by `Finalized` just before. Nothing more is signed here.

    `certificate` finalises it or the last of `trailing`, the empty blocks above it, which are never executed and
    never delivered: with them the certificate proves the seal to anybody. Keep all of it.
    """

    block: Block
    certificate: Certificate
    next_committee_hash: bytes
    trailing: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class FallenBehind:
    """The chain up to this verified finalisation cannot be connected here: sync the range, then `Synced`.

    Repeated while it lasts, so it must be idempotent.
    """

    target_view: int
    certificate: Certificate


@dataclass(frozen=True, slots=True)
class PublishEvidence:
    """R10: proof of a fault, its signatures checked. Keep it and bring it to the contract.

    Given out before the culprit is banned, and again after a restart, so the host's keeping must be idempotent.
    """

    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Ban:
    """A member misbehaved on its own authenticated link."""

    peer: int
    reason: str


@dataclass(frozen=True, slots=True)
class Diverged:
    """A quorum finalised what the own execution contradicts (R7). The core signs nothing any more."""

    block_hash: bytes
    own_commitment: bytes | None
    certificate: Certificate


@dataclass(frozen=True, slots=True)
class Halt:
    """The core's own invariant is broken, or more than f members are faulty. It stops here for good."""

    reason: str


Effect = (
    Persist
    | Sign
    | Send
    | SetTimer
    | CancelTimer
    | Aggregate
    | VerifyCertificates
    | VerifyApproval
    | Build
    | CheckPayload
    | Execute
    | FetchBlock
    | Finalized
    | EpochSealed
    | FallenBehind
    | PublishEvidence
    | Ban
    | Diverged
    | Halt
)
