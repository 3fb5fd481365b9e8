"""Trades: an order walks the other side of the book, best price first and oldest first, at the resting orders' prices.

Money only moves between accounts: from buyer to seller (MAT-2), fees to account 0, referrers, builders, and a
liquidation's fee to insurance (FEE). Every function here leaves all sums right after each fill: balances, holdings,
open lots and charges, open interest, the book's levels. What rests is looked after as well: an order that may no longer
trade is cancelled when it is met (ORD-7), reduce-only orders are cut to the holding (ORD-6), and market makers whose
limits are passed lose their protected orders (ORD-8).

An order's *row* numbers its `details`; its *index* in `orderbook.book` lies behind the price levels.

A call hands over all tables by value, some 250 words, which takes longer than a fill. So what happens to nearly every
action is compiled into its caller, and what is rare is called.
"""

from typing import NamedTuple

import numpy as np

from engine.accounts import BUY, ONE, ZERO, change_exposure, change_orders, find_position, move_balance, touch
from engine.commands import CANCEL_BOTH, CANCEL_MAKER, CANCEL_TAKER, DECREMENT, REDUCE_ONLY, UNDER_PROTECTION
from engine.compiling import inlined, kernel
from engine.exposure import compute_equity
from engine.fees import (
    BLOCK_TRADE,
    BPS,
    EPOCH_MS,
    LIQUIDATION,
    UNCROSS,
    compute_maker_fee,
    compute_taker_fee,
    find_tier,
)
from engine.fixed import mul_div_ceil
from engine.notices import notify
from engine.orderbook import (
    LEVELS_PER_BLOCK,
    best_level,
    best_rank,
    change_lots,
    free_row,
    head_of,
    move_to_tail,
    next_level,
    next_order,
    rank_of,
    rank_of_level,
    side_of_level,
    unlink_order,
)
from engine.tables import (
    AUCTION_FILL_COUNT,
    BY_EXPIRY,
    BY_PROTECTION,
    BY_REDUCE_ONLY,
    BY_SELF_TRADE,
    BY_SWITCH,
    CANCELLATION_COUNT,
    DIRTY_AUX,
    DIRTY_LEAF,
    FEE_ACCOUNT,
    FILL_COUNT,
    FILLS_MAX,
    INSURANCE_ACCOUNT,
    NEXT_RANK,
    NOTICE_PROTECTION,
    ORDERS_LIVE,
    REFERRAL_BPS,
    Number,
    Outputs,
    Tables,
    Truth,
)

FEES, INSURANCE = np.int64(FEE_ACCOUNT), np.int64(INSURANCE_ACCOUNT)
LEAF_AND_AUX, AUX = np.int64(DIRTY_LEAF | DIRTY_AUX), np.int64(DIRTY_AUX)
FOR_SELF_TRADE, FOR_EXPIRY, FOR_SWITCH = np.int64(BY_SELF_TRADE), np.int64(BY_EXPIRY), np.int64(BY_SWITCH)
FOR_REDUCE_ONLY, FOR_PROTECTION = np.int64(BY_REDUCE_ONLY), np.int64(BY_PROTECTION)
PROTECTION_NOTICE = np.int64(NOTICE_PROTECTION)
MILLION = np.int64(1_000_000)
FOR_EVER = np.int64((1 << 63) - 1)


class Party(NamedTuple):
    """One side of a fill: the row of its position, its order, and by how much its open orders become smaller."""

    account: Number
    position: Number
    order_id: Number
    open_lots: Number
    unit_charge_quote: Number
    builder: Number
    builder_ppm: Number


@inlined
def index_of_row(t: Tables, row: Number) -> Number:
    """Index in the book of the order with a row."""
    return row + len(t.orderbook.blocks) * LEVELS_PER_BLOCK


@inlined
def row_of_index(t: Tables, index: Number) -> Number:
    """Row of the order at an index in the book."""
    return index - len(t.orderbook.blocks) * LEVELS_PER_BLOCK


@inlined
def find_dead_reason(t: Tables, account: Number, row: Number, time_ms: Number) -> Number:
    """Why an order may no longer trade (ORD-7), -1 if it may."""
    good_till_ms = t.details[row]["good_till_ms"]
    if good_till_ms != 0 and good_till_ms <= time_ms:
        return FOR_EXPIRY
    cancel_at_ms = t.accounts[account]["cancel_at_ms"]
    return FOR_SWITCH if cancel_at_ms != 0 and cancel_at_ms <= time_ms else -ONE


