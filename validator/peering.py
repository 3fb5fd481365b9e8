"""The node's side of the committee links: what each frame means, and what is asked of whom.

Batches are checked one peer's in the order they came, so that an author's sequence never overtakes itself: large ones
in a worker thread.
"""

import logging
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import trio

from engine.payload import Batch, PriceReport
from net.committee import Committee, Event, Inbound, PeerDown, PeerUp
from net.peers import Offence
from net.wire import (
    BatchFrame,
    BatchRequest,
    BlockRequest,
    Chunk,
    ChunkRequest,
    Consensus,
    Frame,
    FrameType,
    NotFound,
    PriceFrame,
    RangeRequest,
    RangeResponse,
    SnapshotOffer,
    SnapshotRequest,
    WireError,
)
from validator.batches import IN_PLACE_BYTES_MAX, check_batches
from validator.clocks import Clocks
from validator.ranges import AnswerBudget, answer_range

if TYPE_CHECKING:
    from validator.node import Node

log = logging.getLogger("hansa.peering")

BATCH_QUEUE_MAX = 256
CHECKED_TOGETHER_MAX = 8
FETCH_INTERVAL_MS = 250
RESENT_BYTES_MAX = 2 * 1024 * 1024
ASKED_MAX = 4096
STUMBLES = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
EVENTS_TOGETHER_MAX = 64


