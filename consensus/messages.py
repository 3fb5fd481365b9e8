"""The nouns of agreement and their one canonical byte form (docs/protocol.md, sections 1-3).

Every decoder is total: any byte string gives a value or `DecodeError`, and what it accepts re-encodes to the same
bytes.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import cbor2
import sha3

HEADER_BYTES = 640
COMMITMENT_BYTES = 320
HASH_BYTES = 32
SIGNATURE_BYTES = 96
VERSION = 1
ZERO_HASH = bytes(HASH_BYTES)

# Vote kinds. Distinct first bytes in the digest stop the reuse of a signature across phases.
NOTARIZE = 1
NULLIFY = 2
FINALIZE = 3
KINDS = (NOTARIZE, NULLIFY, FINALIZE)
READY = 4  # no vote: what a member of the next committee says before its epoch begins

PAYLOAD_BYTES_MAX = 128 * 1024
DECODED_REMEMBERED = 64
ENCODED_REMEMBERED = 64
HASHES_REMEMBERED = 256
NULLIFICATIONS_MAX = 64
COMMITTEE_MAX = 255
_WORD_LIMIT = 1 << 256
_U64_LIMIT = 1 << 64
_U32_LIMIT = 1 << 32


# How the encoding of a nullification certificate begins: tag 2, an array of six, kind 2.
NULLIFICATION_HEAD = b"\x82\x02\x86\x02"


class DecodeError(ValueError):
    """A peer sent bytes that are no message; the peer's mistake, never ours."""


def keccak(data: bytes) -> bytes:
    """Keccak-256, Ethereum's hash."""
    digest: bytes = sha3.keccak_256(data).digest()
    return digest


def compute_domain(chain_id: int, contract: bytes) -> bytes:
    """What binds every signature to one chain and one settlement contract (20 bytes)."""
    return keccak(b"hansa/v1" + chain_id.to_bytes(32, "big") + contract)


def vote_digest(domain: bytes, kind: int, epoch: int, view: int, header_hash: bytes) -> bytes:
    """The 32 bytes a member signs; `header_hash` is ignored for nullify."""
    body = bytes([kind]) + domain + epoch.to_bytes(4, "big") + view.to_bytes(8, "big")
    return keccak(body if kind == NULLIFY else body + header_hash)


def ready_digest(domain: bytes, epoch: int, committee_hash: bytes) -> bytes:
    """The 32 bytes that a member of `epoch`'s committee signs once it could take part in that epoch."""
    return keccak(bytes([READY]) + domain + epoch.to_bytes(4, "big") + committee_hash)


def fault_bound(member_count: int) -> int:
    """f: how many of n members may be faulty."""
    return (member_count - 1) // 3


def quorum(total_weight: int) -> int:
    """q = floor(2W/3) + 1: what a certificate must weigh when the whole committee weighs W.

    With weight 1 each it is n - f with f = floor((n-1)/3), the formula of the settlement contract, for every n.
    """
    return 2 * total_weight // 3 + 1


class Commitment(NamedTuple):
    """Words 10-19 of the header: the engine's answer to a block. Agreement only ever compares its bytes."""

    oracle_root: bytes
    inbox_cursor: int
    inbox_hash: bytes
    l1_block: int
    state_root: bytes
    account_root: bytes
    account_sums: bytes
    withdrawals_root: bytes
    withdrawals_total_quote: int
    engine_version: int

    def encode(self) -> bytes:
        return b"".join(_word(value) for value in self)

    @classmethod
    def decode(cls, data: bytes) -> "Commitment":
        if len(data) != COMMITMENT_BYTES:
            raise DecodeError(f"a commitment has {COMMITMENT_BYTES} bytes, not {len(data)}")
        words = [data[at : at + 32] for at in range(0, COMMITMENT_BYTES, 32)]
        number = [int.from_bytes(word, "big") for word in words]
        return cls(
            words[0], number[1], words[2], number[3], words[4], words[5], words[6], words[7], number[8], number[9]
        )