@inlined
def count_open_lots(t: Tables, row: Number) -> Number:
    """What is left of a resting order, hidden lots included."""
    return t.orderbook.book[index_of_row(t, row)]["lots"] + t.details[row]["hidden_lots"]


@inlined
def forget_order(t: Tables, row: Number) -> None:
    """Take an order that has left its queue out of its account's list and all counts, and give its row back."""
    detail = t.details[row]
    index = index_of_row(t, row)
    owner = t.accounts[np.int64(t.orderbook.book[index]["account"])]
    following, previous = np.int64(detail["own_next"]), np.int64(detail["own_previous"])
    if previous != 0:
        t.details[previous]["own_next"] = following
    else:
        owner["order_first"] = following
    if following != 0:
        t.details[following]["own_previous"] = previous
    else:
        owner["order_last"] = previous
    owner["order_count"] = np.int64(owner["order_count"]) - ONE
    t.markets[np.int64(detail["market"])]["book_orders"] -= ONE
    t.counters[ORDERS_LIVE] -= ONE
    if np.int64(detail["flags"]) & REDUCE_ONLY:
        position = t.positions[np.int64(detail["position"])]
        position["reduce_only_count"] = np.int64(position["reduce_only_count"]) - ONE
    free_row(t.orderbook, index)


@inlined
def detach_order(t: Tables, row: Number, side: Number) -> Number:
    """Take an order and its hidden lots out of its queue and out of what its account has open; returns its lots.

    It stays in the account's list. The caller forgets it or puts it back.
    """
    detail, index = t.details[row], index_of_row(t, row)
    order = t.orderbook.book[index]
    hidden_lots = detail["hidden_lots"]
    lots = order["lots"] + hidden_lots
    if hidden_lots != 0:
        change_lots(t.orderbook, index, ZERO, -hidden_lots)
    unlink_order(t.orderbook, index)
    charge_quote = -lots * detail["unit_charge_quote"]
    change_orders(t, np.int64(order["account"]), np.int64(detail["position"]), side, -lots, charge_quote)
    return lots


@inlined
def cancel_resting(t: Tables, out: Outputs, row: Number, reason: Number) -> Number:
    """`cancel_order`, compiled into its caller. Side and price come from the level, which is needed anyway."""
    detail, book = t.details[row], t.orderbook
    order = book.book[index_of_row(t, row)]
    account, level = np.int64(order["account"]), np.int64(order["level"])
    side_index = side_of_level(book, level)
    record = out.cancellations[t.counters[CANCELLATION_COUNT]]
    t.counters[CANCELLATION_COUNT] += ONE
    record["order_id"] = order["order_id"]
    record["account"] = account
    record["market"] = side_index >> 1
    record["side"] = side_index & 1
    record["price_ticks"] = rank_of(book, side_index, rank_of_level(book, level))
    record["client_id"] = detail["client_id"]
    record["reason"] = reason
    lots = detach_order(t, row, side_index & 1)
    record["remaining_lots"] = lots
    forget_order(t, row)
    touch(t, out, account, AUX)
    return lots


@kernel
def cancel_order(t: Tables, out: Outputs, row: Number, reason: Number) -> Number:
    """Cancel a resting order and write its row of `out.cancellations`; returns the lots that were open."""
    return cancel_resting(t, out, row, reason)


@kernel
def cut_order(t: Tables, out: Outputs, row: Number, lots: Number) -> None:
    """Make a resting order smaller by fewer lots than it has, hidden ones first; it keeps its place in the queue."""
    detail, index = t.details[row], index_of_row(t, row)
    account = np.int64(t.orderbook.book[index]["account"])
    hidden_lots = min(detail["hidden_lots"], lots)
    change_lots(t.orderbook, index, hidden_lots - lots, -hidden_lots)
    detail["hidden_lots"] -= hidden_lots
    charge_quote = -lots * detail["unit_charge_quote"]
    change_orders(t, account, np.int64(detail["position"]), np.int64(detail["side"]), -lots, charge_quote)
    touch(t, out, account, AUX)


