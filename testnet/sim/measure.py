"""`make bench-sim`, `python -m testnet.sim.measure`: what agreement costs in virtual time, against its goals.

Message delays are measured with bare cores (`delays.py`); everything else with the whole simulated node: driver,
journal, guard, payload rules and engine, whose disk and executions take the times of the plan. A run is a function of
its plan, so every figure is the same on every machine.
"""

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from consensus.messages import Block, fault_bound
from testnet.sim.clocks import START_MS
from testnet.sim.delays import ALL_TO_ALL, measure_delays
from testnet.sim.node import Node
from testnet.sim.plan import Fault, Plan
from testnet.sim.world import World

RESULTS = Path("build/results/bench-sim.json")
WARM_UP_MS = 5_000
LINK_MS = 50
OUTAGE_MS = 20_000
RECOVERY_MS = 2_000
WINDOW_MS = 10_000
TIP_DISTANCE = 2
CATCH_UP_LIMIT_MS = 120_000
PATIENCE_MS = 4_000
BUSY_PER_S = 150.0  # so many orders a second that no leader waits for one

Row = dict[str, Any]  # measure, value, goal, ok


@dataclass(frozen=True, slots=True)
class Delivery:
    """One block final at one honest node. Times are virtual milliseconds."""

    node: int
    height: int
    proposed_ms: int
    final_ms: int

    @property
    def latency_ms(self) -> int:
        return self.final_ms - self.proposed_ms


