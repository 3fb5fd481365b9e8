"""Faults of real processes: signals, namespaces, small disks, and words that `testnet.scenario.member` obeys."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trio

from testnet.faults.weather import CALM, Weather
from testnet.homes import node_home
from testnet.launch import in_thread
from testnet.local import Child, Processes
from testnet.scenario.controls import Controls
from testnet.scenario.ground import Ground
from testnet.scenario.harms import (
    Byzantine,
    ChainDown,
    ClockSkew,
    Crash,
    Delay,
    DiskFull,
    DiskLost,
    Fault,
    Loss,
    NoPrices,
    Partition,
    Pause,
    PriceMove,
    SlowDisk,
    TimeLeap,
)

CHAIN_NAME = "settlement chain"
DISK_BYTES = 192 * 1024 * 1024
BALLAST = "ballast"
RAMP_STEP_S = 0.25
BPS_UNIT = 10_000


def find_mount_obstacle() -> str:
    """Why no disk of limited size can be mounted here; empty: one can."""
    if os.geteuid() != 0:
        return "disk_full mounts a small disk, which needs root: run it with sudo, or use --backend sim"
    with tempfile.TemporaryDirectory(prefix="hansa-mount-") as folder:
        try:
            with mounted(Path(folder)):
                return ""
        except OSError as error:
            return f"disk_full mounts a small disk, which this machine forbids ({error}): use --backend sim"


@contextmanager
def mounted(folder: Path) -> Iterator[None]:
    """A disk of `DISK_BYTES` there. Raises `OSError`."""
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "hansa-disk", str(folder)], capture_output=True, text=True
    )
    if done.returncode:
        raise OSError(done.stderr.strip())
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False, capture_output=True)


def fill(folder: Path) -> None:
    """Take every byte that is left."""
    with (folder / BALLAST).open("wb") as ballast:
        left_bytes = shutil.disk_usage(folder).free
        while left_bytes > 0:
            try:
                os.posix_fallocate(ballast.fileno(), ballast.seek(0, os.SEEK_END), left_bytes)
            except OSError:
                left_bytes //= 2
                continue
            left_bytes = shutil.disk_usage(folder).free


@dataclass(slots=True)
class Bench:
    """What faults work on. `nodes` has the process of each member; `down`: members that have no process now, or whose
    process may end without this being a failure of the run.
    """

    folder: Path
    processes: Processes
    nodes: list[Child]
    start_node: Callable[[int], Child]
    controls: list[Controls]
    world: Controls
    underlyings: tuple[str, ...]
    advance_chain: Callable[[int], None]
    ground: Ground
    down: set[int] = field(default_factory=set)
    may_die: set[int] = field(default_factory=set)


class ProcessFaults:
    """Begins and ends faults. `ramp` is to run beside the network."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._moves: list[tuple[float, float, PriceMove]] = []
        self._weathers: dict[int, Fault] = {}

    async def begin(self, fault: Fault) -> None:
        bench = self._bench
        match fault.harm:
            case Crash():
                self._kill(fault.targets)
            case DiskLost():
                self._kill(fault.targets)
                for index in fault.targets:
                    lose_disk(node_home(bench.folder, index).data)
            case Pause():
                for index in fault.targets:
                    bench.ground.pause(bench.nodes[index])
            case ChainDown():
                bench.ground.pause(bench.processes.named(CHAIN_NAME))
            case DiskFull():
                bench.may_die |= {*fault.targets}
                for index in fault.targets:
                    await in_thread(fill, node_home(bench.folder, index).data)
            case Partition() | Delay() | Loss():
                self._weathers[fault.number] = fault
                await in_thread(self._set_weather)
            case PriceMove() as move:
                now_s = trio.current_time()
                self._moves.append((now_s, now_s + fault.ends_s - fault.at_s if fault.is_healed else now_s, move))
                self.move_market()
            case TimeLeap(leap_s=leap_s):
                for controls in (*bench.controls, bench.world):
                    controls.skew_ms += int(leap_s * 1_000)
                await in_thread(bench.advance_chain, int(leap_s))
            case _:
                self._change_controls(fault, is_begin=True)

    async def end(self, fault: Fault) -> None:
        bench = self._bench
        match fault.harm:
            case Crash() | DiskLost():
                self._start(fault.targets)
            case Pause():
                for index in fault.targets:
                    bench.ground.resume(bench.nodes[index])
            case ChainDown():
                bench.ground.resume(bench.processes.named(CHAIN_NAME))
            case DiskFull():
                for index in fault.targets:
                    (node_home(bench.folder, index).data / BALLAST).unlink()
                # Whoever stopped because it could not write is started again, as by its operator who has made room.
                self._start(tuple(index for index in fault.targets if bench.nodes[index].process.poll() is not None))
                bench.may_die -= {*fault.targets}
            case Partition() | Delay() | Loss():
                del self._weathers[fault.number]
                await in_thread(self._set_weather)
            case PriceMove() | TimeLeap():
                pass  # both stay
            case _:
                self._change_controls(fault, is_begin=False)

    def _change_controls(self, fault: Fault, is_begin: bool) -> None:
        sign = 1 if is_begin else -1
        for index in fault.targets:
            controls = self._bench.controls[index]
            match fault.harm:
                case ClockSkew(skew_ms=skew_ms):
                    controls.skew_ms += sign * skew_ms
                case SlowDisk(sync_ms=sync_ms):
                    controls.sync_ms += sign * sync_ms
                case Byzantine(behaviour=behaviour):
                    controls.lie = behaviour if is_begin else ""
                case NoPrices():
                    controls.has_no_prices = is_begin
                case other:  # `Abilities` refuses what is not here before anything starts
                    raise AssertionError(f"{other!r} is no control of a process")

    def _kill(self, members: tuple[int, ...]) -> None:
        """All at once, and none is there when it returns."""
        bench = self._bench
        bench.down |= {*members}
        bench.ground.kill(bench.processes, [bench.nodes[index] for index in members])

    def _start(self, members: tuple[int, ...]) -> None:
        bench = self._bench
        for index in members:
            if bench.nodes[index] in bench.processes.find_dead():
                bench.processes.stop(bench.nodes[index])
            bench.nodes[index] = bench.start_node(index)
        bench.down -= {*members}

    # -------------------------------------------------------- lines

    def _set_weather(self) -> None:
        faults = list(self._weathers.values())
        members = range(len(self._bench.nodes))
        for start in members:
            for end in members:
                if start != end:
                    self._bench.ground.set_weather(start, end, find_weather(faults, start, end))

    # -------------------------------------------------------- the market

    async def ramp(self) -> None:
        while True:
            self.move_market()
            await trio.sleep(RAMP_STEP_S)

    def move_market(self) -> None:
        """Every member's market where it is now: moves one after the other multiply."""
        now_s = trio.current_time()
        for number, name in enumerate(self._bench.underlyings):
            level = 1.0
            for begins_s, ends_s, move in self._moves:
                share = 1.0 if now_s >= ends_s else (now_s - begins_s) / (ends_s - begins_s)
                if move.underlying in ("", name):
                    level *= 1 + share * move.change_bps / BPS_UNIT
            for controls in self._bench.controls:
                controls.set_move_bps(number, round((level - 1) * BPS_UNIT))


def find_weather(faults: list[Fault], start: int, end: int) -> Weather:
    """What one direction is like under these faults: delays add up, each loses of what others let pass."""
    delay_ms = jitter_ms = 0.0
    arrives, is_cut = 1.0, False
    for fault in faults:
        is_start, is_end = start in fault.targets, end in fault.targets
        match fault.harm:
            case Partition(direction=direction) if is_start != is_end:
                is_cut |= direction == "both" or (direction == "to") == is_end
            case Delay() as delay if is_start or is_end:
                delay_ms += delay.delay_ms
                jitter_ms += delay.jitter_ms
            case Loss(share=share) if is_start or is_end:
                arrives *= 1 - share
    if (delay_ms, arrives, is_cut) == (0.0, 1.0, False):
        return CALM
    return Weather(delay_ms, jitter_ms, 1 - arrives, is_cut)


def lose_disk(data: Path) -> None:
    """Blocks and states; the guard and the journal, which say what the key has signed, stay."""
    for path in data.glob("blocks.sqlite*"):
        path.unlink()
    shutil.rmtree(data / "snapshots", ignore_errors=True)
