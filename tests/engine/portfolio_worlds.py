"""Worlds of the portfolio model put into tables, and random ones."""

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from engine.accounts import open_position
from engine.allocate import make_tables
from engine.black76 import price_option
from engine.elementary import compute_sqrt_years, exp_minus_q62, exp_plus_q56, log_ratio_q57
from engine.params import ExchangeParams, MarketParams
from engine.svi import svi_vol_q56
from engine.tables import (
    ACCOUNT_COUNT,
    EXPIRY_COUNT,
    MARKET_COUNT,
    MODE_PORTFOLIO,
    STABLE_E8,
    UNDERLYING_COUNT,
    USER_ACCOUNT_FIRST,
    Tables,
)
from tests.reference.portfolio_model import (
    CALL,
    DAY_MS,
    FUTURE,
    PERPETUAL,
    PUT,
    SPOT,
    Expiry,
    Instrument,
    Numbers,
    Underlying,
    World,
)

OWNER = USER_ACCOUNT_FIRST
SURFACE = (1_000_000, 4_000_000, -30_000_000, 0, 10_000_000)
USD = 10**8


class EngineNumbers(Numbers):
    """The engine's own elementary functions: rows made with them agree bit by bit."""

    def roots(self, time_left_ms):
        return tuple(int(number) for number in compute_sqrt_years(time_left_ms))

    def log_q57(self, numerator, denominator):
        return int(log_ratio_q57(np.int64(numerator), np.int64(denominator)))

    def exp_minus_q62(self, x_q57):
        return int(exp_minus_q62(np.int64(x_q57)))

    def exp_plus_q56(self, x_q57):
        return int(exp_plus_q56(np.int64(x_q57)))

    def svi_vol_q56(self, surface_e8, strike_e8, forward_e8, inverse_root_q40):
        arguments = (*surface_e8, strike_e8, forward_e8, inverse_root_q40)
        return int(svi_vol_q56(*(np.int64(number) for number in arguments)))

    def price_e8(self, is_put, forward_e8, strike_e8, vol_q56, root_q60):
        arguments = (forward_e8, strike_e8, vol_q56, root_q60)
        return int(price_option(*(np.int64(number) for number in arguments))[is_put])


def mark_options(world: World) -> World:
    """The same world with options marked as the engine does (MRK-3)."""
    numbers, marked = EngineNumbers(), dict(world.instruments)
    for market, item in world.instruments.items():
        if item.kind in (CALL, PUT):
            expiry = world.expiries[item.expiry]
            root_q60, inverse_q40 = numbers.roots(expiry.time_left_ms)
            forward_e8 = expiry.shock_forward_e8(10_000)
            vol_q56 = numbers.svi_vol_q56(expiry.surface_e8, item.strike_e8, forward_e8, inverse_q40)
            mark_e8 = numbers.price_e8(item.kind == PUT, forward_e8, item.strike_e8, vol_q56, root_q60)
            marked[market] = replace(item, mark_e8=mark_e8)
    return replace(world, instruments=marked)


def make_example() -> World:
    """The world of the worked numbers of docs/portfolio.md: P, U, C, T, B are markets 0 to 4."""
    price_e8, lot_e8 = 100_000 * USD, 10**5
    instruments = {
        0: Instrument(PERPETUAL, 0, price_e8, lot_e8),
        1: Instrument(FUTURE, 0, price_e8, lot_e8, expiry=0),
        2: Instrument(CALL, 0, 0, lot_e8, expiry=0, strike_e8=110_000 * USD),
        3: Instrument(PUT, 0, 0, lot_e8, expiry=0, strike_e8=110_000 * USD),
        4: Instrument(SPOT, 0, price_e8, lot_e8, initial_bps=1_500, maintenance_bps=1_000),
    }
    expiries = {0: Expiry(30 * DAY_MS, price_e8, SURFACE)}
    return mark_options(World(instruments, {0: Underlying(price_e8)}, expiries))


def fill_tables(world: World) -> Tables:
    """Tables with the world's markets, feeds and prices, as they are at the end of a reprice."""
    some = MarketParams("X-PERPETUAL", "0.1", "0.001", 100, 500, 250, 2, 5, 1000, 500_000, 1_000_000, 500, 15_000)
    markets_max = max(len(world.instruments), len(world.expiries), len(world.underlyings), 2)
    params = ExchangeParams((some,), bytes(20), 1, 1, bytes(20), accounts_max=256, markets_max=markets_max)
    tables = make_tables(params, 1)
    counters = tables.counters
    counters[MARKET_COUNT], counters[UNDERLYING_COUNT] = len(world.instruments), len(world.underlyings)
    counters[EXPIRY_COUNT], counters[STABLE_E8] = len(world.expiries), world.stable_e8
    for number, facts in world.underlyings.items():
        row = tables.underlyings[number]
        row["index_e8"], row["dispersion_bps"] = facts.index_e8, facts.dispersion_bps
        row["multiplier_bps"] = facts.multiplier_bps
    for number, expiry in world.expiries.items():
        row = tables.expiries[number]
        row["forward_e8"], row["twap_sum_e8"] = expiry.forward_e8, expiry.twap_sum_e8
        row["twap_count"], row["surface_ms"] = expiry.twap_count, 1
        for name, value in zip(("a_e8", "b_e8", "rho_e8", "m_e8", "sigma_e8"), expiry.surface_e8):
            row[name] = value
        row["sqrt_years_q60"], row["inverse_sqrt_years_q40"] = compute_sqrt_years(expiry.time_left_ms)
    for number, item in world.instruments.items():
        row = tables.markets[number]
        for name in ("kind", "underlying", "expiry", "strike_e8", "lot_e8", "mark_e8", "position_lots_max"):
            row[name] = getattr(item, name)
        row["initial_bps"], row["maintenance_bps"] = item.initial_bps, item.maintenance_bps
        row["phase"], row["mark_ms"], row["is_listed"] = 0, 1, 1
        row["value_unit"] = item.mark_e8 * item.lot_e8 // 10**10
    return tables


