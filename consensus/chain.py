"""Blocks: fetching them (R9), checking and executing them in order, committing the chain (R7).

A block is kept if it is the admitted proposal of a view or if a certificate names it. Each goes through held ->
checking -> executing -> ok | bad, never before its parent is ok, so a speculative state exists for every executed
block above the last final one. The host's refusal of a payload (late, untimely, overdue inbox) only keeps us from
voting: once a certificate names the block, execution alone judges it.

A finalised chain is delivered when all of it up to the certificate is executed. What cannot be connected within the
window is left to range sync (`FallenBehind`).
"""

from consensus.effects import CheckPayload, Diverged, Execute, FallenBehind, FetchBlock, Finalized, Persist, Send
from consensus.events import Executed, PayloadChecked, Synced
from consensus.messages import FINALIZE, NOTARIZE, Block, Certificate, encode_message
from consensus.sealing import close, continues_rightly, is_sealed
from consensus.state import (
    BAD,
    CHECKING,
    EXECUTING,
    HELD,
    OK,
    REFUSED,
    BlockEntry,
    State,
    ViewState,
    Wanted,
)
from consensus.timeouts import compute_fetch_ms
from consensus.votes import halt

FETCH_ATTEMPTS_BEFORE_SYNC = 4
FETCH_TIMER = ("fetch", 0)


def want(state: State, block_hash: bytes, view: int, proposer: int | None, is_urgent: bool) -> None:
    """R9: ask for a certified block. Unless urgent, give the proposal that may be on its way half a delta."""
    if block_hash in state.blocks or block_hash in state.wanted:
        return
    wait_ms = 0 if is_urgent else state.config.delta_ms // 2
    state.wanted[block_hash] = Wanted(view, proposer, state.now_ms + wait_ms)
    state.is_dirty = True


def want_certified(state: State) -> None:
    """R9: at the start, the blocks of views that a crash left notarised without them; no new certificate will ask."""
    for view_state in state.live_views():
        notarization = view_state.certificates.get(NOTARIZE)
        if notarization is not None:
            want(state, notarization.header_hash, view_state.view, state.leader(view_state.view), is_urgent=True)


def run_fetches(state: State) -> None:
    """R9: two members at a time, the others in turn, at growing intervals; one timer for all."""
    if not state.is_started:
        return
    for block_hash, wanted in state.wanted.items():
        if wanted.next_ms <= state.now_ms:
            state.emit(FetchBlock(block_hash, choose_peers(state, block_hash, wanted)))
            wanted.attempts += 1
            wanted.next_ms = state.now_ms + compute_fetch_ms(state.config, wanted.attempts - 1)
            state.is_dirty = True
    next_ms = min((wanted.next_ms for wanted in state.wanted.values()), default=None)
    if next_ms is not None and (state.fetch_timer_ms is None or next_ms < state.fetch_timer_ms):
        state.fetch_timer_ms = next_ms
        state.set_timer(FETCH_TIMER, next_ms)


