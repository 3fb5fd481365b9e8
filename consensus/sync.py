"""The rules for an answer to a range request (catch-up tier 2).

An answer is a run of blocks and one certificate that finalises the last of them *directly*; parent hashes bind all
others to it. The certificate's signers and aggregate signature are checked by the caller first, execution comes
after. Nothing else in the answer is believed: neither heights nor lengths that the sender claims.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from consensus.messages import FINALIZE, Block, Certificate

RANGE_BLOCKS_MAX = 64


@dataclass(frozen=True, slots=True)
class Blame:
    """Why the sender of this answer is at fault."""

    reason: str


def verify_range(
    final_hash: bytes, final_height: int, blocks: Sequence[Block], certificate: Certificate
) -> tuple[Block, ...] | Blame:
    """The blocks above our last finalised one (`final_hash` at `final_height`), or why the answer is wrong."""
    if not 0 < len(blocks) <= RANGE_BLOCKS_MAX:
        return Blame("an empty or oversized range")
    if certificate.kind != FINALIZE:
        return Blame("the certificate finalises nothing")
    last = blocks[-1]
    if certificate.header_hash != last.hash() or certificate.view != last.header.view:
        return Blame("the certificate is for another block")
    fresh = tuple(block for block in blocks if block.header.height > final_height)
    if not fresh:
        return Blame("nothing above our height")
    expected_hash, expected_height = final_hash, final_height + 1
    for block in fresh:
        if block.header.height != expected_height:
            return Blame("heights are not consecutive")
        if block.header.parent_hash != expected_hash:
            return Blame("a parent hash does not match")
        expected_hash, expected_height = block.hash(), expected_height + 1
    return fresh
