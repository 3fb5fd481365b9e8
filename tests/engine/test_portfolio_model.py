"""The integer rules of portfolio margin against the formula in fifty digits, and the page's worked numbers."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from mpmath import mpf

from tests.engine.portfolio_worlds import EngineNumbers, make_example, make_portfolios
from tests.reference.portfolio_model import (
    BPS,
    CALL,
    DAY_MS,
    E8,
    PUT,
    SCENARIOS,
    SPOT,
    Expiry,
    Numbers,
    Underlying,
    compute_demand,
    compute_exact_margin,
    make_row,
    make_slice,
)

EXAMPLE = make_example()
P, U, C, T, B = range(5)
SURFACE = (1_000_000, 4_000_000, -30_000_000, 0, 10_000_000)


def demand_of(world, lots, numbers):
    return compute_demand(world, {market: make_row(world, market, numbers) for market in lots}, lots, numbers)


def test_pmr_2_there_are_33_scenarios() -> None:
    assert len(SCENARIOS) == 33
    assert SCENARIOS[21] == (10_000, "same", 100_000)


def test_pmr_3_only_what_is_not_sampled_moves() -> None:
    half = Expiry(900_000, 100_000 * E8, SURFACE, twap_sum_e8=225 * 99_000 * E8, twap_count=225)
    assert half.shock_forward_e8(10_000) == 99_500 * E8
    assert half.shock_forward_e8(11_800) == 108_500 * E8


@pytest.mark.parametrize(
    ("days", "up", "down"), [(1, 2.38710, 0.16774), (7, 1.77371, 0.53578), (30, 1.5, 0.7), (90, 1.43346, 0.73993)]
)
def test_pmr_4_volatility_moves_more_near_expiry(days, up, down) -> None:
    made = make_slice(Expiry(days * DAY_MS, 100_000 * E8, SURFACE), Numbers())
    assert (round(made.up_q56 / 2**56, 5), round(made.down_q56 / 2**56, 5)) == (up, down)


def test_pmr_5_lanes_of_the_worked_world() -> None:
    perpetual, call = (make_row(EXAMPLE, market, Numbers()) for market in (P, C))
    assert perpetual.lanes[0] == 18_000_000
    assert (call.lanes[0], call.lanes[30], call.mark_unit) == (12_782_626, 13_582_800, 1_524_386)


# What is held, initial demand, maintenance demand, scenario that decides.
WORKED = [
    ("1,000 long P", {P: 1_000}, 22_000_000_000, 17_400_000_000, 1),
    ("1,000 long C", {C: 1_000}, 1_519_668_054, 1_215_734_444, 7),
    ("1,000 short C", {C: -1_000}, 14_040_545_021, 11_132_436_017, 30),
    ("1,000 short P against 1,000 B", {P: -1_000, B: 1_000}, 19_000_001_000, 13_000_000_800, 0),
    ("1,000 long U against 1,000 short P", {P: -1_000, U: 1_000}, 10_989_726_028, 8_391_780_823, 33),
]


@pytest.mark.parametrize("numbers", [Numbers(), EngineNumbers()], ids=["fifty digits", "engine"])
@pytest.mark.parametrize(("held", "lots", "initial", "maintenance", "worst"), WORKED, ids=[row[0] for row in WORKED])
def test_pmr_10_worked_demands(numbers, held, lots, initial, maintenance, worst) -> None:
    demand = demand_of(EXAMPLE, lots, numbers)
    assert (demand.initial_quote, demand.maintenance_quote, demand.worst) == (initial, maintenance, worst)


def test_pmr_6_to_8_worked_sums() -> None:
    numbers = Numbers()
    long_call = demand_of(EXAMPLE, {C: 1_000}, numbers).pnl[0]
    assert (long_call[0], long_call[7], long_call[31]) == (10_460_458_885, -1_519_668_054, -10_839_449)
    assert long_call[21] == 1_429_246_991 - 1_524_386_000
    assert demand_of(EXAMPLE, {P: -1_000, U: 1_000}, numbers).pnl[0][33] == -2_989_726_028


def test_pmr_9_two_shorts_are_naked_and_a_long_of_the_other_type_offsets_one() -> None:
    numbers = Numbers()
    rows = {market: make_row(EXAMPLE, market, numbers) for market in (C, T)}

    def contingencies(calls, puts):
        demand = compute_demand(EXAMPLE, rows, {C: calls, T: puts}, numbers)
        loss = -min(demand.pnl[0])
        maintenance = demand.maintenance_quote - -(-loss * 8 // 10)
        return maintenance, demand.initial_quote - loss - maintenance

    assert contingencies(-1_000, -1_000) == (600_000_000, 400_000_000)
    assert contingencies(-1_000, 600) == (120_000_000, 80_000_000)
    assert contingencies(-1_000, 1_500) == (0, 0)
    assert contingencies(1_000, 1_000) == (0, 0)


@pytest.mark.parametrize(("dispersion_bps", "lack_bps"), [(0, 0), (225, 0), (226, 4_520), (500, 10_000), (900, 10_000)])
def test_pmr_9_confidence_below_the_threshold_charges_what_is_missing(dispersion_bps, lack_bps) -> None:
    world = replace(EXAMPLE, underlyings={0: Underlying(100_000 * E8, dispersion_bps)})
    calm, disputed = (demand_of(item, {P: 1_000}, Numbers()) for item in (EXAMPLE, world))
    assert disputed.initial_quote - calm.initial_quote == 100_000_000_000 * lack_bps // BPS
    assert disputed.maintenance_quote == calm.maintenance_quote


def test_pmr_10_a_falling_quote_currency_raises_the_loss_and_the_worth_of_collateral() -> None:
    world = replace(EXAMPLE, stable_e8=95 * 10**6)
    assert demand_of(world, {P: 1_000}, Numbers()).initial_quote == 18_000_000_000 * 116 // 100 + 4_000_000_000
    calm, depegged = (demand_of(item, {B: 1}, Numbers()) for item in (EXAMPLE, world))
    # Worth 105,263,157 instead of 100,000,000: that much less is asked, and haircut and loss grow with it.
    assert depegged.maintenance_quote - calm.maintenance_quote == -5_263_157 + 526_316 + 757_896


def test_exact_and_integer_formula_agree_within_their_rounding_and_never_in_favour_of_the_owner() -> None:
    @settings(deadline=None, max_examples=40)
    @given(make_portfolios())
    def check(portfolio) -> None:
        world, lots = portfolio
        exact, whole = compute_exact_margin(world, lots), demand_of(world, lots, EngineNumbers())
        gross = sum(abs(size_lots) for size_lots in lots.values())
        # Prices to the nearest 1e-8 may favour the owner by this, in quote; volatilities by their last digits.
        base = sum(mpf(abs(size)) * world.instruments[market].lot_e8 / 10**10 for market, size in lots.items())
        slack = 10 * base + gross * mpf(10) ** -5 + mpf(1) / 1000
        # The static discount has 31 bits; nothing is worth more than six times the spot.
        spot = max(facts.index_e8 for facts in world.underlyings.values())
        room = 12 * gross + 60 * len(lots) + 10 * base + 6 * base * spot / 2**29
        for ours, theirs in (
            (whole.initial_quote, exact.initial_demand),
            (whole.maintenance_quote, exact.maintenance_demand),
        ):
            assert theirs - slack <= ours <= theirs + room
        # Collateral is worth a whole number of units a lot, which lessens its loss but its worth by more.
        loss_slack = slack + sum(size for market, size in lots.items() if world.instruments[market].kind == SPOT)
        for underlying, pnl in whole.pnl.items():
            for ours, theirs in zip(pnl, exact.pnl[underlying]):
                assert theirs - room <= ours <= theirs + loss_slack

    check()


def test_rows_of_engine_numbers_are_within_one_unit_of_fifty_digits() -> None:
    @settings(deadline=None, max_examples=25)
    @given(make_portfolios())
    def check(portfolio) -> None:
        world, lots = portfolio
        for market in lots:
            ours, theirs = (make_row(world, market, numbers) for numbers in (EngineNumbers(), Numbers()))
            assert all(abs(a - b) <= 1 for a, b in zip(ours.lanes, theirs.lanes))
            assert replace(ours, lanes=()) == replace(theirs, lanes=())

    check()


def test_a_portfolio_asks_less_than_its_parts_or_as_much() -> None:
    numbers = Numbers()
    together = demand_of(EXAMPLE, {P: -500, C: 1_000, T: 0}, numbers).initial_quote
    assert together < demand_of(EXAMPLE, {P: -500}, numbers).initial_quote
    assert EXAMPLE.instruments[C].kind == CALL and EXAMPLE.instruments[T].kind == PUT
