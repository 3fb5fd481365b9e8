"""Markets, their books and trades as JSON with Deribit's field names. Own fields begin with `x_`."""

from dataclasses import asdict
from decimal import Decimal
from functools import partial
from typing import Any

from engine.params import MarketParams
from engine.units import format_price, format_quote, format_size
from net.gateway.backend import BlockEvent, BookView
from net.gateway.book import BookMirror, Level
from net.gateway.instruments import Instruments
from net.gateway.market_data import TickerView, TradeView
from net.gateway.present_text import CURRENCY, DIRECTIONS, bps_text, hexed, ppb_text, price_or_none

_NEVER_MS = 32_503_708_800_000  # the year 3000, as Deribit writes it for perpetuals
PHASES = ("continuous", "auction", "cancel_only", "post_only", "settled")


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


def trade(instruments: Instruments, view: TradeView) -> dict[str, Any]:
    market = instruments.markets[view.market]
    return {
        "trade_id": str(view.trade_id), "trade_seq": view.trade_id, "instrument_name": market.symbol,
        "timestamp": view.time_ms, "direction": DIRECTIONS[view.side],
        "price": format_price(view.price_ticks, market), "amount": format_size(view.size_lots, market),
        "x_height": view.height,
    } | ({"liquidation": "T"} if view.is_liquidation else {})  # fmt: skip


def ticker(instruments: Instruments, view: TickerView) -> dict[str, Any]:
    market = instruments.markets[view.market]
    shown = partial(price_or_none, market)
    return {
        "instrument_name": market.symbol, "timestamp": view.time_ms,
        "state": "closed" if PHASES[view.phase] == "settled" else "open", "x_phase": PHASES[view.phase],
        "x_is_fresh": view.is_fresh,
        "mark_price": shown(view.mark_price_ticks), "index_price": shown(view.index_price_ticks),
        "last_price": shown(view.last_price_ticks), "settlement_price": None,
        "best_bid_price": shown(view.best_bid_ticks), "best_bid_amount": format_size(view.best_bid_lots, market),
        "best_ask_price": shown(view.best_ask_ticks), "best_ask_amount": format_size(view.best_ask_lots, market),
        "open_interest": format_size(view.open_interest_lots, market), "funding_8h": ppb_text(view.funding_8h_ppb),
        "current_funding": ppb_text(view.current_funding_ppb),
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
