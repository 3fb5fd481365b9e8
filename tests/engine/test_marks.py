"""Marks, bands, margin units and multipliers of a reprice (MRK, ORD-1, MAR-1, MAR-2, MUL), by numbers done by hand."""

import numpy as np
import pytest

from engine.feeds import refresh_markets, refresh_underlyings
from engine.marks import compute_forward, compute_initial_bps, compute_multiplier, is_reprice_due, reprice
from engine.tables import (
    INSURANCE_ACCOUNT,
    MARK_EPOCH,
    MUST_REPRICE,
    NOTICE_MARK,
    NOTICE_MULTIPLIER,
    PHASE_AUCTION,
    PHASE_SETTLED,
    STABLE_E8,
)
from tests.engine.floor import (
    BUY,
    DAY_MS,
    E8,
    SELL,
    START_MS,
    USD,
    Floor,
    continuous,
    feed,
    hold,
    instrument,
    notices,
    open_floor,
    rest,
)

EXPIRY_MS = START_MS + 30 * DAY_MS
FUTURE = instrument("BTC-FUTURE", kind="future", expiry_ms=EXPIRY_MS)
CALL = instrument("BTC-CALL", kind="call", strike="55000", expiry_ms=EXPIRY_MS)
PUT = instrument("BTC-PUT", kind="put", strike="55000", expiry_ms=EXPIRY_MS)
SPOT = instrument("BTC-SPOT", kind="spot", initial_margin_bps=9_000, maintenance_margin_bps=8_000)
UNITS = ("value_unit", "im_long_unit", "im_short_unit", "mm_long_unit", "mm_short_unit")


def reprice_at(floor: Floor, time_ms: int) -> np.void:
    refresh_underlyings(floor.tables, np.int64(time_ms))
    reprice(floor.tables, floor.out, np.int64(time_ms))
    refresh_markets(floor.tables, np.int64(time_ms))
    return floor.tables.markets[0]


def mark_of(bid: int, ask: int, last: int, ema_e8: int = 0, waited_ms: int = 0, phase: int = 0) -> float:
    """Mark in ticks of 0.1 of a perpetual whose index is 50,000.0, with a book as given (0: an empty side)."""
    floor = continuous(open_floor())
    row = floor.tables.markets[0]
    for side, ticks in ((BUY, bid), (SELL, ask)):
        if ticks:
            rest(floor, 64 + side, side, ticks, 10)
    row["last_ticks"], row["basis_ema_e8"], row["mark_ms"], row["phase"] = last, ema_e8, START_MS - waited_ms, phase
    feed(floor)
    return int(reprice_at(floor, START_MS)["mark_e8"]) / 10**7


PERPETUALS = [
    ("an empty book: the index", {"bid": 0, "ask": 0, "last": 0}, 500_000),
    ("one side only: the index", {"bid": 500_500, "ask": 0, "last": 500_500}, 500_000),
    ("no basis yet: base twice, so the book says nothing", {"bid": 500_990, "ask": 501_010, "last": 501_000}, 500_000),
    (
        "a basis of old and a book above: the basis",
        {"bid": 500_990, "ask": 501_010, "last": 501_000, "ema_e8": 5 * 10**9},
        500_500,
    ),
    (
        "a book between base and basis: the book",
        {"bid": 500_190, "ask": 500_210, "last": 500_200, "ema_e8": 5 * 10**9},
        500_200,
    ),
    ("without a last price: the basis", {"bid": 500_190, "ask": 500_210, "last": 0, "ema_e8": 5 * 10**9}, 500_500),
    (
        "an auction has no mid",
        {"bid": 500_190, "ask": 500_210, "last": 500_200, "ema_e8": 5 * 10**9, "phase": PHASE_AUCTION},
        500_500,
    ),
    ("crossed orders have no mid", {"bid": 500_210, "ask": 500_190, "last": 500_200, "ema_e8": 5 * 10**9}, 500_500),
    (
        "after 15 s a tenth of the way",
        {"bid": 500_990, "ask": 501_010, "last": 501_000, "ema_e8": 0, "waited_ms": 15_000},
        500_100,
    ),
    (
        "after 150 s all the way",
        {"bid": 500_990, "ask": 501_010, "last": 501_000, "ema_e8": 0, "waited_ms": 150_000},
        501_000,
    ),
    (
        "after an hour no further",
        {"bid": 500_990, "ask": 501_010, "last": 501_000, "ema_e8": 0, "waited_ms": 3_600_000},
        501_000,
    ),
    (
        "at most one per cent above",
        {"bid": 509_990, "ask": 510_010, "last": 510_000, "ema_e8": 0, "waited_ms": 150_000},
        505_000,
    ),
    (
        "at most one per cent below",
        {"bid": 489_990, "ask": 490_010, "last": 490_000, "ema_e8": 0, "waited_ms": 150_000},
        495_000,
    ),
]


