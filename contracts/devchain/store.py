"""What the development chain remembers: state nodes, blocks, transactions and logs in one sqlite file.

Everything of one block is written in one database transaction, so a killed process leaves whole blocks only.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from eth.db.backends.base import BaseAtomicDB

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value INTEGER);
CREATE TABLE IF NOT EXISTS node (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS block (number INTEGER PRIMARY KEY, hash BLOB UNIQUE, header BLOB);
CREATE TABLE IF NOT EXISTS tx (
    hash BLOB PRIMARY KEY, block INTEGER, raw BLOB, sender BLOB, created BLOB, status INTEGER, gas_used INTEGER,
    price_wei INTEGER
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS tx_by_block ON tx (block);
CREATE TABLE IF NOT EXISTS log (
    block INTEGER, position INTEGER, tx BLOB, address BLOB,
    topic0 BLOB, topic1 BLOB, topic2 BLOB, topic3 BLOB, data BLOB,
    PRIMARY KEY (block, position)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS log_by_address ON log (address, topic0, block);
"""
_CACHED_NODES_MAX = 50_000


@dataclass(frozen=True, slots=True)
class TransactionRow:
    """A mined transaction; each is alone in its block."""

    hash: bytes
    block: int
    raw: bytes
    sender: bytes
    created: bytes | None
    status: int
    gas_used: int
    price_wei: int


@dataclass(frozen=True, slots=True)
class LogRow:
    """One event."""

    block: int
    position: int
    tx: bytes
    address: bytes
    topics: tuple[bytes, ...]
    data: bytes


class Store:
    """Reads and writes the chain's file; `path` None keeps all in memory. Its user serialises access."""

    def __init__(self, path: Path | None) -> None:
        self._db = sqlite3.connect(path or ":memory:", check_same_thread=False, isolation_level=None)
        # The write-ahead log survives the death of the process; a power cut may cost the last blocks, fine here.
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(_SCHEMA)
        self.nodes = NodeDB(self._db)

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All writes inside or none."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            self.nodes.forget()
            raise
        self._db.execute("COMMIT")

    def get_meta(self, key: str) -> int | None:
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else row[0]

    def set_meta(self, key: str, value: int) -> None:
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def head_number(self) -> int | None:
        number: int | None = self._db.execute("SELECT max(number) FROM block").fetchone()[0]
        return number

    def put_block(self, number: int, block_hash: bytes, header: bytes) -> None:
        self._db.execute("INSERT INTO block VALUES (?, ?, ?)", (number, block_hash, header))

    def get_block(self, number: int) -> bytes | None:
        """The header's RLP."""
        row = self._db.execute("SELECT header FROM block WHERE number = ?", (number,)).fetchone()
        return None if row is None else row[0]

    def block_number(self, block_hash: bytes) -> int | None:
        row = self._db.execute("SELECT number FROM block WHERE hash = ?", (block_hash,)).fetchone()
        return None if row is None else row[0]

    def block_hashes_below(self, number: int, limit: int) -> list[bytes]:
        """Hashes of the blocks before `number`, the youngest first."""
        query = "SELECT hash FROM block WHERE number < ? ORDER BY number DESC LIMIT ?"
        return [row[0] for row in self._db.execute(query, (number, limit))]

    def drop_blocks_above(self, number: int) -> None:
        for table, column in (("block", "number"), ("tx", "block"), ("log", "block")):
            self._db.execute(f"DELETE FROM {table} WHERE {column} > ?", (number,))

    def put_transaction(self, row: TransactionRow) -> None:
        values = (row.hash, row.block, row.raw, row.sender, row.created, row.status, row.gas_used, row.price_wei)
        self._db.execute("INSERT INTO tx VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)

    def get_transaction(self, tx_hash: bytes) -> TransactionRow | None:
        row = self._db.execute("SELECT * FROM tx WHERE hash = ?", (tx_hash,)).fetchone()
        return None if row is None else TransactionRow(*row)

    def transactions_of(self, number: int) -> list[TransactionRow]:
        return [TransactionRow(*row) for row in self._db.execute("SELECT * FROM tx WHERE block = ?", (number,))]

    def put_log(self, row: LogRow) -> None:
        topics = (*row.topics, None, None, None, None)[:4]
        self._db.execute(
            "INSERT INTO log VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (row.block, row.position, row.tx, row.address, *topics, row.data),
        )

    def find_logs(
        self, first: int, last: int, addresses: list[bytes], topics: list[list[bytes]], limit: int
    ) -> list[LogRow]:
        """Logs of the blocks `first` to `last`; an empty list of addresses or alternatives matches everything."""
        query = "SELECT * FROM log WHERE block BETWEEN ? AND ?"
        values: list[int | bytes] = [first, last]
        for column, allowed in [("address", addresses), *((f"topic{i}", choice) for i, choice in enumerate(topics))]:
            if allowed:
                query += f" AND {column} IN ({','.join('?' * len(allowed))})"
                values += allowed
        rows = self._db.execute(query + " ORDER BY block, position LIMIT ?", (*values, limit))
        return [
            LogRow(row[0], row[1], row[2], row[3], tuple(t for t in row[4:8] if t is not None), row[8]) for row in rows
        ]


class NodeDB(BaseAtomicDB):
    """py-evm's key-value interface over the table of state nodes, with a bounded cache."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._cache: dict[bytes, bytes] = {}

    def forget(self) -> None:
        """Drop the cache, which may hold what was rolled back."""
        self._cache.clear()

    def __getitem__(self, key: bytes) -> bytes:
        value = self._cache.get(key)
        if value is None:
            row = self._db.execute("SELECT value FROM node WHERE key = ?", (key,)).fetchone()
            if row is None:
                raise KeyError(key)
            value = row[0]
            self._remember(key, value)
        return value

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self._db.execute("INSERT OR REPLACE INTO node VALUES (?, ?)", (key, value))
        self._remember(key, value)

    def __delitem__(self, key: bytes) -> None:
        """Nothing: every node that a block refers to stays, so that old blocks can be asked."""

    def _exists(self, key: bytes) -> bool:
        try:
            self[key]
        except KeyError:
            return False
        return True

    # py-evm asks for a class of its own here and uses it as any mapping.
    @contextmanager
    def atomic_batch(self) -> Iterator["NodeDB"]:  # type: ignore[override]
        """Writes go straight through: `Store.transaction` around the block is what makes them atomic."""
        yield self

    def _remember(self, key: bytes, value: bytes) -> None:
        if len(self._cache) >= _CACHED_NODES_MAX:
            self._cache.clear()
        self._cache[key] = value
