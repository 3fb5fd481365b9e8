"""Drives the holder of the epochs' cores: events in, effects performed, nothing said before it is durable.

A round handles every waiting event, collects what is to be sent, syncs journal, guard and store once (group commit),
then sends and publishes. Blocks are executed while the disk works, or after that, and their results are the next
round's events: a vote to notarise does not wait for the result. The core itself never waits; what needs waiting (a
payload whose batches are on their way) is looked at again each round.

Epochs follow each other here without a pause: what seals one is durable before anything of the next is said, and
timers, questions and answers carry their epoch. Outside, members go by their numbers; here by a committee's indices.
"""

import heapq
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from consensus import crypto
from consensus.approvals import AggregateReady, ReadyAggregated
from consensus.committee import Committee
from consensus.core import Core
from consensus.effects import (
    Aggregate,
    Ban,
    Build,
    CancelTimer,
    CheckPayload,
    Diverged,
    Effect,
    EpochSealed,
    Execute,
    FallenBehind,
    FetchBlock,
    Finalized,
    Halt,
    Persist,
    PublishEvidence,
    Send,
    SetTimer,
    Sign,
    VerifyApproval,
    VerifyCertificates,
)
from consensus.epochs import (
    Announce,
    EpochBehind,
    EpochDropped,
    EpochOpened,
    EpochOverdue,
    HolderEffect,
    HolderEvent,
    Instances,
    ReadySigned,
    SignReady,
    Tagged,
)
from consensus.events import (
    Aggregated,
    Built,
    CertificatesVerified,
    Event,
    Executed,
    PayloadChecked,
    PeerConnected,
    Received,
    Refused,
    Signed,
    Synced,
    TimerFired,
    TimerId,
)
from consensus.evidence import Nothing, compute_key, judge
from consensus.messages import (
    NOTARIZE,
    NULLIFICATION_HEAD,
    Approval,
    Block,
    Certificate,
    Evidence,
    Header,
    Ready,
    Vote,
    encode_message,
    ready_digest,
    vote_digest,
)
from consensus.scheme import Scheme
from validator.clocks import Clocks
from validator.disk import Durable
from validator.divergence import Mismatches, describe_divergence
from validator.executor import Executor, to_commitment
from validator.inputs import Answer, Appointed, Input, Linked, Said
from validator.journal import Journal
from validator.proposals import Proposals
from validator.roster import Roster, Seats
from validator.steps import Step, Steps
from validator.store import Seal, Store
from validator.vote_signer import VoteSigner

log = logging.getLogger("hansa.agreement")
PENDING_CHECKS_MAX = 64
# Messages between two ticks; dozens when all is well.
INPUTS_MAX = 4_096
CHAIN_VIEW_WAIT_MS = 2_000


class Stop(Exception):
    """A broken invariant of our own: the node must end before it signs anything more."""


@dataclass(slots=True)
class Outside:
    """What the driver asks of the rest of the node. Members by their numbers; `announce`: to everybody linked."""

    send: Callable[[int, bytes], None]
    announce: Callable[[bytes], None]
    fetch_block: Callable[[bytes, tuple[int, ...]], None]
    fetch_batches: Callable[[Block, list[tuple[int, int, bytes]]], None]
    fall_behind: Callable[[int], None]
    finalise: Callable[[Block, Certificate], None]
    open_epoch: Callable[[Committee, Header], None]
    ban: Callable[[int, str], None]
    after_flush: Callable[[], None]


