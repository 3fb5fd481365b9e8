"""What an account decides about itself: keys, fees, margin mode, protection, the cancel switch; and moving its money.

Nothing here touches a book. Every function returns the code of the first rule that is broken, in the order of the
codes; then it has changed nothing.
"""

import numpy as np

from engine.accounts import (
    PORTFOLIO_POSITIONS_MAX,
    UNKNOWN_EPOCH,
    find_account,
    find_position,
    index_account,
    is_position_empty,
    move_balance,
    move_position,
    open_position,
    touch,
)
from engine.authority import KEY_SCOPES, SCOPE_BUILDER, find_key
from engine.compiling import kernel
from engine.execution import cut_reduce_only
from engine.exposure import are_prices_fresh, compute_demand, compute_equity, compute_withdrawable
from engine.limits import WITHDRAWALS_MAX
from engine.notices import notify
from engine.results import Code
from engine.rows import release_row, take_lowest_row
from engine.tables import (
    ACCOUNT_COUNT,
    ASSET_COUNT,
    DIRTY_AUX,
    DIRTY_LEAF,
    MODE_ISOLATED,
    MODE_PORTFOLIO,
    NOTICE_TRANSFER,
    POSITIONS_LIVE,
    PROTECTIONS_USED,
    SESSIONS_LIVE,
    SESSIONS_USED,
    USER_ACCOUNT_FIRST,
    WITHDRAWAL_COUNT,
    WITHDRAWALS,
    Number,
    Outputs,
    Tables,
    Truth,
)

OK, PRICE_MISSING, UNKNOWN_ENUM = np.int64(Code.OK), np.int64(Code.NO_PRICE), np.int64(Code.UNKNOWN_ENUM)
CONTRADICTORY, UNKNOWN_ASSET = np.int64(Code.CONTRADICTORY), np.int64(Code.UNKNOWN_ASSET)
COUNTERPARTY_FAILED, INSUFFICIENT_MARGIN = np.int64(Code.COUNTERPARTY_FAILED), np.int64(Code.INSUFFICIENT_MARGIN)
INSUFFICIENT_BALANCE, AMOUNT_NOT_POSITIVE = np.int64(Code.INSUFFICIENT_BALANCE), np.int64(Code.AMOUNT_NOT_POSITIVE)
WRONG_MARGIN_MODE, WITHDRAWALS_FULL = np.int64(Code.WRONG_MARGIN_MODE), np.int64(Code.WITHDRAWALS_FULL)
POSITION_TOO_LARGE = np.int64(Code.POSITION_TOO_LARGE)
POSITIONS_FULL, TABLE_FULL = np.int64(Code.POSITIONS_FULL), np.int64(Code.TABLE_FULL)
NOTHING, ONE, NOBODY = np.int64(0), np.int64(1), np.int64(-1)
QUOTE_ASSET, TRANSFERRED = np.int64(0), np.int64(NOTICE_TRANSFER)
AUX, LEAF_AND_AUX = np.int64(DIRTY_AUX), np.int64(DIRTY_LEAF | DIRTY_AUX)
KEYS_PER_ACCOUNT = 8  # session keys and approvals of builders together
SWITCH_AHEAD_MS = 1_000
PROTECTION_MS_MAX = 86_400_000
BUILDER_LINK, BUILDER = 1, np.int64(SCOPE_BUILDER)
SUBACCOUNT_MASK = (1 << 32) - 1
BUILDER_PPM_MAX = (1 << 16) - 1


@kernel
def set_cancel_switch(t: Tables, out: Outputs, account: Number, cancel_at_ms: Number, time_ms: Number) -> Number:
    """CANCEL_ALL_AFTER: from `cancel_at_ms` on the account's orders do not trade (ORD-7); 0 disarms."""
    if cancel_at_ms != 0 and cancel_at_ms < time_ms + SWITCH_AHEAD_MS:
        return CONTRADICTORY
    t.accounts[account]["cancel_at_ms"] = cancel_at_ms
    touch(t, out, account, AUX)
    return OK


