"""The time of day of this whole process, ahead of the machine's by what the controls say. For scenarios only."""

import time

from testnet.scenario.controls import Controls


def follow_clock(controls: Controls) -> None:
    """From now on `time.time` and `time.time_ns` are shifted; no timer reads these."""
    real_ns = time.time_ns

    def shifted_ns() -> int:
        return real_ns() + controls.skew_ms * 1_000_000

    time.time_ns = shifted_ns
    time.time = lambda: shifted_ns() / 1e9
