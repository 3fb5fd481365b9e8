"""How fast portfolios are revalued: `python -m tests.engine.bench --only portfolio`.

100,000 portfolio accounts of 10 positions each in a few underlyings, 200 markets, all 33 scenarios. Two other ways to
the same numbers: `plain` walks positions and looks everything up market by market and scenario by scenario, with
no order of positions and no row of scenarios; `numpy` takes dense arrays. Equal results are demanded of all. Thread CPU
time, interleaved A B B A, medians.
"""

import hashlib
import statistics
import time

import numpy as np
from numba import njit

from engine.compiling import entry_point
from engine.fixed import mul_div_ceil, mul_shift_floor
from engine.portfolio import REVALUE_COLUMNS, refresh_scenarios, revalue_portfolios
from engine.scenarios import (
    BASIS,
    BASIS_DOWN,
    BASIS_FACTOR,
    BASIS_UP,
    CORRECTION,
    DAMPS_E5,
    INITIAL_UNIT,
    LANES,
    MAINTENANCE_UNIT,
    MARK_UNIT,
    NOTIONAL_UNIT,
    SCENARIO_COUNT,
    SHIFTED_COUNT,
    STATIC,
)
from engine.tables import ACCOUNT, ACCOUNT_COUNT, MODE_PORTFOLIO, POSITION, USER_ACCOUNT_FIRST, Tables
from tests.engine.bench_row import Disagreement, Row
from tests.engine.portfolio_worlds import SURFACE, USD, fill_tables, mark_options
from tests.reference.portfolio_model import (
    CALL,
    DAY_MS,
    FUTURE,
    PERPETUAL,
    PUT,
    SPOT,
    Expiry,
    Instrument,
    Underlying,
    World,
)

ACCOUNTS, HELD, ROUNDS, SEED = 100_000, 10, 5, 33
TARGET_MS = 150.0
UNDERLYINGS, EXPIRIES_EACH, STRIKES = 4, 4, 6


