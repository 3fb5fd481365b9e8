"""One book as the subscribers of one channel know it. Pure.

A snapshot given to a newcomer and the next change sent to everybody always chain by `change_id` and `prev_change_id`.
"""

from engine.commands import BUY, SELL
from net.gateway.backend import BlockEvent, BookView, LevelChange

WHOLE_BOOK_LEVELS = 1 << 20
Level = tuple[str, int, int, int]  # action, side, price_ticks, size_lots


class BookMirror:
    """The levels that were sent, and the changes that were not yet."""

    def __init__(self, view: BookView) -> None:
        self.market = view.market
        self.change_id = view.height
        self.time_ms = view.time_ms
        self._sides: tuple[dict[int, int], dict[int, int]] = (dict(view.bids), dict(view.asks))
        self._pending: dict[tuple[int, int], int] = {}
        self._pending_id = view.height

    def add(self, event: BlockEvent, changes: tuple[LevelChange, ...]) -> None:
        """Remembers the changes of a block; what the snapshot contained already is skipped."""
        if event.height > self._pending_id:
            self._pending.update(((change.side, change.price_ticks), change.size_lots) for change in changes)
            self._pending_id, self.time_ms = event.height, event.time_ms

    def flush(self) -> tuple[int, list[Level]] | None:
        """Advances to the pending state: the previous `change_id` and the changes since, or None without any."""
        levels: list[Level] = []
        for (side, price_ticks), size_lots in self._pending.items():
            known_lots = self._sides[side].get(price_ticks, 0)
            if size_lots == known_lots:
                continue
            if size_lots:
                self._sides[side][price_ticks] = size_lots
            else:
                del self._sides[side][price_ticks]
            action = "new" if not known_lots else "change" if size_lots else "delete"
            levels.append((action, side, price_ticks, size_lots))
        self._pending.clear()
        if not levels:
            return None
        previous_id, self.change_id = self.change_id, self._pending_id
        return previous_id, levels

    def levels(self) -> list[Level]:
        """The whole book, best first, as changes from nothing."""
        bids = [("new", BUY, price, lots) for price, lots in sorted(self._sides[BUY].items(), reverse=True)]
        return bids + [("new", SELL, price, lots) for price, lots in sorted(self._sides[SELL].items())]
