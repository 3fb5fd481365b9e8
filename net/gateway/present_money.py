"""Movements of an account's money as JSON with Deribit's field names."""

from typing import Any

from engine.units import format_price, format_quote, format_size
from net.gateway.account_data import Kind, Movement
from net.gateway.backend import Status
from net.gateway.instruments import Instruments
from net.gateway.present_account import fill
from net.gateway.present_text import CURRENCY, hexed


def _amount(item: Movement) -> str:
    """Without its sign; of collateral in lots."""
    return str(abs(item.change_quote)) if item.asset else format_quote(abs(item.change_quote))


def log_entry(instruments: Instruments, item: Movement) -> dict[str, Any]:
    """`change` is of cash: of a trade its fee, and an option's premium. Of other gains cash knows at the close."""
    entry: dict[str, Any] = {
        "id": f"{item.place}-{item.kind}", "user_seq": item.place, "type": str(item.kind), "timestamp": item.time_ms,
        "currency": CURRENCY if not item.asset else f"asset {item.asset}",
        "change": str(item.change_quote) if item.asset else format_quote(item.change_quote), "x_height": item.height,
    }  # fmt: skip
    if item.fill is not None:
        trade = fill(instruments, item.fill)
        names = ("instrument_name", "price", "amount", "order_id", "trade_id", "label")
        is_buy = trade["direction"] == "buy"
        entry |= {name: trade[name] for name in names}
        entry |= {"side": "buy" if is_buy else "sell", "commission": trade["fee"], "user_role": _role(trade)}
    elif item.market >= 0:
        market = instruments.markets[item.market]
        entry |= {"instrument_name": market.symbol, "position": format_size(item.position_lots, market)}
        entry["side"] = "long" if item.position_lots > 0 else "short"
        if item.kind == Kind.DELIVERY:
            entry["settlement_price"] = format_price(item.price_ticks, market)
    if item.other is not None:
        entry["info"] = {"other_side": hexed(item.other[0]), "subaccount": item.other[1]}
    return entry


def _role(trade: dict[str, Any]) -> str:
    return "maker" if trade["liquidity"] == "M" else "taker"


def settlement(instruments: Instruments, item: Movement) -> dict[str, Any]:
    """Funding of a perpetual, or what a market came to that has ended."""
    market = instruments.markets[item.market]
    is_delivery = item.kind == Kind.DELIVERY
    return {
        "type": str(item.kind), "timestamp": item.time_ms, "instrument_name": market.symbol,
        "position": format_size(item.position_lots, market),
        "funding": format_quote(0 if is_delivery else item.change_quote),
        "settlement_price": format_price(item.price_ticks, market) if is_delivery else None,
        "x_paid": format_quote(item.change_quote), "x_height": item.height,
    }  # fmt: skip


def transfer(owner: bytes, item: Movement) -> dict[str, Any]:
    """`direction` payment: it left this account."""
    other, subaccount = item.other if item.other is not None else (owner, 0)
    return {
        "id": item.place, "amount": _amount(item), "currency": CURRENCY if not item.asset else f"asset {item.asset}",
        "direction": "payment" if item.change_quote < 0 else "income",
        "other_side": hexed(other), "x_subaccount": subaccount, "type": "subaccount" if other == owner else "user",
        "state": "confirmed", "created_timestamp": item.time_ms, "updated_timestamp": item.time_ms,
        "x_height": item.height,
    }  # fmt: skip


def deposit(owner: bytes, item: Movement) -> dict[str, Any]:
    return {
        "address": hexed(owner), "amount": _amount(item),
        "currency": CURRENCY if not item.asset else f"asset {item.asset}", "state": "completed",
        "received_timestamp": item.time_ms, "updated_timestamp": item.time_ms, "transaction_id": None,
        "x_inbox_index": item.index, "x_height": item.height,
    }  # fmt: skip


def withdrawal(owner: bytes, item: Movement, is_claimed: bool, status: Status) -> dict[str, Any]:
    """`confirmed`: in a final block; `completed`: paid by the contract."""
    return {
        "id": item.index, "address": hexed(owner), "amount": _amount(item),
        "currency": CURRENCY if not item.asset else f"asset {item.asset}", "fee": "0",
        "state": "completed" if is_claimed else "confirmed", "created_timestamp": item.time_ms,
        "confirmed_timestamp": item.time_ms, "updated_timestamp": item.time_ms, "transaction_id": None,
        "x_status": str(status), "x_height": item.height,
    }  # fmt: skip
