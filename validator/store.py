"""Finalised blocks, their batches and results in SQLite, and the blocks and batches we voted for but that are not
final yet.

One writer, the node's loop. `commit` then `sync` is a barrier: what was put before survives a crash, and the node
passes it before a vote that depends on the data leaves. `commit` only hands the data to the system; `sync` and
`checkpoint` wait for the disk and may run in other threads.
"""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cbor2

from consensus.messages import Block, Certificate, decode_message, encode_message
from engine.payload import Batch, InboxEntry
from validator.roster import Seats

_SCHEMA = """
CREATE TABLE IF NOT EXISTS blocks (height INTEGER PRIMARY KEY, hash BLOB NOT NULL, block BLOB NOT NULL,
    certificate BLOB NOT NULL, is_direct INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS candidates (hash BLOB PRIMARY KEY, height INTEGER NOT NULL, block BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS batches (hash BLOB PRIMARY KEY, author INTEGER NOT NULL, sequence INTEGER NOT NULL,
    height INTEGER, data BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS results (command_id BLOB PRIMARY KEY, height INTEGER NOT NULL, time_ms INTEGER NOT NULL,
    code INTEGER NOT NULL, order_state INTEGER NOT NULL, order_id INTEGER NOT NULL, filled_lots INTEGER NOT NULL,
    remaining_lots INTEGER NOT NULL, filled_value INTEGER NOT NULL, cancelled_count INTEGER NOT NULL,
    withdrawal_index INTEGER NOT NULL, account_index INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS fills (id INTEGER PRIMARY KEY, height INTEGER NOT NULL, time_ms INTEGER NOT NULL,
    market INTEGER NOT NULL, price_ticks INTEGER NOT NULL, size_lots INTEGER NOT NULL, taker_side INTEGER NOT NULL,
    maker_account INTEGER NOT NULL, taker_account INTEGER NOT NULL, maker_order_id INTEGER NOT NULL,
    taker_order_id INTEGER NOT NULL, maker_fee_quote INTEGER NOT NULL, taker_fee_quote INTEGER NOT NULL,
    is_liquidation INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS fills_by_market ON fills (market, id);
CREATE INDEX IF NOT EXISTS fills_by_maker ON fills (maker_account, id);
CREATE INDEX IF NOT EXISTS fills_by_taker ON fills (taker_account, id);
CREATE INDEX IF NOT EXISTS fills_by_maker_order ON fills (maker_order_id);
CREATE INDEX IF NOT EXISTS fills_by_taker_order ON fills (taker_order_id);
CREATE TABLE IF NOT EXISTS withdrawals (id INTEGER PRIMARY KEY, height INTEGER NOT NULL, time_ms INTEGER NOT NULL,
    account INTEGER NOT NULL, owner BLOB NOT NULL, amount_quote INTEGER NOT NULL, asset INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS withdrawals_by_owner ON withdrawals (owner, id);
CREATE TABLE IF NOT EXISTS answers (id INTEGER PRIMARY KEY, height INTEGER NOT NULL, time_ms INTEGER NOT NULL,
    owner BLOB NOT NULL, code INTEGER NOT NULL, number INTEGER NOT NULL, data BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS answers_by_owner ON answers (owner, id);
CREATE INDEX IF NOT EXISTS withdrawals_by_height ON withdrawals (height);
CREATE TABLE IF NOT EXISTS minutes (market INTEGER NOT NULL, minute INTEGER NOT NULL, volume_lots INTEGER NOT NULL,
    high_ticks INTEGER NOT NULL, low_ticks INTEGER NOT NULL, turnover INTEGER NOT NULL, last_fill INTEGER NOT NULL,
    PRIMARY KEY (market, minute)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS nullifications (id INTEGER PRIMARY KEY, data BLOB NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS cases (data BLOB PRIMARY KEY, key BLOB NOT NULL, transaction_hash BLOB);
CREATE TABLE IF NOT EXISTS inbox (id INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS chain_seen (one INTEGER PRIMARY KEY CHECK (one = 1), block INTEGER NOT NULL,
    entry_count INTEGER NOT NULL, height INTEGER NOT NULL, header_hash BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS batches_by_author ON batches (author, sequence);
CREATE TABLE IF NOT EXISTS seals (epoch INTEGER PRIMARY KEY, height INTEGER NOT NULL, certificate BLOB NOT NULL,
    trailing BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS committees (epoch INTEGER PRIMARY KEY, seats BLOB NOT NULL);
"""
MINUTE_MS = 60_000
# Evidence of a fork may be wanted long after the journal has dropped its half: two weeks of a committee in which every
# other view is given up, about 150 bytes each.
NULLIFICATIONS_MAX = 2_000_000
OWN_WITHDRAWALS_MAX = 1_000
_RESULT_COLUMNS = (
    "height", "time_ms", "code", "order_state", "order_id", "filled_lots", "remaining_lots", "filled_value",
    "cancelled_count", "withdrawal_index", "account_index",
)  # fmt: skip


