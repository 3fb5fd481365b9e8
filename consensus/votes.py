"""Votes: taking them, counting them, and the evidence that two of them may make.

Signatures are checked lazily: a vote is taken only on its signer's own authenticated link, so its sender answers for
it, and a quorum is aggregated and verified once. One member has at most one vote per kind in a view; what conflicts
with a vote of the same member, or with a certificate that it signed, is no vote but evidence (E1-E5), published once
both signatures are verified.
"""

from consensus.collectors import say_proposal, say_vote
from consensus.effects import Aggregate, Ban, Halt, Persist, Sign, VerifyCertificates
from consensus.events import Aggregated, Refused, Signed
from consensus.evidence import Nothing, is_conflict, judge
from consensus.messages import (
    FINALIZE,
    NOTARIZE,
    NULLIFY,
    Certificate,
    Evidence,
    Header,
    Proposal,
    Vote,
    encode_message,
    make_bitmap,
    make_evidence,
)
from consensus.state import PENDING_PER_PEER_MAX, Pending, PendingEvidence, State, ViewState


def ask_to_sign(state: State, kind: int, view: int, header_hash: bytes) -> None:
    """From here on the statement counts as made, whatever the signer does: exclusion looks at `asked`."""
    state.views[view].asked[kind] = header_hash
    state.emit(Sign(kind, view, header_hash))


def on_signed(state: State, event: Signed) -> None:
    """Make the own vote durable, then let it out, then count it."""
    vote = event.vote
    view_state = state.views.get(vote.view)
    if view_state is None:
        return  # pruned meanwhile: nobody needs the vote
    if view_state.asked.get(vote.kind) != vote.header_hash or vote.signer != state.config.me:
        halt(state, "the signer signed what nobody asked for")
        return
    if vote.kind in view_state.own:
        return
    view_state.own[vote.kind] = vote
    draft = view_state.draft
    if vote.kind == NOTARIZE and draft is not None and draft.block.hash() == vote.header_hash:
        proposal = Proposal(  # R2
            draft.block, vote, draft.parent_certificate, draft.nullifications, draft.approval
        )
        view_state.proposal, view_state.proposal_hash = proposal, vote.header_hash
        data = encode_message(proposal)
        state.emit(Persist(data))
        say_proposal(state, vote, data)
    else:
        data = encode_message(vote)
        state.emit(Persist(data))
        say_vote(state, view_state, vote, data)
    count_vote(state, view_state, vote)


def on_refused(state: State, event: Refused) -> None:
    """The guard remembers what we do not. The statement was not made and is never asked for again."""
    view_state = state.views.get(event.view)
    if view_state is not None and event.kind in view_state.asked and event.kind not in view_state.own:
        view_state.refused[event.kind] = view_state.asked.pop(event.kind)
        state.is_dirty = True


def on_vote(state: State, peer: int, vote: Vote, header: Header | None = None) -> None:
    """A vote from a member's own link; with the block's header if it came in a proposal."""
    if vote.signer != peer or vote.epoch != state.config.epoch:
        reject(state, peer, "a vote of another member or epoch")
        return
    state.missed_turns.pop(peer, None)
    seen_view = vote.view + 1 if vote.kind == FINALIZE else vote.view
    if vote.view > state.view + state.config.future_views or vote.view < state.floor_view - state.config.retain_views:
        return
    note_seen(state, peer, seen_view)
    view_state = state.open_view(vote.view)
    known = view_state.votes[vote.kind].get(peer)
    if known is not None and known.header_hash == vote.header_hash:
        return
    rival = find_rival(view_state, vote)
    if rival is not None:
        on_conflict(state, view_state, rival, vote, header)
        return
    count_vote(state, view_state, vote)
    if vote.kind == NULLIFY and peer == state.leader(vote.view):
        give_up(state, view_state, "its leader gave it up")  # R5


def find_rival(view_state: ViewState, vote: Vote) -> Vote | Certificate | None:
    """An earlier statement of this member, alone or in a certificate, that no honest member makes beside this one."""
    for by_signer in view_state.votes.values():
        known = by_signer.get(vote.signer)
        if known is not None and is_conflict(known, vote):
            return known
    for certificate in view_state.certificates.values():
        if is_conflict(certificate, vote) and is_signer(certificate, vote.signer):
            return certificate
    return None


