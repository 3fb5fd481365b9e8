"""Who publishes the next blocks. Pure; the caller passes the clock.

All members hold the same blocks, and a gossip message costs each of them milliseconds: one copy is enough. After each
published run the right to publish passes on with the height it ended at; whoever is not next waits a little longer for
every member before it, and not at all once the run has been seen. So a dead, slow or silent publisher costs a short
delay, and nobody can keep blocks from being published.
"""

from dataclasses import dataclass


@dataclass(slots=True)
class Turns:
    """`interval_s`: how long blocks are collected into one message; `step_s`: what each place in the line costs.
    `index`: our seat, None for a node that has none and stands behind all who do.
    """

    index: int | None
    count: int
    interval_s: float
    step_s: float
    published_height: int = 0
    _waiting_since_s: float | None = None

    def on_block(self, height: int, now_s: float) -> None:
        """The chain has this height here."""
        if height > self.published_height and self._waiting_since_s is None:
            self._waiting_since_s = now_s

    def on_published(self, height: int, head_height: int, now_s: float) -> None:
        """Somebody, perhaps we, published everything up to this height; our chain has `head_height`."""
        if height > self.published_height:
            self.published_height = height
            self._waiting_since_s = now_s if head_height > height else None

    def due_s(self) -> float | None:
        """When we publish, unless somebody does before; None: there is nothing to publish."""
        if self._waiting_since_s is None:
            return None
        place = self.count if self.index is None else (self.index - self.published_height) % self.count
        return self._waiting_since_s + self.interval_s + place * self.step_s
