"""Orders as Deribit's clients describe them, as the actions that their owners sign.

Every function takes the parameters of one call and gives the actions of one message, in their order; nothing else
decides about them, so whoever signs elsewhere makes the same bytes from the same parameters. What an order would not
do is refused, never ignored.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from engine.commands import (
    ACTIONS_MAX,
    ALL_MARKETS,
    AMEND,
    AT_MARKET,
    BUY,
    CANCEL,
    CANCEL_ALL,
    COMBO,
    FILL_OR_KILL,
    GOOD_TILL_CANCELLED,
    GOOD_TILL_TIME,
    IMMEDIATE_OR_CANCEL,
    PLACE,
    POST_ONLY,
    POST_ONLY_SLIDE,
    REDUCE_ONLY,
    SELF_TRADE_SHIFT,
    SELL,
    TRIGGER,
    TRIGGER_BELOW,
    TRIGGER_ON_LAST,
    UNDER_PROTECTION,
    Action,
)
from net.gateway.errors import NOT_SUPPORTED, NUMBER_OVERFLOW, UNKNOWN_VALUE, ApiError
from net.gateway.instruments import Instruments, read_quote
from net.gateway.params import I64_MAX, Params
from net.gateway.present_account import DAY_MS, SESSION_END_MS
from net.gateway.present_market import kind_of
from net.gateway.present_text import CURRENCY

Actions = tuple[Action, ...]
Builder = Callable[[Params, Instruments], Actions]

QUOTES_MAX, LEGS_MIN, LEGS_MAX = 64, 2, 4
SIDES = {"buy": BUY, "sell": SELL}
_TIMES_IN_FORCE = {
    "good_til_cancelled": GOOD_TILL_CANCELLED, "good_til_day": GOOD_TILL_TIME,
    "immediate_or_cancel": IMMEDIATE_OR_CANCEL, "fill_or_kill": FILL_OR_KILL, "x_good_til_time": GOOD_TILL_TIME,
}  # fmt: skip
# Order types: whether it has a price, and on which side of its trigger price a buy waits (None: it does not wait).
_TYPES: dict[str, tuple[bool, bool | None]] = {
    "limit": (True, None), "market": (False, None), "stop_limit": (True, False), "stop_market": (False, False),
    "take_limit": (True, True), "take_market": (False, True),
}  # fmt: skip
_TRIGGERS = {"mark_price": 0, "last_price": TRIGGER_ON_LAST}
_SELF_TRADES = {"cancel_maker": 0, "cancel_taker": 1, "cancel_both": 2, "decrement": 3}
_LINKS = {"one_triggers_other": 1, "one_cancels_other": 1, "one_triggers_one_cancels_other": 2}
_FILL_CONDITIONS = {"first_hit": 0}
_KINDS = ("any", "future", "option", "spot")
# What a trigger is linked with (docs/spec.md, ORD-9): the order or the trigger just before it in the message.
_TO_ORDER_BEFORE, _TO_TRIGGER_BEFORE = 1, 2


# What `read_order` knows.
ORDER_NAMES = (
    "amount", "price", "type", "time_in_force", "x_good_till_ms", "post_only", "reject_post_only", "reduce_only", "mmp",
    "display_amount", "max_show", "trigger_price", "trigger", "x_link", "x_self_trade", "x_builder", "label",
)  # fmt: skip


def refuse_others(params: Params, names: tuple[str, ...]) -> None:
    """What an entry of a list says beyond an order's parameters and these."""
    for name in params.values:
        if name not in ORDER_NAMES and name not in names:
            raise ApiError(NOT_SUPPORTED, name)


def refuse_given(params: Params, names: tuple[str, ...], why: str) -> None:
    """What the order would not do."""
    for name in names:
        if params.values.get(name) is not None:
            raise ApiError(NOT_SUPPORTED, name, f"{why}: {NOT_SUPPORTED.hint}")


def find_session_end_ms(now_ms: int) -> int:
    """When an order that is good til day, sent now, ends: the next 08:00 UTC."""
    return (now_ms - SESSION_END_MS) // DAY_MS * DAY_MS + SESSION_END_MS + DAY_MS


def read_client_id(params: Params, name: str = "label") -> int:
    """`label` is signed as a number; 0 is none."""
    label = params.values.get(name)
    return 0 if label in (None, "") else params.integer(name, 0, I64_MAX)


