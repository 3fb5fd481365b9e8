"""The settlement chain as this node sees it: finalised inbox entries in, certified checkpoints out.

All calls run in worker threads; what they find is handed to the node's loop as plain values. A chain that does not
answer is the world's failure: it is logged once per outage, retried for ever and never stops consensus.
"""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

from consensus.messages import Certificate, Header, keccak
from contracts.inbox_reader import InboxReader
from contracts.records import ChainError, CheckpointRecord, Refused
from engine.payload import INBOX_ENTRIES_MAX, InboxEntry

if TYPE_CHECKING:  # web3 is imported late: validator/chain_access.py
    from contracts.settlement import Settlement

log = logging.getLogger("hansa.chain")

POLL_INTERVAL_S = 1.0
PAGE_ENTRIES = 256
# A leader proposes what it saw this long ago, so that voters whose polls ran a little later have seen it too.
PROPOSE_LAG_MS = 2_500
SUBMIT_TURN_S = 4.0
WITHDRAWAL_WAIT_MS = 2_000
# Members post headers of these heights, so that all of them still hold the state of a checkpoint when they see it.
CHECKPOINT_HEIGHTS_STEP = 4


@dataclass(frozen=True, slots=True)
class ChainView:
    """One poll: at `seen_ms` the chain was final up to `block`, which held `entry_count` inbox entries."""

    seen_ms: int
    block: int
    entry_count: int


class Inbox:
    """Every finalised inbox entry, in order, with what was known when."""

    def __init__(self) -> None:
        self.entries: list[InboxEntry] = []
        self._seen_ms: list[int] = []
        self._views: deque[ChainView] = deque(maxlen=32)

    @property
    def newest(self) -> ChainView:
        return self._views[-1] if self._views else ChainView(0, 0, 0)

    def extend(self, now_ms: int, block: int, entries: list[InboxEntry]) -> None:
        """Take a poll's answer. Entries must continue the list; the caller asked from its end."""
        for entry in entries:
            if entry.index != len(self.entries):
                raise ChainError(f"inbox entry {entry.index} came where {len(self.entries)} was due")
            self.entries.append(entry)
            self._seen_ms.append(now_ms)
        if block >= self.newest.block:
            self._views.append(ChainView(now_ms, block, len(self.entries)))

    def select(self, cursor: int, parent_l1_block: int, now_ms: int) -> tuple[tuple[InboxEntry, ...], int]:
        """Entries and chain height for a proposal: the newest view that is old enough for all to share."""
        settled = [view for view in self._views if view.seen_ms <= now_ms - PROPOSE_LAG_MS]
        if not settled:
            return (), parent_l1_block
        view = settled[-1]
        entries = tuple(self.entries[cursor : min(view.entry_count, cursor + INBOX_ENTRIES_MAX)])
        return entries, max(view.block, parent_l1_block)

    def check(self, cursor: int, entries: tuple[InboxEntry, ...], l1_block: int, parent_l1_block: int) -> bool | None:
        """Whether a proposal's inbox part is right; None while our own view of the chain is still behind it."""
        if l1_block < parent_l1_block or any(entry.index != cursor + at for at, entry in enumerate(entries)):
            return False
        known = self.entries[cursor : cursor + len(entries)]
        if known != list(entries[: len(known)]):
            return False
        if len(known) < len(entries) or l1_block > self.newest.block:
            return None
        return True

    def is_overdue(self, cursor_after: int, taken_count: int, now_ms: int, inclusion_ms: int) -> bool:
        """A proposal with room left over an entry that everybody has held for `inclusion_ms`: a censoring leader."""
        if cursor_after >= len(self.entries) or taken_count >= INBOX_ENTRIES_MAX:
            return False
        return self._seen_ms[cursor_after] < now_ms - inclusion_ms


@dataclass(slots=True)
class OnChain:
    """What the settlement contract holds, as of the last poll."""

    height: int = 0
    block: int = 0
    header_hash: bytes = b""  # of the checkpoint at `height`; empty before the first


