"""The measures of agreement in virtual time, short: what is measured is what happened."""

from testnet.sim.measure import MeteredWorld, make_plan, measure_catch_up
from testnet.sim.plan import Fault


def test_finality_takes_three_link_delays_and_little_more() -> None:
    world = MeteredWorld(make_plan(4, [], 50))
    world.run_until(6_000)
    latencies = [known.latency_ms for known in world.between(2_000, 5_000)]
    assert len(latencies) >= 4 * 8
    assert min(latencies) >= 150
    assert sorted(latencies)[len(latencies) // 2] < 200


def test_nothing_is_final_without_a_quorum() -> None:
    world = MeteredWorld(make_plan(4, [Fault("partition", 2_000, lasts_ms=3_000, shape="halves", side=(0, 1))], 10))
    world.run_until(8_000)
    assert not world.between(2_200, 4_800)
    assert world.between(5_500, 7_000)


def test_a_straggler_arrives() -> None:
    (row,) = measure_catch_up(20)
    assert row["ok"]
    assert 0 < row["value"] < 10
