"""The standing of strangers: what bans at once, what takes two, what is forgotten."""

import pytest

from net.public.standing import (
    BAN_FIRST_S,
    BAN_LAST_S,
    OFFENCE_MEMORY_S,
    REMEMBERED_MAX,
    Strangers,
)

PEER, OTHER = b"peer", b"other"


@pytest.mark.parametrize(
    ("offences", "is_banned"),
    [
        ([(0.0, False)], False),
        ([(0.0, False), (OFFENCE_MEMORY_S - 1, False)], True),
        ([(0.0, False), (OFFENCE_MEMORY_S + 1, False)], False),
        ([(0.0, True)], True),
        ([(0.0, False), (OFFENCE_MEMORY_S + 1, True)], True),
    ],
)
def test_the_second_doubtful_offence_bans_and_the_first_certain_one(
    offences: list[tuple[float, bool]], is_banned: bool
) -> None:
    strangers = Strangers()
    for now_s, is_certain in offences:
        assert not strangers.is_banned(PEER, now_s)
        strangers.report(PEER, now_s, is_certain)
    assert strangers.is_banned(PEER, now_s) == is_banned
    assert not strangers.is_banned(OTHER, now_s)


def test_a_burst_is_one_ban() -> None:
    strangers = Strangers()
    assert [strangers.report(PEER, 0.0, True) for _ in range(20)] == [True] + 19 * [False]
    assert not strangers.is_banned(PEER, BAN_FIRST_S + 1)


def test_bans_double_up_to_a_longest_one() -> None:
    strangers, now_s, durations_s = Strangers(), 0.0, []
    for _ in range(9):
        assert strangers.report(PEER, now_s, True)
        duration_s = BAN_FIRST_S
        while strangers.is_banned(PEER, now_s + duration_s):
            duration_s += BAN_FIRST_S
        durations_s.append(duration_s)
        now_s += duration_s
    assert durations_s[:3] == [BAN_FIRST_S, 2 * BAN_FIRST_S, 4 * BAN_FIRST_S] and durations_s[-1] == BAN_LAST_S


def test_who_has_offended_lately_does_not_behave() -> None:
    strangers = Strangers()
    assert strangers.behaves(PEER, 0.0)
    strangers.report(PEER, 0.0)
    assert not strangers.behaves(PEER, 1.0) and strangers.behaves(PEER, OFFENCE_MEMORY_S)
    strangers.report(PEER, 200.0, True)
    assert not strangers.behaves(PEER, 201.0) and strangers.behaves(PEER, 200.0 + BAN_FIRST_S)


def test_memory_is_bounded() -> None:
    strangers = Strangers()
    for number in range(2 * REMEMBERED_MAX):
        strangers.note_address(str(number).encode(), "192.0.2.1")
    assert strangers.address(b"0") == "" and strangers.address(b"8191") == "192.0.2.1"
    assert len(strangers._known) == REMEMBERED_MAX
