"""Every block, after the prices: accounts below maintenance are closed on the book, in account order.

For each user account with positions, orders or debt whose markets all have fresh prices:
1. E < maintenance of the positions: cancel its orders, then close positions, the one with the largest maintenance
   margin first (ties: lower market), in parts of one eighth of what it was at the start, immediate-or-cancel no worse
   than `mark * (1 -/+ band)`. Stop when E >= maintenance. A market that gives nothing is passed over until the next
   block.
2. When flat with a balance below zero, insurance pays what it has; the rest stays as the account's debt.
3. Otherwise E < maintenance demand with open orders: its orders are cancelled, because a fill could bankrupt it.

The fee of a liquidation goes to insurance and never turns the account's equity negative.
"""

from numba import njit

from engine.book import cancel_orders
from engine.checked import mul_div_ceil, mul_div_floor
from engine.layout import (
    ACCOUNT_COUNT,
    BALANCE,
    BAND_BPS,
    BUY_ROW,
    BY_LIQUIDATION,
    BY_MARGIN,
    IS_LIQUIDATION,
    LIQUIDATION_COUNT,
    MAINTENANCE_BPS,
    MARK,
    NOTHING,
    ORDER_COUNT,
    POSITION_COUNT,
    POSITION_LOTS,
    SELL_ROW,
    ZERO,
    Number,
    Outputs,
    Tables,
    typed_constants,
)
from engine.limits import BPS_UNIT, INSURANCE_ACCOUNT, LIQUIDATION_STEPS, USER_ACCOUNT_FIRST
from engine.margin import are_prices_fresh, compute_demand, compute_equity, compute_maintenance, compute_position_margin
from engine.matching import match_order, move_balance

(INSURANCE,) = typed_constants(INSURANCE_ACCOUNT)


@njit(cache=True)
def _find_largest(tables: Tables, account: Number, passed_over: Number) -> Number:
    """Market of the position with the largest maintenance margin that is not in the bit set, or -1."""
    largest: Number = NOTHING
    largest_quote: Number = -1
    for market in range(tables.markets.shape[0]):
        size_lots = tables.positions[account, market, POSITION_LOTS]
        if size_lots != 0 and (passed_over >> market) & 1 == 0:
            margin_quote = compute_position_margin(tables, market, size_lots, MAINTENANCE_BPS)
            if margin_quote > largest_quote:
                largest = market
                largest_quote = margin_quote
    return largest


@njit(cache=True)
def _close_market(tables: Tables, outputs: Outputs, account: Number, market: Number) -> Number:
    """Close a position part by part until the account is healthy, flat here, or the book ends; returns closed lots."""
    start_lots = tables.positions[account, market, POSITION_LOTS]
    step_lots = (abs(start_lots) + LIQUIDATION_STEPS - 1) // LIQUIDATION_STEPS
    row = tables.markets[market]
    if start_lots > 0:
        side, limit_ticks = SELL_ROW, mul_div_ceil(row[MARK], BPS_UNIT - row[BAND_BPS], BPS_UNIT)
    else:
        side, limit_ticks = BUY_ROW, mul_div_floor(row[MARK], BPS_UNIT + row[BAND_BPS], BPS_UNIT)
    closed_lots: Number = 0
    while closed_lots < abs(start_lots):
        lots = min(step_lots, abs(start_lots) - closed_lots)
        filled_lots, _ = match_order(tables, outputs, market, side, limit_ticks, lots, account, ZERO, IS_LIQUIDATION)
        closed_lots += filled_lots
        if filled_lots < lots or compute_equity(tables, account) >= compute_maintenance(tables, account):
            break
    return closed_lots


@njit(cache=True)
def _liquidate(
    tables: Tables, outputs: Outputs, account: Number, equity_quote: Number, maintenance_quote: Number
) -> None:
    """Rules 1 and 2 for one account; recorded when they changed anything."""
    cancelled_count = cancel_orders(tables, outputs, account, NOTHING, BY_LIQUIDATION)
    passed_over: Number = 0
    closed_lots: Number = 0
    while compute_equity(tables, account) < compute_maintenance(tables, account):
        market = _find_largest(tables, account, passed_over)
        if market == NOTHING:
            break
        passed_over |= 1 << market
        closed_lots += _close_market(tables, outputs, account, market)
    insurance_quote = 0
    if tables.accounts[account, POSITION_COUNT] == 0 and tables.accounts[account, BALANCE] < 0:
        insurance_quote = min(-tables.accounts[account, BALANCE], tables.accounts[INSURANCE_ACCOUNT, BALANCE])
        move_balance(tables, account, insurance_quote)
        move_balance(tables, INSURANCE, -insurance_quote)
    if cancelled_count == 0 and closed_lots == 0 and insurance_quote == 0:
        return
    count = tables.counters[LIQUIDATION_COUNT]
    record = outputs.liquidations[count]
    record[0] = account
    record[1] = equity_quote
    record[2] = maintenance_quote
    record[3] = closed_lots
    record[4] = compute_equity(tables, account)
    record[5] = insurance_quote
    tables.counters[LIQUIDATION_COUNT] = count + 1


@njit(cache=True)
def liquidate_accounts(tables: Tables, outputs: Outputs) -> None:
    """Judge every user account by the rules of the module header."""
    for account in range(USER_ACCOUNT_FIRST, tables.counters[ACCOUNT_COUNT]):
        owner = tables.accounts[account]
        if owner[POSITION_COUNT] == 0 and owner[ORDER_COUNT] == 0 and owner[BALANCE] >= 0:
            continue
        if not are_prices_fresh(tables, account):
            continue
        equity_quote = compute_equity(tables, account)
        maintenance_quote = compute_maintenance(tables, account)
        if equity_quote < maintenance_quote:
            _liquidate(tables, outputs, account, equity_quote, maintenance_quote)
        elif owner[ORDER_COUNT] > 0:
            demand_quote = compute_demand(tables, account, MAINTENANCE_BPS, ZERO, ZERO, ZERO, ZERO)
            if equity_quote < demand_quote:
                cancel_orders(tables, outputs, account, NOTHING, BY_MARGIN)