class Peering:
    """Dispatches frames and keeps requests from being repeated too soon."""

    def __init__(self, node: "Node", committee: Committee, clocks: Clocks) -> None:
        self._node = node
        self._committee = committee
        self._clocks = clocks
        self._asked_ms: dict[bytes, int] = {}
        self._answers = AnswerBudget()
        self._turn = 0
        self._batch_queues: dict[int, trio.MemorySendChannel[Batch]] = {}

    async def run(self) -> None:
        """Until cancelled."""
        async with trio.open_nursery() as nursery:
            events = self._committee.events
            async for event in events:
                self._on_event(nursery, event)
                # Whatever else is there costs no turn of the scheduler.
                with suppress(trio.WouldBlock):
                    for _ in range(EVENTS_TOGETHER_MAX):
                        self._on_event(nursery, events.receive_nowait())

    def _on_event(self, nursery: trio.Nursery, event: Event) -> None:
        match event:
            case Inbound(peer, frame):
                self._judge(nursery, peer, frame)
            case PeerUp(peer, height, _):
                log.info("peer.up peer=%d height=%d", peer, height)
                self._send_own_batches(peer)
                self._node.on_peer_up(peer, height)
            case PeerDown(peer, reason):
                log.info("peer.down peer=%d reason=%s", peer, reason)
                self._node.clock_offset.forget(peer)
                self._node.on_peer_down(peer)

    def _judge(self, nursery: trio.Nursery, peer: int, frame: Frame) -> None:
        """A frame that our own code stumbles over costs itself, not the node: whoever sent it could send it again to
        everybody. What stops a node (`Stop`, a disk that fails) is none of these errors.
        """
        try:
            if isinstance(frame, BatchFrame):
                self._queue_batch(nursery, peer, frame.batch)
            elif isinstance(frame, Consensus):
                self._node.on_consensus(peer, frame.encoded)
            else:
                self._dispatch(peer, frame)
        except STUMBLES:
            log.exception("frame.stumbled peer=%d type=%s", peer, type(frame).__name__)
            self._committee.report(peer, Offence.INVALID_MESSAGE)

    def _dispatch(self, peer: int, frame: Frame) -> None:
        node = self._node
        match frame:
            case PriceFrame(report):
                now_ms = self._clocks.wall_ms()
                if node.reports.add(report, now_ms):
                    if report.validator == peer:
                        node.clock_offset.observe(peer, report.time_ms, now_ms)
                    node.wake()
                else:
                    self._committee.report(peer, Offence.INVALID_SIGNATURE)
            case BlockRequest(block_hash):
                block = node.agreement.find_block(block_hash) or node.store.recent(block_hash)
                self.send(peer, NotFound(FrameType.BLOCK_REQUEST, block_hash) if block is None else Consensus(block))
            case BatchRequest(_, _, batch_hash):
                data = node.store.batch(batch_hash)
                missing = NotFound(FrameType.BATCH_REQUEST, batch_hash)
                self.send(peer, missing if data is None else BatchFrame(Batch.decode(data)))
            case RangeRequest():
                self._answer_range(peer, frame)
            case RangeResponse():
                node.on_range(peer, frame)
            case NotFound(FrameType.SNAPSHOT_REQUEST):
                node.on_offer(peer, None)
            case NotFound(FrameType.CHUNK_REQUEST, name):
                node.on_missing_chunk(peer, name)
            case NotFound():
                pass  # the next request goes to another peer
            case _:
                self._dispatch_snapshot(peer, frame)

    def _dispatch_snapshot(self, peer: int, frame: Frame) -> None:
        node, now_ms = self._node, self._clocks.monotonic_ms()
        match frame:
            case SnapshotRequest(above_height):
                if self._may_answer(peer):
                    offer = node.shelf.offer(node.store, above_height, now_ms)
                    self.send(peer, offer or NotFound(FrameType.SNAPSHOT_REQUEST, bytes(32)))
            case ChunkRequest(name, index) if self._committee.takes_answers(peer):
                chunk = node.shelf.chunk(name, index, now_ms)
                self.send(peer, chunk or NotFound(FrameType.CHUNK_REQUEST, name))
            case SnapshotOffer():
                node.on_offer(peer, frame)
            case Chunk():
                node.on_chunk(peer, frame)
            case _:
                pass

    def _queue_batch(self, nursery: trio.Nursery, peer: int, batch: Batch) -> None:
        """Only what can still enter a block is worth its checks; what does not fit is fetched if a block names it."""
        node, author = self._node, batch.author
        if not node.may_author(author) or batch.sequence <= node.final_sequences()[author]:
            return
        # Hashing a full batch takes a tenth of a millisecond, so it waits for the thread wherever it can.
        if (author != peer or node.pool.is_full(author)) and batch.hash() not in self._asked_ms:
            return
        if peer not in self._batch_queues:
            send, receive = trio.open_memory_channel[Batch](BATCH_QUEUE_MAX)
            self._batch_queues[peer] = send
            nursery.start_soon(self._check_batches, peer, receive)
        with suppress(trio.WouldBlock):
            self._batch_queues[peer].send_nowait(batch)

    async def _check_batches(self, peer: int, receive: trio.MemoryReceiveChannel[Batch]) -> None:
        node = self._node
        async for batch in receive:
            batches = [batch]
            with suppress(trio.WouldBlock):
                while len(batches) < CHECKED_TOGETHER_MAX:
                    batches.append(receive.receive_nowait())
            signed = [(item, node.roster.network_key(item.author)) for item in batches if not node.pool.holds(item)]
            if not signed:
                continue
            check = partial(check_batches, signed, node.domain, node.info.domain_separator)
            size_bytes = sum(len(item.commands) for item, _ in signed)
            results = check() if size_bytes <= IN_PLACE_BYTES_MAX else await trio.to_thread.run_sync(check)
            for checked in results:
                if checked is None:
                    self._committee.report(peer, Offence.INVALID_SIGNATURE)
                else:
                    node.on_batch(checked, is_named=self._asked_ms.pop(checked.batch_hash, None) is not None)
            signature_count = sum(len(checked.messages) for checked in results if checked is not None)
            await trio.sleep(self._committee.charge_signatures(peer, signature_count))

    def _answer_range(self, peer: int, request: RangeRequest) -> None:
        """Within the peer's budget; it asks another meanwhile."""
        if self._may_answer(peer):
            try:
                self.send(peer, answer_range(self._node.store, request))
            except KeyError as error:
                log.error("store.incomplete error=%s (others can answer)", error)

    def _may_answer(self, peer: int) -> bool:
        return self._committee.takes_answers(peer) and self._answers.take(peer, self._clocks.monotonic_ms())

    # out

    def send(self, peer: int, frame: Frame) -> bool:
        """False when the link is down, its queue full, or the frame over its limit."""
        try:
            return self._committee.send(peer, frame)
        except WireError as error:
            log.error("frame.oversized peer=%d error=%s", peer, error)
            return False

    def broadcast(self, frame: Frame) -> None:
        """To everybody who is linked."""
        self._committee.broadcast(frame)

    def broadcast_batch(self, batch: Batch) -> None:
        self.broadcast(BatchFrame(batch))

    def broadcast_report(self, report: PriceReport) -> None:
        self.broadcast(PriceFrame(report))

    def _send_own_batches(self, peer: int) -> None:
        """The oldest of what a peer may have missed while the link was down; the rest it fetches by name."""
        size_bytes = 0
        for checked in self._node.pool.pending_of(self._node.config.index):
            size_bytes += len(checked.batch.commands)
            if size_bytes > RESENT_BYTES_MAX:
                break
            self._committee.send(peer, BatchFrame(checked.batch))

    def request_block(self, block_hash: bytes, peers: tuple[int, ...]) -> None:
        for peer in peers:
            self._committee.send(peer, BlockRequest(block_hash))

    def request_batches(self, proposer: int | None, missing: list[tuple[int, int, bytes]]) -> None:
        """Ask the proposer first, who named the batch and so has it, then the others in turn; four times a second."""
        now_ms = self._clocks.monotonic_ms()
        if len(self._asked_ms) > ASKED_MAX:
            self._asked_ms.clear()
        for author, sequence, batch_hash in missing:
            last_ms = self._asked_ms.get(batch_hash)
            if last_ms is not None and now_ms - last_ms < FETCH_INTERVAL_MS:
                continue
            self._asked_ms[batch_hash] = now_ms
            connected = self._committee.peers()
            wanted = [peer for peer in (proposer, author) if peer in connected] if last_ms is None else []
            if not wanted and connected:
                self._turn += 1
                wanted = [connected[self._turn % len(connected)]]
            for peer in wanted[:1]:
                self._committee.send(peer, BatchRequest(author, sequence, batch_hash))

    def report(self, peer: int) -> None:
        self._committee.report(peer, Offence.INVALID_MESSAGE)
