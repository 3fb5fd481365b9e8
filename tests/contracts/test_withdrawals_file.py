"""The withdrawals file: its bytes are pinned, every withdrawal is provable against every header, no forged one is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trees import fold_withdrawal_tree

from contracts.withdrawals_file import (
    MAGIC,
    ROW_BYTES,
    FiledWithdrawal,
    WithdrawalsFileError,
    read_withdrawals,
)

ROWS = [
    FiledWithdrawal(index, height, bytes([owner]) * 20, b"\x70" * 20, amount)
    for index, (height, owner, amount) in enumerate([(3, 1, 5), (3, 2, 1 << 62), (8, 1, 7), (9, 3, 1), (9, 1, 2)])
]
DATA = MAGIC + b"".join(row.encode() for row in ROWS)


def make_header(height: int, count: int) -> bytes:
    words = [bytes(32)] * 20
    words[3] = height.to_bytes(32, "big")
    words[17] = fold_withdrawal_tree([row.leaf() for row in ROWS[:count]], 0)[0]
    return b"".join(words)


def test_the_bytes_are_the_golden_ones() -> None:
    row = "0000000000000003" + "02" * 20 + "70" * 20 + "0000000000000000" + "4000000000000000"
    assert DATA[: len(MAGIC)] == b"hansa/withdrawals/v1\n" and ROW_BYTES == 64
    assert DATA[len(MAGIC) + 64 : len(MAGIC) + 128].hex() == row


@pytest.mark.parametrize(("height", "count"), [(2, 0), (3, 2), (7, 2), (8, 3), (9, 5), (99, 5)])
def test_every_withdrawal_is_proven_against_every_header(height: int, count: int) -> None:
    file = read_withdrawals(DATA, make_header(height, count))
    assert file.rows == ROWS[:count]
    for index in range(count):
        root, siblings = fold_withdrawal_tree([row.leaf() for row in ROWS[:count]], index)
        assert (file.root, file.proof(index)) == (root, siblings)
    assert [row.index for row in file.of_owner(b"\x01" * 20)] == [at for at in (0, 2, 4) if at < count]
    for index in (-1, count):
        with pytest.raises(IndexError):
            file.proof(index)


def test_a_row_that_is_being_written_is_not_there_yet() -> None:
    assert read_withdrawals(DATA[:-1], make_header(8, 3)).rows == ROWS[:3]
    with pytest.raises(WithdrawalsFileError, match="ends earlier"):
        read_withdrawals(DATA[:-1], make_header(9, 5))


@given(st.integers(0, len(DATA) - 1), st.integers(1, 255))
def test_no_changed_byte_is_believed(at: int, difference: int) -> None:
    bad = bytearray(DATA)
    bad[at] ^= difference
    try:
        file = read_withdrawals(bytes(bad), make_header(9, 5))
    except WithdrawalsFileError:
        return
    # The height of a row is in no leaf; while it keeps the rows together it changes nothing that is paid.
    assert [(row.owner, row.token, row.amount) for row in file.rows] == [
        (row.owner, row.token, row.amount) for row in ROWS
    ]


def test_another_file_is_none() -> None:
    for data in (b"", b"hansa/claims/v1\n", MAGIC[:-1]):
        with pytest.raises(WithdrawalsFileError, match="begins otherwise"):
            read_withdrawals(data, make_header(9, 5))
