"""Steps of a block are counted once, from its proposal's time, and only where the proposal came by."""

from validator.steps import BLOCKS_REMEMBERED, STEP_MS_MAX, Step, Steps

ONE, TWO = b"1" * 32, b"2" * 32


class Clock:
    now_ms = 1_000


def make_steps() -> tuple[Steps, Clock]:
    clock = Clock()
    return Steps(lambda: clock.now_ms), clock


def test_a_step_counts_from_the_proposal_and_once() -> None:
    steps, clock = make_steps()
    steps.begin(ONE, 990)
    clock.now_ms = 1_005
    for _ in range(2):
        steps.note(ONE, Step.NOTARISED)
    clock.now_ms = 1_100
    steps.note(ONE, Step.NOTARISED)
    steps.begin(ONE, 990)
    counts = steps.counts()
    assert (counts["here"], counts["notarised"], counts["finalised"]) == ({10: 1}, {15: 1}, {})


def test_blocks_that_never_began_here_and_clocks_that_differ_do_no_harm() -> None:
    steps, clock = make_steps()
    steps.note(TWO, Step.FINALISED)
    steps.begin(ONE, 1_500)  # its proposer is ahead of us
    clock.now_ms = 10_000
    steps.note(ONE, Step.FINALISED)
    counts = steps.counts()
    assert counts["here"] == {0: 1} and counts["finalised"] == {STEP_MS_MAX: 1}


def test_old_blocks_are_forgotten() -> None:
    steps, _ = make_steps()
    for number in range(BLOCKS_REMEMBERED + 1):
        steps.begin(number.to_bytes(32, "big"), 1_000)
    steps.note(bytes(32), Step.FINALISED)
    steps.note((1).to_bytes(32, "big"), Step.FINALISED)
    assert steps.counts()["finalised"] == {0: 1}
