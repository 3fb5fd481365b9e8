"""Expiry and delisting: samples, the price, and how positions become money (EXP)."""

import numpy as np
import pytest

from engine.exposure import compute_equity
from engine.settlement import compute_payoff, compute_settlement_price, sample_index, settle_markets
from engine.stages import run_clock
from engine.tables import (
    BY_SETTLEMENT,
    CANCELLATION_COUNT,
    NOTICE_SETTLEMENT,
    ORDERS_LIVE,
    PHASE_SETTLED,
    POSITIONS_OPEN,
    TIME_MS,
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
    money,
    notices,
    open_floor,
    rest,
)

EXPIRY_MS = START_MS + DAY_MS
FUTURE = instrument("BTC-FUTURE", kind="future", expiry_ms=EXPIRY_MS)
CALL = instrument("BTC-CALL", kind="call", strike="49000", expiry_ms=EXPIRY_MS)
PUT = instrument("BTC-PUT", kind="put", strike="51000.5", expiry_ms=EXPIRY_MS)
SPOT = instrument("BTC-SPOT", kind="spot", initial_margin_bps=9_000, maintenance_margin_bps=8_000)


def dated_floor() -> Floor:
    return continuous(open_floor(instrument(), FUTURE, CALL, PUT, SPOT))


def sample(floor: Floor, time_ms: int, usd: float, is_fresh: int = 1) -> int:
    underlying = floor.tables.underlyings[0]
    underlying["index_e8"], underlying["is_fresh"] = round(usd * E8), is_fresh
    sample_index(floor.tables, np.int64(0), np.int64(time_ms))
    return int(floor.tables.expiries[0]["twap_count"])


def test_exp_1_one_sample_in_each_slot_of_the_last_half_hour() -> None:
    floor, first_ms = dated_floor(), EXPIRY_MS - 1_800_000
    assert sample(floor, first_ms - 1, 1) == 0, "too early"
    assert sample(floor, first_ms, 50_000) == 1
    assert sample(floor, first_ms + 3_999, 60_000) == 1, "the same slot"
    assert sample(floor, first_ms + 4_000, 50_001, is_fresh=0) == 1, "stale"
    assert sample(floor, first_ms + 5_000, 50_001) == 2
    assert sample(floor, EXPIRY_MS - 1, 50_003) == 3, "the last slot"
    assert sample(floor, EXPIRY_MS, 1) == 3, "too late"
    assert compute_settlement_price(floor.tables, np.int64(0)) == (50_000 + 50_001 + 50_003) * E8 // 3


def test_exp_1_every_block_of_the_half_hour_gives_450_samples() -> None:
    floor = dated_floor()
    for second in range(-10, 1_810):
        count = sample(floor, EXPIRY_MS - 1_800_000 + second * 1_000, 50_000)
    assert count == 450


def test_exp_1_without_samples_the_index_decides_once_it_is_fresh() -> None:
    floor = dated_floor()
    floor.tables.underlyings[0]["index_e8"] = 50_000 * E8
    settle_markets(floor.tables, floor.out, np.int64(EXPIRY_MS + 5))
    assert floor.tables.markets[1]["phase"] != PHASE_SETTLED
    floor.tables.underlyings[0]["is_fresh"] = 1
    settle_markets(floor.tables, floor.out, np.int64(EXPIRY_MS + 10))
    assert floor.tables.markets[1]["settle_e8"] == 50_000 * E8
    assert floor.tables.expiries[0]["is_settled"] == 1


PAYOFFS = [  # market, settlement price in USD, payoff in USD
    ("a future pays the price", 1, 50_000, 50_000),
    ("a call in the money", 2, 50_000, 1_000),
    ("a call out of the money", 2, 48_000, 0),
    ("a put in the money", 3, 50_000, 1_000.5),
    ("a put out of the money", 3, 52_000, 0),
    ("never more than the book's highest price", 1, 2_000_000, 419_430.3),
]


@pytest.mark.parametrize(("what", "market", "usd", "expected"), PAYOFFS)
def test_exp_2_payoffs(what: str, market: int, usd: float, expected: float) -> None:
    floor = dated_floor()
    assert compute_payoff(floor.tables, np.int64(market), np.int64(usd * E8)) == round(expected * E8), what


