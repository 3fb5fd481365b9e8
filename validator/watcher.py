"""The settlement chain as this node sees it: finalised inbox entries and checkpoints.

All calls run in worker threads; what they find is handed to the node's loop as plain values. A chain that does not
answer is the world's failure: it is logged once per outage, retried for ever and never stops consensus.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

from contracts.inbox_reader import InboxReader
from contracts.records import ChainError, CheckpointRecord, Refused
from engine.payload import InboxEntry
from validator.inbox import Inbox

if TYPE_CHECKING:  # web3 is imported late: validator/chain_access.py
    from contracts.settlement import Settlement

log = logging.getLogger("hansa.chain")

POLL_INTERVAL_S = 1.0
PAGE_ENTRIES = 256


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
