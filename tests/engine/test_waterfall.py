"""Liquidation: when it is due, how far it goes, who pays, and that its owner can check it alone (LIQ)."""

import numpy as np
import pytest

from engine.exposure import compute_demand, compute_equity, compute_maintenance
from engine.feeds import refresh_markets, refresh_underlyings
from engine.marks import reprice
from engine.stages import liquidate
from engine.tables import (
    BY_LIQUIDATION,
    BY_MARGIN,
    CANCELLATION_COUNT,
    INSURANCE_ACCOUNT,
    LIQUIDATION_COUNT,
    NOTICE_MARK,
    ORDERS_LIVE,
    PHASE,
    PHASE_AUCTION,
    PHASE_CANCEL_ONLY,
)
from tests.engine.floor import (
    BUY,
    SELL,
    START_MS,
    USD,
    Floor,
    continuous,
    feed,
    fills,
    hold,
    instrument,
    money,
    notices,
    open_floor,
    rest,
)

ETH = instrument("ETH-PERPETUAL")
VICTIM, RICH = 64, 65


def price(floor: Floor, *usd: float, time_ms: int = START_MS) -> None:
    feed(floor, time_ms, *usd)
    refresh_underlyings(floor.tables, np.int64(time_ms))
    reprice(floor.tables, floor.out, np.int64(time_ms))
    refresh_markets(floor.tables, np.int64(time_ms))


