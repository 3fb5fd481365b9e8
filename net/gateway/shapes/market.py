"""Answers about markets, prices and trades."""

from typing import Any, Literal, NotRequired, TypedDict

from net.gateway.shapes.scalars import Address, Count, DecimalText, Direction, Height, Level, LevelChange, Millis


class Currency(TypedDict):
    """A currency that the exchange keeps money in."""

    currency: str
    currency_long: str
    coin_type: str
    decimals: Count
    x_token: Address


class Instrument(TypedDict):
    """One market."""

    instrument_name: str
    instrument_id: Count
    kind: Literal["future", "option", "spot"]
    instrument_type: Literal["linear"]
    future_type: Literal["linear"]
    settlement_period: str
    base_currency: str
    quote_currency: str
    counter_currency: str
    settlement_currency: str
    price_index: str
    tick_size: DecimalText
    tick_size_steps: list[Any]
    min_trade_amount: DecimalText
    contract_size: DecimalText
    maker_commission: DecimalText
    taker_commission: DecimalText
    max_leverage: Count
    is_active: bool
    creation_timestamp: Millis
    expiration_timestamp: Millis
    rfq: bool
    x_params: dict[str, Any]
    strike: NotRequired[DecimalText]
    option_type: NotRequired[Literal["call", "put"]]


class Greeks(TypedDict):
    """Of an option, for one unit of its underlying."""

    delta: DecimalText
    gamma: DecimalText
    vega: DecimalText
    theta: DecimalText
    rho: DecimalText


class DayStats(TypedDict):
    """The last 24 hours."""

    volume: DecimalText
    volume_usd: DecimalText
    high: DecimalText | None
    low: DecimalText | None


class Ticker(TypedDict):
    """Prices of one market; null where there is none yet."""

    instrument_name: str
    timestamp: Millis
    state: Literal["open", "closed"]
    x_phase: Literal["continuous", "auction", "cancel_only", "post_only", "settled"]
    x_is_fresh: bool
    mark_price: DecimalText | None
    index_price: DecimalText | None
    last_price: DecimalText | None
    settlement_price: DecimalText | None
    best_bid_price: DecimalText | None
    best_bid_amount: DecimalText
    best_ask_price: DecimalText | None
    best_ask_amount: DecimalText
    open_interest: DecimalText
    funding_8h: DecimalText
    current_funding: DecimalText
    stats: DayStats
    x_height: Height
    greeks: NotRequired[Greeks]


class OrderBook(Ticker):
    """Levels of both sides, best first, with the ticker."""

    change_id: Count
    bids: list[Level]
    asks: list[Level]


class BookMessage(TypedDict):
    """The whole book, or its changes since `prev_change_id`."""

    type: Literal["snapshot", "change"]
    instrument_name: str
    timestamp: Millis
    change_id: Count
    prev_change_id: NotRequired[Count]
    bids: list[LevelChange]
    asks: list[LevelChange]


class Trade(TypedDict):
    """One trade, as everybody sees it."""

    trade_id: str
    trade_seq: Count
    instrument_name: str
    timestamp: Millis
    direction: Direction
    price: DecimalText
    amount: DecimalText
    x_height: Height
    liquidation: NotRequired[Literal["M", "T", "MT"]]


class Trades(TypedDict):
    """A page of trades."""

    trades: list[Trade]
    has_more: bool
