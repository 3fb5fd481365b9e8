"""No leader keeps an author out for long; no author makes leaders fail."""

import pytest

from consensus.messages import ZERO_HASH, Block, Header, keccak
from engine.commands import CANCEL_ALL
from engine.payload import Payload
from tests.validator.chainlet import DOMAIN, FOUNDERS, GENESIS, GENESIS_STATE, MEMBERS, PARAMS, seal, sign
from validator import batches, inclusion
from validator.batches import BatchPool, sort_refs
from validator.executor import Executor
from validator.inbox import Inbox
from validator.inclusion import (
    INCLUSION_MS,
    MISSING_MS,
    RESTRICTED_BLOCKS,
    RESTRICTED_HOLD_MS,
    STRIKE_BLOCKS,
    STRIKES_MAX,
    Inclusion,
)
from validator.oracle import ReportBook
from validator.proposals import Proposals
from validator.roster import Roster

T0_MS = 1_000_000
CURSORS = [0] * MEMBERS
EMPTY = Payload((), (), (), 0)


@pytest.fixture(scope="module")
def made():
    """made[author, sequence]: batches of one cancel each."""
    return {
        (author, sequence): seal(author, sequence, [sign(author, CANCEL_ALL, sequence, market=0).encode()])
        for author in (0, 1)
        for sequence in (1, 2)
    }


def ref(checked):
    return (checked.batch.author, checked.batch.sequence, checked.batch_hash)


class Voter:
    """Sees final blocks a second apart."""

    def __init__(self, *held) -> None:
        self.pool = BatchPool(MEMBERS)
        for checked in held:
            self.pool.add(checked)
        self.rule = Inclusion(self.pool, Roster([FOUNDERS]))
        self.height, self.now_ms = 0, T0_MS

    def see(self, count, payload=EMPTY, step_ms=1_000):
        for _ in range(count):
            self.height, self.now_ms = self.height + 1, self.now_ms + step_ms
            self.rule.on_final(self.height, payload, CURSORS, self.now_ms)

    def overdue(self, *refs, cursors=CURSORS):
        found = self.rule.find_overdue(refs, cursors, self.now_ms, 1)
        return None if found is None else (found.batch.author, found.batch.sequence)


