"""What a node lets go of: blocks, batches, results and trades below the newest `keep_blocks` of config.toml.

Whatever the number, these stay: what somebody needs who begins with one of our snapshots (that block and all above it),
what is not below a final checkpoint of the settlement chain together with a snapshot below that checkpoint, so that any
newer header can be proven from this disk (`hansa claims write`), and the blocks that ended epochs, on which every later
committee rests. Withdrawals, answers of the inbox, sums of minutes, evidence and claims files are no part of a block's
rows and stay, too. What goes takes along the certificates of those blocks, halves of proofs that might be wanted.

A little goes with each step, in the transaction of the next blocks, so that nobody waits for it. The file does not
shrink: its free pages are used for what comes.
"""

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from consensus.messages import Block, decode_message
from engine.payload import Payload
from validator.clocks import Clocks
from validator.history import first_place
from validator.store import Store

if TYPE_CHECKING:
    from validator.node import Node

log = logging.getLogger("hansa.pruning")

STEP_S = 2.0
# A network makes some twenty blocks a second at most.
BLOCKS_A_STEP = 200
_EPOCH_ENDS = "SELECT height FROM seals"
_OLD_SQL = f"SELECT height, block FROM blocks WHERE height<? AND height NOT IN ({_EPOCH_ENDS}) ORDER BY height LIMIT ?"
_PLACED = ("results", "fills", "closed_orders")  # their rows are named by place


def compute_floor(head_height: int, keep_blocks: int, snapshot_heights: Iterable[int], onchain_height: int) -> int:
    """The lowest height whose block must stay; 0: all. Without a snapshot nothing goes."""
    lowest_snapshot = min(snapshot_heights, default=0)
    if not keep_blocks:
        return 0
    return max(0, min(head_height - keep_blocks + 1, lowest_snapshot, onchain_height))


def list_snapshots(folder: Path) -> list[int]:
    """Heights of the snapshots on the disk."""
    return [int(path.stem) for path in folder.glob("*.snapshot")]


def find_provable(folder: Path, onchain_height: int) -> frozenset[int]:
    """The newest snapshot from which the last checkpoint's successors can be proven: it must not be deleted."""
    below = [height for height in list_snapshots(folder) if height <= onchain_height]
    return frozenset((max(below),)) if below else frozenset()


def prune(store: Store, floor_height: int, limit: int = BLOCKS_A_STEP) -> int:
    """Let go of the lowest blocks below a height, at most `limit`, with what belongs to them; how many went. Durable
    with the store's next sync; a crash before that has them all again.
    """
    old = store.rows(_OLD_SQL, (floor_height, limit))
    if not old:
        return 0
    hashes = [(ref[2],) for _, data in old for ref in _read_payload(data).batch_refs]
    store.write("DELETE FROM batch_data WHERE id IN (SELECT id FROM batches WHERE hash=?)", hashes)
    store.write("DELETE FROM batches WHERE hash=?", hashes)
    store.write("DELETE FROM blocks WHERE height=?", [(height,) for height, _ in old])
    for table in _PLACED:
        store.write(f"DELETE FROM {table} WHERE id<?", [(first_place(old[-1][0] + 1),)])
    return len(old)


def _read_payload(data: bytes) -> Payload:
    block = decode_message(data)
    if not isinstance(block, Block):
        raise TypeError("the block store holds something that is no block")
    return Payload.decode(block.payload)


async def keep_disk_small(node: "Node", clocks: Clocks) -> None:
    """For ever: short write-ahead log, and no more blocks than wanted."""
    while True:
        await trio.sleep(STEP_S)
        if node.config.keep_blocks:
            floor_height = compute_floor(
                node.executor.final.height, node.config.keep_blocks,
                (*list_snapshots(node.home.data / "snapshots"), *node.shelf.pinned(clocks.monotonic_ms())),
                node.settling.on_chain.height,
            )  # fmt: skip
            if count := prune(node.store, floor_height):
                node.ledger.history.index.forget_before(first_place(floor_height))
                log.debug("store.pruned blocks=%d below=%d", count, floor_height)
        await trio.to_thread.run_sync(node.store.checkpoint)
