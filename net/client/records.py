"""Typed answers. Money, prices and sizes are `Decimal`, exactly as the node wrote them.

`_usd`: price of one unit of the base currency; `_base`: units of it; everything else that is money is in USDC.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from net.client.protocol import HansaError, make_error
from net.client.verifying import UNCHECKED


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


@dataclass(frozen=True, slots=True)
class Fill:
    """One own trade. `fee_usdc` below zero is a rebate."""

    trade_id: str
    instrument_name: str
    order_id: str
    direction: str
    price_usd: Decimal
    amount_base: Decimal
    fee_usdc: Decimal
    is_maker: bool
    label: int
    height: int
    timestamp_ms: int

    @classmethod
    def parse(cls, item: dict[str, Any]) -> "Fill":
        return cls(
            item["trade_id"], item["instrument_name"], item["order_id"], item["direction"], Decimal(item["price"]),
            Decimal(item["amount"]), Decimal(item["fee"]), item["liquidity"] == "M", int(item["label"] or 0),
            item["x_height"], item["timestamp"],
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Trade:
    """One public trade; `direction` is the taker's."""

    trade_id: str
    instrument_name: str
    direction: str
    price_usd: Decimal
    amount_base: Decimal
    height: int
    timestamp_ms: int

    @classmethod
    def parse(cls, item: dict[str, Any]) -> "Trade":
        return cls(
            item["trade_id"], item["instrument_name"], item["direction"], Decimal(item["price"]),
            Decimal(item["amount"]), item["x_height"], item["timestamp"],
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Order:
    """One order. `state`: open, filled, cancelled, rejected, or pending while no block is known to hold it."""

    order_id: str | None
    instrument_name: str
    direction: str
    state: str
    price_usd: Decimal
    amount_base: Decimal
    filled_base: Decimal | None
    average_price_usd: Decimal | None
    label: int
    is_post_only: bool
    time_in_force: str

    @classmethod
    def parse(cls, item: dict[str, Any]) -> "Order":
        return cls(
            item["order_id"], item["instrument_name"], item["direction"], item["order_state"],
            Decimal(0 if item["price"] == "market_price" else item["price"]), Decimal(item["amount"]),
            _decimal(item["filled_amount"]), _decimal(item["average_price"]),
            int(item["label"] or 0), item["post_only"], item["time_in_force"],
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a signed command has come. `is_final`: nothing can undo it. `receipt` is the node's signed promise.
    `certificate`: "proven" where the committee's was checked here, else "unchecked".
    """

    command_id: str
    status: str
    is_final: bool
    height: int | None
    receipt: dict[str, Any] | None
    certificate: str = UNCHECKED

    @classmethod
    def parse(cls, item: dict[str, Any]) -> "Progress":
        return cls(
            item["x_command_id"], item["x_status"], item["x_is_final"], item["x_height"], item["x_receipt"],
            item.get("x_certificate", UNCHECKED),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Placed:
    """Answer to `buy`, `sell`, `trigger` and `edit`; no order where an edit's is gone."""

    order: Order | None
    trades: tuple[Fill, ...]
    progress: Progress

    @classmethod
    def parse(cls, item: dict[str, Any]) -> "Placed":
        order = item["order"]
        return cls(
            None if order is None else Order.parse(order), tuple(map(Fill.parse, item["trades"])), Progress.parse(item)
        )


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Answer to cancels; `count` is None until it is final."""

    count: int | None
    progress: Progress

    @classmethod
    def parse(cls, item: dict[str, Any]) -> "Cancelled":
        return cls(item["cancelled"], Progress.parse(item))


@dataclass(frozen=True, slots=True)
class Outcome:
    """One request of a batch: an order with its trades, a number of cancelled orders, or the error that refused it."""

    order: Order | None
    trades: tuple[Fill, ...]
    cancelled_count: int | None
    error: HansaError | None
    progress: Progress

    @classmethod
    def parse(cls, item: dict[str, Any]) -> "Outcome":
        order, error = item.get("order"), item.get("error")
        return cls(
            None if order is None else Order.parse(order), tuple(map(Fill.parse, item.get("trades", ()))),
            item.get("cancelled"), None if error is None else make_error(error), Progress.parse(item),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Batched:
    """Answer to `batch`: one outcome a request, in their order."""

    outcomes: tuple[Outcome, ...]
    progress: Progress

    @classmethod
    def parse(cls, item: dict[str, Any]) -> "Batched":
        return cls(tuple(map(Outcome.parse, item["x_actions"])), Progress.parse(item))


@dataclass(frozen=True, slots=True)
class Withdrawing:
    """Answer to `withdraw`; `index` is what `withdrawal_proof` takes, None until it is final."""

    index: int | None
    amount_usdc: Decimal
    progress: Progress

    @classmethod
    def parse(cls, item: dict[str, Any]) -> "Withdrawing":
        return cls(item["id"], Decimal(item["amount"]), Progress.parse(item))


@dataclass(frozen=True, slots=True)
class Position:
    """One position at mark; `size_base` below zero is short."""

    instrument_name: str
    size_base: Decimal
    mark_price_usd: Decimal
    index_price_usd: Decimal
    value: Decimal
    initial_margin: Decimal
    maintenance_margin: Decimal
    delta_base: Decimal
    average_price_usd: Decimal | None
    liquidation_price_usd: Decimal | None

    @classmethod
    def parse(cls, item: dict[str, Any]) -> "Position":
        return cls(
            item["instrument_name"], Decimal(item["size"]), Decimal(item["mark_price"]), Decimal(item["index_price"]),
            Decimal(item["x_value"]), Decimal(item["initial_margin"]), Decimal(item["maintenance_margin"]),
            Decimal(item["delta"]), _decimal(item["average_price"]), _decimal(item["estimated_liquidation_price"]),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Account:
    """One subaccount at `height`."""

    owner: str
    subaccount: int
    height: int
    balance: Decimal
    equity: Decimal
    initial_margin: Decimal
    maintenance_margin: Decimal
    available: Decimal
    withdrawable: Decimal
    open_orders: int
    positions: tuple[Position, ...]

    @classmethod
    def parse(cls, item: dict[str, Any]) -> "Account":
        return cls(
            item["x_owner"], item["x_subaccount"], item["x_height"], Decimal(item["balance"]), Decimal(item["equity"]),
            Decimal(item["initial_margin"]), Decimal(item["maintenance_margin"]), Decimal(item["available_funds"]),
            Decimal(item["available_withdrawal_funds"]), item["x_open_orders"],
            tuple(map(Position.parse, item["x_positions"])),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Candle:
    """One candle; `start_ms` is when it began."""

    start_ms: int
    open_usd: Decimal
    high_usd: Decimal
    low_usd: Decimal
    close_usd: Decimal
    volume_base: Decimal

    @classmethod
    def parse_all(cls, item: dict[str, Any]) -> list["Candle"]:
        columns = (map(Decimal, item[name]) for name in ("open", "high", "low", "close", "volume"))
        return [cls(start_ms, *row) for start_ms, *row in zip(item["ticks"], *columns)]


@dataclass(frozen=True, slots=True)
class SessionKey:
    """A key that may sign for the account; `order_cap_usdc` None: without a limit."""

    address: str
    scopes: tuple[str, ...]
    valid_until_ms: int
    is_expired: bool
    order_cap_usdc: Decimal | None

    @property
    def valid_until(self) -> str:
        """In UTC."""
        return datetime.fromtimestamp(self.valid_until_ms // 1000, UTC).isoformat(" ")

    @classmethod
    def parse(cls, item: dict[str, Any]) -> "SessionKey":
        return cls(
            item["key"], tuple(item["scopes"]), item["x_valid_until_ms"], item["is_expired"],
            _decimal(item["x_order_cap"]),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ticker:
    """Prices of a market; None where there is none yet."""

    instrument_name: str
    mark_price_usd: Decimal | None
    index_price_usd: Decimal | None
    last_price_usd: Decimal | None
    best_bid_price_usd: Decimal | None
    best_ask_price_usd: Decimal | None
    open_interest: Decimal
    funding_8h: Decimal
    timestamp_ms: int
    raw: dict[str, Any]

    @classmethod
    def parse(cls, item: dict[str, Any]) -> "Ticker":
        return cls(
            item["instrument_name"], _decimal(item["mark_price"]), _decimal(item["index_price"]),
            _decimal(item["last_price"]), _decimal(item["best_bid_price"]), _decimal(item["best_ask_price"]),
            Decimal(item["open_interest"]), Decimal(item["funding_8h"]), item["timestamp"], item,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class OrderBook:
    """Levels `(price, amount)`, best first."""

    instrument_name: str
    height: int
    bids: tuple[tuple[Decimal, Decimal], ...]
    asks: tuple[tuple[Decimal, Decimal], ...]

    @classmethod
    def parse(cls, item: dict[str, Any]) -> "OrderBook":
        def side(levels: list[Any]) -> tuple[tuple[Decimal, Decimal], ...]:
            return tuple((Decimal(price), Decimal(amount)) for price, amount in levels)

        return cls(item["instrument_name"], item["x_height"], side(item["bids"]), side(item["asks"]))


@dataclass(frozen=True, slots=True)
class ProvenAccount:
    """Equity of an account, checked leaf by leaf against the header at `height`. `raw` is all that an escape needs.
    `certificate`: "proven" where the committee's, of that header, was checked here, too, else "unchecked".
    """

    height: int
    header_hash: str
    claims: Decimal
    debt: Decimal
    raw: dict[str, Any]
    certificate: str = UNCHECKED
