"""From 96-byte records to an executed and sealed block: `python -m tests.engine.bench --only block`.

20,000 accounts, 50 markets; 100 market makers renew their quotes, in messages of 20 actions, 5,000 actions a block: ten
cancels of the last message's orders, ten new orders. Signers are known (`bench_signatures` measures how). The baseline
works on a copy of the parent; both ways must have the same root after every block. One block in ten is repriced.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

import engine.apply
from engine.apply import BatchInput, BlockInput, BlockResult, execute
from engine.commands import ACTION, CANCEL, MESSAGE, PLACE
from engine.intake import decode_batch
from engine.params import ExchangeParams
from engine.payload import PriceReport
from engine.state import EngineState
from engine.tables import USER_ACCOUNT_FIRST
from tests.engine.bench_exchange import TIME_MS, make_state, owner_of, perpetuals
from tests.engine.bench_row import Row, report, require_equal

USERS, MARKETS, MAKERS, AUTHORS = 20_000, 50, 100, 4
MESSAGES, MESSAGE_ACTIONS = 250, 20
BLOCK_ACTIONS = MESSAGES * MESSAGE_ACTIONS
BATCH_MESSAGES = 25
PRICE_E8, PRICE_TICKS = 10**13, 1_000_000
STEP_MS = 100
TARGET_MS, SHARE_TARGET = 3.0, 2.0
QUOTES = MESSAGE_ACTIONS // 2
STAGES = (
    "gather", "make_outputs", "apply_reports", "run_clock", "liquidate", "judge_messages",
    "order_actions", "apply_actions", "compute_events_digest", "seal", "require_invariants",
)  # fmt: skip


def make_parent() -> EngineState:
    """Users with a million USD each, every market marked."""
    params = ExchangeParams(
        perpetuals(MARKETS), bytes(20), AUTHORS, 1, bytes(20), accounts_max=32_768, account_orders_max=1024,
        book_orders_max=1 << 18, markets_max=64, orders_max=1 << 20, positions_max=1 << 20, blocks_max=1 << 15,
    )  # fmt: skip
    state = make_state(params, USERS, 10**12)
    feeds = (PRICE_E8,) * MARKETS
    reports = tuple(PriceReport(validator, TIME_MS + STEP_MS, feeds, bytes(64)) for validator in range(3))
    return execute(state, BlockInput(1, TIME_MS + STEP_MS, bytes(32), reports, (), 0, ()), consume=True)[0]


class Makers:
    """What the market makers send: each message renews ten quotes."""

    def __init__(self) -> None:
        self.draw = np.random.default_rng(5_000)
        self.nonce = 0
        self.orders = np.zeros((MESSAGES, QUOTES), np.int64)  # ids of the last block's orders

    def make_batches(self) -> list[bytes]:
        """The bytes of ten batches of 25 messages."""
        self.nonce += 1
        headers = np.zeros(MESSAGES, MESSAGE)
        owners = b"".join(owner_of(at % MAKERS) for at in range(MESSAGES))
        headers["owner"] = np.frombuffer(owners, np.uint8).reshape(-1, 20)
        headers["nonce"] = self.nonce * 4 + np.arange(MESSAGES) // MAKERS
        headers["expiry_ms"], headers["count"] = 1 << 50, MESSAGE_ACTIONS
        actions = np.zeros((MESSAGES, MESSAGE_ACTIONS), ACTION)
        cancels, places = actions[:, :QUOTES], actions[:, QUOTES:]
        cancels["kind"], cancels["order_id"] = CANCEL, np.maximum(self.orders, 1)
        places["kind"], places["side"] = PLACE, np.arange(QUOTES) % 2
        markets = (np.arange(MESSAGES)[:, None] * 7 + np.arange(QUOTES) // 2) % MARKETS
        places["market"] = cancels["market"] = markets
        away = 3 + self.draw.integers(0, 60, (MESSAGES, QUOTES))
        crossing = self.draw.integers(0, 25, (MESSAGES, QUOTES)) == 0
        places["price_ticks"] = PRICE_TICKS + np.where(crossing, -20, away) * (2 * places["side"].astype(np.int64) - 1)
        places["size_lots"] = 1 + self.draw.integers(0, 50, (MESSAGES, QUOTES))
        rows = [header.tobytes() + row.tobytes() for header, row in zip(headers, actions)]
        return [b"".join(rows[at : at + BATCH_MESSAGES]) for at in range(0, MESSAGES, BATCH_MESSAGES)]

    def learn(self, result: BlockResult) -> None:
        """Remember the new orders' ids."""
        self.orders = result.receipts["order_id"].reshape(MESSAGES, MESSAGE_ACTIONS)[:, QUOTES:].copy()


