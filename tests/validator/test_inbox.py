"""What a leader may propose of the settlement chain's inbox and what a voter accepts."""

import pytest

from contracts.settlement import ChainError
from engine.payload import InboxEntry
from validator.inbox import FORGET_ENTRIES, PROPOSE_LAG_MS, Inbox

T0_MS = 1_000_000


def entry(index, amount=5):
    return InboxEntry(index, 1, b"\1" * 20, b"\2" * 20, 0, b"\3" * 20, amount, bytes(32), 7)


@pytest.fixture
def inbox():
    made = Inbox()
    made.extend(T0_MS, 10, [entry(0), entry(1)])
    made.extend(T0_MS + 1000, 11, [entry(2)])
    return made


def test_a_leader_proposes_only_what_all_have_had_time_to_see(inbox):
    assert inbox.select(0, 0, T0_MS) == ((), 0)
    assert inbox.select(0, 0, T0_MS + PROPOSE_LAG_MS) == ((entry(0), entry(1)), 10)
    assert inbox.select(1, 10, T0_MS + 1000 + PROPOSE_LAG_MS) == ((entry(1), entry(2)), 11)


@pytest.mark.parametrize(
    ("cursor", "entries", "l1_block", "parent_l1_block", "verdict"),
    [
        (0, (entry(0), entry(1)), 10, 0, True),
        (1, (entry(1), entry(2)), 11, 10, True),
        (0, (), 11, 11, True),
        (0, (entry(1),), 10, 0, False),  # skips the first
        (0, (entry(0, amount=6),), 10, 0, False),  # not what the contract holds
        (0, (entry(0),), 9, 10, False),  # the chain goes backwards
        (0, (entry(0),), 12, 10, None),  # ahead of our view
        (2, (entry(2), entry(3)), 11, 10, None),  # an entry we have not seen yet
        (2, (entry(2, amount=9), entry(3)), 11, 10, False),
    ],
)
def test_a_voter_compares_with_its_own_view(inbox, cursor, entries, l1_block, parent_l1_block, verdict):
    assert inbox.check(cursor, entries, l1_block, parent_l1_block) is verdict


def test_leaving_out_what_all_have_held_for_long_is_censorship(inbox):
    assert not inbox.is_overdue(0, 0, T0_MS + 9_999, 10_000)
    assert inbox.is_overdue(0, 0, T0_MS + 10_001, 10_000)
    assert not inbox.is_overdue(0, 50, T0_MS + 10_001, 10_000)  # the block was full
    assert not inbox.is_overdue(3, 0, T0_MS + 99_999, 10_000)  # nothing left


def test_a_gap_is_the_chains_failure(inbox):
    with pytest.raises(ChainError):
        inbox.extend(T0_MS, 12, [entry(4)])


def test_an_inbox_may_begin_later_and_forgets_what_is_consumed():
    late = Inbox(3)
    assert (late.count, late.slice(0, 9)) == (3, ())
    late.extend(T0_MS, 10, [entry(3), entry(4)])
    assert late.select(3, 0, T0_MS + PROPOSE_LAG_MS) == ((entry(3), entry(4)), 10)
    assert late.check(3, (entry(3),), 10, 0) is True
    assert late.check(2, (entry(2), entry(3)), 10, 0) is None  # it cannot know
    assert late.select(2, 0, T0_MS + PROPOSE_LAG_MS) == ((), 0)
    assert late.is_overdue(4, 0, T0_MS + 10_001, 10_000) and not late.is_overdue(2, 0, T0_MS + 10_001, 10_000)
    late.extend(T0_MS, 11, [entry(index) for index in range(5, FORGET_ENTRIES + 9)])
    late.forget_before(5)
    assert late.slice(3, 5) == (entry(3), entry(4))  # not worth the work yet
    late.forget_before(FORGET_ENTRIES + 5)
    assert late.slice(3, FORGET_ENTRIES + 6) == (entry(FORGET_ENTRIES + 5),)
    assert late.count == FORGET_ENTRIES + 9
