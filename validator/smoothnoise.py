"""Numbers that look drawn and move smoothly, the same on every machine: pure functions of their names and the time.

Each octave draws one level per period from a hash and moves in a straight line between levels (value noise). Integers
only.
"""

import hashlib

RESOLUTION = 1 << 32
Octaves = tuple[tuple[int, int], ...]


def draw(*parts: object) -> int:
    """A number from -`RESOLUTION` to `RESOLUTION` - 1."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % (2 * RESOLUTION) - RESOLUTION


def compute_shift(octaves: Octaves, time_ms: int, *name: object) -> int:
    """The sum of all octaves at a time, in units of 1 / `RESOLUTION`. `octaves` are (period_ms, amplitude)."""
    return sum(
        amplitude * _interpolate(time_ms, period_ms, *name, octave)
        for octave, (period_ms, amplitude) in enumerate(octaves)
    )


def _interpolate(time_ms: int, period_ms: int, *name: object) -> int:
    """On the line between the draws around `time_ms`."""
    step, into_ms = divmod(time_ms, period_ms)
    before, after = draw(*name, step), draw(*name, step + 1)
    return before + (after - before) * into_ms // period_ms
