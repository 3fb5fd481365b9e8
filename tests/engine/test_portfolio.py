"""Portfolio margin of the engine against its slow twin, to the last unit."""

import re

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from numba import njit

from engine.portfolio import (
    DEMAND_MAX,
    GREEK_COUNT,
    POSITIONS_MAX,
    REVALUE_COLUMNS,
    compute_greeks,
    portfolio_requirement,
    portfolio_worst,
    refresh_scenarios,
    restore_codes,
    revalue_portfolios,
    value_scenarios,
)
from engine.scenarios import (
    BASIS,
    CODE,
    CORRECTION,
    INITIAL_UNIT,
    LANES,
    MAINTENANCE_UNIT,
    MARK_UNIT,
    NOTIONAL_UNIT,
    SCENARIO_COUNT,
)
from engine.tables import PHASE_SETTLED
from tests.engine.portfolio_worlds import EngineNumbers, fill_tables, make_example, make_portfolios, open_account
from tests.reference.portfolio_model import CALL, SPOT, compute_demand, make_row

EXAMPLE = make_example()
P, U, C, T, B = range(5)
EXAMPLES = 60 if numba.config.DISABLE_JIT else 150


def revalue(tables, accounts) -> list[tuple[int, ...]]:
    """(equity, initial demand, maintenance demand, worst) of each account."""
    out = np.zeros((len(accounts), REVALUE_COLUMNS), np.int64)
    revalue_portfolios(tables, np.array(accounts, np.int64), out)
    return [tuple(int(number) for number in row) for row in out]


def test_engine_and_slow_twin_agree_to_the_last_unit() -> None:
    @settings(deadline=None, max_examples=EXAMPLES)
    @given(make_portfolios())
    def check(portfolio) -> None:
        world, lots = portfolio
        numbers, tables = EngineNumbers(), fill_tables(world)
        refresh_scenarios(tables)
        rows = {market: make_row(world, market, numbers) for market in world.instruments}
        for market, row in rows.items():
            words = tables.scenarios[market]
            assert tuple(words[:LANES]) == row.lanes
            assert (words[MARK_UNIT], words[CORRECTION]) == (row.mark_unit, row.worth_unit - row.mark_unit)
            assert (words[MAINTENANCE_UNIT], words[INITIAL_UNIT]) == (row.maintenance_unit, row.initial_unit)
            assert words[NOTIONAL_UNIT] == row.notional_unit
        account = open_account(tables, lots)
        demand = compute_demand(world, rows, lots, numbers)
        assert revalue(tables, [account])[0][1:] == (demand.initial_quote, demand.maintenance_quote, demand.worst)
        vectors = np.ones((len(world.underlyings), BASIS + 1), np.int64)
        value_scenarios(tables, np.int64(account), vectors)
        for underlying in world.underlyings:
            assert vectors[underlying].tolist() == demand.pnl.get(underlying, [0] * (SCENARIO_COUNT + 1))

    check()


# What is held, initial demand, maintenance demand, scenario that decides.
WORKED = [
    ({}, 0, 0, 0),
    ({P: 1_000}, 22_000_000_000, 17_400_000_000, 1),
    ({C: 1_000}, 1_519_668_054, 1_215_734_444, 7),
    ({C: -1_000}, 14_040_545_021, 11_132_436_017, 30),
    ({P: -1_000, B: 1_000}, 19_000_001_000, 13_000_000_800, 0),
    ({P: -1_000, U: 1_000}, 10_989_726_028, 8_391_780_823, 33),
    ({P: 0, U: 0, C: 1_000}, 1_519_668_054, 1_215_734_444, 7),
]


@pytest.mark.parametrize(("lots", "initial", "maintenance", "worst"), WORKED)
def test_pmr_10_worked_demands(lots, initial, maintenance, worst) -> None:
    tables = fill_tables(EXAMPLE)
    refresh_scenarios(tables)
    account = open_account(tables, lots, balance_quote=7)
    equity = 7 + sum(size * int(tables.markets[market]["value_unit"]) for market, size in lots.items())
    assert revalue(tables, [account]) == [(equity, initial, maintenance, worst)]


def test_pmr_11_the_underlying_with_the_largest_loss_names_the_worst_scenario() -> None:
    tables = fill_tables(EXAMPLE)
    refresh_scenarios(tables)
    account = np.int64(open_account(tables, {C: -1_000}))
    assert portfolio_worst(tables, account) == 30
    assert portfolio_requirement(tables, account, True) == 14_040_545_021
    assert portfolio_requirement(tables, account, False) == 11_132_436_017


