"""How fast the account tree follows its leaves: `python -m tests.engine.bench --only root`.

One million accounts, of which 1,000 or 10,000 random ones change; figures are the time to rehash everything above the
changed leaves. The baseline does the same work one node at a time, `sha3` called from Python. Thread CPU time, variants
interleaved, medians; both must have the same root, or the figures mean nothing.

Leaves come before the tree: 10,000 of 100,000 accounts with 64 nonces, two positions and three orders each, against the
same messages built and hashed in Python (extrapolated from a sample, which must have the same leaves).
"""

import statistics
import time
from collections.abc import Callable

import numpy as np
import sha3

from engine.leaves import hash_leaves
from engine.limits import TREE_DEPTH
from engine.orderbook import make_orderbook
from engine.sumtree import EMPTY_HASHES, compute_root, make_nodes, update_tree
from engine.tables import ACCOUNT, DETAIL, DIRTY_AUX, DIRTY_LEAF, POSITION, Tables
from tests.engine.bench_row import Row, report, require_equal
from tests.engine.test_leaves import empty_tables, link, plain_leaf

ACCOUNTS = 1_000_000
CAPACITY = 1 << TREE_DEPTH
TARGETS_MS = {1_000: 2.0, 10_000: 10.0}
LEAF_ACCOUNTS, LEAVES_CHANGED, SAMPLE = 100_000, 10_000, 200
# The tree's budget of 10,000 leaves again, and twice that when nonces or orders changed too.
LEAF_TARGETS_MS = {"leaves, 10,000 changed holdings": 10.0, "leaves, 10,000 changed nonces and orders too": 20.0}
ROUNDS_MIN = 11


class PythonTree:
    """Nodes of 64 bytes (hash and sums as they are hashed) in one array of bytes; one call of `sha3` a node."""

    def __init__(self) -> None:
        self.nodes = bytearray(2 * CAPACITY * 64)

    def load(self, node_hashes: np.ndarray, node_sums: np.ndarray) -> None:
        view = np.frombuffer(self.nodes, dtype=np.uint8).reshape(-1, 64)
        view[:, :32] = node_hashes
        view[:, 40:48] = node_sums[:, 0].astype(">i8").view(np.uint8).reshape(-1, 8)
        view[:, 56:64] = node_sums[:, 1].astype(">i8").view(np.uint8).reshape(-1, 8)
        for height in range(TREE_DEPTH):
            last = CAPACITY + ACCOUNTS - 1 >> height
            if last % 2 == 0:
                view[last + 1] = np.frombuffer(EMPTY_HASHES[height] + bytes(32), dtype=np.uint8)

    def put(self, leaves: np.ndarray, hashes: np.ndarray, claims: np.ndarray) -> None:
        view = np.frombuffer(self.nodes, dtype=np.uint8).reshape(-1, 64)
        view[CAPACITY + leaves, :32] = hashes
        view[CAPACITY + leaves, 40:48] = claims.astype(">i8").view(np.uint8).reshape(-1, 8)

    def update(self, dirty: list[int]) -> None:
        nodes, keccak = self.nodes, sha3.keccak_256
        row = [CAPACITY + leaf for leaf in dirty]
        while row[0] > 1:
            row = list(dict.fromkeys(node >> 1 for node in row))
            for node in row:
                message = nodes[node * 128 : node * 128 + 128]
                claims = int.from_bytes(message[32:48], "big") + int.from_bytes(message[96:112], "big")
                debt = int.from_bytes(message[48:64], "big") + int.from_bytes(message[112:128], "big")
                nodes[node * 64 : node * 64 + 64] = (
                    keccak(message).digest() + claims.to_bytes(16, "big") + debt.to_bytes(16, "big")
                )

    def root(self) -> tuple[bytes, bytes]:
        return bytes(self.nodes[64:96]), bytes(self.nodes[96:128])


def measure_ms(action: Callable[[], object]) -> float:
    started = time.thread_time_ns()
    action()
    return (time.thread_time_ns() - started) / 1e6


def make_trees(draw: np.random.Generator) -> tuple[tuple, PythonTree]:
    """Two trees of the same million leaves."""
    hashes, sums = make_nodes(CAPACITY)
    hashes[CAPACITY : CAPACITY + ACCOUNTS] = draw.integers(0, 256, (ACCOUNTS, 32), dtype=np.uint8)
    sums[CAPACITY : CAPACITY + ACCOUNTS, 0] = draw.integers(0, 1 << 40, ACCOUNTS)
    update_tree(hashes, sums, np.arange(ACCOUNTS), ACCOUNTS)
    plain = PythonTree()
    plain.load(hashes, sums)
    return (hashes, sums), plain


