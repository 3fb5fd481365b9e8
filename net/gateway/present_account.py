"""Accounts, orders and commands as JSON with Deribit's field names. Own fields begin with `x_`."""

from collections.abc import Callable
from decimal import ROUND_DOWN, Decimal
from typing import Any

from engine.commands import (
    AT_MARKET,
    BUY,
    FILL_OR_KILL,
    GOOD_TILL_TIME,
    IMMEDIATE_OR_CANCEL,
    POST_ONLY,
    POST_ONLY_SLIDE,
    REDUCE_ONLY,
    SELF_TRADE_SHIFT,
    TRIGGER,
    TRIGGER_BELOW,
    TRIGGER_ON_LAST,
    UNDER_PROTECTION,
    Action,
    Command,
)
from engine.params import MarketParams
from engine.results import OrderState
from engine.units import format_price, format_quote, format_size
from net.gateway.backend import (
    WHOLE_POSITION_LOTS,
    AccountView,
    CommandResult,
    FillView,
    OrderView,
    PositionView,
    Receipt,
    Status,
)
from net.gateway.instruments import Instruments
from net.gateway.present_market import kind_of
from net.gateway.present_text import CURRENCY, DIRECTIONS, hexed, price_or_none

DAY_MS, SESSION_END_MS = 86_400_000, 8 * 3_600_000  # days of the exchange end at 08:00 UTC
_GREEK_DECIMALS = Decimal("0.00000001")
_MARGIN_MODELS = ("cross_sm", "isolated", "cross_pm")
_ISOLATED, _PORTFOLIO = 1, 2
_TIMES_IN_FORCE = {
    IMMEDIATE_OR_CANCEL: "immediate_or_cancel", FILL_OR_KILL: "fill_or_kill", GOOD_TILL_TIME: "x_good_til_time",
}  # fmt: skip
_SELF_TRADES = ("cancel_maker", "cancel_taker", "cancel_both", "decrement")
# By BY_... of `engine.tables`; Deribit's word where it has one.
_CANCEL_REASONS = (
    "user_request", "user_request", "self_trade", "autoliquidation", "risk_mitigation", "x_expired", "x_reduce_only",
    "mmp_trigger", "cancel_on_disconnect", "settlement", "oco_other_closed", "x_phase",
)  # fmt: skip
_NO_RESULT_YET = (Status.RECEIVED, Status.INCLUDED)
_ORDER_STATES = {
    OrderState.NONE: "rejected", OrderState.OPEN: "open", OrderState.FILLED: "filled",
    OrderState.CANCELLED: "cancelled",
}  # fmt: skip
# Of orders that wait for their trigger.
_WAITING_STATES = {
    OrderState.NONE: "rejected", OrderState.OPEN: "untriggered", OrderState.FILLED: "triggered",
    OrderState.CANCELLED: "cancelled",
}  # fmt: skip


def order(instruments: Instruments, view: OrderView, height: int) -> dict[str, Any]:
    """As of a final block."""
    market = instruments.markets[view.market]
    filled_lots = view.size_lots - view.remaining_lots
    return {
        "order_id": instruments.order_id_text(view.market, view.order_id), "instrument_name": market.symbol,
        "direction": DIRECTIONS[view.side], "order_type": order_type(view.side, view.flags, view.trigger_ticks),
        "order_state": _WAITING_STATES[view.state] if view.is_waiting else _ORDER_STATES[view.state],
        "price": limit_price(market, view.flags, view.price_ticks),
        "amount": format_size(0 if view.size_lots >= WHOLE_POSITION_LOTS else view.size_lots, market),
        "filled_amount": format_size(filled_lots, market),
        "average_price": average_price(market, view.filled_value_quote, filled_lots),
        "label": str(view.client_id or ""), "creation_timestamp": view.created_ms,
        "last_update_timestamp": view.updated_ms, "api": True, "web": False, "is_liquidation": False,
        "x_owner": hexed(view.owner), "x_subaccount": view.subaccount, "x_height": height,
        **({} if view.cancel_reason is None else {"cancel_reason": _CANCEL_REASONS[view.cancel_reason]}),
    } | order_terms(
        market, view.time_in_force, view.flags, view.trigger_ticks, view.display_lots, view.good_till_ms
    )  # fmt: skip


