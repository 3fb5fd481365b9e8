"""The rules R1-R5 as guarded commands: each looks at the state, and acts if its condition holds.

Handlers record what happened and mark the state dirty; `settle` then runs all rules until none of them finds anything
to do. So the order in which facts arrive does not matter, and each rule's condition stands in one place.

The rules stand here in the order of docs/protocol.md, section 7, which is to be read beside this file.

The safety of agreement is three exclusions per view, all decided here: one notarized block, one finalized block which
is the notarized one, and never both nullify and finalize. `ViewState.asked` is what they look at: a statement counts
from the moment its signature is asked for.

Deviation: a chain of more than `unfinalized_depth_max` blocks above the last final one is not extended (R5), but
every nullified view in between allows one block more. A fixed limit would end the chain for good if each of eight
views in a row got votes of both kinds and a quorum of neither.
"""

from consensus.chain import advance_blocks, commit, run_fetches
from consensus.effects import Build, Persist
from consensus.events import Built
from consensus.messages import (
    COMMITMENT_BYTES,
    FINALIZE,
    NOTARIZE,
    NULLIFICATIONS_MAX,
    NULLIFY,
    PAYLOAD_BYTES_MAX,
    ZERO_HASH,
    Approval,
    Block,
    Certificate,
    Header,
    encode_message,
    keccak,
)
from consensus.proposals import holds_nullifications
from consensus.sealing import choose_seal, is_sealed, make_trailing_block, may_vote_for_seal
from consensus.state import BAD, OK, REFUSED, BlockEntry, Draft, State, ViewState
from consensus.timeouts import compute_advance_ms, compute_delta_ms, compute_leader_ms, compute_retry_ms
from consensus.votes import ask_to_sign, give_up, halt

MISSED_TURNS_MAX = 3


def settle(state: State) -> None:
    """Run the rules until nothing changes."""
    while state.is_dirty and not (state.is_halted or state.is_closed):
        state.is_dirty = False
        advance_blocks(state)
        try_finalize(state)
        try_enter(state)
        try_notarize(state)
        try_propose(state)
        try_nullify(state)
        commit(state)
        run_fetches(state)


def try_enter(state: State) -> None:
    """R1: the highest view that a certificate leads to."""
    if not state.is_started:
        return
    next_view = max(state.view, state.floor_view + 1)
    for view_state in state.live_views():
        if view_state.view >= next_view and is_over(state, view_state):
            next_view = view_state.view + 1
    if next_view > state.view:
        note_missed_turn(state)
        enter(state, next_view)


def is_over(state: State, view_state: ViewState) -> bool:
    """R1: nullified, finalised, or notarised and executed here with the right result."""
    certificates = view_state.certificates
    if NULLIFY in certificates or FINALIZE in certificates:
        return True
    notarization = certificates.get(NOTARIZE)
    if notarization is None:
        return False
    entry = state.blocks.get(notarization.header_hash)
    return entry is not None and entry.status == OK


def enter(state: State, view: int) -> None:
    """R1: arm the timers of the view; if we lead it, propose as soon as pacing allows."""
    for name in ("leader", "advance", "retry", "propose"):
        state.cancel_timer((name, state.view))
    state.view = view
    view_state = state.open_view(view)
    delta_ms = compute_delta_ms(state.config, view, state.floor_view)
    state.set_timer(("leader", view), state.now_ms + compute_leader_ms(state.config, delta_ms))
    state.set_timer(("advance", view), state.now_ms + compute_advance_ms(state.config, delta_ms))
    leader = state.leader(view)
    if leader == state.config.me:
        if get_propose_ms(state) > state.now_ms:
            state.set_timer(("propose", view), get_propose_ms(state))
    elif leader in state.expelled or state.missed_turns.get(leader, 0) >= MISSED_TURNS_MAX:
        give_up(state, view_state, "its leader is inactive")  # R5
    state.is_dirty = True


def get_propose_ms(state: State) -> int:
    """Pacing: a block at most every `min_interval_ms`."""
    if state.last_block_ms is None:
        return state.now_ms
    return state.last_block_ms + state.config.min_interval_ms


