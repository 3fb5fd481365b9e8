"""What a block carries into the engine: batches, price reports, inbox entries (docs/protocol.md, section 3).

Pure nouns with one canonical byte form. Signatures are opaque bytes here; the node checks them before a block is
voted for.
"""

from dataclasses import dataclass
from typing import Any

import cbor2
import sha3

from engine.commands import COUNT_OFFSET, split_messages

BATCH_MESSAGES_MAX = 256
BATCH_ACTIONS_MAX = 512
BATCH_BYTES_MAX = 64 * 1024
BATCH_REFS_MAX = 64
PRICE_REPORTS_MAX = 255
INBOX_ENTRIES_MAX = 50
MARKETS_MAX = 4096
FEEDS_MAX = 8192  # numbers of one price report
FEED_E8_MAX = 1 << 48  # 2.8 million USD, in 1e-8 USD
PRICE_TICKS_MAX = (1 << 22) - 1  # of a book: its directory of price levels grows with it
# Kinds of inbox entries; all but the first are forced actions (docs/protocol.md, section 4).
KIND_DEPOSIT, KIND_CANCEL, KIND_CLOSE, KIND_WITHDRAW, KIND_KEY = range(1, 6)
FORCED_KINDS = (KIND_CANCEL, KIND_CLOSE, KIND_WITHDRAW, KIND_KEY)


class DecodeError(ValueError):
    """Bytes that are no payload part; the sender's mistake."""


def keccak(data: bytes) -> bytes:
    """Keccak-256, Ethereum's hash."""
    digest: bytes = sha3.keccak_256(data).digest()
    return digest


@dataclass(frozen=True, slots=True)
class Batch:
    """Messages that one validator took from its clients, sealed once and sent to all others. `commands` is their
    concatenation.
    """

    author: int
    sequence: int
    commands: bytes
    signature: bytes

    def hash(self) -> bytes:
        return keccak(cbor2.dumps([self.author, self.sequence, self.commands], canonical=True))

    def encode(self) -> bytes:
        return cbor2.dumps([self.author, self.sequence, self.commands, self.signature], canonical=True)

    @classmethod
    def decode(cls, data: bytes) -> "Batch":
        batch = cls(*_fields(_loads(data), int, int, bytes, bytes))
        if len(batch.commands) > BATCH_BYTES_MAX:
            raise DecodeError("a batch has at most 64 KiB of messages")
        try:
            messages = split_messages(batch.commands)
        except ValueError as error:
            raise DecodeError(str(error)) from error
        action_count = sum(message[COUNT_OFFSET] for message in messages)
        if not 1 <= len(messages) <= BATCH_MESSAGES_MAX or action_count > BATCH_ACTIONS_MAX:
            raise DecodeError("a batch holds 1 to 256 messages with at most 512 actions")
        if not 0 <= batch.author < 255 or not 0 < batch.sequence < 1 << 63 or len(batch.signature) != 64:
            raise DecodeError("batch author, sequence or signature out of range")
        if batch.encode() != data:
            raise DecodeError("not the canonical encoding")
        return batch


def batch_signing_bytes(domain: bytes, batch_hash: bytes) -> bytes:
    """What the author's network key signs."""
    return b"hansa/batch/v1" + domain + batch_hash


@dataclass(frozen=True, slots=True)
class PriceReport:
    """One validator's view of all feeds at one moment, in 1e-8 USD; 0: no opinion (docs/spec.md, ORA-1)."""

    validator: int
    time_ms: int
    feeds_e8: tuple[int, ...]
    signature: bytes

    def signing_bytes(self, domain: bytes) -> bytes:
        body = cbor2.dumps([self.validator, self.time_ms, list(self.feeds_e8)], canonical=True)
        return b"hansa/price/v1" + domain + body

    def to_cbor(self) -> list[object]:
        return [self.validator, self.time_ms, list(self.feeds_e8), self.signature]

    @classmethod
    def from_cbor(cls, item: object) -> "PriceReport":
        validator, time_ms, prices, signature = _fields(item, int, int, list, bytes)
        if not 0 <= validator < 255 or not 0 <= time_ms < 1 << 63 or len(signature) != 64:
            raise DecodeError("price report out of range")
        if not 1 <= len(prices) <= FEEDS_MAX:
            raise DecodeError(f"a price report has 1 to {FEEDS_MAX} feeds")
        if any(type(price) is not int or not 0 <= price <= FEED_E8_MAX for price in prices):
            raise DecodeError("a price is out of range")
        return cls(validator, time_ms, tuple(prices), signature)

    def encode(self) -> bytes:
        return cbor2.dumps(self.to_cbor(), canonical=True)

    @classmethod
    def decode(cls, data: bytes) -> "PriceReport":
        report = cls.from_cbor(_loads(data))
        if report.encode() != data:
            raise DecodeError("not the canonical encoding")
        return report


