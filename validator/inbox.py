"""Every finalised inbox entry that this node has seen: what a leader proposes and what a voter accepts."""

from collections import deque
from dataclasses import dataclass

from contracts.records import ChainError
from engine.payload import INBOX_ENTRIES_MAX, InboxEntry

# A leader proposes what it saw this long ago, so that voters whose polls ran a little later have seen it too.
PROPOSE_LAG_MS = 2_500


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
