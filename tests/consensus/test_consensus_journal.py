"""Framing of the journal, at every byte."""

import pytest

from consensus.journal import CLEAN, CORRUPT_MIDDLE, TORN_TAIL, encode_record, scan

BODIES = [b"", b"one", b"a longer record", bytes(40)]
FRAMES = [encode_record(number, 1, body) for number, body in enumerate(BODIES, 7)]
WHOLE = b"".join(FRAMES)


def test_whole_journal_is_read_back() -> None:
    records, valid_length, status = scan(WHOLE)
    assert [(record.sequence, record.type, record.body) for record in records] == [
        (number, 1, body) for number, body in enumerate(BODIES, 7)
    ]
    assert (valid_length, status) == (len(WHOLE), CLEAN)
    assert scan(b"") == ([], 0, CLEAN)


@pytest.mark.parametrize("length", range(len(WHOLE)))
def test_cut_at_every_byte_is_a_torn_tail(length: int) -> None:
    records, valid_length, status = scan(WHOLE[:length])
    starts = [sum(map(len, FRAMES[:count])) for count in range(len(FRAMES) + 1)]
    assert valid_length == max(start for start in starts if start <= length)
    assert len(records) == starts.index(valid_length)
    assert status == (CLEAN if length in starts else TORN_TAIL)


@pytest.mark.parametrize("at", range(len(WHOLE)))
def test_flipped_byte_is_refused_in_the_middle_and_cut_at_the_end(at: int) -> None:
    data = bytearray(WHOLE)
    data[at] ^= 0x5A
    records, valid_length, status = scan(bytes(data))
    last_start = len(WHOLE) - len(FRAMES[-1])
    assert status == (TORN_TAIL if at >= last_start else CORRUPT_MIDDLE)
    assert valid_length <= at
    assert b"".join(encode_record(*record) for record in records) == WHOLE[:valid_length]


def test_zeros_at_the_end_are_no_records() -> None:
    assert scan(WHOLE + bytes(500))[1:] == (len(WHOLE), TORN_TAIL)


def test_missing_record_in_the_middle_is_refused() -> None:
    assert scan(FRAMES[0] + FRAMES[2])[1:] == (len(FRAMES[0]), CORRUPT_MIDDLE)
