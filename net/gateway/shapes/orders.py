"""Answers to signed commands, and orders."""

from typing import Any, Literal, NotRequired, TypedDict

from net.gateway.shapes.account import AccountTrade, Position, UserTrade
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
    PriceText,
)

Status = Literal["received", "included", "executed", "certified", "on_chain"]


class Order(TypedDict):
    """One order. `order_id`, `filled_amount` and the times are null until its result is known."""

    order_id: OrderId | None
    instrument_name: str
    direction: Direction
    order_type: Literal["limit", "market", "stop_limit", "stop_market", "take_limit", "take_market"]
    order_state: Literal["open", "filled", "rejected", "cancelled", "untriggered", "triggered", "pending"]
    price: PriceText
    amount: DecimalText
    filled_amount: DecimalText | None
    average_price: DecimalText
    label: LabelText
    creation_timestamp: Millis | None
    last_update_timestamp: Millis | None
    api: bool
    web: bool
    is_liquidation: bool
    x_owner: Address
    x_subaccount: Count
    x_height: Height | None
    time_in_force: str
    post_only: bool
    reject_post_only: bool
    reduce_only: bool
    mmp: bool
    x_self_trade: Literal["cancel_maker", "cancel_taker", "cancel_both", "decrement"]
    display_amount: NotRequired[DecimalText]
    max_show: NotRequired[DecimalText]
    x_good_till_ms: NotRequired[Millis]
    trigger_price: NotRequired[DecimalText]
    stop_price: NotRequired[DecimalText]
    trigger: NotRequired[Literal["mark_price", "last_price"]]
    cancel_reason: NotRequired[str]
    oto_order_ids: NotRequired[list[OrderId | None]]


class AccountChanges(TypedDict):
    """What a block changed of an account in one market; the position where it traded and still holds one."""

    instrument_name: str
    orders: list[Order]
    trades: list[AccountTrade]
    positions: list[Position]


class Receipt(TypedDict):
    """The node's signed promise to put the command into its next batch."""

    node: Count
    command_id: Hash
    received_ms: Millis
    signature: HexText


class Certainty(TypedDict):
    """How final an answer is."""

    x_command_id: Hash
    x_status: Status
    x_is_final: bool
    x_height: Height | None
    x_receipt: Receipt | None


class OrderAnswer(Certainty):
    """An order that was placed or changed, and what it traded at once."""

    order: Order | None
    trades: list[UserTrade]


class CancelCount(Certainty):
    """How many orders were cancelled; null until the result is final."""

    cancelled: Count | None


class CancelledOrder(Order, CancelCount):
    """The order that was cancelled."""


class Offer(TypedDict):
    """An offer off the book."""

    offer_id: OrderId | None
    instrument_name: str
    direction: Direction
    price: DecimalText
    amount: DecimalText
    label: LabelText
    state: Literal["open", "cancelled", "pending"]
    x_good_till_ms: Millis
    x_owner: Address
    x_subaccount: Count


class OfferAnswer(Certainty):
    """An offer that was made."""

    offer: Offer


class AcceptedOffer(Certainty):
    """The trade that accepting made."""

    trades: list[UserTrade]


class WithdrawAnswer(Certainty):
    """A withdrawal on its way: `id` is its leaf in the withdrawal tree."""

    id: Count | None
    currency: str
    amount: DecimalText
    address: Address
    state: Literal["confirmed", "unconfirmed"]
    created_timestamp: Millis | None


class TransferAnswer(Certainty):
    """Money on its way to another account of the exchange."""

    currency: str
    amount: DecimalText
    other_side: Address
    x_subaccount: Count
    state: Literal["confirmed", "prepared"]
    created_timestamp: Millis | None


class RefusedAction(Certainty):
    """An action of a message that was finally refused."""

    error: dict[str, Any]


ActionAnswer = (
    OrderAnswer | CancelledOrder | CancelCount | WithdrawAnswer | TransferAnswer | OfferAnswer | AcceptedOffer
    | RefusedAction | Certainty
)  # fmt: skip


class ManyActions(Certainty):
    """A message of several actions: one answer for each."""

    x_actions: list[ActionAnswer]


SubmitAnswer = ManyActions | ActionAnswer


class LinkedAnswer(ManyActions):
    """An order and those that are linked to it."""

    order: Order
    trades: list[UserTrade]


class ComboAnswer(ManyActions):
    """The legs of a combination."""

    orders: list[Order]
    trades: list[UserTrade]


class QuoteAnswer(ComboAnswer):
    """The quotes that were placed, and how many actions were refused."""

    errors_count: Count


class CancelSummary(ManyActions):
    """How many orders left in all; null until the result is final."""

    cancelled: Count | None


class CertificateName(TypedDict):
    """Which certificate makes a result final: its own block's, or that of a later one."""

    height: Height
    header_hash: Hash
    epoch: Count
    view: Count


class CommandState(TypedDict):
    """What is known of a command. Without `code` its result is not known yet."""

    command_id: Hash
    status: Status
    is_final: bool
    code: NotRequired[Count]
    reason: NotRequired[str]
    order_state: NotRequired[Literal["open", "filled", "rejected", "cancelled"]]
    order_number: NotRequired[Count]
    filled_lots: NotRequired[Count]
    remaining_lots: NotRequired[Count]
    filled_value: NotRequired[DecimalText]
    height: NotRequired[Height]
    timestamp: NotRequired[Millis]
    cancelled: NotRequired[Count]
    withdrawal_index: NotRequired[Count | None]
    trades: NotRequired[list[UserTrade]]
    x_certificate: NotRequired[CertificateName]


class CommandStates(CommandState):
    """The first action's, with the other actions that a nonce or a label means."""

    x_others: NotRequired[list[CommandState]]


class MarginPreview(TypedDict):
    """The account with an order, at the marks of now; whether its margin is enough."""

    equity: DecimalText
    initial_margin: DecimalText
    maintenance_margin: DecimalText
    initial_margin_change: DecimalText
    is_enough: bool
    x_height: Height


class DecodedCommand(TypedDict):
    """What a command says. Digest and signer only for what is well formed."""

    fields: dict[str, Any]
    text: str
    is_well_formed: bool
    domain_separator: NotRequired[Hash]
    command_id: NotRequired[Hash]
    action_ids: NotRequired[list[Hash]]
    recovered_signer: NotRequired[Address]
    is_signed_by_owner: NotRequired[bool]


class DebuggedCommand(DecodedCommand):
    """All that decides whether a command would be taken. `code` is the first rule that it breaks as far as that can be
    said before a block does.
    """

    type: str
    type_hash: Hash
    struct_hash: Hash
    signer_role: Literal["owner", "session_key", "expired_session_key", "stranger", "nobody"]
    signer_scopes: list[Literal["trade", "cancel", "transfer"]]
    nonce_state: Literal["fresh", "spent", "too_old", "unknown_account"]
    is_expired: bool
    time_ms: Millis
    code: Count
    reason: str
    margin: MarginPreview | None
    x_height: Height
