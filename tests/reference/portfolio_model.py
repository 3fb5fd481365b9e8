"""Portfolio margin again, obvious and slow: docs/portfolio.md, section 7, in fractions, fifty digits and big integers.

Three layers, each checked against the next. `compute_exact_margin` is the formula in real numbers, nothing rounded but
at the fiftieth digit, a lot's mark taken as what equity counts (NUM-3). `make_row` gives what the rules PMR-3 to PMR-6
say a lot is worth in each scenario, in whole quote units; its elementary functions come from `Numbers`, by default
mpmath. `compute_demand` adds up an account from such rows in whole numbers, rule by rule (PMR-7 to PMR-10).

The formula is that of the second portfolio manager of Derive (PMRM-2); section 7 says where this exchange differs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from mpmath import mp, mpf

PERPETUAL, FUTURE, CALL, PUT, SPOT = range(5)
E8 = 10**8
E10 = 10**10
BPS = 10**4
E5 = 10**5
DIGITS = 50
YEAR_MS = 365 * 24 * 3600 * 1000
DAY_MS = 24 * 3600 * 1000
TWAP_SLOTS = 450

# (spot after the shock in bps of the spot before, volatility, dampening in 1e-5); PMR-2.
UP, SAME, DOWN, LINEAR, ABSOLUTE = "up", "same", "down", "linear", "absolute"
SCENARIOS: list[tuple[int, str, int]] = [(11_800, UP, E5), (8_200, UP, E5)]
for _shock in (11_350, 8_650, 10_900, 9_100, 10_450, 9_550, 10_000):
    SCENARIOS += [(_shock, vol, E5) for vol in (UP, SAME, DOWN)]
SCENARIOS += [
    (3_400, UP, 21_000), (6_700, UP, 42_000), (15_000, UP, 27_720), (20_000, UP, 13_860),
    (30_000, UP, 6_930), (40_000, UP, 4_620), (50_000, UP, 3_465), (60_000, UP, 2_772),
]  # fmt: skip
SCENARIOS += [(10_000, LINEAR, E5), (10_000, ABSOLUTE, E5)]
SHIFTED_COUNT = 31  # the others are the two skews
BASIS_UP, BASIS_DOWN = (10_450, SAME, E5), (9_550, SAME, E5)
BASIS = 33  # the number that says: the basis contingency was worse than every scenario

MAINTENANCE_FACTOR = Fraction(8, 10)
PEG_E8, PEG_FACTOR = 99 * 10**6, 4
VOL_UP, VOL_DOWN = Fraction(5, 10), Fraction(3, 10)
VOL_UP_MIN = Fraction(4, 10)
VOL_MAX = 8  # pricing knows no larger one
POWER_SHORT, POWER_LONG = Fraction(3, 10), Fraction(13, 100)
STATIC_LONG, STATIC_SHORT, STATIC_RATE = Fraction(95, 100), Fraction(104, 100), Fraction(16, 100)
SKEW_CAP_SLOPE, SKEW_CAP_BASE = Fraction(-1, 10), Fraction(1, 4)
SKEW_WIDTH, SKEW_V0, SKEW_REACH_MIN = 4, Fraction(6, 10), Fraction(1, 100)
BASIS_ADD, BASIS_MULTIPLE, BASIS_YEARS_MAX = Fraction(1, 2), 2, 4
LINEAR_MM_BPS, LINEAR_IM_BPS = 300, 100
NAKED_MM_BPS, NAKED_IM_BPS = 30, 20
CONFIDENCE_BPS_MIN = 5_500
DISPERSION_FACTOR = 20  # confidence 0 at a dispersion of 500 bps
LANE_QUOTE_MAX = 1 << 55  # the largest position is worth at most this in any scenario


@dataclass(frozen=True)
class Instrument:
    """What the model needs of a market. Settled ones and ones without a mark are left out of a world."""

    kind: int
    underlying: int
    mark_e8: int
    lot_e8: int
    expiry: int = -1
    strike_e8: int = 0
    initial_bps: int = 0
    maintenance_bps: int = 0
    position_lots_max: int = 1 << 20


@dataclass(frozen=True)
class Underlying:
    index_e8: int
    dispersion_bps: int = 0
    multiplier_bps: int = BPS


@dataclass(frozen=True)
class Expiry:
    """`forward_e8` is the feed's; `twap_count` samples with the sum `twap_sum_e8` are fixed already (EXP-1)."""

    time_left_ms: int
    forward_e8: int
    surface_e8: tuple[int, int, int, int, int]
    twap_sum_e8: int = 0
    twap_count: int = 0

    def shock_forward_e8(self, shock_bps: int) -> int:
        """The forward when the spot is multiplied: only what is not sampled yet moves (PMR-3)."""
        moved = self.forward_e8 * (TWAP_SLOTS - self.twap_count) * shock_bps // BPS
        return (self.twap_sum_e8 + moved) // TWAP_SLOTS


