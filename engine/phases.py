"""Phases: what a market admits at a time, opening and volatility auctions, and how a halted exchange comes back (PHA).

A market's own row says its phase, whoever set it, so an order looks at one number. The exchange's phase is in the
counters: it leaves "continuous" when blocks have been missing or the governor says so, and leads all markets through
cancel-only, post-only and an auction, each step waiting for time and, the first, for prices of a quorum. Nobody is
liquidated on the way. A market that the governor has closed by itself stays closed until he opens it.
"""

import numpy as np

from engine.compiling import kernel
from engine.marks import best_ticks
from engine.notices import notify
from engine.tables import (
    FOREVER_MS,
    HALT_GAP_MS,
    MARKET_COUNT,
    MUST_REPRICE,
    NOTICE_PHASE,
    PHASE,
    PHASE_AUCTION,
    PHASE_CANCEL_ONLY,
    PHASE_CONTINUOUS,
    PHASE_POST_ONLY,
    PHASE_SETTLED,
    PHASE_UNTIL_MS,
    RESUME_MS,
    TIME_MS,
    UNDERLYING_COUNT,
    Number,
    Outputs,
    Tables,
    Truth,
)

ZERO, ONE, EXCHANGE = np.int64(0), np.int64(1), np.int64(-1)
CONTINUOUS, AUCTION = np.int64(PHASE_CONTINUOUS), np.int64(PHASE_AUCTION)
CANCEL_ONLY, POST_ONLY = np.int64(PHASE_CANCEL_ONLY), np.int64(PHASE_POST_ONLY)
FOREVER = np.int64(FOREVER_MS)
PHASE_NOTICE = np.int64(NOTICE_PHASE)
ROUNDS_TO_RESUME = 3
AUCTION_MS_MIN = np.int64(1_000)
MINUTE_MS, BPS = 60_000, 10_000


@kernel
def set_market_phase(t: Tables, out: Outputs, market: Number, phase: Number, until_ms: Number) -> None:
    """Put a market into a phase; a notice (phase, until, phase before) says so."""
    row = t.markets[market]
    notify(t, out, PHASE_NOTICE, market, phase, until_ms, row["phase"], ZERO)
    row["phase"] = phase
    row["phase_until_ms"] = until_ms
    row["reference_ms"] = 0
    t.counters[MUST_REPRICE] = 1


@kernel
def _set_exchange_phase(t: Tables, out: Outputs, phase: Number, until_ms: Number) -> None:
    """Put the exchange and all markets that follow it into a phase."""
    notify(t, out, PHASE_NOTICE, EXCHANGE, phase, until_ms, t.counters[PHASE], ZERO)
    t.counters[PHASE] = phase
    t.counters[PHASE_UNTIL_MS] = until_ms
    for number in range(t.counters[MARKET_COUNT]):
        row = t.markets[number]
        if row["is_listed"] != 0 and row["phase"] != PHASE_SETTLED and row["phase_until_ms"] != FOREVER:
            set_market_phase(t, out, np.int64(number), phase, until_ms)


@kernel
def halt_exchange(t: Tables, out: Outputs, time_ms: Number) -> None:
    """Cancels only, for `resume_ms` at least; oracle rounds are counted anew (PHA-3)."""
    for number in range(t.counters[UNDERLYING_COUNT]):
        t.underlyings[number]["fresh_rounds"] = 0
    _set_exchange_phase(t, out, CANCEL_ONLY, time_ms + t.counters[RESUME_MS])


@kernel
def _are_prices_back(t: Tables) -> Truth:
    """Whether every underlying that a market still needs has had its rounds since the halt."""
    for number in range(t.counters[MARKET_COUNT]):
        row = t.markets[number]
        is_needed = row["is_listed"] != 0 and row["phase"] != PHASE_SETTLED
        if is_needed and t.underlyings[row["underlying"]]["fresh_rounds"] < ROUNDS_TO_RESUME:
            return False
    return True


