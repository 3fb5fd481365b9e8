"""What makes an order acceptable (docs/spec.md, section 4).

An order is judged by the table of codes there, in the order of the codes; the first rule it breaks is the answer.
Nothing here changes the state.
"""

from typing import NamedTuple

import numpy as np

from engine.accounts import BUY, ONE, ZERO, is_client_id_used, is_position_empty
from engine.authority import SCOPE_BUILDER, find_key
from engine.commands import (
    AT_MARKET,
    FILL_OR_KILL,
    GOOD_TILL_TIME,
    IMMEDIATE_OR_CANCEL,
    POST_ONLY,
    POST_ONLY_SLIDE,
    REDUCE_ONLY,
    UNDER_PROTECTION,
)
from engine.compiling import inlined, kernel
from engine.execution import fillable_lots
from engine.exposure import compute_unit_charge, is_reducing, is_row_affordable
from engine.orderbook import BLOCKS_USED, FREE_BLOCK, best_rank, level_at, rank_of
from engine.results import Code
from engine.tables import (
    ACCOUNT_COUNT,
    ACCOUNT_ORDERS_MAX,
    BOOK_ORDERS_MAX,
    KIND_SPOT,
    MARKET_COUNT,
    MODE_ISOLATED,
    ORDERS_LIVE,
    PHASE_AUCTION,
    PHASE_CONTINUOUS,
    PHASE_POST_ONLY,
    USER_ACCOUNT_FIRST,
    Number,
    Tables,
    Truth,
)

OK, DUPLICATE_CLIENT_ID = np.int64(Code.OK), np.int64(Code.DUPLICATE_CLIENT_ID)
SIZE_NOT_POSITIVE, SIZE_TOO_LARGE = np.int64(Code.SIZE_NOT_POSITIVE), np.int64(Code.SIZE_TOO_LARGE)
PRICE_OUT_OF_RANGE, OUTSIDE_BAND = np.int64(Code.PRICE_OUT_OF_RANGE), np.int64(Code.PRICE_OUTSIDE_BAND)
PRICE_MISSING, WOULD_CROSS = np.int64(Code.NO_PRICE), np.int64(Code.WOULD_CROSS)
UNKNOWN_ENUM, PHASE_REFUSES = np.int64(Code.UNKNOWN_ENUM), np.int64(Code.PHASE_REFUSES)
NOT_FILLABLE, NOT_REDUCING = np.int64(Code.NOT_FILLABLE), np.int64(Code.NOT_REDUCING)
CONTRADICTORY, PROTECTED = np.int64(Code.CONTRADICTORY), np.int64(Code.PROTECTED)
ABOVE_SESSION_CAP, INSUFFICIENT_MARGIN = np.int64(Code.ABOVE_SESSION_CAP), np.int64(Code.INSUFFICIENT_MARGIN)
POSITION_TOO_LARGE, INSUFFICIENT_BALANCE = np.int64(Code.POSITION_TOO_LARGE), np.int64(Code.INSUFFICIENT_BALANCE)
WRONG_MARGIN_MODE, TOO_MANY_ORDERS = np.int64(Code.WRONG_MARGIN_MODE), np.int64(Code.TOO_MANY_OPEN_ORDERS)
BOOK_FULL = np.int64(Code.BOOK_FULL)
PLACE_FLAGS = np.int64(31)
LINK_SHIFT, LINK_PPM = np.int64(16), np.int64((1 << 16) - 1)
DISPLAY_PARTS_MAX = np.int64(100)


class Order(NamedTuple):
    """What a PLACE asks for; `order_quote_max` is the session key's cap (0: none)."""

    market: Number
    side: Number
    time_in_force: Number
    flags: Number
    price_ticks: Number
    size_lots: Number
    client_id: Number
    display_lots: Number
    good_till_ms: Number
    link: Number
    order_quote_max: Number


