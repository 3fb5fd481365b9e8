"""Each condition of a scenario holds for what it should and fails for what it should not."""

from dataclasses import replace

import pytest

from testnet.scenario.conditions import (
    CONDITIONS,
    AuditClean,
    CaughtUp,
    CheckpointOnChain,
    Condition,
    EvidenceNames,
    FinalityBelow,
    FundingContinuous,
    HeightsGrow,
    KeepsGoing,
    MoneyConserved,
    NobodyHonestSlashed,
    NodesAlive,
    NoLiquidationWithin,
    NoWrongLiquidation,
    PricesHonest,
    RootsEqual,
    SettledByRule,
    StandsStill,
    Traded,
)
from testnet.scenario.facts import Books, Facts, Final, Liquidation, Sample
from testnet.scenario.judging import judge, list_recoveries
from testnet.scenario.parsing import parse_scenario

SCENARIO = parse_scenario(
    """
[network]
duration_s = 30
[[fault]]
kind = "pause"
at_s = 5
for_s = 10
targets = [0, 1]
[[fault]]
kind = "byzantine"
at_s = 0
targets = [3]
behaviour = "equivocate"
[[assert]]
kind = "nodes_alive"
""",
    "judged",
    "judged.toml",
)


def make_facts() -> Facts:
    """A good end: nothing between 5 s and 15 s, when two of four stand still, and all is well at 18 s."""
    heights = [*range(1, 6), *[5] * 10, *range(6, 21)]
    samples = [Sample(float(at_s), (height, height, height, None)) for at_s, height in enumerate(heights, 1)]
    return Facts(
        member_count=4, duration_s=30.0, samples=samples, finals=[Final(1.0, n, 10.0 + n) for n in range(100)],
        are_alive=(True, True, True, False), heights_compared=25, books=Books(70, 10, 40, 100, 100, 40, 60),
        trades=3, liquidations=[Liquidation(4.0, 4, 9)], funding_blocks=20, funding_payments=1, priced_blocks=9,
        expiries_settled=2, offences={3: ("E1",)}, convicted=(3,), audit_blocks=20, first_onchain_height=1,
        onchain_height=2,
    )  # fmt: skip


ROWS: list[tuple[Condition, dict, str]] = [
    (NodesAlive(), {"are_alive": (True, False, True, True)}, "3 of 4 answer"),
    (HeightsGrow(5.0), {"samples": make_facts().samples[:15]}, "not within the run"),
    (KeepsGoing(12.0), {"duration_s": 60.0}, "longest pause 30.0 s"),
    (StandsStill(6.0, 14.0), {"samples": [Sample(7.0, (5,)), Sample(8.0, (6,))]}, "1 heights"),
    (CaughtUp(0), {"samples": [Sample(30.0, (20, 19, 20, 20))]}, "at most 1 heights behind 20"),
    (RootsEqual(20), {"disagreements": ["height 7: a, b"]}, "1 differ: height 7: a, b"),
    (RootsEqual(20), {"heights_compared": 19}, "19 heights compared"),
    (MoneyConserved(), {"books": Books(70, 10, 40, 101, 100, 40, 60)}, "1 and 0 units missing"),
    (MoneyConserved(), {"books": Books(70, 10, 40, 100, 100, 40, 59)}, "0 and 1 units missing"),
    (NoWrongLiquidation(1), {"liquidations": [Liquidation(4.0, 4, 9, "stale")]}, "1 wrong: height 4: stale"),
    (NoWrongLiquidation(1), {"liquidations": []}, "0 liquidations"),
    (NoLiquidationWithin(3.0), {"liquidations": [Liquidation(17.0, 8, 9)]}, "1 within 3 s of 1 resumptions"),
    (FundingContinuous(), {"funding_breaks": ["height 9 of BTC"]}, "1 breaks: height 9 of BTC"),
    (FundingContinuous(1), {"funding_payments": 0}, "0 payments"),
    (PricesHonest(), {"price_breaks": ["height 9 of BTC"]}, "9 blocks with reports, 1 breaks: height 9 of BTC"),
    (SettledByRule(), {"settlement_breaks": ["BTC"]}, "2 expiries settled, 1 breaks: BTC"),
    (SettledByRule(2), {"expiries_settled": 1}, "1 expiries settled"),
    (FinalityBelow(110), {"finals": [Final(1.0, 1, 111.0)]}, "p99 111 ms of 1"),
    (EvidenceNames((3,)), {"convicted": ()}, "convicted []"),
    (EvidenceNames((3,)), {"offences": {}}, "proven of nobody"),
    (NobodyHonestSlashed(), {"convicted": (2, 3)}, "[2]"),
    (AuditClean(), {"audit_findings": ["node1: height 4"]}, "1 findings: node1: height 4"),
    (CheckpointOnChain(), {"onchain_height": 1}, "height 1 to 1"),
    (CheckpointOnChain(), {"onchain_findings": ["height 2 is nobody's"]}, "1 foreign"),
    (Traded(3), {"trades": 2}, "2 trades"),
]


@pytest.mark.parametrize(("condition", "change", "measured"), ROWS)
def test_a_condition_holds_until_what_it_forbids_happens(condition: Condition, change: dict, measured: str) -> None:
    assert judge(condition, SCENARIO, make_facts()).is_met
    verdict = judge(condition, SCENARIO, replace(make_facts(), **change))
    assert not verdict.is_met
    assert measured in verdict.measured


def test_every_kind_of_condition_is_judged_here() -> None:
    assert {type(row[0]) for row in ROWS} == set(CONDITIONS.values())


@pytest.mark.parametrize("condition", [kind for kind, _, _ in ROWS if type(kind) is not NobodyHonestSlashed])
def test_a_run_that_shows_nothing_meets_no_condition(condition: Condition) -> None:
    assert not judge(condition, SCENARIO, Facts(4)).is_met


def test_recovery_is_when_the_last_of_overlapping_faults_ends() -> None:
    text = """
[network]
duration_s = 30
[[assert]]
kind = "nodes_alive"
"""
    fault = '[[fault]]\nkind = "pause"\nat_s = {}\nfor_s = {}\ntargets = [0]\n'
    both = parse_scenario(text + fault.format(5, 10) + fault.format(8, 2) + fault.format(20, 1), "a", "a")
    assert list(list_recoveries(both)) == [15.0, 21.0]
    assert list(list_recoveries(parse_scenario(text, "a", "a"))) == [0.0]
