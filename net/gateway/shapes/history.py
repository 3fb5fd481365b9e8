"""Answers about what was: candles, funding, settlements, marks."""

from typing import TypedDict

from net.gateway.shapes.scalars import DecimalText, Millis

# A time and a number, as Deribit writes series.
TimedNumber = list[Millis | DecimalText]


class ChartData(TypedDict):
    """Candles, as lists of equal length. A span without trades repeats the price before it, with no volume."""

    ticks: list[Millis]
    open: list[DecimalText]
    high: list[DecimalText]
    low: list[DecimalText]
    close: list[DecimalText]
    volume: list[DecimalText]
    cost: list[DecimalText]
    status: str


class FundingPayment(TypedDict):
    """One hour's funding. `interest_8h` is the rate for eight hours, of which `interest_1h` was paid."""

    timestamp: Millis
    index_price: DecimalText
    prev_index_price: DecimalText
    interest_8h: DecimalText
    interest_1h: DecimalText


class FundingPoint(TypedDict):
    """One hour's funding in a chart."""

    timestamp: Millis
    index_price: DecimalText
    interest_8h: DecimalText


class FundingChart(TypedDict):
    """Funding over a time."""

    current_interest: DecimalText
    interest_8h: DecimalText
    data: list[FundingPoint]


class DeliveryPrice(TypedDict):
    """What one expiry settled at."""

    date: str
    delivery_price: DecimalText


class DeliveryPrices(TypedDict):
    """A page of settlement prices."""

    data: list[DeliveryPrice]
    records_total: int


class Settlement(TypedDict):
    """The end of an instrument. `position` is its open interest, `mark_price` what a unit of the base came to."""

    type: str
    timestamp: Millis
    instrument_name: str
    position: DecimalText
    index_price: DecimalText
    mark_price: DecimalText
    x_height: int


class Settlements(TypedDict):
    """A page of ended instruments; `continuation` asks for the next, null on the last."""

    settlements: list[Settlement]
    continuation: str | None
