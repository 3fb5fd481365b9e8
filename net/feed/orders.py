"""Signed messages from the process that serves the API to the node, and the node's verdicts back: a second Unix socket
in the node's home, beside the feed's.

A frame is its length (4 bytes, big endian), its kind and columns of fixed width, little-endian, because there may be
thousands a second. Decoding is total: any bytes give a frame or `FeedError`.
"""

import struct
from dataclasses import dataclass

import numpy as np

from net.feed.protocol import FeedError
from net.order_frames import RECEIPT_ROW, SIGNATURE_BYTES

ORDERS_SOCKET = "orders.sock"
ORDERS_VERSION = 1
SUBMISSION_BYTES_MAX = 256 * 1024
JUDGED_BYTES_MAX = 256 * 1024
_LENGTH = struct.Struct(">I")
_SUBMISSION, _JUDGED = 1, 2
_SUBMISSION_HEAD = struct.Struct("<BBBQ")
_JUDGED_HEAD = struct.Struct("<BBHIQ")


@dataclass(frozen=True, slots=True)
class Submission:
    """Messages one after the other (docs/protocol.md, section 5). `is_frame`: they share one signed receipt, and they
    may be many; otherwise it is a single one with a receipt of its own.
    """

    token: int
    is_frame: bool
    data: bytes

    def encode(self) -> bytes:
        body = _SUBMISSION_HEAD.pack(_SUBMISSION, ORDERS_VERSION, self.is_frame, self.token) + self.data
        return _LENGTH.pack(len(body)) + body

    @classmethod
    def decode(cls, body: bytes) -> "Submission":
        """Of a frame without its length. Raises `FeedError`."""
        if len(body) < _SUBMISSION_HEAD.size:
            raise FeedError("shorter than a submission")
        kind, version, is_frame, token = _SUBMISSION_HEAD.unpack_from(body)
        if (kind, version) != (_SUBMISSION, ORDERS_VERSION) or is_frame > 1:
            raise FeedError(f"no submission of version {ORDERS_VERSION}")
        return cls(token, bool(is_frame), body[_SUBMISSION_HEAD.size :])


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """The verdict on the submission of that token: `code` when nobody looked at it; otherwise `rows` (m,) of
    `RECEIPT_ROW`, how many actions each message has (m,), which of them the node had already (m,), and its signature.
    """

    token: int
    code: int
    rows: np.ndarray
    counts: np.ndarray
    is_copy: np.ndarray
    signature: bytes

    def encode(self) -> bytes:
        body = b"".join((
            _JUDGED_HEAD.pack(_JUDGED, ORDERS_VERSION, self.code, len(self.rows), self.token), self.rows.tobytes(),
            self.counts.astype("<u2").tobytes(), self.is_copy.astype("u1").tobytes(), self.signature,
        ))  # fmt: skip
        return _LENGTH.pack(len(body)) + body

    @classmethod
    def decode(cls, body: bytes) -> "Judged":
        """Of a frame without its length. Raises `FeedError`."""
        if len(body) < _JUDGED_HEAD.size:
            raise FeedError("shorter than a verdict")
        kind, version, code, count, token = _JUDGED_HEAD.unpack_from(body)
        counts_at = _JUDGED_HEAD.size + count * RECEIPT_ROW.itemsize
        copies_at = counts_at + 2 * count
        end = copies_at + count
        if (kind, version) != (_JUDGED, ORDERS_VERSION) or len(body) != end + (SIGNATURE_BYTES if count else 0):
            raise FeedError(f"no verdict of version {ORDERS_VERSION}")
        return cls(
            token, code, np.frombuffer(body, RECEIPT_ROW, count, _JUDGED_HEAD.size),
            np.frombuffer(body, "<u2", count, counts_at).astype(np.int64),
            np.frombuffer(body, "u1", count, copies_at) != 0, body[end:],
        )  # fmt: skip