class Verdict(NamedTuple):
    """What the rules make of an order: acceptable with code 0, at this price and size, each lot charged with this."""

    code: Number
    price_ticks: Number
    size_lots: Number
    unit_charge_quote: Number


@inlined
def can_rest(time_in_force: Number) -> Truth:
    """Whether an order of this kind may stay in the book."""
    return time_in_force != IMMEDIATE_OR_CANCEL and time_in_force != FILL_OR_KILL


@inlined
def is_post_only(time_in_force: Number) -> Truth:
    """Whether an order of this kind must not trade when it comes."""
    is_sliding: Truth = time_in_force == POST_ONLY_SLIDE
    return is_sliding or time_in_force == POST_ONLY


@inlined
def does_cross(t: Tables, market: Number, side: Number, price_ticks: Number) -> Truth:
    """Whether an order at a price meets the best order of the other side."""
    other = market * 2 + ONE - side
    return best_rank(t.orderbook, other) <= rank_of(t.orderbook, other, price_ticks)


@inlined
def check_price(t: Tables, order: Order, position_row: Number) -> tuple[Number, Number]:
    """Rules 302 to 306 for a listed market: `(code, price_ticks)`, a market order's price being the band's edge."""
    row = t.markets[order.market]
    price_ticks, side = order.price_ticks, order.side
    if order.size_lots <= 0:
        return SIZE_NOT_POSITIVE, price_ticks
    if order.size_lots > row["order_lots_max"]:
        return SIZE_TOO_LARGE, price_ticks
    has_mark = row["mark_ms"] != 0
    limit_ticks = row["buy_limit_ticks"] if side == BUY else row["sell_limit_ticks"]
    if order.flags & AT_MARKET:
        if price_ticks != 0:
            return PRICE_OUT_OF_RANGE, price_ticks
        price_ticks = limit_ticks
    elif price_ticks < 1 or price_ticks > row["price_ticks_max"]:
        return PRICE_OUT_OF_RANGE, price_ticks
    if has_mark and ((side == BUY and price_ticks > limit_ticks) or (side == ONE and price_ticks < limit_ticks)):
        return OUTSIDE_BAND, price_ticks
    if not has_mark:
        return PRICE_MISSING, price_ticks
    if row["is_fresh"] == 0 and (side > ONE or not is_reducing(t, position_row, side, order.size_lots)):
        return PRICE_MISSING, price_ticks
    return OK, price_ticks


@kernel
def _slide(t: Tables, order: Order, price_ticks: Number) -> tuple[Number, Number]:
    """307 for a post-only order that crosses: `(code, price_ticks)`, one tick off the best price if it slides."""
    if order.time_in_force == POST_ONLY:
        return WOULD_CROSS, price_ticks
    other = order.market * 2 + ONE - order.side
    best_ticks = rank_of(t.orderbook, other, best_rank(t.orderbook, other))
    slid_ticks = best_ticks - ONE if order.side == BUY else best_ticks + ONE
    is_possible = 1 <= slid_ticks <= t.markets[order.market]["price_ticks_max"]
    return (OK if is_possible else WOULD_CROSS), slid_ticks


@inlined
def does_phase_admit(phase: Number, time_in_force: Number) -> Truth:
    """PHA-1."""
    if phase == PHASE_CONTINUOUS:
        return True
    if phase == PHASE_AUCTION:
        return can_rest(time_in_force)
    return phase == PHASE_POST_ONLY and is_post_only(time_in_force)


@kernel
def is_builder_approved(t: Tables, account: Number, link: Number) -> Truth:
    """Whether the builder that an order's link names exists and the account pays him that much."""
    builder, builder_ppm = link >> LINK_SHIFT, link & LINK_PPM
    if builder < USER_ACCOUNT_FIRST or builder >= t.counters[ACCOUNT_COUNT]:
        return False
    keys = t.accounts[builder]
    row = find_key(t, account, keys["key_a"], keys["key_b"], keys["key_c"], True)
    return (
        row != 0
        and np.int64(t.sessions[row]["scopes"]) == SCOPE_BUILDER
        and (builder_ppm <= t.sessions[row]["order_quote_max"])
    )


