"""How fast the whole exchange places, matches and cancels: `python -m tests.engine.bench --only whole`.

The flows of `tests.engine.flows`, with 20,000 accounts, through the exchange's own dispatch (`engine.stages`):
acceptance, margin, fees, volumes, positions, open orders, receipts, events. Blocks of 10,000 actions, one compiled call
each. Every trade must be the one that the obvious Python book makes, which does nothing but match.
"""

import hashlib
import statistics
import time

import numpy as np

from engine.allocate import make_outputs, make_tables
from engine.commands import ACTION, PLACE
from engine.commands import CANCEL as CANCEL_ACTION
from engine.params import ExchangeParams
from engine.tables import (
    FILL,
    FILL_COUNT,
    MARK_EPOCH,
    PHASE_CONTINUOUS,
    USER_ACCOUNT_FIRST,
    Outputs,
    Tables,
)
from tests.engine.bench_exchange import TIME_MS, add_users, apply_block, forget_block, perpetuals, resolve_ids
from tests.engine.bench_matching import ObviousBook, run_python
from tests.engine.bench_row import Row, report, require_equal
from tests.engine.flows import CANCEL, IOC, MIDDLE_TICKS, Flow, digest_columns, make_flow

FLOWS = (
    Flow("one market", 1, 20_000, 20_000, 20_000, 1_000_000, ""),
    Flow("50 markets", 50, 20_000, 500_000, 480_000, 1_000_000, ""),
)
BLOCK_ACTIONS = 10_000
TARGETS = {"one market": 10_000_000, "50 markets": 6_000_000}
RICH_QUOTE = 1 << 50


def make_exchange(flow: Flow) -> tuple[Tables, Outputs]:
    """Tables with a fresh mark in each market, and rich accounts."""
    params = ExchangeParams(
        perpetuals(flow.markets), bytes(20), 4, 1, bytes(20), accounts_max=32_768, account_orders_max=1024,
        book_orders_max=1 << 20, markets_max=64, orders_max=1 << 20, positions_max=1 << 21,
        blocks_max=flow.markets * 3000 + 64,
    )  # fmt: skip
    tables = add_users(make_tables(params, TIME_MS), flow.accounts, RICH_QUOTE)
    unit = MIDDLE_TICKS * 100
    values = {
        "mark_ticks": MIDDLE_TICKS, "mark_ms": TIME_MS, "is_fresh": 1, "buy_limit_ticks": 2 * MIDDLE_TICKS,
        "sell_limit_ticks": 1, "value_unit": unit, "notional_unit": unit, "im_long_unit": unit // 20,
        "im_short_unit": unit // 20, "phase": PHASE_CONTINUOUS,
    }  # fmt: skip
    for name, value in values.items():
        tables.markets[name] = value
    tables.counters[MARK_EPOCH] = 1
    return tables, make_outputs(tables, BLOCK_ACTIONS)


def make_actions(events: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The events behind row 0 as actions, and the account of each."""
    events = events[1:]
    actions = np.zeros(len(events), ACTION)
    is_cancel = events["kind"] == CANCEL
    actions["kind"] = np.where(is_cancel, CANCEL_ACTION, PLACE)
    actions["market"] = events["market"]
    for name, source in (
        ("side", events["side"]),
        ("price_ticks", events["price_ticks"]),
        ("size_lots", events["lots"]),
    ):
        actions[name] = np.where(is_cancel, 0, source)
    actions["time_in_force"] = events["kind"] == IOC
    return actions, USER_ACCOUNT_FIRST + events["account"].astype(np.int64)


def run_flow(flow: Flow, actions: np.ndarray, accounts: np.ndarray) -> tuple[float, np.ndarray, str]:
    """Seconds of the actions after the prefill, all fills, and the digest of all that the kernels wrote about them."""
    tables, out = make_exchange(flow)
    digest, fills, seconds = hashlib.sha256(), [], 0.0
    for start in range(0, len(actions), BLOCK_ACTIONS):
        part = slice(start, start + BLOCK_ACTIONS)
        own_actions, own_accounts = actions[part], accounts[part]
        began = time.thread_time()
        apply_block(tables, out, own_actions, own_accounts)
        if start >= flow.prefill:
            seconds += time.thread_time() - began
        fills.append(out.fills[: int(tables.counters[FILL_COUNT])].copy())
        digest.update(fills[-1].tobytes())
        digest.update(out.receipts[: len(own_actions)].tobytes())
        forget_block(tables, out)
    return seconds, np.concatenate(fills), digest.hexdigest()[:16]


def digest_fills(fills: np.ndarray, places: np.ndarray) -> str:
    """The digest of trades as the obvious book has it. `places[k]` is the event of the k-th accepted place."""
    numbers = [places[fills[name] >> 24] for name in ("maker_order_id", "taker_order_id")]
    columns = (*numbers, fills["size_lots"], fills["price_ticks"], np.arange(len(fills)))
    return digest_columns(np.stack(columns, axis=1))


def measure_flow(flow: Flow, rounds: int) -> Row:
    """Actions per second of one flow."""
    report(f"whole engine, {flow.name}: the obvious book")
    events, _, _ = make_flow(flow)
    python_s, expected = run_python(ObviousBook(cancels_own=True), events, 1 + flow.prefill)
    actions, accounts = make_actions(events)
    report(f"whole engine, {flow.name}: compiles if it must, finds the ids of orders")
    resolve_ids(*make_exchange(flow), actions, accounts, events["target"][1:].astype(np.int64) - 1, BLOCK_ACTIONS)
    places = np.concatenate(([0], 1 + np.flatnonzero(actions["kind"] == PLACE)))
    seconds, digests = [], set()
    for turn in range(rounds):
        took_s, fills, digest = run_flow(flow, actions, accounts)
        if turn == 0:
            require_equal(f"trades of {flow.name}", digest_fills(fills, places), expected)
        digests.add(digest)
        require_equal(f"digests of {flow.name}", len(digests), 1)
        seconds.append(took_s)
        report(f"whole engine, {flow.name}: {flow.events / took_s / 1e6:.2f} M/s")
    figure = flow.events / statistics.median(seconds)
    ratio = python_s * figure / flow.events
    return Row(
        f"whole engine, {flow.name}, {flow.accounts:,} accounts", figure, "actions/s", TARGETS[flow.name], ratio,
        "obvious Python book, matching only", expected, f"{len(fills)} fills, {FILL.itemsize} bytes each",
    )  # fmt: skip


def run(rounds: int) -> list[Row]:
    """One row per flow."""
    return [measure_flow(flow, rounds) for flow in FLOWS]
