"""Who may knock: buckets, failures, and what becomes of those who share an address with an enemy."""

import random
from dataclasses import replace

import pytest

from net.doorkeeper import (
    FAILURE_HALF_LIFE_S,
    SHUT_OUT_FIRST_S,
    SHUT_OUT_LAST_S,
    SHUT_OUT_MEMORY_S,
    Doorkeeper,
    DoorLimits,
    network_of,
)

HOME, STREET = "192.0.2.1", "198.51.100.7"
LIMITS = DoorLimits(
    connections_per_address=4, attempts_per_s=1.0, attempts_burst=6.0, strangers_per_s=2.0, strangers_burst=10.0,
    failures_max=3.0, addresses_max=8,
)  # fmt: skip


def visit(door: Doorkeeper, address: str, now_s: float, fails: bool = False) -> str:
    """Comes and goes at once; the reason for which it was turned away."""
    reason = door.knock(address, now_s)
    if not reason:
        if fails:
            door.fail(address, now_s)
        door.leave(address)
    return reason


def test_only_so_many_connections_of_one_address_are_open() -> None:
    door = Doorkeeper(LIMITS)
    assert [door.knock(STREET, 0.0) for _ in range(5)] == ["", "", "", "", "too many connections"]
    door.leave(STREET)
    assert door.knock(STREET, 0.0) == "" and door.open_count(STREET) == 4


def test_an_address_that_knocks_too_often_waits_for_its_next_token() -> None:
    door = Doorkeeper(LIMITS)
    assert [visit(door, STREET, 0.0) for _ in range(7)] == [""] * 6 + ["too many attempts"]
    assert visit(door, STREET, 0.9) == "too many attempts"
    assert visit(door, STREET, 1.1) == ""


def test_all_strangers_together_have_one_bucket_that_those_who_are_known_do_not_need() -> None:
    door = Doorkeeper(LIMITS)
    door.knock(HOME, 0.0)
    door.admit(HOME, 0.0)
    reasons = [visit(door, f"203.0.113.{number}", 0.0) for number in range(20)]
    assert reasons.count("") == 9 and reasons[-1] == "too many strangers"
    assert visit(door, HOME, 0.0) == "" and visit(door, STREET, 0.0) == "too many strangers"
    assert door.knock("203.0.113.200", 0.0, is_expected=True) == ""


def test_failures_shut_a_stranger_out_for_ever_longer() -> None:
    door, now_s, durations_s = Doorkeeper(LIMITS), 0.0, []
    while len(durations_s) < 7:
        now_s += 1.5
        if not door.knock(STREET, now_s):
            durations_s.append(door.fail(STREET, now_s))
            door.leave(STREET)
            if not durations_s[-1]:
                durations_s.pop()
            else:
                assert door.knock(STREET, now_s + 1.0) == "shut out"
    assert durations_s[:3] == [SHUT_OUT_FIRST_S, 2 * SHUT_OUT_FIRST_S, 4 * SHUT_OUT_FIRST_S]
    assert durations_s[-1] == SHUT_OUT_LAST_S


def test_failures_are_forgotten() -> None:
    door, now_s = Doorkeeper(LIMITS), 0.0
    for _ in range(20):
        assert visit(door, STREET, now_s, fails=True) == ""
        now_s += FAILURE_HALF_LIFE_S


def test_who_shares_an_address_with_an_enemy_is_not_shut_out() -> None:
    door = Doorkeeper(LIMITS)
    door.knock(HOME, 0.0)
    door.admit(HOME, 0.0)
    for second in range(1, 100):
        assert visit(door, HOME, float(second), fails=True) == ""


FREE = replace(LIMITS, are_keys_free=True)


def test_where_keys_are_free_a_peer_spares_its_address_nothing() -> None:
    door = Doorkeeper(FREE)
    door.knock(STREET, 0.0)
    door.admit(STREET, 0.0)
    for second in (1.0, 2.0, 3.0, 4.0):
        assert visit(door, STREET, second, fails=True) == ""
    assert visit(door, STREET, 5.0) == "shut out"