def choose_peers(state: State, block_hash: bytes, wanted: Wanted) -> tuple[int, ...]:
    """The proposer and one other member at first, two different members on later attempts."""
    config = state.config
    others = [peer for peer in range(config.member_count) if peer != config.me and peer not in state.expelled]
    if not others:
        return ()
    first = others[(block_hash[0] + wanted.attempts) % len(others)]
    second = others[(block_hash[0] + wanted.attempts + 1 + wanted.attempts // len(others)) % len(others)]
    if wanted.attempts == 0 and wanted.proposer in others:
        first = wanted.proposer
    return (first,) if first == second else (first, second)


def on_block(state: State, block: Block) -> None:
    """R9: an answer to a request of ours; anything else is ignored."""
    block_hash = block.hash()
    if block_hash in state.wanted:
        add_block(state, block, block_hash)


def add_block(state: State, block: Block, block_hash: bytes) -> None:
    state.wanted.pop(block_hash, None)
    if block_hash not in state.blocks:
        state.blocks[block_hash] = BlockEntry(block, block_hash, HELD)
        state.is_dirty = True


def advance_blocks(state: State) -> None:
    """Move every block as far as its parent and the host's answers allow."""
    for entry in [entry for entry in state.blocks.values() if entry.status in (HELD, REFUSED)]:
        if entry.status == HELD:
            advance_held(state, entry)
        elif entry.status == REFUSED and state.has_certificate_for(entry):
            execute(state, entry)  # certificates override a refusal


def advance_held(state: State, entry: BlockEntry) -> None:
    header = entry.block.header
    parent = state.blocks.get(header.parent_hash)
    if parent is None:
        if header.parent_view <= state.view_of(state.final):
            set_status(state, entry, BAD)  # R7: it does not extend what is final
        else:
            want(state, header.parent_hash, header.parent_view, None, is_urgent=True)
        return
    if parent.status == BAD or not is_child(state, entry, parent):
        set_status(state, entry, BAD)
    elif parent.status == OK and is_sealed(state, parent):
        entry.own_commitment = entry.block.header.commitment  # EP4: it changes nothing, as `is_child` found
        entry.is_acceptable = True
        set_status(state, entry, OK)
    elif parent.status == OK:
        entry.status = CHECKING
        state.emit(CheckPayload(entry.block, parent.block.header))


def is_child(state: State, entry: BlockEntry, parent: BlockEntry) -> bool:
    """R3: the header continues its parent's."""
    header, before = entry.block.header, parent.block.header
    return (
        header.epoch == state.config.epoch
        and header.height == before.height + 1
        and header.parent_view == state.view_of(parent)
        and header.view > header.parent_view
        and header.timestamp_ms > before.timestamp_ms
        and header.proposer == state.leader(header.view)
        and continues_rightly(state, entry.block, parent)
    )


def execute(state: State, entry: BlockEntry) -> None:
    entry.status = EXECUTING
    state.is_dirty = True
    state.emit(Execute(entry.block))


def set_status(state: State, entry: BlockEntry, status: str) -> None:
    entry.status = status
    state.is_dirty = True


def on_payload_checked(state: State, event: PayloadChecked) -> None:
    entry = state.blocks.get(event.block_hash)
    if entry is None or entry.status != CHECKING:
        return
    if event.ok:
        entry.is_acceptable = True
        execute(state, entry)  # R3: notarizing does not wait for the result
    else:
        set_status(state, entry, REFUSED)


def on_executed(state: State, event: Executed) -> None:
    """The own verdict: exactly the header's commitment, or bad."""
    entry = state.blocks.get(event.block_hash)
    if entry is None or entry.status != EXECUTING:
        return
    entry.own_commitment = event.commitment
    set_status(state, entry, OK if event.commitment == entry.block.header.commitment else BAD)


def commit(state: State) -> None:
    """R7: deliver the highest finalisation whose whole chain is executed here."""
    if state.top_certificate is None or not state.is_started or state.is_closed:
        return
    if state.floor_view <= state.view_of(state.final):
        return
    final_view = state.view_of(state.final)
    for view in sorted((view for view in state.views if view > final_view), reverse=True):
        certificate = state.views[view].certificates.get(FINALIZE)
        if certificate is not None and commit_through(state, certificate):
            return


def commit_through(state: State, certificate: Certificate) -> bool:
    """Deliver everything up to the block of this finalisation, or find out what is missing for that."""
    chain: list[BlockEntry] = []
    block_hash, view = certificate.header_hash, certificate.view
    while block_hash != state.final.hash:
        entry = state.blocks.get(block_hash)
        if entry is None:
            want(state, block_hash, view, None, is_urgent=bool(chain))
            judge_distance(state, certificate, block_hash)
            return False
        if entry.status == BAD and not state.is_diverged:
            diverge(state, entry, certificate)
            return False
        if entry.block.header.height <= state.final.block.header.height:
            testify(state)
            halt(state, "a finalised block does not extend the last final one")
            return False
        chain.append(entry)
        block_hash, view = entry.block.header.parent_hash, entry.block.header.parent_view
    if any(entry.status != OK for entry in chain):
        return False
    deliver(state, chain[::-1], certificate)
    return True


def deliver(state: State, chain: list[BlockEntry], certificate: Certificate) -> None:
    """R7: in height order, up to the block that seals the epoch if there is one (EP5)."""
    for count, entry in enumerate(chain, start=1):
        direct = state.certificate(FINALIZE, entry.block.header.view)
        covering = direct if direct is not None and direct.header_hash == entry.hash else certificate
        state.emit(Finalized(entry.block, covering))
        if is_sealed(state, entry):
            close(state, entry, tuple(above.block for above in chain[count:]), certificate)
            return
    move_final(state, chain[-1], certificate)


def testify(state: State) -> None:
    """R10: the chain has forked. What contradicts the other side's certificates may be held only here: all learn it.

    Once in a life, and bounded by the window, so no budget limits it. An observer has nobody to tell.
    """
    if state.config.me is None:
        return
    for view in sorted(state.views):
        for certificate in state.views[view].certificates.values():
            state.emit(Send(None, encode_message(certificate)))


def diverge(state: State, entry: BlockEntry, certificate: Certificate) -> None:
    """R7: a quorum certified what we execute differently. Nothing is signed here any more."""
    state.is_diverged = True
    state.emit(Diverged(entry.hash, entry.own_commitment, certificate))


def move_final(state: State, entry: BlockEntry, certificate: Certificate) -> None:
    state.final, state.final_certificate = entry, certificate
    state.final_ms = state.now_ms
    state.behind_ms = None
    if state.floor_view <= state.view_of(entry):
        state.is_syncing = False
    state.prune()
    state.is_dirty = True


def judge_distance(state: State, certificate: Certificate, missing_hash: bytes) -> None:
    """R9: repair inside the window by fetching; beyond it, or when nobody answers, by range sync."""
    wanted = state.wanted.get(missing_hash)
    is_far = certificate.view - state.view_of(state.final) > state.config.retain_views
    if is_far or (wanted is not None and wanted.attempts >= FETCH_ATTEMPTS_BEFORE_SYNC):
        fall_behind(state)


def fall_behind(state: State) -> None:
    """R9: ask for range sync and stop signing until it is done; at most once per standstill interval."""
    top = state.top_certificate
    interval_ms = state.config.standstill_deltas * state.config.delta_ms
    if top is None or (state.behind_ms is not None and state.now_ms - state.behind_ms < interval_ms):
        return
    state.behind_ms = state.now_ms
    state.is_syncing = True
    state.emit(FallenBehind(top.view, top))


def on_synced(state: State, event: Synced) -> None:
    """The host executed up to this block: it is the last final one here, and its ancestors are delivered."""
    block, certificate = event.block, event.certificate
    block_hash = block.hash()
    if block.header.height <= state.final.block.header.height:
        if block.header.height == state.final.block.header.height and block_hash != state.final.hash:
            halt(state, "the host synced a block that contradicts the final one")
        return
    view_state = state.views.setdefault(certificate.view, ViewState(certificate.view))
    if FINALIZE not in view_state.certificates:
        view_state.certificates[FINALIZE] = certificate
        state.emit(Persist(encode_message(certificate)))
    if certificate.view > state.floor_view:
        state.top_certificate = certificate
    entry = BlockEntry(block, block_hash, OK, block.header.commitment)
    state.blocks[block_hash] = entry
    move_final(state, entry, certificate)
    if is_sealed(state, entry):
        for above in event.trailing:
            state.blocks[above.hash()] = BlockEntry(above, above.hash(), OK, above.header.commitment)
        close(state, entry, event.trailing, certificate)