@kernel
def refill_order(t: Tables, row: Number, lots: Number) -> None:
    """An iceberg's shown part has traded, and `lots` in all: show the next part, behind all others of its price."""
    detail, index = t.details[row], index_of_row(t, row)
    shown_lots = t.orderbook.book[index]["lots"]
    detail["hidden_lots"] -= lots - shown_lots
    next_lots = min(detail["display_lots"], detail["hidden_lots"])
    detail["hidden_lots"] -= next_lots
    change_lots(t.orderbook, index, next_lots - shown_lots, shown_lots - lots - next_lots)
    move_to_tail(t.orderbook, index)
    detail["rank"] = t.counters[NEXT_RANK]
    t.counters[NEXT_RANK] += ONE


@inlined
def consume_order(t: Tables, row: Number, lots: Number) -> None:
    """Take traded lots, at most all it has, out of a resting order; its account's sums have them out already."""
    detail, index = t.details[row], index_of_row(t, row)
    shown_lots = t.orderbook.book[index]["lots"]
    detail["filled_lots"] += lots
    if lots < shown_lots:
        change_lots(t.orderbook, index, -lots, ZERO)
    elif lots < shown_lots + detail["hidden_lots"]:
        refill_order(t, row, lots)
    else:
        if lots != shown_lots:
            change_lots(t.orderbook, index, ZERO, shown_lots - lots)
        unlink_order(t.orderbook, index)
        forget_order(t, row)


@kernel
def _pay(t: Tables, out: Outputs, account: Number, fee_quote: Number) -> None:
    move_balance(t, out, account, fee_quote)


@inlined
def _compute_builder_fee(party: Party, value_quote: Number) -> Number:
    return mul_div_ceil(value_quote, party.builder_ppm, MILLION) if party.builder != 0 else ZERO


@kernel
def _charge_liquidation(t: Tables, out: Outputs, market: Number, account: Number, value_quote: Number) -> Number:
    """FEE-4: the taker of a liquidation pays insurance out of its positive equity; returns what it paid."""
    fee_quote = mul_div_ceil(value_quote, t.markets[market]["liquidation_fee_bps"], BPS)
    fee_quote = min(fee_quote, max(compute_equity(t, account), ZERO))
    move_balance(t, out, account, -fee_quote)
    move_balance(t, out, INSURANCE, fee_quote)
    return fee_quote


@inlined
def settle_fill(
    t: Tables,
    out: Outputs,
    market: Number,
    price_ticks: Number,
    lots: Number,
    taker_side: Number,
    maker: Party,
    taker: Party,
    kind: Number,
    time_ms: Number,
) -> None:
    """Exchange money and lots between two parties, charge fees, make both parties' open orders smaller, write the row.

    The book is not touched. Positions of both must be open; `kind` is one of TRADE, LIQUIDATION, UNCROSS, BLOCK_TRADE.
    """
    row = t.markets[market]
    value_quote = price_ticks * row["quote_per_tick_lot"] * lots
    epoch = time_ms // EPOCH_MS
    maker_tier, taker_tier = find_tier(t, maker.account, epoch), find_tier(t, taker.account, epoch)
    taker_quote = compute_taker_fee(t, market, value_quote, lots, taker_tier, kind)
    referrer, referral_quote, rebate_max = np.int64(t.accounts[taker.account]["referrer"]), ZERO, ZERO
    if kind <= BLOCK_TRADE:
        if referrer != 0:
            referral_quote = taker_quote * t.counters[REFERRAL_BPS] // BPS
            _pay(t, out, referrer, referral_quote)
        rebate_max = taker_quote - referral_quote
    maker_quote = compute_maker_fee(t, market, value_quote, lots, maker_tier, rebate_max)
    move_balance(t, out, FEES, maker_quote + taker_quote - referral_quote)
    maker_paid = maker_quote + _compute_builder_fee(maker, value_quote)
    taker_paid = taker_quote + _compute_builder_fee(taker, value_quote)
    if maker.builder != 0:
        _pay(t, out, maker.builder, maker_paid - maker_quote)
    if taker.builder != 0:
        _pay(t, out, taker.builder, taker_paid - taker_quote)
    bought_lots = lots if taker_side == BUY else -lots
    cost_quote = bought_lots * (price_ticks * row["quote_per_tick_lot"] - row["funding_quote"])
    change_exposure(
        t, maker.account, maker.position, -bought_lots, cost_quote - maker_paid, ONE - taker_side,
        -maker.open_lots, -maker.open_lots * maker.unit_charge_quote,
    )  # fmt: skip
    change_exposure(
        t, taker.account, taker.position, bought_lots, -cost_quote - taker_paid, taker_side,
        -taker.open_lots, -taker.open_lots * taker.unit_charge_quote,
    )  # fmt: skip
    if kind == LIQUIDATION:
        taker_paid = _charge_liquidation(t, out, market, taker.account, value_quote)
    elif kind == UNCROSS:
        t.counters[AUCTION_FILL_COUNT] += ONE
    t.accounts[maker.account]["volume_quote"] += value_quote
    t.accounts[taker.account]["volume_quote"] += value_quote
    touch(t, out, maker.account, LEAF_AND_AUX)
    touch(t, out, taker.account, LEAF_AND_AUX)
    row["volume_lots"] += lots
    if kind != BLOCK_TRADE:
        row["last_ticks"] = price_ticks
    _write_fill(t, out, market, price_ticks, lots, taker_side, maker, taker, maker_paid, taker_paid, kind)


