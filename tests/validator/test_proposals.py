"""What a voter accepts: checked once where one look settles it, waited for where something may still come."""

import pytest

from consensus.messages import ZERO_HASH, Block, Header, keccak, quorum
from engine.commands import CANCEL_ALL
from engine.payload import InboxEntry, Payload
from net.identity import NetworkSigner
from tests.validator.chainlet import (
    DOMAIN,
    GENESIS,
    GENESIS_STATE,
    MEMBERS,
    NETWORK_KEYS,
    OWNERS,
    PARAMS,
    SEEDS,
    TOKEN,
    seal,
    sign,
)
from validator import batches
from validator.batches import BatchPool
from validator.chain import PROPOSE_LAG_MS, Inbox
from validator.executor import Executor
from validator.oracle import ReportBook
from validator.proposals import CLOCK_AHEAD_MS_MAX, CLOCK_BEHIND_MS_MAX, Proposals

NOW_MS = 2_000_000
FEEDS_E8 = (60_000 * 10**8, 3_000 * 10**8)
BATCH = seal(1, 1, [sign(0, CANCEL_ALL, 1, market=0).encode()])
ENTRY = InboxEntry(0, 1, TOKEN, OWNERS[0], 0, OWNERS[0], 5, bytes(32), 7)


class Voter:
    def __init__(self) -> None:
        self.pool, self.inbox = BatchPool(MEMBERS), Inbox()
        self.reports = ReportBook(NETWORK_KEYS, DOMAIN, quorum(MEMBERS))
        self.executor = Executor(PARAMS, self.pool, GENESIS.hash(), GENESIS_STATE)
        self.proposals = Proposals(self.executor, self.pool, self.reports, self.inbox, 10_000)

    def judge(self, payload: Payload | bytes, timestamp_ms: int = NOW_MS) -> bool | None:
        data = payload if isinstance(payload, bytes) else payload.encode()
        header = Header(1, 1, 1, GENESIS.hash(), 0, 0, timestamp_ms, keccak(data), ZERO_HASH, bytes(320))
        block = Block(header, data)
        if not self.proposals.is_valid(block, GENESIS, NOW_MS):
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
    assert voter.judge(Payload((), (report(0), report(1)), (), 0)) is True
    assert voter.judge(Payload((), (forged,), (), 0)) is False
    assert voter.judge(Payload((), (report(0), report(0, NOW_MS - 1)), (), 0)) is False
    assert voter.judge(b"\xff") is False
    empty = Payload((), (), (), 0)
    assert voter.judge(empty, NOW_MS + CLOCK_AHEAD_MS_MAX) is True
    assert voter.judge(empty, NOW_MS + CLOCK_AHEAD_MS_MAX + 1) is False
    assert voter.judge(empty, NOW_MS - CLOCK_BEHIND_MS_MAX - 1) is False


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
    assert voter.reports.select([0] * MEMBERS, NOW_MS + 5_000, 2) == ()
    for validator in range(3):
        assert voter.reports.add(report(validator), NOW_MS)
    assert len(voter.reports.select([0] * MEMBERS, NOW_MS, 2)) == 3
    assert voter.reports.select([0] * MEMBERS, NOW_MS, 8) == ()  # feeds of another state
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
