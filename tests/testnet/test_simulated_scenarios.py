"""Scenarios in virtual time: each harm is felt, each condition can fail there, and a seed repeats itself."""

from functools import cache

import pytest
import trio

from testnet.scenario.backend import Unable, refuse_what_it_lacks
from testnet.scenario.parsing import load_scenario, parse_scenario
from testnet.scenario.run_command import find_scenario
from testnet.scenario.running import Outcome, run_scenario
from testnet.scenario.seeds import Trial, make_row
from testnet.scenario.simulator_backend import SimulatorBackend
from testnet.sim.mutants.market import liquidates_early
from testnet.sim.mutants.patches import Patches

USUAL = ("nodes_alive", "roots_equal", "money_conserved", "no_wrong_liquidation", "funding_continuous", "audit_clean")
NEEDS = {"heights_grow": "within_s = 3\n", "keeps_going": "gap_s = 2\n", "evidence_names": "members = [2]\n"}
HARMS = """
[[fault]]
kind = "price_move"
at_s = 1
for_s = 6
change_bps = -1100
[[fault]]
kind = "crash"
at_s = 2
for_s = 2
targets = [1]
[[fault]]
kind = "partition"
at_s = 3
for_s = 2
targets = [0, 1]
[[fault]]
kind = "disk_full"
at_s = 6
for_s = 1
targets = [2]
[[fault]]
kind = "disk_lost"
at_s = 8
for_s = 1
targets = [3]
[[fault]]
kind = "loss"
at_s = 9
for_s = 1
targets = [0]
share = 0.3
"""
LIAR = """
[[fault]]
kind = "byzantine"
at_s = 1
for_s = 6
targets = [2]
behaviour = "equivocate"
[[fault]]
kind = "slow_disk"
at_s = 2
for_s = 3
targets = [0]
sync_ms = 80
[[fault]]
kind = "delay"
at_s = 4
for_s = 2
targets = [1]
delay_ms = 60
jitter_ms = 20
[[fault]]
kind = "clock_skew"
at_s = 2
for_s = 3
targets = [3]
skew_ms = 400
"""


@cache
def run(faults: str, conditions: str, seed: int = 1, duration_s: int = 12) -> Outcome:
    text = f"[network]\nduration_s = {duration_s}\nseed = {seed}\n[load]\ncommands_per_s = 20\n{faults}"
    text += "".join(f'[[assert]]\nkind = "{kind}"\n{NEEDS.get(kind, "")}' for kind in conditions.split())
    scenario = parse_scenario(text, "tried", "tried.toml")
    backend = SimulatorBackend()
    refuse_what_it_lacks(backend, scenario)
    outcome: Outcome = trio.run(run_scenario, scenario, backend, lambda _: None)
    return outcome


def test_whatever_is_healed_leaves_nothing_wrong() -> None:
    outcome = run(HARMS, " ".join(USUAL))
    assert outcome.is_passed, [verdict for verdict in outcome.verdicts if not verdict.is_met]
    facts = outcome.facts
    assert facts.liquidations and facts.trades > 20
    # While two and two did not hear each other nothing was final.
    cut = [final.height for final in facts.finals if 3.2 <= final.at_s <= 4.9]
    assert cut == [] and facts.finals[-1].height > 20


def test_a_liar_is_named_by_its_contradictions_and_nobody_else_is() -> None:
    """By the court's contract, too, which has heard what honest members hold; the same contracts have the deposits."""
    kinds = "evidence_names nobody_honest_slashed audit_clean heights_grow checkpoint_on_chain money_conserved"
    outcome = run(LIAR, kinds)
    assert outcome.is_passed, [verdict for verdict in outcome.verdicts if not verdict.is_met]
    assert outcome.facts.convicted == (2,)


def test_a_seed_repeats_itself() -> None:
    first = run(HARMS, " ".join(USUAL))
    run.cache_clear()
    again, other = run(HARMS, " ".join(USUAL)), run(HARMS, " ".join(USUAL), seed=2)
    assert first.facts == again.facts
    assert first.facts.notes != other.facts.notes


def test_conditions_fail_where_they_should() -> None:
    crash = '[[fault]]\nkind = "crash"\nat_s = 1\ntargets = [0, 1]\n'
    outcome = run(crash, "nodes_alive keeps_going caught_up traded", duration_s=4)
    assert {verdict.name: verdict.is_met for verdict in outcome.verdicts} == {
        "nodes_alive": False, "keeps_going": False, "caught_up": False, "traded": True,
    }  # fmt: skip


def test_probes_find_real_contracts_and_orders_that_execute_once() -> None:
    probes = "".join(f'[[probe]]\nkind = "{kind}"\nat_s = 4\n' for kind in ("zero_root", "lost_answer"))
    outcome = run(probes, "traded checkpoint_on_chain", duration_s=6)
    assert [verdict for verdict in outcome.verdicts if not verdict.is_met] == []
    measured = {verdict.text: verdict.measured for verdict in outcome.verdicts}
    assert measured["executed exactly once"].startswith("12 of 12")
    assert sum(text.startswith("refused") for text in measured.values()) >= 5


@pytest.mark.parametrize("name", ["partition-heal", "settlement-among-liars"])
def test_drills_pass_in_virtual_time(name: str) -> None:
    scenario = load_scenario(find_scenario(name))
    outcome: Outcome = trio.run(run_scenario, scenario, SimulatorBackend(), lambda _: None)
    assert outcome.is_passed, [verdict for verdict in outcome.verdicts if not verdict.is_met]


def test_what_its_checkers_find_fails_a_scenario_that_does_not_ask_for_it() -> None:
    """A planted bug: whoever is below three times the maintenance margin is liquidated."""
    run.cache_clear()
    with Patches() as patches:
        liquidates_early(patches)
        outcome = run(HARMS, "traded")
    assert [verdict.name for verdict in outcome.verdicts if not verdict.is_met] == ["broken"]
    assert outcome.facts.broken.startswith("M2 ")
    run.cache_clear()


def test_what_the_simulator_lacks_is_refused_before_the_start() -> None:
    with pytest.raises(Unable, match="no underlying 'DOGE'"):
        run('[[fault]]\nkind = "price_move"\nat_s = 1\nfor_s = 1\nchange_bps = 1\nunderlying = "DOGE"\n', "traded")
    with pytest.raises(Unable, match="at most 32 orders"):
        run('[[probe]]\nkind = "lost_answer"\nat_s = 1\norders = 33\n', "traded")


@pytest.mark.parametrize(
    ("unmet", "is_met"), [([[], []], True), ([[], ["nodes_alive: 3 of 4 answer"]], False), ([], False)]
)
def test_a_scenario_holds_only_if_it_does_on_every_seed(unmet: list[list[str]], is_met: bool) -> None:
    trials = [Trial("cut", seed, 1.0, 2, texts) for seed, texts in enumerate(unmet)]
    assert make_row("cut", trials).is_met is is_met
