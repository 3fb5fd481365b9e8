"""Leaders whose blocks leave out, invent or reorder what they carry, or lie about the time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from consensus.messages import NOTARIZE, Block, Proposal, encode_message
from engine.payload import Batch, Payload
from testnet.sim.byzantine.behaviour import Behaviour, Out
from testnet.sim.keys import decode
from validator.batches import make_checked, sort_refs

if TYPE_CHECKING:
    from testnet.sim.node import Node

LEAP_MS = 3_600_000


class Censor(Behaviour):
    """Never names a batch of its victim, the member after it."""

    name = "censor"

    def on_payload(self, node: Node, payload: Payload) -> Payload:
        victim = (node.index + 1) % node.config.member_count
        return replace(payload, batch_refs=tuple(ref for ref in payload.batch_refs if ref[0] != victim))


class SelfServer(Behaviour):
    """Names its own batches only."""

    name = "self server"

    def on_payload(self, node: Node, payload: Payload) -> Payload:
        return replace(payload, batch_refs=tuple(ref for ref in payload.batch_refs if ref[0] == node.index))


class BadOrder(Behaviour):
    """Names batches in the order that it likes."""

    name = "bad order"

    def on_payload(self, node: Node, payload: Payload) -> Payload:
        return replace(payload, batch_refs=payload.batch_refs[::-1])


class InboxForger(Behaviour):
    """Pays in what nobody paid, or more than somebody paid."""

    name = "inbox forger"

    def on_payload(self, node: Node, payload: Payload) -> Payload:
        entries = payload.inbox_entries
        if entries:
            return replace(payload, inbox_entries=(replace(entries[0], amount=entries[0].amount * 3), *entries[1:]))
        held = node.inbox.slice(0, node.inbox.count)
        if not held:
            return payload
        made_up = replace(held[-1], index=held[-1].index + 1, amount=10**12)
        return replace(payload, inbox_entries=(made_up,))


class InboxCensor(Behaviour):
    """Takes no deposits in."""

    name = "inbox censor"

    def on_payload(self, node: Node, payload: Payload) -> Payload:
        return replace(payload, inbox_entries=())


class BatchForger(Behaviour):
    """Names a batch that it made itself in the name of another author, and hands it out to who asks."""

    name = "batch forger"

    def on_payload(self, node: Node, payload: Payload) -> Payload:
        victim = (node.index + 1) % node.config.member_count
        mine = node.pool.pending_of(node.index)
        taken = [ref[1] for ref in payload.batch_refs if ref[0] == victim]
        if not mine:
            return payload
        sequence = max([*taken, node.final_sequences()[victim], mine[0].batch.sequence]) + 1
        forged = make_checked(Batch(victim, sequence, mine[0].batch.commands, bytes(64)), node.world.exchange.separator)
        node.pool.add_named(forged)
        node.store.put_batch(forged.batch_hash, victim, sequence, forged.batch.encode())
        refs = (*payload.batch_refs, (victim, sequence, forged.batch_hash))
        return replace(payload, batch_refs=sort_refs(refs))


class BatchHider(Behaviour):
    """Seals batches that only few of the others get; who wants to vote for them has to ask."""

    name = "batch hider"

    def on_batch(self, node: Node, batch: Batch) -> list[tuple[int | None, Batch]]:
        node.world.fired[f"behaviour: {self.name}"] += 1
        others = [member for member in range(node.config.member_count) if member != node.index]
        return [(self.rng.choice(others), batch)]


class BatchTwister(Behaviour):
    """Seals two batches under one sequence number, each for a part of the committee."""

    name = "batch twister"

    def on_batch(self, node: Node, batch: Batch) -> list[tuple[int | None, Batch]]:
        node.world.fired[f"behaviour: {self.name}"] += 1
        signer = node.world.exchange.signers[node.index]
        other = signer.sign_batch(node.index, batch.sequence, batch.commands * 2)
        others = [member for member in range(node.config.member_count) if member != node.index]
        return [(member, self.rng.choice((batch, other))) for member in others]


class ClockLiar(Behaviour):
    """Its blocks come from the future."""

    name = "clock liar"

    def on_send(self, node: Node, peer: int | None, data: bytes) -> Out:
        message = decode(data)
        if not isinstance(message, Proposal) or message.block.header.proposer != node.index:
            return [(peer, data)]
        header, payload = message.block.header, message.block.payload
        timestamp_ms = header.timestamp_ms + LEAP_MS
        commitment = node.execute(header.parent_hash, header.height, timestamp_ms, payload)
        if commitment is None:
            return [(peer, data)]
        moved = header._replace(timestamp_ms=timestamp_ms, commitment=commitment)
        vote = node.world.keys.sign(node.index, NOTARIZE, header.epoch, header.view, moved.hash())
        node.world.headers[moved.hash()] = moved
        lying = Proposal(Block(moved, payload), vote, message.parent_certificate, message.nullifications)
        return [(peer, encode_message(lying))]
