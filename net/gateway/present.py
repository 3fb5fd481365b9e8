"""Records to JSON with Deribit's field names. Prices, sizes and money are decimal text; own fields begin with `x_`."""

from dataclasses import asdict
from decimal import Decimal
from functools import partial
from typing import Any

from consensus.messages import Commitment
from engine.commands import (
    ALL_MARKETS,
    AT_MARKET,
    BUY,
    CANCEL,
    CANCEL_ALL,
    FILL_OR_KILL,
    GOOD_TILL_TIME,
    IMMEDIATE_OR_CANCEL,
    PLACE,
    POST_ONLY,
    POST_ONLY_SLIDE,
    REDUCE_ONLY,
    SELF_TRADE_SHIFT,
    SELL,
    TRIGGER,
    TRIGGER_BELOW,
    TRIGGER_ON_LAST,
    TYPE_STRINGS,
    UNDER_PROTECTION,
    USED_FIELDS,
    WITHDRAW,
    Action,
    Command,
)
from engine.params import MarketParams
from engine.results import Code, OrderState
from engine.units import format_price, format_quote, format_size
from net.gateway.backend import (
    WHOLE_POSITION_LOTS,
    AccountProof,
    AccountView,
    BlockEvent,
    BookView,
    CommandResult,
    EvidenceView,
    FillView,
    FinalisedHeader,
    InboxView,
    NetworkInfo,
    NodeCounters,
    OrderView,
    PositionView,
    Receipt,
    Status,
    TickerView,
    TradeView,
    UptimeView,
    WithdrawalProof,
    WithdrawalView,
)
from net.gateway.book import BookMirror, Level
from net.gateway.instruments import Instruments

CURRENCY = "USDC"
INBOX_KINDS = {1: "deposit", 2: "cancel", 3: "close", 4: "withdraw", 5: "key"}
_NEVER_MS = 32_503_708_800_000  # the year 3000, as Deribit writes it for perpetuals
_DIRECTIONS = ("buy", "sell")
_PHASES = ("continuous", "auction", "cancel_only", "post_only", "settled")
_MARGIN_MODELS = ("cross_sm", "isolated", "cross_pm")
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


def hexed(data: bytes) -> str:
    return "0x" + data.hex()


def bps_text(rate_bps: int) -> str:
    """Basis points as a fraction."""
    return f"{rate_bps // 10_000}.{rate_bps % 10_000:04d}"


def average_price(market: MarketParams, value_quote: int, size_lots: int) -> str | None:
    """To a ten-thousandth of a tick, rounded down; None when nothing was filled."""
    if not size_lots:
        return None
    ticks_e4 = value_quote * 10_000 // (size_lots * market.quote_per_tick_lot)
    return f"{Decimal(ticks_e4) * Decimal(market.tick_size) / 10_000:f}"


def instrument(instruments: Instruments, number: int) -> dict[str, Any]:
    market = instruments.markets[number]
    base = market.underlying_name
    return {
        "instrument_name": market.symbol, "instrument_id": number, "kind": kind_of(market),
        "instrument_type": "linear", "future_type": "linear",
        "settlement_period": "perpetual" if market.kind == "perpetual" else "day",
        "base_currency": base, "quote_currency": CURRENCY,
        "counter_currency": CURRENCY, "settlement_currency": CURRENCY, "price_index": f"{base.lower()}_usdc",
        "tick_size": market.tick_size, "tick_size_steps": [], "min_trade_amount": market.lot_size,
        "contract_size": "1", "maker_commission": bps_text(market.maker_fee_bps),
        "taker_commission": bps_text(market.taker_fee_bps), "max_leverage": 10_000 // market.initial_margin_bps,
        "is_active": True, "creation_timestamp": 0,
        "expiration_timestamp": market.expiry_ms or _NEVER_MS, "rfq": False, "x_params": asdict(market),
    } | ({"strike": market.strike, "option_type": market.kind} if market.kind in ("call", "put") else {})  # fmt: skip


def kind_of(market: MarketParams) -> str:
    return {"call": "option", "put": "option", "spot": "spot"}.get(market.kind, "future")


