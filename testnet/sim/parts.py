"""The node's real parts with a window for the checkers, and the twisted ones of byzantine nodes and planted bugs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from consensus.core import Core
from consensus.effects import Effect, Sign
from consensus.events import Built, Event
from consensus.messages import NOTARIZE, Block, Evidence, Header, Message, Proposal, Vote, vote_digest
from engine.payload import Payload
from engine.state import EngineState
from testnet.sim.checkers.signing import check_signing
from testnet.sim.disk import Disk
from testnet.sim.keys import decode
from validator.agreement import Agreement
from validator.disk import Durable
from validator.executor import Executor
from validator.journal import Journal
from validator.proposals import Built as BuiltPayload
from validator.proposals import Proposals
from validator.signer import Signer

if TYPE_CHECKING:
    from testnet.sim.node import Node


class WatchedJournal(Journal):
    """The real one; what an honest node believes is shown to the checkers."""

    def __init__(self, node: Node, folder: Path, files: Disk) -> None:
        self._node = node
        super().__init__(folder, files)

    def append(self, record: bytes) -> None:
        super().append(record)
        if self._node.is_honest and record[:2] == b"\x82\x02":
            self._node.world.note_certificate(record)


class WatchedExecutor(Executor):
    """The real one; every result is shown to the checkers."""

    def __init__(self, node: Node, final_hash: bytes, state: EngineState) -> None:
        self._node = node
        super().__init__(node.world.exchange.params, node.pool, final_hash, state, node.run_block)

    def execute(self, block: Block) -> bytes | None:
        commitment = super().execute(block)
        if commitment is not None and self._node.is_honest:
            self._node.world.checkers.on_executed(self._node.name, block.hash(), commitment)
        return commitment


class Unguarded(Signer):
    """Signs anything."""

    def sign(self, epoch: int, kind: int, view: int, header_hash: bytes) -> Vote | str:
        if self._index is None:
            return "no seat in that epoch"
        digest = vote_digest(self._domain, kind, epoch, view, header_hash)
        return Vote(kind, epoch, view, header_hash, self._index, self._scheme.sign(self._secret, digest))


class HastyAgreement(Agreement):
    """Speaks before the disk has answered: a planted bug of the driver."""

    def write_out(self) -> list[Durable]:
        super().write_out()
        return []


class ShamelessAgreement(Agreement):
    """Goes on although it holds evidence against its own key, as liars do."""

    def _keep_evidence(self, evidence: Evidence) -> None:
        before = self._stop_reason
        super()._keep_evidence(evidence)
        self._stop_reason = before


class WatchedCore(Core):
    """An honest core: whatever it asks to sign is looked at."""

    node: Node

    def handle(self, now_ms: int, event: Event) -> list[Effect]:
        was_syncing = self.is_syncing
        return self._watch(was_syncing, super().handle(now_ms, event))

    def receive(self, now_ms: int, peer: int, message: Message) -> list[Effect]:
        was_syncing = self.is_syncing
        return self._watch(was_syncing, super().receive(now_ms, peer, message))

    def _watch(self, was_syncing: bool, effects: list[Effect]) -> list[Effect]:
        for effect in effects:
            if isinstance(effect, Sign):
                check_signing(self.node.name, was_syncing and self.is_syncing, self._count_missing(effect))
        return effects

    def _count_missing(self, request: Sign) -> int:
        """Batches of the block to be notarized that are nowhere on this machine."""
        block = self.block(request.header_hash) if request.kind == NOTARIZE else None
        if block is None:
            return 0
        named = [ref[2] for ref in Payload.decode(block.payload).batch_refs]
        node = self.node
        return sum(node.pool.get(known) is None and node.store.batch(known) is None for known in named)


class TwistedCore(Core):
    """A byzantine leader's block may claim another result."""

    node: Node

    def handle(self, now_ms: int, event: Event) -> list[Effect]:
        behaviour = self.node.behaviour
        if isinstance(event, Built) and behaviour is not None:
            commitment = behaviour.on_commitment(self.node, event.commitment)
            if commitment != event.commitment:
                self.node.world.fired[f"behaviour: {behaviour.name}"] += 1
                event = Built(event.view, event.parent_hash, event.payload, event.timestamp_ms, commitment)
        return super().handle(now_ms, event)


class TwistedProposals(Proposals):
    """A byzantine leader's payload may be another."""

    node: Node

    def build(self, epoch: int, parent_hash: bytes, parent: Header, now_ms: int) -> BuiltPayload | None:
        built = super().build(epoch, parent_hash, parent, now_ms)
        behaviour = self.node.behaviour
        if built is None or behaviour is None:
            return built
        payload = Payload.decode(built.payload)
        twisted = behaviour.on_payload(self.node, payload)
        if twisted == payload:
            return built
        executed = self.node.executor.run(parent_hash, epoch, parent.height + 1, built.timestamp_ms, twisted)
        if executed is None:
            return built
        self.node.world.fired[f"behaviour: {behaviour.name}"] += 1
        return BuiltPayload(twisted.encode(), built.timestamp_ms, executed)


def split_records(writes: list[bytes]) -> list[bytes]:
    """The bodies of journal records, each after its 17 bytes of framing."""
    bodies = []
    for data in writes:
        at = 0
        while at + 17 <= len(data):
            end = at + 17 + int.from_bytes(data[at : at + 4], "big")
            bodies.append(data[at + 17 : end])
            at = end
    return bodies


def find_votes(records: list[bytes]) -> list[Vote]:
    """The votes that these records hold, alone or in a proposal."""
    votes: list[Vote] = []
    for record in records:
        if record[:2] in (b"\x82\x01", b"\x82\x03"):
            message = decode(record)
            if isinstance(message, Vote | Proposal):
                votes.append(message if isinstance(message, Vote) else message.vote)
    return votes
