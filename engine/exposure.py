"""What an account is worth, what it must be worth, and whether an order fits between the two (docs/spec.md, MAR).

All sums are in quote units at the markets' units of the last reprice, which are already rounded against the user, so
nothing is rounded here. With E equity, S a holding, B and A its open buys and sells:

- E = balance + sum S x value.
- Demand = sum over markets of max(cost(S + B), cost(S - A)), the riskiest holding that orders can lead to, plus the
  charges that orders carry since they were placed. A portfolio's holdings are judged together by `engine.portfolio`.
- An order is accepted if E covers the demand with it, or if it only reduces and leaves the account no less healthy:
  equity by maintenance must not fall, compared by cross multiplication as in StarkEx' perpetual.

`engine.accounts` keeps E - D of each account by differences, so the usual decision is one comparison.
"""

import numpy as np

from engine.accounts import BUY, ONE, ZERO, compute_cost, find_position
from engine.compiling import inlined, kernel
from engine.fixed import mul_div_ceil, mul_sub_shift_round
from engine.portfolio import portfolio_requirement
from engine.tables import (
    KIND_FUTURE,
    KIND_PERPETUAL,
    KIND_SPOT,
    MARK_EPOCH,
    MODE_PORTFOLIO,
    Number,
    Tables,
    Truth,
)

BPS_UNIT = np.int64(10_000)
LEFT_IN_BPS = np.int64(1_000)  # of the value of perpetuals and futures stays when money is taken out (MAR-9)
EPOCH_MASK = np.int64((1 << 32) - 1)
SHIFT = np.int64(63)


@kernel
def compute_equity(t: Tables, account: Number) -> Number:
    """Balance plus all holdings at their value, quote units; may be negative."""
    equity_quote = t.accounts[account]["balance_quote"]
    row = np.int64(t.accounts[account]["position_first"])
    while row != 0:
        position = t.positions[row]
        equity_quote += position["lots"] * t.markets[np.int64(position["market"])]["value_unit"]
        row = np.int64(position["next"])
    return equity_quote


@kernel
def compute_claim(t: Tables, account: Number) -> Number:
    """Equity without collateral lots, which leave as what they are (ROOT-1)."""
    equity_quote = t.accounts[account]["balance_quote"]
    row = np.int64(t.accounts[account]["position_first"])
    while row != 0:
        position = t.positions[row]
        market = t.markets[np.int64(position["market"])]
        if market["kind"] != KIND_SPOT:
            equity_quote += position["lots"] * market["value_unit"]
        row = np.int64(position["next"])
    return equity_quote


@kernel
def compute_demand(t: Tables, account: Number, is_initial: Truth) -> Number:
    """Equity that holdings, open orders and their charges demand, at initial or at maintenance units (MAR-3, MAR-6)."""
    owner = t.accounts[account]
    is_portfolio = np.int64(owner["mode"]) == MODE_PORTFOLIO
    total_quote = owner["order_charge_quote"]
    if is_portfolio:
        total_quote += portfolio_requirement(t, account, is_initial)
    row = np.int64(owner["position_first"])
    while row != 0:
        position = t.positions[row]
        market = t.markets[np.int64(position["market"])]
        long_unit = market["im_long_unit"] if is_initial else market["mm_long_unit"]
        short_unit = market["im_short_unit"] if is_initial else market["mm_short_unit"]
        lots, buy_lots, sell_lots = position["lots"], position["buy_lots"], position["sell_lots"]
        if is_portfolio:
            total_quote += max(buy_lots * long_unit, sell_lots * short_unit)
        else:
            total_quote += max(
                compute_cost(lots + buy_lots, long_unit, short_unit),
                compute_cost(lots - sell_lots, long_unit, short_unit),
            )
        row = np.int64(position["next"])
    return total_quote


