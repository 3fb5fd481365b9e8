"""What each frame means to a simulated node, and what it asks of others: the counterpart of the real node's peering."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from consensus.messages import Block, DecodeError, encode_message
from engine.payload import Batch, PriceReport
from testnet.sim.keys import decode
from testnet.sim.repair import make_answer
from validator.ranges import AnswerBudget

if TYPE_CHECKING:
    from testnet.sim.node import Node

FETCH_INTERVAL_MS = 250


class Traffic:
    """Of one incarnation of a node."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._asked_ms: dict[bytes, int] = {}
        self._answers = AnswerBudget()
        self._turn = node.index

    def on_frame(self, peer: int, what: str, data: Any) -> None:
        node = self._node
        match what:
            case "consensus":
                self._on_consensus(peer, data)
            case "report":
                if node.reports.add(data, node.clocks.wall_ms()):
                    node.wake()
            case "batch":
                self._on_batch(peer, data)
            case "block request":
                block = node.agreement.find_block(data) or node.store.recent(data)
                if block is not None:
                    node.send_frame(peer, "consensus", encode_message(block))
            case "batch request":
                held = node.store.batch(data)
                if held is not None:
                    node.send_frame(peer, "batch", Batch.decode(held))
            case "range request":
                if self._answers.take(peer, node.clocks.monotonic_ms()):
                    node.send_frame(peer, "range", make_answer(node, data))
            case "range":
                node.repair.on_response(peer, data)
            case "snapshot":
                node.repair.on_snapshot(peer, data)
            case "hello":
                self._on_hello(peer, data)

    def _on_consensus(self, peer: int, data: bytes) -> None:
        node = self._node
        if node.behaviour is not None and is_message(data):
            for target, extra in node.behaviour.on_receive(node, peer, data):
                node.world.fired[f"behaviour: {node.behaviour.name}"] += 1
                node.world.transmit(node, target, "consensus", extra)
        node.agreement.receive(peer, data)
        node.wake()

    def _on_hello(self, peer: int, height: int) -> None:
        """A link is up: what the other side may have missed goes out again."""
        node = self._node
        for checked in node.pool.pending_of(node.index):
            node.send_frame(peer, "batch", checked.batch)
        node.agreement.on_link(peer)
        node.repair.on_peer(peer, height)
        node.wake()

    def _on_batch(self, peer: int, batch: Batch) -> None:
        """Only what can still enter a block is worth its checks; what does not fit is fetched if a block names it."""
        node, author = self._node, batch.author
        if author >= node.world.plan.member_count or batch.sequence <= node.final_sequences()[author]:
            return
        batch_hash = batch.hash()
        if batch_hash not in self._asked_ms and (author != peer or node.pool.is_full(author)):
            return
        if node.pool.get(batch_hash) is not None:
            return
        checked = node.world.shared.check_batch(batch)
        if checked is not None:
            node.on_batch(checked, is_named=self._asked_ms.pop(batch_hash, None) is not None)

    def request_block(self, block_hash: bytes, peers: tuple[int, ...]) -> None:
        self._node.world.fired["repair: block fetch"] += 1
        for peer in peers:
            self._node.send_frame(peer, "block request", block_hash)

    def request_batches(self, block: Block, missing: list[tuple[int, int, bytes]]) -> None:
        """The proposer first, then the author, then the others in turn; four times a second."""
        node = self._node
        now_ms = node.clocks.monotonic_ms()
        for author, _, batch_hash in missing:
            last_ms = self._asked_ms.get(batch_hash)
            if last_ms is not None and now_ms - last_ms < FETCH_INTERVAL_MS:
                continue
            self._asked_ms[batch_hash] = now_ms
            self._node.world.fired["repair: batch fetch"] += 1
            wanted = [peer for peer in (block.header.proposer, author) if peer != node.index]
            if last_ms is not None or not wanted:
                self._turn = (self._turn + 1) % node.world.plan.member_count
                wanted = [self._turn]
            if wanted[0] != node.index:
                node.send_frame(wanted[0], "batch request", batch_hash)

    def broadcast_report(self, report: PriceReport) -> None:
        self._node.send_frame(None, "report", report)


def is_message(data: bytes) -> bool:
    """Behaviours build on what others say, not on their rubbish."""
    try:
        decode(data)
    except DecodeError:
        return False
    return True
