"""The crash test's audit finds what must not be: each kind of contradiction and of loss, planted once."""

import os
import sqlite3

import pytest

from consensus.journal import encode_record
from consensus.messages import (
    FINALIZE,
    NOTARIZE,
    NULLIFY,
    ZERO_HASH,
    Certificate,
    Evidence,
    Vote,
    encode_message,
    make_bitmap,
)
from testnet.crash import audit as audit_module
from testnet.crash.audit import Audit, Statements
from testnet.crash.campaign import percentile

A, B = b"\xaa" * 32, b"\xbb" * 32
COUNT = 2


def vote(signer, view, kind, header_hash):
    return Vote(kind, 1, view, header_hash, signer, bytes(96))


def certificate(view, kind, header_hash, signers=(0, 1)):
    return Certificate(kind, 1, view, header_hash, make_bitmap(list(signers), COUNT), bytes(96))


@pytest.mark.parametrize(
    ("first", "second", "is_conflict"),
    [
        ((NOTARIZE, A), (NOTARIZE, A), False),
        ((NOTARIZE, A), (NOTARIZE, B), True),
        ((FINALIZE, A), (FINALIZE, B), True),
        ((NULLIFY, ZERO_HASH), (FINALIZE, A), True),
        ((FINALIZE, A), (NULLIFY, ZERO_HASH), True),
        ((NOTARIZE, A), (NULLIFY, ZERO_HASH), False),
        ((NULLIFY, ZERO_HASH), (NOTARIZE, A), False),
        ((NOTARIZE, A), (FINALIZE, A), False),
        ((NOTARIZE, A), (FINALIZE, B), True),
        ((FINALIZE, B), (NOTARIZE, A), True),
    ],
)
def test_two_statements_of_one_key_and_view(first, second, is_conflict):
    said = Statements()
    assert said.add(0, 1, 5, *first) == ""
    assert bool(said.add(0, 1, 5, *second)) is is_conflict
    assert said.add(1, 1, 5, *second) == said.add(0, 2, 5, *second) == said.add(0, 1, 6, *second) == ""


class Home:
    """One validator's data folder."""

    def __init__(self, folder) -> None:
        self.folder = folder
        (folder / "journal").mkdir(parents=True)
        self.journal = folder / "journal" / "0000000000000001.journal"
        self.journal.touch()
        self.sequence = 0
        self.database = sqlite3.connect(folder / "blocks.sqlite")
        self.database.execute("CREATE TABLE blocks (height INTEGER PRIMARY KEY, hash BLOB NOT NULL)")

    def write(self, *messages) -> None:
        for message in messages:
            self.sequence += 1
            data = encode_record(self.sequence, 1, encode_message(message))
            with self.journal.open("ab") as file:
                file.write(data)

    def finalise(self, height, block_hash) -> None:
        self.database.execute("INSERT OR REPLACE INTO blocks VALUES (?,?)", (height, block_hash))
        self.database.commit()


@pytest.fixture
def homes(tmp_path):
    return [Home(tmp_path / f"node{index}") for index in range(COUNT)]


@pytest.fixture
def audit(homes):
    return Audit([home.folder for home in homes], snapshot_interval_blocks=3)


def run_well(homes):
    for index, home in enumerate(homes):
        home.write(vote(index, 1, NOTARIZE, A), vote(index, 1, FINALIZE, A), certificate(1, FINALIZE, A))
        home.finalise(1, A)


def test_an_honest_run_is_clean_and_read_once(homes, audit):
    run_well(homes)
    assert [audit.look(0), audit.look(1), audit.look(0)] == [2, 2, 0]
    homes[0].write(vote(0, 2, NULLIFY, ZERO_HASH))
    assert audit.look(0) == 1 and audit.height_of(0) == 1
    assert audit.judge_end() == 1 and audit.violations == []
    assert audit.statements.count == 5


def test_a_key_that_contradicts_itself_in_its_own_journal_or_in_a_certificate(homes, audit):
    homes[0].write(vote(0, 1, NOTARIZE, A), vote(0, 1, NOTARIZE, B))
    homes[1].write(vote(1, 2, NULLIFY, ZERO_HASH), certificate(2, FINALIZE, A, (1,)))
    audit.look(0)
    audit.look(1)
    assert audit.violations == [
        "key 0 in view 1: two different notarize", "key 1 in view 2: nullify and finalize"
    ]  # fmt: skip