@inlined
def _write_fill(
    t: Tables,
    out: Outputs,
    market: Number,
    price_ticks: Number,
    lots: Number,
    taker_side: Number,
    maker: Party,
    taker: Party,
    maker_fee_quote: Number,
    taker_fee_quote: Number,
    kind: Number,
) -> None:
    record = out.fills[t.counters[FILL_COUNT]]
    t.counters[FILL_COUNT] += ONE
    record["market"] = market
    record["price_ticks"] = price_ticks
    record["size_lots"] = lots
    record["maker_account"] = maker.account
    record["taker_account"] = taker.account
    record["maker_order_id"] = maker.order_id
    record["taker_order_id"] = taker.order_id
    record["taker_side"] = taker_side
    record["maker_fee_quote"] = maker_fee_quote
    record["taker_fee_quote"] = taker_fee_quote
    record["is_liquidation"] = np.int64(kind == LIQUIDATION)


@kernel
def cut_reduce_only(t: Tables, out: Outputs, account: Number, market: Number) -> None:
    """Cut an account's reduce-only orders of a market to its holding, or cancel them if they reduce nothing (ORD-6)."""
    position = t.positions[find_position(t, account, market)]
    row = np.int64(t.accounts[account]["order_first"]) if np.int64(position["reduce_only_count"]) != 0 else ZERO
    while row != 0:
        detail = t.details[row]
        following = np.int64(detail["own_next"])
        is_resting = np.int64(t.orderbook.book[index_of_row(t, row)]["level"]) != 0
        if np.int64(detail["flags"]) & REDUCE_ONLY and np.int64(detail["market"]) == market and is_resting:
            lots = count_open_lots(t, row)
            left_lots = -position["lots"] if np.int64(detail["side"]) == BUY else position["lots"]
            if left_lots <= 0:
                cancel_order(t, out, row, FOR_REDUCE_ONLY)
            elif left_lots < lots:
                cut_order(t, out, row, lots - left_lots)
        row = following


@inlined
def cut_both(t: Tables, out: Outputs, market: Number, maker: Party, taker: Party) -> None:
    """After a fill: the maker's reduce-only orders, then the taker's."""
    if np.int64(t.positions[maker.position]["reduce_only_count"]) != 0:
        cut_reduce_only(t, out, maker.account, market)
    if np.int64(t.positions[taker.position]["reduce_only_count"]) != 0:
        cut_reduce_only(t, out, taker.account, market)


@kernel
def note_protected_fill(
    t: Tables, account: Number, market: Number, side: Number, price_ticks: Number, lots: Number, time_ms: Number
) -> None:
    """Add the block's last fill, of a protected resting order, to its account's window. When a maximum is passed,
    `due_fill` becomes that fill's number, counted from 1.
    """
    protection = t.protections[np.int64(t.accounts[account]["protection"])]
    if np.int64(protection["is_live"]) == 0:
        return
    started_ms = protection["window_start_ms"]
    if started_ms == 0 or time_ms >= started_ms + protection["window_ms"]:
        protection["window_start_ms"] = time_ms
        protection["quote_sum"] = protection["delta_quote_sum"] = protection["vega_quote_sum"] = ZERO
    row = t.markets[market]
    held_lots = lots if side == BUY else -lots
    protection["quote_sum"] += price_ticks * row["quote_per_tick_lot"] * lots
    protection["delta_quote_sum"] += held_lots * row["delta_unit"]
    protection["vega_quote_sum"] += held_lots * row["vega_unit"]
    is_over = 0 < protection["quote_max"] < protection["quote_sum"]
    is_over |= 0 < protection["delta_quote_max"] < abs(protection["delta_quote_sum"])
    is_over |= 0 < protection["vega_quote_max"] < abs(protection["vega_quote_sum"])
    if is_over and np.int64(protection["due_fill"]) == 0:
        protection["due_fill"] = t.counters[FILL_COUNT]