@dataclass(frozen=True)
class World:
    """Markets by number, underlyings and expiries by number, the price of the quote currency in 1e-8 USD."""

    instruments: Mapping[int, Instrument]
    underlyings: Mapping[int, Underlying]
    expiries: Mapping[int, Expiry] = field(default_factory=dict)
    stable_e8: int = E8

    def confidence_lack_bps(self, underlying: int) -> int:
        """How much of the notional the initial margin asks for because validators disagree (PMR-9)."""
        confidence_bps = max(0, BPS - DISPERSION_FACTOR * self.underlyings[underlying].dispersion_bps)
        return BPS - confidence_bps if confidence_bps < CONFIDENCE_BPS_MIN else 0


# --- the formula in real numbers ---------------------------------------------------------------------------------


def real(number: int | Fraction) -> Any:
    return mpf(number.numerator) / number.denominator if isinstance(number, Fraction) else mpf(number)


def price_black76(is_put: bool, forward: Any, strike: Any, deviation: Any) -> Any:
    """Undiscounted option price; intrinsic value without time or volatility."""
    if deviation == 0:
        return max(strike - forward if is_put else forward - strike, mpf(0))
    upper = mp.log(forward / strike) / deviation + deviation / 2
    if is_put:
        return strike * mp.ncdf(deviation - upper) - forward * mp.ncdf(-upper)
    return forward * mp.ncdf(upper) - strike * mp.ncdf(upper - deviation)


def compute_svi_vol(surface_e8: tuple[int, ...], strike: Any, forward: Any, years: Any) -> Any:
    a, b, rho, m, sigma = (mpf(number) / E8 for number in surface_e8)
    limit = 4 * mp.sqrt(max(a + b * sigma, mpf(2) ** -55))
    k = min(max(mp.log(strike / forward), -limit), limit)
    variance = a + b * (rho * (k - m) + mp.sqrt((k - m) ** 2 + sigma**2))
    return min(mp.sqrt(min(max(variance, mpf(2) ** -55), mpf(144)) / years), mpf(8))


def shock_vol(vol: Any, how: str, strike: Any, forward: Any, years: Any) -> Any:
    """The volatility of a scenario: moved as a whole, more for short expiries, or tilted by strike."""
    if how == SAME:
        return vol
    if how in (UP, DOWN):
        days = max(years * 365, mpf(1))
        size = (30 / days) ** real(POWER_SHORT if days <= 30 else POWER_LONG)
        if how == UP:
            return max(vol * (1 + real(VOL_UP) * size), real(VOL_UP_MIN))
        return vol * max(mpf(0), 1 - real(VOL_DOWN) * size)
    cap = max(real(SKEW_CAP_SLOPE) * mp.sqrt(years) + real(SKEW_CAP_BASE), mpf(0))
    reach = max(real(SKEW_REACH_MIN), mp.sqrt(years) * SKEW_WIDTH * real(SKEW_V0))
    k = mp.log(strike / forward)
    k = abs(k) if how == ABSOLUTE else k
    return vol * max(mpf(0), 1 + min(max(k * cap / reach, -cap), cap))


