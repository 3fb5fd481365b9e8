"""Real BLS: certificates verify, and a wrong signature is named."""

import pytest
from blspy import G2Element

from consensus import crypto
from consensus.messages import FINALIZE, Vote, compute_domain, vote_digest

DOMAIN = compute_domain(31337, bytes(20))
BLOCK = b"h" * 32
DIGEST = vote_digest(DOMAIN, FINALIZE, 1, 9, BLOCK)
SECRETS = [crypto.derive_secret(bytes([index]) * 32) for index in range(7)]
KEYS = [crypto.derive_public_key(secret) for secret in SECRETS]
VOTES = [Vote(FINALIZE, 1, 9, BLOCK, index, crypto.sign(secret, DIGEST)) for index, secret in enumerate(SECRETS)]


def spoil(index: int, signature: bytes) -> list[Vote]:
    votes = list(VOTES)
    votes[index] = Vote(FINALIZE, 1, 9, BLOCK, index, signature)
    return votes


def test_certificate_of_a_quorum_verifies() -> None:
    certificate, bad = crypto.make_certificate(VOTES[:5], KEYS, DIGEST, 1, 7)
    assert bad == ()
    assert certificate is not None
    assert certificate.signers() == [0, 1, 2, 3, 4]
    keys = [KEYS[signer] for signer in certificate.signers()]
    assert crypto.verify_aggregate(keys, DIGEST, certificate.signature)
    assert not crypto.verify_aggregate(keys[:-1], DIGEST, certificate.signature)
    assert not crypto.verify_aggregate(keys, DIGEST[::-1], certificate.signature)


@pytest.mark.parametrize("index", [0, 3, 6])
@pytest.mark.parametrize(
    "signature",
    [VOTES[1].signature[::-1], bytes(96), crypto.sign(SECRETS[0], b"other".ljust(32))],
    ids=["no point", "zeros", "another digest"],
)
def test_bad_signer_is_named(index: int, signature: bytes) -> None:
    assert crypto.make_certificate(spoil(index, signature), KEYS, DIGEST, 1, 7) == (None, (index,))


def test_two_bad_signers_are_named() -> None:
    votes = spoil(2, VOTES[3].signature)
    votes[5] = Vote(FINALIZE, 1, 9, BLOCK, 5, bytes(96))
    assert crypto.make_certificate(votes, KEYS, DIGEST, 1, 7) == (None, (2, 5))


def test_one_vote_is_a_certificate_of_one() -> None:
    assert crypto.verify_aggregate([KEYS[4]], DIGEST, VOTES[4].signature)


def test_identity_and_garbage_prove_nothing() -> None:
    identity_key, identity_signature = b"\xc0" + bytes(47), b"\xc0" + bytes(95)
    assert not crypto.verify(identity_key, DIGEST, identity_signature)
    assert not crypto.verify(KEYS[0], DIGEST, identity_signature)
    assert not crypto.verify_aggregate([], DIGEST, VOTES[0].signature)
    assert not crypto.verify(b"short", DIGEST, b"")
    assert crypto.aggregate([]) is None
    assert crypto.aggregate([b"\xff" * 96]) is None


def test_possession_is_bound_to_operator_and_key() -> None:
    digest = crypto.possession_digest(31337, bytes(20), b"o" * 20, b"n" * 32, b"k" * 128)
    proof = crypto.prove_possession(SECRETS[0], digest)
    assert crypto.verify_possession(KEYS[0], digest, proof)
    other = crypto.possession_digest(31337, bytes(20), b"p" * 20, b"n" * 32, b"k" * 128)
    assert not crypto.verify_possession(KEYS[0], other, proof)
    assert not crypto.verify_possession(KEYS[1], digest, proof)


def find_point_outside_the_group() -> bytes:
    """A point of the curve whose order is not the group's: of ten thousand at random none has it."""
    for seed in range(256):
        data = bytes([0x80]) + bytes(94) + bytes([seed])
        try:
            G2Element.from_bytes_unchecked(data)
        except ValueError:
            continue
        return data
    raise AssertionError("every second number is the coordinate of a point")


def test_a_point_outside_the_group_is_no_signature() -> None:
    outside = find_point_outside_the_group()
    assert not crypto.verify(KEYS[2], DIGEST, outside)
    assert crypto.make_certificate(spoil(2, outside), KEYS, DIGEST, 1, 7) == (None, (2,))