@kernel
def compute_maintenance(t: Tables, account: Number) -> Number:
    """Equity below which an account is liquidated: what its holdings alone demand at maintenance units (MAR-8)."""
    if np.int64(t.accounts[account]["mode"]) == MODE_PORTFOLIO:
        return portfolio_requirement(t, account, False)
    total_quote = ZERO
    row = np.int64(t.accounts[account]["position_first"])
    while row != 0:
        position = t.positions[row]
        market = t.markets[np.int64(position["market"])]
        total_quote += compute_cost(position["lots"], market["mm_long_unit"], market["mm_short_unit"])
        row = np.int64(position["next"])
    return total_quote


@kernel
def refresh_free(t: Tables, account: Number) -> Number:
    """Compute `E - D` at initial units from everything the account has, and keep it."""
    owner = t.accounts[account]
    owner["free_bound_quote"] = compute_equity(t, account) - compute_demand(t, account, True)
    owner["bound_epoch"] = (t.counters[MARK_EPOCH] + ONE) & EPOCH_MASK
    return owner["free_bound_quote"]


@inlined
def read_free(t: Tables, account: Number) -> Number:
    """`E - D` at initial units (MAR-4); negative when the demand is not covered."""
    owner = t.accounts[account]
    if np.int64(owner["bound_epoch"]) == (t.counters[MARK_EPOCH] + ONE) & EPOCH_MASK:
        return owner["free_bound_quote"]
    return refresh_free(t, account)


@inlined
def compute_unit_charge(t: Tables, market: Number, side: Number, price_ticks: Number, builder_ppm: Number) -> Number:
    """What each lot of a new order is charged with while it is open (MAR-3): its loss against the mark if it filled at
    its price, the taker fee and the builder's, each fee rounded up.
    """
    row = t.markets[market]
    price_unit = price_ticks * row["quote_per_tick_lot"]
    mark_unit = row["value_unit"] + row["funding_quote"]
    loss_unit = price_unit - mark_unit if side == BUY else mark_unit - price_unit
    charge_quote = max(loss_unit, ZERO) + (price_unit * row["taker_fee_bps"] + BPS_UNIT - 1) // BPS_UNIT
    if builder_ppm != 0:
        charge_quote += mul_div_ceil(price_unit, builder_ppm, np.int64(1_000_000))
    return charge_quote


@inlined
def compute_added_demand(t: Tables, market: Number, position_row: Number, side: Number, size_lots: Number) -> Number:
    """By how much an order raises the demand of its market at initial units, its charge apart. Row 0: no position."""
    row, position = t.markets[market], t.positions[position_row]
    long_unit, short_unit = row["im_long_unit"], row["im_short_unit"]
    lots, buy_lots, sell_lots = position["lots"], position["buy_lots"], position["sell_lots"]
    buys_after = buy_lots + size_lots if side == BUY else buy_lots
    sells_after = sell_lots if side == BUY else sell_lots + size_lots
    before_quote = max(
        compute_cost(lots + buy_lots, long_unit, short_unit), compute_cost(lots - sell_lots, long_unit, short_unit)
    )
    return -before_quote + max(
        compute_cost(lots + buys_after, long_unit, short_unit), compute_cost(lots - sells_after, long_unit, short_unit)
    )


@inlined
def _compute_added_orders(t: Tables, market: Number, position_row: Number, side: Number, size_lots: Number) -> Number:
    """The same for a portfolio account, whose orders are judged apart from its holdings (MAR-6)."""
    row, position = t.markets[market], t.positions[position_row]
    buys_quote, sells_quote = position["buy_lots"] * row["im_long_unit"], position["sell_lots"] * row["im_short_unit"]
    before_quote = max(buys_quote, sells_quote)
    if side == BUY:
        return max(buys_quote + size_lots * row["im_long_unit"], sells_quote) - before_quote
    return max(buys_quote, sells_quote + size_lots * row["im_short_unit"]) - before_quote


@inlined
def is_reducing(t: Tables, position_row: Number, side: Number, size_lots: Number) -> Truth:
    """Whether an order together with all open ones of its side at most closes the position (MAR-5)."""
    position = t.positions[position_row]
    if side == BUY:
        return position["buy_lots"] + size_lots <= -position["lots"]
    return position["sell_lots"] + size_lots <= position["lots"]