def test_a_ban_shuts_the_address_out_and_no_other_for_ever_longer() -> None:
    door, now_s, durations_s = Doorkeeper(FREE), 0.0, []
    for _ in range(7):
        assert door.knock(STREET, now_s) == "" and door.open_count(STREET) == 1
        durations_s.append(door.ban(STREET, now_s))
        door.leave(STREET)
        end_s = now_s + durations_s[-1]
        assert door.is_shut_out(STREET, end_s - 0.1) and door.knock(STREET, end_s - 0.1) == "shut out"
        assert not door.is_shut_out(STREET, end_s) and not door.is_shut_out(HOME, now_s)
        now_s = end_s + 1
    assert durations_s == [min(SHUT_OUT_LAST_S, SHUT_OUT_FIRST_S * 2**count) for count in range(7)]
    assert durations_s[-1] == SHUT_OUT_LAST_S
    assert door.ban(STREET, now_s + SHUT_OUT_MEMORY_S) == SHUT_OUT_FIRST_S, "it is forgotten"


def test_many_bans_at_once_count_once() -> None:
    door = Doorkeeper(FREE)
    assert [door.ban(STREET, float(second)) for second in range(5)] == [SHUT_OUT_FIRST_S, 0.0, 0.0, 0.0, 0.0]
    assert door.ban(STREET, SHUT_OUT_FIRST_S) == 2 * SHUT_OUT_FIRST_S


def test_an_address_that_others_share_is_never_shut_out_longer_than_the_first_time() -> None:
    door, now_s = Doorkeeper(FREE), 0.0
    for _ in range(5):
        assert door.ban(STREET, now_s, is_shared=True) == SHUT_OUT_FIRST_S
        now_s += SHUT_OUT_FIRST_S
    assert door.ban(STREET, now_s) == SHUT_OUT_FIRST_S, "nor does it count when they are gone"


def test_an_expected_address_is_never_shut_out() -> None:
    door = Doorkeeper(FREE)
    assert door.ban(HOME, 0.0) == SHUT_OUT_FIRST_S
    assert door.knock(HOME, 1.0, is_expected=True) == "", "even if it is expected only since"
    assert door.ban(HOME, 2.0) == 0.0 and not door.is_shut_out(HOME, 3.0)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("a name", "a name"),
        ("no:address", "no:address"),
        ("", ""),
    ],
)
def test_what_is_judged_as_one(address: str, network: str) -> None:
    assert network_of(address) == network
    door = Doorkeeper(FREE)
    door.ban(address, 0.0)
    assert door.is_shut_out(network, 1.0) and door.is_shut_out(address, 1.0)
    assert door.open_count(address) == 0


def test_neither_questions_nor_refusals_nor_bans_grow_the_memory() -> None:
    door = Doorkeeper(FREE)
    for number in range(1_000):
        address = f"2001:db8:0:{number:x}::1"
        assert not door.is_shut_out(address, float(number))
        door.ban(address, float(number))
        assert len(door._visitors) <= FREE.addresses_max


def test_memory_is_bounded_and_open_connections_are_never_forgotten() -> None:
    draw, door = random.Random(1), Doorkeeper(LIMITS)
    assert door.knock(HOME, 0.0) == ""
    for number in range(1_000):
        visit(door, f"203.0.113.{draw.randrange(256)}", float(number))
        assert len(door._visitors) <= LIMITS.addresses_max
    door.leave(HOME)
    assert door.open_count(HOME) == 0


def test_a_clock_that_stands_still_or_an_empty_address_changes_nothing() -> None:
    door = Doorkeeper(LIMITS)
    assert [visit(door, "", 5.0) for _ in range(7)] == [""] * 6 + ["too many attempts"]