@dataclass(frozen=True, slots=True)
class InboxEntry:
    """One entry of the settlement contract's inbox, exactly as the contract hashed it."""

    index: int
    kind: int
    token: bytes
    beneficiary: bytes
    subaccount: int
    sender: bytes
    amount: int
    data: bytes
    time_s: int

    def chain(self, previous_hash: bytes) -> bytes:
        """The inbox hash after this entry (docs/protocol.md, section 4)."""
        words = (
            self.index, self.kind, int.from_bytes(self.token, "big"), int.from_bytes(self.beneficiary, "big"),
            self.subaccount, int.from_bytes(self.sender, "big"), self.amount, int.from_bytes(self.data, "big"),
            self.time_s,
        )  # fmt: skip
        return keccak(previous_hash + b"".join(word.to_bytes(32, "big") for word in words))

    def to_cbor(self) -> list[object]:
        return [
            self.index, self.kind, self.token, self.beneficiary, self.subaccount, self.sender, self.amount, self.data,
            self.time_s,
        ]  # fmt: skip

    @classmethod
    def from_cbor(cls, item: object) -> "InboxEntry":
        entry = cls(*_fields(item, int, int, bytes, bytes, int, bytes, int, bytes, int))
        lengths = (len(entry.token), len(entry.beneficiary), len(entry.sender), len(entry.data))
        if lengths != (20, 20, 20, 32):
            raise DecodeError("inbox entry has a field of wrong length")
        numbers = (entry.index, entry.kind, entry.subaccount, entry.amount, entry.time_s)
        if any(not 0 <= number < 1 << 63 for number in numbers) or entry.subaccount >= 1 << 32:
            raise DecodeError("inbox entry out of range")
        return entry


@dataclass(frozen=True, slots=True)
class Payload:
    """The body of a block: batches by reference, price reports, inbox entries, the finalised settlement-chain block."""

    batch_refs: tuple[tuple[int, int, bytes], ...]
    price_reports: tuple[PriceReport, ...]
    inbox_entries: tuple[InboxEntry, ...]
    l1_block: int

    def encode(self) -> bytes:
        return cbor2.dumps(
            [
                [list(ref) for ref in self.batch_refs],
                [report.to_cbor() for report in self.price_reports],
                [entry.to_cbor() for entry in self.inbox_entries],
                self.l1_block,
            ],
            canonical=True,
        )

    @classmethod
    def decode(cls, data: bytes) -> "Payload":
        refs, reports, entries, l1_block = _fields(_loads(data), list, list, list, int)
        if len(refs) > BATCH_REFS_MAX or len(reports) > PRICE_REPORTS_MAX or len(entries) > INBOX_ENTRIES_MAX:
            raise DecodeError("payload over its limits")
        if not 0 <= l1_block < 1 << 63:
            raise DecodeError("l1_block out of range")
        batch_refs = []
        for ref in refs:
            author, sequence, batch_hash = _fields(ref, int, int, bytes)
            if not 0 <= author < 255 or not 0 < sequence < 1 << 63 or len(batch_hash) != 32:
                raise DecodeError("batch reference out of range")
            batch_refs.append((author, sequence, batch_hash))
        payload = cls(
            tuple(batch_refs),
            tuple(PriceReport.from_cbor(report) for report in reports),
            tuple(InboxEntry.from_cbor(entry) for entry in entries),
            l1_block,
        )
        if payload.encode() != data:
            raise DecodeError("not the canonical encoding")
        return payload


def _loads(data: bytes) -> object:
    try:
        return cbor2.loads(data)
    except Exception as error:  # cbor2 raises many kinds on hostile bytes; all mean the same here
        raise DecodeError("not CBOR") from error


def _fields(item: object, *types: type) -> list[Any]:
    """The items of a CBOR array after an exact type check (bool is no int here)."""
    if type(item) is not list or len(item) != len(types):
        raise DecodeError(f"expected an array of {len(types)}")
    for value, kind in zip(item, types):
        if type(value) is not kind:
            raise DecodeError(f"expected {kind.__name__}, got {type(value).__name__}")
    return item
