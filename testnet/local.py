"""Child processes that never outlive the launcher.

Each child leads its own process group, so that Ctrl-C in the terminal reaches the launcher alone, which then ends them
in order. Should the launcher itself be killed, the kernel kills its children (Linux; elsewhere an orphan must be ended
by hand).
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

STOP_GRACE_S = 10.0
TAIL_LINES = 25
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class ChildDied(Exception):
    """A process that must keep running has ended; the message carries the end of its log."""


class NoPlace(Exception):
    """What a network's members are to live in cannot be had on this machine; the message says what to do."""


@dataclass(slots=True)
class Child:
    """One running process and the file that takes its output."""

    name: str
    process: subprocess.Popen[bytes]
    log_path: Path

    def describe_end(self) -> str:
        """How it ended, and its last words."""
        return f"{self.name} ended with code {self.process.returncode}; the end of {self.log_path}:\n{self.tail()}"

    def tail(self) -> str:
        """The last lines of the log."""
        try:
            lines = self.log_path.read_text(errors="replace").splitlines()
        except FileNotFoundError:
            lines = []
        return "\n".join(f"  {line}" for line in lines[-TAIL_LINES:]) or "  (it wrote nothing)"


class Processes:
    """All children of one launcher, in order of start. Use as a context manager; leaving it ends them all."""

    def __init__(self) -> None:
        self._children: list[Child] = []

    def __enter__(self) -> "Processes":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_all()

    def start(self, name: str, argv: Sequence[str], log_path: Path, is_piped: bool = False) -> Child:
        """Start a child. Call from the main thread: the death guard is bound to the thread that starts it. `is_piped`:
        its input and output are pipes of ours, and only its errors go to the log.
        """
        log_path.parent.mkdir(parents=True, exist_ok=True)
        launcher_pid = os.getpid()
        with log_path.open("ab") as log:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE if is_piped else subprocess.DEVNULL,
                stdout=subprocess.PIPE if is_piped else log,
                stderr=log,
                start_new_session=True,
                preexec_fn=lambda: _guard_against_orphanhood(launcher_pid),
            )
        child = Child(name, process, log_path)
        self._children.append(child)
        return child

    def named(self, name: str) -> Child:
        """The child of that name."""
        return next(child for child in self._children if child.name == name)

    def find_dead(self) -> list[Child]:
        """Children that have ended by themselves."""
        return [child for child in self._children if child.process.poll() is not None]

    def check(self) -> None:
        """Raises `ChildDied` if one has ended."""
        for child in self.find_dead():
            raise ChildDied(child.describe_end())

    def stop(self, child: Child, grace_s: float = STOP_GRACE_S) -> None:
        """End one child and whatever it has started."""
        self._children.remove(child)
        _stop([child], grace_s)

    def stop_all(self, grace_s: float = STOP_GRACE_S) -> None:
        """End all, the youngest asked first. Returns when none is left."""
        children, self._children = self._children[::-1], []
        _stop(children, grace_s)


def _stop(children: list[Child], grace_s: float) -> None:
    for child in children:
        _signal_group(child, signal.SIGTERM)
    give_up_at_s = time.monotonic() + grace_s
    for child in children:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.process.wait(max(0.05, give_up_at_s - time.monotonic()))
        # The group may hold grandchildren even when its leader has left.
        _signal_group(child, signal.SIGKILL)
        child.process.wait()


def _signal_group(child: Child, number: signal.Signals) -> None:
    # The group may be gone already.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.process.pid, number)


def _guard_against_orphanhood(launcher_pid: int) -> None:
    """Runs in the child before it becomes another program."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != launcher_pid:
            os._exit(1)
