"""Votes: taking them, counting them, and the evidence that two of them may make.

Signatures are checked lazily: a vote is taken only on its signer's own authenticated link, so its sender answers for
it, and a quorum is aggregated and verified once. One member has at most one vote per kind in a view; a second,
different one is no vote but evidence (E1-E4), published once both signatures are verified.
"""

from consensus.effects import Aggregate, Ban, Evidence, Halt, Persist, Send, Sign, VerifyCertificates
from consensus.events import Aggregated, Refused, Signed
from consensus.messages import (
    FINALIZE,
    NOTARIZE,
    NULLIFY,
    Certificate,
    Proposal,
    Vote,
    encode_message,
    make_bitmap,
)
from consensus.records import encode_evidence
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
        proposal = Proposal(draft.block, vote, draft.parent_certificate, draft.nullifications)  # R2
        view_state.proposal, view_state.proposal_hash = proposal, vote.header_hash
        data = encode_message(proposal)
    else:
        data = encode_message(vote)
    state.emit(Persist(data))
    state.emit(Send(None, data))
    count_vote(state, view_state, vote)


def on_refused(state: State, event: Refused) -> None:
    """The guard remembers what we do not. The statement was not made and is never asked for again."""
    view_state = state.views.get(event.view)
    if view_state is not None and event.kind in view_state.asked and event.kind not in view_state.own:
        view_state.refused[event.kind] = view_state.asked.pop(event.kind)
        state.is_dirty = True


def on_vote(state: State, peer: int, vote: Vote) -> None:
    """A vote from a member's own link."""
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
    other = find_conflict(view_state, vote)
    if other is not None:
        on_conflict(state, view_state, other, vote)
        return
    count_vote(state, view_state, vote)
    if vote.kind == NULLIFY and peer == state.leader(vote.view):
        give_up(state, view_state, "its leader gave it up")  # R5


def find_conflict(view_state: ViewState, vote: Vote) -> Vote | None:
    """The member's earlier vote that an honest member could not have cast beside this one."""
    votes = view_state.votes
    signer, block_hash = vote.signer, vote.header_hash
    match vote.kind:
        case _ if vote.kind == NULLIFY:
            rivals = [votes[FINALIZE].get(signer)]  # E3
        case _ if vote.kind == NOTARIZE:
            rivals = [votes[NOTARIZE].get(signer), votes[FINALIZE].get(signer)]  # E1, E4
        case _:
            rivals = [votes[FINALIZE].get(signer), votes[NULLIFY].get(signer), votes[NOTARIZE].get(signer)]  # E2 E3 E4
    return next((rival for rival in rivals if rival is not None and rival.header_hash != block_hash), None)


def on_conflict(state: State, view_state: ViewState, first: Vote, second: Vote) -> None:
    """R10: verify both signatures first, so that nobody is accused by garbage; either way the sender is at fault."""
    if first.signer == state.leader(view_state.view) and first.kind == second.kind == NOTARIZE:
        give_up(state, view_state, "its leader equivocated")  # R5
    token = add_pending(state, PendingEvidence(first.signer, first, second))
    if token is not None:
        members = state.config.member_count
        state.emit(VerifyCertificates(token, tuple(as_certificate(vote, members) for vote in (first, second))))


def on_evidence_verified(state: State, pending: PendingEvidence, ok: bool) -> None:
    if not ok:
        expel(state, pending.peer, "a forged signature on a conflicting vote")
        return
    publish_evidence(state, encode_message(pending.first), encode_message(pending.second))
    expel(state, pending.peer, "two conflicting votes in one view")


def publish_evidence(state: State, first: bytes, second: bytes) -> None:
    """R10: durable, then published."""
    state.emit(Persist(encode_evidence(first, second)))
    state.emit(Evidence(first, second))


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
    if len(votes) < state.quorum:
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
