"""The client's half of the API without any I/O: calls to text, text to answers, commands to signed parameters."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from coincurve import PrivateKey

from consensus.messages import compute_domain
from engine.commands import (
    ACTIONS_MAX,
    ALL_MARKETS,
    AMEND,
    BUY,
    CANCEL,
    CANCEL_ALL,
    CANCEL_ALL_AFTER,
    FILL_OR_KILL,
    GOOD_TILL_CANCELLED,
    IMMEDIATE_OR_CANCEL,
    PLACE,
    POST_ONLY,
    SELL,
    TRANSFER,
    WITHDRAW,
    Action,
    Command,
    address_of,
    compute_domain_separator,
)
from engine.params import MarketParams
from engine.units import parse_price_ticks, parse_quote, parse_size_lots

TIMES_IN_FORCE = {
    "good_til_cancelled": GOOD_TILL_CANCELLED, "immediate_or_cancel": IMMEDIATE_OR_CANCEL,
    "fill_or_kill": FILL_OR_KILL, "post_only": POST_ONLY,
}  # fmt: skip
Exact = str | int | Decimal


class HansaError(Exception):
    """A refusal, with the node's words. `code` is Hansa's number (docs/errors.md), 0 when no node has answered.

    A refusal of a signed command means that it was not queued or that it was finally refused: it never stands for
    "perhaps". Where nobody knows, the result's `status` says so, or `OutcomeUnknown` is raised.
    """

    def __init__(self, code: int, message: str, hint: str = "", data: Mapping[str, Any] | None = None) -> None:
        super().__init__(f"[{code}] {message}" + (f": {hint}" if hint else ""))
        self.code, self.message, self.hint, self.data = code, message, hint, dict(data or {})

    @property
    def reason(self) -> str:
        return str(self.data.get("reason", ""))

    @property
    def rpc_code(self) -> int:
        """The JSON-RPC code, Deribit's where it has one."""
        return int(self.data.get("rpc_code", 0))


class OutcomeUnknown(HansaError):
    """No answer came in time. A signed command may or may not execute until its expiry; ask for its status."""


@dataclass(frozen=True, slots=True)
class Call:
    """One method with its parameters."""

    method: str
    params: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for one call: a result or an error."""

    request_id: Any
    result: Any
    error: HansaError | None


@dataclass(frozen=True, slots=True)
class Notification:
    """One message of a subscription. Numbers with a decimal point are `Decimal`, prices and amounts are text."""

    channel: str
    data: Any


def encode_call(request_id: int, call: Call) -> str:
    return json.dumps({"jsonrpc": "2.0", "id": request_id, "method": call.method, "params": call.params})


def decode_message(text: str | bytes) -> Answer | Notification | None:
    """None for a message of a kind this client does not know. Raises `HansaError` on text that is no JSON-RPC."""
    try:
        item = json.loads(text, parse_float=Decimal)
    except ValueError:
        raise HansaError(0, "the node sent no JSON", str(text)[:100]) from None
    if not isinstance(item, dict):
        raise HansaError(0, "the node sent no JSON-RPC", str(text)[:100])
    if item.get("method") == "subscription":
        return Notification(item["params"]["channel"], item["params"]["data"])
    if "result" in item or "error" in item:
        error = item.get("error")
        return Answer(item.get("id"), item.get("result"), None if error is None else make_error(error))
    return None


def is_test_request(text: str | bytes) -> bool:
    """Whether the node asks for a sign of life."""
    return '"test_request"' in (text if isinstance(text, str) else text.decode("utf-8", "replace"))


def make_error(error: Mapping[str, Any]) -> HansaError:
    """The `error` member of an answer as an exception."""
    data = error.get("data") or {}
    details = {**data, "rpc_code": error.get("code", 0)}
    return HansaError(data.get("code", 0), error.get("message", ""), data.get("hint", ""), details)


@dataclass(frozen=True, slots=True)
class Network:
    """What `public/x_get_domain` says, checked: both domains are recomputed from chain id and contract."""

    chain_id: int
    contract: bytes
    domain_separator: bytes
    network_id: bytes
    numbers: Mapping[str, int]
    markets: tuple[MarketParams, ...]
    node: int = -1  # who said so: its number and the key that signs its receipts
    node_key: bytes = bytes(32)

    @classmethod
    def parse(cls, item: Mapping[str, Any]) -> "Network":
        chain_id = item["domain"]["chainId"]
        contract = bytes.fromhex(item["domain"]["verifyingContract"][2:])
        separator, network_id = compute_domain_separator(chain_id, contract), compute_domain(chain_id, contract)
        if item["domain_separator"] != "0x" + separator.hex() or item["network_id"] != "0x" + network_id.hex():
            raise HansaError(0, "the node's domain does not follow from its chain id and contract")
        markets = tuple(MarketParams(**entry["x_params"]) for entry in item["instruments"])
        numbers = {market.symbol: number for number, market in enumerate(markets)}
        node_key = bytes.fromhex(item["node_key"][2:])
        return cls(chain_id, contract, separator, network_id, numbers, markets, item["node"], node_key)

    def market(self, instrument_name: str) -> tuple[int, MarketParams]:
        if instrument_name not in self.numbers:
            raise HansaError(0, f"unknown instrument {instrument_name}", "one of " + ", ".join(self.numbers))
        number = self.numbers[instrument_name]
        return number, self.markets[number]


@dataclass(slots=True)
class Signer:
    """One key: its address and its strictly growing nonces (microseconds)."""

    key: PrivateKey
    subaccount: int = 0
    expiry_s: int = 60
    owner: bytes = field(init=False)
    _last_nonce: int = 0

    def __post_init__(self) -> None:
        self.owner = address_of(self.key.public_key)

    @classmethod
    def parse(cls, key_hex: str, subaccount: int) -> "Signer":
        return cls(PrivateKey.from_hex(key_hex.removeprefix("0x")), subaccount)

    def next_nonce(self, now_us: int) -> int:
        self._last_nonce = max(self._last_nonce + 1, now_us)
        return self._last_nonce

    def sign(self, network: Network, *actions: Action) -> Command:
        """A message of this key's owner with a fresh nonce and expiry."""
        now_us = time.time_ns() // 1000
        expiry_ms = now_us // 1000 + self.expiry_s * 1000
        command = Command(self.owner, self.next_nonce(now_us), expiry_ms, actions, self.subaccount)
        return command.signed(self.key, network.domain_separator)