def at_risk(lots: int = 80, worth_quote: int = 150 * USD, *markets) -> Floor:
    """A victim long `lots` of 50 USD with that equity; the other side is rich. Maintenance is 1.25 USD a lot."""
    floor = continuous(open_floor(*(markets or (instrument(oracle_step_bps_max=9_999),))))
    hold(floor, 0, a64=lots, a65=-lots)
    price(floor, *([50_000] * (1 + len(markets) // 2)))
    floor.tables.accounts[VICTIM]["balance_quote"] = worth_quote - lots * 50 * USD
    floor.tables.accounts[VICTIM]["bound_epoch"] = 0xFFFFFFFF
    return floor


def run(floor: Floor, time_ms: int = START_MS) -> list[dict[str, int]]:
    liquidate(floor.tables, floor.out, np.int64(time_ms))
    rows = floor.out.liquidations[: int(floor.tables.counters[LIQUIDATION_COUNT])]
    return [{name: int(row[name]) for name in rows.dtype.names} for row in rows]


def lots_of(floor: Floor, account: int) -> int:
    rows = floor.tables.positions
    return int(rows["lots"][(rows["account"] == account) & (rows["is_live"] == 1)].sum())


def test_liq_2_at_maintenance_nothing_happens_and_one_unit_below_it_does() -> None:
    floor = at_risk(worth_quote=100 * USD)
    rest(floor, RICH, BUY, 500_000, 80)
    assert run(floor) == []
    floor.tables.accounts[VICTIM]["balance_quote"] -= 1
    floor.tables.accounts[VICTIM]["bound_epoch"] = 0xFFFFFFFF
    (row,) = run(floor)
    assert (row["account"], row["equity_quote"], row["maintenance_quote"]) == (VICTIM, 100 * USD - 1, 100 * USD)
    # An eighth sold at the mark costs 0.5 % of 500 USD and frees 12.5 USD of maintenance: enough.
    assert (row["closed_lots"], lots_of(floor, VICTIM)) == (10, 70)
    assert row["equity_after_quote"] == 100 * USD - 1 - 2_500_000
    assert floor.tables.accounts[INSURANCE_ACCOUNT]["balance_quote"] == 2_500_000


def test_liq_2_eighths_are_rounded_up_and_end_with_health() -> None:
    floor = at_risk(lots=81, worth_quote=90 * USD)
    rest(floor, RICH, BUY, 500_000, 100)
    (row,) = run(floor)
    assert [fill[2] for fill in fills(floor)] == [11, 11]
    assert row["closed_lots"] == 22
    assert row["equity_after_quote"] >= (81 - 22) * 1_250_000


def test_liq_2_no_worse_than_the_band() -> None:
    floor = at_risk(worth_quote=90 * USD)
    rest(floor, RICH, BUY, 449_999, 100)
    assert run(floor) == []
    assert lots_of(floor, VICTIM) == 80
    rest(floor, RICH, BUY, 450_000, 1)
    assert run(floor)[0]["closed_lots"] == 1


def test_liq_2_a_short_is_bought_back() -> None:
    floor = continuous(open_floor())
    hold(floor, 0, a64=-80, a65=80)
    price(floor, 50_000)
    floor.tables.accounts[VICTIM]["balance_quote"] = (80 * 50 + 90) * USD
    rest(floor, RICH, SELL, 500_000, 100)
    (row,) = run(floor)
    assert lots_of(floor, VICTIM) == -80 + row["closed_lots"] < -40


def test_liq_2_all_orders_are_cancelled_and_the_largest_position_goes_first() -> None:
    floor = continuous(open_floor(instrument(), ETH, users=4))
    hold(floor, 0, a64=10, a65=-10)
    hold(floor, 1, a64=-20, a65=20)
    price(floor, 50_000, 50_000)
    floor.tables.accounts[VICTIM]["balance_quote"] = (10 * 50 + 36) * USD
    rest(floor, VICTIM, BUY, 400_000, 3)
    rest(floor, 66, BUY, 500_000, 100, market=0)
    rest(floor, 66, SELL, 500_000, 100, market=1)
    (row,) = run(floor)
    assert {fill[0] for fill in fills(floor)} == {1}
    cancelled = floor.out.cancellations[: int(floor.tables.counters[CANCELLATION_COUNT])]
    assert [(int(item["account"]), int(item["reason"])) for item in cancelled] == [(VICTIM, BY_LIQUIDATION)]
    assert row["closed_lots"] == sum(fill[2] for fill in fills(floor))


def test_liq_2_equal_positions_go_by_market_and_a_market_in_an_auction_is_passed_over() -> None:
    for phase, expected in ((0, 0), (PHASE_AUCTION, 1)):
        floor = continuous(open_floor(instrument(), ETH))
        hold(floor, 1, a64=10, a65=-10)
        hold(floor, 0, a64=10, a65=-10)
        price(floor, 50_000, 50_000)
        floor.tables.accounts[VICTIM]["balance_quote"] = (-20 * 50 + 24) * USD
        floor.tables.markets[0]["phase"] = phase
        rest(floor, 66, BUY, 500_000, 100, market=0)
        rest(floor, 66, BUY, 500_000, 100, market=1)
        run(floor)
        assert fills(floor)[0][0] == expected


def test_liq_1_orders_go_when_they_could_bankrupt_a_healthy_account() -> None:
    floor = at_risk(worth_quote=101 * USD)
    rest(floor, VICTIM, BUY, 400_000, 10)
    assert compute_equity(floor.tables, np.int64(VICTIM)) < compute_demand(floor.tables, np.int64(VICTIM), False)
    assert run(floor) == [], "no liquidation"
    cancelled = floor.out.cancellations[: int(floor.tables.counters[CANCELLATION_COUNT])]
    assert [(int(item["account"]), int(item["reason"])) for item in cancelled] == [(VICTIM, BY_MARGIN)]
    floor = at_risk(worth_quote=113 * USD)
    rest(floor, VICTIM, BUY, 400_000, 10)
    run(floor)
    assert floor.tables.counters[ORDERS_LIVE] == 1, "covered at maintenance: the order stays"


REASONS = [
    ("the price is stale", {"is_fresh": 0}, 0),
    ("the exchange is halted", {}, PHASE_CANCEL_ONLY),
]


@pytest.mark.parametrize(("what", "fields", "phase"), REASONS)
def test_liq_nobody_is_liquidated_while(what: str, fields: dict[str, int], phase: int) -> None:
    floor = at_risk(worth_quote=50 * USD)
    rest(floor, RICH, BUY, 500_000, 80)
    floor.tables.counters[PHASE] = phase
    for name, value in fields.items():
        floor.tables.markets[0][name] = value
    assert run(floor) == [], what


def flat_debtor(insurance_quote: int) -> tuple[Floor, dict[str, int]]:
    floor = continuous(open_floor())
    price(floor, 50_000)
    floor.tables.accounts[VICTIM]["balance_quote"] = -30 * USD
    floor.tables.accounts[INSURANCE_ACCOUNT]["balance_quote"] = insurance_quote
    rows = run(floor)
    return floor, rows[0] if rows else {}


def test_liq_3_insurance_pays_for_the_flat_what_it_has() -> None:
    floor, row = flat_debtor(100 * USD)
    assert (row["insurance_quote"], row["equity_quote"], row["equity_after_quote"]) == (30 * USD, -30 * USD, 0)
    assert floor.tables.accounts[INSURANCE_ACCOUNT]["balance_quote"] == 70 * USD
    floor, row = flat_debtor(10 * USD)
    assert (row["insurance_quote"], row["equity_after_quote"]) == (10 * USD, -20 * USD)
    _, row = flat_debtor(0)
    assert row == {}, "nothing was done, so nothing is said"


def test_fee_4_a_liquidation_fee_never_turns_equity_negative() -> None:
    floor = at_risk(worth_quote=1 * USD)
    rest(floor, RICH, BUY, 500_000, 80)
    (row,) = run(floor)
    assert (row["closed_lots"], row["equity_after_quote"]) == (80, 0)
    assert floor.tables.accounts[INSURANCE_ACCOUNT]["balance_quote"] == 1 * USD


def test_a_liquidation_can_be_verified_from_its_row_the_holdings_and_the_marks() -> None:
    """Recomputes equity and maintenance from public numbers: holdings before, parameters, the notices of marks."""
    floor = continuous(open_floor(instrument(oracle_step_bps_max=9_999), ETH))
    holdings = {0: 40, 1: -30}
    hold(floor, 0, a64=40, a65=-40)
    hold(floor, 1, a64=-30, a65=30)
    price(floor, 50_000, 50_000)
    floor.tables.accounts[VICTIM]["balance_quote"] = (-10 * 50 + 200) * USD
    price(floor, 46_000, 50_000, time_ms=START_MS + 1_000)
    rest(floor, RICH, BUY, 460_000, 5)
    (row,) = run(floor, START_MS + 1_000)
    marks = {subject: mark_e8 for subject, mark_e8, *_ in notices(floor, NOTICE_MARK)}
    lot_e8, maintenance_bps = 10**5, 250
    units = {market: marks[market] * lot_e8 // 10**10 for market in holdings}
    equity = row["balance_quote"] + sum(lots * units[market] for market, lots in holdings.items())
    demanded = sum(abs(lots) * -(-units[market] * maintenance_bps // 10_000) for market, lots in holdings.items())
    assert (equity, demanded) == (row["equity_quote"], row["maintenance_quote"])
    assert equity < demanded, "so it was due"
    paid = sum(int(fill["taker_fee_quote"]) for fill in floor.out.fills[: len(fills(floor))])
    explained = equity - paid + row["insurance_quote"] + row["haircut_quote"]
    assert row["equity_after_quote"] == explained, "every fill was at the mark here"
    assert row["worst_scenario"] == -1


def test_liquidations_make_no_money() -> None:
    floor = at_risk(worth_quote=50 * USD)
    rest(floor, RICH, BUY, 480_000, 30)
    rest(floor, 66, BUY, 470_000, 30)
    total = money(floor)
    run(floor)
    assert money(floor) == total
    assert floor.tables.positions["lots"].sum() == 0
    for account in (VICTIM, RICH, 66):
        free = compute_equity(floor.tables, np.int64(account)) - compute_demand(floor.tables, np.int64(account), True)
        if floor.tables.accounts[account]["bound_epoch"] != 0xFFFFFFFF:
            assert floor.tables.accounts[account]["free_bound_quote"] == free
    assert compute_equity(floor.tables, np.int64(VICTIM)) >= compute_maintenance(floor.tables, np.int64(VICTIM))
