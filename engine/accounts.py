"""Accounts and positions: finding them, changing them, and the running sum that says what an account may still risk.

A position is one (account, market) with a holding or open orders; its row is found by a hash table, and an account's
rows are linked. Every change of money, holdings or open orders goes through `change_exposure` or its callers: it keeps
`free_bound_quote`, the account's `E - D` at initial units (MAR-3), by the difference that the change makes in its one
market. So the margin of an order is decided without looking at the other markets, and exactly (MAR-7). Who changes a
market's units must count up `counters[MARK_EPOCH]`; the sum is then made anew when it is next needed. A portfolio
account's demand is no sum over markets, so a change of its holdings makes it unknown.

Rows of positions that have become empty stay where they are, because most are soon used again. They are given back when
a row is needed and there is none, so what can be opened depends on what is held, not on what was: an account's
`position_count` and `counters[POSITIONS_LIVE]` count the positions that are not empty.
"""

import numpy as np

from engine.compiling import entry_point, inlined, kernel
from engine.memory import make_zeros
from engine.tables import (
    ACCOUNT_COUNT,
    CLIENT_IDS_REMEMBERED,
    DIRTY_COUNT,
    DIRTY_LEAF,
    MODE_PORTFOLIO,
    POSITION_FREE,
    POSITIONS_LIVE,
    POSITIONS_OPEN,
    POSITIONS_USED,
    USER_ACCOUNT_FIRST,
    Number,
    Outputs,
    Tables,
    Truth,
)

ZERO, ONE = np.int64(0), np.int64(1)
UNKNOWN_EPOCH = np.int64(0)  # of a free margin that must be computed before it is used
PORTFOLIO_POSITIONS_MAX = np.int64(128)
LOW_31 = np.int64((1 << 31) - 1)
MIX_A, MIX_B, MIX_C = np.int64(0x2545F491), np.int64(0x1B873593), np.int64(0x3C6EF372)
BUY = np.int64(0)


@inlined
def _slot_of_key(key_a: Number, key_b: Number, key_c: Number, mask: Number) -> Number:
    """Where the search for a key begins: products of 31 bits, so that nothing overflows."""
    mixed = ((key_a ^ (key_a >> 32)) & LOW_31) * MIX_A ^ ((key_b ^ (key_b >> 32)) & LOW_31) * MIX_B
    mixed ^= ((key_c ^ (key_c >> 32)) & LOW_31) * MIX_C
    return ((mixed >> 40) ^ (mixed >> 20) ^ mixed) & mask


@inlined
def _slot_of_position(account: Number, market: Number, mask: Number) -> Number:
    return ((((account << 11) ^ market) & LOW_31) * MIX_A >> 24) & mask


@kernel
def find_account(t: Tables, key_a: Number, key_b: Number, key_c: Number) -> Number:
    """Number of the account with a key, -1 if there is none."""
    mask = len(t.account_index) - 1
    slot = _slot_of_key(key_a, key_b, key_c, mask)
    while t.account_index[slot] != 0:
        account = np.int64(t.account_index[slot]) - 1
        row = t.accounts[account]
        if row["key_a"] == key_a and row["key_b"] == key_b and row["key_c"] == key_c:
            return account
        slot = (slot + 1) & mask
    return -ONE


@kernel
def index_account(t: Tables, account: Number) -> None:
    """Make an account, whose key is set, one that `find_account` finds. The table must have a free slot."""
    mask = len(t.account_index) - 1
    row = t.accounts[account]
    slot = _slot_of_key(row["key_a"], row["key_b"], row["key_c"], mask)
    while t.account_index[slot] != 0:
        slot = (slot + 1) & mask
    t.account_index[slot] = account + 1


@inlined
def touch(t: Tables, out: Outputs, account: Number, bits: Number) -> None:
    """Note that an account's leaf (DIRTY_LEAF), or what its leaf hashes besides (DIRTY_AUX), has changed."""
    owner = t.accounts[account]
    before = np.int64(owner["dirty"])
    owner["dirty"] = before | bits
    if before == 0:
        out.dirty[t.counters[DIRTY_COUNT]] = account
        t.counters[DIRTY_COUNT] += ONE