@inlined
def is_product_at_least(left: Number, left_factor: Number, right: Number, right_factor: Number) -> Truth:
    """`left * left_factor >= right * right_factor`, exact for numbers below 2**62 in magnitude: the difference in units
    of 2**63 decides, unless it is nearly 0, and then it fits into 64 bits.
    """
    high = mul_sub_shift_round(left, left_factor, right, right_factor, SHIFT)
    if high != 0:
        return high > 0
    return mul_sub_shift_round(left, left_factor, right, right_factor, ZERO) >= 0


@kernel
def _is_no_less_healthy(
    t: Tables, account: Number, market: Number, position_row: Number, side: Number, size_lots: Number, charge: Number
) -> Truth:
    """MAR-5 for an order that reduces: `(E - charge) x M_before >= E x M_after`."""
    position = t.positions[position_row]
    equity_quote = compute_equity(t, account)
    before_quote = compute_maintenance(t, account)
    lots = position["lots"]
    position["lots"] = lots + size_lots if side == BUY else lots - size_lots
    after_quote = compute_maintenance(t, account)
    position["lots"] = lots
    return is_product_at_least(equity_quote - charge, before_quote, equity_quote, after_quote)


@inlined
def is_row_affordable(
    t: Tables,
    account: Number,
    market: Number,
    position_row: Number,
    side: Number,
    size_lots: Number,
    unit_charge_quote: Number,
) -> Truth:
    """`is_affordable` for callers that know the row of the account's position in the market (0: none)."""
    free_quote = read_free(t, account)
    charge_quote = size_lots * unit_charge_quote
    if np.int64(t.accounts[account]["mode"]) == MODE_PORTFOLIO:
        added_quote = _compute_added_orders(t, market, position_row, side, size_lots)
    else:
        added_quote = compute_added_demand(t, market, position_row, side, size_lots)
    if free_quote >= added_quote + charge_quote:
        return True
    if not is_reducing(t, position_row, side, size_lots):
        return False
    return _is_no_less_healthy(t, account, market, position_row, side, size_lots, charge_quote)


@kernel
def is_affordable(
    t: Tables, account: Number, market: Number, side: Number, size_lots: Number, unit_charge_quote: Number
) -> Truth:
    """Whether an account may place an order (MAR-4, MAR-5); `unit_charge_quote` as from `compute_unit_charge`."""
    row = find_position(t, account, market)
    return is_row_affordable(t, account, market, row, side, size_lots, unit_charge_quote)


@kernel
def compute_withdrawable(t: Tables, account: Number) -> Number:
    """Quote that WITHDRAW and TRANSFER may take (MAR-9), rounded down."""
    value_quote = ZERO
    row = np.int64(t.accounts[account]["position_first"])
    while row != 0:
        position = t.positions[row]
        market = t.markets[np.int64(position["market"])]
        if market["kind"] == KIND_PERPETUAL or market["kind"] == KIND_FUTURE:
            value_quote += abs(position["lots"]) * (market["value_unit"] + market["funding_quote"])
        row = np.int64(position["next"])
    demand_quote = max(compute_demand(t, account, True), mul_div_ceil(value_quote, LEFT_IN_BPS, BPS_UNIT))
    return max(ZERO, compute_equity(t, account) - demand_quote)


@kernel
def are_prices_fresh(t: Tables, account: Number) -> Truth:
    """Whether every market in which the account has a holding or open orders has a fresh price."""
    row = np.int64(t.accounts[account]["position_first"])
    while row != 0:
        position = t.positions[row]
        is_empty = (position["lots"] | position["buy_lots"] | position["sell_lots"]) == 0
        if not is_empty and t.markets[np.int64(position["market"])]["is_fresh"] == 0:
            return False
        row = np.int64(position["next"])
    return True
