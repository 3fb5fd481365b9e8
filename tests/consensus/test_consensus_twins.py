"""Twins: the list of cases, the first of them played, and what a broken core does to them."""

import itertools

import pytest

from consensus import state
from testnet.sim.twins import (
    CORES,
    MEMBERS,
    TWIN,
    iterate_cases,
    make_canonical,
    make_rounds,
    normalise,
    rename,
    run_case,
    run_cases,
)

CASES = 20


@pytest.mark.parametrize(
    ("sides", "expected"),
    [
        ((0, 0, 0, 0, 0), (0, 0, 0, 0, 0)),
        ((2, 2, 1, 0, 1), (0, 0, 1, 2, 1)),
        ((1, 0, 1, 0, 1), (0, 1, 0, 1, 0)),
    ],
)
def test_sides_have_no_names(sides: tuple[int, ...], expected: tuple[int, ...]) -> None:
    assert normalise(sides) == expected


def test_a_round_is_any_leader_and_any_split_into_three_sides() -> None:
    rounds = make_rounds()
    assert len(rounds) == len(set(rounds)) == MEMBERS * 41  # 41 of the 52 partitions of five have at most three blocks


def test_cases_that_differ_in_names_are_one_case() -> None:
    case = ((0, (0, 0, 1, 1, 0)), (TWIN, (0, 1, 1, 1, 0)), (2, (0, 1, 2, 0, 0)))
    for honest in itertools.permutations((0, 1, 2)):
        for twins in ((3, 4), (4, 3)):
            assert make_canonical(rename(case, (*honest, *twins))) == make_canonical(case)
    # The twin is no honest member: who leads as a twin leads as a twin under every name.
    assert [leader == TWIN for leader, _ in make_canonical(case)] == [False, True, False]


def test_the_list_of_cases_repeats_itself_and_no_case() -> None:
    first, second = (list(itertools.islice(iterate_cases(), 2000)) for _ in range(2))
    assert first == second
    assert len(set(first)) == 2000
    assert {len(case) for case in first} == {3, 4}
    assert all(len(split) == CORES for case in first for _, split in case)


def test_cases_are_safe_live_and_repeat_themselves() -> None:
    results = list(run_cases(CASES))
    assert [result.failure for result in results] == [""] * CASES
    assert all(result.height >= 10 for result in results)
    # Not vacuous: the twins were caught in many cases, though not in all.
    assert CASES // 3 < sum(result.evidence > 0 for result in results) <= CASES


def test_a_quorum_that_is_too_small_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "quorum", lambda member_count: member_count - (member_count - 1) // 3 - 1)
    failures = [run_case(number, case).failure for number, case in enumerate(itertools.islice(iterate_cases(), CASES))]
    assert any(failures)
