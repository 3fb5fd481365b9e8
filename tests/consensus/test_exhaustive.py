"""The small-scope check: it holds where it can be run in seconds, and notices every rule that is taken out."""

import pytest

from testnet.exhaustive.campaign import check_removal, check_scenario, get_scenario
from testnet.exhaustive.removals import REMOVALS
from testnet.exhaustive.search import Search
from testnet.exhaustive.walk import Walk

VIOLATIONS = {
    "R3-once": "S3 two blocks notarised in view 1",
    "R3-ancestry": "S6 view 1 finalised, not notarised",
    "R4-nullify": "S4 view 1 nullified and finalised",
    "R4-notarize": "S8 finalized another block than it notarized in view 1",
    "R4-result": "S10 1b is final with a wrong result",
    "R5-finalize": "S4 view 1 nullified and finalised",
    "R6-quorum": "S3 two blocks notarised in view 1",
    "R6-count": "S7 member 0 believes a short certificate",
}


# How far the search goes here; `make exhaustive` goes to the end.
LIMITS = {"byzantine leads neither": 1500, "byzantine leads view 1": 300, "byzantine leads view 2": 300}


@pytest.mark.parametrize("name", list(LIMITS))
def test_properties_hold_in_the_first_states(name: str) -> None:
    outcome = check_scenario(get_scenario(name), states_max=LIMITS[name])
    assert (outcome.violation, outcome.is_complete) == ("", False)
    assert outcome.states > LIMITS[name]


def test_a_walk_that_leaves_what_the_search_saw_is_noticed() -> None:
    search = Search(get_scenario("byzantine leads neither"))
    search.run(states_max=60)
    faults = [Walk(search, seed).run() for seed in range(8)]
    assert any("the search never saw" in fault for fault in faults)
    assert not any("S8" in fault or "S9" in fault for fault in faults)


@pytest.mark.parametrize("rule", list(REMOVALS))
def test_a_removed_rule_is_noticed(rule: str) -> None:
    outcome = check_removal(REMOVALS[rule])
    assert outcome.violation.startswith(VIOLATIONS[rule])
    assert outcome.trace