def _read_time_in_force(params: Params, is_limit: bool) -> int:
    time_in_force = params.choice("time_in_force", _TIMES_IN_FORCE, "good_til_cancelled")
    if not is_limit and time_in_force == GOOD_TILL_CANCELLED:
        return IMMEDIATE_OR_CANCEL  # what a market order does not get at once is cancelled
    if not params.flag("post_only"):
        return time_in_force
    if time_in_force != GOOD_TILL_CANCELLED:
        raise ApiError(UNKNOWN_VALUE, "time_in_force", "a post-only order has a price and is good_til_cancelled")
    return POST_ONLY if params.flag("reject_post_only", True) else POST_ONLY_SLIDE


def _read_good_till_ms(params: Params) -> int:
    until_ms = params.integer("x_good_till_ms", 1, I64_MAX)
    if params.values.get("time_in_force") == "good_til_day" and until_ms % DAY_MS != SESSION_END_MS:
        raise ApiError(UNKNOWN_VALUE, "x_good_till_ms", "a good_til_day order ends at the next 08:00 UTC")
    return until_ms


def _read_rest(params: Params, instruments: Instruments, market: int, time_in_force: int) -> dict[str, Any]:
    """What only an order that may rest in the book has."""
    refuse_given(params, ("trigger_price", "trigger", "x_link"), "only stop and take orders wait for a price")
    fields: dict[str, Any] = {"link": params.integer("x_builder", 0, I64_MAX, 0)}
    shown = [name for name in ("display_amount", "max_show") if params.values.get(name) is not None]
    if len(shown) == 2:
        raise ApiError(UNKNOWN_VALUE, "max_show", "the same as display_amount; give one of them")
    if shown:
        fields["display_lots"] = instruments.read_size_lots(params, market, shown[0])
    if time_in_force == GOOD_TILL_TIME:
        fields["good_till_ms"] = _read_good_till_ms(params)
    else:
        refuse_given(params, ("x_good_till_ms",), "only good_til_day and x_good_til_time orders end by themselves")
    return fields


def read_order(params: Params, instruments: Instruments, side: int, market: int) -> Action:
    """An order, or by its `type` a trigger that places one later."""
    is_limit, is_trigger_below = params.choice("type", _TYPES, "limit")
    time_in_force = _read_time_in_force(params, is_limit)
    flags = REDUCE_ONLY if params.flag("reduce_only") else 0
    flags |= params.choice("x_self_trade", _SELF_TRADES, "cancel_maker") << SELF_TRADE_SHIFT
    if not is_limit:
        flags |= AT_MARKET
        refuse_given(params, ("price",), "a market order has no price")
    if is_trigger_below is None:
        fields = _read_rest(params, instruments, market, time_in_force)
        flags |= UNDER_PROTECTION if params.flag("mmp") else 0
    else:
        if time_in_force == GOOD_TILL_TIME:
            raise ApiError(UNKNOWN_VALUE, "time_in_force", "an order with a trigger has no time of its own")
        names = ("mmp", "display_amount", "max_show", "x_good_till_ms", "x_builder")
        refuse_given(params, names, "an order that waits for its trigger has none")
        flags |= params.choice("trigger", _TRIGGERS, "mark_price")
        flags |= TRIGGER_BELOW if is_trigger_below == (side == BUY) else 0
        fields = {"trigger_ticks": instruments.read_price_ticks(params, market, "trigger_price")}
        fields["link"] = params.integer("x_link", 0, I64_MAX, 0)
    # A reduce-only trigger without an amount closes whatever the position will be.
    is_whole = is_trigger_below is not None and flags & REDUCE_ONLY and params.values.get("amount") is None
    return Action(
        PLACE if is_trigger_below is None else TRIGGER, side=side, time_in_force=time_in_force, flags=flags,
        market=market, price_ticks=instruments.read_price_ticks(params, market) if is_limit else 0,
        size_lots=0 if is_whole else instruments.read_size_lots(params, market), client_id=read_client_id(params),
        **fields,
    )  # fmt: skip


