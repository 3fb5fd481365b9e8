"""What travels on the public topics and request streams: names, bytes, limits (docs/network.md, "Public network").

Every message proves itself: blocks by a certificate of the committee, batches and checkpoints by a member's network
key. Who passes it on does not matter. Decoding is total: any bytes give a message or `PublicError`; what is left to
check afterwards is signatures, for which one needs the committee.
"""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cbor2

from consensus.messages import (
    FINALIZE,
    HASH_BYTES,
    HEADER_BYTES,
    PAYLOAD_BYTES_MAX,
    ZERO_HASH,
    Certificate,
    Header,
    keccak,
)
from consensus.messages import DecodeError as MessageError
from engine.payload import BATCH_BYTES_MAX, Batch
from engine.payload import DecodeError as PayloadError

MESSAGE_BYTES_MAX = 512 * 1024
RUN_BLOCKS_MAX = 64
BUNDLE_BATCHES_MAX = 64
SEATS_BYTES_MAX = 64 * 1024
BLOCKS_PROTOCOL = "/hansa/blocks/1"
COMMITTEE_PROTOCOL = "/hansa/committee/1"
PEERS_PROTOCOL = "/hansa/peers/1"
REQUEST_BYTES_MAX = 64
ANSWER_BYTES_MAX = 4 * 1024 * 1024
PEERS_MAX = 32
_MANY = rb"(?:[\x81-\x97]|\x98[\x18-\x40])"  # the head of a CBOR array of 1 to 64
_LOOKS = {
    "blocks": re.compile(rb"\x82" + _MANY + rb"[\x82\x83]\x59" + re.escape(HEADER_BYTES.to_bytes(2, "big"))),
    "batches": re.compile(_MANY + rb"[\x40-\x5b]"),
    "checkpoints": re.compile(rb"\x85"),
}
NOTE_BYTES_MAX = 256


class PublicError(ValueError):
    """Bytes that are no message of the public network; the sender's mistake."""


@dataclass(frozen=True, slots=True)
class Topics:
    """The names of one network's topics."""

    blocks: str
    batches: str
    checkpoints: str

    @classmethod
    def of(cls, network_id: bytes) -> "Topics":
        name = network_id.hex()
        return cls(*(f"/hansa/{name}/{kind}/1" for kind in ("blocks", "batches", "checkpoints")))

    def all(self) -> tuple[str, str, str]:
        return self.blocks, self.batches, self.checkpoints

    def is_plausible(self, topic: str, data: bytes) -> bool:
        """Whether a topic's message may begin like this and be so long. It costs a microsecond, and most junk ends here
        before anybody checks a signature over all of it."""
        if topic == self.checkpoints:
            return len(data) <= NOTE_BYTES_MAX and _LOOKS["checkpoints"].match(data) is not None
        looks = _LOOKS["blocks" if topic == self.blocks else "batches"]
        return len(data) <= MESSAGE_BYTES_MAX and looks.match(data) is not None


