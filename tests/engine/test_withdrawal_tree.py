"""The withdrawal tree: every leaf proves itself against the root of any later count, and nothing else does."""

import pytest

from engine.limits import WITHDRAWAL_DEPTH
from engine.tree import (
    EMPTY_FRONTIER,
    append_withdrawal,
    compute_withdrawals_root,
    verify_withdrawal_proof,
    withdrawal_leaf,
    withdrawal_proof,
)

LEAVES = [withdrawal_leaf(index, bytes([index + 1]) * 20, bytes(20), 10 + index) for index in range(7)]


def root_of(count: int) -> bytes:
    frontier = EMPTY_FRONTIER
    for index in range(count):
        frontier = append_withdrawal(frontier, index, LEAVES[index])
    return compute_withdrawals_root(frontier, count)


@pytest.mark.parametrize("count", range(1, 8))
def test_every_leaf_proves_itself_and_only_in_its_place(count) -> None:
    root = root_of(count)
    for index in range(count):
        siblings = withdrawal_proof(LEAVES[:count], index)
        assert verify_withdrawal_proof(LEAVES[index], index, siblings, root)
        assert not verify_withdrawal_proof(LEAVES[index], index ^ 1, siblings, root)
        assert not verify_withdrawal_proof(bytes(32), index, siblings, root)
        assert not verify_withdrawal_proof(LEAVES[index], index, siblings[:-1], root)
        assert not verify_withdrawal_proof(LEAVES[index], index + (1 << WITHDRAWAL_DEPTH), siblings, root)
        assert not verify_withdrawal_proof(LEAVES[index], index, siblings, root_of(count - 1))
