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
from engine.apply import BlockResult
from engine.commands import AMEND, BUY, DECREMENT, PLACE, SELF_TRADE_SHIFT, TRIGGER, Action
from engine.orderbook import LEVELS_PER_BLOCK
from engine.results import Code, OrderState
from engine.state import EngineState
from engine.tables import NOTICE_FUNDING, NOTICE_TRIGGER, ORDER_ROW_MASK, TRIGGERS_USED
from net.gateway.backend import (
    WHOLE_POSITION_LOTS,
    AccountFill,
    BlockEvent,
    CommandResult,
    FillView,
    LevelChange,
    OrderView,
    Status,
    TradeView,
)
from validator.answers import make_answers
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

    def __init__(self, store: Store, stats: Stats, state: EngineState) -> None:
        self._state = state
        self._store = store
        self._stats = stats
        self.orders = Orders()
        self.orders.restore(_open_orders(state))
        # By market, the rate for eight hours of the last hour that was funded, in 1e-9.
        self.funding_rates_ppb: dict[int, int] = {}
        self._fired: dict[int, OrderState] = {}
        self._books = [_book_levels(state, market) for market in range(views.market_count(state))]
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
        has_entries = result.inbox_cursor != self._state.inbox_cursor
        height, time_ms, self._state = header.height, header.timestamp_ms, state
        self._store.put_final(block, certificate)
        self._store.place_batches([checked.batch_hash for checked in batches], height)
        for notice in result.notices:
            self._take_notice(notice, time_ms)
        seen = self._take_receipts(result.receipts, batches, height, time_ms)
        trades, fills = self._take_fills(result.fills, state, height, time_ms)
        for row in result.cancellations:
            self.orders.on_cancelled(int(row["order_id"]), time_ms, int(row["reason"]))
        self._look_at_orders(state, seen | self._fired, result, time_ms)
        self._store.put_withdrawals([(leaf[0], height, time_ms, *leaf[1:]) for leaf in result.withdrawals])
        if has_entries:
            self._store.put_answers(make_answers(block, result))
        command_count = sum(len(checked.actions) for checked in batches)
        self._stats.on_final(time_ms, command_count, is_live)
        self._stats.on_codes(result.receipts["code"])
        self._unpublished.append(
            BlockEvent(
                height=height, header_hash=block.hash(), state_root=result.state_root, time_ms=time_ms,
                command_count=command_count, trades=tuple(trades), fills=tuple(fills),
                orders=self.orders.take_changed(), book_changes=self._take_book_changes(state),
            )
        )  # fmt: skip

    def _take_notice(self, notice: np.void, time_ms: int) -> None:
        """Triggers that fired, and the hour's funding."""
        kind, subject, values = int(notice["kind"]), int(notice["subject"]), [int(notice[name]) for name in _VALUES]
        if kind == NOTICE_FUNDING:
            self.funding_rates_ppb[subject] = values[0]
        elif kind == NOTICE_TRIGGER:
            _, code, order_id, _ = values
            self.orders.on_fired(subject, code == Code.OK, order_id, time_ms)
            if code == Code.OK:
                self._fired[order_id] = OrderState.CANCELLED

    def _take_receipts(
        self, receipts: np.ndarray, batches: list[CheckedBatch], height: int, time_ms: int
    ) -> dict[int, OrderState]:
        """Store the results; gives back the orders that were placed or amended, and where their receipts say that they
        stand.
        """
        rows, seen = [], {}
        message_of_action = [np.repeat(np.arange(len(item.messages)), item.messages["count"]) for item in batches]
        for receipt in receipts:
            batch, at = int(receipt["batch_index"]), int(receipt["command_index"])
            checked = batches[batch]
            # Neither spends a nonce: anybody's copy of it may yet execute, after a deposit or with the right signature.
            if receipt["code"] in (Code.UNKNOWN_ACCOUNT, Code.BAD_SIGNATURE):
                continue
            command_id = checked.ids[at].tobytes()
            rows.append((command_id, height, time_ms, *(int(receipt[name]) for name in RECEIPT_COLUMNS)))
            self._finished.append(command_id)
            if receipt["code"] == Code.OK and checked.actions[at]["kind"] in (PLACE, AMEND, TRIGGER):
                message = checked.messages[message_of_action[batch][at]]
                action, order_id = Action.decode(checked.actions[at].tobytes()), int(receipt["order_id"])
                if action.kind == AMEND:
                    self.orders.on_amended(order_id, action.price_ticks, action.size_lots, time_ms)
                else:
                    owner, subaccount = message["owner"].tobytes(), int(message["subaccount"])
                    self.orders.on_placed(owner, subaccount, action, order_id, time_ms)
                seen[order_id] = OrderState(int(receipt["order_state"]))
        self._store.put_results(rows)
        return seen

    def _look_at_orders(
        self, state: EngineState, seen: dict[int, OrderState], result: BlockResult, time_ms: int
    ) -> None:
        """Bring the orders that may have been cut, moved or ended without a word up to date."""
        accounts = {int(account) for name in ("maker_account", "taker_account") for account in result.fills[name]}
        accounts |= {int(row["account"]) for row in result.liquidations}
        for account in sorted(accounts):
            for order_id in self.orders.reducing_of(*account_key(state, account)):
                seen.setdefault(order_id, OrderState.OPEN)
        # A maker that met an order of its own account may have shrunk with it.
        for order_id in [order_id for order_id in seen if self._may_decrement(order_id)]:
            order = self.orders.get(order_id)
            for other in self.orders.open_of(order.owner, order.subaccount) if order is not None else ():
                seen.setdefault(other.order_id, OrderState.OPEN)
        for order_id, receipt_state in seen.items():
            order = self.orders.get(order_id)
            if order is None or order.is_waiting or order.state != OrderState.OPEN:
                continue
            resting = read_resting(state, order.order_id)
            if resting is None:
                self.orders.on_gone(order_id, time_ms, is_filled=receipt_state == OrderState.FILLED)
            else:
                self.orders.on_seen(order_id, *resting, time_ms)
        self._fired.clear()

    def _may_decrement(self, order_id: int) -> bool:
        order = self.orders.get(order_id)
        return order is not None and order.flags >> SELF_TRADE_SHIFT & 3 == DECREMENT

    def _take_fills(
        self, fills: np.ndarray, state: EngineState, height: int, time_ms: int
    ) -> tuple[list[TradeView], list[AccountFill]]:
        rows: list[FillRow] = []
        trades, sides = [], []
        for at, fill in enumerate(fills):
            values = [int(fill[name]) for name in FILL_COLUMNS]
            # The ids under which the orders are known, whether or not they had come to rest.
            orders = [self.orders.get(order_id) for order_id in values[6:8]]
            values[6:8] = [order.order_id if order else raw_id for order, raw_id in zip(orders, values[6:8])]
            row = (height << TRADES_PER_BLOCK_BITS | at, height, time_ms, *values)
            rows.append(row)
            trades.append(to_trade(row))
            market, price_ticks, size_lots = values[:3]
            value_quote = price_ticks * size_lots * quote_per_tick_lot(state, market)
            for order, account, is_maker in zip(orders, values[4:6], (True, False)):
                if order is not None:
                    order = self.orders.on_fill(order.order_id, size_lots, value_quote, time_ms)
                owner, subaccount = account_key(state, account)
                sides.append(AccountFill(owner, subaccount, to_fill(row, order, is_maker)))
        self._store.put_fills(rows)
        return trades, sides

    def _take_book_changes(self, state: EngineState) -> dict[int, tuple[LevelChange, ...]]:
        changes = {}
        self._books += [{} for _ in range(len(self._books), views.market_count(state))]
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
            fills = tuple(to_fill(fill, order, fill[8] != account) for fill in rows if fill[1] == height)
        value_unit = quote_per_tick_lot(self._state, fills[0].market) if fills else 0
        return CommandResult(
            command_id=command_id,
            status=Status.ON_CHAIN if height <= onchain_height else Status.CERTIFIED,
            code=Code(code), order_state=OrderState(order_state), order_id=order_id, filled_lots=filled,
            remaining_lots=remaining, filled_value_quote=value * value_unit,
            height=height, time_ms=time_ms, fills=fills, cancelled_count=cancelled,
            withdrawal_index=None if withdrawal < 0 else withdrawal,
        )  # fmt: skip


