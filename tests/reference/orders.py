"""PLACE, CANCEL, CANCEL_ALL, AMEND: ORD-1 to ORD-7 and the table of codes."""

from dataclasses import dataclass

from engine.commands import (
    ALL_MARKETS,
    AT_MARKET,
    CANCEL_MAKER,
    FILL_OR_KILL,
    GOOD_TILL_TIME,
    IMMEDIATE_OR_CANCEL,
    POST_ONLY,
    POST_ONLY_SLIDE,
    REDUCE_ONLY,
    SELF_TRADE_SHIFT,
    UNDER_PROTECTION,
)
from engine.results import Code, OrderState
from engine.tables import (
    BY_OWNER,
    BY_OWNER_ALL,
    KIND_SPOT,
    MODE_ISOLATED,
    MODE_PORTFOLIO,
    PHASE_AUCTION,
    PHASE_CONTINUOUS,
    PHASE_POST_ONLY,
)
from tests.reference import margin
from tests.reference.book import Deferred, Taker, match, plan_whole_fill, reducible, shrink
from tests.reference.state import BUY, SELL, Order, lowest_free_row

PLACE_FLAGS = 1 | 2 | 4 | 8 | 16
PORTFOLIO_POSITIONS_MAX = 128


@dataclass
class Request:
    """A place as it is judged, whoever asked for it. `price` and `lots` change while it is."""

    account: int
    market: int
    side: int
    time_in_force: int
    flags: int
    price: int
    lots: int
    client_id: int = 0
    display: int = 0
    good_till_ms: int = 0
    link: int = 0
    cap: int = 0
    is_leg: bool = False
    judges_client_id: bool = True
    unit_charge: int = 0

    @property
    def can_rest(self):
        return self.time_in_force not in (IMMEDIATE_OR_CANCEL, FILL_OR_KILL)

    @property
    def has_side(self):
        return self.side in (BUY, SELL)

    @property
    def builder(self):
        return self.link >> 16, self.link & 0xFFFF


def request_of(action, index, cap, **changes):
    fields = {
        "account": index, "market": action.market, "side": action.side, "time_in_force": action.time_in_force,
        "flags": action.flags, "price": action.price_ticks, "lots": action.size_lots, "client_id": action.client_id,
        "display": action.display_lots, "good_till_ms": action.good_till_ms, "link": action.link, "cap": cap,
    }  # fmt: skip
    return Request(**(fields | changes))


def crosses(x, r):
    other = x.best(r.market, 1 - r.side)
    return other is not None and (r.price >= other.price if r.side == BUY else r.price <= other.price)


def slide(x, r):
    """The price one tick off the best opposite one; whether there is such a price."""
    other = x.best(r.market, 1 - r.side)
    r.price = other.price - 1 if r.side == BUY else other.price + 1
    return 1 <= r.price <= x.markets[r.market].price_ticks_max


def is_client_id_used(x, index, client_id):
    carried = [item.client_id for item in x.own_orders(index) + x.own_triggers(index)]
    return client_id in carried or client_id in x.accounts[index].client_ids


def remember_client_id(x, index, client_id):
    if client_id:
        x.accounts[index].client_ids = [client_id, *x.accounts[index].client_ids][:16]


def is_admitted(phase, r):
    """PHA-1."""
    if phase == PHASE_CONTINUOUS:
        return True
    if phase == PHASE_AUCTION:
        return r.can_rest
    return phase == PHASE_POST_ONLY and r.time_in_force in (POST_ONLY, POST_ONLY_SLIDE)


def is_builder_approved(x, index, builder, builder_ppm):
    if builder not in x.accounts:
        return False
    # Approvals name the builder's owner; its account is subaccount 0.
    account = x.accounts[builder]
    return account.subaccount == 0 and any(
        item.is_builder and item.key == account.owner and builder_ppm <= item.order_quote_max
        for item in x.accounts[index].sessions
    )


def is_contradictory(x, r, sent_lots):
    """Rule 314."""
    builder, builder_ppm = r.builder
    shows_badly = r.display and not (1 <= r.display <= sent_lots and r.display * 100 >= sent_lots and r.can_rest)
    return (
        (r.flags & AT_MARKET and r.can_rest)
        or (r.good_till_ms != 0) != (r.time_in_force == GOOD_TILL_TIME)
        or (r.good_till_ms != 0 and r.good_till_ms <= x.time_ms)
        or shows_badly
        or (r.flags & UNDER_PROTECTION and not r.can_rest)
        or (r.link != 0 and not is_builder_approved(x, r.account, builder, builder_ppm))
    )


