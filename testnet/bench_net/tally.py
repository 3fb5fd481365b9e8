"""What one client process knows of its own load: sent, answered, refused, and how long answers took."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Tally:
    """Counts messages. What is told of a window counts what happened in it; times are `trio.current_time`.

    Latency is of messages that were sent inside the window.
    """

    starts_s: float
    ends_s: float
    sent: int = 0
    done: int = 0
    refused: int = 0
    sent_inside: int = 0
    codes: Counter[int] = field(default_factory=Counter)  # of refusals
    latencies_s: list[float] = field(default_factory=list)

    def is_inside(self, now_s: float) -> bool:
        return self.starts_s <= now_s < self.ends_s

    def on_sent(self, count: int, now_s: float) -> None:
        self.sent += count
        if self.is_inside(now_s):
            self.sent_inside += count

    def on_refused(self, code: int, count: int = 1) -> None:
        """The node took none of these messages."""
        self.refused += count
        self.codes[code] += count

    def on_done(self, count: int) -> None:
        """Final answers came."""
        self.done += count

    def on_latency(self, sent_s: float, now_s: float) -> None:
        if self.is_inside(sent_s):
            self.latencies_s.append(now_s - sent_s)

    @property
    def outstanding(self) -> int:
        return self.sent - self.done - self.refused
