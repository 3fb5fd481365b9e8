"""An account proof as a node's API gives it (`public/x_get_proof`), saved as JSON: parsed exactly and checked.

Needs no node: the path is folded to the header that the proof brings along. That a quorum signed the header is for the
contract to check.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

from contracts.digests import ACCOUNT_DEPTH, HEADER_BYTES, account_leaf, encode_sums, keccak, sum_node

_HEIGHT, _ACCOUNT_ROOT, _ACCOUNT_SUMS = 3, 15, 16
_QUOTE_TEXT = re.compile(r"(\d{1,30})(?:\.(\d{1,6}))?")


class ProofError(Exception):
    """The saved proof is of no use; the message says why."""


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
    header: bytes
    bitmap: bytes
    signature: bytes

    @property
    def height(self) -> int:
        return int.from_bytes(_word(self.header, _HEIGHT), "big")

    @property
    def header_hash(self) -> bytes:
        return keccak(self.header)

    def absent(self, member_count: int) -> list[int]:
        """Committee indices that did not sign the header. Raises `ProofError` if it is no certificate of so many."""
        signers = int.from_bytes(self.bitmap, "little")
        if len(self.bitmap) != (member_count + 7) // 8 or signers >> member_count:
            raise ProofError(f"the certificate is not of this contract's committee of {member_count}")
        return [index for index in range(member_count) if not signers >> index & 1]


def parse_proof(text: str) -> SavedProof:
    """The proof in `text`, the method's result or the whole JSON-RPC answer. Raises `ProofError`."""
    try:
        raw = json.loads(text)
        raw = raw.get("result", raw)
        certificate = raw["certificate"]
        proof = SavedProof(
            index=raw["index"], owner=_bytes(raw["owner"], 20), subaccount=raw["subaccount"],
            claim_quote=_quote(raw["claims"]), debt_quote=_quote(raw["debt"]),
            digest=keccak(_bytes(raw["holdings"]) + _bytes(raw["aux_hash"], 32)),
            sibling_hashes=[_bytes(node["hash"], 32) for node in raw["siblings"]],
            sibling_sums=[encode_sums(_quote(node["claims"]), _quote(node["debt"])) for node in raw["siblings"]],
            header=_bytes(certificate["header"], HEADER_BYTES), bitmap=_bytes(certificate["bitmap"]),
            signature=_bytes(certificate["signature"], 96),
        )  # fmt: skip
        root, sums = _fold(proof)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ProofError(f"not an account proof as `public/x_get_proof` gives it: {error!r}") from None
    if (root, sums) != (_word(proof.header, _ACCOUNT_ROOT), _word(proof.header, _ACCOUNT_SUMS)):
        raise ProofError("the account is not in the tree of the proof's own header: the file is damaged or forged")
    return proof


def _fold(proof: SavedProof) -> tuple[bytes, bytes]:
    """Root and sums of the account tree that has the proof's leaf."""
    if len(proof.sibling_hashes) != ACCOUNT_DEPTH or not 0 <= proof.index < 1 << ACCOUNT_DEPTH:
        raise ValueError(f"the account tree has {ACCOUNT_DEPTH} levels")
    sums = encode_sums(proof.claim_quote, proof.debt_quote)
    node = (account_leaf(proof.index, proof.owner, proof.subaccount, sums, proof.digest), sums)
    for level, sibling in enumerate(zip(proof.sibling_hashes, proof.sibling_sums)):
        node = sum_node(sibling, node) if proof.index >> level & 1 else sum_node(node, sibling)
    return node


def _word(header: bytes, number: int) -> bytes:
    return header[32 * number : 32 * number + 32]


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
