"""The schedules that mutants are run on. Unmutated code passes every one of them.

`swarm` is the campaign as it is. The others bend its plans towards one kind of trouble, because a bug is found fast
only by the member who exploits it; `unguarded` takes away the signer's guard, which would hide what agreement does
wrong.
"""

import itertools
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from testnet.sim.byzantine import Equivocator, Fabricator, Forger, Retagger, Skipper, Slanderer, Usurper, WrongResult
from testnet.sim.campaign import run_seed
from testnet.sim.forks import run_fork
from testnet.sim.plan import Fault
from testnet.sim.twins import iterate_cases, run_case

SLOW_MS = 200
SAFETY_MS = 8_000
Play = Callable[[int], str]  # a seed's failure; empty if all is well


def swarm(**changes: Any) -> Play:
    return lambda seed: run_seed(seed, safety_ms=SAFETY_MS, **changes).failure


@lru_cache(maxsize=1)
def list_cases() -> list[Any]:
    return list(itertools.islice(iterate_cases(), 300))


def twins(seed: int) -> str:
    cases = list_cases()
    return run_case(seed, cases[seed % len(cases)]).failure


def slow_links(seed: int) -> str:
    """Twins whose every message takes so long that a view's first patience does not suffice."""
    cases = list_cases()
    return run_case(seed, cases[seed % len(cases)], SLOW_MS).failure


def forks(seed: int) -> str:
    return run_fork(seed).result.failure


PROFILES: dict[str, Play] = {
    "swarm": swarm(),
    "unguarded": swarm(has_guard=False),
    "unguarded equivocator": swarm(has_guard=False, byzantine={1: Equivocator.name}),
    "forger": swarm(byzantine={1: Forger.name}),
    "skipper": swarm(byzantine={1: Skipper.name}),
    "usurper": swarm(byzantine={1: Usurper.name}),
    "fabricator": swarm(byzantine={1: Fabricator.name}),
    "slanderer": swarm(byzantine={1: Slanderer.name}),
    "retagger": swarm(byzantine={1: Retagger.name}),
    "wrong result": swarm(byzantine={1: WrongResult.name}),
    "long outage": swarm(
        retain_views=2, delay_mean_ms=30.0, byzantine={}, faults=[Fault("crash", 1_000, 7_000, member=2, degree=3)]
    ),
    "slow links": slow_links,
    "twins": twins,
    "forks": forks,
}
