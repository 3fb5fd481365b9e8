"""The small-scope check: it holds where it can be run in seconds, and notices every rule that is taken out."""

import pytest

from testnet.exhaustive.campaign import check_removal, check_scenario, get_scenario
from testnet.exhaustive.removals import REMOVALS

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


@pytest.mark.parametrize("rule", list(REMOVALS))
def test_a_removed_rule_is_noticed(rule: str) -> None:
    outcome = check_removal(REMOVALS[rule])
    assert outcome.violation.startswith(VIOLATIONS[rule])
    assert outcome.trace
