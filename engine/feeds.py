"""Prices enter a block as signed reports; here they become feeds by a rule that no single validator decides (ORA).

A report is a list of feeds in e8 (1e-8 USD): the index of each underlying, then per expiry six numbers, of which `a`,
`rho` and `m` of the volatility surface are shifted by 2**32 so that 0 always means "no opinion". The shell chooses the
reports that count; a kernel takes medians and moves what they say. Every price of the exchange hangs on these numbers,
so a feed without a quorum of opinions stays where it is and grows stale, and nothing is guessed.
"""

from typing import Protocol

import cbor2
import numpy as np

from engine.compiling import entry_point, inlined, kernel
from engine.limits import BPS_UNIT, REPORT_AGE_MS_MAX, REPORT_AHEAD_MS_MAX
from engine.params import ExchangeParams
from engine.payload import PriceReport, keccak
from engine.svi import is_calendar_free, is_slice_sound
from engine.tables import (
    EXPIRY_COUNT,
    KIND_FUTURE,
    KIND_PERPETUAL,
    KIND_SPOT,
    MARKET_COUNT,
    MUST_REPRICE,
    PHASE_SETTLED,
    UNDERLYING_COUNT,
    Number,
    Outputs,
    Tables,
    Truth,
)

FEED_E8_MAX = 1 << 48  # 2.8 million USD: products with basis points fit into 63 bits
FEED_OFFSET = 1 << 32
EXPIRY_FEED_COUNT = 6
FORWARD, A, B, RHO, M, SIGMA = range(EXPIRY_FEED_COUNT)
ZERO_HASH = bytes(32)


class Oracle(Protocol):
    """What of a state the reports need and change: tables, time of each validator's last report, hash of the used."""

    params: ExchangeParams
    tables: Tables
    report_times_ms: np.ndarray
    oracle_root: bytes


def count_feeds(t: Tables) -> int:
    """How many numbers a price report has."""
    return int(t.counters[UNDERLYING_COUNT] + EXPIRY_FEED_COUNT * t.counters[EXPIRY_COUNT])


def select_reports(state: Oracle, reports: tuple[PriceReport, ...], time_ms: int) -> list[PriceReport]:
    """The reports that count (ORA-1), one per validator, in the order of validators; empty without a quorum."""
    feed_count = count_feeds(state.tables)
    latest: dict[int, PriceReport] = {}
    for report in reports:
        if not 0 <= report.validator < len(state.report_times_ms) or len(report.feeds_e8) != feed_count:
            continue
        if not all(0 <= value <= FEED_E8_MAX for value in report.feeds_e8):
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


def apply_reports(
    state: Oracle, _outputs: Outputs, reports: tuple[PriceReport, ...], time_ms: int
) -> list[PriceReport]:
    """Move the feeds of a state and return the reports used. Sets `oracle_root`: their hash, or zero."""
    used = select_reports(state, reports, time_ms)
    state.oracle_root = ZERO_HASH
    if used:
        state.oracle_root = keccak(cbor2.dumps([report.to_cbor() for report in used], canonical=True))
        for report in used:
            state.report_times_ms[report.validator] = report.time_ms
        values = np.array([report.feeds_e8 for report in used], np.int64)
        move_feeds(state.tables, np.ascontiguousarray(values.T), state.params.quorum, time_ms)
    return used


@kernel
def _sort_opinions(row: np.ndarray) -> Number:
    """Sort the opinions of a row to its front, leaving out those that are none (0); returns how many there are."""
    count: Number = np.int64(0)
    for at in range(len(row)):
        value = row[at]
        if value != 0:
            place = count
            while place > 0 and row[place - 1] > value:
                row[place] = row[place - 1]
                place -= 1
            row[place] = value
            count += 1
    return count


@kernel
def _take_median(row: np.ndarray, quorum: Number) -> Number:
    """The lower median of a row's opinions, 0 without a quorum of them. Sorts the row."""
    count = _sort_opinions(row)
    return row[(count - 1) >> 1] if count >= quorum else np.int64(0)