_VALUES = ("value_a", "value_b", "value_c", "value_d")
RECEIPT_COLUMNS = (
    "code", "order_state", "order_id", "filled_lots", "remaining_lots", "filled_value", "cancelled_count",
    "withdrawal_index", "account_index",
)  # fmt: skip
FILL_COLUMNS = (
    "market", "price_ticks", "size_lots", "taker_side", "maker_account", "taker_account", "maker_order_id",
    "taker_order_id", "maker_fee_quote", "taker_fee_quote", "is_liquidation",
)  # fmt: skip


def to_trade(row: FillRow) -> TradeView:
    """A row of the store's `fills` as everybody sees it."""
    return TradeView(
        trade_id=row[0], market=row[3], side=row[6], price_ticks=row[4], size_lots=row[5], height=row[1],
        time_ms=row[2], is_liquidation=bool(row[13]),
    )  # fmt: skip


def to_fill(row: FillRow, order: OrderView | None, is_maker: bool) -> FillView:
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


def quote_per_tick_lot(state: EngineState, market: int) -> int:
    return int(state.tables.markets[market]["quote_per_tick_lot"])


def read_resting(state: EngineState, order_id: int) -> tuple[int, int, int] | None:
    """(price_ticks, filled_lots, remaining_lots) of an order on the book, hidden lots included; None without it."""
    book, row = state.tables.orderbook, order_id & ORDER_ROW_MASK
    if not row or row >= len(state.tables.details):
        return None
    order = book.book[len(book.blocks) * LEVELS_PER_BLOCK + row]
    if int(order["order_id"]) != order_id:
        return None
    detail = state.tables.details[row]
    remaining_lots = int(order["lots"]) + int(detail["hidden_lots"])
    return int(detail["price_ticks"]), int(detail["filled_lots"]), remaining_lots


