"""What a validator may never have said or lost, read from its own files while it runs and after it was killed.

Journals are only appended to, so each is read once, from where the last look ended. Every own vote, and every bit in
the bitmap of every certificate that anybody journalled, is one statement of one key. Stores are read the same way:
a final block once seen must stay, and be everybody's.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from consensus.journal import CORRUPT_MIDDLE, scan
from consensus.messages import (
    FINALIZE,
    NOTARIZE,
    NULLIFY,
    Certificate,
    DecodeError,
    Evidence,
    Proposal,
    Vote,
    decode_message,
)

READ_ATTEMPTS, READ_RETRY_S = 20, 0.1
KIND_NAMES = {NOTARIZE: "notarize", NULLIFY: "nullify", FINALIZE: "finalize"}


class Statements:
    """Every statement of every key: E1 to E4 between any two of them is a violation."""

    def __init__(self) -> None:
        self._said: dict[tuple[int, int, int], dict[int, bytes]] = {}
        self.count = 0

    def add(self, signer: int, epoch: int, view: int, kind: int, header_hash: bytes) -> str:
        """Empty, or what no honest key says."""
        said = self._said.setdefault((signer, epoch, view), {})
        if said.get(kind) == header_hash:
            return ""
        conflict = self._find_conflict(said, kind, header_hash)
        said.setdefault(kind, header_hash)
        self.count += 1
        return f"key {signer} in view {view}: {conflict}" if conflict else ""

    @staticmethod
    def _find_conflict(said: dict[int, bytes], kind: int, header_hash: bytes) -> str:
        if kind in said:
            return f"two different {KIND_NAMES[kind]}"
        if kind != NOTARIZE and {NULLIFY, FINALIZE} <= {kind, *said}:
            return "nullify and finalize"
        rivals = [other for other in (NOTARIZE, FINALIZE) if other in said and kind in (NOTARIZE, FINALIZE)]
        if any(said[other] != header_hash for other in rivals):
            return "notarize and finalize of different blocks"
        return ""


@dataclass(slots=True)
class JournalReader:
    """One validator's journal, followed."""

    folder: Path
    _offsets: dict[str, int] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)

    def read(self) -> Iterator[Vote | Certificate]:
        """Own votes and certificates that were appended since the last call."""
        for path in sorted(self.folder.glob("*.journal")):
            try:
                data = self._read_new(path)
            except FileNotFoundError:
                continue  # pruned meanwhile
            records, length, status = scan(data)
            if status == CORRUPT_MIDDLE:
                self.violations.append(f"{path} is damaged in the middle")
            self._offsets[path.name] = self._offsets.get(path.name, 0) + length
            for record in records:
                yield from self._decode(record.body)

    def _read_new(self, path: Path) -> bytes:
        start = self._offsets.get(path.name, 0)
        with path.open("rb") as file:
            if file.seek(0, 2) < start:
                self.violations.append(f"{path} lost records that had been written")
                self._offsets[path.name] = start = 0
            file.seek(start)
            return file.read()

    def _decode(self, body: bytes) -> Iterator[Vote | Certificate]:
        try:
            message = decode_message(body)
        except DecodeError:
            self.violations.append(f"{self.folder} holds a record that is none")
            return
        if isinstance(message, Proposal):
            yield message.vote
        elif isinstance(message, Evidence):
            self.violations.append(f"{self.folder} holds evidence against a validator, and all of them are honest")
        elif isinstance(message, (Vote, Certificate)):
            yield message


@dataclass(slots=True)
class StoreReader:
    """One validator's final blocks, followed."""

    path: Path
    height: int = 0

    def read(self) -> list[tuple[int, bytes]]:
        """(height, hash) of what became final since the last call; nothing while the file cannot be read."""
        try:
            rows = self._query("SELECT height, hash FROM blocks WHERE height>? ORDER BY height", self.height)
        except sqlite3.OperationalError:
            return []  # not made yet, or its owner is opening it: the next look sees more
        if rows:
            self.height = rows[-1][0]
        return rows

    def read_all(self) -> dict[int, bytes]:
        """All of them, lowest first. Raises `sqlite3.OperationalError` when the file stays unreadable."""
        for _ in range(READ_ATTEMPTS - 1):
            with suppress(sqlite3.OperationalError):
                return self._read_all()
            time.sleep(READ_RETRY_S)
        return self._read_all()

    def _read_all(self) -> dict[int, bytes]:
        return dict(self._query("SELECT height, hash FROM blocks WHERE height>? ORDER BY height", 0))

    def _query(self, sql: str, above_height: int) -> list[tuple[int, bytes]]:
        database = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=5)
        try:
            return database.execute(sql, (above_height,)).fetchall()
        finally:
            database.close()


