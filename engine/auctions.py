"""Auctions: orders gather without matching, then all that can trade does so at one price (MAT-3).

The price is the one with the largest volume; of several that with the smallest imbalance, then the nearest to the mark,
then the lowest. Matching best buys against best sells until they no longer cross gives the volume and the last level
used on each side. Prices between those two have the largest volume and no others do. Inside that interval further buy
levels and further sell levels cannot both exist below one another, so imbalance grows away from where the two sides
meet: only the two last levels and the one behind each can be the answer, and four sums decide.
"""

import numpy as np

from engine.compiling import inlined, kernel
from engine.orderbook import best_level, next_level, rank_of, rank_of_level
from engine.tables import Number, Tables, Truth

ZERO, ONE = np.int64(0), np.int64(1)


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
    imbalance_lots: Number = abs(buys - sells)
    best_imbalance_lots: Number = abs(best_buys - best_sells)
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
