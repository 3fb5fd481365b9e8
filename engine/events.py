"""The digest of what happened in a block, part of the state root (formula: `engine.root`)."""

import numpy as np

from engine.inbox import Credit, Withdrawal
from engine.payload import keccak
from engine.root import encode_rows


def _number(number: int) -> bytes:
    return number.to_bytes(8, "big", signed=True)


def encode_credit(credit: Credit) -> bytes:
    """`i64(inbox_index, account) ‖ owner ‖ i64(subaccount, amount_quote)`."""
    ends = _number(credit.subaccount) + _number(credit.amount_quote)
    return _number(credit.inbox_index) + _number(credit.account) + credit.owner + ends


def encode_withdrawal(withdrawal: Withdrawal) -> bytes:
    """`i64(leaf_index, account) ‖ owner ‖ i64(amount_quote)`."""
    numbers = _number(withdrawal.leaf_index) + _number(withdrawal.account)
    return numbers + withdrawal.owner + _number(withdrawal.amount_quote)


def compute_events_digest(
    tables: tuple[np.ndarray, ...], credits: list[Credit], withdrawals: list[Withdrawal]
) -> bytes:
    """Hash of receipts, fills, cancellations, liquidations (record arrays of int64), credits and withdrawals."""
    parts = [encode_rows(table.view("<i8")) for table in tables]
    parts.append(b"".join(encode_credit(credit) for credit in credits))
    parts.append(b"".join(encode_withdrawal(withdrawal) for withdrawal in withdrawals))
    return keccak(b"".join(keccak(part) for part in parts))