def _open_orders(state: EngineState) -> list[OrderView]:
    orders = []
    for index in user_accounts(state):
        owner, subaccount = account_key(state, index)
        for row in views.list_orders(state.tables, index):
            orders.append(_read_order(state, row, owner, subaccount))
    for trigger in state.tables.triggers[: int(state.tables.counters[TRIGGERS_USED]) + 1]:
        if trigger["is_live"]:
            orders.append(_read_trigger(state, trigger))
    return orders


def _read_order(state: EngineState, row: int, owner: bytes, subaccount: int) -> OrderView:
    book, detail = state.tables.orderbook, state.tables.details[row]
    order_id = int(book.book[len(book.blocks) * LEVELS_PER_BLOCK + row]["order_id"])
    price_ticks, filled_lots, remaining_lots = read_resting(state, order_id) or (0, 0, 0)
    market, placed_ms = int(detail["market"]), int(detail["placed_ms"])
    # What earlier fills were worth is not in the state: they were at this price or better.
    value_quote = filled_lots * price_ticks * quote_per_tick_lot(state, market)
    return OrderView(
        order_id=order_id, client_id=int(detail["client_id"]), owner=owner, subaccount=subaccount, market=market,
        side=int(detail["side"]), time_in_force=int(detail["time_in_force"]), state=OrderState.OPEN,
        price_ticks=price_ticks, size_lots=filled_lots + remaining_lots, remaining_lots=remaining_lots,
        filled_value_quote=value_quote, created_ms=placed_ms, updated_ms=placed_ms, flags=int(detail["flags"]),
        display_lots=int(detail["display_lots"]), good_till_ms=int(detail["good_till_ms"]),
    )  # fmt: skip


def _read_trigger(state: EngineState, trigger: np.void) -> OrderView:
    owner, subaccount = account_key(state, int(trigger["account"]))
    size_lots, placed_ms = int(trigger["size_lots"]) or WHOLE_POSITION_LOTS, int(trigger["placed_ms"])
    return OrderView(
        order_id=int(trigger["order_id"]), client_id=int(trigger["client_id"]), owner=owner, subaccount=subaccount,
        market=int(trigger["market"]), side=int(trigger["side"]), time_in_force=int(trigger["time_in_force"]),
        state=OrderState.OPEN, price_ticks=int(trigger["price_ticks"]), size_lots=size_lots, remaining_lots=size_lots,
        filled_value_quote=0, created_ms=placed_ms, updated_ms=placed_ms, flags=int(trigger["flags"]),
        trigger_ticks=int(trigger["trigger_ticks"]), is_waiting=True,
    )  # fmt: skip
