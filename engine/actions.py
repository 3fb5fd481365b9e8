"""All actions of a block in one compiled call: each goes to its rules and gets one receipt, in the row of its place.

Messages were judged before (`engine.authority`), governance has happened (`engine.governance`); what is left executes
in the order of `engine.intake.order_actions`. Legs of a combination execute with it and are passed over here.
"""

import numpy as np

from engine.acceptance import Order
from engine.combos import execute_combo
from engine.commands import (
    ACCEPT,
    ALL_MARKETS,
    AMEND,
    CANCEL,
    CANCEL_ALL,
    CANCEL_ALL_AFTER,
    COMBO,
    LIST,
    OFFER,
    PLACE,
    SET_FEES,
    SET_MARGIN_MODE,
    SET_PROTECTION,
    SET_SESSION,
    TRANSFER,
    TRIGGER,
    WITHDRAW,
)
from engine.compiling import inlined, kernel
from engine.execution import cancel_resting, index_of_row
from engine.hints import hint_cancel_far, hint_cancel_near, hint_place_far, hint_place_near
from engine.intake import CLASS_LEG
from engine.offers import accept_offer, cancel_offers, find_own_offer, place_offer, remove_offer
from engine.orders import amend, cancel_orders, find_own_order, place_order
from engine.results import Code, OrderState
from engine.settings import (
    set_cancel_switch,
    set_fees,
    set_margin_mode,
    set_protection,
    set_session,
    transfer,
    withdraw,
)
from engine.stops import place_trigger
from engine.tables import BY_OWNER, BY_OWNER_ALL, MARKET_COUNT, Number, Outputs, Tables
from engine.triggers import cancel_triggers, find_named_trigger, mark_triggers, remove_trigger

OK, UNKNOWN_MARKET = np.int64(Code.OK), np.int64(Code.UNKNOWN_MARKET)
UNKNOWN_ORDER, MALFORMED = np.int64(Code.UNKNOWN_ORDER), np.int64(Code.MALFORMED)
NOTHING, ONE, ANY = np.int64(0), np.int64(1), np.int64(-1)
OWNER, OWNER_ALL, ANY_FLAGS = np.int64(BY_OWNER), np.int64(BY_OWNER_ALL), np.int64(0)
STATE_OPEN, STATE_CANCELLED = np.int64(OrderState.OPEN), np.int64(OrderState.CANCELLED)
THE_PLACE, THE_TRIGGER = 1, 2  # links that mean the nearest place or trigger before it in the message
NO_SUCH = np.int64(-1)
AHEAD = 8  # actions


@kernel
def _resolve_link(
    out: Outputs, actions: np.ndarray, message_of_action: np.ndarray, classes: np.ndarray, at: Number
) -> Number:
    """The id that a TRIGGER's link means: itself, or that of the nearest place or trigger before it in the message (0
    for a place that has fills, -1 where there is none or it is neither filled nor open). Legs are no places here.
    """
    link: Number = actions[at]["link"]
    if link != THE_PLACE and link != THE_TRIGGER:
        return link
    wanted = PLACE if link == THE_PLACE else TRIGGER
    before = at - 1
    while before >= 0 and message_of_action[before] == message_of_action[at]:
        if np.int64(actions[before]["kind"]) == wanted and classes[before] != CLASS_LEG:
            receipt = out.receipts[before]
            if receipt["code"] != OK or np.int64(actions[before]["market"]) != np.int64(actions[at]["market"]):
                return NO_SUCH
            if receipt["filled_lots"] != 0:
                return NOTHING
            return receipt["order_id"] if receipt["order_state"] == STATE_OPEN else NO_SUCH
        before -= 1
    return NO_SUCH


@kernel
def _cancel_waiting(t: Tables, out: Outputs, account: Number, action: np.void, receipt_row: Number) -> Number:
    """CANCEL for what is no order of the book: a trigger, else an offer."""
    market, order_id, client_id = np.int64(action["market"]), action["order_id"], action["client_id"]
    receipt = out.receipts[receipt_row]
    row = find_named_trigger(t, account, market, order_id, client_id)
    if row != NOTHING:
        receipt["order_id"], receipt["remaining_lots"] = t.triggers[row]["order_id"], t.triggers[row]["size_lots"]
        remove_trigger(t, out, row, OWNER)
    else:
        row = find_own_offer(t, account, market, order_id, client_id)
        if row == NOTHING:
            return UNKNOWN_ORDER
        receipt["order_id"], receipt["remaining_lots"] = order_id, t.offers[row]["size_lots"]
        remove_offer(t, out, row, OWNER)
    receipt["order_state"], receipt["cancelled_count"] = STATE_CANCELLED, ONE
    return OK


