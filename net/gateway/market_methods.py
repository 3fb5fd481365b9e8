"""Methods that read markets as they are: instruments, books, prices, volatility."""

from typing import Any

import trio

from engine.params import MarketParams
from net.gateway import present_market
from net.gateway.api import Call
from net.gateway.market_data import ExpiryView
from net.gateway.present_market import index_name, kind_of, percent_text
from net.gateway.present_text import CURRENCY, e8_text, hexed
from net.gateway.spans import list_indexes, read_currency, read_index, read_selection, select_markets

_DEPTH_MAX = 10_000
# Tickers that one question makes at a time before others have their turn.
_TICKERS_AT_ONCE = 16
_LONG_NAMES = {"BTC": "Bitcoin", "ETH": "Ether"}


async def get_currencies(call: Call) -> object:
    plain = {"coin_type": "ETHEREUM", "min_confirmations": 1, "withdrawal_fee": "0"}
    money = {
        "currency": CURRENCY, "currency_long": "USD Coin", "decimals": 6, "fee_precision": 6, "x_is_money": True,
        "x_token": hexed(call.backend.domain.token),
    }  # fmt: skip
    bases = [
        {"currency": view.name, "currency_long": _LONG_NAMES.get(view.name, view.name), "decimals": 8,
         "fee_precision": 8, "x_is_money": False}
        for view in call.backend.market_data.underlyings()
    ]  # fmt: skip
    return [plain | entry for entry in (money, *bases)]


async def get_instruments(call: Call) -> object:
    """The text is kept, for it is long, and nothing in it changes but when a market is listed, changed or ended."""
    is_settled, data = call.params.flag("expired"), call.backend.market_data

    def make() -> list[object]:
        return [present_market.instrument(call.instruments, number) for number in select_markets(call, is_settled)]

    key = (*read_selection(call), is_settled)
    return call.api.instrument_texts.find(call.instruments.markets, data.listing_marks(), key, make)


async def get_instrument(call: Call) -> object:
    return present_market.instrument(call.instruments, call.instruments.read_market(call.params))


async def get_order_book(call: Call) -> object:
    market = call.instruments.read_market(call.params)
    depth = call.params.integer("depth", 1, _DEPTH_MAX, 5)
    return present_market.order_book(call.instruments, call.backend.book(market, depth), call.backend.ticker(market))


async def get_order_book_by_number(call: Call) -> object:
    market = call.params.integer("instrument_id", 0, len(call.instruments.markets) - 1)
    depth = call.params.integer("depth", 1, _DEPTH_MAX, 5)
    return present_market.order_book(call.instruments, call.backend.book(market, depth), call.backend.ticker(market))


async def get_contract_size(call: Call) -> object:
    """Every contract is one unit of its base."""
    call.instruments.read_market(call.params)
    return {"contract_size": "1"}


async def ticker(call: Call) -> object:
    return present_market.ticker(call.instruments, call.backend.ticker(call.instruments.read_market(call.params)))


async def get_book_summaries(call: Call) -> object:
    shown = []
    for at, number in enumerate(select_markets(call)):
        shown.append(present_market.book_summary(call.instruments, call.backend.ticker(number)))
        if at % _TICKERS_AT_ONCE == _TICKERS_AT_ONCE - 1:
            await trio.lowlevel.checkpoint()
    return shown


async def get_book_summary(call: Call) -> object:
    view = call.backend.ticker(call.instruments.read_market(call.params))
    return [present_market.book_summary(call.instruments, view)]


async def get_trade_volumes(call: Call) -> object:
    """By what markets are about, in units of it."""
    sums_e8: dict[str, dict[str, int]] = {
        view.name: dict.fromkeys(("perpetual", "future", "call", "put", "spot"), 0)
        for view in call.backend.market_data.underlyings()
    }
    for at, market in enumerate(call.instruments.markets):
        lots = call.backend.ticker(at).volume_24h_lots
        sums_e8[market.underlying_name][market.kind] += lots * market.lot_e8
        if at % _TICKERS_AT_ONCE == _TICKERS_AT_ONCE - 1:
            await trio.lowlevel.checkpoint()
    return [
        {
            "currency": name, "futures_volume": e8_text(sums["perpetual"] + sums["future"]),
            "calls_volume": e8_text(sums["call"]), "puts_volume": e8_text(sums["put"]),
            "spot_volume": e8_text(sums["spot"]),
        }
        for name, sums in sums_e8.items()
    ]  # fmt: skip


async def get_index_price_names(call: Call) -> object:
    return list_indexes(call)


async def get_index_price(call: Call) -> object:
    view = read_index(call)
    shown = e8_text(view.index_e8) if view.index_e8 else None
    return {
        "index_price": shown, "estimated_delivery_price": shown, "x_timestamp": view.index_ms,
        "x_is_fresh": view.is_fresh, "x_height": call.backend.status().height,
    }  # fmt: skip


async def get_index(call: Call) -> object:
    view = read_currency(call)
    shown = e8_text(view.index_e8) if view.index_e8 else None
    return {view.name: shown, "edp": shown}


async def get_expirations(call: Call) -> object:
    found: dict[str, dict[str, int]] = {"future": {}, "option": {}}
    for number in select_markets(call):
        market = call.instruments.markets[number]
        if kind_of(market) in found:
            found[kind_of(market)][_expiration(market)] = market.expiry_ms or 1 << 62
    return {kind: sorted(names, key=names.__getitem__) for kind, names in found.items() if names}


def _expiration(market: MarketParams) -> str:
    """The part of an instrument's name that says when it expires."""
    return market.symbol.split("-")[1]


async def get_combos(call: Call) -> object:
    """Combinations are executed from their legs' books and have none of their own."""
    return []


async def get_vol_surface(call: Call) -> object:
    view = read_index(call)
    expiries = [
        expiry for expiry in call.backend.market_data.expiries()
        if expiry.underlying == view.number and not expiry.settle_e8 and expiry.surface_ms and expiry.forward_e8
    ]  # fmt: skip
    return {
        "index_name": index_name(view.name), "index_price": e8_text(view.index_e8) if view.index_e8 else None,
        "expiries": [
            _show_smile(call, view.name, expiry) for expiry in sorted(expiries, key=lambda item: item.expiry_ms)
        ],
        "x_height": call.backend.status().height,
    }  # fmt: skip


def _show_smile(call: Call, underlying: str, view: ExpiryView) -> dict[str, Any]:
    dated = [
        market for market in call.instruments.markets
        if market.expiry_ms == view.expiry_ms and market.underlying_name == underlying
    ]  # fmt: skip
    strikes_e8 = sorted({market.strike_e8 for market in dated if kind_of(market) == "option"})
    vols = call.backend.market_data.surface_vols_ppb(view.number, [view.forward_e8, *strikes_e8])
    names = ("a", "b", "rho", "m", "sigma")
    return {
        "expiration": _expiration(dated[0]) if dated else "", "expiration_timestamp": view.expiry_ms,
        "forward": e8_text(view.forward_e8), "timestamp": view.surface_ms,
        "parameters": {name: e8_text(number) for name, number in zip(names, view.surface_e8, strict=True)},
        "atm_iv": percent_text(vols[0]),
        "strikes": [
            {"strike": e8_text(strike), "iv": percent_text(vol)}
            for strike, vol in zip(strikes_e8, vols[1:], strict=True)
        ],
    }  # fmt: skip
