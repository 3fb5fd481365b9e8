"""The faults of a plan at work: what each kind begins with and how it ends.

| kind | fields | meaning |
|---|---|---|
| crash | member, degree, lasts_ms | power off after so many more effects; boots after `lasts_ms` |
| crash all | lasts_ms | power off everywhere at once |
| pause | member, lasts_ms | the process is stopped and continues |
| slow | member, degree, lasts_ms | everything takes `degree` times longer |
| partition | shape, side, lasts_ms | see `cut_links` |
| filter | shape, member, lasts_ms | messages of one kind do not reach the member (-1: anybody) |
| swizzle | side, lasts_ms | links of the side stop one by one and come back in another order |
| delay | side, degree, lasts_ms | frames on the links of the side take `degree` ms more in the mean |
| loss | side, degree, lasts_ms | `degree` of a thousand frames on the links of the side are lost |
| clock step | member, degree | the wall clock jumps by `degree` ms |
| disk slow, disk full, disk error | member, degree, lasts_ms | syncs take `degree` ms more; no room; syncs fail |
| disk lost, disk rot | member, lasts_ms | crash; then the disk is empty, or a bit of the journal has flipped |
| oracle | member, shape, lasts_ms | its reports are missing, stale or extreme |
| reorganisation | | blocks of the settlement chain that are not final come again |
| rpc stall | member, lasts_ms | its settlement-chain endpoint does not answer |
| slow execution | degree, lasts_ms | every execution takes `degree` ms more |
| burst | degree, lasts_ms | so many more messages of traders a second |
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from testnet.sim.network import Weather
from testnet.sim.plan import Fault

if TYPE_CHECKING:
    from testnet.sim.node import Node
    from testnet.sim.world import World

Links = list[tuple[int, int]]
SHAPES = ("halves", "one-way", "ring", "bridge")
KINDS = (
    "crash", "crash all", "pause", "slow", "partition", "filter", "swizzle", "delay", "loss", "clock step",
    "disk slow", "disk full", "disk error", "disk lost", "disk rot", "oracle", "reorganisation", "rpc stall",
    "slow execution", "burst",
)  # fmt: skip


def cut_links(fault: Fault, member_count: int) -> Links:
    """The one-way links that a partition cuts. `side` is one half; the one who is cut off; the middle of a bridge.
    Of a ring every member keeps only its two neighbours.
    """
    members = range(member_count)
    side = dict.fromkeys(fault.side)
    links = [(source, target) for source in members for target in members if source != target]
    match fault.shape:
        case "ring":
            return [(s, t) for s, t in links if (s - t) % member_count not in (1, member_count - 1)]
        case "bridge":  # two halves that only the first of the side can speak with
            middle, half = fault.side[0], dict.fromkeys(fault.side[1:])
            return [(s, t) for s, t in links if middle not in (s, t) and (s in half) != (t in half)]
        case "one-way":
            return [(s, t) for s, t in links if s in side and t not in side]
        case _:
            return [(s, t) for s, t in links if (s in side) != (t in side)]


class FaultDriver:
    """Begins and ends the faults of one run."""

    def __init__(self, world: World, rng: random.Random) -> None:
        self._world = world
        self._rng = rng
        self.execution_extra_ms = 0
        self.load_extra_per_s = 0
        self.stalled: dict[int, None] = {}

    def schedule(self, faults: list[Fault]) -> None:
        for number, fault in enumerate(faults):
            self._world.post_fault(fault.at_ms, "begin", number)
            if fault.kind not in ("crash", "crash all", "clock step", "reorganisation", "disk lost", "disk rot"):
                self._world.post_fault(fault.at_ms + max(1, fault.lasts_ms), "end", number)

    def begin(self, number: int, fault: Fault) -> None:
        world = self._world
        nodes = world.members[fault.member] if fault.member >= 0 else []
        match fault.kind:
            case "crash":
                for node in nodes:
                    node.crash_after_effects, node.down_ms = fault.degree, fault.lasts_ms
            case "crash all":
                for node in world.nodes:
                    if node.is_up:
                        node.down_ms = fault.lasts_ms + self._rng.randint(0, 500)
                        node.crash()
            case "disk lost" | "disk rot":
                for node in nodes:
                    node.down_ms = fault.lasts_ms
                    if node.is_up:
                        node.crash()
                    world.damage_disk(node, is_lost=fault.kind == "disk lost")
            case "pause":
                for node in nodes:
                    node.paused_until_ms = world.now_ms + fault.lasts_ms
            case "slow":
                for node in nodes:
                    node.slowness = max(1, fault.degree)
            case "clock step":
                for node in nodes:
                    node.clocks.offset_ms += fault.degree
            case "disk slow" | "disk full" | "disk error":
                self._break_disk(fault)
            case _:
                self._begin_elsewhere(number, fault)
                return
        world.fired[f"fault: {fault.kind}"] += len(nodes) if fault.kind != "crash all" else 1

    def _begin_elsewhere(self, number: int, fault: Fault) -> None:
        world = self._world
        name = f"fault: {fault.kind}"
        match fault.kind:
            case "partition":
                world.network.cut(cut_links(fault, world.plan.member_count))
                name = f"partition: {fault.shape}"
            case "filter":
                world.network.add_filter(number, fault.shape, fault.member)
                return  # counts when it swallows something
            case "swizzle":
                self._swizzle(fault)
            case "delay":
                world.network.begin_weather(number, Weather(fault.side, fault.degree, fault.degree))
            case "loss":
                world.network.begin_weather(number, Weather(fault.side, loss=fault.degree / 1000))
            case "oracle":
                world.oracle.faults[fault.member] = fault.shape
                return
            case "reorganisation":
                if not world.settlement.reorganise(world.now_ms):
                    return
            case "rpc stall":
                self.stalled[fault.member] = None
                return
            case "slow execution":
                self.execution_extra_ms += fault.degree
            case "burst":
                self.load_extra_per_s += fault.degree
                return
        world.fired[name] += 1

    def end(self, number: int, fault: Fault) -> None:
        world = self._world
        nodes = world.members[fault.member] if fault.member >= 0 else []
        match fault.kind:
            case "slow":
                for node in nodes:
                    node.slowness = 1
            case "disk slow" | "disk full" | "disk error":
                for node in nodes:
                    mend_disk(node)
            case "partition":
                links = cut_links(fault, world.plan.member_count)
                world.network.mend(links)
                world.reconnect(links)
            case "filter":
                world.network.remove_filter(number)
            case "delay" | "loss":
                world.network.end_weather(number)
            case "oracle":
                world.oracle.faults.pop(fault.member, None)
            case "rpc stall":
                self.stalled.pop(fault.member, None)
            case "slow execution":
                self.execution_extra_ms -= fault.degree
            case "burst":
                self.load_extra_per_s -= fault.degree

    def _break_disk(self, fault: Fault) -> None:
        for node in self._world.members[fault.member]:
            if fault.kind == "disk slow":
                node.sync_extra_ms = fault.degree
            elif fault.kind == "disk full":
                node.disk.is_full = node.store.fails = True
            else:
                node.disk.fails_sync = node.store.fails = True

    def _swizzle(self, fault: Fault) -> None:
        """Each link of the side goes down at its own time and comes back at its own time."""
        world = self._world
        members = range(world.plan.member_count)
        links = [(s, t) for s in fault.side for t in members if s != t] + [
            (t, s) for s in fault.side for t in members if t not in fault.side
        ]
        for link in links:
            down_ms = self._rng.randint(0, fault.lasts_ms // 2)
            up_ms = self._rng.randint(fault.lasts_ms // 2, fault.lasts_ms)
            world.post_fault(world.now_ms + down_ms, "cut", [link])
            world.post_fault(world.now_ms + up_ms, "mend", [link])

    def calm_down(self) -> None:
        """Second phase: everything that can be mended is."""
        world = self._world
        self.execution_extra_ms = self.load_extra_per_s = 0
        self.stalled = {}
        world.oracle.faults = {}
        world.network.calm_down()
        for node in world.nodes:
            node.crash_after_effects = None
            node.slowness, node.paused_until_ms = 1, 0
            node.busy_until_ms = min(node.busy_until_ms, world.now_ms)
            mend_disk(node)
            node.clocks.set_right()


def mend_disk(node: Node) -> None:
    """The operator has swapped the disk's cable and made room."""
    node.sync_extra_ms = 0
    node.disk.is_full = node.disk.fails_sync = node.store.fails = False
