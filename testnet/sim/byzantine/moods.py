"""Members that vote against everything, forget what they said, or take their time."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

from consensus.messages import NULLIFY, ZERO_HASH, Proposal, Vote, encode_message
from testnet.sim.byzantine.behaviour import Behaviour, Out
from testnet.sim.keys import decode

if TYPE_CHECKING:
    from testnet.sim.node import Node

LATE_MS = 250


class Nuller(Behaviour):
    """Gives every view up, and votes for nothing."""

    name = "nuller"

    def on_send(self, node: Node, peer: int | None, data: bytes) -> Out:
        message = decode(data)
        return [] if isinstance(message, Vote) and message.kind != NULLIFY else [(peer, data)]

    def on_receive(self, node: Node, peer: int, data: bytes) -> Out:
        message = decode(data)
        if not isinstance(message, Proposal):
            return []
        header = message.block.header
        vote = node.world.keys.sign(node.index, NULLIFY, header.epoch, header.view, ZERO_HASH)
        return [(None, encode_message(vote))]


class LateLeader(Behaviour):
    """Its proposals are right, and nearly too late."""

    name = "late leader"

    def __init__(self, rng: random.Random) -> None:
        super().__init__(rng)
        self._held: list[tuple[int, int | None, bytes]] = []

    def on_send(self, node: Node, peer: int | None, data: bytes) -> Out:
        message = decode(data)
        if not isinstance(message, Proposal) or message.block.header.proposer != node.index:
            return [(peer, data)]
        self._held.append((node.world.now_ms + LATE_MS, peer, data))
        return []

    def on_receive(self, node: Node, peer: int, data: bytes) -> Out:
        due = [(target, held) for at_ms, target, held in self._held if at_ms <= node.world.now_ms]
        self._held = [entry for entry in self._held if entry[0] > node.world.now_ms]
        return due


class Relayer(Behaviour):
    """Speaks with the same half of the others only, whoever they are."""

    name = "selective relay"

    def on_send(self, node: Node, peer: int | None, data: bytes) -> Out:
        members = node.config.member_count
        friends = [(node.index + step) % members for step in range(1, members // 2 + 1)]
        if peer is None:
            return [(friend, data) for friend in friends]
        return [(peer, data)] if peer in friends else []


class Amnesiac(Behaviour):
    """Crashes often, has no guard, and starts with an empty memory of what it said."""

    name = "amnesiac"

    def on_receive(self, node: Node, peer: int, data: bytes) -> Out:
        if node.crash_after_effects is None and self.rng.random() < 0.005:
            node.crash_after_effects, node.down_ms = self.rng.randrange(6), 60
        return []

    def on_restart(self, node: Node, records: Sequence[bytes]) -> tuple[bytes, ...]:
        node.world.fired[f"behaviour: {self.name}"] += node.crash_count > 0
        return ()
