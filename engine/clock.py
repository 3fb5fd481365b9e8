"""The clock: everything that happens because time has passed or prices have moved, before anybody's action (BLK-1).

Phases, new marks, funding, settlement, auctions, sweeps of what has expired, triggers, in this order. A block's time is
the only clock, so a step asks what is due at that time and never how often it was asked.
"""

import numpy as np

from engine.accounts import touch
from engine.auctions import run_auctions
from engine.compiling import kernel
from engine.execution import cancel_order, find_dead_reason, index_of_row
from engine.feeds import refresh_markets, refresh_underlyings
from engine.funding import advance_funding
from engine.marks import is_reprice_due, reprice
from engine.offers import sweep_offers
from engine.orderbook import ROWS_USED
from engine.orders import cancel_orders
from engine.phases import advance_phases, call_auctions, end_resume
from engine.portfolio import refresh_scenarios
from engine.rows import find_taken_row
from engine.settlement import settle_markets
from engine.tables import (
    ACCOUNT_COUNT,
    ACCOUNT_SWEEP,
    BY_SWITCH,
    DIRTY_AUX,
    ORDER_SWEEP,
    USER_ACCOUNT_FIRST,
    Number,
    Outputs,
    Tables,
)
from engine.triggers import cancel_triggers, fire_triggers

ZERO, ONE, ALL_MARKETS, ANY_FLAGS = np.int64(0), np.int64(1), np.int64(-1), np.int64(0)
AUX = np.int64(DIRTY_AUX)
FOR_SWITCH = np.int64(BY_SWITCH)
SWEEP_ROWS = 16_384


@kernel
def sweep_orders(t: Tables, out: Outputs, time_ms: Number) -> None:
    """Cancel what may no longer trade among the next 16,384 rows of orders; after the last open order start again.

    Rows follow from the orders that live, so every node sweeps the same ones (ORD-7).
    """
    orderbook = t.orderbook
    end = orderbook.counters[ROWS_USED]
    swept = t.counters[ORDER_SWEEP] + SWEEP_ROWS
    row = find_taken_row(orderbook.rows, max(t.counters[ORDER_SWEEP], ONE), end)
    while row != 0 and row < swept:
        account = np.int64(orderbook.book[index_of_row(t, row)]["account"])
        reason = find_dead_reason(t, account, row, time_ms)
        if reason >= 0:
            cancel_order(t, out, row, reason)
        row = find_taken_row(orderbook.rows, row + ONE, end)
    t.counters[ORDER_SWEEP] = swept if row != 0 else ZERO


@kernel
def sweep_switches(t: Tables, out: Outputs, time_ms: Number) -> None:
    """Of the next 16,384 accounts, those whose switch is due lose orders and triggers, and it is disarmed (ORD-7)."""
    count = t.counters[ACCOUNT_COUNT]
    swept = t.counters[ACCOUNT_SWEEP] + SWEEP_ROWS
    for number in range(max(t.counters[ACCOUNT_SWEEP], USER_ACCOUNT_FIRST), min(swept, count)):
        if 0 < t.accounts[number]["cancel_at_ms"] <= time_ms:
            account = np.int64(number)
            cancel_orders(t, out, account, ALL_MARKETS, FOR_SWITCH, ANY_FLAGS)
            cancel_triggers(t, out, account, ALL_MARKETS, FOR_SWITCH)
            t.accounts[account]["cancel_at_ms"] = 0
            touch(t, out, account, AUX)
    t.counters[ACCOUNT_SWEEP] = swept if swept < count else ZERO


@kernel
def run_clock(t: Tables, out: Outputs, time_ms: Number) -> None:
    """One block's clock. `counters[TIME_MS]` is the time of the block before; whoever ends the block moves it on."""
    advance_phases(t, out, time_ms)
    refresh_underlyings(t, time_ms)
    if is_reprice_due(t, time_ms):
        reprice(t, out, time_ms)
        refresh_markets(t, time_ms)
        call_auctions(t, out, time_ms)
        refresh_scenarios(t)
    else:
        refresh_markets(t, time_ms)
    advance_funding(t, out, time_ms)
    settle_markets(t, out, time_ms)
    run_auctions(t, out, time_ms)
    end_resume(t, out, time_ms)
    sweep_orders(t, out, time_ms)
    sweep_switches(t, out, time_ms)
    sweep_offers(t, out, time_ms)
    fire_triggers(t, out, time_ms)
