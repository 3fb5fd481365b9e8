"""Every order as its owner sees it: the open ones, the triggers that wait, and those that left the book recently.

Follows the finalised blocks in arrays (`order_memory`); rebuilt from the engine's state at start. An `OrderView` is
made when somebody asks for it.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from engine import views
from engine.apply import BlockResult
from engine.commands import ACTION
from engine.results import OrderState
from engine.state import EngineState
from engine.tables import (
    ACCOUNT_COUNT,
    CANCELLATION,
    DELEVERAGE,
    FILL,
    LIQUIDATION,
    NEXT_SEQUENCE,
    NOTICE,
    OFFER_ROW,
    ORDER_ROW_BITS,
    ORDER_ROW_MASK,
    ORDERS_LIVE,
    RECEIPT,
    TRIGGER_ROW,
    TRIGGERS_LIVE,
)
from net.gateway.backend import OrderView
from validator.order_memory import (
    COUNTERS,
    FREE_COUNT,
    KNOWN_FILL,
    KNOWN_ORDER,
    NEW_COUNT,
    Happened,
    Memory,
    follow,
    restore,
)
from validator.prechecks import account_key

CLOSED_ORDERS_MAX = 20_000
POOL_ROWS_MIN = 1 << 14


def quote_per_tick_lot(state: EngineState, market: int) -> int:
    """What a lot of a market is worth at a price of one tick."""
    return int(state.tables.markets[market]["quote_per_tick_lot"])


def read_view(state: EngineState, order: np.void, key: tuple[bytes, int] | None = None) -> OrderView:
    """A row of the memory for its owner; `key`: owner and subaccount, if they are known."""
    (
        order_id, client_id, price_ticks, size_lots, remaining_lots, filled_value, created_ms, updated_ms, display_lots,
        good_till_ms, trigger_ticks, account, market, flags, side, time_in_force, order_state, is_waiting,
        cancel_reason, *_,
    ) = order.item()  # fmt: skip
    owner, subaccount = account_key(state, account) if key is None else key
    return OrderView(
        order_id=order_id, client_id=client_id, owner=owner, subaccount=subaccount, market=market, side=side,
        time_in_force=time_in_force, state=OrderState(order_state), price_ticks=price_ticks, size_lots=size_lots,
        remaining_lots=remaining_lots, filled_value_quote=filled_value * quote_per_tick_lot(state, market),
        created_ms=created_ms, updated_ms=updated_ms, flags=flags, display_lots=display_lots,
        good_till_ms=good_till_ms, trigger_ticks=trigger_ticks, is_waiting=bool(is_waiting),
        cancel_reason=None if cancel_reason < 0 else cancel_reason,
    )  # fmt: skip


def _list_triggers(state: EngineState, account: int) -> Iterator[int]:
    """Rows of an account's waiting triggers."""
    row = int(state.tables.accounts[account]["trigger_first"])
    while row:
        yield row
        row = int(state.tables.triggers[row]["next"])


