"""What an operator is told when this node executes a final block differently from the committee."""

from consensus.messages import Block, Commitment


def describe_divergence(block: Block | None, own_commitment: bytes | None) -> str:
    """Which words of the header our own execution contradicts: where to look first."""
    if block is None:
        return "our execution of a final block differs from the committee's certificate"
    place = f"final block {block.header.height} ({block.hash().hex()})"
    if own_commitment is None:
        return f"{place} is invalid by our own execution"
    own, certified = Commitment.decode(own_commitment), Commitment.decode(block.header.commitment)
    differing = [name for name in Commitment._fields if getattr(own, name) != getattr(certified, name)]
    return f"our execution of {place} gives another {', '.join(differing)} than the committee certified"
