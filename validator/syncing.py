"""The host of catching up in a running node: feeds `RangeSync` and `StateSync` from the links and performs what they
ask for. Ranges wait while a snapshot is looked for.

All inputs are queued and handled by one task between two ticks of the node's loop, because accepting blocks moves the
state under agreement's feet.
"""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import trio

from net.committee import Committee
from net.wire import Chunk, RangeResponse, SnapshotOffer
from validator.batches import CheckedBatch, check_batch
from validator.catchup import Accept, Ask, Blamed, CheckBatches, Head, RangeSync, SyncEffect, Wake
from validator.clocks import Clocks
from validator.download_bar import DownloadBar
from validator.rotation import find_root_fault
from validator.snapshots import IncomingChunks, is_state_of
from validator.statesync import AskSnapshot, Drop, KeepChunk, Load, StateSync, StateSyncEffect

if TYPE_CHECKING:
    from validator.node import Node

log = logging.getLogger("hansa.syncing")

POLL_INTERVAL_S = 0.5
# An answer has up to 8 MiB. Four ranges and a few chunks are ever asked for at a time.
ANSWERS_MAX = 32


class Syncing:
    """See the module's text."""

    def __init__(self, node: "Node", committee: Committee, clocks: Clocks) -> None:
        self._node = node
        self._committee = committee
        self._clocks = clocks
        self._inputs: deque[Callable[[int], Sequence[SyncEffect | StateSyncEffect]]] = deque()
        self._wake = trio.Event()
        self._wake_at_ms: int | None = None
        self.ranges = RangeSync(
            quorum_of=node.roster.quorum,
            head=lambda: Head(node.executor.final.height, node.executor.final_hash),
            is_genuine=node.agreement.is_genuine,
            is_held=lambda batch_hash: node.pool.get(batch_hash) is not None,
        )

        self._bar = DownloadBar()
        self._incoming = IncomingChunks(node.home.data / "snapshots" / "incoming")
        self.states = StateSync(
            quorum_of=node.roster.quorum,
            is_genuine=node.agreement.is_genuine,
            anchor=lambda: node.settling.anchor,
            held=self._incoming.held,
            find_root_fault=lambda offer: find_root_fault(
                offer.block.header.epoch, offer.root, node.roster, node.agreement.is_genuine
            ),
        )

    # inputs, from any task

    def on_peer(self, peer: int, height: int) -> None:
        self._post(lambda now_ms: self._meet(now_ms, peer, height))

    def on_peer_lost(self, peer: int) -> None:
        self._post(lambda now_ms: self.states.on_peer_lost(now_ms, peer))
        self._post(lambda now_ms: self.ranges.on_peer_lost(now_ms, peer))

    def on_offer(self, peer: int, offer: SnapshotOffer | None) -> None:
        self._hear(lambda now_ms: self.states.on_offer(now_ms, peer, offer))

    def on_chunk(self, peer: int, chunk: Chunk) -> None:
        self._hear(lambda now_ms: self.states.on_chunk(now_ms, peer, chunk))

    def on_missing_chunk(self, peer: int, name: bytes) -> None:
        self._hear(lambda now_ms: self.states.on_missing(now_ms, peer, name))

    def on_response(self, peer: int, response: RangeResponse) -> None:
        self._hear(lambda now_ms: self.ranges.on_response(now_ms, peer, response))

    def on_behind(self) -> None:
        self._post(self.ranges.on_behind)

    def _hear(self, call: Callable[[int], Sequence[SyncEffect | StateSyncEffect]]) -> None:
        """An answer of a peer, be it asked for or not. What finds no room is as good as not answered."""
        if len(self._inputs) < ANSWERS_MAX:
            self._post(call)

    def _post(self, call: Callable[[int], Sequence[SyncEffect | StateSyncEffect]]) -> None:
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
            await self._perform(nursery, [*self.states.on_timer(now_ms), *self.ranges.on_timer(now_ms)])
        await self._perform(nursery, self._judge_distance(now_ms))
        for peer, seen in self._committee.statistics().items():
            if seen.connected:
                await self._perform(nursery, self.ranges.on_claim(now_ms, peer, seen.height))

    def _meet(self, now_ms: int, peer: int, height: int) -> list[SyncEffect | StateSyncEffect]:
        """The distance is judged before anything is asked: a range would be here before the first offer."""
        sought = [*self.states.on_peer(now_ms, peer), *self._judge_distance(now_ms, height)]
        return [*sought, *self.ranges.on_peer(now_ms, peer, height)]

    def _judge_distance(self, now_ms: int, claimed_height: int = 0) -> list[StateSyncEffect]:
        """A snapshot, when ranges would take too long or nobody has them any more."""
        height = self._node.executor.final.height
        reach = max(self.ranges.reach, claimed_height)
        is_far = reach - height >= self._node.config.snapshot_gap_blocks
        effects = self.states.start(now_ms, height) if is_far or self.ranges.is_stranded else []
        self.ranges.is_paused = self.states.is_active
        return effects

    async def _perform(self, nursery: trio.Nursery, effects: Sequence[SyncEffect | StateSyncEffect]) -> None:
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
                case Accept() as accepted:
                    async with self._node.at_rest:
                        self._node.accept_range(accepted)
                    await trio.lowlevel.checkpoint()
                    todo.extend(self.ranges.on_head(self._clocks.monotonic_ms()))
                case Blamed(peer, reason):
                    self._node.ban(peer, reason)
                case Wake(at_ms):
                    self._wake_at_ms = at_ms if self._wake_at_ms is None else min(at_ms, self._wake_at_ms)
                case effect:
                    self._perform_state(nursery, effect)

    def _perform_state(self, nursery: trio.Nursery, effect: StateSyncEffect) -> None:
        match effect:
            case AskSnapshot(peer, request):
                self._node.send(peer, request)  # what cannot be sent now is asked again after its timeout
            case KeepChunk(offer, index, data):
                self._incoming.keep(offer, index, data)
                self._show_progress()
            case Load(offer):
                log.info("snapshot.complete height=%d", offer.block.header.height)
                nursery.start_soon(self._load, offer)
            case Drop():
                self._incoming.clear()

    def _show_progress(self) -> None:
        progress = self.states.progress
        if progress is not None:
            offer = progress.offer
            self._bar.show(
                offer.block.header.height, progress.held, len(offer.chunk_hashes), offer.size_bytes, progress.sources
            )

    async def _load(self, offer: SnapshotOffer) -> None:
        data = self._incoming.assemble(offer)
        is_right = await trio.to_thread.run_sync(is_state_of, data, self._node.params, offer.block.header)
        self._post(lambda now_ms: self.states.on_loaded(now_ms, is_right))
        if is_right:
            self._incoming.clear()
            self._node.adopt_snapshot(offer, data)

    async def _check(self, check: CheckBatches) -> None:
        node = self._node
        domain, separator = node.domain, node.info.domain_separator
        signed = [(batch, node.roster.network_key(batch.author)) for batch in check.batches]

        def check_all() -> tuple[CheckedBatch, ...] | None:
            checked = [check_batch(batch, key, domain, separator) for batch, key in signed]
            good = tuple(item for item in checked if item is not None)
            return good if len(good) == len(checked) else None

        batches = await trio.to_thread.run_sync(check_all)
        self._post(lambda now_ms: self.ranges.on_checked(now_ms, check.token, batches))