@inlined
def _cancel(t: Tables, out: Outputs, account: Number, action: np.void, receipt_row: Number) -> Number:
    """CANCEL an order, else a trigger, else an offer, by its id or its client id."""
    market = np.int64(action["market"])
    if market >= t.counters[MARKET_COUNT]:
        return UNKNOWN_MARKET
    row = find_own_order(t, account, market, action["order_id"], action["client_id"])
    if row == NOTHING:
        return _cancel_waiting(t, out, account, action, receipt_row)
    receipt = out.receipts[receipt_row]
    receipt["order_id"] = t.orderbook.book[index_of_row(t, row)]["order_id"]
    receipt["remaining_lots"] = cancel_resting(t, out, row, OWNER)
    receipt["order_state"], receipt["cancelled_count"] = STATE_CANCELLED, ONE
    return OK


@kernel
def _cancel_all(t: Tables, out: Outputs, account: Number, market: Number, receipt_row: Number) -> Number:
    """CANCEL_ALL orders, then triggers, then offers, of one market or of all."""
    if market == ALL_MARKETS:
        market = ANY
    elif market >= t.counters[MARKET_COUNT]:
        return UNKNOWN_MARKET
    count = cancel_orders(t, out, account, market, OWNER_ALL, ANY_FLAGS)
    count += cancel_triggers(t, out, account, market, OWNER_ALL)
    count += cancel_offers(t, out, account, market, OWNER_ALL)
    out.receipts[receipt_row]["cancelled_count"] = count
    return OK


@inlined
def _place(
    t: Tables, out: Outputs, account: Number, action: np.void, order_quote_max: Number, time_ms: Number,
    receipt_row: Number,
) -> Number:  # fmt: skip
    order = Order(
        np.int64(action["market"]), np.int64(action["side"]), np.int64(action["time_in_force"]),
        np.int64(action["flags"]), action["price_ticks"], action["size_lots"], action["client_id"],
        action["display_lots"], action["good_till_ms"], action["link"], order_quote_max,
    )  # fmt: skip
    code, _ = place_order(t, out, account, order, time_ms, receipt_row)
    return code


@inlined
def _hint_far(t: Tables, account: Number, action: np.void) -> None:
    """Ask for what an action some turns ahead will touch, if it is of a frequent kind."""
    kind, market = np.int64(action["kind"]), np.int64(action["market"])
    if account < 0 or market >= t.counters[MARKET_COUNT]:
        return
    if kind == CANCEL:
        hint_cancel_far(t, account, action["order_id"])
    elif kind == PLACE:
        hint_place_far(t, account, market, np.int64(action["side"]), action["price_ticks"])


@inlined
def _hint_near(t: Tables, account: Number, action: np.void) -> None:
    """The second hint, half as many turns ahead."""
    kind, market = np.int64(action["kind"]), np.int64(action["market"])
    if account < 0 or market >= t.counters[MARKET_COUNT]:
        return
    if kind == CANCEL:
        hint_cancel_near(t, action["order_id"])
    elif kind == PLACE:
        hint_place_near(t, account, market, np.int64(action["side"]), action["price_ticks"])


@kernel
def _set(
    t: Tables, out: Outputs, account: Number, action: np.void, key: np.ndarray, time_ms: Number, receipt_row: Number
) -> Number:
    """What is no book action: settings, money, offers are elsewhere."""
    kind = np.int64(action["kind"])
    if kind == CANCEL_ALL_AFTER:
        return set_cancel_switch(t, out, account, action["good_till_ms"], time_ms)
    if kind == WITHDRAW:
        return withdraw(t, out, account, np.int64(action["market"]), action["size_lots"], receipt_row)
    if kind == TRANSFER:
        return transfer(t, out, account, action, key)
    if kind == SET_SESSION:
        return set_session(t, out, account, action, key, time_ms)
    if kind == SET_PROTECTION:
        return set_protection(t, out, account, action)
    if kind == SET_MARGIN_MODE:
        return set_margin_mode(t, out, account, np.int64(action["side"]))
    if kind == SET_FEES:
        return set_fees(t, out, account, action, key)
    return MALFORMED


