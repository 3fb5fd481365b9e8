"""Where a node's time goes: py-spy, where it is installed, on one node in the middle of a full load."""

import re
import shutil
import subprocess
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import trio

from testnet.launch import Network

SECONDS_MAX = 20
RATE_PER_S = 100
TOP = 25
# Threads that wait for work, which py-spy takes for running ones.
WAITING = ("WorkerThread._work ", "worker ")
# The first that a frame's file matches names its group; a stack belongs to its innermost frame that has one.
GROUPS = (
    ("noise, yamux, libp2p", r"libp2p/|noise/|multiaddr/|net/(hardening|fastlane)"),
    ("our links", r"net/(link|link_queue|committee|wire|peers)\.py"),
    ("agreement: consensus", r"consensus/"),
    ("agreement: driver", r"validator/(agreement|voting|proposals|journal|signer|node|peering|executor)\.py"),
    ("batches and ingress", r"validator/(batches|ingress|prechecks|inclusion|sealer)\.py"),
    ("engine", r"engine/"),
    ("history", r"validator/(ledger|orders|store|answers|history)\.py|validator/store"),
    ("gateway", r"net/gateway/|hypercorn/|wsproto/|h11/|starlette/|json/"),
    ("settlement chain", r"contracts/|web3/|validator/(watcher|submitter|settling|claims)|httpx/|httpcore/"),
    ("trio", r"trio/"),
)


@dataclass(slots=True)
class Profile:
    """Samples of one node by module group and by function (self time). Only samples in which a thread was running."""

    label: str
    samples: int
    groups: Counter[str] = field(default_factory=Counter)
    functions: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Profiler:
    """Runs py-spy beside a window. `profiles` fills up."""

    folder: Path
    is_native: bool
    node: int = 1
    label: str = ""
    profiles: list[Profile] = field(default_factory=list)

    async def run(self, network: Network, starts_s: float, window_s: float) -> None:
        command = find_command()
        if command is None:
            return
        seconds = int(min(SECONDS_MAX, window_s - 2))
        await trio.sleep(max(0.0, starts_s + 1 - time.monotonic()))
        process_id = network.nodes[min(self.node, len(network.nodes) - 1)].process.pid
        path = self.folder / "stacks.txt"
        argv = [
            command,
            "record",
            "-d",
            str(seconds),
            "-r",
            str(RATE_PER_S),
            "-f",
            "raw",
            "-o",
            str(path),
            "--full-filenames",
        ]
        argv += ["--native"] if self.is_native else []
        done = await trio.run_process(
            [*argv, "-p", str(process_id)], check=False, capture_stdout=True, stderr=subprocess.STDOUT
        )
        if path.exists():
            self.profiles.append(parse_stacks(self.label, path.read_text()))
        else:
            self.profiles.append(Profile(f"{self.label}: py-spy failed: {done.stdout.decode()[-200:]}", 0))


def find_command() -> str | None:
    """py-spy on the PATH, None without it."""
    return shutil.which("py-spy")


def parse_stacks(label: str, text: str) -> Profile:
    """Collapsed stacks, `frame;frame;frame count` a line, frames as `function (file:line)`."""
    profile = Profile(label, 0)
    for line in text.splitlines():
        stack, _, count = line.rpartition(" ")
        frames = stack.split(";")
        if frames[-1].startswith(WAITING):
            continue
        profile.samples += int(count)
        profile.groups[_find_group(frames)] += int(count)
        profile.functions[_shorten(frames[-1])] += int(count)
    return profile


def _find_group(frames: list[str]) -> str:
    for frame in reversed(frames):
        for name, pattern in GROUPS:
            if re.search(pattern, frame):
                return name
    return "other"


def _shorten(frame: str) -> str:
    """`function (package/file.py)`: the line and the way there say little."""
    found = re.match(r"(.*) \((.*?)(:\d+)?\)$", frame)
    if found is None:
        return frame
    return f"{found[1]} ({'/'.join(Path(found[2]).parts[-2:])})"