@kernel
def _do_special_parts_agree(t: Tables, account: Number, order: Order, time_ms: Number) -> Truth:
    """314 for orders that are more than a price and a size."""
    is_resting = can_rest(order.time_in_force)
    if is_resting and order.flags & AT_MARKET:
        return False
    if (order.good_till_ms != 0) != (order.time_in_force == GOOD_TILL_TIME):
        return False
    if order.good_till_ms != 0 and order.good_till_ms <= time_ms:
        return False
    if order.display_lots != 0:
        if not is_resting or order.display_lots < 1 or order.display_lots > order.size_lots:
            return False
        if order.display_lots * DISPLAY_PARTS_MAX < order.size_lots:
            return False
    if order.flags & UNDER_PROTECTION and not is_resting:
        return False
    return order.link == 0 or (order.link > 0 and is_builder_approved(t, account, order.link))


@inlined
def _do_parts_agree(t: Tables, account: Number, order: Order, time_ms: Number) -> Truth:
    """314; most orders have none of the parts."""
    special = order.display_lots | order.good_till_ms | order.link | (order.flags & (AT_MARKET | UNDER_PROTECTION))
    if special == 0 and order.time_in_force != GOOD_TILL_TIME:
        return True
    return _do_special_parts_agree(t, account, order, time_ms)


@kernel
def is_frozen(t: Tables, account: Number, time_ms: Number) -> Truth:
    """Whether market-maker protection refuses the account's protected orders now (ORD-8)."""
    protection = t.protections[np.int64(t.accounts[account]["protection"])]
    return np.int64(protection["is_live"]) != 0 and protection["frozen_until_ms"] > time_ms


@inlined
def cut_to_position(t: Tables, position_row: Number, side: Number, size_lots: Number) -> Number:
    """How much of an order only reduces the holding; 0 or less if there is nothing on the other side."""
    lots = t.positions[position_row]["lots"]
    return min(size_lots, -lots if side == BUY else lots)


@inlined
def check_terms(
    t: Tables, account: Number, order: Order, price_ticks: Number, position_row: Number, is_amended: Truth,
    time_ms: Number,
) -> tuple[Number, Number, Number]:  # fmt: skip
    """Rules 307 to 317: `(code, price_ticks, size_lots)`, the price slid and the size cut where the rules say so."""
    row, size_lots = t.markets[order.market], order.size_lots
    is_posted = is_post_only(order.time_in_force) and order.side <= ONE and row["phase"] == PHASE_CONTINUOUS
    if is_posted and does_cross(t, order.market, order.side, price_ticks):
        code, price_ticks = _slide(t, order, price_ticks)
        if code != OK:
            return code, price_ticks, size_lots
    if order.client_id != 0 and not is_amended and is_client_id_used(t, account, order.client_id):
        return DUPLICATE_CLIENT_ID, price_ticks, size_lots
    if order.side > ONE or order.time_in_force > POST_ONLY_SLIDE or order.flags & ~PLACE_FLAGS != 0:
        return UNKNOWN_ENUM, price_ticks, size_lots
    if not does_phase_admit(row["phase"], order.time_in_force):
        return PHASE_REFUSES, price_ticks, size_lots
    if order.time_in_force == FILL_OR_KILL:
        found_lots = fillable_lots(t, order.market, order.side, price_ticks, account, time_ms, size_lots)
        if found_lots < size_lots:
            return NOT_FILLABLE, price_ticks, size_lots
    if order.flags & REDUCE_ONLY:
        size_lots = cut_to_position(t, position_row, order.side, size_lots)
        if size_lots <= 0:
            return NOT_REDUCING, price_ticks, size_lots
    if not _do_parts_agree(t, account, order, time_ms):
        return CONTRADICTORY, price_ticks, size_lots
    if order.flags & UNDER_PROTECTION and is_frozen(t, account, time_ms):
        return PROTECTED, price_ticks, size_lots
    if 0 < order.order_quote_max < price_ticks * row["quote_per_tick_lot"] * size_lots:
        return ABOVE_SESSION_CAP, price_ticks, size_lots
    return OK, price_ticks, size_lots


