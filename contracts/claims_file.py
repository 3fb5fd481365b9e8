"""All accounts of one certified header in one file: with it and the chain alone, anybody proves any account's claim.

Needs no node and no compiler. `read_claims` believes nothing: it builds the account tree anew and compares root and
sums with the header that the file brings along. That a quorum signed that header is for the contract to check, or for
whoever knows the committee's keys; whether it is the last checkpoint, the contract tells.

The bytes are in docs/protocol.md, section 4. Files are named by the account root, which is what they prove.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from contracts.digests import ACCOUNT_DEPTH, HEADER_BYTES, account_leaf, encode_sums, keccak

MAGIC = b"hansa/claims/v1\n"
ACCOUNT_BYTES, POSITION_BYTES = 76, 12
SIGNATURE_BYTES, HASH_BYTES = 96, 32
_ACCOUNT_ROOT, _ACCOUNT_SUMS, _HEIGHT = 15, 16, 3
# Of an index that nobody has yet: some of the exchange's own.
ABSENT_ROW = bytes(ACCOUNT_BYTES)


class ClaimsFileError(Exception):
    """These bytes are no claims file that holds; the message says why."""


@dataclass(frozen=True, slots=True)
class ClaimsAccount:
    """One account. `equity_quote` below zero is a debt; positions are (market, lots), markets ascending."""

    owner: bytes
    subaccount: int
    equity_quote: int
    aux_hash: bytes
    balance_quote: int
    positions: tuple[tuple[int, int], ...] = ()

    @property
    def claim_quote(self) -> int:
        return max(self.equity_quote, 0)

    @property
    def debt_quote(self) -> int:
        return max(-self.equity_quote, 0)

    @property
    def holdings(self) -> bytes:
        """What the claim is made of, as the leaf's digest covers it."""
        return self.balance_quote.to_bytes(8, "big", signed=True) + b"".join(map(_encode_position, self.positions))

    @property
    def digest(self) -> bytes:
        return keccak(self.holdings + self.aux_hash)


@dataclass(frozen=True, slots=True)
class AccountPath:
    """From an account's leaf to the root: 20 siblings, from the leaf up; sums are words `claims ‖ debt`."""

    sibling_hashes: list[bytes]
    sibling_sums: list[bytes]


def encode_accounts(accounts: list[ClaimsAccount | None]) -> tuple[bytes, bytes]:
    """The account rows and the position rows of a file; None for an index that nobody has."""
    rows: list[bytes] = []
    positions: list[bytes] = []
    for account in accounts:
        if account is None:
            rows.append(ABSENT_ROW)
            continue
        key = account.owner + account.subaccount.to_bytes(4, "big")
        rows.append(key + account.equity_quote.to_bytes(8, "big", signed=True) + account.aux_hash)
        rows.append(len(account.positions).to_bytes(4, "big") + account.balance_quote.to_bytes(8, "big", signed=True))
        positions += map(_encode_position, account.positions)
    return b"".join(rows), b"".join(positions)


