"""Equity, demand, and what an account may do (docs/spec.md, MAR). A lot is worth 50 USD; its margin is 2.5 and 1.25."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.exposure import is_product_at_least
from engine.tables import MODE_PORTFOLIO
from tests.engine.floor import BUY, SELL, START_MS, USD, instrument
from tests.engine.pit import DEMAND, EQUITY, IOC, MAINTENANCE, WITHDRAWABLE, Pit, mark, open_pit

A, B, C = 64, 65, 66
FREE_OF_FEES = {"maker_fee_bps": 0, "taker_fee_bps": 0}
SPOT = {"kind": "spot", "initial_margin_bps": 2000, "maintenance_margin_bps": 1000}
INT = st.integers(-(1 << 62) + 1, (1 << 62) - 1)


def with_money(pit: Pit, account: int, quote: int) -> None:
    pit.tables.accounts[account]["balance_quote"] = quote
    pit.tables.accounts[account]["bound_epoch"] = 0


def trade(pit: Pit, buyer: int, seller: int, ticks: int, lots: int, market: int = 0) -> None:
    pit.rest(seller, SELL, ticks, lots, market=market)
    assert pit.place(buyer, BUY, ticks, lots, market=market) == 0


def test_mar_3_equity_is_balance_and_holdings_at_the_mark() -> None:
    pit = open_pit(instrument(**FREE_OF_FEES))
    trade(pit, A, B, 500_000, 10)
    mark(pit, 51_000)
    assert (pit.act(EQUITY, A), pit.act(EQUITY, B)) == (1_000_010 * USD, 999_990 * USD)
    assert pit.act(MAINTENANCE, A) == pit.act(MAINTENANCE, B) == 10 * 1_275_000
    assert pit.free(A) == 1_000_010 * USD - 10 * 2_550_000
    pit.check()


# (claim, holding, open buys, open sells, lots that count)
RISKIEST = [
    ("nothing", 0, 0, 0, 0),
    ("the larger side of two quotes", 0, 10, 7, 10),
    ("orders that add to a long", 10, 5, 0, 15),
    ("orders that only reduce a long", 10, 0, 10, 10),
    ("orders that turn a long", 10, 0, 25, 15),
    ("orders that turn a short", -10, 30, 5, 20),
]


@pytest.mark.parametrize(("claim", "held", "buys", "sells", "lots"), RISKIEST)
def test_mar_3_the_riskiest_holding_counts(claim: str, held: int, buys: int, sells: int, lots: int) -> None:
    pit = open_pit(instrument(**FREE_OF_FEES))
    if held > 0:
        trade(pit, A, B, 500_000, held)
    elif held < 0:
        trade(pit, B, A, 500_000, -held)
    for side, ticks, size in ((BUY, 499_999, buys), (SELL, 500_001, sells)):
        assert not size or pit.place(A, side, ticks, size) == 0
    assert pit.act(DEMAND, A, 1) == lots * 2_500_000
    pit.check()


def test_mar_3_an_order_is_charged_its_loss_and_fee_until_it_goes() -> None:
    """Two lots at 51,000 are 1 USD a lot above the mark; the fee is 5 bps of 51 USD."""
    pit = open_pit()
    pit.rest(A, BUY, 510_000, 2)
    assert pit.act(DEMAND, A, 1) == 2 * (2_500_000 + 1_000_000 + 25_500)
    mark(pit, 52_000)
    assert pit.act(DEMAND, A, 1) == 2 * (2_600_000 + 1_000_000 + 25_500), "the charge stays what it was"
    pit.place(B, SELL, 510_000, 1)
    assert pit.tables.accounts[A]["order_charge_quote"] == 1_025_500, "the rest's"
    pit.cancel_all(A)
    assert pit.tables.accounts[A]["order_charge_quote"] == 0
    pit.check()


def test_mar_4_the_last_unit_decides() -> None:
    need = 10 * (2_500_000 + 25_000)
    pit = open_pit()
    with_money(pit, A, need - 1)
    assert pit.place(A, BUY, 500_000, 10) == 401
    with_money(pit, A, need)
    assert pit.place(A, BUY, 500_000, 10) == 0 and pit.free(A) == 0
    assert pit.place(A, BUY, 1, 1) == 401 and pit.place(A, SELL, 500_000, 9, kind=IOC) == 401, "the fee is missing"
    pit.check()


def test_mar_4_a_fill_of_a_resting_order_is_never_refused() -> None:
    pit = open_pit()
    with_money(pit, A, 26 * USD)
    pit.rest(A, BUY, 500_000, 10)
    mark(pit, 48_000)
    assert pit.place(B, SELL, 500_000, 10) == 0 and pit.held(A) == 10
    assert pit.free(A) < 0
    pit.check()


def test_mar_5_an_account_below_its_demand_may_reduce_but_not_worsen() -> None:
    pit = open_pit(instrument(**FREE_OF_FEES))
    with_money(pit, A, 25 * USD)
    trade(pit, A, B, 500_000, 10)
    mark(pit, 49_000)
    assert pit.act(EQUITY, A) == 15 * USD and pit.free(A) < 0
    assert pit.place(A, BUY, 489_000, 1) == 401
    assert pit.place(A, SELL, 490_000, 11) == 401, "it would turn the position"
    assert pit.place(A, SELL, 490_000, 6) == 0, "equity stays, maintenance falls"
    assert pit.place(A, SELL, 490_000, 5) == 401, "open orders of the side count"
    assert pit.place(A, SELL, 490_000, 4) == 0
    pit.check()


# E = 15 USD against M = 10 lots x 1.225: selling n lots d ticks below the mark costs 0.0001 USD x n x d
RATIOS = [(10, 490_000 - 15_000, 0), (10, 490_000 - 15_001, 401), (1, 490_000 - 15_000, 0), (1, 490_000 - 15_001, 401)]


@pytest.mark.parametrize(("lots", "ticks", "code"), RATIOS)
def test_mar_5_equity_by_maintenance_must_not_fall(lots: int, ticks: int, code: int) -> None:
    """A lot may lose at most its share of the equity: 1.5 USD, 15,000 ticks."""
    pit = open_pit(instrument(**FREE_OF_FEES))
    with_money(pit, A, 25 * USD)
    trade(pit, A, B, 500_000, 10)
    mark(pit, 49_000)
    assert pit.place(A, SELL, ticks, lots, kind=IOC) == code


def test_mar_1_an_option_bought_needs_its_price_and_one_sold_its_margin() -> None:
    call = instrument("BTC-CALL", kind="call", strike="50000", expiry_ms=START_MS + 10**9, **FREE_OF_FEES)
    pit = open_pit(call)
    mark(pit, 2_000, index_usd=50_000)
    with_money(pit, A, 20 * USD)
    with_money(pit, B, 50 * USD)
    assert pit.place(B, SELL, 20_000, 11) == 401 and pit.place(B, SELL, 20_000, 10) == 0, "5 USD a lot"
    assert pit.place(A, BUY, 20_000, 11) == 401 and pit.place(A, BUY, 20_000, 10) == 0, "2 USD a lot"
    assert (pit.free(A), pit.act(EQUITY, A), pit.balance(A)) == (0, 20 * USD, 0)
    assert (pit.balance(B), pit.act(EQUITY, B)) == (70 * USD, 50 * USD)
    assert (pit.free(B), pit.act(MAINTENANCE, B)) == (0, 45 * USD), "what it received is what it owes"
    pit.check()


def test_mar_1_spot_counts_less_its_haircut() -> None:
    pit = open_pit(instrument("BTC-SPOT", **SPOT, **FREE_OF_FEES))
    pit.rest(A, BUY, 499_000, 10)
    assert pit.act(DEMAND, A, 1) == 10 * 10 * USD, "20 % of 50 USD"
    pit.check()


def test_mar_6_a_portfolio_judges_orders_apart_from_holdings() -> None:
    pit = open_pit(instrument(**FREE_OF_FEES))
    trade(pit, A, B, 500_000, 10)
    pit.tables.accounts[A]["mode"] = MODE_PORTFOLIO
    pit.tables.accounts[A]["bound_epoch"] = 0
    before = pit.act(DEMAND, A, 1)
    pit.rest(A, BUY, 499_000, 4)
    pit.rest(A, SELL, 501_000, 6)
    assert pit.act(DEMAND, A, 1) == before + 6 * 2_500_000
    pit.place(B, SELL, 499_000, 2)
    assert pit.held(A) == 12
    pit.check()


def test_mar_9_a_tenth_of_the_value_stays() -> None:
    pit = open_pit(instrument(**FREE_OF_FEES))
    assert pit.act(WITHDRAWABLE, A) == 1_000_000 * USD
    trade(pit, A, B, 500_000, 100)
    assert pit.act(WITHDRAWABLE, A) == pit.act(WITHDRAWABLE, B) == 999_500 * USD, "500 of 5,000 USD, not 250"
    pit.rest(A, BUY, 499_000, 200)
    assert pit.act(WITHDRAWABLE, A) == 999_250 * USD, "300 lots' margin is more"
    with_money(pit, A, -4_900 * USD)
    assert pit.act(WITHDRAWABLE, A) == 0
    pit.check()


@settings(deadline=None)
@given(INT, INT, INT, INT)
def test_products_are_compared_exactly(left: int, left_factor: int, right: int, right_factor: int) -> None:
    assert is_product_at_least(left, left_factor, right, right_factor) == (left * left_factor >= right * right_factor)


@settings(deadline=None)
@given(INT, INT, st.integers(-1, 1))
def test_nearly_equal_products_are_compared_exactly(left: int, factor: int, more: int) -> None:
    right = min(max(left + more, -(1 << 62) + 1), (1 << 62) - 1)
    assert is_product_at_least(left, factor, right, factor) == (left * factor >= right * factor)
    assert is_product_at_least(left, factor, factor, right) == (left * factor >= right * factor)