@kernel
def trip_protection(t: Tables, out: Outputs, account: Number, fill: Number, time_ms: Number) -> None:
    """If an account passed a maximum by a fill (counted from 1): cancel its protected orders and freeze new ones. The
    window is then empty.
    """
    protection = t.protections[np.int64(t.accounts[account]["protection"])]
    if np.int64(protection["is_live"]) == 0 or np.int64(protection["due_fill"]) != fill:
        return
    protection["due_fill"] = ZERO
    protection["window_start_ms"] = ZERO
    protection["quote_sum"] = protection["delta_quote_sum"] = protection["vega_quote_sum"] = ZERO
    frozen_until_ms = time_ms + protection["freeze_ms"] if protection["freeze_ms"] != 0 else FOR_EVER
    protection["frozen_until_ms"] = frozen_until_ms
    notify(t, out, PROTECTION_NOTICE, account, frozen_until_ms, ZERO, ZERO, ZERO)
    row = np.int64(t.accounts[account]["order_first"])
    while row != 0:
        following = np.int64(t.details[row]["own_next"])
        if np.int64(t.details[row]["flags"]) & UNDER_PROTECTION:
            cancel_order(t, out, row, FOR_PROTECTION)
        row = following
    touch(t, out, account, AUX)


@kernel
def trip_protections(t: Tables, out: Outputs, first_fill: Number, time_ms: Number) -> None:
    """Trip what became due by the block's fills from `first_fill` (counted from 0) on, in their order, makers first."""
    for at in range(first_fill, t.counters[FILL_COUNT]):
        trip_protection(t, out, out.fills[at]["maker_account"], at + ONE, time_ms)
        trip_protection(t, out, out.fills[at]["taker_account"], at + ONE, time_ms)


@inlined
def make_party(t: Tables, row: Number, lots: Number) -> Party:
    """A resting order that trades some of its lots."""
    detail, order = t.details[row], t.orderbook.book[index_of_row(t, row)]
    builder = np.int64(detail["builder"])
    builder_ppm = detail["builder_ppm"] if builder != 0 else ZERO
    return Party(
        np.int64(order["account"]), np.int64(detail["position"]), order["order_id"], lots,
        detail["unit_charge_quote"], builder, builder_ppm,
    )  # fmt: skip


@kernel
def _meet_own(t: Tables, out: Outputs, row: Number, self_trade_mode: Number, left_lots: Number) -> tuple[Number, Truth]:
    """A taker meets an order of its own account (ORD-5); returns by how much the taker shrinks and whether it ends."""
    if self_trade_mode == CANCEL_TAKER:
        return ZERO, True
    if self_trade_mode != DECREMENT:
        cancel_order(t, out, row, FOR_SELF_TRADE)
        return ZERO, self_trade_mode == CANCEL_BOTH
    lots = count_open_lots(t, row)
    if lots <= left_lots:
        cancel_order(t, out, row, FOR_SELF_TRADE)
        return lots, lots == left_lots
    cut_order(t, out, row, left_lots)
    return left_lots, True