@kernel
def _count_keys(t: Tables, account: Number) -> Number:
    count, row = NOTHING, np.int64(t.accounts[account]["session_first"])
    while row != NOTHING:
        count += 1
        row = np.int64(t.sessions[row]["next"])
    return count


@kernel
def _add_key(t: Tables, account: Number) -> Number:
    """A new row at the end of the account's list; 0 when it has 8 or the pool is full."""
    if _count_keys(t, account) >= KEYS_PER_ACCOUNT:
        return NOTHING
    row = take_lowest_row(t.session_rows, len(t.sessions))
    if row == NOTHING:
        return NOTHING
    t.counters[SESSIONS_USED] = max(t.counters[SESSIONS_USED], row + 1)
    t.counters[SESSIONS_LIVE] += 1
    session = t.sessions[row]
    session["account"], session["is_live"], session["next"] = account, ONE, NOTHING
    at = np.int64(t.accounts[account]["session_first"])
    if at == NOTHING:
        t.accounts[account]["session_first"] = row
        return row
    while np.int64(t.sessions[at]["next"]) != NOTHING:
        at = np.int64(t.sessions[at]["next"])
    t.sessions[at]["next"] = row
    return row


@kernel
def _remove_key(t: Tables, account: Number, row: Number) -> None:
    before, at = NOTHING, np.int64(t.accounts[account]["session_first"])
    while at != row:
        before, at = at, np.int64(t.sessions[at]["next"])
    if before == NOTHING:
        t.accounts[account]["session_first"] = np.int64(t.sessions[row]["next"])
    else:
        t.sessions[before]["next"] = np.int64(t.sessions[row]["next"])
    t.sessions[row]["is_live"] = t.sessions[row]["next"] = NOTHING
    t.counters[SESSIONS_LIVE] -= 1
    release_row(t.session_rows, row)


@kernel
def _put_key(
    t: Tables, out: Outputs, account: Number, key: np.ndarray, key_c: Number, scopes: Number, expiry_ms: Number,
    order_quote_max: Number,
) -> Number:  # fmt: skip
    """Add a key or approval, or replace what the known one may do."""
    row = find_key(t, account, key[0], key[1], key_c, scopes == SCOPE_BUILDER)
    if row == NOTHING:
        row = _add_key(t, account)
        if row == NOTHING:
            return TABLE_FULL
    session = t.sessions[row]
    session["key_a"], session["key_b"], session["key_c"] = key[0], key[1], key_c
    session["scopes"], session["expiry_ms"], session["order_quote_max"] = scopes, expiry_ms, order_quote_max
    touch(t, out, account, AUX)
    return OK


@kernel
def _drop_key(t: Tables, out: Outputs, account: Number, key: np.ndarray, key_c: Number, is_builder: Truth) -> Number:
    row = find_key(t, account, key[0], key[1], key_c, is_builder)
    if row != NOTHING:
        _remove_key(t, account, row)
        touch(t, out, account, AUX)
    return OK


@kernel
def set_session(t: Tables, out: Outputs, account: Number, action: np.void, key: np.ndarray, time_ms: Number) -> Number:
    """SET_SESSION: let a key (address in `key`) sign for the account within `flags` (scopes) until `good_till_ms`,
    orders worth at most `size_lots` quote each (0: no cap). Scopes 0 revoke.
    """
    scopes, expiry_ms, order_quote_max = np.int64(action["flags"]), action["good_till_ms"], action["size_lots"]
    if scopes & ~KEY_SCOPES != 0:
        return UNKNOWN_ENUM
    is_nobody = key[0] == 0 and key[1] == 0 and key[2] == 0
    if is_nobody or order_quote_max < 0 or (scopes != 0 and expiry_ms <= time_ms):
        return CONTRADICTORY
    if scopes == 0:
        return _drop_key(t, out, account, key, key[2], False)
    return _put_key(t, out, account, key, key[2], scopes, expiry_ms, order_quote_max)


