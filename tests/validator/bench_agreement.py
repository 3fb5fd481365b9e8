"""What agreement alone costs: `make bench-agreement`.

Four whole nodes in one process, with real keys, sockets and disk, agree on empty blocks as fast as pacing allows. Their
CPU for a block is measured by the process's own clock, so other programs hardly touch it. A second run has a timer of
the same clock (ITIMER_PROF) look at what is being done each time so much of it has passed, and attributes it to parts
of the node. Times to finality of this run say little: the four nodes take turns on one core.
"""

import argparse
import gc
import json
import logging
import secrets
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import trio

from consensus.crypto import derive_public_key
from net.identity import derive_network_key
from testnet.homes import NodePorts, make_keys, make_network, node_home, write_genesis, write_node_configs
from testnet.ports import PortLease
from validator.allocator import keep_large_blocks_mapped, spare_what_stays
from validator.chain_access import limit_recursion
from validator.compilecache import prepare_compile_cache
from validator.config import ValidatorEntry, load_network, load_node
from validator.keys import load_keys
from validator.run import SWITCH_INTERVAL_S

NODES = 4
GOAL_MS = 10.0
WARM_HEIGHT = 120  # from here on each copy of a state finds tables to write in
WARM_S_MAX = 180
SAMPLE_S = 0.001
RESULTS = Path("build/results/bench-agreement.json")
# The innermost frame that matches says what part of the node it is; the first pattern counts.
PARTS = (
    ("signatures: sign, verify, aggregate", ("consensus/crypto",)),
    ("copy of the state", ("validator/spares", "engine/state")),
    ("execution of the empty block", ("engine/", "validator/executor")),
    ("links", ("net/link", "net/fastlane", "net/committee", "net/wire", "libp2p/", "net/hardening")),
    ("store, journal, guard", ("validator/store", "validator/journal", "validator/signer", "consensus/guard")),
    ("waiting for the disk", ("validator/disk", "trio/_threads")),
    ("encoding and hashing", ("consensus/messages",)),
    ("rules of agreement", ("consensus/",)),
    (
        "driver and proposals",
        ("validator/agreement", "validator/proposals", "validator/batches", "validator/inclusion"),
    ),
    ("what final blocks leave", ("validator/ledger", "validator/history", "validator/service", "validator/uptime")),
)
REST = "the loop, frames' way through it, all else"


class Profile:
    """Counts by part, each time `SAMPLE_S` of CPU has passed."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def _look(self, _: int, frame: FrameType | None) -> None:
        while frame is not None:
            path = frame.f_code.co_filename
            for part, patterns in PARTS:
                if any(pattern in path for pattern in patterns):
                    self.counts[part] += 1
                    return
            frame = frame.f_back
        self.counts[REST] += 1

    def begin(self) -> None:
        signal.signal(signal.SIGPROF, self._look)
        signal.siginterrupt(signal.SIGPROF, False)
        signal.setitimer(signal.ITIMER_PROF, SAMPLE_S, SAMPLE_S)

    def end(self) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)

    def shares(self, total_ms: float) -> dict[str, float]:
        """Milliseconds of `total_ms` by part, the largest first."""
        all_counts = max(1, self.counts.total())
        return {part: total_ms * count / all_counts for part, count in self.counts.most_common()}


def found(folder: Path) -> None:
    """A network without a settlement chain: what would be read there is nothing yet."""
    keys = make_keys(folder, [secrets.token_bytes(32) for _ in range(NODES)])
    entries = [
        ValidatorEntry(
            "0x" + secrets.token_hex(20), derive_public_key(key.bls).hex(), derive_network_key(key.network).hex()
        )
        for key in keys
    ]
    network = make_network(31337, "0x" + "11" * 20, "0x" + "22" * 20, entries, time.time_ns() // 1_000_000)
    write_genesis(folder, network)
    ports = PortLease().choose(29_600, 2 * NODES)
    write_node_configs(folder, [NodePorts(*pair) for pair in zip(ports[::2], ports[1::2])], "http://127.0.0.1:1", 1)


async def measure(folder: Path, seconds: float) -> dict[str, object]:
    """Two windows: the first counts, the second attributes."""
    from validator.node import Node

    nodes = []
    for index in range(NODES):
        home = node_home(folder, index)
        nodes.append(Node(home, load_network(home.genesis), load_node(home.config), load_keys(home.keys), True))
        nodes[-1].proposals.has_work = lambda *_: True  # type: ignore[method-assign]
    spare_what_stays()

    async def window(seconds: float) -> tuple[int, float]:
        height, began_s = nodes[0].executor.final.height, time.process_time()
        await trio.sleep(seconds)
        return nodes[0].executor.final.height - height, time.process_time() - began_s

    def statistics(name: str) -> int:
        return sum(getattr(link, name) for node in nodes for link in node.service.counters().links)

    profile = Profile()
    async with trio.open_nursery() as nursery:
        for node in nodes:
            nursery.start_soon(node.run)
        with trio.fail_after(WARM_S_MAX):
            while min(node.executor.final.height for node in nodes) < WARM_HEIGHT:
                await trio.sleep(0.1)
        before = {name: statistics(name) for name in ("frames_out", "writes", "bytes_out")}
        blocks, cpu_s = await window(seconds)
        sent = {name: (statistics(name) - was) / blocks / NODES / (NODES - 1) for name, was in before.items()}
        profile.begin()
        await window(seconds)
        profile.end()
        nursery.cancel_scope.cancel()
    cpu_ms = cpu_s / blocks / NODES * 1e3
    return {"cpu_ms": cpu_ms, "blocks": blocks, "parts_ms": profile.shares(cpu_ms)} | sent


def print_results(results: dict[str, object], write: Callable[[str], object] = print) -> None:
    write(f"CPU of one node for one block: {results['cpu_ms']:.2f} ms (goal {GOAL_MS:g}), {results['blocks']} blocks")
    parts = results["parts_ms"]
    assert isinstance(parts, dict)
    for part, part_ms in parts.items():
        write(f"  {part_ms:6.2f}  {part}")
    write(
        f"to each peer for each block: {results['frames_out']:.1f} frames in {results['writes']:.1f} writes, "
        f"{results['bytes_out']:.0f} bytes"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each of the two windows")
    arguments = parser.parse_args()
    gc.disable()
    prepare_compile_cache()
    logging.basicConfig(level=logging.CRITICAL)  # nobody answers for the settlement chain here
    limit_recursion()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    keep_large_blocks_mapped()
    with tempfile.TemporaryDirectory(prefix="hansa-bench-") as folder:
        found(Path(folder))
        results = trio.run(measure, Path(folder), arguments.seconds)
    print_results(results)
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    return 0 if float(str(results["cpu_ms"])) <= GOAL_MS else 1


if __name__ == "__main__":
    sys.exit(main())
