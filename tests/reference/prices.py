"""From price reports to marks, margin units and funding: ORA, SVI, MRK, MAR-1, MAR-2, MUL, FND."""

from engine.black76 import price_option
from engine.elementary import compute_sqrt_years
from engine.svi import is_calendar_free, is_slice_sound, svi_vol_q56
from engine.tables import (
    KIND_CALL,
    KIND_FUTURE,
    KIND_PERPETUAL,
    KIND_PUT,
    KIND_SPOT,
    NOTICE_FUNDING,
    NOTICE_MARK,
    NOTICE_MULTIPLIER,
    PHASE_AUCTION,
    PHASE_CONTINUOUS,
    PHASE_SETTLED,
)
from tests.reference import portfolio
from tests.reference.state import BUY, DERIVATIVES, INSURANCE, OPTIONS, SELL, ceil_div

MINUTE_MS, HOUR_MS = 60_000, 3_600_000
OFFSET = 1 << 32
FEED_MAX = 1 << 48
EMA_MS = 150_000
SLICE = ("a_e8", "b_e8", "rho_e8", "m_e8", "sigma_e8")


# -- reports ----------------------------------------------------------------------------------------------------------


def select_reports(x, reports):
    """ORA-1: the reports that count, by validator; none without a quorum."""
    feeds = len(x.underlyings) + 6 * len(x.expiries)
    latest = {}
    for report in reports:
        if not 0 <= report.validator < x.params.validator_count or len(report.feeds_e8) != feeds:
            continue
        if not all(0 <= value <= FEED_MAX for value in report.feeds_e8):
            continue
        if not x.time_ms - 10_000 <= report.time_ms <= x.time_ms + 1_000:
            continue
        known_ms = latest[report.validator].time_ms if report.validator in latest else 0
        if report.time_ms > max(x.report_times[report.validator], known_ms):
            latest[report.validator] = report
    if len(latest) < x.params.quorum:
        return []
    return [latest[validator] for validator in sorted(latest)]


