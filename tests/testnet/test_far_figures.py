"""What is asked of committees that are far apart or large: a figure beyond its goal fails the run."""

from dataclasses import replace

import pytest

from testnet.counters import Window
from testnet.faults.line import Carried, Echoes
from testnet.faults.weather import Weather
from testnet.sixteen import figures as sixteen
from testnet.sixteen.model import compute_frames
from testnet.sixteen.network import Outcome as LargeOutcome
from testnet.verdicts import exit_code
from testnet.wan import figures as wan

FAR = Weather(50, 10, 0.001)
WINDOW = Window(
    seconds=30.0, blocks=150, blocks_per_s=5.0, actions_per_s=30.0, finality_p50_ms=190, finality_p99_ms=300,
    steps_p50_ms={"here": 55, "finalised": 190}, cpu_ms_per_block=20.0, frames_out_per_block=14.0,
    writes_per_block=12.0, bytes_out_per_block=3_000.0,
)  # fmt: skip
ECHOES = [Echoes(start, 1 - start, 100, (95.0, 101.0, 108.0)) for start in range(2)]
GOOD = wan.Outcome(
    member_count=4, weather=FAR, before=ECHOES, after=ECHOES, idle=WINDOW, load=WINDOW, order_ms=[300, 250, 400],
    carried=Carried(9_990, 10, 2.0, 1.0), isolated=wan.Isolated(8.0, 30, 1.0), compared=100, disagreements=[],
)  # fmt: skip


def failures(outcome: wan.Outcome) -> list[str]:
    return [row.measure for row in wan.list_rows(outcome) if row.is_met is False]


def test_a_good_run_over_long_lines_passes() -> None:
    assert failures(GOOD) == []
    assert exit_code(wan.list_rows(GOOD)) == 0


SLOW = replace(WINDOW, finality_p50_ms=251)
NEAR = [Echoes(0, 1, 100, (0.2, 0.3))]
DEAD = [Echoes(0, 1, 100, ())]
BAD: list[tuple[dict, str]] = [
    ({"idle": SLOW}, "finality p50 without traders"),
    ({"load": SLOW}, "finality p50 with traders"),
    ({"before": NEAR}, "round trip of 1 directions, median, before"),
    ({"after": NEAR}, "round trip of 1 directions, median, after"),
    ({"after": DEAD}, "round trip of 1 directions, median, after"),
    ({"carried": Carried(10_000, 0, 2.0, 1.0), "weather": replace(FAR, lost=0.05)}, "packets lost"),
    ({"carried": Carried(9_000, 1_000, 2.0, 1.0)}, "packets lost"),
    ({"carried": Carried(9_990, 10, 21.0, 1.0)}, "a packet handed over too late, worst under load"),
    ({"isolated": wan.Isolated(8.0, 0, 1.0)}, "blocks while one was cut off for 8 s"),
    ({"disagreements": ["height 7"]}, "heights with one root on all nodes"),
    ({"compared": 0}, "heights with one root on all nodes"),
]


@pytest.mark.parametrize(("changes", "measure"), BAD, ids=[measure for _, measure in BAD])
def test_each_goal_over_long_lines_can_be_missed(changes: dict, measure: str) -> None:
    outcome = replace(GOOD, **changes)
    assert failures(outcome) == [measure]
    assert exit_code(wan.list_rows(outcome)) == 1


LARGE = LargeOutcome(
    member_count=16, killed_count=5, formed_s=20.0, steady=WINDOW, bereft=WINDOW, back_s=8.0, voting_again=5,
    compared=40, disagreements=[], proportional_mib=[250] * 16, resident_mib=[400] * 16, deaths=[],
)  # fmt: skip
LARGE_BAD: list[tuple[dict, str]] = [
    ({"steady": replace(WINDOW, blocks=0)}, "blocks in the window, all at work"),
    ({"bereft": replace(WINDOW, blocks=0)}, "blocks after kill -9 of 5"),
    ({"voting_again": 4}, "of them in a certificate again"),
    ({"disagreements": ["height 7"]}, "heights with one root on all nodes"),
    ({"deaths": ["node3 ended"]}, "validators that ended by themselves"),
]


def test_a_good_run_of_a_large_committee_passes() -> None:
    assert exit_code(sixteen.list_rows(LARGE)) == 0


@pytest.mark.parametrize(("changes", "measure"), LARGE_BAD, ids=[measure for _, measure in LARGE_BAD])
def test_each_goal_of_a_large_committee_can_be_missed(changes: dict, measure: str) -> None:
    rows = sixteen.list_rows(replace(LARGE, **changes))
    assert [row.measure for row in rows if row.is_met is False] == [measure]


def test_the_model_counts_what_four_members_say_for_a_block() -> None:
    """Proposal to 3; three vote to notarise to 3 others each, four to finalise: 21 votes."""
    frames = compute_frames(4, blocks_per_s=10.0, batches_per_s=20.0)
    assert frames.votes * 4 == 21
    assert frames.proposal * 4 == 3
    assert frames.certificates_max * 4 == 6
    assert frames.batches * 4 == 6  # two batches a block, each to 3
    assert frames.reports * 10 == 3
