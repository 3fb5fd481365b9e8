"""Frames of every type with drawn contents: each decodes, and hardly one belongs where it arrives.

Views, heights and epochs are drawn near what a network is at, and now and then from the far end of their range, for
that is where a receiver's arithmetic has its corners.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from consensus import crypto
from consensus.messages import (
    KINDS,
    NULLIFY,
    ZERO_HASH,
    Approval,
    Block,
    Certificate,
    Evidence,
    Header,
    Proposal,
    Ready,
    Vote,
    keccak,
    make_evidence,
    ready_digest,
    vote_digest,
)
from engine.commands import CANCEL_ALL, Command
from engine.payload import Batch, PriceReport
from net.identity import NetworkSigner
from net.wire import (
    RANGE_BLOCKS_MAX,
    SNAPSHOT_CHUNK_BYTES,
    BatchFrame,
    BatchRequest,
    BlockRequest,
    Chunk,
    ChunkRequest,
    Consensus,
    EpochRoot,
    Frame,
    FrameType,
    Hello,
    NotFound,
    Ping,
    Pong,
    PriceFrame,
    RangeBlock,
    RangeRequest,
    RangeResponse,
    SnapshotOffer,
    SnapshotRequest,
)

FAR_SHARE = 0.1
U32_MAX = (1 << 32) - 1
I63_MAX = (1 << 63) - 1
U64_MAX = (1 << 64) - 1
FEED_E8_MAX = 1 << 48


@dataclass(frozen=True, slots=True)
class Traitor:
    """A member that signs whatever it is asked to. `me`: its number, and its seat in every epoch."""

    me: int
    bls_secret: bytes
    network_seed: bytes
    domain: bytes


@dataclass(slots=True)
class FrameSource:
    """Draws frames. `height`, `view` and `hashes` are what the network is at and has named; keep them current and the
    frames come closer to being believed. With a `traitor` half of what can be signed is, in its name.
    """

    draw: random.Random
    member_count: int = 4
    height: int = 1
    view: int = 1
    epoch: int = 1
    hashes: tuple[bytes, ...] = ()
    traitor: "Traitor | None" = None

    def frame(self, kind: FrameType) -> Frame:
        """One frame of that type."""
        return _MAKERS[kind](self)

    def any_frame(self, kinds: tuple[FrameType, ...] = tuple(FrameType)) -> Frame:
        """One frame of one of these types."""
        return self.frame(self.draw.choice(kinds))

    def number(self, near: int, spread: int, limit: int) -> int:
        """About `near`, seldom anything up to `limit`."""
        if self.draw.random() < FAR_SHARE:
            return self.draw.choice([0, 1, limit, self.draw.randint(0, limit)])
        return min(limit, max(0, near + self.draw.randint(-spread, spread)))

    def hash(self) -> bytes:
        """One that the network knows, or none."""
        if self.hashes and self.draw.random() < 0.5:
            return self.draw.choice(self.hashes)
        return self.draw.randbytes(32)

    def member(self) -> int:
        return self.draw.randint(0, 254) if self.draw.random() < FAR_SHARE else self.draw.randrange(self.member_count)

    def any_view(self) -> int:
        return max(1, self.number(self.view, 20, U64_MAX))

    def any_epoch(self) -> int:
        return self.number(self.epoch, 1, U32_MAX)

    def vote(self) -> Vote:
        kind, epoch, view = self.draw.choice(sorted(KINDS)), self.any_epoch(), self.any_view()
        header_hash = ZERO_HASH if kind == NULLIFY else self.hash()
        traitor = self._signer()
        if traitor is None:
            return Vote(kind, epoch, view, header_hash, self.member(), self.draw.randbytes(96))
        digest = vote_digest(traitor.domain, kind, epoch, view, header_hash)
        return Vote(kind, epoch, view, header_hash, traitor.me, crypto.sign(traitor.bls_secret, digest))

    def ready(self) -> Ready:
        epoch, committee_hash, traitor = max(2, self.any_epoch()), self.hash(), self._signer()
        if traitor is None:
            return Ready(epoch, committee_hash, self.member(), self.draw.randbytes(96))
        signature = crypto.sign(traitor.bls_secret, ready_digest(traitor.domain, epoch, committee_hash))
        return Ready(epoch, committee_hash, traitor.me, signature)

    def _signer(self) -> Traitor | None:
        return self.traitor if self.draw.random() < 0.5 else None

    def certificate(self) -> Certificate:
        vote = self.vote()
        bitmap = self.draw.randbytes(self.draw.choice([1, 1, 1, 2, 32]))
        return Certificate(vote.kind, vote.epoch, vote.view, vote.header_hash, bitmap, vote.signature)

    def block(self) -> Block:
        payload = self.draw.randbytes(self.draw.choice([0, 40, 4_000]))
        header = Header(
            self.any_epoch(), self.any_view(), self.number(self.height, 5, U64_MAX), self.hash(), self.any_view(),
            self.member(), self.number(1_700_000_000_000, 1 << 40, U64_MAX), keccak(payload),
            self.draw.choice([ZERO_HASH, self.hash()]), self.draw.randbytes(320),
        )  # fmt: skip
        return Block(header, payload)

    def proposal(self) -> Proposal:
        approval = Approval(max(2, self.any_epoch()), self.hash(), self.draw.randbytes(1), self.draw.randbytes(96))
        return Proposal(
            self.block(), self.vote(), self.draw.choice([None, self.certificate()]),
            tuple(self.certificate() for _ in range(self.draw.randrange(4))), self.draw.choice([None, None, approval]),
        )  # fmt: skip

    def evidence(self) -> Evidence:
        while True:
            first, second = self.certificate(), self.certificate()
            if (first.view, first.kind, first.header_hash) != (second.view, second.kind, second.header_hash):
                break
        second = Certificate(
            second.kind, first.epoch, second.view, second.header_hash, second.bitmap, second.signature
        )  # fmt: skip
        return make_evidence(first, second)

    def batch(self) -> Batch:
        message = Command.of(CANCEL_ALL, self.draw.randbytes(20), self.draw.randint(1, 1 << 40), 1).encode()
        sequence = max(1, self.number(1_700_000_000_000_000, 1 << 20, I63_MAX))
        commands, traitor = message * self.draw.randint(1, 4), self._signer()
        if traitor is None:
            return Batch(self.member(), sequence, commands, self.draw.randbytes(64))
        return NetworkSigner(traitor.network_seed, traitor.domain).sign_batch(traitor.me, sequence, commands)

    def report(self) -> PriceReport:
        feeds_e8 = tuple(self.draw.randint(0, FEED_E8_MAX) for _ in range(self.draw.choice([1, 6, 62])))
        time_ms = self.number(1_700_000_000_000, 1 << 30, I63_MAX)
        traitor = self._signer()
        if traitor is None:
            return PriceReport(self.member(), time_ms, feeds_e8, self.draw.randbytes(64))
        signer = NetworkSigner(traitor.network_seed, traitor.domain)
        return signer.sign_price_report(traitor.me, time_ms, feeds_e8)

    def blocks(self) -> RangeResponse:
        count = self.draw.randrange(4)
        blocks = tuple(
            RangeBlock(self.block(), tuple(self.batch() for _ in range(self.draw.randrange(3)))) for _ in range(count)
        )
        return RangeResponse(blocks, self.certificate() if blocks else None)

    def offer(self) -> SnapshotOffer:
        chunk_count = self.draw.choice([1, 2, 300])
        hashes = tuple(self.draw.randbytes(32) for _ in range(chunk_count))
        root = EpochRoot(self.block(), self.certificate(), (self.block(),))
        size_bytes = chunk_count * SNAPSHOT_CHUNK_BYTES - self.draw.randrange(SNAPSHOT_CHUNK_BYTES)
        return SnapshotOffer(self.block(), self.certificate(), size_bytes, hashes, self.draw.choice([None, root]))


_MAKERS: dict[FrameType, Callable[[FrameSource], Frame]] = {
    FrameType.HELLO: lambda s: Hello(s.hash(), 1, s.member(), s.height, s.view, s.hash()),
    FrameType.PING: lambda s: Ping(s.draw.getrandbits(64), s.number(s.height, 9, U64_MAX), s.any_view()),
    FrameType.PONG: lambda s: Pong(s.draw.getrandbits(64)),
    FrameType.VOTE: lambda s: Consensus(s.vote()),
    FrameType.CERTIFICATE: lambda s: Consensus(s.certificate()),
    FrameType.PROPOSAL: lambda s: Consensus(s.proposal()),
    FrameType.BLOCK: lambda s: Consensus(s.block()),
    FrameType.EVIDENCE: lambda s: Consensus(s.evidence()),
    FrameType.READY: lambda s: Consensus(s.ready()),
    FrameType.BATCH: lambda s: BatchFrame(s.batch()),
    FrameType.PRICE: lambda s: PriceFrame(s.report()),
    FrameType.BLOCK_REQUEST: lambda s: BlockRequest(s.hash()),
    FrameType.BATCH_REQUEST: lambda s: BatchRequest(s.member(), s.number(1, 9, U64_MAX), s.hash()),
    FrameType.RANGE_REQUEST: lambda s: RangeRequest(
        s.number(s.height, 300, I63_MAX), s.number(RANGE_BLOCKS_MAX, 9, U32_MAX)
    ),
    FrameType.RANGE_RESPONSE: lambda s: s.blocks(),
    FrameType.NOT_FOUND: lambda s: NotFound(s.draw.choice(list(FrameType)), s.hash()),
    FrameType.SNAPSHOT_REQUEST: lambda s: SnapshotRequest(s.number(s.height, 300, U64_MAX)),
    FrameType.SNAPSHOT_OFFER: lambda s: s.offer(),
    FrameType.CHUNK_REQUEST: lambda s: ChunkRequest(s.hash(), s.number(0, 3, U32_MAX)),
    FrameType.CHUNK: lambda s: Chunk(
        s.hash(), s.number(0, 3, U32_MAX), s.draw.randbytes(s.draw.choice([0, 100, 4_000]))
    ),
}
