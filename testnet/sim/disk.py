"""A disk that forgets what was not synced, in the middle of a record if it likes; slow, full or broken on demand."""

import errno
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from validator.files import Files

GARBAGE_BYTES_MAX = 64


@dataclass(slots=True)
class Content:
    """One file: as the process sees it, as the platters hold it, and what lies between."""

    seen: bytearray = field(default_factory=bytearray)
    durable: bytearray = field(default_factory=bytearray)
    waiting: list[tuple[int, bytes]] = field(default_factory=list)

    def write(self, offset: int, data: bytes) -> None:
        put(self.seen, offset, data)
        self.waiting.append((offset, data))

    def sync(self) -> list[bytes]:
        """What became durable just now."""
        made = [data for _, data in self.waiting]
        for offset, data in self.waiting:
            put(self.durable, offset, data)
        self.waiting = []
        return made


def put(target: bytearray, offset: int, data: bytes) -> None:
    """A gap before `offset` reads as zeros."""
    if len(target) < offset:
        target += bytes(offset - len(target))
    target[offset : offset + len(data)] = data


class Disk(Files):
    """Survives its node. `on_effect` is called before everything that reaches the disk (a crash may come from there),
    `on_sync` with the writes that a sync made durable, `on_wait` with the milliseconds that an operation took.
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._files: dict[Path, Content] = {}
        self._open: dict[int, Path] = {}
        self._descriptor = 2
        self.on_effect: Callable[[], None] = lambda: None
        self.on_sync: Callable[[Path, list[bytes]], None] = lambda path, writes: None
        self.on_wait: Callable[[], None] = lambda: None
        self.is_full = False
        self.fails_sync = False
        self.is_damaged = False
        self.error_count = 0

    # what a node asks for

    def make_folder(self, folder: Path) -> None:
        pass

    def list_files(self, folder: Path, suffix: str) -> list[Path]:
        return sorted(path for path in self._files if path.parent == folder and path.suffix == suffix)

    def size(self, path: Path) -> int:
        return len(self._files[path].seen) if path in self._files else 0

    def read(self, path: Path) -> bytes:
        return bytes(self._files[path].seen)

    def truncate(self, path: Path, length: int) -> None:
        self.on_effect()
        content = self._files[path]
        del content.seen[length:]
        del content.durable[length:]

    def unlink(self, path: Path) -> None:
        self.on_effect()
        del self._files[path]

    def open_append(self, path: Path) -> int:
        self._files.setdefault(path, Content())
        self._descriptor += 1
        self._open[self._descriptor] = path
        return self._descriptor

    def open_locked(self, path: Path) -> int:
        return self.open_append(path)

    def append(self, descriptor: int, data: bytes) -> int:
        return self.write_at(descriptor, data, len(self._files[self._open[descriptor]].seen))

    def write_at(self, descriptor: int, data: bytes, offset: int) -> int:
        self.on_effect()
        if self.is_full:
            self.error_count += 1
            data = data[: self._rng.randrange(len(data))]
        self._files[self._open[descriptor]].write(offset, data)
        return len(data)

    def sync(self, descriptor: int) -> None:
        self.on_effect()
        self.on_wait()
        path = self._open[descriptor]
        if self.fails_sync:
            self.error_count += 1
            raise OSError(errno.EIO, "the disk failed")
        writes = self._files[path].sync()
        self.on_sync(path, writes)

    def sync_folder(self, folder: Path) -> None:
        self.on_effect()

    def close(self, descriptor: int) -> None:
        self._open.pop(descriptor, None)

    # what fate does

    def crash(self) -> bool:
        """A part of the unsynced bytes may have reached the platters, the last write torn, rubbish behind it. True
        when something was lost.
        """
        is_torn = False
        for path, content in self._files.items():
            total = sum(len(data) for _, data in content.waiting)
            left = self._rng.randint(0, total)
            is_torn |= left < total
            for offset, data in content.waiting:
                kept = data[: max(left, 0)]
                if kept:
                    put(content.durable, offset, kept)
                left -= len(kept)
            is_torn_tail = bool(content.waiting) and left <= 0 and path.suffix == ".journal"
            if is_torn_tail and self._rng.random() < 0.3:
                content.durable += self._rng.randbytes(self._rng.randint(0, GARBAGE_BYTES_MAX))
            content.waiting = []
            content.seen = bytearray(content.durable)
        self._open = {}
        return is_torn

    def wipe(self) -> None:
        """A new, empty disk."""
        self._files, self._open = {}, {}
        self.is_damaged = False

    def rot(self) -> None:
        """One bit in the older half of the journal's first file flips."""
        for path in sorted(self._files):
            durable = self._files[path].durable
            if path.suffix == ".journal" and len(durable) > 100:
                at = self._rng.randrange(len(durable) // 2)
                durable[at] ^= 1 << self._rng.randrange(8)
                self._files[path].seen = bytearray(durable)
                self.is_damaged = True
                return
