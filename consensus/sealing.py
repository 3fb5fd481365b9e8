"""The end of an epoch, as the core decides it (EP2-EP5).

Agreement on view v+1 starts before v is final, so a committee cannot simply change "once the block is final". Instead
one block *seals* the epoch: it names the committee that comes next. What extends it in the epoch are *trailing* blocks,
which change nothing: no payload, the same commitment, the same next committee, the parent's time plus one. They exist
only so that views go on until a finalisation covers the seal; then the instance is closed. Everything above the seal
is dropped, and the next epoch's instance starts from the sealing block itself.

A trailing block is a function of its parent and its view, so it needs no host: nobody builds, checks or executes it.
Because it repeats the next committee and the commitment, a certificate over it proves to the settlement contract the
same as one over the sealing block. Deviation from the design notes: there the sealing payload is proposed again until a
finalisation is for it directly (docs/adr/0016-trailing-blocks.md).
"""

from consensus.committee import weigh
from consensus.effects import EpochSealed, VerifyApproval
from consensus.events import Approved, NextCommittee
from consensus.messages import ZERO_HASH, Approval, Block, Certificate, Header, keccak, quorum
from consensus.state import BlockEntry, PendingApproval, State, ViewState
from consensus.votes import add_pending, expel, give_up

TRAILING_PAYLOAD = b""


def is_sealed(state: State, entry: BlockEntry) -> bool:
    """Does this block, or one before it in this epoch, seal the epoch? The root sealed the epoch before this one."""
    return entry.hash != state.root_hash and entry.block.header.next_committee_hash != ZERO_HASH


def make_trailing_block(state: State, view: int, parent: BlockEntry) -> Block:
    """EP4: the only block that may extend a sealed one in this view."""
    before = parent.block.header
    header = Header(
        state.config.epoch, view, before.height + 1, parent.hash, state.view_of(parent), state.leader(view),
        before.timestamp_ms + 1, keccak(TRAILING_PAYLOAD), before.next_committee_hash, before.commitment,
    )  # fmt: skip
    return Block(header, TRAILING_PAYLOAD)


def continues_rightly(state: State, block: Block, parent: BlockEntry) -> bool:
    """EP3, EP4: what a block may say about the next committee, given its parent."""
    header = block.header
    if is_sealed(state, parent):
        return block == make_trailing_block(state, header.view, parent)  # EP4
    if header.next_committee_hash == ZERO_HASH:
        return True
    end_ms = state.config.epoch_end_ms
    return end_ms is not None and header.timestamp_ms >= end_ms  # EP3: not before its time


def choose_seal(state: State, timestamp_ms: int) -> tuple[bytes, Approval | None]:
    """EP2: what a leader writes into a block of this time: the next committee and its approval, or nothing."""
    end_ms, known, approval = state.config.epoch_end_ms, state.next_committee, state.approval
    if end_ms is None or timestamp_ms < end_ms or known is None or approval is None:
        return ZERO_HASH, None  # without approvals the epoch simply goes on
    return known.committee_hash, approval


def may_vote_for_seal(state: State, view_state: ViewState, entry: BlockEntry) -> bool:
    """EP3: a sealing block is notarized only if the own view of the registry and a verified approval agree with it."""
    header = entry.block.header
    parent = state.blocks.get(header.parent_hash)
    if header.next_committee_hash == ZERO_HASH or parent is None or is_sealed(state, parent):
        return True
    known, proposal = state.next_committee, view_state.proposal
    if known is None or proposal is None:
        return False  # the own view of the registry lags; the timer of the view decides
    approval = proposal.approval
    if known.committee_hash != header.next_committee_hash:
        give_up(state, view_state, "it names another next committee")  # R5, EP3
        return False
    if approval is None or not is_approval_of(state, approval, known):
        give_up(state, view_state, "no approval of the next committee")  # R5, EP3
        return False
    if state.approval is not None:
        return True  # the same statement is proven here; who signed it makes no difference
    if not view_state.is_approval_asked:
        view_state.is_approval_asked = True
        token = add_pending(state, PendingApproval(header.proposer, header.view, approval))
        if token is not None:
            state.emit(VerifyApproval(token, approval))
    return False


def is_approval_of(state: State, approval: Approval, known: NextCommittee) -> bool:
    """EP2: the right statement, a bitmap of exactly the next committee's length, a quorum of its weight."""
    members = len(known.weights)
    if (approval.epoch, approval.committee_hash) != (state.config.epoch + 1, known.committee_hash):
        return False
    signers = approval.signers()
    if len(approval.bitmap) != (members + 7) // 8 or not signers or signers[-1] >= members:
        return False
    return weigh(known.weights, signers) >= quorum(sum(known.weights))


def on_next_committee(state: State, event: NextCommittee) -> None:
    """EP1: the host's view of the registry; another one replaces it, with whatever approved it."""
    if state.next_committee != event:
        state.next_committee, state.approval = event, None
        state.is_dirty = True


def on_approved(state: State, event: Approved) -> None:
    """EP2: from now on a leader may seal."""
    known = state.next_committee
    if known is not None and is_approval_of(state, event.approval, known):
        state.approval = event.approval
        state.is_dirty = True


def on_approval_verified(state: State, pending: PendingApproval, ok: bool) -> None:
    view_state = state.views.get(pending.view)
    if not ok:
        expel(state, pending.peer, "a forged approval in a proposal")
        if view_state is not None:
            give_up(state, view_state, "forged approval")  # R5, EP3
        return
    on_approved(state, Approved(pending.approval))


def close(state: State, sealing: BlockEntry, trailing: tuple[Block, ...], certificate: Certificate) -> None:
    """EP5: the seal is final. What is left to do here is to answer stragglers with the certificate."""
    state.final, state.final_certificate = sealing, certificate
    state.is_closed, state.is_syncing = True, False
    state.wanted, state.aggregations = {}, {}
    for name in ("leader", "advance", "retry", "propose"):
        state.cancel_timer((name, state.view))
    state.cancel_timer(("standstill", 0))
    state.cancel_timer(("fetch", 0))
    next_committee_hash = sealing.block.header.next_committee_hash
    state.emit(EpochSealed(sealing.block, certificate, next_committee_hash, trailing))


def split_at_seal(blocks: tuple[Block, ...], epoch: int) -> tuple[tuple[Block, ...], tuple[Block, ...]]:
    """A verified range of one epoch: what is executed and delivered, and the trailing blocks that only prove the seal.

    For range sync: the second part goes into `Synced.trailing`, after `are_trailing` found nothing wrong with it.
    """
    for count, block in enumerate(blocks, start=1):
        if block.header.epoch == epoch and block.header.next_committee_hash != ZERO_HASH:
            return blocks[:count], blocks[count:]
    return blocks, ()


def are_trailing(sealing: Header, trailing: tuple[Block, ...]) -> bool:
    """EP4 for whoever has no core: do these blocks change nothing that the sealing block says?"""
    before = sealing
    for block in trailing:
        header = block.header
        repeats = header._replace(payload_root=before.payload_root, view=before.view, proposer=before.proposer)
        expected = before._replace(
            height=before.height + 1, parent_hash=before.hash(), parent_view=before.view,
            timestamp_ms=before.timestamp_ms + 1,
        )  # fmt: skip
        if block.payload != TRAILING_PAYLOAD or repeats != expected or header.view <= before.view:
            return False
        before = header
    return True
