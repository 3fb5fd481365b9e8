"""The account tree's nodes: dirty paths rehashed eight at a time, proofs read, nothing stored for absent accounts.

`node_hashes` (2C, 32) uint8 and `node_sums` (2C, 2) int64 (claims, debt) hold a binary tree over C leaves, C a power of
two: node 1 is the top, node i has the children 2i and 2i + 1, leaf a is node C + a. What is hashed and why a node has
sums is section 4 of docs/protocol.md; the tree continues to depth 20 above the top with empty right halves.

Rules. Leaves from `leaf_count` on do not exist, and neither does a node without an existing leaf below it: its place is
never written and holds anything, except right of the last existing node of a level, where the hash of an empty
subtree is put before it is read. So zeroed memory is a tree, and an empty one costs nothing. A leaf below `leaf_count`
that no account uses is two zero words and is hashed like any other.
"""

import numpy as np
from numba import njit

from engine.fixed import prefetch
from engine.lanes import DIGEST_WORDS, LANES, PAD_LAST, RATE_WORDS, STATE_WORDS, permute_lanes, swap_bytes
from engine.layout import Number
from engine.limits import SUM_QUOTE_MAX, TREE_DEPTH
from engine.payload import keccak

NODE_HASH_BYTES = 32
_LINE_BYTES = 64
_SUM_BITS = SUM_QUOTE_MAX.bit_length() - 1
_SUM_MASK = np.int64(SUM_QUOTE_MAX - 1)
if SUM_QUOTE_MAX != 1 << _SUM_BITS or _SUM_BITS > 62:
    raise ValueError("SUM_QUOTE_MAX must be a power of two up to 2**62: sums are checked by their bits")
_CLAIMS, _DEBT = 0, 1
# Words of the message of an inner node that hold a child's hash (four from here on), claims and debt.
_LEFT, _LEFT_CLAIMS, _LEFT_DEBT = 0, 5, 7
_RIGHT, _RIGHT_CLAIMS, _RIGHT_DEBT = 8, 13, 15


def encode_sums(claim_quote: int, debt_quote: int) -> bytes:
    """One word: claims (16 B) and debt (16 B), big-endian."""
    return claim_quote.to_bytes(16, "big") + debt_quote.to_bytes(16, "big")


def _fold_empty() -> tuple[bytes, ...]:
    hashes = [bytes(NODE_HASH_BYTES)]
    for _ in range(TREE_DEPTH):
        hashes.append(keccak((hashes[-1] + bytes(NODE_HASH_BYTES)) * 2))
    return tuple(hashes)


# Hash of an empty subtree by height; its sums are zero.
EMPTY_HASHES = _fold_empty()
_EMPTY_WORDS = np.frombuffer(b"".join(EMPTY_HASHES), dtype=np.int64).reshape(-1, DIGEST_WORDS)


def make_nodes(capacity: int) -> tuple[np.ndarray, np.ndarray]:
    """`node_hashes` and `node_sums` of a tree without leaves; memory is taken where a node is first written.

    The hashes of two siblings share a cache line. Raises `ValueError` unless `capacity` is a power of two up to
    2**20.
    """
    if capacity < 1 or capacity & capacity - 1 or capacity > 1 << TREE_DEPTH:
        raise ValueError(f"a tree has 1, 2, 4 ... {1 << TREE_DEPTH} leaves, not {capacity}: round up")
    plain = np.zeros(2 * capacity * NODE_HASH_BYTES + _LINE_BYTES, dtype=np.uint8)
    skipped = -plain.ctypes.data % _LINE_BYTES
    hashes = plain[skipped : skipped + 2 * capacity * NODE_HASH_BYTES].reshape(-1, NODE_HASH_BYTES)
    return hashes, np.zeros((2 * capacity, 2), dtype=np.int64)


@njit
def _read_children(hashes: np.ndarray, sums: np.ndarray, parent: Number, words: np.ndarray, lane: Number) -> np.int64:
    """Put the message of an inner node into a lane and the sums into the node; returns all bits that sums have."""
    left, right = 2 * parent, 2 * parent + 1
    for word in range(DIGEST_WORDS):
        words[_LEFT + word, lane] = hashes[left, word]
        words[_RIGHT + word, lane] = hashes[right, word]
    left_claims, left_debt = sums[left, _CLAIMS], sums[left, _DEBT]
    right_claims, right_debt = sums[right, _CLAIMS], sums[right, _DEBT]
    words[_LEFT_CLAIMS, lane] = swap_bytes(left_claims)
    words[_LEFT_DEBT, lane] = swap_bytes(left_debt)
    words[_RIGHT_CLAIMS, lane] = swap_bytes(right_claims)
    words[_RIGHT_DEBT, lane] = swap_bytes(right_debt)
    # Sums within their bound are below the mask; others are reported by their bits and need not be added right.
    claims = (left_claims & _SUM_MASK) + (right_claims & _SUM_MASK)
    debt = (left_debt & _SUM_MASK) + (right_debt & _SUM_MASK)
    sums[parent, _CLAIMS] = claims
    sums[parent, _DEBT] = debt
    return left_claims | left_debt | right_claims | right_debt | claims | debt