@kernel
def set_fees(t: Tables, out: Outputs, account: Number, action: np.void, key: np.ndarray) -> Number:
    """SET_FEES: `link` 0 makes the account (`key`, 0) the referrer, once; `link` 1 approves it as a builder that takes
    up to `size_lots` parts per million (0: no longer).
    """
    link, builder_ppm = action["link"], action["size_lots"]
    owner = t.accounts[account]
    is_own = key[0] == owner["key_a"] and key[1] == owner["key_b"] and key[2] >> 32 == owner["key_c"] >> 32
    is_bad_referral = link == 0 and (builder_ppm != 0 or is_own or np.int64(owner["referrer"]) != 0)
    if link > BUILDER_LINK or builder_ppm < 0 or builder_ppm > BUILDER_PPM_MAX or is_bad_referral:
        return CONTRADICTORY
    receiver = find_account(t, key[0], key[1], key[2])
    if receiver < USER_ACCOUNT_FIRST:
        return COUNTERPARTY_FAILED
    if link == BUILDER_LINK:
        if builder_ppm == 0:
            return _drop_key(t, out, account, key, key[2], True)
        return _put_key(t, out, account, key, key[2], BUILDER, NOTHING, builder_ppm)
    owner["referrer"] = receiver
    touch(t, out, account, AUX)
    return OK


@kernel
def set_protection(t: Tables, out: Outputs, account: Number, action: np.void) -> Number:
    """SET_PROTECTION (ORD-8): window `good_till_ms`, freeze `display_lots` ms, maxima of notional `size_lots`, delta
    `price_ticks` and vega `trigger_ticks`, all quote. Starts afresh and unfreezes; a window of 0 ends protection.
    """
    window_ms, freeze_ms = action["good_till_ms"], action["display_lots"]
    quote_max, delta_quote_max, vega_quote_max = action["size_lots"], action["price_ticks"], action["trigger_ticks"]
    if window_ms > PROTECTION_MS_MAX or freeze_ms < 0 or freeze_ms > PROTECTION_MS_MAX:
        return CONTRADICTORY
    if quote_max < 0 or delta_quote_max < 0 or vega_quote_max < 0:
        return CONTRADICTORY
    row = np.int64(t.accounts[account]["protection"])
    if row == NOTHING:
        if window_ms == 0:
            return OK
        row = t.counters[PROTECTIONS_USED]
        if row >= len(t.protections):
            return TABLE_FULL
        t.counters[PROTECTIONS_USED] = row + 1
        t.accounts[account]["protection"] = row
    protection = t.protections[row]
    protection["account"], protection["is_live"] = account, ONE if window_ms != 0 else NOTHING
    protection["window_ms"], protection["freeze_ms"] = window_ms, freeze_ms
    protection["quote_max"], protection["delta_quote_max"] = quote_max, delta_quote_max
    protection["vega_quote_max"], protection["window_start_ms"] = vega_quote_max, NOTHING
    protection["quote_sum"] = protection["delta_quote_sum"] = protection["vega_quote_sum"] = NOTHING
    protection["frozen_until_ms"] = NOTHING
    touch(t, out, account, AUX)
    return OK


@kernel
def _is_initially_margined(t: Tables, account: Number) -> Truth:
    return compute_equity(t, account) >= compute_demand(t, account, True)


