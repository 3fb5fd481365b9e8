"""Finalised blocks, their batches and results in SQLite, and the batches that we hold but that are not final yet. The
blocks we voted for are in the journal until they are final.

One writer, the node's loop. `commit` then `sync` is a barrier: what was put before survives a crash, and the node
passes it before a vote that depends on the data leaves. `commit` only hands the data to the system; `sync` and
`checkpoint` wait for the disk and may run in other threads.
"""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cbor2
import numpy as np

from consensus.messages import Block, Certificate, decode_message, encode_message
from engine.payload import Batch, InboxEntry
from validator.roster import Seats
from validator.schema import SCHEMA, SCHEMA_VERSION

MINUTE_MS = 60_000
# Evidence of a fork may be wanted long after the journal has dropped its half: two weeks of a committee in which every
# other view is given up, about 150 bytes each.
NULLIFICATIONS_MAX = 2_000_000
# More than agreement looks back (`CoreConfig.retain_views`), and little enough to look through.
RECENT_BLOCKS = 256
EARLY_BYTES = 64 * 1024
RECENT_QUERY = "SELECT block FROM blocks WHERE height > (SELECT MAX(height) FROM blocks) - ? AND hash=?"
OWN_WITHDRAWALS_MAX = 1_000
# Results and trades of a block are numbered from its height, so that all nodes give a trade the same number. Rows hold
# so many of them, named by the first.
PLACE_BITS = 20
CHUNK_ROWS = 512
# Twice SQLite's own: a third less CPU for what full blocks write, a fifth more for what empty ones do.
PAGE_BYTES = 8192


# Rows as their tables' columns.
# market, minute, lots, highest, lowest price_ticks, sum of price x size, last trade
MinuteRow = tuple[int, int, int, int, int, int, int]
# index, height, time_ms, account, owner, amount (units of the asset's token), asset
WithdrawalRow = tuple[int, int, int, int, bytes, int, int]

# index of the inbox entry, height, time_ms, owner, code, number of the notice, the entry in CBOR
AnswerRow = tuple[int, int, int, bytes, int, int, bytes]

CaseRow = tuple[bytes, bytes, bytes | None]  # key, evidence, hash of the transaction that brought it to the contract


@dataclass(frozen=True, slots=True)
class ChainSeen:
    """Up to its finalised block `block` the settlement chain has `entry_count` inbox entries, and the last checkpoint
    is of `height`.
    """

    block: int
    entry_count: int
    height: int
    header_hash: bytes


NOTHING_SEEN = ChainSeen(0, 0, 0, b"")


class Chunk(NamedTuple):
    """Results or trades of one block that follow each other: place of the first, the rows, and of results the ids of
    their commands, (n, 32) uint8.
    """

    first: int
    time_ms: int
    rows: np.ndarray
    ids: np.ndarray


class IndexPage(NamedTuple):
    """A sorted part of the index of commands, see `command_index`: all entries up to `last_place` are in pages."""

    page_id: int  # 0 before it is written
    level: int
    slice: int
    last_place: int
    keys: np.ndarray
    places: np.ndarray


class StoreError(sqlite3.OperationalError):
    """The data on the disk is of no use to this program; the message says what to do."""


@dataclass(frozen=True, slots=True)
class FinalBlock:
    """A finalised block with the certificate that covers it (its own, or a descendant's)."""

    block: Block
    certificate: Certificate
    is_direct: bool


@dataclass(frozen=True, slots=True)
class Seal:
    """What proves that the block at `height` ended its epoch: it or the last of the trailing blocks is certified."""

    height: int
    certificate: Certificate
    trailing: tuple[Block, ...]


