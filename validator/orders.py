"""Every order as its owner sees it: the open ones, and those that left the book recently.

Follows the finalised blocks' receipts, fills and cancellations; rebuilt from the engine's state at start.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import replace

from engine.commands import Action
from engine.results import OrderState
from net.gateway.backend import OrderView

CLOSED_ORDERS_MAX = 20_000


class Orders:
    """Open orders by id, closed ones by id for a while; `changed` collects what the block at hand touched."""

    def __init__(self) -> None:
        self._open: dict[int, OrderView] = {}
        self._closed: OrderedDict[int, OrderView] = OrderedDict()
        self._changed: dict[int, OrderView] = {}

    def get(self, order_id: int) -> OrderView | None:
        return self._open.get(order_id) or self._closed.get(order_id)

    def restore(self, orders: Iterable[OrderView]) -> None:
        """Open orders of a state that was loaded instead of replayed."""
        self._open = {order.order_id: order for order in orders}

    def open_of(self, owner: bytes, subaccount: int) -> list[OrderView]:
        return [order for order in self._open.values() if (order.owner, order.subaccount) == (owner, subaccount)]

    def on_placed(self, owner: bytes, subaccount: int, action: Action, order_id: int, time_ms: int) -> None:
        """A place action that the engine took; its fills and its end follow as their own events."""
        self._put(
            OrderView(
                order_id=order_id, client_id=action.client_id, owner=owner, subaccount=subaccount,
                market=action.market, side=action.side, time_in_force=action.time_in_force, state=OrderState.OPEN,
                price_ticks=action.price_ticks, size_lots=action.size_lots, remaining_lots=action.size_lots,
                filled_value_quote=0, created_ms=time_ms, updated_ms=time_ms,
            )
        )  # fmt: skip

    def on_fill(self, order_id: int, size_lots: int, value_quote: int, time_ms: int) -> OrderView | None:
        """One side of a trade; None for an order of the liquidation engine, which nobody placed."""
        order = self._open.get(order_id)
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

    def on_cancelled(self, order_id: int, time_ms: int) -> None:
        order = self._open.get(order_id)
        if order is not None:
            self._put(replace(order, state=OrderState.CANCELLED, updated_ms=time_ms))

    def take_changed(self) -> tuple[OrderView, ...]:
        """What changed since the last call, each order once, as it is now."""
        changed, self._changed = tuple(self._changed.values()), {}
        return changed

    def _put(self, order: OrderView) -> None:
        self._changed[order.order_id] = order
        if order.state == OrderState.OPEN:
            self._open[order.order_id] = order
            return
        self._open.pop(order.order_id, None)
        self._closed[order.order_id] = order
        while len(self._closed) > CLOSED_ORDERS_MAX:
            self._closed.popitem(last=False)
