"""Proofs as a node's API gives them (`public/x_get_proof`, `public/x_get_withdrawal_proof`), saved as JSON: parsed
exactly and checked.

Needs no node: the path is folded to the header that the proof brings along. That a quorum signed the header is for the
contract to check.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

from contracts.claims_file import ClaimsFile
from contracts.digests import (
    ACCOUNT_DEPTH,
    HEADER_BYTES,
    WITHDRAWAL_DEPTH,
    account_leaf,
    encode_sums,
    keccak,
    sum_node,
    withdrawal_leaf,
)

_HEIGHT, _CURSOR, _ACCOUNT_ROOT, _ACCOUNT_SUMS, _WITHDRAWALS_ROOT, _WITHDRAWALS_TOTAL = 3, 11, 15, 16, 17, 18
_QUOTE_TEXT = re.compile(r"(\d{1,30})(?:\.(\d{1,6}))?")


class ProofError(Exception):
    """The saved proof is of no use; the message says why."""


@dataclass(frozen=True, slots=True)
class CertifiedHeader:
    """A header of 640 bytes, who signed it (a bit for each member), and the aggregate signature."""

    header: bytes
    bitmap: bytes
    signature: bytes

    @property
    def height(self) -> int:
        return self._number(_HEIGHT)

    @property
    def hash(self) -> bytes:
        return keccak(self.header)

    @property
    def claims_quote(self) -> int:
        """What all accounts claim together."""
        return self._number(_ACCOUNT_SUMS) >> 128

    @property
    def inbox_cursor(self) -> int:
        return self._number(_CURSOR)

    @property
    def withdrawals_total_quote(self) -> int:
        return self._number(_WITHDRAWALS_TOTAL)

    def absent(self, member_count: int) -> list[int]:
        """Committee indices that did not sign. Raises `ProofError` if it is no certificate of so many."""
        signers = int.from_bytes(self.bitmap, "little")
        if len(self.bitmap) != (member_count + 7) // 8 or signers >> member_count:
            raise ProofError(f"the certificate is not of this contract's committee of {member_count}")
        return [index for index in range(member_count) if not signers >> index & 1]

    def word(self, number: int) -> bytes:
        """One of the 20 words."""
        return self.header[32 * number : 32 * number + 32]

    def _number(self, number: int) -> int:
        return int.from_bytes(self.word(number), "big")


@dataclass(frozen=True, slots=True)
class SavedProof:
    """One account of a certified header. `sibling_sums` are words; siblings go from the leaf up."""

    index: int
    owner: bytes
    subaccount: int
    claim_quote: int
    debt_quote: int
    digest: bytes
    sibling_hashes: list[bytes]
    sibling_sums: list[bytes]
    certified: CertifiedHeader


@dataclass(frozen=True, slots=True)
class SavedWithdrawal:
    """One withdrawal that a certified header has; siblings go from the leaf up."""

    index: int
    owner: bytes
    token: bytes
    amount: int
    siblings: list[bytes]
    certified: CertifiedHeader


def parse_saved(text: str) -> SavedProof | SavedWithdrawal:
    """Whichever of the two it is. Raises `ProofError`."""
    try:
        raw = json.loads(text)
        is_withdrawal = "token" in raw.get("result", raw)
    except (ValueError, AttributeError, TypeError) as error:
        raise ProofError(f"not an account proof as `public/x_get_proof` gives it: {error!r}") from None
    return parse_withdrawal(text) if is_withdrawal else parse_proof(text)


def prove(file: ClaimsFile, index: int) -> SavedProof:
    """An account of a claims file. Raises `IndexError` for an index that nobody has."""
    account, path = file.account(index), file.path(index)
    return SavedProof(
        index, account.owner, account.subaccount, account.claim_quote, account.debt_quote, account.digest,
        path.sibling_hashes, path.sibling_sums, CertifiedHeader(file.header, file.bitmap, file.signature),
    )  # fmt: skip


def parse_proof(text: str) -> SavedProof:
    """The proof in `text`, the method's result or the whole JSON-RPC answer. Raises `ProofError`."""
    try:
        raw = json.loads(text)
        raw = raw.get("result", raw)
        proof = SavedProof(
            index=raw["index"], owner=_bytes(raw["owner"], 20), subaccount=raw["subaccount"],
            claim_quote=_quote(raw["claims"]), debt_quote=_quote(raw["debt"]),
            digest=keccak(_bytes(raw["holdings"]) + _bytes(raw["aux_hash"], 32)),
            sibling_hashes=[_bytes(node["hash"], 32) for node in raw["siblings"]],
            sibling_sums=[encode_sums(_quote(node["claims"]), _quote(node["debt"])) for node in raw["siblings"]],
            certified=_certified(raw["certificate"]),
        )  # fmt: skip
        root, sums = _fold(proof)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ProofError(f"not an account proof as `public/x_get_proof` gives it: {error!r}") from None
    if (root, sums) != (proof.certified.word(_ACCOUNT_ROOT), proof.certified.word(_ACCOUNT_SUMS)):
        raise ProofError("the account is not in the tree of the proof's own header: the file is damaged or forged")
    return proof


