"""Names and units of the markets: text to ticks and lots, with a numbered refusal for whatever is not exact."""

from engine.params import MarketParams
from engine.results import Code
from engine.units import UnitError, parse_price_ticks, parse_quote, parse_size_lots
from net.gateway.errors import (
    AMOUNT_OFF_UNIT,
    NUMBER_OVERFLOW,
    PRICE_OFF_TICK,
    SIZE_OFF_LOT,
    UNKNOWN_INSTRUMENT,
    ApiError,
    engine_error,
)
from net.gateway.market_data import MarketData
from net.gateway.params import I64_MAX, Params


class Instruments:
    """The markets of one network by number and by name, as they are now: the governor may list more at any time."""

    def __init__(self, data: MarketData) -> None:
        self.data = data
        self._named: tuple[MarketParams, ...] = ()
        self._numbers: dict[str, int] = {}

    @property
    def markets(self) -> tuple[MarketParams, ...]:
        return self.data.markets()

    def number(self, name: str, param: str = "instrument_name") -> int:
        if self._named is not self.markets:
            self._named = self.markets
            self._numbers = {market.symbol: number for number, market in enumerate(self._named)}
        if name not in self._numbers:
            raise ApiError(UNKNOWN_INSTRUMENT, param, f"{name[:50]!r}: {UNKNOWN_INSTRUMENT.hint}")
        return self._numbers[name]

    def read_market(self, params: Params) -> int:
        """The market that `instrument_name` means."""
        return self.number(params.text("instrument_name"))

    def read_price_ticks(self, params: Params, market: int, param: str = "price") -> int:
        text = params.decimal(param)
        try:
            price_ticks = parse_price_ticks(text, self.markets[market])
        except UnitError as error:
            raise ApiError(PRICE_OFF_TICK, param, str(error)) from None
        if abs(price_ticks) > I64_MAX:
            raise ApiError(NUMBER_OVERFLOW, param)
        if not 0 < price_ticks <= self.markets[market].price_ticks_max:
            raise engine_error(Code.PRICE_OUT_OF_RANGE, param)
        return price_ticks

    def read_size_lots(self, params: Params, market: int, param: str = "amount") -> int:
        text = params.decimal(param)
        try:
            size_lots = parse_size_lots(text, self.markets[market])
        except UnitError as error:
            raise ApiError(SIZE_OFF_LOT, param, str(error)) from None
        if abs(size_lots) > I64_MAX:
            raise ApiError(NUMBER_OVERFLOW, param)
        if size_lots <= 0:
            raise engine_error(Code.SIZE_NOT_POSITIVE, param)
        if size_lots > self.markets[market].size_lots_max:
            raise engine_error(Code.SIZE_TOO_LARGE, param)
        return size_lots

    def read_order_id(self, params: Params, param: str = "order_id") -> tuple[int, int]:
        """`(market, order number)` of an order id such as `BTC-PERPETUAL-17`."""
        text = params.text(param)
        name, _, digits = text.rpartition("-")
        return self.number(name, param), Params({param: digits}).integer(param, 1, I64_MAX)

    def order_id_text(self, market: int, order_id: int) -> str:
        return f"{self.markets[market].symbol}-{order_id}"


def read_quote(params: Params, param: str) -> int:
    """Money, below zero too."""
    try:
        amount_quote = parse_quote(params.decimal(param))
    except UnitError as error:
        raise ApiError(AMOUNT_OFF_UNIT, param, str(error)) from None
    if abs(amount_quote) > I64_MAX:
        raise ApiError(NUMBER_OVERFLOW, param)
    return amount_quote


def read_amount_quote(params: Params) -> int:
    """Money that moves."""
    amount_quote = read_quote(params, "amount")
    if amount_quote <= 0:
        raise engine_error(Code.AMOUNT_NOT_POSITIVE, "amount")
    return amount_quote
