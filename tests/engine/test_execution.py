"""Trades: whose money moves where, and what a fill does to what rests (docs/spec.md, MAT, FEE, ORD-5, ORD-6, ORD-8)."""

import numpy as np
import pytest

from engine.authority import SCOPE_BUILDER
from engine.params import FeeTier
from engine.tables import (
    BY_PROTECTION,
    BY_REDUCE_ONLY,
    BY_SELF_TRADE,
    FILL_COUNT,
    FILLS_MAX,
    NOTICE_PROTECTION,
)
from tests.engine.floor import BUY, SELL, START_MS, USD, instrument
from tests.engine.pit import (
    EQUITY,
    FOK,
    IOC,
    OWN_CANCEL_BOTH,
    OWN_CANCEL_TAKER,
    OWN_DECREMENT,
    PROTECT,
    REDUCE,
    Pit,
    mark,
    open_pit,
)

A, B, C, D = 64, 65, 66, 67
OPEN, FILLED, CANCELLED = 1, 2, 3
DEPOSIT = 1_000_000 * USD
EPOCH_MS = 2_592_000_000


def test_mat_1_best_price_then_oldest_at_the_resting_price() -> None:
    pit = open_pit()
    for account, ticks in ((A, 500_010), (B, 500_000), (C, 500_000), (A, 499_990)):
        pit.rest(account, SELL, ticks, 5)
    assert pit.place(D, BUY, 500_000, 12) == 0
    assert pit.fills() == [(499_990, 5, A, D), (500_000, 5, B, D), (500_000, 2, C, D)]
    assert pit.receipt["filled_value"] == 499_990 * 5 + 500_000 * 7 and pit.state() == (FILLED, 12, 0)
    pit.check()


def test_mat_2_num_2_two_lots_at_500_000_ticks_are_worth_100_usd() -> None:
    """Maker 2 bps, taker 5 bps of 100 USD."""
    pit = open_pit()
    pit.rest(A, SELL, 500_000, 2)
    pit.place(B, BUY, 500_000, 2)
    assert (pit.balance(A), pit.balance(B)) == (DEPOSIT + 100 * USD - 20_000, DEPOSIT - 100 * USD - 50_000)
    assert (pit.balance(0), pit.held(A), pit.held(B)) == (70_000, -2, 2)
    assert pit.fills("maker_fee_quote", "taker_fee_quote", "taker_side") == [(20_000, 50_000, BUY)]
    pit.check()


@pytest.mark.parametrize("funding_quote", [3_000_000, -3_000_000])
def test_mat_2_fnd_1_a_lot_comes_without_the_funding_paid_before(funding_quote: int) -> None:
    pit = open_pit(instrument(maker_fee_bps=0, taker_fee_bps=0))
    mark(pit, 50_000, funding_quote=funding_quote)
    pit.rest(A, SELL, 500_000, 2)
    pit.place(B, BUY, 500_000, 2)
    assert pit.balance(B) == DEPOSIT - 2 * (50 * USD - funding_quote)
    assert pit.act(EQUITY, B) == DEPOSIT, "equity did not move"
    mark(pit, 50_000, funding_quote=funding_quote + 7)
    assert (pit.act(EQUITY, A), pit.act(EQUITY, B)) == (DEPOSIT + 14, DEPOSIT - 14), "longs pay what F rises"
    pit.check()


# (claim, price in ticks, fees of maker and taker)
OPTION_FEES = [
    ("by the index: 2 and 5 bps of 5,000 USD", 20_000, (1_000_000, 2_500_000)),
    ("an eighth of a value of 1 USD", 100, (125_000, 125_000)),
]


