"""Members whose blocks carry wrong results."""

from __future__ import annotations

from typing import TYPE_CHECKING

from consensus.messages import keccak
from testnet.sim.byzantine.behaviour import Behaviour

if TYPE_CHECKING:
    from testnet.sim.node import Node


class WrongResult(Behaviour):
    """Its blocks carry a result that execution does not give."""

    name = "wrong result"

    def on_commitment(self, node: Node, commitment: bytes) -> bytes:
        return keccak(commitment) * 10 if self.rng.random() < 0.7 else commitment
