"""Markets, their books and trades as JSON with Deribit's field names. Own fields begin with `x_`."""

from dataclasses import fields
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any

from engine.params import MarketParams
from engine.units import format_price, format_quote, format_size
from net.gateway.backend import BlockEvent, BookView
from net.gateway.book import BookMirror, Level
from net.gateway.instruments import Instruments
from net.gateway.market_data import TickerView, TradeView
from net.gateway.present_text import CURRENCY, DIRECTIONS, bps_text, e8_text, hexed, ppb_text, price_or_none

_DAY_MS = 86_400_000
_WEEKDAY_1970, _FRIDAY = 3, 4  # the first day was a Thursday
_NEVER_MS = 32_503_708_800_000  # the year 3000, as Deribit writes it for perpetuals
_PARAMS = tuple(field.name for field in fields(MarketParams))
PHASES = ("continuous", "auction", "cancel_only", "post_only", "settled")


def instrument(instruments: Instruments, number: int) -> dict[str, Any]:
    market, listing = instruments.markets[number], instruments.data.listing(number)
    base, kind = market.underlying_name, kind_of(market)
    is_settled = PHASES[listing.phase] == "settled"
    return {
        "instrument_name": market.symbol, "instrument_id": number, "kind": kind,
        "instrument_type": "linear", "future_type": "linear", "settlement_period": _settlement_period(market),
        "base_currency": base, "quote_currency": CURRENCY,
        "counter_currency": CURRENCY, "settlement_currency": CURRENCY, "price_index": index_name(base),
        "tick_size": market.tick_size, "tick_size_steps": [], "min_trade_amount": market.lot_size,
        "contract_size": "1", "maker_commission": bps_text(market.maker_fee_bps),
        "taker_commission": bps_text(market.taker_fee_bps), "max_leverage": 10_000 // market.initial_margin_bps,
        "is_active": not is_settled, "state": "settled" if is_settled else "open",
        "creation_timestamp": listing.listed_ms,
        "expiration_timestamp": market.expiry_ms or listing.delist_ms or _NEVER_MS, "rfq": False,
        "x_params": {name: getattr(market, name) for name in _PARAMS},
    } | ({"strike": market.strike, "option_type": market.kind} if kind == "option" else {})  # fmt: skip


def index_name(underlying: str) -> str:
    return f"{underlying.lower()}_usdc"


