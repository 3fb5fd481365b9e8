"""Simplex agreement as a pure state machine: events in, effects out."""

from collections.abc import Sequence

from consensus.effects import Effect
from consensus.events import Event
from consensus.timeouts import CoreConfig

__all__ = ["Core", "CoreConfig"]


class Core:
    """One member's view of one epoch. No I/O, no clock, no randomness."""

    def __init__(self, config: CoreConfig, leaders: tuple[int, ...], durable: Sequence[bytes] = ()) -> None:
        self._config = config
        self._leaders = leaders
        self._durable = durable

    def start(self, now_ms: int) -> list[Effect]:
        """Enter the current view and send again what a crash may have swallowed."""
        return []

    def handle(self, now_ms: int, event: Event) -> list[Effect]:
        """One event, all its consequences. Never raises on anything a peer can send."""
        return []
