"""How long growing stops the exchange: `python -m tests.engine.bench --only growth`.

Accounts and orders are added in blocks until there are a million accounts, a thousand instruments and five million open
orders. Before every block the shell makes room (`make_outputs`), which is all that growing takes; the figure is the
longest such step.
"""

import time

import numpy as np

from engine.accounts import index_account
from engine.allocate import make_outputs, make_tables
from engine.commands import ACTION, PLACE
from engine.params import ExchangeParams
from engine.tables import (
    ACCOUNT,
    ACCOUNT_COUNT,
    DETAIL,
    MARK_EPOCH,
    ORDERS_LIVE,
    PHASE_CONTINUOUS,
    POSITION,
    POSITIONS_LIVE,
    USER_ACCOUNT_FIRST,
    Tables,
)
from tests.engine.bench_exchange import KEY_B, TIME_MS, apply_block, forget_block, perpetuals
from tests.engine.bench_row import Row, report, require_equal

ACCOUNTS, MARKETS, ORDERS = 1_000_000, 1_000, 5_000_000
BLOCK_ACTIONS = 10_000
MIDDLE_TICKS = 100_000
TARGET_MS = 20.0
LEAF_BYTES, REMEMBERED_BYTES = 2 * (32 + 16) + 32, (64 + 16) * 8  # hashes and sums of the tree; nonces, client ids
BOOK_BYTES = 32
REHEARSAL = 4  # blocks that compile


def make_exchange() -> Tables:
    """A thousand marked perpetuals and nobody."""
    params = ExchangeParams(
        perpetuals(MARKETS), bytes(20), 4, 1, bytes(20), accounts_max=1 << 20, account_orders_max=1024,
        book_orders_max=1 << 20,
        markets_max=1024, orders_max=ORDERS + 100_000, positions_max=(1 << 23) - 1, blocks_max=1 << 17,
    )  # fmt: skip
    tables = make_tables(params, TIME_MS)
    unit = MIDDLE_TICKS * 100
    values = {
        "mark_ticks": MIDDLE_TICKS, "mark_ms": TIME_MS, "is_fresh": 1, "buy_limit_ticks": 2 * MIDDLE_TICKS,
        "sell_limit_ticks": 1, "value_unit": unit, "notional_unit": unit, "im_long_unit": unit // 20,
        "im_short_unit": unit // 20, "phase": PHASE_CONTINUOUS,
    }  # fmt: skip
    for name, value in values.items():
        tables.markets[name] = value
    tables.counters[MARK_EPOCH] = 1
    return tables


def open_accounts(tables: Tables, count: int) -> None:
    """So many deposits of new users."""
    first = int(tables.counters[ACCOUNT_COUNT])
    rows = tables.accounts[first : first + count]
    rows["key_a"], rows["key_b"], rows["balance_quote"] = np.arange(first, first + count), KEY_B, 1 << 40
    tables.counters[ACCOUNT_COUNT] = first + count
    for account in range(first, first + count):
        index_account(tables, account)


def make_orders(draw: np.random.Generator, accounts: int) -> tuple[np.ndarray, np.ndarray]:
    """Orders that rest, of anybody, on either side."""
    actions = np.zeros(BLOCK_ACTIONS, ACTION)
    actions["kind"], actions["size_lots"] = PLACE, 1 + draw.integers(0, 5, BLOCK_ACTIONS)
    actions["market"], actions["side"] = draw.integers(0, MARKETS, (BLOCK_ACTIONS)), draw.integers(0, 2, BLOCK_ACTIONS)
    away = 1 + draw.integers(0, 500, BLOCK_ACTIONS)
    actions["price_ticks"] = MIDDLE_TICKS + np.where(actions["side"] == 1, away, -away)
    return actions, USER_ACCOUNT_FIRST + draw.integers(0, accounts, BLOCK_ACTIONS)


def run(_rounds: int) -> list[Row]:
    """One row: growing is done once."""
    report("growth: a thousand markets")
    draw = np.random.default_rng(11)
    tables, longest_ms, at, spent_s = make_exchange(), 0.0, (0, 0), 0.0
    blocks = ORDERS // BLOCK_ACTIONS
    for block in range(blocks):
        fresh = ACCOUNTS // blocks
        started = time.thread_time()
        out = make_outputs(tables, BLOCK_ACTIONS)
        step_ms = (time.thread_time() - started) * 1e3
        if step_ms > longest_ms and block >= REHEARSAL:
            longest_ms, at = step_ms, (int(tables.counters[ACCOUNT_COUNT]), int(tables.counters[ORDERS_LIVE]))
        open_accounts(tables, fresh)
        actions, accounts = make_orders(draw, (block + 1) * fresh)
        started = time.thread_time()
        apply_block(tables, out, actions, accounts)
        spent_s += time.thread_time() - started
        require_equal("refused orders", int(np.count_nonzero(out.receipts["code"][:BLOCK_ACTIONS])), 0)
        forget_block(tables, out)
        if block % 100 == 99:
            report(f"growth: {int(tables.counters[ORDERS_LIVE]):,} orders, longest step {longest_ms:.1f} ms")
    live, positions = int(tables.counters[ORDERS_LIVE]), int(tables.counters[POSITIONS_LIVE])
    require_equal("open orders", live, ORDERS)
    account_bytes, order_bytes = ACCOUNT.itemsize + LEAF_BYTES + REMEMBERED_BYTES, BOOK_BYTES + DETAIL.itemsize
    note = (
        f"at {at[0]:,} accounts, {at[1]:,} orders; {account_bytes} bytes an account, {order_bytes} an order,"
        f" {POSITION.itemsize} each of {positions:,} positions; {ORDERS / spent_s / 1e6:.1f} M orders/s meanwhile"
    )
    title = f"longest pause to grow to {ACCOUNTS:,} accounts, {ORDERS:,} orders"
    return [Row(title, longest_ms, "ms", TARGET_MS, "-", "", note=note)]