def exact_text(value: Exact) -> str:
    """Decimal text of an exact number. A float is refused: it is hardly ever the number that was written."""
    if isinstance(value, bool | float):
        raise TypeError(f"{value!r}: pass text, int or Decimal")
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


@dataclass(frozen=True, slots=True)
class Buy:
    """An order of a batch. `time_in_force`: good_til_cancelled, immediate_or_cancel, fill_or_kill or post_only."""

    instrument_name: str
    amount_base: Exact
    price_usd: Exact
    time_in_force: str = "good_til_cancelled"
    label: int = 0
    side: int = field(default=BUY, init=False)

    def to_action(self, network: Network) -> Action:
        """Raises `engine.units.UnitError` when price or amount is no multiple of its step."""
        number, market = network.market(self.instrument_name)
        return Action(
            PLACE, side=self.side, time_in_force=TIMES_IN_FORCE[self.time_in_force], market=number,
            price_ticks=parse_price_ticks(exact_text(self.price_usd), market),
            size_lots=parse_size_lots(exact_text(self.amount_base), market), client_id=self.label,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sell(Buy):
    """The other side of `Buy`."""

    side: int = field(default=SELL, init=False)


@dataclass(frozen=True, slots=True)
class Cancel:
    """The cancel of one order in a batch."""

    order_id: str

    def to_action(self, network: Network) -> Action:
        instrument_name, _, digits = self.order_id.rpartition("-")
        return Action(CANCEL, market=network.market(instrument_name)[0], order_id=int(digits))


@dataclass(frozen=True, slots=True)
class CancelLabel:
    """The cancel of an order by its label."""

    instrument_name: str
    label: int

    def to_action(self, network: Network) -> Action:
        return Action(CANCEL, market=network.market(self.instrument_name)[0], client_id=self.label)


@dataclass(frozen=True, slots=True)
class CancelAll:
    """The cancel of every order of one market, or of all markets."""

    instrument_name: str | None = None

    def to_action(self, network: Network) -> Action:
        named = self.instrument_name
        return Action(CANCEL_ALL, market=ALL_MARKETS if named is None else network.market(named)[0])


Request = Buy | Cancel | CancelLabel | CancelAll


def place_call(network: Network, signer: Signer, order: Buy) -> Call:
    """A signed order. Raises `engine.units.UnitError` when price or amount is no multiple of its step."""
    params: dict[str, Any] = {
        "instrument_name": order.instrument_name, "amount": exact_text(order.amount_base),
        "price": exact_text(order.price_usd), "type": "limit", "label": str(order.label or ""),
    }  # fmt: skip
    if order.time_in_force == "post_only":
        params |= {"post_only": True}
    else:
        params |= {"time_in_force": order.time_in_force}
    command = signer.sign(network, order.to_action(network))
    return Call("private/sell" if order.side else "private/buy", params | _signed_params(command))


def cancel_call(network: Network, signer: Signer, order_id: str) -> Call:
    command = signer.sign(network, Cancel(order_id).to_action(network))
    return Call("private/cancel", {"order_id": order_id} | _signed_params(command))


def cancel_label_call(network: Network, signer: Signer, instrument_name: str, label: int) -> Call:
    command = signer.sign(network, CancelLabel(instrument_name, label).to_action(network))
    named = {"instrument_name": instrument_name, "label": str(label)}
    return Call("private/cancel", named | _signed_params(command))


def cancel_all_call(network: Network, signer: Signer, instrument_name: str | None) -> Call:
    signed = _signed_params(signer.sign(network, CancelAll(instrument_name).to_action(network)))
    if instrument_name is None:
        return Call("private/cancel_all", signed)
    return Call("private/cancel_all_by_instrument", {"instrument_name": instrument_name} | signed)


def withdraw_call(network: Network, signer: Signer, amount_usdc: Exact) -> Call:
    amount_text = exact_text(amount_usdc)
    command = signer.sign(network, Action(WITHDRAW, size_lots=parse_quote(amount_text)))
    return Call("private/withdraw", {"amount": amount_text, "currency": "USDC"} | _signed_params(command))


def edit_call(network: Network, signer: Signer, order_id: str, amount_base: Exact, price_usd: Exact | None) -> Call:
    """A new total size, and a new price unless it is None."""
    instrument_name, _, digits = order_id.rpartition("-")
    number, market = network.market(instrument_name)
    price_ticks = 0 if price_usd is None else parse_price_ticks(exact_text(price_usd), market)
    size_lots = parse_size_lots(exact_text(amount_base), market)
    action = Action(AMEND, market=number, order_id=int(digits), price_ticks=price_ticks, size_lots=size_lots)
    params = {"order_id": order_id, "amount": exact_text(amount_base)}
    if price_usd is not None:
        params["price"] = exact_text(price_usd)
    return Call("private/edit", params | _signed_params(signer.sign(network, action)))


def cancel_all_after_call(network: Network, signer: Signer, deadline_ms: int) -> Call:
    command = signer.sign(network, Action(CANCEL_ALL_AFTER, good_till_ms=deadline_ms))
    return Call("private/x_cancel_all_after", {"x_deadline_ms": deadline_ms} | _signed_params(command))


def transfer_call(network: Network, signer: Signer, amount_usdc: Exact, to_subaccount: int) -> Call:
    amount_text = exact_text(amount_usdc)
    command = signer.sign(network, Action(TRANSFER, size_lots=parse_quote(amount_text), link=to_subaccount))
    params = {"amount": amount_text, "currency": "USDC", "destination": to_subaccount}
    return Call("private/submit_transfer_to_subaccount", params | _signed_params(command))


def batch_call(network: Network, signer: Signer, requests: Sequence[Request]) -> Call:
    """Up to 128 requests in one message with one signature."""
    if not 1 <= len(requests) <= ACTIONS_MAX:
        raise HansaError(0, f"{len(requests)} requests", f"a batch has 1 to {ACTIONS_MAX}")
    command = signer.sign(network, *(request.to_action(network) for request in requests))
    return Call("public/x_submit", {"command": "0x" + command.encode().hex()})


def _signed_params(command: Command) -> dict[str, Any]:
    return {
        "owner": "0x" + command.owner.hex(), "subaccount": command.subaccount, "nonce": command.nonce,
        "expiry_ms": command.expiry_ms, "signature": "0x" + command.signature.hex(),
    }  # fmt: skip
