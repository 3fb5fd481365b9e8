"""Methods that read what was: trades, candles, funding, marks, settlements, volatility."""

import time
from math import isqrt
from typing import Any

from engine.params import MarketParams
from engine.units import format_price, format_quote, format_size
from net.gateway import present_market
from net.gateway.api import Call
from net.gateway.candles import fill_gaps
from net.gateway.errors import NOT_SUPPORTED, UNKNOWN_VALUE, ApiError
from net.gateway.market_data import CandleView, FundingView, SettlementView
from net.gateway.market_terms import DAY_MS, RESOLUTIONS
from net.gateway.params import I64_MAX
from net.gateway.present_market import percent_text
from net.gateway.present_text import e8_text, ppb_text
from net.gateway.spans import read_currency, read_index, read_span_ms, select_markets

HOUR_MS = 3_600_000
COUNT_MAX = 1000
CANDLES_MAX, CANDLE_SPAN_MS_MAX = 5_000, 200 * DAY_MS
FUNDING_SPAN_MS_MAX, FUNDINGS_MAX = 366 * DAY_MS, 9_000
CHART_LENGTHS = {"8h": 8 * HOUR_MS, "24h": DAY_MS, "1m": 30 * DAY_MS}
MARKS_MAX = 1_440
INDEX_RANGES = {"1h": HOUR_MS, "1d": DAY_MS, "2d": 2 * DAY_MS, "1m": 31 * DAY_MS}
INDEX_MINUTES_MAX, INDEX_POINTS_MAX = 32 * 1_440, 1_440
VOLATILITY_DAYS, VOLATILITY_HOURS, YEAR_HOURS = 8, 24, 365 * 24
_SORTINGS = {"asc": True, "desc": False, "default": False}
SETTLEMENT_TYPES = ("delivery", "settlement", "bankruptcy")


# trades


async def get_trades_of_instrument(call: Call) -> object:
    return _show_trades(call, [call.instruments.read_market(call.params)], is_span_required=False)


async def get_trades_of_instrument_and_time(call: Call) -> object:
    return _show_trades(call, [call.instruments.read_market(call.params)], is_span_required=True)


async def get_trades_of_currency(call: Call) -> object:
    return _show_trades(call, list(select_markets(call, is_settled=None)), is_span_required=False)


async def get_trades_of_currency_and_time(call: Call) -> object:
    return _show_trades(call, list(select_markets(call, is_settled=None)), is_span_required=True)


def _show_trades(call: Call, markets: list[int], is_span_required: bool) -> dict[str, Any]:
    count = call.params.integer("count", 1, COUNT_MAX, 10)
    is_oldest_first = call.params.choice("sorting", _SORTINGS, "default")
    span_ms = read_span_ms(call, is_span_required)
    starts, ends = (
        [call.params.integer(name, 0, I64_MAX, default) for name in names]
        for names, default in ((("start_seq", "start_id"), 0), (("end_seq", "end_id"), I64_MAX))
    )
    span_ids = max(starts), min(ends)
    is_whole = span_ms == (0, I64_MAX) and span_ids == (0, I64_MAX)
    if is_whole and len(markets) == 1 and not is_oldest_first:
        trades = call.backend.trades(markets[0], count + 1)
        has_more = len(trades) > count
    else:
        trades, has_more = call.backend.market_data.trades_between(markets, span_ms, span_ids, count, is_oldest_first)
    return {"trades": [present_market.trade(call.instruments, item) for item in trades[:count]], "has_more": has_more}


# candles


async def get_chart_data(call: Call) -> object:
    number = call.instruments.read_market(call.params)
    resolution_ms = call.params.choice("resolution", RESOLUTIONS)
    begin_ms, end_ms = read_span_ms(call, longest_ms=min(CANDLES_MAX * resolution_ms, CANDLE_SPAN_MS_MAX))
    views = call.backend.market_data.candles(number, (begin_ms, end_ms), resolution_ms)
    market = call.instruments.markets[number]
    return _show_candles(market, fill_gaps(views, resolution_ms, end_ms)[-CANDLES_MAX:])


