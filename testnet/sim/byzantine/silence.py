"""Members that say less than they should."""

from __future__ import annotations

from typing import TYPE_CHECKING

from consensus.messages import Vote
from engine.payload import Batch
from testnet.sim.byzantine.behaviour import Behaviour, Out
from testnet.sim.keys import decode

if TYPE_CHECKING:
    from testnet.sim.node import Node


class Silent(Behaviour):
    name = "silent"

    def on_send(self, node: Node, peer: int | None, data: bytes) -> Out:
        return []


class Withholder(Behaviour):
    """Whatever it says, it says to some only."""

    name = "withholder"

    def on_send(self, node: Node, peer: int | None, data: bytes) -> Out:
        if peer is not None:
            return [(peer, data)] if self.rng.random() < 0.5 else []
        return [
            (member, data)
            for member in range(node.config.member_count)
            if member != node.index and self.rng.random() < 0.5
        ]


class Hoarder(Behaviour):
    """Keeps its votes and its batches to itself; as a leader it proposes like everybody else."""

    name = "hoarder"

    def on_send(self, node: Node, peer: int | None, data: bytes) -> Out:
        return [] if isinstance(decode(data), Vote) else [(peer, data)]

    def on_batch(self, node: Node, batch: Batch) -> list[tuple[int | None, Batch]]:
        node.world.fired[f"behaviour: {self.name}"] += 1
        return []
