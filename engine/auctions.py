"""Auctions: orders gather without matching, then all that can trade does so at one price (MAT-3).

The price is the one with the largest volume; of several that with the smallest imbalance, then the nearest to the mark,
then the lowest. Matching best buys against best sells until they no longer cross gives the volume and the last level
used on each side. Prices between those two have the largest volume and no others do. Inside that interval further buy
levels and further sell levels cannot both exist below one another, so imbalance grows away from where the two sides
meet: only the two last levels and the one behind each can be the answer, and four sums decide.
"""

import numpy as np

from engine.commands import UNDER_PROTECTION
from engine.compiling import inlined, kernel
from engine.execution import (
    cancel_order,
    count_open_lots,
    cut_both,
    find_dead_reason,
    forget_order,
    index_of_row,
    make_party,
    note_protected_fill,
    refill_order,
    row_of_index,
    settle_fill,
    trip_protections,
)
from engine.fees import UNCROSS
from engine.notices import notify
from engine.orderbook import (
    best_level,
    change_lots,
    head_of,
    next_level,
    next_order,
    rank_of,
    rank_of_level,
    unlink_order,
)
from engine.phases import set_market_phase
from engine.tables import (
    FILL_COUNT,
    MARKET_COUNT,
    NOTICE_AUCTION,
    PHASE_AUCTION,
    PHASE_CONTINUOUS,
    Number,
    Outputs,
    Tables,
    Truth,
)

ZERO, ONE = np.int64(0), np.int64(1)
CONTINUOUS, AUCTION_NOTICE = np.int64(PHASE_CONTINUOUS), np.int64(NOTICE_AUCTION)


@inlined
def level_ticks(t: Tables, market: Number, side: Number, level: Number) -> Number:
    """Price of a level that has orders."""
    return rank_of(t.orderbook, market * 2 + side, rank_of_level(t.orderbook, level))


@kernel
def sum_lots(t: Tables, market: Number, side: Number, limit_ticks: Number) -> Number:
    """Lots, hidden ones included, that a side would trade at a price: buys at or above, sells at or below it."""
    total: Number = ZERO
    level = best_level(t.orderbook, market * 2 + side)
    while level != 0:
        price_ticks = level_ticks(t, market, side, level)
        if price_ticks < limit_ticks if side == 0 else price_ticks > limit_ticks:
            break
        total += t.orderbook.book[level]["lots"]
        level = next_level(t.orderbook, level)
    return total


@kernel
def _find_last_levels(t: Tables, market: Number) -> tuple[Number, Number]:
    """The worst buy and sell levels that trade when as much as possible trades; (0, 0) if nothing crosses."""
    buy, sell = best_level(t.orderbook, market * 2), best_level(t.orderbook, market * 2 + 1)
    last_buy: Number = ZERO
    last_sell: Number = ZERO
    buy_lots, sell_lots = t.orderbook.book[buy]["lots"], t.orderbook.book[sell]["lots"]
    while buy != 0 and sell != 0 and level_ticks(t, market, ZERO, buy) >= level_ticks(t, market, ONE, sell):
        last_buy, last_sell = buy, sell
        lots = min(buy_lots, sell_lots)
        buy_lots -= lots
        sell_lots -= lots
        if buy_lots == 0:
            buy = next_level(t.orderbook, buy)
            buy_lots = t.orderbook.book[buy]["lots"]
        if sell_lots == 0:
            sell = next_level(t.orderbook, sell)
            sell_lots = t.orderbook.book[sell]["lots"]
    return last_buy, last_sell


@kernel
def _anchor_e8(t: Tables, market: Number) -> Number:
    """The price that ties lean to: the mark, before the first one the last price; -1 without either."""
    row = t.markets[market]
    if row["mark_ms"] != 0:
        return row["mark_e8"]
    return row["last_ticks"] * row["tick_e8"] if row["last_ticks"] != 0 else -ONE


