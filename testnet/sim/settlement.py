"""The settlement chain: blocks every second, the newest of them not final yet, and every node's own late view of it."""

import random
from typing import Protocol

from engine.payload import InboxEntry
from testnet.sim.exchange import make_entry

BLOCK_MS = 1_000
FINAL_AFTER_BLOCKS = 2


class Deposits(Protocol):
    """What a run asks of its settlement chain. Times are virtual."""

    entries: list[InboxEntry]

    def deposit(self, now_ms: int) -> None: ...

    def reorganise(self, now_ms: int) -> bool: ...

    def poll(self, now_ms: int, from_index: int) -> tuple[int, list[InboxEntry]]: ...


class SettlementChain:
    """Deposits and forced withdrawals become entries when their block is final; a reorganisation moves the others."""

    def __init__(self, rng: random.Random, deposits: list[tuple[bytes, int]]) -> None:
        """`deposits`: owner and quote of those that stand in the first block."""
        self._rng = rng
        self._owners = [owner for owner, _ in deposits]
        self._waiting = [(0, owner, amount_quote) for owner, amount_quote in deposits]  # by block
        self.entries: list[InboxEntry] = []
        self._entry_blocks: list[int] = []

    def deposit(self, now_ms: int) -> None:
        """Somebody pays in or wants out: in the block that is next."""
        owner = self._rng.choice(self._owners)
        self._waiting.append((now_ms // BLOCK_MS + 1, owner, self._rng.randint(1, 10**9)))

    def reorganise(self, now_ms: int) -> bool:
        """The blocks that are not final come again, their transactions in another order, a block later. True when
        anything moved.
        """
        self._settle(now_ms)
        if not self._waiting:
            return False
        self._rng.shuffle(self._waiting)
        self._waiting = [(now_ms // BLOCK_MS + 1, owner, amount_quote) for _, owner, amount_quote in self._waiting]
        return True

    def poll(self, now_ms: int, from_index: int) -> tuple[int, list[InboxEntry]]:
        """The final block, and the entries from an index on that it and its predecessors hold."""
        self._settle(now_ms)
        final = max(0, now_ms // BLOCK_MS - FINAL_AFTER_BLOCKS)
        known = [entry for entry, block in zip(self.entries, self._entry_blocks) if block <= final]
        return final, known[from_index:]

    def _settle(self, now_ms: int) -> None:
        final = max(0, now_ms // BLOCK_MS - FINAL_AFTER_BLOCKS)
        self._waiting.sort(key=lambda item: item[0])
        while self._waiting and self._waiting[0][0] <= final:
            block, owner, amount_quote = self._waiting.pop(0)
            self.entries.append(make_entry(len(self.entries), owner, amount_quote, block))
            self._entry_blocks.append(block)