def judge_prices(x, r):
    """Rules 301 to 307, which see the size as sent."""
    if r.market >= len(x.markets) or not x.markets[r.market].is_listed:
        return Code.UNKNOWN_MARKET
    rules = x.markets[r.market]
    if r.lots <= 0:
        return Code.SIZE_NOT_POSITIVE
    if r.lots > rules.order_lots_max:
        return Code.SIZE_TOO_LARGE
    buy_limit, sell_limit = x.band(r.market)
    if r.flags & AT_MARKET:
        if r.price:
            return Code.PRICE_OUT_OF_RANGE
        r.price = buy_limit if r.side == BUY else sell_limit
    elif not 1 <= r.price <= rules.price_ticks_max:
        return Code.PRICE_OUT_OF_RANGE
    if r.has_side and (r.price > buy_limit if r.side == BUY else r.price < sell_limit):
        return Code.PRICE_OUTSIDE_BAND
    return judge_mark(x, r)


def judge_mark(x, r):
    """Rule 306."""
    is_closing = r.has_side and margin.is_closing(x, r.account, r.market, r.side, r.lots)
    if x.has_mark(r.market) and (x.is_fresh(r.market) or is_closing):
        return Code.OK
    return Code.NO_PRICE


def judge_place(x, r, checks_margin=True):
    """The code of a place. Fixes `price` and `lots` of the request and its charge."""
    code = judge_prices(x, r)
    if code != Code.OK:
        return code
    phase, sent_lots = x.markets[r.market].phase, r.lots
    is_post_only = r.time_in_force in (POST_ONLY, POST_ONLY_SLIDE)
    is_blocked = is_post_only and r.has_side and phase == PHASE_CONTINUOUS and crosses(x, r)
    if is_blocked and (r.time_in_force == POST_ONLY or not slide(x, r)):
        return Code.WOULD_CROSS
    if r.judges_client_id and r.client_id and is_client_id_used(x, r.account, r.client_id):
        return Code.DUPLICATE_CLIENT_ID
    if not r.has_side or r.time_in_force > POST_ONLY_SLIDE or r.flags & ~PLACE_FLAGS:
        return Code.UNKNOWN_ENUM
    if not is_admitted(phase, r):
        return Code.PHASE_REFUSES
    found = plan_whole_fill(x, r.account, r.market, r.side, r.price, r.lots)[0]
    if r.time_in_force == FILL_OR_KILL and found < r.lots:
        return Code.NOT_FILLABLE
    if r.flags & REDUCE_ONLY:
        r.lots = min(r.lots, reducible(x, r.account, r.market, r.side))
        if r.lots == 0:
            return Code.NOT_REDUCING
    if is_contradictory(x, r, sent_lots):
        return Code.CONTRADICTORY
    return judge_means(x, r, checks_margin)


def judge_means(x, r, checks_margin):
    """Rules 316 to 505."""
    account = x.accounts[r.account]
    is_frozen = account.protection is not None and x.time_ms < account.protection.frozen_until_ms
    if r.flags & UNDER_PROTECTION and is_frozen:
        return Code.PROTECTED
    if r.cap and x.tick_value(r.market, r.price) * r.lots > r.cap:
        return Code.ABOVE_SESSION_CAP
    r.unit_charge = margin.compute_unit_charge(x, r.market, r.side, r.price, r.builder[1])
    if checks_margin and not margin.is_affordable(x, r.account, r.market, r.side, r.lots, r.unit_charge):
        return Code.INSUFFICIENT_MARGIN
    code = judge_holding(x, r.account, r.market, r.side, r.lots)
    if code != Code.OK:
        return code
    if r.can_rest and len(x.own_orders(r.account)) >= x.params.account_orders_max:
        return Code.TOO_MANY_OPEN_ORDERS
    if r.can_rest and sum(o.market == r.market for o in x.orders.values()) >= x.params.book_orders_max:
        return Code.BOOK_FULL
    return judge_room(x, r.account, r.market)


def judge_holding(x, index, market, side, lots):
    """Rules 402, 403 and 405."""
    account, rules = x.accounts[index], x.markets[market]
    held, opened = account.lots(market), x.open_lots(index, market, side)
    if (held if side == BUY else -held) + opened + lots > rules.position_lots_max:
        return Code.POSITION_TOO_LARGE
    if rules.kind == KIND_SPOT and side == SELL and opened + lots > held:
        return Code.INSUFFICIENT_BALANCE
    if account.mode == MODE_ISOLATED and any(other != market for other in x.busy_markets(index)):
        return Code.WRONG_MARGIN_MODE
    return Code.OK


def judge_room(x, index, market):
    """Rule 505."""
    busy = x.busy_markets(index)
    is_full = x.accounts[index].mode == MODE_PORTFOLIO and len(busy) >= PORTFOLIO_POSITIONS_MAX
    return Code.POSITIONS_FULL if is_full and market not in busy else Code.OK


# -- execution --------------------------------------------------------------------------------------------------------


def take(x, r, order_id):
    """Let an accepted request take what it can; the taker tells what came of it."""
    mode = CANCEL_MAKER if r.time_in_force == FILL_OR_KILL else r.flags >> SELF_TRADE_SHIFT & 3
    builder, builder_ppm = r.builder
    taker = Taker(r.account, r.market, r.side, r.price, r.lots, order_id, mode, False, builder, builder_ppm)
    if x.markets[r.market].phase != PHASE_CONTINUOUS:
        return taker
    if r.time_in_force == FILL_OR_KILL:
        with Deferred(x):
            match(x, taker)
    else:
        match(x, taker)
    return taker


