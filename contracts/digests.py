"""What the contract hashes, in Python: domains, digests, the inbox chain and tree leaves (docs/protocol.md)."""

from collections.abc import Iterable

import sha3

from contracts import bls
from contracts.records import Member

ACCOUNT_DEPTH = 20
WITHDRAWAL_DEPTH = 32
HEADER_BYTES = 640
# Kinds of inbox entries.
KIND_DEPOSIT, KIND_CANCEL, KIND_CLOSE, KIND_WITHDRAW, KIND_KEY = range(1, 6)
ALL_MARKETS = 0xFFFFFFFF
_NULLIFY, _FINALIZE = 2, 3


def keccak(data: bytes) -> bytes:
    """Keccak-256, Ethereum's hash."""
    digest: bytes = sha3.keccak_256(data).digest()
    return digest


def compute_domain(chain_id: int, contract: bytes) -> bytes:
    """What binds every vote to one chain and one settlement contract (20 bytes)."""
    return keccak(b"hansa/v1" + chain_id.to_bytes(32, "big") + contract)


def possession_digest(chain_id: int, contract: bytes, operator: bytes, network_key: bytes, bls_key48: bytes) -> bytes:
    """What a validator signs with its BLS key before `register`."""
    return keccak(
        b"hansa/register/v1"
        + chain_id.to_bytes(32, "big")
        + contract
        + operator
        + network_key
        + keccak(bls.key_words(bls_key48))
    )


def committee_hash(members: Iterable[Member]) -> bytes:
    """What headers call a committee, its members in order; each weighs 1."""
    weight = (1).to_bytes(8, "big")
    return keccak(b"".join(member.bls_key + member.network_key + weight for member in members))


def finalize_digest(domain: bytes, header: bytes) -> bytes:
    """What the committee signs to finalise a header of 640 bytes."""
    epoch, view = int.from_bytes(header[60:64], "big"), int.from_bytes(header[88:96], "big")
    return vote_digest(domain, _FINALIZE, epoch, view, keccak(header))


def vote_digest(domain: bytes, kind: int, epoch: int, view: int, header_hash: bytes) -> bytes:
    """What one member signs; a nullification (kind 2) names no header."""
    head = bytes([kind]) + domain + epoch.to_bytes(4, "big") + view.to_bytes(8, "big")
    return keccak(head if kind == _NULLIFY else head + header_hash)


def next_inbox_hash(
    previous: bytes, index: int, kind: int, token: bytes, beneficiary: bytes, subaccount: int, sender: bytes,
    amount: int, data: bytes, time_s: int,
) -> bytes:  # fmt: skip
    """The inbox chain after one more entry; addresses have 20 bytes."""
    return keccak(previous + _words(index, kind, token, beneficiary, subaccount, sender, amount, data, time_s))


def close_data(market: int, limit_ticks: int) -> bytes:
    """`data` of a forced close, with limit 0 of a cancel: `zero (20 B) ‖ limit_ticks (8 B) ‖ market (4 B)`."""
    return bytes(20) + limit_ticks.to_bytes(8, "big") + market.to_bytes(4, "big")


def key_data(key: bytes, scopes: int, expiry_ms: int) -> bytes:
    """`data` of a session key: `expiry_ms (8 B) ‖ scopes (4 B) ‖ key (20 B)`."""
    return expiry_ms.to_bytes(8, "big") + scopes.to_bytes(4, "big") + key


def withdrawal_leaf(index: int, owner: bytes, token: bytes, amount: int) -> bytes:
    """Leaf of the withdrawal tree."""
    return keccak(_words(2, index, owner, token, amount))


def account_leaf(index: int, owner: bytes, subaccount: int, sums: bytes, digest: bytes) -> bytes:
    """Hash of an account's leaf; `sums` is one word."""
    return keccak(_words(1, index, owner, subaccount, sums, digest))


def encode_sums(claims: int, debt: int) -> bytes:
    """Claims and debt in quote units as one word."""
    return claims.to_bytes(16, "big") + debt.to_bytes(16, "big")


def sum_node(left: tuple[bytes, bytes], right: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
    """Parent of two nodes `(hash, sums)` of the account tree."""
    parts = [
        int.from_bytes(left[1][at : at + 16], "big") + int.from_bytes(right[1][at : at + 16], "big") for at in (0, 16)
    ]
    return keccak(left[0] + left[1] + right[0] + right[1]), encode_sums(*parts)


def _words(*values: int | bytes) -> bytes:
    return b"".join(v.rjust(32, b"\0") if isinstance(v, bytes) else v.to_bytes(32, "big") for v in values)
