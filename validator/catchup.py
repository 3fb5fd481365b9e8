"""Catching up by ranges: answering peers who lag, and asking for what we lack.

A response is trusted in nothing: the last block's finalisation certificate is checked against the committee, the
parent hashes bind the rest to it and to our own head, every batch to its hash, and every block is executed and must
give its header's commitment.
"""

import logging
from collections.abc import Callable

import trio

from consensus.messages import FINALIZE, Certificate, quorum
from consensus.sync import Blame, verify_range
from engine.payload import Payload
from net.wire import RANGE_RESPONSE_BYTES_TARGET, RangeBlock, RangeRequest, RangeResponse
from validator.batches import BatchPool, CheckedBatch, check_batch
from validator.executor import Executor
from validator.store import FinalBlock, Store

log = logging.getLogger("hansa.catchup")

RANGE_BLOCKS = 64
RESPONSE_TIMEOUT_S = 5.0


def answer_range(store: Store, request: RangeRequest) -> RangeResponse:
    """Consecutive finalised blocks, cut at the last one that carries a certificate of its own."""
    blocks: list[RangeBlock] = []
    size_bytes = 0
    last_direct: tuple[int, Certificate] | None = None
    for final in store.finals(request.from_height, min(request.limit, RANGE_BLOCKS)):
        entry, entry_bytes = _range_block(store, final)
        size_bytes += entry_bytes
        if blocks and size_bytes > RANGE_RESPONSE_BYTES_TARGET and last_direct is not None:
            break
        blocks.append(entry)
        if final.is_direct:
            last_direct = (len(blocks), final.certificate)
    if last_direct is None:
        return RangeResponse((), None)
    return RangeResponse(tuple(blocks[: last_direct[0]]), last_direct[1])


def _range_block(store: Store, final: FinalBlock) -> tuple[RangeBlock, int]:
    batches = [store.batch_of(ref[2]) for ref in Payload.decode(final.block.payload).batch_refs]
    size_bytes = len(final.block.payload) + sum(len(batch.commands) for batch in batches) + 1024
    return RangeBlock(final.block, tuple(batches)), size_bytes


class RangeSync:
    """One request at a time, the next peer after every failure, until we have the height that others proved to have."""

    def __init__(
        self,
        *,
        executor: Executor,
        pool: BatchPool,
        network_keys: tuple[bytes, ...],
        domain: bytes,
        domain_separator: bytes,
        is_genuine: Callable[[Certificate], bool],
        request: Callable[[int, RangeRequest], bool],
        peers: Callable[[], list[int]],
        keep: Callable[[CheckedBatch], None],
        accept: Callable[[RangeResponse], None],
    ) -> None:
        self._executor = executor
        self._pool = pool
        self._network_keys = network_keys
        self._domain = domain
        self._domain_separator = domain_separator
        self._is_genuine = is_genuine
        self._request = request
        self._peers = peers
        self._keep = keep
        self._accept = accept
        self._asked_peer: int | None = None
        self._wake = trio.Event()
        self._answer: RangeResponse | None = None
        self._answered = trio.Event()
        self.is_active = False

    def start(self) -> None:
        """Somebody proved to be ahead of us."""
        self._wake.set()

    def on_response(self, peer: int, response: RangeResponse) -> None:
        """Hand over an answer; one that nobody asked that peer for is dropped."""
        if peer == self._asked_peer:
            self._answer = response
            self._answered.set()

    async def run(self, blame: Callable[[int, str], None]) -> None:
        turn = 0
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            self.is_active = True
            failures = 0
            while failures < max(1, len(self._peers())):
                peers = self._peers()
                if not peers:
                    break
                turn += 1
                peer = peers[turn % len(peers)]
                progress = await self._fetch_from(peer, blame)
                failures = 0 if progress else failures + 1
            self.is_active = False

    async def _fetch_from(self, peer: int, blame: Callable[[int, str], None]) -> bool:
        """One round trip; True when our head moved."""
        self._answered, self._answer, self._asked_peer = trio.Event(), None, peer
        from_height = self._executor.final.height + 1
        if not self._request(peer, RangeRequest(from_height, RANGE_BLOCKS)):
            await trio.sleep(0.2)
            return False
        with trio.move_on_after(RESPONSE_TIMEOUT_S):
            await self._answered.wait()
        self._asked_peer = None
        answer: RangeResponse | None = self._answer
        return answer is not None and bool(answer.blocks) and await self._take(peer, answer, blame)

    async def _take(self, peer: int, response: RangeResponse, blame: Callable[[int, str], None]) -> bool:
        certificate = response.certificate
        if certificate is None or certificate.kind != FINALIZE:
            blame(peer, "range without certificate")
            return False
        member_count = len(self._network_keys)
        if len(certificate.signers()) < quorum(member_count) or not self._is_genuine(certificate):
            blame(peer, "range with a forged certificate")
            return False
        head = self._executor.final
        if response.blocks[0].block.header.height != head.height + 1:
            return False  # our head moved while the answer was on its way
        verdict = verify_range(
            self._executor.final_hash, head.height, [entry.block for entry in response.blocks], certificate
        )
        if isinstance(verdict, Blame):
            blame(peer, verdict.reason)
            return False
        if not await self._take_batches(response):
            blame(peer, "range with a forged batch")
            return False
        if self._executor.final.height != head.height:
            return False
        self._accept(response)
        return self._executor.final.height > head.height

    async def _take_batches(self, response: RangeResponse) -> bool:
        """Every batch that the blocks name, genuine and kept; False when one is missing, forged or unnamed."""
        for entry in response.blocks:
            named = {ref[2] for ref in Payload.decode(entry.block.payload).batch_refs}
            for batch in entry.batches:
                if batch.hash() not in named:
                    return False
                if self._pool.get(batch.hash()) is None:
                    checked = await trio.to_thread.run_sync(
                        check_batch, batch, self._network_keys, self._domain, self._domain_separator
                    )
                    if checked is None:
                        return False
                    self._keep(checked)
            if any(self._pool.get(batch_hash) is None for batch_hash in named):
                return False
        return True
