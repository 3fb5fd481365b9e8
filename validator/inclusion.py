"""Soft inclusion: no leader keeps an author out for long, and no author makes leaders fail.

A voter that has held a batch for `INCLUSION_MS`, while as many blocks as there are members became final with room for
it, refuses a proposal that still leaves it out (R5). Counting blocks as well as time means that one of those leaders
was an honest holder, and that a standstill makes nothing overdue.

An author of whose batches several were named by leaders but could not be had, one soon after the other, is restricted
for a while: its batches are named only once they have been held for `RESTRICTED_HOLD_MS`, time enough for others to
have them too. That is shorter than what makes a batch overdue, so restricting never counts as censoring. A single one
proves nothing: on long lines every lost packet keeps back a batch for a quarter of a second.

Times are the caller's wall clock.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from engine.payload import BATCH_REFS_MAX, Payload
from validator.batches import BLOCK_ACTIONS_MAX, BLOCK_BYTES_MAX, BatchPool, CheckedBatch
from validator.roster import Roster

Ref = tuple[int, int, bytes]  # author, sequence, hash

INCLUSION_MS = 5_000
MISSING_MS = 250
# So many of one author's in so many blocks are no accident.
STRIKES_MAX = 3
STRIKE_BLOCKS = 100
RESTRICTED_BLOCKS = 100
RESTRICTED_HOLD_MS = 1_000
MISSING_REMEMBERED_MAX = 1024


@dataclass(slots=True)
class _Held:
    """Since when, and how many final blocks with room for it have left it out."""

    since_ms: int
    passed_count: int = 0


class Inclusion:
    """See the module's text."""

    def __init__(self, pool: BatchPool, roster: Roster) -> None:
        self._pool = pool
        self._roster = roster
        self._held: dict[bytes, _Held] = {}
        self._missing_ms: dict[bytes, int] = {}
        self._strikes: dict[int, list[int]] = {}  # author -> heights
        self._restricted_until: dict[int, int] = {}  # author -> height
        self._height = 0

    def on_final(self, height: int, payload: Payload, cursors: list[int], now_ms: int) -> None:
        """A block is final; `cursors` are those of its state. The pool still holds what it carried."""
        self._height = height
        room = _Room(self._pool, payload.batch_refs)
        held: dict[bytes, _Held] = {}
        for checked in self._pool.waiting(cursors):
            entry = self._held.get(checked.batch_hash)
            if entry is None:
                entry = _Held(now_ms)
            elif room.fits(checked):
                entry.passed_count += 1
            held[checked.batch_hash] = entry
        self._held = held
        for author, until_height in list(self._restricted_until.items()):
            if height >= until_height:
                del self._restricted_until[author]

    def find_overdue(self, refs: tuple[Ref, ...], cursors: list[int], now_ms: int, epoch: int) -> CheckedBatch | None:
        """A batch that a proposal of this epoch with these references, on a state with these cursors, had to name as
        well.
        """
        named = {(author, sequence) for author, sequence, _ in refs}
        room = _Room(self._pool, refs)
        looked_at = -1
        for checked in self._pool.waiting(cursors):
            author = checked.batch.author
            if author == looked_at or (author, checked.batch.sequence) in named:
                continue
            if not self._roster.may_author(author, epoch):
                continue
            looked_at = author  # what follows an author's first batch that is left out waits for that one
            if self._is_overdue(checked, now_ms, self._roster.count(epoch)) and room.fits(checked):
                return checked
        return None

    def _is_overdue(self, checked: CheckedBatch, now_ms: int, member_count: int) -> bool:
        entry = self._held.get(checked.batch_hash)
        if entry is None or entry.passed_count < member_count:
            return False
        return now_ms - entry.since_ms >= INCLUSION_MS

    def on_missing(self, missing: Iterable[Ref], now_ms: int) -> None:
        """A proposal names what we do not hold; strike its author once it stays so."""
        for author, _, batch_hash in missing:
            since_ms = self._missing_ms.setdefault(batch_hash, now_ms)
            if since_ms >= 0 and now_ms - since_ms >= MISSING_MS:
                self._missing_ms[batch_hash] = -1  # one strike a batch
                self._strike(author)
        while len(self._missing_ms) > MISSING_REMEMBERED_MAX:
            del self._missing_ms[next(iter(self._missing_ms))]

    def _strike(self, author: int) -> None:
        recent = [height for height in self._strikes.get(author, []) if height > self._height - STRIKE_BLOCKS]
        self._strikes[author] = [*recent, self._height]
        if len(recent) + 1 >= STRIKES_MAX:
            self._strikes[author] = []
            self._restricted_until[author] = self._height + RESTRICTED_BLOCKS

    def is_ripe(self, checked: CheckedBatch, now_ms: int) -> bool:
        """Whether a leader may name the batch already."""
        if checked.batch.author not in self._restricted_until:
            return True
        entry = self._held.get(checked.batch_hash)
        return entry is not None and now_ms - entry.since_ms >= RESTRICTED_HOLD_MS


class _Room:
    """What a block that names these batches, all of them held, has left."""

    def __init__(self, pool: BatchPool, refs: tuple[Ref, ...]) -> None:
        known = [pool.get(batch_hash) for _, _, batch_hash in refs]
        self._refs_left = BATCH_REFS_MAX - len(refs)
        self._bytes_left = BLOCK_BYTES_MAX - sum(len(item.batch.commands) for item in known if item is not None)
        self._actions_left = BLOCK_ACTIONS_MAX - sum(len(item.actions) for item in known if item is not None)

    def fits(self, checked: CheckedBatch) -> bool:
        return (
            self._refs_left > 0
            and len(checked.batch.commands) <= self._bytes_left
            and len(checked.actions) <= self._actions_left
        )
