"""The host of catching up in a running node: feeds `RangeSync` from the links and performs what it asks for.

All inputs are queued and handled by one task between two ticks of the node's loop, because accepting blocks moves the
state under agreement's feet.
"""

import logging
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

import trio

from net.committee import Committee
from net.wire import RangeResponse
from validator.batches import CheckedBatch, check_batch
from validator.catchup import Accept, Ask, Blamed, CheckBatches, Head, RangeSync, SyncEffect, Wake
from validator.clocks import Clocks

if TYPE_CHECKING:
    from validator.node import Node

log = logging.getLogger("hansa.syncing")

POLL_INTERVAL_S = 0.5


class Syncing:
    """See the module's text."""

    def __init__(self, node: "Node", committee: Committee, clocks: Clocks) -> None:
        self._node = node
        self._committee = committee
        self._clocks = clocks
        self._inputs: deque[Callable[[int], list[SyncEffect]]] = deque()
        self._wake = trio.Event()
        self._wake_at_ms: int | None = None
        self.ranges = RangeSync(
            member_count=len(node.network_keys),
            head=lambda: Head(node.executor.final.height, node.executor.final_hash),
            is_genuine=node.agreement.is_genuine,
            is_held=lambda batch_hash: node.pool.get(batch_hash) is not None,
        )

    # inputs, from any task

    def on_peer(self, peer: int, height: int) -> None:
        self._post(lambda now_ms: self.ranges.on_peer(now_ms, peer, height))

    def on_peer_lost(self, peer: int) -> None:
        self._post(lambda now_ms: self.ranges.on_peer_lost(now_ms, peer))

    def on_response(self, peer: int, response: RangeResponse) -> None:
        self._post(lambda now_ms: self.ranges.on_response(now_ms, peer, response))

    def on_behind(self) -> None:
        self._post(self.ranges.on_behind)

    def _post(self, call: Callable[[int], list[SyncEffect]]) -> None:
        self._inputs.append(call)
        self._wake.set()

    # the task

    async def run(self) -> None:
        """Until cancelled. Raises what accepting a block raises."""
        async with trio.open_nursery() as nursery:
            while True:
                with trio.move_on_after(self._compute_wait_s()):
                    await self._wake.wait()
                self._wake = trio.Event()
                while self._inputs:
                    await self._perform(nursery, self._inputs.popleft()(self._clocks.monotonic_ms()))
                await self._look_around(nursery)

    def _compute_wait_s(self) -> float:
        if self._wake_at_ms is None:
            return POLL_INTERVAL_S
        return min(POLL_INTERVAL_S, max(0.0, (self._wake_at_ms - self._clocks.monotonic_ms()) / 1000))

    async def _look_around(self, nursery: trio.Nursery) -> None:
        """What nobody tells: heights in heartbeats, our own progress, time."""
        now_ms = self._clocks.monotonic_ms()
        if self._wake_at_ms is not None and now_ms >= self._wake_at_ms:
            self._wake_at_ms = None
            await self._perform(nursery, self.ranges.on_timer(now_ms))
        for peer, seen in self._committee.statistics().items():
            if seen.connected:
                await self._perform(nursery, self.ranges.on_claim(now_ms, peer, seen.height))

    async def _perform(self, nursery: trio.Nursery, effects: list[SyncEffect]) -> None:
        todo = deque(effects)
        while todo:
            match todo.popleft():
                case Ask(peer, request):
                    if self._node.send(peer, request):
                        continue
                    todo.extend(self.ranges.on_unsent(self._clocks.monotonic_ms(), peer))
                    await trio.sleep(0.05)  # a full queue needs time, and asking again at once none
                case CheckBatches() as check:
                    nursery.start_soon(self._check, check)
                case Accept(blocks, batches, certificate):
                    async with self._node.at_rest:
                        self._node.accept_range(blocks, batches, certificate)
                    await trio.lowlevel.checkpoint()
                    todo.extend(self.ranges.on_head(self._clocks.monotonic_ms()))
                case Blamed(peer, reason):
                    self._node.ban(peer, reason)
                case Wake(at_ms):
                    self._wake_at_ms = at_ms

    async def _check(self, check: CheckBatches) -> None:
        node = self._node
        keys, domain, separator = node.network_keys, node.domain, node.info.domain_separator

        def check_all() -> tuple[CheckedBatch, ...] | None:
            checked = [check_batch(batch, keys, domain, separator) for batch in check.batches]
            good = tuple(item for item in checked if item is not None)
            return good if len(good) == len(checked) else None

        batches = await trio.to_thread.run_sync(check_all)
        self._post(lambda now_ms: self.ranges.on_checked(now_ms, check.token, batches))