def test_the_order_in_which_positions_were_opened_does_not_matter() -> None:
    tables = fill_tables(EXAMPLE)
    refresh_scenarios(tables)
    lots = {P: -700, U: 300, C: 900, T: -800, B: 40}
    accounts = [open_account(tables, dict(order)) for order in (lots.items(), reversed(lots.items()))]
    one, other = revalue(tables, accounts)
    assert one == other


def test_pmr_3_before_there_is_a_forward_the_index_takes_its_place() -> None:
    tables = fill_tables(EXAMPLE)
    tables.expiries[0]["forward_e8"] = 0
    refresh_scenarios(tables)
    assert tuple(tables.scenarios[U][:LANES]) == make_row(EXAMPLE, U, EngineNumbers()).lanes


def test_a_settled_market_takes_no_part() -> None:
    tables = fill_tables(EXAMPLE)
    account = open_account(tables, {P: 1_000, C: -1_000})
    tables.markets[C]["phase"], tables.markets[C]["value_unit"] = PHASE_SETTLED, 0
    refresh_scenarios(tables)
    assert revalue(tables, [account])[0][1:] == (22_000_000_000, 17_400_000_000, 1)
    assert not tables.scenarios[C].any()


def test_more_positions_than_fit_are_never_covered() -> None:
    tables = fill_tables(EXAMPLE)
    refresh_scenarios(tables)
    account = open_account(tables, {P: 1})
    row = int(tables.accounts[account]["position_first"])
    for more in range(row + 1, row + POSITIONS_MAX + 1):
        tables.positions[more] = tables.positions[row]
        tables.positions[more]["next"], tables.positions[more - 1]["next"] = 0, more
    assert revalue(tables, [account])[0][1:3] == (DEMAND_MAX, DEMAND_MAX)


def test_greeks_are_sums_of_units_and_the_straddle_has_no_delta() -> None:
    tables = fill_tables(EXAMPLE)
    refresh_scenarios(tables)
    call, put = tables.markets[C], tables.markets[T]
    assert call["gamma_unit"] == put["gamma_unit"] > 0
    assert call["theta_unit"] == put["theta_unit"] < 0
    assert put["rho_unit"] < call["rho_unit"] < 0
    tables.markets["delta_unit"][:5] = (100, 101, 40, -60, 102)
    tables.markets["vega_unit"][:5] = (0, 0, 9, 9, 0)
    greeks = np.ones((1, GREEK_COUNT), np.int64)
    account = np.int64(open_account(tables, {P: 20, C: 100, T: 100, B: 0}))
    compute_greeks(tables, account, greeks)
    gamma, theta = 200 * int(call["gamma_unit"]), 200 * int(call["theta_unit"])
    rho = 100 * (int(call["rho_unit"]) + int(put["rho_unit"]))
    assert greeks.tolist() == [[0, gamma, 1_800, theta, rho]]


def test_market_codes_group_by_underlying_expiry_and_strike() -> None:
    tables = fill_tables(EXAMPLE)
    refresh_scenarios(tables)
    codes = [int(code) for code in tables.scenarios[:, CODE]]
    assert codes[C] == codes[T] and len({codes[P], codes[U], codes[C]}) == 3
    refresh_scenarios(tables)
    assert [int(code) for code in tables.scenarios[:, CODE]] == codes
    tables.scenarios[:, CODE] = 1
    restore_codes(tables)
    assert [int(code) for code in tables.scenarios[:, CODE]] == codes
    assert (EXAMPLE.instruments[C].kind, EXAMPLE.instruments[B].kind) == (CALL, SPOT)


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")
def test_compiled_kernels_hold_no_float() -> None:
    tables = fill_tables(EXAMPLE)
    refresh, revalue_all = (njit(_nrt=False)(item.py_func) for item in (refresh_scenarios, revalue_portfolios))
    refresh(tables)
    account = open_account(tables, {P: 1, C: 1})
    revalue_all(tables, np.array([account], np.int64), np.zeros((1, REVALUE_COLUMNS), np.int64))
    for function in (refresh, revalue_all):
        (code,) = function.inspect_llvm().values()
        body = "\n".join(line for line in code.splitlines() if not line.startswith(("declare", ";")))
        assert "mul" in body
        assert not re.search(r"\b(float|double|fadd|fsub|fmul|fdiv|sitofp|fptosi|uitofp|fptoui)\b", body)
