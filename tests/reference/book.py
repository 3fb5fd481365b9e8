"""Trades: matching, fees, what follows from a fill, auctions (MAT, FEE, ORD-5, ORD-6, ORD-8)."""

from dataclasses import dataclass

from engine.commands import CANCEL_BOTH, CANCEL_MAKER, CANCEL_TAKER, REDUCE_ONLY, UNDER_PROTECTION
from engine.tables import BY_PROTECTION, BY_REDUCE_ONLY, BY_SELF_TRADE, NOTICE_AUCTION, NOTICE_PROTECTION
from tests.reference import margin
from tests.reference.state import BUY, FEES, INSURANCE, NO_END_MS, OPTIONS, SELL, ceil_div

EPOCH_MS = 2_592_000_000


@dataclass
class Taker:
    """An order while it takes. `left` is what it still wants."""

    account: int
    market: int
    side: int
    price: int
    left: int
    order_id: int = 0
    self_trade: int = CANCEL_MAKER
    is_liquidation: bool = False
    builder: int = 0
    builder_ppm: int = 0
    filled: int = 0
    filled_value: int = 0
    is_cancelled: bool = False


# -- fees -------------------------------------------------------------------------------------------------------------


def current_volumes(x, index):
    """`(this epoch's, the last one's)` traded value as of now (FEE-2)."""
    account, epoch = x.accounts[index], x.time_ms // EPOCH_MS
    if epoch == account.volume_epoch:
        return account.volume, account.volume_before
    return 0, account.volume if epoch == account.volume_epoch + 1 else 0


def discounts(x, index):
    """`(taker, maker)` discount of an account's tier in bps."""
    traded = max(current_volumes(x, index))
    reached = [tier for tier in x.params.fee_tiers if tier.volume_quote <= traded]
    return (reached[-1].taker_discount_bps, reached[-1].maker_discount_bps) if reached else (0, 0)


def count_volume(x, index, value):
    account = x.accounts[index]
    account.volume, account.volume_before = current_volumes(x, index)
    account.volume_epoch = x.time_ms // EPOCH_MS
    account.volume += value


def compute_fee(x, market, price, lots, fee_bps, discount_bps):
    """FEE-1 with one rounding up; negative is a rebate."""
    value = x.tick_value(market, price) * lots
    if x.markets[market].kind in OPTIONS:
        base = min(8 * x.unit(market, x.index_e8(market)) * lots * fee_bps, 10_000 * value)
        return ceil_div(base * (10_000 - discount_bps), 8 * 10**8)
    return ceil_div(value * fee_bps * (10_000 - discount_bps), 10**8)


def pay(x, source, target, amount):
    x.accounts[source].balance -= amount
    x.accounts[target].balance += amount


def pay_builder(x, owner, builder, builder_ppm, value):
    fee = ceil_div(value * builder_ppm, 1_000_000) if builder_ppm else 0
    pay(x, owner, builder, fee)
    return fee


def charge_trade(x, maker_index, taker_index, market, price, lots):
    """Fees of an ordinary trade, builders apart: `(maker, taker)`; a maker's rebate comes out of the taker's fee."""
    rules = x.markets[market]
    taker_fee = compute_fee(x, market, price, lots, rules.taker_fee_bps, discounts(x, taker_index)[0])
    maker_fee = compute_fee(x, market, price, lots, rules.maker_fee_bps, discounts(x, maker_index)[1])
    referrer = x.accounts[taker_index].referrer
    referral = taker_fee * x.params.referral_bps // 10_000 if referrer else 0
    maker_fee = max(maker_fee, -(taker_fee - referral))
    pay(x, taker_index, FEES, taker_fee - referral)
    pay(x, taker_index, referrer, referral)
    pay(x, maker_index, FEES, maker_fee)
    return maker_fee, taker_fee


def charge_liquidation(x, maker_index, taker_index, market, price, lots):
    """The maker's fee is no rebate; the taker's goes to insurance (FEE-4)."""
    rules = x.markets[market]
    maker_fee = compute_fee(x, market, price, lots, rules.maker_fee_bps, discounts(x, maker_index)[1])
    maker_fee = max(maker_fee, 0)
    pay(x, maker_index, FEES, maker_fee)
    wanted = ceil_div(x.tick_value(market, price) * lots * rules.liquidation_fee_bps, 10_000)
    taker_fee = min(wanted, max(margin.equity(x, taker_index), 0))
    pay(x, taker_index, INSURANCE, taker_fee)
    return maker_fee, taker_fee


# -- positions --------------------------------------------------------------------------------------------------------


def move_position(x, index, market, lots):
    positions = x.accounts[index].positions
    positions[market] = positions.get(market, 0) + lots
    if positions[market] == 0:
        del positions[market]


def trade(x, buyer, seller, market, unit_quote, lots):
    """MAT-2: `unit_quote` per lot, funding taken off."""
    unit_quote -= x.markets[market].funding_quote
    pay(x, buyer, seller, lots * unit_quote)
    move_position(x, buyer, market, lots)
    move_position(x, seller, market, -lots)


