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


class Position(TypedDict):
    """One position at mark."""

    instrument_name: str
    kind: Literal["future", "option", "spot"]
    direction: Literal["buy", "sell", "zero"]
    size: DecimalText
    size_currency: DecimalText
    mark_price: DecimalText
    index_price: DecimalText
    initial_margin: DecimalText
    maintenance_margin: DecimalText
    x_value: DecimalText
    estimated_liquidation_price: DecimalText | None
    x_delta: DecimalText
    x_gamma: DecimalText
    vega: DecimalText
    theta: DecimalText


class AccountSummary(TypedDict):
    """Balance, equity and margins of one subaccount."""

    currency: str
    type: Literal["main", "subaccount"]
    balance: DecimalText
    equity: DecimalText
    margin_balance: DecimalText
    initial_margin: DecimalText
    maintenance_margin: DecimalText
    available_funds: DecimalText
    available_withdrawal_funds: DecimalText
    margin_model: Literal["cross_sm", "isolated", "cross_pm"]
    delta_total: DecimalText
    options_vega: DecimalText
    x_owner: Address
    x_subaccount: Count
    x_account_index: Count
    x_height: Height
    x_open_orders: Count
    x_positions: list[Position]


class UserTrade(TypedDict):
    """One side of a trade, as its account sees it."""

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
