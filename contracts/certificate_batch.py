"""Many certificates at once, for whoever reads a long history: each is multiplied by a random weight, and one equation
of pairings holds for the sum. A false one passes with a chance of 2^-128.

Certificates of the same signers share a pairing, so a certificate more costs its decoding, its hash to the curve and
its part of two sums: a little more than half of what `fast_aggregate_verify` takes.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from blspy import G2Element
from py_arkworks_bls12381 import GT, G1Point, G2Point, Scalar

CIPHERSUITE = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_"
WEIGHT_BYTES = 16
SIGNER_SETS_REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class Signed:
    """Who (compressed keys of 48 bytes) signed which digest (32 bytes), with the aggregate signature of 96 bytes."""

    keys: tuple[bytes, ...]
    digest: bytes
    signature: bytes


def find_false(statements: Sequence[Signed]) -> int | None:
    """Position of the first statement that its signers did not sign; None if there is none."""
    if are_true(statements):
        return None
    low, high = 0, len(statements)  # the first false one is in between
    while high - low > 1:
        middle = (low + high) // 2
        if are_true(statements[low:middle]):
            low = middle
        else:
            high = middle
    return low


def are_true(statements: Sequence[Signed]) -> bool:
    """Whether every one was signed by all its keys. No key, the identity and what is no point prove nothing."""
    hashes: dict[tuple[bytes, ...], tuple[list[G2Point], list[Scalar]]] = {}
    signatures, weights = [], []
    for statement in statements:
        try:
            signature = G2Point.from_compressed_bytes(statement.signature)
        except ValueError:
            return False
        if signature == G2Point.identity() or _sum_keys(statement.keys) is None:
            return False
        weight = Scalar.from_le_bytes(secrets.token_bytes(WEIGHT_BYTES).ljust(32, b"\0"))
        signatures.append(signature)
        weights.append(weight)
        points, scalars = hashes.setdefault(statement.keys, ([], []))
        # Hashing is faster there, and what comes from there needs no check.
        point = bytes(G2Element.from_message(statement.digest, CIPHERSUITE))
        points.append(G2Point.from_compressed_bytes_unchecked(point))
        scalars.append(weight)
    left = [-G1Point(), *(_require_sum(keys) for keys in hashes)]
    sums = [(signatures, weights), *hashes.values()]
    right = [G2Point.multiexp_unchecked(points, scalars) for points, scalars in sums]
    return not statements or bool(GT.multi_pairing(left, right) == GT.one())


@lru_cache(SIGNER_SETS_REMEMBERED)
def _sum_keys(keys: tuple[bytes, ...]) -> G1Point | None:
    """The sum of the keys, whose possession was proven at registration; None if they are no keys or cancel out."""
    try:
        total = G1Point.identity()
        for key in keys:
            point = G1Point.from_compressed_bytes(key)
            if point == G1Point.identity():
                return None
            total = total + point
    except ValueError:
        return None
    return None if total == G1Point.identity() else total


def _require_sum(keys: tuple[bytes, ...]) -> G1Point:
    total = _sum_keys(keys)
    if total is None:
        raise ValueError("keys that have no sum were let through")
    return total
