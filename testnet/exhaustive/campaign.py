"""What the check consists of: scenarios in which everything must hold, and removed rules that must be noticed."""

from testnet.exhaustive.removals import REMOVALS, Removal, without
from testnet.exhaustive.search import Outcome, Search
from testnet.exhaustive.universe import SCENARIOS, Scenario
from testnet.exhaustive.walk import Walk

QUICK = ("byzantine leads neither",)
# Late hosts change nothing that members can say, only how many states each can be in; where the byzantine member leads
# that takes half an hour more, so those are run by name only.
FULL = (
    "byzantine leads neither",
    "byzantine leads neither, late hosts",
    "byzantine leads view 1",
    "byzantine leads view 1, one wrong block",
    "byzantine leads view 2",
)
WALKS = 200


def get_scenario(name: str) -> Scenario:
    for scenario in SCENARIOS:
        if scenario.name == name:
            return scenario
    raise ValueError(f"no scenario is called {name!r}; there are: {', '.join(known.name for known in SCENARIOS)}")


def get_removal(rule: str) -> Removal:
    if rule not in REMOVALS:
        raise ValueError(f"no removable rule is called {rule!r}; there are: {', '.join(REMOVALS)}")
    return REMOVALS[rule]


def check_scenario(scenario: Scenario, states_max: int | None = None, walks: int = 0) -> Outcome:
    """The search, then walks that may not leave what it has seen; those need a complete one."""
    search = Search(scenario)
    outcome = search.run(states_max)
    for seed in range(walks if outcome.is_complete and not outcome.violation else 0):
        fault = Walk(search, seed).run()
        outcome.walks += 1
        if fault:
            outcome.violation = f"walk {seed}, {fault}"
            break
    return outcome


def check_removal(removal: Removal) -> Outcome:
    """The outcome must be a violation."""
    with without(removal):
        return Search(get_scenario(removal.scenario), removal.quorum, removal.is_strict).run()
