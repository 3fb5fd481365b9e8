"""What the public side costs: `make bench-public`.

Four members' feeds of a made-up chain, a `hansa public` process each, then `hansa follow` processes that print every
block. CPU is that of the processes (proc(5)); the feed's share of a validator's loop is measured by itself. The exit
status is 1 when a follower misses a block.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import trio
from certified_chain import Chain, make_keyring
from public_scene import HOST, Validator, free_ports, make_network, until
from rich.console import Console
from rich.table import Table

from consensus.messages import encode_message
from net.feed.protocol import BLOCKS, FinalEvent
from net.feed.server import FeedServer
from net.public.host import make_address
from validator.config import Home, PublicConfig, save_toml
from validator.public_command import PUBLIC_KEY, PUBLIC_TOML

MEMBERS = 4
BLOCKS_PER_S = 20
PAYLOAD_BYTES = 4_000
START_S_MAX = 90.0
MESH_S = 4.0
RESULT = Path("build/results/bench-public.json")
CLOCK_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass
class Scene:
    folder: Path
    chain: Chain
    validators: list[Validator] = field(default_factory=list)
    hosts: list[subprocess.Popen[bytes]] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)
    height: int = 0


def read_cpu_s(process_id: int) -> float:
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS_PER_S


def read_rss_mb(process_id: int) -> float:
    return int(Path(f"/proc/{process_id}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def measure_feed_us() -> tuple[float, float]:
    """What publishing a block costs the validator's loop: with nobody who reads, and for the first reader."""
    chain = Chain(make_keyring(MEMBERS))
    block, certificate = chain.grow(payload=bytes(PAYLOAD_BYTES)), chain.certificate(1)

    class Reader:
        streams = BLOCKS

        def push(self, _data: bytes) -> bool:
            return True

    def publish(server: FeedServer, count: int) -> float:
        began_s = time.perf_counter()
        for _ in range(count):
            if server.is_wanted(BLOCKS):
                event = FinalEvent(1, 1, encode_message(block), encode_message(certificate), True, ())
                server.publish(BLOCKS, event)
        return (time.perf_counter() - began_s) / count * 1e6

    server = FeedServer(Path("unused"), lambda _: [], lambda request: request)  # type: ignore[arg-type, return-value]
    idle_us = publish(server, 20_000)
    server._readers.append(Reader())  # type: ignore[arg-type]
    return idle_us, publish(server, 5_000)


async def start_hosts(scene: Scene, nursery: trio.Nursery) -> None:
    network, ports = make_network(scene.chain.keyring), free_ports(MEMBERS)
    for number in range(MEMBERS):
        home, seed = scene.folder / f"node{number}", bytes([50 + number]) * 32
        save_toml(Home(home).genesis, network)
        config = PublicConfig(listen_port=ports[number], bootstrap=tuple(scene.addresses), slots_per_address=64)
        save_toml(home / PUBLIC_TOML, config)
        (home / PUBLIC_KEY).write_text(seed.hex() + "\n")
        scene.addresses.append(make_address(HOST, ports[number], seed))
        scene.validators.append(Validator(home, number, network, [scene.chain]))
        nursery.start_soon(scene.validators[-1].server.run)
        with (home / "log.txt").open("w") as log:
            argv = [sys.executable, "-m", "validator", "public", "--home", str(home)]
            scene.hosts.append(subprocess.Popen(argv, stderr=log))
    for validator in scene.validators:
        await until(lambda validator=validator: validator.server.is_wanted(BLOCKS), START_S_MAX)  # type: ignore[misc]
    await trio.sleep(MESH_S)


