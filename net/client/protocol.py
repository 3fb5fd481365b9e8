"""The client's half of the API without any I/O: calls to text, text to answers, commands to signed parameters."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from coincurve import PrivateKey

from consensus.messages import compute_domain
from engine.commands import (
    ALL_MARKETS,
    CANCEL,
    CANCEL_ALL,
    GOOD_TILL_CANCELLED,
    IMMEDIATE_OR_CANCEL,
    PLACE,
    POST_ONLY,
    WITHDRAW,
    Command,
    address_of,
    compute_domain_separator,
)
from engine.params import MarketParams
from engine.units import parse_price_ticks, parse_quote, parse_size_lots

TIMES_IN_FORCE = {
    "good_til_cancelled": GOOD_TILL_CANCELLED, "immediate_or_cancel": IMMEDIATE_OR_CANCEL, "post_only": POST_ONLY,
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
        return Answer(item.get("id"), item.get("result"), None if error is None else _error(error))
    return None


def is_test_request(text: str | bytes) -> bool:
    """Whether the node asks for a sign of life."""
    return '"test_request"' in (text if isinstance(text, str) else text.decode("utf-8", "replace"))


def _error(error: Mapping[str, Any]) -> HansaError:
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

    @classmethod
    def parse(cls, item: Mapping[str, Any]) -> "Network":
        chain_id = item["domain"]["chainId"]
        contract = bytes.fromhex(item["domain"]["verifyingContract"][2:])
        separator, network_id = compute_domain_separator(chain_id, contract), compute_domain(chain_id, contract)
        if item["domain_separator"] != "0x" + separator.hex() or item["network_id"] != "0x" + network_id.hex():
            raise HansaError(0, "the node's domain does not follow from its chain id and contract")
        markets = tuple(MarketParams(**entry["x_params"]) for entry in item["instruments"])
        numbers = {market.symbol: number for number, market in enumerate(markets)}
        return cls(chain_id, contract, separator, network_id, numbers, markets)

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

    def sign(self, network: Network, kind: int, **fields: Any) -> Command:
        """A command of this key's owner with a fresh nonce and expiry."""
        now_us = time.time_ns() // 1000
        command = Command.of(
            kind, owner=self.owner, subaccount=self.subaccount, nonce=self.next_nonce(now_us),
            expiry_ms=now_us // 1000 + self.expiry_s * 1000, **fields,
        )  # fmt: skip
        return command.signed(self.key, network.domain_separator)


def exact_text(value: Exact) -> str:
    """Decimal text of an exact number. A float is refused: it is hardly ever the number that was written."""
    if isinstance(value, bool | float):
        raise TypeError(f"{value!r}: pass text, int or Decimal")
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def place_call(
    network: Network, signer: Signer, side: int, instrument_name: str, amount_base: Exact, price_usd: Exact,
    time_in_force: str, label: int,
) -> Call:  # fmt: skip
    """A signed order. Raises `engine.units.UnitError` when price or amount is no multiple of its step."""
    number, market = network.market(instrument_name)
    amount_text, price_text = exact_text(amount_base), exact_text(price_usd)
    command = signer.sign(
        network, PLACE, market=number, side=side, time_in_force=TIMES_IN_FORCE[time_in_force],
        price_ticks=parse_price_ticks(price_text, market), size_lots=parse_size_lots(amount_text, market),
        client_id=label,
    )  # fmt: skip
    params: dict[str, Any] = {
        "instrument_name": instrument_name, "amount": amount_text, "price": price_text, "type": "limit",
        "label": str(label or ""),
    }  # fmt: skip
    if time_in_force == "post_only":
        params |= {"post_only": True}
    else:
        params |= {"time_in_force": time_in_force}
    return Call("private/sell" if side else "private/buy", params | _signed_params(command))


def cancel_call(network: Network, signer: Signer, order_id: str) -> Call:
    instrument_name, _, digits = order_id.rpartition("-")
    number, _ = network.market(instrument_name)
    command = signer.sign(network, CANCEL, market=number, order_id=int(digits))
    return Call("private/cancel", {"order_id": order_id} | _signed_params(command))


def cancel_label_call(network: Network, signer: Signer, instrument_name: str, label: int) -> Call:
    number, _ = network.market(instrument_name)
    command = signer.sign(network, CANCEL, market=number, client_id=label)
    named = {"instrument_name": instrument_name, "label": str(label)}
    return Call("private/cancel", named | _signed_params(command))


def cancel_all_call(network: Network, signer: Signer, instrument_name: str | None) -> Call:
    if instrument_name is None:
        return Call("private/cancel_all", _signed_params(signer.sign(network, CANCEL_ALL, market=ALL_MARKETS)))
    number, _ = network.market(instrument_name)
    command = signer.sign(network, CANCEL_ALL, market=number)
    named = {"instrument_name": instrument_name}
    return Call("private/cancel_all_by_instrument", named | _signed_params(command))


def withdraw_call(network: Network, signer: Signer, amount_usdc: Exact) -> Call:
    amount_text = exact_text(amount_usdc)
    command = signer.sign(network, WITHDRAW, size_lots=parse_quote(amount_text))
    return Call("private/withdraw", {"amount": amount_text, "currency": "USDC"} | _signed_params(command))


def _signed_params(command: Command) -> dict[str, Any]:
    return {
        "owner": "0x" + command.owner.hex(), "subaccount": command.subaccount, "nonce": command.nonce,
        "expiry_ms": command.expiry_ms, "signature": "0x" + command.signature.hex(),
    }  # fmt: skip