def try_propose(state: State) -> None:
    """R2: ask the host for a payload on the best base."""
    view_state = state.views.get(state.view)
    if view_state is None or not state.can_sign or state.leader(state.view) != state.config.me:
        return
    if view_state.build_parent is not None or view_state.asked or view_state.refused:
        return
    if get_propose_ms(state) > state.now_ms:
        return
    base = choose_base(state, state.view)
    if base is None:
        return
    view_state.build_parent = base.hash
    if is_sealed(state, base):
        propose(state, view_state, make_trailing_block(state, state.view, base), base)  # EP4
        return
    deadline_ms = state.now_ms + state.config.delta_ms
    state.emit(Build(state.view, base.hash, base.block.header, deadline_ms))


def choose_base(state: State, view: int) -> BlockEntry | None:
    """R2: the highest block below `view` that is finalised, or notarised and executed, all views after it nullified."""
    final_view = state.view_of(state.final)
    for lower in range(view - 1, final_view, -1):
        notarization = state.certificate(NOTARIZE, lower)
        entry = None if notarization is None else state.blocks.get(notarization.header_hash)
        if entry is not None and entry.status == OK:
            return entry
        if state.certificate(NULLIFY, lower) is None:
            return None
    return state.final


def on_built(state: State, event: Built) -> None:
    """R2: the host's answer becomes our header; the proposal goes out when the vote on it is signed."""
    view_state = state.views.get(event.view)
    if view_state is None or event.view != state.view or event.parent_hash != view_state.build_parent:
        return
    parent = state.blocks.get(event.parent_hash)
    me = state.config.me
    if view_state.asked or view_state.refused or view_state.draft is not None or parent is None:
        return
    if me is None or not state.can_sign:
        return
    if len(event.commitment) != COMMITMENT_BYTES or len(event.payload) > PAYLOAD_BYTES_MAX:
        halt(state, "the host built what no block can carry")
        return
    if event.timestamp_ms <= parent.block.header.timestamp_ms:
        give_up(state, view_state, "the own clock is behind the chain's")
        return
    next_committee_hash, approval = choose_seal(state, event.timestamp_ms)
    header = Header(
        state.config.epoch, event.view, parent.block.header.height + 1, parent.hash, state.view_of(parent), me,
        event.timestamp_ms, keccak(event.payload), next_committee_hash, event.commitment,
    )  # fmt: skip
    propose(state, view_state, Block(header, event.payload), parent, approval)


def propose(
    state: State, view_state: ViewState, block: Block, parent: BlockEntry, approval: Approval | None = None
) -> None:
    """R2: ask for the signature on our own block, whose result we know."""
    draft = make_draft(state, block, parent, approval)
    if draft is None:
        return
    block_hash = block.hash()
    view_state.draft = draft
    view_state.is_admitted = True
    state.last_block_ms = state.now_ms
    state.blocks[block_hash] = BlockEntry(block, block_hash, OK, block.header.commitment)
    ask_to_sign(state, NOTARIZE, view_state.view, block_hash)
    state.is_dirty = True


def make_draft(state: State, block: Block, parent: BlockEntry, approval: Approval | None) -> Draft | None:
    """R2: the block with the proof of its ancestry; None if the base was overtaken while the host built."""
    parent_view, view = block.header.parent_view, block.header.view
    if parent_view < state.view_of(state.final):
        return None
    parent_certificate: Certificate | None = None
    if parent is state.final:
        parent_certificate = state.final_certificate
    else:
        parent_certificate = state.certificate(NOTARIZE, parent_view)
    nullifications = [
        state.certificate(NULLIFY, skipped) for skipped in range(max(parent_view + 1, view - NULLIFICATIONS_MAX), view)
    ]
    complete = tuple(certificate for certificate in nullifications if certificate is not None)
    if len(complete) != len(nullifications) or (parent_certificate is None and parent.hash != state.root_hash):
        return None
    return Draft(block, parent_certificate, complete, approval)


