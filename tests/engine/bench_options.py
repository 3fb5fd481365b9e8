"""Market makers in portfolio margin quote 500 options: `python -m tests.engine.bench --only options`.

100 market makers, 100 series each, renew both sides of a quote at a time: two cancels, two places; now and then a taker
of 20 lifts an offer or hits a bid, and everybody's scenarios change. The baseline is the same flow in cross margin: the
accounts are so rich that both accept everything, and all fills must be the same.
"""

import hashlib
import statistics
import time

import numpy as np

from engine.allocate import make_outputs
from engine.apply import BlockInput, execute
from engine.commands import ACTION, CANCEL, IMMEDIATE_OR_CANCEL, PLACE
from engine.params import ExchangeParams, MarketParams
from engine.payload import PriceReport
from engine.state import EngineState
from engine.tables import FILL_COUNT, MODE_CROSS, MODE_PORTFOLIO, USER_ACCOUNT_FIRST
from tests.engine.bench_exchange import MARKET, TIME_MS, apply_block, forget_block, make_state, resolve_ids
from tests.engine.bench_row import Row, report, require_equal

DAY_MS, E8, OFFSET = 86_400_000, 10**8, 1 << 32
EXPIRIES, STRIKES = (7, 14, 30, 60, 180), 50
SERIES = len(EXPIRIES) * STRIKES * 2
MAKERS, TAKERS, HELD = 100, 20, 100
PREFILL_STEPS, STEPS, BLOCK_ACTIONS = MAKERS * HELD, 40_000, 10_000
INDEX_E8 = 50_000 * E8
SURFACE = (1_000_000, 4_000_000, -30_000_000, 0, 10_000_000)
TARGET = 1_000_000
PREFILL = 4 * PREFILL_STEPS


def make_params() -> ExchangeParams:
    """A perpetual, and calls and puts of five expiries at fifty strikes."""
    option = {"initial_margin_bps": 1500, "maintenance_margin_bps": 900, "underlying": "BTC"}
    shape = dict(zip(MarketParams.__dataclass_fields__, ("", "1", "0.01", 10_000, 1500, 900, 2, 5, 9000)))
    shape |= {
        "size_lots_max": 1_000, "position_lots_max": 100_000, "oracle_step_bps_max": 500, "oracle_stale_ms": 15_000,
    } | option  # fmt: skip
    markets = [MarketParams("BTC-PERPETUAL", *MARKET)]
    for days in EXPIRIES:
        for step in range(STRIKES):
            for kind in ("call", "put"):
                strike = str(40_000 + 400 * step)
                facts = {"symbol": f"BTC-{days}D-{strike}-{kind[0].upper()}", "kind": kind, "strike": strike}
                markets.append(MarketParams(**(shape | facts | {"expiry_ms": TIME_MS + days * DAY_MS})))
    return ExchangeParams(
        tuple(markets), bytes(20), 1, 1, bytes(20), accounts_max=4096, account_orders_max=1024, markets_max=1024,
        orders_max=1 << 18, positions_max=1 << 18, blocks_max=1 << 16,
    )  # fmt: skip


def make_world(mode: int) -> EngineState:
    """Accounts with a billion USD each in a margin mode, one repriced block behind them."""
    state = make_state(make_params(), MAKERS + TAKERS, 10**14)
    state.tables.accounts["mode"][USER_ACCOUNT_FIRST : USER_ACCOUNT_FIRST + MAKERS + TAKERS] = mode
    a, b, rho, m, sigma = SURFACE
    feeds = [INDEX_E8]
    for _ in EXPIRIES:
        feeds += [INDEX_E8, a + OFFSET, b, rho + OFFSET, m + OFFSET, sigma]
    time_ms = TIME_MS + 1_000
    report_of_one = (PriceReport(0, time_ms, tuple(feeds), bytes(64)),)
    return execute(state, BlockInput(1, time_ms, bytes(32), report_of_one, (), 0, ()), consume=True)[0]


