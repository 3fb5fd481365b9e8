"""Phases: halts and the way back, volatility auctions, what the governor may set (PHA)."""

import numpy as np
import pytest

from engine.feeds import refresh_markets, refresh_underlyings
from engine.marks import reprice
from engine.phases import advance_phases, call_auctions, end_resume, govern_phase, halt_exchange, open_market
from engine.tables import (
    FOREVER_MS,
    MUST_REPRICE,
    NOTICE_PHASE,
    PHASE,
    PHASE_AUCTION,
    PHASE_CANCEL_ONLY,
    PHASE_CONTINUOUS,
    PHASE_POST_ONLY,
    PHASE_SETTLED,
    PHASE_UNTIL_MS,
    TIME_MS,
)
from tests.engine.floor import BUY, SELL, START_MS, Floor, continuous, feed, instrument, notices, open_floor, rest

ETH = instrument("ETH-PERPETUAL")
EXCHANGE = -1


def block(floor: Floor, time_ms: int) -> int:
    advance_phases(floor.tables, floor.out, np.int64(time_ms))
    end_resume(floor.tables, floor.out, np.int64(time_ms))
    floor.tables.counters[TIME_MS] = time_ms
    return int(floor.tables.counters[PHASE])


def phases(floor: Floor) -> list[int]:
    return [int(row["phase"]) for row in floor.tables.markets[:2]]


def test_pha_3_a_gap_halts_and_the_way_back_has_three_steps() -> None:
    floor = continuous(open_floor(instrument(), ETH))
    gap_ms, step_ms = 600_000, 10_000
    assert block(floor, START_MS + gap_ms) == PHASE_CONTINUOUS, "just within"
    now_ms = START_MS + 2 * gap_ms + 1
    assert block(floor, now_ms) == PHASE_CANCEL_ONLY
    assert phases(floor) == [PHASE_CANCEL_ONLY, PHASE_CANCEL_ONLY]
    for rounds in range(3):
        assert block(floor, now_ms + step_ms + rounds) == PHASE_CANCEL_ONLY, "prices are not back"
        feed(floor, now_ms + step_ms + rounds)
    now_ms += step_ms + 10
    assert block(floor, now_ms) == PHASE_POST_ONLY
    assert block(floor, now_ms + step_ms - 1) == PHASE_POST_ONLY
    assert block(floor, now_ms + step_ms) == PHASE_AUCTION
    assert phases(floor) == [PHASE_AUCTION, PHASE_AUCTION]
    assert floor.tables.markets[0]["phase_until_ms"] == now_ms + 2 * step_ms
    assert block(floor, now_ms + 2 * step_ms - 1) == PHASE_AUCTION
    assert block(floor, now_ms + 2 * step_ms) == PHASE_CONTINUOUS
    of_exchange = [row[1] for row in notices(floor, NOTICE_PHASE) if row[0] == EXCHANGE]
    assert of_exchange == [PHASE_CANCEL_ONLY, PHASE_POST_ONLY, PHASE_AUCTION, PHASE_CONTINUOUS]


def test_pha_3_prices_without_the_time_are_not_enough_and_a_new_gap_begins_again() -> None:
    floor = continuous(open_floor())
    halt_exchange(floor.tables, floor.out, np.int64(START_MS))
    for at in range(5):
        feed(floor, START_MS + at)
    assert block(floor, START_MS + 9_999) == PHASE_CANCEL_ONLY
    assert block(floor, START_MS + 10_000) == PHASE_POST_ONLY
    assert block(floor, START_MS + 10_000 + 600_001) == PHASE_CANCEL_ONLY
    assert floor.tables.underlyings[0]["fresh_rounds"] == 0


def test_pha_3_nobody_waits_for_the_prices_of_what_is_settled() -> None:
    floor = continuous(open_floor(instrument(), ETH))
    floor.tables.markets[1]["phase"] = PHASE_SETTLED
    halt_exchange(floor.tables, floor.out, np.int64(START_MS))
    assert phases(floor) == [PHASE_CANCEL_ONLY, PHASE_SETTLED]
    for _ in range(3):
        floor.tables.underlyings[0]["fresh_rounds"] += 1
    assert block(floor, START_MS + 10_000) == PHASE_POST_ONLY


def mark(floor: Floor, time_ms: int, usd: float) -> None:
    feed(floor, time_ms, usd)
    refresh_underlyings(floor.tables, np.int64(time_ms))
    reprice(floor.tables, floor.out, np.int64(time_ms))
    refresh_markets(floor.tables, np.int64(time_ms))
    call_auctions(floor.tables, floor.out, np.int64(time_ms))


