"""A leader's payload and a voter's judgement of one (R2, R3).

Both look at the same things: batches held, in their one order and within the limits, none that is overdue left out;
price reports genuine, timely and of a quorum; inbox entries equal to our own view of the settlement chain, none
overdue; the chain height not ahead of our view. A voter also looks at the header's time. A voter that still lacks
something waits; agreement's timers end the wait. All of it only decides about our own vote: a certificate overrides it.
"""

from dataclasses import dataclass

from consensus.messages import Block, Commitment, Header
from engine.feeds import count_feeds
from engine.payload import DecodeError, Payload, PriceReport
from engine.state import EngineState
from validator.batches import BatchPool, sort_refs
from validator.executor import Executed, Executor
from validator.inbox import Inbox
from validator.inclusion import Inclusion
from validator.oracle import ReportBook
from validator.payloads import decode_payload

# How far a proposal's time may lie from our own clock. The bound for messages that are on their way grows with every
# view that brought no finalisation: one that slow messages can break for good would stop the chain for good.
CLOCK_PRECISION_MS = 500
MESSAGE_DELAY_MS = 4_000
MESSAGE_DELAY_MS_MAX = 600_000
STALLED_VIEWS_MAX = 32
# A block costs every member the same however little it carries, so a busy committee makes fewer and fuller ones: its
# leader lets the votes on a full block travel first. A signature costs about as much as thirteen actions.
ACTIONS_PER_SIGNATURE = 13
BREATH_US_PER_SIGNATURE = 450
BREATH_MS_MAX = 150


def compute_message_delay_ms(stalled_views: int) -> int:
    """x 1.2 for each view since the last finalised one."""
    exponent = min(max(stalled_views, 0), STALLED_VIEWS_MAX)
    grown_ms: int = MESSAGE_DELAY_MS * 6**exponent // 5**exponent
    return min(grown_ms, MESSAGE_DELAY_MS_MAX)


def compute_breath_ms(block: Executed) -> int:
    """How long after the time of a block the next one waits, unless agreement's own deadline comes first."""
    action_count = 0 if block.result is None else len(block.result.receipts)
    signatures = block.message_count + action_count // ACTIONS_PER_SIGNATURE
    return min(signatures * BREATH_US_PER_SIGNATURE // 1000, BREATH_MS_MAX)


@dataclass(frozen=True, slots=True)
class Built:
    """A payload with the result of our own execution of it."""

    payload: bytes
    timestamp_ms: int
    executed: Executed


class Proposals:
    """See the module's text."""

    def __init__(
        self, executor: Executor, pool: BatchPool, reports: ReportBook, inbox: Inbox, inbox_inclusion_ms: int
    ) -> None:
        self._executor = executor
        self._pool = pool
        self._reports = reports
        self._inbox = inbox
        self._inbox_inclusion_ms = inbox_inclusion_ms
        self._inclusion = Inclusion(pool, reports.roster)

    def has_work(self, epoch: int, parent_hash: bytes, now_ms: int) -> bool:
        """Whether a block on this parent would carry anything worth its signatures now."""
        parent = self._executor.get(parent_hash)
        if parent is None or now_ms < parent.time_ms + compute_breath_ms(parent):
            return False
        state = parent.state
        entries, _ = self._inbox.select(state.inbox_cursor, state.l1_block, now_ms)
        return (
            bool(entries)
            or self._pool.has_work(state.batch_sequences.tolist())
            or bool(self._select_reports(epoch, state, now_ms))
        )

    def _select_reports(self, epoch: int, state: EngineState, time_ms: int) -> tuple[PriceReport, ...]:
        accepted_ms, feed_count = state.report_times_ms.tolist(), count_feeds(state.tables)
        return self._reports.select(accepted_ms, time_ms, feed_count, epoch)

    def build(self, epoch: int, parent_hash: bytes, parent: Header, now_ms: int) -> Built | None:
        """The payload of a block of this epoch; None when the parent's state is not ours yet."""
        base = self._executor.get(parent_hash)
        if base is None:
            return None
        state = base.state
        timestamp_ms = max(now_ms, parent.timestamp_ms + 1)
        entries, l1_block = self._inbox.select(state.inbox_cursor, state.l1_block, now_ms)
        payload = Payload(
            batch_refs=self._pool.select(
                state.batch_sequences.tolist(),
                lambda checked: (
                    self._reports.roster.may_author(checked.batch.author, epoch)
                    and self._inclusion.is_ripe(checked, now_ms)
                ),
            ),
            price_reports=self._select_reports(epoch, state, timestamp_ms),
            inbox_entries=entries,
            l1_block=l1_block,
        )
        executed = self._executor.run(parent_hash, epoch, parent.height + 1, timestamp_ms, payload)
        return None if executed is None else Built(payload.encode(), timestamp_ms, executed)

    def is_valid(self, block: Block, parent: Header, now_ms: int, stalled_views: int = 0) -> bool:
        """What one look settles: decodable, timely, fair and genuine reports, batches in order. `stalled_views`: how
        many views before the block's own brought no finalisation.
        """
        timestamp_ms = block.header.timestamp_ms
        earliest_ms = now_ms - compute_message_delay_ms(stalled_views) - CLOCK_PRECISION_MS
        if not earliest_ms <= timestamp_ms <= now_ms + CLOCK_PRECISION_MS:
            return False
        try:
            payload = decode_payload(block.payload)
            Commitment.decode(parent.commitment)
        except DecodeError:
            return False
        if sort_refs(payload.batch_refs) != payload.batch_refs:
            return False
        epoch, roster = block.header.epoch, self._reports.roster
        if not all(roster.may_author(author, epoch) for author, _, _ in payload.batch_refs):
            return False
        if not self._reports.is_fair(payload.price_reports, timestamp_ms, epoch):
            return False
        return all(self._reports.is_genuine(report) for report in payload.price_reports)

    def is_acceptable(self, block: Block, parent: Header, now_ms: int) -> bool | None:
        """Of a valid block. True: vote for it; False: never; None: something is missing that may still come."""
        payload, base = decode_payload(block.payload), Commitment.decode(parent.commitment)
        cursor = base.inbox_cursor
        is_inbox_right = self._inbox.check(cursor, payload.inbox_entries, payload.l1_block, base.l1_block)
        if is_inbox_right is False:
            return False
        taken_count = len(payload.inbox_entries)
        if self._inbox.is_overdue(cursor + taken_count, taken_count, now_ms, self._inbox_inclusion_ms):
            return False
        missing = self._executor.missing_batches(payload)
        self._inclusion.on_missing(missing, now_ms)
        if is_inbox_right is None or missing:
            return None
        return self._pool.holds_as_named(payload.batch_refs) and not self._leaves_out_overdue(block, payload, now_ms)

    def _leaves_out_overdue(self, block: Block, payload: Payload, now_ms: int) -> bool:
        before = self._executor.get(block.header.parent_hash)
        if before is None:
            return False
        cursors = before.state.batch_sequences.tolist()
        return self._inclusion.find_overdue(payload.batch_refs, cursors, now_ms, block.header.epoch) is not None

    def on_final(self, height: int, payload: Payload, cursors: list[int], now_ms: int) -> None:
        """A block is final, `cursors` being those of its state; to be told before the pool forgets its batches."""
        self._inclusion.on_final(height, payload, cursors, now_ms)

    def missing_batches(self, block: Block) -> list[tuple[int, int, bytes]]:
        """(author, sequence, hash) of the batches that a block names and we lack."""
        try:
            return self._executor.missing_batches(decode_payload(block.payload))
        except DecodeError:
            return []
