"""Answering peers who lag: runs of finalised blocks out of the store, each cut where a certificate proves all of it.

Reading a range costs us more than asking for it costs the peer, so every peer has a budget of answers.
"""

from dataclasses import dataclass, field

from consensus.messages import ZERO_HASH, Certificate
from engine.payload import Payload
from net.wire import RANGE_RESPONSE_BYTES_TARGET, RangeBlock, RangeRequest, RangeResponse
from validator.store import FinalBlock, Store

RANGE_BLOCKS = 64
ANSWERS_BURST = 4
ANSWER_INTERVAL_MS = 50


def answer_range(store: Store, request: RangeRequest) -> RangeResponse:
    """Consecutive finalised blocks of one epoch from exactly the height asked for, cut at the last one that carries a
    certificate of its own; empty when there are none. The block that ends an epoch may need the trailing ones for that.
    """
    blocks: list[RangeBlock] = []
    size_bytes = 0
    last_direct: tuple[int, Certificate] | None = None
    for final in store.finals(request.from_height, min(request.limit, RANGE_BLOCKS)):
        if final.block.header.height != request.from_height + len(blocks):
            break  # a node that started from a snapshot lacks what lies below it
        entry, entry_bytes = _range_block(store, final)
        size_bytes += entry_bytes
        if blocks and size_bytes > RANGE_RESPONSE_BYTES_TARGET and last_direct is not None:
            break
        blocks.append(entry)
        if final.is_direct:
            last_direct = (len(blocks), final.certificate)
        if final.block.header.next_committee_hash != ZERO_HASH:
            last_direct = _end_epoch(store, final, blocks) or last_direct
            break
    if last_direct is None:
        return RangeResponse((), None)
    return RangeResponse(tuple(blocks[: last_direct[0]]), last_direct[1])


def _end_epoch(store: Store, final: FinalBlock, blocks: list[RangeBlock]) -> tuple[int, Certificate] | None:
    """The end of an answer at the end of an epoch: with what its certificate covers, while there is room."""
    seal = store.seal(final.block.header.epoch)
    if final.is_direct or seal is None or len(blocks) + len(seal.trailing) > RANGE_BLOCKS:
        return None
    blocks += [RangeBlock(block, ()) for block in seal.trailing]
    return len(blocks), seal.certificate


def _range_block(store: Store, final: FinalBlock) -> tuple[RangeBlock, int]:
    batches = [store.batch_of(ref[2]) for ref in Payload.decode(final.block.payload).batch_refs]
    size_bytes = len(final.block.payload) + sum(len(batch.commands) for batch in batches) + 1024
    return RangeBlock(final.block, tuple(batches)), size_bytes


@dataclass(slots=True)
class AnswerBudget:
    """Per peer a burst of answers, then one per interval. `now_ms` is the caller's monotonic clock."""

    _spent: dict[int, tuple[int, int]] = field(default_factory=dict)  # peer -> (answers in debt, as of ms)

    def take(self, peer: int, now_ms: int) -> bool:
        """Whether the peer may have one more answer now."""
        debt, since_ms = self._spent.get(peer, (0, now_ms))
        repaid = (now_ms - since_ms) // ANSWER_INTERVAL_MS
        debt, since_ms = max(0, debt - repaid), since_ms + repaid * ANSWER_INTERVAL_MS
        if debt >= ANSWERS_BURST:
            self._spent[peer] = (debt, since_ms)
            return False
        self._spent[peer] = (debt + 1, since_ms if debt else now_ms)
        return True
