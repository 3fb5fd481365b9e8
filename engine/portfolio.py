"""Portfolio margin of an account: the worst of 33 scenarios and what they do not show (docs/portfolio.md, PMR).

    demand = contingencies - worst scenario x factor        healthy: equity (MAR-3) >= demand

The markets' rows of `Tables.scenarios` say what a lot contributes (`engine.scenarios`); an account is a sum of them.
Its positions are ordered by underlying, expiry and strike, so one pass needs room for one expiry and one underlying
only. That room is `Tables.portfolio`, scratch memory that no root covers: who calls these functions owns the tables.

Sums fit: a lane is at most 2**55 / position_lots_max, so 128 positions stay below 2**62.
"""

from typing import Any

import numpy as np

from engine.compiling import entry_point, inlined, kernel
from engine.fixed import mul_div_ceil, mul_shift_floor
from engine.scenarios import (
    BASIS,
    BASIS_DOWN,
    BASIS_FACTOR,
    BASIS_UP,
    BPS,
    CODE,
    CORRECTION,
    DAMPS_E5,
    E5,
    E8,
    EXPIRY_SHIFT,
    FIRST_TAIL,
    INITIAL_UNIT,
    KIND,
    MAINTENANCE_UNIT,
    MARK_UNIT,
    MONEY_WORDS,
    NOTIONAL_UNIT,
    SHIFTED_COUNT,
    STATIC,
    STRIKE_SHIFT,
    UNDERLYING_SHIFT,
    clear_scenarios,
    compute_code,
    set_scenarios,
)
from engine.tables import (
    KIND_FUTURE,
    KIND_PUT,
    MARKET_COUNT,
    PHASE_SETTLED,
    STABLE_E8,
    Number,
    Tables,
    Truth,
)

ZERO, ONE = np.int64(0), np.int64(1)
STATIC_BITS, STATIC_MASK = np.int64(31), np.int64((1 << 31) - 1)
NAKED_MAINTENANCE_BPS, NAKED_INITIAL_BPS = np.int64(30), np.int64(20)
MAINTENANCE_FACTOR, FACTOR_UNIT = np.int64(8), np.int64(10)
PEG_E8, PEG_FACTOR = np.int64(99_000_000), np.int64(4)
# Asked of an account that holds more than the rules admit: nothing is worth as much.
DEMAND_MAX = np.int64(1 << 61)

# Words of `Tables.portfolio`: what the account demands, its largest loss and that loss's reason; of the underlying:
# contingencies, naked shorts, value before, PnL of the skews and of the basis; then PnL by scenario; value of one
# expiry by lane; keys of positions in order. Rows are added 32 or 40 words at a time, whole registers; what that leaves
# in the words behind the lanes means nothing.
_INITIAL, _MAINTENANCE, _LARGEST, _WORST, _EXTRA, _CHARGE, _CORRECTED, _NAKED, _MTM, _LINEAR, _ABSOLUTE, _BASIS = range(
    12
)
_PNL, _VALUE, _KEYS = 16, 64, 128
_WORDS_LINEAR = 32
POSITIONS_MAX = 256
_ROW_MASK, _EXPIRY_MASK = np.int64((1 << 23) - 1), np.int64((1 << 13) - 1)
GREEK_COUNT = 5
REVALUE_COLUMNS = 4


@kernel
def refresh_scenarios(t: Tables) -> None:
    """New rows for all markets from the marks, feeds and times of the reprice that has just been done (PMR-12)."""
    for number in range(t.counters[MARKET_COUNT]):
        market = t.markets[number]
        if market["phase"] == PHASE_SETTLED or market["mark_ms"] == 0:
            clear_scenarios(t, np.int64(number))
        else:
            set_scenarios(t, np.int64(number))


@entry_point
def restore_codes(t: Tables) -> None:
    """Make anew what row numbers are taken from, after tables came from somewhere that nobody has to believe."""
    for number in range(t.counters[MARKET_COUNT]):
        if t.scenarios[number, CODE] != 0:
            t.scenarios[number, CODE] = compute_code(t, np.int64(number))


