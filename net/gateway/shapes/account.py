"""Answers about one account: money, positions, own trades, what came from the chain and goes back to it."""

from typing import Literal, NotRequired, TypedDict

from net.gateway.shapes.scalars import (
    Address,
    Count,
    DecimalText,
    Direction,
    Hash,
    Height,
    HexText,
    LabelText,
    Millis,
    OrderId,
)

Kind = Literal["future", "option", "spot"]
MarginModel = Literal["cross_sm", "isolated", "cross_pm"]


class Position(TypedDict):
    """One position at mark. Greeks as Deribit's, `x_` ones in USDC; profit is null when the node does not know all
    trades that made the position.
    """

    instrument_name: str
    kind: Kind
    direction: Literal["buy", "sell", "zero"]
    size: DecimalText
    size_currency: DecimalText
    mark_price: DecimalText
    index_price: DecimalText
    average_price: DecimalText | None
    floating_profit_loss: DecimalText | None
    realized_profit_loss: DecimalText | None
    total_profit_loss: DecimalText | None
    initial_margin: DecimalText
    maintenance_margin: DecimalText
    leverage: Count
    estimated_liquidation_price: DecimalText | None
    delta: DecimalText
    gamma: DecimalText
    vega: DecimalText
    theta: DecimalText
    x_value: DecimalText
    x_delta: DecimalText
    x_gamma: DecimalText
    x_height: Height


class AccountSummary(TypedDict):
    """Balance, equity and margins of one subaccount."""

    currency: str
    type: Literal["main", "subaccount"]
    balance: DecimalText
    x_cash: DecimalText
    equity: DecimalText
    margin_balance: DecimalText
    initial_margin: DecimalText
    maintenance_margin: DecimalText
    projected_initial_margin: DecimalText
    projected_maintenance_margin: DecimalText
    available_funds: DecimalText
    available_withdrawal_funds: DecimalText
    margin_model: MarginModel
    portfolio_margining_enabled: bool
    cross_collateral_enabled: bool
    delta_total: DecimalText
    options_vega: DecimalText
    options_theta: DecimalText
    options_value: DecimalText
    options_pl: DecimalText
    futures_pl: DecimalText
    total_pl: DecimalText
    x_owner: Address
    x_subaccount: Count
    x_account_index: Count
    x_height: Height
    x_open_orders: Count
    x_positions: list[Position]


class AccountSummaries(TypedDict):
    """The one currency's summary, as a list."""

    id: Count
    type: Literal["main", "subaccount"]
    username: Address
    summaries: list[AccountSummary]
    x_height: Height


class Portfolio(TypedDict):
    """Summaries by currency."""

    usdc: AccountSummary


class Subaccount(TypedDict):
    """One subaccount of an owner."""

    id: Count
    username: str
    system_name: str
    type: Literal["main", "subaccount"]
    is_password: bool
    margin_model: MarginModel
    portfolio: NotRequired[Portfolio]
    x_owner: Address
    x_subaccount: Count
    x_height: Height


class Margins(TypedDict):
    """What an order would add to the initial margin, and the prices between which orders are taken now."""

    buy: DecimalText
    sell: DecimalText
    min_price: DecimalText | None
    max_price: DecimalText | None
    x_height: Height


class UnderlyingRisk(TypedDict):
    """Risk of one underlying, in USDC; the scenarios by number (docs/portfolio.md, 7.1), the last one the basis."""

    underlying: str
    delta: DecimalText
    gamma: DecimalText
    vega: DecimalText
    theta: DecimalText
    rho: DecimalText
    scenarios: list[DecimalText]
    liquidation_index_below: DecimalText | None
    liquidation_index_above: DecimalText | None


class SimulatedAccount(TypedDict):
    """An account as it would be."""

    currency: str
    margin_model: MarginModel
    equity: DecimalText
    margin_balance: DecimalText
    initial_margin: DecimalText
    maintenance_margin: DecimalText
    available_funds: DecimalText
    delta_total: DecimalText
    x_worst_scenario: Count | None
    x_risks: list[UnderlyingRisk]
    x_height: Height


class MarginColumns(TypedDict):
    """What the numbers of a row are."""

    markets: list[str]
    underlyings: list[str]
    expiries: list[str]


