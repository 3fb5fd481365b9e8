"""Funding: impact prices, premiums, rates and what they move (FND), with the numbers of published formulas."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.exposure import compute_equity
from engine.feeds import refresh_markets, refresh_underlyings
from engine.funding import advance_funding, compute_impact_price, compute_premium, compute_rate
from engine.marks import reprice
from engine.tables import MARK_EPOCH, NOTICE_FUNDING, PHASE_AUCTION
from tests.engine.floor import (
    BUY,
    E8,
    SELL,
    START_MS,
    USD,
    Floor,
    continuous,
    feed,
    hold,
    instrument,
    money,
    notices,
    open_floor,
    rest,
)

MINUTE_MS, HOUR_MS = 60_000, 3_600_000


def advance(floor: Floor, time_ms: int, usd: float = 50_000) -> None:
    feed(floor, time_ms, usd)
    refresh_underlyings(floor.tables, np.int64(time_ms))
    reprice(floor.tables, floor.out, np.int64(time_ms))
    refresh_markets(floor.tables, np.int64(time_ms))
    advance_funding(floor.tables, floor.out, np.int64(time_ms))


def with_book(*orders: tuple[int, int, int], impact_quote: int = 5_000 * USD) -> Floor:
    """A perpetual at 50,000.0 with resting orders (side, ticks of 0.1, lots of 0.001)."""
    floor = continuous(open_floor(instrument(impact_quote=impact_quote)))
    for side, price_ticks, lots in orders:
        rest(floor, 64 + side, side, price_ticks, lots)
    feed(floor)
    return floor


IMPACTS = [
    ("nothing rests", (), SELL, 0),
    ("less than 5,000 USD rests", ((SELL, 500_000, 99),), SELL, 0),
    ("exactly 5,000 USD", ((SELL, 500_000, 100),), SELL, 50_000 * E8),
    ("one level is enough", ((SELL, 500_000, 1_000), (SELL, 600_000, 1)), SELL, 50_000 * E8),
    ("two levels", ((SELL, 500_000, 50), (SELL, 510_000, 500)), SELL, (50 * 500_000 + 50 * 510_000) * 10**7 // 100),
    (
        "a lot begun counts whole",
        ((BUY, 500_000, 1), (BUY, 400_000, 500)),
        BUY,
        (500_000 + 124 * 400_000) * 10**7 // 125,
    ),
    ("orders of one level together", ((BUY, 500_000, 60), (BUY, 500_000, 60)), BUY, 50_000 * E8),
]


@pytest.mark.parametrize(("what", "orders", "side", "expected"), IMPACTS)
def test_fnd_2_impact_prices(what: str, orders: tuple, side: int, expected: int) -> None:
    floor = with_book(*orders)
    assert compute_impact_price(floor.tables, np.int64(0), np.int64(side)) == expected, what


def test_fnd_2_hidden_lots_count() -> None:
    floor = with_book()
    rest(floor, 64, SELL, 500_000, 100, shown_lots=1)
    assert compute_impact_price(floor.tables, np.int64(0), np.int64(SELL)) == 50_000 * E8


PREMIUMS = [
    ("the index inside the spread", ((BUY, 499_900, 200), (SELL, 500_100, 200)), 0),
    ("bids one per cent above", ((BUY, 505_000, 200), (SELL, 506_000, 200)), 10_000_000),
    ("asks one per cent below", ((BUY, 494_000, 200), (SELL, 495_000, 200)), -10_000_000),
    ("a thin side says nothing", ((BUY, 505_000, 9),), 0),
    ("rounded down", ((BUY, 500_001, 200),), 2_000),
    ("at most the whole index", ((BUY, 1_500_000, 200),), 10**9),
]


@pytest.mark.parametrize(("what", "orders", "expected"), PREMIUMS)
def test_fnd_2_premiums(what: str, orders: tuple, expected: int) -> None:
    assert compute_premium(with_book(*orders).tables, np.int64(0)) == expected, what


def rate(premium_sum: int, count: int = 1, interest_bps: int = 1, cap_bps: int = 400) -> int:
    floor = open_floor(instrument(interest_bps=interest_bps, funding_cap_bps=cap_bps))
    row = floor.tables.markets[0]
    row["premium_sum"], row["premium_count"] = premium_sum, count
    return int(compute_rate(floor.tables, np.int64(0)))


RATES = [
    ("premium 0.01 % at interest 0.01 %: 0.01 %", {"premium_sum": 100_000}, 100_000),
    ("no premium: the interest", {"premium_sum": 0}, 100_000),
    ("within 0.05 % of the interest: the interest", {"premium_sum": 600_000}, 100_000),
    ("above: premium less 0.05 %", {"premium_sum": 1_000_000}, 500_000),
    ("below: premium plus 0.05 %", {"premium_sum": -1_000_000}, -500_000),
    ("the mean of the samples, rounded down", {"premium_sum": -2_000_003, "count": 2}, -500_002),
    ("capped at 4 %", {"premium_sum": 10**8}, 40_000_000),
    ("capped at -4 %", {"premium_sum": -(10**8)}, -40_000_000),
]


@pytest.mark.parametrize(("what", "samples", "expected"), RATES)
def test_fnd_3_rates(what: str, samples: dict[str, int], expected: int) -> None:
    assert rate(**samples) == expected, what


def test_fnd_3_an_hour_moves_f_by_an_eighth_of_the_rate_and_equity_by_minus_s_times_that() -> None:
    floor = continuous(open_floor())
    hold(floor, 0, a64=10, a65=-10)
    for minute in range(60):
        advance(floor, START_MS + minute * MINUTE_MS)
        advance(floor, START_MS + minute * MINUTE_MS + 30_000)
    row = floor.tables.markets[0]
    assert (row["premium_count"], row["funding_quote"]) == (60, 0)
    before = [int(compute_equity(floor.tables, np.int64(account))) for account in (64, 65)]
    total, epoch = money(floor), floor.tables.counters[MARK_EPOCH]
    advance(floor, START_MS + HOUR_MS)
    # 0.01 % of 50 USD a lot for 8 hours, an eighth of it: 625 quote.
    assert notices(floor, NOTICE_FUNDING) == [(0, 100_000, 625, 625, 60)]
    assert row["premium_count"] == 1, "the new minute's sample belongs to the new hour"
    assert row["value_unit"] == 50 * USD - 625
    after = [int(compute_equity(floor.tables, np.int64(account))) for account in (64, 65)]
    assert [after[0] - before[0], after[1] - before[1]] == [-6_250, 6_250]
    assert money(floor) == total, "no balance is touched"
    assert floor.tables.counters[MARK_EPOCH] == epoch + 2, "free margins are computed anew"


def test_fnd_3_missed_hours_and_stale_prices_pay_nothing() -> None:
    floor = continuous(open_floor())
    advance(floor, START_MS)
    refresh_underlyings(floor.tables, np.int64(START_MS + 2 * HOUR_MS))
    refresh_markets(floor.tables, np.int64(START_MS + 2 * HOUR_MS))
    advance_funding(floor.tables, floor.out, np.int64(START_MS + 2 * HOUR_MS))
    assert notices(floor, NOTICE_FUNDING) == [], "not while the index is stale"
    advance(floor, START_MS + 5 * HOUR_MS)
    assert [row[2] for row in notices(floor, NOTICE_FUNDING)] == [625], "five hours later one hour is paid"
    advance(floor, START_MS + 6 * HOUR_MS)
    floor.tables.markets[0]["premium_count"] = 0
    advance(floor, START_MS + 7 * HOUR_MS)
    assert len(notices(floor, NOTICE_FUNDING)) == 2, "an hour without a sample pays nothing"


def test_fnd_2_no_samples_in_an_auction() -> None:
    floor = continuous(open_floor())
    floor.tables.markets[0]["phase"] = PHASE_AUCTION
    advance(floor, START_MS)
    assert floor.tables.markets[0]["premium_count"] == 0
    floor.tables.markets[0]["phase"] = 0
    advance(floor, START_MS + 30_000)
    assert floor.tables.markets[0]["premium_count"] == 1, "later in the same minute"


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(-(10**8), 10**8), st.integers(1, 200_000)), min_size=1, max_size=24))
def test_fnd_3_remainders_are_carried(hours: list[tuple[int, int]]) -> None:
    """F is the exact sum of all hours' payments, rounded down once."""
    floor = continuous(open_floor(instrument(oracle_step_bps_max=9_999)))
    row, exact = floor.tables.markets[0], 0
    row["funding_at_ms"] = START_MS
    for hour, (premium, dollars) in enumerate(hours, 1):
        floor.tables.underlyings[0]["index_e8"] = dollars * E8
        floor.tables.underlyings[0]["is_fresh"] = row["is_fresh"] = row["premium_count"] = 1
        row["premium_sum"], row["mark_ms"] = premium, START_MS
        used = int(compute_rate(floor.tables, np.int64(0)))
        advance_funding(floor.tables, floor.out, np.int64(START_MS + hour * HOUR_MS))
        exact += dollars * 1_000 * used
        assert row["funding_quote"] == exact // (8 * 10**9)
