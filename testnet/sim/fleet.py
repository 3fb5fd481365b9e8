"""Many holders of epochs that talk to each other: fake signatures, instant work, virtual time, one delay or jitter.

The small brother of the simulator's world, for what spans whole committees: every size, collectors, rotation. A
member's network key is its number. A signature is a hash of who signed what, and an aggregate is the hash of the bitmap
and the statement, so whatever the cores count wrongly is found out by the checks here.
"""

import heapq
import random
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from consensus.approvals import AggregateReady, ReadyAggregated
from consensus.committee import Committee, Member
from consensus.core import CoreConfig
from consensus.effects import (
    Aggregate,
    Build,
    CheckPayload,
    Diverged,
    EpochSealed,
    Execute,
    FallenBehind,
    FetchBlock,
    Finalized,
    Halt,
    Persist,
    Send,
    SetTimer,
    Sign,
    VerifyApproval,
    VerifyCertificates,
)
from consensus.epochs import (
    Announce,
    EpochBehind,
    EpochOpened,
    EpochOverdue,
    Instances,
    ReadySigned,
    Schedule,
    SignReady,
    Tagged,
)
from consensus.events import (
    Aggregated,
    Built,
    CertificatesVerified,
    Executed,
    PayloadChecked,
    PeerConnected,
    Signed,
    Synced,
    TimerFired,
)
from consensus.messages import (
    FINALIZE,
    NOTARIZE,
    NULLIFY,
    ZERO_HASH,
    Approval,
    Block,
    Certificate,
    Header,
    Message,
    Ready,
    Vote,
    decode_message,
    encode_message,
    keccak,
    make_bitmap,
    ready_digest,
    vote_digest,
)
from consensus.sealing import split_at_seal

DOMAIN = b"d" * 32
GENESIS = Header(1, 0, 0, ZERO_HASH, 0, 0, 0, ZERO_HASH, ZERO_HASH, bytes(320))
FOREVER = Schedule(length_ms=1 << 60, extension_ms=1 << 60)


def network_key(number: int) -> bytes:
    return number.to_bytes(32, "big")


def make_committee(epoch: int, numbers: list[int], weights: dict[int, int] | None = None) -> Committee:
    return Committee(
        epoch,
        tuple(
            Member(b"k" * 16 + network_key(number), network_key(number), (weights or {}).get(number, 1))
            for number in numbers
        ),
    )


def make_config(**changes: Any) -> CoreConfig:
    fields: dict[str, Any] = {"domain": DOMAIN, "epoch": 1, "member_count": 1, "me": None, "genesis": GENESIS}
    return CoreConfig(**fields | {"min_interval_ms": 0} | changes)


def fake_sign(number: int, digest: bytes) -> bytes:
    return (keccak(network_key(number) + digest) * 3)[:96]


def fake_aggregate(bitmap: bytes, digest: bytes) -> bytes:
    return (keccak(bitmap + digest) * 3)[:96]


def execute(parent_commitment: bytes, payload: bytes) -> bytes:
    return keccak(parent_commitment + payload) * 10


@dataclass
class Host:
    """One node: its holder, what it delivered, what it signed."""

    number: int
    holder: Instances
    chain: list[Block] = field(default_factory=list)
    seals: list[EpochSealed] = field(default_factory=list)
    signed: list[tuple[int, int, int]] = field(default_factory=list)  # epoch, kind, view
    said: dict[tuple[int, int, int], bytes] = field(default_factory=dict)  # the same, to the hash: across restarts
    durable: list[bytes] = field(default_factory=list)
    head: Certificate | None = None  # finalises the last block of `chain`
    alarms: list[int] = field(default_factory=list)
    timers: dict[tuple[int, tuple[str, int]], int] = field(default_factory=dict)
    blocks: dict[bytes, Block] = field(default_factory=dict)
    bodies: dict[bytes, Header] = field(default_factory=dict)


