"""One node's parts under the load of `make bench-net`, without agreement, links and gateway: see `bench_parts`."""

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from engine.payload import BATCH_ACTIONS_MAX, BATCH_MESSAGES_MAX, INBOX_ENTRIES_MAX, InboxEntry
from engine.results import Code
from net.identity import NetworkSigner
from testnet.bench_net.accounts import derive_traders
from testnet.bench_net.signing import sign_messages
from testnet.bench_net.traffic import Trader
from tests.validator.chainlet import DOMAIN, GENESIS_STATE, NETWORK_KEYS, SEEDS, SEPARATOR, TOKEN, Chainlet, certify
from validator.batches import CheckedBatch, check_batch
from validator.ledger import Ledger
from validator.stats import Stats
from validator.store import Store

ACTIONS_PER_BLOCK = {1: 400, 20: 2_500, 100: 5_000}
BLOCKS = 20
NOW_MS = 1_000
DEPOSIT_QUOTE = 2 * 10**12

T = TypeVar("T")


class Bench:
    """One node's parts under one kind of load."""

    def __init__(self, folder: Path) -> None:
        self.chain = Chainlet()
        self.store = Store(folder / "blocks.sqlite")
        self.stats = Stats(lambda: NOW_MS)
        self.ledger = Ledger(self.store, self.stats, GENESIS_STATE)
        self.signer = NetworkSigner(SEEDS[0], DOMAIN)
        self.traders = derive_traders(0, [0])
        self.certificate = certify(self.chain.fund())
        self.cpu_s: Counter[str] = Counter()
        self.sequence = 0
        self.signed = 0

    def fund(self) -> None:
        entries = [_deposit(number, trader) for number, trader in enumerate(self.traders, 3)]
        for at in range(0, len(entries), INBOX_ENTRIES_MAX):
            self.chain.add([], tuple(entries[at : at + INBOX_ENTRIES_MAX]))

    def run_block(self, actions_per_message: int, messages: int) -> None:
        signed = sign_messages(self.traders, messages, actions_per_message, SEPARATOR, NOW_MS, self.signed)
        self.signed += messages
        per_batch = max(1, min(BATCH_MESSAGES_MAX, BATCH_ACTIONS_MAX // actions_per_message))
        batches = [self.take(signed.records[at : at + per_batch].tobytes()) for at in range(0, messages, per_batch)]
        # The chain executes a block twice: as its leader, and again as whoever was only told of it.
        block = self._time("execute, as leader and as voter", lambda: self.chain.add(batches))
        final = self.chain.executor.final
        self._time("history", lambda: self.ledger.apply(block, self.certificate, final, batches, is_live=True))
        self._time("publish", self.ledger.publish)
        self._time("commit of the store", self.store.commit)

    def take(self, messages: bytes) -> CheckedBatch:
        self.sequence += 1
        batch = self._time("seal", lambda: self.signer.sign_batch(0, self.sequence, messages))
        checked = self._time("check a batch", lambda: check_batch(batch, NETWORK_KEYS[0], DOMAIN, SEPARATOR))
        if checked is None:
            raise ValueError("our own batch is not good")
        self._time(
            "keep a batch", lambda: self.store.put_batch(checked.batch_hash, 0, batch.sequence, checked.batch.encode())
        )
        return checked

    def _time(self, part: str, action: Callable[[], T]) -> T:
        started_s = time.process_time()
        result = action()
        self.cpu_s[part] += time.process_time() - started_s  # type: ignore[assignment]
        return result


def _deposit(number: int, trader: Trader) -> InboxEntry:
    return InboxEntry(
        number, 1, TOKEN, trader.owner, trader.subaccount, trader.owner, DEPOSIT_QUOTE, bytes(32), 0
    )  # fmt: skip


def measure(folder: Path, actions_per_message: int) -> tuple[dict[str, float], float]:
    """CPU microseconds a command of each part, and the share of commands that the engine accepted."""
    bench, messages = Bench(folder), ACTIONS_PER_BLOCK[actions_per_message] // actions_per_message
    bench.fund()
    bench.run_block(actions_per_message, messages)
    bench.cpu_s.clear()
    before = Counter(bench.stats.actions_by_code())
    for _ in range(BLOCKS):
        bench.run_block(actions_per_message, messages)
    codes = Counter(bench.stats.actions_by_code()) - before
    return {part: used_s * 1e6 / codes.total() for part, used_s in bench.cpu_s.items()}, codes[Code.OK] / codes.total()
