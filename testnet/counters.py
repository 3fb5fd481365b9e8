"""What validators counted between two looks: blocks, time to finality, processor time, frames and bytes of links.

They count from their start on (`public/x_get_counters`); a difference of two readings has nothing of what was before.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from net.client import AsyncClient


@dataclass(frozen=True, slots=True)
class Reading:
    """Of one node, since its start."""

    time_ms: int
    cpu_us: int
    height: int
    actions: int
    finality_ms: Counter[int]
    steps_ms: dict[str, Counter[int]]  # blocks by step on the way to finality and milliseconds since the proposal
    frames_out: int
    bytes_out: int
    writes: int


@dataclass(frozen=True, slots=True)
class Window:
    """Of several nodes between two looks. What is `per` a block and node is a mean; times to finality are of all nodes'
    blocks together.
    """

    seconds: float
    blocks: int
    blocks_per_s: float
    actions_per_s: float
    finality_p50_ms: int
    finality_p99_ms: int
    steps_p50_ms: dict[str, int]  # since the proposal
    cpu_ms_per_block: float
    frames_out_per_block: float
    writes_per_block: float
    bytes_out_per_block: float


def take_reading(answer: dict[str, Any]) -> Reading:
    links = answer["links"]
    return Reading(
        time_ms=answer["time_ms"],
        cpu_us=answer["cpu_us"],
        height=answer["height"],
        actions=sum(answer["actions_by_code"].values()),
        finality_ms=_to_counter(answer["blocks_by_finality_ms"]),
        steps_ms={step: _to_counter(counts) for step, counts in answer["blocks_by_step_ms"].items()},
        frames_out=sum(link["frames_out"] for link in links),
        bytes_out=sum(link["bytes_out"] for link in links),
        writes=sum(link["writes"] for link in links),
    )


def _to_counter(counts: dict[str, int]) -> Counter[int]:
    return Counter({int(ms): count for ms, count in counts.items()})


async def read_counters(urls: list[str], limit_s: float = 30.0) -> list[Reading]:
    """One of each node. Raises `HansaError` when one does not answer."""
    readings = []
    for url in urls:
        async with AsyncClient(url, timeout_s=limit_s) as client:
            readings.append(take_reading(await client.call("public/x_get_counters")))
    return readings


def compare(before: list[Reading], after: list[Reading]) -> Window:
    """All of the same nodes, in the same order, none of them started anew in between."""
    pairs = list(zip(before, after, strict=True))
    seconds = (after[0].time_ms - before[0].time_ms) / 1000
    blocks = after[0].height - before[0].height
    finality_ms: Counter[int] = Counter()
    for first, last in pairs:
        finality_ms += last.finality_ms - first.finality_ms
    total = max(1, sum(last.height - first.height for first, last in pairs))
    return Window(
        seconds=seconds,
        blocks=blocks,
        blocks_per_s=blocks / seconds if seconds else 0.0,
        actions_per_s=(after[0].actions - before[0].actions) / seconds if seconds else 0.0,
        finality_p50_ms=percentile(finality_ms, 50),
        finality_p99_ms=percentile(finality_ms, 99),
        steps_p50_ms={step: percentile(counts, 50) for step, counts in compare_steps(before, after).items()},
        cpu_ms_per_block=sum(last.cpu_us - first.cpu_us for first, last in pairs) / total / 1000,
        frames_out_per_block=sum(last.frames_out - first.frames_out for first, last in pairs) / total,
        writes_per_block=sum(last.writes - first.writes for first, last in pairs) / total,
        bytes_out_per_block=sum(last.bytes_out - first.bytes_out for first, last in pairs) / total,
    )


def compare_steps(before: list[Reading], after: list[Reading]) -> dict[str, Counter[int]]:
    """Of all nodes' blocks together between two looks: how long each step took since the proposal."""
    steps: dict[str, Counter[int]] = {}
    for first, last in zip(before, after, strict=True):
        for step, counts in last.steps_ms.items():
            steps[step] = steps.get(step, Counter()) + (counts - first.steps_ms.get(step, Counter()))
    return steps


def percentile(counts: Counter[int], percent: int) -> int:
    """Of counted values; 0 without any."""
    left = counts.total() * percent // 100
    for value in sorted(counts):
        left -= counts[value]
        if left < 0:
            return value
    return max(counts, default=0)
