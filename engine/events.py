"""What a block did beside its orders, and the digest of all of it, part of the state root (formula: `engine.root`)."""

from typing import NamedTuple

import numpy as np

from engine.lanes import hash_long
from engine.payload import keccak

QUOTE_ASSET = 0


class Credit(NamedTuple):
    """A deposit that arrived; `account` is -1 when it was paid straight back. `amount_quote` counts token units."""

    inbox_index: int
    account: int
    owner: bytes
    subaccount: int
    amount_quote: int
    asset: int = QUOTE_ASSET


class Withdrawal(NamedTuple):
    """One new leaf of the withdrawal tree; `account` is -1 for a deposit paid straight back."""

    leaf_index: int
    account: int
    owner: bytes
    amount_quote: int
    asset: int = QUOTE_ASSET


def _long(number: int) -> bytes:
    return number.to_bytes(8, "big", signed=True)


def encode_credit(credit: Credit) -> bytes:
    """`i64(inbox_index, account) ‖ owner ‖ i64(subaccount, amount, asset)`, big-endian."""
    ends = b"".join(_long(number) for number in (credit.subaccount, credit.amount_quote, credit.asset))
    return _long(credit.inbox_index) + _long(credit.account) + credit.owner + ends


def encode_withdrawal(withdrawal: Withdrawal) -> bytes:
    """`i64(leaf_index, account) ‖ owner ‖ i64(amount, asset)`, big-endian."""
    ends = _long(withdrawal.amount_quote) + _long(withdrawal.asset)
    return _long(withdrawal.leaf_index) + _long(withdrawal.account) + withdrawal.owner + ends


def hash_events(tables: tuple[np.ndarray, ...], credits: list[Credit], withdrawals: list[Withdrawal]) -> list[bytes]:
    """Hashes of receipts, fills, cancellations, liquidations, deleverages, notices, credits and withdrawals."""
    parts = [hash_long(table.tobytes()) for table in tables]
    parts.append(keccak(b"".join(encode_credit(credit) for credit in credits)))
    parts.append(keccak(b"".join(encode_withdrawal(withdrawal) for withdrawal in withdrawals)))
    return parts


def compute_events_digest(
    tables: tuple[np.ndarray, ...], credits: list[Credit], withdrawals: list[Withdrawal]
) -> bytes:
    """Hash of the eight hashes."""
    return keccak(b"".join(hash_events(tables, credits, withdrawals)))
