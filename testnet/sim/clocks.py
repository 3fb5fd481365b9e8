"""The two clocks of a simulated node: virtual time, plus what its current tick has taken, bent by offset and drift."""

from collections.abc import Callable

from validator.clocks import Clocks

START_MS = 1_700_000_000_000  # the wall clock's time at virtual zero
PPM = 1_000_000


class SkewedClocks(Clocks):
    """Drift is in parts per million; steps of the wall clock change `offset_ms`."""

    def __init__(self, now_ms: Callable[[], int], offset_ms: int, wall_drift_ppm: int, timer_drift_ppm: int) -> None:
        self._now_ms = now_ms
        self.offset_ms = offset_ms
        self._wall_drift_ppm = wall_drift_ppm
        self._timer_drift_ppm = timer_drift_ppm

    def monotonic_ms(self) -> int:
        now_ms = self._now_ms()
        return now_ms + now_ms * self._timer_drift_ppm // PPM

    def wall_ms(self) -> int:
        now_ms = self._now_ms()
        return START_MS + self.offset_ms + now_ms + now_ms * self._wall_drift_ppm // PPM

    def virtual_ms(self, monotonic_ms: int) -> int:
        """The earliest virtual time at which the monotonic clock shows this."""
        guess_ms = monotonic_ms * PPM // (PPM + self._timer_drift_ppm)
        while guess_ms + guess_ms * self._timer_drift_ppm // PPM < monotonic_ms:
            guess_ms += 1
        return guess_ms

    def set_right(self) -> None:
        """The operator has repaired the time service."""
        self.offset_ms = self._wall_drift_ppm = 0
