"""From our clients' messages to batches on their way: when to seal, and what becomes of a batch that was passed by."""

from collections.abc import Callable

import trio

from validator.batches import CheckedBatch
from validator.clocks import Clocks
from validator.sealing import Sealer, SealPace, Taken


class OwnBatches:
    """Wakes for messages; `send(batch)` keeps and sends what was sealed, `breath_ms()` is that of the last block."""

    def __init__(
        self, author: int, sealer: Sealer, clocks: Clocks, send: Callable[[CheckedBatch], None],
        breath_ms: Callable[[], int],
    ) -> None:  # fmt: skip
        self._sealer = sealer
        self._clocks = clocks
        self._send = send
        self._breath_ms = breath_ms
        self._pace = SealPace(author)
        self._has_orders, self._is_full = trio.Event(), trio.Event()

    @property
    def waiting_count(self) -> int:
        """Actions that no batch holds yet."""
        return self._sealer.waiting_count

    def add(self, taken: Taken) -> None:
        """Messages that were judged and promised a batch."""
        self._has_orders.set()
        if self._sealer.add_taken(taken):
            self._is_full.set()

    def put_back(self, batches: list[CheckedBatch]) -> None:
        """Messages of batches of ours that no block can carry any more."""
        if batches:
            self._sealer.put_back(batches)
            self._has_orders.set()

    async def run(self) -> None:
        """What is enough for a batch at once, all that waits at the pace's beat. Until cancelled."""
        while True:
            await self._has_orders.wait()
            wait_ms = self._pace.wait_ms(self._clocks.monotonic_ms(), self._breath_ms())
            with trio.move_on_after(wait_ms / 1000) as pause:
                await self._is_full.wait()
            self._is_full = trio.Event()
            while (pause.cancelled_caught or self._sealer.is_full) and self._seal():
                await trio.lowlevel.checkpoint()
            if not self._sealer.waiting_count:
                self._has_orders = trio.Event()

    def _seal(self) -> bool:
        checked = self._sealer.seal()
        if checked is None:
            return False
        self._pace.on_sealed()
        self._send(checked)
        return True
