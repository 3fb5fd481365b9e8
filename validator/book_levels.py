"""The levels of books as arrays, and how they differ from one block to the next."""

import numpy as np

from engine.compiling import entry_point
from engine.orderbook import NO_RANK, NOTHING, next_level, rank_of_level
from engine.state import EngineState
from engine.tables import Number, Tables
from net.gateway.backend import LevelChange

BOOK_LEVELS = 500


@entry_point
def _list_levels(t: Tables, side_index: Number, prices_ticks: np.ndarray, sizes_lots: np.ndarray) -> Number:
    """Price and shown lots of the best levels of a side, best first, as many as there are and fit; returns how many."""
    book, side = t.orderbook.book, t.orderbook.sides[side_index]
    level: Number = np.int64(side["best_level"]) if np.int64(side["best_rank"]) != NO_RANK else NOTHING
    count = np.int64(0)
    while level != NOTHING and count < len(prices_ticks):
        prices_ticks[count] = abs(np.int64(side["mirror_ticks"]) - rank_of_level(t.orderbook, level))
        lots, index = np.int64(0), np.int64(book[level]["next"])
        while index != level:
            lots += book[index]["lots"]
            index = np.int64(book[index]["next"])
        sizes_lots[count] = lots
        count += 1
        level = next_level(t.orderbook, level)
    return count


def list_side(state: EngineState, market: int, side: int, levels_max: int) -> tuple[np.ndarray, np.ndarray]:
    """(price_ticks, shown lots) of the best levels of a side, best first."""
    prices_ticks, sizes_lots = np.empty(levels_max, np.int64), np.empty(levels_max, np.int64)
    count = int(_list_levels(state.tables, 2 * market + side, prices_ticks, sizes_lots))
    return prices_ticks[:count], sizes_lots[:count]


Levels = list[tuple[np.ndarray, np.ndarray]]  # of both sides: ascending price_ticks and lots of the best levels


class WatchedBooks:
    """The best levels of the markets that somebody watches, as they were after the last block."""

    def __init__(self, state: EngineState) -> None:
        list_side(state, 0, 0, 1)  # compiled now, or read from the cache, and not while a client waits
        self._levels: dict[int, Levels] = {}
        self._watchers: dict[int, int] = {}

    def watch(self, state: EngineState, market: int) -> None:
        """From now on changes of this book are told."""
        self._watchers[market] = self._watchers.get(market, 0) + 1
        self._levels.setdefault(market, _read(state, market))

    def forget(self, market: int) -> None:
        """One watcher less."""
        self._watchers[market] = self._watchers.get(market, 0) - 1
        if self._watchers[market] <= 0:
            del self._watchers[market]
            self._levels.pop(market, None)

    def watch_alike(self, state: EngineState, others: "WatchedBooks") -> None:
        """The books that are watched there, by as many."""
        for market, count in others._watchers.items():
            for _ in range(count):
                self.watch(state, market)

    def take_changes(self, state: EngineState) -> dict[int, tuple[LevelChange, ...]]:
        """By market, what is new since the last call."""
        changes = {}
        for market, old in self._levels.items():
            new = _read(state, market)
            changed = tuple(change for side in (0, 1) for change in _compare(side, old[side], new[side]))
            if changed:
                changes[market] = changed
                self._levels[market] = new
        return changes


def _read(state: EngineState, market: int) -> Levels:
    levels = []
    for side in (0, 1):
        prices_ticks, sizes_lots = list_side(state, market, side, BOOK_LEVELS)
        order = np.argsort(prices_ticks)
        levels.append((prices_ticks[order], sizes_lots[order]))
    return levels


def _compare(
    side: int, old: tuple[np.ndarray, np.ndarray], new: tuple[np.ndarray, np.ndarray]
) -> list[LevelChange]:  # fmt: skip
    is_gone = ~np.isin(old[0], new[0], assume_unique=True)
    changes = [LevelChange(side, price_ticks, 0) for price_ticks in old[0][is_gone].tolist()]
    at = np.minimum(np.searchsorted(old[0], new[0]), max(len(old[0]) - 1, 0))
    is_same = np.zeros(len(new[0]), bool)
    if len(old[0]):
        is_same = (old[0][at] == new[0]) & (old[1][at] == new[1])
    pairs = zip(new[0][~is_same].tolist(), new[1][~is_same].tolist())
    return changes + [LevelChange(side, price_ticks, size_lots) for price_ticks, size_lots in pairs]
