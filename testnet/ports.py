"""Free ports, held against other launchers: a while passes between choosing a port and a child listening on it."""

import fcntl
import os
import socket
import tempfile
from pathlib import Path
from typing import IO

from testnet.homes import FolderError

PORT_SPAN = 2_000


class PortLease:
    """Ports chosen by one launcher; they stay its own until it ends or calls `close`."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.gettempdir()) / f"hansa-ports-{os.getuid()}"
        self._locks: list[IO[str]] = []

    def choose(self, base_port: int, count: int) -> list[int]:
        """`count` ports from `base_port` upwards that nobody listens on. Raises `FolderError`."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        chosen: list[int] = []
        for port in range(base_port, min(base_port + PORT_SPAN, 65_536)):
            if len(chosen) == count:
                break
            if self._lock(port) and is_free(port):
                chosen.append(port)
        if len(chosen) < count:
            raise FolderError(f"no {count} free ports from {base_port} upwards: choose another --base-port")
        return chosen

    def close(self) -> None:
        for lock in self._locks:
            lock.close()
        self._locks.clear()

    def _lock(self, port: int) -> bool:
        lock = (self._folder / str(port)).open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            return False
        self._locks.append(lock)
        return True


def is_free(port: int) -> bool:
    """Whether nobody listens there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
