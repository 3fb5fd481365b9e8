"""From a missed margin to the last resort: LIQ and ADL."""

from engine.tables import BY_LIQUIDATION, BY_MARGIN, KIND_SPOT, MODE_PORTFOLIO, PHASE_CONTINUOUS
from tests.reference import margin, portfolio
from tests.reference.book import Taker, cut_reduce_only, match, pay, trade
from tests.reference.orders import cancel_everything
from tests.reference.state import BUY, INSURANCE, SELL, ceil_div


def is_healthy(x, index):
    return margin.equity(x, index) >= margin.maintenance(x, index)


def close_on_book(x, index, market):
    """In eighths within the band until the account is healthy; returns the lots closed."""
    start = x.accounts[index].lots(market)
    side = SELL if start > 0 else BUY
    buy_limit, sell_limit = x.band(market)
    step, closed = ceil_div(abs(start), 8), 0
    while closed < abs(start):
        lots = min(step, abs(start) - closed)
        limit = buy_limit if side == BUY else sell_limit
        taker = Taker(index, market, side, limit, lots, is_liquidation=True)
        match(x, taker)
        closed += taker.filled
        if taker.left or is_healthy(x, index):
            break
    return closed


def close_positions(x, index):
    """LIQ-2: largest maintenance first, each market once."""
    account, tried, closed = x.accounts[index], set(), 0
    while not is_healthy(x, index):
        left = [
            market
            for market in account.positions
            if market not in tried and x.markets[market].phase == PHASE_CONTINUOUS
        ]
        if not left:
            break
        largest = min(left, key=lambda m: (-margin.cost(x, m, account.lots(m), False), m))
        tried.add(largest)
        closed += close_on_book(x, index, largest)
    return closed


def draw_insurance(x, index, wanted):
    paid = max(0, min(wanted, x.accounts[INSURANCE].balance))
    pay(x, INSURANCE, index, paid)
    return paid


def close_against_holders(x, index):
    """ADL-1: every derivative at the mark; returns `[market, holder, lots, value]` per row."""
    rows = []
    for market, start in sorted(x.accounts[index].positions.items()):
        if x.markets[market].kind == KIND_SPOT:
            continue
        holders = [(i, abs(lots)) for i, lots in x.holdings(market) if lots * start < 0]
        total = sum(lots for _, lots in holders)
        gives = {i: abs(start) * lots // total for i, lots in holders}
        missing = abs(start) - sum(gives.values())
        for holder, _ in holders:
            lots = gives[holder] + (1 if missing else 0)
            missing -= 1 if missing else 0
            if lots == 0:
                continue
            buyer, seller = (holder, index) if start > 0 else (index, holder)
            trade(x, buyer, seller, market, x.mark_unit(market), lots)
            cut_reduce_only(x, holder, market)
            rows.append([market, holder, lots, lots * x.mark_unit(market)])
    return rows


def share_loss(x, index, rows, loss):
    """Haircuts in proportion to the value of each row, none above the holder's positive equity."""
    total = sum(row[3] for row in rows)
    cuts = [loss * row[3] // total if total else 0 for row in rows]
    missing = loss - sum(cuts) if total else 0
    for at, row in enumerate(rows):
        if missing and row[3]:
            cuts[at] += 1
            missing -= 1
        cuts[at] = min(cuts[at], max(margin.equity(x, row[1]), 0))
        pay(x, row[1], index, cuts[at])
    return cuts


def deleverage(x, index):
    """ADL-1; returns `(lots, shortfall, paid by insurance, haircuts)`."""
    shortfall = -margin.equity(x, index)
    rows = close_against_holders(x, index)
    paid = draw_insurance(x, index, shortfall)
    cuts = share_loss(x, index, rows, shortfall - paid)
    for (market, holder, lots, _), cut in zip(rows, cuts):
        mark_e8 = x.markets[market].mark_e8
        x.deleverages.append((index, holder, market, lots, mark_e8, cut, shortfall))
    return sum(row[2] for row in rows), shortfall, paid, sum(cuts)


def has_derivatives(x, index):
    return any(x.markets[market].kind != KIND_SPOT for market in x.accounts[index].positions)


def liquidate(x, index):
    account = x.accounts[index]
    worth, needed, balance = margin.equity(x, index), margin.maintenance(x, index), account.balance
    worst = portfolio.worst_scenario(x, account.positions) if account.mode == MODE_PORTFOLIO else -1
    cancelled = cancel_everything(x, index, None, BY_LIQUIDATION)
    closed = close_positions(x, index)
    paid = lots = shortfall = cut = 0
    if not account.positions and account.balance < 0:
        paid = draw_insurance(x, index, -account.balance)
    elif margin.equity(x, index) < 0 and has_derivatives(x, index):
        lots, shortfall, paid, cut = deleverage(x, index)
    if cancelled or closed or paid or lots:
        after = margin.equity(x, index)
        x.liquidations.append((index, worth, needed, closed, after, paid, worst, balance, lots, shortfall, cut))


def judge_accounts(x):
    if x.phase != PHASE_CONTINUOUS:
        return
    for index in x.user_accounts():
        if not x.are_fresh(index):
            continue
        if not is_healthy(x, index):
            liquidate(x, index)
        elif x.own_orders(index) and margin.equity(x, index) < margin.demand(x, index, False):
            for order in x.own_orders(index):
                x.cancel_order(order, BY_MARGIN)
