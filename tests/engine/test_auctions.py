"""Auctions: the one price against trying every price, and who trades (MAT-3)."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.auctions import find_auction_price, run_auctions, uncross
from engine.commands import REDUCE_ONLY
from engine.exposure import compute_demand, compute_equity
from engine.tables import (
    BY_EXPIRY,
    BY_REDUCE_ONLY,
    CANCELLATION_COUNT,
    NOTICE_AUCTION,
    ORDERS_LIVE,
    PHASE_AUCTION,
    PHASE_CONTINUOUS,
)
from tests.engine.floor import BUY, SELL, START_MS, Floor, fills, hold, money, notices, open_floor, rest

# (side, price_ticks, lots, shown lots or 0)
ORDERS = st.lists(
    st.tuples(st.integers(0, 1), st.integers(1, 12), st.integers(1, 9), st.integers(0, 2)), min_size=0, max_size=14
)


def with_orders(orders, mark_e8: int = 0, last_ticks: int = 0) -> Floor:
    floor = open_floor(users=6)
    row = floor.tables.markets[0]
    row["phase"], row["mark_e8"], row["mark_ms"], row["last_ticks"] = PHASE_AUCTION, mark_e8, mark_e8 and 1, last_ticks
    for at, (side, price_ticks, lots, shown_lots) in enumerate(orders):
        rest(floor, 64 + at % 6, side, price_ticks, lots, shown_lots=min(shown_lots, lots))
    return floor


def best_of_all(orders, anchor_e8: int | None) -> tuple[int, int]:
    """(price, volume) by trying every price that an order has; (0, 0) if nothing trades."""
    judged = []
    for price in {order[1] for order in orders}:
        buys = sum(lots for side, ticks, lots, _ in orders if side == BUY and ticks >= price)
        sells = sum(lots for side, ticks, lots, _ in orders if side == SELL and ticks <= price)
        away_e8 = abs(price * 10**7 - anchor_e8) if anchor_e8 is not None else 0
        if min(buys, sells):
            judged.append((-min(buys, sells), abs(buys - sells), away_e8, price))
    return (min(judged)[3], -min(judged)[0]) if judged else (0, 0)


@settings(max_examples=300, deadline=None)
@given(ORDERS, st.integers(0, 12 * 10**7))
def test_mat_3_the_price_is_the_best_of_all_prices(orders, mark_e8: int) -> None:
    floor = with_orders(orders, mark_e8)
    expected, _ = best_of_all(orders, mark_e8 if mark_e8 else None)
    assert find_auction_price(floor.tables, np.int64(0)) == expected


@settings(max_examples=150, deadline=None)
@given(ORDERS)
def test_mat_3_an_uncross_trades_the_volume_at_one_price_and_leaves_nothing_crossed(orders) -> None:
    floor = with_orders(orders)
    total = money(floor)
    price_ticks, volume = best_of_all(orders, None)
    uncross(floor.tables, floor.out, np.int64(0), np.int64(START_MS))
    made = fills(floor)
    assert {fill[1] for fill in made} <= {price_ticks}
    assert sum(fill[2] for fill in made) == volume
    assert find_auction_price(floor.tables, np.int64(0)) == 0
    assert money(floor) == total
    assert floor.tables.positions["lots"].sum() == 0
    open_lots = sum(order[2] for order in orders) - 2 * volume
    assert floor.tables.positions["buy_lots"].sum() + floor.tables.positions["sell_lots"].sum() == open_lots
    for account in range(64, 70):
        free = compute_equity(floor.tables, np.int64(account)) - compute_demand(floor.tables, np.int64(account), True)
        assert floor.tables.accounts[account]["free_bound_quote"] == free


PRICES = [  # the same volume and imbalance at 5 and 8: the nearer one
    ("the mark is near the lower", 6 * 10**7, 0, 5),
    ("the mark is near the higher", 7 * 10**7, 0, 8),
    ("in the middle: the lower", 65 * 10**6, 0, 5),
    ("no mark: the last price", 0, 9, 8),
    ("neither: the lower", 0, 0, 5),
]


@pytest.mark.parametrize(("what", "mark_e8", "last_ticks", "expected"), PRICES)
def test_mat_3_ties_lean_to_the_mark(what: str, mark_e8: int, last_ticks: int, expected: int) -> None:
    floor = with_orders([(BUY, 8, 3, 0), (SELL, 5, 3, 0)], mark_e8, last_ticks)
    assert find_auction_price(floor.tables, np.int64(0)) == expected, what


def test_mat_3_price_then_time_the_younger_order_is_the_taker_and_both_pay_the_maker_fee() -> None:
    floor = with_orders([(SELL, 1_000, 5, 0), (BUY, 1_000, 2, 0), (BUY, 1_001, 1, 0), (BUY, 1_000, 4, 0)])
    uncross(floor.tables, floor.out, np.int64(0), np.int64(START_MS))
    assert fills(floor) == [(0, 1_000, 1, 64, 66), (0, 1_000, 2, 64, 65), (0, 1_000, 2, 64, 67)]
    # 0.02 % of 1,000 ticks x 100 quote.
    assert [(int(row["maker_fee_quote"]), int(row["taker_fee_quote"])) for row in floor.out.fills[:1]] == [(20, 20)]
    assert notices(floor, NOTICE_AUCTION) == [(0, 1_000, 5, 0, 0)]
    assert floor.tables.counters[ORDERS_LIVE] == 1


def test_mat_3_an_iceberg_keeps_its_place_with_hidden_lots_and_shows_its_next_part_after() -> None:
    floor = with_orders([(BUY, 1_000, 10, 2), (BUY, 1_000, 5, 0), (SELL, 1_000, 4, 0), (SELL, 1_000, 3, 0)])
    uncross(floor.tables, floor.out, np.int64(0), np.int64(START_MS))
    assert fills(floor) == [(0, 1_000, 4, 64, 66), (0, 1_000, 3, 64, 67)]
    iceberg = floor.tables.details[1]
    shown = floor.tables.orderbook.book[len(floor.tables.orderbook.blocks) * 64 + 1]
    assert (int(iceberg["hidden_lots"]), int(shown["lots"]), int(iceberg["filled_lots"])) == (1, 2, 7)
    assert iceberg["rank"] > floor.tables.details[2]["rank"], "it stands behind the others now"


def test_mat_3_own_orders_may_meet() -> None:
    floor = with_orders([])
    rest(floor, 64, BUY, 1_000, 3)
    rest(floor, 64, SELL, 1_000, 3)
    uncross(floor.tables, floor.out, np.int64(0), np.int64(START_MS))
    assert fills(floor) == [(0, 1_000, 3, 64, 64)]
    assert floor.tables.positions["lots"].sum() == 0


def cancellations(floor: Floor) -> list[tuple[int, int]]:
    rows = floor.out.cancellations[: int(floor.tables.counters[CANCELLATION_COUNT])]
    return [(int(row["account"]), int(row["reason"])) for row in rows]


def test_mat_3_what_may_no_longer_trade_is_cancelled_first() -> None:
    floor = with_orders([])
    rest(floor, 64, BUY, 1_001, 3, good_till_ms=START_MS)
    rest(floor, 65, BUY, 1_000, 3, good_till_ms=START_MS + 1)
    rest(floor, 66, SELL, 1_000, 3)
    uncross(floor.tables, floor.out, np.int64(0), np.int64(START_MS))
    assert cancellations(floor) == [(64, BY_EXPIRY)]
    assert fills(floor) == [(0, 1_000, 3, 65, 66)]


def test_mat_3_reduce_only_orders_are_cut_under_way() -> None:
    floor = with_orders([])
    hold(floor, 0, a64=-4, a65=4)
    rest(floor, 64, BUY, 1_002, 4, flags=REDUCE_ONLY)
    rest(floor, 64, BUY, 1_001, 4, flags=REDUCE_ONLY)
    rest(floor, 65, BUY, 1_000, 1)
    rest(floor, 66, SELL, 1_000, 8)
    uncross(floor.tables, floor.out, np.int64(0), np.int64(START_MS))
    assert cancellations(floor) == [(64, BY_REDUCE_ONLY)]
    # 8 lots at 1,001 would have balanced; when 4 of them are gone, what still crosses trades in a second round.
    assert [fill[1:3] for fill in fills(floor)] == [(1_001, 4), (1_000, 1)]


def test_pha_2_an_auction_ends_when_its_time_has_come() -> None:
    floor = with_orders([(BUY, 1_000, 1, 0), (SELL, 1_000, 1, 0)])
    floor.tables.markets[0]["phase_until_ms"] = START_MS + 1
    run_auctions(floor.tables, floor.out, np.int64(START_MS))
    assert (floor.tables.markets[0]["phase"], fills(floor)) == (PHASE_AUCTION, [])
    run_auctions(floor.tables, floor.out, np.int64(START_MS + 1))
    assert floor.tables.markets[0]["phase"] == PHASE_CONTINUOUS
    assert len(fills(floor)) == 1
    assert floor.tables.markets[0]["last_ticks"] == 1_000
