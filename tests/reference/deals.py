"""Several orders as one, and trades off the book: ORD-10, ORD-11."""

from engine.commands import FILL_OR_KILL, GOOD_TILL_CANCELLED, IMMEDIATE_OR_CANCEL
from engine.results import Code, OrderState
from engine.tables import NOTICE_OFFER, OFFER_ROW, PHASE_CONTINUOUS, TRIGGER_ROW
from tests.reference import margin
from tests.reference.book import (
    Deferred,
    charge_trade,
    cut_reduce_only,
    plan_whole_fill,
    record_fill,
    trade,
)
from tests.reference.orders import (
    Request,
    execute_place,
    judge_holding,
    judge_mark,
    judge_place,
    judge_prices,
    judge_room,
    request_of,
)
from tests.reference.state import BUY, SELL, Offer, lowest_free_row

OFFERS_MAX = 8
LEG_TIMES = (GOOD_TILL_CANCELLED, IMMEDIATE_OR_CANCEL, FILL_OR_KILL)


def judge_leg(x, index, leg, cap):
    request = request_of(leg, index, cap, time_in_force=FILL_OR_KILL, is_leg=True)
    code = judge_place(x, request, checks_margin=False)
    # The leg's own time in force is part of rule 314.
    is_later = code == Code.OK or code > Code.CONTRADICTORY
    return (Code.CONTRADICTORY if is_later and leg.time_in_force not in LEG_TIMES else code), request


def net_cost(x, requests):
    """What buys cost less what sells bring, by the orders that rule 312 counts."""
    total = 0
    for r in requests:
        value = plan_whole_fill(x, r.account, r.market, r.side, r.price, r.lots)[1]
        quote = x.tick_value(r.market, value)
        total += quote if r.side == BUY else -quote
    return total


def run_combo(x, index, action, receipt, cap, legs):
    """`legs`: (action, receipt) each; their codes are set here."""

    def refuse(code, failed=None, failed_code=None):
        for at, (_, leg_receipt) in enumerate(legs):
            leg_receipt[2] = failed_code if at == failed else Code.LEG_FAILED
        return code

    if not 2 <= len(legs) <= 4:
        return refuse(Code.UNKNOWN_ENUM)
    markets = [leg.market for leg, _ in legs]
    if len(set(markets)) < len(markets) or (action.good_till_ms and action.good_till_ms <= x.time_ms):
        return refuse(Code.CONTRADICTORY)
    judged = [judge_leg(x, index, leg, cap) for leg, _ in legs]
    for at, (code, _) in enumerate(judged):
        if code != Code.OK:
            return refuse(Code.LEG_FAILED, at, code)
    requests = [request for _, request in judged]
    opened = [(r.market, r.side, r.lots, r.unit_charge) for r in requests]
    if margin.equity(x, index) < margin.demand(x, index, True, opened):
        return refuse(Code.INSUFFICIENT_MARGIN)
    if net_cost(x, requests) > action.price_ticks:
        return refuse(Code.NOT_FILLABLE)
    with Deferred(x):
        for request, (_, leg_receipt) in zip(requests, legs):
            leg_receipt[3:8] = execute_place(x, request)
    return Code.OK


# -- offers -----------------------------------------------------------------------------------------------------------


def make_offer(x, index, action, receipt, cap):
    request = Request(index, action.market, action.side, GOOD_TILL_CANCELLED, 0, action.price_ticks, action.size_lots)
    code = judge_prices(x, request)
    if code != Code.OK:
        return code
    if action.side not in (BUY, SELL):
        return Code.UNKNOWN_ENUM
    if x.markets[action.market].phase != PHASE_CONTINUOUS:
        return Code.PHASE_REFUSES
    is_known = action.link == 0 or (action.link in x.accounts and action.link != index)
    if action.good_till_ms <= x.time_ms or not is_known:
        return Code.CONTRADICTORY
    if cap and x.tick_value(action.market, action.price_ticks) * action.size_lots > cap:
        return Code.ABOVE_SESSION_CAP
    if len(x.own_offers(index)) >= OFFERS_MAX or len(x.offers) >= x.params.offers_max - 1:
        return Code.TABLE_FULL
    order_id = x.take_sequence() << 24 | TRIGGER_ROW | OFFER_ROW | lowest_free_row(x.offers)
    x.offers[order_id] = Offer(
        order_id, index, action.market, action.side, action.price_ticks, action.size_lots, action.client_id,
        action.good_till_ms, action.link, x.time_ms,
    )  # fmt: skip
    x.notify(NOTICE_OFFER, order_id, index, action.market, action.link)
    receipt[3:7] = OrderState.OPEN, order_id, 0, action.size_lots
    return Code.OK


def judge_party(x, index, offer, side):
    """Rules 401 to 505 for one side of the trade."""
    unit_charge = margin.compute_unit_charge(x, offer.market, side, offer.price)
    if not margin.is_affordable(x, index, offer.market, side, offer.lots, unit_charge):
        return Code.INSUFFICIENT_MARGIN
    code = judge_holding(x, index, offer.market, side, offer.lots)
    return code if code != Code.OK else judge_room(x, index, offer.market)


def judge_accept(x, index, action, cap):
    if action.market >= len(x.markets) or not x.markets[action.market].is_listed:
        return Code.UNKNOWN_MARKET
    offer = x.offers.get(action.order_id)
    if (
        offer is None
        or offer.market != action.market
        or offer.account == index
        or offer.counterparty not in (0, index)
        or offer.good_till_ms <= x.time_ms
    ):
        return Code.UNKNOWN_ORDER
    buy_limit, sell_limit = x.band(offer.market)
    is_outside = offer.price > buy_limit if action.side == BUY else offer.price < sell_limit
    if action.side in (BUY, SELL) and is_outside:
        return Code.PRICE_OUTSIDE_BAND
    request = Request(index, offer.market, action.side, GOOD_TILL_CANCELLED, 0, offer.price, offer.lots)
    if judge_mark(x, request) != Code.OK:
        return Code.NO_PRICE
    if action.side not in (BUY, SELL):
        return Code.UNKNOWN_ENUM
    if x.markets[offer.market].phase != PHASE_CONTINUOUS:
        return Code.PHASE_REFUSES
    if action.side == offer.side:
        return Code.CONTRADICTORY
    if cap and x.tick_value(offer.market, offer.price) * offer.lots > cap:
        return Code.ABOVE_SESSION_CAP
    code = judge_party(x, index, offer, action.side)
    if code != Code.OK:
        return code
    is_maker_good = judge_party(x, offer.account, offer, offer.side) == Code.OK
    return Code.OK if is_maker_good else Code.COUNTERPARTY_FAILED


def accept(x, index, action, receipt, cap):
    code = judge_accept(x, index, action, cap)
    if code != Code.OK:
        return code
    offer = x.offers.pop(action.order_id)
    market, price, lots = offer.market, offer.price, offer.lots
    buyer, seller = (index, offer.account) if action.side == BUY else (offer.account, index)
    trade(x, buyer, seller, market, x.tick_value(market, price), lots)
    fees = charge_trade(x, offer.account, index, market, price, lots)
    ids = (offer.account, offer.order_id), (index, 0)
    record_fill(x, market, price, lots, *ids, action.side, fees, sets_last=False)
    cut_reduce_only(x, offer.account, market)
    cut_reduce_only(x, index, market)
    receipt[3:8] = OrderState.FILLED, offer.order_id, lots, 0, price * lots
    return Code.OK
