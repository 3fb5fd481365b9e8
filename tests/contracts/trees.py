"""The trees of docs/protocol.md section 4, built the obvious way: every level as a full list of known nodes."""

from contracts import digests

Node = tuple[bytes, bytes]
EMPTY: Node = (bytes(32), bytes(32))


def fold_sum_tree(leaves: dict[int, Node], index: int) -> tuple[Node, list[Node]]:
    """Root of the account tree, and the siblings of leaf `index` from the leaf up."""
    level, empty, siblings = dict(leaves), EMPTY, []
    for _ in range(digests.ACCOUNT_DEPTH):
        siblings.append(level.get(index ^ 1, empty))
        parents = {i // 2 for i in level}
        level = {p: digests.sum_node(level.get(2 * p, empty), level.get(2 * p + 1, empty)) for p in sorted(parents)}
        empty = digests.sum_node(empty, empty)
        index //= 2
    return level.get(0, empty), siblings


def fold_withdrawal_tree(leaves: list[bytes], index: int) -> tuple[bytes, list[bytes]]:
    """Root of the withdrawal tree, and the siblings of leaf `index` from the leaf up."""
    level, empty, siblings = dict(enumerate(leaves)), bytes(32), []
    for _ in range(digests.WITHDRAWAL_DEPTH):
        siblings.append(level.get(index ^ 1, empty))
        parents = {i // 2 for i in level}
        level = {p: digests.keccak(level.get(2 * p, empty) + level.get(2 * p + 1, empty)) for p in sorted(parents)}
        empty = digests.keccak(empty + empty)
        index //= 2
    return level.get(0, empty), siblings
