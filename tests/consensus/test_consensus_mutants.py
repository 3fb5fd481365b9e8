"""Planted bugs that are found fast; `make mutants` plants them all."""

import pytest

from consensus import round
from testnet.sim.mutants.campaign import MUTANTS, choose_controls, control, hunt
from testnet.sim.mutants.patches import Mutant, Patches
from testnet.sim.mutants.profiles import PROFILES

FAST = (
    "quorum minus one",
    "result unchecked",
    "certificate size unchecked",
    "conflicting votes unnoticed",
    "contradicting certificates unnoticed",
    "accuses everybody in a certificate",
    "evidence unverified",
    "torn tail kept",
    "availability unchecked",
    "batch signature unchecked",
    "report quorum unchecked",
    "deposits unchecked",
)


def test_what_a_mutant_replaces_is_put_back() -> None:
    before = round.may_notarize
    with Patches() as patches:
        patches.put(round, "may_notarize", lambda _: True)
        patches.put(round, "may_notarize", lambda _: False)
        assert round.may_notarize is not before
    assert round.may_notarize is before


def test_a_patch_of_nothing_is_refused() -> None:
    with Patches() as patches, pytest.raises(KeyError):
        patches.put(round, "a rule that was renamed", None)


def test_every_mutant_has_a_name_and_schedules_of_its_own() -> None:
    names = [mutant.name for mutant in MUTANTS]
    assert len(set(names)) == len(names) >= 35
    assert {mutant.profile for mutant in MUTANTS} <= PROFILES.keys()
    assert set(FAST) <= set(names)


@pytest.mark.parametrize(
    "mutant", [mutant for mutant in MUTANTS if mutant.name in FAST], ids=lambda mutant: mutant.name
)
def test_planted_bug_is_found(mutant: Mutant) -> None:
    verdict = hunt(mutant)
    assert verdict.failure, f"{mutant.name} survived {verdict.seeds_tried} seeds"
    # For what it does, not for the schedule it is run on.
    assert control(mutant.profile, verdict.seeds_tried).failures == []


def test_a_bug_that_is_none_survives() -> None:
    mutant = Mutant(harmless, "none", "twins", seeds_max=2)
    verdict = hunt(mutant)
    assert (verdict.seed, verdict.seeds_tried, verdict.failure) == (None, 2, "")
    assert choose_controls([verdict]) == {"twins": 8}


def harmless(patches: Patches) -> None:
    patches.put(round, "MISSED_TURNS_MAX", round.MISSED_TURNS_MAX)
