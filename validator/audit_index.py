"""The index of commands, compared with the commands of the replayed blocks.

There may be more entries than memory holds, so both sides are added up by block: a sum of hashes that no wrong, missing
or additional entry leaves as it is, but for one chance in 2^64.
"""

import numpy as np

from validator.audit_rows import Mismatch, Rows
from validator.command_index import FAN_OUT_BITS, KEY_BITS, PLACE_MASK
from validator.history import first_place, index_entries
from validator.store import PLACE_BITS

_PAGE_SQL = "SELECT id, level, slice, keys, places FROM index_pages ORDER BY id"
_ODD = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(29)


def _mix(keys: np.ndarray, places: np.ndarray) -> np.ndarray:
    """A hash of each pair."""
    mixed = (places ^ (places >> _SHIFT)) * _ODD ^ keys
    mixed = (mixed ^ (mixed >> _SHIFT)) * _ODD
    result: np.ndarray = mixed ^ (mixed >> _SHIFT)
    return result


class IndexAudit:
    """Sums by height, from the first audited one on."""

    def __init__(self, rows: Rows, first_height: int) -> None:
        self._rows = rows
        self._first_height = first_height
        # What a running node takes over from now on is left out.
        self._limit = np.uint64(rows.last_indexed_place())
        self._sums: list[int] = []

    def add(self, height: int, ids: np.ndarray, codes: np.ndarray) -> None:
        """The next block: ids of its commands and codes of their results."""
        keys, places = index_entries(first_place(height), ids, codes)
        is_taken = (places & PLACE_MASK) <= self._limit
        self._sums.append(int(_mix(keys[is_taken], places[is_taken]).sum(dtype=np.uint64)))

    def check(self, last_height: int) -> None:
        """Raises `Mismatch`."""
        wanted = np.array(self._sums, np.uint64)
        found = np.zeros(len(wanted), np.uint64)
        for page_id, level, slice_, own_keys, own_places in self._rows.stream(last_height, "index_pages", _PAGE_SQL):
            keys, places = (self._read(last_height, page_id, name, data) for name, data in
                            (("keys", own_keys), ("places", own_places)))  # fmt: skip
            shift = np.uint64(KEY_BITS - FAN_OUT_BITS * (level + 1)) if isinstance(level, int) and level >= 0 else None
            is_sorted = len(keys) == len(places) and bool(np.all(keys[1:] >= keys[:-1]))
            if shift is None or not is_sorted or not np.all(keys >> shift == np.uint64(slice_)):
                raise Mismatch(last_height, "index_pages", "keys", f"those of page {page_id} are not where they belong")
            heights = ((places & PLACE_MASK) >> np.uint64(PLACE_BITS)).astype(np.int64) - self._first_height
            is_meant = (heights >= 0) & (heights < len(found)) & ((places & PLACE_MASK) <= self._limit)
            np.add.at(found, heights[is_meant], _mix(keys[is_meant], places[is_meant]))
        differs = np.flatnonzero(found != wanted)
        if len(differs):
            height = self._first_height + int(differs[0])
            raise Mismatch(height, "index_pages", "places", "the index does not lead to exactly this block's commands")

    @staticmethod
    def _read(height: int, page_id: int, name: str, data: object) -> np.ndarray:
        if not isinstance(data, bytes) or len(data) % 8:
            raise Mismatch(height, "index_pages", name, f"those of page {page_id} are damaged")
        return np.frombuffer(data, np.uint64)