@kernel
def set_margin_mode(t: Tables, out: Outputs, account: Number, mode: Number) -> Number:
    """SET_MARGIN_MODE: cross, isolated (positions and orders in one market at most) or portfolio, if `E ≥ D` in it."""
    if not are_prices_fresh(t, account):
        return PRICE_MISSING
    if mode > MODE_PORTFOLIO:
        return UNKNOWN_ENUM
    owner = t.accounts[account]
    count = np.int64(owner["position_count"])
    before = np.int64(owner["mode"])
    if mode != MODE_PORTFOLIO or count <= PORTFOLIO_POSITIONS_MAX:
        owner["mode"] = mode
        is_margined = _is_initially_margined(t, account)
        owner["mode"] = before
        if not is_margined:
            return INSUFFICIENT_MARGIN
    if mode == MODE_ISOLATED and count > 1:
        return WRONG_MARGIN_MODE
    if mode == MODE_PORTFOLIO and count > PORTFOLIO_POSITIONS_MAX:
        return POSITIONS_FULL
    owner["mode"] = mode
    owner["bound_epoch"] = UNKNOWN_EPOCH
    touch(t, out, account, LEAF_AND_AUX)
    return OK


@kernel
def _check_taking(t: Tables, account: Number, asset: Number, amount_lots: Number) -> Number:
    """Whether an account may give away so many lots (quote units of asset 0) by MAR-9; judges 318, 403, 404."""
    if asset >= t.counters[ASSET_COUNT]:
        return UNKNOWN_ASSET
    if asset == QUOTE_ASSET:
        if amount_lots > compute_withdrawable(t, account):
            return INSUFFICIENT_BALANCE
        return OK if amount_lots > 0 else AMOUNT_NOT_POSITIVE
    row = find_position(t, account, t.assets[asset]["market"])
    if amount_lots <= 0:
        return AMOUNT_NOT_POSITIVE
    if row == NOTHING:
        return INSUFFICIENT_BALANCE
    position = t.positions[row]
    if position["lots"] - position["sell_lots"] < amount_lots:
        return INSUFFICIENT_BALANCE
    position["lots"] -= amount_lots
    is_margined = _is_initially_margined(t, account)
    position["lots"] += amount_lots
    return OK if is_margined else INSUFFICIENT_BALANCE


@kernel
def _move(t: Tables, out: Outputs, account: Number, asset: Number, amount_lots: Number) -> None:
    """Add signed lots (quote units of asset 0) to what an account has; there is a position row for it."""
    if asset == QUOTE_ASSET:
        move_balance(t, out, account, amount_lots)
        return
    market = t.assets[asset]["market"]
    open_position(t, account, market)
    move_position(t, out, account, market, amount_lots)
    cut_reduce_only(t, out, account, market)


@kernel
def withdraw(
    t: Tables, out: Outputs, account: Number, asset: Number, amount_lots: Number, receipt_row: Number
) -> Number:
    """WITHDRAW: debit the account and write the row that the shell appends to the withdrawal tree."""
    if not are_prices_fresh(t, account):
        return PRICE_MISSING
    code = _check_taking(t, account, asset, amount_lots)
    if code != OK:
        return code
    index = t.counters[WITHDRAWALS]
    if index >= WITHDRAWALS_MAX:
        return WITHDRAWALS_FULL
    token_units = amount_lots * t.assets[asset]["units_per_lot"]
    t.assets[asset]["withdrawn_units"] += token_units
    _move(t, out, account, asset, -amount_lots)
    count = t.counters[WITHDRAWAL_COUNT]
    row = out.withdrawals[count]
    row["account"], row["amount_units"], row["asset"], row["owner_account"] = account, token_units, asset, account
    t.counters[WITHDRAWAL_COUNT] = count + 1
    t.counters[WITHDRAWALS] = index + 1
    out.receipts[receipt_row]["withdrawal_index"] = index
    return OK


@kernel
def _open_account(t: Tables, out: Outputs, key_a: Number, key_b: Number, key_c: Number) -> Number:
    """The next free account gets this key; -1 when there is none."""
    account = t.counters[ACCOUNT_COUNT]
    if account >= len(t.accounts):
        return NOBODY
    owner = t.accounts[account]
    owner["key_a"], owner["key_b"], owner["key_c"] = key_a, key_b, key_c
    t.counters[ACCOUNT_COUNT] = account + 1
    index_account(t, account)
    touch(t, out, account, LEAF_AND_AUX)
    return account


