"""Simplex agreement with BLS certificates, as a pure state machine: events in, effects out.

Theory of operation
-------------------
Views follow each other, each with one leader. The leader proposes a block whose header already carries the result of
executing it. Members vote *notarize* (ordered, available, well-formed), execute meanwhile, and
on a quorum of notarize votes plus the right own result vote *finalize* and go on to the next view. A view that
disappoints is given up with *nullify*; a quorum of those opens the next view too. A block may skip a view only with
that view's nullification. So finalisation takes three message delays, a block every two, and there is no view change
and no lock: the whole safety state is "what have I signed in view v".

Invariants (each rule is named where it is decided)
- R3, R4, R5 (`round.py`): per view one notarized block, one finalized block equal to it, never both nullify and
  finalize.
- R6, S7 (`certificates.py`): nothing counts as a certificate below q distinct members of this epoch.
- R7 (`chain.py`): delivered blocks form one chain, in height order, each once, each executed here with the header's
  result.
- EP5 (`sealing.py`): above the block that seals the epoch nothing is delivered, and once it is final nothing is signed.
- Durability: what excludes later statements is persisted before it is sent; own votes count only once they are signed.
- Peers cannot raise: every message is decoded totally, and a mistake is ignored or reported, never an exception. A
  broken invariant of our own is `Halt`, after which the core only returns empty lists.

One core is one epoch; `epochs.py` holds them. The rules stand on one page in docs/protocol.md, section 7. Deviations
from the design notes are named in the headers of `timeouts.py`, `round.py`, `proposals.py`, `retry.py`, `sealing.py`.

Sources: Chan and Pass, "Simplex Consensus" (TCC 2023); the TON and commonware specifications of it.
"""

from collections.abc import Sequence

from consensus.accusations import on_evidence, on_evidence_verified, publish_again
from consensus.certificates import learn, on_certificate, on_certificate_verified, on_forward_timer
from consensus.chain import FETCH_TIMER, on_block, on_executed, on_payload_checked, on_synced, want_certified
from consensus.collectors import on_collect_timer
from consensus.effects import Effect
from consensus.events import (
    Aggregated,
    Approved,
    Built,
    CertificatesVerified,
    Event,
    Executed,
    NextCommittee,
    PayloadChecked,
    PeerConnected,
    Received,
    Refused,
    Signed,
    Synced,
    TimerFired,
    TimerId,
)
from consensus.messages import (
    Block,
    Certificate,
    DecodeError,
    Evidence,
    Header,
    Message,
    Proposal,
    Vote,
    decode_message,
)
from consensus.proposals import on_proposal, on_proposal_verified
from consensus.recovery import encode_snapshot, restore
from consensus.retry import (
    STANDSTILL_TIMER,
    help_laggard,
    on_peer_connected,
    on_retry_timer,
    on_standstill_timer,
    say_again,
)
from consensus.round import enter, on_built, settle
from consensus.sealing import on_approval_verified, on_approved, on_next_committee
from consensus.state import PendingApproval, PendingCertificate, PendingEvidence, PendingProposal, State
from consensus.timeouts import CoreConfig
from consensus.votes import give_up, on_aggregated, on_refused, on_signed, on_vote, reject

__all__ = ["Core", "CoreConfig"]


