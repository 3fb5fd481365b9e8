"""What honest validators look like while they are attacked: finality, blocks, memory, and whom they have banned.

Read from outside: the counters of the API, /proc and the nodes' logs.
"""

import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import trio

from testnet.launch import Network
from testnet.local import Child

SAMPLE_INTERVAL_S = 1.0
ASK_TIMEOUT_S = 20.0
MIB = 1024 * 1024
# What net/committee.py, net/hardening.py and net/gateway/server.py write when they shut somebody out.
_BAN = re.compile(r"link\.banned peer=(\d+)")
_TIMED_BAN = re.compile(r"^(\S+) .*link\.banned peer=(\d+) seconds=(\d+)", re.MULTILINE)
_SHUT_OUT = re.compile(r"(?:address|api)\.shut_out address=(\S+)")


@dataclass(slots=True)
class NodePhase:
    """One validator over one phase. `bans` counts whom it banned: member numbers and addresses; `held` are members that
    it had banned before, when the phase began.
    """

    blocks: int = 0
    finality_ms: Counter[int] = field(default_factory=Counter)
    cpu_ms: int = 0
    resident_bytes_max: int = 0
    bans: Counter[str] = field(default_factory=Counter)
    held: frozenset[str] = frozenset()


def percentile(counts: Counter[int], percent: int) -> int:
    """Of a histogram by value; 0 when it is empty."""
    rank = sum(counts.values()) * percent // 100
    for value in sorted(counts):
        rank -= counts[value]
        if rank < 0:
            return value
    return max(counts, default=0)


def read_resident_bytes(process_id: int) -> int:
    """Memory that a process really holds (proc(5)); 0 when it has ended."""
    try:
        status = Path(f"/proc/{process_id}/status").read_text()
    except FileNotFoundError:
        return 0
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    return int(found[1]) * 1024 if found else 0


def count_bans(log: str) -> Counter[str]:
    """Members and addresses that a piece of a node's log says were shut out."""
    bans = Counter(f"member {number}" for number in _BAN.findall(log))
    bans.update(f"address {address}" for address in _SHUT_OUT.findall(log))
    return bans


def find_held(log: str, at: datetime) -> frozenset[str]:
    """Members whose bans, as a node's log tells until then, still hold at that time."""
    bans = ((datetime.fromisoformat(begun), number, int(seconds)) for begun, number, seconds in _TIMED_BAN.findall(log))
    return frozenset(f"member {number}" for begun, number, length_s in bans if begun + timedelta(seconds=length_s) > at)


async def ask_counters(url: str) -> tuple[int, Counter[int], int]:
    """Height, blocks by finality and processor time in µs. Patient: a node that is flooded may answer late."""
    with trio.fail_after(ASK_TIMEOUT_S):
        while True:
            try:
                async with httpx.AsyncClient(timeout=5) as client:
                    answer = (await client.get(f"{url}/api/v2/public/x_get_counters")).json()["result"]
                by_ms = {int(ms): count for ms, count in answer["blocks_by_finality_ms"].items()}
                return answer["height"], Counter(by_ms), answer["cpu_us"]
            except (httpx.HTTPError, ValueError, KeyError):
                await trio.sleep(0.2)


@dataclass(slots=True)
class Holder:
    """The most memory that a process is seen to hold."""

    process_id: int
    resident_bytes_max: int = 0

    async def watch(self) -> None:
        while True:
            self.resident_bytes_max = max(self.resident_bytes_max, read_resident_bytes(self.process_id))
            await trio.sleep(SAMPLE_INTERVAL_S)


class Watcher:
    """Measures the given validators of a network from `begin` to `end`."""

    def __init__(self, network: Network, indices: list[int]) -> None:
        self._nodes: dict[int, Child] = {index: network.nodes[index] for index in indices}
        self._urls = {index: network.api_urls[index] for index in indices}
        self._seen = {index: NodePhase() for index in indices}
        self._before: dict[int, tuple[int, Counter[int], int]] = {}
        self._log_at: dict[int, int] = {}

    async def begin(self) -> None:
        for index, url in self._urls.items():
            self._before[index] = await ask_counters(url)
            log = self._nodes[index].log_path.read_bytes()
            self._log_at[index] = len(log)
            self._seen[index].held = find_held(log.decode(errors="replace"), datetime.now(UTC))

    async def sample(self, duration_s: float) -> None:
        """Watches memory for that long."""
        end_s = trio.current_time() + duration_s
        while trio.current_time() < end_s:
            for index, node in self._nodes.items():
                seen = self._seen[index]
                seen.resident_bytes_max = max(seen.resident_bytes_max, read_resident_bytes(node.process.pid))
            await trio.sleep(min(SAMPLE_INTERVAL_S, max(0.0, end_s - trio.current_time())))

    async def sample_with(self, public: Child, duration_s: float) -> int:
        """The same; the most that a public host held meanwhile."""
        held = Holder(public.process.pid)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(held.watch)
            await self.sample(duration_s)
            nursery.cancel_scope.cancel()
        return held.resident_bytes_max

    async def end(self) -> dict[int, NodePhase]:
        for index, url in self._urls.items():
            height, finality_ms, cpu_us = await ask_counters(url)
            old_height, old_finality_ms, old_cpu_us = self._before[index]
            seen = self._seen[index]
            seen.blocks, seen.finality_ms = height - old_height, finality_ms - old_finality_ms
            seen.cpu_ms = (cpu_us - old_cpu_us) // 1000
            with self._nodes[index].log_path.open("rb") as log:
                log.seek(self._log_at[index])
                seen.bans = count_bans(log.read().decode(errors="replace"))
        return self._seen
