"""What a validator tells the other processes of its operator, over a Unix socket in its home: frames, bytes, limits.

A frame is its length (4 bytes, big endian) and a canonical CBOR array whose first item is the kind. A reader speaks
first (`Subscribe`), the node answers with `Hello` and with every event of the streams asked for, from then on. What was
before, the reader asks for in pieces (`HistoryRequest`, `SealRequest`); so does a reader that was dropped because it
lagged. Decoding is total: any bytes give a frame or `FeedError`.

Blocks, certificates, batches and seats travel as the bytes in which the node itself keeps them.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar, get_args

import cbor2

FEED_VERSION = 1
FEED_SOCKET = "feed.sock"
REQUEST_BYTES_MAX = 256
FRAME_BYTES_MAX = 8 * 1024 * 1024
HISTORY_BLOCKS_MAX = 16
HISTORY_BYTES_TARGET = 1024 * 1024
_LENGTH = struct.Struct(">I")

K = TypeVar("K")

# Streams, as bits of `Subscribe.streams`.
BLOCKS = 1  # every final block, in order of height
BODIES = 2  # with the batches that it names
BATCHES = 4  # what this node seals for its clients, before any block carries it
CHECKPOINTS = 8
STATUS = 16  # once a second
FACTS = 32  # what `net/feed/facts.py` describes, once a second and when commands begin or cease to be taken
STREAMS_ALL = BLOCKS | BODIES | BATCHES | CHECKPOINTS | STATUS | FACTS


class FeedError(ValueError):
    """Bytes that are no frame of the feed."""


@dataclass(frozen=True, slots=True)
class Subscribe:
    version: int
    streams: int


@dataclass(frozen=True, slots=True)
class HistoryRequest:
    """Final blocks from a height on, `limit` at most; answered by `HistoryPiece` with the same token."""

    token: int
    from_height: int
    limit: int
    has_bodies: bool


@dataclass(frozen=True, slots=True)
class SealRequest:
    """Who is the committee of an epoch, and what proves it; answered by `SealAnswer`."""

    token: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Hello:
    """`number` is that of the member's registration; `head_height` that of its last final block."""

    version: int
    network_id: bytes
    domain: bytes
    number: int
    head_height: int


@dataclass(frozen=True, slots=True)
class FinalEvent:
    """A final block. `is_direct`: the certificate is the block's own, otherwise that of a descendant. `bodies` are its
    batches in the order of the block, empty unless asked for.
    """

    height: int
    epoch: int
    block: bytes
    certificate: bytes
    is_direct: bool
    bodies: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class BatchEvent:
    batch: bytes


@dataclass(frozen=True, slots=True)
class CheckpointEvent:
    """The settlement contract's last checkpoint, final as of the settlement chain's block `chain_block`, in the words
    of the member `number`, signed with its network key.
    """

    number: int
    height: int
    header_hash: bytes
    chain_block: int
    signature: bytes


@dataclass(frozen=True, slots=True)
class StatusEvent:
    height: int
    epoch: int
    view: int
    peer_count: int
    time_ms: int
    is_syncing: bool


@dataclass(frozen=True, slots=True)
class FactsEvent:
    facts: bytes


@dataclass(frozen=True, slots=True)
class CommitteeEvent:
    """A committee that has begun; comes before the first block of its epoch."""

    seats: bytes


@dataclass(frozen=True, slots=True)
class HistoryPiece:
    """`finals` are consecutive, from the height asked for; none when the node has no such block."""

    token: int
    finals: tuple[FinalEvent, ...]


@dataclass(frozen=True, slots=True)
class SealAnswer:
    """The committee of an epoch; for all but the first the headers from the block that ended the epoch before, which
    names the committee's hash, to the one that `certificate` finalises. Empty seats: the node does not know.
    """

    token: int
    seats: bytes
    headers: tuple[bytes, ...]
    certificate: bytes


FeedRequest = Subscribe | HistoryRequest | SealRequest
FeedAnswer = (
    Hello
    | FinalEvent
    | BatchEvent
    | CheckpointEvent
    | StatusEvent
    | FactsEvent
    | CommitteeEvent
    | HistoryPiece
    | SealAnswer
)
FeedFrame = FeedRequest | FeedAnswer
_KINDS: dict[int, Any] = {
    1: Subscribe, 2: HistoryRequest, 3: SealRequest, 16: Hello, 17: FinalEvent, 18: BatchEvent, 19: CheckpointEvent,
    20: StatusEvent, 21: CommitteeEvent, 22: HistoryPiece, 23: SealAnswer, 24: FactsEvent,
}  # fmt: skip
_CODES: dict[type, int] = {kind: code for code, kind in _KINDS.items()}
_FIELD_TYPES = {kind: [item.type for item in fields(kind)] for kind in _CODES}
_FIELD_NAMES = {kind: [item.name for item in fields(kind)] for kind in _CODES}


