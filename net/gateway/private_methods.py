"""Reads about one account by its owner. Nothing here is secret, so a read needs no signature."""

from engine.results import Code
from net.gateway import present_account
from net.gateway.actions import read_owner
from net.gateway.api import Call
from net.gateway.backend import AccountView, PositionView
from net.gateway.errors import ORDER_NOT_FOUND, ApiError, engine_error

_COUNT_MAX = 1000


async def get_open_orders(call: Call) -> object:
    views = call.backend.open_orders(*read_owner(call))
    return [present_account.order(call.instruments, view) for view in views]


async def get_open_orders_by_instrument(call: Call) -> object:
    market = call.instruments.read_market(call.params)
    views = call.backend.open_orders(*read_owner(call))
    return [present_account.order(call.instruments, view) for view in views if view.market == market]


async def get_positions(call: Call) -> object:
    account = call.backend.account(*read_owner(call))
    return [present_account.position(call.instruments, view) for view in (account.positions if account else ())]


async def get_position(call: Call) -> object:
    market = call.instruments.read_market(call.params)
    account = call.backend.account(*read_owner(call))
    for view in account.positions if account else ():
        if view.market == market:
            return present_account.position(call.instruments, view)
    ticker = call.backend.ticker(market)
    flat = PositionView(market, 0, ticker.mark_price_ticks, ticker.index_price_ticks, 0, 0, 0)
    return present_account.position(call.instruments, flat)


async def get_account_summary(call: Call) -> object:
    return present_account.account_summary(call.instruments, _account(call))


async def get_user_trades(call: Call) -> object:
    market = call.instruments.read_market(call.params)
    count = call.params.integer("count", 1, _COUNT_MAX, 10)
    fills = [fill for fill in call.backend.user_trades(*read_owner(call), _COUNT_MAX) if fill.market == market]
    return {
        "trades": [present_account.fill(call.instruments, fill) for fill in fills[:count]],
        "has_more": len(fills) > count,
    }


async def get_order_state(call: Call) -> object:
    view = call.backend.order(*call.instruments.read_order_id(call.params))
    if view is None:
        raise ApiError(ORDER_NOT_FOUND, "order_id")
    return present_account.order(call.instruments, view)


def _account(call: Call) -> AccountView:
    account = call.backend.account(*read_owner(call))
    if account is None:
        raise engine_error(Code.UNKNOWN_ACCOUNT, "owner")
    return account