class Header(NamedTuple):
    """20 words of 32 bytes, so that the contract recomputes `hash()` from calldata."""

    epoch: int
    view: int
    height: int
    parent_hash: bytes
    parent_view: int
    proposer: int
    timestamp_ms: int
    payload_root: bytes
    next_committee_hash: bytes
    commitment: bytes

    def encode(self) -> bytes:
        return _word(VERSION) + b"".join(_word(value) for value in self[:-1]) + self.commitment

    def hash(self) -> bytes:
        return _hash_header(self)

    @classmethod
    def decode(cls, data: bytes) -> "Header":
        if len(data) != HEADER_BYTES:
            raise DecodeError(f"a header has {HEADER_BYTES} bytes, not {len(data)}")
        words = [data[at : at + 32] for at in range(0, HEADER_BYTES, 32)]
        number = [int.from_bytes(word, "big") for word in words[:10]]
        if number[0] != VERSION:
            raise DecodeError(f"header version {number[0]} is not {VERSION}")
        if number[1] >= _U32_LIMIT or number[6] >= COMMITTEE_MAX:
            raise DecodeError("epoch or proposer out of range")
        if max(number[2], number[3], number[5], number[7]) >= _U64_LIMIT:
            raise DecodeError("view, height or time out of range")
        return cls(
            number[1], number[2], number[3], words[4], number[5], number[6], number[7], words[8], words[9],
            data[HEADER_BYTES - COMMITMENT_BYTES :],
        )  # fmt: skip


@lru_cache(HASHES_REMEMBERED)
def _hash_header(header: Header) -> bytes:
    """Remembered: a block is known by its hash wherever it goes, a dozen times on its way to finality."""
    return keccak(header.encode())


@dataclass(frozen=True, slots=True)
class Block:
    """A header and the opaque payload it commits to."""

    header: Header
    payload: bytes

    def hash(self) -> bytes:
        return self.header.hash()

    def to_cbor(self) -> list[object]:
        return [self.header.encode(), self.payload]

    @classmethod
    def from_cbor(cls, item: object) -> "Block":
        header, payload = _fields(item, bytes, bytes)
        if len(payload) > PAYLOAD_BYTES_MAX:
            raise DecodeError("payload too large")
        block = cls(Header.decode(header), payload)
        if keccak(payload) != block.header.payload_root:
            raise DecodeError("payload does not match the header's payload root")
        return block


@dataclass(frozen=True, slots=True)
class Vote:
    """One member's signature over one statement about one view."""

    kind: int
    epoch: int
    view: int
    header_hash: bytes
    signer: int
    signature: bytes

    def to_cbor(self) -> list[object]:
        return [self.kind, self.epoch, self.view, self.header_hash, self.signer, self.signature]

    @classmethod
    def from_cbor(cls, item: object) -> "Vote":
        vote = cls(*_fields(item, int, int, int, bytes, int, bytes))
        _check_statement(vote.kind, vote.epoch, vote.view, vote.header_hash, vote.signature)
        if not 0 <= vote.signer < COMMITTEE_MAX:
            raise DecodeError("signer out of range")
        return vote


@dataclass(frozen=True, slots=True)
class Certificate:
    """A quorum's aggregate signature over one statement."""

    kind: int
    epoch: int
    view: int
    header_hash: bytes
    bitmap: bytes
    signature: bytes

    def signers(self) -> list[int]:
        """Committee indices in ascending order."""
        return read_bitmap(self.bitmap)

    def to_cbor(self) -> list[object]:
        return [self.kind, self.epoch, self.view, self.header_hash, self.bitmap, self.signature]

    @classmethod
    def from_cbor(cls, item: object) -> "Certificate":
        certificate = cls(*_fields(item, int, int, int, bytes, bytes, bytes))
        _check_statement(
            certificate.kind, certificate.epoch, certificate.view, certificate.header_hash, certificate.signature
        )
        if not 1 <= len(certificate.bitmap) <= (COMMITTEE_MAX + 7) // 8:
            raise DecodeError("bitmap out of range")
        return certificate