@inlined
def _order_positions(t: Tables, account: Number) -> Number:
    """Write the keys of an account's holdings in ascending order; returns how many, -1 for more than there may be."""
    words = t.portfolio
    count, row = ZERO, np.int64(t.accounts[account]["position_first"])
    while row != 0:
        position = t.positions[row]
        code = t.scenarios[np.int64(position["market"]), CODE]
        if position["lots"] != 0 and code != 0:
            if count == POSITIONS_MAX:
                return -ONE
            key, at = code | row, count
            while at > 0 and words[_KEYS + at - 1] > key:
                words[_KEYS + at] = words[_KEYS + at - 1]
                at -= ONE
            words[_KEYS + at] = key
            count += ONE
        row = np.int64(position["next"])
    return count


@inlined
def _add_lanes(t: Tables, to: Number, market: Number, lots: Number, count: Number) -> None:
    """Add a position's lanes, one unit a lot more for a short one, to a row of sums."""
    owed = min(lots, ZERO)
    for lane in range(count):
        t.portfolio[to + lane] += lots * t.scenarios[market, lane] + owed


@inlined
def _add_charges(t: Tables, market: Number, lots: Number) -> None:
    t.portfolio[_CHARGE] += abs(lots) * t.scenarios[market, MAINTENANCE_UNIT]
    t.portfolio[_EXTRA] += abs(lots) * t.scenarios[market, INITIAL_UNIT]
    t.portfolio[_CORRECTED] += lots * t.scenarios[market, CORRECTION]


@inlined
def _discount(shocked_quote: Number, static_q31: Number) -> Number:
    """What is owned counts less (floor of the exact product), what is owed counts whole (PMR-6)."""
    scaled = (shocked_quote >> STATIC_BITS) * static_q31 + ((shocked_quote & STATIC_MASK) * static_q31 >> STATIC_BITS)
    return scaled if shocked_quote > 0 else shocked_quote


@inlined
def _close_expiry(t: Tables, mtm_quote: Number, gross_lots: Number, static_q31: Number) -> None:
    """Add what one expiry's options, summed up in the value lanes, come to in each scenario (PMR-6, PMR-7)."""
    words = t.portfolio
    for scenario in range(SHIFTED_COUNT):
        words[_PNL + scenario] += _discount(words[_VALUE + scenario], static_q31)
    for skew in range(2):
        value_quote = words[_VALUE + SHIFTED_COUNT + skew]
        low_quote = _discount(value_quote, static_q31)
        high_quote = _discount(value_quote + gross_lots, static_q31) + ONE
        words[_LINEAR + skew] -= max(mtm_quote - low_quote, high_quote - mtm_quote)


@inlined
def _naked(calls_quote: Number, puts_quote: Number) -> Number:
    """Shorts of one strike that no long of the other type offsets."""
    return max(ZERO, -calls_quote - max(puts_quote, ZERO)) + max(ZERO, -puts_quote - max(calls_quote, ZERO))


@inlined
def _add_expiry(t: Tables, start: Number, count: Number) -> Number:
    """Add the positions of one expiry, from `start` in the order on; returns where the next group begins."""
    words, at = t.portfolio, start
    for lane in range(MONEY_WORDS):
        words[_VALUE + lane] = 0
    group, strike = words[_KEYS + at] >> EXPIRY_SHIFT, -ONE
    mtm_quote, gross_lots, calls_quote, puts_quote = ZERO, ZERO, ZERO, ZERO
    market, basis_up_quote, basis_down_quote = ZERO, ZERO, ZERO
    while at < count and words[_KEYS + at] >> EXPIRY_SHIFT == group:
        key = words[_KEYS + at]
        position = t.positions[key & _ROW_MASK]
        market, lots = np.int64(position["market"]), position["lots"]
        _add_charges(t, market, lots)
        if t.scenarios[market, KIND] == KIND_FUTURE:
            _add_lanes(t, _PNL, market, lots, _WORDS_LINEAR)
            basis_up_quote += lots * t.scenarios[market, BASIS_UP] + min(lots, ZERO)
            basis_down_quote += lots * t.scenarios[market, BASIS_DOWN] + min(lots, ZERO)
        else:
            if key >> STRIKE_SHIFT != strike:
                words[_NAKED] += _naked(calls_quote, puts_quote)
                strike, calls_quote, puts_quote = key >> STRIKE_SHIFT, ZERO, ZERO
            notional_quote = lots * t.scenarios[market, NOTIONAL_UNIT]
            is_put = t.scenarios[market, KIND] == KIND_PUT
            puts_quote += notional_quote if is_put else ZERO
            calls_quote += ZERO if is_put else notional_quote
            _add_lanes(t, _VALUE, market, lots, MONEY_WORDS)
            mtm_quote += lots * t.scenarios[market, MARK_UNIT]
            gross_lots += abs(lots)
        at += ONE
    words[_NAKED] += _naked(calls_quote, puts_quote)
    words[_MTM] += mtm_quote
    if gross_lots != 0:
        _close_expiry(t, mtm_quote, gross_lots, t.scenarios[market, STATIC])
    up_quote = words[_VALUE + BASIS_UP] + basis_up_quote - mtm_quote
    down_quote = words[_VALUE + BASIS_DOWN] + basis_down_quote - mtm_quote
    loss_quote = min(up_quote, down_quote, ZERO)
    words[_BASIS] += mul_shift_floor(loss_quote, t.scenarios[market, BASIS_FACTOR], 56)
    return at


