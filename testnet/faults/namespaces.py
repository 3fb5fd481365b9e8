"""Network namespaces for the members of a testnet, joined by two networks.

`line`: 198.18.77.0/24, from a TUN device in each to `testnet.faults.router`, with whatever weather is wanted; here the
validators are linked. `desk`: 198.19.77.0/24, a bridge to this machine without any delay; here they are watched, traded
with, and reach the settlement chain. Both are of the range for benchmarks of RFC 2544, which no other network uses.

Needs root, `ip` (iproute2) and /dev/net/tun. Everything carries a name with one prefix: what a killed run has left is
swept away by the next, while a lock keeps two runs apart.
"""

import fcntl
import os
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO

from testnet.faults.router import TUN_PATH

PREFIX = "hansa-line-"
BRIDGE = "hansadesk"
DESK_HOST = "198.19.77.254"
MEMBERS_MAX = 100


class NoNamespaces(Exception):
    """They cannot be made here; the message says what is missing."""


def name_of(index: int) -> str:
    return f"{PREFIX}{index}"


def device_of(index: int) -> str:
    return f"hansaline{index}"


def line_address(index: int) -> str:
    return f"198.18.77.{index + 1}"


def desk_address(index: int) -> str:
    return f"198.19.77.{index + 1}"


def prefix_of(index: int) -> tuple[str, ...]:
    """What a command line begins with to run inside."""
    return ("ip", "netns", "exec", name_of(index))


def find_obstacle() -> str:
    """Why no namespaces can be made here; empty: they can."""
    if os.geteuid() != 0:
        return "network namespaces need root: run it with sudo, or in a container of your own with NET_ADMIN, SYS_ADMIN"
    if shutil.which("ip") is None:
        return "there is no `ip` on the path: install iproute2"
    if not Path(TUN_PATH).exists():
        return f"there is no {TUN_PATH}: mkdir -p /dev/net && mknod {TUN_PATH} c 10 200"
    return ""


class Namespaces:
    """Use as a context manager: what was made is gone when it is left, whatever happened inside."""

    def __init__(self, count: int) -> None:
        if not 1 <= count <= MEMBERS_MAX:
            raise ValueError(f"1 to {MEMBERS_MAX} namespaces, not {count}")
        self.count = count
        self._lock: IO[str] | None = None

    def __enter__(self) -> "Namespaces":
        """Raises `NoNamespaces`."""
        obstacle = find_obstacle()
        if obstacle:
            raise NoNamespaces(obstacle)
        self._lock = (Path(tempfile.gettempdir()) / f"{PREFIX}lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise NoNamespaces("another run has the namespaces: wait until it ends") from None
        try:
            sweep()
            self._make()
        except NoNamespaces:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        sweep()
        if self._lock is not None:
            self._lock.close()

    def _make(self) -> None:
        ip("link", "add", BRIDGE, "type", "bridge")
        ip("addr", "add", f"{DESK_HOST}/24", "dev", BRIDGE)
        ip("link", "set", BRIDGE, "up")
        for index in range(self.count):
            name, outside = name_of(index), f"{BRIDGE}{index}"
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
            ip("link", "add", outside, "type", "veth", "peer", "name", "desk", "netns", name)
            ip("link", "set", outside, "master", BRIDGE, "up")
            ip("-n", name, "addr", "add", f"{desk_address(index)}/24", "dev", "desk")
            ip("-n", name, "link", "set", "desk", "up")

    def join_lines(self) -> None:
        """Move the router's devices in, once it has made them."""
        for index in range(self.count):
            name, device = name_of(index), device_of(index)
            ip("link", "set", device, "netns", name)
            ip("-n", name, "addr", "add", f"{line_address(index)}/24", "dev", device)
            ip("-n", name, "link", "set", device, "txqueuelen", "10000", "up")


def ip(*arguments: str) -> str:
    """Raises `NoNamespaces` with what it said."""
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise NoNamespaces(f"`ip {' '.join(arguments)}` failed: {done.stderr.strip()}")
    return done.stdout


def sweep() -> None:
    """Remove all that carries our names. A namespace lives on while a process is in it, so its wires go first."""
    for line in ip("-o", "link").splitlines():
        name = line.split(":")[1].strip().partition("@")[0]
        if name.startswith(BRIDGE):
            with suppress(NoNamespaces):
                ip("link", "del", name)
    for line in ip("netns", "list").splitlines():
        name = line.split()[0] if line.strip() else ""
        if name.startswith(PREFIX):
            with suppress(NoNamespaces):
                ip("netns", "del", name)
