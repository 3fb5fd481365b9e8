"""What a node's memory of finalised blocks costs: `make bench-history`.

20,000 accounts, 50 markets, blocks of 5,000 actions in messages of 20: a third cancels the last block's orders, a third
rests new ones, a third trades at once. CPU of the thread from an executed block to a committed store, waiters and one
subscriber told, by command; and of looking up what a client asks.
"""

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from consensus.messages import FINALIZE, ZERO_HASH, Block, Certificate, Header
from engine.apply import BlockInput, execute
from engine.commands import ACTION, CANCEL, IMMEDIATE_OR_CANCEL, MESSAGE, PLACE, POST_ONLY
from engine.intake import decode_batch
from engine.payload import Batch, Payload
from engine.signatures import verify_messages
from engine.state import EngineState
from engine.tables import USER_ACCOUNT_FIRST
from tests.engine.bench_block import MARKETS, PRICE_TICKS, USERS, make_parent
from tests.engine.bench_exchange import owner_of
from validator.batches import CheckedBatch
from validator.executor import Executed, to_commitment
from validator.ledger import Ledger, gather_actions
from validator.stats import Stats
from validator.store import Store

MESSAGES, MESSAGE_ACTIONS, BATCH_MESSAGES, AUTHORS = 250, 20, 25, 4
BLOCK_ACTIONS = MESSAGES * MESSAGE_ACTIONS
MAKERS, MAKER_MESSAGES = 166, 166  # the other messages take
QUOTES = MESSAGE_ACTIONS // 2
STEP_MS = 100
QUESTIONS = 200
TARGET_US = 1.0
RESULTS = Path("build/results/bench-history.json")