class MeteredWorld(World):
    """A world that notes when blocks become final."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self.deliveries: list[Delivery] = []
        for node in self.nodes:
            self.post_at(0, node, "boot", None)
        self.faults.schedule(plan.faults)
        self.post_fault(1000, "load", None)
        self.post_fault(3000, "deposit", None)

    def on_final(self, node: Node, block: Block) -> None:
        super().on_final(node, block)
        header = block.header
        final_ms = max(self.now_ms, node.busy_until_ms) + node.elapsed_ms  # its processor may still be at earlier work
        self.deliveries.append(Delivery(node.index, header.height, header.timestamp_ms - START_MS, final_ms))

    def between(self, start_ms: int, end_ms: int) -> list[Delivery]:
        """Deliveries of blocks that were proposed in this time."""
        return [known for known in self.deliveries if start_ms <= known.proposed_ms < end_ms]


def make_plan(member_count: int, faults: list[Fault], delay_ms: int, load_per_s: float = 20.0) -> Plan:
    """Links of one delay, executions of 1 ms and syncs of 0.5 ms in the mean, a steady load."""
    return Plan(
        0, member_count, "measure", faults=faults, delay_least_ms=delay_ms, delay_mean_ms=0.1, load_per_s=load_per_s
    )


def percentile(values: list[int], percent: int) -> int:
    return sorted(values)[(len(values) - 1) * percent // 100]


def count_blocks(deliveries: list[Delivery]) -> int:
    return len({known.height for known in deliveries})


def make_row(measure: str, value: float, goal: str, ok: bool) -> Row:
    return {"measure": measure, "value": round(value, 3), "goal": goal, "ok": ok}


def measure_message_delays() -> list[Row]:
    rows = []
    for members in (4, 10):
        delays = measure_delays(members, blocks=10)
        finality, between = max(delays.finality), max(delays.between_blocks)
        exact = set(delays.finality) == {3.0}, set(delays.between_blocks) == {2.0}
        rows.append(make_row(f"{members} members: link delays to finality", finality, "3", exact[0]))
        rows.append(make_row(f"{members} members: link delays between blocks", between, "2", exact[1]))
    return rows


def measure_collectors() -> list[Row]:
    """Mode B against the same committee all-to-all."""
    rows = []
    for members in (40, 64, 100):
        collected = measure_delays(members, blocks=2)
        direct = measure_delays(members, blocks=1, collector_threshold=ALL_TO_ALL)
        finality, share = max(collected.finality), collected.frames_per_view / direct.frames_per_view
        rows.append(make_row(f"{members} members, collectors: link delays to finality", finality, "5", finality == 5))
        rows.append(make_row(f"{members} members, collectors: frames a view", collected.frames_per_view, "", True))
        rows.append(make_row(f"{members} members, all-to-all: frames a view", direct.frames_per_view, "", True))
        rows.append(make_row(f"{members} members: frames with collectors, share", share, "<= 0.25", share <= 0.25))
    return rows


def measure_steady() -> list[Row]:
    """Ten members, links of 50 ms."""
    world = MeteredWorld(make_plan(10, [], LINK_MS))
    end_ms = WARM_UP_MS + 30_000
    world.run_until(end_ms + 2_000)
    deliveries = world.between(WARM_UP_MS, end_ms)
    latencies = [known.latency_ms for known in deliveries]
    half, most = percentile(latencies, 50), percentile(latencies, 99)
    rate = count_blocks(deliveries) * 1000 / (end_ms - WARM_UP_MS)
    return [
        make_row("10 members, 50 ms links: finality p50 ms", half, "<= 300", half <= 300),
        make_row("10 members, 50 ms links: finality p99 ms", most, "", True),
        make_row("10 members, 50 ms links: blocks a second", rate, "", True),
    ]


def measure_crashed() -> list[Row]:
    """f members down for good: what is left of the throughput. With the usual pacing, and with none, where each view of
    a leader who is gone shows. The first seconds go by while the others lose their patience with the dead (R5).
    """
    rows = []
    for members, interval_ms in ((4, 200), (10, 200), (4, 0), (7, 0), (10, 0)):
        down = fault_bound(members)
        faults = [Fault("crash", WARM_UP_MS, lasts_ms=120_000, member=member) for member in range(down)]
        usual = count_while(members, [], interval_ms)
        first, later = (count / whole for count, whole in zip(count_while(members, faults, interval_ms), usual))
        label = f"{down} of {members} crashed, blocks {f'{interval_ms} ms apart' if interval_ms else 'unpaced'}"
        rows.append(make_row(f"{label}: share of throughput in the first 4 s", first, "", True))
        rows.append(make_row(f"{label}: share of throughput afterwards", later, ">= 0.6", later >= 0.6))
    return rows


def count_while(members: int, faults: list[Fault], interval_ms: int) -> tuple[int, int]:
    """Blocks proposed in the first seconds after the warm-up, and in a while after that."""
    plan = make_plan(members, faults, 10, 20.0 if interval_ms else BUSY_PER_S)
    plan.interval_ms = interval_ms
    middle_ms = WARM_UP_MS + PATIENCE_MS
    end_ms = middle_ms + (24_000 if interval_ms else 6_000)
    world = MeteredWorld(plan)
    world.run_until(end_ms)
    return count_blocks(world.between(WARM_UP_MS, middle_ms)), count_blocks(world.between(middle_ms, end_ms))


def measure_partition() -> list[Row]:
    """Nobody has a quorum for 20 s. Back means: blocks proposed from then on are final as fast as before, nearly."""
    rows = []
    for members in (4, 10):
        heal_ms = WARM_UP_MS + WINDOW_MS + OUTAGE_MS
        side = tuple(range(members // 2))
        fault = Fault("partition", WARM_UP_MS + WINDOW_MS, lasts_ms=OUTAGE_MS, shape="halves", side=side)
        world = MeteredWorld(make_plan(members, [fault], LINK_MS if members > 4 else 10))
        world.run_until(heal_ms + RECOVERY_MS + WINDOW_MS)
        before = median(known.latency_ms for known in world.between(WARM_UP_MS, fault.at_ms - 1000))
        after = [known.latency_ms for known in world.between(heal_ms + RECOVERY_MS, heal_ms + RECOVERY_MS + 8_000)]
        ratio = median(after) / before if after else float("inf")
        fresh = [known for known in world.deliveries if known.final_ms > heal_ms]
        first_s = (min(known.final_ms for known in fresh) - heal_ms) / 1000 if fresh else float("inf")
        label = f"{members} members, 20 s without quorum"
        rows.append(make_row(f"{label}: p50 from 2 s on, against before", ratio, "<= 1.5", ratio <= 1.5))
        rows.append(make_row(f"{label}: s to the first final block", first_s, "<= 2", first_s <= 2))
    return rows


def measure_catch_up(blocks: int) -> list[Row]:
    """One of four is cut off until so many blocks were made without it."""
    world = MeteredWorld(make_plan(4, [], 10))
    straggler = world.nodes[3]
    links = [(3, other) for other in range(3)] + [(other, 3) for other in range(3)]
    world.exchange_checker.expect_faults()
    world.run_until(WARM_UP_MS)
    world.network.cut(links)
    start_ms, start = world.now_ms, world.nodes[0].executor.final.height
    while world.nodes[0].executor.final.height - straggler.executor.final.height < blocks:
        world.step()
    rate = (world.nodes[0].executor.final.height - start) * 1000 / (world.now_ms - start_ms)
    behind, healed_ms = world.nodes[0].executor.final.height - straggler.executor.final.height, world.now_ms
    world.network.mend(links)
    world.reconnect(links)
    while world.nodes[0].executor.final.height - straggler.executor.final.height > TIP_DISTANCE:
        world.step()
        if world.now_ms > healed_ms + CATCH_UP_LIMIT_MS:
            return [make_row(f"{blocks:,} blocks behind: times real time", 0, ">= 20", False)]
    arrived_ms = max(known.final_ms for known in world.deliveries if known.node == straggler.index)
    took_ms = max(1, arrived_ms - healed_ms)
    speed = behind * 1000 / took_ms
    rows = [make_row(f"{blocks:,} blocks behind: s to the tip", took_ms / 1000, "", True)]
    if blocks >= 1000:  # below that it is a matter of a round trip or two
        ratio = speed / rate
        rows.append(make_row(f"{blocks:,} blocks behind: times real time", ratio, ">= 20", ratio >= 20))
    return rows


def rows(catch_up_blocks: tuple[int, ...] = (100, 1_000)) -> list[Row]:
    """Every measure with its goal."""
    found = measure_message_delays() + measure_collectors() + measure_steady() + measure_crashed() + measure_partition()
    for blocks in catch_up_blocks:
        found += measure_catch_up(blocks)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="testnet.sim.measure", description=__doc__)
    parser.add_argument("--far", action="store_true", help="also catch up on 10,000 blocks: minutes more")
    options = parser.parse_args()
    found = rows((100, 1_000, 10_000) if options.far else (100, 1_000))
    table = Table("measure", "value", "goal", "ok")
    for row in found:
        table.add_row(row["measure"], f"{row['value']:,}", row["goal"], "yes" if row["ok"] else "NO")
    Console(width=120, highlight=False).print(table)
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    return int(not all(row["ok"] for row in found))


if __name__ == "__main__":
    sys.exit(main())
