"""What an account's lots have cost: its trades, newest first, back to where it held nothing, then forward by average.

A part of a position that is closed realises its price against the average of what was held; a position that turns
begins anew at the price that turned it. Fees and funding are not in it. Trades that leave no word (deleveraging) make
the sum of the trades differ from what is held: then nothing is said.
"""

from collections.abc import Iterable, Mapping

from engine.commands import BUY
from net.gateway.account_data import HoldingsCost
from net.gateway.backend import FillView

# How far back it is looked.
TRADES_MAX = 2_000


def compute_costs(
    lots_held: Mapping[int, int], newest_first: Iterable[FillView], quote_per_tick_lot: Mapping[int, int]
) -> dict[int, HoldingsCost]:
    """By market, of those whose holding is explained by the trades. `lots_held` has what is not zero."""
    before = dict(lots_held)  # what was held before the trades seen so far
    own: dict[int, list[FillView]] = {market: [] for market in lots_held}
    missing = set(lots_held)
    for fill in newest_first:
        if fill.market not in missing:
            continue
        own[fill.market].append(fill)
        held_before = before[fill.market] - _signed(fill)
        if held_before * before[fill.market] <= 0:
            missing.discard(fill.market)
        before[fill.market] = held_before
        if not missing:
            break
    return {
        market: _replay(before[market], fills[::-1], quote_per_tick_lot[market])
        for market, fills in own.items() if market not in missing
    }  # fmt: skip


def continue_costs(
    lots_before: Mapping[int, int], costs_before: Mapping[int, HoldingsCost], lots_held: Mapping[int, int],
    newest_first: Iterable[FillView], quote_per_tick_lot: Mapping[int, int],
) -> dict[int, HoldingsCost] | None:  # fmt: skip
    """What `compute_costs` says of all trades, from what it said before the last few; None when those do not lead from
    the one to the other, so that all have to be looked at.
    """
    newer: dict[int, list[FillView]] = {market: [] for market in lots_held}
    for fill in newest_first:
        if fill.market in newer:
            newer[fill.market].append(fill)
    found = {}
    for market, fills in newer.items():
        begun_since = compute_costs({market: lots_held[market]}, fills, quote_per_tick_lot)
        before = lots_held[market] - sum(map(_signed, fills))
        if begun_since:
            found.update(begun_since)
        elif market in costs_before and lots_before[market] == before:
            found[market] = _trade_on(before, costs_before[market], fills[::-1], quote_per_tick_lot[market])
        else:
            return None
    return found


def _signed(fill: FillView) -> int:
    return fill.size_lots if fill.side == BUY else -fill.size_lots


def _replay(held: int, fills: list[FillView], quote_unit: int) -> HoldingsCost:
    """`held` is nothing, or what the first trade turned around: what is closed of that is not told of."""
    held += _signed(fills[0])
    return _trade_on(held, HoldingsCost(held * fills[0].price_ticks * quote_unit, 0), fills[1:], quote_unit)


def _trade_on(held: int, cost: HoldingsCost, fills: list[FillView], quote_unit: int) -> HoldingsCost:
    """Trades of a position that none of them turns, oldest first."""
    entry_quote, realized_quote = cost.entry_value_quote, cost.realized_quote
    for fill in fills:
        change, value_unit = _signed(fill), fill.price_ticks * quote_unit
        if held * change >= 0:
            entry_quote += change * value_unit
        else:
            closed_quote = entry_quote * -change // held
            realized_quote += -change * value_unit - closed_quote
            entry_quote -= closed_quote
        held += change
    return HoldingsCost(entry_quote, realized_quote)