@kernel
def _move_index(t: Tables, number: Number, row: np.ndarray, quorum: Number, time_ms: Number) -> Truth:
    """Move one index a capped step towards the median (ORA-2, ORA-3); whether it changed."""
    count = _sort_opinions(row)
    if count < quorum:
        return False
    median_e8 = row[(count - 1) >> 1]
    underlying = t.underlyings[number]
    old_e8 = underlying["index_e8"]
    new_e8 = median_e8
    if old_e8 != 0:
        step_e8 = max(old_e8 * underlying["oracle_step_bps_max"] // BPS_UNIT, underlying["feed_tick_e8"])
        new_e8 = min(max(median_e8, old_e8 - step_e8, 1), old_e8 + step_e8)
    underlying["index_e8"] = new_e8
    underlying["index_ms"] = time_ms
    underlying["dispersion_bps"] = (row[count - 1] - row[0]) * BPS_UNIT // median_e8
    underlying["fresh_rounds"] += 1
    return new_e8 != old_e8


@inlined
def _slice_of(t: Tables, number: Number) -> tuple[Number, Number, Number, Number, Number]:
    row = t.expiries[number]
    return row["a_e8"], row["b_e8"], row["rho_e8"], row["m_e8"], row["sigma_e8"]


@kernel
def _find_neighbour(t: Tables, number: Number, direction: Number) -> Number:
    """The next expiry of the same underlying that has a surface, later (1) or earlier (-1) than one; -1 if none."""
    own, found = t.expiries[number], np.int64(-1)
    for other in range(t.counters[EXPIRY_COUNT]):
        row = t.expiries[other]
        if row["underlying"] != own["underlying"] or row["surface_ms"] == 0 or row["is_settled"] != 0:
            continue
        ahead_ms = (row["expiry_ms"] - own["expiry_ms"]) * direction
        if ahead_ms > 0 and (found < 0 or (row["expiry_ms"] - t.expiries[found]["expiry_ms"]) * direction < 0):
            found = np.int64(other)
    return found


@kernel
def _is_sound(t: Tables, number: Number, a: Number, b: Number, rho: Number, m: Number, sigma: Number) -> Truth:
    """Whether a new surface of an expiry admits no arbitrage, by itself and beside its neighbours (SVI-1)."""
    if not is_slice_sound(a, b, rho, m, sigma):
        return False
    earlier, later = _find_neighbour(t, number, np.int64(-1)), _find_neighbour(t, number, np.int64(1))
    if earlier >= 0 and not is_calendar_free(_slice_of(t, earlier), (a, b, rho, m, sigma)):
        return False
    return later < 0 or is_calendar_free((a, b, rho, m, sigma), _slice_of(t, later))


@kernel
def _move_surface(
    t: Tables, number: Number, values: np.ndarray, first: Number, quorum: Number, time_ms: Number
) -> Truth:
    """Take a new surface of an expiry as a whole, if there is a quorum for every part and it is sound (ORA-2)."""
    a_e8 = _take_median(values[first + A], quorum)
    b_e8 = _take_median(values[first + B], quorum)
    rho_e8 = _take_median(values[first + RHO], quorum)
    m_e8 = _take_median(values[first + M], quorum)
    sigma_e8 = _take_median(values[first + SIGMA], quorum)
    if a_e8 == 0 or b_e8 == 0 or rho_e8 == 0 or m_e8 == 0 or sigma_e8 == 0:
        return False
    a_e8, rho_e8, m_e8 = a_e8 - FEED_OFFSET, rho_e8 - FEED_OFFSET, m_e8 - FEED_OFFSET
    if not _is_sound(t, number, a_e8, b_e8, rho_e8, m_e8, sigma_e8):
        return False
    row = t.expiries[number]
    is_new = a_e8 != row["a_e8"] or b_e8 != row["b_e8"] or rho_e8 != row["rho_e8"]
    is_new = is_new or m_e8 != row["m_e8"] or sigma_e8 != row["sigma_e8"]
    row["a_e8"], row["b_e8"], row["rho_e8"], row["m_e8"], row["sigma_e8"] = a_e8, b_e8, rho_e8, m_e8, sigma_e8
    row["surface_ms"] = time_ms
    return is_new


@kernel
def _move_expiry(
    t: Tables, number: Number, values: np.ndarray, first: Number, quorum: Number, time_ms: Number
) -> Truth:
    """Move forward and surface of one expiry that is not settled; whether anything changed."""
    row = t.expiries[number]
    if row["is_settled"] != 0:
        return False
    has_moved = False
    forward_e8 = _take_median(values[first + FORWARD], quorum)
    if forward_e8 != 0:
        has_moved = forward_e8 != row["forward_e8"]
        row["forward_e8"] = forward_e8
        row["forward_ms"] = time_ms
    return _move_surface(t, number, values, first, quorum, time_ms) or has_moved


@entry_point
def move_feeds(t: Tables, values: np.ndarray, quorum: Number, time_ms: Number) -> None:
    """Move all feeds. `values` is (feeds, reports) int64, 0 for no opinion; its rows are sorted in place."""
    has_moved: Truth = False
    for number in range(t.counters[UNDERLYING_COUNT]):
        has_moved = _move_index(t, number, values[number], quorum, time_ms) or has_moved
    first = t.counters[UNDERLYING_COUNT]
    for number in range(t.counters[EXPIRY_COUNT]):
        has_moved = _move_expiry(t, number, values, first, quorum, time_ms) or has_moved
        first += EXPIRY_FEED_COUNT
    if has_moved:
        t.counters[MUST_REPRICE] = 1


@kernel
def refresh_underlyings(t: Tables, time_ms: Number) -> None:
    """Set `is_fresh` of all underlyings as of this block (ORA-2); nothing is fresh before its first price."""
    for number in range(t.counters[UNDERLYING_COUNT]):
        underlying = t.underlyings[number]
        is_fresh = underlying["index_e8"] != 0 and time_ms - underlying["index_ms"] <= underlying["oracle_stale_ms"]
        underlying["is_fresh"] = 1 if is_fresh else 0


@kernel
def refresh_markets(t: Tables, time_ms: Number) -> None:
    """Set `is_fresh` of all markets as of this block, after the underlyings' and after new marks."""
    for number in range(t.counters[MARKET_COUNT]):
        t.markets[number]["is_fresh"] = 1 if _is_market_fresh(t, np.int64(number), time_ms) else 0


@kernel
def _is_market_fresh(t: Tables, number: Number, time_ms: Number) -> Truth:
    market = t.markets[number]
    if market["phase"] == PHASE_SETTLED:
        return True
    underlying = t.underlyings[market["underlying"]]
    if market["mark_ms"] == 0 or underlying["is_fresh"] == 0:
        return False
    kind, stale_ms = market["kind"], underlying["oracle_stale_ms"]
    if kind in (KIND_PERPETUAL, KIND_SPOT):
        return True
    dated = t.expiries[market["expiry"]]
    is_forward_fresh = time_ms - dated["forward_ms"] <= stale_ms
    if kind == KIND_FUTURE:
        return is_forward_fresh or dated["forward_e8"] == 0
    return is_forward_fresh and time_ms - dated["surface_ms"] <= stale_ms