@dataclass
class Fleet:
    numbers: list[int]  # every node, members or not
    committee: Committee
    schedule: Schedule = FOREVER
    config: CoreConfig = field(default_factory=make_config)
    delay_ms: int = 20
    down: list[int] = field(default_factory=list)  # they do nothing at all
    cut: list[int] = field(default_factory=list)  # nothing reaches or leaves them
    is_lost: Callable[[int, Message], bool] = lambda _number, _message: False  # by sender and message
    alter: Callable[[Host, Message], list[Message]] | None = None  # what a liar says instead
    jitter: random.Random | None = None
    is_observed: bool = True  # nodes outside the committee hear what members send to all
    now_ms: int = 0
    liar: int | None = None  # keeps no rule, so none is checked on it
    audit: bytes = b""  # over all that was delivered (Z1)
    sends: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._heap: list[tuple[int, int, int, Any]] = []
        self._count = 0
        self._answers: deque[tuple[Host, int, Any]] = deque()
        self.hosts = {
            number: Host(number, Instances(self.config, self.schedule, network_key(number), self.committee, GENESIS))
            for number in self.numbers
        }
        self.next_committees: list[Committee] = []
        for host in self.hosts.values():
            self.perform(host, host.holder.start(0))

    def post(self, wait_ms: int, number: int, what: Any) -> None:
        self._count += 1
        heapq.heappush(self._heap, (self.now_ms + wait_ms, self._count, number, what))

    def run(self, duration_ms: int) -> None:
        end_ms = self.now_ms + duration_ms
        while self._heap and self._heap[0][0] <= end_ms:
            self.now_ms, _, number, what = heapq.heappop(self._heap)
            host = self.hosts[number]
            if number in self.down:
                continue
            match what:
                case ("data", sender, data):
                    self.audit = keccak(self.audit + self.now_ms.to_bytes(8, "big") + bytes([sender, number]) + data)
                    self.perform(host, host.holder.receive(self.now_ms, network_key(sender), data))
                case ("timer", epoch, timer_id):
                    if host.timers.get((epoch, timer_id)) == self.now_ms:
                        del host.timers[epoch, timer_id]
                        self.perform(host, host.holder.handle(self.now_ms, epoch, TimerFired(timer_id)))
                case ("sync", epoch):
                    self.sync(host, epoch)
                case ("fetch", asker, epoch, block_hash):
                    core = host.holder.core(epoch)
                    block = host.blocks.get(block_hash) or (None if core is None else core.block(block_hash))
                    if block is not None and number not in self.cut and asker not in self.cut:
                        self.post(self.delay_ms, asker, ("data", number, encode_message(block)))
        self.now_ms = end_ms

    def run_until_height(self, height: int, limit_ms: int = 60_000) -> None:
        end_ms = self.now_ms + limit_ms
        while min(len(host.chain) for host in self.up()) < height:
            assert self.now_ms < end_ms, f"no block {height} within {limit_ms} ms"
            self.run(self.delay_ms)

    def up(self) -> list[Host]:
        return [host for host in self.hosts.values() if host.number not in self.down]

    def announce_committee(self, committee: Committee) -> None:
        """The registry of the next epoch is fixed: every node sees it."""
        self.next_committees.append(committee)
        for host in self.up():
            self.perform(host, host.holder.learn_committee(self.now_ms, committee))

    def answer(self, host: Host, epoch: int, event: Any) -> None:
        """Taken in once all effects of the event before are performed."""
        self._answers.append((host, epoch, event))

    def perform(self, host: Host, tagged: list[Tagged]) -> None:
        for entry in tagged:
            self.perform_one(host, entry.epoch, entry.effect)
        while self._answers:
            asked, epoch, event = self._answers.popleft()
            for entry in asked.holder.handle(self.now_ms, epoch, event):
                self.perform_one(asked, entry.epoch, entry.effect)

    def perform_one(self, host: Host, epoch: int, effect: Any) -> None:
        match effect:
            case Send(peer, data):
                self.send(host, epoch, peer, data)
            case SetTimer(timer_id, at_ms):
                at_ms = max(at_ms, self.now_ms)
                host.timers[epoch, timer_id] = at_ms
                self.post(at_ms - self.now_ms, host.number, ("timer", epoch, timer_id))
            case Sign(kind, view, header_hash):
                host.signed.append((epoch, kind, view))
                self.check_exclusions(host, epoch, kind, view, header_hash)
                index = self.members(host, epoch).find(network_key(host.number))
                assert index is not None, "an observer was asked to sign"
                signature = fake_sign(host.number, vote_digest(DOMAIN, kind, epoch, view, header_hash))
                self.answer(host, epoch, Signed(Vote(kind, epoch, view, header_hash, index, signature)))
            case Aggregate(token, kind, view, header_hash, votes):
                digest = vote_digest(DOMAIN, kind, epoch, view, header_hash)
                bitmap, bad = self.combine(self.members(host, epoch), votes, digest)
                formed = Certificate(kind, epoch, view, header_hash, bitmap, fake_aggregate(bitmap, digest))
                self.answer(host, epoch, Aggregated(token, None if bad else formed, bad))
            case VerifyCertificates(token, certificates):
                ok = all(self.is_genuine(certificate) for certificate in certificates)
                self.answer(host, epoch, CertificatesVerified(token, ok))
            case _:
                self.perform_work(host, epoch, effect)

    def perform_work(self, host: Host, epoch: int, effect: Any) -> None:
        match effect:
            case Build(view, parent_hash, parent_header):
                payload = view.to_bytes(8, "big")
                timestamp_ms = max(parent_header.timestamp_ms + 1, self.now_ms)
                commitment = execute(parent_header.commitment, payload)
                self.answer(host, epoch, Built(view, parent_hash, payload, timestamp_ms, commitment))
            case CheckPayload(block, parent):
                host.bodies[block.hash()] = parent
                self.answer(host, epoch, PayloadChecked(block.hash(), True))
            case Execute(block):
                parent = host.bodies[block.hash()]
                self.answer(host, epoch, Executed(block.hash(), execute(parent.commitment, block.payload)))
            case FetchBlock(block_hash, peers):
                for peer in peers:
                    target = int.from_bytes(self.members(host, epoch).members[peer].network_key, "big")
                    self.post(self.delay_ms, target, ("fetch", host.number, epoch, block_hash))
            case Finalized(block, certificate):
                self.deliver(host, block)
                host.head = certificate
            case Persist(record):
                host.durable.append(record)
            case FallenBehind():
                self.post(5 * self.delay_ms, host.number, ("sync", epoch))
            case _:
                self.perform_epoch(host, epoch, effect)

    def perform_epoch(self, host: Host, epoch: int, effect: Any) -> None:
        match effect:
            case VerifyApproval(token, approval):
                next_committee = host.holder.next_committee
                assert next_committee is not None
                digest = ready_digest(DOMAIN, approval.epoch, approval.committee_hash)
                ok = approval.signature == fake_aggregate(approval.bitmap, digest)
                self.answer(host, epoch, CertificatesVerified(token, ok))
            case SignReady(next_epoch, committee_hash, signer):
                signature = fake_sign(host.number, ready_digest(DOMAIN, next_epoch, committee_hash))
                self.answer(host, epoch, ReadySigned(Ready(next_epoch, committee_hash, signer, signature)))
            case AggregateReady(committee, readies):
                digest = ready_digest(DOMAIN, committee.epoch, committee.hash())
                bitmap, bad = self.combine(committee, readies, digest)
                formed = Approval(committee.epoch, committee.hash(), bitmap, fake_aggregate(bitmap, digest))
                self.answer(host, epoch, ReadyAggregated(committee.epoch, None if bad else formed, bad))
            case Announce(data):
                for number in self.numbers:
                    self.transmit(host, number, data)
            case Halt(reason):
                assert host.number == self.liar, f"node {host.number} halted: {reason}"
            case Diverged():
                assert host.number == self.liar, f"X2: node {host.number} diverged"
            case EpochSealed():
                host.seals.append(effect)
            case EpochBehind():
                self.post(50 * self.delay_ms, host.number, ("sync", epoch))
            case EpochOverdue(extensions):
                host.alarms.append(extensions)
            case EpochOpened(committee, root):
                assert committee.hash() == root.next_committee_hash
                assert host.chain[-1].header == root
            case _:
                pass

    def deliver(self, host: Host, block: Block) -> None:
        if host.chain:
            assert block.header.parent_hash == host.chain[-1].hash()
        host.chain.append(block)
        host.blocks[block.hash()] = block

    def check_exclusions(self, host: Host, epoch: int, kind: int, view: int, header_hash: bytes) -> None:
        """S8: whatever crashes, the host never signs what no honest member signs."""
        if host.number == self.liar:
            return
        said = [host.said.get((epoch, known, view), header_hash) for known in (NOTARIZE, FINALIZE)]
        if kind == NULLIFY:
            assert (epoch, FINALIZE, view) not in host.said
        else:
            assert (kind == NOTARIZE or (epoch, NULLIFY, view) not in host.said) and said == [header_hash] * 2
        host.said[epoch, kind, view] = header_hash

    def restart(self, number: int) -> None:
        """The host's part of starting again: what is durable decides the epoch (see consensus/epochs.py)."""
        host = self.hosts[number]
        committees = [self.committee, *self.next_committees]
        root = host.seals[-1].block.header if host.seals else GENESIS
        # By epoch, not by hash: the same members may follow themselves.
        committee = next(known for known in committees if known.epoch == len(host.seals) + 1)
        assert not host.seals or committee.hash() == root.next_committee_hash
        host.timers = {}
        host.holder = Instances(self.config, self.schedule, network_key(number), committee, root, tuple(host.durable))
        if host.chain and host.chain[-1].header != root and host.head is not None:
            synced = Synced(host.chain[-1], host.head)
            self.perform(host, host.holder.handle(self.now_ms, committee.epoch, synced))
        self.perform(host, host.holder.start(self.now_ms))
        if host.seals:
            seal = host.seals[-1]
            before = host.seals[-2].block.header if len(host.seals) > 1 else GENESIS
            old = committees[committees.index(committee) - 1]
            self.perform(
                host,
                host.holder.resume_previous(
                    self.now_ms, old, before, Synced(seal.block, seal.certificate, seal.trailing)
                ),
            )
        for known in self.next_committees:
            self.perform(host, host.holder.learn_committee(self.now_ms, known))
        for other in self.up():
            for epoch in (other.holder.current.epoch, other.holder.current.epoch - 1):
                members = other.holder.committee(epoch)
                index = None if members is None else members.find(network_key(number))
                if other is not host and index is not None:
                    self.perform(other, other.holder.handle(self.now_ms, epoch, PeerConnected(index)))

    def sync(self, host: Host, epoch: int) -> None:
        """Range sync from the longest chain, to the end of the own epoch at most."""
        peer = max(self.up(), key=lambda known: len(known.chain))
        if peer.number in self.cut or host.number in self.cut or epoch != host.holder.current.epoch:
            return
        run = [block for block in peer.chain[len(host.chain) :] if block.header.epoch == epoch]
        seal = next((known for known in peer.seals if known.block in run), None)
        certificate = peer.head if seal is None else seal.certificate
        if not run or certificate is None or (seal is None and run[-1] != peer.chain[-1]):
            return
        trailing = () if seal is None else seal.trailing
        assert split_at_seal((*run, *trailing), epoch) == ((*run,), trailing)
        for block in run:
            self.deliver(host, block)
        host.head = certificate
        self.perform(host, host.holder.handle(self.now_ms, epoch, Synced(run[-1], certificate, trailing)))

    def members(self, host: Host, epoch: int) -> Committee:
        committee = host.holder.committee(epoch)
        assert committee is not None
        return committee

    def combine(self, committee: Committee, votes: Any, digest: bytes) -> tuple[bytes, tuple[int, ...]]:
        bad = []
        for vote in votes:
            number = int.from_bytes(committee.members[vote.signer].network_key, "big")
            if vote.signature != fake_sign(number, digest):
                bad.append(vote.signer)
        return make_bitmap([vote.signer for vote in votes], len(committee.members)), tuple(bad)

    def is_genuine(self, certificate: Certificate) -> bool:
        digest = vote_digest(DOMAIN, certificate.kind, certificate.epoch, certificate.view, certificate.header_hash)
        return certificate.signature == fake_aggregate(certificate.bitmap, digest)

    def send(self, host: Host, epoch: int, peer: int | None, data: bytes) -> None:
        committee = self.members(host, epoch)
        if peer is not None:
            self.transmit(host, int.from_bytes(committee.members[peer].network_key, "big"), data)
            return
        members = [int.from_bytes(member.network_key, "big") for member in committee.members]
        for number in self.numbers if self.is_observed else members:
            self.transmit(host, number, data)

    def transmit(self, host: Host, number: int, data: bytes) -> None:
        if number == host.number:
            return
        message = decode_message(data)
        self.sends[type(message).__name__] += 1
        for said in [message] if self.alter is None else self.alter(host, message):
            if host.number in self.cut or number in self.cut or self.is_lost(host.number, said):
                continue
            wait_ms = self.delay_ms if self.jitter is None else self.jitter.randint(1, 4 * self.delay_ms)
            self.post(wait_ms, number, ("data", host.number, encode_message(said)))
