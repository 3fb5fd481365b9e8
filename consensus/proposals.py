"""Proposals: taking the leader's, and judging whether its place in the chain is proven (R2, R3).

A proposal carries its parent's certificate and the nullifications of the views between, so a voter needs nothing else
to accept the ancestry. Of a gap longer than `NULLIFICATIONS_MAX` only the last ones travel; the voter must hold the
others itself (standstill repair hands them out) and waits until it does. Without that escape a long standstill could
never end.
"""

from consensus.certificates import is_news, is_quorate, learn
from consensus.chain import add_block
from consensus.effects import VerifyCertificates
from consensus.messages import FINALIZE, NOTARIZE, NULLIFICATIONS_MAX, NULLIFY, Certificate, Proposal
from consensus.state import PendingProposal, State, ViewState
from consensus.votes import add_pending, expel, give_up, on_vote, reject


def on_proposal(state: State, peer: int, proposal: Proposal) -> None:
    """The leader's block for a view not yet left. Its vote counts like any other."""
    header, vote = proposal.block.header, proposal.vote
    block_hash = proposal.block.hash()
    if block_hash in state.wanted:
        add_block(state, proposal.block, block_hash)  # R9
    if not is_addressed(state, peer, proposal, block_hash):
        reject(state, peer, "a proposal that is not its sender's")
        return
    on_vote(state, peer, vote, header)  # R10: below the floor, too
    if header.view > state.view + state.config.future_views or header.view <= state.floor_view:
        return
    view_state = state.open_view(header.view)
    if view_state.proposal is not None or peer in state.expelled or peer == state.config.me:
        return
    if vote != view_state.votes[NOTARIZE].get(peer):
        return  # the leader's earlier vote was for another block
    view_state.proposal, view_state.proposal_hash = proposal, block_hash
    fault = find_ancestry_fault(state, proposal)
    if fault:
        reject(state, peer, fault)
        give_up(state, view_state, fault)  # R5: invalid proposal
        return
    verify_ancestry(state, peer, view_state, proposal, block_hash)


def is_addressed(state: State, peer: int, proposal: Proposal, block_hash: bytes) -> bool:
    """R3: leader, link, vote and header speak of the same thing."""
    header, vote = proposal.block.header, proposal.vote
    return (
        header.epoch == state.config.epoch
        and header.view > 0
        and peer == header.proposer == state.leader(header.view)
        and (vote.kind, vote.epoch, vote.view, vote.header_hash, vote.signer)
        == (NOTARIZE, header.epoch, header.view, block_hash, peer)
    )


def find_ancestry_fault(state: State, proposal: Proposal) -> str:
    """R2: why the certificates do not prove the place in the chain, by their statements alone; empty if they do."""
    header, parent = proposal.block.header, proposal.parent_certificate
    if header.parent_view >= header.view:
        return "a parent from the future"
    if parent is None:
        if header.parent_hash != state.root_hash or header.parent_view != 0:
            return "no certificate for the parent"
    elif not (
        parent.kind in (NOTARIZE, FINALIZE)
        and (parent.view, parent.header_hash) == (header.parent_view, header.parent_hash)
        and is_quorate(state, parent)
    ):
        return "a wrong certificate for the parent"
    first = max(header.parent_view + 1, header.view - NULLIFICATIONS_MAX)
    expected = list(range(first, header.view))
    if [certificate.view for certificate in proposal.nullifications] != expected:
        return "skipped views without nullification"
    if not all(known.kind == NULLIFY and is_quorate(state, known) for known in proposal.nullifications):
        return "a wrong nullification"
    return ""


def verify_ancestry(state: State, peer: int, view_state: ViewState, proposal: Proposal, block_hash: bytes) -> None:
    """Have the certificates that we do not hold verified."""
    parent = proposal.parent_certificate
    carried = (*(() if parent is None else (parent,)), *proposal.nullifications)
    unknown = tuple(certificate for certificate in carried if not is_held(state, certificate))
    if not unknown:
        admit(state, view_state, proposal, block_hash)
        return
    token = add_pending(state, PendingProposal(peer, view_state.view, block_hash, unknown))
    if token is None:
        give_up(state, view_state, "its leader keeps us too busy")  # R5
        return
    state.emit(VerifyCertificates(token, unknown))


def is_held(state: State, certificate: Certificate) -> bool:
    """Is the same statement certified here? Whoever signed it makes no difference."""
    known = state.certificate(certificate.kind, certificate.view)
    if certificate.kind == NOTARIZE and known is None:
        known = state.certificate(FINALIZE, certificate.view)  # a finalisation implies the notarisation
    return known is not None and known.header_hash == certificate.header_hash


def on_proposal_verified(state: State, pending: PendingProposal, ok: bool) -> None:
    view_state = state.views.get(pending.view)
    if not ok:
        expel(state, pending.peer, "a forged certificate in a proposal")
        if view_state is not None:
            give_up(state, view_state, "forged ancestry")  # R5
        return
    for certificate in pending.certificates:
        if is_news(state, certificate):
            learn(state, certificate)
    if view_state is not None and view_state.proposal is not None:
        admit(state, view_state, view_state.proposal, pending.block_hash)


def admit(state: State, view_state: ViewState, proposal: Proposal, block_hash: bytes) -> None:
    """The ancestry is proven: the block may be checked and executed."""
    view_state.is_admitted = True
    state.last_block_ms = state.now_ms
    state.is_dirty = True
    if view_state.view > state.floor_view:
        add_block(state, proposal.block, block_hash)


def holds_nullifications(state: State, first_view: int, view: int) -> bool:
    """R3: all of `[first_view, view)` nullified, to our own knowledge."""
    return all(state.certificate(NULLIFY, skipped) is not None for skipped in range(first_view, view))
