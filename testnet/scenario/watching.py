"""Looks at all members twice a second through their APIs: heights, and how long blocks took to become final."""

from collections import Counter
from dataclasses import dataclass, field

import trio

from net.client import AsyncClient, HansaError
from testnet.counters import take_reading
from testnet.scenario.facts import Final, Sample

LOOK_S = 0.5
ANSWER_S_MAX = 2.0
# An answer that is older says nothing about now.
STALE_S = 2.5


@dataclass(slots=True)
class _Seen:
    height: int = 0
    at_s: float = -STALE_S
    finality_ms: Counter[int] = field(default_factory=Counter)


class Sampler:
    """`samples` and `finals` grow while `run` runs, which may be stopped and run again. Blocks of `members` are timed:
    of all but liars.
    """

    def __init__(self, urls: list[str], members: tuple[int, ...], began_s: float) -> None:
        self._urls, self._members, self._began_s = urls, members, began_s
        self._seen = [_Seen() for _ in urls]
        self.samples: list[Sample] = []
        self.finals: list[Final] = []

    @property
    def now_s(self) -> float:
        return trio.current_time() - self._began_s

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            for index in range(len(self._urls)):
                nursery.start_soon(self._follow, index)
            while True:
                self.look()
                await trio.sleep(LOOK_S)

    def look(self) -> None:
        """One sample of what was heard last."""
        now_s = self.now_s
        heights = tuple(seen.height if now_s - seen.at_s < STALE_S else None for seen in self._seen)
        self.samples.append(Sample(now_s, heights))

    async def _follow(self, index: int) -> None:
        async with AsyncClient(self._urls[index], timeout_s=ANSWER_S_MAX) as client:
            while True:
                try:
                    reading = take_reading(await client.call("public/x_get_counters"))
                except HansaError:
                    await trio.sleep(LOOK_S)
                    continue
                self._note(index, reading.height, reading.finality_ms)
                await trio.sleep(LOOK_S)

    def _note(self, index: int, height: int, finality_ms: Counter[int]) -> None:
        """Counters begin anew with each start of a node."""
        seen = self._seen[index]
        is_same_start = finality_ms.total() >= seen.finality_ms.total()
        new = finality_ms - seen.finality_ms if is_same_start else finality_ms
        if index in self._members and seen.at_s >= 0:
            self.finals += [Final(self.now_s, height, float(ms)) for ms in new.elements()]
        seen.height, seen.at_s, seen.finality_ms = height, self.now_s, finality_ms
