"""Markets as they are."""

from net.gateway import market_methods as market
from net.gateway.api import Method, Param
from net.gateway.market_terms import KINDS
from net.gateway.shapes.market import (
    BookSummary,
    ContractSize,
    Currency,
    Expirations,
    IndexPrice,
    Instrument,
    OrderBook,
    Ticker,
    TradeVolumes,
    VolSurface,
)
from net.gateway.shapes.scalars import DecimalText
from net.gateway.tables.terms import INSTRUMENT

CURRENCY_OF_MARKETS = Param(
    "currency", "text", "`BTC`: markets about it; `USDC` or `any` (default): all, for all are paid in it", False
)
KIND = Param("kind", "text", "default `any`; there are no books of combinations", False, KINDS)
INDEX = Param("index_name", "text", "such as `btc_usdc`")
_ONE = "instrument_name=BTC-PERPETUAL"

MARKET_ROWS = (
    Method("public/get_currencies", market.get_currencies, "USDC, and what markets are about.", result=list[Currency]),
    Method("public/get_instruments", market.get_instruments, "The markets that trade, or those that have ended.",
           (CURRENCY_OF_MARKETS, KIND, Param("expired", "true or false", "those that have ended", False)),
           "currency=BTC&kind=future", result=list[Instrument], credits=10_000),
    Method("public/get_instrument", market.get_instrument, "One market.", (INSTRUMENT,), _ONE, result=Instrument),
    Method("public/get_order_book", market.get_order_book, "Levels of both sides, best first, with the ticker.",
           (INSTRUMENT, Param("depth", "integer", "levels per side, 1 to 10000, default 5", False, low=1, high=10_000)),
           "instrument_name=BTC-PERPETUAL&depth=5", result=OrderBook),
    Method("public/get_order_book_by_instrument_id", market.get_order_book_by_number, "The same by number.",
           (Param("instrument_id", "integer", "`instrument_id` of the market", low=0, high=4095),
            Param("depth", "integer", "levels per side, 1 to 10000, default 5", False, low=1, high=10_000)),
           "instrument_id=0&depth=5", result=OrderBook),
    Method("public/get_contract_size", market.get_contract_size, "Always one unit of the base.", (INSTRUMENT,), _ONE,
           result=ContractSize),
    Method("public/ticker", market.ticker,
           "Mark, index, last and best prices; of an option its Greeks and implied volatilities.", (INSTRUMENT,), _ONE,
           result=Ticker),
    Method("public/get_book_summary_by_currency", market.get_book_summaries, "Every market that trades, in one line.",
           (CURRENCY_OF_MARKETS, KIND), "currency=BTC", result=list[BookSummary], credits=2_500),
    Method("public/get_book_summary_by_instrument", market.get_book_summary, "The same of one market.", (INSTRUMENT,),
           _ONE, result=list[BookSummary]),
    Method("public/get_trade_volumes", market.get_trade_volumes, "What was traded in the last 24 hours, by currency.",
           result=list[TradeVolumes]),
    Method("public/get_supported_index_names", market.get_index_price_names, "Names of the indexes.",
           (Param("type", "text", "accepted and not used", False),), result=list[str]),
    Method("public/get_index_price_names", market.get_index_price_names, "Names of the indexes.", result=list[str]),
    Method("public/get_index_price", market.get_index_price, "The index that the committee agrees on.", (INDEX,),
           "index_name=btc_usdc", result=IndexPrice),
    Method("public/get_index", market.get_index, "The same by currency.",
           (Param("currency", "text", "such as `BTC`"),), "currency=BTC", result=dict[str, DecimalText | None]),
    Method("public/get_expirations", market.get_expirations, "When the instruments that trade expire, by kind.",
           (CURRENCY_OF_MARKETS, KIND), "currency=any&kind=any", result=Expirations),
    Method("public/get_combos", market.get_combos,
           "Always empty: a combination trades against its legs' books and has none of its own.",
           (CURRENCY_OF_MARKETS,), result=list[str]),
    Method("public/x_get_vol_surface", market.get_vol_surface,
           "The volatility surface by which options are marked: each expiry's SVI parameters, and the volatility of "
           "every listed strike.", (INDEX,), "index_name=btc_usdc", result=VolSurface),
)  # fmt: skip
