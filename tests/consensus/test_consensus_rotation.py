"""Committees that follow each other under faults: some seeds of the campaign, twice each, and proof that it notices."""

from collections import Counter

import pytest

from consensus import chain, epochs
from consensus import round as round_rules
from consensus.sealing import is_sealed
from testnet.sim.rotation import LIES, Rotation, find_unfired, run_rotation

SAME_COMMITTEE_TWICE = 147  # restarts must find their epoch all the same


@pytest.mark.parametrize("seed", [*range(2 * len(LIES)), SAME_COMMITTEE_TWICE])
def test_epochs_go_by_under_faults_and_lies(seed: int) -> None:
    first = run_rotation(seed)
    assert first.failure == ""
    assert first.height >= 6
    assert first == run_rotation(seed)  # Z1: the audit hash over all that was delivered is one of its fields


def fails(seeds: range) -> bool:
    return any(run_rotation(seed).failure for seed in seeds)


def test_a_seal_that_nobody_checks_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(round_rules, "may_vote_for_seal", lambda *_: True)
    assert fails(range(LIES.index("seals another committee"), 140, len(LIES)))


def test_a_chain_that_goes_on_above_the_seal_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain, "is_sealed", lambda state, entry: is_sealed(state, entry) and state.view % 2 == 0)
    assert fails(range(40))


def test_messages_of_any_epoch_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(epochs, "read_epoch", lambda _: 2)
    assert fails(range(5))


def test_what_never_happened_is_reported() -> None:
    everything = Rotation(0, "silent", fired=Counter(dict.fromkeys(("loss", "late finality", "cut", *LIES), 1)))
    assert find_unfired([everything]) == ["restart"]
