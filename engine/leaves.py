"""The account tree's arithmetic in kernels: leaves of changed accounts, then every inner node above them, level by
level.

`node_hashes` and `node_sums` hold a binary tree over the table's capacity C: node 1 is its top, node i has the
children 2i and 2i + 1, account a is node C + a. `engine.tree` says what is hashed and continues to the full depth.
"""

import numpy as np
from numba import njit

from engine.keccak import keccak_into, put_bytes, put_number
from engine.layout import (
    ACCOUNT_COUNT,
    BALANCE,
    DIRTY,
    DIRTY_NONCES,
    KEY_A,
    KEY_B,
    KEY_C,
    NONCE_COUNT,
    POSITION_COUNT,
    POSITION_LOTS,
    ZERO,
    Number,
    Tables,
    typed_constants,
)
from engine.limits import NONCES_REMEMBERED, SUM_QUOTE_MAX
from engine.margin import compute_equity
from engine.payload import MARKETS_MAX

# Room for the longest message (holdings: 8 + 12 per market; aux: 8 per nonce) and its padding.
BUFFER_BYTES = 136 * (max(8 + 12 * MARKETS_MAX + 64, 8 * NONCES_REMEMBERED) // 136 + 2)

NARROW, WIDE, HALF_WORD, KEY_WIDTH, WORD = typed_constants(4, 8, 16, 20, 32)  # bytes
(LEAF_TAG,) = typed_constants(1)


@njit(cache=True)
def write_holdings(tables: Tables, account: Number, buffer: np.ndarray) -> Number:
    """Balance (8 B BE), then market (4 B BE) and size (8 B BE) of each position, ascending; returns the length."""
    at = put_number(buffer, ZERO, tables.accounts[account, BALANCE], WIDE)
    for market in range(tables.markets.shape[0]):
        size_lots = tables.positions[account, market, POSITION_LOTS]
        if size_lots != 0:
            at = put_number(buffer, at, market, NARROW)
            at = put_number(buffer, at, size_lots, WIDE)
    return at


@njit(cache=True)
def _hash_aux(tables: Tables, account: Number, buffer: np.ndarray) -> None:
    at: Number = ZERO
    for index in range(tables.accounts[account, NONCE_COUNT]):
        at = put_number(buffer, at, tables.nonces[account, index], WIDE)
    keccak_into(buffer, at, tables.aux_digests[account])


@njit(cache=True)
def _hash_leaf(tables: Tables, account: Number, buffer: np.ndarray, digest: np.ndarray) -> None:
    """Recompute one leaf: hash and sums of node `capacity + account`."""
    owner = tables.accounts[account]
    if owner[DIRTY] & DIRTY_NONCES:
        _hash_aux(tables, account, buffer)
    equity_quote = compute_equity(tables, account)
    node = tables.accounts.shape[0] + account
    tables.node_sums[node, 0] = max(equity_quote, 0)
    tables.node_sums[node, 1] = max(-equity_quote, 0)
    at = write_holdings(tables, account, buffer)
    at = put_bytes(buffer, at, tables.aux_digests[account])
    keccak_into(buffer, at, digest)
    at = put_number(buffer, ZERO, LEAF_TAG, WORD)
    at = put_number(buffer, at, account, WORD)
    at = put_number(buffer, at, ZERO, WORD - KEY_WIDTH)
    at = put_number(buffer, at, owner[KEY_A], WIDE)
    at = put_number(buffer, at, owner[KEY_B], WIDE)
    at = put_number(buffer, at, owner[KEY_C] >> 32, NARROW)
    at = put_number(buffer, at, owner[KEY_C] & 0xFFFFFFFF, WORD)
    at = put_number(buffer, at, tables.node_sums[node, 0], HALF_WORD)
    at = put_number(buffer, at, tables.node_sums[node, 1], HALF_WORD)
    at = put_bytes(buffer, at, digest)
    keccak_into(buffer, at, tables.node_hashes[node])
    owner[DIRTY] = 0


@njit(cache=True)
def _hash_inner(tables: Tables, node: Number, buffer: np.ndarray) -> bool:
    """Recompute one inner node; False when a sum leaves its bound."""
    left, right = 2 * node, 2 * node + 1
    sums = tables.node_sums
    at: Number = ZERO
    for child in (left, right):
        at = put_bytes(buffer, at, tables.node_hashes[child])
        for part in range(2):
            at = put_number(buffer, at, sums[child, part], HALF_WORD)
    keccak_into(buffer, at, tables.node_hashes[node])
    sums[node, 0] = sums[left, 0] + sums[right, 0]
    sums[node, 1] = sums[left, 1] + sums[right, 1]
    return sums[node, 0] < SUM_QUOTE_MAX and sums[node, 1] < SUM_QUOTE_MAX


@njit(cache=True)
def update_tree(tables: Tables, have_marks_changed: bool) -> bool:
    """Rehash every marked account, with new marks also every account with positions; False when a sum is out of bounds.

    Sums of two children are below 2**62 each, so checking after each addition is enough.
    """
    buffer = np.zeros(BUFFER_BYTES, dtype=np.uint8)
    digest = np.zeros(32, dtype=np.uint8)
    capacity = tables.accounts.shape[0]
    nodes = np.empty(tables.counters[ACCOUNT_COUNT], dtype=np.int64)
    count = 0
    for account in range(tables.counters[ACCOUNT_COUNT]):
        owner = tables.accounts[account]
        if owner[DIRTY] != 0 or (have_marks_changed and owner[POSITION_COUNT] != 0):
            _hash_leaf(tables, account, buffer, digest)
            nodes[count] = capacity + account
            count += 1
    is_bounded = True
    while count > 0 and nodes[0] > 1:
        parents = 0
        for index in range(count):
            parent = nodes[index] // 2
            if parents == 0 or nodes[parents - 1] != parent:
                is_bounded = _hash_inner(tables, parent, buffer) and is_bounded
                nodes[parents] = parent
                parents += 1
        count = parents
    return is_bounded


@njit(cache=True)
def build_empty_nodes(tables: Tables) -> None:
    """Hash every inner node of a tree whose leaves are all absent, for a table of new capacity."""
    buffer = np.zeros(BUFFER_BYTES, dtype=np.uint8)
    for node in range(tables.accounts.shape[0] - 1, 0, -1):
        _hash_inner(tables, node, buffer)
