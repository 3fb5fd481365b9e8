"""Transactions with a tip and a fee limit (EIP-1559, type 2), made and signed without web3."""

from dataclasses import dataclass

import rlp
from coincurve import PrivateKey

from contracts.digests import keccak

_TYPE = b"\x02"
# Nodes take a transaction in the place of another only if both its tip and its limit are a tenth higher.
REPLACE_PERCENT = 10
BUMP_PERCENT = 25


@dataclass(frozen=True, slots=True)
class Fees:
    """What a transaction offers for each unit of gas."""

    tip_wei: int
    limit_wei: int

    def bump(self, limit_max_wei: int) -> "Fees":
        """The next offer for the same nonce; the same one where `limit_max_wei` leaves no room for a higher."""
        tip_wei = self.tip_wei + self.tip_wei * BUMP_PERCENT // 100 + 1
        limit_wei = min(self.limit_wei + self.limit_wei * BUMP_PERCENT // 100 + 1, limit_max_wei)
        if 100 * limit_wei < (100 + REPLACE_PERCENT) * self.limit_wei:
            return self
        return Fees(min(tip_wei, limit_wei), limit_wei)


@dataclass(frozen=True, slots=True)
class SignedTransaction:
    """Ready to be sent; `tx_hash` names it."""

    raw: bytes
    tx_hash: bytes


def sign_transaction(
    key: PrivateKey, chain_id: int, nonce: int, fees: Fees, gas: int, to: bytes, data: bytes
) -> SignedTransaction:
    """Moves no ether. `to` is an address of 20 bytes; empty: `data` creates a contract."""
    fields = [chain_id, nonce, fees.tip_wei, fees.limit_wei, gas, to, 0, data, []]
    signature = key.sign_recoverable(keccak(_TYPE + rlp.encode(fields)), hasher=None)
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
    raw = _TYPE + rlp.encode([*fields, signature[64], r, s])
    return SignedTransaction(raw, keccak(raw))


def address_of(key: PrivateKey) -> bytes:
    """The account's 20 bytes."""
    return keccak(key.public_key.format(compressed=False)[1:])[12:]
