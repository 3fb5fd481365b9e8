"""What the check consists of: scenarios in which everything must hold, and removed rules that must be noticed."""

from testnet.exhaustive.removals import REMOVALS, Removal, without
from testnet.exhaustive.search import Outcome, Search
from testnet.exhaustive.universe import SCENARIOS, Scenario

QUICK = ("byzantine leads neither",)


def get_scenario(name: str) -> Scenario:
    for scenario in SCENARIOS:
        if scenario.name == name:
            return scenario
    raise ValueError(f"no scenario is called {name!r}; there are: {', '.join(known.name for known in SCENARIOS)}")


def get_removal(rule: str) -> Removal:
    if rule not in REMOVALS:
        raise ValueError(f"no removable rule is called {rule!r}; there are: {', '.join(REMOVALS)}")
    return REMOVALS[rule]


def check_scenario(scenario: Scenario, states_max: int | None = None) -> Outcome:
    return Search(scenario).run(states_max)


def check_removal(removal: Removal) -> Outcome:
    """The outcome must be a violation."""
    with without(removal):
        return Search(get_scenario(removal.scenario), removal.quorum, removal.is_strict).run()
