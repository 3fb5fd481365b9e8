"""The router as a child process of ours, and the probe that says what its lines really are like.

A dead or starved router delays nothing or everything; so whoever reports figures measures the lines before and after.
"""

import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from testnet.faults.namespaces import Namespaces, device_of, line_address, prefix_of
from testnet.faults.weather import Weather
from testnet.local import Child, ChildDied, Processes

PROBES = 150
PROBE_GAP_MS = 20


@dataclass(frozen=True, slots=True)
class Carried:
    """Since the router's start; `late_ms` since the last time that it was asked."""

    carried: int
    dropped: int
    late_ms: float
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Echoes:
    """What one probe sent to another and got back."""

    start: int
    end: int
    sent: int
    rtt_ms: tuple[float, ...]


class Lines:
    """All lines between the namespaces. Made inside `Processes`, which end the router."""

    def __init__(
        self, processes: Processes, namespaces: Namespaces, weather: Weather, seed: int, log_folder: Path
    ) -> None:
        self._processes, self._count, self._logs = processes, namespaces.count, log_folder
        self._members = list(range(self._count))
        argv = [sys.executable, "-m", "testnet.faults.router"]
        self._router = processes.start("router", argv, log_folder / "router.txt", is_piped=True)
        first = {
            "devices": [device_of(index) for index in self._members],
            "addresses": [line_address(index) for index in self._members],
            "weather": asdict(weather),
            "seed": seed,
        }
        ask(self._router, first)
        namespaces.join_lines()

    def change(self, weather: Weather, starts: list[int] | None = None, ends: list[int] | None = None) -> None:
        """Of the directions from `starts` to `ends`; by default of all."""
        starts, ends = self._members if starts is None else starts, self._members if ends is None else ends
        ask(self._router, {"weather": asdict(weather), "from": starts, "to": ends})

    def isolate(self, index: int, weather: Weather) -> None:
        """Both ways between one and all others."""
        self.change(weather, [index], None)
        self.change(weather, None, [index])

    def read(self) -> Carried:
        answer = ask(self._router, {"counters": True})
        totals = [sum(sum(row) for row in answer[name]) for name in ("carried", "dropped")]
        return Carried(totals[0], totals[1], answer["late_ms"], answer["cpu_s"])

    def probe(self, probes: int = PROBES) -> list[Echoes]:
        """From every namespace to every other at once, by UDP. Blocking, some seconds."""
        children = [self._start_probe(index, probes) for index in self._members]
        try:
            for child in children:
                hear(child)
            for child in children:
                tell(child, {"go": True})
            answers = [hear(child) for child in children]
        finally:
            for child in children:
                self._processes.stop(child)
        return [
            Echoes(start, end, probes, tuple(answers[start]["rtt_ms"][line_address(end)]))
            for start in self._members
            for end in self._members
            if start != end
        ]

    def _start_probe(self, index: int, probes: int) -> Child:
        others = [line_address(other) for other in self._members if other != index]
        argv = [*prefix_of(index), sys.executable, "-m", "testnet.faults.probe", line_address(index), *others]
        argv += ["--count", str(probes), "--gap-ms", str(PROBE_GAP_MS)]
        return self._processes.start(f"probe{index}", argv, self._logs / "probe.txt", is_piped=True)


def tell(child: Child, message: dict[str, Any]) -> None:
    """One line of JSON. Raises `ChildDied`."""
    assert child.process.stdin is not None, "made with a pipe"
    try:
        child.process.stdin.write(json.dumps(message).encode() + b"\n")
        child.process.stdin.flush()
    except BrokenPipeError:
        raise _describe_end(child) from None


def hear(child: Child) -> dict[str, Any]:
    """One line of JSON. Raises `ChildDied`."""
    assert child.process.stdout is not None, "made with a pipe"
    line = child.process.stdout.readline()
    if not line:
        raise _describe_end(child)
    answer: dict[str, Any] = json.loads(line)
    return answer


def ask(child: Child, message: dict[str, Any]) -> dict[str, Any]:
    tell(child, message)
    return hear(child)


def _describe_end(child: Child) -> ChildDied:
    time.sleep(0.1)  # its last words may still be on their way to the log
    child.process.poll()
    return ChildDied(child.describe_end())
