"""What a voter accepts: checked once where one look settles it, waited for where something may still come."""

from dataclasses import replace

import pytest

from consensus.messages import ZERO_HASH, Block, Header, keccak
from engine.commands import CANCEL_ALL
from engine.payload import InboxEntry, Payload
from net.identity import NetworkSigner
from tests.validator.chainlet import (
    DOMAIN,
    FOUNDERS,
    GENESIS,
    GENESIS_STATE,
    MEMBERS,
    OWNERS,
    PARAMS,
    SEEDS,
    TOKEN,
    seal,
    sign,
)
from validator import batches
from validator.batches import BatchPool
from validator.executor import Executor
from validator.inbox import PROPOSE_LAG_MS, Inbox
from validator.oracle import ReportBook
from validator.proposals import (
    BREATH_MS_MAX,
    CLOCK_PRECISION_MS,
    MESSAGE_DELAY_MS,
    MESSAGE_DELAY_MS_MAX,
    Proposals,
    compute_breath_ms,
    compute_message_delay_ms,
)
from validator.roster import Roster

NOW_MS = 2_000_000
FEEDS_E8 = (60_000 * 10**8, 3_000 * 10**8)
BATCH = seal(1, 1, [sign(0, CANCEL_ALL, 1, market=0).encode()])
ENTRY = InboxEntry(0, 1, TOKEN, OWNERS[0], 0, OWNERS[0], 5, bytes(32), 7)


class Voter:
    def __init__(self) -> None:
        self.pool, self.inbox = BatchPool(MEMBERS), Inbox()
        self.reports = ReportBook(Roster([FOUNDERS]), DOMAIN)
        self.executor = Executor(PARAMS, self.pool, GENESIS.hash(), GENESIS_STATE)
        self.proposals = Proposals(self.executor, self.pool, self.reports, self.inbox, 10_000)

    def judge(self, payload: Payload | bytes, timestamp_ms: int = NOW_MS, stalled_views: int = 0) -> bool | None:
        data = payload if isinstance(payload, bytes) else payload.encode()
        header = Header(1, 1, 1, GENESIS.hash(), 0, 0, timestamp_ms, keccak(data), ZERO_HASH, bytes(320))
        block = Block(header, data)
        if not self.proposals.is_valid(block, GENESIS, NOW_MS, stalled_views):
            return False
        return self.proposals.is_acceptable(block, GENESIS, NOW_MS)


@pytest.fixture
def voter():
    return Voter()


def report(validator, time_ms=NOW_MS):
    return NetworkSigner(SEEDS[validator], DOMAIN).sign_price_report(validator, time_ms, FEEDS_E8)


def ref(checked):
    return (checked.batch.author, checked.batch.sequence, checked.batch_hash)


def test_what_one_look_settles(voter):
    forged = NetworkSigner(SEEDS[0], DOMAIN).sign_price_report(1, NOW_MS, FEEDS_E8)
    assert voter.judge(Payload((), (), (), 0)) is True
    assert voter.judge(Payload((), (report(0), report(1), report(2)), (), 0)) is True
    assert voter.judge(Payload((), (report(0), forged, report(2)), (), 0)) is False
    assert voter.judge(b"\xff") is False


SECOND_MS = NOW_MS - NOW_MS % 1_000


@pytest.mark.parametrize(
    ("times_ms", "is_fair"),
    [
        ({}, True),
        ({0: 0, 1: 0, 2: 0}, True),
        ({0: 0, 1: 0, 2: 0, 3: 999}, True),
        ({0: 0, 1: 0}, False),  # no quorum
        ({1: 0, 0: 0, 2: 0}, False),  # out of order
        ({0: 0, 1: 0, 2: 1_000}, False),  # two ticks
        ({0: -3_000, 1: -3_000, 2: -3_000}, True),
        ({0: -4_000, 1: -4_000, 2: -4_000}, False),  # too old
        ({0: 2_000, 1: 2_000, 2: 2_000}, False),  # ahead of the block
    ],
)
def test_a_block_carries_timely_reports_of_a_quorum_and_of_one_tick(voter, times_ms, is_fair):
    reports = tuple(report(validator, SECOND_MS + at_ms) for validator, at_ms in times_ms.items())
    assert voter.judge(Payload((), reports, (), 0), SECOND_MS) is is_fair


def test_a_validator_reports_once_in_a_block(voter):
    twice = (report(0), report(0), report(1), report(2))
    assert voter.judge(Payload((), twice, (), 0)) is False


def test_a_tick_stays_available_while_the_next_one_arrives(voter):
    for validator in range(4):
        assert voter.reports.add(report(validator, SECOND_MS), SECOND_MS)
    for validator in range(2):
        assert voter.reports.add(report(validator, SECOND_MS + 1_000), SECOND_MS + 1_000)
    chosen = voter.reports.select([0] * MEMBERS, SECOND_MS + 1_000, 2, 1)
    assert [item.time_ms for item in chosen] == [SECOND_MS] * 4
    assert voter.reports.add(report(3, SECOND_MS + 1_001), SECOND_MS + 1_001)
    chosen = voter.reports.select([0] * MEMBERS, SECOND_MS + 1_001, 2, 1)
    assert [item.validator for item in chosen] == [0, 1, 3]
    assert voter.reports.is_fair(chosen, SECOND_MS + 1_001, 1)
    assert voter.reports.select([SECOND_MS + 1_000] * MEMBERS, SECOND_MS + 1_001, 2, 1) == ()


