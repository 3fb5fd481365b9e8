"""Frames on a link between two validators: `u32 BE body length ‖ u8 type ‖ body`. Pure: bytes in, values out.

Every type has its own limit, enforced from the header alone, before one byte of the body is kept. Every decoder is
total: any body gives a frame or `WireError`, and what it accepts re-encodes to the same bytes.
"""

import struct
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import cbor2

from consensus.messages import (
    Block,
    Certificate,
    DecodeError,
    Evidence,
    Message,
    Proposal,
    Ready,
    Vote,
    decode_message,
    encode_message,
    keccak,
)
from engine.payload import Batch, PriceReport
from engine.payload import DecodeError as PayloadDecodeError

PROTOCOL_VERSION = 2
HEADER = struct.Struct(">IB")
HEADER_BYTES = HEADER.size
HASH_BYTES = 32
RANGE_BLOCKS_MAX = 256
RANGE_BATCHES_MAX = 64
# What a node should aim at when it fills a RangeResponse: votes wait behind it, so well below the limit.
RANGE_RESPONSE_BYTES_TARGET = 512 * 1024
SNAPSHOT_CHUNK_BYTES = 1 << 20
SNAPSHOT_CHUNKS_MAX = 4096


class WireError(ValueError):
    """A peer sent bytes that are no frame; the peer's mistake, never ours."""


class FrameType(IntEnum):
    """The type byte. Gaps separate the groups: link, agreement, orders, catching up."""

    HELLO = 0x01
    PING = 0x02
    PONG = 0x03
    VOTE = 0x10
    CERTIFICATE = 0x11
    PROPOSAL = 0x12
    BLOCK = 0x13
    EVIDENCE = 0x14
    READY = 0x15
    BATCH = 0x20
    PRICE = 0x21
    BLOCK_REQUEST = 0x30
    BATCH_REQUEST = 0x31
    RANGE_REQUEST = 0x32
    RANGE_RESPONSE = 0x33
    NOT_FOUND = 0x34
    SNAPSHOT_REQUEST = 0x35
    SNAPSHOT_OFFER = 0x36
    CHUNK_REQUEST = 0x37
    CHUNK = 0x38


# A full batch has 64 KiB of messages, a full price report (62 markets) 0.7 KB, a proposal with the largest payload
# and 64 nullifications 149 KB; a range response holds at least one block with all its batches (4.2 MB).
BODY_BYTES_MAX: dict[FrameType, int] = {
    FrameType.HELLO: 128,
    FrameType.PING: 32,
    FrameType.PONG: 16,
    FrameType.VOTE: 512,
    FrameType.CERTIFICATE: 512,
    FrameType.PROPOSAL: 256 * 1024,
    FrameType.BLOCK: 160 * 1024,
    FrameType.EVIDENCE: 2 * 1024,
    FrameType.READY: 512,
    FrameType.BATCH: 65 * 1024,
    FrameType.PRICE: 1024,
    FrameType.BLOCK_REQUEST: 32,
    FrameType.BATCH_REQUEST: 64,
    FrameType.RANGE_REQUEST: 16,
    FrameType.RANGE_RESPONSE: 8 * 1024 * 1024,
    FrameType.NOT_FOUND: 33,
    FrameType.SNAPSHOT_REQUEST: 8,
    FrameType.SNAPSHOT_OFFER: 512 * 1024,
    FrameType.CHUNK_REQUEST: 36,
    FrameType.CHUNK: 36 + SNAPSHOT_CHUNK_BYTES,
}


class Priority(IntEnum):
    """Order in which a link's writer empties its queue."""

    AGREEMENT = 0
    ORDERS = 1
    SYNC = 2


@dataclass(frozen=True, slots=True)
class Hello:
    """First frame of both sides: who speaks, for which network, and how far it has come."""

    network_id: bytes
    protocol_version: int
    index: int
    height: int
    view: int
    engine_digest: bytes


@dataclass(frozen=True, slots=True)
class Ping:
    """Sign of life; `token` comes back in the pong, height and view tell a lagging peer that it lags."""

    token: int
    height: int
    view: int


@dataclass(frozen=True, slots=True)
class Pong:
    """Echo of a ping's token."""

    token: int


