"""Binary order entry: the frames on `/ws/orders`, one a WebSocket message, little-endian (docs/protocol.md, section 8).

A client sends messages by the hundred; the node answers each frame with one signature over what became of all of them,
and tells on request what blocks made of them. Everything is columns of fixed width, so that neither side works action
by action. Pure: bytes in, values out. Needs no compiler and no libp2p: the SDK uses it, too.
"""

import struct
from dataclasses import dataclass

import numpy as np
from nacl.exceptions import CryptoError
from nacl.signing import VerifyKey

from engine.commands import ACTION_BYTES, COUNT_OFFSET, HEADER_BYTES, keccak

FRAME_BYTES_MAX = 128 * 1024
FRAME_MESSAGES_MAX = 512
FLAG_OUTCOMES = 1  # from this frame on, tell what blocks make of this connection's messages
KIND_RECEIPTS, KIND_OUTCOMES = 1, 2
SIGNATURE_BYTES = 64

RECEIPT_ROW = np.dtype([("message_id", "u1", 32), ("received_ms", "<u8"), ("code", "<u2"), ("pad", "u1", 6)])
OUTCOME_ROW = np.dtype(
    [
        ("message", "<u2"), ("action", "<u2"), ("code", "<u2"), ("order_state", "u1"), ("pad", "u1"),
        ("order_id", "<i8"), ("filled_lots", "<i8"), ("remaining_lots", "<i8"), ("filled_quote", "<i8"),
        ("cancelled_count", "<i8"), ("withdrawal_index", "<i8"),
    ]
)  # fmt: skip
_ORDERS = struct.Struct("<QII")
_RECEIPTS = struct.Struct("<BxHIQ")
_OUTCOMES = struct.Struct("<BxHIQQ")
ORDERS_HEADER_BYTES = _ORDERS.size


class FrameError(ValueError):
    """Bytes that are no frame of this kind; the other side's mistake."""


@dataclass(frozen=True, slots=True)
class Orders:
    """What a client sends: signed messages one after the other (docs/protocol.md, section 5), or none."""

    tag: int
    flags: int
    messages: bytes

    def encode(self) -> bytes:
        return _ORDERS.pack(self.tag, self.flags, 0) + self.messages

    @classmethod
    def decode(cls, data: bytes) -> "Orders":
        """The messages are judged later. Raises `FrameError`."""
        if len(data) < _ORDERS.size:
            raise FrameError("shorter than a header")
        tag, flags, reserved = _ORDERS.unpack_from(data)
        if reserved or flags & ~FLAG_OUTCOMES:
            raise FrameError("a flag that is none")
        return cls(tag, flags, data[_ORDERS.size :])


@dataclass(frozen=True, slots=True, eq=False)
class Receipts:
    """The answer to one frame: `rows` (m,) of `RECEIPT_ROW`, one for each of its messages in their order.

    `code` is 0, or why nothing of the frame was looked at; then there are no rows. A row's code is 0 where the node
    holds the message for one of its next batches or had taken it before, at `received_ms`; else why it does not
    (docs/errors.md). `signature` is the node's network key's, over `receipts_signing_bytes`; empty without rows.
    """

    tag: int
    code: int
    rows: np.ndarray
    signature: bytes

    def encode(self) -> bytes:
        head = _RECEIPTS.pack(KIND_RECEIPTS, self.code, len(self.rows), self.tag)
        return head + self.rows.tobytes() + self.signature

    @classmethod
    def decode(cls, data: bytes) -> "Receipts":
        """Raises `FrameError`."""
        kind, code, count, tag = _unpack(_RECEIPTS, data)
        end = _RECEIPTS.size + count * RECEIPT_ROW.itemsize
        if kind != KIND_RECEIPTS or len(data) != end + (SIGNATURE_BYTES if count else 0):
            raise FrameError("not the receipts of so many messages")
        return cls(tag, code, np.frombuffer(data, RECEIPT_ROW, count, _RECEIPTS.size), data[end:])

    def is_signed_by(self, network_key: bytes, network_id: bytes, node_index: int) -> bool:
        """Whether the node of that key and number answers for these rows."""
        try:
            signed = receipts_signing_bytes(network_id, node_index, self.rows)
            VerifyKey(network_key).verify(signed, self.signature)
        except (CryptoError, ValueError, TypeError):
            return False
        return True


def receipts_signing_bytes(network_id: bytes, node_index: int, rows: np.ndarray) -> bytes:
    """What a node signs: it knows these messages since then, under these codes."""
    return b"hansa/receipts/v1" + network_id + (node_index & 0xFFFFFFFF).to_bytes(4, "big") + keccak(rows.tobytes())


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """What one final block made of this connection's messages: their ids (m, 32) uint8, and `rows` (n,) of
    `OUTCOME_ROW`, whose `message` counts the ids of this frame and `action` the actions of the message.
    """

    height: int
    time_ms: int
    message_ids: np.ndarray
    rows: np.ndarray

    def encode(self) -> bytes:
        head = _OUTCOMES.pack(KIND_OUTCOMES, len(self.message_ids), len(self.rows), self.height, self.time_ms)
        return head + self.message_ids.tobytes() + self.rows.tobytes()

    @classmethod
    def decode(cls, data: bytes) -> "Outcomes":
        """Raises `FrameError`."""
        kind, message_count, count, height, time_ms = _unpack(_OUTCOMES, data)
        rows_at = _OUTCOMES.size + 32 * message_count
        if kind != KIND_OUTCOMES or len(data) != rows_at + count * OUTCOME_ROW.itemsize:
            raise FrameError("not so many outcomes")
        message_ids = np.frombuffer(data, np.uint8, 32 * message_count, _OUTCOMES.size).reshape(-1, 32)
        rows = np.frombuffer(data, OUTCOME_ROW, count, rows_at)
        if count and int(rows["message"].max()) >= message_count:
            raise FrameError("an outcome of a message that is not named")
        return cls(height, time_ms, message_ids, rows)


def decode_answer(data: bytes) -> Receipts | Outcomes:
    """Whatever a node sends. Raises `FrameError`."""
    if data[:1] == bytes([KIND_RECEIPTS]):
        return Receipts.decode(data)
    return Outcomes.decode(data)


def count_messages(messages: bytes) -> int:
    """How many there are, as far as they are whole."""
    at, count = 0, 0
    while at + HEADER_BYTES <= len(messages):
        at += HEADER_BYTES + messages[at + COUNT_OFFSET] * ACTION_BYTES
        count += 1
    return count


def refuse(tag: int, code: int) -> bytes:
    """The answer to a frame that was not looked at."""
    return Receipts(tag, code, np.empty(0, RECEIPT_ROW), b"").encode()


def _unpack(layout: struct.Struct, data: bytes) -> tuple[int, ...]:
    if len(data) < layout.size:
        raise FrameError("shorter than a header")
    return layout.unpack_from(data)