def order_type(side: int, flags: int, trigger_ticks: int) -> str:
    """Deribit's name: a stop fires when the price moves against whoever has the other side, a take when it moves with
    them.
    """
    name = "market" if flags & AT_MARKET else "limit"
    if not trigger_ticks:
        return name
    is_take = bool(flags & TRIGGER_BELOW) == (side == BUY)
    return f"{'take' if is_take else 'stop'}_{name}"


def limit_price(market: MarketParams, flags: int, price_ticks: int) -> str:
    return "market_price" if flags & AT_MARKET else format_price(price_ticks, market)


def order_terms(
    market: MarketParams, in_force: int, flags: int, trigger_ticks: int, display_lots: int, good_till_ms: int
) -> dict[str, Any]:
    """What an order was sent with beside price and size."""
    terms: dict[str, Any] = {
        "time_in_force": time_in_force(in_force), "post_only": in_force in (POST_ONLY, POST_ONLY_SLIDE),
        "reject_post_only": in_force == POST_ONLY, "reduce_only": bool(flags & REDUCE_ONLY),
        "mmp": bool(flags & UNDER_PROTECTION), "x_self_trade": _SELF_TRADES[flags >> SELF_TRADE_SHIFT & 3],
    }  # fmt: skip
    if display_lots:
        terms["display_amount"] = terms["max_show"] = format_size(display_lots, market)
    if good_till_ms:
        terms["x_good_till_ms"] = good_till_ms
        if good_till_ms % DAY_MS == SESSION_END_MS:
            terms["time_in_force"] = "good_til_day"
    if trigger_ticks:
        terms["trigger_price"] = terms["stop_price"] = format_price(trigger_ticks, market)
        terms["trigger"] = "last_price" if flags & TRIGGER_ON_LAST else "mark_price"
    return terms


def placed_order(instruments: Instruments, command: Command, action: Action, result: CommandResult) -> dict[str, Any]:
    """The order of a place action, as far as its result is known."""
    market = instruments.markets[action.market]
    is_known = result.status not in _NO_RESULT_YET
    states = _WAITING_STATES if action.kind == TRIGGER else _ORDER_STATES
    # A reduce-only order is filled when the position is closed, however large it was sent.
    size_lots = result.filled_lots if result.order_state == OrderState.FILLED else action.size_lots
    return {
        "order_id": instruments.order_id_text(action.market, result.order_id) if result.order_id else None,
        "instrument_name": market.symbol, "direction": DIRECTIONS[action.side],
        "order_type": order_type(action.side, action.flags, action.trigger_ticks),
        "order_state": states[result.order_state] if is_known else "pending",
        "price": limit_price(market, action.flags, action.price_ticks), "amount": format_size(size_lots, market),
        "filled_amount": format_size(result.filled_lots, market) if is_known else None,
        "average_price": average_price(market, result.filled_value_quote, result.filled_lots),
        "label": str(action.client_id or ""), "creation_timestamp": result.time_ms or None,
        "last_update_timestamp": result.time_ms or None, "api": True, "web": False, "is_liquidation": False,
        "x_owner": hexed(command.owner), "x_subaccount": command.subaccount, "x_height": result.height or None,
    } | order_terms(
        market, action.time_in_force, action.flags, action.trigger_ticks, action.display_lots, action.good_till_ms
    )  # fmt: skip


def made_offer(instruments: Instruments, command: Command, action: Action, result: CommandResult) -> dict[str, Any]:
    """The offer of an action, as far as its result is known."""
    market = instruments.markets[action.market]
    is_known = result.status not in _NO_RESULT_YET
    return {
        "offer_id": instruments.order_id_text(action.market, result.order_id) if result.order_id else None,
        "instrument_name": market.symbol, "direction": DIRECTIONS[action.side],
        "price": format_price(action.price_ticks, market), "amount": format_size(action.size_lots, market),
        "label": str(action.client_id or ""), "state": "open" if is_known else "pending",
        "x_good_till_ms": action.good_till_ms, "x_owner": hexed(command.owner), "x_subaccount": command.subaccount,
    }  # fmt: skip