@pytest.mark.parametrize(("claim", "ticks", "fees"), OPTION_FEES)
def test_fee_1_an_options_fee_is_by_the_index_and_at_most_an_eighth_of_its_value(
    claim: str, ticks: int, fees: tuple[int, int]
) -> None:
    call = instrument("BTC-CALL", kind="call", strike="50000", expiry_ms=START_MS + 10**9)
    pit = open_pit(call)
    mark(pit, ticks // 10, index_usd=50_000)
    pit.rest(A, SELL, ticks, 100)
    assert pit.place(B, BUY, ticks, 100) == 0
    assert pit.fills("maker_fee_quote", "taker_fee_quote") == [fees]
    pit.check()


def test_fee_2_tiers_follow_the_larger_of_two_epochs() -> None:
    tiers = (FeeTier(0, 0, 0), FeeTier(100 * USD, 1000, 5000), FeeTier(1000 * USD, 2000, 12_000))
    pit = open_pit(fee_tiers=tiers)
    fees = []
    for time_ms in (START_MS, START_MS, START_MS + EPOCH_MS, START_MS + EPOCH_MS, START_MS + 3 * EPOCH_MS):
        pit.time_ms = time_ms
        pit.rest(A, SELL, 500_000, 2)
        pit.place(B, BUY, 500_000, 2)
        fees.append(pit.fills("maker_fee_quote", "taker_fee_quote")[-1])
    assert fees == [(20_000, 50_000), (10_000, 45_000), (10_000, 45_000), (10_000, 45_000), (20_000, 50_000)]
    pit.check()


def test_fee_1_a_rebate_is_rounded_down_and_at_most_what_the_taker_pays() -> None:
    tiers = (FeeTier(0, 0, 12_500),)
    pit = open_pit(instrument(quote_per_tick_lot=1, lot_size="0.00001"), fee_tiers=tiers, account_orders_max=8)
    pit.rest(A, SELL, 500_001, 3)
    pit.place(B, BUY, 500_001, 3)
    assert pit.fills("maker_fee_quote", "taker_fee_quote") == [(-75, 751)], "1,500,003 x 2 x 0.25 / 10,000 = 75.00015"
    pit.tables.fee_tiers[0] = (0, 9_900, 12_500)
    pit.rest(A, SELL, 500_001, 3)
    pit.place(B, BUY, 500_001, 3)
    assert pit.fills("maker_fee_quote", "taker_fee_quote")[1] == (-8, 8), "750.0015 x 0.01, up; the maker gets no more"
    assert pit.balance(0) == 751 - 75
    pit.check()


def test_fee_3_referrers_and_builders() -> None:
    pit = open_pit(referral_bps=1000)
    pit.tables.accounts[B]["referrer"] = D
    session = pit.tables.sessions[1]
    for name in ("key_a", "key_b", "key_c"):
        session[name] = pit.tables.accounts[C][name]
    session["account"], session["scopes"], session["is_live"], session["order_quote_max"] = B, SCOPE_BUILDER, 1, 100
    pit.tables.accounts[B]["session_first"] = 1
    pit.rest(A, SELL, 500_000, 2)
    assert pit.place(B, BUY, 500_000, 2, link=C << 16 | 101) == 314, "more than approved"
    assert pit.place(B, BUY, 500_000, 2, link=C << 16 | 100) == 0
    assert pit.balance(D) == DEPOSIT + 5_000, "a tenth of the taker's fee"
    assert pit.balance(C) == DEPOSIT + 10_000, "100 millionths of 100 USD"
    assert pit.balance(0) == 20_000 + 45_000
    assert pit.fills("taker_fee_quote") == [(60_000,)]
    assert pit.place(B, BUY, 490_000, 2, link=C << 16 | 100) == 0, "a resting order pays as well"
    pit.place(A, SELL, 490_000, 2)
    assert pit.fills("maker_fee_quote")[-1] == (19_600 + 9_800,)
    pit.check()


SELF_TRADES = [
    ("the maker is cancelled and the taker goes on", 0, (FILLED, 8, 0), [(A, 5)], [B]),
    ("the taker is cancelled", OWN_CANCEL_TAKER, (CANCELLED, 0, 8), [], [A, B]),
    ("both are cancelled", OWN_CANCEL_BOTH, (CANCELLED, 0, 8), [(A, 5)], [B]),
    ("both shrink, the maker to nothing", OWN_DECREMENT, (FILLED, 3, 0), [(A, 5)], [B]),
]


@pytest.mark.parametrize(("claim", "mode", "state", "cancelled", "left"), SELF_TRADES)
def test_ord_5_self_trade_modes(
    claim: str, mode: int, state: tuple, cancelled: list[tuple[int, int]], left: list[int]
) -> None:
    pit = open_pit()
    pit.rest(A, SELL, 500_000, 5, shown=2)
    pit.rest(B, SELL, 500_000, 9)
    assert pit.place(A, BUY, 500_000, 8, flags=mode) == 0
    assert pit.state() == state
    assert pit.cancellations() == [(account, lots, BY_SELF_TRADE) for account, lots in cancelled]
    assert [account for account in (A, B) if pit.orders(account)] == left
    pit.check()


def test_ord_5_a_smaller_taker_shrinks_the_maker() -> None:
    pit = open_pit()
    pit.rest(A, SELL, 500_000, 10, shown=4)
    assert pit.place(A, BUY, 500_000, 7, flags=OWN_DECREMENT) == 0
    assert pit.state() == (CANCELLED, 0, 0) and pit.orders(A) == [(SELL, 500_000, 3, 0)]
    assert not pit.fills() and not pit.cancellations()
    pit.check()


def test_ord_6_reduce_only_orders_follow_the_position() -> None:
    pit = open_pit()
    pit.rest(B, SELL, 500_000, 10)
    pit.place(A, BUY, 500_000, 10)
    for lots, shown in ((8, 3), (10, 0)):
        pit.rest(A, SELL, 510_000, lots, flags=REDUCE, shown=shown)
    pit.rest(C, BUY, 499_000, 6)
    pit.place(A, SELL, 499_000, 4)
    assert pit.orders(A) == [(SELL, 510_000, 3, 3), (SELL, 510_000, 6, 0)]
    pit.place(D, BUY, 510_000, 1)
    assert pit.held(A) == 5 and pit.orders(A) == [(SELL, 510_000, 2, 3), (SELL, 510_000, 5, 0)]
    pit.place(D, BUY, 510_000, 50)
    assert pit.held(A) == 0, "they never turn it"
    assert pit.cancellations() == [(A, 3, BY_REDUCE_ONLY)]
    pit.check()


def test_ord_6_the_taker_s_orders_are_cut_too() -> None:
    pit = open_pit()
    pit.rest(B, SELL, 500_000, 10)
    pit.place(A, BUY, 500_000, 10)
    pit.rest(A, SELL, 510_000, 10, flags=REDUCE)
    pit.rest(C, BUY, 499_000, 30)
    pit.place(A, SELL, 499_000, 25, kind=IOC)
    assert pit.held(A) == -15 and pit.cancellations() == [(A, 10, BY_REDUCE_ONLY)]
    pit.check()


def open_protected(**maxima: int) -> Pit:
    pit = open_pit()
    pit.protect(A, freeze_ms=500, **maxima)
    for ticks in (500_000, 500_010, 500_020):
        pit.rest(A, SELL, ticks, 2, flags=PROTECT)
    pit.rest(A, SELL, 500_030, 2)
    return pit


PROTECTIONS = [
    ("value", {"quote_max": 150 * USD}, 4),
    ("delta", {"delta_quote_max": 199 * USD}, 4),
    ("value that is met, not passed", {"quote_max": 100 * USD}, 4),
    ("no maximum", {}, 6),
]


@pytest.mark.parametrize(("claim", "maxima", "filled"), PROTECTIONS)
def test_ord_8_protected_orders_go_when_a_maximum_is_passed(claim: str, maxima: dict[str, int], filled: int) -> None:
    pit = open_protected(**maxima)
    pit.place(B, BUY, 500_020, 9, kind=IOC)
    assert pit.receipt["filled_lots"] == filled
    if filled < 6:
        assert pit.cancellations() == [(A, 2, BY_PROTECTION)]
        assert pit.notices(NOTICE_PROTECTION) == [(A, START_MS + 500)]
        assert pit.orders(A) == [(SELL, 500_030, 2, 0)]
        assert pit.place(A, SELL, 500_100, 1, flags=PROTECT) == 316
        assert pit.place(A, SELL, 500_100, 1) == 0
        pit.time_ms += 500
        assert pit.place(A, SELL, 500_100, 1, flags=PROTECT) == 0, "the freeze is over"
    pit.check()


def test_ord_8_a_window_begins_anew() -> None:
    pit = open_protected(quote_max=151 * USD)
    pit.place(B, BUY, 500_000, 2)
    pit.time_ms += 999
    assert pit.tables.protections[int(pit.tables.accounts[A]["protection"])]["quote_sum"] == 100 * USD
    pit.time_ms += 1
    pit.place(B, BUY, 500_010, 2)
    assert not pit.cancellations(), "a fill at the window's end begins the next"
    pit.place(B, BUY, 500_020, 1)
    assert not pit.cancellations() and pit.place(B, BUY, 500_020, 1) == 0
    assert pit.notices(NOTICE_PROTECTION) == [(A, START_MS + 1500)]


def test_ord_8_312_fill_or_kill_is_filled_before_protection_trips() -> None:
    pit = open_protected(quote_max=1)
    assert pit.place(B, BUY, 500_020, 6, kind=FOK) == 0
    assert pit.state() == (FILLED, 6, 0) and pit.notices(NOTICE_PROTECTION) == [(A, START_MS + 500)]
    pit.check()


def test_312_fill_or_kill_counts_only_what_cannot_vanish() -> None:
    pit = open_pit()
    pit.rest(B, SELL, 490_000, 5)
    pit.place(C, BUY, 490_000, 5)
    pit.rest(C, SELL, 500_000, 5, flags=REDUCE)
    pit.rest(A, SELL, 500_000, 5)
    pit.rest(B, SELL, 500_000, 6, shown=2)
    assert pit.place(A, BUY, 500_000, 7, kind=FOK) == 312
    assert pit.place(A, BUY, 500_000, 6, kind=FOK, flags=OWN_CANCEL_TAKER) == 0
    assert pit.receipt["filled_lots"] == 6, "own orders are cancelled, whatever the mode"
    pit.check()


def test_mat_4_a_block_has_a_largest_number_of_fills() -> None:
    pit = open_pit()
    for _ in range(3):
        pit.rest(A, SELL, 500_000, 1)
    pit.tables.counters[FILL_COUNT] = FILLS_MAX - 2
    assert pit.place(B, BUY, 500_000, 5) == 0
    assert pit.state() == (CANCELLED, 2, 3) and len(pit.orders(A)) == 1 and not pit.orders(B)


def test_money_is_neither_made_nor_lost() -> None:
    pit = open_pit()
    before = int(pit.tables.accounts["balance_quote"].sum())
    generator = np.random.default_rng(7)
    for _ in range(300):
        account, side, away, lots = (int(generator.integers(*span)) for span in ((A, D + 1), (0, 2), (-5, 6), (1, 30)))
        pit.place(account, side, 500_000 + away, lots)
    assert int(pit.tables.accounts["balance_quote"].sum()) == before and len(pit.fills()) > 100
    pit.check()
