"""What an operator is told when this node executes a block differently from whoever proposed or certified it."""

import logging
from collections import Counter

from consensus.messages import Block, Commitment

log = logging.getLogger("hansa.agreement")


class Mismatches:
    """Proposed blocks whose header has other roots than our own execution gives, by their proposer's seat. Nobody but
    us may be wrong: such a block gets no vote of ours, and if it becomes final the node stops.
    """

    def __init__(self) -> None:
        self.by_seat: Counter[int] = Counter()

    def note(self, block: Block, own_commitment: bytes | None) -> None:
        """`own_commitment` None: the block is invalid, which says nothing about roots."""
        header = block.header
        if own_commitment is not None and own_commitment != header.commitment:
            self.by_seat[header.proposer] += 1
            words = list_differing(own_commitment, header.commitment)
            log.error(
                "root.mismatch height=%d view=%d seat=%d words=%s", header.height, header.view, header.proposer, words
            )


def list_differing(own_commitment: bytes, other_commitment: bytes) -> list[str]:
    """Names of the commitment's words that are not the same."""
    own, other = Commitment.decode(own_commitment), Commitment.decode(other_commitment)
    return [name for name in Commitment._fields if getattr(own, name) != getattr(other, name)]


def describe_divergence(block: Block | None, own_commitment: bytes | None) -> str:
    """Which words of the header our own execution contradicts: where to look first."""
    if block is None:
        return "our execution of a final block differs from the committee's certificate"
    place = f"final block {block.header.height} ({block.hash().hex()})"
    if own_commitment is None:
        return f"{place} is invalid by our own execution"
    differing = list_differing(own_commitment, block.header.commitment)
    return f"our execution of {place} gives another {', '.join(differing)} than the committee certified"
