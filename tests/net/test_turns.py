"""Who publishes next: one at once, the others only if it does not."""

import pytest

from net.doorkeeper import Doorkeeper
from net.public.host import PublicLimits
from net.public.standing import BAN_FIRST_S, REMEMBERED_MAX, StrangerLimits, Strangers
from net.public.turns import Turns

INTERVAL_S, STEP_S = 0.2, 0.1


def make_turns(index: int | None) -> Turns:
    return Turns(index, 4, INTERVAL_S, STEP_S)


def test_nothing_to_publish_is_never_due() -> None:
    assert make_turns(0).due_s() is None


@pytest.mark.parametrize(("index", "place"), [(0, 0), (1, 1), (2, 2), (3, 3), (None, 4)])
def test_each_member_waits_for_those_before_it(index: int | None, place: int) -> None:
    turns = make_turns(index)
    turns.on_block(1, 10.0)
    assert turns.due_s() == pytest.approx(10.0 + INTERVAL_S + place * STEP_S)


def test_the_turn_passes_on_with_the_height() -> None:
    turns = make_turns(2)
    turns.on_published(6, 7, 10.0)
    assert turns.due_s() == pytest.approx(10.0 + INTERVAL_S)


def test_what_others_published_is_not_due() -> None:
    turns = make_turns(1)
    turns.on_block(1, 10.0)
    turns.on_published(1, 1, 10.1)
    assert turns.due_s() is None
    turns.on_published(1, 5, 10.2)
    assert turns.due_s() is None


def test_blocks_are_collected_from_the_first_one_on() -> None:
    turns = make_turns(0)
    turns.on_block(1, 10.0)
    turns.on_block(2, 10.1)
    assert turns.due_s() == pytest.approx(10.0 + INTERVAL_S)


def test_a_stranger_pauses_when_it_has_spent_its_allowance() -> None:
    strangers = Strangers(StrangerLimits(messages_per_s=10, messages_burst=20))
    assert strangers.take(b"peer", 20, 0, 0, 0.0) == 0
    assert strangers.take(b"peer", 10, 0, 0, 0.0) == pytest.approx(1.0)
    assert strangers.take(b"other", 20, 0, 0, 0.0) == 0


def test_two_offences_ban_and_a_ban_ends() -> None:
    strangers = Strangers()
    assert not strangers.report(b"peer", 0.0)
    assert strangers.report(b"peer", 1.0)
    assert strangers.is_banned(b"peer", 1.0 + BAN_FIRST_S - 1)
    assert not strangers.is_banned(b"peer", 1.0 + BAN_FIRST_S + 1)
    assert not strangers.is_banned(b"other", 2.0)


def test_two_offences_far_apart_do_not_ban() -> None:
    strangers = Strangers()
    strangers.report(b"peer", 0.0)
    assert not strangers.report(b"peer", 1_000.0)


def test_an_address_has_an_allowance_of_handshakes() -> None:
    door = Doorkeeper(PublicLimits(slots_per_address=100).door())
    assert [not door.knock("10.0.0.1", 0.0) for _ in range(18)] == [True] * 16 + [False] * 2
    assert not door.knock("10.0.0.2", 0.0)
    assert not door.knock("10.0.0.1", 2.0) and door.knock("10.0.0.1", 2.0)


def test_all_addresses_together_have_one_too() -> None:
    door = Doorkeeper(PublicLimits().door())
    assert sum(not door.knock(f"10.0.{at}.1", 0.0) for at in range(100)) == 60


def test_the_memory_of_strangers_is_bounded() -> None:
    strangers = Strangers()
    for at in range(REMEMBERED_MAX + 100):
        strangers.report(at.to_bytes(4, "big"), 0.0)
    assert len(strangers._known) == REMEMBERED_MAX
