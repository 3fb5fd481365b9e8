"""What must hold after every block, checked before the state is returned. A violation is our own mistake and stops
the node.

Money: the sum of all balances is what was deposited less what was withdrawn; claims less debts are the same sum;
insurance and fees are never negative. Positions: per market they sum to zero, open interest is the sum of longs.
Books: what levels, orders, accounts and positions say about open orders is the same. No market with positions is
without a price.
"""

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from engine.errors import InvariantBroken
from engine.layout import (
    ACCOUNT,
    ACCOUNT_COUNT,
    BALANCE,
    BOOK_ORDERS,
    LEVEL_FIRST,
    LEVEL_LOTS,
    LEVEL_ORDERS,
    LEVEL_TICKS,
    LEVELS,
    MARK,
    NEXT,
    NOTHING,
    OPEN_INTEREST,
    ORDER_COUNT,
    ORDERS_LIVE,
    POSITION_BUYS,
    POSITION_COUNT,
    POSITION_LOTS,
    POSITION_MAX,
    POSITION_SELLS,
    POSITIONS_OPEN,
    PRICE_TICKS,
    SIZE_LOTS,
    Tables,
)
from engine.limits import BALANCE_QUOTE_MAX, FEE_ACCOUNT, INSURANCE_ACCOUNT

if TYPE_CHECKING:
    from engine.state import EngineState

BROKEN = (
    "",
    "a balance is out of bounds",
    "fees or insurance are negative",
    "positions of a market do not sum to zero",
    "open interest is not the sum of longs",
    "a position is larger than allowed, or its orders are negative",
    "positions without a price",
    "orders of levels, positions and market differ",
    "a level is empty or out of order",
    "an order has no size",
    "counts of orders differ",
    "counts of positions differ",
)


@njit(cache=True)
def _check_market(tables: Tables, market: int) -> int:
    """Number of the first broken rule of one market, or 0."""
    row = tables.markets[market]
    net_lots, long_lots, buys_lots, sells_lots = 0, 0, 0, 0
    for account in range(tables.counters[ACCOUNT_COUNT]):
        position = tables.positions[account, market]
        size_lots = position[POSITION_LOTS]
        net_lots += size_lots
        long_lots += max(size_lots, 0)
        buys_lots += position[POSITION_BUYS]
        sells_lots += position[POSITION_SELLS]
        if abs(size_lots) > row[POSITION_MAX] or position[POSITION_BUYS] < 0 or position[POSITION_SELLS] < 0:
            return 5
    if net_lots != 0:
        return 3
    if long_lots != row[OPEN_INTEREST]:
        return 4
    if long_lots != 0 and row[MARK] <= 0:
        return 6
    orders = 0
    for side in range(2):
        side_lots = 0
        for level in range(row[LEVELS + side]):
            entry = tables.levels[market, side, level]
            side_lots += entry[LEVEL_LOTS]
            orders += entry[LEVEL_ORDERS]
            if entry[LEVEL_TICKS] <= 0 or entry[LEVEL_LOTS] <= 0 or entry[LEVEL_ORDERS] <= 0:
                return 8
            if level > 0:
                rises = entry[LEVEL_TICKS] > tables.levels[market, side, level - 1, LEVEL_TICKS]
                if rises != (side == 0):
                    return 8
        if side_lots != (buys_lots if side == 0 else sells_lots):
            return 7
    return 0 if orders == row[BOOK_ORDERS] else 10


@njit(cache=True)
def check_tables(tables: Tables) -> tuple[int, int]:
    """`(number of the first broken rule or 0, sum of all balances)`."""
    total_quote, orders, positions = 0, 0, 0
    for account in range(tables.counters[ACCOUNT_COUNT]):
        owner = tables.accounts[account]
        if abs(owner[BALANCE]) > BALANCE_QUOTE_MAX:
            return 1, 0
        total_quote += owner[BALANCE]
        orders += owner[ORDER_COUNT]
        positions += owner[POSITION_COUNT]
    if tables.accounts[FEE_ACCOUNT, BALANCE] < 0 or tables.accounts[INSURANCE_ACCOUNT, BALANCE] < 0:
        return 2, total_quote
    for market in range(tables.markets.shape[0]):
        broken = _check_market(tables, market)
        if broken != 0:
            return broken, total_quote
    if orders != tables.counters[ORDERS_LIVE]:
        return 10, total_quote
    return (0 if positions == tables.counters[POSITIONS_OPEN] else 11), total_quote


@njit(cache=True)
def check_orders(tables: Tables) -> int:
    """The dear form, every order of every book: number of the first broken rule, or 0."""
    lots = np.zeros((tables.counters[ACCOUNT_COUNT], tables.markets.shape[0], 2), dtype=np.int64)
    for market in range(tables.markets.shape[0]):
        for side in range(2):
            for level in range(tables.markets[market, LEVELS + side]):
                entry = tables.levels[market, side, level]
                row = entry[LEVEL_FIRST]
                level_lots = 0
                while row != NOTHING:
                    order = tables.orders[row]
                    if order[SIZE_LOTS] <= 0 or order[PRICE_TICKS] != entry[LEVEL_TICKS]:
                        return 9
                    level_lots += order[SIZE_LOTS]
                    lots[order[ACCOUNT], market, side] += order[SIZE_LOTS]
                    row = order[NEXT]
                if level_lots != entry[LEVEL_LOTS]:
                    return 7
            for account in range(lots.shape[0]):
                if lots[account, market, side] != tables.positions[account, market, POSITION_BUYS + side]:
                    return 7
    return 0


def require_invariants(state: "EngineState") -> None:
    """Raise `InvariantBroken` unless everything in the module header holds. The account tree must be up to date."""
    broken, total_quote = (int(value) for value in check_tables(state.tables))
    if broken:
        raise InvariantBroken(f"height {state.height}: {BROKEN[broken]}")
    held_quote = state.deposits_total_quote - state.withdrawals_total_quote
    if total_quote != held_quote:
        raise InvariantBroken(f"height {state.height}: balances sum to {total_quote}, not {held_quote}")
    claims, debts = (int.from_bytes(part, "big") for part in (state.account_sums[:16], state.account_sums[16:]))
    if claims - debts != total_quote:
        raise InvariantBroken(f"height {state.height}: claims {claims} less debts {debts} are not {total_quote}")
