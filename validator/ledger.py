"""What the node remembers of finalised blocks and tells its clients: results, trades, orders, books.

`apply` is called once per finalised block, in order, inside the node's loop; `publish` after the tick has made it
durable, so that nobody is told what a crash could take back.
"""

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import trio

from consensus.messages import Block, Certificate
from engine import views
from engine.commands import BUY, PLACE, Action
from engine.params import ExchangeParams
from engine.results import Code, OrderState
from engine.state import EngineState
from net.gateway.backend import (
    AccountFill,
    BlockEvent,
    CommandResult,
    FillView,
    LevelChange,
    OrderView,
    Status,
    TradeView,
)
from validator.batches import CheckedBatch
from validator.executor import Executed
from validator.orders import Orders
from validator.prechecks import account_key, user_accounts
from validator.stats import Stats
from validator.store import FillRow, Store

BOOK_LEVELS = 500
SUBSCRIBER_EVENTS_MAX = 256
# A block's trades are numbered from its height, so that all nodes give a trade the same number.
TRADES_PER_BLOCK_BITS = 20


class Ledger:
    """See the module's text."""

    def __init__(self, params: ExchangeParams, store: Store, stats: Stats, state: EngineState) -> None:
        self._params = params
        self._store = store
        self._stats = stats
        self.orders = Orders()
        self.orders.restore(_open_orders(state))
        self._books = [_book_levels(state, market) for market in range(len(params.markets))]
        self._waiters: dict[bytes, list[trio.Event]] = {}
        self._finished: list[bytes] = []
        self._unpublished: deque[BlockEvent] = deque()
        self._subscribers: list[trio.MemorySendChannel[BlockEvent]] = []

    def apply(
        self, block: Block, certificate: Certificate, executed: Executed, batches: list[CheckedBatch], is_live: bool
    ) -> None:
        """Store the block and everything that happened in it. `is_live`: just agreed on, not caught up with."""
        header, result, state = block.header, executed.result, executed.state
        if result is None:
            raise ValueError("a finalised block has a result")
        height, time_ms = header.height, header.timestamp_ms
        self._store.put_final(block, certificate)
        self._store.place_batches([checked.batch_hash for checked in batches], height)
        self._take_receipts(result.receipts, batches, height, time_ms)
        trades, fills = self._take_fills(result.fills, state, height, time_ms)
        for row in result.cancellations:
            self.orders.on_cancelled(int(row["order_id"]), time_ms)
        # The rest of an immediate-or-cancel order never rested, so no cancellation tells of it.
        for order_id in result.receipts["order_id"][result.receipts["order_state"] == OrderState.CANCELLED]:
            self.orders.on_cancelled(int(order_id), time_ms)
        self._store.put_withdrawals([(leaf[0], height, time_ms, *leaf[1:]) for leaf in result.withdrawals])
        command_count = sum(len(checked.ids) for checked in batches)
        self._stats.on_final(time_ms, command_count, is_live)
        self._unpublished.append(
            BlockEvent(
                height=height, header_hash=block.hash(), state_root=result.state_root, time_ms=time_ms,
                command_count=command_count, trades=tuple(trades), fills=tuple(fills),
                orders=self.orders.take_changed(), book_changes=self._take_book_changes(state),
            )
        )  # fmt: skip

    def _take_receipts(self, receipts: np.ndarray, batches: list[CheckedBatch], height: int, time_ms: int) -> None:
        rows = []
        message_of_action = [np.repeat(np.arange(len(item.messages)), item.messages["count"]) for item in batches]
        for receipt in receipts:
            checked, at = batches[int(receipt["batch_index"])], int(receipt["command_index"])
            # Neither spends a nonce: anybody's copy of it may yet execute, after a deposit or with the right signature.
            if receipt["code"] in (Code.UNKNOWN_ACCOUNT, Code.BAD_SIGNATURE):
                continue
            action_id = checked.ids[at]
            rows.append(
                (action_id, height, time_ms)
                + tuple(
                    int(receipt[name])
                    for name in (
                        "code", "order_state", "order_id", "filled_lots", "remaining_lots", "filled_value",
                        "cancelled_count", "withdrawal_index", "account_index",
                    )
                )
            )  # fmt: skip
            if receipt["code"] == Code.OK and checked.actions[at]["kind"] == PLACE:
                message = checked.messages[message_of_action[int(receipt["batch_index"])][at]]
                self.orders.on_placed(
                    message["owner"].tobytes(), int(message["subaccount"]),
                    Action.decode(checked.actions[at].tobytes()), int(receipt["order_id"]), time_ms,
                )  # fmt: skip
            self._finished.append(action_id)
        self._store.put_results(rows)

    def _take_fills(
        self, fills: np.ndarray, state: EngineState, height: int, time_ms: int
    ) -> tuple[list[TradeView], list[AccountFill]]:
        rows, trades, sides = [], [], []
        for at, fill in enumerate(fills):
            values = tuple(int(fill[name]) for name in _FILL_COLUMNS)
            row = (height << TRADES_PER_BLOCK_BITS | at, height, time_ms, *values)
            rows.append(row)
            trades.append(to_trade(row))
            market, price_ticks, size_lots = values[:3]
            value_quote = price_ticks * size_lots * self._params.markets[market].quote_per_tick_lot
            for order_id, account in ((values[6], values[4]), (values[7], values[5])):
                order = self.orders.on_fill(order_id, size_lots, value_quote, time_ms)
                view = to_fill(row, account, order, is_maker=order_id == values[6])
                owner, subaccount = account_key(state, account)
                sides.append(AccountFill(owner, subaccount, view))
        self._store.put_fills(rows)
        return trades, sides

    def _take_book_changes(self, state: EngineState) -> dict[int, tuple[LevelChange, ...]]:
        changes = {}
        for market, old in enumerate(self._books):
            new = _book_levels(state, market)
            if new == old:
                continue
            self._books[market] = new
            changed = [LevelChange(side, price, 0) for side, price in old if (side, price) not in new]
            changed += [LevelChange(*key, lots) for key, lots in new.items() if old.get(key) != lots]
            changes[market] = tuple(changed)
        return changes

    def publish(self) -> None:
        """Tell waiters and subscribers of everything applied since the last call."""
        finished, self._finished = self._finished, []
        for command_id in finished:
            for event in self._waiters.pop(command_id, ()):
                event.set()
        while self._unpublished:
            block_event = self._unpublished.popleft()
            for channel in list(self._subscribers):
                try:
                    channel.send_nowait(block_event)
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

    async def wait(self, command_id: bytes, timeout_s: float, onchain_height: int) -> CommandResult | None:
        """The certified result, or None after `timeout_s`."""
        known = self.result(command_id, onchain_height)
        if known is not None:
            return known
        event = trio.Event()
        self._waiters.setdefault(command_id, []).append(event)
        try:
            with trio.move_on_after(timeout_s):
                await event.wait()
        finally:
            waiting = self._waiters.get(command_id, [])
            if event in waiting:
                waiting.remove(event)
                if not waiting:
                    del self._waiters[command_id]
        return self.result(command_id, onchain_height)

    def result(self, command_id: bytes, onchain_height: int) -> CommandResult | None:
        """What a finalised block made of the command."""
        row = self._store.result(command_id)
        if row is None:
            return None
        height, time_ms, code, order_state, order_id, filled, remaining, value, cancelled, withdrawal, account = row[1:]
        fills: tuple[FillView, ...] = ()
        if filled:
            order = self.orders.get(order_id)
            rows = self._store.fills_of_order(order_id)
            fills = tuple(to_fill(fill, account, order, fill[9] == order_id) for fill in rows if fill[1] == height)
        market = fills[0].market if fills else 0
        return CommandResult(
            command_id=command_id,
            status=Status.ON_CHAIN if height <= onchain_height else Status.CERTIFIED,
            code=Code(code), order_state=OrderState(order_state), order_id=order_id, filled_lots=filled,
            remaining_lots=remaining, filled_value_quote=value * self._params.markets[market].quote_per_tick_lot,
            height=height, time_ms=time_ms, fills=fills, cancelled_count=cancelled,
            withdrawal_index=None if withdrawal < 0 else withdrawal,
        )  # fmt: skip