@njit
def _hash_level(
    hashes: np.ndarray, sums: np.ndarray, parents: np.ndarray, count: Number, words: np.ndarray
) -> np.int64:
    """Rehash the inner nodes `parents[:count]` of one level; returns all bits that their sums have.

    The last group is filled up with its last node, whose hash is then written more than once.
    """
    hash_words, sum_words = hashes.reshape(-1), sums.reshape(-1)
    bits = np.int64(0)
    for first in range(0, count, LANES):
        words[:] = 0
        for lane in range(LANES):
            words[RATE_WORDS - 1, lane] = PAD_LAST | 1  # 128 bytes: the padding is one word
        for lane in range(LANES):
            following = parents[min(first + LANES + lane, count - 1)]
            prefetch(hash_words, following * 2 * DIGEST_WORDS)
            prefetch(sum_words, following * 4)
        for lane in range(LANES):
            bits |= _read_children(hashes, sums, parents[min(first + lane, count - 1)], words, lane)
        permute_lanes(words)
        for lane in range(LANES):
            parent = parents[min(first + lane, count - 1)]
            for word in range(DIGEST_WORDS):
                hashes[parent, word] = words[word, lane]
    return bits


@njit
def _climb(nodes: np.ndarray, count: Number) -> np.int64:
    """Replace ascending nodes of one level by their parents, each once, in place; returns how many there are."""
    parents = np.int64(0)
    for index in range(count):
        parent = nodes[index] // 2
        if parents == 0 or nodes[parents - 1] != parent:
            nodes[parents] = parent
            parents += 1
    return parents


@njit(cache=True)
def update_tree(node_hashes: np.ndarray, node_sums: np.ndarray, dirty_leaves: np.ndarray, leaf_count: Number) -> bool:
    """Rehash every inner node above the dirty leaves; False when a sum is negative or reaches `SUM_QUOTE_MAX`.

    `dirty_leaves` (n,) int64: indices of leaves whose node was written since the last call, strictly ascending, below
    `leaf_count` (not checked). When `leaf_count` has changed it must contain all new leaves, and the last leaf.
    After False the nodes above the broken sum mean nothing.
    """
    capacity = node_hashes.shape[0] // 2
    hashes = node_hashes.view(np.int64)
    count = np.int64(dirty_leaves.shape[0])
    nodes = np.empty(count, dtype=np.int64)
    for index in range(count):
        nodes[index] = capacity + dirty_leaves[index]
    words = np.zeros((STATE_WORDS, LANES), dtype=np.int64)
    bits = np.int64(0)
    height = 0
    while count > 0 and nodes[0] > 1:
        last = (capacity + leaf_count - 1) >> height
        if last & 1 == 0:
            for word in range(DIGEST_WORDS):
                hashes[last + 1, word] = _EMPTY_WORDS[height, word]
            node_sums[last + 1, _CLAIMS] = 0
            node_sums[last + 1, _DEBT] = 0
        count = _climb(nodes, count)
        bits |= _hash_level(hashes, node_sums, nodes, count, words)
        height += 1
    return bits >> _SUM_BITS == 0


def compute_root(node_hashes: np.ndarray, node_sums: np.ndarray, leaf_count: int) -> tuple[bytes, bytes]:
    """Root hash and sums at depth 20."""
    if leaf_count == 0:
        return EMPTY_HASHES[TREE_DEPTH], bytes(NODE_HASH_BYTES)
    node_hash = node_hashes[1].tobytes()
    sums = encode_sums(*(int(part) for part in node_sums[1]))
    for height in range((node_hashes.shape[0] // 2).bit_length() - 1, TREE_DEPTH):
        node_hash = keccak(node_hash + sums + EMPTY_HASHES[height] + bytes(NODE_HASH_BYTES))
    return node_hash, sums


def read_siblings(
    node_hashes: np.ndarray, node_sums: np.ndarray, leaf: int, leaf_count: int
) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """Hashes and sums of the 20 nodes beside the path of a leaf, from the leaf upwards.

    Raises `IndexError` for a leaf outside the table.
    """
    capacity = node_hashes.shape[0] // 2
    if not 0 <= leaf < capacity:
        raise IndexError(f"no leaf {leaf} in a tree of {capacity}")
    hashes, sums = [], []
    for height in range(TREE_DEPTH):
        sibling = leaf >> height ^ 1
        if sibling << height < leaf_count:
            node = (capacity >> height) + sibling
            hashes.append(node_hashes[node].tobytes())
            sums.append(encode_sums(*(int(part) for part in node_sums[node])))
        else:
            hashes.append(EMPTY_HASHES[height])
            sums.append(bytes(NODE_HASH_BYTES))
    return tuple(hashes), tuple(sums)