@inlined
def _find_worst(t: Tables) -> Number:
    """Complete the underlying's PnL by scenario; returns the first that nothing is worse than (PMR-7, PMR-8)."""
    words, mtm_quote = t.portfolio, t.portfolio[_MTM]
    for scenario in range(FIRST_TAIL):
        words[_PNL + scenario] -= mtm_quote
    # ceil(mtm x damp / 1e5) without a wide product: the multiple of 1e5 apart.
    whole, rest = mtm_quote // E5, mtm_quote % E5
    for scenario in range(FIRST_TAIL, SHIFTED_COUNT):
        words[_PNL + scenario] -= whole * DAMPS_E5[scenario] + (rest * DAMPS_E5[scenario] + E5 - ONE) // E5
    for reason in range(BASIS + 1 - SHIFTED_COUNT):
        words[_PNL + SHIFTED_COUNT + reason] = words[_LINEAR + reason]
    least_quote = ZERO
    for scenario in range(BASIS + 1):
        least_quote = min(least_quote, words[_PNL + scenario])
    for scenario in range(BASIS):
        if words[_PNL + scenario] == least_quote:
            return np.int64(scenario)
    return np.int64(BASIS)


@inlined
def _demand_underlying(t: Tables, underlying: Number, worst: Number) -> None:
    """Add loss times factor and contingencies of one underlying to the account's demand (PMR-9, PMR-10)."""
    words = t.portfolio
    loss_quote = -words[_PNL + worst]
    if loss_quote > words[_LARGEST]:
        words[_LARGEST], words[_WORST] = loss_quote, worst
    maintenance_quote = words[_CHARGE] + mul_div_ceil(words[_NAKED], NAKED_MAINTENANCE_BPS, BPS) - words[_CORRECTED]
    initial_quote = words[_EXTRA] + mul_div_ceil(words[_NAKED], NAKED_INITIAL_BPS, BPS)
    stable_e8 = t.counters[STABLE_E8]
    factor_e12 = E8 * t.underlyings[underlying]["multiplier_bps"]
    if stable_e8 > 0:
        factor_e12 += PEG_FACTOR * max(PEG_E8 - stable_e8, ZERO) * t.underlyings[underlying]["multiplier_bps"]
    words[_MAINTENANCE] += maintenance_quote + mul_div_ceil(loss_quote, MAINTENANCE_FACTOR, FACTOR_UNIT)
    words[_INITIAL] += maintenance_quote + initial_quote + mul_div_ceil(loss_quote, factor_e12, E8 * BPS)


@inlined
def _add_underlying(t: Tables, start: Number, count: Number) -> Number:
    """Sum up the positions of one underlying and add what it demands; returns where the next underlying begins.

    Its PnL by scenario stays in the scratch memory until the next one is added.
    """
    words, at = t.portfolio, start
    for word in range(_EXTRA, _PNL + MONEY_WORDS):
        words[word] = 0
    group = words[_KEYS + at] >> UNDERLYING_SHIFT
    while at < count and words[_KEYS + at] >> UNDERLYING_SHIFT == group:
        if (words[_KEYS + at] >> EXPIRY_SHIFT) & _EXPIRY_MASK != 0:
            at = _add_expiry(t, at, count)
        else:
            position = t.positions[words[_KEYS + at] & _ROW_MASK]
            market, lots = np.int64(position["market"]), position["lots"]
            _add_charges(t, market, lots)
            _add_lanes(t, _PNL, market, lots, _WORDS_LINEAR)
            at += ONE
    _demand_underlying(t, group - ONE, _find_worst(t))
    return at


