"""Checks proofs of accounts and of withdrawals against a finalised header (docs/protocol.md, sections 2 and 4). Pure.

Shows that the leaf is in the tree whose root, and sums, the header commits to. That a quorum signed the header is what
its certificate proves; the settlement contract checks that, this module does not.
"""

from typing import Any

from consensus.messages import Commitment, DecodeError, Header, keccak
from engine.units import parse_quote

DEPTH, WITHDRAWAL_DEPTH = 20, 32


class ProofError(Exception):
    """The node's proof does not hold."""


def verify_account(proof: dict[str, Any], owner: bytes, subaccount: int) -> tuple[int, int, Header]:
    """`(claims, debt, header)` in quote units, proven. Raises `ProofError`."""
    try:
        header = Header.decode(_bytes(proof["certificate"]["header"]))
        claims, debt = parse_quote(proof["claims"]), parse_quote(proof["debt"])
        node = keccak(
            _word(1) + _word(proof["index"]) + bytes(12) + owner + _word(subaccount) + _sums(claims, debt)
            + keccak(_bytes(proof["holdings"]) + _bytes(proof["aux_hash"]))
        )  # fmt: skip
        siblings = [(_bytes(s["hash"]), parse_quote(s["claims"]), parse_quote(s["debt"])) for s in proof["siblings"]]
        root, total_claims, total_debt = _climb(node, claims, debt, proof["index"], siblings)
        commitment = Commitment.decode(header.commitment)
    except (KeyError, TypeError, ValueError, OverflowError, DecodeError) as error:
        raise ProofError(f"malformed proof: {error!r}") from None
    if root != commitment.account_root or _sums(total_claims, total_debt) != commitment.account_sums:
        raise ProofError("the leaf is not in the tree that the header commits to")
    return claims, debt, header


def verify_withdrawal(proof: dict[str, Any], owner: bytes) -> Header:
    """The header whose withdrawal tree has it, proven. Raises `ProofError`."""
    try:
        header = Header.decode(_bytes(proof["certificate"]["header"]))
        index, siblings = proof["index"], [_bytes(sibling) for sibling in proof["siblings"]]
        token = _bytes(proof["token"])
        if len(siblings) != WITHDRAWAL_DEPTH or not 0 <= index < 1 << WITHDRAWAL_DEPTH or len(token) != 20:
            raise ValueError("the tree has 32 levels")
        if _bytes(proof["owner"]) != owner:
            raise ValueError("somebody else's withdrawal")
        addressed = bytes(12) + owner + bytes(12) + token
        node = keccak(_word(2) + _word(index) + addressed + _word(parse_quote(proof["amount"])))
        for level, sibling in enumerate(siblings):
            if len(sibling) != 32:
                raise ValueError("a node has 32 bytes")
            node = keccak(sibling + node if index >> level & 1 else node + sibling)
        commitment = Commitment.decode(header.commitment)
    except (KeyError, TypeError, ValueError, OverflowError, DecodeError) as error:
        raise ProofError(f"malformed proof: {error!r}") from None
    if node != commitment.withdrawals_root:
        raise ProofError("the withdrawal is not in the tree that the header commits to")
    return header


def _climb(
    node: bytes, claims: int, debt: int, index: int, siblings: list[tuple[bytes, int, int]]
) -> tuple[bytes, int, int]:
    if len(siblings) != DEPTH or not 0 <= index < 1 << DEPTH:
        raise ValueError("the tree has 20 levels")
    for level, (other, other_claims, other_debt) in enumerate(siblings):
        if len(other) != 32:
            raise ValueError("a node has 32 bytes")
        pair = (node + _sums(claims, debt), other + _sums(other_claims, other_debt))
        node = keccak(pair[1] + pair[0] if index >> level & 1 else pair[0] + pair[1])
        claims, debt = claims + other_claims, debt + other_debt
    return node, claims, debt


def _sums(claims: int, debt: int) -> bytes:
    return claims.to_bytes(16, "big") + debt.to_bytes(16, "big")


def _word(value: int) -> bytes:
    return value.to_bytes(32, "big")


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