class Flow:
    """Two messages of three are a market maker's, which cancels ten orders and makes ten; the third takes 20 times."""

    def __init__(self) -> None:
        self._draw = np.random.default_rng(11)
        self._orders = np.ones((MAKER_MESSAGES, QUOTES), np.int64)
        self._nonce = 0

    def make_batches(self) -> list[bytes]:
        self._nonce += 1
        draw = self._draw
        headers = np.zeros(MESSAGES, MESSAGE)
        takers = draw.choice(np.arange(MAKERS, USERS), MESSAGES - MAKER_MESSAGES, replace=False)
        owners = b"".join(owner_of(int(at)) for at in (*range(MAKER_MESSAGES), *takers))
        headers["owner"] = np.frombuffer(owners, np.uint8).reshape(-1, 20)
        headers["nonce"], headers["expiry_ms"], headers["count"] = self._nonce, 1 << 50, MESSAGE_ACTIONS
        actions = np.zeros((MESSAGES, MESSAGE_ACTIONS), ACTION)
        cancels, places = actions[:MAKER_MESSAGES, :QUOTES], actions[:MAKER_MESSAGES, QUOTES:]
        takes = actions[MAKER_MESSAGES:]
        cancels["kind"], cancels["order_id"] = CANCEL, self._orders
        places["kind"], places["time_in_force"] = PLACE, POST_ONLY
        places["side"] = np.arange(QUOTES) % 2
        markets = (np.arange(MAKER_MESSAGES)[:, None] * 7 + np.arange(QUOTES) // 2) % MARKETS
        places["market"] = cancels["market"] = markets
        away = 3 + draw.integers(0, 60, (MAKER_MESSAGES, QUOTES))
        places["price_ticks"] = PRICE_TICKS + away * (2 * places["side"].astype(np.int64) - 1)
        places["size_lots"] = 20 + draw.integers(0, 50, (MAKER_MESSAGES, QUOTES))
        takes["kind"], takes["time_in_force"] = PLACE, IMMEDIATE_OR_CANCEL
        takes["market"] = draw.integers(0, MARKETS, takes.shape)
        takes["side"] = draw.integers(0, 2, takes.shape)
        takes["price_ticks"] = PRICE_TICKS - 70 * (2 * takes["side"].astype(np.int64) - 1)
        takes["size_lots"] = 1 + draw.integers(0, 12, takes.shape)
        rows = [header.tobytes() + row.tobytes() for header, row in zip(headers, actions)]
        return [b"".join(rows[at : at + BATCH_MESSAGES]) for at in range(0, MESSAGES, BATCH_MESSAGES)]

    def learn(self, receipts: np.ndarray) -> None:
        """Remember the new orders' ids, which the next block cancels."""
        self._orders = receipts["order_id"][: MAKER_MESSAGES * MESSAGE_ACTIONS].reshape(-1, MESSAGE_ACTIONS)[:, QUOTES:]


class Head:
    """The state that the next block begins with; each is given up for the next."""

    def __init__(self) -> None:
        self.state: EngineState = make_parent()


def run_block(flow: Flow, head: Head) -> tuple[Block, Certificate, Executed, list[CheckedBatch]]:
    state = head.state
    sequence = int(state.batch_sequences.max())
    batches = []
    for at, blob in enumerate(flow.make_batches()):
        batch = Batch(at % AUTHORS, sequence + 1 + at, blob, bytes(64))
        messages, actions = decode_batch(blob)
        signers = messages["owner"].copy()
        ids = verify_messages(messages, actions, bytes(32), signers).ids
        batches.append(CheckedBatch(batch, batch.hash(), messages, actions, signers, ids))
    height, time_ms = state.height + 1, state.time_ms + STEP_MS
    inputs = tuple(checked.to_input() for checked in batches)
    block_input = BlockInput(height, time_ms, state.state_root, (), (), state.l1_block, inputs)
    head.state, result = execute(state, block_input, consume=True)
    flow.learn(result.receipts)
    refs = tuple((item.batch.author, item.batch.sequence, item.batch_hash) for item in batches)
    payload = Payload(refs, (), (), 1).encode()
    header = Header(
        1, height, height, bytes(32), height - 1, 0, time_ms, bytes(32), ZERO_HASH, to_commitment(result).encode()
    )  # fmt: skip
    block = Block(header, payload)
    certificate = Certificate(FINALIZE, 1, height, block.hash(), b"\7", bytes(96))
    return block, certificate, Executed(height, time_ms, bytes(32), head.state, result, None), batches


class Watch:
    """Adds up thread CPU by name."""

    def __init__(self) -> None:
        self.spent_s: dict[str, float] = {}

    def time(self, name: str, call: Callable[[], object]) -> None:
        began_s = time.thread_time()
        call()
        self.spent_s[name] = self.spent_s.get(name, 0.0) + time.thread_time() - began_s


def measure(folder: Path, blocks: int, skipped: int) -> dict[str, float]:
    """Microseconds of CPU a command, by part."""
    store, flow, head = Store(folder / "blocks.sqlite"), Flow(), Head()
    ledger, watch, counted, fills = Ledger(store, Stats(lambda: 0), head.state), Watch(), 0, 0
    sampled: list[tuple[bytes, int]] = []
    for number in range(blocks + skipped):
        block, certificate, executed, batches = run_block(flow, head)
        if number == skipped:
            watch, counted, fills = Watch(), 0, 0
        watch.time("store batches", partial(_put_batches, store, batches))
        watch.time("ledger.apply", partial(ledger.apply, block, certificate, executed, batches, is_live=True))
        watch.time("store.commit", store.commit)
        watch.time("ledger.publish", ledger.publish)
        watch.time("index (mostly a thread)", ledger.history.settle)
        counted += len(executed.result.receipts)
        fills += len(executed.result.fills)
        store.sync()
        if number % 20 == 0:
            watch.time("checkpoint (a thread)", store.checkpoint)
        last_ids, last_receipts = gather_actions(batches)[1], executed.result.receipts
        sampled.append((last_ids[number % len(last_ids)].tobytes(), int(last_receipts["code"][number % len(last_ids)])))
    figures = {name: spent_s * 1e6 / counted for name, spent_s in watch.spent_s.items()}
    figures |= measure_reads(ledger, sampled)
    figures["fills a command"] = fills / counted
    figures["bytes a command"] = sum(path.stat().st_size for path in folder.glob("blocks.sqlite")) / counted
    store.close()
    return figures


def measure_reads(ledger: Ledger, sampled: list[tuple[bytes, int]]) -> dict[str, float]:
    """Microseconds of CPU a question. `sampled`: ids and codes of some commands, oldest first."""
    for command_id, code in sampled:
        found = ledger.result(command_id, 0)
        if found is None or found.code != code:
            raise ValueError(f"command {command_id.hex()} has another result than the block said")
    newest, oldest, maker = sampled[-1][0], sampled[0][0], owner_of(0)
    account = USER_ACCOUNT_FIRST
    questions: dict[str, Callable[[], object]] = {
        "result, new": partial(ledger.history.find, newest, is_new=True),
        "result, from memory or disk": partial(ledger.result, oldest, 0),
        "result, unknown": partial(ledger.result, bytes(range(32)), 0),
        "100 trades of an account": partial(ledger.history.fills_of_account, account, 100),
        "100 trades of a market": partial(ledger.history.fills_of_market, 0, 100),
        "open orders of an account": partial(ledger.orders.open_of, maker, 0),
    }
    watch = Watch()
    for name, ask in questions.items():
        for _ in range(QUESTIONS):
            watch.time(name, ask)
    return {name: spent_s * 1e6 / QUESTIONS for name, spent_s in watch.spent_s.items()}


def _put_batches(store: Store, batches: list[CheckedBatch]) -> None:
    for checked in batches:
        store.put_batch(checked.batch_hash, checked.batch.author, checked.batch.sequence, checked.batch.encode())


def main() -> int:
    """0 when the history costs at most its target and says what the blocks said."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=60)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="hansa-history-"))
    try:
        figures = measure(folder, arguments.blocks, 5)
    finally:
        shutil.rmtree(folder)
    history_us = sum(figures[name] for name in ("ledger.apply", "store.commit", "ledger.publish"))
    for name, value in figures.items():
        print(f"{name:24} {value:9.3f}")
    print(f"{'history, us a command':24} {history_us:9.3f}  target {TARGET_US}")
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(figures | {"history_us": history_us}, indent=2))
    return 0 if history_us <= TARGET_US else 1


if __name__ == "__main__":
    raise SystemExit(main())
