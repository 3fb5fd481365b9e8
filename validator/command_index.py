"""Where the result of a command lies, for every command that was ever executed, in bounded memory.

What a command is found by is the first eight bytes of its id, its key; what is found are places, numbers of results in
the store. The newest are two arrays in memory. When they are long, the oldest are sorted and written out as pages, by
the highest bits of the key: eight pages of level 0. Eight pages of one slice of a level are merged into eight of the
next level, whose slices are an eighth as wide, so a page always holds some eight thousand keys, a key lies in one slice
a level, and every entry is written once a level. (This is O'Neil's log-structured merge, with slices by hash.)

Sorting and merging take milliseconds and are done by `Work`, which any thread may run; what it makes is written with
the next blocks. After a crash the index knows what it has taken over, and the results behind that are read again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from validator.store import IndexPage, Store

FAN_OUT_BITS = 3
FAN_OUT = 1 << FAN_OUT_BITS
KEY_BITS = 64
# Half of what is held in memory at most, 16 bytes each.
TAKEN_OVER_AT_ONCE = 1 << 16

Pairs = tuple[np.ndarray, np.ndarray]  # keys and places, uint64 both


@dataclass(frozen=True, slots=True)
class Work:
    """`make` computes pages and touches nothing else; they go to `CommandIndex.complete`."""

    make: Callable[[], list[IndexPage]]
    level: int  # -1: out of memory
    replaced: tuple[int, ...] = ()


class CommandIndex:
    """See the module's text."""

    def __init__(self, store: Store, taken_over_at_once: int = TAKEN_OVER_AT_ONCE) -> None:
        self._store = store
        self._at_once = taken_over_at_once
        self._count_pages()
        # Places up to this one lie in pages.
        self.taken_over = store.last_indexed_place()
        self._keys, self._places = np.empty(0, np.uint64), np.empty(0, np.uint64)
        self._count = 0

    def _count_pages(self) -> None:
        self._page_counts = self._store.count_index_pages()
        self._levels = 1 + max((level for level, _ in self._page_counts), default=-1)

    def follow_store(self) -> None:
        """Of a mirror: what the node has written into pages meanwhile need not be in memory."""
        taken_over = self._store.last_indexed_place()
        if taken_over != self.taken_over:
            self.taken_over = taken_over
            is_gone = (self._places[: self._count] & PLACE_MASK) <= np.uint64(taken_over)
            self._drop_first(int(np.count_nonzero(is_gone)))  # places ascend

    def add(self, keys: np.ndarray, places: np.ndarray) -> None:
        """Entries with ascending places above all earlier ones, marks apart; what is taken over already is skipped."""
        if len(places) and int(places[0] & PLACE_MASK) <= self.taken_over:
            is_new = (places & PLACE_MASK) > np.uint64(self.taken_over)
            keys, places = keys[is_new], places[is_new]
        end = self._count + len(keys)
        if end > len(self._keys):
            room = np.full(max(4 * self._at_once, end), 0, np.uint64)  # written, so that memory is taken now
            self._keys = np.concatenate((self._keys[: self._count], room))
            self._places = np.concatenate((self._places[: self._count], room))
        self._keys[self._count : end] = keys
        self._places[self._count : end] = places
        self._count = end

    def find_new(self, key: int) -> list[int]:
        """Places of a key among those in memory, ascending."""
        found = np.flatnonzero(self._keys[: self._count] == np.uint64(key))
        return [int(place) for place in self._places[found]]

    def find(self, key: int) -> list[int]:
        """All places of a key."""
        with self._store.at_one_moment():
            if self._store.is_mirror:
                self._count_pages()
            return self.find_new(key) + self._find_in_pages(key)

    def _find_in_pages(self, key: int) -> list[int]:
        found: list[int] = []
        for level in range(self._levels):
            slice_ = key >> (KEY_BITS - FAN_OUT_BITS * (level + 1))
            if (level, slice_) not in self._page_counts:
                continue
            for page_id, keys in self._store.index_keys(level, slice_):
                begin, end = (int(np.searchsorted(keys, np.uint64(key), side)) for side in ("left", "right"))
                if begin < end:
                    found += [int(place) for place in self._store.index_places(page_id)[begin:end]]
        return found

    def next_work(self) -> Work | None:
        """What should be taken over or merged now; call `complete` before asking again."""
        if self._count >= 2 * self._at_once:
            pairs = self._keys[: self._at_once], self._places[: self._at_once]
            return Work(partial(split, [pairs], 0, 0), -1)
        for (level, slice_), count in self._page_counts.items():
            if count >= FAN_OUT:
                pages = self._store.index_pages(level, slice_)
                parts = [(page.keys, page.places) for page in pages]
                make = partial(split, parts, level + 1, slice_, pages[-1].last_place)
                return Work(make, level, tuple(page.page_id for page in pages))
        return None

    def complete(self, work: Work, pages: list[IndexPage]) -> None:
        """What `work` has made replaces what it was made of."""
        self._store.put_index_pages(pages)
        self._store.drop_index_pages(work.replaced)
        if work.level < 0:
            self._drop_first(self._at_once)
            self.taken_over = pages[0].last_place
        else:
            # All pages are of one slice of the level below, cut into narrower ones.
            self._page_counts.pop((work.level, pages[0].slice >> FAN_OUT_BITS), None)
        for page in pages:
            self._page_counts[page.level, page.slice] = self._page_counts.get((page.level, page.slice), 0) + 1
            self._levels = max(self._levels, page.level + 1)

    def _drop_first(self, count: int) -> None:
        """The others move up, and the memory stays: to take it anew costs more than all else that a block needs."""
        left = self._count - count
        for column in (self._keys, self._places):
            column[:left] = column[count : self._count]
        self._count = left

    def forget_before(self, place: int) -> None:
        """Entries of pruned results lead nowhere: pages that hold no others go, with the next blocks."""
        for page_id, level, slice_ in self._store.old_index_pages(place):
            self._store.drop_index_pages((page_id,))
            left = self._page_counts.get((level, slice_), 0) - 1
            if left > 0:
                self._page_counts[level, slice_] = left
            else:
                self._page_counts.pop((level, slice_), None)


# The highest bit of a place marks a result that has not spent its command's nonce.
UNSPENT = np.uint64(1 << 63)
PLACE_MASK = np.uint64((1 << 63) - 1)


def split(parts: list[Pairs], level: int, parent: int, last_place: int | None = None) -> list[IndexPage]:
    """Eight pages of a level out of entries that belong to one slice, `parent`, of the level below."""
    keys, places = (np.concatenate([part[at] for part in parts]) for at in (0, 1))
    if last_place is None:
        last_place = int((places & PLACE_MASK).max())
    order = np.argsort(keys, kind="stable")
    keys, places = keys[order], places[order]
    shift = KEY_BITS - FAN_OUT_BITS * (level + 1)
    slices = [(parent << FAN_OUT_BITS) + at for at in range(FAN_OUT)]
    bounds = np.searchsorted(keys, np.array([slice_ << shift for slice_ in slices[1:]], np.uint64))
    return [
        IndexPage(0, level, slice_, last_place, own_keys, own_places)
        for slice_, own_keys, own_places in zip(slices, np.split(keys, bounds), np.split(places, bounds))
    ]
