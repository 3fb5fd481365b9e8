"""What a committee link costs: `python -m net.bench_links`. Processes on one machine, links beside bare TCP.

Two processes exchange frames of three sizes, one at a time, flat out with a write for each, and flat out joined; four
broadcast to each other at a steady pace. Bare TCP is a trio socket with the same framing, queue and decoding, so the
ratio is what noise, yamux, heartbeats and budgets cost. The table goes to stdout, the same to
build/results/bench-links.json. CPU is of a whole process, in microseconds a frame. The exit code is 0 only if a
delivery in the mesh costs at most `MESH_RATIO_MAX` times what it costs over bare TCP.
"""

import argparse
import ast
import json
import resource
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import trio

from net.allowance import UNLIMITED
from net.committee import Committee, CommitteeLimits, Inbound, MemberAddress, open_committee
from net.framing import FrameSplitter
from net.identity import derive_network_key
from net.link import HelloState, LinkLimits
from net.link_queue import OutboundQueue
from net.wire import Chunk, Frame, Pong, Priority, RangeRequest, decode_frame, encode_frame

HOST = "127.0.0.1"
RESULTS = Path("build/results/bench-links.json")
TRANSPORTS = ("link", "tcp")
SIZES_BYTES = (200, 2_000, 50_000)
MODES = ("paced", "alone", "joined")
WRITE_BYTES_MAX = LinkLimits().write_bytes_max
# A write limit of one byte makes every frame a write of its own.
WRITE_LIMITS = {"paced": WRITE_BYTES_MAX, "alone": 1, "joined": WRITE_BYTES_MAX}
PACE_S = 0.002
PACED_COUNT = 1_000
FLAT_OUT_BYTES = 60_000_000
FLAT_OUT_COUNT_MAX = 20_000
QUEUE_BYTES_MAX = 64 * 1024 * 1024
AHEAD_BYTES = 4 * 1024 * 1024
ROUND_TRIPS = 300
MESH_MEMBERS = 4
MESH_RATE_PER_S = 100
MESH_RATIO_MAX = 2.0
MESH_S = 5.0


class Mesh(Protocol):
    """One process's connections to all others."""

    def peers(self) -> list[int]: ...

    def send(self, peer: int, frame: Frame) -> None: ...

    def queue_bytes(self, peer: int) -> int: ...

    async def receive(self) -> tuple[int, Frame]: ...


class LinkMesh:
    """Committee links."""

    def __init__(self, committee: Committee) -> None:
        self._committee = committee

    def peers(self) -> list[int]:
        return self._committee.peers()

    def send(self, peer: int, frame: Frame) -> None:
        assert self._committee.send(peer, frame, Priority.AGREEMENT), "the link is down"

    def queue_bytes(self, peer: int) -> int:
        return self._committee.statistics()[peer].queue_bytes

    async def receive(self) -> tuple[int, Frame]:
        while True:
            event = await self._committee.events.receive()
            if isinstance(event, Inbound):
                return event.peer, event.frame


class TcpMesh:
    """Bare sockets: a writer with the links' queue, a reader with the links' framing."""

    def __init__(self, me: int, write_bytes_max: int) -> None:
        self._me = me
        self._write_bytes_max = write_bytes_max
        self._queues: dict[int, OutboundQueue] = {}
        self._wakes: dict[int, trio.Event] = {}
        self._send_events, self._events = trio.open_memory_channel[tuple[int, Frame]](256)

    def peers(self) -> list[int]:
        return sorted(self._queues)

    def send(self, peer: int, frame: Frame) -> None:
        assert self._queues[peer].push(encode_frame(frame), Priority.AGREEMENT), "the queue is full"
        self._wakes[peer].set()

    def queue_bytes(self, peer: int) -> int:
        return self._queues[peer].size_bytes

    async def receive(self) -> tuple[int, Frame]:
        return await self._events.receive()

    async def serve(self, stream: trio.SocketStream) -> None:
        """A connection, from the first word on: who speaks."""
        splitter, peer = FrameSplitter(), -1
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await stream.send_all(encode_frame(Pong(self._me)))
            async with trio.open_nursery() as nursery:
                async for data in stream:
                    for kind, body in splitter.feed(data):
                        frame = decode_frame(kind, body)
                        if isinstance(frame, Pong):
                            peer = frame.token
                            self._wakes[peer] = trio.Event()
                            self._queues[peer] = OutboundQueue(QUEUE_BYTES_MAX, QUEUE_BYTES_MAX)
                            nursery.start_soon(self._write, peer, stream)
                        else:
                            await self._send_events.send((peer, frame))
                nursery.cancel_scope.cancel()

    async def _write(self, peer: int, stream: trio.SocketStream) -> None:
        queue = self._queues[peer]
        while True:
            while not queue:
                self._wakes[peer] = trio.Event()
                await self._wakes[peer].wait()
            data, _ = queue.take(self._write_bytes_max)
            await stream.send_all(data)