@inlined
def position_slot(t: Tables, account: Number, market: Number) -> Number:
    """Where in `position_index` the search for a position begins."""
    return _slot_of_position(account, market, len(t.position_index) - 1)


@inlined
def find_position(t: Tables, account: Number, market: Number) -> Number:
    """Row of an account's position in a market, 0 if there is none."""
    mask = len(t.position_index) - 1
    slot = _slot_of_position(account, market, mask)
    row = np.int64(t.position_index[slot])
    while row != 0:
        position = t.positions[row]
        if np.int64(position["account"]) == account and np.int64(position["market"]) == market:
            break
        slot = (slot + 1) & mask
        row = np.int64(t.position_index[slot])
    return row


@inlined
def is_position_empty(t: Tables, row: Number) -> Truth:
    """Whether a position has neither a holding nor open orders."""
    position = t.positions[row]
    return (position["lots"] | position["buy_lots"] | position["sell_lots"]) == 0


@inlined
def _count_position(t: Tables, account: Number, change: Number) -> None:
    """One position more (1) or less (-1) that is not empty."""
    owner = t.accounts[account]
    owner["position_count"] = np.int64(owner["position_count"]) + change
    t.counters[POSITIONS_LIVE] += change


@kernel
def _forget_slot(t: Tables, row: Number) -> None:
    """Take a position out of the hash table and move those behind it up, so that no search ends too early."""
    index, mask = t.position_index, len(t.position_index) - 1
    hole = _slot_of_position(np.int64(t.positions[row]["account"]), np.int64(t.positions[row]["market"]), mask)
    while np.int64(index[hole]) != row:
        hole = (hole + 1) & mask
    slot = (hole + 1) & mask
    while index[slot] != 0:
        position = t.positions[np.int64(index[slot])]
        home = _slot_of_position(np.int64(position["account"]), np.int64(position["market"]), mask)
        if ((slot - home) & mask) >= ((slot - hole) & mask):
            index[hole] = index[slot]
            hole = slot
        slot = (slot + 1) & mask
    index[hole] = 0


@kernel
def release_position(t: Tables, row: Number) -> None:
    """Give back the row of an empty position."""
    _forget_slot(t, row)
    position = t.positions[row]
    owner = t.accounts[np.int64(position["account"])]
    following, previous = np.int64(position["next"]), np.int64(position["previous"])
    if previous != 0:
        t.positions[previous]["next"] = following
    else:
        owner["position_first"] = following
    if following != 0:
        t.positions[following]["previous"] = previous
    position["is_live"] = 0
    position["next"] = t.counters[POSITION_FREE]
    t.counters[POSITION_FREE] = row


@kernel
def reserve_positions(t: Tables, count: Number) -> Truth:
    """Whether `count` more positions can be opened; if that needs them, empty rows of all accounts are given back.

    Who opens two positions before the first is used asks this first: `open_position` may otherwise take the first back.
    """
    rows = len(t.positions) - 1
    if t.counters[POSITIONS_LIVE] + count > rows:
        return False
    available = rows + 1 - t.counters[POSITIONS_USED]
    free = t.counters[POSITION_FREE]
    while free != 0 and available < count:
        available += ONE
        free = np.int64(t.positions[free]["next"])
    if available < count:
        for row in range(1, t.counters[POSITIONS_USED]):
            if t.positions[row]["is_live"] != 0 and is_position_empty(t, row):
                release_position(t, np.int64(row))
    return True


