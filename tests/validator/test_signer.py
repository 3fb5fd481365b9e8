"""The voting key never says two things: not in one run, not across a crash, not from two processes."""

import pytest

from consensus import crypto
from consensus.guard import SLOT_BYTES
from consensus.messages import FINALIZE, NOTARIZE, NULLIFY, ZERO_HASH, Vote, compute_domain, vote_digest
from validator.signer import Signer, SignerError

SECRET = crypto.derive_secret(bytes(range(32)))
DOMAIN = compute_domain(31337, bytes(20))
ONE, OTHER = b"\1" * 32, b"\2" * 32


def open_signer(path):
    return Signer(path, SECRET, 3, DOMAIN, epoch=1)


@pytest.mark.parametrize(
    ("first", "second", "is_allowed"),
    [
        ((NOTARIZE, 5, ONE), (NOTARIZE, 5, ONE), True),
        ((NOTARIZE, 5, ONE), (NOTARIZE, 5, OTHER), False),
        ((NOTARIZE, 5, ONE), (FINALIZE, 5, OTHER), False),
        ((NOTARIZE, 5, ONE), (FINALIZE, 5, ONE), True),
        ((NOTARIZE, 5, ONE), (NULLIFY, 5, ZERO_HASH), True),
        ((NULLIFY, 5, ZERO_HASH), (FINALIZE, 5, ONE), False),
        ((FINALIZE, 5, ONE), (NULLIFY, 5, ZERO_HASH), False),
        ((FINALIZE, 5, ONE), (FINALIZE, 5, OTHER), False),
        ((FINALIZE, 5, ONE), (FINALIZE, 6, OTHER), True),
    ],
)
def test_the_guard_survives_a_restart(tmp_path, first, second, is_allowed):
    signer = open_signer(tmp_path / "guard")
    vote = signer.sign(1, *first)
    assert isinstance(vote, Vote)
    digest = vote_digest(DOMAIN, first[0], 1, first[1], first[2])
    assert crypto.verify(crypto.derive_public_key(SECRET), digest, vote.signature)
    signer.close()
    restarted = open_signer(tmp_path / "guard")
    assert isinstance(restarted.sign(1, *second), Vote) == is_allowed
    restarted.close()


def test_a_torn_write_leaves_what_was_synced_before_it(tmp_path):
    path = tmp_path / "guard"
    signer = open_signer(path)
    for views in ((1, 2), (3, 4, 5)):
        for view in views:
            signer.sign(1, NOTARIZE, view, ONE)
        signer.sync()
    signer.close()
    data = bytearray(path.read_bytes())
    newest = 0 if data[8:16] > data[SLOT_BYTES + 8 : SLOT_BYTES + 16] else SLOT_BYTES
    data[newest + 40] ^= 0xFF
    path.write_bytes(data)
    restarted = open_signer(path)
    assert [isinstance(restarted.sign(1, NOTARIZE, view, OTHER), Vote) for view in (1, 2, 3, 4)] == [
        False,
        False,
        True,
        True,
    ]
    restarted.close()


def test_a_signature_is_covered_by_the_disk_only_after_a_sync(tmp_path):
    signer = open_signer(tmp_path / "guard")
    assert signer.is_synced
    signer.sign(1, NOTARIZE, 1, ONE)
    assert not signer.is_synced
    signer.sync()
    signer.sign(1, NOTARIZE, 1, ONE)  # the same again: nothing new to cover
    assert signer.is_synced
    signer.close()


def test_a_guard_without_a_valid_slot_is_refused(tmp_path):
    path = tmp_path / "guard"
    open_signer(path).close()
    path.write_bytes(b"\1" + bytes(2 * SLOT_BYTES - 1))
    with pytest.raises(SignerError, match="damaged"):
        open_signer(path)


@pytest.mark.parametrize("length", [0, 1, SLOT_BYTES, SLOT_BYTES + 20, 2 * SLOT_BYTES])
def test_a_first_write_torn_by_a_crash_is_no_damage(tmp_path, length):
    """Nothing was signed before it was whole."""
    path = tmp_path / "guard"
    open_signer(path).close()
    whole = path.read_bytes()
    path.write_bytes(whole[:length][: SLOT_BYTES + 60].ljust(length, b"\0"))
    signer = open_signer(path)
    assert isinstance(signer.sign(1, NOTARIZE, 5, ONE), Vote)
    signer.sync()
    signer.close()
    assert isinstance(open_signer(path).sign(1, NOTARIZE, 5, OTHER), str)


def test_one_empty_slot_does_not_make_a_guard_new(tmp_path):
    path = tmp_path / "guard"
    signer = open_signer(path)
    for view in (5, 6):
        signer.sign(1, NOTARIZE, view, ONE)
        signer.sync()
    signer.close()
    path.write_bytes(bytes(SLOT_BYTES) + path.read_bytes()[SLOT_BYTES:])
    assert isinstance(open_signer(path).sign(1, NOTARIZE, 5, OTHER), str)


def test_a_second_process_on_the_same_key_is_refused(tmp_path):
    signer = open_signer(tmp_path / "guard")
    with pytest.raises(SignerError, match="another process"):
        open_signer(tmp_path / "guard")
    signer.close()
