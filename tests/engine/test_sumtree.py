"""The nodes in kernels are the tree of docs/protocol.md, section 4, whatever changes and in whatever order."""

import numpy as np
import pytest
import sha3
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.limits import SUM_QUOTE_MAX
from engine.sumtree import EMPTY_HASHES, compute_root, make_nodes, read_siblings, update_tree

DEPTH = 20
Leaf = tuple[bytes, int, int]  # hash, claims, debt
ABSENT: Leaf = (bytes(32), 0, 0)


def keccak(message: bytes) -> bytes:
    return sha3.keccak_256(message).digest()


def message_of(node: Leaf) -> bytes:
    return node[0] + node[1].to_bytes(16, "big") + node[2].to_bytes(16, "big")


def parent_of(left: Leaf, right: Leaf) -> Leaf:
    return keccak(message_of(left) + message_of(right)), left[1] + right[1], left[2] + right[2]


def plain_root(leaves: list[Leaf]) -> Leaf:
    """The whole tree, nothing remembered; an odd row is completed by one empty subtree."""
    row, empty = list(leaves) or [ABSENT], ABSENT
    for _ in range(DEPTH):
        row += [empty] * (len(row) % 2)
        row = [parent_of(row[at], row[at + 1]) for at in range(0, len(row), 2)]
        empty = parent_of(empty, empty)
    return row[0]


class Forest:
    """One tree in a table of some capacity, and the leaves it should have."""

    def __init__(self, capacity: int, count: int = 0) -> None:
        self.capacity, self.leaves, self.dirty = capacity, [], set()
        self.hashes, self.sums = make_nodes(capacity)
        for index in range(count):
            self.put(index, (keccak(b"%d" % index), index * 1_000_007, index % 3))

    def put(self, index: int, leaf: Leaf) -> None:
        while len(self.leaves) <= index:
            self.leaves.append(ABSENT)
        self.dirty.add(index)
        self.leaves[index] = leaf
        self.hashes[self.capacity + index] = np.frombuffer(leaf[0], dtype=np.uint8)
        self.sums[self.capacity + index] = leaf[1:]

    def update(self) -> bool:
        dirty = np.array(sorted(self.dirty), dtype=np.int64)
        self.dirty = set()
        return bool(update_tree(self.hashes, self.sums, dirty, len(self.leaves)))

    def root(self) -> tuple[bytes, bytes]:
        return compute_root(self.hashes, self.sums, len(self.leaves))

    def proves(self, index: int) -> bool:
        """The contract's check: the path of a leaf leads to root and sums."""
        siblings = read_siblings(self.hashes, self.sums, index, len(self.leaves))
        node = self.leaves[index] if index < len(self.leaves) else ABSENT
        for height, (node_hash, sums) in enumerate(zip(*siblings, strict=True)):
            other = (node_hash, int.from_bytes(sums[:16], "big"), int.from_bytes(sums[16:], "big"))
            node = parent_of(other, node) if index >> height & 1 else parent_of(node, other)
        return (node[0], message_of(node)[32:]) == self.root()


def split(node: Leaf) -> tuple[bytes, bytes]:
    return node[0], message_of(node)[32:]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 8, 9, 31, 33, 64, 100, 127, 128])
def test_root_and_proofs_for_every_number_of_leaves(count) -> None:
    made = Forest(128, count)
    assert made.update()
    assert made.root() == split(plain_root(made.leaves))
    assert all(made.proves(index) for index in range(128))


@pytest.mark.parametrize("capacity", [1 << power for power in (0, 1, 5, 10, 20)])
def test_the_table_behind_a_tree_leaves_no_trace(capacity) -> None:
    made = Forest(capacity, min(capacity, 21))
    assert made.update()
    assert made.root() == split(plain_root(made.leaves))
    assert made.proves(0)


