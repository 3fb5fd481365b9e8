"""The simulator: the campaign of `make sim`, its determinism, crashes at every effect, the reducer."""

import json
from collections import Counter
from dataclasses import asdict

import pytest

from testnet.sim import world as worlds
from testnet.sim.campaign import run_plan, run_short, run_twice
from testnet.sim.checkers import Violation
from testnet.sim.plan import Fault, Plan, decode_plan, encode_plan
from testnet.sim.reduce import reduce_plan
from testnet.sim.swarm import draw_plan
from testnet.sim.twins import run_cases

SEEDS = 200
TWINS_CASES = 300


@pytest.mark.slow
def test_the_campaign_of_make_sim() -> None:
    """Every seed twice with equal audits (Z1); no property breaks and every run is live afterwards."""
    results = [run_twice(seed) for seed in range(SEEDS)]
    failures = [f"seed {result.seed}: {result.failure}" for result in results if result.failure]
    assert not failures, "\n".join(failures)
    # Not vacuous: the engine worked, and what a campaign must have seen often was seen.
    assert all(result.height >= 10 for result in results)
    assert sum(result.messages for result in results) >= SEEDS
    assert sum(result.deposits for result in results) >= SEEDS * 3
    fired = Counter[str]()
    for result in results:
        fired.update(result.fired)
    for name in ("crash", "network: loss", "repair: range taken", "evidence", "disk: unsynced writes lost"):
        assert fired[name] >= 20, name


@pytest.mark.slow
def test_twins_cases_of_make_sim() -> None:
    failures = [f"case {result.number}: {result.failure}" for result in run_cases(TWINS_CASES) if result.failure]
    assert not failures, "\n".join(failures)


@pytest.mark.parametrize("seed", range(3))
def test_a_seed_repeats_itself(seed: int) -> None:
    first, second = run_short(seed), run_short(seed)
    assert first == second  # Z1, the audit hash over all events included
    assert len(first.audit) == 32
    assert run_short(seed + 3).audit != first.audit


def test_without_short_cuts_every_node_finds_the_same() -> None:
    """Every node executes and checks for itself, with real signatures."""
    plan = Plan(5, safety_ms=2_500, has_memo=False, has_real_signatures=True, load_per_s=5.0)
    result = run_plan(plan)
    assert result.failure == ""
    assert result.messages > 0


@pytest.mark.slow
def test_crash_at_every_effect_of_a_canonical_run() -> None:
    """D2: node 0 of a quiet network dies between any two effects of a few turns, and nothing breaks."""
    for effect in range(60):
        plan = Plan(1, safety_ms=2_500, faults=[Fault("crash", 800, 300, 0, effect)])
        result = run_plan(plan)
        assert result.failure == "", f"crash after {effect} effects: {result.failure}"
        assert result.crashes == 1


@pytest.mark.parametrize("member_count", [10, 16])
def test_larger_committees(member_count: int) -> None:
    faults = [Fault("crash", 500, 400, 1, 3), Fault("crash", 1_000, 400, 2, 3)]
    result = run_plan(Plan(7, member_count, safety_ms=3_000, faults=faults))
    assert result.failure == ""
    assert result.height >= 10


def test_a_plan_survives_being_written_down() -> None:
    for seed in range(50):
        plan = draw_plan(seed)
        assert asdict(decode_plan(encode_plan(plan))) == asdict(plan)
        assert json.loads(encode_plan(plan))["seed"] == seed


def test_the_reducer_leaves_what_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    def on_crash(world: worlds.World, node: object) -> None:
        raise Violation("P0 a node crashed")

    monkeypatch.setattr(worlds.World, "on_crash", on_crash)
    faults = [Fault("pause", 100, 50, 1), Fault("crash", 300, 400, 1, 1), Fault("slow", 200, 50, 2, 10)]
    plan = Plan(3, byzantine={2: "silent"}, loss=0.1, faults=faults, safety_ms=2_000)
    failure = run_plan(decode_plan(encode_plan(plan))).failure
    assert failure == "P0 a node crashed"
    command = list(reduce_plan(plan, failure))[-1]
    small = decode_plan(command.split("--plan ")[1].strip("'"))
    assert [fault.kind for fault in small.faults] == ["crash"]
    assert (small.byzantine, small.loss, small.load_per_s) == ({}, 0.0, 0.0)
