"""Forced forks before the court: a few here, hundreds by `make sim-court`."""

import pytest

from testnet.sim import fork_court
from testnet.sim.fork_court import Courthouse, summarise, try_forks
from testnet.sim.forks import ForkWatch

FORKS = 6


def test_the_court_convicts_more_than_f_liars_of_every_fork_and_nobody_else() -> None:
    trials = list(try_forks(FORKS))
    summary = summarise(trials, 1.0)
    assert (summary["forks"], summary["failures"]) == (FORKS, [])
    assert {trial.member_count for trial in trials} == {4, 7}
    for trial in trials:
        assert len(trial.convicted) >= trial.needed and set(trial.convicted) <= set(trial.twins)


def test_evidence_that_is_kept_back_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ForkWatch, "on_evidence", lambda *_: None)
    trial = Courthouse(4).try_fork(1)
    assert trial.is_fork and "A1" in trial.failure
    assert fork_court.summarise([trial], 1.0)["failures"]
