"""Equity, demand and what an account may still do: MAR-3 to MAR-9."""

from engine.tables import KIND_FUTURE, KIND_PERPETUAL, MODE_PORTFOLIO
from tests.reference import portfolio
from tests.reference.state import BUY, ceil_div


def equity(x, index):
    account = x.accounts[index]
    return account.balance + sum(lots * x.value_unit(market) for market, lots in account.positions.items())


def cost(x, market, lots, is_initial):
    row = x.markets[market]
    if lots >= 0:
        return lots * (row.im_long_unit if is_initial else row.mm_long_unit)
    return -lots * (row.im_short_unit if is_initial else row.mm_short_unit)


def compute_unit_charge(x, market, side, price, builder_ppm=0):
    """Charge per lot of an order at a price: loss against the mark, taker fee, builder fee."""
    worth, mark = x.tick_value(market, price), x.mark_unit(market)
    loss = worth - mark if side == BUY else mark - worth
    fee = ceil_div(worth * x.markets[market].taker_fee_bps, 10_000)
    return max(loss, 0) + fee + ceil_div(worth * builder_ppm, 1_000_000)


def positions_demand(x, index, is_initial, positions=None):
    """Demand of positions alone."""
    account = x.accounts[index]
    held = account.positions if positions is None else positions
    if account.mode == MODE_PORTFOLIO:
        return portfolio.requirement(x, held, is_initial)
    return sum(cost(x, market, lots, is_initial) for market, lots in held.items())


def demand(x, index, is_initial, extra=()):
    """MAR-3, MAR-6: with open orders, and `extra` ones as (market, side, lots, unit_charge)."""
    account = x.accounts[index]
    orders = [(o.market, o.side, o.lots, o.unit_charge) for o in x.own_orders(index)] + list(extra)
    total = sum(lots * unit_charge for _, _, lots, unit_charge in orders)
    markets = sorted(set(account.positions) | {order[0] for order in orders})
    if account.mode == MODE_PORTFOLIO:
        total += positions_demand(x, index, is_initial)
    for market in markets:
        held = account.lots(market)
        buys = sum(order[2] for order in orders if order[:2] == (market, BUY))
        sells = sum(order[2] for order in orders if order[0] == market) - buys
        if account.mode == MODE_PORTFOLIO:
            total += max(cost(x, market, buys, is_initial), cost(x, market, -sells, is_initial))
        else:
            total += max(cost(x, market, held + buys, is_initial), cost(x, market, held - sells, is_initial))
    return total


def maintenance(x, index):
    """MAR-8."""
    return positions_demand(x, index, is_initial=False)


def is_closing(x, index, market, side, lots):
    """MAR-5: with all open orders of its side at most closes the position."""
    held = x.accounts[index].lots(market)
    return x.open_lots(index, market, side) + lots <= (-held if side == BUY else held)


def is_affordable(x, index, market, side, lots, unit_charge):
    """MAR-4 or MAR-5."""
    worth = equity(x, index)
    if worth >= demand(x, index, True, [(market, side, lots, unit_charge)]):
        return True
    if not is_closing(x, index, market, side, lots):
        return False
    held = dict(x.accounts[index].positions)
    before = positions_demand(x, index, False, held)
    held[market] += lots if side == BUY else -lots
    after = positions_demand(x, index, False, {m: s for m, s in held.items() if s})
    return (worth - lots * unit_charge) * before >= worth * after


def withdrawable(x, index):
    """MAR-9, of the quote currency."""
    held = [
        abs(lots) * x.mark_unit(market)
        for market, lots in x.accounts[index].positions.items()
        if x.markets[market].kind in (KIND_PERPETUAL, KIND_FUTURE)
    ]
    kept = max(demand(x, index, True), ceil_div(sum(held) * 1000, 10_000))
    return max(0, equity(x, index) - kept)
