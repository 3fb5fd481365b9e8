"""The account tree's nodes: dirty paths rehashed eight at a time, proofs read, nothing stored for absent accounts.

`node_hashes` (2C, 32) uint8 and `node_sums` (2C, 2) int64 (claims, debt) hold a binary tree over C leaves, C a power of
two: node 1 is the top, node i has the children 2i and 2i + 1, leaf a is node C + a. What is hashed and why a node has
sums is section 4 of docs/protocol.md; the tree continues to depth 20 above the top with empty right halves.

Rules. Zeroed memory is a tree: a place that was never written is an empty subtree, and gets that subtree's hash when
the path of a neighbour is hashed. So a tree costs memory and time only for the accounts it has, and a leaf that no
account uses need not be mentioned. Leaves from `leaf_count` on do not exist whatever their places hold, which is how a
tree shrinks.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from engine.compiling import allocating
from engine.fixed import IS_COMPILED, prefetch
from engine.lanes import (
    DIGEST_WORDS,
    LANES,
    PAD_FIRST,
    PAD_LAST,
    RATE_WORDS,
    STATE_WORDS,
    VECTOR,
    WORD,
    Number,
    emit_rounds,
    emit_shuffle,
    emit_transpose,
    permute_twin,
)
from engine.limits import SUM_QUOTE_MAX, TREE_DEPTH
from engine.memory import make_zeros
from engine.payload import keccak

NODE_HASH_BYTES = 32
_SUM_BITS = SUM_QUOTE_MAX.bit_length() - 1
_SUM_MASK = SUM_QUOTE_MAX - 1
if SUM_QUOTE_MAX != 1 << _SUM_BITS or _SUM_BITS > 62:
    raise ValueError("SUM_QUOTE_MAX must be a power of two up to 2**62: sums are checked by their bits")
# Words of the message of an inner node that hold a child's hash (four from here on), claims and debt.
_LEFT, _LEFT_CLAIMS, _LEFT_DEBT = 0, 5, 7
_RIGHT, _RIGHT_CLAIMS, _RIGHT_DEBT = 8, 13, 15
_PADDING = int(PAD_FIRST | PAD_LAST)  # of 128 bytes: one word


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
    nodes = 2 * capacity
    return make_zeros((nodes, NODE_HASH_BYTES), np.uint8), make_zeros((nodes, 2), np.int64)


def _emit_read(builder: Any, base: Any, nodes: list[Any], width: int) -> list[Any]:
    """Words of 8 rows of `width` (4 or 8) words at `base`, word w of all rows in vector w."""
    vector = ir.VectorType(WORD, width)
    rows = []
    for node in nodes:
        place = builder.gep(base, [builder.mul(node, WORD(width))])
        rows.append(builder.load(builder.bitcast(place, vector.as_pointer()), align=8))
    if width < LANES:
        rows = [emit_shuffle(builder, rows[at], rows[at + width], list(range(LANES))) for at in range(width)]
    return emit_transpose(builder, rows)


def _emit_write(builder: Any, base: Any, nodes: list[Any], words: list[Any]) -> None:
    """The inverse of `_emit_read` for rows of 4 or 2 words."""
    width = len(words)
    vector = ir.VectorType(WORD, width)
    rows = emit_transpose(builder, words)
    for lane, node in enumerate(nodes):
        first = lane - lane % width
        row = emit_shuffle(builder, rows[lane % width], rows[lane % width], list(range(first, first + width)))
        place = builder.gep(base, [builder.mul(node, WORD(width))])
        builder.store(row, builder.bitcast(place, vector.as_pointer()), align=8)


def _emit_hash_group(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    hashes, sums, parents = (
        context.make_array(kind)(context, builder, value).data
        for kind, value in zip(signature.args[:3], arguments, strict=False)
    )
    nodes = [builder.load(builder.gep(parents, [builder.add(arguments[3], WORD(lane))])) for lane in range(LANES)]
    pair = _emit_read(builder, hashes, nodes, 2 * DIGEST_WORDS)
    parts = _emit_read(builder, sums, nodes, 4)
    left_claims, left_debt, right_claims, right_debt = parts
    swap_type = ir.FunctionType(VECTOR, (VECTOR,))
    swap = cgutils.get_or_insert_function(builder.module, swap_type, "llvm.bswap.v8i64")  # type: ignore[no-untyped-call]
    state = [VECTOR([0] * LANES)] * STATE_WORDS
    state[_LEFT : _LEFT + DIGEST_WORDS] = pair[:DIGEST_WORDS]
    state[_RIGHT : _RIGHT + DIGEST_WORDS] = pair[DIGEST_WORDS:]
    for word, part in zip((_LEFT_CLAIMS, _LEFT_DEBT, _RIGHT_CLAIMS, _RIGHT_DEBT), parts, strict=True):
        state[word] = builder.call(swap, (part,))
    state[RATE_WORDS - 1] = VECTOR([_PADDING] * LANES)
    mask = VECTOR([_SUM_MASK] * LANES)
    claims = builder.add(builder.and_(left_claims, mask), builder.and_(right_claims, mask))
    debt = builder.add(builder.and_(left_debt, mask), builder.and_(right_debt, mask))
    _emit_write(builder, sums, nodes, [claims, debt])
    bits = claims
    for part in (debt, *parts):
        bits = builder.or_(bits, part)
    _emit_write(builder, hashes, nodes, emit_rounds(builder, state)[:DIGEST_WORDS])
    join_type = ir.FunctionType(WORD, (VECTOR,))
    join = cgutils.get_or_insert_function(  # type: ignore[no-untyped-call]
        builder.module, join_type, "llvm.vector.reduce.or.v8i64"
    )
    return builder.call(join, (bits,))


@intrinsic
def _hash_group_vector(_typing: Any, hashes: Any, sums: Any, parents: Any, first: Any) -> Any:
    return types.int64(hashes, sums, parents, types.int64), _emit_hash_group


def _hash_group_twin(hashes: np.ndarray, sums: np.ndarray, parents: np.ndarray, first: Number) -> int:
    """Rehash inner nodes `parents[first : first + 8]`, any of them more than once; returns all bits their sums have.

    `hashes` (8C,) and `sums` (4C,) are int64 views of the tree's arrays, so that a pair of siblings is one row of 8 or
    4 words. Sums within their bound are below the mask; others are reported by their bits and need not be added right.
    """
    nodes = parents[first : first + LANES]
    pair, parts = hashes.reshape(-1, 8)[nodes].T, sums.reshape(-1, 4)[nodes].T
    words = np.zeros((STATE_WORDS, LANES), dtype=np.int64)
    words[_LEFT : _LEFT + DIGEST_WORDS] = pair[:DIGEST_WORDS]
    words[_RIGHT : _RIGHT + DIGEST_WORDS] = pair[DIGEST_WORDS:]
    words[[_LEFT_CLAIMS, _LEFT_DEBT, _RIGHT_CLAIMS, _RIGHT_DEBT]] = parts.byteswap()
    words[RATE_WORDS - 1] = _PADDING
    totals = (parts[:2] & _SUM_MASK) + (parts[2:] & _SUM_MASK)
    sums.reshape(-1, 2)[nodes] = totals.T
    permute_twin(words)
    hashes.reshape(-1, DIGEST_WORDS)[nodes] = words[:DIGEST_WORDS].T
    return int(np.bitwise_or.reduce(np.concatenate((parts, totals)), axis=None))


_hash_group: Callable[..., Any] = _hash_group_vector if IS_COMPILED else _hash_group_twin


@allocating
def _hash_level(hashes: np.ndarray, sums: np.ndarray, parents: np.ndarray, count: Number) -> np.int64:
    """Rehash the inner nodes `parents[:count]` of one level, in groups; returns all bits that their sums have.

    The last group is filled up with the last node, behind `count`.
    """
    bits = np.int64(0)
    for index in range(count, count + LANES - 1):
        parents[index] = parents[count - 1]
    for first in range(0, count, LANES):
        for index in range(first + LANES, min(first + 2 * LANES, count)):
            prefetch(hashes, parents[index] * 2 * DIGEST_WORDS)
            prefetch(sums, parents[index] * 4)
        bits |= _hash_group(hashes, sums, parents, first)
    return bits


@allocating
def _put_empty(hashes: np.ndarray, node: Number, height: Number) -> None:
    for word in range(DIGEST_WORDS):
        hashes[node * DIGEST_WORDS + word] = _EMPTY_WORDS[height, word]


@allocating
def _fill_gaps(hashes: np.ndarray, nodes: np.ndarray, count: Number, height: Number) -> None:
    """Give siblings of `nodes[:count]` that were never written the hash of an empty subtree; their sums are zero."""
    for index in range(count):
        sibling = nodes[index] ^ 1
        bits = np.int64(0)
        for word in range(DIGEST_WORDS):
            bits |= hashes[sibling * DIGEST_WORDS + word]
        if bits == 0:
            _put_empty(hashes, sibling, height)


@allocating
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
    `leaf_count` (not checked). When `leaf_count` has fallen, the last leaf must be among them. After False the nodes
    above the broken sum mean nothing.
    """
    capacity = node_hashes.shape[0] // 2
    hashes, sums = node_hashes.reshape(-1).view(np.int64), node_sums.reshape(-1)
    count = np.int64(dirty_leaves.shape[0])
    nodes = np.empty(count + LANES, dtype=np.int64)
    for index in range(count):
        nodes[index] = capacity + dirty_leaves[index]
    bits = np.int64(0)
    height = 0
    while count > 0 and nodes[0] > 1:
        last = (capacity + leaf_count - 1) >> height
        if last & 1 == 0:
            _put_empty(hashes, last + 1, height)
            sums[(last + 1) * 2] = 0
            sums[(last + 1) * 2 + 1] = 0
        _fill_gaps(hashes, nodes, count, height)
        count = _climb(nodes, count)
        bits |= _hash_level(hashes, sums, nodes, count)
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
        node = (capacity >> height) + sibling
        if sibling << height < leaf_count and node_hashes[node].any():
            hashes.append(node_hashes[node].tobytes())
            sums.append(encode_sums(*(int(part) for part in node_sums[node])))
        else:
            hashes.append(EMPTY_HASHES[height])
            sums.append(bytes(NODE_HASH_BYTES))
    return tuple(hashes), tuple(sums)
