"""How far the download of a snapshot has come: a bar for who watches a terminal, a line every tenth for a log."""

import logging
import sys
from dataclasses import dataclass, field
from typing import TextIO

log = logging.getLogger("hansa.syncing")

BAR_CELLS = 30
LINE_PERCENT = 10
MIB = 1 << 20


@dataclass(slots=True)
class DownloadBar:
    """`stream`: where the bar is drawn, if that is a terminal."""

    stream: TextIO = field(default_factory=lambda: sys.stderr)
    _height: int = 0
    _told_percent: int = -1

    def show(self, height: int, held: int, total: int, size_bytes: int, sources: int) -> None:
        """So many chunks of the snapshot of a height are here, and so many peers give more."""
        percent = 100 * held // max(1, total)
        if height != self._height:
            self._height, self._told_percent = height, -1
        is_line_due = self._told_percent < 0 or percent // LINE_PERCENT > self._told_percent // LINE_PERCENT
        if is_line_due:
            self._told_percent = percent
            self._clear()
            log.info(
                "snapshot.progress height=%d percent=%d chunks_held=%d chunks=%d mib=%.1f peers=%d",
                height, percent, held, total, size_bytes / MIB, sources,
            )  # fmt: skip
        if self.stream.isatty():
            filled = BAR_CELLS * held // max(1, total)
            bar = "#" * filled + "." * (BAR_CELLS - filled)
            end = "\n" if held == total else ""
            self.stream.write(
                f"\rsnapshot of height {height} [{bar}] {percent:3d} % of {size_bytes / MIB:.1f} MiB{end}"
            )
            self.stream.flush()

    def _clear(self) -> None:
        """A log line begins where the bar stands."""
        if self.stream.isatty():
            self.stream.write("\r\x1b[K")
