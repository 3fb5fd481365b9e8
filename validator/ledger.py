"""What the node remembers of finalised blocks and tells its clients: results, trades, orders, books.

`apply` is called once per finalised block, in order, inside the node's loop; `publish` after the tick has made it
durable, so that nobody is told what a crash could take back. Both work on arrays: objects are made for whoever asks.
"""

from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import numpy as np
import trio

from consensus.messages import Block, Certificate
from engine import views
from engine.apply import BlockResult
from engine.commands import ACTION
from engine.results import Code, OrderState
from engine.state import EngineState
from engine.tables import NOTICE_FUNDING, NOTICE_LISTED, NOTICE_PARAMETER
from net.gateway.backend import BlockEvent, CommandResult, FillView, Status
from validator.answers import make_answers
from validator.batches import CheckedBatch
from validator.block_changes import BlockChanges
from validator.book_levels import WatchedBooks
from validator.closed_orders import ClosedOrders
from validator.command_keys import CommandKeys
from validator.executor import Executed
from validator.history import Found, History, first_place, make_results
from validator.market_history import MarketHistory
from validator.movements import Transfers
from validator.order_memory import KNOWN_FILL
from validator.orders import Orders, quote_per_tick_lot
from validator.shown import show_fill
from validator.stats import Stats
from validator.store import Store

SUBSCRIBER_EVENTS_MAX = 64
INDEX_INTERVAL_S = 0.25
REMEMBERED_INTERVAL_MS = 1_000
NO_IDS = np.empty((0, 32), np.uint8)


@dataclass(slots=True, eq=False)
class _Waiter:
    """A client that waits for a command; `place` is where its result lies once the event is set."""

    command_id: bytes
    event: trio.Event = field(default_factory=trio.Event)
    place: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class _Unpublished:
    """A block whose clients are not told yet: results with the place of the first, ids, and the event if somebody
    listens.
    """

    first: int
    codes: np.ndarray
    ids: np.ndarray
    event: BlockEvent | None


def gather_actions(batches: list[CheckedBatch]) -> tuple[np.ndarray, np.ndarray]:
    """Actions of a block in the order of its receipts, and their ids."""
    if not batches:
        return np.empty(0, ACTION), NO_IDS
    # As bytes: numpy is slow with records that it need not understand.
    actions = np.concatenate([checked.actions.view(np.uint8) for checked in batches]).view(ACTION)
    return actions, np.concatenate([checked.ids for checked in batches])


