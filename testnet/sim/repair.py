"""The host of catching up on a simulated node: feeds the real `RangeSync` and performs what it asks for. Ranges wait
while a snapshot is looked for.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from net.wire import RangeBlock, RangeRequest, RangeResponse
from testnet.sim.fetching import Fetching
from validator.catchup import Accept, Ask, Blamed, CheckBatches, Head, RangeSync, SyncEffect, Wake
from validator.ranges import answer_range

if TYPE_CHECKING:
    from testnet.sim.node import Node

UNSENT_MS = 50


class Repair:
    """Of one incarnation of a node. Times are those of its monotonic clock."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._fetching = Fetching(node)
        self._ranges = RangeSync(
            quorum_of=node.roster.quorum,
            head=lambda: Head(node.executor.final.height, node.executor.final_hash),
            is_genuine=lambda certificate: node.agreement.is_genuine(certificate),
            is_held=lambda batch_hash: node.pool.get(batch_hash) is not None,
        )

    def on_snapshot(self, peer: int, frame: Any) -> None:
        self._fetching.on_frame(peer, frame)

    def on_peer(self, peer: int, height: int) -> None:
        self._fetching.perform(self._fetching.states.on_peer(self._now_ms(), peer))
        self._perform(self._ranges.on_peer(self._now_ms(), peer, height))
        self._judge_distance()

    def on_claim(self, peer: int, height: int) -> None:
        self._judge_distance()
        self._perform(self._ranges.on_claim(self._now_ms(), peer, height))

    def _judge_distance(self) -> None:
        """A snapshot, when ranges would take too long or nobody has them any more."""
        height, states = self._node.executor.final.height, self._fetching.states
        is_far = self._ranges.reach - height >= self._node.world.plan.snapshot_gap_blocks
        if is_far or self._ranges.is_stranded:
            self._fetching.perform(states.start(self._now_ms(), height))
        self._ranges.is_paused = states.is_active

    def on_peer_lost(self, peer: int) -> None:
        self._fetching.perform(self._fetching.states.on_peer_lost(self._now_ms(), peer))
        self._perform(self._ranges.on_peer_lost(self._now_ms(), peer))

    def on_behind(self) -> None:
        self._perform(self._ranges.on_behind(self._now_ms()))

    def on_response(self, peer: int, response: RangeResponse) -> None:
        self._perform(self._ranges.on_response(self._now_ms(), peer, response))

    def on_unsent(self, peer: int) -> None:
        self._perform(self._ranges.on_unsent(self._now_ms(), peer))

    def on_timer(self) -> None:
        self._fetching.perform(self._fetching.states.on_timer(self._now_ms()))
        self._ranges.is_paused = self._fetching.states.is_active
        self._perform(self._ranges.on_timer(self._now_ms()))

    def _now_ms(self) -> int:
        return self._node.clocks.monotonic_ms()

    def _perform(self, effects: list[SyncEffect]) -> None:
        node = self._node
        todo = deque(effects)
        while todo:
            match todo.popleft():
                case Ask(peer, request):
                    if node.world.is_linked(node, peer):
                        node.send_frame(peer, "range request", request)
                    else:
                        node.world.post_node(UNSENT_MS, node, "unsent", peer)
                case CheckBatches() as check:
                    checked = [node.world.shared.check_batch(batch) for batch in check.batches]
                    good = tuple(item for item in checked if item is not None)
                    answer = good if len(good) == len(checked) else None
                    todo.extend(self._ranges.on_checked(self._now_ms(), check.token, answer))
                case Accept() as accepted:
                    node.accept_range(accepted)
                    todo.extend(self._ranges.on_head(self._now_ms()))
                case Blamed():
                    node.world.fired["repair: liar blamed"] += 1
                case Wake(at_ms):
                    node.world.post_at(
                        max(node.clocks.virtual_ms(at_ms), node.world.now_ms + 1), node, "repair due", None
                    )


def make_answer(node: Node, request: RangeRequest) -> RangeResponse:
    """What a node sends back; a lying one twists it."""
    response = answer_range(node.store, request)
    if node.behaviour is None or not response.blocks or response.certificate is None:
        return response
    entries = {entry.block.hash(): entry for entry in response.blocks}
    run = [(entry.block, response.certificate) for entry in response.blocks]
    twisted = node.behaviour.on_range(run)
    if twisted == run:
        return response
    node.world.fired[f"behaviour: {node.behaviour.name}"] += 1
    if not twisted:
        return RangeResponse((), None)
    blocks = tuple(entries.get(block.hash()) or RangeBlock(block, ()) for block, _ in twisted)
    return RangeResponse(blocks, twisted[-1][1])
