"""Five hundred seeds of the simulator, and its determinism."""

import pytest

from testnet.sim.world import World, draw_plan
from testnet.simulate import run_seed

SEEDS = 500


@pytest.mark.slow
def test_agreement_holds_and_progresses_under_faults() -> None:
    """Loss and at least one crash scheduled in every run; no property breaks and every run is live afterwards."""
    results = [run_seed(seed) for seed in range(SEEDS)]
    failures = [f"seed {result.seed}: {result.failure}" for result in results if result.failure]
    assert not failures, "\n".join(failures)
    # Not vacuous: blocks, crashes, catch-up and evidence really happened.
    assert all(result.height >= 10 for result in results)
    assert sum(result.height for result in results) >= SEEDS * 15
    assert sum(result.crashes for result in results) >= SEEDS
    assert sum(result.syncs for result in results) >= 20
    assert sum(result.evidence for result in results) >= 20


@pytest.mark.parametrize("seed", range(20))
def test_a_seed_repeats_itself(seed: int) -> None:
    first, second = run_seed(seed), run_seed(seed)
    assert first == second  # Z1, the audit hash over all events included
    assert len(first.audit) == 32


def test_crash_at_every_effect_of_a_canonical_run() -> None:
    """D2: node 0 of a quiet network dies between any two effects of a few turns, and nothing breaks."""
    for effect in range(60):
        plan = draw_plan(1, safety_ms=2500)
        plan.byzantine, plan.crash_times_ms, plan.partition_times_ms = {}, [], []
        world = World(plan)
        world.post_at(800, world.nodes[0], "arm_crash", effect)
        result = world.run()
        assert result.failure == "", f"crash after {effect} effects: {result.failure}"
        assert result.crashes == 1


@pytest.mark.parametrize("member_count", [10, 16])
def test_larger_committees(member_count: int) -> None:
    result = run_seed(7, member_count=member_count, byzantine={}, safety_ms=3000, crash_times_ms=[500, 1000])
    assert result.failure == ""
    assert result.height >= 10
