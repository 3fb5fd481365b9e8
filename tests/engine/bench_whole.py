"""How fast the whole exchange places, matches and cancels: `python -m tests.engine.bench_whole [rounds]`.

The flows of `tests.engine.flows`, with 20,000 accounts, through the rules of the whole exchange: acceptance, margin,
fees, volumes, positions, open orders, receipts, events. Blocks of 10,000 actions, one compiled call each, what a block
has to forget included. Thread CPU time, medians of rounds; every round must end with the same digest of its fills.
"""

import hashlib
import json
import statistics
import sys
import time
from typing import Any

import numpy as np

from engine.acceptance import Order
from engine.accounts import grow_indexes
from engine.allocate import make_outputs, make_tables
from engine.compiling import entry_point, inlined
from engine.execution import cancel_resting
from engine.hints import hint_cancel_far, hint_cancel_near, hint_place_far, hint_place_near
from engine.orders import find_own_order, place_order
from engine.params import ExchangeParams, MarketParams
from engine.tables import (
    ACCOUNT_COUNT,
    BY_OWNER,
    CANCELLATION_COUNT,
    DIRTY_COUNT,
    FILL_COUNT,
    MARK_EPOCH,
    PHASE_CONTINUOUS,
    USER_ACCOUNT_FIRST,
    Outputs,
    Tables,
)
from tests.engine.flows import ADD, CANCEL, MIDDLE_TICKS, Flow, make_flow

FLOWS = (
    Flow("one market", 1, 20_000, 20_000, 20_000, 1_000_000, ""),
    Flow("fifty markets", 50, 20_000, 500_000, 480_000, 1_000_000, ""),
)
BLOCK_ACTIONS = 10_000
ROUNDS = 11
AHEAD = 8
TIME_MS = 1_800_000_000_000
TARGETS = {"one market": 10_000_000, "fifty markets": 6_000_000}
OWNER = np.int64(BY_OWNER)
ZERO = np.int64(0)
IMMEDIATE = np.int64(1)


@inlined
def _execute(t: Tables, out: Outputs, event: np.void, receipt_row: int) -> int:
    """One event; the id of the order that it places, 0 for a cancel."""
    account, market = np.int64(event["account"]) + USER_ACCOUNT_FIRST, np.int64(event["market"])
    if event["kind"] == CANCEL:
        row = find_own_order(t, account, market, event["order_id"], ZERO)
        receipt = out.receipts[receipt_row]
        receipt["code"] = 308 if row == 0 else 0
        receipt["cancelled_count"] = row != 0
        if row != 0:
            receipt["remaining_lots"] = cancel_resting(t, out, row, OWNER)
        return ZERO
    kind = ZERO if event["kind"] == ADD else IMMEDIATE
    order = Order(
        market, np.int64(event["side"]), kind, ZERO, np.int64(event["price_ticks"]), np.int64(event["lots"]),
        ZERO, ZERO, ZERO, ZERO, ZERO,
    )  # fmt: skip
    _, order_id = place_order(t, out, account, order, np.int64(TIME_MS), np.int64(receipt_row))
    return order_id


@inlined
def _hint_far(t: Tables, event: np.void) -> None:
    account, market = np.int64(event["account"]) + USER_ACCOUNT_FIRST, np.int64(event["market"])
    if event["kind"] == CANCEL:
        hint_cancel_far(t, account, event["order_id"])
    else:
        hint_place_far(t, account, market, np.int64(event["side"]), np.int64(event["price_ticks"]))


@inlined
def _hint_near(t: Tables, event: np.void) -> None:
    account, market = np.int64(event["account"]) + USER_ACCOUNT_FIRST, np.int64(event["market"])
    if event["kind"] == CANCEL:
        hint_cancel_near(t, event["order_id"])
    else:
        hint_place_near(t, account, market, np.int64(event["side"]), np.int64(event["price_ticks"]))


@entry_point
def run_block(t: Tables, out: Outputs, events: np.ndarray, first: int, end: int, ids: np.ndarray, ahead: int) -> None:
    """Execute the events of a block; memory is asked for `ahead` and twice as many actions before (0: never).

    Cancels name `order_id`; if `ids` is not empty, it says the ids of the orders that the events have made so far.
    """
    counters = t.counters
    for at in range(counters[DIRTY_COUNT]):
        t.accounts[out.dirty[at]]["dirty"] = 0
    counters[DIRTY_COUNT] = counters[FILL_COUNT] = counters[CANCELLATION_COUNT] = 0
    for number in range(first, end):
        event = events[number]
        if ahead > 0:
            if number + 2 * ahead < end:
                _hint_far(t, events[number + 2 * ahead])
            if number + ahead < end:
                _hint_near(t, events[number + ahead])
        if event["kind"] == CANCEL and len(ids) > 0:
            event["order_id"] = ids[event["target"]]
        order_id = _execute(t, out, event, number - first)
        if len(ids) > 0:
            ids[number] = order_id