def make_bench_world() -> World:
    """Per underlying: perpetual, spot, and per expiry a future and calls and puts at six strikes."""
    instruments, expiries = [], {}
    for underlying in range(UNDERLYINGS):
        price_e8, lot_e8 = 100_000 * USD // 4**underlying, 10**5 * 4**underlying
        instruments.append(Instrument(PERPETUAL, underlying, price_e8, lot_e8))
        instruments.append(Instrument(SPOT, underlying, price_e8, lot_e8, initial_bps=1_500, maintenance_bps=1_000))
        for days in (7, 30, 90, 270)[:EXPIRIES_EACH]:
            number = len(expiries)
            expiries[number] = Expiry(days * DAY_MS, price_e8, SURFACE)
            instruments.append(Instrument(FUTURE, underlying, price_e8, lot_e8, expiry=number))
            for step in range(STRIKES):
                strike_e8 = price_e8 * (80 + 8 * step) // 100
                for kind in (CALL, PUT):
                    instruments.append(Instrument(kind, underlying, 0, lot_e8, expiry=number, strike_e8=strike_e8))
    underlyings = {number: Underlying(100_000 * USD // 4**number) for number in range(UNDERLYINGS)}
    return mark_options(World(dict(enumerate(instruments)), underlyings, expiries))


def draw_lots(world: World, accounts: int) -> tuple[np.ndarray, np.ndarray]:
    """(accounts, HELD) markets, different in one account, and signed lots; collateral is long."""
    draw = np.random.default_rng(SEED)
    markets = draw.random((accounts, len(world.instruments))).argpartition(HELD, axis=1)[:, :HELD].astype(np.int64)
    lots = draw.integers(1, 2_000, (accounts, HELD)) * draw.choice([-1, 1], (accounts, HELD))
    kinds = np.array([item.kind for item in world.instruments.values()])
    return markets, np.where(kinds[markets] == SPOT, abs(lots), lots).astype(np.int64)


def fill_accounts(tables: Tables, markets: np.ndarray, lots: np.ndarray) -> Tables:
    """Tables whose accounts hold the lots, as if each had opened its positions in one go."""
    count = len(markets)
    accounts = np.zeros(USER_ACCOUNT_FIRST + count, ACCOUNT)
    positions = np.zeros(1 + count * HELD, POSITION)
    own = accounts[USER_ACCOUNT_FIRST:]
    own["mode"], own["balance_quote"] = MODE_PORTFOLIO, 10**12
    own["position_first"] = 1 + np.arange(count) * HELD
    rows = positions[1:].reshape(count, HELD)
    rows["market"], rows["lots"], rows["is_live"] = markets, lots, 1
    rows["account"] = (USER_ACCOUNT_FIRST + np.arange(count))[:, None]
    rows["next"][:, :-1] = (2 + np.arange(count * HELD)).reshape(count, HELD)[:, :-1]
    tables.counters[ACCOUNT_COUNT] = USER_ACCOUNT_FIRST + count
    return tables._replace(accounts=accounts, positions=positions)


@entry_point
def refresh(t):
    refresh_scenarios(t)


@njit
def _plain_naked(t, markets, lots, kinds, expiries, strikes, i):
    """Naked shorts of the strike of option i, if it is the first one of its strike."""
    calls = puts = 0
    for j in range(len(markets)):
        twin = markets[j]
        if expiries[twin] == expiries[markets[i]] and strikes[twin] == strikes[markets[i]]:
            if j < i:
                return 0
            if kinds[twin] == PUT:
                puts += lots[j] * t.scenarios[twin, NOTIONAL_UNIT]
            else:
                calls += lots[j] * t.scenarios[twin, NOTIONAL_UNIT]
    return max(0, -calls - max(puts, 0)) + max(0, -puts - max(calls, 0))


@njit
def _plain_account(t, markets, lots, kinds, expiries, strikes, owners, factors, expiry_count, pnl):
    """One account by loops over everything: returns initial and maintenance demand and the worst scenario."""
    initial = maintenance = largest = worst = 0
    for underlying in range(len(factors)):
        pnl[:] = 0
        is_held = False
        charge = extra = corrected = naked = total = 0
        for i in range(len(markets)):
            m, size = markets[i], lots[i]
            if owners[m] != underlying:
                continue
            is_held = True
            charge += abs(size) * t.scenarios[m, MAINTENANCE_UNIT]
            extra += abs(size) * t.scenarios[m, INITIAL_UNIT]
            corrected += size * t.scenarios[m, CORRECTION]
            if kinds[m] != CALL and kinds[m] != PUT:
                for s in range(SHIFTED_COUNT):
                    pnl[s] += size * t.scenarios[m, s] + min(size, 0)
        if not is_held:
            continue
        for expiry in range(expiry_count):
            mtm = gross = some = up = down = 0
            is_any = False
            for i in range(len(markets)):
                m, size = markets[i], lots[i]
                if owners[m] == underlying and expiries[m] == expiry:
                    is_any, some = True, m
                    up += size * t.scenarios[m, BASIS_UP] + min(size, 0)
                    down += size * t.scenarios[m, BASIS_DOWN] + min(size, 0)
                    if kinds[m] == CALL or kinds[m] == PUT:
                        mtm += size * t.scenarios[m, MARK_UNIT]
                        total += size * t.scenarios[m, MARK_UNIT]
                        gross += abs(size)
                        naked += _plain_naked(t, markets, lots, kinds, expiries, strikes, i)
            if not is_any:
                continue
            for s in range(SCENARIO_COUNT):
                value = 0
                for i in range(len(markets)):
                    m, size = markets[i], lots[i]
                    if owners[m] == underlying and expiries[m] == expiry and kinds[m] != FUTURE:
                        value += size * t.scenarios[m, s] + min(size, 0)
                low = mul_shift_floor(value, t.scenarios[some, STATIC], 31) if value > 0 else value
                if s < SHIFTED_COUNT:
                    pnl[s] += low
                elif gross:
                    high = value + gross
                    high = (mul_shift_floor(high, t.scenarios[some, STATIC], 31) if high > 0 else high) + 1
                    pnl[s] -= max(mtm - low, high - mtm)
            loss = min(up - mtm, down - mtm, 0)
            pnl[BASIS] += mul_shift_floor(loss, t.scenarios[some, BASIS_FACTOR], 56)
        for s in range(SHIFTED_COUNT):
            pnl[s] -= mul_div_ceil(total, DAMPS_E5[s], 100_000)
        at = pnl[: BASIS + 1].argmin()
        if -pnl[at] > largest:
            largest, worst = -pnl[at], at
        asked = charge + mul_div_ceil(naked, 30, 10_000) - corrected
        maintenance += asked + mul_div_ceil(-pnl[at], 8, 10)
        initial += asked + extra + mul_div_ceil(naked, 20, 10_000) + mul_div_ceil(-pnl[at], factors[underlying], 10_000)
    return initial, maintenance, worst


@njit
def revalue_plainly(t, accounts, kinds, expiries, strikes, owners, factors, expiry_count, out):
    """`revalue_portfolios` without any of its tricks."""
    pnl = np.zeros(BASIS + 1, np.int64)
    markets, lots = np.zeros(128, np.int64), np.zeros(128, np.int64)
    for number in range(len(accounts)):
        equity = t.accounts[accounts[number]]["balance_quote"]
        count, row = 0, np.int64(t.accounts[accounts[number]]["position_first"])
        while row != 0:
            position = t.positions[row]
            markets[count], lots[count] = position["market"], position["lots"]
            equity += position["lots"] * t.markets[np.int64(position["market"])]["value_unit"]
            count, row = count + 1, np.int64(position["next"])
        initial, maintenance, worst = _plain_account(
            t, markets[:count], lots[:count], kinds, expiries, strikes, owners, factors, expiry_count, pnl
        )
        out[number, 0], out[number, 1], out[number, 2], out[number, 3] = equity, initial, maintenance, worst


def shift_floor(values: np.ndarray, factor: int, half_bits: int) -> np.ndarray:
    """`floor(values * factor / 4**half_bits)`, the product exact: schoolbook with digits of `half_bits` bits."""
    mask = (1 << half_bits) - 1
    high, low = values >> half_bits, values & mask
    factor_high, factor_low = factor >> half_bits, factor & mask
    return high * factor_high + ((high * factor_low + low * factor_high + (low * factor_low >> half_bits)) >> half_bits)


def ceil_div(values: np.ndarray, divisor: int) -> np.ndarray:
    return -(-values // divisor)


def _add_expiry_by_numpy(rows, kinds, strikes, own, dense, pnl):
    """Value of one expiry added for all accounts; returns naked shorts and value before, in quote."""
    held = dense[:, own]
    sums = held @ rows[own, :LANES] + np.minimum(held, 0).sum(1)[:, None]
    options = own[(kinds[own] == CALL) | (kinds[own] == PUT)]
    futures = own[kinds[own] == FUTURE]
    lots, static = dense[:, options], int(rows[own[0], STATIC])
    value = lots @ rows[options, :LANES] + np.minimum(lots, 0).sum(1)[:, None]
    mtm, gross = lots @ rows[options, MARK_UNIT], abs(lots).sum(1)
    future_lots = dense[:, futures]
    pnl[:, :SHIFTED_COUNT] += future_lots @ rows[futures, :SHIFTED_COUNT] + np.minimum(future_lots, 0).sum(1)[:, None]
    low = np.where(value > 0, shift_floor(value, 2 * static, 16), value)
    for s in range(SHIFTED_COUNT):
        pnl[:, s] += low[:, s]
    for s in range(SHIFTED_COUNT, SCENARIO_COUNT):
        most = value[:, s] + gross
        high = np.where(most > 0, shift_floor(most, 2 * static, 16), most) + 1
        pnl[:, s] -= np.where(gross != 0, np.maximum(mtm - low[:, s], high - mtm), 0)
    loss = np.minimum(np.minimum(sums[:, BASIS_UP] - mtm, sums[:, BASIS_DOWN] - mtm), 0)
    pnl[:, BASIS] += shift_floor(loss, int(rows[own[0], BASIS_FACTOR]), 28)
    naked = np.zeros(len(dense), np.int64)
    for strike in np.unique(strikes[options]):
        call, put = (options[(strikes[options] == strike) & (kinds[options] == kind)][0] for kind in (CALL, PUT))
        calls, puts = dense[:, call] * rows[call, NOTIONAL_UNIT], dense[:, put] * rows[put, NOTIONAL_UNIT]
        naked += np.maximum(-calls - np.maximum(puts, 0), 0) + np.maximum(-puts - np.maximum(calls, 0), 0)
    return naked, mtm


def revalue_by_numpy(rows, facts, markets, lots, equities, out):
    """The same for dense arrays: all accounts at once, expiry by expiry."""
    kinds, expiries, strikes, owners, factors = facts
    dense = np.zeros((len(markets), len(kinds)), np.int64)
    np.put_along_axis(dense, markets, lots, axis=1)
    largest = np.zeros(len(markets), np.int64)
    out[:, 0], out[:, 1:] = equities, 0
    for underlying, factor in enumerate(factors):
        own = np.flatnonzero(owners == underlying)
        pnl = np.zeros((len(markets), BASIS + 1), np.int64)
        naked = mtm = np.zeros(len(markets), np.int64)
        plain = own[expiries[own] < 0]
        held = dense[:, plain]
        pnl[:, :SHIFTED_COUNT] += held @ rows[plain, :SHIFTED_COUNT] + np.minimum(held, 0).sum(1)[:, None]
        for expiry in np.unique(expiries[own][expiries[own] >= 0]):
            added = _add_expiry_by_numpy(rows, kinds, strikes, own[expiries[own] == expiry], dense, pnl)
            naked, mtm = naked + added[0], mtm + added[1]
        for s in range(SHIFTED_COUNT):
            pnl[:, s] -= ceil_div(mtm * int(DAMPS_E5[s]), 100_000)
        worst = pnl.argmin(1)
        loss = -np.take_along_axis(pnl, worst[:, None], 1)[:, 0]
        out[:, 3] = np.where(loss > largest, worst, out[:, 3])
        largest = np.maximum(largest, loss)
        sizes = abs(dense[:, own])
        asked = sizes @ rows[own, MAINTENANCE_UNIT] + ceil_div(naked * 30, 10_000)
        out[:, 2] += asked + ceil_div(loss * 8, 10)
        extra = sizes @ rows[own, INITIAL_UNIT] + ceil_div(naked * 20, 10_000)
        out[:, 1] += asked + extra + ceil_div(loss * int(factor), 10_000)


def run(rounds: int = ROUNDS, accounts: int = ACCOUNTS) -> list[Row]:
    """Rows of name and figures; raises if the three ways differ in any number of any account."""
    world = make_bench_world()
    markets, lots = draw_lots(world, accounts)
    tables = fill_accounts(fill_tables(world), markets, lots)
    refresh(tables)
    items = list(world.instruments.values())
    columns = ([item.kind for item in items], [item.expiry for item in items], [item.strike_e8 for item in items])
    owners, factors = [item.underlying for item in items], [10_000] * UNDERLYINGS
    facts = tuple(np.array(column, np.int64) for column in (*columns, owners, factors))
    numbers = USER_ACCOUNT_FIRST + np.arange(accounts)
    results = {name: np.zeros((accounts, REVALUE_COLUMNS), np.int64) for name in ("engine", "plain", "numpy")}
    equities = 10**12 + (lots * tables.markets["value_unit"][markets]).sum(1)
    ways = {
        "engine": lambda: revalue_portfolios(tables, numbers, results["engine"]),
        "plain": lambda: revalue_plainly(tables, numbers, *facts, np.int64(len(world.expiries)), results["plain"]),
        "numpy": lambda: revalue_by_numpy(tables.scenarios, facts, markets, lots, equities, results["numpy"]),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for warm in (True, *(False for _ in range(rounds))):
        taken = dict.fromkeys(ways, 0.0)
        for name in (*ways, *reversed(ways)):
            start = time.thread_time()
            ways[name]()
            taken[name] += (time.thread_time() - start) / 2
        if not warm:
            for name, spent in taken.items():
                seconds[name].append(spent)
    for name in ("plain", "numpy"):
        if not np.array_equal(results[name], results["engine"]):
            raise Disagreement(f"{name} gives other numbers than the engine")
    start = time.thread_time()
    refresh(tables)
    refreshed_s = time.thread_time() - start
    medians = {name: statistics.median(spent) * 1e3 for name, spent in seconds.items()}
    digest = hashlib.sha256(results["engine"].tobytes()).hexdigest()[:16]
    title = f"revalue {accounts:,} portfolios of {HELD} positions, 33 scenarios"
    return [
        Row(title, medians["engine"], "ms", TARGET_MS, medians["plain"] / medians["engine"], "plain loops", digest),
        Row(f"scenarios of {len(items)} markets refreshed", refreshed_s * 1e3, "ms", 0, "-", "",
            note=f"the revaluation in numpy takes {medians['numpy']:,.0f} ms"),
    ]  # fmt: skip