_FILL_COLUMNS = (
    "market", "price_ticks", "size_lots", "taker_side", "maker_account", "taker_account", "maker_order_id",
    "taker_order_id", "maker_fee_quote", "taker_fee_quote", "is_liquidation",
)  # fmt: skip


def to_trade(row: FillRow) -> TradeView:
    """A row of the store's `fills` as everybody sees it."""
    return TradeView(
        trade_id=row[0], market=row[3], side=row[6], price_ticks=row[4], size_lots=row[5], height=row[1],
        time_ms=row[2], is_liquidation=bool(row[13]),
    )  # fmt: skip


def to_fill(row: FillRow, account: int, order: OrderView | None, is_maker: bool) -> FillView:
    """A row of the store's `fills` as one of its two accounts sees it."""
    taker_side = row[6]
    return FillView(
        trade_id=row[0], market=row[3], order_id=row[9] if is_maker else row[10],
        client_id=order.client_id if order else 0, counterparty_order_id=row[10] if is_maker else row[9],
        side=1 - taker_side if is_maker else taker_side, is_maker=is_maker, price_ticks=row[4], size_lots=row[5],
        fee_quote=row[11] if is_maker else row[12], height=row[1], time_ms=row[2], is_liquidation=bool(row[13]),
    )  # fmt: skip


def _book_levels(state: EngineState, market: int) -> dict[tuple[int, int], int]:
    """(side, price_ticks) -> size_lots of the best levels."""
    bids, asks = views.book_depth(state, market, BOOK_LEVELS)
    levels = {(BUY, price): lots for price, lots, _ in bids}
    levels.update({(1 - BUY, price): lots for price, lots, _ in asks})
    return levels


def _open_orders(state: EngineState) -> list[OrderView]:
    orders = []
    for index in user_accounts(state):
        owner, subaccount = account_key(state, index)
        for order in views.open_orders(state, index):
            value = (order.size_lots - order.remaining_lots) * order.price_ticks
            value *= state.params.markets[order.market].quote_per_tick_lot
            orders.append(
                OrderView(
                    order_id=order.order_id, client_id=order.client_id, owner=owner, subaccount=subaccount,
                    market=order.market, side=order.side, time_in_force=0, state=OrderState.OPEN,
                    price_ticks=order.price_ticks, size_lots=order.size_lots, remaining_lots=order.remaining_lots,
                    filled_value_quote=value, created_ms=order.placed_ms, updated_ms=order.placed_ms,
                )
            )  # fmt: skip
    return orders