@kernel
def _is_better(t: Tables, market: Number, ticks: Number, best_ticks: Number) -> Truth:
    """Whether one price beats another (0: none yet) by volume, imbalance, distance from the anchor, lowness."""
    if best_ticks == 0:
        return True
    buys, sells = sum_lots(t, market, ZERO, ticks), sum_lots(t, market, ONE, ticks)
    best_buys, best_sells = sum_lots(t, market, ZERO, best_ticks), sum_lots(t, market, ONE, best_ticks)
    if min(buys, sells) != min(best_buys, best_sells):
        return min(buys, sells) > min(best_buys, best_sells)
    imbalance_lots = max(buys - sells, sells - buys)
    best_imbalance_lots = max(best_buys - best_sells, best_sells - best_buys)
    if imbalance_lots != best_imbalance_lots:
        return imbalance_lots < best_imbalance_lots
    anchor_e8, tick_e8 = _anchor_e8(t, market), t.markets[market]["tick_e8"]
    away_e8, best_away_e8 = abs(ticks * tick_e8 - anchor_e8), abs(best_ticks * tick_e8 - anchor_e8)
    if anchor_e8 >= 0 and away_e8 != best_away_e8:
        return away_e8 < best_away_e8
    return ticks < best_ticks


@kernel
def find_auction_price(t: Tables, market: Number) -> Number:
    """The price in ticks at which a market would uncross, 0 if no orders cross."""
    last_buy, last_sell = _find_last_levels(t, market)
    if last_buy == 0:
        return ZERO
    highest = level_ticks(t, market, ZERO, last_buy)
    lowest = level_ticks(t, market, ONE, last_sell)
    best: Number = ZERO
    if _is_better(t, market, lowest, best):
        best = lowest
    if _is_better(t, market, highest, best):
        best = highest
    behind = next_level(t.orderbook, last_buy)
    if behind != 0 and level_ticks(t, market, ZERO, behind) >= lowest:
        ticks = level_ticks(t, market, ZERO, behind)
        if _is_better(t, market, ticks, best):
            best = ticks
    behind = next_level(t.orderbook, last_sell)
    if behind != 0 and level_ticks(t, market, ONE, behind) <= highest:
        ticks = level_ticks(t, market, ONE, behind)
        if _is_better(t, market, ticks, best):
            best = ticks
    return best


@kernel
def cancel_dead_orders(t: Tables, out: Outputs, market: Number, time_ms: Number) -> None:
    """Cancel every order of a market that may no longer trade (ORD-7): buys first, best first."""
    orderbook = t.orderbook
    for side_index in range(market * 2, market * 2 + 2):
        level = best_level(orderbook, np.int64(side_index))
        while level != 0:
            following_level = next_level(orderbook, level)
            index = head_of(orderbook, level)
            while index != 0:
                following, row = next_order(orderbook, index), row_of_index(t, index)
                reason = find_dead_reason(t, np.int64(orderbook.book[index]["account"]), row, time_ms)
                if reason >= 0:
                    cancel_order(t, out, row, reason)
                index = following
            level = following_level


@kernel
def _take_in_place(t: Tables, row: Number, lots: Number) -> None:
    """Take traded lots out of an order, shown ones first. In an uncross an iceberg keeps its place to its last lot."""
    detail, index = t.details[row], index_of_row(t, row)
    shown_lots = min(t.orderbook.book[index]["lots"], lots)
    hidden_lots = lots - shown_lots
    detail["filled_lots"] += lots
    detail["hidden_lots"] -= hidden_lots
    change_lots(t.orderbook, index, -shown_lots, -hidden_lots)
    if count_open_lots(t, row) == 0:
        unlink_order(t.orderbook, index)
        forget_order(t, row)