class Agreement:
    """See the module's text."""

    def __init__(
        self,
        holder: Instances,
        *,
        domain: bytes,
        roster: Roster,
        signer: VoteSigner,
        journal: Journal,
        store: Store,
        executor: Executor,
        proposals: Proposals,
        outside: Outside,
        clocks: Clocks,
        scheme: Scheme = crypto,
        steps: Steps | None = None,
    ) -> None:
        self.holder = holder
        self._steps = steps or Steps(clocks.wall_ms)
        self._domain = domain
        self._roster = roster
        self._signer = signer
        self._journal = journal
        self._store = store
        self._executor = executor
        self._proposals = proposals
        self._outside = outside
        self._clocks = clocks
        self._scheme = scheme
        self._inputs: deque[Input] = deque()
        self._urgent: deque[Input] = deque()
        self._outbox: list[tuple[int | None, bytes]] = []
        self._signed: list[Vote] = []  # in this round
        self._finals: deque[Finalized] = deque()
        self._must_flush = False
        self._stop_reason: str | None = None
        self._timers: dict[tuple[int, TimerId], int] = {}
        self._timer_heap: list[tuple[int, int, tuple[int, TimerId]]] = []
        self._timer_count = 0
        self._builds: dict[tuple[int, int], Build] = {}
        self._checks: dict[bytes, CheckPayload] = {}
        self._check_deadlines_ms: dict[bytes, int] = {}
        self._executes: dict[bytes, Block] = {}
        self.mismatches = Mismatches()

    @property
    def core(self) -> Core:
        """Of the current epoch."""
        return self.holder.current.core

    @property
    def epoch(self) -> int:
        return self.holder.current.epoch

    def find_block(self, block_hash: bytes) -> Block | None:
        """A block of the window, for peers who ask, and for what is built on it."""
        block = self.holder.current.core.block(block_hash)
        if block is None and self.holder.previous is not None:
            block = self.holder.previous.core.block(block_hash)
        return block

    def start(self, last_final: Synced | None) -> None:
        """First effects of a holder that has just been rebuilt; `last_final` is where the stored chain ends, if that is
        in its epoch.
        """
        now_ms = self._clocks.monotonic_ms()
        if last_final is not None:
            self._perform_all(self.holder.handle(now_ms, self.epoch, last_final))
        self._perform_all(self.holder.start(now_ms))
        self._learn_next()

    def resume_previous(self, committee: Committee, root: Header, seal: Synced) -> None:
        """EP6: after a start, an ear for the stragglers of the epoch before."""
        self._perform_all(self.holder.resume_previous(self._clocks.monotonic_ms(), committee, root, seal))

    def receive(self, number: int, data: bytes) -> None:
        """Queue a member's message for the next tick. What finds no room is lost, like on a link that breaks: it is
        said again when it matters.
        """
        if len(self._inputs) < INPUTS_MAX:
            self._inputs.append(Said(number, data))

    def on_link(self, number: int) -> None:
        """Queue the news of a link."""
        self._inputs.append(Linked(number))

    def appoint(self, seats: Seats) -> None:
        """EP1: the registry's committee of an epoch that has not begun here; a later view replaces it."""
        self._urgent.append(Appointed(seats))

    def caught_up(self, synced: Synced) -> None:
        """Blocks were stored outside a tick; the next one makes them durable and tells of them. Nothing that waits may
        be handled before: it could deliver one of these blocks again.
        """
        self._must_flush = True
        self._urgent.append(Answer(synced.certificate.epoch, synced))

    @property
    def backlog(self) -> int:
        return len(self._inputs) + len(self._urgent)

    def next_deadline_ms(self) -> int | None:
        """When the earliest timer is due."""
        while self._timer_heap and self._timers.get(self._timer_heap[0][2]) != self._timer_heap[0][0]:
            heapq.heappop(self._timer_heap)
        deadlines = [build.deadline_ms for build in self._builds.values()]
        if self._timer_heap:
            deadlines.append(self._timer_heap[0][0])
        return min(deadlines, default=None)

    def tick(self) -> None:
        """A whole round, for a driver that may wait for the disk itself. Raises `Stop`."""
        self.handle()
        while True:
            if self.must_speak:
                for file in self.write_out():
                    file.sync()
                self.speak()
            if not self.finish():
                return
            self.handle()

    def handle(self) -> None:
        """Handle all that waits, but execute nothing: a vote to notarise must not wait for that. Nor does a vote wait
        for what is to be done about blocks that are final. Raises `Stop`.
        """
        now_ms = self._clocks.monotonic_ms()
        for key, at_ms in sorted(self._timers.items(), key=lambda item: item[1]):
            if at_ms <= now_ms:
                del self._timers[key]
                self._answer(key[0], TimerFired(key[1]))
        self._try_builds(now_ms)
        self._drain()
        self._try_checks(now_ms)
        while self.backlog:  # an answer may bring the next question
            self._drain()
            self._try_checks(now_ms)
        if self._stop_reason is not None or all(number is not None for number, _ in self._outbox):
            self.finalise_waiting()  # in time for the one sync

    @property
    def must_speak(self) -> bool:
        """Whether anything is to be said or told. What says nothing costs no sync: its writes wait for the next."""
        return bool(self._outbox) or self._must_flush or self._stop_reason is not None

    def write_out(self) -> list[Durable]:
        """Hand all writes to the system. What comes back is to be synced, in any order or at once; when all are,
        `speak`. Blocks may be executed in between, but nothing handled.
        """
        self._must_flush = False
        self._store.commit()
        files = (self._journal, self._signer.guard, self._store)
        return [file for file in files if file is not None and not file.is_synced]

    def speak(self) -> None:
        """Durable now, so it may be said and told. Raises `Stop`."""
        outbox, self._outbox = self._outbox, []
        for number, data in outbox:
            if number is None:
                self._outside.announce(data)
            else:
                self._outside.send(number, data)
        self._steps.on_said(self._signed)
        self._signed.clear()
        self._outside.after_flush()
        if self._stop_reason is not None:
            raise Stop(self._stop_reason)

    def _answer(self, epoch: int, event: Event | HolderEvent) -> None:
        self._inputs.append(Answer(epoch, event))

    def _drain(self) -> None:
        while self.backlog:
            entry = (self._urgent or self._inputs).popleft()
            self._perform_all(self._take(entry, self._clocks.monotonic_ms()))

    def _take(self, entry: Input, now_ms: int) -> list[Tagged]:
        match entry:
            case Answer(epoch, event):
                if isinstance(event, Signed):
                    self._signed.append(event.vote)
                return self.holder.handle(now_ms, epoch, event)
            case Said(number, data):
                network_key = self._roster.network_key(number)
                return [] if network_key is None else self.holder.receive(now_ms, network_key, data)
            case Appointed(seats) if seats.epoch <= self.epoch:
                return []
            case Appointed(seats):
                self._roster.learn(seats)
                return self.holder.learn_committee(now_ms, seats.committee)
            case Linked(number):
                return self._greet(now_ms, number)

    def _greet(self, now_ms: int, number: int) -> list[Tagged]:
        """A member of the current epoch, of the one before, or of both."""
        effects: list[Tagged] = []
        for epoch in (self.epoch, self.epoch - 1):
            seats = self._roster.seats(epoch)
            index = None if seats is None else seats.find(number)
            if index is not None and self.holder.core(epoch) is not None:
                effects += self.holder.handle(now_ms, epoch, PeerConnected(index))
        return effects

    def _perform_all(self, effects: list[Tagged]) -> None:
        for tagged in effects:
            if self._stop_reason is not None:
                return  # nothing is signed any more; what was said before still goes out with the evidence
            self._perform(tagged.epoch, tagged.effect)

    def _perform(self, epoch: int, effect: Effect | HolderEffect) -> None:
        match effect:
            case Persist(record):
                self._journal.append(record)
                if record.startswith(NULLIFICATION_HEAD):
                    self._store.put_nullification(record)
            case Send(peer, data):
                self._outbox.append((None if peer is None else self._number(epoch, peer), data))
            case Sign(kind, view, header_hash):
                self._sign(epoch, kind, view, header_hash)
            case SetTimer(timer_id, at_ms):
                self._set_timer((epoch, timer_id), at_ms)
            case CancelTimer(timer_id):
                self._timers.pop((epoch, timer_id), None)
            case Aggregate():
                self._aggregate(epoch, effect)
            case VerifyCertificates(token, certificates):
                is_good = all(self.is_genuine(certificate) for certificate in certificates)
                self._steps.on_certificates(*certificates if is_good else ())
                self._answer(epoch, CertificatesVerified(token, is_good))
            case Build(view):
                self._builds = {(epoch, view): effect}
            case CheckPayload():
                self._begin_check(effect)
            case Execute(block):
                self._executes[block.hash()] = block
            case _:
                self._perform_outside(epoch, effect)

    def _sign(self, epoch: int, kind: int, view: int, header_hash: bytes) -> None:
        answer = self._signer.sign(epoch, kind, view, header_hash)
        if answer is not None:
            self.on_vote_answer(epoch, kind, view, answer)

    def on_vote_answer(self, epoch: int, kind: int, view: int, answer: Vote | str) -> None:
        """The signer has spoken, at once or later. What its guard refuses is never asked for again."""
        if isinstance(answer, Vote):
            if kind == NOTARIZE:
                self._steps.note(answer.header_hash, Step.SIGNED)
            self._answer(epoch, Signed(answer))
        else:
            self._answer(epoch, Refused(kind, view, answer))

    def on_ready(self, ready: Ready) -> None:
        """As `on_vote_answer`."""
        self._answer(self.epoch, ReadySigned(ready))

    def _perform_outside(self, epoch: int, effect: Effect | HolderEffect) -> None:
        match effect:
            case Finalized():
                self._finals.append(effect)
            case FetchBlock(_, peers) if not peers:
                pass  # a committee of one
            case FetchBlock(block_hash, peers):
                held = self._store.recent(block_hash)
                if held is None:
                    self._outside.fetch_block(block_hash, tuple(self._number(epoch, peer) for peer in peers))
                else:
                    self._answer(epoch, Received(peers[0], encode_message(held)))
            case FallenBehind(target_view, _):
                self.finalise_waiting()
                self._outside.fall_behind(target_view)
            case Ban(peer, reason):
                self._outside.ban(self._number(epoch, peer), reason)
            case PublishEvidence(evidence):
                self._keep_evidence(evidence)
            case Diverged(block_hash, own_commitment, _):
                self.finalise_waiting()
                raise Stop(describe_divergence(self.find_block(block_hash), own_commitment))
            case Halt(reason):
                self._stop_reason = reason
            case _:
                self.finalise_waiting()
                self._perform_epoch(epoch, effect)

    def _perform_epoch(self, epoch: int, effect: Effect | HolderEffect) -> None:
        """EP1-EP7: what one epoch has to do with the next."""
        match effect:
            case EpochSealed(block, certificate, _, trailing):
                self._must_flush = True
                self._store.put_seal(epoch, Seal(block.header.height, certificate, trailing))
            case EpochOpened(committee, root):
                self._open(committee, root)
            case EpochDropped():
                self._timers = {key: at_ms for key, at_ms in self._timers.items() if key[0] != epoch}
            case SignReady(next_epoch, committee_hash, index):
                ready = self._signer.sign_ready(next_epoch, committee_hash, index)
                if ready is not None:
                    self.on_ready(ready)
            case AggregateReady():
                self._aggregate_ready(epoch, effect)
            case VerifyApproval(token, approval):
                self._answer(epoch, CertificatesVerified(token, self._is_approved(approval)))
            case Announce(data):
                self._outbox.append((None, data))
            case EpochOverdue(extensions):
                log.error("epoch.overdue epoch=%d extensions=%d (is the next committee ready?)", epoch, extensions)
            case EpochBehind(later_epoch):
                log.info("epoch.behind own_epoch=%d peer_epoch=%d", epoch, later_epoch)
                self._outside.fall_behind(0)

    def _number(self, epoch: int, index: int) -> int:
        seats = self._roster.seats(epoch)
        assert seats is not None, "an epoch that is alive here has a committee"
        return seats.numbers[index]

    def _open(self, committee: Committee, root: Header) -> None:
        """EP6. The new committee's indices count from here on, and who comes after it may be known already."""
        self._must_flush = True
        seats = self._roster.seats(committee.epoch)
        assert seats is not None and seats.committee == committee, "the roster has it before agreement does"
        self._store.put_seats(seats)
        self._signer.enter(committee.epoch, self.core.config.me)
        self._builds = {}
        log.info("epoch.opened epoch=%d members=%d root_height=%d", committee.epoch, len(seats.numbers), root.height)
        self._outside.open_epoch(committee, root)
        self._learn_next()

    def _learn_next(self) -> None:
        following = self._roster.seats(self.epoch + 1)
        if following is not None:
            self._urgent.appendleft(Appointed(following))

    def _aggregate_ready(self, epoch: int, effect: AggregateReady) -> None:
        digest = ready_digest(self._domain, effect.committee.epoch, effect.committee.hash())
        keys = [member.bls_key for member in effect.committee.members]
        approval, bad_signers = self._scheme.make_approval(effect.readies, keys, digest)
        self._answer(epoch, ReadyAggregated(effect.committee.epoch, approval, bad_signers))

    def _is_approved(self, approval: Approval) -> bool:
        """EP3: the aggregate, by the keys of the committee that it names."""
        committee, signers = self.holder.next_committee, approval.signers()
        if committee is None or (committee.epoch, committee.hash()) != (approval.epoch, approval.committee_hash):
            return False
        if not signers or signers[-1] >= len(committee.members):
            return False
        keys = [committee.members[signer].bls_key for signer in signers]
        digest = ready_digest(self._domain, approval.epoch, approval.committee_hash)
        return self._scheme.verify_aggregate(keys, digest, approval.signature)

    def _keep_evidence(self, evidence: Evidence) -> None:
        """R10: stored, and brought to the contract from there. Against ourselves: another machine has our key."""
        core = self.holder.core(evidence.first.epoch) or self.core
        verdict = judge(evidence, self._roster.count(evidence.first.epoch))
        if isinstance(verdict, Nothing):
            raise Stop(f"agreement published evidence that proves nothing: {verdict.reason}")
        offence, culprits = verdict.offence, verdict.culprits
        log.error("evidence.found offence=%s view=%d culprits=%s", f"E{offence}", verdict.view, list(culprits))
        self._store.put_evidence(compute_key(verdict), encode_message(evidence))
        self._must_flush = True
        if core.config.me in culprits:
            self._stop_reason = (
                f"evidence E{offence} of view {verdict.view} proves that this node's key signed contradicting "
                "statements: it is used elsewhere too; never start it again in this epoch"
            )

    def is_genuine(self, certificate: Certificate) -> bool:
        """Whether the aggregate signature is that of the members the bitmap names."""
        keys = self._bls_keys(certificate.epoch)
        signers = certificate.signers()
        is_shaped = len(certificate.bitmap) == (len(keys) + 7) // 8
        if not signers or not is_shaped or signers[-1] >= len(keys):
            return False
        digest = vote_digest(
            self._domain, certificate.kind, certificate.epoch, certificate.view, certificate.header_hash
        )
        return self._scheme.verify_aggregate([keys[signer] for signer in signers], digest, certificate.signature)

    def _bls_keys(self, epoch: int) -> list[bytes]:
        """None for an epoch whose committee is not known here."""
        committee = self._roster.committee(epoch)
        return [] if committee is None else [member.bls_key for member in committee.members]

    def _aggregate(self, epoch: int, effect: Aggregate) -> None:
        digest = vote_digest(self._domain, effect.kind, epoch, effect.view, effect.header_hash)
        keys = self._bls_keys(epoch)
        certificate, bad_signers = self._scheme.make_certificate(effect.votes, keys, digest, epoch, len(keys))
        self._steps.on_certificates(*() if certificate is None else (certificate,))
        self._answer(epoch, Aggregated(effect.token, certificate, bad_signers))

    def _set_timer(self, key: tuple[int, TimerId], at_ms: int) -> None:
        self._timers[key] = at_ms
        self._timer_count += 1
        heapq.heappush(self._timer_heap, (at_ms, self._timer_count, key))

    def _try_builds(self, now_ms: int) -> None:
        wall_ms = self._clocks.wall_ms()
        for (epoch, view), build in list(self._builds.items()):
            is_due = now_ms >= build.deadline_ms
            if not is_due and not self._proposals.has_work(epoch, build.parent_hash, wall_ms):
                continue
            del self._builds[epoch, view]
            built = self._proposals.build(epoch, build.parent_hash, build.parent_header, wall_ms)
            if built is None or built.executed.result is None:
                continue
            commitment = to_commitment(built.executed.result).encode()
            self._executor.remember(build.parent_hash, built.timestamp_ms, built.payload, built.executed)
            self._answer(epoch, Built(view, build.parent_hash, built.payload, built.timestamp_ms, commitment))

    def _begin_check(self, check: CheckPayload) -> None:
        """Judge what cannot change at once; wait only for what may still come."""
        block_hash = check.block.hash()
        self._steps.begin(block_hash, check.block.header.timestamp_ms)
        core = self.holder.core(check.block.header.epoch) or self.core
        stalled_views = check.block.header.view - core.floor_view - 1
        is_valid = self._proposals.is_valid(check.block, check.parent, self._clocks.wall_ms(), stalled_views)
        if not is_valid or len(self._checks) >= PENDING_CHECKS_MAX:
            self._answer(check.block.header.epoch, PayloadChecked(block_hash, False))
            return
        self._checks[block_hash] = check
        self._check_deadlines_ms[block_hash] = self._clocks.monotonic_ms() + CHAIN_VIEW_WAIT_MS

    def _try_checks(self, now_ms: int) -> None:
        for block_hash, check in list(self._checks.items()):
            verdict = self._proposals.is_acceptable(check.block, check.parent, self._clocks.wall_ms())
            if verdict is None:
                if self._fetch_missing(check.block) or now_ms < self._check_deadlines_ms[block_hash]:
                    continue
                verdict = False  # our view of the settlement chain stays behind: others may vote, we do not
            del self._checks[block_hash], self._check_deadlines_ms[block_hash]
            self._answer(check.block.header.epoch, PayloadChecked(block_hash, verdict))

    def _fetch_missing(self, block: Block) -> bool:
        """Ask for the batches that a block names and we lack; False when we hold them all."""
        missing = self._proposals.missing_batches(block)
        if missing:
            self._outside.fetch_batches(block, missing)
        return bool(missing)

    def execute_waiting(self) -> None:
        """Execute the blocks whose batches are here; the results wait to be handled."""
        for block_hash, block in list(self._executes.items()):
            if not self._fetch_missing(block):
                del self._executes[block_hash]
                own_commitment = self._executor.execute(block)
                self.mismatches.note(block, own_commitment)
                self._answer(block.header.epoch, Executed(block_hash, own_commitment))
                self._steps.note(block_hash, Step.EXECUTED)

    def finalise_waiting(self) -> None:
        """Tell the rest of the node of blocks that are final, in their order."""
        while self._finals:
            final = self._finals.popleft()
            self._must_flush = True
            self._outside.finalise(final.block, final.certificate)

    def finish(self) -> bool:
        """What is left once all is said. Whether that brought anything to handle or to say."""
        self.execute_waiting()
        self.finalise_waiting()
        return bool(self.backlog) or self.must_speak

    def forget_through(self, header: Header) -> None:
        """Blocks at or below a final height need no judgement any more."""
        for block_hash, check in list(self._checks.items()):
            if check.block.header.height <= header.height:
                del self._checks[block_hash], self._check_deadlines_ms[block_hash]
        for block_hash, block in list(self._executes.items()):
            if block.header.height <= header.height:
                del self._executes[block_hash]