class Watcher:
    """Polls the chain and calls `on_view` (in the node's loop) with what is new."""

    def __init__(self, settlements: "list[Settlement]", inbox: Inbox, on_chain: OnChain) -> None:
        self._settlements = settlements
        self._inbox = inbox
        self._on_chain = on_chain

    async def run(self, now_ms: Callable[[], int], on_view: Callable[[], None]) -> None:
        is_down = False
        while True:
            try:
                block, entries, newer = await trio.to_thread.run_sync(self._poll, len(self._inbox.entries))
                self._inbox.extend(now_ms(), block, entries)
                if newer is not None and newer.height > self._on_chain.height:
                    self._on_chain.height, self._on_chain.header_hash = newer.height, newer.header_hash
                self._on_chain.block = block
                on_view()
                if is_down:
                    log.info("chain.back block=%d", block)
                is_down = False
            except (ChainError, Refused) as error:
                if not is_down:
                    log.warning("chain.unreachable error=%s (retrying every %.0f s)", error, POLL_INTERVAL_S)
                is_down = True
            await trio.sleep(POLL_INTERVAL_S)

    def _poll(self, from_index: int) -> tuple[int, list[InboxEntry], CheckpointRecord | None]:
        """The inbox, and the last checkpoint if it is newer than the one we know."""
        block, entries = read_inbox(self._settlements, from_index)
        settlement = self._settlements[0]
        height = settlement.last().height
        return block, entries, settlement.checkpoint_at(height) if height > self._on_chain.height else None


def read_inbox(sources: "Sequence[Settlement | InboxReader]", from_index: int) -> tuple[int, list[InboxEntry]]:
    """Ask every endpoint; act on the lowest finalised block and only where all give the same entries. All entries from
    `from_index` on up to that block.
    """
    block = min(source.finalized_block() for source in sources)
    entries: list[InboxEntry] = []
    while True:
        pages = [_read_page(source, from_index + len(entries), block) for source in sources]
        if any(page != pages[0] for page in pages[1:]):
            raise ChainError("the RPC endpoints disagree about the inbox: check them before trusting either")
        entries += pages[0]
        if len(pages[0]) < PAGE_ENTRIES:
            return block, entries


def _read_page(source: "Settlement | InboxReader", from_index: int, block: int) -> list[InboxEntry]:
    return [
        InboxEntry(
            record.index, record.kind, record.token, record.beneficiary, record.subaccount, record.sender,
            record.amount, record.data, record.time_s,
        )
        for record in source.inbox_entries(from_index, PAGE_ENTRIES, to_block=block)
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Candidate:
    """A directly finalised header that the contract could take."""

    header: Header
    certificate: Certificate


class Submitter:
    """Posts certified headers. Members take turns; the next one steps in when the one before it stays silent."""

    def __init__(self, settlement: "Settlement", me: int, member_count: int, interval_blocks: int) -> None:
        self._settlement = settlement
        self._me = me
        self._member_count = member_count
        self._interval_blocks = interval_blocks
        self._due_since_s: float | None = None

    async def run(
        self, on_chain: OnChain, newest: Callable[[int], Candidate | None], has_waiting: Callable[[], bool]
    ) -> None:
        """`newest(above_height)` gives the best candidate; `has_waiting` tells that a withdrawal waits for a
        checkpoint.
        """
        while True:
            await trio.sleep(0.25)
            candidate = newest(on_chain.height)
            if candidate is None or not self._is_due(candidate, on_chain.height, has_waiting()):
                self._due_since_s = None
                continue
            if self._due_since_s is None:
                self._due_since_s = trio.current_time()
            if trio.current_time() - self._due_since_s < self._rank(on_chain.height) * SUBMIT_TURN_S:
                continue
            await self._submit(candidate, on_chain)

    def _is_due(self, candidate: Candidate, onchain_height: int, is_withdrawal_waiting: bool) -> bool:
        return is_withdrawal_waiting or candidate.header.height >= onchain_height + self._interval_blocks

    def _rank(self, onchain_height: int) -> int:
        """0 for the member whose turn it is after the checkpoint at `onchain_height`."""
        first = int.from_bytes(keccak(onchain_height.to_bytes(8, "big"))[:4], "big") % self._member_count
        return (self._me - first) % self._member_count

    async def _submit(self, candidate: Candidate, on_chain: OnChain) -> None:
        header, certificate = candidate.header, candidate.certificate
        signers = certificate.signers()
        absent = [index for index in range(self._member_count) if index not in signers]
        try:
            result = await trio.to_thread.run_sync(
                self._settlement.checkpoint, header.encode(), absent, certificate.signature
            )
            self._due_since_s = None
            if header.height > on_chain.height:
                on_chain.height, on_chain.header_hash = header.height, header.hash()
            log.info("checkpoint.accepted height=%d gas=%d", header.height, result.gas_used)
        except Refused as refusal:
            # Usually another member was faster; the next poll shows the contract's height.
            log.info("checkpoint.refused height=%d reason=%s", header.height, refusal)
            await trio.sleep(POLL_INTERVAL_S)
        except ChainError as error:
            log.warning("checkpoint.unsent height=%d error=%s", header.height, error)
            await trio.sleep(POLL_INTERVAL_S)