@kernel
def _cross(
    t: Tables,
    out: Outputs,
    market: Number,
    price_ticks: Number,
    lots: Number,
    buy: Number,
    sell: Number,
    time_ms: Number,
) -> None:
    """Trade between two resting orders, by row; the younger one counts as taker. Protections are noted, not tripped."""
    is_buy_older = t.details[buy]["rank"] < t.details[sell]["rank"]
    maker_row, taker_row = (buy, sell) if is_buy_older else (sell, buy)
    taker_side = ONE if is_buy_older else ZERO
    maker, taker = make_party(t, maker_row, lots), make_party(t, taker_row, lots)
    is_maker_protected = np.int64(t.details[maker_row]["flags"]) & UNDER_PROTECTION
    is_taker_protected = np.int64(t.details[taker_row]["flags"]) & UNDER_PROTECTION
    settle_fill(t, out, market, price_ticks, lots, taker_side, maker, taker, UNCROSS, time_ms)
    _take_in_place(t, maker_row, lots)
    _take_in_place(t, taker_row, lots)
    cut_both(t, out, market, maker, taker)
    if is_maker_protected:
        note_protected_fill(t, maker.account, market, ONE - taker_side, price_ticks, lots, time_ms)
    if is_taker_protected:
        note_protected_fill(t, taker.account, market, taker_side, price_ticks, lots, time_ms)


@kernel
def _show_next_part(t: Tables, market: Number, side: Number) -> None:
    """The best order of a side, if it is an iceberg whose shown part has traded, comes to rest again (ORD-3)."""
    level = best_level(t.orderbook, market * 2 + side)
    if level != 0:
        index = head_of(t.orderbook, level)
        if t.orderbook.book[index]["lots"] == 0:
            refill_order(t, row_of_index(t, index), ZERO)


@kernel
def _uncross_once(t: Tables, out: Outputs, market: Number, time_ms: Number) -> Truth:
    """Trade at the one price, in order of price and time; False if nothing crosses. A notice: price, lots."""
    price_ticks = find_auction_price(t, market)
    if price_ticks == 0:
        return False
    volume_lots = min(sum_lots(t, market, ZERO, price_ticks), sum_lots(t, market, ONE, price_ticks))
    left_lots, first_fill = volume_lots, t.counters[FILL_COUNT]
    while left_lots > 0:
        buy_level, sell_level = best_level(t.orderbook, market * 2), best_level(t.orderbook, market * 2 + 1)
        if buy_level == 0 or sell_level == 0:
            break
        if (
            level_ticks(t, market, ZERO, buy_level) < price_ticks
            or level_ticks(t, market, ONE, sell_level) > price_ticks
        ):
            break
        buy = row_of_index(t, head_of(t.orderbook, buy_level))
        sell = row_of_index(t, head_of(t.orderbook, sell_level))
        lots = min(left_lots, count_open_lots(t, buy), count_open_lots(t, sell))
        _cross(t, out, market, price_ticks, lots, buy, sell, time_ms)
        left_lots -= lots
    _show_next_part(t, market, ZERO)
    _show_next_part(t, market, ONE)
    trip_protections(t, out, first_fill, time_ms)
    notify(t, out, AUCTION_NOTICE, market, price_ticks, volume_lots - left_lots, ZERO, ZERO)
    return True


@kernel
def uncross(t: Tables, out: Outputs, market: Number, time_ms: Number) -> None:
    """Cancel what may no longer trade, then trade all that crosses. Reduce-only cuts and protections change the book
    under way, so prices may still cross after one round; every round trades at least one lot.
    """
    cancel_dead_orders(t, out, market, time_ms)
    while _uncross_once(t, out, market, time_ms):
        pass


@kernel
def run_auctions(t: Tables, out: Outputs, time_ms: Number) -> None:
    """End the auctions whose time has come: uncross, then continuous (PHA-2)."""
    for number in range(t.counters[MARKET_COUNT]):
        row = t.markets[number]
        if row["is_listed"] != 0 and row["phase"] == PHASE_AUCTION and time_ms >= row["phase_until_ms"]:
            uncross(t, out, np.int64(number), time_ms)
            set_market_phase(t, out, np.int64(number), CONTINUOUS, ZERO)