def transferring(owner: bytes, action: Action, result: CommandResult) -> dict[str, Any]:
    """Money on its way to another account of the exchange."""
    to_owner = action.data[:20] if any(action.data) else owner
    return {
        "currency": CURRENCY, "amount": format_quote(action.size_lots), "other_side": hexed(to_owner),
        "x_subaccount": action.link, "state": "confirmed" if is_final(result) else "prepared",
        "created_timestamp": result.time_ms or None,
    }  # fmt: skip


def withdrawing(owner: bytes, action: Action, result: CommandResult) -> dict[str, Any]:
    """A withdrawal on its way: `id` is its leaf in the withdrawal tree."""
    return {
        "id": result.withdrawal_index, "currency": CURRENCY, "amount": format_quote(action.size_lots),
        "address": hexed(owner), "state": "confirmed" if is_final(result) else "unconfirmed",
        "created_timestamp": result.time_ms or None,
    }  # fmt: skip


def time_in_force(value: int) -> str:
    return _TIMES_IN_FORCE.get(value, "good_til_cancelled")


def fill(instruments: Instruments, view: FillView) -> dict[str, Any]:
    market = instruments.markets[view.market]
    return {
        "trade_id": str(view.trade_id), "trade_seq": view.trade_id, "instrument_name": market.symbol,
        "timestamp": view.time_ms, "direction": DIRECTIONS[view.side], "liquidity": "M" if view.is_maker else "T",
        "price": format_price(view.price_ticks, market), "amount": format_size(view.size_lots, market),
        "fee": format_quote(view.fee_quote), "fee_currency": CURRENCY, "order_type": "limit",
        "order_id": instruments.order_id_text(view.market, view.order_id), "label": str(view.client_id or ""),
        "x_counterparty_order_id": instruments.order_id_text(view.market, view.counterparty_order_id),
        "x_height": view.height,
    } | ({"liquidation": "M" if view.is_maker else "T"} if view.is_liquidation else {})  # fmt: skip


def position(instruments: Instruments, view: PositionView, height: int) -> dict[str, Any]:
    """As of a final block. What it was bought for is told while the node knows the trades that made it."""
    market = instruments.markets[view.market]
    direction = "buy" if view.size_lots > 0 else "sell" if view.size_lots < 0 else "zero"
    return {
        "instrument_name": market.symbol, "kind": kind_of(market), "direction": direction,
        "size": format_size(view.size_lots, market), "size_currency": format_size(view.size_lots, market),
        "mark_price": format_price(view.mark_price_ticks, market),
        "index_price": format_price(view.index_price_ticks, market),
        "initial_margin": format_quote(view.initial_margin_quote),
        "maintenance_margin": format_quote(view.maintenance_margin_quote),
        "x_value": format_quote(view.mark_value_quote), "leverage": 10_000 // market.initial_margin_bps,
        "estimated_liquidation_price": price_or_none(market, view.liquidation_price_ticks),
        "delta": per_index(market, view.delta_quote, view.index_price_ticks, 1),
        "gamma": per_index(market, view.gamma_quote, view.index_price_ticks, 2),
        "x_delta": format_quote(view.delta_quote), "x_gamma": format_quote(view.gamma_quote),
        "vega": format_quote(view.vega_quote), "theta": format_quote(view.theta_quote), "x_height": height,
    } | _profit(market, view)  # fmt: skip


def _profit(market: MarketParams, view: PositionView) -> dict[str, Any]:
    floating_quote = _floating_quote(view)
    if view.entry_value_quote is None or view.realized_quote is None or floating_quote is None:
        names = ("average_price", "floating_profit_loss", "realized_profit_loss", "total_profit_loss")
        return dict.fromkeys(names)
    return {
        "average_price": average_price(market, abs(view.entry_value_quote), abs(view.size_lots)),
        "floating_profit_loss": format_quote(floating_quote),
        "realized_profit_loss": format_quote(view.realized_quote),
        "total_profit_loss": format_quote(floating_quote + view.realized_quote),
    }


def _floating_quote(view: PositionView) -> int | None:
    return None if view.entry_value_quote is None else view.mark_value_quote - view.entry_value_quote


