"""The node's two clocks: one that only moves forward for timers, and the time of day for what is signed."""

import time


class Clocks:
    """Milliseconds. Only the node's edge reads them; the pure parts get their values as arguments."""

    def monotonic_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000
