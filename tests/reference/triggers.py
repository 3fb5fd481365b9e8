"""Stops and take-profits: ORD-9."""

from engine.commands import (
    AT_MARKET,
    FILL_OR_KILL,
    GOOD_TILL_TIME,
    IMMEDIATE_OR_CANCEL,
    POST_ONLY_SLIDE,
    REDUCE_ONLY,
    TRIGGER_BELOW,
    TRIGGER_ON_LAST,
)
from engine.results import Code, OrderState
from engine.tables import BY_REDUCE_ONLY, BY_SIBLING, NOTICE_TRIGGER, PHASE_CONTINUOUS, TRIGGER_ROW
from tests.reference.book import reducible
from tests.reference.orders import (
    Request,
    execute_place,
    is_client_id_used,
    judge_place,
    remember_client_id,
)
from tests.reference.state import BUY, SELL, Trigger, lowest_free_row

TRIGGER_FLAGS = 127
TRIGGERS_MAX = 32
LINK_TO_PLACE, LINK_TO_TRIGGER = 1, 2


def judge_trigger_terms(x, index, action):
    """Rules 301 to 314 of a trigger."""
    if action.market >= len(x.markets) or not x.markets[action.market].is_listed:
        return Code.UNKNOWN_MARKET
    rules, is_market_order = x.markets[action.market], action.flags & AT_MARKET
    if action.size_lots < 0 or (action.size_lots == 0 and not action.flags & REDUCE_ONLY):
        return Code.SIZE_NOT_POSITIVE
    if action.size_lots > rules.order_lots_max:
        return Code.SIZE_TOO_LARGE
    if action.price_ticks != 0 if is_market_order else not 1 <= action.price_ticks <= rules.price_ticks_max:
        return Code.PRICE_OUT_OF_RANGE
    if action.client_id and is_client_id_used(x, index, action.client_id):
        return Code.DUPLICATE_CLIENT_ID
    is_known = action.time_in_force <= POST_ONLY_SLIDE and action.time_in_force != GOOD_TILL_TIME
    if action.side not in (BUY, SELL) or not is_known or action.flags & ~TRIGGER_FLAGS:
        return Code.UNKNOWN_ENUM
    if is_market_order and action.time_in_force not in (IMMEDIATE_OR_CANCEL, FILL_OR_KILL):
        return Code.CONTRADICTORY
    return Code.OK


def find_link(x, index, action, earlier):
    """`(parent_id, sibling)` of a trigger's link, or None when it names nothing.

    `earlier` has the receipts of the nearest place and of the nearest trigger before it in the message.
    """
    link = action.link
    if link == 0:
        return 0, None
    if link in (LINK_TO_PLACE, LINK_TO_TRIGGER):
        receipt = earlier.get(link)
        if receipt is None or receipt[2] != Code.OK or receipt[11] != action.market:
            return None
        if link == LINK_TO_PLACE and receipt[5]:
            return 0, None  # it has fills, open or not
        link = receipt[4]
    sibling = x.triggers.get(link)
    if sibling is not None:
        fits = sibling.account == index and sibling.market == action.market and not sibling.sibling_id
        return (sibling.parent_id, sibling) if fits else None
    parent = x.orders.get(link)
    if parent is not None and parent.account == index and parent.market == action.market:
        return 0 if parent.filled else link, None
    return None


def place_trigger(x, index, action, receipt, cap, earlier):
    code = judge_trigger_terms(x, index, action)
    if code != Code.OK:
        return code
    linked = find_link(x, index, action, earlier)
    if linked is None or not 1 <= action.trigger_ticks <= x.markets[action.market].price_ticks_max:
        return Code.BAD_TRIGGER
    price = action.price_ticks or action.trigger_ticks
    if cap and x.tick_value(action.market, price) * action.size_lots > cap:
        return Code.ABOVE_SESSION_CAP
    if len(x.own_triggers(index)) >= TRIGGERS_MAX:
        return Code.TOO_MANY_TRIGGERS
    if len(x.triggers) >= x.params.triggers_max - 1:
        return Code.TABLE_FULL
    parent_id, sibling = linked
    order_id = x.take_sequence() << 24 | TRIGGER_ROW | lowest_free_row(x.triggers)
    x.triggers[order_id] = Trigger(
        order_id, index, action.market, action.side, action.time_in_force, action.flags, action.price_ticks,
        action.size_lots, action.client_id, action.trigger_ticks, x.time_ms, parent_id,
        sibling.order_id if sibling else 0,
    )  # fmt: skip
    if sibling:
        sibling.sibling_id = order_id
    remember_client_id(x, index, action.client_id)
    receipt[3:7] = OrderState.OPEN, order_id, 0, action.size_lots
    return Code.OK


def is_due(x, trigger):
    row = x.markets[trigger.market]
    if row.phase != PHASE_CONTINUOUS or not x.is_fresh(trigger.market):
        return False
    goal_e8 = trigger.trigger_ticks * row.tick_e8
    seen_e8 = row.last_ticks * row.tick_e8 if trigger.flags & TRIGGER_ON_LAST else row.mark_e8
    if seen_e8 == 0:
        return False
    return seen_e8 <= goal_e8 if trigger.flags & TRIGGER_BELOW else seen_e8 >= goal_e8


def fire(x, trigger):
    sibling = x.triggers.get(trigger.sibling_id)
    x.drop_trigger(trigger)
    if sibling is not None:
        x.cancel_trigger(sibling, BY_SIBLING)
    lots = trigger.lots
    if lots == 0:
        most = x.markets[trigger.market].order_lots_max
        lots = min(reducible(x, trigger.account, trigger.market, trigger.side), most)
    flags = trigger.flags & ~(TRIGGER_ON_LAST | TRIGGER_BELOW)
    request = Request(
        trigger.account, trigger.market, trigger.side, trigger.time_in_force, flags, trigger.price, lots,
        trigger.client_id, judges_client_id=False,
    )  # fmt: skip
    code, order_id = judge_place(x, request), 0
    if code == Code.OK:
        order_id = execute_place(x, request)[1]
    x.notify(NOTICE_TRIGGER, trigger.order_id, trigger.account, int(code), order_id, trigger.market)


def wake(x, trigger):
    """Whether the trigger waits for the market now; one that has nothing left to wait for is removed."""
    can_reduce = reducible(x, trigger.account, trigger.market, trigger.side) > 0
    if trigger.parent_id:
        parent = x.orders.get(trigger.parent_id)
        if parent is not None and parent.filled == 0:
            return False
        if parent is None and not can_reduce:
            x.cancel_trigger(trigger, BY_SIBLING)
            return False
        trigger.parent_id = 0
    if trigger.lots == 0 and not can_reduce:
        x.cancel_trigger(trigger, BY_REDUCE_ONLY)
        return False
    return True


def fire_triggers(x):
    """In order of ids, each looked at once."""
    for order_id in sorted(x.triggers):
        trigger = x.triggers.get(order_id)
        if trigger is not None and wake(x, trigger) and is_due(x, trigger):
            fire(x, trigger)
