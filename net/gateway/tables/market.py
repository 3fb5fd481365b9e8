"""Market data."""

from net.gateway import public_methods as public
from net.gateway.api import Method, Param
from net.gateway.shapes.market import Currency, Instrument, OrderBook, Ticker, Trades
from net.gateway.tables.terms import COUNT, CURRENCY, INSTRUMENT

MARKET_ROWS = (
    Method("public/get_currencies", public.get_currencies, "The one currency, USDC.", result=list[Currency]),
    Method("public/get_instruments", public.get_instruments, "Every market.", (CURRENCY,), result=list[Instrument]),
    Method("public/get_instrument", public.get_instrument, "One market.", (INSTRUMENT,),
           "instrument_name=BTC-PERPETUAL", result=Instrument),
    Method("public/get_order_book", public.get_order_book, "Levels of both sides, best first, with the ticker.",
           (INSTRUMENT, Param("depth", "integer", "levels per side, 1 to 10000, default 5", False)),
           "instrument_name=BTC-PERPETUAL&depth=5", result=OrderBook),
    Method("public/ticker", public.ticker, "Mark, index, last and best prices.", (INSTRUMENT,),
           "instrument_name=BTC-PERPETUAL", result=Ticker),
    Method("public/get_last_trades_by_instrument", public.get_last_trades, "Newest trades first.",
           (INSTRUMENT, COUNT), "instrument_name=BTC-PERPETUAL&count=10", result=Trades),
)  # fmt: skip