# Rows as their tables' columns.
ResultRow = tuple[Any, ...]  # the command's id, then numbers
FillRow = tuple[int, ...]
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

    def __init__(self, path: Path, is_read_only: bool = False) -> None:
        """Read-only beside the node that writes; raises `sqlite3.OperationalError` if there is nothing to read then."""
        self._is_open = False
        self._is_synced = True
        self._log: int | None = None
        if is_read_only:
            self._db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._path = path
        self._db.execute("PRAGMA journal_mode=WAL")
        # The log is synced by `sync`, after each commit and before anything leaves, so SQLite need not.
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute("PRAGMA wal_autocheckpoint=0")
        self._db.executescript(_SCHEMA)

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

    def _write(self, sql: str, rows: Sequence[tuple[object, ...]]) -> None:
        if not self._is_open:
            self._db.execute("BEGIN")
            self._is_open = True
        self._db.executemany(sql, rows)

    # blocks

    def put_candidate(self, block: Block) -> None:
        row = (block.hash(), block.header.height, encode_message(block))
        self._write("INSERT OR IGNORE INTO candidates VALUES (?,?,?)", [row])

    def candidate(self, block_hash: bytes) -> Block | None:
        """A block we checked or finalised, by hash."""
        row = self._db.execute(
            "SELECT block FROM candidates WHERE hash=? UNION ALL SELECT block FROM blocks WHERE hash=? LIMIT 1",
            (block_hash, block_hash),
        ).fetchone()
        return None if row is None else _decode_block(row[0])

    def put_final(self, block: Block, certificate: Certificate) -> None:
        block_hash, height = block.hash(), block.header.height
        is_direct = certificate.header_hash == block_hash
        row = (height, block_hash, encode_message(block), encode_message(certificate), int(is_direct))
        self._write("INSERT OR REPLACE INTO blocks VALUES (?,?,?,?,?)", [row])
        self._write("DELETE FROM candidates WHERE height<=?", [(height,)])

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
        self._write("INSERT OR IGNORE INTO batches VALUES (?,?,?,NULL,?)", [(batch_hash, author, sequence, data)])

    def batch(self, batch_hash: bytes) -> bytes | None:
        row = self._db.execute("SELECT data FROM batches WHERE hash=?", (batch_hash,)).fetchone()
        return None if row is None else row[0]

    def batch_of(self, batch_hash: bytes) -> Batch:
        """A batch that a finalised block names. Raises `KeyError` when the store lost it."""
        data = self.batch(batch_hash)
        if data is None:
            raise KeyError(f"the store has no batch {batch_hash.hex()}")
        return Batch.decode(data)

    def unplaced_batches(self) -> list[bytes]:
        """Batches that no finalised block carries yet, in order of author and sequence."""
        rows = self._db.execute("SELECT data FROM batches WHERE height IS NULL ORDER BY author, sequence")
        return [row[0] for row in rows.fetchall()]

    def place_batches(self, batch_hashes: list[bytes], height: int) -> None:
        self._write("UPDATE batches SET height=? WHERE hash=?", [(height, batch_hash) for batch_hash in batch_hashes])

    def drop_unplaced(self, author: int, through_sequence: int) -> None:
        """Forget batches that can no longer enter a block, because their author's cursor has passed them."""
        self._write(
            "DELETE FROM batches WHERE height IS NULL AND author=? AND sequence<=?", [(author, through_sequence)]
        )

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

    # results

    def put_results(self, rows: list[ResultRow]) -> None:
        """Rows as the table's columns. A replayed command keeps its first result, unless that one had not spent its
        nonce: then a later block may have executed it, and that is what its owner must be told.
        """
        self._write(
            "INSERT INTO results VALUES (?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (command_id) DO UPDATE SET "
            + ", ".join(f"{name}=excluded.{name}" for name in _RESULT_COLUMNS)
            + " WHERE results.code BETWEEN 100 AND 299",
            rows,
        )

    def result(self, command_id: bytes) -> ResultRow | None:
        row: ResultRow | None = self._db.execute("SELECT * FROM results WHERE command_id=?", (command_id,)).fetchone()
        return row

    def put_fills(self, rows: list[FillRow]) -> None:
        """Rows as the table's columns; counted once into their minute, however often a block is replayed."""
        self._write("INSERT OR IGNORE INTO fills VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)", rows)
        minutes = [
            (market, time_ms // MINUTE_MS, lots, ticks, ticks, ticks * lots, fill)
            for fill, _, time_ms, market, ticks, lots, *_ in rows
        ]
        self._write(
            "INSERT INTO minutes VALUES (?,?,?,?,?,?,?) ON CONFLICT (market, minute) DO UPDATE SET "
            "volume_lots=volume_lots+excluded.volume_lots, high_ticks=MAX(high_ticks, excluded.high_ticks), "
            "low_ticks=MIN(low_ticks, excluded.low_ticks), turnover=turnover+excluded.turnover, "
            "last_fill=excluded.last_fill WHERE excluded.last_fill>last_fill",
            minutes,
        )

    def fills_of_market(self, market: int, count: int) -> list[FillRow]:
        sql = "SELECT * FROM fills WHERE market=? ORDER BY id DESC LIMIT ?"
        return self._db.execute(sql, (market, count)).fetchall()

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

    def fills_of_account(self, account: int, count: int) -> list[FillRow]:
        sql = (
            "SELECT * FROM fills WHERE maker_account=? UNION SELECT * FROM fills WHERE taker_account=? "
            "ORDER BY id DESC LIMIT ?"
        )
        return self._db.execute(sql, (account, account, count)).fetchall()

    def fills_of_order(self, order_id: int) -> list[FillRow]:
        sql = "SELECT * FROM fills WHERE maker_order_id=? UNION SELECT * FROM fills WHERE taker_order_id=? ORDER BY id"
        return self._db.execute(sql, (order_id, order_id)).fetchall()

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
