"""A leader's payload and a voter's judgement of one.

Both look at the same four things: batches held, price reports genuine, inbox entries equal to our own view of the
settlement chain, and the chain height not ahead of it; a voter also looks at the header's time. A voter that still
lacks something waits; agreement's timers end the wait.
"""

from dataclasses import dataclass

from consensus.messages import Block, Commitment, Header
from engine.feeds import count_feeds
from engine.payload import DecodeError, Payload
from validator.batches import BatchPool
from validator.chain import Inbox
from validator.executor import Executed, Executor
from validator.oracle import ReportBook

# How far a proposal's time may lie from our own clock. Wide on the past side: a bound that slow messages can break for
# good would stop the chain for good.
CLOCK_AHEAD_MS_MAX = 500
CLOCK_BEHIND_MS_MAX = 30_000


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

    def has_work(self, parent_hash: bytes, now_ms: int) -> bool:
        """Whether a block on this parent would carry anything worth its signatures."""
        parent = self._executor.get(parent_hash)
        if parent is None:
            return False
        state = parent.state
        entries, _ = self._inbox.select(state.inbox_cursor, state.l1_block, now_ms)
        return (
            bool(entries)
            or self._pool.has_work(state.batch_sequences.tolist())
            or bool(self._reports.select(state.report_times_ms.tolist(), now_ms, count_feeds(state.tables)))
        )

    def build(self, parent_hash: bytes, parent: Header, now_ms: int) -> Built | None:
        """None when the parent's state is not ours yet."""
        base = self._executor.get(parent_hash)
        if base is None:
            return None
        state = base.state
        timestamp_ms = max(now_ms, parent.timestamp_ms + 1)
        entries, l1_block = self._inbox.select(state.inbox_cursor, state.l1_block, now_ms)
        payload = Payload(
            batch_refs=self._pool.select(state.batch_sequences.tolist()),
            price_reports=self._reports.select(state.report_times_ms.tolist(), timestamp_ms, count_feeds(state.tables)),
            inbox_entries=entries,
            l1_block=l1_block,
        )
        executed = self._executor.run(parent_hash, parent.height + 1, timestamp_ms, payload)
        return None if executed is None else Built(payload.encode(), timestamp_ms, executed)

    def is_valid(self, block: Block, parent: Header, now_ms: int) -> bool:
        """What one look settles: decodable, timely, one genuine report a validator, batches in order."""
        timestamp_ms = block.header.timestamp_ms
        if not now_ms - CLOCK_BEHIND_MS_MAX <= timestamp_ms <= now_ms + CLOCK_AHEAD_MS_MAX:
            return False
        try:
            payload = Payload.decode(block.payload)
            Commitment.decode(parent.commitment)
        except DecodeError:
            return False
        reporters = [report.validator for report in payload.price_reports]
        if len(set(reporters)) < len(reporters):
            return False
        return all(self._reports.is_genuine(report) for report in payload.price_reports)

    def is_acceptable(self, block: Block, parent: Header, now_ms: int) -> bool | None:
        """Of a valid block. True: vote for it; False: never; None: something is missing that may still come."""
        payload, base = Payload.decode(block.payload), Commitment.decode(parent.commitment)
        cursor = base.inbox_cursor
        is_inbox_right = self._inbox.check(cursor, payload.inbox_entries, payload.l1_block, base.l1_block)
        if is_inbox_right is False:
            return False
        taken_count = len(payload.inbox_entries)
        if self._inbox.is_overdue(cursor + taken_count, taken_count, now_ms, self._inbox_inclusion_ms):
            return False
        if is_inbox_right is None or self._executor.missing_batches(payload):
            return None
        return self._pool.holds_as_named(payload.batch_refs)

    def missing_batches(self, block: Block) -> list[tuple[int, int, bytes]]:
        """(author, sequence, hash) of the batches that a block names and we lack."""
        try:
            return self._executor.missing_batches(Payload.decode(block.payload))
        except DecodeError:
            return []
