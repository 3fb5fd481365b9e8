"""Where the messages of a channel come from: what a block changes, or what is now, told when it is another than before.

A source knows nothing of subscribers: whatever it gives is for all of them, but for `again`, which is for a newcomer
and leaves what it gives to all the others as it is.
"""

from collections.abc import Callable, Sequence
from typing import Any

from net.gateway.backend import BlockEvent

# What changes with every block, and alone is no news.
_NO_NEWS = ("timestamp", "x_height", "seconds")
Message = dict[str, Any]


class Source:
    """Tells nothing. While it `is_held`, what can be told later in one message with more waits for `flush`."""

    is_held = False

    def on_block(self, event: BlockEvent) -> Sequence[object]:
        """Messages that a block makes."""
        return []

    def flush(self) -> Sequence[object]:
        """Messages that waited for their time."""
        return []

    def again(self) -> Sequence[object]:
        """What a newcomer needs to understand what follows."""
        return []

    def reset(self) -> None:
        """Blocks were missed."""

    def close(self) -> None:
        """Nobody listens any more."""


class Paced(Source):
    """Tells at once, or when its time has come, what has changed since it told something."""

    def __init__(self, pace_ms: int) -> None:
        self._pace_ms = pace_ms
        self._is_stale = False

    def on_block(self, event: BlockEvent) -> Sequence[object]:
        self.take(event)
        self._is_stale = True
        return [] if self._pace_ms or self.is_held else self.flush()

    def flush(self) -> Sequence[object]:
        if not self._is_stale:
            return []
        self._is_stale = False
        return self.changes()

    def take(self, event: BlockEvent) -> None:
        """Remembers what the block changed."""

    def changes(self) -> Sequence[object]:
        """What has changed since it was asked last."""
        return []


class Value(Paced):
    """One object as it is now; None: there is none."""

    def __init__(self, read: Callable[[], Message | None], pace_ms: int = 0) -> None:
        super().__init__(pace_ms)
        self._read = read
        self._known: Message | None = None

    def changes(self) -> Sequence[object]:
        found = self._read()
        news = None if found is None else {name: item for name, item in found.items() if name not in _NO_NEWS}
        if found is None or news == self._known:
            return []
        self._known = news
        return [found]

    def again(self) -> Sequence[object]:
        found = self._read()
        return [] if found is None else [found]


class Difference(Value):
    """The same, but after the first message only the fields that are others, beside what says whose they are."""

    def __init__(self, read: Callable[[], Message], always: tuple[str, ...]) -> None:
        super().__init__(read)
        self._always = always

    def changes(self) -> Sequence[object]:
        before = self._known
        found = super().changes()
        return [self._reduce(item, before) for item in found if isinstance(item, dict)]

    def _reduce(self, item: Message, before: Message | None) -> Message:
        if before is None:
            return {"type": "snapshot"} | item
        kept = {name: value for name, value in item.items() if name in self._always or before.get(name) != value}
        return {"type": "change"} | kept

    def again(self) -> Sequence[object]:
        """Whole. Fields that the next change leaves out are as they are here, or it would hold them."""
        found = self._read()
        if found is None:
            return []
        if self._known is None:
            self._known = {name: item for name, item in found.items() if name not in _NO_NEWS}
        return [{"type": "snapshot"} | found]

    def reset(self) -> None:
        self._known = None
