"""In the simulator, a node far behind or without its disk starts from a peer's snapshot; a liar's is not adopted."""

import pytest

from testnet.sim.plan import Fault, Plan
from testnet.sim.world import World

AWAY = Fault("crash", 2_000, 8_000, member=1)
LOST = Fault("disk lost", 10_000, 100, member=2)


def run(**fields):
    plan = Plan(7, safety_ms=14_000, snapshot_blocks=8, snapshot_gap_blocks=10, **fields)
    result = World(plan).run()
    assert result.failure == ""
    return result.fired


@pytest.mark.parametrize("fault", [AWAY, LOST])
def test_a_node_that_was_away_or_lost_its_disk_adopts_a_snapshot(fault):
    assert run(faults=[fault])["repair: snapshot adopted"] == 1


def test_below_the_gap_ranges_do():
    plan = Plan(7, safety_ms=14_000, snapshot_blocks=8, faults=[AWAY])
    result = World(plan).run()
    assert result.failure == "" and result.fired["repair: range taken"] > 0
    assert "repair: snapshot adopted" not in result.fired


def test_a_liar_s_snapshot_is_found_out():
    fired = run(faults=[AWAY], byzantine={3: "sync liar"})
    assert fired["repair: snapshot adopted"] == 1 and fired["behaviour: sync liar"] > 0


def test_the_same_plan_gives_the_same_run():
    plans = [Plan(9, safety_ms=12_000, snapshot_blocks=8, snapshot_gap_blocks=10, faults=[AWAY]) for _ in range(2)]
    audits = [World(plan).run().audit for plan in plans]
    assert audits[0] == audits[1]
