"""One liar moves no median, a long way is not taken for a wrong clock, and who is gone counts no more."""

from validator.clock_offset import REPORTS_KEPT, ClockOffset


def test_the_shortest_way_of_the_median_member_counts():
    offset = ClockOffset()
    assert offset.ahead_ms is None
    for way_ms in (40, 5, 300):
        offset.observe(0, 1_000, 1_000 + way_ms)
        offset.observe(1, 1_000, 1_000 + way_ms + 2)
        offset.observe(2, 1_000, 61_000)
    assert offset.ahead_ms == 7
    offset.forget(2)
    assert offset.ahead_ms == 5


def test_a_clock_that_falls_behind_shows_and_one_that_is_set_right_is_forgiven():
    offset = ClockOffset()
    for second in range(REPORTS_KEPT):
        offset.observe(0, 1_000 * second, 1_000 * second - 900)
    assert offset.ahead_ms == -900
    for second in range(REPORTS_KEPT):
        offset.observe(0, 1_000 * second, 1_000 * second + 3)
    assert offset.ahead_ms == 3
