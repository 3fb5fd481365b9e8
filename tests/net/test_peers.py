"""Token buckets, scores and bans under a clock that the test holds."""

from hypothesis import given
from hypothesis import strategies as st

from net.peers import (
    BAN_FIRST_S,
    BAN_LAST_S,
    BAN_SCORE,
    PENALTIES,
    SCORE_HALF_LIFE_S,
    Allowance,
    Offence,
    PeerBook,
    TokenBucket,
)


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


def test_a_flooder_waits_and_others_do_not() -> None:
    book = PeerBook(Allowance(frames_per_s=10, frames_burst=20, bytes_per_s=1000, bytes_burst=1000))
    assert book.take(1, 20, 100, 0.0) == 0
    assert book.take(1, 10, 100, 0.0) == 1.0
    assert book.take(1, 0, 3000, 1.0) == 2.0
    assert book.take(2, 1, 1, 1.0) == 0


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0, 50)), max_size=30))
def test_a_bucket_never_gives_more_than_rate_and_burst(takes: list[tuple[float, float]]) -> None:
    bucket, now_s, taken, start_s = TokenBucket(5.0, 20.0, 20.0, 0.0), 0.0, 0.0, 0.0
    for gap_s, count in takes:
        now_s += gap_s
        wait_s = bucket.take(count, now_s)
        taken += count
        now_s += wait_s
        assert taken <= 20.0 + 5.0 * (now_s - start_s) + 1e-6
