"""What a node and the process that holds its voting key say to each other over a Unix socket (`hansa signer`).

A frame is its length (4 bytes, big endian) and a canonical CBOR array whose first item is the kind, as on the feed
(`net/feed/protocol.py`); none is longer than `SIGNER_FRAME_BYTES_MAX`. The node speaks first (`Greeting`); the signer
answers with `Welcome`, or with `Farewell` and the end of the connection. Then each question has one `SignerAnswer` with
its token. Decoding is total: any bytes give a frame or `FeedError`.
"""

from dataclasses import dataclass, fields
from typing import Any

from net.feed.protocol import FeedError, check_canonical, open_frame, pack_frame

SIGNER_VERSION = 1
SIGNER_SOCKET = "signer.sock"
SIGNER_FRAME_BYTES_MAX = 512
TEXT_CHARS_MAX = 300
# Purposes of a connection: a signer votes for one node at a time, and proves its key's possession to whoever asks.
VOTING, PROVING = 1, 2
_INT_MAX = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Greeting:
    """`network_id`: the digest of the node's genesis.toml."""

    version: int
    network_id: bytes
    purpose: int


@dataclass(frozen=True, slots=True)
class Welcome:
    """The key, and the newest epoch and view that its guard knows of; view 0: none in that epoch."""

    version: int
    bls_key: bytes
    epoch: int
    view: int


@dataclass(frozen=True, slots=True)
class Farewell:
    """Why this connection is of no use, for people."""

    reason: str


@dataclass(frozen=True, slots=True)
class VoteRequest:
    """A vote's statement (docs/protocol.md, section 2)."""

    token: int
    epoch: int
    kind: int
    view: int
    header_hash: bytes


@dataclass(frozen=True, slots=True)
class ReadyRequest:
    """EP2: that this key will agree in the committee of an epoch."""

    token: int
    epoch: int
    committee_hash: bytes


@dataclass(frozen=True, slots=True)
class FloorRequest:
    """Never sign in this view of this epoch or below."""

    token: int
    epoch: int
    view: int


@dataclass(frozen=True, slots=True)
class ProofRequest:
    """That the key belongs to this operator and this node, for the registry at that address (20 bytes)."""

    token: int
    chain_id: int
    registry: bytes
    operator: bytes
    network_key: bytes


@dataclass(frozen=True, slots=True)
class SignerAnswer:
    """`reason` empty: it was done, and there is a signature where one was asked for."""

    token: int
    signature: bytes
    reason: str


SignerQuestion = VoteRequest | ReadyRequest | FloorRequest | ProofRequest
SignerFrame = Greeting | Welcome | Farewell | SignerQuestion | SignerAnswer
_KINDS: dict[int, Any] = {
    1: Greeting, 2: VoteRequest, 3: ReadyRequest, 4: FloorRequest, 5: ProofRequest,
    16: Welcome, 17: Farewell, 18: SignerAnswer,
}  # fmt: skip
_CODES: dict[type, int] = {kind: code for code, kind in _KINDS.items()}
_FIELDS = {kind: [(item.name, item.type) for item in fields(kind)] for kind in _CODES}
_LENGTHS: dict[str, tuple[int, ...]] = {
    "network_id": (32,), "bls_key": (48,), "header_hash": (32,), "committee_hash": (32,), "registry": (20,),
    "operator": (20,), "network_key": (32,), "signature": (0, 96),
}  # fmt: skip


def encode_signer(frame: SignerFrame) -> bytes:
    """Length and body."""
    values = [getattr(frame, name) for name, _ in _FIELDS[type(frame)]]
    return pack_frame(type(frame).__name__, [_CODES[type(frame)], *values], SIGNER_FRAME_BYTES_MAX)


def decode_signer(body: bytes) -> SignerFrame:
    """Inverse of `encode_signer` without the length. Raises `FeedError` and nothing else."""
    kind, values = open_frame(body, _KINDS, "a signer")
    wanted = _FIELDS[kind]
    if len(values) != len(wanted):
        raise FeedError(f"{kind.__name__} has {len(wanted)} fields, not {len(values)}")
    frame: SignerFrame = kind(*(_check(value, name, expected) for value, (name, expected) in zip(values, wanted)))
    check_canonical(encode_signer(frame), body)
    return frame


def _check(value: Any, name: str, expected: Any) -> Any:
    """The value after an exact type check (bool is no int here)."""
    if type(value) is not expected:
        raise FeedError(f"{name} is no {expected.__name__}")
    if expected is int and not 0 <= value <= _INT_MAX:
        raise FeedError(f"{name} is no number of 64 bits")
    if expected is bytes and len(value) not in _LENGTHS[name]:
        raise FeedError(f"{name} has {len(value)} bytes")
    if expected is str and len(value) > TEXT_CHARS_MAX:
        raise FeedError(f"{name} is too long")
    return value
