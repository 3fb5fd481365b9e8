"""The surfaces of the seeded path: sound for the engine at every moment, skewed, dearer near expiry, slow."""

from math import isqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.params import DEFAULT_MARKETS
from engine.svi import is_calendar_free, is_slice_sound
from validator.pricefeed import PathFeed
from validator.volatility import DAY_MS, YEAR_MS, compute_forward_e8, compute_slice, list_expiry_feeds

NOW_MS = 1_795_000_000_000
OFFSET = 1 << 32
INDEX_E8 = 60_000 * 10**8
LEFT_MS = st.one_of(st.integers(1, 600_000), st.integers(1, 400 * DAY_MS))
SEEDS, TIMES_MS = st.integers(0, 1 << 30), st.integers(60_000, 1 << 45)


def volatility_bps(slice_e8: tuple[int, ...], log_strike_e8: int, left_ms: int) -> int:
    """Of a strike, by the formula, with integer roots."""
    a_e8, b_e8, rho_e8, m_e8, sigma_e8 = slice_e8
    distance_e8 = log_strike_e8 - m_e8
    inner_e8 = rho_e8 * distance_e8 // 10**8 + isqrt(distance_e8**2 + sigma_e8**2)
    return isqrt((a_e8 + b_e8 * inner_e8 // 10**8) * YEAR_MS // left_ms)


@given(seed=SEEDS, time_ms=TIMES_MS, left_ms=LEFT_MS, name=st.sampled_from(("BTC", "ETH", "SOL")))
def test_every_slice_is_sound(seed: int, time_ms: int, left_ms: int, name: str) -> None:
    assert is_slice_sound(*compute_slice(seed, name, left_ms, time_ms))


@given(seed=SEEDS, time_ms=TIMES_MS, left_ms=LEFT_MS, ahead_ms=st.integers(600_000, 400 * DAY_MS))
def test_no_later_expiry_has_less_variance(seed: int, time_ms: int, left_ms: int, ahead_ms: int) -> None:
    earlier, later = (compute_slice(seed, "BTC", ahead, time_ms) for ahead in (left_ms, left_ms + ahead_ms))
    assert is_calendar_free(earlier, later)


@given(seed=SEEDS, time_ms=TIMES_MS, left_ms=st.integers(1, 30 * DAY_MS), ahead_ms=st.integers(DAY_MS, 60 * DAY_MS))
def test_days_apart_that_holds_between_reports_of_different_minutes(
    seed: int, time_ms: int, left_ms: int, ahead_ms: int
) -> None:
    """The engine compares a new slice with the last one of its neighbour."""
    for moment_ms in (time_ms - 60_000, time_ms + 60_000):
        later = compute_slice(seed, "BTC", left_ms + ahead_ms, moment_ms)
        assert is_calendar_free(compute_slice(seed, "BTC", left_ms, time_ms), later)


@pytest.mark.parametrize(("log_strike_e8", "low_bps", "high_bps"), [
    (-15_000_000, 5_500, 9_000), (0, 4_500, 6_500), (15_000_000, 4_500, 6_500),
])  # fmt: skip
def test_a_week_ahead_puts_are_dearer_than_calls(log_strike_e8: int, low_bps: int, high_bps: int) -> None:
    found_bps = [
        volatility_bps(compute_slice(seed, "BTC", 7 * DAY_MS, NOW_MS), log_strike_e8, 7 * DAY_MS) for seed in range(20)
    ]
    assert all(low_bps < item < high_bps for item in found_bps)


def test_the_smile_has_two_wings_and_flattens_with_time() -> None:
    week, year = (
        [volatility_bps(compute_slice(1, "ETH", days * DAY_MS, NOW_MS), k, days * DAY_MS) for k in (-(10**8), 0, 10**8)]
        for days in (7, 365)
    )
    assert week[0] > week[2] > week[1] and year[0] > year[1]
    assert week[1] > year[1] and week[0] - week[1] > 2 * (year[0] - year[1])


@given(seed=SEEDS, time_ms=TIMES_MS)
def test_a_second_moves_the_volatility_by_less_than_a_thousandth_and_a_day_by_percents(seed: int, time_ms: int) -> None:
    before, after = (compute_slice(seed, "BTC", 30 * DAY_MS, moment_ms)[1] for moment_ms in (time_ms, time_ms + 1_000))
    assert abs(after - before) * 1_000 <= before
    day = [compute_slice(seed, "BTC", 30 * DAY_MS, time_ms + hour * 3_600_000)[1] for hour in range(24)]
    assert max(day) - min(day) > min(day) // 50


def test_a_forward_costs_a_few_per_cent_a_year_and_nothing_at_expiry() -> None:
    for seed in range(20):
        year_e8 = compute_forward_e8(seed, "BTC", INDEX_E8, YEAR_MS, NOW_MS)
        assert INDEX_E8 * 102 // 100 < year_e8 < INDEX_E8 * 110 // 100
        assert compute_forward_e8(seed, "BTC", INDEX_E8, 1, NOW_MS) - INDEX_E8 < 10**3


@given(left_ms=st.integers(-10, 10))
def test_what_is_past_or_has_no_index_gets_no_opinion(left_ms: int) -> None:
    assert any(list_expiry_feeds(1, "BTC", INDEX_E8, NOW_MS + left_ms, NOW_MS)) == (left_ms > 0)
    assert not any(list_expiry_feeds(1, "BTC", 0, NOW_MS + left_ms, NOW_MS))


def test_a_report_carries_six_numbers_an_expiry_around_its_own_index() -> None:
    feed = PathFeed(1, DEFAULT_MARKETS, 3, 2)
    expiries = ((1, NOW_MS + DAY_MS), (0, NOW_MS + 9 * DAY_MS), (0, NOW_MS))
    numbers = feed.feeds(NOW_MS, expiries)
    assert numbers[:2] == feed.feeds(NOW_MS)
    assert numbers[2:8] == list_expiry_feeds(1, "ETH", numbers[1], NOW_MS + DAY_MS, NOW_MS)
    assert numbers[8:14] == list_expiry_feeds(1, "BTC", numbers[0], NOW_MS + 9 * DAY_MS, NOW_MS)
    assert numbers[14:] == (0,) * 6
    assert all(0 < number < 1 << 48 for number in numbers[:14])
