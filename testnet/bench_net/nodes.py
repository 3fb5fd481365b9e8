"""What the nodes know of themselves: counters read over their API, threads from proc(5), heads that must be equal."""

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import trio

from testnet.launch import Network

CLOCK_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
ANSWER_S_MAX = 30.0
SETTLE_S_MAX = 30.0


class Disagreement(Exception):
    """Nodes do not have the same chain."""


@dataclass(frozen=True, slots=True)
class Counted:
    """One node's counters at one moment, or what happened between two of them."""

    time_ms: int
    cpu_us: int
    height: int
    actions_by_code: Counter[int]
    blocks_by_finality_ms: Counter[int]
    frames_out: int
    writes: int
    bytes_out: int
    links: int
    cpu_s_by_thread: Counter[str]
    resident_mb: int

    @property
    def action_count(self) -> int:
        return sum(self.actions_by_code.values())


def subtract(after: Counted, before: Counted) -> Counted:
    """What happened between two readings of one node."""
    return Counted(
        time_ms=after.time_ms - before.time_ms, cpu_us=after.cpu_us - before.cpu_us,
        height=after.height - before.height,
        actions_by_code=after.actions_by_code - before.actions_by_code,
        blocks_by_finality_ms=after.blocks_by_finality_ms - before.blocks_by_finality_ms,
        frames_out=after.frames_out - before.frames_out, writes=after.writes - before.writes,
        bytes_out=after.bytes_out - before.bytes_out, links=after.links,
        cpu_s_by_thread=after.cpu_s_by_thread - before.cpu_s_by_thread, resident_mb=after.resident_mb,
    )  # fmt: skip


async def read_counters(network: Network) -> list[Counted]:
    """Of all nodes, read at about the same time."""
    found: dict[int, Counted] = {}

    async def read(index: int) -> None:
        async with httpx.AsyncClient(timeout=ANSWER_S_MAX) as client:
            answer = await client.get(f"{network.api_urls[index]}/api/v2/public/x_get_counters")
        found[index] = _parse(answer.json()["result"], network.nodes[index].process.pid)

    async with trio.open_nursery() as nursery:
        for index in range(len(network.api_urls)):
            nursery.start_soon(read, index)
    return [found[index] for index in range(len(network.api_urls))]


def _parse(answer: dict[str, Any], process_id: int) -> Counted:
    links = answer["links"]
    return Counted(
        time_ms=answer["time_ms"], cpu_us=answer["cpu_us"], height=answer["height"],
        actions_by_code=_by_number(answer["actions_by_code"]),
        blocks_by_finality_ms=_by_number(answer["blocks_by_finality_ms"]),
        frames_out=sum(link["frames_out"] for link in links), writes=sum(link["writes"] for link in links),
        bytes_out=sum(link["bytes_out"] for link in links), links=len(links),
        cpu_s_by_thread=read_threads(process_id), resident_mb=read_resident_mb(process_id),
    )  # fmt: skip


def _by_number(counts: dict[str, int]) -> Counter[int]:
    return Counter({int(number): count for number, count in counts.items()})


def read_threads(process_id: int) -> Counter[str]:
    """CPU seconds of a process: of its loop, and of all threads beside it."""
    found: Counter[str] = Counter()
    for task in Path(f"/proc/{process_id}/task").iterdir():
        try:
            text = (task / "stat").read_text()
        except OSError:
            continue  # it has ended
        fields = text.rpartition(")")[2].split()
        name = "loop" if task.name == str(process_id) else "threads"
        found[name] += (int(fields[11]) + int(fields[12])) / CLOCK_TICKS_PER_S  # type: ignore[assignment]
    return found


def read_resident_mb(process_id: int) -> int:
    pages = int(Path(f"/proc/{process_id}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") >> 20


async def wait_for_same_chain(network: Network) -> int:
    """The height up to which all nodes were found to have the same certified header. Raises `Disagreement`."""
    async with httpx.AsyncClient(timeout=ANSWER_S_MAX) as client:
        heads = [counted.height for counted in await read_counters(network)]
        wanted = max(heads)
        with trio.move_on_after(SETTLE_S_MAX):
            while min(heads) < wanted:
                await trio.sleep(0.2)
                heads = [counted.height for counted in await read_counters(network)]
        height = min(heads)
        hashes = set()
        for url in network.api_urls:
            answer = await client.get(f"{url}/api/v2/public/x_get_certificate", params={"height": height})
            hashes.add(answer.json()["result"]["header_hash"])
    if len(hashes) != 1:
        raise Disagreement(f"at height {height} the nodes have {len(hashes)} different headers")
    if height < wanted:
        raise Disagreement(f"a node stands at height {height}, another at {wanted}")
    return height
