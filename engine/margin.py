"""What an account is worth and what it must be worth, at the committed marks. All sums in quote units, all rounded up.

Rules (E: equity, S: signed position, B/A: lots of open buys/sells, p: mark, v: quote units per tick and lot):
- E = Q + sum S p v.
- A market demands ceil(max(|S + B|, |S - A|) p v bps / 10000): the riskiest position that open orders can lead to.
- Every open order also demands its loss against the mark if it filled now, and the taker fee at its own price.
- An order is accepted when E >= demand at initial margin with the order added, or when it only reduces: it cannot
  turn the position, and E / (maintenance demand) does not fall. Compared by cross multiplication (StarkEx' rule).

Bounds: see `engine.limits`.
"""

from numba import njit

from engine.checked import is_product_at_least, mul_div_ceil
from engine.layout import (
    BALANCE,
    BUY_ROW,
    INITIAL_BPS,
    IS_FRESH,
    MAINTENANCE_BPS,
    MARK,
    MARKET,
    NOTHING,
    ORDER_FIRST,
    OWN_NEXT,
    POSITION_BUYS,
    POSITION_LOTS,
    POSITION_SELLS,
    PRICE_TICKS,
    QUOTE_PER_TICK_LOT,
    SIDE,
    SIZE_LOTS,
    TAKER_FEE_BPS,
    ZERO,
    Number,
    Tables,
    Truth,
)
from engine.limits import BPS_UNIT


@njit(cache=True)
def compute_equity(tables: Tables, account: Number) -> Number:
    """Balance plus all positions at their marks, quote units; may be negative."""
    equity_quote = tables.accounts[account, BALANCE]
    for market in range(tables.markets.shape[0]):
        row = tables.markets[market]
        equity_quote += tables.positions[account, market, POSITION_LOTS] * row[MARK] * row[QUOTE_PER_TICK_LOT]
    return equity_quote


@njit(cache=True)
def compute_position_margin(tables: Tables, market: Number, size_lots: Number, bps_column: Number) -> Number:
    """Margin of a position of `size_lots` (signed) in one market, quote units, rounded up."""
    row = tables.markets[market]
    return mul_div_ceil(abs(size_lots) * row[MARK] * row[QUOTE_PER_TICK_LOT], row[bps_column], BPS_UNIT)


@njit(cache=True)
def compute_maintenance(tables: Tables, account: Number) -> Number:
    """Maintenance margin of the positions alone, quote units, rounded up per market."""
    total_quote: Number = 0
    for market in range(tables.markets.shape[0]):
        size_lots = tables.positions[account, market, POSITION_LOTS]
        if size_lots != 0:
            total_quote += compute_position_margin(tables, market, size_lots, MAINTENANCE_BPS)
    return total_quote


@njit(cache=True)
def compute_order_cost(tables: Tables, market: Number, side: Number, price_ticks: Number, size_lots: Number) -> Number:
    """Loss against the mark plus taker fee (rounded up) if the order filled at its own price, quote units."""
    row = tables.markets[market]
    worse_ticks = price_ticks - row[MARK] if side == BUY_ROW else row[MARK] - price_ticks
    fee_quote = mul_div_ceil(price_ticks * size_lots * row[QUOTE_PER_TICK_LOT], row[TAKER_FEE_BPS], BPS_UNIT)
    return max(worse_ticks, 0) * size_lots * row[QUOTE_PER_TICK_LOT] + fee_quote


@njit(cache=True)
def compute_demand(
    tables: Tables,
    account: Number,
    bps_column: Number,
    market: Number,
    side: Number,
    price_ticks: Number,
    size_lots: Number,
) -> Number:
    """Equity the account needs for positions, open orders and one candidate order (size 0: none), quote units."""
    total_quote: Number = 0
    for index in range(tables.markets.shape[0]):
        position = tables.positions[account, index]
        longest = position[POSITION_LOTS] + position[POSITION_BUYS]
        shortest = position[POSITION_LOTS] - position[POSITION_SELLS]
        if index == market:
            if side == BUY_ROW:
                longest += size_lots
            else:
                shortest -= size_lots
        riskiest_lots = max(abs(longest), abs(shortest))
        if riskiest_lots != 0:
            total_quote += compute_position_margin(tables, index, riskiest_lots, bps_column)
    row = tables.accounts[account, ORDER_FIRST]
    while row != NOTHING:
        order = tables.orders[row]
        total_quote += compute_order_cost(tables, order[MARKET], order[SIDE], order[PRICE_TICKS], order[SIZE_LOTS])
        row = order[OWN_NEXT]
    if size_lots != 0:
        total_quote += compute_order_cost(tables, market, side, price_ticks, size_lots)
    return total_quote


@njit(cache=True)
def is_reducing(tables: Tables, account: Number, market: Number, side: Number, size_lots: Number) -> bool:
    """Whether an order together with all open ones of its side can at most close the position."""
    position = tables.positions[account, market]
    if side == BUY_ROW:
        return position[POSITION_BUYS] + size_lots <= -position[POSITION_LOTS]
    return position[POSITION_SELLS] + size_lots <= position[POSITION_LOTS]


@njit(cache=True)
def is_affordable(
    tables: Tables, account: Number, market: Number, side: Number, price_ticks: Number, size_lots: Number
) -> Truth:
    """The acceptance rule of the module header for a candidate order."""
    equity_quote = compute_equity(tables, account)
    if equity_quote >= compute_demand(tables, account, INITIAL_BPS, market, side, price_ticks, size_lots):
        return True
    if not is_reducing(tables, account, market, side, size_lots):
        return False
    position_lots = abs(tables.positions[account, market, POSITION_LOTS])
    before_quote = compute_maintenance(tables, account)
    after_quote = (
        before_quote
        - compute_position_margin(tables, market, position_lots, MAINTENANCE_BPS)
        + compute_position_margin(tables, market, position_lots - size_lots, MAINTENANCE_BPS)
    )
    equity_after_quote = equity_quote - compute_order_cost(tables, market, side, price_ticks, size_lots)
    return is_product_at_least(equity_after_quote, before_quote, equity_quote, after_quote)


@njit(cache=True)
def compute_free(tables: Tables, account: Number) -> Number:
    """What a withdrawal may take: min(balance, equity) less the demand at initial margin, never below zero."""
    worth_quote = min(tables.accounts[account, BALANCE], compute_equity(tables, account))
    return max(worth_quote - compute_demand(tables, account, INITIAL_BPS, ZERO, ZERO, ZERO, ZERO), 0)


@njit(cache=True)
def are_prices_fresh(tables: Tables, account: Number) -> bool:
    """Whether every market in which the account has a position or an order has a fresh price."""
    for market in range(tables.markets.shape[0]):
        position = tables.positions[account, market]
        is_exposed = position[POSITION_LOTS] != 0 or position[POSITION_BUYS] != 0 or position[POSITION_SELLS] != 0
        if is_exposed and tables.markets[market, IS_FRESH] == 0:
            return False
    return True