class Ledger:
    """See the module's text."""

    def __init__(self, store: Store, stats: Stats, state: EngineState) -> None:
        self._state = state
        self._store = store
        self._stats = stats
        self.orders = Orders(state)
        self.history = History(store, state.height, *self.orders.last_trades)
        self.market_history = MarketHistory(store)
        self.keys = CommandKeys()
        self.keys.restore(store, state.height)
        self.closed_orders = ClosedOrders(store, state.height, len(state.tables.accounts))
        self.transfers = Transfers(store)
        # By market, the rate for eight hours of the last hour that was funded, in 1e-9.
        self.funding_rates_ppb = self.market_history.last_rates_ppb()
        self.listing_changes = 0  # how often markets were listed or got other parameters since the node started
        self._books = WatchedBooks(state)
        self._waiters: dict[bytes, list[_Waiter]] = {}
        self._unpublished: deque[_Unpublished] = deque()
        # When blocks came from which on all results are in memory, with the place of each one's first: one a second is
        # enough to know.
        self._remembered: deque[tuple[int, int]] = deque()
        self._subscribers: list[trio.MemorySendChannel[BlockEvent]] = []

    def apply(
        self, block: Block, certificate: Certificate, executed: Executed, batches: list[CheckedBatch], is_live: bool
    ) -> None:
        """Store the block and everything that happened in it. `is_live`: just agreed on, not caught up with."""
        header, result, state = block.header, executed.result, executed.state
        if result is None:
            raise ValueError("a finalised block has a result")
        has_entries = result.inbox_cursor != self._state.inbox_cursor
        height, time_ms, self._state = header.height, header.timestamp_ms, state
        self._store.put_final(block, certificate)
        self._store.place_batches([checked.batch_hash for checked in batches], height)
        if len(result.notices):
            self._take_notices(result.notices)
        actions, ids = gather_actions(batches)
        fills = np.zeros(len(result.fills), KNOWN_FILL)
        changed = self.orders.follow(state, result, actions, fills, first_place(height), bool(self._subscribers))
        self.history.add(height, time_ms, ids, make_results(result.receipts), fills)
        if len(fills):
            self.market_history.add_fills(fills, time_ms, first_place(height) + len(fills) - 1)
        self.market_history.add(height, state, result.notices)
        parts = [(checked.messages, checked.actions) for checked in batches]
        self.keys.add(parts, result.receipts["account_index"], first_place(height))
        self.closed_orders.add(height, self.orders.left)
        self.transfers.add(height, time_ms, result.notices)
        self._store.put_withdrawals([(leaf[0], height, time_ms, *leaf[1:]) for leaf in result.withdrawals])
        if has_entries:
            self._store.put_answers(make_answers(block, result))
        self._stats.on_final(time_ms, len(actions), is_live)
        self._stats.on_codes(result.receipts["code"])
        if len(actions):
            self._remember(first_place(height), self._stats.last_final_ms)
        event = self._make_event(block, result, len(actions), fills, changed) if self._subscribers else None
        self._unpublished.append(_Unpublished(first_place(height), result.receipts["code"], ids, event))

    def _remember(self, first: int, now_ms: int) -> None:
        if not self._remembered or now_ms - self._remembered[-1][1] >= REMEMBERED_INTERVAL_MS:
            self._remembered.append((first, now_ms))

    def _take_notices(self, notices: np.ndarray) -> None:
        self.listing_changes += int(np.isin(notices["kind"], (NOTICE_LISTED, NOTICE_PARAMETER)).any())
        for notice in notices[notices["kind"] == NOTICE_FUNDING]:
            self.funding_rates_ppb[int(notice["subject"])] = int(notice["value_a"])

    def _make_event(
        self, block: Block, result: BlockResult, command_count: int, fills: np.ndarray, changed: np.ndarray
    ) -> BlockEvent:
        height, time_ms = block.header.height, block.header.timestamp_ms
        changes = BlockChanges(
            lambda: self._state, height, time_ms, fills, changed, result.receipts["account_index"],
            lambda places: self.results_at(places, 0),
        )  # fmt: skip
        return BlockEvent(
            height=height, header_hash=block.hash(), state_root=result.state_root, time_ms=time_ms,
            command_count=command_count, trade_count=len(fills),
            traded_markets=np.unique(fills["market"]).tolist(), trades_of=changes.trades_of, fills_of=changes.fills_of,
            orders_of=changes.orders_of, results_of=changes.results_of,
            book_changes=self._books.take_changes(self._state),
        )  # fmt: skip

    def watch_book(self, market: int) -> None:
        """See `Backend.watch_book`."""
        if market < views.market_count(self._state):
            self._books.watch(self._state, market)

    def forget_book(self, market: int) -> None:
        """See `Backend.forget_book`."""
        self._books.forget(market)

    def publish(self) -> None:
        """Tell waiters and subscribers of everything applied since the last call."""
        while self._unpublished:
            block = self._unpublished.popleft()
            if self._waiters:
                self._wake_waiters(block)
            if block.event is not None:
                self._send(block.event)

    def _wake_waiters(self, block: _Unpublished) -> None:
        keys = np.ascontiguousarray(block.ids[:, :8]).view("<u8").ravel()
        waited = np.array([int.from_bytes(name[:8], "little") for name in self._waiters], np.uint64)
        for at in np.flatnonzero(np.isin(keys, waited)).tolist():
            # Neither spends a nonce, see `History`.
            if block.codes[at] in (Code.UNKNOWN_ACCOUNT, Code.BAD_SIGNATURE):
                continue
            for waiter in self._waiters.pop(block.ids[at].tobytes(), ()):
                waiter.place = block.first + at
                waiter.event.set()

    def _send(self, event: BlockEvent) -> None:
        for channel in list(self._subscribers):
            try:
                channel.send_nowait(event)
            except (trio.WouldBlock, trio.BrokenResourceError):
                self._subscribers.remove(channel)
                channel.close()

    @asynccontextmanager
    async def subscribe(self) -> AsyncIterator[trio.MemoryReceiveChannel[BlockEvent]]:
        """A bounded channel of block events; closed when its reader lags."""
        send, receive = trio.open_memory_channel[BlockEvent](SUBSCRIBER_EVENTS_MAX)
        self._subscribers.append(send)
        try:
            async with receive:
                yield receive
        finally:
            if send in self._subscribers:
                self._subscribers.remove(send)
            send.close()

    def watch_alike(self, other: "Ledger") -> None:
        """Watch the books that are watched there: this one takes its place."""
        self._books.watch_alike(self._state, other._books)

    def close(self) -> None:
        """Nobody hears anything more from here: who waits for a command knows nothing of it, and channels end."""
        for waiter in [waiter for same in self._waiters.values() for waiter in same]:
            waiter.event.set()
        for channel in self._subscribers:
            channel.close()
        self._subscribers.clear()

    async def keep_index(self) -> None:
        """Sort and merge the index of commands in a thread, for ever; what comes of it is written with the next
        blocks. A mirror leaves that to the node.
        """
        while True:
            await trio.sleep(INDEX_INTERVAL_S)
            if self._store.is_mirror:
                self.history.index.follow_store()
            while not self._store.is_mirror and (work := self.history.index.next_work()) is not None:
                pages = await trio.to_thread.run_sync(work.make)
                self.history.index.complete(work, pages)
            while self._remembered and self._remembered[0][0] <= self.history.index.taken_over:
                self._remembered.popleft()

    def remembers_since(self, wall_ms: int) -> bool:
        """Whether the results of all blocks that came since then are in memory."""
        return bool(self._remembered) and self._remembered[0][1] <= wall_ms

    async def wait(
        self, command_id: bytes, timeout_s: float, onchain_height: int, is_new: bool = False
    ) -> CommandResult | None:
        """The certified result, or None after `timeout_s`. `is_new`: see `History.find`."""
        found = self.history.find(command_id, is_new)
        if found is None:
            waiter = _Waiter(command_id)
            self._waiters.setdefault(command_id, []).append(waiter)
            try:
                with trio.move_on_after(timeout_s):
                    await waiter.event.wait()
            finally:
                waiting = self._waiters.get(command_id, [])
                if waiter in waiting:
                    waiting.remove(waiter)
                    if not waiting:
                        del self._waiters[command_id]
            found = self.history.result_at(waiter.place, command_id) if waiter.place else None
        return None if found is None else self._show(command_id, found, onchain_height)

    def result(self, command_id: bytes, onchain_height: int) -> CommandResult | None:
        """What a finalised block made of the command."""
        found = self.history.find(command_id)
        return None if found is None else self._show(command_id, found, onchain_height)

    def result_at(self, place: int, command_id: bytes, onchain_height: int) -> CommandResult | None:
        """What one final block made of the command, whatever others did."""
        found = self.history.result_at(place, command_id)
        return None if found is None else self._show(command_id, found, onchain_height)

    def find_place(self, command_id: bytes) -> int | None:
        """Where the result lies that `result` tells."""
        found = self.history.find(command_id)
        return None if found is None else found.place

    def results_at(self, places: Sequence[int], onchain_height: int) -> list[CommandResult]:
        """The results at these places, whoever's they are."""
        named = [found for place in places if (found := self.history.named_result_at(place)) is not None]
        return [self._show(command_id, found, onchain_height) for command_id, found in named]

    def _show(self, command_id: bytes, found: Found, onchain_height: int) -> CommandResult:
        order_id, filled_lots, remaining_lots, filled_value, withdrawal, account, cancelled, code, order_state, _ = (
            found.row.item()
        )
        fills: tuple[FillView, ...] = ()
        if filled_lots:
            trades = self.history.fills_of_order(order_id, found.height)
            fills = tuple(show_fill(trade, trade.row["taker_account"] != account) for trade in trades)
        value_unit = quote_per_tick_lot(self._state, fills[0].market) if fills else 0
        return CommandResult(
            command_id=command_id,
            status=Status.ON_CHAIN if found.height <= onchain_height else Status.CERTIFIED,
            code=Code(code), order_state=OrderState(order_state), order_id=order_id, filled_lots=filled_lots,
            remaining_lots=remaining_lots, filled_value_quote=filled_value * value_unit,
            height=found.height, time_ms=found.time_ms, fills=fills, cancelled_count=cancelled,
            withdrawal_index=None if withdrawal < 0 else withdrawal,
        )  # fmt: skip