def _settlement_period(market: MarketParams) -> str:
    """Deribit's word: expiries of a month's last Friday are monthly, of other Fridays weekly."""
    if not market.expiry_ms:
        return "perpetual"
    days = market.expiry_ms // _DAY_MS
    if (days + _WEEKDAY_1970) % 7 != _FRIDAY:
        return "day"
    at, next_week = (datetime.fromtimestamp(day * _DAY_MS // 1000, UTC) for day in (days, days + 7))
    return "week" if at.month == next_week.month else "month"


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
    phase = PHASES[view.phase]
    return {
        "instrument_name": market.symbol, "timestamp": view.time_ms,
        "state": "closed" if phase == "settled" else "open", "x_phase": phase, "x_is_fresh": view.is_fresh,
        "mark_price": _mark(market, view), "index_price": shown(view.index_price_ticks),
        "last_price": shown(view.last_price_ticks), "settlement_price": _e8_or_none(view.settle_e8),
        "best_bid_price": shown(view.best_bid_ticks), "best_bid_amount": format_size(view.best_bid_lots, market),
        "best_ask_price": shown(view.best_ask_ticks), "best_ask_amount": format_size(view.best_ask_lots, market),
        "open_interest": format_size(view.open_interest_lots, market), "funding_8h": ppb_text(view.funding_8h_ppb),
        "current_funding": ppb_text(view.current_funding_ppb), "interest_rate": "0",
        "estimated_delivery_price": _e8_or_none(view.delivery_e8), "min_price": shown(view.sell_limit_ticks),
        "max_price": shown(view.buy_limit_ticks),
        "stats": {
            "volume": format_size(view.volume_24h_lots, market), "volume_usd": format_quote(view.volume_24h_quote),
            "volume_notional": format_quote(view.volume_24h_quote), "price_change": _price_change(view),
            "high": shown(view.high_24h_ticks), "low": shown(view.low_24h_ticks),
        },
        "x_height": view.height,
    } | _option_part(market, view)  # fmt: skip


def _mark(market: MarketParams, view: TickerView) -> str | None:
    """Of an option exact, for many are worth less than a tick."""
    is_exact = kind_of(market) == "option" and view.mark_e8 > 0
    return e8_text(view.mark_e8) if is_exact else price_or_none(market, view.mark_price_ticks)


def _e8_or_none(price_e8: int) -> str | None:
    return e8_text(price_e8) if price_e8 else None


def _price_change(view: TickerView) -> str | None:
    """Of the last trade against the first of 24 hours, in per cent, rounded down; null without a trade."""
    if not view.first_24h_ticks or not view.last_price_ticks:
        return None
    change_e4 = (view.last_price_ticks - view.first_24h_ticks) * 1_000_000 // view.first_24h_ticks
    return f"{Decimal(change_e4).scaleb(-4):f}"


def percent_text(vol_ppb: int) -> str:
    """A volatility in per cent, rounded down to four places."""
    return f"{vol_ppb // 10_000_000}.{vol_ppb // 1_000 % 10_000:04d}"


def _option_part(market: MarketParams, view: TickerView) -> dict[str, Any]:
    """What Deribit shows of options beyond other instruments."""
    if kind_of(market) != "option":
        return {}
    names = ("delta", "gamma", "vega", "theta", "rho")
    numbers_e8 = view.greeks_e8 or (0, 0, 0, 0, 0)
    return {
        "underlying_price": _e8_or_none(view.forward_e8), "underlying_index": underlying_index(market),
        "mark_iv": percent_text(view.mark_vol_ppb), "bid_iv": percent_text(view.bid_vol_ppb),
        "ask_iv": percent_text(view.ask_vol_ppb),
    } | (
        {} if view.greeks_e8 is None
        else {"greeks": {name: f"{Decimal(number).scaleb(-8):f}" for name, number in zip(names, numbers_e8)}}
    )  # fmt: skip


def underlying_index(market: MarketParams) -> str:
    """What an option is priced from: the forward that the committee agrees on, whether a future is listed or not."""
    return "SYN." + market.symbol.rsplit("-", 2)[0]


def book_summary(instruments: Instruments, view: TickerView) -> dict[str, Any]:
    """One line of Deribit's list of books."""
    market, shown = instruments.markets[view.market], ticker(instruments, view)
    stats, option = shown["stats"], kind_of(market) == "option"
    is_perpetual = market.kind == "perpetual"
    return {
        "instrument_name": market.symbol, "base_currency": market.underlying_name, "quote_currency": CURRENCY,
        "bid_price": shown["best_bid_price"], "ask_price": shown["best_ask_price"], "mid_price": _middle(market, view),
        "mark_price": shown["mark_price"], "last": shown["last_price"], "high": stats["high"], "low": stats["low"],
        "price_change": stats["price_change"], "open_interest": shown["open_interest"], "volume": stats["volume"],
        "volume_usd": stats["volume_usd"], "volume_notional": stats["volume_notional"],
        "creation_timestamp": view.time_ms, "estimated_delivery_price": shown["estimated_delivery_price"],
        "interest_rate": "0", "x_height": view.height,
    } | (
        {name: shown[name] for name in ("underlying_price", "underlying_index", "mark_iv")} if option else {}
    ) | ({name: shown[name] for name in ("funding_8h", "current_funding")} if is_perpetual else {})  # fmt: skip


def _middle(market: MarketParams, view: TickerView) -> str | None:
    """Between the best prices, to half a tick."""
    if not view.best_bid_ticks or not view.best_ask_ticks:
        return None
    halves = (view.best_bid_ticks + view.best_ask_ticks) * market.tick_e8
    return e8_text(halves // 2)


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