def median_of(x, opinions):
    """The lower median of the nonzero values, 0 without a quorum of them."""
    values = sorted(value for value in opinions if value)
    return values[(len(values) - 1) // 2] if len(values) >= x.params.quorum else 0


def move_index(x, underlying, opinions):
    """ORA-2, ORA-3."""
    median_e8 = median_of(x, opinions)
    if median_e8 == 0:
        return
    row, values = x.underlyings[underlying], [value for value in opinions if value]
    new_e8 = median_e8
    if row.index_e8:
        step_e8 = max(row.index_e8 * row.oracle_step_bps_max // 10_000, row.feed_tick_e8)
        new_e8 = max(row.index_e8 - step_e8, min(row.index_e8 + step_e8, median_e8))
    if new_e8 != row.index_e8:
        x.must_reprice = True
    row.index_e8, row.index_ms = new_e8, x.time_ms
    row.dispersion_bps = (max(values) - min(values)) * 10_000 // median_e8
    row.fresh_rounds += 1


def slice_of(expiry):
    return tuple(getattr(expiry, name) for name in SLICE)


def is_sound(x, expiry, surface):
    """SVI-1."""
    if not is_slice_sound(*surface):
        return False
    others = [
        other
        for other in x.expiries
        if other.underlying == expiry.underlying and other.surface_ms and not other.is_settled
    ]
    earlier = [other for other in others if other.expiry_ms < expiry.expiry_ms]
    later = [other for other in others if other.expiry_ms > expiry.expiry_ms]
    if earlier and not is_calendar_free(slice_of(max(earlier, key=lambda other: other.expiry_ms)), surface):
        return False
    return not later or bool(is_calendar_free(surface, slice_of(min(later, key=lambda other: other.expiry_ms))))


def move_expiry(x, expiry, columns):
    """Forward, then the surface as a whole."""
    if expiry.is_settled:
        return
    forward_e8 = median_of(x, columns[0])
    if forward_e8:
        x.must_reprice = x.must_reprice or forward_e8 != expiry.forward_e8
        expiry.forward_e8, expiry.forward_ms = forward_e8, x.time_ms
    medians = [median_of(x, column) for column in columns[1:]]
    if not all(medians):
        return
    a_e8, b_e8, rho_e8, m_e8, sigma_e8 = medians
    surface = (a_e8 - OFFSET, b_e8, rho_e8 - OFFSET, m_e8 - OFFSET, sigma_e8)
    if is_sound(x, expiry, surface):
        x.must_reprice = x.must_reprice or surface != slice_of(expiry)
        for name, value in zip(SLICE, surface):
            setattr(expiry, name, value)
        expiry.surface_ms = x.time_ms


def take_reports(x, reports):
    x.used_reports = select_reports(x, reports)
    if not x.used_reports:
        return
    for report in x.used_reports:
        x.report_times[report.validator] = report.time_ms
    columns = list(zip(*(report.feeds_e8 for report in x.used_reports)))
    for number in range(len(x.underlyings)):
        move_index(x, number, columns[number])
    for number, expiry in enumerate(x.expiries):
        first = len(x.underlyings) + 6 * number
        move_expiry(x, expiry, columns[first : first + 6])


# -- marks ------------------------------------------------------------------------------------------------------------


def median_of_three(*values):
    return sorted(values)[1]


def forward_now(expiry):
    """MRK-3: in the last 30 minutes the samples are a fixed part of it."""
    if not expiry.twap_count or not expiry.forward_e8:
        return expiry.forward_e8
    return (expiry.twap_sum_e8 + expiry.forward_e8 * (450 - expiry.twap_count)) // 450


def linear_mark(x, market, base_e8):
    """MRK-2."""
    row = x.markets[market]
    bid, ask = x.best(market, BUY), x.best(market, SELL)
    has_mid = bid is not None and ask is not None and bid.price < ask.price and row.phase == PHASE_CONTINUOUS
    if has_mid:
        mid_e8 = (bid.price + ask.price) * row.tick_e8 // 2
        waited_ms = min(x.time_ms - row.mark_ms, EMA_MS) if row.mark_ms else 0
        row.basis_ema_e8 += (mid_e8 - base_e8 - row.basis_ema_e8) * waited_ms // EMA_MS
    leaned_e8 = base_e8 + row.basis_ema_e8
    booked_e8 = leaned_e8
    if has_mid and row.last_ticks:
        booked_e8 = median_of_three(bid.price, ask.price, row.last_ticks) * row.tick_e8
    mark_e8 = median_of_three(base_e8, leaned_e8, booked_e8)
    width_e8 = base_e8 // 100
    mark_e8 = max(base_e8 - width_e8, min(base_e8 + width_e8, mark_e8))
    return max(mark_e8, row.tick_e8)


def option_mark(x, market):
    """MRK-3, with the Greeks of a lot; None without forward or surface."""
    row, expiry = x.markets[market], x.expiry_of(market)
    forward_e8 = forward_now(expiry)
    if forward_e8 == 0 or expiry.surface_ms == 0:
        return None
    root_q60, inverse_q40 = (int(part) for part in compute_sqrt_years(expiry.expiry_ms - x.time_ms))
    vol_q56 = int(svi_vol_q56(*slice_of(expiry), row.strike_e8, forward_e8, inverse_q40))
    priced = [int(part) for part in price_option(forward_e8, row.strike_e8, vol_q56, root_q60)]
    call_e8, put_e8, delta_q62, vega_q60 = priced[0], priced[1], priced[2], priced[4]
    if row.kind == KIND_PUT:
        delta_q62 -= 1 << 62
    row.delta_unit = delta_q62 * x.unit(market, forward_e8) >> 62
    row.vega_unit = x.unit(market, forward_e8 * vega_q60 >> 60)
    return put_e8 if row.kind == KIND_PUT else call_e8


def set_mark(x, market):
    row = x.markets[market]
    index_e8 = x.index_e8(market)
    if not x.is_index_fresh(row.underlying) or row.phase == PHASE_SETTLED:
        return
    forward_e8 = 0
    if row.kind in (KIND_FUTURE, *OPTIONS):
        forward_e8 = forward_now(x.expiry_of(market))
    if row.kind in OPTIONS:
        mark_e8 = option_mark(x, market)
    elif row.kind == KIND_SPOT:
        mark_e8 = max(index_e8, row.tick_e8)
    else:
        mark_e8 = linear_mark(x, market, forward_e8 or index_e8)
    if mark_e8 is None:
        return
    mark_e8 = min(mark_e8, row.price_ticks_max * row.tick_e8)
    if mark_e8 != row.mark_e8 or row.mark_ms == 0:
        x.notify(NOTICE_MARK, market, mark_e8, index_e8, row.funding_quote, forward_e8)
    row.mark_e8, row.mark_ms = mark_e8, x.time_ms
    x.set_band(market)


# -- margin units -----------------------------------------------------------------------------------------------------


def sample_variance(x, underlying):
    row = x.underlyings[underlying]
    if not x.is_index_fresh(underlying) or x.time_ms // MINUTE_MS == row.variance_at_ms // MINUTE_MS:
        return
    if row.variance_index_e8:
        move = min(abs(row.index_e8 - row.variance_index_e8) * 10_000 // row.variance_index_e8, 10**6)
        row.variance_bps2 += (move**2 - row.variance_bps2) // 32
    row.variance_index_e8, row.variance_at_ms = row.index_e8, x.time_ms


def open_interest_quote(x, underlying):
    total = 0
    for market, row in enumerate(x.markets):
        if row.underlying == underlying and row.kind in DERIVATIVES and row.phase != PHASE_SETTLED:
            unit = x.unit(market, x.index_e8(market)) if row.kind in OPTIONS else x.mark_unit(market)
            total += x.open_interest(market) * unit
    return total


def compute_multiplier(x, underlying):
    """MUL-1."""
    row = x.underlyings[underlying]
    by_variance = 0
    if row.reference_move_bps:
        by_variance = (row.variance_bps2 * 10_000 // row.reference_move_bps**2 - 10_000) // 2
    by_variance = min(5_000, max(0, by_variance))
    by_dispersion = min(2_500, max(0, row.dispersion_bps - 50) * 25)
    by_cover, opened = 0, open_interest_quote(x, underlying)
    covered = x.insurance_cover * max(x.accounts[INSURANCE].balance, 0)
    if x.insurance_cover and opened > covered:
        by_cover = min(2_500, 2_500 * (opened - covered) // opened)
    return max(10_000, min(20_000, 10_000 + by_variance + by_dispersion + by_cover))


def set_multiplier(x, underlying):
    row, new_bps = x.underlyings[underlying], compute_multiplier(x, underlying)
    if new_bps != row.multiplier_bps:
        x.notify(NOTICE_MULTIPLIER, underlying, new_bps, row.multiplier_bps)
    row.multiplier_bps = new_bps


def initial_bps(x, market):
    """MAR-2."""
    row, base = x.markets[market], x.markets[market].initial_bps
    scaled = 0
    if row.oi_high_quote > row.oi_low_quote:
        above = max(0, x.open_interest(market) * x.mark_unit(market) - row.oi_low_quote)
        scaled = above * (10_000 - base) // (row.oi_high_quote - row.oi_low_quote)
    elif row.oi_high_quote and x.open_interest(market) * x.mark_unit(market) > row.oi_low_quote:
        scaled = 10_000 - base
    scaled = min(scaled, 10_000 - base)
    depeg = 10_000 + 4 * max(0, 9_900 - x.stable_e8 // 10_000)
    return min(10_000, ceil_div((base + scaled) * x.underlyings[row.underlying].multiplier_bps * depeg, 10**8))


def option_units(x, market):
    """MAR-1: `(im, mm)` of a short option."""
    row, s, q = x.markets[market], x.unit(market, x.index_e8(market)), x.mark_unit(market)
    index_e8 = x.index_e8(market)
    out_e8 = row.strike_e8 - index_e8 if row.kind == KIND_CALL else index_e8 - row.strike_e8
    out_bps = max(out_e8, 0) * 10_000 // index_e8 if index_e8 else 0
    im = ceil_div(s * max(1_500 - out_bps, 1_300), 10_000)
    mm = ceil_div(s * 900, 10_000)
    if row.kind == KIND_PUT:
        mm = max(mm, ceil_div(q * 900, 10_000))
        im = max(im, ceil_div(10_500 * mm, 10_000))
    return ceil_div(im * x.underlyings[row.underlying].multiplier_bps, 10_000), mm


def set_units(x, market):
    """MAR-1."""
    row, q = x.markets[market], x.mark_unit(market)
    if row.phase == PHASE_SETTLED or not x.has_mark(market):
        row.im_long_unit = row.im_short_unit = row.mm_long_unit = row.mm_short_unit = 0
        row.delta_unit = row.vega_unit = 0
        return
    if row.kind in OPTIONS:
        row.im_long_unit = row.mm_long_unit = q
        row.im_short_unit, row.mm_short_unit = option_units(x, market)
        return
    row.delta_unit, row.vega_unit = q, 0
    used_bps = row.initial_bps if row.kind == KIND_SPOT else initial_bps(x, market)
    row.im_long_unit = row.im_short_unit = ceil_div(q * used_bps, 10_000)
    row.mm_long_unit = row.mm_short_unit = ceil_div(q * row.maintenance_bps, 10_000)
    row.initial_effective_bps = used_bps


def call_auction(x, market):
    """PHA-2: a mark that moved too far from the minute's first."""
    from tests.reference.clock import set_phase

    row = x.markets[market]
    if row.phase != PHASE_CONTINUOUS or row.auction_move_bps == 0 or not x.is_fresh(market):
        return
    mark_ticks = row.mark_e8 // row.tick_e8
    if row.reference_ms == 0 or x.time_ms // MINUTE_MS != row.reference_ms // MINUTE_MS:
        row.reference_ticks, row.reference_ms = mark_ticks, x.time_ms
    elif abs(mark_ticks - row.reference_ticks) * 10_000 > row.reference_ticks * row.auction_move_bps:
        set_phase(x, market, PHASE_AUCTION, x.time_ms + max(row.auction_ms, 1_000))


def reprice(x):
    """MRK-1."""
    if not x.must_reprice and x.time_ms - x.repriced_ms < 1_000:
        return
    x.must_reprice, x.repriced_ms = False, x.time_ms
    markets = range(len(x.markets))
    for market in markets:
        set_mark(x, market)
    for underlying in range(len(x.underlyings)):
        sample_variance(x, underlying)
    for underlying in range(len(x.underlyings)):
        set_multiplier(x, underlying)
    for market in markets:
        set_units(x, market)
    portfolio.photograph(x)
    for market in markets:
        call_auction(x, market)


# -- funding ----------------------------------------------------------------------------------------------------------


def impact_price_e8(x, market, side):
    """FND-2: mean price of the first `impact_quote` of a side, None when it is thinner."""
    row = x.markets[market]
    missing, lots, weighted = row.impact_quote, 0, 0
    for price in dict.fromkeys(order.price for order in x.book(market, side)):
        rests = sum(order.lots for order in x.book(market, side) if order.price == price)
        if missing > 0:
            taken = min(rests, ceil_div(missing, x.tick_value(market, price)))
            lots, weighted = lots + taken, weighted + taken * price
            missing -= taken * x.tick_value(market, price)
    if missing > 0 or lots == 0:
        return None
    return weighted * row.tick_e8 // lots


def compute_premium(x, market):
    index_e8 = x.index_e8(market)
    bid_e8, ask_e8 = impact_price_e8(x, market, BUY), impact_price_e8(x, market, SELL)
    above = max(0, bid_e8 - index_e8) if bid_e8 is not None else 0
    below = max(0, index_e8 - ask_e8) if ask_e8 is not None else 0
    return max(-(10**9), min(10**9, (above - below) * 10**9 // index_e8))


def compute_rate(x, market):
    """Rate per 8 hours in 1e-9 (FND-3)."""
    row = x.markets[market]
    premium = row.premium_sum // row.premium_count
    rate = premium + max(-500_000, min(500_000, row.interest_bps * 10**5 - premium))
    cap = row.funding_cap_bps * 10**5
    return max(-cap, min(cap, rate))


def pay_funding(x, market):
    row, rate = x.markets[market], compute_rate(x, market)
    whole = x.unit(market, x.index_e8(market)) * rate + row.funding_rest
    change, row.funding_rest = divmod(whole, 8 * 10**9)
    row.funding_quote += change
    x.notify(NOTICE_FUNDING, market, rate, change, row.funding_quote, row.premium_count)
    row.premium_sum = row.premium_count = 0


def fund(x):
    for market, row in enumerate(x.markets):
        if row.kind != KIND_PERPETUAL or row.phase == PHASE_SETTLED or not x.is_index_fresh(row.underlying):
            continue
        if x.time_ms // HOUR_MS != row.funding_at_ms // HOUR_MS:
            row.funding_at_ms = x.time_ms
            if row.premium_count:
                pay_funding(x, market)
        is_new_minute = x.time_ms // MINUTE_MS != row.premium_at_ms // MINUTE_MS
        if is_new_minute and row.phase == PHASE_CONTINUOUS and x.is_fresh(market):
            row.premium_at_ms = x.time_ms
            row.premium_sum += compute_premium(x, market)
            row.premium_count += 1