@kernel
def _apply_other(
    t: Tables, out: Outputs, actions: np.ndarray, keys: np.ndarray, message_of_action: np.ndarray,
    classes: np.ndarray, at: Number, account: Number, order_quote_max: Number, time_ms: Number,
) -> Number:  # fmt: skip
    """Execute an action that is neither PLACE nor CANCEL; returns its code."""
    action = actions[at]
    kind = np.int64(action["kind"])
    if kind == CANCEL_ALL:
        return _cancel_all(t, out, account, np.int64(action["market"]), at)
    if kind == AMEND:
        return amend(
            t, out, account, np.int64(action["market"]), action["order_id"], action["client_id"],
            action["price_ticks"], action["size_lots"], order_quote_max, time_ms, at,
        )  # fmt: skip
    if kind == TRIGGER:
        link_id = _resolve_link(out, actions, message_of_action, classes, at)
        return place_trigger(t, out, account, action, link_id, order_quote_max, time_ms, at)
    if kind == COMBO:
        return execute_combo(t, out, account, actions, at, order_quote_max, time_ms)
    if kind == OFFER:
        return place_offer(t, out, account, action, order_quote_max, time_ms, at)
    if kind == ACCEPT:
        return accept_offer(t, out, account, action, order_quote_max, time_ms, at)
    return _set(t, out, account, action, keys[at], time_ms, at)


@inlined
def _begin_receipts(
    out: Outputs, message_of_action: np.ndarray, batch_of_message: np.ndarray, codes: np.ndarray, accounts: np.ndarray
) -> None:
    """Receipts as they are before anything executes: whose action, what the judgement was, and zeros."""
    batch, command = np.int64(-1), NOTHING
    for at in range(codes.shape[0]):
        message = message_of_action[at]
        command = command + ONE if batch_of_message[message] == batch else NOTHING
        batch = batch_of_message[message]
        receipt = out.receipts[at]
        receipt["batch_index"], receipt["command_index"] = batch, command
        receipt["code"], receipt["account_index"] = codes[at], accounts[message]
        receipt["order_state"] = receipt["order_id"] = receipt["filled_lots"] = receipt["remaining_lots"] = NOTHING
        receipt["filled_value"] = receipt["cancelled_count"] = NOTHING
        receipt["withdrawal_index"] = NO_SUCH


@kernel
def apply_all(
    t: Tables, out: Outputs, actions: np.ndarray, keys: np.ndarray, message_of_action: np.ndarray,
    batch_of_message: np.ndarray, classes: np.ndarray, sequence: np.ndarray, codes: np.ndarray, accounts: np.ndarray,
    caps: np.ndarray, time_ms: Number,
) -> None:  # fmt: skip
    """Execute what `codes` say is 0, in the order of the row numbers `sequence`, and write all receipts.

    To be called in every block, with or without actions: it ends with `engine.triggers.mark_triggers`. Places and
    cancels, nearly all there is, are compiled into the loop: what is called gets nine arrays by value.
    """
    _begin_receipts(out, message_of_action, batch_of_message, codes, accounts)
    count = sequence.shape[0]
    for turn in range(count):
        if turn + 2 * AHEAD < count:
            far = sequence[turn + 2 * AHEAD]
            _hint_far(t, accounts[message_of_action[far]], actions[far])
        if turn + AHEAD < count:
            near = sequence[turn + AHEAD]
            _hint_near(t, accounts[message_of_action[near]], actions[near])
        at = sequence[turn]
        action, kind = actions[at], np.int64(actions[at]["kind"])
        if codes[at] != OK or classes[at] == CLASS_LEG or kind >= LIST:
            continue
        account, order_quote_max = accounts[message_of_action[at]], caps[message_of_action[at]]
        if kind == PLACE:
            code = _place(t, out, account, action, order_quote_max, time_ms, at)
        elif kind == CANCEL:
            code = _cancel(t, out, account, action, at)
        else:
            code = _apply_other(
                t, out, actions, keys, message_of_action, classes, at, account, order_quote_max, time_ms
            )
        out.receipts[at]["code"] = code
    mark_triggers(t, out)