@dataclass(frozen=True, slots=True)
class Item:
    """One block of a run. No payload: it was too large to travel along; ask for it. `bodies`: its batches, in answers
    to requests alone.
    """

    header: Header
    payload: bytes | None
    bodies: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive blocks of one epoch, each the parent of the next, and the certificate that finalises the last of
    them and so all.
    """

    items: tuple[Item, ...]
    certificate: Certificate

    @property
    def last(self) -> Header:
        return self.items[-1].header

    def final_items(self) -> tuple[Item, ...]:
        """The blocks of the chain: what follows a block that ends its epoch only carries the certificate."""
        for count, item in enumerate(self.items, start=1):
            if item.header.next_committee_hash != ZERO_HASH:
                return self.items[:count]
        return self.items


@dataclass(frozen=True, slots=True)
class CheckpointNote:
    """What the settlement contract holds, in the words of a member; see `net.feed.protocol.CheckpointEvent`."""

    number: int
    height: int
    header_hash: bytes
    chain_block: int
    signature: bytes


@dataclass(frozen=True, slots=True)
class CommitteeProof:
    """See `net.feed.protocol.SealAnswer`. Nothing of it is true before it is verified."""

    seats: bytes
    headers: tuple[Header, ...]
    certificate: Certificate | None


def encode_run(run: Run) -> bytes:
    """A gossip message, or an answer when items have bodies."""
    items = [[item.header.encode(), item.payload, *([list(item.bodies)] if item.bodies else [])] for item in run.items]
    return cbor2.dumps([items, run.certificate.to_cbor()], canonical=True)


def decode_run(data: bytes, size_bytes_max: int = MESSAGE_BYTES_MAX) -> Run:
    """A well-formed run. That the certificate is the committee's remains to be checked."""
    entries, certificate = _list(_load(data, size_bytes_max), 2)
    if type(entries) is not list or not 1 <= len(entries) <= RUN_BLOCKS_MAX:
        raise PublicError(f"a run has 1 to {RUN_BLOCKS_MAX} blocks")
    items = tuple(_decode_item(entry) for entry in entries)
    run = Run(items, _certificate(certificate))
    _check_links([item.header for item in items], run.certificate)
    if encode_run(run) != data:
        raise PublicError("not the canonical encoding")
    return run


def cut_run(items: Sequence[Item], certificate: Certificate) -> Run:
    """A run that fits into a gossip message: its largest payloads are left out, if need be."""
    kept = list(items)
    while sum(_size_bytes(item) for item in kept) + 1024 > MESSAGE_BYTES_MAX:
        largest = max(range(len(kept)), key=lambda index: _size_bytes(kept[index]))
        kept[largest] = Item(kept[largest].header, None)
    return Run(tuple(kept), certificate)


def _size_bytes(item: Item) -> int:
    return HEADER_BYTES + 16 + len(item.payload or b"")


def _decode_item(entry: object) -> Item:
    if type(entry) is not list or len(entry) not in (2, 3):
        raise PublicError("a block is its header, its payload and perhaps its batches")
    header, payload, bodies = _header(entry[0]), entry[1], entry[2] if len(entry) == 3 else []
    if payload is not None and (type(payload) is not bytes or len(payload) > PAYLOAD_BYTES_MAX):
        raise PublicError("a payload is a byte string of bounded size, or left out")
    if payload is not None and keccak(payload) != header.payload_root:
        raise PublicError("a payload does not match its header")
    if type(bodies) is not list or any(type(body) is not bytes for body in bodies):
        raise PublicError("batches are byte strings")
    return Item(header, payload, tuple(bodies))


def _check_links(headers: Sequence[Header], certificate: Certificate) -> None:
    for parent, child in itertools.pairwise(headers):
        if (child.height, child.epoch, child.parent_hash) != (parent.height + 1, parent.epoch, parent.hash()):
            raise PublicError("blocks of a run follow each other")
    last = headers[-1]
    if (certificate.kind, certificate.epoch, certificate.view) != (FINALIZE, last.epoch, last.view):
        raise PublicError("the certificate does not finalise the last block")
    if certificate.header_hash != last.hash():
        raise PublicError("the certificate is for another block")


# batches, checkpoints


def encode_bundle(batches: Sequence[bytes]) -> bytes:
    return cbor2.dumps(list(batches), canonical=True)


def decode_bundle(data: bytes) -> tuple[Batch, ...]:
    """Well-formed batches of clients' commands. Signatures remain to be checked."""
    entries = _load(data, MESSAGE_BYTES_MAX)
    if type(entries) is not list or not 1 <= len(entries) <= BUNDLE_BATCHES_MAX:
        raise PublicError(f"a bundle has 1 to {BUNDLE_BATCHES_MAX} batches")
    if any(type(entry) is not bytes or len(entry) > BATCH_BYTES_MAX + 1024 for entry in entries):
        raise PublicError("a batch is a byte string of bounded size")
    try:
        batches = tuple(Batch.decode(entry) for entry in entries)
    except PayloadError as error:
        raise PublicError(f"bad batch: {error}") from error
    if encode_bundle(entries) != data:
        raise PublicError("not the canonical encoding")
    return batches