def shrink(order, lots):
    """Take lots off an order, hidden ones first."""
    from_hidden = min(order.hidden, lots)
    order.hidden -= from_hidden
    order.shown -= lots - from_hidden


def reducible(x, index, market, side):
    """What an order of that side can take off the position."""
    held = x.accounts[index].lots(market)
    return max(-held if side == BUY else held, 0)


def cut_reduce_only(x, index, market):
    """ORD-6."""
    for order in x.own_orders(index, market):
        most = reducible(x, index, market, order.side)
        if not order.flags & REDUCE_ONLY or order.lots <= most:
            continue
        if most == 0:
            x.cancel_order(order, BY_REDUCE_ONLY)
        else:
            shrink(order, order.lots - most)


# -- protection -------------------------------------------------------------------------------------------------------


def note_protected_fill(x, order, lots, price):
    """ORD-8 for one fill of a resting order."""
    protection = x.accounts[order.account].protection
    if not order.flags & UNDER_PROTECTION or protection is None or protection.window_ms == 0:
        return
    start_ms = protection.window_start_ms
    if not start_ms or x.time_ms >= start_ms + protection.window_ms:
        protection.empty_window()
        protection.window_start_ms = x.time_ms
    signed = lots if order.side == BUY else -lots
    protection.quote_sum += x.tick_value(order.market, price) * lots
    protection.delta_quote_sum += signed * x.markets[order.market].delta_unit
    protection.vega_quote_sum += signed * x.markets[order.market].vega_unit
    passed = (
        (protection.quote_sum, protection.quote_max),
        (abs(protection.delta_quote_sum), protection.delta_quote_max),
        (abs(protection.vega_quote_sum), protection.vega_quote_max),
    )
    if not any(limit and total > limit for total, limit in passed):
        return
    if not x.deferring:
        freeze(x, order.account)
    elif order.account not in x.deferred:
        x.deferred.append(order.account)


def freeze(x, index):
    protection = x.accounts[index].protection
    protection.empty_window()
    protection.frozen_until_ms = x.time_ms + protection.freeze_ms if protection.freeze_ms else NO_END_MS
    x.notify(NOTICE_PROTECTION, index, protection.frozen_until_ms)
    for order in x.own_orders(index):
        if order.flags & UNDER_PROTECTION:
            x.cancel_order(order, BY_PROTECTION)


class Deferred:
    """While it lasts protections do not trip; at its end those that should have do, in the order of their fills."""

    def __init__(self, x):
        self.x = x

    def __enter__(self):
        self.x.deferring += 1

    def __exit__(self, *_):
        self.x.deferring -= 1
        if not self.x.deferring:
            for index in self.x.deferred:
                freeze(self.x, index)
            self.x.deferred = []


# -- matching ---------------------------------------------------------------------------------------------------------


def refill(x, order):
    """ORD-3: the next part of an iceberg comes to rest behind the others; an empty order goes."""
    if order.shown == 0 and order.hidden:
        order.shown = min(order.display, order.hidden)
        order.hidden -= order.shown
        order.rank = x.take_rank()
    elif order.lots == 0:
        del x.orders[order.order_id]


def record_fill(x, market, price, lots, maker, taker, side, fees, is_liquidation=False, sets_last=True):
    """The row, volumes and last price. `maker` and `taker`: (account, order id); `side` is the taker's."""
    value = x.tick_value(market, price) * lots
    count_volume(x, maker[0], value)
    count_volume(x, taker[0], value)
    x.markets[market].volume_lots += lots
    if sets_last:
        x.markets[market].last_ticks = price
    x.fills.append(
        (market, price, lots, maker[0], taker[0], maker[1], taker[1], side, *fees, int(is_liquidation))
    )  # fmt: skip


def fill(x, maker, taker, lots):
    """One trade of a resting order with a taker, and all that follows from it."""
    market, price = maker.market, maker.price
    buyer, seller = (taker.account, maker.account) if taker.side == BUY else (maker.account, taker.account)
    trade(x, buyer, seller, market, x.tick_value(market, price), lots)
    charge = charge_liquidation if taker.is_liquidation else charge_trade
    maker_fee, taker_fee = charge(x, maker.account, taker.account, market, price, lots)
    value = x.tick_value(market, price) * lots
    maker_fee += pay_builder(x, maker.account, maker.builder, maker.builder_ppm, value)
    taker_fee += pay_builder(x, taker.account, taker.builder, taker.builder_ppm, value)
    ids = (maker.account, maker.order_id), (taker.account, taker.order_id)
    record_fill(x, market, price, lots, *ids, taker.side, (maker_fee, taker_fee), taker.is_liquidation)
    maker.shown -= lots
    maker.filled += lots
    taker.left -= lots
    taker.filled += lots
    taker.filled_value += price * lots
    refill(x, maker)
    cut_reduce_only(x, maker.account, market)
    cut_reduce_only(x, taker.account, market)
    note_protected_fill(x, maker, lots, price)