def rest(x, r, taker, order_id, client_id, original, filled, placed_ms):
    """What is left comes to rest."""
    display = min(r.display, taker.left) if r.display else taker.left
    builder, builder_ppm = r.builder
    x.orders[order_id] = Order(
        order_id, r.account, r.market, r.side, r.price, display, taker.left - display, r.display, client_id, original,
        filled, placed_ms, r.good_till_ms, r.flags, r.time_in_force, r.unit_charge, builder, builder_ppm, x.take_rank(),
    )  # fmt: skip


def outcome(r, taker):
    """State of the order once it has taken."""
    if taker.left == 0 and not taker.is_cancelled:
        return OrderState.FILLED
    return OrderState.OPEN if r.can_rest and not taker.is_cancelled else OrderState.CANCELLED


def execute_place(x, r):
    """An accepted place: `(state, order_id, filled, left, filled_value)`."""
    order_id = x.take_sequence() << 24
    if r.judges_client_id:
        remember_client_id(x, r.account, r.client_id)
    taker = take(x, r, order_id)
    state = outcome(r, taker)
    if state == OrderState.OPEN:
        order_id |= lowest_free_row(x.orders)
        rest(x, r, taker, order_id, r.client_id, r.lots, taker.filled, x.time_ms)
    return state, order_id, taker.filled, taker.left, taker.filled_value


def place(x, index, action, receipt, cap):
    request = request_of(action, index, cap)
    code = judge_place(x, request)
    if code == Code.OK:
        receipt[3:8] = execute_place(x, request)
    return code


def find_named(items, action):
    """The item that an action names by id or client id."""
    for item in items:
        by_id = item.order_id == action.order_id if action.order_id else action.client_id != 0
        if item.market == action.market and by_id and action.client_id in (0, item.client_id):
            return item
    return None


def amend(x, index, action, receipt, cap):
    """ORD-4."""
    if action.market >= len(x.markets):
        return Code.UNKNOWN_MARKET
    old = find_named(x.own_orders(index), action)
    if old is None:
        return Code.UNKNOWN_ORDER
    left, price = action.size_lots - old.filled, action.price_ticks or old.price
    if left <= 0:
        return Code.SIZE_NOT_POSITIVE
    if price == old.price and left <= old.lots:
        shrink(old, old.lots - left)
        old.original = action.size_lots
        receipt[3:8] = OrderState.OPEN, old.order_id, 0, left, 0
        return Code.OK
    request = Request(
        index, old.market, old.side, old.time_in_force, old.flags, price, left, old.client_id, min(old.display, left),
        old.good_till_ms, old.builder << 16 | old.builder_ppm, cap, judges_client_id=False,
    )  # fmt: skip
    del x.orders[old.order_id]
    code = judge_place(x, request)
    if code != Code.OK:
        x.orders[old.order_id] = old
        return code
    request.display = old.display
    taker = take(x, request, old.order_id)
    state = outcome(request, taker)
    if state == OrderState.OPEN:
        filled = old.filled + taker.filled
        rest(x, request, taker, old.order_id, old.client_id, action.size_lots, filled, old.placed_ms)
    receipt[3:8] = state, old.order_id, taker.filled, taker.left, taker.filled_value
    return Code.OK


def cancel_one(x, index, action, receipt):
    if action.market >= len(x.markets):
        return Code.UNKNOWN_MARKET
    order = find_named(x.own_orders(index), action)
    trigger = find_named(x.own_triggers(index), action)
    offer = find_named(x.own_offers(index), action) if action.order_id else None
    found = order or trigger or offer
    if found is None:
        return Code.UNKNOWN_ORDER
    cancel = x.cancel_order if order else x.cancel_trigger if trigger else x.cancel_offer
    receipt[3:7] = OrderState.CANCELLED, found.order_id, 0, found.lots
    receipt[9] = 1
    cancel(found, BY_OWNER)
    return Code.OK


def cancel_everything(x, index, market, reason, with_offers=True):
    """Orders, then triggers, then offers of an account, each by id; returns how many."""
    orders, triggers = x.own_orders(index, market), x.own_triggers(index, market)
    offers = x.own_offers(index, market) if with_offers else []
    for order in orders:
        x.cancel_order(order, reason)
    for trigger in triggers:
        x.cancel_trigger(trigger, reason)
    for offer in offers:
        x.cancel_offer(offer, reason)
    return len(orders) + len(triggers) + len(offers)


def cancel_all(x, index, action, receipt):
    if action.market != ALL_MARKETS and action.market >= len(x.markets):
        return Code.UNKNOWN_MARKET
    market = None if action.market == ALL_MARKETS else action.market
    receipt[9] = cancel_everything(x, index, market, BY_OWNER_ALL)
    return Code.OK
