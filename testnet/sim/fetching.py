"""The host of snapshots on a simulated node: feeds the real `StateSync`, and answers those who fetch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from consensus.messages import keccak
from engine.snapshot import decode_snapshot, encode_snapshot
from net.wire import Chunk, ChunkRequest, SnapshotOffer, SnapshotRequest
from validator.catchup import Blamed, Wake
from validator.snapshots import is_state_of
from validator.statesync import Anchor, AskSnapshot, Drop, KeepChunk, Load, StateSync, StateSyncEffect

if TYPE_CHECKING:
    from testnet.sim.node import Node

CHUNK_BYTES = 16 * 1024  # so that a small exchange's state is several
NO_ANCHOR = Anchor(0, b"")
LIAR = "sync liar"


class Fetching:
    """Of one incarnation of a node. Times are those of its monotonic clock."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.states = StateSync(
            quorum_of=node.roster.quorum,
            is_genuine=lambda certificate: node.agreement.is_genuine(certificate),
            anchor=lambda: NO_ANCHOR,
            held=lambda offer: [index for name, index in node.store.chunks if name == offer.name()],
        )

    def on_frame(self, peer: int, frame: SnapshotRequest | SnapshotOffer | ChunkRequest | Chunk | None) -> None:
        """None: the peer has no snapshot for us."""
        node, now_ms = self._node, self._node.clocks.monotonic_ms()
        match frame:
            case SnapshotRequest(above_height):
                node.send_frame(peer, "snapshot", find_offer(node, above_height))
            case ChunkRequest(name, index):
                chunk = find_chunk(node, name, index)
                if chunk is not None:
                    node.send_frame(peer, "snapshot", chunk)
            case Chunk():
                self.perform(self.states.on_chunk(now_ms, peer, frame))
            case _:
                self.perform(self.states.on_offer(now_ms, peer, frame))

    def perform(self, effects: Sequence[StateSyncEffect]) -> None:
        node = self._node
        for effect in effects:
            match effect:
                case AskSnapshot(peer, request):
                    node.send_frame(peer, "snapshot", request)
                case KeepChunk(offer, index, data):
                    node.store.chunks[offer.name(), index] = data
                case Drop():
                    node.store.chunks.clear()
                case Load(offer):
                    self._load(offer)
                case Blamed():
                    node.world.fired["repair: snapshot liar blamed"] += 1
                case Wake(at_ms):
                    node.world.post_at(
                        max(node.clocks.virtual_ms(at_ms), node.world.now_ms + 1), node, "repair due", None
                    )

    def _load(self, offer: SnapshotOffer) -> None:
        node, params = self._node, self._node.world.exchange.params
        data = b"".join(node.store.chunks[offer.name(), index] for index in range(len(offer.chunk_hashes)))
        is_right = is_state_of(data, params, offer.block.header)
        self.perform(self.states.on_loaded(node.clocks.monotonic_ms(), is_right))
        if is_right:
            node.adopt(offer, decode_snapshot(data, params))


def find_offer(node: Node, above_height: int) -> SnapshotOffer | None:
    """The newest snapshot above a height whose block this node holds with a certificate of its own; a liar offers
    another state under it.
    """
    for state in node.store.snapshots:
        final = node.store.final(state.height)
        if final is None or not final.is_direct or state.height <= above_height:
            continue
        data = encode_snapshot(state)
        if node.behaviour is not None and node.behaviour.name == LIAR:
            node.world.fired[f"behaviour: {LIAR}"] += 1
            data = encode_snapshot(node.world.exchange.state)
        chunks = [data[at : at + CHUNK_BYTES] for at in range(0, len(data), CHUNK_BYTES)]
        offer = SnapshotOffer(final.block, final.certificate, len(data), tuple(keccak(chunk) for chunk in chunks))
        node.store.offered = {(offer.name(), index): chunk for index, chunk in enumerate(chunks)}
        return offer
    return None


def find_chunk(node: Node, name: bytes, index: int) -> Chunk | None:
    """Part of the snapshot that was offered last; whoever asks for an older one finds another source."""
    data = node.store.offered.get((name, index))
    return None if data is None else Chunk(name, index, data)
