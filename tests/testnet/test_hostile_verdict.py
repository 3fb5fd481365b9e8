"""What a campaign's figures are made of, and which of them fail it."""

import os
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import get_args

import pytest

from testnet.hostile.__main__ import Attack
from testnet.hostile.attacker import ATTACKS
from testnet.hostile.phases import PHASES, QUIET, QUIET_WITHOUT, Phase, plan
from testnet.hostile.verdict import Ending, Row, exit_code, judge, make_row
from testnet.hostile.watching import MIB, NodePhase, count_bans, find_held, percentile, read_resident_bytes

WELL = Ending(are_all_alive=True, heights=[9] * 4, heights_compared=9, disagreements=[])
LOG = """
2026-11-26T04:04:00.123Z warning  link.offence peer=3 offence="malformed frame"
2026-11-26T04:04:00.124Z warning  link.banned peer=3 seconds=10
2026-11-26T04:04:11.001Z warning  link.banned peer=3 seconds=20
2026-11-26T04:04:20.002Z warning  address.shut_out address=127.0.66.4 seconds=30 (its attempts come to nothing)
"""


def seen(p99_ms: int = 90, resident_mib: int = 500, blocks: int = 400, bans: str = "", held: str = "") -> NodePhase:
    finality_ms, banned = Counter({40: 300, p99_ms: 10}), Counter(bans.split(", ") if bans else [])
    return NodePhase(blocks, finality_ms, 9_000, resident_mib * MIB, banned, frozenset([held]))


def rows_with(phase: Phase, node: NodePhase, done: dict[str, int]) -> list[Row]:
    quiet = [make_row(found, 30.0, {0: seen(), 1: seen()}, {}) for found in PHASES if not found.attack]
    rows = [*quiet, make_row(phase, 30.0, {0: seen(), 1: node}, done)]
    judge(rows)
    return rows


JUNK = next(phase for phase in PHASES if phase.attack == "junk")
BROKEN = next(phase for phase in PHASES if phase.attack == "member breaks frames")
DONE = {name: 5 for phase in PHASES for name in phase.proofs}


def test_every_attack_has_a_phase_and_proofs_and_the_plan_uses_all_the_time() -> None:
    assert [phase.name for phase in PHASES if not phase.attack] == [QUIET, QUIET_WITHOUT]
    assert {phase.attack for phase in PHASES if phase.attack} == set(ATTACKS)
    assert all(phase.proofs for phase in PHASES if phase.attack)
    assert set(get_args(Attack)) == set(ATTACKS)
    assert sum(duration_s for _, duration_s in plan(600)) == pytest.approx(600)
    assert [phase.name for phase, _ in plan(60, ("junk",))] == [QUIET, JUNK.name]
    assert [phase.baseline for phase, _ in plan(60, ("member drips",))] == [QUIET_WITHOUT] * 2
    # Once the traitor has left it stays away: its own validator comes back at the end.
    gone = [phase.is_traitor_gone for phase in PHASES]
    assert gone == sorted(gone)


@pytest.mark.parametrize(
    ("phase", "node", "done", "problem"),
    [
        (JUNK, seen(), DONE, ""),
        (JUNK, seen(p99_ms=110), DONE, ""),
        (JUNK, seen(p99_ms=180), DONE, "finality p99 is 2.0 times"),
        (JUNK, seen(resident_mib=700), DONE, ""),
        (JUNK, seen(resident_mib=800), DONE, "memory grew by 300 MiB"),
        (JUNK, seen(), {}, "the attack did not happen"),
        (JUNK, seen(blocks=0), DONE, "height stood still"),
        (JUNK, seen(bans="member 1"), DONE, "somebody honest was banned"),
        (JUNK, seen(bans="address 127.0.66.1"), DONE, ""),
        (BROKEN, seen(bans="member 3"), DONE, "not banned by validators [0]"),
    ],
)
def test_what_fails_a_phase(phase: Phase, node: NodePhase, done: dict[str, int], problem: str) -> None:
    rows = rows_with(phase, node, done)
    problems = "; ".join(rows[-1].problems)
    assert (problem in problems) if problem else not problems, problems
    assert exit_code(rows, WELL) == (1 if problem else 0)


def test_a_ban_is_due_in_time_and_one_from_before_counts() -> None:
    mute = next(phase for phase in PHASES if phase.attack == "member never reads")
    for duration_s, node, is_late in ((3.0, seen(), False), (30.0, seen(), True), (30.0, seen(held="member 3"), False)):
        row = make_row(mute, duration_s, {0: node}, DONE)
        assert row.problems == (["not banned by validators [0]"] if is_late else [])


def test_a_bad_end_fails_a_good_campaign() -> None:
    assert exit_code([], replace(WELL, problems=["a validator has ended"])) == 1


def test_bans_are_read_from_a_log() -> None:
    assert count_bans(LOG) == {"member 3": 2, "address 127.0.66.4": 1}


def test_bans_that_still_hold_are_read_from_a_log() -> None:
    first = LOG[: LOG.index("2026-11-26T04:04:11")]
    for log, second, is_held in (
        (first, 5, True),
        (first, 11, False),
        (LOG, 12, True),
        (LOG, 30, True),
        (LOG, 32, False),
    ):
        held = find_held(log, datetime(2026, 11, 26, 4, 4, second, tzinfo=UTC))
        assert held == (frozenset({"member 3"}) if is_held else frozenset())


def test_percentiles_of_a_histogram() -> None:
    counts = Counter({10: 50, 20: 49, 500: 1})
    assert [percentile(counts, percent) for percent in (0, 49, 50, 98, 99, 100)] == [10, 10, 20, 20, 500, 500]
    assert percentile(Counter(), 99) == 0


def test_memory_is_read_from_the_kernel() -> None:
    assert 10 * MIB < read_resident_bytes(os.getpid()) < 10_000 * MIB
    assert read_resident_bytes(2**22 + 1) == 0
