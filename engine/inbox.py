"""Entries of the settlement contract's inbox: deposits become balances, in the contract's order, none skipped.

- A deposit of our token credits the account (beneficiary, subaccount) and makes it if it is new.
- A beneficiary that is a system account's owner, subaccount 0, credits that account: so insurance is funded.
- A deposit that cannot be credited (no account left, or more money than `DEPOSITS_QUOTE_MAX`) is paid straight back
  through the withdrawal tree to its beneficiary, or to its sender when the beneficiary is a system account. No money
  is lost.
- Anything else (another kind, another token, amount 0) is consumed without effect and counted.
"""

from typing import NamedTuple

from engine.kernel import find_account
from engine.layout import ACCOUNT_COUNT, BALANCE, DIRTY, DIRTY_LEAF, KEY_COUNT, WITHDRAWALS
from engine.limits import DEPOSITS_QUOTE_MAX, USER_ACCOUNT_FIRST, WITHDRAWALS_MAX
from engine.payload import KIND_DEPOSIT, InboxEntry
from engine.state import EngineState, add_account
from engine.tree import append_withdrawal, encode_key, withdrawal_leaf

NO_ACCOUNT = -1


class Credit(NamedTuple):
    """A deposit that arrived; `account` is -1 when it was paid straight back."""

    inbox_index: int
    account: int
    owner: bytes
    subaccount: int
    amount_quote: int


class Withdrawal(NamedTuple):
    """One new leaf of the withdrawal tree; `account` is -1 for a deposit paid straight back."""

    leaf_index: int
    account: int
    owner: bytes
    amount_quote: int


def record_withdrawal(state: EngineState, index: int, account: int, owner: bytes, amount_quote: int) -> Withdrawal:
    """Append leaf number `index` to the withdrawal tree and count the money out."""
    leaf = withdrawal_leaf(index, owner, state.params.token, amount_quote)
    state.withdrawal_frontier = append_withdrawal(state.withdrawal_frontier, index, leaf)
    state.withdrawals_total_quote += amount_quote
    return Withdrawal(index, account, owner, amount_quote)


def look_up(state: EngineState, owner: bytes, subaccount: int) -> tuple[int, int]:
    """`(place among the sorted keys, account index or -1)` of an owner of 20 bytes and a subaccount."""
    count = int(state.tables.counters[KEY_COUNT])
    place, account = find_account(state.tables, count, *encode_key(owner, subaccount))
    return int(place), int(account)


def _find_or_open(state: EngineState, entry: InboxEntry) -> int:
    place, account = look_up(state, entry.beneficiary, entry.subaccount)
    if account != NO_ACCOUNT:
        return account
    index = int(state.tables.counters[ACCOUNT_COUNT])
    if index >= state.params.accounts_max:
        return NO_ACCOUNT
    add_account(state, index, entry.beneficiary, entry.subaccount, place)
    state.tables.counters[ACCOUNT_COUNT] = index + 1
    return index


def apply_entry(state: EngineState, entry: InboxEntry) -> tuple[Credit | None, Withdrawal | None]:
    """Consume one entry: cursor, hash chain, money."""
    state.inbox_hash = entry.chain(state.inbox_hash)
    state.inbox_cursor += 1
    if entry.kind != KIND_DEPOSIT or entry.token != state.params.token or entry.amount == 0:
        state.inbox_ignored_count += 1
        return None, None
    held_quote = state.deposits_total_quote - state.withdrawals_total_quote
    account = NO_ACCOUNT
    if held_quote + entry.amount <= DEPOSITS_QUOTE_MAX:
        account = _find_or_open(state, entry)
    state.deposits_total_quote += entry.amount
    credit = Credit(entry.index, account, entry.beneficiary, entry.subaccount, entry.amount)
    if account != NO_ACCOUNT:
        state.tables.accounts[account, BALANCE] += entry.amount
        state.tables.accounts[account, DIRTY] |= DIRTY_LEAF
        return credit, None
    index = state.withdrawals_count
    if index >= WITHDRAWALS_MAX:
        state.deposits_total_quote -= entry.amount
        state.inbox_ignored_count += 1
        return None, None
    is_system = entry.subaccount == 0 and int.from_bytes(entry.beneficiary, "big") <= USER_ACCOUNT_FIRST
    owner = entry.sender if is_system else entry.beneficiary
    state.tables.counters[WITHDRAWALS] = index + 1
    return credit, record_withdrawal(state, index, NO_ACCOUNT, owner, entry.amount)
