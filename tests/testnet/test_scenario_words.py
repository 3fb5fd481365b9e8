"""A scenario file is understood or refused at its line, with the nearest known word."""

import pytest

from testnet.scenario.backend import Abilities
from testnet.scenario.conditions import EvidenceNames, HeightsGrow
from testnet.scenario.harms import Byzantine, Crash, Delay, Fault, Partition
from testnet.scenario.parsing import parse_scenario
from testnet.scenario.probes import ZeroRoot
from testnet.scenario.records import LoadPlan, NetworkPlan, Scenario
from testnet.scenario.running import plan_steps
from testnet.scenario.words import ScenarioError

WHOLE = """
title = "Everything at once"
story = "No such day was ever seen."

[network]
validators = 4
seed = 7
duration_s = 60

[load]
commands_per_s = 12.5

[[fault]]
kind = "crash"
at_s = 5
for_s = 5
targets = [2, 1]

[[fault]]
kind = "delay"
at_s = 10
targets = "all"
delay_ms = 80
jitter_ms = 20

[[fault]]
kind = "byzantine"
at_s = 0
targets = [3]
behaviour = "equivocate"

[[probe]]
kind = "zero_root"
at_s = 10

[[assert]]
kind = "heights_grow"
within_s = 20

[[assert]]
kind = "evidence_names"
members = [3]
"""


def parse(text: str) -> Scenario:
    return parse_scenario(text, "whole", "whole.toml")


def test_a_scenario_becomes_typed_records() -> None:
    scenario = parse(WHOLE)
    assert (scenario.name, scenario.title) == ("whole", "Everything at once")
    assert scenario.network == NetworkPlan(duration_s=60.0, seed=7)
    assert scenario.load == LoadPlan(commands_per_s=12.5)
    assert scenario.faults == (
        Fault(0, Crash(), 5.0, 10.0, (1, 2), True),
        Fault(1, Delay(80.0, 20.0), 10.0, 60.0, (0, 1, 2, 3), False),
        Fault(2, Byzantine("equivocate"), 0.0, 60.0, (3,), False),
    )
    assert [fault.title for fault in scenario.faults] == ["crash of 1, 2", "delay of 0, 1, 2, 3", "equivocate of 3"]
    assert scenario.probes[0].trial == ZeroRoot()
    assert scenario.conditions == (HeightsGrow(20.0), EvidenceNames((3,)))
    assert (scenario.liars, scenario.honest) == ({3: "equivocate"}, (0, 1, 2))


def test_faults_end_before_others_begin_at_the_same_moment_and_probes_come_last() -> None:
    steps = [(at_s, what) for at_s, what, _ in plan_steps(parse(WHOLE))]
    assert steps == [(0.0, 1), (5.0, 1), (10.0, 0), (10.0, 1), (10.0, 2)]


@pytest.mark.parametrize(
    ("find", "replacement", "complaint"),
    [
        ('kind = "crash"', 'kind = "crush"', "whole.toml:14: [fault] unknown kind 'crush', did you mean 'crash'?"),
        ("seed = 7", "sead = 7", "whole.toml:7: [network] unknown key 'sead', did you mean 'seed'?"),
        ("jitter_ms = 20", "jiter_ms = 20", "whole.toml:24: [fault] unknown key 'jiter_ms', did you mean 'jitter_ms'?"),
        ("jitter_ms = 20", "jitter_ms = 90", "whole.toml:24: [fault] jitter_ms is at most delay_ms: no packet arrives "
         "before it was sent"),
        ("delay_ms = 80", 'delay_ms = "80"', "whole.toml:23: [fault] delay_ms must be a number, not '80'"),
        ("delay_ms = 80", "delay_ms = -1", "whole.toml:23: [fault] delay_ms goes from 0 to 10000, not -1.0"),
        ("delay_ms = 80", "", "whole.toml:19: [fault] delay_ms is missing: the mean"),
        ("targets = [2, 1]", "targets = [4]",
         'whole.toml:17: [fault] targets is "all" or a list of numbers from 0 to 3'),
        ("targets = [2, 1]", "", 'whole.toml:13: [fault] targets is "all" or a list of numbers from 0 to 3'),
        ("targets = [2, 1]", "targets = [3]",
         "whole.toml:28: [fault] fault 1 has ended a process of the same member at that time"),
        ("at_s = 5\n", "at_s = 58\n", "whole.toml:16: [fault] it ends at 63 s, after the run's 60 s"),
        ("at_s = 5\n", "at_s = -5\n", "whole.toml:15: [fault] at_s is a number from 0 to the run's 60 s, not -5"),
        ('"equivocate"', '"equivocat"', "whole.toml:30: [fault] behaviour 'equivocat' is not known, did you mean "
         "'equivocate'?"),
        ('kind = "zero_root"', 'kind = "zero_rot"', "whole.toml:33: [probe] unknown kind 'zero_rot', did you mean "
         "'zero_root'?"),
        ("within_s = 20", "within_s = 55", "whole.toml:38: [assert] the last fault ends at 10 s: 55 s later the run is "
         "over"),
        ("members = [3]", "members = [4]", "whole.toml:42: [assert] members are numbers from 0 to 3"),
        ("[network]", "[[network]]", "whole.toml: there is no [network]: write at least its duration_s"),
        ("[[probe]]", "[probe]", "whole.toml:32: [probe] write [[probe]] with two brackets: there may be several"),
        ("seed = 7", "expiry_s = 7", "whole.toml:7: [network] expiry_s needs has_options = true"),
        ("seed = 7", "seed = ", "whole.toml is no TOML: Invalid value (at line 7, column 8)"),
    ],
)  # fmt: skip
def test_a_mistake_is_refused_where_it_stands(find: str, replacement: str, complaint: str) -> None:
    assert WHOLE.count(find) == 1
    with pytest.raises(ScenarioError) as caught:
        parse(WHOLE.replace(find, replacement))
    assert str(caught.value) == complaint


def test_a_run_that_cannot_fail_is_refused() -> None:
    with pytest.raises(ScenarioError, match="nothing is asserted"):
        parse("[network]\nduration_s = 5")


def test_what_a_back_end_cannot_do_is_named() -> None:
    abilities = Abilities(frozenset({"crash", "byzantine"}), frozenset({"heights_grow"}), behaviours=frozenset())
    assert abilities.find_refusals(parse(WHOLE)) == [
        "fault delay", "assert evidence_names", "probe zero_root", "behaviour equivocate",
    ]  # fmt: skip


def test_a_partition_of_everybody_has_no_other_side() -> None:
    text = '[network]\nduration_s = 9\n[[fault]]\nkind = "partition"\nat_s = 1\ntargets = "all"\n'
    with pytest.raises(ScenarioError, match="two sides"):
        parse(text)
    half = parse(text.replace('"all"', "[0]") + '[[assert]]\nkind = "nodes_alive"')
    assert half.faults[0].harm == Partition()
