"""The validators of a crash test: started by forking the zygote, killed without warning."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from testnet.local import Child, Processes

ZYGOTE_START_S_MAX = 120.0
KILL_S_MAX = 10.0


class CrashTestError(Exception):
    """The test itself cannot go on; the message says why."""


@dataclass(slots=True)
class Validator:
    """One seat. `pid` is None while nobody sits there."""

    index: int
    pid: int | None = None
    started_s: float = 0.0
    has_voted: bool = False
    is_killed_by_us: bool = False


class Validators:
    """All seats of one network. Times are seconds of `time.monotonic`."""

    def __init__(self, processes: Processes, folder: Path, count: int) -> None:
        log = folder / "zygote.txt"
        argv = [sys.executable, "-m", "testnet.crash.zygote", str(folder)]
        self._processes = processes
        self._child: Child = processes.start("zygote", argv, log, is_piped=True)
        self._buffer = b""
        self._is_ready = False
        self.seats = [Validator(index) for index in range(count)]
        self.deaths: list[str] = []
        give_up_at_s = time.monotonic() + ZYGOTE_START_S_MAX
        while not self._is_ready:
            self.listen(0.1)
            if time.monotonic() > give_up_at_s:
                raise CrashTestError(f"the zygote is not ready; see {log}")

    @property
    def _process(self) -> subprocess.Popen[bytes]:
        return self._child.process

    def start(self, seat: Validator) -> None:
        """Fork a validator into a free seat."""
        assert self._process.stdin is not None, "made with a pipe"
        seat.started_s, seat.has_voted, seat.is_killed_by_us = time.monotonic(), False, False
        self._process.stdin.write(json.dumps({"start": seat.index}).encode() + b"\n")
        self._process.stdin.flush()
        self._wait_for(seat, is_there=True)

    def end(self, seats: list[Validator], number: signal.Signals = signal.SIGKILL) -> None:
        """End these at once; returns when the kernel has let go of them."""
        for seat in seats:
            if seat.pid is not None:
                seat.is_killed_by_us = True
                os.kill(seat.pid, number)
        for seat in seats:
            self._wait_for(seat, is_there=False)

    def _wait_for(self, seat: Validator, is_there: bool) -> None:
        give_up_at_s = time.monotonic() + KILL_S_MAX
        while (seat.pid is not None) is not is_there:
            self.listen(0.05)
            if time.monotonic() > give_up_at_s:
                raise CrashTestError(f"node{seat.index} does not {'start' if is_there else 'end'}")

    def listen(self, wait_s: float) -> None:
        """Take what the zygote says within a time."""
        assert self._process.stdout is not None, "made with a pipe"
        readable, _, _ = select.select([self._process.stdout], [], [], wait_s)
        if not readable:
            return
        data = os.read(self._process.stdout.fileno(), 65536)
        if not data:
            raise CrashTestError(f"the zygote has ended:\n{self._child.tail()}")
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            self._take(json.loads(line))

    def _take(self, message: dict[str, int]) -> None:
        if "ready" in message:
            self._is_ready = True
        elif "started" in message:
            self.seats[message["started"]].pid = message["pid"]
        else:
            seat = self.seats[message["ended"]]
            seat.pid = None
            if not seat.is_killed_by_us:
                code = os.waitstatus_to_exitcode(message["status"])
                self.deaths.append(f"node{seat.index} ended by itself with code {code}; see its log.txt")
