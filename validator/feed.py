"""What this node publishes to the operator's other processes (`net/feed/`), and its answers about the past.

While nobody reads, a final block costs one question. What was final before a reader came is read by a worker thread
with a connection of its own to the store, in pieces.
"""

from contextlib import closing
from typing import TYPE_CHECKING

import cbor2
import trio

from consensus.messages import Block, Certificate, encode_message
from net.feed.facts import encode_facts
from net.feed.protocol import (
    BATCHES,
    BLOCKS,
    BODIES,
    CHECKPOINTS,
    FACTS,
    FEED_SOCKET,
    FEED_VERSION,
    HISTORY_BLOCKS_MAX,
    HISTORY_BYTES_TARGET,
    STATUS,
    BatchEvent,
    CheckpointEvent,
    CommitteeEvent,
    FactsEvent,
    FeedAnswer,
    FinalEvent,
    Hello,
    HistoryPiece,
    HistoryRequest,
    SealAnswer,
    SealRequest,
    StatusEvent,
)
from net.feed.server import FeedServer
from net.gateway.backend import Refusal
from net.identity import NetworkSigner
from validator.batches import CheckedBatch
from validator.node_facts import take_facts
from validator.roster import Roster
from validator.seals import read_succession
from validator.store import FinalBlock, Store

if TYPE_CHECKING:
    from validator.node import Node

STATUS_INTERVAL_S = 1.0