@kernel
def _take_position(t: Tables, account: Number, market: Number) -> Number:
    """A new row for a position that has none, 0 when the table is full or a portfolio has all it may have (505)."""
    owner = t.accounts[account]
    if np.int64(owner["mode"]) == MODE_PORTFOLIO and np.int64(owner["position_count"]) >= PORTFOLIO_POSITIONS_MAX:
        return ZERO
    if not reserve_positions(t, ONE):
        return ZERO
    row = t.counters[POSITION_FREE]
    if row != 0:
        t.counters[POSITION_FREE] = np.int64(t.positions[row]["next"])
    else:
        row = t.counters[POSITIONS_USED]
        t.counters[POSITIONS_USED] += ONE
    position = t.positions[row]
    position["account"], position["market"], position["is_live"] = account, market, ONE
    position["reduce_only_count"] = position["is_tried"] = ZERO
    first = np.int64(owner["position_first"])
    position["previous"], position["next"] = ZERO, first
    if first != 0:
        t.positions[first]["previous"] = row
    owner["position_first"] = row
    mask = len(t.position_index) - 1
    slot = _slot_of_position(account, market, mask)
    while t.position_index[slot] != 0:
        slot = (slot + 1) & mask
    t.position_index[slot] = row
    return row


@inlined
def open_position(t: Tables, account: Number, market: Number) -> Number:
    """Row of an account's position in a market, made if there is none; 0 when there is no row for it (505)."""
    row = find_position(t, account, market)
    return row if row != 0 else _take_position(t, account, market)


@inlined
def compute_cost(lots: Number, long_unit: Number, short_unit: Number) -> Number:
    """Quote that a holding of signed lots demands (MAR-3)."""
    return lots * long_unit if lots > 0 else -lots * short_unit


@inlined
def compute_part(t: Tables, row: Number, is_portfolio: Truth) -> Number:
    """What one position adds to its account's `E - D` at initial units, its orders' charges and a portfolio's own
    demand apart: the value less the riskiest holding that open orders can lead to (MAR-3, MAR-6).
    """
    position = t.positions[row]
    market = t.markets[np.int64(position["market"])]
    long_unit, short_unit = market["im_long_unit"], market["im_short_unit"]
    lots, buy_lots, sell_lots = position["lots"], position["buy_lots"], position["sell_lots"]
    if is_portfolio:
        return lots * market["value_unit"] - max(buy_lots * long_unit, sell_lots * short_unit)
    return lots * market["value_unit"] - max(
        compute_cost(lots + buy_lots, long_unit, short_unit), compute_cost(lots - sell_lots, long_unit, short_unit)
    )


@inlined
def change_orders(t: Tables, account: Number, row: Number, side: Number, lots: Number, charge_quote: Number) -> None:
    """Add signed lots and their charge to what an account has open on one side of a market."""
    owner, position = t.accounts[account], t.positions[row]
    is_portfolio = np.int64(owner["mode"]) == MODE_PORTFOLIO
    before_quote = compute_part(t, row, is_portfolio)
    was_empty = np.int64(is_position_empty(t, row))
    if side == BUY:
        position["buy_lots"] += lots
    else:
        position["sell_lots"] += lots
    position["order_charge_quote"] += charge_quote
    owner["order_charge_quote"] += charge_quote
    owner["free_bound_quote"] += compute_part(t, row, is_portfolio) - before_quote - charge_quote
    _count_position(t, account, was_empty - np.int64(is_position_empty(t, row)))


@inlined
def change_exposure(
    t: Tables,
    account: Number,
    row: Number,
    lots: Number,
    balance_quote: Number,
    side: Number,
    order_lots: Number,
    charge_quote: Number,
) -> None:
    """Add signed lots to a holding, `balance_quote` to the balance, and signed `order_lots` with their charge to the
    open orders of a side; open interest follows. The caller touches the account.
    """
    owner, position = t.accounts[account], t.positions[row]
    market = t.markets[np.int64(position["market"])]
    is_portfolio = np.int64(owner["mode"]) == MODE_PORTFOLIO
    before_quote = compute_part(t, row, is_portfolio)
    was_empty = np.int64(is_position_empty(t, row))
    before_lots = position["lots"]
    after_lots = before_lots + lots
    position["lots"] = after_lots
    if side == BUY:
        position["buy_lots"] += order_lots
    else:
        position["sell_lots"] += order_lots
    position["order_charge_quote"] += charge_quote
    owner["order_charge_quote"] += charge_quote
    owner["balance_quote"] += balance_quote
    owner["free_bound_quote"] += compute_part(t, row, is_portfolio) - before_quote + balance_quote - charge_quote
    if is_portfolio:
        owner["bound_epoch"] = UNKNOWN_EPOCH
    market["open_interest_lots"] += max(after_lots, ZERO) - max(before_lots, ZERO)
    market["short_lots"] += max(-after_lots, ZERO) - max(-before_lots, ZERO)
    _count_position(t, account, was_empty - np.int64(is_position_empty(t, row)))
    t.counters[POSITIONS_OPEN] += np.int64(after_lots != 0) - np.int64(before_lots != 0)