@inlined
def walk_book(
    t: Tables,
    out: Outputs,
    market: Number,
    side: Number,
    limit_ticks: Number,
    size_lots: Number,
    taker: Party,
    self_trade_mode: Number,
    kind: Number,
    is_whole: Truth,
    time_ms: Number,
) -> tuple[Number, Number, Number, Truth]:
    """`match_order`, compiled into its caller."""
    book, base, other = t.orderbook, len(t.orderbook.blocks) * LEVELS_PER_BLOCK, market * 2 + ONE - side
    limit_rank = rank_of(book, other, limit_ticks)
    left_lots, lost_lots, filled_value = size_lots, ZERO, ZERO
    is_ended: Truth = False
    while left_lots > 0 and best_rank(book, other) <= limit_rank:
        index = head_of(book, best_level(book, other))
        row, account = index - base, np.int64(book.book[index]["account"])
        reason = find_dead_reason(t, account, row, time_ms)
        if reason >= 0:
            cancel_order(t, out, row, reason)
            continue
        if account == taker.account:
            shrunk_lots, is_ended = _meet_own(t, out, row, self_trade_mode, left_lots)
            left_lots -= shrunk_lots
            lost_lots += shrunk_lots
            if is_ended:
                break
            continue
        if t.counters[FILL_COUNT] - t.counters[AUCTION_FILL_COUNT] >= FILLS_MAX:
            is_ended = True
            break
        price_ticks = rank_of(book, other, best_rank(book, other))
        lots = min(left_lots, book.book[index]["lots"])
        maker = make_party(t, row, lots)
        is_protected = np.int64(t.details[row]["flags"]) & UNDER_PROTECTION
        settle_fill(t, out, market, price_ticks, lots, side, maker, taker, kind, time_ms)
        consume_order(t, row, lots)
        cut_both(t, out, market, maker, taker)
        if is_protected:
            note_protected_fill(t, account, market, ONE - side, price_ticks, lots, time_ms)
            if not is_whole:
                trip_protection(t, out, account, t.counters[FILL_COUNT], time_ms)
        left_lots -= lots
        filled_value += price_ticks * lots
    return size_lots - left_lots - lost_lots, lost_lots, filled_value, is_ended


@kernel
def match_order(
    t: Tables,
    out: Outputs,
    market: Number,
    side: Number,
    limit_ticks: Number,
    size_lots: Number,
    taker: Party,
    self_trade_mode: Number,
    kind: Number,
    is_whole: Truth,
    time_ms: Number,
) -> tuple[Number, Number, Number, Truth]:
    """Trade up to `size_lots` at `limit_ticks` or better (MAT-1). `taker` has no open lots here.

    Returns filled lots, lots lost to own orders, the sum of price x lots, and whether the order has to end here, so
    that nothing of it may rest (ORD-5, MAT-4). With `is_whole` protections are noted but not tripped; the caller does
    that by `trip_protections`.
    """
    return walk_book(t, out, market, side, limit_ticks, size_lots, taker, self_trade_mode, kind, is_whole, time_ms)


@kernel
def close_on_book(
    t: Tables, out: Outputs, market: Number, side: Number, limit_ticks: Number, size_lots: Number, account: Number,
    time_ms: Number,
) -> Number:  # fmt: skip
    """Close a part of a holding for a liquidation (LIQ-2), immediate or cancel; returns filled lots."""
    taker = Party(account, find_position(t, account, market), ZERO, ZERO, ZERO, ZERO, ZERO)
    filled_lots, _, _, _ = match_order(
        t, out, market, side, limit_ticks, size_lots, taker, np.int64(CANCEL_MAKER), LIQUIDATION, False, time_ms
    )
    return filled_lots


@kernel
def fillable_lots(
    t: Tables, market: Number, side: Number, limit_ticks: Number, account: Number, time_ms: Number, need_lots: Number
) -> Number:
    """Lots that an order of `side` is sure to get within its limit (312): hidden ones count, own and reduce-only orders
    and those that may no longer trade do not. Stops counting at `need_lots`.
    """
    book, other = t.orderbook, market * 2 + ONE - side
    limit_rank, found_lots = rank_of(book, other, limit_ticks), ZERO
    level = best_level(book, other)
    while level != 0 and rank_of_level(book, level) <= limit_rank and found_lots < need_lots:
        index = head_of(book, level)
        while index != 0 and found_lots < need_lots:
            row, maker = row_of_index(t, index), np.int64(book.book[index]["account"])
            is_certain = maker != account and np.int64(t.details[row]["flags"]) & REDUCE_ONLY == 0
            if is_certain and find_dead_reason(t, maker, row, time_ms) < 0:
                found_lots += book.book[index]["lots"] + t.details[row]["hidden_lots"]
            index = next_order(book, index)
        level = next_level(book, level)
    return min(found_lots, need_lots)