def encode_feed(frame: FeedFrame) -> bytes:
    """Length and body."""
    return pack_frame(type(frame).__name__, [_CODES[type(frame)], *_to_plain(frame)], FRAME_BYTES_MAX)


def decode_feed(body: bytes) -> FeedFrame:
    """Inverse of `encode_feed` without the length. Raises `FeedError` and nothing else."""
    kind, values = open_frame(body, _KINDS, "this feed")
    frame: FeedFrame = _build(kind, values)
    check_canonical(encode_feed(frame), body)
    return frame


def pack_frame(name: str, item: list[Any], bytes_max: int) -> bytes:
    """Length and canonical CBOR; the first of `item` is the kind's number. Raises `FeedError` above `bytes_max`."""
    body = cbor2.dumps(item, canonical=True)
    if len(body) > bytes_max:
        raise FeedError(f"{name} of {len(body)} bytes is over the limit")
    return _LENGTH.pack(len(body)) + body


def open_frame(body: bytes, kinds: Mapping[int, K], whose: str) -> tuple[K, list[Any]]:
    """The kind that the first item names, and the other items, unchecked. Raises `FeedError` and nothing else."""
    try:
        item = cbor2.loads(body)
    except Exception as error:  # cbor2 raises many kinds on hostile bytes; all mean the same here
        raise FeedError("not CBOR") from error
    if type(item) is not list or not item or type(item[0]) is not int or item[0] not in kinds:
        raise FeedError(f"no frame of {whose}")
    return kinds[item[0]], item[1:]


def check_canonical(encoded: bytes, body: bytes) -> None:
    """One frame, one encoding. Raises `FeedError`."""
    if encoded[_LENGTH.size :] != body:
        raise FeedError("not the canonical encoding")


class FeedSplitter:
    """Cuts a byte stream into frame bodies, none longer than `size_bytes_max`."""

    def __init__(self, size_bytes_max: int) -> None:
        self._size_bytes_max = size_bytes_max
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The bodies that `data` completes. Raises `FeedError` at a length over the limit."""
        self._buffer += data
        bodies, at = [], 0
        while len(self._buffer) - at >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer, at)
            if length > self._size_bytes_max:
                raise FeedError(f"a frame announces {length} bytes, over the limit of {self._size_bytes_max}")
            end = at + _LENGTH.size + length
            if len(self._buffer) < end:
                break
            bodies.append(bytes(self._buffer[at + _LENGTH.size : end]))
            at = end
        if at:
            del self._buffer[:at]
        return bodies


def _to_plain(frame: Any) -> list[Any]:
    """The fields in their order. Not `astuple`, which copies every value."""
    plain: list[Any] = []
    for name in _FIELD_NAMES[type(frame)]:
        value = getattr(frame, name)
        if type(value) is tuple:
            value = [_to_plain(item) if type(item) is FinalEvent else item for item in value]
        plain.append(value)
    return plain


def _build(kind: Any, values: list[Any]) -> Any:
    wanted = _FIELD_TYPES[kind]
    if len(values) != len(wanted):
        raise FeedError(f"{kind.__name__} has {len(wanted)} fields, not {len(values)}")
    return kind(*(_check(value, expected, kind) for value, expected in zip(values, wanted)))


def _check(value: Any, expected: Any, kind: Any) -> Any:
    """The value after an exact type check (bool is no int here); numbers are those of 64 bits."""
    members = get_args(expected)
    if members:
        if type(value) is not list:
            raise FeedError(f"{kind.__name__}: expected a list")
        return tuple(_check(entry, members[0], kind) for entry in value)
    if isinstance(expected, type) and expected not in (int, bool, bytes):
        if type(value) is not list:
            raise FeedError(f"{kind.__name__}: expected a list")
        return _build(expected, value)
    if type(value) is not expected or (expected is int and not 0 <= value < 1 << 64):
        raise FeedError(f"{kind.__name__}: expected {expected.__name__}")
    return value
