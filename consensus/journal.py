"""The framing of the node's journal: `length u32 | crc32 u32 | sequence u64 | type u8 | body`, big-endian.

`length` counts the body; the checksum covers length, sequence, type and body. Theory of recovery: what was never
synced was never spoken of, so a damaged *tail* is cut off. Damage *followed by a valid record* hits what was synced
and spoken of; nobody may vote on top of such a journal, so it is refused. A valid record after damage is found by
trying every later offset: damage may have hit a length field, hence the next frame's place is not known.
"""

import struct
import zlib
from typing import NamedTuple

CLEAN = "clean"
TORN_TAIL = "torn tail"
CORRUPT_MIDDLE = "corrupt middle"

BODY_BYTES_MAX = 1 << 20
_FRAME = struct.Struct(">IIQB")


class Record(NamedTuple):
    sequence: int
    type: int
    body: bytes


def encode_record(sequence: int, record_type: int, body: bytes) -> bytes:
    if len(body) > BODY_BYTES_MAX:
        raise ValueError("journal record too large")
    crc = _compute_crc(len(body), sequence, record_type, body)
    return _FRAME.pack(len(body), crc, sequence, record_type) + body


def scan(data: bytes) -> tuple[list[Record], int, str]:
    """The valid records from the start, how many bytes they take, and what follows them."""
    records: list[Record] = []
    offset = 0
    while offset < len(data):
        record = _read_at(data, offset)
        if record is None or (records and record.sequence != records[-1].sequence + 1):
            return records, offset, _judge_rest(data, offset)
        records.append(record)
        offset += _FRAME.size + len(record.body)
    return records, offset, CLEAN


def _judge_rest(data: bytes, offset: int) -> str:
    starts = range(offset, len(data) - _FRAME.size + 1)
    return CORRUPT_MIDDLE if any(_read_at(data, start) is not None for start in starts) else TORN_TAIL


def _read_at(data: bytes, offset: int) -> Record | None:
    if len(data) - offset < _FRAME.size:
        return None
    length, crc, sequence, record_type = _FRAME.unpack_from(data, offset)
    start = offset + _FRAME.size
    if length > BODY_BYTES_MAX or start + length > len(data):
        return None
    body = data[start : start + length]
    return Record(sequence, record_type, body) if crc == _compute_crc(length, sequence, record_type, body) else None


def _compute_crc(length: int, sequence: int, record_type: int, body: bytes) -> int:
    return zlib.crc32(body, zlib.crc32(_FRAME.pack(length, 0, sequence, record_type)))
