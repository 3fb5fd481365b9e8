"""What lots have cost, told from the trades that made them."""

import pytest

from engine.commands import BUY, SELL
from net.gateway.account_data import HoldingsCost
from net.gateway.backend import FillView
from validator.holdings_cost import compute_costs

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
