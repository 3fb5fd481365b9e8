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


def _signed(fill: FillView) -> int:
    return fill.size_lots if fill.side == BUY else -fill.size_lots


def _replay(held: int, fills: list[FillView], quote_unit: int) -> HoldingsCost:
    """`held` is nothing, or what the first trade turned around."""
    entry_quote, realized_quote = 0, 0
    for at, fill in enumerate(fills):
        change, value_unit = _signed(fill), fill.price_ticks * quote_unit
        after = held + change
        if at == 0 or after * held < 0:
            # What is closed of the old position is realised, unless this is where the story begins.
            realized_quote += 0 if at == 0 else held * value_unit - entry_quote
            entry_quote = after * value_unit
        elif held * change >= 0:
            entry_quote += change * value_unit
        else:
            closed_quote = entry_quote * -change // held
            realized_quote += -change * value_unit - closed_quote
            entry_quote -= closed_quote
        held = after
    return HoldingsCost(entry_quote, realized_quote)
