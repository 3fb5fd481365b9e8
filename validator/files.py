"""The files of journal and signer guard, one thin method an operation, so that the simulator can put a disk underneath
that tears, fills up and fails.

Every method may raise `OSError`. What is written at once and never changed needs no such class: `write_whole`.
"""

import fcntl
import os
from pathlib import Path


class Files:
    """The operating system's."""

    def make_folder(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)

    def list_files(self, folder: Path, suffix: str) -> list[Path]:
        """By name, ascending."""
        return sorted(folder.glob(f"*{suffix}"))

    def size(self, path: Path) -> int:
        """In bytes; 0 for a file that does not exist."""
        return path.stat().st_size if path.exists() else 0

    def read(self, path: Path) -> bytes:
        return path.read_bytes()

    def truncate(self, path: Path, length: int) -> None:
        os.truncate(path, length)

    def unlink(self, path: Path) -> None:
        path.unlink()

    def open_append(self, path: Path) -> int:
        """A descriptor that appends; the file is made if need be."""
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def open_locked(self, path: Path) -> int:
        """A descriptor to write anywhere. Raises `BlockingIOError` while another process holds it."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise
        return descriptor

    def append(self, descriptor: int, data: bytes) -> int:
        """How many bytes were written: fewer than asked when the disk is full."""
        return os.write(descriptor, data)

    def write_at(self, descriptor: int, data: bytes, offset: int) -> int:
        """How many bytes were written."""
        return os.pwrite(descriptor, data, offset)

    def sync(self, descriptor: int) -> None:
        """What was written through the descriptor survives a crash."""
        os.fdatasync(descriptor)

    def sync_folder(self, folder: Path) -> None:
        """Files made or removed in the folder stay so after a crash."""
        descriptor = os.open(folder, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)

    def close(self, descriptor: int) -> None:
        os.close(descriptor)


def write_whole(path: Path, data: bytes, mode: int = 0o666) -> None:
    """The file is durable and whole before it has its name: write aside, fsync, rename, fsync the folder. `mode`: who
    may read and write it, if it is new.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".partial")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as handle:
        handle.write(data)
        handle.flush()
        os.fsync(handle.fileno())
    aside.rename(path)
    descriptor = os.open(path.parent, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
