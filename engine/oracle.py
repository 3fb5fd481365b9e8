"""Prices enter a block as signed reports; here they become marks by a rule that no single validator decides.

A report counts when its validator is known, it names every market, its time is above the validator's last accepted
one and within [block time - 10 s, block time + 1 s]. Of several by one validator the latest counts (equal times: the
first in the block). With fewer than a quorum of validators nothing changes and no report is used up. Otherwise each
mark moves to the lower median of the reported prices, by at most `oracle_step_bps_max` of itself (and always at least
one tick, so that small prices can move); the first price is taken as it is. Marks stay within [1, price_ticks_max].

A price is fresh while block time - time of its last update <= oracle_stale_ms.
"""

import cbor2

from engine.layout import IS_FRESH, MARK, MARK_MS
from engine.limits import BPS_UNIT, REPORT_AGE_MS_MAX, REPORT_AHEAD_MS_MAX
from engine.params import MarketParams
from engine.payload import PRICE_TICKS_MAX, PriceReport, keccak
from engine.state import EngineState
from engine.tree import ZERO_HASH


def select_reports(state: EngineState, reports: tuple[PriceReport, ...], time_ms: int) -> list[PriceReport]:
    """The reports that count, one per validator, in the order of validators; empty without a quorum."""
    latest: dict[int, PriceReport] = {}
    for report in reports:
        if not 0 <= report.validator < state.params.validator_count:
            continue
        if len(report.price_ticks) != len(state.params.markets):
            continue
        if not all(0 < price <= PRICE_TICKS_MAX for price in report.price_ticks):
            continue
        if not time_ms - REPORT_AGE_MS_MAX <= report.time_ms <= time_ms + REPORT_AHEAD_MS_MAX:
            continue
        if report.time_ms <= int(state.report_times_ms[report.validator]):
            continue
        known = latest.get(report.validator)
        if known is None or report.time_ms > known.time_ms:
            latest[report.validator] = report
    if len(latest) < state.params.quorum:
        return []
    return [latest[validator] for validator in sorted(latest)]


def compute_mark(old_ticks: int, median_ticks: int, market: MarketParams) -> int:
    """The next mark: the median, one capped step away at most, inside the market's range. Step rounded down."""
    if old_ticks:
        step_ticks = max(old_ticks * market.oracle_step_bps_max // BPS_UNIT, 1)
        median_ticks = min(max(median_ticks, old_ticks - step_ticks), old_ticks + step_ticks)
    return min(max(median_ticks, 1), market.price_ticks_max)


def apply_reports(state: EngineState, reports: tuple[PriceReport, ...], time_ms: int) -> bool:
    """Move the marks of a state; returns whether any changed. Sets `oracle_root`: hash of the used reports or zero."""
    used = select_reports(state, reports, time_ms)
    markets = state.tables.markets
    have_marks_changed = False
    state.oracle_root = ZERO_HASH
    if used:
        state.oracle_root = keccak(cbor2.dumps([report.to_cbor() for report in used], canonical=True))
        for report in used:
            state.report_times_ms[report.validator] = report.time_ms
        for index, market in enumerate(state.params.markets):
            prices = sorted(report.price_ticks[index] for report in used)
            old_ticks = int(markets[index, MARK])
            mark_ticks = compute_mark(old_ticks, prices[(len(prices) - 1) // 2], market)
            markets[index, MARK] = mark_ticks
            markets[index, MARK_MS] = time_ms
            have_marks_changed |= mark_ticks != old_ticks
    for index, market in enumerate(state.params.markets):
        is_fresh = markets[index, MARK] > 0 and time_ms - int(markets[index, MARK_MS]) <= market.oracle_stale_ms
        markets[index, IS_FRESH] = 1 if is_fresh else 0
    return have_marks_changed
