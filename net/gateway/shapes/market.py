"""Answers about markets, prices and trades."""

from typing import Any, Literal, NotRequired, TypedDict

from net.gateway.shapes.scalars import Address, Count, DecimalText, Direction, Height, Level, LevelChange, Millis


class Currency(TypedDict):
    """USDC, in which everything is paid, and what markets are about. `x_is_money`: whether it can be deposited."""

    currency: str
    currency_long: str
    coin_type: str
    decimals: Count
    fee_precision: Count
    min_confirmations: Count
    withdrawal_fee: DecimalText
    x_is_money: bool
    x_token: NotRequired[Address]


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
    state: Literal["open", "settled"]
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
    volume_notional: DecimalText
    price_change: DecimalText | None
    high: DecimalText | None
    low: DecimalText | None


class Ticker(TypedDict):
    """Prices of one market; null where there is none yet. Volatilities (`_iv`) are in per cent, 0 where a price gives
    none.
    """

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
    interest_rate: DecimalText
    estimated_delivery_price: DecimalText | None
    min_price: DecimalText | None
    max_price: DecimalText | None
    stats: DayStats
    x_height: Height
    underlying_price: NotRequired[DecimalText | None]
    underlying_index: NotRequired[str]
    mark_iv: NotRequired[DecimalText]
    bid_iv: NotRequired[DecimalText]
    ask_iv: NotRequired[DecimalText]
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


class BookSummary(TypedDict):
    """A market in one line."""

    instrument_name: str
    base_currency: str
    quote_currency: str
    bid_price: DecimalText | None
    ask_price: DecimalText | None
    mid_price: DecimalText | None
    mark_price: DecimalText | None
    last: DecimalText | None
    high: DecimalText | None
    low: DecimalText | None
    price_change: DecimalText | None
    open_interest: DecimalText
    volume: DecimalText
    volume_usd: DecimalText
    volume_notional: DecimalText
    creation_timestamp: Millis
    estimated_delivery_price: DecimalText | None
    interest_rate: DecimalText
    x_height: Height
    underlying_price: NotRequired[DecimalText | None]
    underlying_index: NotRequired[str]
    mark_iv: NotRequired[DecimalText]
    funding_8h: NotRequired[DecimalText]
    current_funding: NotRequired[DecimalText]


class IndexPrice(TypedDict):
    """What the committee agrees on; null before the first price. `x_is_fresh`: lately."""

    index_price: DecimalText | None
    estimated_delivery_price: DecimalText | None
    x_timestamp: Millis
    x_is_fresh: bool
    x_height: Height


class ContractSize(TypedDict):
    """Of one contract, in units of the base."""

    contract_size: DecimalText


class TradeVolumes(TypedDict):
    """What was traded in the last 24 hours, in units of the currency that markets are about."""

    currency: str
    futures_volume: DecimalText
    calls_volume: DecimalText
    puts_volume: DecimalText
    spot_volume: DecimalText


class Expirations(TypedDict):
    """When instruments expire, by kind, as in their names."""

    future: NotRequired[list[str]]
    option: NotRequired[list[str]]


class SurfaceStrike(TypedDict):
    """The volatility of one strike, in per cent."""

    strike: DecimalText
    iv: DecimalText


class SurfaceParameters(TypedDict):
    """w(k) = a + b (rho (k - m) + sqrt((k - m)^2 + sigma^2)), k = ln(strike / forward); w is the total variance."""

    a: DecimalText
    b: DecimalText
    rho: DecimalText
    m: DecimalText
    sigma: DecimalText


class SurfaceExpiry(TypedDict):
    """The smile of one expiry at the strikes that are listed."""

    expiration: str
    expiration_timestamp: Millis
    forward: DecimalText | None
    timestamp: Millis
    parameters: SurfaceParameters
    atm_iv: DecimalText
    strikes: list[SurfaceStrike]


class VolSurface(TypedDict):
    """The volatility surface of one underlying, as every option of it is marked."""

    index_name: str
    index_price: DecimalText | None
    expiries: list[SurfaceExpiry]
    x_height: Height
