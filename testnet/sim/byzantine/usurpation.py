"""Members that lead when it is not their turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from consensus.leaders import get_leader
from consensus.messages import FINALIZE, NOTARIZE, Certificate, Proposal, encode_message
from testnet.sim.byzantine.behaviour import Behaviour, Out
from testnet.sim.keys import decode

if TYPE_CHECKING:
    from testnet.sim.node import Node


class Usurper(Behaviour):
    """Copies the rightful leader's block under its own name, with its own vote, and is faster with some."""

    name = "usurper"

    def on_receive(self, node: Node, peer: int, data: bytes) -> Out:
        message = decode(data)
        if not isinstance(message, Proposal):
            return []
        block = message.block
        rightful = get_leader(node.world.leaders, block.header.view)
        if block.header.proposer != rightful or rightful == node.index:
            return []  # two usurpers that copied each other would never end
        moved = type(block)(block.header._replace(proposer=node.index), block.payload)
        vote = node.world.keys.sign(node.index, NOTARIZE, moved.header.epoch, moved.header.view, moved.hash())
        node.world.headers[moved.hash()] = moved.header
        usurped = Proposal(moved, vote, message.parent_certificate, message.nullifications)
        return [(None, encode_message(usurped))]


class Retagger(Behaviour):
    """Turns a quorum's notarization into a finalization: only the domain of the signed digest tells them apart."""

    name = "retagger"

    def on_receive(self, node: Node, peer: int, data: bytes) -> Out:
        message = decode(data)
        if not isinstance(message, Certificate) or message.kind != NOTARIZE:
            return []
        tag = (FINALIZE, message.epoch, message.view, message.header_hash)
        return [(None, encode_message(Certificate(*tag, message.bitmap, message.signature)))]