def place(side: int, params: Params, instruments: Instruments) -> Actions:
    """An order, with those that are linked to it."""
    first = read_order(params, instruments, side, instruments.read_market(params))
    if params.values.get("linked_order_type") is None:
        refuse_given(params, ("otoco_config", "trigger_fill_condition"), "needs linked_order_type")
        return (first,)
    return (first, *_read_linked(params, instruments, first))


def _read_linked(params: Params, instruments: Instruments, first: Action) -> Iterator[Action]:
    """Triggers of the same market that wait for the first order's fill, or cancel each other."""
    count = params.choice("linked_order_type", _LINKS)
    params.choice("trigger_fill_condition", _FILL_CONDITIONS, "first_hit")
    is_cancelling = params.values["linked_order_type"] == "one_cancels_other"
    if is_cancelling != (first.kind == TRIGGER):
        what = "two stop or take orders cancel each other" if is_cancelling else "a trigger waits for a limit order"
        raise ApiError(NOT_SUPPORTED, "linked_order_type", f"{what}: {NOT_SUPPORTED.hint}")
    configs = params.nested_list("otoco_config", count)
    if len(configs) != count:
        raise ApiError(NUMBER_OVERFLOW, "otoco_config", f"{count} entries")
    for at, config in enumerate(configs):
        refuse_others(config, ("direction",))
        refuse_given(config, ("x_link",), "its place in the list says what it is linked with")
        action = read_order(config, instruments, config.choice("direction", SIDES), first.market)
        if action.kind != TRIGGER:
            raise ApiError(NOT_SUPPORTED, "otoco_config", f"a linked order is a stop or take: {NOT_SUPPORTED.hint}")
        link = _TO_TRIGGER_BEFORE if is_cancelling or at else _TO_ORDER_BEFORE
        yield Action(**{name: getattr(action, name) for name in Action.__slots__} | {"link": link})


def close_position(params: Params, instruments: Instruments) -> Actions:
    """A reduce-only order of the largest size: the engine cuts it to the position (ORD-6)."""
    market, side = instruments.read_market(params), params.choice("x_direction", SIDES)
    is_limit = params.choice("type", {"limit": True, "market": False})
    if not is_limit:
        refuse_given(params, ("price",), "a market order has no price")
    return (
        Action(
            PLACE, side=side, market=market, size_lots=instruments.markets[market].size_lots_max,
            time_in_force=GOOD_TILL_CANCELLED if is_limit else IMMEDIATE_OR_CANCEL,
            flags=REDUCE_ONLY if is_limit else REDUCE_ONLY | AT_MARKET, client_id=read_client_id(params),
            price_ticks=instruments.read_price_ticks(params, market) if is_limit else 0,
        ),
    )  # fmt: skip


def edit(params: Params, instruments: Instruments) -> Actions:
    """A new total size, and a new price unless it stays; by `order_id`, or by `instrument_name` and `label`."""
    market, order_id, client_id = _read_named(params, instruments)
    price_ticks = instruments.read_price_ticks(params, market) if params.values.get("price") is not None else 0
    size_lots = instruments.read_size_lots(params, market)
    return (
        Action(
            AMEND, market=market, order_id=order_id, client_id=client_id, price_ticks=price_ticks, size_lots=size_lots
        ),
    )  # fmt: skip


def _read_named(params: Params, instruments: Instruments) -> tuple[int, int, int]:
    """(market, order_id, client_id) of the order that the parameters name."""
    if params.values.get("order_id") is not None:
        return (*instruments.read_order_id(params), 0)
    return instruments.read_market(params), 0, params.integer("label", 1, I64_MAX)


def cancel(params: Params, instruments: Instruments) -> Actions:
    """By `order_id`, or by `instrument_name` and `label`."""
    market, order_id, client_id = _read_named(params, instruments)
    return (Action(CANCEL, market=market, order_id=order_id, client_id=client_id),)


def cancel_all(params: Params, instruments: Instruments) -> Actions:
    """Orders, triggers and offers of the account."""
    return (Action(CANCEL_ALL, market=ALL_MARKETS),)


def cancel_all_by_instrument(params: Params, instruments: Instruments) -> Actions:
    """Those of one market."""
    return (Action(CANCEL_ALL, market=instruments.read_market(params)),)


