"""Who may knock: buckets, failures, and what becomes of those who share an address with an enemy."""

import random

from net.doorkeeper import FAILURE_HALF_LIFE_S, SHUT_OUT_FIRST_S, SHUT_OUT_LAST_S, Doorkeeper, DoorLimits

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
