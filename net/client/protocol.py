"""The client's half of the API without any I/O: calls to text, text to answers, commands to signed parameters."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol, TypeVar

from coincurve import PrivateKey

from consensus.messages import compute_domain
from engine.commands import ACTIONS_MAX, Action, Command, address_of, compute_domain_separator
from engine.params import MarketParams

T = TypeVar("T")
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


class UnknownInstrument(HansaError):
    """No market of that name is known here; it may be younger than what is known."""


class OutcomeUnknown(HansaError):
    """No answer came in time. A signed command may or may not execute until its expiry; ask for its status."""


@dataclass(frozen=True, slots=True)
class Call:
    """One method with its parameters, to be sent after a pause."""

    method: str
    params: dict[str, Any]
    pause_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for one call: a result or an error."""

    request_id: Any
    result: Any
    error: HansaError | None


@dataclass(frozen=True, slots=True)
class Notification:
    """One message of a subscription. Numbers with a decimal point are `Decimal`, prices and amounts are text. `number`:
    by it the node goes on after a lost connection.
    """

    channel: str
    data: Any
    number: int = 0


def encode_call(request_id: int, call: Call) -> str:
    return json.dumps({"jsonrpc": "2.0", "id": request_id, "method": call.method, "params": call.params}, default=str)


def decode_message(text: str | bytes) -> Answer | Notification | None:
    """None for a message of a kind this client does not know. Raises `HansaError` on text that is no JSON-RPC."""
    try:
        item = json.loads(text, parse_float=Decimal)
    except ValueError:
        raise HansaError(0, "the node sent no JSON", str(text)[:100]) from None
    if not isinstance(item, dict):
        raise HansaError(0, "the node sent no JSON-RPC", str(text)[:100])
    if item.get("method") == "subscription":
        number = item["params"].get("x_seq")
        return Notification(item["params"]["channel"], item["params"]["data"], number if type(number) is int else 0)
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
            some = ", ".join(list(self.numbers)[:8])
            raise UnknownInstrument(0, f"unknown instrument {instrument_name}", f"such as {some}")
        number = self.numbers[instrument_name]
        return number, self.markets[number]


@dataclass(slots=True)
class Signer:
    """One key and its strictly growing nonces (microseconds). `owner` is the account that it signs for: the key's own
    address, or that of an account which made it a session key.
    """

    key: PrivateKey
    owner: bytes
    subaccount: int = 0
    expiry_s: int = 60
    _last_nonce: int = 0

    @classmethod
    def parse(cls, key_hex: str, subaccount: int, owner: str | None = None) -> "Signer":
        """Raises `HansaError` for what is no key or no address."""
        try:
            key = PrivateKey(bytes.fromhex(key_hex.removeprefix("0x")))
        except ValueError:
            raise HansaError(0, "this is no private key", "32 bytes in hexadecimal, not zero") from None
        address = address_of(key.public_key)
        return cls(key, address if owner is None else parse_address(owner), subaccount)

    @property
    def address(self) -> str:
        """The key's own address."""
        return "0x" + address_of(self.key.public_key).hex()

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
    if isinstance(value, float):
        raise TypeError(f'{value!r} is a float, which is hardly ever the number that was meant: write "{value!r}"')
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise TypeError(f"{value!r}: write decimal text, an int or a Decimal")
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def refuse_floats(value: T) -> T:
    """The parameters of a call as they are. Raises `TypeError` where a float is in them."""
    if isinstance(value, float):
        exact_text(value)  # type: ignore[arg-type]
    elif isinstance(value, Mapping):
        for item in value.values():
            refuse_floats(item)
    elif isinstance(value, list | tuple):
        for item in value:
            refuse_floats(item)
    return value


def parse_address(text: str) -> bytes:
    """Raises `HansaError` for what is no address."""
    try:
        data = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        data = b""
    if len(data) != 20:
        raise HansaError(0, f"{text!r} is no address", "0x and 40 hexadecimal digits")
    return data


class Actionable(Protocol):
    """A request of `net.client.requests`."""

    def to_action(self, network: Network) -> Action: ...


def submit_call(network: Network, signer: Signer, requests: Sequence[Actionable], wait: str) -> Call:
    """1 to 128 requests in one message with one signature. `wait`: final, received."""
    if not 1 <= len(requests) <= ACTIONS_MAX:
        raise HansaError(0, f"{len(requests)} requests", f"a batch has 1 to {ACTIONS_MAX}")
    command = signer.sign(network, *(request.to_action(network) for request in requests))
    return Call("public/x_submit", {"command": "0x" + command.encode().hex(), "x_wait": wait})