MOVES = [
    ("exactly one per cent", 50_500, PHASE_CONTINUOUS),
    ("more than one per cent up", 50_500.1, PHASE_AUCTION),
    ("more than one per cent down", 49_499.9, PHASE_AUCTION),
]


@pytest.mark.parametrize(("what", "usd", "expected"), MOVES)
def test_pha_2_a_move_within_the_minute_calls_an_auction(what: str, usd: float, expected: int) -> None:
    floor = continuous(open_floor(instrument(auction_move_bps=100, auction_ms=5_000)))
    mark(floor, START_MS, 50_000)
    mark(floor, START_MS + 59_000, usd)
    row = floor.tables.markets[0]
    assert row["phase"] == expected, what
    if expected == PHASE_AUCTION:
        assert row["phase_until_ms"] == START_MS + 64_000
        assert floor.tables.counters[MUST_REPRICE] == 1


def test_pha_2_the_next_minute_measures_from_its_own_first_mark() -> None:
    floor = continuous(open_floor(instrument(auction_move_bps=100, auction_ms=5_000)))
    mark(floor, START_MS, 50_000)
    mark(floor, START_MS + 60_000, 52_000)
    assert floor.tables.markets[0]["phase"] == PHASE_CONTINUOUS


def test_pha_2_a_listed_market_opens_with_its_auction() -> None:
    floor = open_floor(instrument(auction_ms=60_000), ETH)
    for market in range(2):
        open_market(floor.tables, floor.out, np.int64(market), np.int64(START_MS))
    assert phases(floor) == [PHASE_AUCTION, PHASE_CONTINUOUS]
    halt_exchange(floor.tables, floor.out, np.int64(START_MS))
    for market in range(2):
        open_market(floor.tables, floor.out, np.int64(market), np.int64(START_MS))
    assert phases(floor) == [PHASE_CANCEL_ONLY, PHASE_CANCEL_ONLY]


def governed(before: int, wanted: int, is_halted: bool = False, is_crossed: bool = False) -> tuple[int, int]:
    """(phase, until) of a market that was in one phase when the governor asked for another."""
    floor = continuous(open_floor())
    if is_crossed:
        rest(floor, 64, BUY, 500_010, 1)
        rest(floor, 65, SELL, 500_000, 1)
    floor.tables.markets[0]["phase"] = before
    if is_halted:
        halt_exchange(floor.tables, floor.out, np.int64(START_MS))
    govern_phase(floor.tables, floor.out, np.int64(0), np.int64(wanted), np.int64(START_MS))
    row = floor.tables.markets[0]
    return int(row["phase"]), int(row["phase_until_ms"])


C, A, X, P = PHASE_CONTINUOUS, PHASE_AUCTION, PHASE_CANCEL_ONLY, PHASE_POST_ONLY
GOVERNED = [
    ("closed until he opens it", {"before": C, "wanted": X}, (X, FOREVER_MS)),
    ("post-only likewise", {"before": C, "wanted": P}, (P, FOREVER_MS)),
    ("an auction of a second at least", {"before": C, "wanted": A}, (A, START_MS + 1_000)),
    ("open", {"before": X, "wanted": C}, (C, 0)),
    ("open by an uncross if orders cross", {"before": X, "wanted": C, "is_crossed": True}, (A, START_MS)),
    ("closed during a halt", {"before": C, "wanted": X, "is_halted": True}, (X, FOREVER_MS)),
    ("or following the exchange", {"before": C, "wanted": C, "is_halted": True}, (X, START_MS + 10_000)),
]


@pytest.mark.parametrize(("what", "case", "expected"), GOVERNED)
def test_pha_3_what_the_governor_sets(what: str, case: dict, expected: tuple[int, int]) -> None:
    assert governed(**case) == expected, what


def test_pha_3_what_the_governor_closed_stays_closed_when_the_exchange_resumes() -> None:
    floor = continuous(open_floor(instrument(), ETH))
    govern_phase(floor.tables, floor.out, np.int64(0), np.int64(X), np.int64(START_MS))
    halt_exchange(floor.tables, floor.out, np.int64(START_MS))
    for at in range(3):
        feed(floor, START_MS + at)
    assert block(floor, START_MS + 10_000) == PHASE_POST_ONLY
    assert phases(floor) == [PHASE_CANCEL_ONLY, PHASE_POST_ONLY]
    assert floor.tables.counters[PHASE_UNTIL_MS] == START_MS + 20_000
