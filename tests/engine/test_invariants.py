"""Every invariant, broken on purpose, stops the engine before anything is returned."""

import numpy as np
import pytest
from engine.layout import (
    BALANCE,
    BOOK_ORDERS,
    LEVEL_LOTS,
    LEVEL_TICKS,
    MARK,
    OPEN_INTEREST,
    ORDER_COUNT,
    POSITION_COUNT,
    POSITION_LOTS,
    SIZE_LOTS,
)
from tests.engine.test_rules import ALICE, BOB, answers, funded, place
from tests.engine.test_rules import MARK as MARK_TICKS

from engine.apply import InvariantBroken, execute
from engine.commands import BUY, SELL
from engine.invariants import check_orders
from engine.limits import BALANCE_QUOTE_MAX, INSURANCE_ACCOUNT
from tests.engine.blocks import block


@pytest.fixture(scope="module")
def traded():
    """Alice is 10 long against Bob, one order of Alice rests."""
    state, _ = answers(funded(), place(ALICE, 1, BUY, MARK_TICKS, 30), place(BOB, 1, SELL, MARK_TICKS, 10))
    return state


def spoil(table: str, index: tuple, change: int):
    def apply(state) -> None:
        getattr(state.tables, table)[index] += change

    return apply


ROWS = [
    ("money from nowhere", spoil("accounts", (64, BALANCE), 1), "balances sum to"),
    ("a balance beyond all", spoil("accounts", (64, BALANCE), BALANCE_QUOTE_MAX + 1), "out of bounds"),
    ("insurance in debt", spoil("accounts", (INSURANCE_ACCOUNT, BALANCE), -1), "negative"),
    ("a position from nowhere", spoil("positions", (64, 0, POSITION_LOTS), 1), "sum to zero"),
    ("a wrong open interest", spoil("markets", (0, OPEN_INTEREST), 1), "open interest"),
    ("a position too large", spoil("positions", (64, 0, POSITION_LOTS), 1_000_000), "larger than allowed"),
    ("no price under positions", spoil("markets", (0, MARK), -MARK_TICKS), "without a price"),
    ("a level with other lots", spoil("levels", (0, 0, 0, LEVEL_LOTS), 1), "differ"),
    ("a level without a price", spoil("levels", (0, 0, 0, LEVEL_TICKS), -MARK_TICKS), "a level is empty"),
    ("a book of other size", spoil("markets", (0, BOOK_ORDERS), 1), "counts of orders"),
    ("an account with other orders", spoil("accounts", (64, ORDER_COUNT), 1), "counts of orders"),
    ("an account with other positions", spoil("accounts", (64, POSITION_COUNT), 1), "counts of positions"),
]


@pytest.mark.parametrize(("change", "message"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_a_broken_invariant_stops_the_engine(traded, change, message) -> None:
    state = traded.copy()
    change(state)
    with pytest.raises(InvariantBroken, match=message):
        execute(state, block(state, step_ms=60_000))


def test_claims_and_debts_must_be_the_balances(traded) -> None:
    """A stale leaf: the tree says something else than the accounts."""
    state = traded.copy()
    state.tables.node_sums[len(state.tables.accounts) + 65] += np.int64(5), np.int64(0)
    state.tables.accounts[64, 9] = 1
    with pytest.raises(InvariantBroken, match="claims"):
        execute(state, block(state, step_ms=60_000))


def test_the_dear_check_sees_every_order(traded) -> None:
    state = traded.copy()
    assert check_orders(state.tables) == 0
    state.tables.orders[0, SIZE_LOTS] += 1
    assert check_orders(state.tables) == 7
    state.tables.orders[0, SIZE_LOTS] = 0
    assert check_orders(state.tables) == 9
