"""Liquidation: accounts below maintenance are closed on the book, then insurance pays, then holders (LIQ).

Judged every block after the clock, in order of accounts, while the exchange is continuous and the account's prices are
fresh. A position is sold in eighths within the price band, and selling ends as soon as the account is healthy. What the
book cannot take from an account that is worth less than nothing goes to `engine.deleverage`.

Each case leaves a row that its owner can verify alone. Balance, equity and maintenance are those before anything was
done: with the holdings, which the leaf of the parent state proves, and the markets' units, which follow from parameters
and from the marks in the notices, both can be computed again, and equity < maintenance is why it was due. What followed
adds up: fills marked as liquidation, deleveraging rows, insurance and haircuts explain the equity after.
"""

import numpy as np

from engine.accounts import move_balance
from engine.compiling import inlined, kernel
from engine.deleverage import deleverage, has_derivatives
from engine.execution import close_on_book
from engine.exposure import are_prices_fresh, compute_demand, compute_equity, compute_maintenance, read_free
from engine.offers import cancel_offers
from engine.orders import cancel_orders
from engine.portfolio import portfolio_worst
from engine.tables import (
    ACCOUNT_COUNT,
    ADL_COUNT,
    BY_LIQUIDATION,
    BY_MARGIN,
    DELEVERAGES_MAX,
    INSURANCE_ACCOUNT,
    LIQUIDATION_COUNT,
    LIQUIDATION_COUNT_TOTAL,
    MODE_PORTFOLIO,
    PHASE,
    PHASE_CONTINUOUS,
    USER_ACCOUNT_FIRST,
    Number,
    Outputs,
    Tables,
    Truth,
)
from engine.triggers import cancel_triggers

ZERO, ONE, ALL_MARKETS = np.int64(0), np.int64(1), np.int64(-1)
INSURANCE = np.int64(INSURANCE_ACCOUNT)
FOR_LIQUIDATION, FOR_MARGIN = np.int64(BY_LIQUIDATION), np.int64(BY_MARGIN)
ANY_FLAGS = np.int64(0)
NO_SCENARIO = np.int64(-1)
STEPS = 8


@kernel
def is_flat(t: Tables, account: Number) -> Truth:
    """Whether an account holds nothing but its balance."""
    row = np.int64(t.accounts[account]["position_first"])
    while row != 0:
        if t.positions[row]["lots"] != 0:
            return False
        row = np.int64(t.positions[row]["next"])
    return True


@kernel
def position_maintenance(t: Tables, row: Number) -> Number:
    """What a holding demands at its market's maintenance units, quote."""
    position = t.positions[row]
    market = t.markets[np.int64(position["market"])]
    lots = position["lots"]
    return lots * market["mm_long_unit"] if lots > 0 else -lots * market["mm_short_unit"]


@kernel
def _find_largest(t: Tables, account: Number) -> Number:
    """Row of the holding with the largest maintenance in a continuous market that is not tried yet, 0 if none."""
    largest: Number = ZERO
    largest_quote: Number = ZERO
    row = np.int64(t.accounts[account]["position_first"])
    while row != 0:
        position = t.positions[row]
        market = np.int64(position["market"])
        if position["lots"] != 0 and position["is_tried"] == 0 and t.markets[market]["phase"] == PHASE_CONTINUOUS:
            demand_quote = position_maintenance(t, row)
            is_lower = largest != 0 and market < np.int64(t.positions[largest]["market"])
            if largest == 0 or demand_quote > largest_quote or (demand_quote == largest_quote and is_lower):
                largest, largest_quote = row, demand_quote
        row = np.int64(position["next"])
    return largest


@kernel
def _forget_tries(t: Tables, account: Number) -> None:
    row = np.int64(t.accounts[account]["position_first"])
    while row != 0:
        t.positions[row]["is_tried"] = 0
        row = np.int64(t.positions[row]["next"])


@kernel
def _is_below(t: Tables, account: Number) -> Truth:
    return compute_equity(t, account) < compute_maintenance(t, account)


@kernel
def _close_holding(t: Tables, out: Outputs, account: Number, row: Number, time_ms: Number) -> Number:
    """Close a holding eighth by eighth until the account is healthy or the book within the band ends; lots closed."""
    position = t.positions[row]
    market, held_lots = np.int64(position["market"]), position["lots"]
    side = ONE if held_lots > 0 else ZERO
    limit_ticks = t.markets[market]["sell_limit_ticks"] if held_lots > 0 else t.markets[market]["buy_limit_ticks"]
    step_lots = (abs(held_lots) + STEPS - 1) // STEPS
    closed_lots: Number = ZERO
    while closed_lots < abs(held_lots):
        lots = min(step_lots, abs(held_lots) - closed_lots)
        filled_lots = close_on_book(t, out, market, side, limit_ticks, lots, account, time_ms)
        closed_lots += filled_lots
        if filled_lots < lots or not _is_below(t, account):
            break
    return closed_lots


