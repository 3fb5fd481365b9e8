"""Members that send rubbish, too much, or what was said long ago."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from consensus.messages import FINALIZE, NOTARIZE, NULLIFY, ZERO_HASH, Certificate, Vote, encode_message, keccak, quorum
from testnet.sim.byzantine.behaviour import Behaviour, Out
from testnet.sim.keys import decode

if TYPE_CHECKING:
    from testnet.sim.node import Node

REMEMBERED = 200
BURST = 60


class Junk(Behaviour):
    """Random bytes, and honest messages with a few bits changed."""

    name = "junk"

    def on_receive(self, node: Node, peer: int, data: bytes) -> Out:
        if self.rng.random() > 0.1:
            return []
        if self.rng.random() < 0.3:
            return [(None, self.rng.randbytes(self.rng.randrange(200)))]
        twisted = bytearray(data)
        for _ in range(self.rng.randint(1, 3)):
            twisted[self.rng.randrange(len(twisted))] ^= 1 << self.rng.randrange(8)
        length = self.rng.randint(1, len(twisted)) if self.rng.random() < 0.2 else len(twisted)
        return [(None, bytes(twisted[:length]))]


class Flooder(Behaviour):
    """As many votes as it can sign, for views near and far."""

    name = "flooder"

    def on_receive(self, node: Node, peer: int, data: bytes) -> Out:
        core = node.core
        if core is None or self.rng.random() > 0.01:
            return []
        start, step = core.view, self.rng.choice((1, 1, 50, 100_000))
        views = [start + turn * step for turn in range(BURST)]
        keys, epoch = node.world.keys, node.config.epoch
        return [
            (None, encode_message(keys.sign(node.index, NOTARIZE, epoch, view, keccak(view.to_bytes(8, "big")))))
            for view in views
        ]


class Replayer(Behaviour):
    """Repeats what it heard long ago, and what everybody once signed in another epoch."""

    name = "replayer"

    def __init__(self, rng: random.Random) -> None:
        super().__init__(rng)
        self._heard: list[bytes] = []

    def on_receive(self, node: Node, peer: int, data: bytes) -> Out:
        self._heard = [*self._heard, data][-REMEMBERED:]
        draw = self.rng.random()
        if draw < 0.05:
            return [(None, self.rng.choice(self._heard))]
        message = decode(data)
        if draw < 0.15 and isinstance(message, Vote):
            return [(None, encode_message(self.recall(node, message)))]
        return []

    def recall(self, node: Node, vote: Vote) -> Certificate:
        """A genuine certificate for this view, of the epoch before."""
        kind = self.rng.choice((NULLIFY, FINALIZE))
        block_hash = ZERO_HASH if kind == NULLIFY else keccak(b"long ago")
        members = range(quorum(node.config.member_count))
        votes = [node.world.keys.sign(member, kind, vote.epoch + 1, vote.view, block_hash) for member in members]
        certificate, _ = node.world.keys.aggregate(votes)
        assert certificate is not None
        return certificate
