"""Every order as its owner sees it: the open ones, the triggers that wait, and those that left the book recently.

Follows the finalised blocks' receipts, notices, fills and cancellations, and looks at the engine's state for what no
event tells (cuts of reduce-only orders, moved prices); rebuilt from the state at start.

An order that has not come to rest has no row yet, so the id in its first fills differs from its later one in the row
(docs/spec.md, ORD-2). What names an order here is the sequence in both.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import replace

from engine.commands import REDUCE_ONLY, TRIGGER, Action
from engine.results import OrderState
from engine.tables import ORDER_ROW_BITS
from net.gateway.backend import WHOLE_POSITION_LOTS, OrderView

CLOSED_ORDERS_MAX = 20_000


def sequence_of(order_id: int) -> int:
    return order_id >> ORDER_ROW_BITS


class Orders:
    """Open orders by sequence, closed ones for a while; `changed` collects what the block at hand touched."""

    def __init__(self) -> None:
        self._open: dict[int, OrderView] = {}
        self._closed: OrderedDict[int, OrderView] = OrderedDict()
        self._changed: dict[int, OrderView] = {}
        self._reducing: dict[tuple[bytes, int], dict[int, None]] = {}

    def get(self, order_id: int) -> OrderView | None:
        sequence = sequence_of(order_id)
        return self._open.get(sequence) or self._closed.get(sequence)

    def restore(self, orders: Iterable[OrderView]) -> None:
        """Open orders of a state that was loaded instead of replayed."""
        for order in orders:
            self._put(order)
        self._changed.clear()

    def open_of(self, owner: bytes, subaccount: int) -> list[OrderView]:
        return [order for order in self._open.values() if (order.owner, order.subaccount) == (owner, subaccount)]

    def reducing_of(self, owner: bytes, subaccount: int) -> list[int]:
        """Ids of an account's open reduce-only orders: those that are cut without a word."""
        return [self._open[sequence].order_id for sequence in self._reducing.get((owner, subaccount), ())]

    def on_placed(self, owner: bytes, subaccount: int, action: Action, order_id: int, time_ms: int) -> None:
        """A place or trigger action that the engine took; its fills and its end follow as their own events."""
        is_trigger = action.kind == TRIGGER
        size_lots = action.size_lots or WHOLE_POSITION_LOTS
        self._put(
            OrderView(
                order_id=order_id, client_id=action.client_id, owner=owner, subaccount=subaccount,
                market=action.market, side=action.side, time_in_force=action.time_in_force, state=OrderState.OPEN,
                price_ticks=action.price_ticks, size_lots=size_lots, remaining_lots=size_lots,
                filled_value_quote=0, created_ms=time_ms, updated_ms=time_ms, flags=action.flags,
                display_lots=action.display_lots, good_till_ms=action.good_till_ms,
                trigger_ticks=action.trigger_ticks, is_waiting=is_trigger,
            )
        )  # fmt: skip

    def on_amended(self, order_id: int, price_ticks: int, size_lots: int, time_ms: int) -> None:
        """A new total size, and a new price unless it is 0."""
        order = self._open.get(sequence_of(order_id))
        if order is not None:
            filled_lots = order.size_lots - order.remaining_lots
            self._put(
                replace(
                    order, price_ticks=price_ticks or order.price_ticks, size_lots=size_lots,
                    remaining_lots=size_lots - filled_lots, updated_ms=time_ms,
                )
            )  # fmt: skip

    def on_fired(self, trigger_id: int, is_accepted: bool, order_id: int, time_ms: int) -> None:
        """A trigger left; if its order was taken, that is open from now on under an id of its own."""
        trigger = self._open.get(sequence_of(trigger_id))
        if trigger is None:
            return
        self._put(replace(trigger, state=OrderState.FILLED if is_accepted else OrderState.NONE, updated_ms=time_ms))
        if is_accepted:
            self._put(replace(trigger, order_id=order_id, is_waiting=False, created_ms=time_ms, updated_ms=time_ms))

    def on_fill(self, order_id: int, size_lots: int, value_quote: int, time_ms: int) -> OrderView | None:
        """One side of a trade; None for an order of the liquidation engine, which nobody placed."""
        order = self._open.get(sequence_of(order_id))
        if order is None:
            return None
        remaining_lots = order.remaining_lots - size_lots
        order = replace(
            order,
            remaining_lots=remaining_lots,
            filled_value_quote=order.filled_value_quote + value_quote,
            state=OrderState.OPEN if remaining_lots else OrderState.FILLED,
            updated_ms=time_ms,
        )
        self._put(order)
        return order

    def on_cancelled(self, order_id: int, time_ms: int, reason: int | None) -> None:
        order = self._open.get(sequence_of(order_id))
        if order is not None:
            self._put(replace(order, state=OrderState.CANCELLED, updated_ms=time_ms, cancel_reason=reason))

    def on_seen(self, order_id: int, price_ticks: int, filled_lots: int, remaining_lots: int, time_ms: int) -> None:
        """How an order rests after a block: what was cut from it belongs to it no more."""
        order = self._open.get(sequence_of(order_id))
        if order is None:
            return
        seen = replace(
            order, price_ticks=price_ticks, size_lots=filled_lots + remaining_lots, remaining_lots=remaining_lots
        )
        if seen != order:
            self._put(replace(seen, updated_ms=time_ms))

    def on_gone(self, order_id: int, time_ms: int, is_filled: bool) -> None:
        """An order that does not rest after a block and that no cancellation told of: filled whole as far as it could
        trade (`is_filled`), or without its rest.
        """
        order = self._open.get(sequence_of(order_id))
        if order is None:
            return
        filled_lots = order.size_lots - order.remaining_lots
        if order.size_lots >= WHOLE_POSITION_LOTS or is_filled:
            order = replace(order, size_lots=filled_lots, remaining_lots=0)
        is_done = is_filled or (order.remaining_lots == 0 and filled_lots > 0)
        state = OrderState.FILLED if is_done else OrderState.CANCELLED
        self._put(replace(order, state=state, updated_ms=time_ms))

    def take_changed(self) -> tuple[OrderView, ...]:
        """What changed since the last call, each order once, as it is now."""
        changed, self._changed = tuple(self._changed.values()), {}
        return changed

    def _put(self, order: OrderView) -> None:
        sequence, owner = sequence_of(order.order_id), (order.owner, order.subaccount)
        self._changed[sequence] = order
        if order.state == OrderState.OPEN:
            self._open[sequence] = order
            if order.flags & REDUCE_ONLY and not order.is_waiting:
                self._reducing.setdefault(owner, {})[sequence] = None
            return
        self._open.pop(sequence, None)
        reducing = self._reducing.get(owner, {})
        if reducing.pop(sequence, False) is None and not reducing:
            del self._reducing[owner]
        self._closed[sequence] = order
        while len(self._closed) > CLOSED_ORDERS_MAX:
            self._closed.popitem(last=False)
