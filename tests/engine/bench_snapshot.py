"""A million accounts written down and read back: `python -m tests.engine.bench --only snapshot`.

Every account has money and two spent nonces, half of them a position. Reading checks everything: links, sums, books,
and the state root, so all accounts are hashed anew. What is read back must have the same root and give the same bytes.
"""

import statistics
import time
from collections.abc import Callable

import numpy as np

from engine.accounts import make_indexes
from engine.apply import BlockInput, execute
from engine.params import ExchangeParams
from engine.payload import PriceReport
from engine.snapshot import content_hash, decode_snapshot, encode_snapshot
from engine.state import EngineState
from engine.tables import (
    POSITIONS_LIVE,
    POSITIONS_OPEN,
    POSITIONS_USED,
    USER_ACCOUNT_FIRST,
)
from tests.engine.bench_exchange import TIME_MS, make_state, perpetuals, seal_all
from tests.engine.bench_row import Row, report, require_equal

USERS, HOLDERS, MARKETS, LOTS = 1_000_000, 500_000, 10, 5
TARGET_S = 1.0
ROUNDS_MAX = 3  # seconds each
PRICE_E8 = 10**13


def make_million() -> EngineState:
    """One block old. Holders in twos: one is long what the next is short."""
    params = ExchangeParams(
        perpetuals(MARKETS), bytes(20), 4, 1, bytes(20), accounts_max=1 << 20, positions_max=1 << 20
    )
    state = make_state(params, USERS, 10**10)
    feeds = (PRICE_E8,) * MARKETS
    reports = tuple(PriceReport(validator, TIME_MS + 1_000, feeds, bytes(64)) for validator in range(3))
    block = BlockInput(1, TIME_MS + 1_000, bytes(32), reports, (), 0, ())
    state = execute(state, block, consume=True)[0]
    tables, rows = state.tables, 1 + np.arange(HOLDERS)
    holders = USER_ACCOUNT_FIRST + rows - 1
    positions = tables.positions[1 : 1 + HOLDERS]
    positions["account"], positions["market"] = holders, (rows - 1) // 2 % MARKETS
    positions["lots"], positions["is_live"] = np.where(rows % 2 == 1, LOTS, -LOTS), 1
    accounts = tables.accounts
    accounts["position_first"][holders], accounts["position_count"][holders] = rows, 1
    accounts["nonce_count"][USER_ACCOUNT_FIRST : USER_ACCOUNT_FIRST + USERS] = 2
    tables.nonces[USER_ACCOUNT_FIRST : USER_ACCOUNT_FIRST + USERS, :2] = (1, 2)
    held_lots = np.bincount(positions["market"][::2], minlength=MARKETS) * LOTS
    tables.markets["open_interest_lots"][:MARKETS] = tables.markets["short_lots"][:MARKETS] = held_lots
    counters = tables.counters
    counters[POSITIONS_USED] = 1 + HOLDERS
    counters[[POSITIONS_LIVE, POSITIONS_OPEN]] = HOLDERS
    state.tables = make_indexes(tables)
    seal_all(state)
    return state


def measure_stages(action: Callable[[], object]) -> tuple[float, float, object]:
    """Wall and CPU seconds, and the result."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = action()
    return time.perf_counter() - wall, time.process_time() - cpu, result


def run(rounds: int) -> list[Row]:
    """Writing and reading."""
    report("snapshot: a state of a million accounts")
    state = make_million()
    taken: dict[str, list[float]] = {"write": [], "read": []}
    data = b""
    for _ in range(min(rounds, ROUNDS_MAX)):
        _, write_s, data = measure_stages(lambda: encode_snapshot(state))
        _, read_s, twin = measure_stages(lambda: decode_snapshot(data, state.params))  # noqa: B023
        require_equal("root of what was read", twin.state_root, state.state_root)
        require_equal("bytes of what was read, written again", encode_snapshot(twin) == data, True)
        for key, spent_s in (("write", write_s), ("read", read_s)):
            taken[key].append(spent_s)
        report(f"snapshot: written {write_s:.2f} s, read {read_s:.2f} s")
    medians = {key: statistics.median(spent) for key, spent in taken.items()}
    digest, size = content_hash(data).hex()[:16], f"{len(data) / 1e6:.1f} MB, {len(data) / USERS:.0f} bytes an account"
    return [
        Row("snapshot of a million accounts written", medians["write"], "s", TARGET_S, "-", "", digest, size),
        Row("the same read, checked and hashed", medians["read"], "s", TARGET_S, "-", "", digest),
    ]
