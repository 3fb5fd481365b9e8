"""More than f liars: what contradicts what, who is named by it, and forced forks that name enough."""

import pytest

from consensus import chain
from consensus.messages import (
    FINALIZE,
    NOTARIZE,
    NULLIFY,
    ZERO_HASH,
    Certificate,
    Vote,
    fault_bound,
    keccak,
    make_bitmap,
)
from testnet.sim.checkers import Violation
from testnet.sim.checkers.accountability import check_accusation, expose, find_culprits, name_conflict
from testnet.sim.courtroom import try_forks
from testnet.sim.forks import DOMAIN, draw_fork_plan, iterate_forks, run_fork
from testnet.sim.keys import Keys

ONE, OTHER = keccak(b"one"), keccak(b"other")
KEYS = Keys(7, 4, DOMAIN)
FORKS = 30


def vote(kind: int, header_hash: bytes = ZERO_HASH, view: int = 5, signer: int = 0) -> Vote:
    return KEYS.sign(signer, kind, 1, view, header_hash)


def certificate(kind: int, header_hash: bytes, *signers: int) -> Certificate:
    aggregate, _ = KEYS.aggregate([vote(kind, header_hash, signer=signer) for signer in signers])
    assert aggregate is not None
    return aggregate


@pytest.mark.parametrize(
    ("first", "second", "rule"),
    [
        (vote(NOTARIZE, ONE), vote(NOTARIZE, OTHER), "E1"),
        (vote(FINALIZE, ONE), vote(FINALIZE, OTHER), "E2"),
        (vote(NULLIFY), vote(FINALIZE, ONE), "E3"),
        (vote(NOTARIZE, ONE), vote(FINALIZE, OTHER), "E4"),
        (vote(NOTARIZE, ONE), vote(FINALIZE, ONE), ""),  # as every honest member does
        (vote(NOTARIZE, ONE), vote(NULLIFY), ""),  # allowed
        (vote(NULLIFY), vote(NULLIFY), ""),
        (vote(NOTARIZE, ONE, view=5), vote(NOTARIZE, OTHER, view=6), ""),
        (certificate(FINALIZE, ONE, 0, 1, 2), certificate(NULLIFY, ZERO_HASH, 1, 2, 3), "E3"),
    ],
)
def test_what_contradicts_what(first: Vote, second: Vote, rule: str) -> None:
    assert name_conflict(first, second) == name_conflict(second, first) == rule


def test_two_certificates_name_those_in_both_bitmaps() -> None:
    first, second = certificate(FINALIZE, ONE, 0, 1, 2), certificate(NOTARIZE, OTHER, 1, 2, 3)
    assert find_culprits(first, second) == (1, 2)
    culprits, rules = expose([first, second, certificate(NOTARIZE, ONE, 0, 1, 2)])
    assert sorted(culprits) == [1, 2]
    assert rules == {"E4": 1, "E1": 1}


def test_an_accusation_must_prove_something_against_a_liar() -> None:
    first, second = certificate(FINALIZE, ONE, 0, 1, 2), certificate(FINALIZE, OTHER, 1, 2, 3)
    assert check_accusation(KEYS, (1, 2), first, second) == (1, 2)
    forged = Certificate(FINALIZE, 1, 5, OTHER, make_bitmap([1, 2, 3], 4), bytes(96))
    for accused, halves, reason in (
        ((1, 2), (first, first), "proves nothing"),
        ((1, 2), (first, forged), "wrong signature"),
        ((1,), (first, second), "node 2 accused"),
        ((1, 2), (vote(FINALIZE, ONE, signer=0), vote(FINALIZE, OTHER, signer=1)), "names nobody"),
    ):
        with pytest.raises(Violation, match=reason):
            check_accusation(KEYS, accused, *halves)


def test_every_fork_names_more_than_f_liars_and_nobody_else() -> None:
    results = list(iterate_forks(FORKS))
    assert [result.failure for result in results] == [""] * len(results)
    forks = [result for result in results if result.is_fork]
    assert len(forks) == FORKS
    assert {result.member_count for result in forks} == {4, 7}
    for result in forks:
        assert min(result.by_certificates, result.by_nodes) >= fault_bound(result.member_count) + 1
    # The plans ask for every number of liars that can fork.
    assert {(plan.member_count, len(plan.twins)) for plan in map(draw_fork_plan, range(100))} == {
        (4, 2),
        (7, 3),
        (7, 4),
    }


def test_who_does_not_testify_leaves_liars_unnamed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain, "testify", lambda _: None)
    assert any(result.failure.startswith("A1 the nodes name") for result in iterate_forks(60))


def test_a_fork_with_real_signatures_is_judged_alike() -> None:
    run = run_fork(4, has_real_keys=True)
    assert run.result.failure == ""
    assert run.result.is_fork
    assert run.watch.evidence


def test_the_contract_convicts_the_liars_of_forks_and_nobody_else() -> None:
    by_size = {draw_fork_plan(seed).member_count: seed for seed in reversed(range(10))}
    trials = try_forks(sorted(by_size.values()))
    assert {trial.member_count for trial in trials} == {4, 7}
    for trial in trials:
        assert trial.failure == ""
        assert len(trial.convicted) >= trial.needed
        assert set(trial.convicted) <= set(trial.liars)
