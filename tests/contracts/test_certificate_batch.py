"""A batch of certificates is true exactly if each of them is, and the first false one is found."""

import pytest
from blspy import G2Element, PopSchemeMPL
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.certificate_batch import Signed, are_true, find_false

SECRETS = [PopSchemeMPL.key_gen(bytes([number + 1]) * 32) for number in range(4)]
KEYS = [bytes(secret.get_g1()) for secret in SECRETS]


def sign(number: int, signers: tuple[int, ...] = (0, 1, 2)) -> Signed:
    digest = (number + 1).to_bytes(32, "big")
    signature = PopSchemeMPL.aggregate([PopSchemeMPL.sign(SECRETS[signer], digest) for signer in signers])
    return Signed(tuple(KEYS[signer] for signer in signers), digest, bytes(signature))


GENUINE = [sign(number, (0, 1, 2) if number % 3 else (1, 2, 3)) for number in range(12)]


def test_genuine_ones_are_true_alone_and_together() -> None:
    assert find_false(GENUINE) is None and find_false([]) is None
    assert all(are_true([statement]) for statement in GENUINE)


@settings(max_examples=15, deadline=None)
@given(st.sets(st.integers(0, 11), min_size=1), st.integers(0, 2))
def test_the_first_false_one_is_found(places: set[int], how: int) -> None:
    statements = list(GENUINE)
    for place in places:
        true = statements[place]
        statements[place] = [
            Signed(true.keys, bytes(32), true.signature),
            Signed(true.keys[:2], true.digest, true.signature),
            Signed(true.keys, true.digest, GENUINE[place - 1].signature),
        ][how]
    assert find_false(statements) == min(places)


def test_faults_that_cancel_out_in_the_plain_sum_are_found() -> None:
    """Two signatures moved by one point in opposite directions add up as before."""
    one, two = GENUINE[1], GENUINE[2]
    point = PopSchemeMPL.sign(SECRETS[3], b"anything")
    moved = G2Element.from_bytes(one.signature) + point
    opposite = G2Element.from_bytes(two.signature) + point.negate()
    pair = [Signed(one.keys, one.digest, bytes(moved)), Signed(two.keys, two.digest, bytes(opposite))]
    aggregated = PopSchemeMPL.aggregate([moved, opposite])
    total = PopSchemeMPL.aggregate([G2Element.from_bytes(one.signature), G2Element.from_bytes(two.signature)])
    assert aggregated == total
    assert find_false(pair) == 0


IDENTITY = b"\xc0" + bytes(95)
# On the curve, but outside the group of prime order.
OUTSIDE = bytes.fromhex("80" + "00" * 94 + "02")


@pytest.mark.parametrize("signature", [b"", bytes(96), IDENTITY, b"\xff" * 96, OUTSIDE, GENUINE[0].signature[:95]])
def test_what_is_no_signature_proves_nothing(signature: bytes) -> None:
    assert not are_true([Signed(GENUINE[0].keys, GENUINE[0].digest, signature)])


@pytest.mark.parametrize("keys", [(), (b"",), (bytes(48),), (b"\xc0" + bytes(47),), (*GENUINE[0].keys, KEYS[0])])
def test_what_are_no_signers_sign_nothing(keys: tuple[bytes, ...]) -> None:
    assert not are_true([Signed(keys, GENUINE[0].digest, GENUINE[0].signature)])
    assert not are_true([Signed(keys, GENUINE[0].digest, IDENTITY)])