@kernel
def advance_phases(t: Tables, out: Outputs, time_ms: Number) -> None:
    """Halt after a gap since the last block; otherwise take the next step back to continuous when it is time (PHA-3).

    The last step, the end of the resume auction, is `engine.auctions.run_auctions`.
    """
    counters = t.counters
    if counters[HALT_GAP_MS] != 0 and time_ms - counters[TIME_MS] > counters[HALT_GAP_MS]:
        halt_exchange(t, out, time_ms)
    elif counters[PHASE] == PHASE_CONTINUOUS or time_ms < counters[PHASE_UNTIL_MS]:
        return
    elif counters[PHASE] == PHASE_CANCEL_ONLY:
        if _are_prices_back(t):
            _set_exchange_phase(t, out, POST_ONLY, time_ms + counters[RESUME_MS])
    elif counters[PHASE] == PHASE_POST_ONLY:
        _set_exchange_phase(t, out, AUCTION, time_ms + counters[RESUME_MS])


@kernel
def end_resume(t: Tables, out: Outputs, time_ms: Number) -> None:
    """After the resume auction of the markets: the exchange is continuous, liquidations begin again."""
    if t.counters[PHASE] == PHASE_AUCTION and time_ms >= t.counters[PHASE_UNTIL_MS]:
        notify(t, out, PHASE_NOTICE, EXCHANGE, CONTINUOUS, ZERO, AUCTION, ZERO)
        t.counters[PHASE] = PHASE_CONTINUOUS
        t.counters[PHASE_UNTIL_MS] = 0


@kernel
def call_auctions(t: Tables, out: Outputs, time_ms: Number) -> None:
    """An auction where a mark has moved too far from the minute's first one (PHA-2). After a reprice."""
    for number in range(t.counters[MARKET_COUNT]):
        row = t.markets[number]
        limit_bps = row["auction_move_bps"]
        if row["phase"] != PHASE_CONTINUOUS or limit_bps == 0 or row["is_fresh"] == 0:
            continue
        if row["reference_ms"] == 0 or time_ms // MINUTE_MS != row["reference_ms"] // MINUTE_MS:
            row["reference_ticks"] = row["mark_ticks"]
            row["reference_ms"] = time_ms
        elif abs(row["mark_ticks"] - row["reference_ticks"]) * BPS > row["reference_ticks"] * limit_bps:
            until_ms = time_ms + max(row["auction_ms"], AUCTION_MS_MIN)
            set_market_phase(t, out, np.int64(number), AUCTION, until_ms)


@kernel
def open_market(t: Tables, out: Outputs, market: Number, time_ms: Number) -> None:
    """The first phase of a listed market: its opening auction if it has one; the exchange's while that is halted."""
    phase, auction_ms = t.counters[PHASE], t.markets[market]["auction_ms"]
    if phase != PHASE_CONTINUOUS:
        set_market_phase(t, out, market, phase, t.counters[PHASE_UNTIL_MS])
    elif auction_ms != 0:
        set_market_phase(t, out, market, AUCTION, time_ms + auction_ms)
    else:
        set_market_phase(t, out, market, CONTINUOUS, ZERO)


@kernel
def govern_phase(t: Tables, out: Outputs, market: Number, phase: Number, time_ms: Number) -> None:
    """The governor's SET_PHASE of one market: cancel-only and post-only last until the next one.

    An auction lasts `auction_ms`, at least a second. Continuous is reached through the next block's uncross if orders
    may cross. While the exchange is halted, a market can only be closed, or follow the exchange again.
    """
    row = t.markets[market]
    if phase == PHASE_CANCEL_ONLY:
        set_market_phase(t, out, market, phase, FOREVER)
    elif t.counters[PHASE] != PHASE_CONTINUOUS:
        set_market_phase(t, out, market, t.counters[PHASE], t.counters[PHASE_UNTIL_MS])
    elif phase == PHASE_POST_ONLY:
        set_market_phase(t, out, market, phase, FOREVER)
    elif phase == PHASE_AUCTION:
        set_market_phase(t, out, market, phase, time_ms + max(row["auction_ms"], AUCTION_MS_MIN))
    else:
        bid_ticks, ask_ticks = best_ticks(t, market, ZERO), best_ticks(t, market, ONE)
        is_crossed = ask_ticks != 0 and bid_ticks >= ask_ticks
        set_market_phase(t, out, market, AUCTION if is_crossed else CONTINUOUS, time_ms if is_crossed else ZERO)
