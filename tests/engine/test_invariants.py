"""Every invariant, broken on purpose, stops the engine before anything is returned (docs/spec.md, INV)."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from engine.allocate import make_outputs
from engine.apply import InvariantBroken, execute
from engine.commands import BUY, SELL
from engine.invariants import BROKEN, audit, audit_tables, check_block, require_invariants
from engine.limits import BALANCE_QUOTE_MAX, POSITION_QUOTE_MAX
from engine.orderbook import LEVELS_PER_BLOCK, NO_RANK
from engine.state import EngineState
from engine.tables import DIRTY_COUNT, FEE_ACCOUNT, INSURANCE_ACCOUNT, ORDERS_LIVE, POSITIONS_OPEN
from tests.engine.blocks import ALICE, BOB, BTC, MARK, answers, block, funded, place
from tests.engine.days import live, write_day

(
    _, BALANCE, SYSTEM_IN_DEBT, SUM_OF_POSITIONS, COLLATERAL, WORTH, NO_MARK, OPEN_LOTS, CHARGES, LEVEL, ORDER_COUNT,
    POSITION_COUNT, OPEN_INTEREST,
) = range(len(BROKEN))  # fmt: skip
A, B = 64, 65
Change = Callable[[Any], None]


@pytest.fixture(scope="module")
def traded() -> EngineState:
    """Alice is 10 long against Bob; of each some orders rest, two of them in one level."""
    state, _ = answers(funded(), place(ALICE, 1, BUY, MARK, 30), place(BOB, 1, SELL, MARK, 10))
    return answers(state, place(BOB, 2, BUY, MARK, 5), place(BOB, 3, BUY, MARK - 9, 5))[0]


@pytest.fixture(scope="module")
def day() -> EngineState:
    """After many trades in options, futures and with collateral."""
    return list(live(write_day(4, 33, 14)))[-1][0]


def add(table: str, field: str, row: int, change: int) -> Change:
    def apply(t: Any) -> None:
        getattr(t, table)[field][row] += change

    return apply


def change_order(table: str, field: str, change: int) -> Change:
    """A change of Alice's order: of its record in the book, or of its details."""

    def apply(t: Any) -> None:
        row = int(t.accounts["order_first"][A])
        if table == "book":
            t.orderbook.book[field][len(t.orderbook.blocks) * LEVELS_PER_BLOCK + row] += change
        else:
            t.details[field][row] += change

    return apply


def change_position(field: str, change: int) -> Change:
    def apply(t: Any) -> None:
        t.positions[field][int(t.accounts["position_first"][A])] += change

    return apply


def change_level(field: str, change: int) -> Change:
    def apply(t: Any) -> None:
        t.orderbook.book[field][int(t.orderbook.sides[2 * BTC]["best_level"])] += change

    return apply


def without_mark(t: Any) -> None:
    t.markets["mark_e8"][BTC] = 0


def dead(t: Any) -> None:
    t.positions["is_live"][int(t.accounts["position_first"][A])] = 0


def enormous(t: Any) -> None:
    t.positions["lots"][int(t.accounts["position_first"][A])] = POSITION_QUOTE_MAX


def without_orders(t: Any) -> None:
    """A level that is in the book, and nobody is in it."""
    level = int(t.orderbook.sides[2 * BTC]["best_level"])
    t.orderbook.book["next"][level] = t.orderbook.book["previous"][level] = level


def exchanged(t: Any) -> None:
    """Two orders of a level in the wrong order of time."""
    book, level = t.orderbook.book, int(t.orderbook.sides[2 * BTC]["best_level"])
    one = int(book["next"][level])
    two = int(book["next"][one])
    book["next"][level], book["next"][two], book["next"][one] = two, one, level


def stolen(t: Any) -> None:
    """Bob's list of orders begins with Alice's."""
    t.accounts["order_first"][B] = t.accounts["order_first"][A]


def circle(t: Any) -> None:
    row = int(t.accounts["order_first"][A])
    t.details["own_next"][row] = row


def circle_of_positions(t: Any) -> None:
    row = int(t.accounts["position_first"][A])
    t.positions["next"][row] = row


def count(name: int, change: int) -> Change:
    def apply(t: Any) -> None:
        t.counters[name] += change

    return apply


def short_collateral(t: Any) -> None:
    t.markets["short_lots"][2] += 1


