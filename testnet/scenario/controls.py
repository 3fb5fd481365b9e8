"""Words of a small file that a running process has mapped: from outside its clock, its disk, its price program and its
honesty are changed while it runs. `testnet.scenario.member` obeys them.
"""

import mmap
import struct
from pathlib import Path

from testnet.scenario.harms import BEHAVIOURS

FILE_NAME = "controls"
UNDERLYINGS_MAX = 8
HONEST = ""
_WORD = struct.Struct("<q")
_SKEW, _SYNC, _LIE, _SILENCE, _MOVES = range(5)
_BYTES = (_MOVES + UNDERLYINGS_MAX) * _WORD.size


class Controls:
    """Either end: who changes them, and the process that reads them at each use. A word is read and written whole."""

    def __init__(self, folder: Path) -> None:
        """The file is made if need be, with nothing wrong in it."""
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / FILE_NAME).open("a+b") as handle:
            if handle.seek(0, 2) < _BYTES:
                handle.truncate(_BYTES)
            self._words = mmap.mmap(handle.fileno(), _BYTES)

    def _get(self, at: int) -> int:
        value: int = _WORD.unpack_from(self._words, at * _WORD.size)[0]
        return value

    def _set(self, at: int, value: int) -> None:
        _WORD.pack_into(self._words, at * _WORD.size, value)

    @property
    def skew_ms(self) -> int:
        """How far the time of day is ahead."""
        return self._get(_SKEW)

    @skew_ms.setter
    def skew_ms(self, value_ms: int) -> None:
        self._set(_SKEW, value_ms)

    @property
    def sync_ms(self) -> int:
        """How much longer each sync takes."""
        return self._get(_SYNC)

    @sync_ms.setter
    def sync_ms(self, value_ms: int) -> None:
        self._set(_SYNC, value_ms)

    @property
    def lie(self) -> str:
        """The behaviour of a liar; empty: honest."""
        number = self._get(_LIE)
        return BEHAVIOURS[number - 1] if number else HONEST

    @lie.setter
    def lie(self, behaviour: str) -> None:
        self._set(_LIE, BEHAVIOURS.index(behaviour) + 1 if behaviour else 0)

    @property
    def has_no_prices(self) -> bool:
        return bool(self._get(_SILENCE))

    @has_no_prices.setter
    def has_no_prices(self, is_silent: bool) -> None:
        self._set(_SILENCE, int(is_silent))

    def move_bps(self, underlying: int) -> int:
        """How far the market of that number has moved from its seeded path."""
        return self._get(_MOVES + underlying) if underlying < UNDERLYINGS_MAX else 0

    def set_move_bps(self, underlying: int, move_bps: int) -> None:
        self._set(_MOVES + underlying, move_bps)

    def close(self) -> None:
        self._words.close()
