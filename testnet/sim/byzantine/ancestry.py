"""Leaders that lie about what their block extends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from consensus.messages import NOTARIZE, Block, Certificate, Proposal, encode_message
from testnet.sim.byzantine.behaviour import Behaviour, Out
from testnet.sim.keys import decode

if TYPE_CHECKING:
    from testnet.sim.node import Node


class Skipper(Behaviour):
    """As a leader it builds on the grandparent and pretends that nothing was in between."""

    name = "skipper"

    def on_send(self, node: Node, peer: int | None, data: bytes) -> Out:
        message = decode(data)
        if not isinstance(message, Proposal) or message.block.header.proposer != node.index:
            return [(peer, data)]
        return [(peer, encode_message(skip_parent(node, message)))]


def skip_parent(node: Node, proposal: Proposal) -> Proposal:
    """The proposal moved onto its grandparent, or itself if there is none."""
    header = proposal.block.header
    core = node.core
    parent = None if core is None else core.block(header.parent_hash)
    if core is None or parent is None or parent.header.parent_view == 0:
        return proposal
    grandparent = core.block(parent.header.parent_hash)
    certificate = node.world.find_certificate(NOTARIZE, parent.header.parent_view)
    if grandparent is None or certificate is None:
        return proposal
    return rebuild(node, proposal, grandparent, certificate)


def rebuild(node: Node, proposal: Proposal, parent: Block, certificate: Certificate) -> Proposal:
    """The proposal on another parent, everything right but the ancestry."""
    header, payload = proposal.block.header, proposal.block.payload
    height, parent_hash = parent.header.height + 1, parent.hash()
    commitment = node.execute(parent_hash, height, header.timestamp_ms, payload)
    if commitment is None:
        return proposal
    moved = header._replace(
        height=height, parent_hash=parent_hash, parent_view=parent.header.view, commitment=commitment
    )
    vote = node.world.keys.sign(node.index, NOTARIZE, header.epoch, header.view, moved.hash())
    node.world.headers[moved.hash()] = moved
    return Proposal(Block(moved, payload), vote, certificate, ())
