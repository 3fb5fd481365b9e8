"""What lots have cost, told from the trades that made them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.commands import BUY, SELL
from net.gateway.account_data import HoldingsCost
from net.gateway.backend import FillView
from validator.holdings_cost import compute_costs, continue_costs

UNIT = 100


def fill(side: int, price_ticks: int, size_lots: int, market: int = 0) -> FillView:
    return FillView(1, market, 2, 0, 3, side, False, price_ticks, size_lots, 5, 6, 7)


# Trades oldest first, lots held now, what they cost and what was realised, in quote of `UNIT` a tick and lot.
CASES = [
    ("one buy", [fill(BUY, 10, 4)], 4, (40, 0)),
    ("two buys", [fill(BUY, 10, 4), fill(BUY, 20, 4)], 8, (120, 0)),
    ("half sold dearer", [fill(BUY, 10, 4), fill(SELL, 15, 2)], 2, (20, 10)),
    ("sold, bought again", [fill(BUY, 10, 4), fill(SELL, 15, 4), fill(BUY, 12, 1)], 1, (12, 0)),
    ("turned around", [fill(BUY, 10, 4), fill(SELL, 15, 6)], -2, (-30, 0)),
    ("a short closed in part", [fill(SELL, 20, 4), fill(BUY, 15, 1)], -3, (-60, 5)),
    ("average of a short", [fill(SELL, 20, 2), fill(SELL, 30, 2), fill(BUY, 20, 2)], -2, (-50, 10)),
]


@pytest.mark.parametrize(("what", "trades", "held", "expected"), CASES, ids=[case[0] for case in CASES])
def test_cost_is_the_average_of_what_is_held(what: str, trades: list[FillView], held: int, expected: tuple) -> None:
    noise = [fill(BUY, 99, 9, market=1), *trades[::-1], fill(SELL, 98, 9, market=1)]
    entry, realized = expected
    assert compute_costs({0: held}, noise, {0: UNIT}) == {0: HoldingsCost(entry * UNIT, realized * UNIT)}, what


def test_nothing_is_said_of_what_the_trades_do_not_explain() -> None:
    assert compute_costs({0: 5}, [fill(BUY, 10, 4)], {0: UNIT}) == {}
    assert compute_costs({}, [fill(BUY, 10, 4)], {}) == {}
    # Older trades than those that began the position do not matter.
    assert compute_costs({0: 4}, [fill(BUY, 10, 4), fill(BUY, 50, 1)], {0: UNIT}) == {0: HoldingsCost(40 * UNIT, 0)}


def held_after(trades: list[FillView]) -> dict[int, int]:
    held: dict[int, int] = {}
    for trade in trades:
        change = trade.size_lots if trade.side == BUY else -trade.size_lots
        held[trade.market] = held.get(trade.market, 0) + change
    return {market: lots for market, lots in held.items() if lots}


ANY_TRADE = st.builds(
    fill, st.sampled_from((BUY, SELL)), st.integers(1, 9), st.integers(1, 5), market=st.sampled_from((0, 1))
)


@given(trades=st.lists(ANY_TRADE, max_size=30), looks=st.lists(st.integers(0, 30), max_size=8))
def test_what_was_known_and_the_newest_trades_say_what_all_trades_say(trades: list[FillView], looks: list[int]) -> None:
    units = {0: UNIT, 1: 7}
    seen, held, costs = 0, dict[int, int](), dict[int, HoldingsCost]()
    for at in [*sorted(min(look, len(trades)) for look in looks), len(trades)]:
        newer, held_before = trades[seen:at], held
        held = held_after(trades[:at])
        found = continue_costs(held_before, costs, held, newer[::-1], units)
        assert found == compute_costs(held, trades[:at][::-1], units)
        assert found is not None
        seen, costs = at, found


def test_a_position_that_changed_without_trades_needs_another_look() -> None:
    known = {0: HoldingsCost(40 * UNIT, 0)}
    assert continue_costs({0: 4}, known, {0: 3}, [], {0: UNIT}) is None  # deleveraged
    assert continue_costs({0: 4}, {}, {0: 5}, [fill(BUY, 10, 1)], {0: UNIT}) is None  # was not known before
    # What began since is told without it.
    assert continue_costs({0: 4}, {}, {0: -1}, [fill(SELL, 10, 5)], {0: UNIT}) == {0: HoldingsCost(-10 * UNIT, 0)}
