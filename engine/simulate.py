"""What if: an account's margin after trades, orders, and moves of price and volatility, by the engine's own functions.

`simulate` copies the few rows that matter into tables of their own, moves prices there, and asks the kernels that a
block asks. So what it says before a trade is what the exchange decides after it, to the unit, and the state it looks at
is never touched. It serves the node's API and the clients' SDK alike.

A move multiplies an underlying's index, its forwards and the marks of its linear markets by one factor, and the
volatility of its surfaces by another (their variance parameters by its square). Time, open interest, the multiplier and
fixed samples of settlement prices stay.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engine.compiling import entry_point, kernel
from engine.exposure import compute_demand, compute_equity, compute_maintenance
from engine.fixed import mul_div_floor
from engine.marks import compute_option_mark, is_option, set_units, unit_of
from engine.portfolio import GREEK_COUNT, compute_greeks, portfolio_worst, value_scenarios
from engine.scenarios import BASIS, set_scenarios
from engine.tables import (
    ACCOUNT,
    EXPIRY_COUNT,
    MARKET_COUNT,
    MODE_PORTFOLIO,
    PHASE_SETTLED,
    PORTFOLIO_WORDS,
    POSITION,
    UNDERLYING_COUNT,
    Number,
    Tables,
)

PPM = 1_000_000
PRICE_SHIFT_PPM_MIN, PRICE_SHIFT_PPM_MAX = -PPM + 1, 9 * PPM
VOL_SHIFT_PPM_MIN, VOL_SHIFT_PPM_MAX = -PPM + 1, 4 * PPM
# Prices are searched for a liquidation in steps of two per cent of the present one, down to nothing and up to sixfold.
_STEP_PPM, _HIGHEST_PPM = 20_000, 6 * PPM
_EQUITY, _INITIAL, _MAINTENANCE, _WORST = range(4)
_UNIT, _SCALE = np.int64(1), np.int64(PPM)


@dataclass(frozen=True, slots=True)
class Order:
    """An order that would rest: side 0 buys, 1 sells."""

    market: int
    side: int
    size_lots: int
    price_ticks: int


@dataclass(frozen=True, slots=True)
class Holdings:
    """An account as `simulate` takes it: signed lots by market; `mode` as in `engine.tables`.

    `balance_quote` is the engine's `Q`, which leaves accrued funding out (FND-1). `open_lots`: open buys and sells by
    market; `order_charge_quote`: what they were charged when they were placed.
    """

    balance_quote: int
    lots: Mapping[int, int]
    open_lots: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    order_charge_quote: int = 0
    mode: int = MODE_PORTFOLIO


@dataclass(frozen=True, slots=True)
class Greeks:
    """In quote: delta per rise of the price by 100 % (tangent), gamma per the same rise, vega and rho per 1.00, theta
    per day.
    """

    delta_quote: int
    gamma_quote: int
    vega_quote: int
    theta_quote: int
    rho_quote: int


@dataclass(frozen=True, slots=True)
class Simulation:
    """What the account would be. Mappings are by underlying.

    `initial_quote` includes open orders, `maintenance_quote` does not (MAR-3, MAR-8). `scenarios`: PnL of the 33
    scenarios and the basis contingency, for portfolio accounts; `worst_scenario` is -1 for others. `liquidations`: the
    nearest index prices below and above in e8 at which equity falls short of maintenance, 0 where there is none.
    """

    equity_quote: int
    initial_quote: int
    maintenance_quote: int
    worst_scenario: int
    greeks: Mapping[int, Greeks]
    scenarios: Mapping[int, tuple[int, ...]]
    liquidations: Mapping[int, tuple[int, int]]


def simulate(
    tables: Tables,
    holdings: Holdings,
    trades: Mapping[int, int] | None = None,
    orders: Iterable[Order] = (),
    price_shifts_ppm: Mapping[int, int] | None = None,
    vol_shift_ppm: int = 0,
) -> Simulation:
    """Margins, Greeks, scenarios and liquidation prices of `holdings` with more trades, orders and moved prices.

    `trades` are signed lots by market, done at the market's present mark and without fee; `orders` are charged as if
    they were placed now (MAR-3), after which prices move by `price_shifts_ppm` (by underlying, 1e-6) and volatilities
    by `vol_shift_ppm`. Reads `tables` and changes nothing. Raises `ValueError` for a market without a price, or a shift
    or size out of range.
    """
    shifts_ppm = dict(price_shifts_ppm or {})
    for shift_ppm in shifts_ppm.values():
        if not PRICE_SHIFT_PPM_MIN <= shift_ppm <= PRICE_SHIFT_PPM_MAX:
            raise ValueError(f"price shift {shift_ppm} ppm: use {PRICE_SHIFT_PPM_MIN} to {PRICE_SHIFT_PPM_MAX}")
    if not VOL_SHIFT_PPM_MIN <= vol_shift_ppm <= VOL_SHIFT_PPM_MAX:
        raise ValueError(f"vol shift {vol_shift_ppm} ppm: use {VOL_SHIFT_PPM_MIN} to {VOL_SHIFT_PPM_MAX}")
    scene = _make_scene(tables, holdings, dict(trades or {}), tuple(orders))
    factors = np.full(len(scene.underlyings), PPM, np.int64)
    for underlying, shift_ppm in shifts_ppm.items():
        if not 0 <= underlying < len(factors):
            raise ValueError(f"there is no underlying {underlying}")
        factors[underlying] += shift_ppm
    vol_ppm = np.int64(PPM + vol_shift_ppm)
    moved, figures = _value(scene, factors, vol_ppm)
    held = sorted({int(market["underlying"]) for market in scene.markets})
    greeks = np.zeros((len(factors), GREEK_COUNT), np.int64)
    compute_greeks(moved, np.int64(0), greeks)
    vectors = np.zeros((len(factors), BASIS + 1), np.int64)
    is_portfolio = holdings.mode == MODE_PORTFOLIO
    if is_portfolio:
        value_scenarios(moved, np.int64(0), vectors)
    return Simulation(
        equity_quote=int(figures[_EQUITY]),
        initial_quote=int(figures[_INITIAL]),
        maintenance_quote=int(figures[_MAINTENANCE]),
        worst_scenario=int(figures[_WORST]) if is_portfolio else -1,
        greeks={item: Greeks(*(int(number) for number in greeks[item])) for item in held},
        scenarios={item: tuple(int(number) for number in vectors[item]) for item in held if is_portfolio},
        liquidations={item: _find_liquidations(scene, factors, vol_ppm, item) for item in held},
    )


def read_holdings(tables: Tables, account: int) -> Holdings:
    """What `simulate` needs of an account of the tables, open orders included."""
    owner, lots, open_lots = tables.accounts[account], {}, {}
    row = int(owner["position_first"])
    while row:
        position = tables.positions[row]
        market = int(position["market"])
        if position["lots"]:
            lots[market] = int(position["lots"])
        if position["buy_lots"] or position["sell_lots"]:
            open_lots[market] = (int(position["buy_lots"]), int(position["sell_lots"]))
        row = int(position["next"])
    balance_quote, charge_quote = int(owner["balance_quote"]), int(owner["order_charge_quote"])
    return Holdings(balance_quote, lots, open_lots, charge_quote, int(owner["mode"]))


def _make_scene(tables: Tables, holdings: Holdings, trades: dict[int, int], orders: tuple[Order, ...]) -> Tables:
    """Tables with one account, its markets renumbered from 0, at present prices."""
    lots = dict(holdings.lots)
    balance_quote = holdings.balance_quote
    for market, size_lots in trades.items():
        lots[market] = lots.get(market, 0) + size_lots
    numbers = sorted({*lots, *holdings.open_lots, *(order.market for order in orders)})
    count = int(tables.counters[MARKET_COUNT])
    for market in numbers:
        if not 0 <= market < count or not tables.markets[market]["mark_ms"]:
            raise ValueError(f"market {market} is not listed or has no price yet")
    balance_quote -= sum(size * int(tables.markets[market]["value_unit"]) for market, size in trades.items())
    scene = tables._replace(
        accounts=np.zeros(1, ACCOUNT),
        positions=np.zeros(1 + len(numbers), POSITION),
        markets=tables.markets[numbers],
        underlyings=tables.underlyings[: int(tables.counters[UNDERLYING_COUNT])].copy(),
        expiries=tables.expiries[: int(tables.counters[EXPIRY_COUNT])].copy(),
        counters=tables.counters.copy(),
        scenarios=tables.scenarios[numbers],
        portfolio=np.zeros(PORTFOLIO_WORDS, np.int64),
    )
    scene.counters[MARKET_COUNT] = len(numbers)
    account = scene.accounts[0]
    account["balance_quote"], account["mode"] = balance_quote, holdings.mode
    account["order_charge_quote"] = holdings.order_charge_quote
    account["position_first"], account["position_count"] = 1 if numbers else 0, len(numbers)
    for row, market in enumerate(numbers, 1):
        position = scene.positions[row]
        position["lots"], position["market"] = lots.get(market, 0), row - 1
        position["buy_lots"], position["sell_lots"] = holdings.open_lots.get(market, (0, 0))
        position["next"] = row + 1 if row < len(numbers) else 0
    for order in orders:
        if order.side not in (0, 1) or order.size_lots <= 0:
            raise ValueError("an order needs side 0 or 1 and a positive size")
        _add_order(scene, numbers.index(order.market), order)
    return scene


def _add_order(scene: Tables, market: int, order: Order) -> None:
    """Count an open order and its charge at present marks (MAR-3); a builder's fee is not known here."""
    row = scene.markets[market]
    worth_unit = order.price_ticks * int(row["quote_per_tick_lot"])
    mark_unit = int(row["value_unit"] + row["funding_quote"])
    loss_unit = worth_unit - mark_unit if order.side == 0 else mark_unit - worth_unit
    unit_charge = max(loss_unit, 0) - (-worth_unit * int(row["taker_fee_bps"]) // 10_000)
    scene.positions[market + 1]["buy_lots" if order.side == 0 else "sell_lots"] += order.size_lots
    scene.accounts[0]["order_charge_quote"] += order.size_lots * unit_charge


def _value(scene: Tables, factors_ppm: Any, vol_ppm: Number) -> tuple[Tables, Any]:
    """A copy of the scene with moved prices, and its equity, demands and worst scenario."""
    names = ("markets", "underlyings", "expiries", "scenarios")
    moved = scene._replace(**{name: getattr(scene, name).copy() for name in names})
    figures = np.zeros(4, np.int64)
    _move_and_value(moved, factors_ppm, vol_ppm, figures)
    return moved, figures


@kernel
def _move_market(t: Tables, number: Number, factor_ppm: Number, vol_ppm: Number) -> None:
    """New mark, units and scenarios of a market if its index, forward or surface has moved."""
    market = t.markets[number]
    is_moved = factor_ppm != _SCALE or (vol_ppm != _SCALE and is_option(market["kind"]))
    if market["phase"] == PHASE_SETTLED or not is_moved:
        return
    if is_option(market["kind"]):
        market["mark_e8"] = max(compute_option_mark(t, number), 0)
    else:
        market["mark_e8"] = max(mul_div_floor(market["mark_e8"], factor_ppm, _SCALE), market["tick_e8"])
    market["mark_e8"] = min(market["mark_e8"], market["price_ticks_max"] * market["tick_e8"])
    index_e8 = t.underlyings[market["underlying"]]["index_e8"]
    market["notional_unit"] = unit_of(index_e8 if is_option(market["kind"]) else market["mark_e8"], market["lot_e8"])
    set_units(t, number)
    set_scenarios(t, number)


@entry_point
def _move_and_value(t: Tables, factors_ppm: Any, vol_ppm: Number, figures: Any) -> None:
    """Move everything and write equity, initial demand, maintenance and worst scenario of account 0."""
    for number in range(t.counters[UNDERLYING_COUNT]):
        underlying = t.underlyings[number]
        underlying["index_e8"] = max(mul_div_floor(underlying["index_e8"], factors_ppm[number], _SCALE), _UNIT)
    for number in range(t.counters[EXPIRY_COUNT]):
        dated = t.expiries[number]
        if dated["forward_e8"] != 0:
            factor_ppm = factors_ppm[dated["underlying"]]
            dated["forward_e8"] = max(mul_div_floor(dated["forward_e8"], factor_ppm, _SCALE), _UNIT)
        dated["a_e8"] = mul_div_floor(mul_div_floor(dated["a_e8"], vol_ppm, _SCALE), vol_ppm, _SCALE)
        dated["b_e8"] = mul_div_floor(mul_div_floor(dated["b_e8"], vol_ppm, _SCALE), vol_ppm, _SCALE)
    for number in range(t.counters[MARKET_COUNT]):
        _move_market(t, np.int64(number), factors_ppm[t.markets[number]["underlying"]], vol_ppm)
    account = np.int64(0)
    figures[_EQUITY] = compute_equity(t, account)
    figures[_INITIAL] = compute_demand(t, account, True)
    figures[_MAINTENANCE] = compute_maintenance(t, account)
    if np.int64(t.accounts[account]["mode"]) == MODE_PORTFOLIO:
        figures[_WORST] = portfolio_worst(t, account)


def _is_short(scene: Tables, factors: Any, vol_ppm: Number, underlying: int, factor_ppm: int) -> bool:
    """Whether equity falls short of maintenance when one underlying is multiplied by a factor."""
    tried = factors.copy()
    tried[underlying] = factor_ppm
    figures = _value(scene, tried, vol_ppm)[1]
    return bool(figures[_EQUITY] < figures[_MAINTENANCE])


def _find_liquidations(scene: Tables, factors: Any, vol_ppm: Number, underlying: int) -> tuple[int, int]:
    """Nearest index in e8 below and above the (moved) one at which the account is liquidated; 0: none is found.

    The move itself counts for both when it liquidates already. Found by steps of two per cent, then by halving.
    """
    start, index_e8 = int(factors[underlying]), int(scene.underlyings[underlying]["index_e8"])
    if _is_short(scene, factors, vol_ppm, underlying, start):
        return index_e8 * start // PPM, index_e8 * start // PPM
    found = []
    for step, end in ((-_STEP_PPM, 1), (_STEP_PPM, _HIGHEST_PPM)):
        healthy, at = start, 0
        while not at and healthy != end:
            tried = max(healthy + step, end) if step < 0 else min(healthy + step, end)
            if _is_short(scene, factors, vol_ppm, underlying, tried):
                at = tried
            elif tried == end or (tried > end) == (step > 0):
                break
            else:
                healthy = tried
        while at and abs(at - healthy) > 1:
            middle = (at + healthy) // 2
            if _is_short(scene, factors, vol_ppm, underlying, middle):
                at = middle
            else:
                healthy = middle
        found.append(index_e8 * at // PPM)
    return found[0], found[1]
