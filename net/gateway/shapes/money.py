"""Answers about money that came and went."""

from typing import Literal, NotRequired, TypedDict

from net.gateway.shapes.scalars import Address, Count, DecimalText, Height, LabelText, Millis, OrderId


class OtherSide(TypedDict):
    """Of a transfer."""

    other_side: Address
    subaccount: Count


class LogEntry(TypedDict):
    """What moved the account's cash. `change` of a trade is its fee, and an option's premium; of collateral, lots."""

    id: str
    user_seq: Count
    type: Literal["trade", "deposit", "withdrawal", "transfer", "settlement", "delivery"]
    timestamp: Millis
    currency: str
    change: DecimalText
    x_height: Height
    instrument_name: NotRequired[str]
    price: NotRequired[DecimalText]
    amount: NotRequired[DecimalText]
    order_id: NotRequired[OrderId]
    trade_id: NotRequired[str]
    label: NotRequired[LabelText]
    side: NotRequired[Literal["buy", "sell", "long", "short"]]
    commission: NotRequired[DecimalText]
    user_role: NotRequired[Literal["maker", "taker"]]
    position: NotRequired[DecimalText]
    settlement_price: NotRequired[DecimalText]
    info: NotRequired[OtherSide]


class TransactionLog(TypedDict):
    """A page, newest first; `continuation` asks for the next one."""

    logs: list[LogEntry]
    continuation: Count | None
    x_height: Height


class OwnSettlement(TypedDict):
    """A funding payment, or the delivery of a market that has ended; `x_paid` below zero was charged."""

    type: Literal["settlement", "delivery"]
    timestamp: Millis
    instrument_name: str
    position: DecimalText
    funding: DecimalText
    settlement_price: DecimalText | None
    x_paid: DecimalText
    x_height: Height


class SettlementHistory(TypedDict):
    """A page, newest first."""

    settlements: list[OwnSettlement]
    continuation: Count | None
    x_height: Height


class Transfer(TypedDict):
    """Between two accounts of the exchange."""

    id: Count
    amount: DecimalText
    currency: str
    direction: Literal["payment", "income"]
    other_side: Address
    x_subaccount: Count
    type: Literal["subaccount", "user"]
    state: Literal["confirmed"]
    created_timestamp: Millis
    updated_timestamp: Millis
    x_height: Height


class Transfers(TypedDict):
    """Newest first."""

    count: Count
    data: list[Transfer]
    x_height: Height


class Deposit(TypedDict):
    """Credited from the settlement contract's inbox."""

    address: Address
    amount: DecimalText
    currency: str
    state: Literal["completed"]
    received_timestamp: Millis
    updated_timestamp: Millis
    transaction_id: None
    x_inbox_index: Count
    x_height: Height


class Deposits(TypedDict):
    """Newest first."""

    count: Count
    data: list[Deposit]
    x_height: Height


class OwnWithdrawal(TypedDict):
    """`id` is its leaf in the withdrawal tree: `public/x_get_withdrawal_proof`."""

    id: Count
    address: Address
    amount: DecimalText
    currency: str
    fee: DecimalText
    state: Literal["confirmed", "completed"]
    created_timestamp: Millis
    confirmed_timestamp: Millis
    updated_timestamp: Millis
    transaction_id: None
    x_status: Literal["received", "included", "executed", "certified", "on_chain"]
    x_height: Height


class Withdrawals(TypedDict):
    """Newest first."""

    count: Count
    data: list[OwnWithdrawal]
    x_height: Height


class DepositAddress(TypedDict):
    """The settlement contract: money is deposited by calling it, with the account it is for."""

    address: Address
    currency: str
    type: Literal["deposit"]
    creation_timestamp: Millis
    status: Literal["ready"]
    x_chain_id: Count
    x_token: Address
    x_call: str
