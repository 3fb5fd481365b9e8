"""Reports become feeds: which count, where the median moves, what a surface needs (ORA, SVI-1)."""

from types import SimpleNamespace

import numpy as np
import pytest

from engine.feeds import FEED_E8_MAX, apply_reports, move_feeds, refresh_markets, refresh_underlyings, select_reports
from engine.payload import PriceReport
from engine.tables import MUST_REPRICE
from tests.engine.floor import DAY_MS, E8, SHIFT, START_MS, Floor, feed, instrument, open_floor

NO_OUTPUTS = None
INDEX = 50_000 * E8


def report(validator: int, *values: int, time_ms: int = START_MS) -> PriceReport:
    return PriceReport(validator, time_ms, values, bytes(64))


def oracle(floor: Floor) -> SimpleNamespace:
    params = SimpleNamespace(quorum=3)
    return SimpleNamespace(tables=floor.tables, params=params, report_times_ms=np.zeros(4, np.int64), oracle_root=b"")


COUNTING = [
    ("three good ones", [report(v, INDEX) for v in range(3)], [0, 1, 2]),
    ("fewer than a quorum", [report(v, INDEX) for v in range(2)], []),
    ("the same validator three times", [report(0, INDEX, time_ms=START_MS + at) for at in range(3)], []),
    ("an unknown validator", [report(v, INDEX) for v in (0, 1, 9)], []),
    ("a feed too many", [report(0, INDEX), report(1, INDEX), report(2, INDEX, INDEX)], []),
    ("a number too large", [report(0, INDEX), report(1, INDEX), report(2, FEED_E8_MAX + 1)], []),
    ("a negative number", [report(0, INDEX), report(1, INDEX), report(2, -1)], []),
    ("ten seconds old", [report(v, INDEX, time_ms=START_MS - 10_000) for v in range(3)], [0, 1, 2]),
    ("older", [report(v, INDEX, time_ms=START_MS - 10_001) for v in range(3)], []),
    ("a second ahead", [report(v, INDEX, time_ms=START_MS + 1_000) for v in range(3)], [0, 1, 2]),
    ("further ahead", [report(v, INDEX, time_ms=START_MS + 1_001) for v in range(3)], []),
    ("in any order", [report(v, INDEX) for v in (3, 0, 2)], [0, 2, 3]),
]


@pytest.mark.parametrize(("what", "reports", "expected"), COUNTING)
def test_ora_1_which_reports_count(what: str, reports: list[PriceReport], expected: list[int]) -> None:
    used = select_reports(oracle(open_floor()), tuple(reports), START_MS)
    assert [item.validator for item in used] == expected, what


def test_ora_1_a_report_is_used_once_and_of_several_the_latest_counts() -> None:
    floor = open_floor()
    state = oracle(floor)
    early = [report(v, INDEX) for v in range(3)]
    late = report(0, INDEX + E8, time_ms=START_MS + 5)
    used = apply_reports(state, NO_OUTPUTS, (*early, late), START_MS)
    assert used[0] == late
    assert state.report_times_ms.tolist() == [START_MS + 5, START_MS, START_MS, 0]
    assert state.oracle_root != bytes(32)
    assert apply_reports(state, NO_OUTPUTS, tuple(early), START_MS + 10) == []
    assert state.oracle_root == bytes(32)


def index_after(old_e8: int, *values: int, step_bps: int = 100) -> int:
    floor = open_floor()
    underlying = floor.tables.underlyings[0]
    underlying["index_e8"], underlying["oracle_step_bps_max"] = old_e8, step_bps
    move_feeds(floor.tables, np.array([values], np.int64), np.int64(3), np.int64(START_MS))
    return int(underlying["index_e8"])


MOVES = [
    ("the first value is taken as it is", 0, (10 * E8, 20 * E8, 30 * E8), 20 * E8),
    ("of four values the lower middle one", 0, (10 * E8, 20 * E8, 30 * E8, 40 * E8), 20 * E8),
    ("no opinion is not a value", 0, (10 * E8, 0, 30 * E8, 40 * E8), 30 * E8),
    ("two opinions are no quorum", 5 * E8, (10 * E8, 0, 0, 40 * E8), 5 * E8),
    ("one per cent up at most", 100 * E8, (200 * E8,) * 3, 101 * E8),
    ("one per cent down at most", 100 * E8, (50 * E8,) * 3, 99 * E8),
    ("one liar of four moves nothing far", 100 * E8, (1, 100 * E8, 100 * E8, 100 * E8), 100 * E8),
    ("at least one tick of the feed", 5 * 10**6, (20 * E8,) * 3, 5 * 10**6 + 10**7),
    ("never to nothing", 5 * 10**6, (1, 1, 1), 1),
]


