"""What `make bench-consensus` measures on a running local network: load, restarts and catching up, seen from outside.

Everything is read from the processes' CPU time, the nodes' API and the traders' report, never from the code under test.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio

from net.client import AsyncClient, HansaError
from testnet.counters import compare_steps, read_counters
from testnet.counters import percentile as percentile_of_counts
from testnet.faults.processes import kill
from testnet.launch import Launcher, Network
from testnet.local import Processes
from testnet.report import load_report

CLOCK_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
POLL_INTERVAL_S = 0.02
WAIT_S_MAX = 120.0
NEAR_BLOCKS = 3


@dataclass(frozen=True, slots=True)
class Sample:
    """One window of time. `cpu_ms` is of one node for one block; `order_ms` is how long traders waited for final
    answers, `steps_p50_ms` how long after its proposal a block has come so far, at half of the nodes.
    """

    blocks_per_s: float
    cpu_ms: float
    finality_p50_ms: int
    finality_p99_ms: int
    commands_per_s: float
    order_ms: list[int]
    steps_p50_ms: dict[str, int]


def read_cpu_s(process_id: int) -> float:
    """User and system time of a process so far (proc(5))."""
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS_PER_S


async def read_status(url: str) -> dict[str, Any]:
    """Empty while the node does not answer."""
    try:
        async with AsyncClient(url, timeout_s=5) as client:
            status: dict[str, Any] = await client.status()
            return status
    except HansaError:
        return {}


async def read_height(url: str) -> int:
    height: int = (await read_status(url)).get("height", 0)
    return height


async def sample(network: Network, folder: Path, duration_s: float) -> Sample:
    """Look at the network as it is, from a start to an end."""
    process_ids = [node.process.pid for node in network.nodes]
    report, height = load_report(folder / "bots"), await read_height(network.api_urls[0])
    counted = await read_counters(network.api_urls)
    started_s, cpu_s = trio.current_time(), sum(map(read_cpu_s, process_ids))
    await trio.sleep(duration_s)
    statuses = [await read_status(url) for url in network.api_urls]
    elapsed_s, cpu_s = trio.current_time() - started_s, sum(map(read_cpu_s, process_ids)) - cpu_s
    steps_ms = compare_steps(counted, await read_counters(network.api_urls))
    blocks = max(1, statuses[0].get("height", 0) - height)
    after = load_report(folder / "bots")
    new_orders = after.orders_timed - report.orders_timed
    return Sample(
        blocks_per_s=blocks / elapsed_s,
        cpu_ms=1000 * cpu_s / blocks / len(process_ids),
        finality_p50_ms=max(status.get("finality_p50_ms", 0) for status in statuses),
        finality_p99_ms=max(status.get("finality_p99_ms", 0) for status in statuses),
        commands_per_s=(after.commands_sent - report.commands_sent) / elapsed_s,
        order_ms=sorted(after.order_ms[-new_orders:]) if new_orders else [],
        steps_p50_ms={step: percentile_of_counts(counts, 50) for step, counts in steps_ms.items()},
    )


def percentile(ordered: list[int], percent: int) -> int:
    """Of an ordered list; 0 without values."""
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] if ordered else 0


@dataclass(frozen=True, slots=True)
class Restarted:
    """From the new process to the first certificate elsewhere that holds its vote. `cpu_s` is what the process itself
    needed for that, whatever else the machine did meanwhile.
    """

    wall_s: float
    cpu_s: float


async def measure_restart(launcher: Launcher, processes: Processes, network: Network, index: int) -> Restarted:
    """kill -9, and start at once."""
    kill(processes, network.nodes[index])
    witness_url = network.api_urls[(index + 1) % len(network.nodes)]
    started_s = trio.current_time()
    network.nodes[index] = launcher.start_node(index)
    with trio.fail_after(WAIT_S_MAX):
        async with AsyncClient(witness_url) as client:
            height = (await client.status())["height"] + 1
            while True:
                try:
                    certificate = await client.certificate(height)
                except HansaError:
                    await trio.sleep(POLL_INTERVAL_S)
                    continue
                if index in certificate["signers"]:
                    cpu_s = read_cpu_s(network.nodes[index].process.pid)
                    return Restarted(trio.current_time() - started_s, cpu_s)
                height += 1


@dataclass(frozen=True, slots=True)
class CatchUp:
    """How fast a node that was down came back to the others' height."""

    blocks: int
    blocks_per_s: float
    network_blocks_per_s: float

    @property
    def ratio(self) -> float:
        return self.blocks_per_s / self.network_blocks_per_s if self.network_blocks_per_s else 0.0


async def measure_catch_up(
    launcher: Launcher, processes: Processes, network: Network, index: int, down_s: float
) -> CatchUp:
    """Down for so long while the others go on; the clock runs from its first new block until it is near their height,
    because how long a start takes is another figure.
    """
    kill(processes, network.nodes[index])
    own_url, other_url = network.api_urls[index], network.api_urls[(index + 1) % len(network.nodes)]
    height, started_s = await read_height(other_url), trio.current_time()
    await trio.sleep(down_s)
    network_blocks_per_s = (await read_height(other_url) - height) / (trio.current_time() - started_s)
    network.nodes[index] = launcher.start_node(index)
    first: tuple[int, float] | None = None
    with trio.fail_after(WAIT_S_MAX):
        while True:
            height, now_s = await read_height(own_url), trio.current_time()
            if height and first is None:
                first = height, now_s
            elif first is not None and height == first[0]:
                first = height, now_s  # it has not begun yet
            elif first is not None and height >= await read_height(other_url) - NEAR_BLOCKS:
                blocks = height - first[0]
                return CatchUp(blocks, blocks / max(now_s - first[1], 0.001), network_blocks_per_s)
            await trio.sleep(POLL_INTERVAL_S)