def open_account(tables: Tables, lots: Mapping[int, int], balance_quote: int = 0) -> int:
    """A new portfolio account that holds signed lots by market."""
    account = max(int(tables.counters[ACCOUNT_COUNT]), OWNER)
    tables.counters[ACCOUNT_COUNT] = account + 1
    row = tables.accounts[account]
    row["mode"], row["balance_quote"] = MODE_PORTFOLIO, balance_quote
    for market, size_lots in lots.items():
        position = open_position(tables, np.int64(account), np.int64(market))
        tables.positions[position]["lots"] = size_lots
    return account


def _price(draw, low: float, high: float) -> int:
    return round(math.exp(draw(st.floats(math.log(low), math.log(high)))) * USD)


@st.composite
def make_worlds(draw) -> World:
    """One to three underlyings, up to four expiries from minutes to three years, up to fourteen markets of any kind."""
    underlyings, expiries, instruments = {}, {}, {}
    for number in range(draw(st.integers(1, 3))):
        underlyings[number] = Underlying(
            index_e8=_price(draw, 0.05, 200_000),
            dispersion_bps=draw(st.sampled_from((0, 100, 225, 226, 400, 900))),
            multiplier_bps=draw(st.integers(10_000, 20_000)),
        )
    owners = {}
    for number in range(draw(st.integers(1, 4))):
        owners[number] = draw(st.sampled_from(sorted(underlyings)))
        index_e8 = underlyings[owners[number]].index_e8
        is_sampled = draw(st.integers(0, 4)) == 0
        left_ms = draw(st.integers(1, 1_800_000)) if is_sampled else draw(st.integers(1_800_000, 1_000 * DAY_MS))
        count = draw(st.integers(1, 449)) if is_sampled else 0
        years = left_ms / (365 * DAY_MS)
        a_e8 = max(round(draw(st.floats(0.02, 1.5)) * years * USD), 10)
        b_e8 = round(draw(st.floats(0, 0.2)) * math.sqrt(years) * USD)
        surface = (a_e8, b_e8, draw(st.integers(-90, 90)) * 10**6, draw(st.integers(-20, 20)) * 10**6, 10**7)
        expiries[number] = Expiry(
            left_ms, index_e8 * draw(st.integers(80, 120)) // 100, surface, count * index_e8, count
        )
    for market in range(draw(st.integers(1, 14))):
        kind = draw(st.sampled_from((PERPETUAL, FUTURE, CALL, CALL, PUT, PUT, SPOT)))
        expiry = draw(st.sampled_from(sorted(expiries))) if kind in (FUTURE, CALL, PUT) else -1
        underlying = owners[expiry] if expiry >= 0 else draw(st.sampled_from(sorted(underlyings)))
        index_e8 = underlyings[underlying].index_e8
        is_option = kind in (CALL, PUT)
        instruments[market] = Instrument(
            kind=kind,
            underlying=underlying,
            mark_e8=index_e8 * (100 if kind == SPOT else draw(st.integers(99, 101))) // 100,
            # About ten dollars a lot, so that money has some digits.
            lot_e8=max(10**17 // index_e8, 1) if draw(st.booleans()) else max(10**16 // index_e8, 1),
            expiry=expiry,
            strike_e8=index_e8 * draw(st.sampled_from((50, 80, 100, 100, 120, 300))) // 100 if is_option else 0,
            initial_bps=draw(st.integers(1_000, 4_000)),
            maintenance_bps=draw(st.integers(100, 900)),
        )
    stable_e8 = draw(st.sampled_from((USD, USD, 98_000_000, 95_000_000, 101_000_000)))
    return mark_options(World(instruments, underlyings, expiries, stable_e8))


@st.composite
def make_portfolios(draw) -> tuple[World, dict[int, int]]:
    """A world and signed lots of some of its markets; collateral is never short."""
    world = draw(make_worlds())
    markets = draw(st.lists(st.sampled_from(sorted(world.instruments)), min_size=1, unique=True))
    sizes = st.integers(1, 1 << 20)
    lots = {}
    for market in markets:
        size_lots = draw(sizes)
        is_short = world.instruments[market].kind != SPOT and draw(st.booleans())
        lots[market] = -size_lots if is_short else size_lots
    return world, lots
