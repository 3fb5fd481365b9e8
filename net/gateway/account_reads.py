"""Positions, margins and settings of an account, read by its owner's address. A read needs no signature."""

from typing import Any

from engine.results import Code
from engine.units import UnitError, parse_size_lots
from net.gateway import present_account, present_settings
from net.gateway.account_data import SettingsView, Simulated, WhatIf, WhatIfOrder
from net.gateway.actions import read_owner
from net.gateway.api import Call
from net.gateway.backend import AccountView, PositionView
from net.gateway.errors import SIZE_OFF_LOT, ApiError, engine_error
from net.gateway.order_actions import SIDES
from net.gateway.present_market import kind_of
from net.gateway.present_text import hexed

_KINDS = ("any", "future", "option", "spot")
_POSITIONS_MAX = 256
_SHIFT_PPM_MAX = 10_000_000


async def get_positions(call: Call) -> object:
    kind = call.params.choice("kind", {name: name for name in _KINDS}, "any")
    account = call.backend.account(*read_owner(call))
    if account is None:
        return []
    return [
        present_account.position(call.instruments, view, account.height) for view in account.positions
        if kind in ("any", kind_of(call.instruments.markets[view.market]))
    ]  # fmt: skip


async def get_position(call: Call) -> object:
    market = call.instruments.read_market(call.params)
    account = call.backend.account(*read_owner(call))
    if account is not None:
        for view in account.positions:
            if view.market == market:
                return present_account.position(call.instruments, view, account.height)
    ticker = call.backend.ticker(market)
    flat = PositionView(
        market, 0, ticker.mark_price_ticks, ticker.index_price_ticks, 0, 0, 0, entry_value_quote=0, realized_quote=0
    )
    return present_account.position(call.instruments, flat, ticker.height)


def _account(call: Call) -> AccountView:
    account = call.backend.account(*read_owner(call))
    if account is None:
        raise engine_error(Code.UNKNOWN_ACCOUNT, "owner")
    return account


async def get_account_summary(call: Call) -> object:
    return present_account.account_summary(call.instruments, _account(call))


async def get_account_summaries(call: Call) -> object:
    """The one currency's, in the list that Deribit's clients read."""
    account = _account(call)
    summary = present_account.account_summary(call.instruments, account)
    return {
        "id": account.index, "type": summary["type"], "username": hexed(account.owner), "summaries": [summary],
        "x_height": account.height,
    }  # fmt: skip


async def get_subaccounts(call: Call) -> object:
    """Every subaccount of the owner that was ever credited."""
    owner, _ = read_owner(call)
    wants_portfolio = call.params.flag("with_portfolio")
    found: list[dict[str, Any]] = []
    for subaccount in call.backend.account_data.subaccounts(owner):
        account = call.backend.account(owner, subaccount)
        if account is None:
            continue
        shown = {
            "id": account.index, "username": f"{hexed(owner)}/{subaccount}", "system_name": str(subaccount),
            "type": "subaccount" if subaccount else "main", "is_password": False, "margin_model": None,
            "x_owner": hexed(owner), "x_subaccount": subaccount, "x_height": account.height,
        }  # fmt: skip
        summary = present_account.account_summary(call.instruments, account)
        shown["margin_model"] = summary["margin_model"]
        found.append(shown | ({"portfolio": {"usdc": summary}} if wants_portfolio else {}))
    return found


# what if


def _simulate(call: Call, what_if: WhatIf) -> Simulated:
    found = call.backend.account_data.simulate(*read_owner(call), what_if)
    if isinstance(found, Code):
        raise engine_error(found, "owner" if found == Code.UNKNOWN_ACCOUNT else None)
    return found


async def get_margins(call: Call) -> object:
    """Initial margin that an order of this size and price would need, on either side."""
    market = call.instruments.read_market(call.params)
    price_ticks = call.instruments.read_price_ticks(call.params, market)
    size_lots = call.instruments.read_size_lots(call.params, market)
    before = _simulate(call, WhatIf())
    shown = {
        name: present_settings.margin_preview(
            before, _simulate(call, WhatIf(orders=(WhatIfOrder(market, side, size_lots, price_ticks),)))
        )["initial_margin_change"]
        for name, side in SIDES.items()
    }  # fmt: skip
    ticker = call.backend.ticker(market)
    return shown | present_settings.price_limits(call.instruments.markets[market], ticker) | {"x_height": before.height}


