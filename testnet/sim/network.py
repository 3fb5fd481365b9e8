"""Links between members: delay, loss, duplicates, reordering, bandwidth, and cuts of any shape."""

import random
from collections import Counter
from dataclasses import dataclass

from consensus.messages import Block, Certificate, DecodeError, Evidence, Proposal, Vote
from testnet.sim.keys import decode

FILTERS = ("proposal", "notarize", "nullify", "finalize", "certificate", "block", "batch", "report", "request")
VOTE_NAMES = ("", "notarize", "nullify", "finalize")


@dataclass(frozen=True, slots=True)
class Weather:
    """What happens for a while to all links of some members, in both directions; no members: to all links."""

    members: tuple[int, ...] = ()
    delay_ms: int = 0
    jitter_ms: int = 0  # drawn evenly from so much less to so much more
    loss: float = 0.0

    def is_over(self, source: int, target: int) -> bool:
        return not self.members or source in self.members or target in self.members


class Network:
    """Decides when, and how often, a message arrives. Order is whatever the random delays make of it."""

    def __init__(
        self, rng: random.Random, fired: Counter[str], *, delay_least_ms: int, delay_mean_ms: float, loss: float,
        duplicates: float, bandwidth_bytes_per_ms: int,
    ) -> None:  # fmt: skip
        self._rng = rng
        self._fired = fired
        self.delay_least_ms = delay_least_ms
        self.delay_mean_ms = delay_mean_ms
        self.loss = loss
        self.duplicates = duplicates
        self.bandwidth_bytes_per_ms = bandwidth_bytes_per_ms
        self._cuts: Counter[tuple[int, int]] = Counter()  # one-way; several faults may cut one link
        self._filters: dict[int, tuple[str, int]] = {}  # by fault: kind of message, member it does not reach (-1: any)
        self._weather: dict[int, Weather] = {}  # by fault
        self._free_ms: dict[tuple[int, int], int] = {}

    def cut(self, links: list[tuple[int, int]]) -> None:
        self._cuts.update(links)

    def mend(self, links: list[tuple[int, int]]) -> None:
        self._cuts.subtract(links)
        self._cuts = +self._cuts

    def is_cut(self, source: int, target: int) -> bool:
        return bool(self._cuts) and (source, target) in self._cuts

    def add_filter(self, number: int, kind: str, member: int) -> None:
        self._filters[number] = (kind, member)

    def remove_filter(self, number: int) -> None:
        self._filters.pop(number, None)

    def begin_weather(self, number: int, weather: Weather) -> None:
        self._weather[number] = weather

    def end_weather(self, number: int) -> None:
        self._weather.pop(number, None)

    def deliveries_ms(self, now_ms: int, source: int, target: int, what: str, data: object) -> list[int]:
        """The delay of each copy that arrives."""
        rng = self._rng
        if self._cuts and (source, target) in self._cuts:
            self._fired["network: cut"] += 1
            return []
        if self._filters and self._is_filtered(target, what, data):
            return []
        if self.loss and rng.random() < self.loss:
            self._fired["network: loss"] += 1
            return []
        weather = self._find_weather(source, target) if self._weather else []
        if any(known.loss and rng.random() < known.loss for known in weather):
            self._fired["weather: loss"] += 1
            return []
        copies = 1
        if self.duplicates and rng.random() < self.duplicates:
            self._fired["network: duplicate"] += 1
            copies = 2
        queued_ms = self._queue(now_ms, source, target, data) if self.bandwidth_bytes_per_ms else 0
        queued_ms += sum(self._draw_delay_ms(known) for known in weather)
        rate = 1.0 / self.delay_mean_ms
        return [queued_ms + self.delay_least_ms + int(rng.expovariate(rate)) for _ in range(copies)]

    def _find_weather(self, source: int, target: int) -> list[Weather]:
        return [known for known in self._weather.values() if known.is_over(source, target)]

    def _draw_delay_ms(self, weather: Weather) -> int:
        if weather.delay_ms or weather.jitter_ms:
            self._fired["weather: delay"] += 1
        return max(0, weather.delay_ms + self._rng.randint(-weather.jitter_ms, weather.jitter_ms))

    def _queue(self, now_ms: int, source: int, target: int, data: object) -> int:
        """What a link of limited bandwidth makes a message wait."""
        size_bytes = len(data) if isinstance(data, bytes) else 300
        free_ms = max(self._free_ms.get((source, target), 0), now_ms)
        done_ms = free_ms + size_bytes // self.bandwidth_bytes_per_ms
        self._free_ms[source, target] = done_ms
        if done_ms > now_ms:
            self._fired["network: bandwidth"] += 1
        return done_ms - now_ms

    def _is_filtered(self, target: int, what: str, data: object) -> bool:
        kind = classify(what, data)
        for filtered, member in self._filters.values():
            if filtered == kind and member in (-1, target):
                self._fired[f"filter: {kind}"] += 1
                return True
        return False

    def calm_down(self) -> None:
        """Second phase: no loss, no cut, short delays."""
        self._cuts, self._filters, self._weather = Counter(), {}, {}
        self.loss = self.duplicates = 0.0
        self.bandwidth_bytes_per_ms = 0
        self.delay_least_ms = min(self.delay_least_ms, 10)
        self.delay_mean_ms = min(self.delay_mean_ms, 15.0)


def classify(what: str, data: object) -> str:
    """Which filter a frame belongs to."""
    if what != "consensus":
        return what if what in FILTERS else "request"
    assert isinstance(data, bytes)
    try:
        message = decode(data)
    except DecodeError:
        return "junk"
    match message:
        case Vote(kind):
            return VOTE_NAMES[kind]
        case Proposal():
            return "proposal"
        case Certificate():
            return "certificate"
        case Block():
            return "block"
        case Evidence():
            return "evidence"
    return "ready"
