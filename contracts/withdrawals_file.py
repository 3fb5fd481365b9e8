"""All withdrawals that final blocks have ever made, in one file that only grows: with it and the chain alone, anybody
proves an open withdrawal against any checkpoint.

Needs no node and no compiler. `read_withdrawals` takes a certified header and believes nothing: the leaves up to its
height must give its `withdrawals_root`. The bytes are in docs/protocol.md, section 4.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from contracts.claims_file import header_word
from contracts.digests import HEADER_BYTES, WITHDRAWAL_DEPTH, keccak, withdrawal_leaf

MAGIC = b"hansa/withdrawals/v1\n"
ROW_BYTES = 64
_HEIGHT, _WITHDRAWALS_ROOT = 3, 17


class WithdrawalsFileError(Exception):
    """These bytes are no withdrawals of that header; the message says why."""


@dataclass(frozen=True, slots=True)
class FiledWithdrawal:
    """Withdrawal number `index`, made by the block at `height`; `amount` in units of `token`."""

    index: int
    height: int
    owner: bytes
    token: bytes
    amount: int

    def encode(self) -> bytes:
        """One row; rows stand in the order of their indices from 0."""
        return self.height.to_bytes(8, "big") + self.owner + self.token + self.amount.to_bytes(16, "big")

    def leaf(self) -> bytes:
        return withdrawal_leaf(self.index, self.owner, self.token, self.amount)


def decode_row(index: int, row: bytes) -> FiledWithdrawal:
    """Inverse of `FiledWithdrawal.encode`."""
    height, amount = int.from_bytes(row[:8], "big"), int.from_bytes(row[48:], "big")
    return FiledWithdrawal(index, height, row[8:28], row[28:48], amount)


class WithdrawalsFile:
    """The withdrawals of one header, all of them proven. Made by `read_withdrawals`."""

    def __init__(self, rows: list[FiledWithdrawal]) -> None:
        self.rows = rows
        # All nodes that have leaves below them, level by level from the leaves up.
        self._levels: list[list[bytes]] = [[row.leaf() for row in rows]]
        for level in range(WITHDRAWAL_DEPTH):
            below = self._levels[level]
            whole = below + [_EMPTY_HASHES[level]] * (len(below) % 2)
            self._levels.append([keccak(whole[at] + whole[at + 1]) for at in range(0, len(whole), 2)])

    @property
    def root(self) -> bytes:
        return self._levels[-1][0] if self.rows else _EMPTY_HASHES[-1]

    def of_owner(self, owner: bytes) -> Iterator[FiledWithdrawal]:
        """All of an owner's (20 bytes), paid out or not: `is_claimed` of the contract tells."""
        return (row for row in self.rows if row.owner == owner)

    def proof(self, index: int) -> list[bytes]:
        """The 32 siblings of a withdrawal's leaf, from the leaf up. Raises `IndexError` for one that is not there."""
        if not 0 <= index < len(self.rows):
            raise IndexError(f"no withdrawal {index} among {len(self.rows)}")
        siblings = []
        for level in range(WITHDRAWAL_DEPTH):
            nodes, at = self._levels[level], index >> level ^ 1
            siblings.append(nodes[at] if at < len(nodes) else _EMPTY_HASHES[level])
        return siblings


def read_withdrawals(data: bytes, header: bytes) -> WithdrawalsFile:
    """The withdrawals that a certified header (640 bytes) commits to; the file may have later ones, too. Raises
    `WithdrawalsFileError`.
    """
    if not data.startswith(MAGIC) or len(header) != HEADER_BYTES:
        raise WithdrawalsFileError("this is no withdrawals file, or no header: it begins otherwise")
    count = (len(data) - len(MAGIC)) // ROW_BYTES  # a row that is being written may be cut off
    height = int.from_bytes(header_word(header, _HEIGHT), "big")
    rows = []
    for index in range(count):
        at = len(MAGIC) + index * ROW_BYTES
        row = decode_row(index, data[at : at + ROW_BYTES])
        if row.height > height:
            break
        rows.append(row)
    file = WithdrawalsFile(rows)
    if file.root != header_word(header, _WITHDRAWALS_ROOT):
        raise WithdrawalsFileError(
            f"its {len(rows)} withdrawals up to height {height} are not those of the header: the file ends earlier, or"
            " is damaged. Fetch it again, or from another node"
        )
    return file


def _fold_empty() -> list[bytes]:
    hashes = [bytes(32)]
    for _ in range(WITHDRAWAL_DEPTH):
        hashes.append(keccak(hashes[-1] * 2))
    return hashes


_EMPTY_HASHES = _fold_empty()