def prevent_self_trade(x, maker, taker):
    """ORD-5."""
    if taker.self_trade in (CANCEL_MAKER, CANCEL_BOTH):
        x.cancel_order(maker, BY_SELF_TRADE)
    if taker.self_trade in (CANCEL_TAKER, CANCEL_BOTH):
        taker.is_cancelled = True
    if taker.self_trade in (CANCEL_MAKER, CANCEL_TAKER, CANCEL_BOTH):
        return
    lots = min(maker.lots, taker.left)
    taker.left -= lots
    taker.is_cancelled = taker.left == 0
    if lots == maker.lots:
        x.cancel_order(maker, BY_SELF_TRADE)
    else:
        shrink(maker, lots)


def is_within(side, limit_ticks, price):
    """Whether a taker of that side and limit accepts the price."""
    return price <= limit_ticks if side == BUY else price >= limit_ticks


def match(x, taker):
    """MAT-1 until nothing is left, within the limit."""
    while taker.left and not taker.is_cancelled:
        best = x.best(taker.market, 1 - taker.side)
        if best is None or not is_within(taker.side, taker.price, best.price):
            break
        if x.why_dead(best) is not None:
            x.cancel_order(best, x.why_dead(best))
        elif best.account == taker.account:
            prevent_self_trade(x, best, taker)
        else:
            fill(x, best, taker, min(taker.left, best.shown))


def plan_whole_fill(x, index, market, side, price, lots):
    """Rule 312: `(lots, their price_ticks x lots)` to be had from orders that cannot vanish, at most `lots`."""
    found, value = 0, 0
    for order in x.book(market, 1 - side):
        is_counted = order.account != index and not order.flags & REDUCE_ONLY and x.why_dead(order) is None
        if is_counted and is_within(side, price, order.price):
            taken = min(order.lots, lots - found)
            found, value = found + taken, value + taken * order.price
    return found, value


# -- auctions ---------------------------------------------------------------------------------------------------------


def choose_uncross_price(x, market):
    """MAT-3: `(price_ticks, lots)`, or None when nothing crosses."""
    bids, asks = x.book(market, BUY), x.book(market, SELL)
    if not bids or not asks or bids[0].price < asks[0].price:
        return None
    row = x.markets[market]
    goal_e8 = row.mark_e8 if x.has_mark(market) else row.last_ticks * row.tick_e8

    def judge(price):
        buys = sum(order.lots for order in bids if order.price >= price)
        sells = sum(order.lots for order in asks if order.price <= price)
        return -min(buys, sells), abs(buys - sells), abs(price * row.tick_e8 - goal_e8), price

    prices = {order.price for order in bids + asks if asks[0].price <= order.price <= bids[0].price}
    best = min(judge(price) for price in prices)
    return best[3], -best[0]


def fill_in_auction(x, bid, ask, price, lots):
    market = bid.market
    trade(x, bid.account, ask.account, market, x.tick_value(market, price), lots)
    value, rules = x.tick_value(market, price) * lots, x.markets[market]
    maker, taker = sorted((bid, ask), key=lambda order: order.rank)
    wanted = [
        max(compute_fee(x, market, price, lots, rules.maker_fee_bps, discounts(x, order.account)[1]), 0)
        for order in (maker, taker)
    ]
    fees = []
    for order, fee in zip((maker, taker), wanted):
        pay(x, order.account, FEES, fee)
        fees.append(fee + pay_builder(x, order.account, order.builder, order.builder_ppm, value))
    ids = (maker.account, maker.order_id), (taker.account, taker.order_id)
    record_fill(x, market, price, lots, *ids, taker.side, fees)
    for order in (bid, ask):
        order.filled += lots
        from_shown = min(order.shown, lots)
        order.shown -= from_shown
        order.hidden -= lots - from_shown
        if order.lots == 0:
            del x.orders[order.order_id]
    for order in (maker, taker):
        cut_reduce_only(x, order.account, market)
    for order in (maker, taker):
        note_protected_fill(x, order, lots, price)


def uncross_once(x, market):
    """Trade at the one price; False when nothing crosses."""
    chosen = choose_uncross_price(x, market)
    if chosen is None:
        return False
    price, volume = chosen
    left = volume
    with Deferred(x):
        while left:
            bid, ask = x.best(market, BUY), x.best(market, SELL)
            if bid is None or ask is None or bid.price < price or ask.price > price:
                break
            lots = min(left, bid.lots, ask.lots)
            fill_in_auction(x, bid, ask, price, lots)
            left -= lots
        for side in (BUY, SELL):
            best = x.best(market, side)
            if best is not None:
                refill(x, best)
    x.notify(NOTICE_AUCTION, market, price, volume - left)
    return True


def uncross(x, market):
    for side in (BUY, SELL):
        for order in x.book(market, side):
            if x.why_dead(order) is not None:
                x.cancel_order(order, x.why_dead(order))
    while uncross_once(x, market):
        pass
