"""BLS12-381 multisignatures of the committee (docs/protocol.md, section 1): min-pubkey, proof-of-possession
ciphersuite.

The only module here that loads a curve library; the core never imports it. Keys and signatures are bytes (48 and 96),
and bytes that are no group element are simply wrong, never an exception. Aggregates of one message are safe against
rogue keys only because every key's possession was proven at registration.
"""

from collections.abc import Sequence
from functools import lru_cache

from blspy import G1Element, G2Element, PopSchemeMPL, PrivateKey

from consensus.messages import Approval, Certificate, Ready, Vote, keccak, make_bitmap

KEY_BYTES = 48
# A committee and the one that follows it, with room for those of an epoch that is looked up.
KEYS_REMEMBERED = 1024


def derive_secret(seed: bytes) -> bytes:
    """A secret key (32 bytes) from at least 32 bytes of entropy, by the standard's key generation."""
    return bytes(PopSchemeMPL.key_gen(seed))


def derive_public_key(secret: bytes) -> bytes:
    return bytes(PrivateKey.from_bytes(secret).get_g1())


def sign(secret: bytes, digest: bytes) -> bytes:
    return bytes(PopSchemeMPL.sign(PrivateKey.from_bytes(secret), digest))


def verify(key: bytes, digest: bytes, signature: bytes) -> bool:
    return verify_aggregate([key], digest, signature)


def verify_aggregate(keys: Sequence[bytes], digest: bytes, signature: bytes) -> bool:
    """Did all these keys sign this one digest? The identity element proves nothing and is refused on both sides."""
    points = [_decode_key(key) for key in keys]
    sum_of_signatures = _decode_signature(signature)
    if not points or sum_of_signatures is None or any(point is None for point in points):
        return False
    return bool(PopSchemeMPL.fast_aggregate_verify(points, digest, sum_of_signatures))


def aggregate(signatures: Sequence[bytes]) -> bytes | None:
    """The sum of the signatures, or None if one of them is no point of the curve. Whether the sum lies in the group, as
    a signature must, is judged once, when it is verified: until then the parts need not.
    """
    points = [_decode_point(signature) for signature in signatures]
    if not points or any(point is None for point in points):
        return None
    return bytes(PopSchemeMPL.aggregate(points))


def make_certificate(
    votes: Sequence[Vote], keys: Sequence[bytes], digest: bytes, epoch: int, member_count: int
) -> tuple[Certificate | None, tuple[int, ...]]:
    """A certificate of votes on one statement, verified once; or None and the members whose signatures are wrong.

    `keys` is the whole committee's. Quorum is the caller's business.
    """
    signature = aggregate([vote.signature for vote in votes])
    signers = [vote.signer for vote in votes]
    if signature is not None and verify_aggregate([keys[signer] for signer in signers], digest, signature):
        first = votes[0]
        bitmap = make_bitmap(signers, member_count)
        return Certificate(first.kind, epoch, first.view, first.header_hash, bitmap, signature), ()
    return None, tuple(find_bad_signers(votes, keys, digest))


def make_approval(
    readies: Sequence[Ready], keys: Sequence[bytes], digest: bytes
) -> tuple[Approval | None, tuple[int, ...]]:
    """EP2: the approval of readies that say the same, verified once; or None and who signed wrongly.

    `keys` is the whole next committee's; `digest` is `ready_digest` of the statement.
    """
    signature = aggregate([ready.signature for ready in readies])
    signers = [ready.signer for ready in readies]
    if signature is not None and verify_aggregate([keys[signer] for signer in signers], digest, signature):
        first = readies[0]
        return Approval(first.epoch, first.committee_hash, make_bitmap(signers, len(keys)), signature), ()
    return None, tuple(find_bad_signers(readies, keys, digest))


def find_bad_signers(votes: Sequence[Vote] | Sequence[Ready], keys: Sequence[bytes], digest: bytes) -> list[int]:
    """Bisection: halves that verify are cleared at once."""
    signature = aggregate([vote.signature for vote in votes])
    if signature is not None and verify_aggregate([keys[vote.signer] for vote in votes], digest, signature):
        # Two wrong signatures may cancel out in the sum of a half; then the sum itself is right and harmless.
        return []
    if len(votes) == 1:
        return [votes[0].signer]
    middle = len(votes) // 2
    bad = find_bad_signers(votes[:middle], keys, digest) + find_bad_signers(votes[middle:], keys, digest)
    # Both halves verify but the whole does not: impossible for distinct signers; judged one by one all the same.
    return bad or [vote.signer for vote in votes if not verify(keys[vote.signer], digest, vote.signature)]


def possession_digest(chain_id: int, contract: bytes, operator: bytes, network_key: bytes, key_eip2537: bytes) -> bytes:
    """What a newcomer signs with its BLS key; `key_eip2537` is the key as the 128-byte point of the precompile."""
    return keccak(
        b"hansa/register/v1"
        + chain_id.to_bytes(32, "big") + contract + operator + network_key
        + keccak(key_eip2537)
    )  # fmt: skip


def prove_possession(secret: bytes, digest: bytes) -> bytes:
    """A signature over `possession_digest`; its prefix keeps it apart from every vote."""
    return sign(secret, digest)


def verify_possession(key: bytes, digest: bytes, proof: bytes) -> bool:
    return verify(key, digest, proof)


@lru_cache(KEYS_REMEMBERED)
def _decode_key(key: bytes) -> G1Element | None:
    """Remembered: the keys of a committee are the same in each certificate, and each takes a square root."""
    try:
        point = G1Element.from_bytes(key)
    except (ValueError, RuntimeError):
        return None
    return None if key[0] & 0x40 else point  # the identity element


def _decode_signature(signature: bytes) -> G2Element | None:
    """An element of the group, but not the identity."""
    try:
        point = G2Element.from_bytes(signature)
    except (ValueError, RuntimeError):
        return None
    return None if signature[0] & 0x40 else point  # the identity element


def _decode_point(signature: bytes) -> G2Element | None:
    """A point of the curve, in the group or not, but not the identity."""
    try:
        point = G2Element.from_bytes_unchecked(signature)
    except (ValueError, RuntimeError):
        return None
    return None if signature[0] & 0x40 else point