def make_bitmap(signers: list[int], member_count: int) -> bytes:
    """Member i is bit `i % 8` of byte `i // 8`."""
    bitmap = bytearray((member_count + 7) // 8)
    for signer in signers:
        bitmap[signer // 8] |= 1 << (signer % 8)
    return bytes(bitmap)


def read_bitmap(bitmap: bytes) -> list[int]:
    """The members of a bitmap, ascending."""
    return [i for i in range(len(bitmap) * 8) if bitmap[i // 8] >> (i % 8) & 1]


@dataclass(frozen=True, slots=True)
class Ready:
    """A member of the committee of `epoch` could take part in that epoch, which has not begun."""

    epoch: int
    committee_hash: bytes
    signer: int
    signature: bytes

    def to_cbor(self) -> list[object]:
        return [self.epoch, self.committee_hash, self.signer, self.signature]

    @classmethod
    def from_cbor(cls, item: object) -> "Ready":
        ready = cls(*_fields(item, int, bytes, int, bytes))
        _check_readiness(ready.epoch, ready.committee_hash, ready.signature)
        if not 0 <= ready.signer < COMMITTEE_MAX:
            raise DecodeError("signer out of range")
        return ready


@dataclass(frozen=True, slots=True)
class Approval:
    """A quorum of the committee of `epoch` is ready: the epoch before may be sealed."""

    epoch: int
    committee_hash: bytes
    bitmap: bytes
    signature: bytes

    def signers(self) -> list[int]:
        """Indices in the committee of `epoch`, ascending."""
        return read_bitmap(self.bitmap)

    def to_cbor(self) -> list[object]:
        return [self.epoch, self.committee_hash, self.bitmap, self.signature]

    @classmethod
    def from_cbor(cls, item: object) -> "Approval":
        approval = cls(*_fields(item, int, bytes, bytes, bytes))
        _check_readiness(approval.epoch, approval.committee_hash, approval.signature)
        if not 1 <= len(approval.bitmap) <= (COMMITTEE_MAX + 7) // 8:
            raise DecodeError("bitmap out of range")
        return approval


@dataclass(frozen=True, slots=True)
class Proposal:
    """A leader's block with all that a voter needs to accept its place in the chain.

    The approval is there exactly when the block seals the epoch; without one the array has four items.
    """

    block: Block
    vote: Vote
    parent_certificate: Certificate | None
    nullifications: tuple[Certificate, ...]
    approval: Approval | None = None

    def to_cbor(self) -> list[object]:
        parent = self.parent_certificate
        return [
            self.block.to_cbor(),
            self.vote.to_cbor(),
            None if parent is None else parent.to_cbor(),
            [certificate.to_cbor() for certificate in self.nullifications],
            *([] if self.approval is None else [self.approval.to_cbor()]),
        ]

    @classmethod
    def from_cbor(cls, item: object) -> "Proposal":
        approval = item[4] if type(item) is list and len(item) == 5 else None
        rest = item[:4] if type(item) is list and approval is not None else item
        block, vote, parent, nullifications = _fields(rest, list, list, (list, type(None)), list)
        if len(nullifications) > NULLIFICATIONS_MAX:
            raise DecodeError("too many nullifications")
        return cls(
            Block.from_cbor(block),
            Vote.from_cbor(vote),
            None if parent is None else Certificate.from_cbor(parent),
            tuple(Certificate.from_cbor(entry) for entry in nullifications),
            None if approval is None else Approval.from_cbor(approval),
        )


@dataclass(frozen=True, slots=True)
class Evidence:
    """Two signed statements that no honest member makes both (R10), each with as many signers as it happens to have.

    The decoder orders them, so that one pair has one spelling. What they prove is judged by `consensus.evidence`.
    """

    first: Certificate
    second: Certificate
    headers: tuple[Header, ...] = ()  # of a double proposal: both, in the order of the statements

    def to_cbor(self) -> list[object]:
        statements = [
            [known.kind, known.view, known.header_hash, known.bitmap, known.signature]
            for known in (self.first, self.second)
        ]
        return [self.first.epoch, *statements, [header.encode() for header in self.headers]]

    @classmethod
    def from_cbor(cls, item: object) -> "Evidence":
        epoch, *statements, headers = _fields(item, int, list, list, list)
        pair = []
        for statement in statements:
            kind, view, header_hash, bitmap, signature = _fields(statement, int, int, bytes, bytes, bytes)
            pair.append(Certificate.from_cbor([kind, epoch, view, header_hash, bitmap, signature]))
        evidence = cls(pair[0], pair[1], tuple(Header.decode(header) for header in _all_bytes(headers)))
        if _order_key(pair[0]) >= _order_key(pair[1]):
            raise DecodeError("the statements are equal or out of order")
        if len(headers) not in (0, 2):
            raise DecodeError("evidence carries both headers or none")
        if any(header.hash() != known.header_hash for header, known in zip(evidence.headers, pair)):
            raise DecodeError("a header is not that of its statement")
        return evidence


def make_evidence(one: Certificate, two: Certificate, headers: tuple[Header, ...] = ()) -> Evidence:
    """Evidence of two statements of one epoch in the one order it is written in; `headers` in the order given."""
    if _order_key(one) <= _order_key(two):
        return Evidence(one, two, headers)
    return Evidence(two, one, headers[::-1])


def _order_key(statement: Certificate) -> tuple[int, int, bytes]:
    return statement.view, statement.kind, statement.header_hash


Message = Vote | Certificate | Proposal | Block | Evidence | Ready
_Kind = type[Vote] | type[Certificate] | type[Proposal] | type[Block] | type[Evidence] | type[Ready]
_TAGS: tuple[tuple[int, _Kind], ...] = (
    (1, Vote), (2, Certificate), (3, Proposal), (4, Block), (5, Evidence), (6, Ready),
)  # fmt: skip


def read_epoch(message: Message) -> int:
    """The epoch whose instance a message is for; of a `Ready`, the one it announces."""
    match message:
        case Proposal():
            return message.block.header.epoch
        case Block():
            return message.header.epoch
        case Evidence():
            return message.first.epoch
        case _:
            return message.epoch


@lru_cache(ENCODED_REMEMBERED)
def encode_message(message: Message) -> bytes:
    """Canonical bytes `[tag, message]`. Remembered: the same message goes to the journal, the store and each link."""
    for tag, kind in _TAGS:
        if type(message) is kind:
            return cbor2.dumps([tag, message.to_cbor()], canonical=True)
    raise TypeError(f"{type(message).__name__} is no consensus message")


@lru_cache(DECODED_REMEMBERED)
def decode_message(data: bytes) -> Message:
    """Inverse of `encode_message`; refuses every non-canonical spelling. Raises `DecodeError`.

    Remembered, because the same bytes are decoded by whoever looks at them: link, node and core.
    """
    try:
        item = cbor2.loads(data)
    except Exception as error:  # cbor2 raises many kinds on hostile bytes; all mean the same here
        raise DecodeError("not CBOR") from error
    tag, body = _fields(item, int, list)
    for known, kind in _TAGS:
        if tag == known:
            message = kind.from_cbor(body)
            if encode_message(message) != data:
                raise DecodeError("not the canonical encoding")
            return message
    raise DecodeError(f"unknown message tag {tag}")


def _check_statement(kind: int, epoch: int, view: int, header_hash: bytes, signature: bytes) -> None:
    if kind not in KINDS or not 0 <= epoch < _U32_LIMIT or not 0 < view < _U64_LIMIT:
        raise DecodeError("kind, epoch or view out of range")
    if len(header_hash) != HASH_BYTES or len(signature) != SIGNATURE_BYTES:
        raise DecodeError("hash or signature has a wrong length")
    if (kind == NULLIFY) != (header_hash == ZERO_HASH):
        raise DecodeError("a nullification names no block, any other vote names one")


def _check_readiness(epoch: int, committee_hash: bytes, signature: bytes) -> None:
    if not 0 < epoch < _U32_LIMIT:
        raise DecodeError("epoch out of range")
    if len(committee_hash) != HASH_BYTES or committee_hash == ZERO_HASH or len(signature) != SIGNATURE_BYTES:
        raise DecodeError("hash or signature has a wrong length")


def _fields(item: object, *types: type | tuple[type, ...]) -> list[Any]:
    """The items of a CBOR array after an exact type check (bool is no int here)."""
    if type(item) is not list or len(item) != len(types):
        raise DecodeError(f"expected an array of {len(types)}")
    for value, kind in zip(item, types):
        if type(value) is not kind and not (isinstance(kind, tuple) and type(value) in kind):
            raise DecodeError(f"expected {kind}, got {type(value).__name__}")
    return item


def _all_bytes(items: list[Any]) -> list[bytes]:
    if any(type(item) is not bytes for item in items):
        raise DecodeError("expected byte strings")
    return items


def _word(value: int | bytes) -> bytes:
    if isinstance(value, bytes):
        if len(value) != 32:
            raise ValueError("a word has 32 bytes")
        return value
    if not 0 <= value < _WORD_LIMIT:
        raise ValueError("integer does not fit a word")
    return value.to_bytes(32, "big")