def _show_candles(market: MarketParams, views: list[CandleView]) -> dict[str, Any]:
    def prices(name: str) -> list[str]:
        return [format_price(getattr(view, name), market) for view in views]

    return {
        "ticks": [view.begin_ms for view in views], "open": prices("open_ticks"), "high": prices("high_ticks"),
        "low": prices("low_ticks"), "close": prices("close_ticks"),
        "volume": [format_size(view.volume_lots, market) for view in views],
        "cost": [format_quote(view.turnover * market.quote_per_tick_lot) for view in views],
        "status": "ok" if views else "no_data",
    }  # fmt: skip


async def get_mark_price_history(call: Call) -> object:
    number = call.instruments.read_market(call.params)
    points = call.backend.market_data.marks(number, read_span_ms(call), MARKS_MAX)
    return [[time_ms, e8_text(mark_e8)] for time_ms, mark_e8 in points]


async def get_index_chart_data(call: Call) -> object:
    view = read_index(call)
    span_ms = call.params.choice("range", INDEX_RANGES)
    now_ms = call.backend.status().time_ms
    points = call.backend.market_data.indexes(view.number, (max(now_ms - span_ms, 0), now_ms), INDEX_MINUTES_MAX)
    step = -(-len(points) // INDEX_POINTS_MAX) or 1
    return [[time_ms, e8_text(index_e8)] for time_ms, index_e8 in points[::-step][::-1]]


# funding


def _read_fundings(call: Call, span_ms: tuple[int, int], count: int) -> list[FundingView]:
    number = call.instruments.read_market(call.params)
    if call.instruments.markets[number].kind != "perpetual":
        raise ApiError(UNKNOWN_VALUE, "instrument_name", "only perpetuals have funding")
    return list(call.backend.market_data.fundings(number, span_ms, count))


async def get_funding_rate_value(call: Call) -> object:
    """The sum of what each hour of the span paid."""
    views = _read_fundings(call, read_span_ms(call, longest_ms=FUNDING_SPAN_MS_MAX), FUNDINGS_MAX)
    return _eighth_text(sum(view.rate_8h_ppb for view in views))


def _eighth_text(rate_8h_ppb: int) -> str:
    """An eighth of a rate, exactly."""
    whole, rest = divmod(abs(rate_8h_ppb) * 125, 10**12)
    return ("-" if rate_8h_ppb < 0 else "") + f"{whole}.{rest:012d}"


async def get_funding_rate_history(call: Call) -> object:
    views = _read_fundings(call, read_span_ms(call, longest_ms=FUNDING_SPAN_MS_MAX), COUNT_MAX)
    return [
        {
            "timestamp": view.time_ms, "index_price": e8_text(view.index_e8),
            "prev_index_price": e8_text(view.index_before_e8), "interest_8h": ppb_text(view.rate_8h_ppb),
            "interest_1h": _eighth_text(view.rate_8h_ppb),
        }
        for view in views
    ]  # fmt: skip


async def get_funding_chart_data(call: Call) -> object:
    length_ms = call.params.choice("length", CHART_LENGTHS, "8h")
    now_ms = call.backend.status().time_ms
    views = _read_fundings(call, (max(now_ms - length_ms, 0), now_ms), COUNT_MAX)
    ticker = call.backend.ticker(call.instruments.read_market(call.params))
    return {
        "current_interest": ppb_text(ticker.current_funding_ppb), "interest_8h": ppb_text(ticker.funding_8h_ppb),
        "data": [
            {"timestamp": view.time_ms, "index_price": e8_text(view.index_e8),
             "interest_8h": ppb_text(view.rate_8h_ppb)}
            for view in views
        ],
    }  # fmt: skip


# settlements


async def get_delivery_prices(call: Call) -> object:
    view = read_index(call)
    offset = call.params.integer("offset", 0, I64_MAX, 0)
    count = call.params.integer("count", 1, COUNT_MAX, 10)
    expiries = call.backend.market_data.expiries()
    settled = [item for item in expiries if item.underlying == view.number and item.settle_e8]
    settled.sort(key=lambda item: item.expiry_ms, reverse=True)
    return {
        "data": [
            {"date": time.strftime("%Y-%m-%d", time.gmtime(item.expiry_ms // 1000)),
             "delivery_price": e8_text(item.settle_e8)}
            for item in settled[offset : offset + count]
        ],
        "records_total": len(settled),
    }  # fmt: skip


async def get_settlements_of_currency(call: Call) -> object:
    return _show_settlements(call, list(select_markets(call, is_settled=True)))


async def get_settlements_of_instrument(call: Call) -> object:
    return _show_settlements(call, [call.instruments.read_market(call.params)])


def _show_settlements(call: Call, markets: list[int]) -> dict[str, Any]:
    """Positions are settled when their market ends and at no other time, so there is no event of another type."""
    count = call.params.integer("count", 1, COUNT_MAX, 20)
    kind = call.params.choice("type", dict(zip(SETTLEMENT_TYPES, SETTLEMENT_TYPES, strict=True)), "delivery")
    if kind == "bankruptcy":
        raise ApiError(NOT_SUPPORTED, "type", "bankruptcies are in the blocks' notices, not in a list")
    before_ms = call.params.integer("search_start_timestamp", 0, I64_MAX - 1, I64_MAX - 1) + 1
    before_ms = min(before_ms, call.params.integer("continuation", 0, I64_MAX, I64_MAX))
    views = [] if kind == "settlement" else call.backend.market_data.settlements(markets, before_ms, count + 1)
    # A page ends where a block's settlements do, unless one block fills it.
    page = list(views[:count])
    if len(views) > count:
        whole = [view for view in page if view.time_ms > views[count].time_ms]
        page = whole or page
    return {
        "settlements": [_show_settlement(call, view) for view in page],
        "continuation": str(page[-1].time_ms) if len(views) > count else None,
    }  # fmt: skip


def _show_settlement(call: Call, view: SettlementView) -> dict[str, Any]:
    market = call.instruments.markets[view.market]
    return {
        "type": "delivery", "timestamp": view.time_ms, "instrument_name": market.symbol,
        "position": format_size(view.open_interest_lots, market), "index_price": e8_text(view.index_e8),
        "mark_price": e8_text(view.settle_e8), "x_height": view.height,
    }  # fmt: skip


# volatility


async def get_historical_volatility(call: Call) -> object:
    """Each hour, the annualised deviation of the index's hourly moves over the 24 hours before."""
    view = read_currency(call)
    now_ms = call.backend.status().time_ms
    begin_ms = max(now_ms // HOUR_MS * HOUR_MS - VOLATILITY_DAYS * DAY_MS, 0)
    points = call.backend.market_data.indexes(view.number, (begin_ms, now_ms), VOLATILITY_DAYS * 1_500)
    hours: dict[int, int] = {}
    for time_ms, index_e8 in points:
        hours.setdefault(time_ms // HOUR_MS, index_e8)
    moves_ppb = {
        hour: (index_e8 - hours[hour - 1]) * 10**9 // hours[hour - 1]
        for hour, index_e8 in hours.items() if hour - 1 in hours
    }  # fmt: skip
    shown = []
    for hour in moves_ppb:
        window = [moves_ppb[at] for at in range(hour - VOLATILITY_HOURS + 1, hour + 1) if at in moves_ppb]
        variance = sum(move * move for move in window) * YEAR_HOURS // len(window)
        shown.append([hour * HOUR_MS, percent_text(isqrt(variance))])
    return shown