def test_a_proposals_time_is_bounded_and_patience_grows_while_nothing_is_final(voter):
    empty = Payload((), (), (), 0)
    earliest_ms = NOW_MS - MESSAGE_DELAY_MS - CLOCK_PRECISION_MS
    assert voter.judge(empty, NOW_MS + CLOCK_PRECISION_MS) is True
    assert voter.judge(empty, NOW_MS + CLOCK_PRECISION_MS + 1) is False
    assert voter.judge(empty, earliest_ms) is True
    assert voter.judge(empty, earliest_ms - 1) is False
    assert voter.judge(empty, earliest_ms - 1, stalled_views=1) is True
    delays_ms = [compute_message_delay_ms(views) for views in range(-1, 60)]
    assert delays_ms == sorted(delays_ms) and delays_ms[:3] == [4_000, 4_000, 4_800]
    assert delays_ms[-1] == MESSAGE_DELAY_MS_MAX


def test_batches_must_be_held_and_be_what_they_are_called(voter, monkeypatch):
    assert voter.judge(Payload((ref(BATCH),), (), (), 0)) is None
    voter.pool.add(BATCH)
    assert voter.judge(Payload((ref(BATCH),), (), (), 0)) is True
    assert voter.judge(Payload(((1, 2, BATCH.batch_hash),), (), (), 0)) is False
    assert voter.judge(Payload(((2, 1, BATCH.batch_hash),), (), (), 0)) is False
    monkeypatch.setattr(batches, "BLOCK_BYTES_MAX", 0)
    assert voter.judge(Payload((ref(BATCH),), (), (), 0)) is False


def test_the_inbox_is_compared_waited_for_and_insisted_on(voter):
    assert voter.judge(Payload((), (), (ENTRY,), 9)) is None
    voter.inbox.extend(NOW_MS - 11_000, 9, [ENTRY])
    assert voter.judge(Payload((), (), (ENTRY,), 9)) is True
    assert voter.judge(Payload((), (), (), 9)) is False  # overdue and left out


def test_a_leader_offers_entries_even_when_the_parent_named_a_newer_block(voter):
    voter.inbox.extend(NOW_MS - PROPOSE_LAG_MS, 9, [ENTRY])
    assert voter.inbox.select(0, 12, NOW_MS) == ((ENTRY,), 12)


def test_a_report_from_a_clock_ahead_is_dropped_without_blame(voter):
    assert voter.reports.add(report(2, NOW_MS + 5_000), NOW_MS)
    assert voter.reports.select([0] * MEMBERS, NOW_MS + 5_000, 2, 1) == ()
    for validator in range(3):
        assert voter.reports.add(report(validator), NOW_MS)
    assert len(voter.reports.select([0] * MEMBERS, NOW_MS, 2, 1)) == 3
    assert voter.reports.select([0] * MEMBERS, NOW_MS, 8, 1) == ()  # feeds of another state
    forged = NetworkSigner(SEEDS[0], DOMAIN).sign_price_report(1, NOW_MS, FEEDS_E8)
    assert not voter.reports.add(forged, NOW_MS)


def test_an_equivocating_author_leaves_nothing_behind(voter):
    twin = seal(1, 1, [sign(1, CANCEL_ALL, 9, market=0).encode()])
    voter.pool.add(BATCH)
    assert not voter.pool.add(twin)
    voter.pool.add_named(twin)
    assert voter.pool.get(twin.batch_hash) is twin
    assert voter.pool.command_count_of(1) == 2
    assert len(voter.pool.drop_through([0, 1, 0, 0])) == 2
    assert voter.pool.get(twin.batch_hash) is None and voter.pool.get(BATCH.batch_hash) is None


def test_a_full_block_gets_time_for_its_votes_before_the_next(voter):
    voter.pool.add(BATCH)
    light = voter.executor.run(GENESIS.hash(), 1, 1, NOW_MS, Payload(((1, 1, BATCH.batch_hash),), (), (), 0))
    assert light is not None and light.message_count == 1 and compute_breath_ms(light) == 0
    assert compute_breath_ms(replace(light, message_count=200)) == 90
    full = replace(light, message_count=2_000)
    assert compute_breath_ms(full) == BREATH_MS_MAX
    voter.executor._states[GENESIS.hash()] = replace(full, time_ms=NOW_MS, state=GENESIS_STATE)
    assert not voter.proposals.has_work(1, GENESIS.hash(), NOW_MS + BREATH_MS_MAX - 1)
    assert voter.proposals.has_work(1, GENESIS.hash(), NOW_MS + BREATH_MS_MAX)