def test_exp_2_positions_become_quote_and_nothing_is_made_or_lost() -> None:
    floor = dated_floor()
    hold(floor, 0, a64=7, a65=-7)
    hold(floor, 1, a64=10, a65=-4, a66=-6)
    hold(floor, 2, a66=3, a67=-3)
    hold(floor, 4, a67=5)
    rest(floor, 65, BUY, 490_000, 5, market=1)
    rest(floor, 65, BUY, 495_000, 5, market=1)
    rest(floor, 66, SELL, 510_000, 5, market=1)
    rest(floor, 64, BUY, 490_000, 5, market=0)
    before = [int(row["balance_quote"]) for row in floor.tables.accounts[64:68]]
    total = money(floor)
    floor.tables.counters[TIME_MS] = EXPIRY_MS - 1
    feed(floor, EXPIRY_MS, 50_000)
    run_clock(floor.tables, floor.out, np.int64(EXPIRY_MS))
    after = [int(row["balance_quote"]) for row in floor.tables.accounts[64:68]]
    gains = [new - old for new, old in zip(after, before, strict=True)]
    assert gains == [500 * USD, -200 * USD, -300 * USD + 3 * USD, -3 * USD]
    assert money(floor) == total
    rows = floor.out.cancellations[: int(floor.tables.counters[CANCELLATION_COUNT])]
    assert [(int(row["price_ticks"]), int(row["reason"])) for row in rows] == [
        (495_000, BY_SETTLEMENT), (490_000, BY_SETTLEMENT), (510_000, BY_SETTLEMENT)
    ]  # fmt: skip
    assert floor.tables.counters[ORDERS_LIVE] == 1, "the perpetual goes on"
    assert floor.tables.counters[POSITIONS_OPEN] == 3
    assert [int(floor.tables.markets[market]["phase"]) for market in range(5)] == [
        0,
        PHASE_SETTLED,
        PHASE_SETTLED,
        PHASE_SETTLED,
        0,
    ]
    assert floor.tables.markets[1]["open_interest_lots"] == floor.tables.markets[1]["short_lots"] == 0
    assert [row[:3] for row in notices(floor, NOTICE_SETTLEMENT)] == [
        (1, 50_000 * E8, 50 * USD), (2, 1_000 * E8, USD), (3, 100_050_000_000, 1_000_500)
    ]  # fmt: skip
    assert compute_equity(floor.tables, np.int64(65)) == after[1] - 7 * floor.tables.markets[0]["value_unit"]


def test_exp_2_a_delisted_perpetual_settles_at_its_index_less_f() -> None:
    floor = dated_floor()
    hold(floor, 0, a64=7, a65=-7)
    row = floor.tables.markets[0]
    row["delist_ms"], row["funding_quote"] = START_MS + 1_000, 11
    feed(floor, START_MS, 50_000)
    run_clock(floor.tables, floor.out, np.int64(START_MS + 999))
    assert row["phase"] != PHASE_SETTLED
    before = int(floor.tables.accounts[64]["balance_quote"])
    run_clock(floor.tables, floor.out, np.int64(START_MS + 1_000))
    assert row["phase"] == PHASE_SETTLED
    assert floor.tables.accounts[64]["balance_quote"] - before == 7 * (50 * USD - 11)


def test_exp_2_a_delisted_spot_market_closes_and_the_lots_stay() -> None:
    floor = dated_floor()
    hold(floor, 4, a67=5)
    floor.tables.markets[4]["delist_ms"] = START_MS
    feed(floor, START_MS, 50_000)
    before = int(floor.tables.accounts[67]["balance_quote"])
    run_clock(floor.tables, floor.out, np.int64(START_MS))
    row = floor.tables.markets[4]
    assert (row["phase"], row["is_fresh"], row["value_unit"]) == (PHASE_SETTLED, 1, 0)
    assert compute_equity(floor.tables, np.int64(67)) == before
    assert floor.tables.markets[4]["open_interest_lots"] == 5
