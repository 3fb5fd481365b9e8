"""What was: trades, candles, funding, settlements, marks."""

from net.gateway import history_methods as history
from net.gateway.api import Method, Param
from net.gateway.market_terms import RESOLUTIONS
from net.gateway.params import I64_MAX
from net.gateway.shapes.history import (
    ChartData,
    DeliveryPrices,
    FundingChart,
    FundingPayment,
    Settlements,
    TimedNumber,
)
from net.gateway.shapes.market import Trades
from net.gateway.shapes.scalars import DecimalText
from net.gateway.tables.market import CURRENCY_OF_MARKETS, INDEX, KIND
from net.gateway.tables.terms import COUNT, INSTRUMENT


def _span(is_required: bool) -> tuple[Param, ...]:
    return (
        Param("start_timestamp", "integer", "milliseconds, included", is_required, low=0, high=I64_MAX),
        Param("end_timestamp", "integer", "milliseconds, included", is_required, low=0, high=I64_MAX),
    )


_SORTING = Param("sorting", "text", "`asc`: oldest first; otherwise newest first", False, ("asc", "desc", "default"))
_SEQUENCES = tuple(
    Param(name, "integer", "a trade's number, included", False, low=0, high=I64_MAX)
    for name in ("start_seq", "end_seq", "start_id", "end_id")
)
_DAY = "start_timestamp=1700000000000&end_timestamp=1700086400000"
_ONE = "instrument_name=BTC-PERPETUAL"
_COUNT = Param("count", "integer", "1 to 1000, default 20", False, low=1, high=1000)
_SETTLEMENTS = (
    Param("type", "text", "`delivery` (default): ends of markets. There is no other settlement, so `settlement` is "
          "empty; `bankruptcy` is not told", False, history.SETTLEMENT_TYPES),
    _COUNT, Param("continuation", "text", "what the page before said", False),
    Param("search_start_timestamp", "integer", "the latest time, milliseconds", False, low=0, high=I64_MAX - 1),
)  # fmt: skip

HISTORY_ROWS = (
    Method("public/get_last_trades_by_instrument", history.get_trades_of_instrument, "Trades of a market.",
           (INSTRUMENT, COUNT, *_span(False), *_SEQUENCES, _SORTING), "instrument_name=BTC-PERPETUAL&count=10",
           result=Trades),
    Method("public/get_last_trades_by_instrument_and_time", history.get_trades_of_instrument_and_time,
           "The same within a span of time.", (INSTRUMENT, *_span(True), COUNT, _SORTING), f"{_ONE}&{_DAY}",
           result=Trades),
    Method("public/get_last_trades_by_currency", history.get_trades_of_currency, "Trades of many markets.",
           (CURRENCY_OF_MARKETS, KIND, COUNT, *_span(False), *_SEQUENCES, _SORTING), "currency=BTC&count=10",
           result=Trades, credits=2_500),
    Method("public/get_last_trades_by_currency_and_time", history.get_trades_of_currency_and_time,
           "The same within a span of time.", (CURRENCY_OF_MARKETS, KIND, *_span(True), COUNT, _SORTING),
           f"currency=BTC&{_DAY}", result=Trades, credits=2_500),
    Method("public/get_tradingview_chart_data", history.get_chart_data,
           "Candles, at most the newest 5000 and 200 days.",
           (INSTRUMENT, *_span(True), Param("resolution", "text", "minutes, or `1D`",
                                            choices=tuple(RESOLUTIONS))), f"{_ONE}&{_DAY}&resolution=60",
           result=ChartData, credits=10_000),
    Method("public/get_mark_price_history", history.get_mark_price_history,
           "The mark once a minute of the last 32 days, at most the newest 1440.", (INSTRUMENT, *_span(True)),
           f"{_ONE}&{_DAY}", result=list[TimedNumber]),
    Method("public/get_index_chart_data", history.get_index_chart_data,
           "The index of the last hours or days, at most 1440 points; from what this node has seen.",
           (INDEX, Param("range", "text", "how far back", choices=tuple(history.INDEX_RANGES))),
           "index_name=btc_usdc&range=1d", result=list[TimedNumber]),
    Method("public/get_funding_rate_value", history.get_funding_rate_value,
           "What longs paid to shorts within a span of time, as a part of the position's value: the sum of its hours.",
           (INSTRUMENT, *_span(True)), f"{_ONE}&{_DAY}", result=DecimalText),
    Method("public/get_funding_rate_history", history.get_funding_rate_history,
           "Every hour's funding, at most the newest 1000.", (INSTRUMENT, *_span(True)), f"{_ONE}&{_DAY}",
           result=list[FundingPayment]),
    Method("public/get_funding_chart_data", history.get_funding_chart_data, "Funding of the last hours or days.",
           (INSTRUMENT, Param("length", "text", "`8h` (default), `24h`, `1m`", False, tuple(history.CHART_LENGTHS))),
           _ONE, result=FundingChart),
    Method("public/get_delivery_prices", history.get_delivery_prices, "What expiries settled at, the last first.",
           (INDEX, Param("offset", "integer", "how many to leave out", False, low=0, high=I64_MAX), _COUNT),
           "index_name=btc_usdc", result=DeliveryPrices),
    Method("public/get_last_settlements_by_currency", history.get_settlements_of_currency,
           "Markets that have ended, the last first.", (CURRENCY_OF_MARKETS, KIND, *_SETTLEMENTS), "currency=BTC",
           result=Settlements),
    Method("public/get_last_settlements_by_instrument", history.get_settlements_of_instrument,
           "The end of one market.", (INSTRUMENT, *_SETTLEMENTS), _ONE, result=Settlements),
    Method("public/get_historical_volatility", history.get_historical_volatility,
           "Each hour of the last days, the annualised deviation of the index's hourly moves over the 24 hours before, "
           "in per cent; from what this node has seen.", (Param("currency", "text", "such as `BTC`"),), "currency=BTC",
           result=list[TimedNumber]),
)  # fmt: skip
