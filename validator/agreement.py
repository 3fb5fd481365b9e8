"""Drives the consensus core: events in, effects performed, nothing said before it is durable.

A round handles every waiting event, collects what is to be sent, syncs journal, guard and store once (group commit),
then sends and publishes, and only then executes blocks, whose results are the next round's events: members vote to
notarise before they execute. The core itself never waits; what needs waiting (a payload whose batches are on their
way) is looked at again each round.
"""

import heapq
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from consensus import crypto
from consensus.core import Core
from consensus.effects import (
    Aggregate,
    Ban,
    Build,
    CancelTimer,
    CheckPayload,
    Diverged,
    Effect,
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
    VerifyCertificates,
)
from consensus.events import (
    Aggregated,
    Built,
    CertificatesVerified,
    Event,
    Executed,
    PayloadChecked,
    Received,
    Refused,
    Signed,
    Synced,
    TimerFired,
    TimerId,
)
from consensus.evidence import Nothing, compute_key, judge
from consensus.messages import (
    NULLIFICATION_HEAD,
    Block,
    Certificate,
    Commitment,
    Evidence,
    Header,
    Vote,
    encode_message,
    vote_digest,
)
from consensus.scheme import Scheme
from validator.clocks import Clocks
from validator.executor import Executor, to_commitment
from validator.journal import Journal
from validator.proposals import Proposals
from validator.signer import Signer
from validator.store import Store

log = logging.getLogger("hansa.agreement")
PENDING_CHECKS_MAX = 64
CHAIN_VIEW_WAIT_MS = 2_000


class Stop(Exception):
    """A broken invariant of our own: the node must end before it signs anything more."""


@dataclass(slots=True)
class Outside:
    """What the driver asks of the rest of the node."""

    send: Callable[[int | None, bytes], None]
    fetch_block: Callable[[bytes, tuple[int, ...]], None]
    fetch_batches: Callable[[Block, list[tuple[int, int, bytes]]], None]
    fall_behind: Callable[[Certificate], None]
    finalise: Callable[[Block, Certificate], None]
    ban: Callable[[int, str], None]
    after_flush: Callable[[], None]