def cancel_all_by_kind(params: Params, instruments: Instruments) -> Actions:
    """Those of the markets of a kind, of a base currency, or of both; one action a market unless it is all of them."""
    currency = params.text("currency", "any")
    kind = params.choice("kind", {name: name for name in _KINDS}, "any")
    params.choice("type", {"all": 0}, "all")
    if currency in ("any", CURRENCY) and kind == "any":
        return cancel_all(params, instruments)
    chosen = [
        number for number, market in enumerate(instruments.markets)
        if kind in ("any", kind_of(market)) and currency in ("any", CURRENCY, market.underlying_name)
    ]  # fmt: skip
    if not 1 <= len(chosen) <= ACTIONS_MAX:
        raise ApiError(UNKNOWN_VALUE, "currency", f"that means {len(chosen)} markets; a message cancels in 1 to 128")
    return tuple(Action(CANCEL_ALL, market=number) for number in chosen)


def mass_quote(params: Params, instruments: Instruments) -> Actions:
    """Quotes under market-maker protection: of each side, first what it replaces is cancelled, then it is placed."""
    quotes = params.nested_list("quotes", QUOTES_MAX)
    for quote in quotes:
        for name in quote.values:
            if name not in ("instrument_name", "quote_set_id", "bid", "ask"):
                raise ApiError(NOT_SUPPORTED, name)
    actions = tuple(
        action for quote in quotes for name, side in (("bid", BUY), ("ask", SELL))
        if quote.values.get(name) is not None
        for action in _read_quote(quote.nested(name), instruments, side, instruments.read_market(quote))
    )  # fmt: skip
    if not 1 <= len(actions) <= ACTIONS_MAX:
        raise ApiError(NUMBER_OVERFLOW, "quotes", f"these are {len(actions)} actions; a message has 1 to 128")
    return actions


def _read_quote(params: Params, instruments: Instruments, side: int, market: int) -> Iterator[Action]:
    refuse_others(params, ("x_replaces_order_id", "x_replaces_label"))
    if params.values.get("x_replaces_order_id") is not None:
        replaced, order_id = instruments.read_order_id(params, "x_replaces_order_id")
        yield Action(CANCEL, market=replaced, order_id=order_id)
    elif params.values.get("x_replaces_label") is not None:
        yield Action(CANCEL, market=market, client_id=params.integer("x_replaces_label", 1, I64_MAX))
    if params.values.get("amount") is not None:  # none: the side is only taken away
        refuse_given(params, ("type", "time_in_force", "mmp"), "a quote is a limit order under protection")
        yield read_order(Params({**params.values, "mmp": True}), instruments, side, market)


def cancel_quotes(params: Params, instruments: Instruments) -> Actions:
    """The engine knows no orders that are only quotes: all of the account or a market go, or those that are named."""
    kinds = {"all": cancel_all, "instrument": cancel_all_by_instrument, "x_orders": _cancel_named}
    return params.choice("cancel_type", kinds)(params, instruments)


def _cancel_named(params: Params, instruments: Instruments) -> Actions:
    names = params.text_list("x_orders", ACTIONS_MAX)
    found = [instruments.read_order_id(Params({"x_orders": name}), "x_orders") for name in names]
    return tuple(Action(CANCEL, market=market, order_id=order_id) for market, order_id in found)


def combo(params: Params, instruments: Instruments) -> Actions:
    """Two to four legs that execute together or not at all (docs/spec.md, ORD-10)."""
    legs = params.nested_list("legs", LEGS_MAX)
    if len(legs) < LEGS_MIN:
        raise ApiError(NUMBER_OVERFLOW, "legs", f"{LEGS_MIN} to {LEGS_MAX} entries")
    head = Action(
        COMBO, side=len(legs), price_ticks=read_quote(params, "x_net_cost_max"),
        good_till_ms=params.integer("x_good_till_ms", 0, I64_MAX, 0),
    )  # fmt: skip
    return (head, *(_read_leg(leg, instruments) for leg in legs))


def _read_leg(leg: Params, instruments: Instruments) -> Action:
    refuse_others(leg, ("direction", "instrument_name"))
    action = read_order(leg, instruments, leg.choice("direction", SIDES), instruments.read_market(leg))
    if action.kind != PLACE:
        raise ApiError(NOT_SUPPORTED, "legs", f"a leg is a limit or market order: {NOT_SUPPORTED.hint}")
    return action


buy, sell = partial(place, BUY), partial(place, SELL)