leaf_strategy = st.tuples(
    st.binary(min_size=32, max_size=32).filter(any), st.integers(0, 1 << 50), st.integers(0, 1 << 50)
)
changes_strategy = st.lists(st.dictionaries(st.integers(0, 63), leaf_strategy, max_size=20), max_size=5)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 40), changes_strategy)
def test_changes_block_by_block_equal_a_tree_built_at_once(count, blocks) -> None:
    made = Forest(64, count)
    assert made.update()
    for changes in blocks:
        for index in sorted(changes):
            made.put(index, changes[index])
        assert made.update()
        assert made.root() == split(plain_root(made.leaves))
    assert all(made.proves(index) for index in range(64))


@pytest.mark.parametrize("used", [(0, 1, 2, 63, 64), (37,), (255,), (0, 255), (5, 6, 7, 128)])
def test_leaves_that_no_account_uses_need_no_mention(used) -> None:
    made = Forest(256)
    for index in used:
        made.put(index, (keccak(b"%d" % index), 7, 8))
        assert made.update()
        assert made.root() == split(plain_root(made.leaves))
    assert all(made.proves(index) for index in range(256))


def test_places_beyond_the_last_leaf_are_never_read() -> None:
    made = Forest(64)
    made.hashes[:64], made.sums[:64] = 0xEE, -1
    made.hashes[65:], made.sums[65:] = 0xEE, -1
    for index in range(37):
        made.put(index, (keccak(b"%d" % index), index, 0))
        assert made.update()
        assert made.root() == split(plain_root(made.leaves))
        assert made.proves(index // 2)


def test_leaves_that_go_away_again_leave_no_trace() -> None:
    made = Forest(64, 20)
    assert made.update()
    before = made.root()
    for index in range(20, 50):
        made.put(index, (keccak(b"%d" % index), 5, 6))
    assert made.update()
    del made.leaves[20:]
    made.dirty = {19}
    assert made.update()
    assert made.root() == before


EDGE = SUM_QUOTE_MAX
BOUNDS = [
    ("claims just below the bound", {3: (EDGE - 1, 0)}, True),
    ("debt just below the bound", {3: (0, EDGE - 1)}, True),
    ("claims of one leaf at the bound", {3: (EDGE, 0)}, False),
    ("debt of one leaf at the bound", {3: (0, EDGE)}, False),
    ("claims reach the bound at the top only", {0: (EDGE // 2, 0), 15: (EDGE // 2, 0)}, False),
    ("debts reach the bound at the top only", {0: (0, EDGE // 2), 15: (0, EDGE // 2)}, False),
    ("claims one below the bound at the top", {0: (EDGE // 2, 0), 15: (EDGE // 2 - 1, 0)}, True),
    ("claims that would pass 63 bits", {0: ((1 << 63) - 1, 0), 1: ((1 << 63) - 1, 0)}, False),
    ("a negative claim hidden by its neighbour", {0: (-5, 0), 1: (9, 0)}, False),
    ("a negative debt", {0: (0, -1)}, False),
]


@pytest.mark.parametrize(("name", "sums", "is_bounded"), BOUNDS)
def test_sums_outside_their_bounds_are_noticed(name, sums, is_bounded) -> None:
    made = Forest(16, 16)
    made.sums[:] = 0
    for index, parts in sums.items():
        made.sums[16 + index] = parts
    assert made.update() == is_bounded, name


def test_the_dirty_list_is_left_as_it_was() -> None:
    made = Forest(32, 32)
    dirty = np.arange(32)
    assert update_tree(made.hashes, made.sums, dirty, 32)
    assert (dirty == np.arange(32)).all()


def test_empty_hashes_follow_from_the_absent_leaf() -> None:
    node = ABSENT
    for node_hash in EMPTY_HASHES:
        assert node_hash == node[0]
        node = parent_of(node, node)


@pytest.mark.parametrize("capacity", [0, 3, -4, 1 << 21])
def test_a_capacity_that_is_no_tree_is_refused(capacity) -> None:
    with pytest.raises(ValueError, match="round up"):
        make_nodes(capacity)


def test_a_leaf_outside_the_table_has_no_proof() -> None:
    made = Forest(8, 3)
    for absent in (-1, 8):
        with pytest.raises(IndexError):
            read_siblings(made.hashes, made.sums, absent, 3)