class Agreement:
    """See the module's text."""

    def __init__(
        self,
        core: Core,
        *,
        domain: bytes,
        bls_keys: tuple[bytes, ...],
        signer: Signer,
        journal: Journal,
        store: Store,
        executor: Executor,
        proposals: Proposals,
        outside: Outside,
        clocks: Clocks,
        scheme: Scheme = crypto,
    ) -> None:
        self.core = core
        self._domain = domain
        self._bls_keys = bls_keys
        self._signer = signer
        self._journal = journal
        self._store = store
        self._executor = executor
        self._proposals = proposals
        self._outside = outside
        self._clocks = clocks
        self._scheme = scheme
        self._events: deque[Event] = deque()
        self._outbox: list[tuple[int | None, bytes]] = []
        self._must_flush = False
        self._stop_reason: str | None = None
        self._timers: dict[TimerId, int] = {}
        self._timer_heap: list[tuple[int, int, TimerId]] = []
        self._timer_count = 0
        self._builds: dict[int, Build] = {}
        self._checks: dict[bytes, CheckPayload] = {}
        self._check_deadlines_ms: dict[bytes, int] = {}
        self._executes: dict[bytes, Block] = {}

    def start(self, last_final: Synced | None) -> None:
        """First effects of a core that has just been rebuilt; `last_final` is where the stored chain ends."""
        now_ms = self._clocks.monotonic_ms()
        if last_final is not None:
            self._perform_all(self.core.handle(now_ms, last_final))
        self._perform_all(self.core.start(now_ms))

    def post(self, event: Event) -> None:
        """Queue an event for the next tick."""
        self._events.append(event)

    def caught_up(self, synced: Synced) -> None:
        """Blocks were stored outside a tick; the next one makes them durable and tells of them. Nothing that waits may
        be handled before: it could deliver one of these blocks again.
        """
        self._must_flush = True
        self._events.appendleft(synced)

    @property
    def backlog(self) -> int:
        return len(self._events)

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
                for sync in self.write_out():
                    sync()
                self.speak()
            if not self.execute_waiting():
                return
            self.handle()

    def handle(self) -> None:
        """Handle all that waits, but execute nothing: a vote to notarise must not wait for that. Raises `Stop`."""
        now_ms = self._clocks.monotonic_ms()
        for timer_id, at_ms in sorted(self._timers.items(), key=lambda item: item[1]):
            if at_ms <= now_ms:
                del self._timers[timer_id]
                self._events.append(TimerFired(timer_id))
        self._try_builds(now_ms)
        self._drain()
        self._try_checks(now_ms)
        while self._events:  # an answer may bring the next question
            self._drain()
            self._try_checks(now_ms)

    @property
    def must_speak(self) -> bool:
        """Whether anything is to be said or told. What says nothing costs no sync: its writes wait for the next."""
        return bool(self._outbox) or self._must_flush or self._stop_reason is not None

    def write_out(self) -> list[Callable[[], None]]:
        """Hand all writes to the system. What comes back waits for the disk, each for another file, in any order or at
        once; when all have returned, `speak`. Nothing may be handled in between.
        """
        self._must_flush = False
        self._store.commit()
        return [item.sync for item in (self._journal, self._signer, self._store) if not item.is_synced]

    def speak(self) -> None:
        """Durable now, so it may be said and told. Raises `Stop`."""
        outbox, self._outbox = self._outbox, []
        for peer, data in outbox:
            self._outside.send(peer, data)
        self._outside.after_flush()
        if self._stop_reason is not None:
            raise Stop(self._stop_reason)

    def _drain(self) -> None:
        while self._events:
            self._perform_all(self.core.handle(self._clocks.monotonic_ms(), self._events.popleft()))

    def _perform_all(self, effects: list[Effect]) -> None:
        for effect in effects:
            if self._stop_reason is not None:
                return  # nothing is signed any more; what was said before still goes out with the evidence
            self._perform(effect)

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Persist(record):
                self._journal.append(record)
                if record.startswith(NULLIFICATION_HEAD):
                    self._store.put_nullification(record)
            case Send(peer, data):
                self._outbox.append((peer, data))
            case Sign(kind, view, header_hash):
                answer = self._signer.sign(kind, view, header_hash)
                self._events.append(Signed(answer) if isinstance(answer, Vote) else Refused(kind, view, answer))
            case SetTimer(timer_id, at_ms):
                self._set_timer(timer_id, at_ms)
            case CancelTimer(timer_id):
                self._timers.pop(timer_id, None)
            case Aggregate():
                self._aggregate(effect)
            case VerifyCertificates(token, certificates):
                is_good = all(self.is_genuine(certificate) for certificate in certificates)
                self._events.append(CertificatesVerified(token, is_good))
            case Build(view):
                self._builds = {view: effect}
            case CheckPayload(block):
                self._begin_check(effect)
            case Execute(block):
                self._executes[block.hash()] = block
            case _:
                self._perform_outside(effect)

    def _perform_outside(self, effect: Effect) -> None:
        match effect:
            case Finalized(block, certificate):
                self._must_flush = True
                self._outside.finalise(block, certificate)
            case FetchBlock(_, peers) if not peers:
                pass  # a committee of one
            case FetchBlock(block_hash, peers):
                held = self._store.candidate(block_hash)
                if held is None:
                    self._outside.fetch_block(block_hash, peers)
                else:
                    self._events.append(Received(peers[0], encode_message(held)))
            case FallenBehind(_, certificate):
                self._outside.fall_behind(certificate)
            case Ban(peer, reason):
                self._outside.ban(peer, reason)
            case PublishEvidence(evidence):
                self._keep_evidence(evidence)
            case Diverged(block_hash, own_commitment, _):
                raise Stop(describe_divergence(self.core.block(block_hash), own_commitment))
            case Halt(reason):
                self._stop_reason = reason

    def _keep_evidence(self, evidence: Evidence) -> None:
        """R10: stored, and brought to the contract from there. Against ourselves: another machine has our key."""
        verdict = judge(evidence, self.core.config.member_count)
        if isinstance(verdict, Nothing):
            raise Stop(f"agreement published evidence that proves nothing: {verdict.reason}")
        offence, culprits = verdict.offence, verdict.culprits
        log.error("evidence.found offence=E%d view=%d culprits=%s", offence, verdict.view, list(culprits))
        self._store.put_evidence(compute_key(verdict), encode_message(evidence))
        self._must_flush = True
        if self.core.config.me in culprits:
            self._stop_reason = (
                f"evidence E{offence} of view {verdict.view} proves that this node's key signed contradicting "
                "statements: it is used elsewhere too; never start it again in this epoch"
            )

    def is_genuine(self, certificate: Certificate) -> bool:
        """Whether the aggregate signature is that of the members the bitmap names."""
        signers = certificate.signers()
        is_shaped = len(certificate.bitmap) == (len(self._bls_keys) + 7) // 8
        if not signers or not is_shaped or certificate.epoch != self.core.config.epoch:
            return False
        if signers[-1] >= len(self._bls_keys):
            return False
        digest = vote_digest(
            self._domain, certificate.kind, certificate.epoch, certificate.view, certificate.header_hash
        )
        keys = [self._bls_keys[signer] for signer in signers]
        return self._scheme.verify_aggregate(keys, digest, certificate.signature)

    def _aggregate(self, effect: Aggregate) -> None:
        digest = vote_digest(self._domain, effect.kind, self.core.config.epoch, effect.view, effect.header_hash)
        certificate, bad_signers = self._scheme.make_certificate(
            effect.votes, self._bls_keys, digest, self.core.config.epoch, len(self._bls_keys)
        )
        self._events.append(Aggregated(effect.token, certificate, bad_signers))

    def _set_timer(self, timer_id: TimerId, at_ms: int) -> None:
        self._timers[timer_id] = at_ms
        self._timer_count += 1
        heapq.heappush(self._timer_heap, (at_ms, self._timer_count, timer_id))

    def _try_builds(self, now_ms: int) -> None:
        wall_ms = self._clocks.wall_ms()
        for view, build in list(self._builds.items()):
            is_due = now_ms >= build.deadline_ms
            if not is_due and not self._proposals.has_work(build.parent_hash, wall_ms):
                continue
            del self._builds[view]
            built = self._proposals.build(build.parent_hash, build.parent_header, wall_ms)
            if built is None or built.executed.result is None:
                continue
            commitment = to_commitment(built.executed.result).encode()
            self._executor.remember(build.parent_hash, built.timestamp_ms, built.payload, built.executed)
            self._events.append(Built(view, build.parent_hash, built.payload, built.timestamp_ms, commitment))

    def _begin_check(self, check: CheckPayload) -> None:
        """Judge what cannot change at once; wait only for what may still come."""
        block_hash = check.block.hash()
        stalled_views = check.block.header.view - self.core.floor_view - 1
        is_valid = self._proposals.is_valid(check.block, check.parent, self._clocks.wall_ms(), stalled_views)
        if not is_valid or len(self._checks) >= PENDING_CHECKS_MAX:
            self._events.append(PayloadChecked(block_hash, False))
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
            if verdict:
                self._store.put_candidate(check.block)
            self._events.append(PayloadChecked(block_hash, verdict))

    def _fetch_missing(self, block: Block) -> bool:
        """Ask for the batches that a block names and we lack; False when we hold them all."""
        missing = self._proposals.missing_batches(block)
        if missing:
            self._outside.fetch_batches(block, missing)
        return bool(missing)

    def execute_waiting(self) -> bool:
        """Execute the blocks whose batches are here; whether that brought anything to handle."""
        for block_hash, block in list(self._executes.items()):
            if not self._fetch_missing(block):
                del self._executes[block_hash]
                self._events.append(Executed(block_hash, self._executor.execute(block)))
        return bool(self._events)

    def forget_through(self, header: Header) -> None:
        """Blocks at or below a final height need no judgement any more."""
        for block_hash, check in list(self._checks.items()):
            if check.block.header.height <= header.height:
                del self._checks[block_hash], self._check_deadlines_ms[block_hash]
        for block_hash, block in list(self._executes.items()):
            if block.header.height <= header.height:
                del self._executes[block_hash]


def describe_divergence(block: Block | None, own_commitment: bytes | None) -> str:
    """Which words of the header our own execution contradicts: where to look first."""
    if block is None:
        return "our execution of a final block differs from the committee's certificate"
    place = f"final block {block.header.height} ({block.hash().hex()})"
    if own_commitment is None:
        return f"{place} is invalid by our own execution"
    own, certified = Commitment.decode(own_commitment), Commitment.decode(block.header.commitment)
    differing = [name for name in Commitment._fields if getattr(own, name) != getattr(certified, name)]
    return f"our execution of {place} gives another {', '.join(differing)} than the committee certified"
