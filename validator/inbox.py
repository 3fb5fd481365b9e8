"""Every finalised inbox entry that this node has seen: what a leader proposes and what a voter accepts."""

from collections import deque
from dataclasses import dataclass

from contracts.records import ChainError
from engine.payload import INBOX_ENTRIES_MAX, InboxEntry

# A leader proposes what it saw this long ago, so that voters whose polls ran a little later have seen it too.
PROPOSE_LAG_MS = 2_500
FORGET_ENTRIES = 4_096


@dataclass(frozen=True, slots=True)
class ChainView:
    """One poll: at `seen_ms` the chain was final up to `block`, which held `entry_count` inbox entries."""

    seen_ms: int
    block: int
    entry_count: int


class Inbox:
    """Finalised inbox entries from `first_index` on, in order, with what was known when. Final blocks have consumed
    what came before.
    """

    def __init__(self, first_index: int = 0) -> None:
        self._first_index = first_index
        self._entries: list[InboxEntry] = []
        self._seen_ms: list[int] = []
        self._views: deque[ChainView] = deque(maxlen=32)

    @property
    def count(self) -> int:
        """How many entries the contract has, as far as we know."""
        return self._first_index + len(self._entries)

    def slice(self, first: int, end: int) -> tuple[InboxEntry, ...]:
        """The entries from index `first` up to but without `end` that are known."""
        return tuple(self._entries[max(0, first - self._first_index) : max(0, end - self._first_index)])

    def forget_before(self, cursor: int) -> None:
        """Final blocks have consumed everything before `cursor`. Kept until there is much of it."""
        passed = min(cursor - self._first_index, len(self._entries))
        if passed >= FORGET_ENTRIES:
            del self._entries[:passed], self._seen_ms[:passed]
            self._first_index += passed

    @property
    def newest(self) -> ChainView:
        return self._views[-1] if self._views else ChainView(0, 0, 0)

    def extend(self, now_ms: int, block: int, entries: list[InboxEntry]) -> None:
        """Take a poll's answer. Entries must continue the list; the caller asked from its end."""
        for entry in entries:
            if entry.index != self.count:
                raise ChainError(f"inbox entry {entry.index} came where {self.count} was due")
            self._entries.append(entry)
            self._seen_ms.append(now_ms)
        if block >= self.newest.block:
            self._views.append(ChainView(now_ms, block, self.count))

    def select(self, cursor: int, parent_l1_block: int, now_ms: int) -> tuple[tuple[InboxEntry, ...], int]:
        """Entries and chain height for a proposal: the newest view that is old enough for all to share."""
        settled = [view for view in self._views if view.seen_ms <= now_ms - PROPOSE_LAG_MS]
        if not settled:
            return (), parent_l1_block
        view = settled[-1]
        if cursor < self._first_index:
            return (), parent_l1_block
        entries = self.slice(cursor, min(view.entry_count, cursor + INBOX_ENTRIES_MAX))
        return entries, max(view.block, parent_l1_block)

    def check(self, cursor: int, entries: tuple[InboxEntry, ...], l1_block: int, parent_l1_block: int) -> bool | None:
        """Whether a proposal's inbox part is right; None while our own view of the chain is still behind it."""
        if l1_block < parent_l1_block or any(entry.index != cursor + at for at, entry in enumerate(entries)):
            return False
        if cursor < self._first_index:
            return None
        known = self.slice(cursor, cursor + len(entries))
        if known != entries[: len(known)]:
            return False
        if len(known) < len(entries) or l1_block > self.newest.block:
            return None
        return True

    def is_overdue(self, cursor_after: int, taken_count: int, now_ms: int, inclusion_ms: int) -> bool:
        """A proposal with room left over an entry that everybody has held for `inclusion_ms`: a censoring leader."""
        if not self._first_index <= cursor_after < self.count or taken_count >= INBOX_ENTRIES_MAX:
            return False
        return self._seen_ms[cursor_after - self._first_index] < now_ms - inclusion_ms