class Store:
    """See the module's text."""

    def __init__(self, path: Path, is_read_only: bool = False, is_mirror: bool = False) -> None:
        """Read-only beside the node that writes; raises `sqlite3.OperationalError` if there is nothing to read then.
        Raises `StoreError` for data of another version. `is_mirror`: read-only for who follows that node and works out
        again what it has written: what is put is there already, and dropped.
        """
        self.is_mirror = is_mirror
        self._is_open = False
        self._is_synced = True
        self._batch_bytes = 0  # put since the last commit
        self._log: int | None = None
        if is_read_only or is_mirror:
            self._db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
            check_version(self._db, path)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._path = path
        self._db.execute(f"PRAGMA page_size={PAGE_BYTES}")
        self._db.execute("PRAGMA journal_mode=WAL")
        # The log is synced by `sync`, after each commit and before anything leaves, so SQLite need not.
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute("PRAGMA wal_autocheckpoint=0")
        check_version(self._db, path)
        self._db.executescript(f"{SCHEMA}PRAGMA user_version={SCHEMA_VERSION};")

    def close(self) -> None:
        self.commit()
        self.sync()
        self._db.close()
        if self._log is not None:
            os.close(self._log)

    def commit(self) -> None:
        """Write out everything put so far; durable after the next `sync`."""
        if self._is_open:
            self._db.execute("COMMIT")
            self._is_open, self._is_synced = False, False
            self._batch_bytes = 0

    def commit_early(self) -> None:
        """Write out batches while nothing waits for it, if there are enough of them: a vote that needs them durable
        then has less to write.
        """
        if self._batch_bytes >= EARLY_BYTES:
            self.commit()

    @property
    def is_synced(self) -> bool:
        """Whether everything committed is durable."""
        return self._is_synced

    def sync(self) -> None:
        """Everything committed survives a crash when this returns. The write-ahead log is all there is to sync: its
        frames carry checksums, and after a crash it counts as far as they hold.
        """
        if not self._is_synced:
            os.fdatasync(self.descriptor)
            self.on_synced(None)

    @property
    def descriptor(self) -> int:
        """Of the write-ahead log, whose name is durable, too."""
        if self._log is None:
            self._log = os.open(f"{self._path}-wal", os.O_RDWR)
            folder = os.open(self._path.parent, os.O_RDONLY)
            os.fsync(folder)
            os.close(folder)
        return self._log

    def on_synced(self, error: OSError | None) -> None:
        """The disk has answered to a sync of all that was committed. Raises `OSError`."""
        if error is not None:
            raise error
        self._is_synced = True

    def checkpoint(self) -> None:
        """Move what the log holds into the database, as far as nobody is in the way, so that the log stays short."""
        with closing(sqlite3.connect(self._path, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)")

    @contextmanager
    def at_one_moment(self) -> Iterator[None]:
        """All that is read inside is of one moment, whatever another process writes meanwhile."""
        if self.is_mirror:
            self._db.execute("BEGIN")
        try:
            yield
        finally:
            if self.is_mirror:
                self._db.execute("COMMIT")

    def _write(self, sql: str, rows: Sequence[tuple[object, ...]]) -> None:
        if self.is_mirror:
            return
        if not self._is_open:
            self._db.execute("BEGIN")
            self._is_open = True
        self._db.executemany(sql, rows)

    def extend(self, schema: str) -> None:
        """More tables, of somebody who writes with `write`; where they are there already nothing happens."""
        self.commit()
        self._db.executescript(schema)

    def write(self, sql: str, rows: Sequence[tuple[object, ...]]) -> None:
        """Puts rows into tables that came by `extend`, with the block that is being stored."""
        self._write(sql, rows)

    def rows(self, sql: str, values: Sequence[object] | dict[str, object] = ()) -> list[Any]:
        return self._db.execute(sql, values).fetchall()

    # blocks

    def recent(self, block_hash: bytes) -> Block | None:
        """One of the last `RECENT_BLOCKS` final blocks, by hash: who lacks an older one asks for a range."""
        row = self._db.execute(RECENT_QUERY, (RECENT_BLOCKS, block_hash)).fetchone()
        return None if row is None else _decode_block(row[0])

    def put_final(self, block: Block, certificate: Certificate) -> None:
        block_hash, height = block.hash(), block.header.height
        is_direct = certificate.header_hash == block_hash
        row = (height, block_hash, encode_message(block), encode_message(certificate), int(is_direct))
        self._write("INSERT OR REPLACE INTO blocks VALUES (?,?,?,?,?)", [row])

    def final(self, height: int) -> FinalBlock | None:
        row = self._db.execute("SELECT block, certificate, is_direct FROM blocks WHERE height=?", (height,)).fetchone()
        return None if row is None else _final(row)

    def finals(self, from_height: int, limit: int) -> Iterator[FinalBlock]:
        rows = self._db.execute(
            "SELECT block, certificate, is_direct FROM blocks WHERE height>=? ORDER BY height LIMIT ?",
            (from_height, limit),
        )
        for row in rows.fetchall():
            yield _final(row)

    def direct_certificates(self, count: int) -> list[tuple[int, Certificate]]:
        """Heights and certificates of the newest blocks that have one of their own, ascending."""
        rows = self._db.execute(
            "SELECT height, certificate FROM blocks WHERE is_direct=1 ORDER BY height DESC LIMIT ?", (count,)
        ).fetchall()
        return [(height, _decode_certificate(data)) for height, data in reversed(rows)]

    def newest_direct(self, up_to_height: int | None = None, step: int = 1) -> FinalBlock | None:
        """The highest block (at most `up_to_height`, a multiple of `step`) that a certificate of its own finalises."""
        bound = (1 << 62) if up_to_height is None else up_to_height
        row = self._db.execute(
            "SELECT block, certificate, is_direct FROM blocks WHERE is_direct=1 AND height<=? AND height%?=0 "
            "ORDER BY height DESC LIMIT 1",
            (bound, step),
        ).fetchone()
        return None if row is None else _final(row)

    def height(self) -> int:
        height: int = self._db.execute("SELECT COALESCE(MAX(height), 0) FROM blocks").fetchone()[0]
        return height

    def earliest_height(self) -> int:
        """Of the first block that is still here; 0 without any. Those that ended epochs stay for ever, and do not
        count.
        """
        sql = "SELECT height FROM blocks WHERE height NOT IN (SELECT height FROM seals) ORDER BY height LIMIT 1"
        row = self._db.execute(sql).fetchone()
        return 0 if row is None else int(row[0])

    # epochs

    def put_seal(self, epoch: int, seal: Seal) -> None:
        """EP5: the epoch is over."""
        trailing = cbor2.dumps([encode_message(block) for block in seal.trailing])
        row = (epoch, seal.height, encode_message(seal.certificate), trailing)
        self._write("INSERT OR REPLACE INTO seals VALUES (?,?,?,?)", [row])

    def seal(self, epoch: int) -> Seal | None:
        sql = "SELECT height, certificate, trailing FROM seals WHERE epoch=?"
        row = self._db.execute(sql, (epoch,)).fetchone()
        if row is None:
            return None
        return Seal(row[0], _decode_certificate(row[1]), tuple(_decode_block(data) for data in cbor2.loads(row[2])))

    def sealed_epochs(self) -> list[int]:
        """The newest first."""
        return [row[0] for row in self._db.execute("SELECT epoch FROM seals ORDER BY epoch DESC").fetchall()]

    def put_seats(self, seats: Seats) -> None:
        """The committee of an epoch that has begun."""
        self._write("INSERT OR REPLACE INTO committees VALUES (?,?)", [(seats.epoch, seats.encode())])

    def seats(self) -> list[Seats]:
        """Of every epoch that has begun, after the first; ascending."""
        rows = self._db.execute("SELECT seats FROM committees ORDER BY epoch")
        return [Seats.decode(row[0]) for row in rows.fetchall()]

    # batches

    def put_batch(self, batch_hash: bytes, author: int, sequence: int, data: bytes) -> None:
        self._write("INSERT OR IGNORE INTO batches VALUES (NULL,?,?,?,NULL)", [(batch_hash, author, sequence)])
        # Beside it, so that noting its height later does not write all of it again.
        sql = "INSERT OR IGNORE INTO batch_data SELECT id, ? FROM batches WHERE hash=?"
        self._write(sql, [(data, batch_hash)])
        self._batch_bytes += len(data)

    def batch(self, batch_hash: bytes) -> bytes | None:
        sql = "SELECT data FROM batches JOIN batch_data USING (id) WHERE hash=?"
        row = self._db.execute(sql, (batch_hash,)).fetchone()
        return None if row is None else row[0]

    def batch_of(self, batch_hash: bytes) -> Batch:
        """A batch that a finalised block names. Raises `KeyError` when the store lost it."""
        data = self.batch(batch_hash)
        if data is None:
            raise KeyError(f"the store has no batch {batch_hash.hex()}")
        return Batch.decode(data)

    def unplaced_batches(self) -> list[bytes]:
        """Batches that no finalised block carries yet, in order of author and sequence."""
        rows = self._db.execute(
            "SELECT data FROM batches JOIN batch_data USING (id) WHERE height IS NULL ORDER BY author, sequence"
        )
        return [row[0] for row in rows.fetchall()]

    def place_batches(self, batch_hashes: list[bytes], height: int) -> None:
        self._write("UPDATE batches SET height=? WHERE hash=?", [(height, batch_hash) for batch_hash in batch_hashes])

    def drop_unplaced(self, author: int, through_sequence: int) -> None:
        """Forget batches that can no longer enter a block, because their author's cursor has passed them."""
        where, row = "height IS NULL AND author=? AND sequence<=?", (author, through_sequence)
        self._write(f"DELETE FROM batch_data WHERE id IN (SELECT id FROM batches WHERE {where})", [row])
        self._write(f"DELETE FROM batches WHERE {where}", [row])

    # evidence

    def put_nullification(self, data: bytes) -> None:
        """A certificate that journals drop soon, kept beside the finalisations of blocks; the oldest go."""
        self._write("INSERT OR IGNORE INTO nullifications (data) VALUES (?)", [(data,)])
        sql = "DELETE FROM nullifications WHERE id <= (SELECT MAX(id) FROM nullifications) - ?"
        self._write(sql, [(NULLIFICATIONS_MAX,)])

    def nullifications(self, count: int) -> list[Certificate]:
        """The newest, in the order they came."""
        rows = self._db.execute("SELECT data FROM nullifications ORDER BY id DESC LIMIT ?", (count,)).fetchall()
        return [_decode_certificate(data) for (data,) in reversed(rows)]

    def put_evidence(self, key: bytes, data: bytes) -> None:
        """Evidence in its wire form under the key of its case; one case may have several pieces."""
        self._write("INSERT OR IGNORE INTO cases VALUES (?,?,NULL)", [(data, key)])

    def evidence(self) -> list[CaseRow]:
        """All of it, in the order it was found."""
        return self._db.execute("SELECT key, data, transaction_hash FROM cases ORDER BY rowid").fetchall()

    def open_cases(self) -> list[CaseRow]:
        """Those that the court is not known to have, one piece of evidence for each."""
        return self._db.execute(
            "SELECT key, data, transaction_hash FROM cases WHERE transaction_hash IS NULL GROUP BY key ORDER BY rowid"
        ).fetchall()

    def close_case(self, key: bytes, transaction_hash: bytes) -> None:
        """The court has it: by this transaction, or by somebody else's (empty)."""
        self._write("UPDATE cases SET transaction_hash=? WHERE key=?", [(transaction_hash, key)])

    # the settlement chain's inbox

    def put_chain(self, seen: ChainSeen, entries: list[InboxEntry]) -> None:
        """What is agreed of the settlement chain, and the inbox entries that are new."""
        rows = [(entry.index, cbor2.dumps(entry.to_cbor(), canonical=True)) for entry in entries]
        self._write("INSERT OR REPLACE INTO inbox VALUES (?,?)", rows)
        row = (1, seen.block, seen.entry_count, seen.height, seen.header_hash)
        self._write("INSERT OR REPLACE INTO chain_seen VALUES (?,?,?,?,?)", [row])

    def chain(self, cursor: int) -> tuple[ChainSeen, list[InboxEntry]]:
        """What was agreed, and the inbox from `cursor` on; what is before is dropped. Nothing when entries are missing:
        then all has to be read again.
        """
        rows = self._db.execute("SELECT data FROM inbox WHERE id>=? ORDER BY id", (cursor,)).fetchall()
        row = self._db.execute("SELECT block, entry_count, height, header_hash FROM chain_seen").fetchone()
        seen = NOTHING_SEEN if row is None else ChainSeen(*row)
        entries = [InboxEntry.from_cbor(cbor2.loads(data)) for (data,) in rows]
        self._write("DELETE FROM inbox WHERE id<?", [(cursor,)])
        if [entry.index for entry in entries] != list(range(cursor, seen.entry_count)):
            return NOTHING_SEEN, []
        return seen, entries

    # results and trades

    def put_results(self, chunks: list[Chunk]) -> None:
        rows = [(chunk.first, chunk.time_ms, chunk.ids.tobytes(), chunk.rows.tobytes()) for chunk in chunks]
        self._write("INSERT OR REPLACE INTO results VALUES (?,?,?,?)", rows)

    def results_chunk(self, first: int, record: np.dtype) -> Chunk | None:
        return next(self.results_from(first, first, record), None)

    def results_from(self, place: int, last_place: int, record: np.dtype) -> Iterator[Chunk]:
        """Chunks that hold the results from one place to another, in order."""
        sql = "SELECT id, time_ms, rows, ids FROM results WHERE id BETWEEN ? AND ? ORDER BY id"
        for first, time_ms, rows, ids in self._db.execute(sql, (place - place % CHUNK_ROWS, last_place)):
            yield Chunk(first, time_ms, np.frombuffer(rows, record), np.frombuffer(ids, np.uint8).reshape(-1, 32))

    def put_fills(self, chunks: list[Chunk]) -> None:
        rows = [(chunk.first, chunk.time_ms, chunk.rows.tobytes()) for chunk in chunks]
        self._write("INSERT OR REPLACE INTO fills VALUES (?,?,?)", rows)

    def fills_chunk(self, first: int, record: np.dtype) -> Chunk | None:
        return next(self.fills_from(first, first, record), None)

    def fill_chunks(self, place: int, last_place: int, record: np.dtype, is_oldest_first: bool) -> Iterator[Chunk]:
        """Those that hold the trades from one to another, from either end."""
        order = "ASC" if is_oldest_first else "DESC"
        sql = f"SELECT id, time_ms, rows FROM fills WHERE id BETWEEN ? AND ? ORDER BY id {order}"
        for first, time_ms, rows in self._db.execute(sql, (place - place % CHUNK_ROWS, last_place)):
            yield Chunk(first, time_ms, np.frombuffer(rows, record), np.empty((0, 32), np.uint8))

    def fill_bounds(self) -> tuple[int, int]:
        """The lowest place of a trade, and one above all."""
        low, high = self._db.execute("SELECT MIN(id), MAX(id) FROM fills").fetchone()
        return (0, 0) if low is None else (low, high + CHUNK_ROWS)

    def fill_time(self, place: int) -> tuple[int, int] | None:
        """The first chunk at a place or above: its own place, and when its trades were made."""
        found: tuple[int, int] | None = self._db.execute(
            "SELECT id, time_ms FROM fills WHERE id>=? ORDER BY id LIMIT 1", (place,)
        ).fetchone()
        return found

    def fills_from(self, place: int, last_place: int, record: np.dtype) -> Iterator[Chunk]:
        """Chunks that hold the trades from one to another, in order."""
        sql = "SELECT id, time_ms, rows FROM fills WHERE id BETWEEN ? AND ? ORDER BY id"
        for first, time_ms, rows in self._db.execute(sql, (place - place % CHUNK_ROWS, last_place)):
            yield Chunk(first, time_ms, np.frombuffer(rows, record), np.empty((0, 32), np.uint8))

    def put_trade_ends(self, last_trade: int, accounts: np.ndarray, markets: np.ndarray) -> None:
        """Of each account and each market the number of its last trade, as of a trade."""
        row = (1, last_trade, accounts.tobytes(), markets.tobytes())
        self._write("INSERT OR REPLACE INTO trade_ends VALUES (?,?,?,?)", [row])

    def trade_ends(self, through: int) -> tuple[int, np.ndarray, np.ndarray] | None:
        """What `put_trade_ends` kept, if it was at most as of a trade."""
        sql = "SELECT last_trade, accounts, markets FROM trade_ends WHERE last_trade<=?"
        row = self._db.execute(sql, (through,)).fetchone()
        return None if row is None else (row[0], np.frombuffer(row[1], np.int64), np.frombuffer(row[2], np.int64))

    def put_minutes(self, minutes: list[MinuteRow]) -> None:
        """What the trades of a block come to; counted once, however often the block is replayed."""
        self._write(
            "INSERT INTO minutes VALUES (?,?,?,?,?,?,?) ON CONFLICT (market, minute) DO UPDATE SET "
            "volume_lots=volume_lots+excluded.volume_lots, high_ticks=MAX(high_ticks, excluded.high_ticks), "
            "low_ticks=MIN(low_ticks, excluded.low_ticks), turnover=turnover+excluded.turnover, "
            "last_fill=excluded.last_fill WHERE excluded.last_fill>last_fill",
            minutes,
        )

    def put_index_pages(self, pages: list[IndexPage]) -> None:
        rows = [(page.level, page.slice, page.last_place, page.keys.tobytes(), page.places.tobytes()) for page in pages]
        self._write("INSERT INTO index_pages VALUES (NULL,?,?,?,?,?)", rows)

    def drop_index_pages(self, page_ids: tuple[int, ...]) -> None:
        self._write("DELETE FROM index_pages WHERE id=?", [(page_id,) for page_id in page_ids])

    def index_pages(self, level: int, slice_: int) -> list[IndexPage]:
        """The pages of one slice, oldest entries first."""
        sql = "SELECT id, last_place, keys, places FROM index_pages WHERE level=? AND slice=? ORDER BY last_place"
        return [
            IndexPage(row[0], level, slice_, row[1], np.frombuffer(row[2], np.uint64), np.frombuffer(row[3], np.uint64))
            for row in self._db.execute(sql, (level, slice_)).fetchall()
        ]

    def index_keys(self, level: int, slice_: int) -> list[tuple[int, np.ndarray]]:
        """Ids and keys of the pages of one slice."""
        sql = "SELECT id, keys FROM index_pages WHERE level=? AND slice=?"
        rows = self._db.execute(sql, (level, slice_)).fetchall()
        return [(page_id, np.frombuffer(keys, np.uint64)) for page_id, keys in rows]

    def index_places(self, page_id: int) -> np.ndarray:
        row = self._db.execute("SELECT places FROM index_pages WHERE id=?", (page_id,)).fetchone()
        return np.frombuffer(row[0], np.uint64)

    def count_index_pages(self) -> dict[tuple[int, int], int]:
        """How many pages there are, by level and slice."""
        rows = self._db.execute("SELECT level, slice, COUNT(*) FROM index_pages GROUP BY level, slice").fetchall()
        return {(level, slice_): count for level, slice_, count in rows}

    def old_index_pages(self, place: int) -> list[tuple[int, int, int]]:
        """Id, level and slice of the pages whose entries all lie below a place; the newest page of all stays."""
        sql = (
            "SELECT id, level, slice FROM index_pages WHERE last_place<? AND last_place<(SELECT MAX(last_place) FROM "
            "index_pages)"
        )
        return self._db.execute(sql, (place,)).fetchall()

    def last_indexed_place(self) -> int:
        place: int = self._db.execute("SELECT COALESCE(MAX(last_place), 0) FROM index_pages").fetchone()[0]
        return place

    def market_day(self, market: int, since_ms: int) -> tuple[int, int, int, int]:
        """(volume_lots, highest, lowest price_ticks, sum of price x size) of the trades since a time; zeros without
        any.
        """
        row: tuple[int, int, int, int] = self._db.execute(
            "SELECT COALESCE(SUM(volume_lots),0), COALESCE(MAX(high_ticks),0), COALESCE(MIN(low_ticks),0), "
            "COALESCE(SUM(turnover),0) FROM minutes WHERE market=? AND minute>=?",
            (market, since_ms // MINUTE_MS),
        ).fetchone()
        return row

    def put_withdrawals(self, rows: list[WithdrawalRow]) -> None:
        self._write("INSERT OR IGNORE INTO withdrawals VALUES (?,?,?,?,?,?,?)", rows)

    def put_answers(self, rows: list[AnswerRow]) -> None:
        """What became of inbox entries."""
        self._write("INSERT OR IGNORE INTO answers VALUES (?,?,?,?,?,?,?)", rows)

    def answers_of(self, owner: bytes, count: int) -> list[AnswerRow]:
        """The newest of an owner first."""
        sql = "SELECT * FROM answers WHERE owner=? ORDER BY id DESC LIMIT ?"
        return self._db.execute(sql, (owner, count)).fetchall()

    def has_withdrawal_between(self, above_height: int, through_height: int) -> bool:
        """Whether the blocks above one height up to another hold a withdrawal."""
        sql = "SELECT 1 FROM withdrawals WHERE height>? AND height<=? LIMIT 1"
        return self._db.execute(sql, (above_height, through_height)).fetchone() is not None

    def withdrawals(self, through_height: int) -> list[WithdrawalRow]:
        """All up to a height, in order of index."""
        return self._db.execute("SELECT * FROM withdrawals WHERE height<=? ORDER BY id", (through_height,)).fetchall()

    def withdrawals_from(self, index: int, through_height: int) -> list[WithdrawalRow]:
        """Those from an index on that blocks up to a height hold."""
        sql = "SELECT * FROM withdrawals WHERE id>=? AND height<=? ORDER BY id"
        return self._db.execute(sql, (index, through_height)).fetchall()

    def withdrawal(self, index: int) -> WithdrawalRow | None:
        row: WithdrawalRow | None = self._db.execute("SELECT * FROM withdrawals WHERE id=?", (index,)).fetchone()
        return row

    def withdrawals_of(self, owner: bytes) -> list[WithdrawalRow]:
        """The newest thousand rows of an owner, oldest first."""
        sql = "SELECT * FROM withdrawals WHERE owner=? ORDER BY id DESC LIMIT ?"
        return self._db.execute(sql, (owner, OWN_WITHDRAWALS_MAX)).fetchall()[::-1]


def check_version(database: sqlite3.Connection, path: Path) -> None:
    """Raises `StoreError` for a file that another version of this program made."""
    version = database.execute("PRAGMA user_version").fetchone()[0]
    is_empty = not database.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]
    if version != SCHEMA_VERSION and not is_empty:
        raise StoreError(
            f"{path} has layout {version}, this program reads {SCHEMA_VERSION}: move it (with its -wal and -shm) and"
            " the folder snapshots away, leave guard and journal, and start again: the node fetches the chain anew"
        )


def _decode_block(data: bytes) -> Block:
    block = decode_message(data)
    if not isinstance(block, Block):
        raise TypeError("the block store holds something that is no block")
    return block


def _decode_certificate(data: bytes) -> Certificate:
    certificate = decode_message(data)
    if not isinstance(certificate, Certificate):
        raise TypeError("the block store holds something that is no certificate")
    return certificate


def _final(row: tuple[bytes, bytes, int]) -> FinalBlock:
    return FinalBlock(_decode_block(row[0]), _decode_certificate(row[1]), bool(row[2]))
