"""Orders and trades of an account, read by its owner's address. Nothing here is secret: a read needs no signature."""

from typing import Any

from net.gateway import present_account
from net.gateway.account_data import HistoryQuery
from net.gateway.actions import read_owner
from net.gateway.api import Call
from net.gateway.backend import FillView, OrderView
from net.gateway.errors import ORDER_NOT_FOUND, ApiError
from net.gateway.order_actions import read_client_id
from net.gateway.params import I64_MAX
from net.gateway.present_market import kind_of

_COUNT_MAX = 1000
_KINDS = ("any", "future", "option", "spot")
_TYPES = ("all", "limit", "trigger_all", "stop_all", "stop_limit", "stop_market", "take_all", "take_limit",
          "take_market")  # fmt: skip
_SORTING = {"default": False, "desc": False, "asc": True}


def read_markets(call: Call) -> frozenset[int] | None:
    """Those that the call is about: one by its name, or all of a kind."""
    if call.params.values.get("instrument_name") is not None:
        return frozenset((call.instruments.read_market(call.params),))
    kind = call.params.choice("kind", {name: name for name in _KINDS}, "any")
    if kind == "any":
        return None
    return frozenset(number for number, market in enumerate(call.instruments.markets) if kind_of(market) == kind)


def _show_orders(call: Call, views: list[OrderView]) -> list[dict[str, Any]]:
    height = call.backend.account_data.height()
    return [present_account.order(call.instruments, view, height) for view in views]


def _has_type(view: OrderView, name: str) -> bool:
    own = present_account.order_type(view.side, view.flags, view.trigger_ticks)
    family = name.removesuffix("_all")
    return name in ("all", own) or own.startswith(f"{family}_") or (name == "trigger_all" and "_" in own)


async def get_open_orders(call: Call) -> object:
    """Of all markets, of a kind or of one; of a type; with a label."""
    markets = read_markets(call)
    wanted = call.params.choice("type", {name: name for name in _TYPES}, "all")
    client_id = read_client_id(call.params)
    views = [
        view for view in call.backend.open_orders(*read_owner(call))
        if (markets is None or view.market in markets) and _has_type(view, wanted) and client_id in (0, view.client_id)
    ]  # fmt: skip
    return _show_orders(call, views)


async def get_order_state(call: Call) -> object:
    view = call.backend.order(*call.instruments.read_order_id(call.params))
    if view is None:
        raise ApiError(ORDER_NOT_FOUND, "order_id")
    return present_account.order(call.instruments, view, call.backend.account_data.height())


async def get_order_state_by_label(call: Call) -> object:
    """Open orders first, then those that left, newest first."""
    owner, client_id = read_owner(call), call.params.integer("label", 1, I64_MAX)
    opened = [view for view in call.backend.open_orders(*owner) if view.client_id == client_id]
    gone = call.backend.account_data.past_orders(*owner, HistoryQuery(_COUNT_MAX, client_id=client_id))
    return _show_orders(call, [*opened, *gone])


async def get_order_history(call: Call) -> object:
    """Orders that left the book, newest first; those without a trade only when they are asked for."""
    count, offset = call.params.integer("count", 1, _COUNT_MAX, 20), call.params.integer("offset", 0, 10_000, 0)
    wants_unfilled = call.params.flag("include_unfilled")
    query = HistoryQuery(_COUNT_MAX + offset, read_markets(call), has_trades=not wants_unfilled)
    views = call.backend.account_data.past_orders(*read_owner(call), query)
    return _show_orders(call, list(views[offset : offset + count]))


async def get_user_trades(call: Call) -> object:
    """Own trades of a span of time, of all markets, of a kind or of one."""
    params = call.params
    count = params.integer("count", 1, _COUNT_MAX, 10)
    begin_ms = params.integer("start_timestamp", 0, I64_MAX, 0)
    query = HistoryQuery(count, read_markets(call), begin_ms, params.integer("end_timestamp", 0, I64_MAX, I64_MAX))
    is_ascending = params.choice("sorting", _SORTING, "default")
    fills, has_more = call.backend.account_data.fills(*read_owner(call), query)
    return {"trades": _show_fills(call, list(fills), is_ascending), "has_more": has_more}


async def get_user_trades_by_order(call: Call) -> object:
    """Of one order; a plain list, as Deribit answers."""
    market, order_id = call.instruments.read_order_id(call.params)
    query = HistoryQuery(_COUNT_MAX, frozenset((market,)), order_id=order_id)
    fills, _ = call.backend.account_data.fills(*read_owner(call), query)
    return _show_fills(call, list(fills), call.params.choice("sorting", _SORTING, "default"))


def _show_fills(call: Call, fills: list[FillView], is_ascending: bool) -> list[dict[str, Any]]:
    shown = [present_account.fill(call.instruments, view) for view in fills]
    return shown[::-1] if is_ascending else shown