def order(instruments: Instruments, view: OrderView) -> dict[str, Any]:
    market = instruments.markets[view.market]
    filled_lots = view.size_lots - view.remaining_lots
    return {
        "order_id": instruments.order_id_text(view.market, view.order_id), "instrument_name": market.symbol,
        "direction": _DIRECTIONS[view.side], "order_type": order_type(view.side, view.flags, view.trigger_ticks),
        "order_state": _WAITING_STATES[view.state] if view.is_waiting else _ORDER_STATES[view.state],
        "price": limit_price(market, view.flags, view.price_ticks),
        "amount": format_size(0 if view.size_lots >= WHOLE_POSITION_LOTS else view.size_lots, market),
        "filled_amount": format_size(filled_lots, market),
        "average_price": average_price(market, view.filled_value_quote, filled_lots),
        "label": str(view.client_id or ""), "creation_timestamp": view.created_ms,
        "last_update_timestamp": view.updated_ms, "api": True, "x_owner": hexed(view.owner),
        "x_subaccount": view.subaccount,
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
        terms["display_amount"] = format_size(display_lots, market)
    if good_till_ms:
        terms["x_good_till_ms"] = good_till_ms
    if trigger_ticks:
        terms["trigger_price"] = format_price(trigger_ticks, market)
        terms["trigger"] = "last_price" if flags & TRIGGER_ON_LAST else "mark_price"
    return terms


def placed_order(instruments: Instruments, command: Command, action: Action, result: CommandResult) -> dict[str, Any]:
    """The order of a place action, as far as its result is known."""
    market = instruments.markets[action.market]
    is_known = result.status not in _NO_RESULT_YET
    states = _WAITING_STATES if action.kind == TRIGGER else _ORDER_STATES
    return {
        "order_id": instruments.order_id_text(action.market, result.order_id) if result.order_id else None,
        "instrument_name": market.symbol, "direction": _DIRECTIONS[action.side],
        "order_type": order_type(action.side, action.flags, action.trigger_ticks),
        "order_state": states[result.order_state] if is_known else "pending",
        "price": limit_price(market, action.flags, action.price_ticks), "amount": format_size(action.size_lots, market),
        "filled_amount": format_size(result.filled_lots, market) if is_known else None,
        "average_price": average_price(market, result.filled_value_quote, result.filled_lots),
        "label": str(action.client_id or ""), "creation_timestamp": result.time_ms or None,
        "last_update_timestamp": result.time_ms or None, "api": True, "x_owner": hexed(command.owner),
        "x_subaccount": command.subaccount,
    } | order_terms(
        market, action.time_in_force, action.flags, action.trigger_ticks, action.display_lots, action.good_till_ms
    )  # fmt: skip


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


def trade(instruments: Instruments, view: TradeView) -> dict[str, Any]:
    market = instruments.markets[view.market]
    return {
        "trade_id": str(view.trade_id), "trade_seq": view.trade_id, "instrument_name": market.symbol,
        "timestamp": view.time_ms, "direction": _DIRECTIONS[view.side],
        "price": format_price(view.price_ticks, market), "amount": format_size(view.size_lots, market),
        "x_height": view.height,
    } | ({"liquidation": "T"} if view.is_liquidation else {})  # fmt: skip


def fill(instruments: Instruments, view: FillView) -> dict[str, Any]:
    market = instruments.markets[view.market]
    return {
        "trade_id": str(view.trade_id), "trade_seq": view.trade_id, "instrument_name": market.symbol,
        "timestamp": view.time_ms, "direction": _DIRECTIONS[view.side], "liquidity": "M" if view.is_maker else "T",
        "price": format_price(view.price_ticks, market), "amount": format_size(view.size_lots, market),
        "fee": format_quote(view.fee_quote), "fee_currency": CURRENCY, "order_type": "limit",
        "order_id": instruments.order_id_text(view.market, view.order_id), "label": str(view.client_id or ""),
        "x_counterparty_order_id": instruments.order_id_text(view.market, view.counterparty_order_id),
        "x_height": view.height,
    } | ({"liquidation": "M" if view.is_maker else "T"} if view.is_liquidation else {})  # fmt: skip


def ticker(instruments: Instruments, view: TickerView) -> dict[str, Any]:
    market = instruments.markets[view.market]
    shown = partial(price_or_none, market)
    return {
        "instrument_name": market.symbol, "timestamp": view.time_ms,
        "state": "closed" if _PHASES[view.phase] == "settled" else "open", "x_phase": _PHASES[view.phase],
        "x_is_fresh": view.is_fresh,
        "mark_price": shown(view.mark_price_ticks), "index_price": shown(view.index_price_ticks),
        "last_price": shown(view.last_price_ticks), "settlement_price": None,
        "best_bid_price": shown(view.best_bid_ticks), "best_bid_amount": format_size(view.best_bid_lots, market),
        "best_ask_price": shown(view.best_ask_ticks), "best_ask_amount": format_size(view.best_ask_lots, market),
        "open_interest": format_size(view.open_interest_lots, market), "funding_8h": _ppb_text(view.funding_8h_ppb),
        "current_funding": _ppb_text(view.current_funding_ppb),
        "stats": {
            "volume": format_size(view.volume_24h_lots, market), "volume_usd": format_quote(view.volume_24h_quote),
            "high": shown(view.high_24h_ticks), "low": shown(view.low_24h_ticks),
        },
        "x_height": view.height,
    } | _greeks(view)  # fmt: skip


def _greeks(view: TickerView) -> dict[str, Any]:
    if view.greeks_e8 is None:
        return {}
    names = ("delta", "gamma", "vega", "theta", "rho")
    return {"greeks": {name: f"{Decimal(number).scaleb(-8):f}" for name, number in zip(names, view.greeks_e8)}}


def price_or_none(market: MarketParams, price_ticks: int) -> str | None:
    return format_price(price_ticks, market) if price_ticks else None


def _ppb_text(rate_ppb: int) -> str:
    sign = "-" if rate_ppb < 0 else ""
    return f"{sign}{abs(rate_ppb) // 10**9}.{abs(rate_ppb) % 10**9:09d}"


def order_book(instruments: Instruments, book: BookView, view: TickerView) -> dict[str, Any]:
    market = instruments.markets[book.market]

    def side(levels: tuple[tuple[int, int], ...]) -> list[list[str]]:
        return [[format_price(price_ticks, market), format_size(lots, market)] for price_ticks, lots in levels]

    return ticker(instruments, view) | {
        "timestamp": book.time_ms, "change_id": book.height, "bids": side(book.bids), "asks": side(book.asks),
        "x_height": book.height,
    }  # fmt: skip


def book_message(
    instruments: Instruments, kind: str, mirror: BookMirror, levels: list[Level], previous_id: int | None
) -> dict[str, Any]:
    """One message of a book channel: a snapshot, or the changes since `previous_id`."""
    market = instruments.markets[mirror.market]
    sides: tuple[list[list[str]], list[list[str]]] = ([], [])
    for action, side, price_ticks, size_lots in levels:
        sides[side].append([action, format_price(price_ticks, market), format_size(size_lots, market)])
    message = {
        "type": kind, "instrument_name": market.symbol, "timestamp": mirror.time_ms, "change_id": mirror.change_id,
        "bids": sides[0], "asks": sides[1],
    }  # fmt: skip
    return message if previous_id is None else message | {"prev_change_id": previous_id}


def block(event: BlockEvent) -> dict[str, Any]:
    return {
        "height": event.height, "hash": hexed(event.header_hash), "state_root": hexed(event.state_root),
        "timestamp": event.time_ms, "commands": event.command_count, "trades": event.trade_count,
    }  # fmt: skip


def position(instruments: Instruments, view: PositionView) -> dict[str, Any]:
    market = instruments.markets[view.market]
    direction = "buy" if view.size_lots > 0 else "sell" if view.size_lots < 0 else "zero"
    return {
        "instrument_name": market.symbol, "kind": kind_of(market), "direction": direction,
        "size": format_size(view.size_lots, market), "size_currency": format_size(view.size_lots, market),
        "mark_price": format_price(view.mark_price_ticks, market),
        "index_price": format_price(view.index_price_ticks, market),
        "initial_margin": format_quote(view.initial_margin_quote),
        "maintenance_margin": format_quote(view.maintenance_margin_quote), "x_value": format_quote(view.value_quote),
        "estimated_liquidation_price": price_or_none(market, view.liquidation_price_ticks),
        "x_delta": format_quote(view.delta_quote), "x_gamma": format_quote(view.gamma_quote),
        "vega": format_quote(view.vega_quote), "theta": format_quote(view.theta_quote),
    }  # fmt: skip


def account_summary(instruments: Instruments, view: AccountView) -> dict[str, Any]:
    return {
        "currency": CURRENCY, "type": "subaccount" if view.subaccount else "main",
        "balance": format_quote(view.balance_quote), "equity": format_quote(view.equity_quote),
        "margin_balance": format_quote(view.equity_quote), "initial_margin": format_quote(view.initial_margin_quote),
        "maintenance_margin": format_quote(view.maintenance_margin_quote),
        "available_funds": format_quote(max(0, view.equity_quote - view.initial_margin_quote)),
        "available_withdrawal_funds": format_quote(view.withdrawable_quote), "margin_model": _MARGIN_MODELS[view.mode],
        "delta_total": format_quote(view.delta_quote), "options_vega": format_quote(view.vega_quote),
        "x_owner": hexed(view.owner), "x_subaccount": view.subaccount, "x_account_index": view.index,
        "x_height": view.height, "x_open_orders": view.open_order_count,
        "x_positions": [position(instruments, entry) for entry in view.positions],
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
        return known
    fills = [fill(instruments, entry) for entry in view.fills]
    return known | {
        "code": int(view.code), "reason": view.code.name.lower(), "order_state": _ORDER_STATES[view.order_state],
        "order_number": view.order_id, "filled_lots": view.filled_lots, "remaining_lots": view.remaining_lots,
        "filled_value": format_quote(view.filled_value_quote), "height": view.height, "timestamp": view.time_ms,
        "cancelled": view.cancelled_count, "withdrawal_index": view.withdrawal_index, "trades": fills,
    }  # fmt: skip


def is_final(view: CommandResult) -> bool:
    return view.status in (Status.CERTIFIED, Status.ON_CHAIN)


def domain(info: NetworkInfo, types: dict[str, Any], instruments: Instruments) -> dict[str, Any]:
    return types | {
        "domain_separator": hexed(info.domain_separator), "network_id": hexed(info.network_id),
        "token": hexed(info.token), "node": info.node_index, "node_key": hexed(info.node_key),
        "testnet": info.is_testnet,
        "instruments": [instrument(instruments, number) for number in range(len(instruments.markets))],
    }  # fmt: skip


def certificate(finalised: FinalisedHeader) -> dict[str, Any]:
    header, proof = finalised.header, finalised.certificate
    commitment = Commitment.decode(header.commitment)
    return {
        "height": header.height, "epoch": header.epoch, "view": header.view, "timestamp": header.timestamp_ms,
        "header": hexed(header.encode()), "header_hash": hexed(header.hash()),
        "state_root": hexed(commitment.state_root), "account_root": hexed(commitment.account_root),
        "withdrawals_root": hexed(commitment.withdrawals_root), "kind": proof.kind, "bitmap": hexed(proof.bitmap),
        "signature": hexed(proof.signature), "signers": proof.signers(),
    }  # fmt: skip


def account_proof(view: AccountProof) -> dict[str, Any]:
    return {
        "index": view.index, "owner": hexed(view.owner), "subaccount": view.subaccount,
        "claims": format_quote(view.claims), "debt": format_quote(view.debt), "holdings": hexed(view.holdings),
        "aux_hash": hexed(view.aux_hash),
        "siblings": [
            {"hash": hexed(node), "claims": format_quote(claims), "debt": format_quote(debt)}
            for node, claims, debt in view.siblings
        ],
        "certificate": certificate(view.finalised),
    }  # fmt: skip


def withdrawal_proof(view: WithdrawalProof) -> dict[str, Any]:
    return {
        "index": view.index, "owner": hexed(view.owner), "token": hexed(view.token),
        "amount": format_quote(view.amount_quote), "siblings": [hexed(node) for node in view.siblings],
        "certificate": certificate(view.finalised),
    }  # fmt: skip


def withdrawal(view: WithdrawalView) -> dict[str, Any]:
    return {
        "index": view.index, "owner": hexed(view.owner), "subaccount": view.subaccount, "currency": CURRENCY,
        "amount": format_quote(view.amount_quote), "created_timestamp": view.time_ms, "x_height": view.height,
        "x_status": str(view.status), "state": "completed" if view.is_claimed else "confirmed",
    }  # fmt: skip


def inbox_entry(view: InboxView) -> dict[str, Any]:
    is_waiting = view.height == 0
    return {
        "index": view.index, "kind": INBOX_KINDS.get(view.kind, str(view.kind)), "owner": hexed(view.owner),
        "subaccount": view.subaccount, "token": hexed(view.token), "amount": str(view.amount_units),
        "data": hexed(view.data),
        "created_timestamp": view.entered_s * 1000,
        "state": "waiting" if is_waiting else "done" if view.code == Code.OK else "refused",
        "x_height": None if is_waiting else view.height, "x_timestamp": None if is_waiting else view.time_ms,
        "x_code": None if is_waiting else int(view.code), "x_number": None if is_waiting else view.number,
    }  # fmt: skip


def evidence(view: EvidenceView) -> dict[str, Any]:
    return {
        "key": hexed(view.key), "type": f"E{view.offence}", "epoch": view.epoch, "view": view.view,
        "culprits": list(view.culprits), "evidence": hexed(view.data), "is_in_court": view.is_in_court,
        "transaction_hash": hexed(view.transaction_hash) if view.transaction_hash else None,
    }  # fmt: skip


def uptime(view: UptimeView) -> dict[str, Any]:
    return {
        "first_height": view.first_height, "last_height": view.last_height, "blocks": view.block_count,
        "validators": [
            {"index": index, "signed": count, "signed_bps": count * 10_000 // max(1, view.block_count)}
            for index, count in enumerate(view.signed_counts)
        ],
    }  # fmt: skip


def counters(view: NodeCounters) -> dict[str, Any]:
    return {
        "time_ms": view.time_ms, "cpu_us": view.cpu_us, "height": view.height,
        "actions_by_code": {str(code): count for code, count in view.actions_by_code.items()},
        "blocks_by_finality_ms": {str(ms): count for ms, count in view.blocks_by_finality_ms.items()},
        "links": [asdict(link) for link in view.links], "task_count": view.task_count,
        "blocks_by_step_ms": {
            step: {str(ms): count for ms, count in counts.items()} for step, counts in view.blocks_by_step_ms.items()
        },
    }  # fmt: skip


def command(instruments: Instruments, value: Command) -> dict[str, Any]:
    """A message and its actions with the fields that are signed, and as text a human reads."""
    fields = asdict(value) | {"owner": hexed(value.owner), "signature": hexed(value.signature)}
    fields["actions"] = [asdict(action) | {"data": hexed(action.data)} for action in value.actions]
    return {"fields": fields, "text": "; ".join(_action_text(instruments, action) for action in value.actions)}


def _action_text(instruments: Instruments, value: Action) -> str:
    market = instruments.markets[value.market] if value.market < len(instruments.markets) else None
    name = market.symbol if market else "every market" if value.market == ALL_MARKETS else f"market {value.market}"
    if value.kind == PLACE and market and value.side in (BUY, SELL):
        at = "the market" if value.flags & AT_MARKET else format_price(value.price_ticks, market)
        terms = f"{format_size(value.size_lots, market)} {name} at {at} {time_in_force(value.time_in_force)}"
        return f"{_DIRECTIONS[value.side]} {terms}" + (" reduce-only" if value.flags & REDUCE_ONLY else "")
    if value.kind == CANCEL:
        return f"cancel {name} order {value.order_id or f'with label {value.client_id}'}"
    if value.kind == CANCEL_ALL:
        return f"cancel all orders of {name}"
    if value.kind == WITHDRAW:
        return f"withdraw {format_quote(value.size_lots)} {CURRENCY}"
    if value.kind not in TYPE_STRINGS:
        return "nothing that is executed"
    title = TYPE_STRINGS[value.kind].decode().partition("(")[0]
    fields = {name: getattr(value, name) for name in USED_FIELDS[value.kind]}
    shown = {name: hexed(item) if isinstance(item, bytes) else item for name, item in fields.items()}
    return " ".join([title, *(f"{name}={item}" for name, item in shown.items() if item)])
