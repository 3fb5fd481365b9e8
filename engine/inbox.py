"""Entries of the settlement contract's inbox: none is skipped, and deposits become balances, in the contract's order.

- A deposit of the quote token credits the account (beneficiary, subaccount) and makes it if it is new.
- A deposit of a collateral token does the same with lots of its spot market, if it is a whole number of lots and within
  the asset's cap.
- A beneficiary that is a system account's owner, subaccount 0, credits that account: so insurance is funded.
- A deposit that cannot be credited (no account left, more than a limit, no whole lots) is paid straight back through
  the withdrawal tree to its beneficiary, or to its sender when the beneficiary is a system account. Nothing is lost.
- Forced actions are consumed here and executed later in the block (`engine.forced`).
- Anything else (another kind, an unknown token, amount 0) is consumed without effect and counted.
"""

from engine.accounts import find_account, index_account, move_balance, move_position, open_position, touch
from engine.allocate import split_address
from engine.events import QUOTE_ASSET, Credit, Withdrawal
from engine.limits import DEPOSITS_QUOTE_MAX, WITHDRAWALS_MAX
from engine.payload import FORCED_KINDS, KIND_DEPOSIT, InboxEntry
from engine.state import EngineState
from engine.tables import (
    ACCOUNT_COUNT,
    ASSET_COUNT,
    DIRTY_AUX,
    DIRTY_LEAF,
    USER_ACCOUNT_FIRST,
    WITHDRAWALS,
    Outputs,
)
from engine.tree import append_withdrawal, withdrawal_leaf

NO_ACCOUNT = -1


def read_token(state: EngineState, asset: int) -> bytes:
    """The 20 bytes of an asset's token."""
    row = state.tables.assets[asset]
    head = b"".join(int(row[name]).to_bytes(8, "big", signed=True) for name in ("token_a", "token_b"))
    return head + int(row["token_c"]).to_bytes(4, "big")


def record_withdrawal(
    state: EngineState, index: int, account: int, owner: bytes, amount_units: int, asset: int
) -> Withdrawal:
    """Append leaf number `index` to the withdrawal tree and count the money out."""
    leaf = withdrawal_leaf(index, owner, read_token(state, asset), amount_units)
    state.withdrawal_frontier = append_withdrawal(state.withdrawal_frontier, index, leaf)
    if asset == QUOTE_ASSET:
        state.withdrawals_total_quote += amount_units
    return Withdrawal(index, account, owner, amount_units, asset)


def look_up(state: EngineState, owner: bytes, subaccount: int) -> int:
    """Account index of an owner of 20 bytes and a subaccount, or -1."""
    return int(find_account(state.tables, *encode_key(owner, subaccount)))


def encode_key(owner: bytes, subaccount: int) -> tuple[int, int, int]:
    """The three key columns of an account."""
    key_a, key_b, tail = split_address(owner)
    key_c = int.from_bytes(tail.to_bytes(4, "big") + subaccount.to_bytes(4, "big"), "big", signed=True)
    return key_a, key_b, key_c


def _find_or_open(state: EngineState, outputs: Outputs, owner: bytes, subaccount: int) -> int:
    account = look_up(state, owner, subaccount)
    if account != NO_ACCOUNT:
        return account
    index = int(state.tables.counters[ACCOUNT_COUNT])
    if index >= state.params.accounts_max:
        return NO_ACCOUNT
    row = state.tables.accounts[index]
    row["key_a"], row["key_b"], row["key_c"] = encode_key(owner, subaccount)
    state.tables.counters[ACCOUNT_COUNT] = index + 1
    index_account(state.tables, index)
    touch(state.tables, outputs, index, DIRTY_LEAF | DIRTY_AUX)
    return index


def find_asset(state: EngineState, token: bytes) -> int:
    """The asset with this token, or -1."""
    wanted = split_address(token)
    for asset in range(int(state.tables.counters[ASSET_COUNT])):
        row = state.tables.assets[asset]
        if (int(row["token_a"]), int(row["token_b"]), int(row["token_c"])) == wanted:
            return asset
    return NO_ACCOUNT


def _credit_lots(state: EngineState, outputs: Outputs, entry: InboxEntry, asset: int) -> int:
    """Add a collateral deposit to the account's holding; -1 when it does not fit."""
    row = state.tables.assets[asset]
    lots, rest = divmod(entry.amount, int(row["units_per_lot"]))
    held_units = int(row["deposited_units"]) - int(row["withdrawn_units"])
    if rest or held_units + entry.amount > int(row["cap_lots"]) * int(row["units_per_lot"]):
        return NO_ACCOUNT
    if entry.subaccount == 0 and int.from_bytes(entry.beneficiary, "big") <= USER_ACCOUNT_FIRST:
        return NO_ACCOUNT
    account = _find_or_open(state, outputs, entry.beneficiary, entry.subaccount)
    if account == NO_ACCOUNT:
        return NO_ACCOUNT
    market = int(row["market"])
    if not open_position(state.tables, account, market):
        return NO_ACCOUNT
    move_position(state.tables, outputs, account, market, lots)
    return account


def _credit_quote(state: EngineState, outputs: Outputs, entry: InboxEntry) -> int:
    """Add a quote deposit to the account's balance; -1 when it does not fit."""
    held_quote = state.deposits_total_quote - state.withdrawals_total_quote
    if held_quote + entry.amount > DEPOSITS_QUOTE_MAX:
        return NO_ACCOUNT
    account = _find_or_open(state, outputs, entry.beneficiary, entry.subaccount)
    if account != NO_ACCOUNT:
        move_balance(state.tables, outputs, account, entry.amount)
    return account


def apply_entry(state: EngineState, outputs: Outputs, entry: InboxEntry) -> tuple[Credit | None, Withdrawal | None]:
    """Consume one entry: cursor, hash chain, money."""
    state.inbox_hash = entry.chain(state.inbox_hash)
    state.inbox_cursor += 1
    if entry.kind in FORCED_KINDS:
        return None, None
    asset = find_asset(state, entry.token) if entry.kind == KIND_DEPOSIT and entry.amount else NO_ACCOUNT
    index = state.withdrawals_count
    if asset == NO_ACCOUNT or index >= WITHDRAWALS_MAX:
        state.inbox_ignored_count += 1
        return None, None
    if asset == QUOTE_ASSET:
        account = _credit_quote(state, outputs, entry)
        state.deposits_total_quote += entry.amount
    else:
        account = _credit_lots(state, outputs, entry, asset)
    credit = Credit(entry.index, account, entry.beneficiary, entry.subaccount, entry.amount, asset)
    if account != NO_ACCOUNT:
        state.tables.assets[asset]["deposited_units"] += entry.amount
        return credit, None
    is_system = entry.subaccount == 0 and int.from_bytes(entry.beneficiary, "big") <= USER_ACCOUNT_FIRST
    owner = entry.sender if is_system else entry.beneficiary
    state.tables.counters[WITHDRAWALS] = index + 1
    return credit, record_withdrawal(state, index, NO_ACCOUNT, owner, entry.amount, asset)
