"""What two signed statements prove, and against whom (R10). Pure judgement; signatures are the caller's business.

A statement is kind, epoch, view, header hash, the bitmap of its signers and their aggregate signature: a vote is a
statement with one signer, a certificate one with a quorum. Two statements about one view conflict if no honest member
signs both (R3, R4, R5); whoever is in both bitmaps did.

    E1  two notarize, different blocks
    E2  two finalize, different blocks
    E3  nullify and finalize
    E4  notarize and finalize, different blocks
    E5  E1 of a leader: two proposals of one view, with both headers
    E6  any of E1 to E4 with a quorum on both sides: two certificates, at least f+1 culprits

A vote may conflict with a certificate, too; it counts as the type of its two kinds. The settlement network's court
judges by the same table (contracts/src/Evidence.vy), except that headers mean nothing to it: there E5 is E1.
Deviation: the published table has no E6 of two notarizations; they too need a quorum of liars, so they count.
"""

from collections.abc import Iterable
from typing import NamedTuple

from consensus.messages import FINALIZE, NOTARIZE, NULLIFY, Certificate, Evidence, Vote, keccak, make_evidence, quorum

DOUBLE_NOTARIZE = 1
DOUBLE_FINALIZE = 2
NULLIFY_FINALIZE = 3
NOTARIZE_FINALIZE = 4
DOUBLE_PROPOSAL = 5
CERTIFICATE_PAIR = 6
OFFENCES = (
    DOUBLE_NOTARIZE,
    DOUBLE_FINALIZE,
    NULLIFY_FINALIZE,
    NOTARIZE_FINALIZE,
    DOUBLE_PROPOSAL,
    CERTIFICATE_PAIR,
)
_OFFENCE_OF_KINDS = {
    (NOTARIZE, NOTARIZE): DOUBLE_NOTARIZE,
    (FINALIZE, FINALIZE): DOUBLE_FINALIZE,
    (NULLIFY, FINALIZE): NULLIFY_FINALIZE,
    (NOTARIZE, FINALIZE): NOTARIZE_FINALIZE,
}


class Verdict(NamedTuple):
    """The offence and the members who committed it, ascending."""

    epoch: int
    view: int
    offence: int
    culprits: tuple[int, ...]


class Nothing(NamedTuple):
    """Why the evidence proves nothing: its sender is at fault."""

    reason: str


def is_conflict(one: Vote | Certificate, two: Vote | Certificate) -> bool:
    """Of one view: is it impossible that one honest member signed both?"""
    if NULLIFY in (one.kind, two.kind):
        return FINALIZE in (one.kind, two.kind)
    return one.header_hash != two.header_hash


def judge(evidence: Evidence, member_count: int) -> Verdict | Nothing:
    """What the evidence proves if its signatures are right. Rows in order of precedence, the contract's too."""
    first, second = evidence.first, evidence.second
    if first.view != second.view or first.epoch != second.epoch:
        return Nothing("statements about different views")
    if (first.kind, first.header_hash) == (second.kind, second.header_hash):
        return Nothing("the same statement twice")
    if not is_conflict(first, second):
        return Nothing("statements that an honest member may make both")
    signers = [known.signers() for known in (first, second)]
    if any(len(known.bitmap) != (member_count + 7) // 8 for known in (first, second)):
        return Nothing("a bitmap of another committee's length")
    if any(listed[-1:] >= [member_count] for listed in signers):
        return Nothing("a signer out of range")
    culprits = tuple(member for member in signers[0] if member in signers[1])
    if not culprits:
        return Nothing("nobody signed both")
    offence = _OFFENCE_OF_KINDS[first.kind, second.kind]
    if evidence.headers and not (offence == DOUBLE_NOTARIZE and all_proposed(evidence, culprits)):
        return Nothing("headers that the culprit did not propose in this view")
    if min(len(listed) for listed in signers) >= quorum(member_count):
        offence = CERTIFICATE_PAIR
    elif evidence.headers:
        offence = DOUBLE_PROPOSAL
    return Verdict(first.epoch, first.view, offence, culprits)


def all_proposed(evidence: Evidence, culprits: tuple[int, ...]) -> bool:
    place = evidence.first.epoch, evidence.first.view
    return all((header.epoch, header.view) == place and (header.proposer,) == culprits for header in evidence.headers)


def compute_key(verdict: Verdict) -> bytes:
    """Names the case on the settlement chain: `keccak(epoch ‖ view ‖ offence ‖ culprits)` of four words."""
    culprits = sum(1 << member for member in verdict.culprits)
    words = (verdict.epoch, verdict.view, get_court_offence(verdict), culprits)
    return keccak(b"".join(word.to_bytes(32, "big") for word in words))


def get_court_offence(verdict: Verdict) -> int:
    """The offence as the court counts it, which sees no headers."""
    return DOUBLE_NOTARIZE if verdict.offence == DOUBLE_PROPOSAL else verdict.offence


def find_evidence(statements: Iterable[Certificate]) -> list[Evidence]:
    """Every conflicting pair in a collection of statements of one epoch, for those who search records afterwards."""
    by_view: dict[int, list[Certificate]] = {}
    found = []
    for statement in statements:
        others = by_view.setdefault(statement.view, [])
        if statement in others:
            continue
        for other in others:
            overlaps = any(left & right for left, right in zip(statement.bitmap, other.bitmap))
            if overlaps and statement.epoch == other.epoch and is_conflict(other, statement):
                found.append(make_evidence(other, statement))
        others.append(statement)
    return found
