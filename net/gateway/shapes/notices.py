"""What comes over channels and is no answer to any call."""

from typing import Literal, NotRequired, TypedDict

from net.gateway.shapes.market import DayStats, Greeks
from net.gateway.shapes.scalars import Count, DecimalText, Height, Level, Millis


class GroupedBookMessage(TypedDict):
    """The best levels of a book, all of them in every message."""

    instrument_name: str
    timestamp: Millis
    change_id: Count
    bids: list[Level]
    asks: list[Level]


class TickerChange(TypedDict):
    """A ticker whole, then only its fields that are others."""

    type: Literal["snapshot", "change"]
    instrument_name: str
    timestamp: Millis
    x_height: Height
    state: NotRequired[Literal["open", "closed"]]
    x_phase: NotRequired[Literal["continuous", "auction", "cancel_only", "post_only", "settled"]]
    x_is_fresh: NotRequired[bool]
    mark_price: NotRequired[DecimalText | None]
    index_price: NotRequired[DecimalText | None]
    last_price: NotRequired[DecimalText | None]
    settlement_price: NotRequired[DecimalText | None]
    best_bid_price: NotRequired[DecimalText | None]
    best_bid_amount: NotRequired[DecimalText]
    best_ask_price: NotRequired[DecimalText | None]
    best_ask_amount: NotRequired[DecimalText]
    open_interest: NotRequired[DecimalText]
    funding_8h: NotRequired[DecimalText]
    current_funding: NotRequired[DecimalText]
    interest_rate: NotRequired[DecimalText]
    estimated_delivery_price: NotRequired[DecimalText | None]
    min_price: NotRequired[DecimalText | None]
    max_price: NotRequired[DecimalText | None]
    stats: NotRequired[DayStats]
    underlying_price: NotRequired[DecimalText | None]
    underlying_index: NotRequired[str]
    mark_iv: NotRequired[DecimalText]
    bid_iv: NotRequired[DecimalText]
    ask_iv: NotRequired[DecimalText]
    greeks: NotRequired[Greeks]


class Quote(TypedDict):
    """The best prices of a book."""

    instrument_name: str
    timestamp: Millis
    best_bid_price: DecimalText | None
    best_bid_amount: DecimalText
    best_ask_price: DecimalText | None
    best_ask_amount: DecimalText
    x_height: Height


class ChartCandle(TypedDict):
    """The candle that the last trades are in, so far."""

    tick: Millis
    open: DecimalText
    high: DecimalText
    low: DecimalText
    close: DecimalText
    volume: DecimalText
    cost: DecimalText


class PerpetualNotice(TypedDict):
    """Funding of a perpetual: the rate for eight hours by the samples of this hour."""

    timestamp: Millis
    interest: DecimalText
    index_price: DecimalText | None
    x_height: Height


class IndexNotice(TypedDict):
    """An index that the committee has moved."""

    index_name: str
    price: DecimalText
    timestamp: Millis


class OptionMark(TypedDict):
    """Mark and volatility (per cent) of one option."""

    instrument_name: str
    timestamp: Millis
    mark_price: DecimalText | None
    iv: DecimalText


class ExpirationNotice(TypedDict):
    """What the next expiry would settle at. `is_estimated`: its half hour has not begun."""

    price: DecimalText | None
    seconds: Count
    is_estimated: bool
    x_expiration_timestamp: Millis


class InstrumentNotice(TypedDict):
    """A market was listed or has ended."""

    instrument_name: str
    state: Literal["created", "settled"]
    timestamp: Millis


class PlatformNotice(TypedDict):
    """`locked`: the network is frozen. `maintenance`: this node is catching up."""

    price_index: str
    locked: bool
    maintenance: bool
