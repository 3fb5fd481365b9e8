"""What must hold after every block, checked before the state is returned (docs/spec.md, INV). A violation is our own
mistake and stops the node.

Two depths. `require_invariants` runs after every block and looks at what the block can have changed: sums over all
accounts come from the account tree, whose leaves are computed from balances, positions and marks, never from running
totals; every market; and the changed accounts, whose open orders are added up anew. `audit` looks at everything.
"""

from typing import TYPE_CHECKING

import numpy as np

from engine.compiling import entry_point, inlined, kernel
from engine.errors import InvariantBroken
from engine.limits import BALANCE_QUOTE_MAX, POSITION_QUOTE_MAX
from engine.orderbook import NO_RANK, best_rank, next_level, rank_of_level, side_of_level
from engine.tables import (
    ACCOUNT_COUNT,
    ASSET_COUNT,
    DIRTY_COUNT,
    FEE_ACCOUNT,
    INSURANCE_ACCOUNT,
    KIND_CALL,
    KIND_PUT,
    KIND_SPOT,
    MARKET_COUNT,
    ORDER_ROW_MASK,
    ORDERS_LIVE,
    POSITIONS_OPEN,
    POSITIONS_USED,
    Number,
    Outputs,
    Tables,
    Truth,
)

if TYPE_CHECKING:
    from engine.state import EngineState

BROKEN = (
    "",
    "a balance is out of bounds",
    "fees or insurance are negative",
    "positions of a market do not sum to zero",
    "collateral lots are not what was deposited",
    "a position is worth more than any may be",
    "a price is zero where positions are",
    "an account's orders and positions say different things about its open lots",
    "an account's orders and its charges differ",
    "a level is out of order, empty, or does not add up",
    "counts of orders differ",
    "counts of positions differ",
    "open interest is not the sum of longs",
)
CHANGED_ACCOUNTS_MAX = 256  # looked into after a block; an audit looks into all
LEVELS_PER_BLOCK = 64


@kernel
def _check_market(t: Tables, market: Number) -> Number:
    """Number of the first broken rule of one market, or 0."""
    row = t.markets[market]
    if row["is_listed"] == 0:
        return 0
    if row["kind"] == KIND_SPOT:
        held_units = np.int64(0)
        for asset in range(1, t.counters[ASSET_COUNT]):
            if t.assets[asset]["market"] == market:
                units = t.assets[asset]["deposited_units"] - t.assets[asset]["withdrawn_units"]
                held_units += units // t.assets[asset]["units_per_lot"]
        if held_units != row["open_interest_lots"] or row["short_lots"] != 0:
            return 4
    elif row["open_interest_lots"] != row["short_lots"]:
        return 3
    is_option = row["kind"] == KIND_CALL or row["kind"] == KIND_PUT
    is_priced = row["mark_e8"] > 0 or is_option or row["kind"] == KIND_SPOT  # collateral may come before its price
    if row["open_interest_lots"] != 0 and not is_priced:
        return 6
    return 0


@inlined
def _move_open_lots(t: Tables, row: Number, sign: Number) -> None:
    """Add `sign` times an order's lots to what its position says is open; the row must be in range."""
    detail = t.details[row]
    lots = t.orderbook.book[len(t.orderbook.blocks) * LEVELS_PER_BLOCK + row]["lots"] + detail["hidden_lots"]
    position = t.positions[np.int64(detail["position"])]
    if np.int64(detail["side"]) == 0:
        position["buy_lots"] += sign * lots
    else:
        position["sell_lots"] += sign * lots


@kernel
def _check_orders(t: Tables, account: Number) -> tuple[Number, Number]:
    """`(first broken rule or 0, lots of all orders)` of an account's orders by themselves."""
    owner = t.accounts[account]
    first = len(t.orderbook.blocks) * LEVELS_PER_BLOCK
    charge_quote, orders, total_lots = np.int64(0), np.int64(0), np.int64(0)
    row = np.int64(owner["order_first"])
    while row != 0:
        order, detail = t.orderbook.book[first + row], t.details[row]
        is_own = np.int64(order["account"]) == account and order["order_id"] & ORDER_ROW_MASK == row
        if not is_own or order["lots"] <= 0 or detail["hidden_lots"] < 0 or orders > t.counters[ORDERS_LIVE]:
            return np.int64(7), total_lots
        position = t.positions[np.int64(detail["position"])]
        if position["is_live"] == 0 or np.int64(position["account"]) != account:
            return np.int64(11), total_lots
        if np.int64(position["market"]) != np.int64(detail["market"]):
            return np.int64(7), total_lots
        lots = order["lots"] + detail["hidden_lots"]
        total_lots += lots
        charge_quote += lots * detail["unit_charge_quote"]
        orders += 1
        row = np.int64(detail["own_next"])
    if charge_quote != owner["order_charge_quote"]:
        return np.int64(8), total_lots
    return np.int64(0 if orders == np.int64(owner["order_count"]) else 10), total_lots


