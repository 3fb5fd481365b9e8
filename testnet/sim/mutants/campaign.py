"""Running mutants: each until a schedule of its profile finds it, and the unmutated code on the same schedules."""

import time
from dataclasses import dataclass

from testnet.sim.mutants import accountability, agreement, durability, market, payloads, repair
from testnet.sim.mutants.patches import Mutant, Patches
from testnet.sim.mutants.profiles import PLANTED, PROFILES, leave_as_is

MUTANTS: tuple[Mutant, ...] = (
    *agreement.MUTANTS,
    *accountability.MUTANTS,
    *durability.MUTANTS,
    *repair.MUTANTS,
    *payloads.MUTANTS,
    *market.MUTANTS,
)
CONTROL_SEEDS_MIN = 8
CONTROL_SEEDS_MAX = 40


@dataclass(slots=True)
class Verdict:
    """How a mutant died, or that it did not."""

    name: str
    rule: str
    profile: str
    seed: int | None = None
    seeds_tried: int = 0
    elapsed_s: float = 0.0
    failure: str = ""

    @property
    def checker(self) -> str:
        """The property that broke: the first word of the failure."""
        return self.failure.split(" ", 1)[0]


def hunt(mutant: Mutant) -> Verdict:
    """Seeds from 0 on until one fails."""
    play = PROFILES[mutant.profile]
    verdict = Verdict(mutant.name, mutant.rule, mutant.profile)
    start_s = time.perf_counter()
    with Patches() as patches:
        PLANTED.get(mutant.profile, leave_as_is)(patches)
        mutant.plant(patches)
        for seed in range(mutant.seeds_max):
            verdict.seeds_tried = seed + 1
            failure = play(seed)
            if failure:
                verdict.seed, verdict.failure = seed, failure
                break
    verdict.elapsed_s = time.perf_counter() - start_s
    return verdict


@dataclass(slots=True)
class Control:
    """What a profile's schedules make of the code as it is: nothing, or the mutants on it prove nothing."""

    profile: str
    seeds: int
    failures: list[str]


def control(profile: str, seeds: int) -> Control:
    play = PROFILES[profile]
    with Patches() as patches:
        PLANTED.get(profile, leave_as_is)(patches)
        failures = [f"seed {seed}: {failure}" for seed in range(seeds) if (failure := play(seed))]
    return Control(profile, seeds, failures)


def choose_controls(verdicts: list[Verdict]) -> dict[str, int]:
    """For every profile in use: as many seeds as its mutants took, within limits."""
    seeds: dict[str, int] = {}
    for verdict in verdicts:
        wanted = min(max(verdict.seeds_tried, CONTROL_SEEDS_MIN), CONTROL_SEEDS_MAX)
        seeds[verdict.profile] = max(wanted, seeds.get(verdict.profile, 0))
    return seeds
