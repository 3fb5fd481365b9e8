"""The rows of a node's store as an auditor reads them: nothing is believed, and what does not fit is named by height,
table and field.

The node may be writing meanwhile: every page is a read of its own, and finalised blocks never change.
"""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cbor2

from consensus.messages import (
    FINALIZE,
    HASH_BYTES,
    HEADER_BYTES,
    Block,
    Certificate,
    DecodeError,
    Header,
    decode_message,
    keccak,
)
from engine.payload import Batch
from engine.payload import DecodeError as PayloadError
from validator.roster import Seats
from validator.store import check_version

PAGE_BLOCKS = 256
_BLOCK_TAG = 4
_PAGE_SQL = "SELECT height, hash, block, certificate, is_direct FROM blocks WHERE height>=? ORDER BY height LIMIT ?"
HEADER_WORDS = (
    "version", "epoch", "view", "height", "parent_hash", "parent_view", "proposer", "timestamp_ms", "payload_root",
    "next_committee_hash", "oracle_root", "inbox_cursor", "inbox_hash", "l1_block", "state_root", "account_root",
    "account_sums", "withdrawals_root", "withdrawals_total", "engine_version",
)  # fmt: skip


class Mismatch(Exception):
    """Something in the store is not what the committee certified; the message says what and where."""

    def __init__(self, height: int, table: str, field: str, reason: str) -> None:
        super().__init__(f"height {height}, table {table}, field {field}: {reason}")
        self.height, self.table, self.field, self.reason = height, table, field, reason


@dataclass(frozen=True, slots=True)
class StoredBlock:
    """A row of `blocks` that agrees with itself."""

    block: Block
    block_hash: bytes
    certificate: Certificate
    is_direct: bool


class Rows:
    """Read-only access to blocks.sqlite. Every method raises `Mismatch` for what is damaged."""

    def __init__(self, path: Path) -> None:
        """Raises `sqlite3.OperationalError` if there is nothing to read, `StoreError` for data of another version."""
        self._db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
        try:
            check_version(self._db, path)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            raise Mismatch(0, "(file)", str(path), f"the database is damaged: {error}") from None
        self._db.text_factory = bytes  # damaged text is no reason to fail in the library

    def close(self) -> None:
        self._db.close()

    def heights(self) -> tuple[int, int]:
        """Lowest and highest block there is; zeros without any."""
        low, high = self._query(0, "blocks", "SELECT MIN(height), MAX(height) FROM blocks")[0]
        return low or 0, high or 0

    def blocks(self, first_height: int, last_height: int) -> Iterator[StoredBlock]:
        """All of them in order, each one there."""
        height = first_height
        while height <= last_height:
            rows = self._query(height, "blocks", _PAGE_SQL, height, min(PAGE_BLOCKS, last_height - height + 1))
            for row in rows:
                if row[0] != height:
                    raise Mismatch(height, "blocks", "height", f"no such row; the next one says {row[0]}")
                yield _check_row(row)
                height += 1
            if not rows:
                raise Mismatch(height, "blocks", "height", "no such row")

    def batch(self, height: int, ref: tuple[int, int, bytes]) -> Batch:
        """A batch that the block of `height` names, as the block names it; its author's signature is not checked."""
        author, sequence, batch_hash = ref
        sql = "SELECT author, sequence, height, data FROM batches LEFT JOIN batch_data USING (id) WHERE hash=?"
        found = self._query(height, "batches", sql, batch_hash)
        if not found:
            raise Mismatch(height, "batches", "hash", f"the block names a batch {batch_hash.hex()} that is not there")
        *columns, data = found[0]
        for name, stored, wanted in zip(("author", "sequence", "height"), columns, (author, sequence, height)):
            if stored != wanted:
                raise Mismatch(height, "batches", name, f"{stored!r} of batch {batch_hash.hex()} must be {wanted}")
        try:
            batch = Batch.decode(data)
        except (PayloadError, TypeError) as error:
            raise Mismatch(height, "batch_data", "data", f"batch {batch_hash.hex()} is damaged: {error}") from None
        if batch.hash() != batch_hash or (batch.author, batch.sequence) != (author, sequence):
            raise Mismatch(height, "batch_data", "data", f"batch {batch_hash.hex()} is another than its name says")
        return batch

    def seats(self) -> list[Seats]:
        """The committees of later epochs; whether they are the right ones their hashes tell."""
        found = []
        for epoch, data in self._query(0, "committees", "SELECT epoch, seats FROM committees ORDER BY epoch"):
            try:
                found.append(Seats.decode(data))
                if found[-1].epoch != epoch:
                    raise ValueError(f"they are of epoch {found[-1].epoch}")
            except Exception as error:  # cbor2 raises many kinds on damaged bytes; all mean the same here
                raise Mismatch(0, "committees", "seats", f"those of epoch {epoch} are damaged: {error}") from None
        return found

    def trailing(self, height: int, epoch: int) -> tuple[Block, ...]:
        """Blocks above the last one of an epoch that are no part of the chain."""
        blocks = []
        sql = "SELECT height, trailing FROM seals WHERE epoch=?"
        for stored_height, data in self._query(height, "seals", sql, epoch):
            if stored_height != height:
                raise Mismatch(height, "seals", "height", f"epoch {epoch} ends here, not at {stored_height}")
            try:
                blocks = [decode_message(block) for block in cbor2.loads(data)]
            except Exception as error:  # as above
                raise Mismatch(height, "seals", "trailing", f"damaged: {error}") from None
        return tuple(block for block in blocks if isinstance(block, Block))

    def rows_of(self, height: int, table: str, where: str, *values: object) -> list[tuple[Any, ...]]:
        """Rows of another table, in order of its key."""
        return self._query(height, table, f"SELECT * FROM {table} WHERE {where} ORDER BY 1", *values)

    def last_indexed_place(self) -> int:
        """Up to which place the index holds the commands; 0 without one."""
        place = self._query(0, "index_pages", "SELECT MAX(last_place) FROM index_pages")[0][0]
        return place if isinstance(place, int) else 0

    def stream(self, height: int, table: str, sql: str, *values: object) -> Iterator[tuple[Any, ...]]:
        """Rows one after the other, as they all are at one moment."""
        try:
            # `yield from` would close the cursor of who stops early, and fail if the file is closed by then.
            for row in self._db.execute(sql, values):  # noqa: UP028
                yield row
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            raise Mismatch(height, table, "(page of the file)", f"the database is damaged: {error}") from None

    def _query(self, height: int, table: str, sql: str, *values: object) -> list[tuple[Any, ...]]:
        try:
            return self._db.execute(sql, values).fetchall()
        except sqlite3.OperationalError:
            raise  # locked, gone, no such table: nobody's damage
        except sqlite3.DatabaseError as error:
            raise Mismatch(height, table, "(page of the file)", f"the database is damaged: {error}") from None


