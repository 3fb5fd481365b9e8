"""Token buckets, scores and bans under a clock that the test holds."""

from hypothesis import given
from hypothesis import strategies as st

from net.allowance import KINDS, MEMBER, STRANGER, UNLIMITED, Kind, Rate
from net.peers import (
    BAN_FIRST_S,
    BAN_LAST_S,
    BAN_SCORE,
    PENALTIES,
    SCORE_HALF_LIFE_S,
    Offence,
    PeerBook,
    TokenBucket,
)
from net.wire import BODY_BYTES_MAX, FrameType


def test_every_offence_has_a_penalty_and_none_bans_at_once() -> None:
    assert set(PENALTIES) == set(Offence)
    assert all(0 < penalty < BAN_SCORE for penalty in PENALTIES.values())


def test_two_malformed_frames_ban_and_the_ban_ends() -> None:
    book = PeerBook()
    assert not book.report(1, Offence.MALFORMED_FRAME, 100.0)
    assert book.report(1, Offence.MALFORMED_FRAME, 100.0)
    assert book.banned_for_s(1, 100.0) == BAN_FIRST_S
    assert book.banned_for_s(1, 100.0 + BAN_FIRST_S) == 0
    assert book.banned_for_s(2, 100.0) == 0


def test_a_burst_of_offences_is_one_ban() -> None:
    book = PeerBook()
    assert [book.report(1, Offence.MALFORMED_FRAME, 100.0) for _ in range(50)].count(True) == 1
    assert book.banned_for_s(1, 100.0) == BAN_FIRST_S
    # And what was said meanwhile is forgotten with it.
    assert not book.report(1, Offence.MALFORMED_FRAME, 100.0 + BAN_FIRST_S)


def test_bans_double_up_to_a_limit() -> None:
    book, now_s, lengths = PeerBook(), 0.0, []
    for _ in range(8):
        while not book.report(1, Offence.INVALID_SIGNATURE, now_s):
            pass
        lengths.append(book.banned_for_s(1, now_s))
        now_s += lengths[-1] + 1.0
    assert lengths[:3] == [BAN_FIRST_S, 2 * BAN_FIRST_S, 4 * BAN_FIRST_S]
    assert lengths[-1] == BAN_LAST_S


def test_old_offences_fade() -> None:
    book = PeerBook()
    book.report(1, Offence.MALFORMED_FRAME, 0.0)
    assert book.score(1, SCORE_HALF_LIFE_S) == PENALTIES[Offence.MALFORMED_FRAME] / 2
    assert not book.report(1, Offence.MALFORMED_FRAME, SCORE_HALF_LIFE_S)


RATES = {kind: Rate(frames_per_s=10, bytes_per_s=1000, burst_s=2) for kind in Kind}


def test_a_flooder_waits_and_others_do_not() -> None:
    book = PeerBook()
    assert [book.take(1, Kind.BATCHES, 10, 0.0, RATES) for _ in range(20)] == [0] * 20
    assert [book.take(1, Kind.BATCHES, 10, 0.0, RATES) for _ in range(10)][-1] == 1.0
    assert book.take(1, Kind.BATCHES, 4000, 1.0, RATES) == 2.0
    assert book.take(1, Kind.AGREEMENT, 10, 1.0, RATES) == 0, "each kind has a budget of its own"
    assert book.take(2, Kind.BATCHES, 10, 1.0, RATES) == 0


def test_work_is_counted_in_its_own_unit() -> None:
    book = PeerBook()
    assert book.take(1, Kind.SIGNATURES, 0, 0.0, RATES, count=20) == 0
    assert book.take(1, Kind.SIGNATURES, 0, 0.0, RATES, count=15) == 1.5


def test_every_frame_is_paid_from_a_budget_that_can_hold_it() -> None:
    assert set(KINDS) == set(FrameType)
    for kind, budget in KINDS.items():
        assert BODY_BYTES_MAX[kind] <= MEMBER[budget].bytes_per_s * MEMBER[budget].burst_s
    assert set(MEMBER) == set(STRANGER) == set(UNLIMITED) == set(Kind)


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0, 50)), max_size=30))
def test_a_bucket_never_gives_more_than_rate_and_burst(takes: list[tuple[float, float]]) -> None:
    bucket, now_s, taken, start_s = TokenBucket(5.0, 20.0, 20.0, 0.0), 0.0, 0.0, 0.0
    for gap_s, count in takes:
        now_s += gap_s
        wait_s = bucket.take(count, now_s)
        taken += count
        now_s += wait_s
        assert taken <= 20.0 + 5.0 * (now_s - start_s) + 1e-6
