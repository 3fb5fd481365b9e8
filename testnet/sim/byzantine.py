"""Members that break one rule each. All of them run a real core and twist what it says, so they stay plausible."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from consensus.messages import (
    FINALIZE,
    NOTARIZE,
    NULLIFY,
    ZERO_HASH,
    Block,
    Certificate,
    Proposal,
    Vote,
    encode_message,
    keccak,
    make_bitmap,
    quorum,
)
from testnet.sim.checkers import execute
from testnet.sim.keys import decode

if TYPE_CHECKING:
    from testnet.sim.node import Node

Out = list[tuple[int | None, bytes]]


class Behaviour:
    """The base does everything right."""

    name = "honest"

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def on_send(self, node: Node, peer: int | None, data: bytes) -> Out:
        return [(peer, data)]

    def on_receive(self, node: Node, peer: int, data: bytes) -> Out:
        return []

    def on_commitment(self, node: Node, commitment: bytes) -> bytes:
        return commitment

    def on_range(self, run: list[tuple[Block, Certificate]]) -> list[tuple[Block, Certificate]]:
        return run


class Silent(Behaviour):
    name = "silent"

    def on_send(self, node: Node, peer: int | None, data: bytes) -> Out:
        return []


class Twin(Behaviour):
    """The same key on two machines; the world runs the second one."""

    name = "twin"


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


class WrongResult(Behaviour):
    """Its blocks carry a result that execution does not give."""

    name = "wrong result"

    def on_commitment(self, node: Node, commitment: bytes) -> bytes:
        return keccak(commitment) * 10 if self.rng.random() < 0.7 else commitment


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
        match self.rng.randrange(5):
            case 0 | 1:
                return Certificate(kind, vote.epoch, vote.view, block_hash, few, own.signature)  # short, signed rightly
            case 2:
                return Certificate(kind, vote.epoch, vote.view, block_hash, crowd, own.signature)  # wrong aggregate
            case 3:
                return Certificate(kind, vote.epoch + 1, vote.view, block_hash, few + b"\xff", own.signature)
            case _:
                return Vote(vote.kind, vote.epoch, vote.view, vote.header_hash, node.index, bytes(96))


class Skipper(Behaviour):
    """As a leader it builds on the grandparent and pretends that nothing was in between."""

    name = "skipper"

    def on_send(self, node: Node, peer: int | None, data: bytes) -> Out:
        message = decode(data)
        if not isinstance(message, Proposal) or message.block.header.proposer != node.index:
            return [(peer, data)]
        return [(peer, encode_message(self.skip(node, message)))]

    def skip(self, node: Node, proposal: Proposal) -> Proposal:
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


class Liar(Behaviour):
    """Answers range requests with a run that does not hold together."""

    name = "sync liar"

    def on_range(self, run: list[tuple[Block, Certificate]]) -> list[tuple[Block, Certificate]]:
        match self.rng.randrange(3):
            case 0:
                return run[1:]
            case 1:
                return run[:-1]
            case _:
                return run[::-1]


BEHAVIOURS: tuple[type[Behaviour], ...] = (
    Silent, Twin, Equivocator, Withholder, WrongResult, VoteAll, Forger, Skipper, Liar,
)  # fmt: skip


def make_rival(node: Node, proposal: Proposal) -> Proposal:
    """Another valid block in the same place, signed too."""
    header = proposal.block.header
    parent = node.world.headers[header.parent_hash]
    payload = proposal.block.payload + b"!"
    other = header._replace(
        payload_root=keccak(payload), commitment=execute(parent.commitment, header.timestamp_ms, payload)
    )
    vote = node.world.keys.sign(node.index, NOTARIZE, header.epoch, header.view, other.hash())
    node.world.headers[other.hash()] = other
    return Proposal(Block(other, payload), vote, proposal.parent_certificate, proposal.nullifications)


def rebuild(node: Node, proposal: Proposal, parent: Block, certificate: Certificate) -> Proposal:
    """The proposal on another parent, everything right but the ancestry."""
    header, payload = proposal.block.header, proposal.block.payload
    moved = header._replace(
        height=parent.header.height + 1,
        parent_hash=parent.hash(),
        parent_view=parent.header.view,
        commitment=execute(parent.header.commitment, header.timestamp_ms, payload),
    )
    vote = node.world.keys.sign(node.index, NOTARIZE, header.epoch, header.view, moved.hash())
    node.world.headers[moved.hash()] = moved
    return Proposal(Block(moved, payload), vote, certificate, ())
