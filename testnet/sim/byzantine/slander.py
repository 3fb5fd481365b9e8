"""Members that accuse the innocent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from consensus.messages import (
    FINALIZE,
    NULLIFY,
    ZERO_HASH,
    Certificate,
    Vote,
    encode_message,
    make_bitmap,
    make_evidence,
)
from testnet.sim.byzantine.behaviour import Behaviour, Out
from testnet.sim.keys import decode

if TYPE_CHECKING:
    from testnet.sim.node import Node


class Slanderer(Behaviour):
    """Puts a forged half beside an honest member's vote and passes both on as evidence."""

    name = "slanderer"

    def on_receive(self, node: Node, peer: int, data: bytes) -> Out:
        message = decode(data)
        if not isinstance(message, Vote) or message.kind != FINALIZE or self.rng.random() > 0.2:
            return []
        if message.signer >= node.config.member_count:
            return []  # another liar's junk accuses nobody
        bitmap = make_bitmap([message.signer], node.config.member_count)
        place = message.epoch, message.view
        said = Certificate(FINALIZE, *place, message.header_hash, bitmap, message.signature)
        never_said = Certificate(NULLIFY, *place, ZERO_HASH, bitmap, self.rng.choice((bytes(96), message.signature)))
        return [(None, encode_message(make_evidence(said, never_said)))]
