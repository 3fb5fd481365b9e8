"""Members that make up certificates and signatures."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from consensus.messages import (
    FINALIZE,
    NOTARIZE,
    NULLIFY,
    ZERO_HASH,
    Certificate,
    Proposal,
    Vote,
    encode_message,
    keccak,
    make_bitmap,
    quorum,
)
from testnet.sim.byzantine.ancestry import skip_parent
from testnet.sim.byzantine.behaviour import Behaviour, Out
from testnet.sim.keys import decode

if TYPE_CHECKING:
    from testnet.sim.node import Node


class Forger(Behaviour):
    """Certificates that are none, and votes that are not signed."""

    name = "forger"

    def on_receive(self, node: Node, peer: int, data: bytes) -> Out:
        if self.rng.random() > 0.15:
            return []
        message = decode(data)
        if not isinstance(message, Vote):
            return []
        forged = self.forge(node, message)
        return [(None, encode_message(forged))]

    def forge(self, node: Node, vote: Vote) -> Certificate | Vote:
        members = node.config.member_count
        kind = self.rng.choice((NOTARIZE, NULLIFY, FINALIZE))
        block_hash = ZERO_HASH if kind == NULLIFY else vote.header_hash
        if kind != NULLIFY and block_hash == ZERO_HASH:
            block_hash = keccak(b"nothing")
        own = node.world.keys.sign(node.index, kind, vote.epoch, vote.view, block_hash)
        few = make_bitmap([node.index], members)
        crowd = make_bitmap(list(range(quorum(members))), members)
        match self.rng.randrange(6):
            case 0 | 1:
                return Certificate(kind, vote.epoch, vote.view, block_hash, few, own.signature)  # short, signed rightly
            case 2:
                return Certificate(kind, vote.epoch, vote.view, block_hash, crowd, own.signature)  # wrong aggregate
            case 3:
                return Certificate(kind, vote.epoch + 1, vote.view, block_hash, few + b"\xff", own.signature)
            case 4:
                return Vote(vote.kind, vote.epoch, vote.view, vote.header_hash, node.index, bytes(96))
            case _:
                other = self.rng.randrange(members)
                return Vote(vote.kind, vote.epoch, vote.view, vote.header_hash, other, bytes(96))


class Fabricator(Behaviour):
    """As a leader it skips its parent's view with nullifications that nobody signed."""

    name = "fabricator"

    def on_send(self, node: Node, peer: int | None, data: bytes) -> Out:
        message = decode(data)
        if not isinstance(message, Proposal) or message.block.header.proposer != node.index:
            return [(peer, data)]
        skipped = skip_parent(node, message)
        if skipped is message:
            return [(peer, data)]
        header = skipped.block.header
        crowd = make_bitmap(list(range(quorum(node.config.member_count))), node.config.member_count)
        nullifications = tuple(
            Certificate(NULLIFY, header.epoch, view, ZERO_HASH, crowd, skipped.vote.signature)
            for view in range(header.parent_view + 1, header.view)
        )
        return [(peer, encode_message(replace(skipped, nullifications=nullifications)))]