class MarginInputsAnswer(TypedDict):
    """What the engine computes an account's margin from, in its own integers (`validator.local_margin`)."""

    mode: Count
    balance_quote: int
    order_charge_quote: int
    positions: dict[str, int]
    open_orders: dict[str, list[int]]
    names: list[str]
    columns: MarginColumns
    markets: dict[str, list[int]]
    scenarios: dict[str, list[int]]
    underlyings: list[list[int]]
    expiries: list[list[int]]
    counters: list[int]
    x_height: Height


class ExplainedMargin(SimulatedAccount):
    """An account as it is."""

    x_positions: list[Position]


class MmpConfig(TypedDict):
    """Limits of market-maker protection in USDC, 0: none; seconds."""

    interval: Count
    frozen_time: Count
    quantity_limit: DecimalText
    delta_limit: DecimalText
    vega_limit: DecimalText
    x_scope: Literal["account"]
    x_height: Height


class MmpStatus(TypedDict):
    """What the window that runs now has used, in USDC. `frozen_until` far ahead: until it is set again."""

    frozen_until: Millis
    x_is_frozen: bool
    x_used_quantity: DecimalText
    x_used_delta: DecimalText
    x_used_vega: DecimalText
    x_scope: Literal["account"]
    x_height: Height


class TrippedProtection(MmpStatus):
    """The same, with the name that the channel was asked by."""

    index_name: str


class CancelSwitch(TypedDict):
    """When everything is cancelled unless it is put off."""

    scope: Literal["account"]
    enabled: bool
    x_deadline_ms: Millis | None
    x_height: Height


class SessionKey(TypedDict):
    """A key that may sign for the account."""

    key: Address
    scopes: list[Literal["trade", "cancel", "transfer"]]
    x_valid_until_ms: Millis
    is_expired: bool
    x_order_cap: DecimalText | None


class Builder(TypedDict):
    """Who may take a fee of orders that name him."""

    builder: Address
    subaccount: Count
    x_fee_ppm_max: Count


class SessionKeys(TypedDict):
    """What an account lets others do."""

    keys: list[SessionKey]
    builders: list[Builder]
    referrer: Address | None
    x_height: Height


class LiveOffer(TypedDict):
    """An offer off the book. Without `x_counterparty` everybody may accept it."""

    offer_id: OrderId
    instrument_name: str
    direction: Direction
    price: DecimalText
    amount: DecimalText
    label: LabelText
    state: Literal["open"]
    creation_timestamp: Millis
    x_good_till_ms: Millis
    x_owner: Address
    x_subaccount: Count
    x_counterparty: Address | None
    x_height: Height


class UserTrade(TypedDict):
    """One side of a trade, as its account sees it. `order_type` is the order's in the answer to the order; trades that
    are read later do not keep it and say `limit`.
    """

    trade_id: str
    trade_seq: Count
    instrument_name: str
    timestamp: Millis
    direction: Direction
    liquidity: Literal["M", "T"]
    price: DecimalText
    amount: DecimalText
    fee: DecimalText
    fee_currency: str
    order_type: str
    order_id: OrderId
    label: LabelText
    x_counterparty_order_id: OrderId
    x_height: Height
    liquidation: NotRequired[Literal["M", "T", "MT"]]


class AccountTrade(UserTrade):
    """The same where it may be of any subaccount."""

    x_subaccount: Count


class UserTrades(TypedDict):
    """A page of own trades."""

    trades: list[UserTrade]
    has_more: bool


class Withdrawal(TypedDict):
    """A withdrawal: `index` is its leaf in the withdrawal tree."""

    index: Count
    owner: Address
    subaccount: Count
    currency: str
    amount: DecimalText
    created_timestamp: Millis
    x_height: Height
    x_status: str
    state: Literal["confirmed", "completed"]


class InboxEntry(TypedDict):
    """An entry of the settlement contract's inbox, and what became of it."""

    index: Count
    kind: str
    owner: Address
    subaccount: Count
    token: Address
    amount: DecimalText
    data: HexText
    created_timestamp: Millis
    state: Literal["waiting", "done", "refused"]
    x_height: Height | None
    x_timestamp: Millis | None
    x_code: int | None
    x_number: int | None


class TreeNode(TypedDict):
    """A node of the Merkle-sum tree of accounts."""

    hash: Hash
    claims: DecimalText
    debt: DecimalText