def make_seed(index: int) -> bytes:
    return bytes([index + 1]) * 32


def make_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind((HOST, 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


@asynccontextmanager
async def open_mesh(transport: str, me: int, ports: list[int], write_bytes_max: int) -> AsyncIterator[Mesh]:
    """All connections up."""
    async with trio.open_nursery() as nursery:
        mesh: Mesh
        if transport == "tcp":
            bare = mesh = TcpMesh(me, write_bytes_max)
            await nursery.start(trio.serve_tcp, bare.serve, ports[me])
            for peer in range(me):
                nursery.start_soon(bare.serve, await dial(ports[peer]))
            yield await connected(mesh, len(ports) - 1)
        else:
            members = [MemberAddress(i, derive_network_key(make_seed(i)), HOST, port) for i, port in enumerate(ports)]
            link = replace(LinkLimits(), write_bytes_max=write_bytes_max, queue_bytes_max=QUEUE_BYTES_MAX)
            async with open_committee(
                seed=make_seed(me), me=me, members=members, network_id=bytes(32), listen_host=HOST,
                hello=lambda: HelloState(0, 0), limits=CommitteeLimits(link=link, member_rates=UNLIMITED),
            ) as committee:  # fmt: skip
                yield await connected(LinkMesh(committee), len(ports) - 1)
        nursery.cancel_scope.cancel()


async def dial(port: int) -> trio.SocketStream:
    while True:
        try:
            return await trio.open_tcp_stream(HOST, port)
        except OSError:
            await trio.sleep(0.05)


async def connected(mesh: Mesh, count: int) -> Mesh:
    while len(mesh.peers()) < count:
        await trio.sleep(0.01)
    return mesh


def read_cpu_us() -> int:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return int((usage.ru_utime + usage.ru_stime) * 1e6)


def percentile(ordered: list[float], percent: int) -> float:
    return round(ordered[min(len(ordered) - 1, len(ordered) * percent // 100)], 3)


async def serve_other_end(transport: str, ports: list[int], write_bytes_max: int) -> None:
    """Swallows frames, and answers a question with the CPU time that it has used."""
    async with open_mesh(transport, 1, ports, write_bytes_max) as mesh:
        while True:
            peer, frame = await mesh.receive()
            if isinstance(frame, RangeRequest):
                mesh.send(peer, RangeRequest(read_cpu_us(), 0))


async def ask_cpu_us(mesh: Mesh) -> int:
    """Of the other end, when it has read everything."""
    mesh.send(1, RangeRequest(0, 0))
    while True:
        _, frame = await mesh.receive()
        if isinstance(frame, RangeRequest):
            return frame.from_height


@dataclass(frozen=True, slots=True)
class Row:
    transport: str
    mode: str
    frame_bytes: int
    frames_per_s: int
    sender_cpu_us: float
    receiver_cpu_us: float
    rtt_p50_ms: float
    rtt_p99_ms: float


async def measure(transport: str, mode: str, frame_bytes: int) -> Row:
    """One row of two processes."""
    ports, limit = make_ports(2), WRITE_LIMITS[mode]
    frame = Chunk(bytes(32), 0, bytes(frame_bytes - 41))
    count = PACED_COUNT if mode == "paced" else min(FLAT_OUT_COUNT_MAX, FLAT_OUT_BYTES // frame_bytes)
    with start_child("other", transport, ports, limit) as child:
        try:
            async with open_mesh(transport, 0, ports, limit) as mesh:
                round_trips_ms = []
                for _ in range(ROUND_TRIPS):
                    asked_s = time.perf_counter()
                    other_us = await ask_cpu_us(mesh)
                    round_trips_ms.append((time.perf_counter() - asked_s) * 1e3)
                start_s, own_us = time.perf_counter(), read_cpu_us()
                await push(mesh, frame, count, mode)
                other_us = await ask_cpu_us(mesh) - other_us
                own_us, took_s = read_cpu_us() - own_us, time.perf_counter() - start_s
        finally:
            child.kill()
    round_trips_ms.sort()
    return Row(
        transport, mode, frame_bytes, round(count / took_s), round(own_us / count, 1), round(other_us / count, 1),
        percentile(round_trips_ms, 50), percentile(round_trips_ms, 99),
    )  # fmt: skip


async def push(mesh: Mesh, frame: Frame, count: int, mode: str) -> None:
    for at in range(count):
        mesh.send(1, frame)
        if mode == "paced":
            await trio.sleep(PACE_S)
        elif at % 32 == 0:
            await trio.lowlevel.checkpoint()
            while mesh.queue_bytes(1) > AHEAD_BYTES:
                await trio.sleep(0.001)


async def broadcast_for_a_while(transport: str, ports: list[int], me: int) -> None:
    """A member of the mesh: prints what it saw as one line."""
    latencies_ms: list[float] = []

    async def listen(mesh: Mesh) -> None:
        while True:
            _, frame = await mesh.receive()
            assert isinstance(frame, Chunk)
            latencies_ms.append((time.perf_counter_ns() - int.from_bytes(frame.data[:8], "big")) / 1e6)

    async with open_mesh(transport, me, ports, WRITE_BYTES_MAX) as mesh, trio.open_nursery() as nursery:
        nursery.start_soon(listen, mesh)
        await trio.sleep(1.0)
        own_us = read_cpu_us()
        for _ in range(int(MESH_S * MESH_RATE_PER_S)):
            data = time.perf_counter_ns().to_bytes(8, "big") + bytes(151)
            for peer in mesh.peers():
                mesh.send(peer, Chunk(bytes(32), 0, data))
            await trio.sleep(1 / MESH_RATE_PER_S)
        await trio.sleep(1.0)
        print(json.dumps([read_cpu_us() - own_us, latencies_ms]), flush=True)
        nursery.cancel_scope.cancel()


def measure_mesh(transport: str) -> Row:
    """Four processes that broadcast 200 bytes; CPU is of all of them for a delivery, sender and receiver together."""
    ports = make_ports(MESH_MEMBERS)
    children = [start_child("mesh", transport, ports, me) for me in range(MESH_MEMBERS)]
    try:
        found = [json.loads(child.communicate(timeout=60)[0]) for child in children]
    finally:
        for child in children:
            child.kill()
    latencies_ms = sorted(latency for _, seen in found for latency in seen)
    cpu_us = sum(used for used, _ in found) / len(latencies_ms)
    rate = MESH_RATE_PER_S * MESH_MEMBERS
    return Row(
        transport, "mesh of 4", 200, rate, round(cpu_us, 1), 0.0,
        percentile(latencies_ms, 50), percentile(latencies_ms, 99),
    )  # fmt: skip


def start_child(role: str, *arguments: object) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "net.bench_links", "--role", role, "--arguments", repr(arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


ROLES: dict[str, Callable[..., Awaitable[None]]] = {"other": serve_other_end, "mesh": broadcast_for_a_while}
COLUMNS = "{:<6} {:<10} {:>6} {:>10} {:>14} {:>16} {:>8} {:>8}  {:>9}"


def compute_ratio(rows: list[Row], row: Row) -> float:
    """CPU of both ends in relation to bare TCP."""
    same = (other for other in rows if (other.mode, other.frame_bytes) == (row.mode, row.frame_bytes))
    bare = next(other for other in same if other.transport == "tcp")
    return (row.sender_cpu_us + row.receiver_cpu_us) / (bare.sender_cpu_us + bare.receiver_cpu_us)


def print_table(rows: list[Row]) -> None:
    """Each link beside the same over bare TCP; in the mesh the times are one way."""
    print(
        COLUMNS.format("", "", "bytes", "frames/s", "sender CPU us", "receiver CPU us", "p50 ms", "p99 ms", "CPU/TCP")
    )
    for row in rows:
        ratio = compute_ratio(rows, row)
        cells = (
            row.transport, row.mode, row.frame_bytes, row.frames_per_s, row.sender_cpu_us, row.receiver_cpu_us,
            row.rtt_p50_ms, row.rtt_p99_ms, f"{ratio:.1f}",
        )  # fmt: skip
        print(COLUMNS.format(*cells))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m net.bench_links")
    parser.add_argument("--role", choices=sorted(ROLES), help=argparse.SUPPRESS)
    parser.add_argument("--arguments", default="()", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.role:
        trio.run(ROLES[arguments.role], *ast.literal_eval(arguments.arguments))
        return
    rows = [
        trio.run(measure, transport, mode, frame_bytes)
        for frame_bytes in SIZES_BYTES
        for mode in MODES
        for transport in TRANSPORTS
    ]
    rows += [measure_mesh(transport) for transport in TRANSPORTS]
    print_table(rows)
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    names = Row.__slots__
    RESULTS.write_text(json.dumps([{name: getattr(row, name) for name in names} for row in rows], indent=1) + "\n")
    mesh = next(row for row in rows if row.mode == "mesh of 4" and row.transport == "link")
    if compute_ratio(rows, mesh) > MESH_RATIO_MAX:
        sys.exit(f"a delivery in the mesh costs more than {MESH_RATIO_MAX:g} times bare TCP")


if __name__ == "__main__":
    main()
