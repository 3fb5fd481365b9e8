"""A host for the real core: performs its effects in virtual time, crashes between any two of them, and recovers.

One turn: an event, then every answer that comes at once, then one sync, then what is to be sent. That is the group
commit of the real node. A crash loses the rest of the turn and what was not synced.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from consensus.core import Core, CoreConfig
from consensus.effects import (
    Aggregate,
    Build,
    CancelTimer,
    CheckPayload,
    Diverged,
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
    PeerConnected,
    Received,
    Refused,
    Signed,
    Synced,
    TimerFired,
)
from consensus.messages import FINALIZE, Block, Certificate, Header, encode_message, keccak, quorum
from consensus.sync import RANGE_BLOCKS_MAX, verify_range
from testnet.sim.byzantine import Behaviour
from testnet.sim.checkers import Violation
from testnet.sim.disk import Disk
from testnet.sim.hashchain import execute

if TYPE_CHECKING:
    from testnet.sim.world import World

SYNC_RETRY_MS = 400


def work_key(header: Header) -> tuple[bytes, int, bytes]:
    """What an execution depends on; a leader knows it before the header exists."""
    return header.parent_hash, header.timestamp_ms, header.payload_root


class Crash(Exception):
    """The machine is gone in the middle of a turn."""


class Node:
    def __init__(self, world: World, index: int, config: CoreConfig, behaviour: Behaviour | None, name: int) -> None:
        self.world = world
        self.index = index
        self.name = name  # a twin has another name but the same index
        self.config = config
        self.behaviour = behaviour
        self.disk = Disk(config.epoch, world.plan.has_guard and behaviour is None)
        self.core: Core | None = None
        self.incarnation = 0
        self.crash_after_effects: int | None = None
        self.crash_count = 0
        self.timers: dict[tuple[str, int], int] = {}
        self.executed: dict[tuple[bytes, int, bytes], None] = {}  # work keys of what has a speculative state here
        self.unanswered: list[bytes] = []
        self.sync_target: Certificate | None = None
        self._queue: deque[Event] = deque()
        self._outbox: list[Send] = []

    @property
    def is_honest(self) -> bool:
        return self.behaviour is None

    def boot(self) -> None:
        """Start is recovery."""
        self.incarnation += 1
        self.timers, self.executed, self.unanswered, self.sync_target = {}, {}, [], None
        self._queue, self._outbox = deque(), []
        self.core = Core(self.config, self.world.leaders, self.disk.read())
        head = self.disk.head
        self.executed[work_key(self.config.genesis)] = None
        if self.is_honest:
            self.world.checkers.on_restart(self.name, 0 if head is None else head[0].header.height)
        if head is not None:
            self.executed[work_key(head[0].header)] = None
            self.turn(Synced(*head))
        if self.core is not None:
            self.turn(None)
        if self.crash_count:
            for peer in range(self.config.member_count):
                if peer != self.index:
                    self.world.post(1, peer, "event", PeerConnected(self.index))

    def crash(self) -> None:
        self.core = None
        self.crash_after_effects = None
        self.crash_count += 1
        self.disk.crash(self.world.rng)
        self.world.note_crash(self)

    def turn(self, event: Event | None) -> None:
        """One event (None: start) and all that follows at once."""
        if self.core is None:
            return
        now_ms = self.world.now_ms
        try:
            effects = self.core.start(now_ms) if event is None else self.core.handle(now_ms, event)
            self.perform_all(effects)
            while self._queue:
                self.perform_all(self.core.handle(now_ms, self._queue.popleft()))
            self.release()
        except Crash:
            self.crash()

    def release(self) -> None:
        """Sync, then send."""
        outbox, self._outbox = self._outbox, []
        if self.world.plan.syncs_before_send:
            self.disk.sync()
        for effect in outbox:
            self.count_down()
            self.send(effect)
        self.disk.sync()

    def send(self, effect: Send) -> None:
        if self.behaviour is not None:
            for peer, data in self.behaviour.on_send(self, effect.peer, effect.data):
                self.world.transmit(self, peer, data)
            return
        self.world.checkers.on_sent(self.index, effect.data, self.disk.durable_votes)
        self.world.transmit(self, effect.peer, effect.data)

    def count_down(self) -> None:
        if self.crash_after_effects is not None:
            self.crash_after_effects -= 1
            if self.crash_after_effects < 0:
                raise Crash

    def perform_all(self, effects: list[Any]) -> None:
        for effect in effects:
            self.count_down()
            self.perform(effect)

    def perform(self, effect: Any) -> None:
        match effect:
            case Persist(record):
                self.disk.append(record)
                if self.is_honest and record[:2] == b"\x82\x02":
                    self.world.note_certificate(record)
            case Send():
                self._outbox.append(effect)
            case SetTimer(timer_id, at_ms):
                self.timers[timer_id] = at_ms
                self.world.post_at(max(at_ms, self.world.now_ms), self, "timer", timer_id)
            case CancelTimer(timer_id):
                self.timers.pop(timer_id, None)
            case Sign(kind, view, header_hash):
                self.sign(kind, view, header_hash)
            case Aggregate(token, votes=votes):
                certificate, bad_signers = self.world.keys.aggregate(votes)
                self._queue.append(Aggregated(token, certificate, bad_signers))
            case VerifyCertificates(token, certificates):
                ok = all(self.world.keys.is_genuine(certificate) for certificate in certificates)
                self._queue.append(CertificatesVerified(token, ok))
            case _:
                self.perform_work(effect)

    def perform_work(self, effect: Any) -> None:
        world = self.world
        match effect:
            case Build():
                world.post_node(world.plan.draw_execution_ms(world.rng), self, "build", effect)
            case CheckPayload(block):
                wait_ms = world.plan.draw_payload_ms(world.rng)
                if wait_ms is None:
                    self.unanswered.append(block.hash())
                elif wait_ms == 0:
                    self._queue.append(PayloadChecked(block.hash(), True))
                else:
                    world.post_node(wait_ms, self, "event", PayloadChecked(block.hash(), True))
            case Execute():
                world.post_node(world.plan.draw_execution_ms(world.rng), self, "execute", effect.block)
            case FetchBlock(block_hash, peers):
                for peer in peers:
                    world.transmit(self, peer, (self.index, block_hash), "fetch")
            case Finalized(block, certificate):
                self.deliver(block, certificate)
            case FallenBehind(_, certificate):
                self.sync_target = certificate
                self.ask_range()
            case _:
                self.perform_verdict(effect)

    def perform_verdict(self, effect: Any) -> None:
        match effect:
            case PublishEvidence(evidence) if self.is_honest:
                self.world.checkers.on_evidence(evidence)
            case Halt(reason) if self.is_honest:
                raise Violation(f"node {self.name} halted: {reason}")
            case Diverged(block_hash) if self.is_honest:
                raise Violation(f"X2 node {self.name} diverged at {block_hash.hex()[:8]}")
            case _:
                pass  # bans are the host's score; byzantine nodes may do as they like

    def sign(self, kind: int, view: int, header_hash: bytes) -> None:
        reason = self.disk.allow(kind, self.config.epoch, view, header_hash)
        if reason:
            self._queue.append(Refused(kind, view, reason))
        else:
            vote = self.world.keys.sign(self.index, kind, self.config.epoch, view, header_hash)
            self._queue.append(Signed(vote))

    def build(self, request: Build) -> None:
        parent = request.parent_header
        if self.is_honest and work_key(parent) not in self.executed:
            raise Violation(f"node {self.name} builds on a parent that was never executed")
        payload = self.world.draw_payload()
        timestamp_ms = max(parent.timestamp_ms + 1, self.world.now_ms)
        commitment = execute(parent.commitment, timestamp_ms, payload)
        self.executed[(request.parent_hash, timestamp_ms, keccak(payload))] = None
        if self.behaviour is not None:
            commitment = self.behaviour.on_commitment(self, commitment)
        self.turn(Built(request.view, request.parent_hash, payload, timestamp_ms, commitment))

    def execute(self, block: Block) -> None:
        header = block.header
        parent = self.world.headers.get(header.parent_hash)
        if parent is None or work_key(parent) not in self.executed:
            raise Violation(f"node {self.name} executes before the parent")
        commitment = execute(parent.commitment, header.timestamp_ms, block.payload)
        if self.is_honest:
            self.world.checkers.on_executed(self.name, block.hash(), commitment)
        if commitment == header.commitment:
            self.executed[work_key(block.header)] = None
        self.turn(Executed(block.hash(), commitment))

    def deliver(self, block: Block, certificate: Certificate) -> None:
        self.disk.append_final(block, certificate)
        if self.is_honest:
            self.world.checkers.on_final(self.name, block)

    def answer_fetch(self, asker: int, block_hash: bytes) -> None:
        block = None if self.core is None else self.core.block(block_hash)
        if block is None:
            block = next((known for known, _ in reversed(self.disk.chain) if known.hash() == block_hash), None)
        if block is not None:
            self.world.transmit(self, asker, encode_message(block))

    def ask_range(self) -> None:
        """Range sync, one request at a time, another peer on every try."""
        if self.sync_target is None or self.core is None:
            return
        height = self.core.final_header.height
        peer = self.world.rng.randrange(self.config.member_count)
        if peer != self.index:
            self.world.transmit(self, peer, (self.index, height), "range")
        self.world.post_node(SYNC_RETRY_MS, self, "ask_range", None)

    def answer_range(self, asker: int, height: int) -> None:
        run = [entry for entry in self.disk.chain if entry[0].header.height > height][:RANGE_BLOCKS_MAX]
        while run and run[-1][1].header_hash != run[-1][0].hash():
            run.pop()
        if run and self.behaviour is not None:
            run = self.behaviour.on_range(run)
        if run:
            self.world.transmit(self, asker, ([block for block, _ in run], run[-1][1]), "range_answer")

    def take_range(self, blocks: list[Block], certificate: Certificate) -> None:
        if self.core is None or self.sync_target is None:
            return
        signers = certificate.signers()
        if certificate.kind != FINALIZE or len(signers) < quorum(self.config.member_count):
            return
        if not self.world.keys.is_genuine(certificate):
            return
        verdict = verify_range(self.core.final_hash, self.core.final_header.height, blocks, certificate)
        if not isinstance(verdict, tuple):
            return
        before = self.core.final_header
        for block in verdict:
            if execute(before.commitment, block.header.timestamp_ms, block.payload) != block.header.commitment:
                return
            self.executed[work_key(block.header)] = None
            before = block.header
        for block in verdict:
            self.deliver(block, certificate)
        if certificate.view >= self.sync_target.view:
            self.sync_target = None
        self.turn(Synced(verdict[-1], certificate))

    def calm_down(self) -> None:
        """Second phase: what was missing arrives."""
        waiting, self.unanswered = self.unanswered, []
        for block_hash in waiting:
            self.turn(PayloadChecked(block_hash, True))

    def on_message(self, peer: int, data: bytes) -> None:
        if self.behaviour is not None:
            for target, extra in self.behaviour.on_receive(self, peer, data):
                self.world.transmit(self, target, extra)
        self.turn(Received(peer, data))

    def on_timer(self, timer_id: tuple[str, int]) -> None:
        if self.timers.get(timer_id) is not None and self.timers[timer_id] <= self.world.now_ms:
            del self.timers[timer_id]
            self.turn(TimerFired(timer_id))