@pytest.mark.parametrize(("what", "old_e8", "values", "expected"), MOVES)
def test_ora_2_where_an_index_moves(what: str, old_e8: int, values: tuple[int, ...], expected: int) -> None:
    assert index_after(old_e8, *values) == expected, what


def test_ora_3_dispersion_is_the_spread_in_bps_of_the_median() -> None:
    floor = open_floor()
    move_feeds(floor.tables, np.array([[99 * E8, 100 * E8, 102 * E8]], np.int64), np.int64(3), np.int64(START_MS))
    assert floor.tables.underlyings[0]["dispersion_bps"] == 300


FUTURE = instrument("BTC-FUTURE", kind="future", expiry_ms=START_MS + 30 * DAY_MS)
CALL = instrument("BTC-CALL", kind="call", strike="50000", expiry_ms=START_MS + 30 * DAY_MS)
LATER_CALL = instrument("BTC-LATER", kind="call", strike="50000", expiry_ms=START_MS + 60 * DAY_MS)


def move_surface(floor: Floor, number: int, a: int, b: int, rho: int, m: int, sigma: int, opinions: int = 3) -> tuple:
    """Report one surface; returns what the expiry has then."""
    tables = floor.tables
    rows = np.zeros((1 + 6 * len(set(tables.expiries["expiry_ms"]) - {0}), 4), np.int64)
    rows[0] = INDEX
    first = 1 + 6 * number
    rows[first : first + 6, :3] = np.array([INDEX, a + SHIFT, b, rho + SHIFT, m + SHIFT, sigma])[:, None]
    rows[first + 5, opinions:] = 0
    move_feeds(tables, rows, np.int64(3), np.int64(START_MS))
    return tuple(int(tables.expiries[number][name]) for name in ("a_e8", "b_e8", "rho_e8", "m_e8", "sigma_e8"))


GOOD = (2_000_000, 1_000_000, -30_000_000, 0, 10_000_000)


def test_ora_2_a_surface_is_taken_as_a_whole() -> None:
    floor = open_floor(instrument(), CALL)
    assert move_surface(floor, 0, *GOOD, opinions=2) == (0, 0, 0, 0, 0), "no quorum for one part"
    assert move_surface(floor, 0, *GOOD) == GOOD
    assert move_surface(floor, 0, -9_000_000, 1_000_000, 0, 0, 10_000_000) == GOOD, "variance below zero"
    assert move_surface(floor, 0, 2_000_000, 150_000_000, 90_000_000, 0, 10_000_000) == GOOD, "wings too steep"


def test_svi_1_a_surface_does_not_pass_its_neighbours() -> None:
    floor = open_floor(instrument(), CALL, LATER_CALL)
    assert move_surface(floor, 0, *GOOD) == GOOD
    assert move_surface(floor, 1, 1_000_000, *GOOD[1:]) == (0, 0, 0, 0, 0), "later, but less variance"
    later = (3_000_000, *GOOD[1:])
    assert move_surface(floor, 1, *later) == later
    assert move_surface(floor, 0, 4_000_000, *GOOD[1:]) == GOOD, "earlier, but more variance than the later one"


def freshness(floor: Floor, time_ms: int) -> list[int]:
    refresh_underlyings(floor.tables, np.int64(time_ms))
    refresh_markets(floor.tables, np.int64(time_ms))
    return [int(fresh) for fresh in floor.tables.markets["is_fresh"][:3]]


def test_ora_2_prices_are_fresh_for_a_while() -> None:
    floor = open_floor(instrument(), FUTURE, CALL)
    assert freshness(floor, START_MS) == [0, 0, 0], "nothing is fresh before its first price"
    feed(floor, START_MS)
    floor.tables.markets["mark_ms"][:3] = START_MS
    assert freshness(floor, START_MS + 15_000) == [1, 1, 1]
    assert freshness(floor, START_MS + 15_001) == [0, 0, 0]
    feed(floor, START_MS + 20_000)
    floor.tables.expiries[0]["surface_ms"] = START_MS
    assert freshness(floor, START_MS + 20_000) == [1, 1, 0], "an option needs its surface too"
    floor.tables.expiries[0]["forward_ms"] = START_MS
    assert freshness(floor, START_MS + 20_000) == [1, 0, 0], "a future with a forward needs it"
    floor.tables.expiries[0]["forward_e8"] = 0
    assert freshness(floor, START_MS + 20_000) == [1, 1, 0], "a future that never had one does not"


def test_mrk_1_only_a_feed_that_changed_asks_for_a_reprice() -> None:
    floor = open_floor()
    feed(floor, START_MS)
    assert floor.tables.counters[MUST_REPRICE] == 1
    floor.tables.counters[MUST_REPRICE] = 0
    feed(floor, START_MS + 1)
    assert floor.tables.counters[MUST_REPRICE] == 0
    assert floor.tables.underlyings[0]["fresh_rounds"] == 2