def run_block(state: EngineState, blobs: list[bytes], is_consumed: bool) -> tuple[EngineState, BlockResult]:
    """Decode, judge, order, execute, seal."""
    batches, sequence = [], int(state.batch_sequences.max())
    for at, blob in enumerate(blobs):
        messages, actions = decode_batch(blob)
        batches.append(BatchInput(at % AUTHORS, sequence + 1 + at, messages, actions, messages["owner"]))
    block = BlockInput(
        state.height + 1, state.time_ms + STEP_MS, state.state_root, (), (), state.l1_block, tuple(batches)
    )
    return execute(state, block, consume=is_consumed)


class Stopwatch:
    """Adds up the time of each stage of `execute`, by standing before its functions while it is open."""

    def __init__(self) -> None:
        self.spent_s = dict.fromkeys(STAGES, 0.0)

    def __enter__(self) -> "Stopwatch":
        self.kept = {name: getattr(engine.apply, name) for name in STAGES}
        for name, function in self.kept.items():
            setattr(engine.apply, name, self.wrap(name, function))
        return self

    def __exit__(self, *_: object) -> None:
        for name, function in self.kept.items():
            setattr(engine.apply, name, function)

    def wrap(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any, **keywords: Any) -> Any:
            started = time.thread_time()
            result = function(*arguments, **keywords)
            self.spent_s[name] += time.thread_time() - started
            return result

        return timed


def run(rounds: int) -> list[Row]:
    """The block and the invariants' share of it."""
    own, parent, makers = make_parent(), make_parent(), Makers()
    require_equal("roots of two fresh exchanges", own.state_root, parent.state_root)
    own_ms, copy_ms, shares, blocks = [], [], [], 0
    stages = {name: [] for name in ("decode", *STAGES, "rest")}  # type: dict[str, list[float]]
    for turn in range(3 + 10 * max(rounds // 4, 1)):
        blobs = makers.make_batches()
        with Stopwatch() as watch:
            started = time.thread_time()
            own, result = run_block(own, blobs, True)
            took_s = time.thread_time() - started
        started = time.thread_time()
        parent, twin = run_block(parent, blobs, False)
        copy_s = time.thread_time() - started
        require_equal("roots with and without a copy", result.commitment, twin.commitment)
        refused = int(np.count_nonzero((result.receipts["code"] != 0) & (result.receipts["code"] != 308)))
        require_equal("refused actions", refused, 0)
        makers.learn(result)
        if turn >= 3:
            blocks += 1
            own_ms.append(took_s * 1e3)
            copy_ms.append(copy_s * 1e3)
            shares.append(watch.spent_s["require_invariants"] / took_s * 100)
            for name, spent_s in watch.spent_s.items():
                stages[name].append(spent_s * 1e3)
            stages["rest"].append((took_s - sum(watch.spent_s.values())) * 1e3)
    report(f"{blocks} blocks, slowest {max(own_ms):.2f} ms, {len(result.fills)} fills in the last")
    figure_ms = float(np.median(own_ms))
    profile = ", ".join(f"{name} {np.median(spent):.2f}" for name, spent in stages.items() if spent)
    orders = int(np.count_nonzero(own.tables.details["rank"]))
    return [
        Row(
            f"records to sealed block, {BLOCK_ACTIONS:,} actions, {USERS:,} accounts", figure_ms, "ms", TARGET_MS,
            float(np.median(copy_ms)) / figure_ms, "with a copy of the parent", own.state_root.hex()[:16],
            f"ms: {profile}; {orders:,} orders; {USER_ACCOUNT_FIRST + USERS:,} leaves",
        ),
        Row("invariants' share of such a block", float(np.median(shares)), "%", SHARE_TARGET, "-", ""),
    ]  # fmt: skip