class Core:
    """One member's view of one epoch. No I/O, no clock, no randomness."""

    def __init__(self, config: CoreConfig, leaders: tuple[int, ...], durable: Sequence[bytes] = ()) -> None:
        """`durable`: the records given out by `Persist`, in order. Raises ValueError on a wrong configuration."""
        self.config = config
        self._state = State(config, leaders)
        restore(self._state, durable)

    @property
    def view(self) -> int:
        return self._state.view

    @property
    def final_header(self) -> Header:
        """The last finalised block that was delivered (or synced)."""
        return self._state.final.block.header

    @property
    def final_hash(self) -> bytes:
        return self._state.final.hash

    @property
    def floor_view(self) -> int:
        """The highest view known to be finalised; the journal may drop what only speaks of views far below it."""
        return self._state.floor_view

    @property
    def is_syncing(self) -> bool:
        return self._state.is_syncing

    @property
    def is_following(self) -> bool:
        """Does this core keep up with the committee, signing or not?"""
        state = self._state
        return not (state.is_syncing or state.is_diverged or state.is_halted)

    @property
    def is_closed(self) -> bool:
        """EP5: the block that seals the epoch is final; `final_header` is its header."""
        return self._state.is_closed

    @property
    def is_halted(self) -> bool:
        return self._state.is_halted

    def block(self, block_hash: bytes) -> Block | None:
        """A block of the window, for peers who ask."""
        entry = self._state.blocks.get(block_hash)
        return None if entry is None or entry.hash == self._state.root_hash else entry.block

    def sizes(self) -> dict[str, tuple[int, int]]:
        """For every structure: its size and the bound it keeps."""
        return self._state.sizes()

    def snapshot(self) -> list[bytes]:
        """Records that replace all earlier ones: a fresh journal may begin with them."""
        return encode_snapshot(self._state)

    def start(self, now_ms: int) -> list[Effect]:
        """Enter the current view, and say again what a crash may have swallowed."""
        state = self._state
        state.now_ms = now_ms
        if state.is_started:
            return []
        state.is_started = True
        state.final_ms = now_ms
        publish_again(state)
        if state.is_halted or state.is_closed:
            return self._finish()  # EP5: in an epoch that has ended only stragglers are answered
        interval_ms = state.config.standstill_deltas * state.config.delta_ms
        state.set_timer(STANDSTILL_TIMER, now_ms + interval_ms)
        say_again(state)  # R8
        want_certified(state)
        enter(state, max(state.view, state.floor_view + 1))
        return self._finish()

    def handle(self, now_ms: int, event: Event) -> list[Effect]:
        """One event, all its consequences. Never raises on anything a peer can send."""
        state = self._state
        if state.is_halted:
            return []
        state.now_ms = max(now_ms, state.now_ms)
        match event:
            case Received(peer, data):
                self._on_received(peer, data)
            case TimerFired(timer_id):
                self._on_timer(timer_id)
            case Signed():
                on_signed(state, event)
            case Refused():
                on_refused(state, event)
            case Aggregated():
                certificate = on_aggregated(state, event)
                if certificate is not None:
                    learn(state, certificate, is_formed_here=True)
            case CertificatesVerified(token, ok):
                self._on_verified(token, ok)
            case Built():
                on_built(state, event)
            case PayloadChecked():
                on_payload_checked(state, event)
            case Executed():
                on_executed(state, event)
            case Synced():
                on_synced(state, event)
            case NextCommittee():
                on_next_committee(state, event)
            case Approved():
                on_approved(state, event)
            case PeerConnected(peer):
                if self._is_other_member(peer):
                    on_peer_connected(state, peer)
        return self._finish()

    def receive(self, now_ms: int, peer: int, message: Message) -> list[Effect]:
        """As `Received`, for a host that has decoded the message already."""
        state = self._state
        if state.is_halted:
            return []
        state.now_ms = max(now_ms, state.now_ms)
        if self._is_other_member(peer) and peer not in state.expelled:
            self._on_message(peer, message)
        return self._finish()

    def _finish(self) -> list[Effect]:
        state = self._state
        settle(state)
        effects, state.out = state.out, []
        return effects

    def _is_other_member(self, peer: int) -> bool:
        return 0 <= peer < self.config.member_count and peer != self.config.me

    def _on_received(self, peer: int, data: bytes) -> None:
        state = self._state
        if not self._is_other_member(peer) or peer in state.expelled:
            return
        try:
            message = decode_message(data)
        except DecodeError:
            reject(state, peer, "malformed message")
            return
        self._on_message(peer, message)

    def _on_message(self, peer: int, message: Message) -> None:
        state = self._state
        match message:
            case Vote():
                on_vote(state, peer, message)
                help_laggard(state, peer, message)
            case Certificate():
                on_certificate(state, peer, message)
            case Proposal():
                on_proposal(state, peer, message)
            case Block():
                on_block(state, message)
            case Evidence():
                on_evidence(state, peer, message)

    def _on_verified(self, token: int, ok: bool) -> None:
        pending = self._state.pending.pop(token, None)
        match pending:
            case PendingCertificate():
                on_certificate_verified(self._state, pending, ok)
            case PendingProposal():
                on_proposal_verified(self._state, pending, ok)
            case PendingEvidence():
                on_evidence_verified(self._state, pending, ok)
            case PendingApproval():
                on_approval_verified(self._state, pending, ok)
            case None:
                pass  # no question of ours

    def _on_timer(self, timer_id: TimerId) -> None:
        state = self._state
        name, view = timer_id
        view_state = state.views.get(view)
        match name:
            case "forward":
                on_forward_timer(state, view)
            case "collect":
                on_collect_timer(state, view)
            case "standstill":
                on_standstill_timer(state)
            case "fetch" if timer_id == FETCH_TIMER:
                state.fetch_timer_ms = None
                state.is_dirty = True
            case "retry":
                on_retry_timer(state, view)
            case "propose":
                state.is_dirty = True
            case "leader" if view == state.view and view_state is not None and not view_state.is_admitted:
                give_up(state, view_state, "no proposal in time")  # R5
            case "advance" if view == state.view and view_state is not None:
                give_up(state, view_state, "no certificate in time")  # R5
            case _:
                pass  # a timer of a view that was left
