"""What if: simulated margins are those of the engine, and looking changes nothing."""

from dataclasses import replace

import numpy as np
import pytest

from engine.marks import compute_option_mark, set_units
from engine.portfolio import refresh_scenarios
from engine.simulate import Holdings, Order, read_holdings, simulate
from engine.tables import MODE_CROSS, MODE_PORTFOLIO
from tests.engine.portfolio_worlds import fill_tables, make_example, mark_options, open_account

P, U, C, T, B = range(5)
USD = 10**6


@pytest.fixture(scope="module")
def tables():
    tables = fill_tables(make_example())
    markets = tables.markets
    markets["tick_e8"], markets["quote_per_tick_lot"], markets["price_ticks_max"] = 10**7, 100, 10**7
    markets["taker_fee_bps"], markets["initial_bps"][:4], markets["maintenance_bps"][:4] = 5, 500, 250
    for number in range(5):
        if number in (C, T):
            compute_option_mark(tables, np.int64(number))
        set_units(tables, np.int64(number))
    refresh_scenarios(tables)
    return tables


def test_a_position_alone_demands_what_the_page_says(tables) -> None:
    seen = simulate(tables, Holdings(30_000 * USD, {P: 1_000}))
    assert (seen.initial_quote, seen.maintenance_quote) == (22_000 * USD, 17_400 * USD)
    assert (seen.equity_quote, seen.worst_scenario) == (130_000 * USD, 1)
    assert seen.scenarios[0][1] == -18_000 * USD
    assert seen.greeks[0].delta_quote == 100_000 * USD


def test_a_trade_at_the_mark_leaves_equity_and_changes_demand(tables) -> None:
    before = simulate(tables, Holdings(30_000 * USD, {P: 1_000}))
    after = simulate(tables, Holdings(30_000 * USD, {P: 1_000}), trades={P: -600, C: 10})
    assert after.equity_quote == before.equity_quote
    assert after.initial_quote < before.initial_quote
    assert after == simulate(tables, Holdings(90_000 * USD - 15_243_860, {P: 400, C: 10}))


def test_orders_are_charged_with_loss_and_fee_and_held_at_the_riskiest_side(tables) -> None:
    holdings = Holdings(0, {}, mode=MODE_CROSS)
    buy = simulate(tables, holdings, orders=[Order(P, 0, 10, 1_010_000)])
    # One per cent above the mark: 1 USD a lot of loss, 5 bps of 101 USD of fee, and 5 % of 100 USD of margin.
    assert buy.initial_quote == 10 * (1_000_000 + 50_500 + 5_000_000)
    both = simulate(tables, holdings, orders=[Order(P, 0, 10, 1_000_000), Order(P, 1, 4, 1_000_000)])
    assert both.initial_quote == 10 * 5_000_000 + 14 * 50_000
    assert (both.maintenance_quote, both.equity_quote, both.worst_scenario) == (0, 0, -1)


def test_a_cross_account_is_liquidated_where_equity_meets_maintenance(tables) -> None:
    # 1 BTC long bought at 100,000 with 10,000 USD: (100,000 - 10,000) / (1 - 2.5 %) = 92,307.69.
    seen = simulate(tables, Holdings(-90_000 * USD, {P: 1_000}, mode=MODE_CROSS))
    below, above = seen.liquidations[0]
    assert above == 0 and abs(below - 92_307_69 * 10**6) <= 2 * 10**7
    short = simulate(tables, Holdings(110_000 * USD, {P: -1_000}, mode=MODE_CROSS))
    below, above = short.liquidations[0]
    assert below == 0 and abs(above - 107_317_07 * 10**6) <= 2 * 10**7


def test_a_move_of_prices_and_volatility_reprices_everything(tables) -> None:
    holdings = Holdings(0, {P: 1_000, C: 1_000, B: 10})
    up = simulate(tables, holdings, price_shifts_ppm={0: 135_000})
    same = simulate(tables, holdings)
    world = make_example()
    moved = mark_options(replace(world, expiries={0: replace(world.expiries[0], forward_e8=11_350_000_000_000)}))
    unit, unit_before = (int(item.instruments[C].mark_e8) // 100_000 for item in (moved, world))
    assert up.equity_quote - same.equity_quote == 1_010 * 13_500_000 + 1_000 * (unit - unit_before)
    # Half the volatility again is what scenario 20 does 30 days before expiry.
    calm, lane = simulate(tables, holdings, vol_shift_ppm=500_000), tables.scenarios[C]
    assert abs(calm.equity_quote - same.equity_quote - 1_000 * int(lane[20] - lane[21])) <= 1_000
    assert calm.greeks[0].vega_quote > 0 > calm.greeks[0].theta_quote


def test_looking_changes_nothing_and_an_account_can_be_read(tables) -> None:
    account = open_account(tables, {P: 7, C: -3}, balance_quote=5)
    row = int(tables.accounts[account]["position_first"])
    tables.positions[row]["buy_lots"], tables.accounts[account]["order_charge_quote"] = 4, 1_234
    market = int(tables.positions[row]["market"])
    before = {name: getattr(tables, name).copy() for name in ("accounts", "positions", "markets", "scenarios")}
    before |= {name: getattr(tables, name).copy() for name in ("underlyings", "expiries", "counters", "portfolio")}
    holdings = read_holdings(tables, account)
    assert holdings == Holdings(5, {P: 7, C: -3}, {market: (4, 0)}, 1_234, MODE_PORTFOLIO)
    simulate(tables, holdings, trades={U: 5}, price_shifts_ppm={0: -100_000}, vol_shift_ppm=10_000)
    assert all((getattr(tables, name) == rows).all() for name, rows in before.items())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"trades": {99: 1}}, "not listed"),
        ({"price_shifts_ppm": {0: -1_000_000}}, "price shift"),
        ({"price_shifts_ppm": {7: 1}}, "no underlying"),
        ({"vol_shift_ppm": 5_000_000}, "vol shift"),
        ({"orders": [Order(P, 2, 1, 1)]}, "side"),
        ({"orders": [Order(P, 0, 0, 1)]}, "size"),
    ],
)
def test_what_cannot_be_simulated_is_refused(tables, changes, reason) -> None:
    with pytest.raises(ValueError, match=reason):
        simulate(tables, Holdings(0, {P: 1}), **changes)
