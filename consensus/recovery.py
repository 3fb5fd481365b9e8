"""Rebuilding a core from the records it had made durable.

What matters is what was *said*: own votes set the exclusions of their views again, so nothing contrary is ever asked
for. Certificates set the view. Blocks that we voted for are kept too: a quorum's votes promise that the block exists,
even after all of its holders crashed at once. Execution verdicts are not restored; the host's speculative states died
with it, so blocks run again.
"""

from collections.abc import Sequence

from consensus.accusations import list_evidence, restore_evidence
from consensus.messages import (
    FINALIZE,
    NOTARIZE,
    NULLIFY,
    Block,
    Certificate,
    DecodeError,
    Evidence,
    Proposal,
    Vote,
    decode_message,
    encode_message,
)
from consensus.state import HELD, BlockEntry, State
from consensus.votes import halt


def restore(state: State, durable: Sequence[bytes]) -> None:
    """Feed the records back in order."""
    for record in durable:
        try:
            message = decode_message(record)
        except DecodeError:
            halt(state, "the journal holds a record that is none")
            return
        match message:
            case Certificate():
                restore_certificate(state, message)
            case Vote():
                restore_vote(state, message)
            case Proposal():
                restore_block(state, message.block)
                restore_vote(state, message.vote)
                restore_proposal(state, message)
            case Block():
                restore_block(state, message)
            case Evidence():
                restore_evidence(state, message)
    state.view = compute_view(state)
    state.prune()


def restore_certificate(state: State, certificate: Certificate) -> None:
    if certificate.epoch != state.config.epoch:
        return
    state.open_view(certificate.view).certificates.setdefault(certificate.kind, certificate)
    if certificate.kind == FINALIZE and certificate.view > state.floor_view:
        state.top_certificate = certificate


def restore_vote(state: State, vote: Vote) -> None:
    if vote.epoch != state.config.epoch:
        return
    if vote.signer != state.config.me:
        halt(state, "the journal holds votes of another member")
        return
    view_state = state.open_view(vote.view)
    view_state.asked[vote.kind] = vote.header_hash
    view_state.own[vote.kind] = vote
    view_state.votes[vote.kind][vote.signer] = vote


def restore_block(state: State, block: Block) -> None:
    block_hash = block.hash()
    if block.header.epoch == state.config.epoch and block_hash not in state.blocks:
        state.blocks[block_hash] = BlockEntry(block, block_hash, HELD)


def restore_proposal(state: State, proposal: Proposal) -> None:
    if proposal.block.header.epoch != state.config.epoch:
        return
    view_state = state.open_view(proposal.block.header.view)
    view_state.proposal = proposal
    view_state.proposal_hash = proposal.vote.header_hash
    view_state.is_admitted = True


def compute_view(state: State) -> int:
    """The highest view that the records prove to have been entered (R1)."""
    view = state.floor_view + 1
    for view_state in state.views.values():
        if NULLIFY in view_state.certificates or FINALIZE in view_state.own:
            view = max(view, view_state.view + 1)
        elif view_state.own:
            view = max(view, view_state.view)
    return view


def encode_snapshot(state: State) -> list[bytes]:
    """The records that a fresh journal must begin with so that older ones may be dropped."""
    records: list[bytes] = [encode_message(evidence) for evidence in list_evidence(state)]
    for view in sorted(state.views):
        view_state = state.views[view]
        records += [encode_message(certificate) for certificate in view_state.certificates.values()]
        proposal, own_notarize = view_state.proposal, view_state.own.get(NOTARIZE)
        if own_notarize is not None and own_notarize.header_hash in state.blocks:
            records.append(encode_message(state.blocks[own_notarize.header_hash].block))
        if proposal is not None and own_notarize is not None and proposal.vote == own_notarize:
            records.append(encode_message(proposal))
        records += [encode_message(vote) for vote in view_state.own.values()]
    return records
