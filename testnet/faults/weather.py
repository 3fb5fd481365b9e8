"""What one direction of a line does to packets: delay, jitter, loss, or nothing gets through. Pure but for its draws.

Packets never overtake each other, as on one path through one provider: TCP would take disorder for loss. So a packet
with a short delay waits for a long one before it, and in a burst delays tend to the upper end of the jitter.
"""

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Weather:
    """One way. Delays are drawn evenly from `delay_ms` - `jitter_ms` to `delay_ms` + `jitter_ms`; of all packets the
    share `lost` never arrives.
    """

    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    lost: float = 0.0
    is_cut: bool = False

    def __post_init__(self) -> None:
        if not (0 <= self.jitter_ms <= self.delay_ms and 0 <= self.lost < 1):
            raise ValueError(f"no weather: {self}")


CALM = Weather()


class Direction:
    """One way of one line."""

    def __init__(self, weather: Weather, draw: random.Random) -> None:
        self.weather = weather
        self._draw = draw
        self._last_due_s = 0.0
        self.carried = 0
        self.dropped = 0

    def find_due_s(self, now_s: float) -> float | None:
        """When a packet that enters now comes out; None: never."""
        weather = self.weather
        if weather.is_cut or (weather.lost and self._draw.random() < weather.lost):
            self.dropped += 1
            return None
        self.carried += 1
        delay_ms = weather.delay_ms + self._draw.uniform(-weather.jitter_ms, weather.jitter_ms)
        self._last_due_s = max(self._last_due_s, now_s + delay_ms / 1000)
        return self._last_due_s
