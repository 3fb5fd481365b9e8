"""The node's store in memory: the same answers as SQLite's, and what was not synced is gone after a crash."""

import errno
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from consensus.messages import Block, Certificate, Evidence, decode_message
from engine.state import EngineState
from validator.roster import Seats
from validator.store import RECENT_BLOCKS, CaseRow, FinalBlock, Seal, Store

SNAPSHOTS_KEPT = 3


class MemoryStore(Store):
    """Survives its node. `on_effect` is called before every write and sync; a crash may come from there."""

    def __init__(self) -> None:
        self.on_effect: Callable[[], None] = lambda: None
        self.on_wait: Callable[[], None] = lambda: None
        self.on_evidence: Callable[[Evidence], None] = lambda evidence: None
        self.fails = False
        self.wipe()

    def wipe(self) -> None:
        """A new, empty disk."""
        self.snapshots: list[EngineState] = []
        self.chunks: dict[tuple[bytes, int], bytes] = {}  # of a snapshot that is being fetched
        self.offered: dict[tuple[bytes, int], bytes] = {}  # of one that others fetch
        self._first_height = 1
        self._finals: list[FinalBlock] = []  # by height, from the first
        self._final_heights: dict[bytes, int] = {}
        self._batches: dict[bytes, tuple[int, int, bytes]] = {}  # by hash: author, sequence, encoded
        self._unplaced: dict[tuple[int, int, bytes], None] = {}
        self._cases: dict[bytes, bytes] = {}  # evidence -> its key
        self._seals: dict[int, Seal] = {}
        self._seats: dict[int, Seats] = {}
        self._undo: list[Callable[[], object]] = []

    def close(self) -> None:
        self.commit()
        self.sync()

    def commit(self) -> None:
        if self._undo:
            self.on_effect()
            if self.fails:
                raise sqlite3.OperationalError("disk I/O error")

    @property
    def is_synced(self) -> bool:
        return not self._undo

    def sync(self) -> None:
        if not self._undo:
            return
        self.on_effect()
        self.on_wait()
        if self.fails:
            raise OSError(errno.EIO, "the disk failed")
        self._undo = []

    def _write(self, sql: str, rows: Sequence[tuple[object, ...]]) -> None:
        """Everything that no part of a simulated node reads back."""
        self.on_effect()

    def crash(self) -> bool:
        """True when something was lost."""
        undo, self._undo = self._undo, []
        for step in reversed(undo):
            step()
        return bool(undo)

    def keep_snapshot(self, state: EngineState) -> None:
        """Durable at once."""
        self.snapshots = [state, *self.snapshots][:SNAPSHOTS_KEPT]

    def adopt(self, block: Block, certificate: Certificate, state: EngineState) -> None:
        """A fetched state and its block; nothing is known of what lies below. Durable at once."""
        self.snapshots, self.chunks = [state], {}
        self._first_height = block.header.height
        self._finals = [FinalBlock(block, certificate, True)]
        self._final_heights = {block.hash(): block.header.height}

    # blocks

    def recent(self, block_hash: bytes) -> Block | None:
        height = self._final_heights.get(block_hash, 0)
        is_recent = height > max(0, self.height() - RECENT_BLOCKS)
        return self._finals[height - self._first_height].block if is_recent else None

    def put_final(self, block: Block, certificate: Certificate) -> None:
        self.on_effect()
        block_hash, height = block.hash(), block.header.height
        if height <= self.height():
            return  # replayed
        assert height == self.height() + 1
        self._finals.append(FinalBlock(block, certificate, certificate.header_hash == block_hash))
        self._final_heights[block_hash] = height

        def undo() -> None:
            self._finals.pop()
            del self._final_heights[block_hash]

        self._undo.append(undo)

    def final(self, height: int) -> FinalBlock | None:
        at = height - self._first_height
        return self._finals[at] if 0 <= at < len(self._finals) else None

    def finals(self, from_height: int, limit: int) -> Iterator[FinalBlock]:
        first = max(from_height - self._first_height, 0)
        return iter(self._finals[first : first + max(limit, 0)])

    def newest_direct(self, up_to_height: int | None = None, step: int = 1) -> FinalBlock | None:
        count = len(self._finals) if up_to_height is None else max(up_to_height + 1 - self._first_height, 0)
        known = self._finals[:count]
        return next(
            (final for final in reversed(known) if final.is_direct and final.block.header.height % step == 0), None
        )

    def height(self) -> int:
        return self._first_height - 1 + len(self._finals)

    # epochs

    def put_seal(self, epoch: int, seal: Seal) -> None:
        self.on_effect()
        if epoch not in self._seals:
            self._seals[epoch] = seal
            self._undo.append(partial(self._seals.pop, epoch, None))

    def seal(self, epoch: int) -> Seal | None:
        return self._seals.get(epoch)

    def sealed_epochs(self) -> list[int]:
        return sorted(self._seals, reverse=True)

    def put_seats(self, seats: Seats) -> None:
        self.on_effect()
        if seats.epoch not in self._seats:
            self._seats[seats.epoch] = seats
            self._undo.append(partial(self._seats.pop, seats.epoch, None))

    def seats(self) -> list[Seats]:
        return [self._seats[epoch] for epoch in sorted(self._seats)]

    # batches

    def put_batch(self, batch_hash: bytes, author: int, sequence: int, data: bytes) -> None:
        self.on_effect()
        if batch_hash in self._batches:
            return
        self._batches[batch_hash] = (author, sequence, data)
        self._unplaced[author, sequence, batch_hash] = None

        def undo() -> None:
            self._batches.pop(batch_hash, None)
            self._unplaced.pop((author, sequence, batch_hash), None)

        self._undo.append(undo)

    def batch(self, batch_hash: bytes) -> bytes | None:
        known = self._batches.get(batch_hash)
        return None if known is None else known[2]

    def unplaced_batches(self) -> list[bytes]:
        return [self._batches[batch_hash][2] for _, _, batch_hash in sorted(self._unplaced)]

    def place_batches(self, batch_hashes: list[bytes], height: int) -> None:
        self.on_effect()
        for batch_hash in batch_hashes:
            known = self._batches.get(batch_hash)
            if known is not None:
                self._displace((known[0], known[1], batch_hash))

    def drop_unplaced(self, author: int, through_sequence: int) -> None:
        self.on_effect()
        for key in [key for key in self._unplaced if key[0] == author and key[1] <= through_sequence]:
            self._displace(key)
            self._undo.append(partial(self._batches.__setitem__, key[2], self._batches.pop(key[2])))

    def _displace(self, key: tuple[int, int, bytes]) -> None:
        if key in self._unplaced:
            del self._unplaced[key]
            self._undo.append(partial(self._unplaced.__setitem__, key, None))

    # evidence

    def put_nullification(self, data: bytes) -> None:
        """Kept for searches after the fact, which no simulated node makes."""

    def put_evidence(self, key: bytes, data: bytes) -> None:
        self.on_effect()
        evidence = decode_message(data)
        assert isinstance(evidence, Evidence)
        self.on_evidence(evidence)
        if data not in self._cases:
            self._cases[data] = key
            self._undo.append(partial(self._cases.pop, data, None))

    def evidence(self) -> list[CaseRow]:
        return [(key, data, None) for data, key in self._cases.items()]