def test_a_vote_that_counts_but_was_never_written_down(homes, audit):
    run_well(homes)
    homes[0].write(certificate(2, NULLIFY, ZERO_HASH, (0, 1)), vote(0, 2, NULLIFY, ZERO_HASH))
    audit.judge_end()
    assert audit.violations == ["key 1 sent a nullify of view 2 that is not in its journal"]


def test_blocks_lost_changed_or_forked(homes, audit):
    run_well(homes)
    audit.look(0)
    homes[0].database.execute("DELETE FROM blocks")
    homes[0].finalise(2, B)
    homes[1].finalise(2, A)
    audit.judge_end()
    assert "node0 lost or changed the final block at height 1" in audit.violations
    assert "two final blocks at height 2, one of them at node1" in audit.violations


@pytest.mark.parametrize(
    ("heights", "lost"),
    [((3, 6, 7), []), ((3, 4, 6, 7), []), ((6, 7), []), ((3, 5, 6, 7), [4]), ((4, 5, 6, 7), [1, 2, 3])],
)
def test_without_its_disk_a_validator_lacks_only_what_lies_below_its_snapshots(homes, audit, heights, lost):
    for height in range(1, 8):
        homes[0].finalise(height, bytes([height]) * 32)
    for height in heights:
        homes[1].finalise(height, bytes([height]) * 32)
    audit.look(0)
    audit.forget_store(1)
    audit.judge_end()
    assert audit.violations == [f"node1 lost or changed the final block at height {height}" for height in lost]


def test_a_certified_block_that_is_in_no_chain(homes, audit):
    run_well(homes)
    homes[1].write(vote(1, 2, FINALIZE, B), certificate(2, FINALIZE, B, (1,)))
    audit.judge_end()
    assert audit.violations == [f"the certified block {B.hex()} of view 2 is in no chain"]


def test_journals_that_shrink_break_or_hold_what_they_must_not(homes, audit):
    run_well(homes)
    audit.look(0)
    os.truncate(homes[0].journal, 10)
    audit.look(0)
    assert any("lost records" in violation for violation in audit.violations)
    audit.violations.clear()
    homes[1].write(vote(0, 3, NOTARIZE, A), Evidence(vote_as_certificate(0, A), vote_as_certificate(0, B)))
    audit.look(1)
    assert any("as its own" in violation for violation in audit.violations)
    assert any("evidence" in violation for violation in audit.violations)


def vote_as_certificate(signer, header_hash):
    return certificate(4, NOTARIZE, header_hash, (signer,))


def test_damage_in_the_middle_is_told_from_a_torn_tail(homes, audit):
    run_well(homes)
    size = homes[0].journal.stat().st_size
    with homes[0].journal.open("ab") as file:
        file.write(b"\x00\x00\x00\x05torn")
    audit.look(0)
    assert audit.violations == []
    os.truncate(homes[0].journal, size)
    with homes[0].journal.open("ab") as file:
        file.write(bytes(40))
    homes[0].write(vote(0, 9, NULLIFY, ZERO_HASH))
    audit.look(0)
    assert any("damaged in the middle" in violation for violation in audit.violations)


def test_percentiles_are_values_that_occurred():
    assert [percentile([3.0, 1.0, 2.0, 4.0], share) for share in (0.25, 0.5, 0.99)] == [1.0, 2.0, 4.0]
    assert percentile([], 0.5) == 0.0


def test_a_store_that_cannot_be_read_at_the_end_is_no_empty_store(homes, audit, monkeypatch):
    monkeypatch.setattr(audit_module, "READ_ATTEMPTS", 2)
    run_well(homes)
    homes[1].database.execute("DROP TABLE blocks")
    homes[1].database.commit()
    assert audit.look(1) == 2 and audit.height_of(1) == 0
    with pytest.raises(sqlite3.OperationalError):
        audit.judge_end()