def measure(count: int, rounds: int, trees: tuple, draw: np.random.Generator) -> dict[str, list[float]]:
    """Milliseconds of each variant in each round, forwards and backwards in turn."""
    lanes, plain = trees
    taken: dict[str, list[float]] = {"lanes": [], "sha3": []}
    for number in range(rounds + 1):
        dirty = np.sort(draw.choice(ACCOUNTS, count, replace=False))
        hashes, claims = draw.integers(0, 256, (count, 32), dtype=np.uint8), draw.integers(0, 1 << 40, count)
        lanes[0][CAPACITY + dirty], lanes[1][CAPACITY + dirty, 0] = hashes, claims
        plain.put(dirty, hashes, claims)
        listed = dirty.tolist()
        variants = [
            ("lanes", lambda: update_tree(*lanes, dirty, ACCOUNTS)),  # noqa: B023
            ("sha3", lambda: plain.update(listed)),  # noqa: B023
        ]
        for name, action in variants[:: -1 if number % 2 else 1]:
            took_ms = measure_ms(action)
            if number:  # the first round compiles
                taken[name].append(took_ms)
        require_equal("root of the account tree", compute_root(*lanes, ACCOUNTS), plain.root())
    return taken


def run_tree(rounds: int) -> list[Row]:
    draw = np.random.default_rng(7)
    trees = make_trees(draw)
    rows = []
    for count, target_ms in TARGETS_MS.items():
        taken = measure(count, max(rounds, ROUNDS_MIN), trees, draw)
        figure_ms = statistics.median(taken["lanes"])
        ratio = statistics.median(slow / fast for slow, fast in zip(taken["sha3"], taken["lanes"], strict=True))
        digest, what = (
            compute_root(*trees[0], ACCOUNTS)[0].hex()[:16],
            f"Merkle-sum root, {count:,} of 1M leaves changed",
        )
        rows.append(Row(what, figure_ms, "ms", target_ms, ratio, "one call of sha3 a node", digest))
    return rows


def make_accounts(draw: np.random.Generator) -> Tables:
    """Accounts whose positions and orders lie in random rows."""
    count = LEAF_ACCOUNTS
    node_hashes, node_sums = make_nodes(1 << 17)
    tables = empty_tables()._replace(
        accounts=np.zeros(count, ACCOUNT), nonces=draw.integers(0, 1 << 60, (count, 64)),
        client_ids=draw.integers(0, 1 << 60, (count, 16)), positions=np.zeros(2 * count + 1, POSITION),
        details=np.zeros(3 * count + 1, DETAIL), orderbook=make_orderbook(1, 3 * count + 1, 1, 8),
        aux_digests=np.zeros((count, 32), np.uint8), node_hashes=node_hashes, node_sums=node_sums,
    )  # fmt: skip
    tables.positions["lots"], tables.positions["market"] = 5, draw.integers(0, 50, 2 * count + 1)
    positions = draw.permutation(np.arange(1, 2 * count + 1)).reshape(-1, 2).tolist()
    orders = draw.permutation(np.arange(1, 3 * count + 1)).reshape(-1, 3).tolist()
    for account in range(count):
        row = tables.accounts[account]
        row["nonce_count"] = 64
        row["position_first"] = link(tables.positions, positions[account])
        row["order_first"] = link(tables.details, orders[account], "own_next")
    return tables


def run_leaves(rounds: int) -> list[Row]:
    draw = np.random.default_rng(8)
    tables = make_accounts(draw)
    everyone = np.arange(LEAF_ACCOUNTS)
    tables.accounts["dirty"] = DIRTY_LEAF | DIRTY_AUX
    hash_leaves(tables, everyone, everyone)
    rows = []
    for (name, target_ms), mark in zip(LEAF_TARGETS_MS.items(), (DIRTY_LEAF, DIRTY_LEAF | DIRTY_AUX), strict=True):
        fast_ms, ratios = [], []
        for _ in range(max(rounds, ROUNDS_MIN)):
            dirty = np.sort(draw.choice(LEAF_ACCOUNTS, LEAVES_CHANGED, replace=False))
            claims = draw.integers(-(1 << 40), 1 << 40, LEAVES_CHANGED)
            tables.accounts["dirty"][dirty] = mark
            fast_ms.append(measure_ms(lambda: hash_leaves(tables, dirty, claims)))  # noqa: B023
            sample = [
                (int(dirty[at]), int(claims[at]), None if mark & DIRTY_AUX else tables.aux_digests[dirty[at]].tobytes())
                for at in range(0, LEAVES_CHANGED, LEAVES_CHANGED // SAMPLE)
            ]
            leaves: list[bytes] = []
            slow_ms = measure_ms(lambda: leaves.extend(plain_leaf(tables, *item) for item in sample))  # noqa: B023
            ratios.append(slow_ms * LEAVES_CHANGED / SAMPLE / fast_ms[-1])
            capacity = len(tables.node_hashes) // 2
            require_equal(
                "leaves", leaves, [tables.node_hashes[capacity + account].tobytes() for account, *_ in sample]
            )
        rows.append(Row(name, statistics.median(fast_ms), "ms", target_ms, statistics.median(ratios), "plain Python"))
    return rows


def run(rounds: int) -> list[Row]:
    """Two rows of the tree, two of its leaves."""
    report("root: trees of a million accounts")
    return run_tree(rounds) + run_leaves(rounds)