def per_index(market: MarketParams, greek_quote: int, index_ticks: int, power: int) -> str:
    """A Greek per rise of 100 % as one per rise of 1 USD: in units of the base, and their change."""
    if not index_ticks:
        return "0"
    per_unit = Decimal(greek_quote).scaleb(-6) / (Decimal(index_ticks) * Decimal(market.tick_size)) ** power
    return f"{per_unit.quantize(_GREEK_DECIMALS, rounding=ROUND_DOWN):f}"


def account_summary(instruments: Instruments, view: AccountView) -> dict[str, Any]:
    def total(kinds: tuple[str, ...], values: Callable[[PositionView], int | None]) -> str:
        wanted = [item for item in view.positions if kind_of(instruments.markets[item.market]) in kinds]
        return format_quote(sum(values(item) or 0 for item in wanted))

    futures, options = ("future",), ("option",)
    # A linear market's lots are bought with cash that equity counts back: what clients call balance is before that.
    linear = [item for item in view.positions if kind_of(instruments.markets[item.market]) in futures]
    paid_quote = sum(
        item.mark_value_quote if item.entry_value_quote is None else item.entry_value_quote for item in linear
    )
    initial, maintenance = format_quote(view.initial_margin_quote), format_quote(view.maintenance_margin_quote)
    return {
        "currency": CURRENCY, "type": "subaccount" if view.subaccount else "main",
        "balance": format_quote(view.balance_quote + paid_quote), "x_cash": format_quote(view.balance_quote),
        "equity": format_quote(view.equity_quote),
        "margin_balance": format_quote(view.equity_quote), "initial_margin": initial,
        "maintenance_margin": maintenance, "projected_initial_margin": initial,
        "projected_maintenance_margin": maintenance,
        "available_funds": format_quote(max(0, view.equity_quote - view.initial_margin_quote)),
        "available_withdrawal_funds": format_quote(view.withdrawable_quote), "margin_model": _MARGIN_MODELS[view.mode],
        "portfolio_margining_enabled": view.mode == _PORTFOLIO, "cross_collateral_enabled": view.mode != _ISOLATED,
        "delta_total": format_quote(view.delta_quote), "options_vega": total(options, lambda item: item.vega_quote),
        "options_theta": total(options, lambda item: item.theta_quote),
        "options_value": total(options, lambda item: item.mark_value_quote),
        "options_pl": total(options, _floating_quote), "futures_pl": total(futures, _floating_quote),
        "total_pl": total((*options, *futures), _floating_quote),
        "x_owner": hexed(view.owner), "x_subaccount": view.subaccount, "x_account_index": view.index,
        "x_height": view.height, "x_open_orders": view.open_order_count,
        "x_positions": [position(instruments, entry, view.height) for entry in view.positions],
    }  # fmt: skip


def receipt(view: Receipt) -> dict[str, Any]:
    return {
        "node": view.node_index, "command_id": hexed(view.command_id), "received_ms": view.received_ms,
        "signature": hexed(view.signature),
    }  # fmt: skip


def command_result(instruments: Instruments, view: CommandResult) -> dict[str, Any]:
    """What is known of a command, as `public/x_get_command_status` answers it."""
    known = {"command_id": hexed(view.command_id), "status": str(view.status), "is_final": is_final(view)}
    if view.status in _NO_RESULT_YET:
        return known | ({"height": view.height} if view.height else {})
    fills = [fill(instruments, entry) for entry in view.fills]
    return known | {
        "code": int(view.code), "reason": view.code.name.lower(), "order_state": _ORDER_STATES[view.order_state],
        "order_number": view.order_id, "filled_lots": view.filled_lots, "remaining_lots": view.remaining_lots,
        "filled_value": format_quote(view.filled_value_quote), "height": view.height, "timestamp": view.time_ms,
        "cancelled": view.cancelled_count, "withdrawal_index": view.withdrawal_index, "trades": fills,
    }  # fmt: skip


def is_final(view: CommandResult) -> bool:
    return view.status in (Status.CERTIFIED, Status.ON_CHAIN)


def average_price(market: MarketParams, value_quote: int, size_lots: int) -> str:
    """To a ten-thousandth of a tick, rounded down; 0 when nothing was filled."""
    if not size_lots:
        return "0"
    ticks_e4 = value_quote * 10_000 // (size_lots * market.quote_per_tick_lot)
    return f"{Decimal(ticks_e4) * Decimal(market.tick_size) / 10_000:f}"
