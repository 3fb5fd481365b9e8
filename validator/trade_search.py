"""Trades by time and by number, of one market or of several: a walk over the stored blocks' trades."""

from collections.abc import Collection, Iterator

import numpy as np

from validator.history import Trade
from validator.order_memory import KNOWN_FILL
from validator.store import CHUNK_ROWS, Chunk, Store

# Chunks that one question may read: an exchange's trades of some minutes to hours.
CHUNKS_MAX = 2_000


def find_trades(
    store: Store, markets: Collection[int] | None, span_ms: tuple[int, int], span_ids: tuple[int, int], count: int,
    is_oldest_first: bool,
) -> tuple[list[Trade], bool]:  # fmt: skip
    """At most `count` trades within both spans, and whether there may be more."""
    first = max(span_ids[0], _find_place(store, span_ms[0]))
    last = min(span_ids[1], _find_place(store, span_ms[1] + 1) - 1)
    found: list[Trade] = []
    for number, chunk in enumerate(store.fill_chunks(first, last, KNOWN_FILL, is_oldest_first)):
        if number >= CHUNKS_MAX:
            return found[:count], True
        found += _pick(chunk, markets, first, last, is_oldest_first)
        if len(found) > count:
            return found[:count], True
    return found, False


def _pick(
    chunk: Chunk, markets: Collection[int] | None, first: int, last: int, is_oldest_first: bool
) -> Iterator[Trade]:
    numbers = chunk.first + np.arange(len(chunk.rows))
    is_meant = (numbers >= first) & (numbers <= last)
    if markets is not None:
        is_meant &= np.isin(chunk.rows["market"], list(markets))
    places = np.flatnonzero(is_meant).tolist()
    for at in places if is_oldest_first else places[::-1]:
        yield Trade(chunk.first + at, chunk.time_ms, chunk.rows[at])


def _find_place(store: Store, time_ms: int) -> int:
    """A number that all trades at or after a time have at least, and all before it are below. Times ascend with
    numbers.
    """
    low, high = store.fill_bounds()
    while low < high:
        middle = (low + high) // 2
        found = store.fill_time(middle)
        if found is None or found[1] >= time_ms:
            high = middle
        else:
            low = found[0] + CHUNK_ROWS
    return low