@inlined
def move_balance(t: Tables, out: Outputs, account: Number, change_quote: Number) -> None:
    """Change a balance by a signed quote amount."""
    owner = t.accounts[account]
    owner["balance_quote"] += change_quote
    owner["free_bound_quote"] += change_quote
    touch(t, out, account, np.int64(DIRTY_LEAF))


@kernel
def move_position(t: Tables, out: Outputs, account: Number, market: Number, change_lots: Number) -> None:
    """Change a holding by signed lots; its row must be open. Reduce-only orders are not looked at
    (`engine.execution.cut_reduce_only`).
    """
    change_exposure(t, account, find_position(t, account, market), change_lots, ZERO, BUY, ZERO, ZERO)
    touch(t, out, account, np.int64(DIRTY_LEAF))


@kernel
def is_client_id_used(t: Tables, account: Number, client_id: Number) -> Truth:
    """ACC-5: whether an open order or trigger carries a nonzero client id, or one of the last accepted ones did."""
    for at in range(CLIENT_IDS_REMEMBERED):
        if t.client_ids[account, at] == client_id:
            return True
    if find_order_of_client(t, account, client_id) != 0:
        return True
    row = np.int64(t.accounts[account]["trigger_first"])
    while row != 0:
        if t.triggers[row]["client_id"] == client_id:
            return True
        row = np.int64(t.triggers[row]["next"])
    return False


@kernel
def find_order_of_client(t: Tables, account: Number, client_id: Number) -> Number:
    """Row of the account's open order with a client id, 0 if there is none; the order may be of any market."""
    row = np.int64(t.accounts[account]["order_first"])
    while row != 0 and t.details[row]["client_id"] != client_id:
        row = np.int64(t.details[row]["own_next"])
    return row


@kernel
def remember_client_id(t: Tables, account: Number, client_id: Number) -> None:
    """Put the client id of an accepted place or trigger before the remembered ones; the oldest is forgotten."""
    known = t.client_ids[account]
    for at in range(CLIENT_IDS_REMEMBERED - 1, 0, -1):
        known[at] = known[at - 1]
    known[0] = client_id


@entry_point
def _index_all(t: Tables) -> None:
    """Fill empty hash tables with all that exists; most numbers below the users' are nobody's and have no key."""
    for account in range(t.counters[ACCOUNT_COUNT]):
        row = t.accounts[account]
        if account >= USER_ACCOUNT_FIRST or (row["key_a"] | row["key_b"] | row["key_c"]) != 0:
            index_account(t, np.int64(account))
    mask = len(t.position_index) - 1
    for position_row in range(1, t.counters[POSITIONS_USED]):
        position = t.positions[position_row]
        if position["is_live"] != 0:
            slot = _slot_of_position(np.int64(position["account"]), np.int64(position["market"]), mask)
            while t.position_index[slot] != 0:
                slot = (slot + 1) & mask
            t.position_index[slot] = position_row


def make_indexes(tables: Tables) -> Tables:
    """Tables with new hash tables of all that exists. Slots depend on the order of entering, and nothing on slots."""
    accounts, positions = tables.account_index, tables.position_index
    made = tables._replace(
        account_index=make_zeros(accounts.shape, accounts.dtype),
        position_index=make_zeros(positions.shape, positions.dtype),
    )
    _index_all(made)
    return made