@pytest.mark.parametrize(("what", "book", "expected"), PERPETUALS)
def test_mrk_2_a_perpetuals_mark_leans_on_the_index(what: str, book: dict[str, int], expected: int) -> None:
    assert mark_of(**book) == expected, what


def test_mrk_2_a_future_is_marked_by_its_forward_and_without_one_by_the_index() -> None:
    floor = open_floor(instrument(), FUTURE)
    feed(floor, START_MS, 50_000, forwards_usd=(0,))
    reprice_at(floor, START_MS)
    assert floor.tables.markets[1]["mark_e8"] == 50_000 * E8
    feed(floor, START_MS + 1, 50_000, forwards_usd=(50_400,))
    reprice_at(floor, START_MS + 1)
    assert floor.tables.markets[1]["mark_e8"] == 50_400 * E8
    assert notices(floor, NOTICE_MARK)[-1] == (1, 50_400 * E8, 50_000 * E8, 0, 50_400 * E8)


def test_mrk_3_samples_fix_a_part_of_the_forward() -> None:
    floor = open_floor(instrument(), FUTURE)
    feed(floor, START_MS, 50_000, forwards_usd=(60_000,))
    expiry = floor.tables.expiries[0]
    assert compute_forward(floor.tables, np.int64(0)) == 60_000 * E8
    expiry["twap_sum_e8"], expiry["twap_count"] = 150 * 50_000 * E8, 150
    assert compute_forward(floor.tables, np.int64(0)) == (150 * 50_000 + 300 * 60_000) * E8 // 450
    expiry["twap_sum_e8"], expiry["twap_count"] = 450 * 50_000 * E8, 450
    assert compute_forward(floor.tables, np.int64(0)) == 50_000 * E8


def test_mrk_3_options_keep_parity_and_wait_for_a_surface() -> None:
    floor = open_floor(instrument(), CALL, PUT)
    feed(floor, START_MS, 50_000, forwards_usd=(50_500,))
    floor.tables.expiries[0]["surface_ms"] = 0
    reprice_at(floor, START_MS)
    assert floor.tables.markets["mark_ms"][:3].tolist() == [START_MS, 0, 0]
    assert floor.tables.markets["is_fresh"][:3].tolist() == [1, 0, 0]
    floor.tables.expiries[0]["surface_ms"] = START_MS
    reprice_at(floor, START_MS + 1)
    call, put = floor.tables.markets[1], floor.tables.markets[2]
    assert call["mark_e8"] - put["mark_e8"] == (50_500 - 55_000) * E8
    assert call["delta_unit"] - put["delta_unit"] in (50_500_000, 50_500_001)
    assert call["vega_unit"] == put["vega_unit"] > 0
    assert call["mark_ticks"] == call["mark_e8"] // 10**7


def test_mrk_4_marks_stay_within_the_book() -> None:
    floor = open_floor(instrument(position_lots_max=1 << 38, size_lots_max=1_000))
    floor.tables.markets[0]["price_ticks_max"] = 400_000
    feed(floor)
    row = reprice_at(floor, START_MS)
    assert (row["mark_ticks"], row["buy_limit_ticks"], row["sell_limit_ticks"]) == (400_000, 400_000, 360_000)


def test_mrk_1_when_a_reprice_is_due() -> None:
    floor = open_floor()
    feed(floor)
    reprice_at(floor, START_MS)
    epoch = floor.tables.counters[MARK_EPOCH]
    assert not is_reprice_due(floor.tables, np.int64(START_MS + 999))
    assert is_reprice_due(floor.tables, np.int64(START_MS + 1_000))
    floor.tables.counters[MUST_REPRICE] = 1
    assert is_reprice_due(floor.tables, np.int64(START_MS + 1))
    reprice_at(floor, START_MS + 1)
    assert floor.tables.counters[MARK_EPOCH] == epoch + 1
    assert floor.tables.counters[MUST_REPRICE] == 0


def test_a_mark_without_a_fresh_index_stays_as_it_was() -> None:
    floor = continuous(open_floor())
    feed(floor)
    reprice_at(floor, START_MS)
    rest(floor, 64, BUY, 500_990, 10)
    rest(floor, 65, SELL, 501_010, 10)
    row = reprice_at(floor, START_MS + 15_001)
    assert (row["mark_e8"], row["mark_ms"], row["is_fresh"]) == (50_000 * E8, START_MS, 0)