async def run_phase(
    scene: Scene, name: str, seconds: int, followers: list[subprocess.Popen[bytes]]
) -> dict[str, object]:
    """CPU in percent of a processor while blocks come, or none do."""
    watched = [*scene.hosts, *followers]
    before_s = [read_cpu_s(process.pid) for process in watched]
    began_s = trio.current_time()
    first = scene.height
    while trio.current_time() - began_s < seconds:
        if name != "idle":
            scene.height += 1
            for validator in scene.validators:
                validator.tell(scene.height)
        await trio.sleep(1 / BLOCKS_PER_S)
    elapsed_s = trio.current_time() - began_s
    percent = [(read_cpu_s(process.pid) - at) / elapsed_s * 100 for process, at in zip(watched, before_s)]
    hosts, others = percent[:MEMBERS], percent[MEMBERS:]
    return {
        "phase": name,
        "blocks_per_s": (scene.height - first) / elapsed_s,
        "host_cpu_percent": sum(hosts) / MEMBERS,
        "host_cpu_percent_max": max(hosts),
        "follower_cpu_percent": sum(others) / len(others) if others else 0.0,
        "host_rss_mb": max(read_rss_mb(process.pid) for process in scene.hosts),
    }


def start_follower(scene: Scene, index: int) -> subprocess.Popen[bytes]:
    genesis = str(Home(scene.folder / "node0").genesis)
    argv = [sys.executable, "-m", "validator", "follow", "--genesis", genesis, "--json", "--bootstrap"]
    with (scene.folder / f"follower{index}.txt").open("w") as output:
        return subprocess.Popen([*argv, scene.addresses[index % MEMBERS]], stdout=output)


def count_gaps(scene: Scene, index: int) -> tuple[int, int]:
    """How many blocks a follower printed, and how many it left out between the first and the last."""
    lines = (scene.folder / f"follower{index}.txt").read_text().splitlines()
    heights = [json.loads(line)["height"] for line in lines]
    return len(heights), (heights[-1] - heights[0] + 1 - len(heights)) if heights else 1


async def measure(
    scene: Scene, seconds: int, follower_count: int
) -> tuple[list[dict[str, object]], list[tuple[int, int]]]:
    rows: list[dict[str, object]] = []
    followers: list[subprocess.Popen[bytes]] = []
    try:
        async with trio.open_nursery() as nursery:
            await start_hosts(scene, nursery)
            rows.append(await run_phase(scene, "idle", seconds, []))
            rows.append(await run_phase(scene, "blocks", seconds, []))
            followers += [start_follower(scene, index) for index in range(follower_count)]
            await trio.sleep(2 * MESH_S)
            rows.append(await run_phase(scene, f"blocks, {follower_count} followers", seconds, followers))
            await trio.sleep(MESH_S)
            nursery.cancel_scope.cancel()
    finally:
        for process in (*followers, *scene.hosts):
            process.terminate()
        for process in (*followers, *scene.hosts):
            process.wait()
    return rows, [count_gaps(scene, index) for index in range(follower_count)]


def show(rows: list[dict[str, object]], feed_us: tuple[float, float]) -> None:
    table = Table("phase", "blocks/s", "host CPU %", "most", "follower CPU %", "host RSS MB")
    for row in rows:
        table.add_row(*(f"{value:.1f}" if isinstance(value, float) else str(value) for value in row.values()))
    console = Console()
    console.print(table)
    console.print(
        f"feed: {feed_us[0]:.1f} us of a validator's loop a block while nobody reads, {feed_us[1]:.0f} us with a reader"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=20, help="of each phase")
    parser.add_argument("--followers", type=int, default=4)
    arguments = parser.parse_args()
    feed_us = measure_feed_us()
    chain = Chain(make_keyring(MEMBERS))
    for _ in range(3 * arguments.seconds * BLOCKS_PER_S):
        chain.certificate(chain.grow(payload=bytes(PAYLOAD_BYTES)).header.height)
    with tempfile.TemporaryDirectory() as folder:
        rows, printed = trio.run(measure, Scene(Path(folder), chain), arguments.seconds, arguments.followers)
    show(rows, feed_us)
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    figures = {"rows": rows, "feed_us_idle": feed_us[0], "feed_us_read": feed_us[1], "followers": printed}
    RESULT.write_text(json.dumps(figures, indent=1) + "\n")
    missed = [index for index, (count, gaps) in enumerate(printed) if gaps or not count]
    for index in missed:
        print(
            f"bench-public: follower {index} printed {printed[index][0]} blocks, {printed[index][1]} missing",
            file=sys.stderr,
        )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
