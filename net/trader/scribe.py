"""From a Deribit request to a signed one: the node's own reading of the parameters, run on the trader's machine.

The command is made by the table that the node makes it with again (`net.gateway.writes`). So what is off tick, unknown
or not offered is refused here with the node's own number, before anything is signed, and what is signed is what the
node will read.
"""

import time
from dataclasses import dataclass, field
from typing import Any, cast

from coincurve import PrivateKey

from engine.commands import Command, address_of, command_id
from engine.params import MarketParams
from net.client.protocol import Network
from net.gateway.errors import NOT_SUPPORTED, ApiError
from net.gateway.instruments import Instruments
from net.gateway.market_data import MarketData
from net.gateway.methods import METHODS
from net.gateway.params import I64_MAX, Params
from net.gateway.writes import WRITES


@dataclass(frozen=True, slots=True)
class Signed:
    """Parameters that any node accepts, any number of times, with one effect."""

    method: str
    params: dict[str, Any]
    command_id: str
    expiry_ms: int


@dataclass(frozen=True, slots=True)
class _Markets:
    """The one part of a node's `MarketData` that the parameters of a command are read with."""

    known: tuple[MarketParams, ...]

    def markets(self) -> tuple[MarketParams, ...]:
        return self.known


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

    def sign(self, network: Network, method: str, named: dict[str, Any]) -> Signed:
        """Raises `ApiError` with the node's number for what it would refuse by the parameters alone."""
        known = {param.name for param in METHODS[method].params}
        for name in named:
            if name not in known:
                raise ApiError(NOT_SUPPORTED, name)
        params = Params(named)
        actions = WRITES[method].build(params, Instruments(cast(MarketData, _Markets(network.markets))))
        now_us = time.time_ns() // 1000
        self._last_nonce = max(self._last_nonce + 1, now_us)
        latest_ms = now_us // 1000 + self.expiry_s * 1000
        expiry_ms = min(latest_ms, params.integer("valid_until", 0, I64_MAX, latest_ms))
        command = Command(self.owner, self._last_nonce, expiry_ms, actions, self.subaccount)
        signature = command.signed(self.key, network.domain_separator).signature
        who = {"owner": "0x" + self.owner.hex(), "subaccount": self.subaccount}
        proof = {"nonce": self._last_nonce, "expiry_ms": expiry_ms, "signature": "0x" + signature.hex()}
        digest = command_id(command, network.domain_separator)
        return Signed(method, named | who | proof, "0x" + digest.hex(), expiry_ms)