def compute_static_factor(shocked: Any, years: Any, rate: Any) -> Any:
    """Static discount of an expiry's shocked value; the rate counts as at least 0 (this exchange knows only 0)."""
    rate = max(rate, mpf(0))
    if shocked >= 0:
        return real(STATIC_LONG) * mp.exp(-years * real(STATIC_RATE))
    return min(mp.exp(rate * years), real(STATIC_SHORT) * mp.exp(years * real(STATIC_RATE)))


@dataclass
class ExactMargin:
    """Quote units as real numbers. Healthy: equity >= demand. `pnl[u]`: 33 scenarios, then the basis contingency."""

    initial_demand: Any = 0
    maintenance_demand: Any = 0
    pnl: dict[int, list[Any]] = field(default_factory=dict)


def compute_naked(world: World, own: Mapping[int, int], notional_units: Mapping[int, Any]) -> Any:
    """Quote value of shorts that no long of the other type at the same strike and expiry offsets."""
    held: dict[tuple[int, int], list[Any]] = {}
    for market, size_lots in own.items():
        item = world.instruments[market]
        if item.kind in (CALL, PUT):
            pair = held.setdefault((item.expiry, item.strike_e8), [0, 0])
            pair[item.kind == PUT] += size_lots * notional_units[market]
    naked = 0
    for calls, puts in held.values():
        naked += max(0, -calls - max(puts, 0)) + max(0, -puts - max(calls, 0))
    return naked


def compute_exact_margin(world: World, lots: Mapping[int, int]) -> ExactMargin:
    """The whole formula for signed lots by market, underlying by underlying. `lots` are nonzero."""
    margin = ExactMargin()
    with mp.workdps(DIGITS):
        for underlying in sorted({world.instruments[market].underlying for market in lots}):
            own = {market: size for market, size in lots.items() if world.instruments[market].underlying == underlying}
            _add_exact_underlying(world, underlying, own, margin)
    return margin