class Audit:
    """All validators of one network."""

    def __init__(self, data_folders: list[Path], snapshot_interval_blocks: int) -> None:
        self._journals = [JournalReader(folder / "journal") for folder in data_folders]
        self._stores = [StoreReader(folder / "blocks.sqlite") for folder in data_folders]
        self.statements = Statements()
        self.certified: dict[bytes, int] = {}  # block hash -> view, of every finalisation certificate
        self.certificate_count = 0
        self.final: dict[int, bytes] = {}
        self.violations: list[str] = []
        self._own: set[tuple[int, int, int]] = set()
        self._has_lost_disk: dict[int, None] = {}
        self._snapshot_interval_blocks = snapshot_interval_blocks
        self._relied_on: dict[tuple[int, int, int], None] = {}

    def look(self, index: int) -> int:
        """Read what one validator wrote since the last look; how many new votes of its own that were."""
        own_votes = 0
        journal = self._journals[index]
        for message in journal.read():
            if isinstance(message, Vote):
                own_votes += 1
                self._own.add((index, message.view, message.kind))
                self._state(message.signer, message.epoch, message.view, message.kind, message.header_hash)
                if message.signer != index:
                    self.violations.append(f"node{index} journalled a vote of key {message.signer} as its own")
            else:
                self._take_certificate(message)
        self.violations += journal.violations
        journal.violations.clear()
        for height, block_hash in self._stores[index].read():
            if self.final.setdefault(height, block_hash) != block_hash:
                self.violations.append(f"two final blocks at height {height}, one of them at node{index}")
        return own_votes

    def height_of(self, index: int) -> int:
        """The highest final block seen in a validator's store."""
        return self._stores[index].height

    def lowest_height_of(self, index: int) -> int:
        """Where a validator's blocks begin; 0 when it has none."""
        return next(iter(self._stores[index].read_all()), 0)

    def forget_store(self, index: int) -> None:
        """We deleted a validator's blocks: what it lacks below those it gets anew is no loss of its own."""
        self._stores[index].height = 0
        self._has_lost_disk[index] = None

    def forget_journal(self, index: int) -> None:
        """We deleted a validator's journal: it begins again. What was read of it still counts."""
        self._journals[index] = JournalReader(self._journals[index].folder)

    def _take_certificate(self, certificate: Certificate) -> None:
        self.certificate_count += 1
        for signer in certificate.signers():
            self._relied_on[(signer, certificate.view, certificate.kind)] = None
            self._state(signer, certificate.epoch, certificate.view, certificate.kind, certificate.header_hash)
        if certificate.kind == FINALIZE:
            self.certified[certificate.header_hash] = certificate.view

    def _state(self, signer: int, epoch: int, view: int, kind: int, header_hash: bytes) -> None:
        conflict = self.statements.add(signer, epoch, view, kind, header_hash)
        if conflict:
            self.violations.append(conflict)

    def judge_end(self) -> int:
        """When all have stopped on one height: nothing certified is missing, all chains are one, every vote that a
        certificate counts was written down by its voter. Gives back how many heights were compared.
        """
        for index in range(len(self._stores)):
            self.look(index)
        chains = [store.read_all() for store in self._stores]
        compared = 0
        skipped = [self._list_skipped(index, chain) for index, chain in enumerate(chains)]
        last = [max(chain, default=0) for chain in chains]
        for height, block_hash in sorted(self.final.items()):
            expected = [index for index in range(len(chains)) if height <= last[index] and height not in skipped[index]]
            for index in expected:
                if chains[index].get(height) != block_hash:
                    self.violations.append(f"node{index} lost or changed the final block at height {height}")
            compared += len(expected) > 1
        everywhere = set(self.final.values())
        for block_hash, view in self.certified.items():
            if block_hash not in everywhere:
                self.violations.append(f"the certified block {block_hash.hex()} of view {view} is in no chain")
        for signer, view, kind in self._relied_on:
            if (signer, view, kind) not in self._own:
                self.violations.append(
                    f"key {signer} sent a {KIND_NAMES[kind]} of view {view} that is not in its journal"
                )
        return compared

    def _list_skipped(self, index: int, chain: dict[int, bytes]) -> frozenset[int]:
        """Heights that a validator without its disk never had: those below a snapshot that it started from, and from
        which it may have started again when it was far behind once more.
        """
        if index not in self._has_lost_disk:
            return frozenset()
        heights = sorted(chain)
        holes = zip([0, *heights], heights, strict=False)
        return frozenset(
            height
            for below, above in holes
            if above % self._snapshot_interval_blocks == 0
            for height in range(below + 1, above)
        )