def test_a_held_batch_is_overdue_after_five_seconds_and_as_many_blocks_as_members(made):
    voter = Voter(made[1, 1])
    assert voter.overdue() is None
    voter.see(1)
    for _ in range(INCLUSION_MS // 1_000):
        assert voter.overdue() is None
        voter.see(1)
    assert voter.overdue() == (1, 1)
    assert voter.overdue(ref(made[1, 1])) is None
    assert voter.overdue(cursors=[0, 1, 0, 0]) is None


def test_blocks_without_time_and_time_without_blocks_make_nothing_overdue(made):
    quick = Voter(made[1, 1])
    quick.see(MEMBERS + 5, step_ms=10)
    assert quick.overdue() is None
    standstill = Voter(made[1, 1])
    standstill.see(MEMBERS)  # the first one only notes that it is held
    standstill.now_ms += 10 * INCLUSION_MS
    assert standstill.overdue() is None
    standstill.see(1)
    assert standstill.overdue() == (1, 1)


def test_blocks_without_room_do_not_count(made, monkeypatch):
    voter = Voter(made[0, 1], made[1, 1])
    monkeypatch.setattr(inclusion, "BLOCK_ACTIONS_MAX", 1)
    voter.see(20, Payload((ref(made[0, 1]),), (), (), 0))
    assert voter.overdue() is None
    voter.see(20)
    assert voter.overdue(ref(made[0, 1])) is None  # no room beside it
    assert voter.overdue() == (0, 1)
    monkeypatch.setattr(inclusion, "BLOCK_BYTES_MAX", 1)
    assert voter.overdue() is None


def test_an_author_must_not_be_skipped_and_only_its_first_left_out_batch_counts(made, monkeypatch):
    voter = Voter(made[1, 1], made[1, 2])
    voter.see(10)
    assert voter.overdue(ref(made[1, 2])) == (1, 1)
    assert voter.overdue(ref(made[1, 1])) == (1, 2)
    fits = len(made[1, 2].batch.commands)
    monkeypatch.setattr(inclusion, "BLOCK_BYTES_MAX", fits)
    assert voter.overdue(ref(made[1, 1])) is None


def test_the_voter_refuses_a_leader_that_leaves_out_what_is_overdue(made):
    pool = BatchPool(MEMBERS)
    executor = Executor(PARAMS, pool, GENESIS.hash(), GENESIS_STATE)
    proposals = Proposals(executor, pool, ReportBook(Roster([FOUNDERS]), DOMAIN), Inbox(), 10_000)
    pool.add(made[1, 1])
    for at in range(MEMBERS + 4):
        proposals.on_final(at + 1, EMPTY, CURSORS, T0_MS + 1_000 * at)
    now_ms = T0_MS + 10_000

    def judge(payload):
        data = payload.encode()
        block = Block(Header(1, 1, 1, GENESIS.hash(), 0, 0, now_ms, keccak(data), ZERO_HASH, bytes(320)), data)
        assert proposals.is_valid(block, GENESIS, now_ms)
        return proposals.is_acceptable(block, GENESIS, now_ms)

    assert judge(EMPTY) is False
    assert judge(Payload((ref(made[1, 1]),), (), (), 0)) is True
    built = proposals.build(1, GENESIS.hash(), GENESIS, now_ms)
    assert Payload.decode(built.payload).batch_refs == (ref(made[1, 1]),)


def test_authors_whose_batches_were_missing_wait_a_second_before_they_are_named(made):
    voter = Voter(made[0, 1], made[1, 1])
    voter.see(1)
    for strike in range(STRIKES_MAX):
        missing = [(1, 50 + strike, bytes([strike]) * 32)]
        voter.rule.on_missing(missing, voter.now_ms)
        assert voter.rule.is_ripe(made[1, 1], voter.now_ms)
        for _ in range(3):  # a batch strikes once
            voter.rule.on_missing(missing, voter.now_ms + MISSING_MS)
    assert not voter.rule.is_ripe(made[1, 1], voter.now_ms) and voter.rule.is_ripe(made[0, 1], voter.now_ms)
    named = voter.pool.select(CURSORS, lambda checked: voter.rule.is_ripe(checked, voter.now_ms))
    assert named == (ref(made[0, 1]),)
    assert voter.rule.is_ripe(made[1, 1], voter.now_ms + RESTRICTED_HOLD_MS)
    voter.see(RESTRICTED_BLOCKS, step_ms=1)
    assert voter.rule.is_ripe(made[1, 1], voter.now_ms)


def test_what_arrives_a_little_later_strikes_nobody(made):
    voter = Voter(made[1, 1])
    voter.see(1)
    for strike in range(10):
        missing = [(1, 50 + strike, bytes([strike]) * 32)]
        voter.rule.on_missing(missing, voter.now_ms)
        voter.rule.on_missing(missing, voter.now_ms + MISSING_MS - 1)
    assert voter.rule.is_ripe(made[1, 1], voter.now_ms)


def test_a_batch_lost_on_the_way_now_and_then_restricts_nobody(made):
    voter = Voter(made[1, 1])
    for strike in range(10):
        voter.see(STRIKE_BLOCKS // (STRIKES_MAX - 1), step_ms=1)
        missing = [(1, 50 + strike, bytes([strike]) * 32)]
        voter.rule.on_missing(missing, voter.now_ms)
        voter.rule.on_missing(missing, voter.now_ms + MISSING_MS)
        assert voter.rule.is_ripe(made[1, 1], voter.now_ms)


def test_a_set_of_batches_has_one_order_and_leaders_build_it(made):
    pool = BatchPool(MEMBERS)
    for checked in made.values():
        pool.add(checked)
    in_turn = tuple(ref(made[key]) for key in [(0, 1), (1, 1), (0, 2), (1, 2)])
    assert pool.select(CURSORS) == in_turn == sort_refs(in_turn[::-1]) == sort_refs(in_turn)
    assert sort_refs(in_turn[1:]) == (in_turn[2], in_turn[1], in_turn[3])


def test_a_batch_that_does_not_fit_keeps_back_its_author_only(made, monkeypatch):
    large = seal(0, 1, [sign(0, CANCEL_ALL, nonce, market=0).encode() for nonce in (1, 2)])
    pool = BatchPool(MEMBERS)
    for checked in (large, made[0, 2], made[1, 1], made[1, 2]):
        pool.add(checked)
    monkeypatch.setattr(batches, "BLOCK_ACTIONS_MAX", 1)
    assert pool.select(CURSORS) == (ref(made[1, 1]),)
    monkeypatch.setattr(batches, "BLOCK_ACTIONS_MAX", 3)
    assert pool.select(CURSORS) == (ref(large), ref(made[1, 1]))
    assert pool.holds_as_named((ref(large), ref(made[1, 1])))
    assert not pool.holds_as_named((ref(large), ref(made[1, 1]), ref(made[0, 2])))
