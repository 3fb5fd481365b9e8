"""What an account held in the past, and which of its orders are remembered."""

from pathlib import Path

import numpy as np
import pytest

from engine.commands import BUY, SELL
from net.gateway.backend import FillView
from validator.closed_orders import ClosedOrders
from validator.history import first_place
from validator.movements import Past
from validator.order_memory import KNOWN_ORDER
from validator.store import Store


def fill(height: int, side: int, size_lots: int, market: int = 0) -> FillView:
    return FillView(1, market, 2, 0, 3, side, False, 100, size_lots, 5, height, 7)


# Newest first: 5 bought in block 3, 2 sold in block 5, 4 bought in block 8; 7 are held.
FILLS = [fill(8, BUY, 4), fill(5, SELL, 2), fill(3, BUY, 5)]


@pytest.mark.parametrize(("height", "lots"), [(3, 0), (4, 5), (5, 5), (6, 3), (8, 3), (9, 7)])
def test_what_was_held_when_a_block_began(height: int, lots: int) -> None:
    assert Past({0: 7}, FILLS, True).lots_before(0, height, None) == lots


def test_a_settled_market_holds_nothing_now_and_all_trades_before() -> None:
    past = Past({}, [fill(8, BUY, 4, 1), fill(3, SELL, 6, 1)], True)
    assert past.lots_before(1, 10, 10) == -2
    assert past.lots_before(1, 5, 10) == -6


def test_beyond_the_trades_that_are_known_nothing_is_said() -> None:
    past = Past({0: 7}, FILLS, False)
    assert past.lots_before(0, 3, None) is None and past.lots_before(0, 5, None) == 5
    assert past.lots_before(1, 9, 9) is None


def left(*rows: tuple[int, int, int]) -> np.ndarray:
    """Orders that left: account, id, what they traded."""
    orders = np.zeros(len(rows), KNOWN_ORDER)
    for at, (account, order_id, filled_value) in enumerate(rows):
        orders["account"][at], orders["order_id"][at], orders["filled_value"][at] = account, order_id, filled_value
    return orders


def ids(closed: ClosedOrders, account: int, count: int = 10) -> list[int]:
    return [int(row["order_id"]) for row in closed.walk(account, count)]


def test_orders_that_traded_are_a_chain_of_each_account_and_survive(tmp_path: Path) -> None:
    store = Store(tmp_path / "blocks.sqlite")
    closed = ClosedOrders(store, 0, 100)
    closed.add(1, left((64, 1, 5), (65, 2, 5), (64, 3, 0), (64, 4, 5)))
    closed.add(2, left((65, 5, 0)))
    many = [(64 + at % 2, 100 + at, 1) for at in range(1_200)]
    closed.add(3, left(*many))
    expected = [order_id for account, order_id, _ in reversed(many) if account == 64] + [4, 1]
    assert ids(closed, 64, 10_000) == expected and ids(closed, 64, 2) == expected[:2]
    assert ids(closed, 66) == []
    again = ClosedOrders(store, 3, 100)
    assert ids(again, 64, 10_000) == expected
    # As of a lower height, what came later is not there, and is the same when it comes again.
    lower = ClosedOrders(store, 2, 100)
    assert ids(lower, 64) == [4, 1]
    lower.add(3, left(*many))
    assert ids(lower, 65, 10_000) == ids(again, 65, 10_000)
    assert int(next(again.walk(64, 1))["previous"]) < first_place(4)