@dataclass(frozen=True, slots=True)
class Consensus:
    """A vote, certificate, proposal, block, evidence or readiness; each has its own type byte, hence its own limit.
    `encoded`: its canonical bytes, where they are at hand.
    """

    message: Message
    encoded: bytes = field(default=b"", compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Spoken:
    """What arrives as `Consensus`, from a sender that has its canonical bytes and trusts them."""

    encoded: bytes


@dataclass(frozen=True, slots=True)
class BatchFrame:
    """A sealed batch of commands, pushed by its author or sent in answer to a `BatchRequest`."""

    batch: Batch


@dataclass(frozen=True, slots=True)
class PriceFrame:
    """One validator's view of the index prices."""

    report: PriceReport


@dataclass(frozen=True, slots=True)
class BlockRequest:
    """Answered by `Consensus(Block)` or `NotFound`."""

    block_hash: bytes


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """Answered by `BatchFrame` or `NotFound`."""

    author: int
    sequence: int
    batch_hash: bytes


@dataclass(frozen=True, slots=True)
class RangeRequest:
    """At most `limit` finalised blocks from `from_height` on; answered by a `RangeResponse`, be it empty."""

    from_height: int
    limit: int


@dataclass(frozen=True, slots=True)
class RangeBlock:
    """A finalised block with every batch its payload refers to."""

    block: Block
    batches: tuple[Batch, ...]


@dataclass(frozen=True, slots=True)
class RangeResponse:
    """Consecutive finalised blocks and the finalisation certificate of the last one, which finalises them all."""

    blocks: tuple[RangeBlock, ...]
    certificate: Certificate | None


@dataclass(frozen=True, slots=True)
class NotFound:
    """The peer has no block or batch of that hash; `request` is the type of the request it answers."""

    request: FrameType
    key: bytes


@dataclass(frozen=True, slots=True)
class SnapshotRequest:
    """For the newest snapshot of a height above this one; answered by a `SnapshotOffer` or `NotFound` with no key."""

    above_height: int


@dataclass(frozen=True, slots=True)
class EpochRoot:
    """The block that an epoch begins with: the sealing one of the epoch before, and what proves it (EP5)."""

    block: Block
    certificate: Certificate
    trailing: tuple[Block, ...] = ()

    def to_cbor(self) -> list[object]:
        return [self.certificate.to_cbor(), *(block.to_cbor() for block in (self.block, *self.trailing))]


@dataclass(frozen=True, slots=True)
class SnapshotOffer:
    """A snapshot of the state after a directly finalised block: its size and the Keccak-256 of every chunk, all of
    `SNAPSHOT_CHUNK_BYTES` but the last. After the first epoch, with the root of the block's own.
    """

    block: Block
    certificate: Certificate
    size_bytes: int
    chunk_hashes: tuple[bytes, ...]
    root: EpochRoot | None = None

    def name(self) -> bytes:
        """32 bytes that name these very bytes of this very block's state."""
        head = self.block.hash() + self.size_bytes.to_bytes(8, "big")
        return keccak(b"hansa/snapshot/offer/v1" + head + b"".join(self.chunk_hashes))


@dataclass(frozen=True, slots=True)
class ChunkRequest:
    """Answered by a `Chunk` or `NotFound`."""

    name: bytes
    index: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """Part of the snapshot of that name."""

    name: bytes
    index: int
    data: bytes


Frame = (
    Hello
    | Ping
    | Pong
    | Consensus
    | Spoken
    | BatchFrame
    | PriceFrame
    | BlockRequest
    | BatchRequest
    | RangeRequest
    | RangeResponse
    | NotFound
    | SnapshotRequest
    | SnapshotOffer
    | ChunkRequest
    | Chunk
)

_HELLO = struct.Struct(">32sHBQQ32s")
_PING = struct.Struct(">QQQ")
_PONG = struct.Struct(">Q")
_BATCH_REQUEST = struct.Struct(">BQ32s")
_RANGE_REQUEST = struct.Struct(">QI")
_NOT_FOUND = struct.Struct(">B32s")
_SNAPSHOT_REQUEST = struct.Struct(">Q")
_CHUNK_REQUEST = struct.Struct(">32sI")
_MESSAGE_TYPES: dict[type, FrameType] = {
    Vote: FrameType.VOTE,
    Certificate: FrameType.CERTIFICATE,
    Proposal: FrameType.PROPOSAL,
    Block: FrameType.BLOCK,
    Evidence: FrameType.EVIDENCE,
    Ready: FrameType.READY,
}
# The tag of a message of agreement is the second byte of its encoding.
_TAG_TYPES: dict[int, FrameType] = {
    1: FrameType.VOTE,
    2: FrameType.CERTIFICATE,
    3: FrameType.PROPOSAL,
    4: FrameType.BLOCK,
    5: FrameType.EVIDENCE,
    6: FrameType.READY,
}
_MESSAGE_KINDS = frozenset(_MESSAGE_TYPES.values())
_PRIORITIES: dict[FrameType, Priority] = {
    FrameType.BATCH: Priority.ORDERS,
    FrameType.PRICE: Priority.ORDERS,
    FrameType.BLOCK: Priority.SYNC,
    FrameType.RANGE_RESPONSE: Priority.SYNC,
    FrameType.SNAPSHOT_OFFER: Priority.SYNC,
    FrameType.CHUNK: Priority.SYNC,
}


def priority_of(kind: FrameType) -> Priority:
    """Votes, certificates, proposals and all small requests first, orders next, answers to those who lag last."""
    return _PRIORITIES.get(kind, Priority.AGREEMENT)


def frame_type(frame: Frame) -> FrameType:
    """The type byte under which a frame travels."""
    match frame:
        case Consensus(message):
            return _MESSAGE_TYPES[type(message)]
        case Spoken(encoded):
            return _TAG_TYPES[encoded[1]]
        case BatchFrame():
            return FrameType.BATCH
        case PriceFrame():
            return FrameType.PRICE
        case Hello():
            return FrameType.HELLO
        case Ping():
            return FrameType.PING
        case Pong():
            return FrameType.PONG
        case BlockRequest():
            return FrameType.BLOCK_REQUEST
        case BatchRequest():
            return FrameType.BATCH_REQUEST
        case RangeRequest():
            return FrameType.RANGE_REQUEST
        case RangeResponse():
            return FrameType.RANGE_RESPONSE
        case NotFound():
            return FrameType.NOT_FOUND
        case SnapshotRequest():
            return FrameType.SNAPSHOT_REQUEST
        case SnapshotOffer():
            return FrameType.SNAPSHOT_OFFER
        case ChunkRequest():
            return FrameType.CHUNK_REQUEST
        case Chunk():
            return FrameType.CHUNK


def encode_frame(frame: Frame) -> bytes:
    """Header and body. Raises `WireError` when the frame would exceed its limit or a field its range."""
    try:
        body = _encode_body(frame)
    except (struct.error, OverflowError) as error:
        raise WireError(f"{type(frame).__name__} has a field out of range") from error
    kind = frame_type(frame)
    if len(body) > BODY_BYTES_MAX[kind]:
        raise WireError(f"{kind.name} of {len(body)} bytes is over its limit")
    return HEADER.pack(len(body), kind) + body


def decode_frame(kind: FrameType, body: bytes) -> Frame:
    """Inverse of `encode_frame` without the header. Raises `WireError` and nothing else."""
    if len(body) > BODY_BYTES_MAX[kind]:
        raise WireError(f"{kind.name} of {len(body)} bytes is over its limit")
    try:
        return _decode_body(kind, body)
    except (struct.error, DecodeError, PayloadDecodeError, ValueError, OverflowError) as error:
        raise WireError(f"bad {kind.name}: {error}") from error


def _encode_body(frame: Frame) -> bytes:
    match frame:
        case Consensus(message, encoded):
            return encoded or encode_message(message)
        case Spoken(encoded):
            return encoded
        case BatchFrame(batch):
            return batch.encode()
        case PriceFrame(report):
            return report.encode()
        case Hello():
            _check_length(frame.network_id, frame.engine_digest)
            return _HELLO.pack(
                frame.network_id, frame.protocol_version, frame.index, frame.height, frame.view, frame.engine_digest
            )
        case Ping(token, height, view):
            return _PING.pack(token, height, view)
        case Pong(token):
            return _PONG.pack(token)
        case BlockRequest(block_hash):
            _check_length(block_hash)
            return block_hash
        case BatchRequest(author, sequence, batch_hash):
            _check_length(batch_hash)
            return _BATCH_REQUEST.pack(author, sequence, batch_hash)
        case RangeRequest(from_height, limit):
            return _RANGE_REQUEST.pack(from_height, limit)
        case RangeResponse():
            return _encode_range(frame)
        case NotFound(request, key):
            _check_length(key)
            return _NOT_FOUND.pack(request, key)
        case _:
            return _encode_snapshot_frame(frame)


def _encode_snapshot_frame(frame: SnapshotRequest | SnapshotOffer | ChunkRequest | Chunk) -> bytes:
    match frame:
        case SnapshotRequest(above_height):
            return _SNAPSHOT_REQUEST.pack(above_height)
        case SnapshotOffer(block, certificate, size_bytes, chunk_hashes, root):
            item = [block.to_cbor(), certificate.to_cbor(), size_bytes, b"".join(chunk_hashes)]
            return cbor2.dumps(item if root is None else [*item, root.to_cbor()], canonical=True)
        case ChunkRequest(name, index):
            _check_length(name)
            return _CHUNK_REQUEST.pack(name, index)
        case Chunk(name, index, data):
            _check_length(name)
            return _CHUNK_REQUEST.pack(name, index) + data


def _decode_body(kind: FrameType, body: bytes) -> Frame:
    if kind in _MESSAGE_KINDS:
        message = decode_message(body)
        if _MESSAGE_TYPES[type(message)] is not kind:
            raise WireError("another message than the type byte says")
        return Consensus(message, body)
    match kind:
        case FrameType.BATCH:
            return BatchFrame(Batch.decode(body))
        case FrameType.PRICE:
            return PriceFrame(PriceReport.decode(body))
        case FrameType.HELLO:
            return Hello(*_HELLO.unpack(body))
        case FrameType.PING:
            return Ping(*_PING.unpack(body))
        case FrameType.PONG:
            return Pong(*_PONG.unpack(body))
        case FrameType.BLOCK_REQUEST:
            _check_length(body)
            return BlockRequest(body)
        case FrameType.BATCH_REQUEST:
            return BatchRequest(*_BATCH_REQUEST.unpack(body))
        case FrameType.RANGE_REQUEST:
            request = RangeRequest(*_RANGE_REQUEST.unpack(body))
            if request.from_height >= 1 << 63:
                raise WireError("no chain is that high")
            return request
        case FrameType.RANGE_RESPONSE:
            return _decode_range(body)
        case FrameType.NOT_FOUND:
            request, key = _NOT_FOUND.unpack(body)
            return NotFound(FrameType(request), key)
        case _:
            return _decode_snapshot_frame(kind, body)


def _decode_snapshot_frame(kind: FrameType, body: bytes) -> Frame:
    match kind:
        case FrameType.SNAPSHOT_REQUEST:
            return SnapshotRequest(*_SNAPSHOT_REQUEST.unpack(body))
        case FrameType.SNAPSHOT_OFFER:
            return _decode_offer(body)
        case FrameType.CHUNK_REQUEST:
            return ChunkRequest(*_CHUNK_REQUEST.unpack(body))
        case _:
            name, index = _CHUNK_REQUEST.unpack_from(body)
            return Chunk(name, index, body[_CHUNK_REQUEST.size :])


def _decode_offer(body: bytes) -> SnapshotOffer:
    item = _load(body)
    if type(item) is not list or len(item) not in (4, 5):
        raise WireError("an offer has four parts, and perhaps the root of its epoch")
    block, certificate, size_bytes, hashes = item[:4]
    if type(size_bytes) is not int or not 0 < size_bytes <= SNAPSHOT_CHUNKS_MAX * SNAPSHOT_CHUNK_BYTES:
        raise WireError("a snapshot of that size is none")
    chunk_count = -(-size_bytes // SNAPSHOT_CHUNK_BYTES)
    if type(hashes) is not bytes or len(hashes) != HASH_BYTES * chunk_count:
        raise WireError("one hash a chunk")
    chunk_hashes = tuple(hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES))
    root = _decode_root(item[4]) if len(item) == 5 else None
    offer = SnapshotOffer(Block.from_cbor(block), Certificate.from_cbor(certificate), size_bytes, chunk_hashes, root)
    if _encode_snapshot_frame(offer) != body:
        raise WireError("not the canonical encoding")
    return offer


def _decode_root(item: object) -> EpochRoot:
    if type(item) is not list or not 2 <= len(item) <= 1 + RANGE_BLOCKS_MAX:
        raise WireError("a root is a certificate and the blocks it covers")
    certificate, block, *trailing = item
    blocks = tuple(Block.from_cbor(entry) for entry in trailing)
    return EpochRoot(Block.from_cbor(block), Certificate.from_cbor(certificate), blocks)


def _load(body: bytes) -> object:
    try:
        return cbor2.loads(body)
    except Exception as error:  # cbor2 raises many kinds on hostile bytes; all mean the same here
        raise WireError("not CBOR") from error


def _encode_range(frame: RangeResponse) -> bytes:
    blocks = [[entry.block.to_cbor(), [batch.encode() for batch in entry.batches]] for entry in frame.blocks]
    certificate = None if frame.certificate is None else frame.certificate.to_cbor()
    return cbor2.dumps([blocks, certificate], canonical=True)


def _decode_range(body: bytes) -> RangeResponse:
    entries, certificate = _pair(_load(body))
    if type(entries) is not list or len(entries) > RANGE_BLOCKS_MAX or (certificate is None) != (not entries):
        raise WireError("blocks and certificate do not fit each other")
    blocks = []
    for entry in entries:
        block, batches = _pair(entry)
        if type(batches) is not list or len(batches) > RANGE_BATCHES_MAX:
            raise WireError("too many batches")
        if any(type(batch) is not bytes for batch in batches):
            raise WireError("a batch is a byte string")
        blocks.append(RangeBlock(Block.from_cbor(block), tuple(Batch.decode(batch) for batch in batches)))
    frame = RangeResponse(tuple(blocks), None if certificate is None else Certificate.from_cbor(certificate))
    if _encode_range(frame) != body:
        raise WireError("not the canonical encoding")
    return frame


def _pair(item: object) -> list[Any]:
    if type(item) is not list or len(item) != 2:
        raise WireError("expected a pair")
    return item


def _check_length(*values: bytes) -> None:
    if any(len(value) != HASH_BYTES for value in values):
        raise WireError(f"a hash has {HASH_BYTES} bytes")
