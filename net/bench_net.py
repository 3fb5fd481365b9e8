"""What a committee link carries: `python -m net.bench_net`. Two processes, one link, votes of 160 bytes.

Frames are decoded on arrival, as a validator does. The table goes to stdout, also to build/results/bench-links.json.
"""

import ast
import json
import resource
import socket
import subprocess
import sys
import time
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path

import trio

from consensus.messages import NOTARIZE, Vote
from net.committee import Committee, CommitteeLimits, Inbound, MemberAddress, open_committee
from net.identity import derive_network_key
from net.link import HelloState, LinkLimits
from net.peers import Allowance
from net.wire import BlockRequest, Consensus, Frame

HOST = "127.0.0.1"
NETWORK_ID = bytes(32)
RESULTS = Path("build/results/bench-links.json")
VOTE = Consensus(Vote(NOTARIZE, 1, 1, bytes([1]) * 32, 1, bytes(96)))
MARK = BlockRequest(bytes(32))
ROUND_TRIPS = 300
UNLIMITED = Allowance(frames_per_s=1e9, frames_burst=1e9, bytes_per_s=1e12, bytes_burst=1e12)
# A write limit of one byte makes every frame a write of its own.
VARIANTS = {"one frame per write": 1, "coalesced": LinkLimits().write_bytes_max}


def make_seed(index: int) -> bytes:
    return bytes([index + 1]) * 32


def make_members() -> list[MemberAddress]:
    with socket.socket() as first, socket.socket() as second:
        first.bind((HOST, 0))
        second.bind((HOST, 0))
        ports = (first.getsockname()[1], second.getsockname()[1])
    return [MemberAddress(i, derive_network_key(make_seed(i)), HOST, port) for i, port in enumerate(ports)]


def open_end(index: int, members: list[MemberAddress], write_bytes_max: int) -> AbstractAsyncContextManager[Committee]:
    limits = CommitteeLimits(link=replace(LinkLimits(), write_bytes_max=write_bytes_max), allowance=UNLIMITED)
    return open_committee(
        seed=make_seed(index),
        me=index,
        members=members,
        network_id=NETWORK_ID,
        listen_host=HOST,
        hello=lambda: HelloState(0, 0),
        limits=limits,
    )


async def echo(ports: tuple[int, int], write_bytes_max: int) -> None:
    """The other process: swallows votes and returns marks."""
    keys = [derive_network_key(make_seed(index)) for index in range(2)]
    members = [MemberAddress(index, keys[index], HOST, ports[index]) for index in range(2)]
    async with open_end(1, members, write_bytes_max) as committee:
        async for event in committee.events:
            if isinstance(event, Inbound) and isinstance(event.frame, BlockRequest):
                committee.send(event.peer, event.frame)


async def await_mark(committee: Committee) -> None:
    async for event in committee.events:
        if isinstance(event, Inbound) and event.frame == MARK:
            return


async def measure_round_trips(committee: Committee, frame: Frame) -> list[float]:
    """Sorted, in milliseconds."""
    taken_ms = []
    for _ in range(ROUND_TRIPS):
        start_s = time.perf_counter()
        committee.send(1, frame)
        await await_mark(committee)
        taken_ms.append((time.perf_counter() - start_s) * 1e3)
    return sorted(taken_ms)


async def measure_throughput(committee: Committee, count: int) -> tuple[float, float]:
    """Frames per second until the last has arrived, and this side's CPU per frame in microseconds."""
    start_s, start_cpu_s = time.perf_counter(), read_cpu_s()
    for _ in range(count):
        committee.send(1, VOTE)
    committee.send(1, MARK)
    await await_mark(committee)
    return count / (time.perf_counter() - start_s), (read_cpu_s() - start_cpu_s) / count * 1e6


def read_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def measure(name: str, write_bytes_max: int, count: int) -> dict[str, float | str]:
    members = make_members()
    arguments = ((members[0].port, members[1].port), write_bytes_max)
    with subprocess.Popen([sys.executable, "-m", "net.bench_net", repr(arguments)]) as child:
        try:
            async with open_end(0, members, write_bytes_max) as committee:
                while not committee.peers():
                    await trio.sleep(0.01)
                round_trips_ms = await measure_round_trips(committee, MARK)
                frames_per_s, cpu_us = await measure_throughput(committee, count)
        finally:
            child.kill()
    return {
        "variant": name,
        "frames_per_s": round(frames_per_s),
        "sender_cpu_us_per_frame": round(cpu_us, 1),
        "rtt_p50_ms": round(round_trips_ms[len(round_trips_ms) // 2], 2),
        "rtt_p99_ms": round(round_trips_ms[len(round_trips_ms) * 99 // 100], 2),
    }


def main() -> None:
    if len(sys.argv) > 1:
        trio.run(echo, *ast.literal_eval(sys.argv[1]))
        return
    counts = (5_000, 30_000)
    rows = [trio.run(measure, name, size, count) for (name, size), count in zip(VARIANTS.items(), counts)]
    for row in rows:
        print("  ".join(f"{key} {value}" for key, value in row.items()))
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