def parse_withdrawal(text: str) -> SavedWithdrawal:
    """The proof in `text`, the method's result or the whole JSON-RPC answer. Raises `ProofError`."""
    try:
        raw = json.loads(text)
        raw = raw.get("result", raw)
        proof = SavedWithdrawal(
            index=raw["index"], owner=_bytes(raw["owner"], 20), token=_bytes(raw["token"], 20),
            amount=_quote(raw["amount"]), siblings=[_bytes(node, 32) for node in raw["siblings"]],
            certified=_certified(raw["certificate"]),
        )  # fmt: skip
        if len(proof.siblings) != WITHDRAWAL_DEPTH or not 0 <= proof.index < 1 << WITHDRAWAL_DEPTH:
            raise ValueError(f"the withdrawal tree has {WITHDRAWAL_DEPTH} levels")
        node = withdrawal_leaf(proof.index, proof.owner, proof.token, proof.amount)
        for level, sibling in enumerate(proof.siblings):
            node = keccak(sibling + node if proof.index >> level & 1 else node + sibling)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ProofError(f"not a withdrawal proof as `public/x_get_withdrawal_proof` gives it: {error!r}") from None
    if node != proof.certified.word(_WITHDRAWALS_ROOT):
        raise ProofError("the withdrawal is not in the tree of the proof's own header: the file is damaged or forged")
    return proof


def _certified(raw: Any) -> CertifiedHeader:
    return CertifiedHeader(_bytes(raw["header"], HEADER_BYTES), _bytes(raw["bitmap"]), _bytes(raw["signature"], 96))


def _fold(proof: SavedProof) -> tuple[bytes, bytes]:
    """Root and sums of the account tree that has the proof's leaf."""
    if len(proof.sibling_hashes) != ACCOUNT_DEPTH or not 0 <= proof.index < 1 << ACCOUNT_DEPTH:
        raise ValueError(f"the account tree has {ACCOUNT_DEPTH} levels")
    sums = encode_sums(proof.claim_quote, proof.debt_quote)
    node = (account_leaf(proof.index, proof.owner, proof.subaccount, sums, proof.digest), sums)
    for level, sibling in enumerate(zip(proof.sibling_hashes, proof.sibling_sums)):
        node = sum_node(sibling, node) if proof.index >> level & 1 else sum_node(node, sibling)
    return node


def _bytes(text: Any, length: int | None = None) -> bytes:
    data = bytes.fromhex(text.removeprefix("0x"))
    if length is not None and len(data) != length:
        raise ValueError(f"{text!r} has {len(data)} bytes, not {length}")
    return data


def _quote(text: Any) -> int:
    """Decimal text of at most six decimals in quote units."""
    match = _QUOTE_TEXT.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no money")
    return int(match[1] + (match[2] or "").ljust(6, "0"))