async def simulate_portfolio(call: Call) -> object:
    """Margins of the account with other positions and other prices."""
    params = call.params
    lots = {} if params.values.get("simulated_positions") is None else _read_positions(call)
    what_if = WhatIf(
        lots, params.flag("add_positions", True),
        price_shift_ppm=params.integer("x_price_shift_ppm", -_SHIFT_PPM_MAX, _SHIFT_PPM_MAX, 0),
        vol_shift_ppm=params.integer("x_vol_shift_ppm", -_SHIFT_PPM_MAX, _SHIFT_PPM_MAX, 0),
    )  # fmt: skip
    return present_settings.simulated(_simulate(call, what_if))


def _read_positions(call: Call) -> dict[int, int]:
    """Signed lots by market, of `{instrument: size}`."""
    wanted = call.params.nested("simulated_positions")
    if len(wanted.values) > _POSITIONS_MAX:
        raise engine_error(Code.POSITIONS_FULL, "simulated_positions")
    lots = {}
    for name in wanted.values:
        market = call.instruments.number(name, "simulated_positions")
        size_text = wanted.decimal(name)
        try:
            lots[market] = parse_size_lots(size_text, call.instruments.markets[market])
        except UnitError as error:
            raise ApiError(SIZE_OFF_LOT, "simulated_positions", str(error)) from None
    return lots


async def get_margin_inputs(call: Call) -> object:
    """For a machine that has the engine itself."""
    named = call.params.values.get("instruments") is not None
    names = call.params.text_list("instruments", _POSITIONS_MAX) if named else []
    markets = [call.instruments.number(name, "instruments") for name in names]
    found = call.backend.account_data.margin_inputs(*read_owner(call), markets)
    if found is None:
        raise engine_error(Code.UNKNOWN_ACCOUNT, "owner")
    return present_settings.margin_inputs(call.instruments, found)


async def margin_explain(call: Call) -> object:
    """Every number that the account's margin is made of, as the engine has it now."""
    account = _account(call)
    return present_settings.simulated(_simulate(call, WhatIf())) | {
        "x_positions": [present_account.position(call.instruments, view, account.height) for view in account.positions]
    }


# settings


def _settings(call: Call) -> SettingsView:
    settings = call.backend.account_data.settings(*read_owner(call))
    if settings is None:
        raise engine_error(Code.UNKNOWN_ACCOUNT, "owner")
    return settings


async def get_mmp_config(call: Call) -> object:
    """Empty without protection."""
    settings = _settings(call)
    return [present_settings.protection(settings)] if settings.protection else []


async def get_mmp_status(call: Call) -> object:
    """What this window has used, and whether quotes are frozen."""
    settings = _settings(call)
    return [present_settings.protection_status(settings)] if settings.protection else []


async def get_cancel_on_disconnect(call: Call) -> object:
    """The switch of `private/x_cancel_all_after`: no connection has one of its own."""
    settings = _settings(call)
    return {
        "scope": "account", "enabled": settings.cancel_at_ms != 0, "x_deadline_ms": settings.cancel_at_ms or None,
        "x_height": settings.height,
    }  # fmt: skip


async def list_session_keys(call: Call) -> object:
    return present_settings.session_keys(_settings(call))


async def get_offers(call: Call) -> object:
    """Live offers that everybody may accept, the account's own, and those that are made to it."""
    owner = None if call.params.values.get("owner") is None else read_owner(call)
    height = call.backend.account_data.height()
    return [
        present_settings.offer(call.instruments, view, height) for view in call.backend.account_data.offers()
        if view.counterparty is None or owner in (view.counterparty, (view.owner, view.subaccount))
    ]  # fmt: skip