@kernel
def _pay_insurance(t: Tables, out: Outputs, account: Number, missing_quote: Number) -> Number:
    """Insurance pays what is missing, as far as it can; returns what it paid."""
    paid_quote = min(missing_quote, max(t.accounts[INSURANCE]["balance_quote"], 0))
    if paid_quote > 0:
        move_balance(t, out, account, paid_quote)
        move_balance(t, out, INSURANCE, -paid_quote)
    return max(paid_quote, 0)


@kernel
def _liquidate_account(t: Tables, out: Outputs, account: Number, time_ms: Number) -> None:
    """LIQ-2, LIQ-3 and ADL-1 for one account below maintenance; one row if anything was done."""
    balance_quote = t.accounts[account]["balance_quote"]
    equity_quote, maintenance_quote = compute_equity(t, account), compute_maintenance(t, account)
    is_portfolio = np.int64(t.accounts[account]["mode"]) == MODE_PORTFOLIO
    worst_scenario = portfolio_worst(t, account) if is_portfolio else NO_SCENARIO
    cancelled = cancel_orders(t, out, account, ALL_MARKETS, FOR_LIQUIDATION, ANY_FLAGS)
    cancelled += cancel_triggers(t, out, account, ALL_MARKETS, FOR_LIQUIDATION)
    cancelled += cancel_offers(t, out, account, ALL_MARKETS, FOR_LIQUIDATION)
    closed_lots: Number = ZERO
    while _is_below(t, account):
        row = _find_largest(t, account)
        if row == 0:
            break
        t.positions[row]["is_tried"] = 1
        closed_lots += _close_holding(t, out, account, row, time_ms)
    _forget_tries(t, account)
    deleveraged_lots: Number = ZERO
    shortfall_quote: Number = ZERO
    paid_quote: Number = ZERO
    haircut_quote: Number = ZERO
    after_quote = compute_equity(t, account)
    if after_quote < 0 and is_flat(t, account):
        paid_quote = _pay_insurance(t, out, account, -after_quote)
    elif after_quote < 0 and has_derivatives(t, account) and t.counters[ADL_COUNT] < DELEVERAGES_MAX:
        shortfall_quote = -after_quote
        paid_quote = _pay_insurance(t, out, account, shortfall_quote)
        deleveraged_lots, haircut_quote = deleverage(t, out, account, shortfall_quote, shortfall_quote - paid_quote)
    if cancelled + closed_lots + paid_quote + deleveraged_lots == 0:
        return
    count = t.counters[LIQUIDATION_COUNT]
    record = out.liquidations[count]
    record["account"], record["balance_quote"] = account, balance_quote
    record["equity_quote"], record["maintenance_quote"] = equity_quote, maintenance_quote
    record["closed_lots"], record["deleveraged_lots"] = closed_lots, deleveraged_lots
    record["shortfall_quote"], record["insurance_quote"] = shortfall_quote, paid_quote
    record["haircut_quote"] = haircut_quote
    record["equity_after_quote"] = compute_equity(t, account)
    record["worst_scenario"] = worst_scenario
    t.counters[LIQUIDATION_COUNT] = count + 1
    t.counters[LIQUIDATION_COUNT_TOTAL] += 1


@kernel
def _judge_account(t: Tables, out: Outputs, account: Number, time_ms: Number) -> None:
    """LIQ-1 or LIQ-2 for one account that may be in trouble."""
    if not are_prices_fresh(t, account):
        return
    equity_quote = compute_equity(t, account)
    if equity_quote < compute_maintenance(t, account):
        _liquidate_account(t, out, account, time_ms)
    elif np.int64(t.accounts[account]["order_count"]) != 0 and equity_quote < compute_demand(t, account, False):
        cancel_orders(t, out, account, ALL_MARKETS, FOR_MARGIN, ANY_FLAGS)


@inlined
def is_surely_healthy(t: Tables, account: Number) -> Truth:
    """Whether an account need not be judged: nothing to lose, or its demand at initial units is covered, which are
    nowhere below those of maintenance. Inlined: a call hands over every table, which takes longer than the answer.
    """
    owner = t.accounts[account]
    if owner["position_first"] == 0 and owner["order_count"] == 0:
        return owner["balance_quote"] >= 0
    return np.int64(owner["mode"]) != MODE_PORTFOLIO and read_free(t, account) >= 0


@kernel
def liquidate(t: Tables, out: Outputs, time_ms: Number) -> None:
    """Judge every user account by the rules of the module header."""
    if t.counters[PHASE] != PHASE_CONTINUOUS:
        return
    for number in range(USER_ACCOUNT_FIRST, t.counters[ACCOUNT_COUNT]):
        account = np.int64(number)
        if not is_surely_healthy(t, account):
            _judge_account(t, out, account, time_ms)
