"""The signer's guard as a table, and its file's two slots."""

import pytest

from consensus.guard import (
    SLOT_BYTES,
    VIEWS_MAX,
    Allowed,
    GuardState,
    Refusal,
    Same,
    check,
    decode_slots,
    encode_slot,
)
from consensus.messages import FINALIZE, NOTARIZE, NULLIFY, ZERO_HASH

A, B = b"a" * 32, b"b" * 32
NOTARIZE_A, NOTARIZE_B = (NOTARIZE, A), (NOTARIZE, B)
FINALIZE_A, FINALIZE_B = (FINALIZE, A), (FINALIZE, B)
NULL = (NULLIFY, ZERO_HASH)

TABLE = [
    # signed before in the view, asked now, answer
    ([], NOTARIZE_A, Allowed),
    ([], NULL, Allowed),
    ([], FINALIZE_A, Allowed),
    ([NOTARIZE_A], NOTARIZE_A, Same),
    ([NOTARIZE_A], NOTARIZE_B, Refusal),
    ([NOTARIZE_A], NULL, Allowed),
    ([NOTARIZE_A], FINALIZE_A, Allowed),
    ([NOTARIZE_A], FINALIZE_B, Refusal),
    ([NULL], NULL, Same),
    ([NULL], NOTARIZE_A, Refusal),
    ([NULL], FINALIZE_A, Refusal),
    ([FINALIZE_A], FINALIZE_A, Same),
    ([FINALIZE_A], FINALIZE_B, Refusal),
    ([FINALIZE_A], NULL, Refusal),
    ([FINALIZE_A], NOTARIZE_A, Refusal),
    ([FINALIZE_A], NOTARIZE_B, Refusal),
    ([NOTARIZE_A, NULL], FINALIZE_A, Refusal),
    ([NOTARIZE_A, NULL], NOTARIZE_A, Same),
    ([NOTARIZE_A, FINALIZE_A], NULL, Refusal),
    ([], (NULLIFY, A), Refusal),
    ([], (NOTARIZE, ZERO_HASH), Refusal),
    ([], (FINALIZE, b"short"), Refusal),
    ([], (4, A), Refusal),
]


def sign(state: GuardState, kind: int, view: int, header_hash: bytes, epoch: int = 1) -> GuardState:
    answer = check(state, kind, epoch, view, header_hash)
    assert isinstance(answer, Allowed), answer
    return answer.state


@pytest.mark.parametrize(("before", "asked", "expected"), TABLE)
def test_exclusions(before: list, asked: tuple[int, bytes], expected: type) -> None:
    state = GuardState.new(1)
    for kind, header_hash in before:
        state = sign(state, kind, 5, header_hash)
    assert isinstance(check(state, asked[0], 1, 5, asked[1]), expected)


def test_floor_and_epochs() -> None:
    state = sign(GuardState.new(2, floor_view=10), NOTARIZE, 11, A, epoch=2)
    assert isinstance(check(state, NOTARIZE, 2, 10, A), Refusal)
    assert isinstance(check(state, NOTARIZE, 1, 12, A), Refusal)
    later = sign(state, NOTARIZE, 1, B, epoch=3)
    assert later == GuardState(3, 0, later.views)
    assert isinstance(check(later, NOTARIZE, 2, 12, A), Refusal)


def test_oldest_view_makes_room_and_raises_the_floor() -> None:
    state = GuardState.new(1)
    for view in range(1, VIEWS_MAX + 4):
        state = sign(state, NULLIFY, view, ZERO_HASH)
    assert (state.floor_view, len(state.views)) == (3, VIEWS_MAX)
    assert isinstance(check(state, FINALIZE, 1, 3, A), Refusal)
    assert decode_slots(encode_slot(state, 9) + bytes(SLOT_BYTES)) == (state, 9)


def test_late_view_below_a_full_memory_is_signed_once() -> None:
    state = GuardState.new(1)
    for view in range(100, 100 + VIEWS_MAX):
        state = sign(state, NULLIFY, view, ZERO_HASH)
    state = sign(state, NULLIFY, 50, ZERO_HASH)
    assert (state.floor_view, len(state.views)) == (50, VIEWS_MAX)
    assert isinstance(check(state, FINALIZE, 1, 50, A), Refusal)


def test_newest_valid_slot_wins_at_every_damaged_byte() -> None:
    old = sign(GuardState.new(1), NOTARIZE, 1, A)
    new = sign(old, FINALIZE, 1, A)
    slots = encode_slot(new, 2) + encode_slot(old, 1)
    assert len(slots) == 2 * SLOT_BYTES
    assert decode_slots(slots) == (new, 2)
    for at in range(30 + 73):
        torn = bytearray(slots)
        torn[at] ^= 1
        assert decode_slots(bytes(torn)) == (old, 1)
    assert decode_slots(bytes(2 * SLOT_BYTES)) is None
    assert decode_slots(b"") is None
