"""From a Deribit request to a signed one: the node's own reading of the parameters, run on the trader's machine.

The method's handler of `net.gateway` makes the command exactly as the node will make it again from the same parameters.
So what is off tick, unknown or not offered is refused here with the node's own number, before anything is signed, and
what is signed is what the node will read.
"""

import time
from dataclasses import dataclass, field
from typing import Any, cast

from coincurve import PrivateKey

from engine.commands import Command, address_of, command_id, compute_action_ids
from engine.params import MarketParams
from net.client.protocol import Network
from net.gateway.api import Api, Call
from net.gateway.backend import Backend, NetworkInfo, Ticket
from net.gateway.errors import INTERNAL, ApiError
from net.gateway.limits import Limits
from net.gateway.methods import METHODS
from net.gateway.wire import Request, now_us

_UNSIGNED = "0x" + "00" * 65


@dataclass(frozen=True, slots=True)
class Signed:
    """Parameters that any node accepts, any number of times, with one effect."""

    method: str
    params: dict[str, Any]
    command_id: str
    first_action_id: str
    expiry_ms: int


@dataclass(frozen=True, slots=True)
class _Markets:
    """The part of `MarketData` that parameters are read with."""

    known: tuple[MarketParams, ...]

    def markets(self) -> tuple[MarketParams, ...]:
        return self.known


@dataclass(slots=True)
class _Pen:
    """Stands where a node has its backend, and takes the command that a handler would submit there."""

    domain: NetworkInfo
    market_data: "_Markets"
    command: Command | None = None

    def submit(self, command: Command) -> Ticket | None:
        self.command = command
        return None

    def __getattr__(self, name: str) -> Any:
        raise ApiError(INTERNAL, hint=f"a signed method looked at {name}, which only a node has")


@dataclass(slots=True)
class Scribe:
    """One key that signs for one account: its owner's key, or a session key of the account."""

    key: PrivateKey
    owner: bytes
    subaccount: int = 0
    expiry_s: int = 60
    _last_nonce: int = 0
    signer: bytes = field(init=False)

    def __post_init__(self) -> None:
        self.signer = address_of(self.key.public_key)

    async def sign(self, network: Network, method: str, params: dict[str, Any]) -> Signed:
        """Raises `ApiError` with the node's number for what it would refuse by the parameters alone."""
        now_ms = time.time_ns() // 1_000_000
        self._last_nonce = max(self._last_nonce + 1, now_us())
        expiry_ms = now_ms + self.expiry_s * 1000
        named = params | {
            "owner": "0x" + self.owner.hex(), "subaccount": self.subaccount, "nonce": self._last_nonce,
            "expiry_ms": expiry_ms, "signature": _UNSIGNED,
        }  # fmt: skip
        command = await self._read(network, method, named)
        signed = command.signed(self.key, network.domain_separator)
        name = command_id(signed, network.domain_separator)
        first = compute_action_ids(name, len(signed.actions))[0]
        named["signature"] = "0x" + signed.signature.hex()
        return Signed(method, named, "0x" + name.hex(), "0x" + first.hex(), expiry_ms)

    async def _read(self, network: Network, method: str, params: dict[str, Any]) -> Command:
        pen = _Pen(_as_info(network), _Markets(network.markets))
        call = Call(Api(cast(Backend, pen), Limits(), METHODS), Request(None, method, params), now_us())
        await METHODS[method].handler(call)
        if pen.command is None:
            raise ApiError(INTERNAL, hint=f"{method} has signed parameters and submits nothing")
        return pen.command


def _as_info(network: Network) -> NetworkInfo:
    return NetworkInfo(network.chain_id, network.contract, network.network_id, network.node, bytes(20), network.markets)