def make_flow(mark_ticks: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Actions, accounts, and the number of the action whose order each cancel names. Four a step, or one of a taker."""
    draw = np.random.default_rng(500)
    steps = PREFILL_STEPS + STEPS
    actions, accounts = np.zeros(PREFILL + 4 * STEPS, ACTION), np.zeros(PREFILL + 4 * STEPS, np.int64)
    targets = np.zeros(len(actions), np.int64)
    last = np.full((MAKERS, SERIES), -1)
    pairs = np.concatenate((np.arange(PREFILL_STEPS), draw.integers(0, PREFILL_STEPS, STEPS)))
    jitter, takes = draw.integers(0, 6, (steps, 2)), draw.integers(0, 5, steps)
    at = 0
    for step in range(steps):
        maker, slot = divmod(int(pairs[step]), HELD)
        series = (maker * 5 + slot * (SERIES // HELD)) % SERIES
        market, mid = 1 + series, int(mark_ticks[1 + series])
        known = last[maker, series]
        if known >= 0:
            for side in range(2):
                actions[at]["kind"], actions[at]["market"] = CANCEL, market
                accounts[at], targets[at] = USER_ACCOUNT_FIRST + maker, known + side
                at += 1
        last[maker, series] = at
        for side in range(2):
            away = 2 + int(jitter[step, side])
            row = actions[at]
            row["kind"], row["side"], row["market"], row["size_lots"] = PLACE, side, market, 5 + away
            row["price_ticks"] = mid + away if side else max(mid - away, 1)
            accounts[at] = USER_ACCOUNT_FIRST + maker
            at += 1
        if takes[step] == 0 and step > PREFILL_STEPS:
            side, row = step & 1, actions[at]
            row["kind"], row["side"], row["market"], row["time_in_force"] = PLACE, side, market, IMMEDIATE_OR_CANCEL
            row["size_lots"], row["price_ticks"] = 3, max(mid - 4, 1) if side else mid + 4
            accounts[at] = USER_ACCOUNT_FIRST + MAKERS + step % TAKERS
            at += 1
        if at > len(actions) - 5:
            break
    return actions[:at], accounts[:at], targets[:at]


def run_mode(mode: int, flow: tuple[np.ndarray, np.ndarray, np.ndarray]) -> tuple[float, str, int, int]:
    """Seconds and number of the actions behind the first quotes, digest of fills, their count."""
    tables = make_world(mode).tables
    out = make_outputs(tables, BLOCK_ACTIONS)
    actions, accounts, _ = flow
    digest, seconds, fills, timed = hashlib.sha256(), 0.0, 0, 0
    for start in range(0, len(actions), BLOCK_ACTIONS):
        part = slice(start, start + BLOCK_ACTIONS)
        began = time.thread_time()
        apply_block(tables, out, actions[part], accounts[part])
        took_s = time.thread_time() - began
        if start >= PREFILL // 2:
            seconds, timed = seconds + took_s, timed + len(actions[part])
        count = int(tables.counters[FILL_COUNT])
        digest.update(out.fills[:count].tobytes())
        digest.update(out.receipts[: len(actions[part])]["code"].tobytes())
        fills += count
        forget_block(tables, out)
    return seconds, digest.hexdigest()[:16], fills, timed


def run(rounds: int) -> list[Row]:
    """One row."""
    report("options: 500 series are marked, quotes drawn")
    state = make_world(MODE_PORTFOLIO)
    flow = make_flow(state.tables.markets["mark_ticks"])
    tables = state.tables
    resolve_ids(tables, make_outputs(tables, BLOCK_ACTIONS), *flow, BLOCK_ACTIONS)
    taken: dict[int, list[float]] = {MODE_PORTFOLIO: [], MODE_CROSS: []}
    expected, fills, timed = "", 0, 0
    for turn in range(rounds):
        for mode in sorted(taken, reverse=turn % 2 == 0):
            seconds, digest, fills, timed = run_mode(mode, flow)
            expected = expected or digest
            require_equal("fills of options in another margin mode or round", digest, expected)
            taken[mode].append(seconds)
            report(f"options, mode {mode}: {timed / seconds / 1e6:.2f} M/s")
    portfolio_s, cross_s = statistics.median(taken[MODE_PORTFOLIO]), statistics.median(taken[MODE_CROSS])
    return [
        Row(
            f"portfolio margin, {MAKERS} market makers quote {SERIES} options", timed / portfolio_s, "actions/s",
            TARGET, cross_s / portfolio_s, "the same in cross margin", expected, f"{fills:,} fills",
        )
    ]  # fmt: skip