def as_words(records: np.ndarray) -> np.ndarray:
    """(n, words of a record): numpy copies that several times as fast as records."""
    return records.view(np.int64).reshape(len(records), records.itemsize // 8)


def take_rows(records: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """`records[rows]`."""
    taken: np.ndarray = as_words(records).take(rows, axis=0).view(records.dtype)[:, 0]
    return taken


class Orders:
    """Open orders in a pool, closed ones in a ring."""

    def __init__(self, state: EngineState) -> None:
        tables = state.tables
        live = int(tables.counters[ORDERS_LIVE]) + int(tables.counters[TRIGGERS_LIVE])
        accounts, rows = len(tables.accounts), max(POOL_ROWS_MIN, 2 * live)
        self._state = state
        self._next_sequence = int(tables.counters[NEXT_SEQUENCE])
        self._memory = Memory(
            pool=np.zeros(rows, KNOWN_ORDER),
            free=np.zeros(rows, np.uint32),
            touched=np.zeros(rows, np.uint32),
            of_order_row=np.zeros(len(tables.details), np.uint32),
            of_trigger_row=np.zeros(len(tables.triggers), np.uint32),
            of_new=np.zeros(POOL_ROWS_MIN, np.uint32),
            reducing=np.zeros(accounts, np.int32),
            visited=np.zeros(accounts, np.int64),
            account_last=np.zeros(accounts, np.int64),
            market_last=np.zeros(len(tables.markets), np.int64),
            counters=np.zeros(COUNTERS, np.int64),
        )
        self._free(np.arange(rows - 1, 0, -1, dtype=np.uint32))
        # Written, so that it lies in memory from now on: what fills by and by looks like a leak for hours.
        self._closed = np.full(CLOSED_ORDERS_MAX, 0, KNOWN_ORDER)
        self.left = self._closed[:0]  # what left the book in the last block
        self._closed_count = 0
        restore(tables, self._memory, int(tables.counters[ACCOUNT_COUNT]))
        # Compiled now, or read from the cache, and not while the first block waits.
        self._follow_nothing()

    @property
    def last_trades(self) -> tuple[np.ndarray, np.ndarray]:
        """Of each account and of each market, the number of its last trade; 0 without one."""
        return self._memory.account_last, self._memory.market_last

    def follow(
        self, state: EngineState, result: BlockResult, actions: np.ndarray, known_fills: np.ndarray, first_trade: int,
        wants_changed: bool = True,
    ) -> np.ndarray:  # fmt: skip
        """Take in a block: `actions` are those of its receipts, `known_fills` is filled in. Gives back every order that
        opened, changed or left the book, as it is now, if that is wanted.
        """
        tables, first_sequence = state.tables, self._next_sequence
        self._state, self._next_sequence = state, int(tables.counters[NEXT_SEQUENCE])
        self._make_room(self._next_sequence - first_sequence)
        happened = Happened(
            result.receipts, actions, result.fills, result.cancellations, result.liquidations, result.deleverages,
            result.notices, known_fills,
        )  # fmt: skip
        count = follow(tables, self._memory, happened, first_sequence, first_trade, state.time_ms)
        slots = self._memory.touched[:count]
        changed = take_rows(self._memory.pool, slots[: len(slots) if wants_changed else 0])
        self.left = self.left[:0]
        if count:
            left = slots[self._memory.pool["state"][slots] != OrderState.OPEN]
            self.left = take_rows(self._memory.pool, left)
            self._keep_closed(self.left[-CLOSED_ORDERS_MAX:])
            self._free(left)
        return changed

    def _follow_nothing(self) -> None:
        records = (RECEIPT, ACTION, FILL, CANCELLATION, LIQUIDATION, DELEVERAGE, NOTICE, KNOWN_FILL)
        happened = Happened(*(np.empty(0, record) for record in records))
        follow(self._state.tables, self._memory, happened, self._next_sequence, 0, self._state.time_ms)

    def _make_room(self, new_count: int) -> None:
        """For so many orders more than there are."""
        memory = self._memory
        if new_count > len(memory.of_new):
            memory = memory._replace(of_new=np.zeros(2 * new_count, np.uint32))
        else:
            memory.of_new[:new_count] = 0
        free_count, rows = int(memory.counters[FREE_COUNT]), len(memory.pool)
        if free_count < new_count:
            more = max(rows, new_count)
            memory = memory._replace(
                pool=np.concatenate((memory.pool, np.zeros(more, KNOWN_ORDER))),
                free=np.concatenate((memory.free, np.zeros(more, np.uint32))),
                touched=np.zeros(rows + more, np.uint32),
            )
            memory.free[free_count : free_count + more] = np.arange(rows + more - 1, rows - 1, -1, dtype=np.uint32)
            memory.counters[FREE_COUNT] += more
        memory.counters[NEW_COUNT] = new_count
        self._memory = memory

    def _free(self, slots: np.ndarray) -> None:
        begin = int(self._memory.counters[FREE_COUNT])
        self._memory.free[begin : begin + len(slots)] = slots
        self._memory.counters[FREE_COUNT] += len(slots)

    def _keep_closed(self, left: np.ndarray) -> None:
        begin = self._closed_count % CLOSED_ORDERS_MAX
        room = CLOSED_ORDERS_MAX - begin
        ring, words = as_words(self._closed), as_words(left)
        ring[begin : begin + len(left)] = words[:room]
        ring[: max(len(left) - room, 0)] = words[room:]
        self._closed_count += len(left)

    def get(self, order_id: int) -> OrderView | None:
        """An order by its id, with or without its row, open or one of those that left recently."""
        row, memory = order_id & ORDER_ROW_MASK, self._memory
        slot = 0
        if not row & TRIGGER_ROW and row < len(memory.of_order_row):
            slot = int(memory.of_order_row[row])
        elif row & TRIGGER_ROW and not row & OFFER_ROW:
            slot = self._find_trigger(row & (OFFER_ROW - 1))
        if slot and int(memory.pool[slot]["order_id"]) == order_id:
            return read_view(self._state, memory.pool[slot])
        found = np.flatnonzero(self._closed["order_id"] >> ORDER_ROW_BITS == order_id >> ORDER_ROW_BITS)
        return read_view(self._state, self._closed[found[0]]) if order_id > 0 and len(found) else None

    def _find_trigger(self, row: int) -> int:
        return int(self._memory.of_trigger_row[row]) if row < len(self._memory.of_trigger_row) else 0

    def open_of(self, owner: bytes, subaccount: int) -> Sequence[OrderView]:
        """An account's open orders and waiting triggers, oldest first."""
        memory, state = self._memory, self._state
        account = views.find_account(state, owner, subaccount)
        if account is None:
            return []
        slots = [int(memory.of_order_row[row]) for row in views.list_orders(state.tables, account)]
        slots += [self._find_trigger(row) for row in _list_triggers(state, account)]
        found = memory.pool[[slot for slot in slots if slot]]
        return [read_view(state, order, (owner, subaccount)) for order in found[np.argsort(found["order_id"])]]

    def count_waiting(self, account: int) -> int:
        """An account's triggers."""
        return sum(1 for _ in _list_triggers(self._state, account))

    def closed_of(self, account: int) -> Sequence[OrderView]:
        """An account's orders among those that left recently, the last to leave first."""
        used = min(self._closed_count, CLOSED_ORDERS_MAX)
        rows = np.flatnonzero(self._closed["account"][:used] == account)
        left_ago = (self._closed_count - 1 - rows) % CLOSED_ORDERS_MAX
        return [read_view(self._state, self._closed[at]) for at in rows[np.argsort(left_ago)]]

    def closed(self) -> Sequence[OrderView]:
        """Those that left recently, in no order."""
        return [read_view(self._state, order) for order in self._closed[: min(self._closed_count, CLOSED_ORDERS_MAX)]]
