"""Members that say two things: twins, equivocators, voters for everything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from consensus.messages import (
    FINALIZE,
    NOTARIZE,
    NULLIFY,
    ZERO_HASH,
    Block,
    Proposal,
    encode_message,
)
from testnet.sim.byzantine.behaviour import Behaviour, Out
from testnet.sim.keys import decode

if TYPE_CHECKING:
    from testnet.sim.node import Node


class Twin(Behaviour):
    """The same key on two machines; the world runs the second one."""

    name = "twin"
    machines = 2


class Triplet(Behaviour):
    """The same key on three machines."""

    name = "triplet"
    machines = 3


class Equivocator(Behaviour):
    """Two proposals in one view, each to a part of the committee."""

    name = "equivocator"

    def on_send(self, node: Node, peer: int | None, data: bytes) -> Out:
        message = decode(data)
        if not isinstance(message, Proposal) or message.block.header.proposer != node.index:
            return [(peer, data)]
        other = encode_message(make_rival(node, message))
        targets = [member for member in range(node.config.member_count) if member != node.index]
        return [(member, self.rng.choice((data, other))) for member in targets]


class VoteAll(Behaviour):
    """All three votes for every proposal."""

    name = "vote all"

    def on_receive(self, node: Node, peer: int, data: bytes) -> Out:
        message = decode(data)
        if not isinstance(message, Proposal):
            return []
        header = message.block.header
        block_hash = message.block.hash()
        votes = [
            node.world.keys.sign(
                node.index, kind, header.epoch, header.view, block_hash if kind != NULLIFY else ZERO_HASH
            )
            for kind in (NOTARIZE, NULLIFY, FINALIZE)
        ]
        self.rng.shuffle(votes)
        return [
            (self.rng.choice((None, self.rng.randrange(node.config.member_count))), encode_message(vote))
            for vote in votes
        ]


def make_rival(node: Node, proposal: Proposal) -> Proposal:
    """Another valid block in the same place, signed too."""
    header, payload = proposal.block.header, proposal.block.payload
    timestamp_ms = header.timestamp_ms + 1
    commitment = node.execute(header.parent_hash, header.height, timestamp_ms, payload)
    if commitment is None:
        return proposal
    other = header._replace(timestamp_ms=timestamp_ms, commitment=commitment)
    vote = node.world.keys.sign(node.index, NOTARIZE, header.epoch, header.view, other.hash())
    node.world.headers[other.hash()] = other
    return Proposal(Block(other, payload), vote, proposal.parent_certificate, proposal.nullifications)