def _exact_pnl(world: World, own: Mapping[int, int], scenario: tuple[int, str, int]) -> tuple[Any, dict[int, Any]]:
    """PnL of all of one underlying without dampening and skew's sign, and by expiry the part before any discount."""
    shock_bps, how, _ = scenario
    linear, shocked, mtm, future = mpf(0), {}, {}, {}
    for market, size_lots in own.items():
        item = world.instruments[market]
        base = mpf(size_lots) * item.lot_e8 / E10
        counted = mpf(size_lots) * (item.mark_e8 * item.lot_e8 // E10)
        if item.kind in (PERPETUAL, SPOT):
            value = counted * (E8 / mpf(world.stable_e8) if item.kind == SPOT else 1)
            linear += value * (mpf(shock_bps) / BPS - 1)
            continue
        expiry = world.expiries[item.expiry]
        fixed = mpf(expiry.twap_sum_e8) / TWAP_SLOTS
        variable = mpf(expiry.forward_e8) * (TWAP_SLOTS - expiry.twap_count) / TWAP_SLOTS
        if item.kind == FUTURE:
            future[item.expiry] = future.get(item.expiry, 0) + base * variable * (mpf(shock_bps) / BPS - 1)
            continue
        years = mpf(expiry.time_left_ms) / YEAR_MS
        strike, before = mpf(item.strike_e8), fixed + variable
        vol = compute_svi_vol(expiry.surface_e8, strike, before, years)
        vol = min(shock_vol(vol, how, strike, before, years), mpf(VOL_MAX))
        price = price_black76(item.kind == PUT, fixed + variable * shock_bps / BPS, strike, vol * mp.sqrt(years))
        shocked[item.expiry] = shocked.get(item.expiry, 0) + base * price
        mtm[item.expiry] = mtm.get(item.expiry, 0) + counted
    total = linear + sum(future.values())
    undiscounted = dict(future)
    for expiry_number, value in shocked.items():
        years = mpf(world.expiries[expiry_number].time_left_ms) / YEAR_MS
        pnl = value * compute_static_factor(value, years, mpf(0)) - mtm[expiry_number]
        total += -abs(pnl) if how in (LINEAR, ABSOLUTE) else pnl
        undiscounted[expiry_number] = undiscounted.get(expiry_number, 0) + value - mtm[expiry_number]
    return total, undiscounted


def _add_exact_underlying(world: World, underlying: int, own: Mapping[int, int], margin: ExactMargin) -> None:
    facts = world.underlyings[underlying]
    pnl = [_exact_pnl(world, own, scenario)[0] * scenario[2] / E5 for scenario in SCENARIOS]
    up, down = _exact_pnl(world, own, BASIS_UP)[1], _exact_pnl(world, own, BASIS_DOWN)[1]
    basis = mpf(0)
    for number, gain in up.items():
        years = min(mpf(world.expiries[number].time_left_ms) / YEAR_MS, mpf(BASIS_YEARS_MAX))
        basis += min(gain, down[number], mpf(0)) * (real(BASIS_ADD) + BASIS_MULTIPLE * years)
    pnl.append(basis)
    margin.pnl[underlying] = pnl
    lack = mpf(world.confidence_lack_bps(underlying)) / BPS
    maintenance, initial, corrected = mpf(0), mpf(0), mpf(0)
    for market, size_lots in own.items():
        item = world.instruments[market]
        spot = abs(size_lots) * mpf(facts.index_e8) * item.lot_e8 / E10
        if item.kind in (PERPETUAL, FUTURE):
            maintenance += spot * LINEAR_MM_BPS / BPS
            initial += spot * (mpf(LINEAR_IM_BPS) / BPS + lack)
        elif item.kind == SPOT:
            counted = mpf(size_lots) * (item.mark_e8 * item.lot_e8 // E10)
            value = counted * E8 / world.stable_e8
            corrected += value - counted
            maintenance += value * item.maintenance_bps / BPS
            initial += value * (mpf(item.initial_bps - item.maintenance_bps) / BPS + lack)
        else:
            initial += spot * lack
    naked = compute_naked(
        world, own, {market: mpf(facts.index_e8) * world.instruments[market].lot_e8 / E10 for market in own}
    )
    maintenance += naked * NAKED_MM_BPS / BPS
    initial += naked * NAKED_IM_BPS / BPS
    worst = min(pnl)
    depeg = max(mpf(0), mpf(PEG_E8 - world.stable_e8) / E8) * PEG_FACTOR
    margin.maintenance_demand += maintenance - corrected - worst * real(MAINTENANCE_FACTOR)
    margin.initial_demand += maintenance + initial - corrected - worst * (1 + depeg) * facts.multiplier_bps / BPS


# --- whole numbers: what a lot is worth in each scenario ---------------------------------------------------------


class Numbers:
    """Elementary functions in the formats of section 7, each correctly rounded from fifty digits.

    A subclass that calls the engine's functions makes `make_row` agree with the engine bit by bit.
    """

    def roots(self, time_left_ms: int) -> tuple[int, int]:
        """sqrt(years) in Q60 and its inverse in Q40, both floor; an expired time gives 0 and one millisecond's."""
        with mp.workdps(DIGITS):
            years = mpf(max(time_left_ms, 1)) / YEAR_MS
            root = mp.sqrt(years)
            return int(mp.floor(root * 2**60)) if time_left_ms > 0 else 0, int(mp.floor(2**40 / root))

    def log_q57(self, numerator: int, denominator: int) -> int:
        with mp.workdps(DIGITS):
            return int(mp.floor(mp.log(mpf(max(numerator, 1)) / max(denominator, 1)) * 2**57))

    def exp_minus_q62(self, x_q57: int) -> int:
        with mp.workdps(DIGITS):
            return int(mp.nint(mp.exp(-mpf(x_q57) / 2**57) * 2**62))

    def exp_plus_q56(self, x_q57: int) -> int:
        with mp.workdps(DIGITS):
            return int(mp.nint(mp.exp(mpf(x_q57) / 2**57) * 2**56))

    def svi_vol_q56(self, surface_e8: tuple[int, ...], strike_e8: int, forward_e8: int, inverse_root_q40: int) -> int:
        with mp.workdps(DIGITS):
            root = mpf(2**40) / inverse_root_q40
            vol = compute_svi_vol(surface_e8, mpf(strike_e8), mpf(max(forward_e8, 1)), root * root)
            return max(int(mp.nint(vol * 2**56)), 1)

    def price_e8(self, is_put: bool, forward_e8: int, strike_e8: int, vol_q56: int, root_q60: int) -> int:
        with mp.workdps(DIGITS):
            deviation = mpf(min(max(vol_q56, 1), 8 << 56)) / 2**56 * max(root_q60, 1) / 2**60
            deviation = min(max(deviation, mpf(2) ** -55), mpf(24))
            forward = mpf(max(forward_e8, 1))
            return int(mp.floor(price_black76(is_put, forward, mpf(strike_e8), deviation) + mpf("0.5")))


def floor_div(number: int, divisor: int) -> int:
    return number // divisor


def ceil_div(number: int, divisor: int) -> int:
    return -(-number // divisor)


def shift_round(number: int, bits: int) -> int:
    return (number + (1 << (bits - 1))) >> bits


def dampen(price_e8: int, lot_e8: int, damp_e5: int) -> int:
    """A lot's value at a price, dampened, in quote; floor, over 1e-5 quote."""
    return price_e8 * lot_e8 // E5 * damp_e5 // E10


def constant_root_q60(days: int) -> int:
    with mp.workdps(DIGITS):
        return int(mp.floor(mp.sqrt(mpf(days) / 365) * 2**60))


@dataclass(frozen=True)
class Slice:
    """What one expiry contributes to the rows of its options (PMR-4 to PMR-6)."""

    root_q60: int
    inverse_root_q40: int
    up_q56: int
    down_q56: int
    skew_cap_q56: int
    skew_reach_q57: int
    static_long_q31: int
    basis_q56: int


def make_slice(expiry: Expiry, numbers: Numbers) -> Slice:
    root_q60, inverse_q40 = numbers.roots(expiry.time_left_ms)
    # Half of ln(30 days / time left), the time at least one day.
    half_log_q57 = numbers.log_q57(constant_root_q60(30), max(root_q60, constant_root_q60(1)))
    if half_log_q57 >= 0:
        size_q56 = numbers.exp_plus_q56(half_log_q57 * 6 // 10)
    else:
        size_q56 = numbers.exp_minus_q62(-half_log_q57 * 26 // 100) >> 6
    years_q56 = shift_round(root_q60 * root_q60, 64)
    decay_q62 = numbers.exp_minus_q62(years_q56 * 32 // 100)
    return Slice(
        root_q60=root_q60,
        inverse_root_q40=inverse_q40,
        up_q56=(1 << 56) + size_q56 * 5 // 10,
        down_q56=max((1 << 56) - size_q56 * 3 // 10, 0),
        skew_cap_q56=max((1 << 54) - root_q60 // 160, 0),
        skew_reach_q57=max((1 << 57) // 100, root_q60 * 3 // 10),
        static_long_q31=(decay_q62 * 95 // 100) >> 31,
        basis_q56=(1 << 55) + 2 * min(years_q56, BASIS_YEARS_MAX << 56),
    )


def shock_vol_q56(vol_q56: int, how: str, log_strike_q57: int, own: Slice) -> int:
    if how == SAME:
        return vol_q56
    if how == UP:
        return max(shift_round(vol_q56 * own.up_q56, 56), (1 << 56) * 4 // 10)
    if how == DOWN:
        return shift_round(vol_q56 * own.down_q56, 56)
    k_q57 = abs(log_strike_q57) if how == ABSOLUTE else log_strike_q57
    k_q57 = min(max(k_q57, -own.skew_reach_q57), own.skew_reach_q57)
    tilt_q56 = k_q57 * own.skew_cap_q56 // own.skew_reach_q57
    return shift_round(vol_q56 * ((1 << 56) + tilt_q56), 56)


@dataclass(frozen=True)
class Row:
    """One market in whole quote units per lot: `lanes` of 33 scenarios, then basis up and down, all floor.

    Options: shocked value. Others: change of the value. `mark_unit` is what equity counts, `worth_unit` what the model
    counts (collateral: by the price of the quote currency); the charges and the notional at the index are ceil.
    """

    lanes: tuple[int, ...]
    mark_unit: int
    worth_unit: int
    maintenance_unit: int
    initial_unit: int
    notional_unit: int


def make_row(world: World, market: int, numbers: Numbers) -> Row:
    item = world.instruments[market]
    facts, lack_bps = world.underlyings[item.underlying], world.confidence_lack_bps(item.underlying)
    mark_unit = item.mark_e8 * item.lot_e8 // E10
    worth_unit = mark_unit * E8 // world.stable_e8 if item.kind == SPOT else mark_unit
    lane_max = LANE_QUOTE_MAX // max(item.position_lots_max, 1)
    lanes = []
    if item.kind in (CALL, PUT):
        own = make_slice(world.expiries[item.expiry], numbers)
        before_e8 = world.expiries[item.expiry].shock_forward_e8(BPS)
        surface_e8 = world.expiries[item.expiry].surface_e8
        vol_q56 = numbers.svi_vol_q56(surface_e8, item.strike_e8, before_e8, own.inverse_root_q40)
        log_strike_q57 = numbers.log_q57(item.strike_e8, before_e8)
    for scenario in (*SCENARIOS, BASIS_UP, BASIS_DOWN):
        if item.kind in (CALL, PUT):
            shocked_q56 = shock_vol_q56(vol_q56, scenario[1], log_strike_q57, own)
            forward_e8 = world.expiries[item.expiry].shock_forward_e8(scenario[0])
            price_e8 = numbers.price_e8(item.kind == PUT, forward_e8, item.strike_e8, shocked_q56, own.root_q60)
            lane = dampen(price_e8, item.lot_e8, scenario[2])
        elif item.kind == FUTURE:
            expiry = world.expiries[item.expiry]
            moved_e8 = expiry.shock_forward_e8(scenario[0]) - expiry.shock_forward_e8(BPS)
            lane = dampen(moved_e8, item.lot_e8, scenario[2])
        else:
            lane = worth_unit * (scenario[0] - BPS) * scenario[2] // (BPS * E5)
        lanes.append(min(max(lane, -lane_max), lane_max))
    if item.kind == SPOT:
        maintenance = ceil_div(worth_unit * item.maintenance_bps, BPS)
        initial = ceil_div(worth_unit * (item.initial_bps - item.maintenance_bps + lack_bps), BPS)
    else:
        linear = item.kind in (PERPETUAL, FUTURE)
        notional_e20 = facts.index_e8 * item.lot_e8
        maintenance = ceil_div(notional_e20 * (LINEAR_MM_BPS if linear else 0), BPS * E10)
        initial = ceil_div(notional_e20 * ((LINEAR_IM_BPS if linear else 0) + lack_bps), BPS * E10)
    notional = min(ceil_div(facts.index_e8 * item.lot_e8, E10), lane_max)
    return Row(tuple(lanes), mark_unit, worth_unit, maintenance, initial, notional)


# --- whole numbers: an account -----------------------------------------------------------------------------------


@dataclass
class Demand:
    """What an account's positions demand. Healthy: equity (MAR-3) >= demand. `worst` as `portfolio_worst` says it."""

    initial_quote: int = 0
    maintenance_quote: int = 0
    worst: int = 0
    pnl: dict[int, list[int]] = field(default_factory=dict)


def compute_demand(world: World, rows: Mapping[int, Row], lots: Mapping[int, int], numbers: Numbers) -> Demand:
    """The demand of signed lots by market (zeros count for nothing), from rows that `make_row` or the engine made."""
    demand = Demand()
    held = {market: size_lots for market, size_lots in lots.items() if size_lots}
    largest_quote = 0
    peg_e8 = E8 + PEG_FACTOR * max(PEG_E8 - world.stable_e8, 0)
    for underlying in sorted({world.instruments[market].underlying for market in held}):
        own = {market: size for market, size in held.items() if world.instruments[market].underlying == underlying}
        facts = world.underlyings[underlying]
        pnl = _compute_pnl(world, rows, own, numbers)
        demand.pnl[underlying] = pnl
        loss_quote = -min(pnl)
        if loss_quote > largest_quote:
            largest_quote, demand.worst = loss_quote, pnl.index(min(pnl))
        naked_quote = compute_naked(world, own, {market: rows[market].notional_unit for market in own})
        maintenance_quote = ceil_div(naked_quote * NAKED_MM_BPS, BPS)
        initial_quote = ceil_div(naked_quote * NAKED_IM_BPS, BPS)
        for market, size_lots in own.items():
            row = rows[market]
            maintenance_quote += abs(size_lots) * row.maintenance_unit - size_lots * (row.worth_unit - row.mark_unit)
            initial_quote += abs(size_lots) * row.initial_unit
        demand.maintenance_quote += maintenance_quote + ceil_div(loss_quote * 8, 10)
        demand.initial_quote += (
            maintenance_quote + initial_quote + ceil_div(loss_quote * peg_e8 * facts.multiplier_bps, E8 * BPS)
        )
    return demand


def _compute_pnl(world: World, rows: Mapping[int, Row], own: Mapping[int, int], numbers: Numbers) -> list[int]:
    """Change of the value of one underlying's positions in the 33 scenarios, then the basis contingency (PMR-7, 8)."""
    pnl = [0] * (len(SCENARIOS) + 1)
    expiries: dict[int, list[int]] = {}
    for market, size_lots in own.items():
        item = world.instruments[market]
        if item.expiry >= 0:
            expiries.setdefault(item.expiry, []).append(market)
        if item.kind not in (CALL, PUT):
            for number in range(SHIFTED_COUNT):
                pnl[number] += size_lots * rows[market].lanes[number] + min(size_lots, 0)
    total_mtm_quote = 0
    for number, markets in expiries.items():
        slice_of = make_slice(world.expiries[number], numbers)
        options = [market for market in markets if world.instruments[market].kind in (CALL, PUT)]
        mtm_quote = sum(own[market] * rows[market].mark_unit for market in options)
        shorts_lots = sum(min(own[market], 0) for market in options)
        gross_lots = sum(abs(own[market]) for market in options)
        total_mtm_quote += mtm_quote
        for scenario in range(len(SCENARIOS)):
            shocked_quote = sum(own[market] * rows[market].lanes[scenario] for market in options) + shorts_lots
            low_quote = _discount(shocked_quote, slice_of)
            if scenario < SHIFTED_COUNT:
                pnl[scenario] += low_quote
            elif options:
                # The true value is at most gross_lots above what rounding left.
                high_quote = _discount(shocked_quote + gross_lots, slice_of) + 1
                pnl[scenario] -= max(mtm_quote - low_quote, high_quote - mtm_quote)
        up_quote, down_quote = (
            sum(own[market] * rows[market].lanes[lane] + min(own[market], 0) for market in markets) - mtm_quote
            for lane in (33, 34)
        )
        pnl[BASIS] += (min(up_quote, down_quote, 0) * slice_of.basis_q56) >> 56
    for scenario in range(SHIFTED_COUNT):
        pnl[scenario] -= ceil_div(total_mtm_quote * SCENARIOS[scenario][2], E5)
    return pnl


def _discount(shocked_quote: int, own: Slice) -> int:
    """Static discount: what is owed counts whole, because nothing here is discounted by a rate (PMR-6)."""
    return (shocked_quote * own.static_long_q31) >> 31 if shocked_quote >= 0 else shocked_quote