@inlined
def _start(t: Tables, account: Number) -> Number:
    """Clear the sums and order the positions; returns their number, 0 for too many, with a demand nobody can meet."""
    words = t.portfolio
    count = _order_positions(t, account)
    words[_INITIAL] = words[_MAINTENANCE] = DEMAND_MAX if count < 0 else ZERO
    words[_LARGEST] = words[_WORST] = ZERO
    return max(count, ZERO)


@kernel
def _revalue(t: Tables, account: Number) -> None:
    """Leave what an account's positions demand, and why, in the scratch memory."""
    count = _start(t, account)
    at: Number = ZERO
    while at < count:
        at = _add_underlying(t, at, count)


@inlined
def portfolio_requirement(t: Tables, account: Number, is_initial: Truth) -> Number:
    """Equity (MAR-3, quote) that an account's positions demand as a portfolio; rounded up; orders are not in it.

    Initial (PMR-10) or maintenance. Negative only where collateral is worth more than equity counts. More positions
    than an account may have: `DEMAND_MAX`.
    """
    _revalue(t, account)
    return t.portfolio[_INITIAL] if is_initial else t.portfolio[_MAINTENANCE]


@inlined
def portfolio_worst(t: Tables, account: Number) -> Number:
    """Number of the scenario that decides an account's margin, initial and maintenance alike; 33: basis (PMR-11)."""
    _revalue(t, account)
    return t.portfolio[_WORST]


@inlined
def _equity(t: Tables, account: Number) -> Number:
    """Equity of MAR-3; `engine.exposure` has it too, and imports this module."""
    equity_quote = t.accounts[account]["balance_quote"]
    row = np.int64(t.accounts[account]["position_first"])
    while row != 0:
        position = t.positions[row]
        equity_quote += position["lots"] * t.markets[np.int64(position["market"])]["value_unit"]
        row = np.int64(position["next"])
    return equity_quote


@entry_point
def revalue_portfolios(t: Tables, accounts: Any, out: Any) -> None:
    """Equity, initial and maintenance demand (quote) and the worst scenario of many accounts, as portfolios.

    `accounts` (n,) int64, `out` (n, REVALUE_COLUMNS) int64.
    """
    for number in range(len(accounts)):
        account = accounts[number]
        _revalue(t, account)
        out[number, 0] = _equity(t, account)
        out[number, 1], out[number, 2] = t.portfolio[_INITIAL], t.portfolio[_MAINTENANCE]
        out[number, 3] = t.portfolio[_WORST]


@entry_point
def value_scenarios(t: Tables, account: Number, vectors: Any) -> None:
    """Change of an account's value in each scenario, in quote, underlying by underlying: for certificates and views.

    `vectors` (underlyings, 34) int64; column 33 is the basis contingency; rows of underlyings not held become 0.
    """
    vectors[:, :] = 0
    count = _start(t, account)
    at: Number = ZERO
    while at < count:
        underlying = (t.portfolio[_KEYS + at] >> UNDERLYING_SHIFT) - ONE
        at = _add_underlying(t, at, count)
        for scenario in range(BASIS + 1):
            vectors[underlying, scenario] = t.portfolio[_PNL + scenario]


@entry_point
def compute_greeks(t: Tables, account: Number, greeks: Any) -> None:
    """Delta, gamma, vega, theta, rho of an account's positions in quote, per underlying, for any margin mode.

    `greeks` (underlyings, GREEK_COUNT) int64. Delta: for a rise of the forward or price by 100 %, as a tangent; gamma:
    by how much that delta rises then; vega: for a volatility higher by 1.00; theta: per day; rho: for a discount rate
    higher by 1.00. Sums of units that are rounded down per lot.
    """
    greeks[:, :] = 0
    row = np.int64(t.accounts[account]["position_first"])
    while row != 0:
        position = t.positions[row]
        market = t.markets[np.int64(position["market"])]
        sums, lots = greeks[market["underlying"]], position["lots"]
        sums[0] += lots * market["delta_unit"]
        sums[1] += lots * market["gamma_unit"]
        sums[2] += lots * market["vega_unit"]
        sums[3] += lots * market["theta_unit"]
        sums[4] += lots * market["rho_unit"]
        row = np.int64(position["next"])