class NodeFeed:
    """Lives in the node's loop; `answer` alone runs in threads."""

    def __init__(self, node: "Node", signer: NetworkSigner) -> None:
        self._node, self._signer = node, signer
        self._server = FeedServer(node.home.path / FEED_SOCKET, self._greet, self._answer)
        self._unpublished: list[FinalEvent] = []
        self._told_epoch = 0
        self._told_health: tuple[bool, Refusal | None] | None = None
        self._told_checkpoint = 0

    async def run(self) -> None:
        """Until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._server.run)
            while True:
                await trio.sleep(STATUS_INTERVAL_S)
                self._tell_committee()
                self.tell_facts()
                if self._server.is_wanted(STATUS):
                    self._server.publish(STATUS, self._status())
                if self._server.is_wanted(CHECKPOINTS):
                    self._tell_checkpoint()

    def on_final(self, block: Block, certificate: Certificate, block_hash: bytes, batches: list[CheckedBatch]) -> None:
        """A block that `flush` publishes, once it is durable."""
        if self._server.is_wanted(BLOCKS):
            has_bodies = self._server.is_wanted(BODIES)
            bodies = tuple(checked.batch.encode() for checked in batches) if has_bodies else ()
            header = block.header
            self._unpublished.append(
                FinalEvent(
                    header.height, header.epoch, encode_message(block), encode_message(certificate),
                    certificate.header_hash == block_hash, bodies,
                )
            )  # fmt: skip

    def flush(self) -> None:
        """Everything of `on_final` has reached the disk."""
        if self._unpublished:
            self._tell_committee()
            if self._server.is_wanted(FACTS) and self._node.health()[2:] != self._told_health:
                self.tell_facts()
            for event in self._unpublished:
                self._server.publish(BLOCKS, event)
            self._unpublished.clear()

    def tell_facts(self) -> None:
        """What this node knows beside its blocks."""
        if self._server.is_wanted(FACTS):
            self._server.publish(FACTS, self._facts())

    def on_sealed(self, checked: CheckedBatch) -> None:
        """A batch of our own clients."""
        if self._server.is_wanted(BATCHES):
            self._server.publish(BATCHES, BatchEvent(checked.batch.encode()))

    def _greet(self, streams: int) -> list[FeedAnswer]:
        node = self._node
        greeting: list[FeedAnswer] = [
            Hello(FEED_VERSION, node.network.digest(), node.domain, node.config.index, node.executor.final.height)
        ]
        for epoch in range(node.network.founders().epoch, node.agreement.epoch + 1):
            seats = node.roster.seats(epoch)
            if seats is not None:
                greeting.append(CommitteeEvent(seats.encode()))
        if streams & STATUS:
            greeting.append(self._status())
        if streams & FACTS:
            greeting.append(self._facts())
        checkpoint = self._checkpoint()
        if streams & CHECKPOINTS and checkpoint is not None:
            greeting.append(checkpoint)
        return greeting

    def _tell_committee(self) -> None:
        epoch = self._node.agreement.epoch
        seats = self._node.roster.seats(epoch)
        if epoch != self._told_epoch and seats is not None:
            self._told_epoch = epoch
            self._server.publish(BLOCKS, CommitteeEvent(seats.encode()))

    def _tell_checkpoint(self) -> None:
        checkpoint = self._checkpoint()
        if checkpoint is not None and checkpoint.height > self._told_checkpoint:
            self._told_checkpoint = checkpoint.height
            self._server.publish(CHECKPOINTS, checkpoint)

    def _checkpoint(self) -> CheckpointEvent | None:
        on_chain = self._node.settling.on_chain
        if not on_chain.header_hash:
            return None
        number = self._node.config.index
        signature = self._signer.sign_checkpoint(number, on_chain.height, on_chain.header_hash, on_chain.block)
        return CheckpointEvent(number, on_chain.height, on_chain.header_hash, on_chain.block, signature)

    def _status(self) -> StatusEvent:
        status = self._node.service.status()
        return StatusEvent(
            status.height, status.epoch, status.view, status.peer_count, status.time_ms, status.is_syncing
        )

    def _facts(self) -> FactsEvent:
        self._told_health = self._node.health()[2:]
        return FactsEvent(encode_facts(take_facts(self._node), self._node.service.counters()))

    # in worker threads

    def _answer(self, request: HistoryRequest | SealRequest) -> FeedAnswer:
        with closing(Store(self._node.home.data / "blocks.sqlite", is_read_only=True)) as store:
            if isinstance(request, HistoryRequest):
                return HistoryPiece(request.token, read_history(store, request))
            return read_seal(store, self._node.roster, request)


def read_seal(store: Store, roster: Roster, request: SealRequest) -> SealAnswer:
    """The committee of an epoch and what proves it: nothing for the first, the end of the epoch before for others."""
    found, seats = read_succession(store, roster, request.epoch), roster.seats(request.epoch)
    if found is None or seats is None:
        return SealAnswer(request.token, b"", (), b"")
    headers = tuple(header.encode() for header in found.headers)
    certificate = b"" if found.certificate is None else encode_message(found.certificate)
    return SealAnswer(request.token, seats.encode(), headers, certificate)


def read_history(store: Store, request: HistoryRequest) -> tuple[FinalEvent, ...]:
    """Consecutive final blocks from exactly the height asked for, as many as fit into one answer."""
    events: list[FinalEvent] = []
    size_bytes = 0
    for final in store.finals(request.from_height, min(request.limit, HISTORY_BLOCKS_MAX)):
        if final.block.header.height != request.from_height + len(events):
            break  # a node that started from a snapshot lacks what lies below it
        event = _make_event(store, final, request.has_bodies)
        size_bytes += len(event.block) + sum(map(len, event.bodies))
        if events and size_bytes > HISTORY_BYTES_TARGET:
            break
        events.append(event)
    return tuple(events)


def _make_event(store: Store, final: FinalBlock, has_bodies: bool) -> FinalEvent:
    header = final.block.header
    bodies: tuple[bytes, ...] = ()
    if has_bodies and final.block.payload:
        # The references are the payload's first part; nothing else of it is looked at.
        hashes = [batch_hash for _, _, batch_hash in cbor2.loads(final.block.payload)[0]]
        found = [store.batch(batch_hash) for batch_hash in hashes]
        bodies = tuple(data for data in found if data is not None)
    return FinalEvent(
        header.height, header.epoch, encode_message(final.block), encode_message(final.certificate), final.is_direct,
        bodies,
    )  # fmt: skip