def make_exchange(flow: Flow) -> tuple[Tables, Outputs]:
    """Tables with a fresh mark in each market, and rich accounts."""
    market = ("0.1", "0.001", 100, 500, 250, 2, 5, 9000, 500_000, 1_000_000, 500, 15_000)
    params = ExchangeParams(
        tuple(MarketParams(f"M{number}-PERPETUAL", *market) for number in range(flow.markets)), bytes(20), 4, 1,
        bytes(20), accounts_max=32_768, account_orders_max=1024, book_orders_max=1 << 20, markets_max=64,
        orders_max=1 << 20, positions_max=1 << 21, blocks_max=flow.markets * 3000 + 64,
    )  # fmt: skip
    tables = make_tables(params, TIME_MS)
    tables.counters[ACCOUNT_COUNT] = USER_ACCOUNT_FIRST + flow.accounts
    tables.accounts["balance_quote"][USER_ACCOUNT_FIRST : USER_ACCOUNT_FIRST + flow.accounts] = 1 << 50
    tables.accounts["key_a"] = np.arange(len(tables.accounts))
    unit = MIDDLE_TICKS * 100
    values = {
        "mark_ticks": MIDDLE_TICKS, "mark_ms": TIME_MS, "is_fresh": 1, "buy_limit_ticks": 2 * MIDDLE_TICKS,
        "sell_limit_ticks": 1, "value_unit": unit, "notional_unit": unit, "im_long_unit": unit // 20,
        "im_short_unit": unit // 20, "phase": PHASE_CONTINUOUS,
    }  # fmt: skip
    for name, value in values.items():
        tables.markets[name] = value
    tables.counters[MARK_EPOCH] = 1
    tables = grow_indexes(tables, flow.accounts, flow.prefill)
    return tables, make_outputs(tables, BLOCK_ACTIONS)


def run_flow(flow: Flow, events: np.ndarray, ids: np.ndarray, ahead: int = AHEAD) -> tuple[float, str, int]:
    """Seconds of the events after the prefill, the digest of all fills, and how many there were."""
    tables, out = make_exchange(flow)
    digest, fills, seconds = hashlib.sha256(), 0, 0.0
    for start in range(1, len(events), BLOCK_ACTIONS):
        end = min(start + BLOCK_ACTIONS, len(events))
        began = time.thread_time()
        run_block(tables, out, events, start, end, ids, ahead)
        if start > flow.prefill:
            seconds += time.thread_time() - began
        count = int(tables.counters[FILL_COUNT])
        digest.update(out.fills[:count].tobytes())
        fills += count
    return seconds, digest.hexdigest()[:16], fills


def measure_flow(flow: Flow, rounds: int) -> dict[str, Any]:
    """Events per second of one flow."""
    events, _, _ = make_flow(flow)
    ids = np.zeros(len(events), np.int64)
    _, expected, fills = run_flow(flow, events, ids)
    took: dict[int, list[float]] = {0: [], AHEAD: []}
    for turn in range(rounds):
        for ahead in sorted(took, reverse=turn % 2 == 1):
            seconds, digest, _ = run_flow(flow, events, np.zeros(0, np.int64), ahead)
            if digest != expected:
                raise SystemExit(f"{flow.name}: fills {digest}, not {expected}: the speed means nothing")
            took[ahead].append(seconds)
    plain, hinted = (flow.events / statistics.median(seconds) for seconds in took.values())
    return {
        "name": f"whole exchange, {flow.name}", "figure": round(hinted), "unit": "actions/s",
        "target": TARGETS[flow.name], "ratio": round(hinted / plain, 2), "baseline": "the same without hints",
        "fills": fills, "digest": expected,
    }  # fmt: skip


def run(rounds: int = ROUNDS) -> list[dict[str, Any]]:
    """One row per flow."""
    return [measure_flow(flow, rounds) for flow in FLOWS]


def main() -> None:
    for row in run(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS):
        print(json.dumps(row))


if __name__ == "__main__":
    main()