BANDS = [  # kind, index in USD, band in bps -> buy limit, sell limit in ticks of 0.1
    ("ten per cent", 50_000, 1000, 550_000, 450_000),
    ("rounded inward", 50_000.05, 1, 500_050, 499_951),
    ("at least one tick", 0.15, 9_999, 2, 1),
]


@pytest.mark.parametrize(("what", "usd", "band_bps", "highest", "lowest"), BANDS)
def test_ord_1_bands(what: str, usd: float, band_bps: int, highest: int, lowest: int) -> None:
    floor = open_floor(instrument(price_band_bps=band_bps))
    feed(floor, START_MS, usd)
    row = reprice_at(floor, START_MS)
    assert (row["buy_limit_ticks"], row["sell_limit_ticks"]) == (highest, lowest), what


def test_ord_1_an_options_band_is_a_part_of_the_index() -> None:
    floor = open_floor(instrument(), CALL)
    feed(floor, START_MS, 50_000, forwards_usd=(50_500,))
    reprice_at(floor, START_MS)
    row = floor.tables.markets[1]
    assert row["buy_limit_ticks"] == row["mark_e8"] // 10**7 + 50_000
    assert row["sell_limit_ticks"] == 1


def units_of(*markets, usd: float = 50_000, number: int = 0, **fields: int) -> tuple[int, ...]:
    floor = open_floor(*markets)
    feed(floor, START_MS, usd)
    for name, value in fields.items():
        floor.tables.markets[number][name] = value
    reprice_at(floor, START_MS)
    return tuple(int(floor.tables.markets[number][name]) for name in UNITS)


def test_mar_1_units_of_a_perpetual_and_of_spot() -> None:
    assert units_of(instrument()) == (50_000_000, 2_500_000, 2_500_000, 1_250_000, 1_250_000)
    assert units_of(instrument(), funding_quote=7) == (49_999_993, 2_500_000, 2_500_000, 1_250_000, 1_250_000)
    assert units_of(instrument(), usd=0.1) == (100, 5, 5, 3, 3), "2.5 rounds up"
    assert units_of(SPOT) == (50_000_000, 45_000_000, 45_000_000, 40_000_000, 40_000_000)


def test_mar_1_a_long_option_demands_its_value_a_short_one_a_part_of_the_index() -> None:
    # The index is 50,000, a lot 0.001: s = 50,000,000. The strike of 55,000 is 1,000 bps out of the money for a call.
    value, im_long, im_short, mm_long, mm_short = units_of(instrument(), CALL, number=1)
    assert (im_long, mm_long) == (value, value)
    assert (im_short, mm_short) == (6_500_000, 4_500_000), "max(15 % - 10 %, 13 %) and 9 %"
    value, im_long, im_short, mm_long, mm_short = units_of(instrument(), PUT, number=1)
    assert (im_long, mm_long) == (value, value)
    assert (im_short, mm_short) == (7_500_000, 4_500_000), "in the money: 15 % and 9 %"
    at_the_money = instrument("BTC-CALL", kind="call", strike="50500", expiry_ms=EXPIRY_MS)
    assert units_of(instrument(), at_the_money, number=1)[2] == 7_000_000, "1 % out of the money: 14 %"


def test_mar_1_a_deep_put_demands_a_part_of_its_own_value() -> None:
    deep = instrument("BTC-PUT", kind="put", strike="400000", expiry_ms=EXPIRY_MS)
    value, _, im_short, _, mm_short = units_of(instrument(), deep, number=1)
    assert value == 350_000_000
    assert (im_short, mm_short) == (33_075_000, 31_500_000), "9 % of the value, and 105 % of that"


def initial_bps(lots: int, stable_e8: int = E8, multiplier_bps: int = 10_000) -> int:
    floor = open_floor(instrument(oi_low_quote=100 * 10**6 * USD, oi_high_quote=200 * 10**6 * USD))
    row = floor.tables.markets[0]
    row["notional_unit"], row["open_interest_lots"] = 50 * USD, lots
    floor.tables.counters[STABLE_E8] = stable_e8
    floor.tables.underlyings[0]["multiplier_bps"] = multiplier_bps
    return int(compute_initial_bps(floor.tables, np.int64(0)))