@inlined
def check_holding(
    t: Tables, account: Number, market: Number, side: Number, size_lots: Number, position_row: Number
) -> Number:
    """Rules 402, 403 and 405 for an account that wants to trade so many lots more."""
    row, position = t.markets[market], t.positions[position_row]
    if side == BUY:
        if position["lots"] + position["buy_lots"] + size_lots > row["position_lots_max"]:
            return POSITION_TOO_LARGE
    else:
        if position["sell_lots"] + size_lots - position["lots"] > row["position_lots_max"]:
            return POSITION_TOO_LARGE
        if row["kind"] == KIND_SPOT and position["sell_lots"] + size_lots > position["lots"]:
            return INSUFFICIENT_BALANCE
    owner = t.accounts[account]
    if np.int64(owner["mode"]) == MODE_ISOLATED:
        own = ONE - np.int64(is_position_empty(t, position_row))
        if np.int64(owner["position_count"]) > own:
            return WRONG_MARGIN_MODE
    return OK


@inlined
def check_room(t: Tables, account: Number, market: Number, side: Number, price_ticks: Number, held: Number) -> Number:
    """Rules 501 and 502 for an order that can rest; `held` is 1 for an order that has its row already."""
    book, counters, side_index = t.orderbook, t.counters, market * 2 + side
    if np.int64(t.accounts[account]["order_count"]) - held >= counters[ACCOUNT_ORDERS_MAX]:
        return TOO_MANY_ORDERS
    if t.markets[market]["book_orders"] - held >= counters[BOOK_ORDERS_MAX]:
        return BOOK_FULL
    if counters[ORDERS_LIVE] - held >= len(t.details) - 1:
        return BOOK_FULL
    has_level = level_at(book, side_index, rank_of(book, side_index, price_ticks)) != 0
    if not has_level and book.counters[FREE_BLOCK] == 0 and book.counters[BLOCKS_USED] >= len(book.blocks):
        return BOOK_FULL
    return OK


@inlined
def judge_order(
    t: Tables, account: Number, order: Order, position_row: Number, held: Number, time_ms: Number
) -> Verdict:
    """All rules of an order in a listed market but 505, which opens the position.

    `position_row` is 0 if the account has none; `held` is 1 for an order that is amended.
    """
    code, price_ticks = check_price(t, order, position_row)
    if code != OK:
        return Verdict(code, price_ticks, ZERO, ZERO)
    code, price_ticks, size_lots = check_terms(t, account, order, price_ticks, position_row, held != 0, time_ms)
    if code != OK:
        return Verdict(code, price_ticks, ZERO, ZERO)
    builder_ppm = order.link & LINK_PPM
    charge_quote = compute_unit_charge(t, order.market, order.side, price_ticks, builder_ppm)
    if not is_row_affordable(t, account, order.market, position_row, order.side, size_lots, charge_quote):
        return Verdict(INSUFFICIENT_MARGIN, price_ticks, ZERO, ZERO)
    code = check_holding(t, account, order.market, order.side, size_lots, position_row)
    if code == OK and can_rest(order.time_in_force):
        code = check_room(t, account, order.market, order.side, price_ticks, held)
    return Verdict(code, price_ticks, size_lots, charge_quote)


@inlined
def is_listed(t: Tables, market: Number) -> Truth:
    """Whether a number from outside is that of a listed market (301)."""
    return 0 <= market < t.counters[MARKET_COUNT] and t.markets[market]["is_listed"] != 0