# (what is wrong, change, rule, whether the check after a block sees it, or only an audit)
ROWS = [
    ("a balance beyond all", add("accounts", "balance_quote", A, BALANCE_QUOTE_MAX + 1), BALANCE, True),
    ("a debt beyond all", add("accounts", "balance_quote", A, -BALANCE_QUOTE_MAX - (1 << 40)), BALANCE, True),
    ("insurance in debt", add("accounts", "balance_quote", INSURANCE_ACCOUNT, -(1 << 40)), SYSTEM_IN_DEBT, True),
    ("fees in debt", add("accounts", "balance_quote", FEE_ACCOUNT, -(1 << 40)), SYSTEM_IN_DEBT, True),
    ("longs that are not shorts", add("markets", "open_interest_lots", BTC, 1), SUM_OF_POSITIONS, True),
    ("shorts that are not longs", add("markets", "short_lots", BTC, 1), SUM_OF_POSITIONS, True),
    ("a position worth too much", enormous, WORTH, True),
    ("no price under positions", without_mark, NO_MARK, True),
    ("an order with more lots", change_order("book", "lots", 1), CHARGES, True),
    ("an order without lots", change_order("book", "lots", -20), OPEN_LOTS, True),
    ("an order with less than nothing hidden", change_order("details", "hidden_lots", -1), OPEN_LOTS, True),
    ("an order of another charge", change_order("details", "unit_charge_quote", 1), CHARGES, True),
    ("an order of the other side", change_order("details", "side", 1), OPEN_LOTS, True),
    ("an order of a market without a position", change_order("details", "market", 1), OPEN_LOTS, True),
    ("an order with another's number", change_order("book", "order_id", 1), OPEN_LOTS, True),
    ("an order in another's list", stolen, OPEN_LOTS, True),
    ("orders in a circle", circle, OPEN_LOTS, True),
    ("an account with other charges", add("accounts", "order_charge_quote", A, 1), CHARGES, True),
    ("an account with other orders", add("accounts", "order_count", A, 1), ORDER_COUNT, True),
    ("a position with other buys", change_position("buy_lots", 1), OPEN_LOTS, True),
    ("a position with other sells", change_position("sell_lots", 1), OPEN_LOTS, True),
    ("a position of another", change_position("account", 1), POSITION_COUNT, True),
    ("a position that is not live", dead, POSITION_COUNT, True),
    ("positions in a circle", circle_of_positions, POSITION_COUNT, True),
    ("a position from nowhere", change_position("lots", 1), OPEN_INTEREST, False),
    ("a level with other lots", change_level("lots", 1), LEVEL, False),
    ("a level without orders", without_orders, LEVEL, False),
    ("a level in the wrong order of time", exchanged, LEVEL, False),
    ("an order of another level", change_order("book", "level", 1), LEVEL, False),
    ("a book of another size", add("markets", "book_orders", BTC, 1), ORDER_COUNT, False),
    ("an exchange with other orders", count(ORDERS_LIVE, 1), ORDER_COUNT, False),
    ("an exchange with other positions", count(POSITIONS_OPEN, 1), POSITION_COUNT, False),
]
SCENES = [row[1:] for row in ROWS]


@pytest.mark.parametrize(("change", "rule", "is_seen_at_once"), SCENES, ids=[row[0] for row in ROWS])
def test_a_broken_rule_is_found(traded, change, rule, is_seen_at_once) -> None:
    """By an audit always; after a block that touched the accounts, when the dear walk over all is not needed."""
    state = traded.copy()
    outputs = make_outputs(state.tables, 4)
    state.tables.counters[DIRTY_COUNT] = 2
    outputs.dirty[:2] = A, B
    assert check_block(state.tables, outputs) == 0
    audit(state)
    change(state.tables)
    with pytest.raises(InvariantBroken, match=BROKEN[rule]):
        audit_tables(state)
    assert check_block(state.tables, outputs) == (rule if is_seen_at_once else 0)
    if is_seen_at_once:
        with pytest.raises(InvariantBroken, match=BROKEN[rule]):
            require_invariants(state, outputs)


COLLATERAL_ROWS = [
    ("more lots than were deposited", add("markets", "open_interest_lots", 2, 1)),
    ("fewer tokens than lots", add("assets", "withdrawn_units", 1, 1_000)),
    ("collateral that is owed", short_collateral),
]


@pytest.mark.parametrize("change", [row[1] for row in COLLATERAL_ROWS], ids=[row[0] for row in COLLATERAL_ROWS])
def test_collateral_is_what_was_deposited(day, change) -> None:
    state = day.copy()
    audit(state)
    change(state.tables)
    with pytest.raises(InvariantBroken, match=BROKEN[COLLATERAL]):
        audit_tables(state)
    assert check_block(state.tables, make_outputs(state.tables, 4)) == COLLATERAL


def test_every_rule_is_broken_here() -> None:
    assert {row[2] for row in ROWS} | {COLLATERAL} == set(range(1, len(BROKEN)))


def test_money_from_nowhere_stops_the_next_block(traded) -> None:
    """Nobody's order touches the account: its leaf is computed anew because it holds a position that is repriced."""
    state = traded.copy()
    state.tables.accounts["balance_quote"][A] += 1
    with pytest.raises(InvariantBroken, match="balances sum to"):
        audit(state)
    with pytest.raises(InvariantBroken, match="claims"):
        execute(state, block(state, batches=[place(ALICE, 2, BUY, MARK - 20, 1)]))


def test_a_block_on_a_broken_state_is_not_returned(traded) -> None:
    state = traded.copy()
    state.tables.markets["open_interest_lots"][BTC] += 1
    with pytest.raises(InvariantBroken, match="do not sum to zero"):
        execute(state, block(state))


def test_claims_and_debts_must_be_the_balances(traded) -> None:
    """A stale leaf: the tree says something else than the accounts."""
    state = traded.copy()
    state.account_sums = (5).to_bytes(16, "big") + bytes(16)
    with pytest.raises(InvariantBroken, match="claims 5 less debts 0"):
        audit(state)
    state = traded.copy()
    state.tables.node_sums[len(state.tables.node_sums) // 2 + B] += np.int64(5), np.int64(0)
    with pytest.raises(InvariantBroken, match="claims"):
        execute(state, block(state, step_ms=1, batches=[place(ALICE, 2, BUY, MARK - 20, 1)]))


def test_levels_stand_in_order(traded) -> None:
    """The best level is not the best: what is better is not seen, and then the orders are too few."""
    state = traded.copy()
    sides, book = state.tables.orderbook.sides, state.tables.orderbook.book
    row = len(state.tables.orderbook.blocks) * LEVELS_PER_BLOCK + int(state.tables.accounts["order_last"][B])
    sides["best_level"][2 * BTC] = book["level"][row]
    with pytest.raises(InvariantBroken, match=r"counts of orders|does not add up"):
        audit_tables(state)
    sides["best_rank"][2 * BTC] = NO_RANK
    with pytest.raises(InvariantBroken, match="counts of orders"):
        audit_tables(state)