def encode_checkpoint(note: CheckpointNote) -> bytes:
    item = [note.number, note.height, note.header_hash, note.chain_block, note.signature]
    return cbor2.dumps(item, canonical=True)


def decode_checkpoint(data: bytes) -> CheckpointNote:
    """A well-formed note. Its signature remains to be checked."""
    note = CheckpointNote(*_list(_load(data, NOTE_BYTES_MAX), 5))
    numbers = (note.number, note.height, note.chain_block)
    if any(type(value) is not int or not 0 <= value < 1 << 63 for value in numbers) or note.number >= 255:
        raise PublicError("a number is out of range")
    if type(note.header_hash) is not bytes or type(note.signature) is not bytes:
        raise PublicError("hash and signature are byte strings")
    if len(note.header_hash) != HASH_BYTES or len(note.signature) != 64 or encode_checkpoint(note) != data:
        raise PublicError("hash or signature has a wrong length")
    return note


# requests


def encode_request(*numbers: int) -> bytes:
    return cbor2.dumps(list(numbers), canonical=True)


def decode_request(data: bytes, count: int) -> list[int]:
    """So many numbers of 64 bits."""
    numbers = _list(_load(data, REQUEST_BYTES_MAX), count)
    if any(type(number) is not int or not 0 <= number < 1 << 63 for number in numbers):
        raise PublicError("a request holds numbers")
    return numbers


def encode_committee(proof: CommitteeProof) -> bytes:
    certificate = None if proof.certificate is None else proof.certificate.to_cbor()
    return cbor2.dumps([proof.seats, [header.encode() for header in proof.headers], certificate], canonical=True)


def decode_committee(data: bytes) -> CommitteeProof | None:
    """None when the peer does not know the epoch."""
    seats, headers, certificate = _list(_load(data, ANSWER_BYTES_MAX), 3)
    if type(seats) is not bytes or len(seats) > SEATS_BYTES_MAX or type(headers) is not list:
        raise PublicError("a committee is its seats, headers and a certificate")
    if len(headers) > RUN_BLOCKS_MAX:
        raise PublicError("too many headers")
    if not seats:
        return None
    proof = CommitteeProof(
        seats,
        tuple(_header(header) for header in headers),
        None if certificate is None else _certificate(certificate),
    )
    if proof.headers and proof.certificate is not None:
        _check_links(proof.headers, proof.certificate)
    return proof


def encode_peers(addresses: Sequence[str]) -> bytes:
    return cbor2.dumps(list(addresses)[:PEERS_MAX], canonical=True)


def decode_peers(data: bytes) -> list[str]:
    addresses = _load(data, 16 * 1024)
    if type(addresses) is not list or len(addresses) > PEERS_MAX or any(type(item) is not str for item in addresses):
        raise PublicError(f"at most {PEERS_MAX} addresses as text")
    return addresses


def _load(data: bytes, size_bytes_max: int) -> object:
    if len(data) > size_bytes_max:
        raise PublicError(f"{len(data)} bytes are over the limit of {size_bytes_max}")
    try:
        return cbor2.loads(data)
    except Exception as error:  # cbor2 raises many kinds on hostile bytes; all mean the same here
        raise PublicError("not CBOR") from error


def _list(item: object, count: int) -> list[Any]:
    if type(item) is not list or len(item) != count:
        raise PublicError(f"expected an array of {count}")
    return item


def _header(data: object) -> Header:
    if type(data) is not bytes:
        raise PublicError("a header is a byte string")
    try:
        return Header.decode(data)
    except MessageError as error:
        raise PublicError(f"bad header: {error}") from error


def _certificate(item: object) -> Certificate:
    try:
        return Certificate.from_cbor(item)
    except MessageError as error:
        raise PublicError(f"bad certificate: {error}") from error