def is_signer(certificate: Certificate, member: int) -> bool:
    return bool(certificate.bitmap[member // 8] >> (member % 8) & 1)


def on_conflict(
    state: State, view_state: ViewState, rival: Vote | Certificate, vote: Vote, header: Header | None
) -> None:
    """R10: a vote, on its signer's own link, contradicts what the signer said before."""
    headers: tuple[Header, ...] = ()
    if vote.signer == state.leader(view_state.view) and rival.kind == vote.kind == NOTARIZE:
        give_up(state, view_state, "its leader equivocated")  # R5
        known = state.blocks.get(rival.header_hash)
        proposal = view_state.proposal
        if header is not None and proposal is not None and view_state.proposal_hash == rival.header_hash:
            headers = (proposal.block.header, header)
        elif header is not None and known is not None:
            headers = (known.block.header, header)
    members = state.config.member_count
    earlier = as_certificate(rival, members) if isinstance(rival, Vote) else rival
    accuse(state, vote.signer, make_evidence(earlier, as_certificate(vote, members), headers))


def accuse(state: State, peer: int, evidence: Evidence) -> None:
    """R10: verify the signatures first, so that nobody is accused by garbage; `peer` answers for them."""
    verdict = judge(evidence, state.config.member_count)
    if isinstance(verdict, Nothing) or state.is_proven(verdict.culprits, verdict.offence):
        return
    if any(isinstance(other, PendingEvidence) and other.evidence == evidence for other in state.pending.values()):
        return
    token = add_pending(state, PendingEvidence(peer, evidence))
    if token is not None:
        state.emit(VerifyCertificates(token, (evidence.first, evidence.second)))


def as_certificate(vote: Vote, member_count: int) -> Certificate:
    """One vote in the shape of a certificate: the aggregate of one signature is that signature."""
    bitmap = make_bitmap([vote.signer], member_count)
    return Certificate(vote.kind, vote.epoch, vote.view, vote.header_hash, bitmap, vote.signature)


def count_vote(state: State, view_state: ViewState, vote: Vote) -> None:
    view_state.votes[vote.kind][vote.signer] = vote
    if vote.signer == state.leader(view_state.view):
        view_state.is_leader_heard = True
    tally(state, view_state, vote.kind, vote.header_hash)


def tally(state: State, view_state: ViewState, kind: int, header_hash: bytes) -> None:
    """R6: at q votes for one statement, aggregate."""
    if kind in view_state.certificates or kind in view_state.aggregating or view_state.view <= state.floor_view:
        return
    votes = tuple(vote for vote in view_state.votes[kind].values() if vote.header_hash == header_hash)
    if not state.has_quorum(vote.signer for vote in votes):
        return
    token = state.next_token()
    view_state.aggregating[kind] = token
    state.aggregations[token] = (kind, view_state.view, header_hash)
    state.emit(Aggregate(token, kind, view_state.view, header_hash, votes))


def on_aggregated(state: State, event: Aggregated) -> Certificate | None:
    """The certificate formed, if it is one; a wrong signature costs its sender the seat on our links."""
    statement = state.aggregations.pop(event.token, None)
    if statement is None:
        return None
    kind, view, header_hash = statement
    view_state = state.views.get(view)
    if view_state is None:
        return None
    view_state.aggregating.pop(kind, None)
    certificate = event.certificate
    if certificate is not None:
        if (certificate.kind, certificate.view, certificate.header_hash) == statement:
            return certificate
        halt(state, "the host aggregated another statement")
        return None
    for signer in event.bad_signers:
        if signer == state.config.me:
            halt(state, "the own signature does not verify: wrong key")
            return None
        view_state.votes[kind].pop(signer, None)
        expel(state, signer, "a forged signature on a vote")
    tally(state, view_state, kind, header_hash)
    return None


def give_up(state: State, view_state: ViewState, reason: str) -> None:
    """R5: one reason is enough; the rule itself decides whether nullify may be signed."""
    if not view_state.nullify_reason:
        view_state.nullify_reason = reason
        state.is_dirty = True


def note_seen(state: State, peer: int, view: int) -> None:
    if view > state.peer_views.get(peer, 0):
        state.peer_views[peer] = view


def add_pending(state: State, pending: Pending) -> int | None:
    """A token for a verification under way, or None if this member already keeps us too busy."""
    if sum(other.peer == pending.peer for other in state.pending.values()) >= PENDING_PER_PEER_MAX:
        return None
    token = state.next_token()
    state.pending[token] = pending
    return token


def reject(state: State, peer: int, reason: str) -> None:
    """A mistake on the member's own link: the host scores it."""
    state.emit(Ban(peer, reason))


def expel(state: State, peer: int, reason: str) -> None:
    """A proven or verified fault: the member is not listened to any more."""
    if peer not in state.expelled:
        state.expelled[peer] = reason
        state.emit(Ban(peer, reason))


def halt(state: State, reason: str) -> None:
    if not state.is_halted:
        state.is_halted = True
        state.emit(Halt(reason))