def _check_row(row: tuple[Any, ...]) -> StoredBlock:
    height, block_hash, block_data, certificate_data, is_direct = row
    for name, value in (("hash", block_hash), ("block", block_data), ("certificate", certificate_data)):
        if not isinstance(value, bytes):
            raise Mismatch(height, "blocks", name, f"not bytes but {value!r}")
    certificate = _decode_certificate(height, certificate_data)
    block = _decode_block(height, block_hash, block_data)
    if block.header.height != height:
        raise Mismatch(height, "blocks", "height", f"the header says {block.header.height}")
    if is_direct not in (0, 1) or bool(is_direct) != (certificate.header_hash == block_hash):
        raise Mismatch(height, "blocks", "is_direct", f"{is_direct!r} is not what the certificate says")
    return StoredBlock(block, block_hash, certificate, bool(is_direct))


def _decode_certificate(height: int, data: bytes) -> Certificate:
    try:
        certificate = decode_message(data)
    except DecodeError as error:
        raise Mismatch(height, "blocks", "certificate", f"damaged: {error}") from None
    if not isinstance(certificate, Certificate) or certificate.kind != FINALIZE:
        raise Mismatch(height, "blocks", "certificate", "it finalises nothing")
    return certificate


def _decode_block(height: int, block_hash: bytes, data: bytes) -> Block:
    """The block, of which header and payload have the hashes that they must. Names the part that has not."""
    header, payload = _split_block(height, data)
    if keccak(header) != block_hash:
        word = _find_changed_word(header, block_hash)
        if word is None:
            raise Mismatch(height, "blocks", "hash", "header and hash do not belong together")
        raise Mismatch(height, "blocks", "block", f"one byte of header word {word} ({HEADER_WORDS[word]}) was changed")
    try:
        block = decode_message(data)
    except DecodeError as error:
        raise Mismatch(height, "blocks", "block", f"damaged: {error}") from None
    if not isinstance(block, Block) or block.payload != payload:
        raise Mismatch(height, "blocks", "block", "damaged: it is no block")
    return block


def _split_block(height: int, data: bytes) -> tuple[bytes, bytes]:
    try:
        tag, (header, payload) = cbor2.loads(data)
        if tag == _BLOCK_TAG and type(header) is type(payload) is bytes and len(header) == HEADER_BYTES:
            return header, payload
    except Exception as error:  # cbor2 raises many kinds on damaged bytes; all mean the same here
        raise Mismatch(height, "blocks", "block", f"damaged: not CBOR ({type(error).__name__})") from None
    raise Mismatch(height, "blocks", "block", "damaged: it is no block")


def _find_changed_word(header: bytes, wanted_hash: bytes) -> int | None:
    """Which word of the header holds the one byte that keeps it from having that hash; None if it is more than one."""
    trial = bytearray(header)
    for at, byte in enumerate(header):
        for value in range(256):
            trial[at] = value
            if value != byte and keccak(bytes(trial)) == wanted_hash:
                return at // HASH_BYTES
        trial[at] = byte
    return None


def name_difference(ours: Header, stored: Header) -> str:
    """The first word in which two headers differ, and both values."""
    pairs = zip(_words(ours), _words(stored), HEADER_WORDS)
    for number, (one, other, name) in enumerate(pairs):
        if one != other:
            return f"header word {number} ({name}) is {_show(other)}, replaying gives {_show(one)}"
    return "the headers are equal"


def _words(header: Header) -> list[bytes]:
    data = header.encode()
    return [data[at : at + HASH_BYTES] for at in range(0, HEADER_BYTES, HASH_BYTES)]


def _show(word: bytes) -> str:
    number = int.from_bytes(word, "big")
    return str(number) if number < 1 << 64 else "0x" + word.hex()