def encode_claims(header: bytes, bitmap: bytes, signature: bytes, accounts: bytes, positions: bytes) -> bytes:
    """A whole file. `accounts` and `positions` are rows as `encode_accounts` writes them, by ascending index from 0."""
    if len(header) != HEADER_BYTES or len(signature) != SIGNATURE_BYTES:
        raise ValueError(f"a header has {HEADER_BYTES} bytes and a signature {SIGNATURE_BYTES}")
    body = b"".join((
        MAGIC, header, len(bitmap).to_bytes(2, "big"), bitmap, signature,
        (len(accounts) // ACCOUNT_BYTES).to_bytes(4, "big"), (len(positions) // POSITION_BYTES).to_bytes(4, "big"),
        accounts, positions,
    ))  # fmt: skip
    return body + keccak(body)


class ClaimsFile:
    """A file that holds. Made by `read_claims`."""

    def __init__(self, header: bytes, bitmap: bytes, signature: bytes, accounts: bytes, positions: bytes) -> None:
        """Raises `ClaimsFileError` unless the accounts are those of the header's account tree."""
        self.header, self.bitmap, self.signature = header, bitmap, signature
        self._accounts, self._positions = accounts, positions
        self.account_count = len(accounts) // ACCOUNT_BYTES  # absent ones between them included
        self._position_firsts = self._list_position_firsts()
        self._hashes, self._sums = self._build_levels()
        if self.account_root != header_word(header, _ACCOUNT_ROOT):
            raise ClaimsFileError("the accounts are not those of the file's own header: it is damaged or forged")
        if self.account_sums != header_word(header, _ACCOUNT_SUMS):
            raise ClaimsFileError("the accounts do not add up to the sums of the file's own header: it is forged")

    @property
    def height(self) -> int:
        return int.from_bytes(header_word(self.header, _HEIGHT), "big")

    @property
    def header_hash(self) -> bytes:
        return keccak(self.header)

    @property
    def account_root(self) -> bytes:
        """What the file is named by."""
        return self._hashes[-1]

    @property
    def account_sums(self) -> bytes:
        """Claims and debts of all accounts as one word."""
        return self._sums[-1]

    def has_account(self, index: int) -> bool:
        """Whether somebody has this index."""
        return 0 <= index < self.account_count and self._row(index) != ABSENT_ROW

    def account(self, index: int) -> ClaimsAccount:
        """Raises `IndexError` for an index that nobody has."""
        row = self._require(index)
        first, count = self._position_firsts[index], int.from_bytes(row[64:68], "big")
        positions = tuple(self._position(at) for at in range(first, first + count))
        return ClaimsAccount(
            row[:20], int.from_bytes(row[20:24], "big"), int.from_bytes(row[24:32], "big", signed=True), row[32:64],
            int.from_bytes(row[68:76], "big", signed=True), positions,
        )  # fmt: skip

    def accounts_of(self, owner: bytes) -> Iterator[int]:
        """Indices of all accounts of an owner (20 bytes)."""
        for index in range(self.account_count):
            if self._accounts.startswith(owner, index * ACCOUNT_BYTES) and self.has_account(index):
                yield index

    def path(self, index: int) -> AccountPath:
        """What links an account to the root. Raises `IndexError` for an index that nobody has."""
        self._require(index)
        hashes, sums = [], []
        first, count = 0, self.account_count
        for level in range(ACCOUNT_DEPTH):
            sibling = index >> level ^ 1
            if sibling < count:
                hashes.append(self._hashes[first + sibling])
                sums.append(self._sums[first + sibling])
            else:
                hashes.append(_EMPTY_HASHES[level])
                sums.append(bytes(HASH_BYTES))
            first, count = first + count, (count + 1) // 2
        return AccountPath(hashes, sums)

    def proof(self, index: int) -> dict[str, Any]:
        """The account's proof in the form of `public/x_get_proof`, for every tool that takes such a file."""
        account, path = self.account(index), self.path(index)
        return {
            "index": index, "owner": _hexed(account.owner), "subaccount": account.subaccount,
            "claims": _money(account.claim_quote), "debt": _money(account.debt_quote),
            "holdings": _hexed(account.holdings), "aux_hash": _hexed(account.aux_hash),
            "siblings": [
                {"hash": _hexed(node), "claims": _money(_high(sums)), "debt": _money(_low(sums))}
                for node, sums in zip(path.sibling_hashes, path.sibling_sums)
            ],
            "certificate": {
                "header": _hexed(self.header), "bitmap": _hexed(self.bitmap), "signature": _hexed(self.signature),
            },
        }  # fmt: skip

    def _require(self, index: int) -> bytes:
        if not self.has_account(index):
            raise IndexError(f"no account {index} among {self.account_count}")
        return self._row(index)

    def _row(self, index: int) -> bytes:
        return self._accounts[index * ACCOUNT_BYTES : (index + 1) * ACCOUNT_BYTES]

    def _position(self, at: int) -> tuple[int, int]:
        row = self._positions[at * POSITION_BYTES : (at + 1) * POSITION_BYTES]
        return int.from_bytes(row[:4], "big"), int.from_bytes(row[4:], "big", signed=True)

    def _list_position_firsts(self) -> list[int]:
        firsts, first = [], 0
        for index in range(self.account_count):
            firsts.append(first)
            first += int.from_bytes(self._row(index)[64:68], "big")
        if first * POSITION_BYTES != len(self._positions):
            raise ClaimsFileError("the accounts name another number of positions than the file has: it is damaged")
        return firsts

    def _build_levels(self) -> tuple[list[bytes], list[bytes]]:
        """Hashes and sums of all nodes that have accounts below them, level by level from the leaves up."""
        hashes, sums = [], []
        for index in range(self.account_count):
            row, first = self._row(index), self._position_firsts[index]
            if row == ABSENT_ROW:
                hashes.append(bytes(HASH_BYTES))
                sums.append(bytes(HASH_BYTES))
                continue
            count = int.from_bytes(row[64:68], "big")
            positions = self._positions[first * POSITION_BYTES : (first + count) * POSITION_BYTES]
            digest = keccak(row[68:76] + positions + row[32:64])
            equity_quote = int.from_bytes(row[24:32], "big", signed=True)
            sums.append(encode_sums(max(equity_quote, 0), max(-equity_quote, 0)))
            hashes.append(account_leaf(index, row[:20], int.from_bytes(row[20:24], "big"), sums[-1], digest))
        first, count = 0, self.account_count
        for level in range(ACCOUNT_DEPTH):
            end = first + count
            if count % 2:
                hashes.append(_EMPTY_HASHES[level])
                sums.append(bytes(HASH_BYTES))
            for left in range(first, end, 2):
                hashes.append(keccak(hashes[left] + sums[left] + hashes[left + 1] + sums[left + 1]))
                total = int.from_bytes(sums[left], "big") + int.from_bytes(sums[left + 1], "big")
                sums.append(total.to_bytes(HASH_BYTES, "big"))
            if count % 2:  # what stood in for the absent sibling is no node of ours
                del hashes[end], sums[end]
            first, count = end, (count + 1) // 2
        return hashes, sums


def read_claims(data: bytes) -> ClaimsFile:
    """The claims file in `data`, every account of it proven. Raises `ClaimsFileError`."""
    if not data.startswith(MAGIC):
        raise ClaimsFileError("this is no claims file: it begins otherwise")
    body, checksum = data[:-HASH_BYTES], data[-HASH_BYTES:]
    if keccak(body) != checksum:
        raise ClaimsFileError("the claims file is cut off or damaged: its checksum is wrong. Fetch it again")
    header, at = _take(body, len(MAGIC), HEADER_BYTES)
    length, at = _take(body, at, 2)
    bitmap, at = _take(body, at, int.from_bytes(length, "big"))
    signature, at = _take(body, at, SIGNATURE_BYTES)
    account_count, at = _take(body, at, 4)
    position_count, at = _take(body, at, 4)
    count = int.from_bytes(account_count, "big")
    if not 0 < count <= 1 << ACCOUNT_DEPTH:
        raise ClaimsFileError(f"the claims file has {count} accounts: the account tree has room for 1 to 2^20")
    accounts, at = _take(body, at, count * ACCOUNT_BYTES)
    positions, at = _take(body, at, int.from_bytes(position_count, "big") * POSITION_BYTES)
    if at != len(body):
        raise ClaimsFileError("the claims file goes on behind its last position: it is none")
    return ClaimsFile(header, bitmap, signature, accounts, positions)


def header_word(header: bytes, number: int) -> bytes:
    """One of the 20 words of a header."""
    return header[32 * number : 32 * number + 32]


def _take(data: bytes, at: int, length: int) -> tuple[bytes, int]:
    part = data[at : at + length]
    if len(part) != length:
        raise ClaimsFileError("the claims file ends before its parts do: it is none")
    return part, at + length


def _fold_empty() -> list[bytes]:
    hashes = [bytes(HASH_BYTES)]
    for _ in range(ACCOUNT_DEPTH):
        hashes.append(keccak((hashes[-1] + bytes(HASH_BYTES)) * 2))
    return hashes


_EMPTY_HASHES = _fold_empty()


def _encode_position(position: tuple[int, int]) -> bytes:
    return position[0].to_bytes(4, "big") + position[1].to_bytes(8, "big", signed=True)


def _high(sums: bytes) -> int:
    return int.from_bytes(sums[:16], "big")


def _low(sums: bytes) -> int:
    return int.from_bytes(sums[16:], "big")


def _hexed(data: bytes) -> str:
    return "0x" + data.hex()


def _money(amount_quote: int) -> str:
    return f"{amount_quote // 10**6}.{amount_quote % 10**6:06}"