@kernel
def _check_positions(t: Tables, account: Number, total_lots: Number) -> Number:
    """Number of the first rule that an account's positions break, or 0; `total_lots` are open in all of them."""
    rows = np.int64(0)
    row = np.int64(t.accounts[account]["position_first"])
    while row != 0:
        position = t.positions[row]
        rows += 1
        if np.int64(position["account"]) != account or position["is_live"] == 0 or rows > t.counters[POSITIONS_USED]:
            return 11
        unit = max(t.markets[np.int64(position["market"])]["notional_unit"], np.int64(1))
        if not -(POSITION_QUOTE_MAX // unit) <= position["lots"] <= POSITION_QUOTE_MAX // unit:
            return 5
        if position["buy_lots"] < 0 or position["sell_lots"] < 0:
            return 7
        total_lots -= position["buy_lots"] + position["sell_lots"]
        row = np.int64(position["next"])
    return 0 if total_lots == 0 else 7


@kernel
def _check_account(t: Tables, account: Number) -> Number:
    """Number of the first broken rule of one account, or 0.

    Each order's lots are taken out of what its position says is open; nothing may be left then. One walk over orders
    does that, where adding them up would take one for each position; a second one puts everything back.
    """
    owner = t.accounts[account]
    if abs(owner["balance_quote"]) > BALANCE_QUOTE_MAX:
        return 1
    broken, total_lots = _check_orders(t, account)
    if broken == 0:
        broken = np.int64(_check_positions(t, account, total_lots))
    if broken != 0:
        return broken
    row = np.int64(owner["order_first"])
    while row != 0:
        _move_open_lots(t, row, np.int64(-1))
        row = np.int64(t.details[row]["own_next"])
    row = np.int64(owner["position_first"])
    while row != 0:
        if t.positions[row]["buy_lots"] != 0 or t.positions[row]["sell_lots"] != 0:
            broken = np.int64(7)
        row = np.int64(t.positions[row]["next"])
    row = np.int64(owner["order_first"])
    while row != 0:
        _move_open_lots(t, row, np.int64(1))
        row = np.int64(t.details[row]["own_next"])
    return broken


@kernel
def _is_in_debt(t: Tables) -> Truth:
    """Whether fees or insurance are negative."""
    return t.accounts[FEE_ACCOUNT]["balance_quote"] < 0 or t.accounts[INSURANCE_ACCOUNT]["balance_quote"] < 0


@entry_point
def check_block(t: Tables, out: Outputs) -> Number:
    """Number of the first rule that a block broke, or 0."""
    if _is_in_debt(t):
        return 2
    for market in range(t.counters[MARKET_COUNT]):
        broken = _check_market(t, market)
        if broken != 0:
            return broken
    for at in range(min(t.counters[DIRTY_COUNT], CHANGED_ACCOUNTS_MAX)):
        broken = _check_account(t, out.dirty[at])
        if broken != 0:
            return broken
    return 0


@kernel
def _check_side(t: Tables, side_index: Number) -> tuple[Number, Number]:
    """`(first broken rule or 0, orders)` of one side of a book: levels in order, sums and links right."""
    book = t.orderbook
    orders = np.int64(0)
    rank = np.int64(-1)
    if best_rank(book, side_index) == NO_RANK:
        return np.int64(0), orders
    level = np.int64(book.sides[side_index]["best_level"])
    while level != 0:
        if side_of_level(book, level) != side_index or rank_of_level(book, level) <= rank:
            return np.int64(9), orders
        rank = np.int64(rank_of_level(book, level))
        lots, time_rank = np.int64(0), np.int64(-1)
        index = np.int64(book.book[level]["next"])
        if index == level:
            return np.int64(9), orders
        while index != level:
            if index < len(book.blocks) * LEVELS_PER_BLOCK or orders > t.counters[ORDERS_LIVE]:
                return np.int64(9), orders
            order, detail = book.book[index], t.details[index - len(book.blocks) * LEVELS_PER_BLOCK]
            if np.int64(order["level"]) != level or detail["rank"] <= time_rank:
                return np.int64(9), orders
            time_rank = detail["rank"]
            lots += order["lots"] + detail["hidden_lots"]
            orders += 1
            index = np.int64(order["next"])
        if lots != book.book[level]["lots"]:
            return np.int64(9), orders
        level = np.int64(next_level(book, level))
    return np.int64(0), orders


@kernel
def _audit_positions(t: Tables, longs: np.ndarray, shorts: np.ndarray) -> Number:
    """Add up all positions by market into `longs` and `shorts`; returns how many are not flat."""
    open_count = np.int64(0)
    for account in range(t.counters[ACCOUNT_COUNT]):
        row = np.int64(t.accounts[account]["position_first"])
        while row != 0:
            position = t.positions[row]
            longs[np.int64(position["market"])] += max(position["lots"], 0)
            shorts[np.int64(position["market"])] += max(-position["lots"], 0)
            open_count += position["lots"] != 0
            row = np.int64(position["next"])
    return open_count


@entry_point
def check_all(t: Tables, longs: np.ndarray, shorts: np.ndarray) -> tuple[Number, Number]:
    """`(first broken rule or 0, sum of all balances)`; `longs` and `shorts` are (markets,) int64 zeros."""
    total_quote, orders = np.int64(0), np.int64(0)
    if _is_in_debt(t):
        return np.int64(2), total_quote
    for account in range(t.counters[ACCOUNT_COUNT]):
        broken = _check_account(t, account)
        if broken != 0:
            return broken, total_quote
        total_quote += t.accounts[account]["balance_quote"]
    if _audit_positions(t, longs, shorts) != t.counters[POSITIONS_OPEN]:
        return np.int64(11), total_quote
    for market in range(t.counters[MARKET_COUNT]):
        row = t.markets[market]
        broken = _check_market(t, market)
        if broken != 0:
            return broken, total_quote
        if longs[market] != row["open_interest_lots"] or shorts[market] != row["short_lots"]:
            return np.int64(12), total_quote
        in_market = np.int64(0)
        for side in range(2):
            broken, count = _check_side(t, 2 * market + side)
            if broken != 0:
                return broken, total_quote
            in_market += count
        if in_market != row["book_orders"]:
            return np.int64(10), total_quote
        orders += in_market
    return np.int64(0 if orders == t.counters[ORDERS_LIVE] else 10), total_quote


def _require_money(state: "EngineState") -> None:
    """Claims less debts, from the tree, are what was deposited less what was withdrawn."""
    held_quote = state.deposits_total_quote - state.withdrawals_total_quote
    claims, debts = (int.from_bytes(part, "big") for part in (state.account_sums[:16], state.account_sums[16:]))
    if claims - debts != held_quote:
        raise InvariantBroken(f"height {state.height}: claims {claims} less debts {debts} are not {held_quote}")


def require_invariants(state: "EngineState", outputs: Outputs) -> None:
    """Raise `InvariantBroken` unless the block left everything right. The account tree must be up to date."""
    broken = int(check_block(state.tables, outputs))
    if broken:
        raise InvariantBroken(f"height {state.height}: {BROKEN[broken]}")
    _require_money(state)


def audit_tables(state: "EngineState") -> None:
    """Raise `InvariantBroken` unless every account, position, order and level agrees with every other.

    Row numbers must be within their tables; lists that are circles are found. The account tree is not asked.
    """
    sums = np.zeros((2, len(state.tables.markets)), dtype=np.int64)
    broken, total_quote = (int(value) for value in check_all(state.tables, sums[0], sums[1]))
    if broken:
        raise InvariantBroken(f"height {state.height}: {BROKEN[broken]}")
    if total_quote != state.deposits_total_quote - state.withdrawals_total_quote:
        raise InvariantBroken(f"height {state.height}: balances sum to {total_quote}")


def audit(state: "EngineState") -> None:
    """`audit_tables`, and what the account tree says. Raises `InvariantBroken`."""
    audit_tables(state)
    _require_money(state)