def try_notarize(state: State) -> None:
    """R3: vote for the admitted proposal of the current view."""
    view_state = state.views.get(state.view)
    if view_state is None or view_state.proposal is None or not view_state.is_admitted:
        return
    entry = state.blocks.get(view_state.proposal_hash)
    if entry is None:
        return
    if entry.status in (BAD, REFUSED):
        give_up(state, view_state, "invalid proposal")  # R5
        return
    header = entry.block.header
    if header.parent_view < state.floor_view:
        give_up(state, view_state, "it does not extend what is final")  # R3, R5
        return
    if is_too_deep(state, header):
        give_up(state, view_state, "too many unfinalised blocks")  # R5
        return
    if not state.can_sign or not may_notarize(view_state) or not entry.is_acceptable:
        return  # a certificate may have overruled the host's refusal: that makes us execute the block, not vouch for it
    rival = view_state.certificates.get(NOTARIZE)
    if rival is not None and rival.header_hash != entry.hash:
        return  # a vote for another block could only keep us from finalizing the notarised one
    if not holds_nullifications(state, header.parent_view + 1, state.view):
        return  # R3: beyond what the proposal carries, our own knowledge counts
    if not may_vote_for_seal(state, view_state, entry):
        return  # EP3
    state.emit(Persist(encode_message(entry.block)))
    ask_to_sign(state, NOTARIZE, state.view, entry.hash)


def may_notarize(view_state: ViewState) -> bool:
    """R3: nothing notarized here, nullify not signed; after a finalize the view is closed for notarizing (R4)."""
    return not view_state.asked and NOTARIZE not in view_state.refused


def try_finalize(state: State) -> None:
    """R4: in any view above the floor, the current one or not."""
    if not state.can_sign:
        return
    for view_state in state.live_views():
        notarization = view_state.certificates.get(NOTARIZE)
        if notarization is None or not may_finalize(view_state, notarization.header_hash):
            continue
        entry = state.blocks.get(notarization.header_hash)
        if entry is not None and entry.status == OK:
            ask_to_sign(state, FINALIZE, view_state.view, entry.hash)


def may_finalize(view_state: ViewState, block_hash: bytes) -> bool:
    """R4: nullify not signed, own notarize vote for this block or none, not finalized before."""
    asked = view_state.asked
    return (
        NULLIFY not in asked
        and FINALIZE not in asked
        and FINALIZE not in view_state.refused
        and asked.get(NOTARIZE, block_hash) == block_hash
    )


def try_nullify(state: State) -> None:
    """R5: give the current view up, unless finalize was signed in it."""
    view_state = state.views.get(state.view)
    if view_state is None or not state.is_started:
        return
    if not view_state.nullify_reason:
        notarization = view_state.certificates.get(NOTARIZE)
        entry = None if notarization is None else state.blocks.get(notarization.header_hash)
        if entry is None or entry.status != BAD:
            return
        view_state.nullify_reason = "the notarised block is bad"  # R5: execution verdict
    if not view_state.is_retrying:
        view_state.is_retrying = True
        delta_ms = compute_delta_ms(state.config, state.view, state.floor_view)
        state.set_timer(("retry", state.view), state.now_ms + compute_retry_ms(delta_ms))  # R8
    if state.can_sign and may_nullify(view_state):
        ask_to_sign(state, NULLIFY, state.view, ZERO_HASH)


def may_nullify(view_state: ViewState) -> bool:
    """R5: nullify after notarize is allowed; the exclusion is only nullify and finalize."""
    return NULLIFY not in view_state.asked and NULLIFY not in view_state.refused and FINALIZE not in view_state.asked


def is_too_deep(state: State, header: Header) -> bool:
    """R5: the limit on unfinalised depth, one more for every nullified view."""
    depth = header.height - state.final.block.header.height
    skipped = header.view - state.view_of(state.final) - depth
    return depth > state.config.unfinalized_depth_max + max(skipped, 0)


def note_missed_turn(state: State) -> None:
    """R5: a leader that a quorum gave up and that was not heard loses the others' patience after three turns."""
    leaving = state.views.get(state.view)
    leader = state.leader(state.view)
    if leaving is None or leader == state.config.me:
        return
    if leaving.is_leader_heard:
        state.missed_turns.pop(leader, None)
    elif NULLIFY in leaving.certificates:
        state.missed_turns[leader] = state.missed_turns.get(leader, 0) + 1