@kernel
def _is_within_limit(t: Tables, target: Number, market: Number, lots: Number) -> Truth:
    """402 for an account, -1 for one that is yet to be made, that gets lots of a spot market."""
    row = find_position(t, target, market) if target != NOBODY else NOTHING
    position = t.positions[row]
    return position["lots"] + position["buy_lots"] + lots <= t.markets[market]["position_lots_max"]


@kernel
def _check_receiving(t: Tables, target: Number, market: Number) -> Number:
    """405 and 505 for the same account."""
    row = find_position(t, target, market) if target != NOBODY else NOTHING
    if target != NOBODY and np.int64(t.accounts[target]["mode"]) == MODE_ISOLATED:
        is_held = row != NOTHING and not is_position_empty(t, row)
        if np.int64(t.accounts[target]["position_count"]) > (ONE if is_held else NOTHING):
            return WRONG_MARGIN_MODE
    if target == NOBODY:
        return OK if t.counters[POSITIONS_LIVE] < len(t.positions) - 1 else POSITIONS_FULL
    return OK if can_open_position(t, target, row) else POSITIONS_FULL


@kernel
def can_open_position(t: Tables, account: Number, row: Number) -> Truth:
    """505: whether an account whose position has this row (0: none) may have lots in it."""
    if row != NOTHING and not is_position_empty(t, row):
        return True
    owner = t.accounts[account]
    is_portfolio = np.int64(owner["mode"]) == MODE_PORTFOLIO
    if is_portfolio and np.int64(owner["position_count"]) >= PORTFOLIO_POSITIONS_MAX:
        return False
    return t.counters[POSITIONS_LIVE] < len(t.positions) - 1


@kernel
def transfer(t: Tables, out: Outputs, account: Number, action: np.void, key: np.ndarray) -> Number:
    """TRANSFER (ACC-6): quote or collateral lots to (data, link); a new subaccount of the own owner is made."""
    asset, amount_lots, subaccount = np.int64(action["market"]), action["size_lots"], action["link"]
    owner = t.accounts[account]
    is_own = (key[0] == 0 and key[1] == 0 and key[2] == 0) or (
        key[0] == owner["key_a"] and key[1] == owner["key_b"] and key[2] >> 32 == owner["key_c"] >> 32
    )
    key_a, key_b = (owner["key_a"], owner["key_b"]) if is_own else (key[0], key[1])
    key_c = ((owner["key_c"] if is_own else key[2]) >> 32 << 32) | (subaccount & SUBACCOUNT_MASK)
    if not are_prices_fresh(t, account):
        return PRICE_MISSING
    is_known = subaccount <= SUBACCOUNT_MASK
    target = find_account(t, key_a, key_b, key_c) if is_known else NOBODY
    if target == account:
        return CONTRADICTORY
    if asset >= t.counters[ASSET_COUNT]:
        return UNKNOWN_ASSET
    if target == NOBODY and not (is_own and is_known):
        return COUNTERPARTY_FAILED
    market = t.assets[asset]["market"] if asset != QUOTE_ASSET else NOBODY
    if market != NOBODY and amount_lots > 0 and not _is_within_limit(t, target, market, amount_lots):
        return POSITION_TOO_LARGE
    code = _check_taking(t, account, asset, amount_lots)
    if code == OK and market != NOBODY:
        code = _check_receiving(t, target, market)
    if code != OK:
        return code
    if target == NOBODY:
        target = _open_account(t, out, key_a, key_b, key_c)
        if target == NOBODY:
            return TABLE_FULL
    _move(t, out, account, asset, -amount_lots)
    _move(t, out, target, asset, amount_lots)
    notify(t, out, TRANSFERRED, account, target, asset, amount_lots, NOTHING)
    return OK