INITIAL = [
    ("below the lower bound", {"lots": 2_000_000}, 500),
    ("half way to the upper", {"lots": 3_000_000}, 500 + 4_750),
    ("at the upper", {"lots": 4_000_000}, 10_000),
    ("above it", {"lots": 9_000_000}, 10_000),
    ("a stable coin at 99 cents", {"lots": 0, "stable_e8": 99 * 10**6}, 500),
    ("at 98 cents: times 1.04", {"lots": 0, "stable_e8": 98 * 10**6}, 520),
    ("a multiplier of 1.5", {"lots": 0, "multiplier_bps": 15_000}, 750),
    ("one unit more rounds up", {"lots": 0, "multiplier_bps": 10_001}, 501),
    ("a worthless coin and a multiplier of 2", {"lots": 0, "stable_e8": 10**6, "multiplier_bps": 20_000}, 4_920),
    ("never above the value", {"lots": 3_000_000, "stable_e8": 10**6, "multiplier_bps": 20_000}, 10_000),
]


@pytest.mark.parametrize(("what", "times", "expected"), INITIAL)
def test_mar_2_initial_margin_grows_with_open_interest_and_doubt(
    what: str, times: dict[str, int], expected: int
) -> None:
    assert initial_bps(**times) == expected, what


def multiplier(variance: int = 0, dispersion: int = 0, open_quote: int = 0, insurance: int = 0, cover: int = 0) -> int:
    floor = open_floor(instrument(reference_move_bps=10), insurance_cover=cover)
    underlying = floor.tables.underlyings[0]
    underlying["variance_bps2"], underlying["dispersion_bps"] = variance, dispersion
    underlying["open_interest_quote"] = open_quote
    floor.tables.accounts[INSURANCE_ACCOUNT]["balance_quote"] = insurance
    return int(compute_multiplier(floor.tables, np.int64(0)))


MULTIPLIERS = [
    ("a calm market", {}, 10_000),
    ("moves as usual", {"variance": 100}, 10_000),
    ("twice the variance", {"variance": 200}, 15_000),
    ("half more", {"variance": 150}, 12_500),
    ("ten times the variance is capped", {"variance": 1_000}, 15_000),
    ("validators agree within 50 bps", {"dispersion": 50}, 10_000),
    ("or do not", {"dispersion": 70}, 10_500),
    ("far apart is capped", {"dispersion": 10_000}, 12_500),
    ("open interest within the cover", {"open_quote": 100, "insurance": 10, "cover": 10}, 10_000),
    ("twice the cover", {"open_quote": 200, "insurance": 10, "cover": 10}, 11_250),
    ("no insurance at all", {"open_quote": 200, "cover": 10}, 12_500),
    ("no cover asked", {"open_quote": 200}, 10_000),
    (
        "everything at once",
        {"variance": 10**6, "dispersion": 10_000, "open_quote": 200, "insurance": 0, "cover": 10},
        20_000,
    ),
]


@pytest.mark.parametrize(("what", "times", "expected"), MULTIPLIERS)
def test_mul_1_multipliers_are_functions_within_bounds(what: str, times: dict[str, int], expected: int) -> None:
    assert multiplier(**times) == expected, what


def test_mul_1_variance_is_sampled_once_a_minute() -> None:
    floor = open_floor(instrument(oracle_step_bps_max=5_000))
    underlying = floor.tables.underlyings[0]
    seen = []
    for time_ms, usd in ((0, 50_000), (1_000, 51_000), (60_000, 50_500), (61_000, 60_000), (120_000, 50_500)):
        feed(floor, START_MS + time_ms, usd)
        reprice_at(floor, START_MS + time_ms)
        seen.append(int(underlying["variance_bps2"]))
    assert seen == [0, 0, 312, 312, 302], "one per cent is 10,000 bps squared, a 32nd of it is 312; then it decays"
    assert [row[:3] for row in notices(floor, NOTICE_MULTIPLIER)] == [(0, 15_000, 10_000)]


def test_mul_1_open_interest_of_an_underlying_counts_options_by_the_index() -> None:
    floor = open_floor(instrument(), CALL, SPOT)
    hold(floor, 0, a64=5, a65=-5)
    hold(floor, 1, a64=-3, a65=3)
    hold(floor, 2, a64=100)
    feed(floor)
    reprice_at(floor, START_MS)
    assert floor.tables.underlyings[0]["open_interest_quote"] == 8 * 50 * USD


def test_a_settled_market_is_left_alone() -> None:
    floor = open_floor()
    floor.tables.markets[0]["phase"] = PHASE_SETTLED
    feed(floor)
    row = reprice_at(floor, START_MS)
    assert (row["mark_e8"], row["is_fresh"], notices(floor, NOTICE_MARK)) == (0, 1, [])
