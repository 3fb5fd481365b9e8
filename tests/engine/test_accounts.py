"""Finding accounts and positions, and what they keep (docs/spec.md, ACC-1, ACC-5, MAR-7)."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.accounts import (
    change_exposure,
    change_orders,
    find_account,
    find_position,
    index_account,
    is_client_id_used,
    is_position_empty,
    make_indexes,
    move_balance,
    open_position,
    remember_client_id,
    reserve_positions,
    touch,
)
from engine.compiling import entry_point
from engine.tables import (
    ACCOUNT_COUNT,
    DIRTY_AUX,
    DIRTY_COUNT,
    DIRTY_LEAF,
    MODE_PORTFOLIO,
    POSITIONS_LIVE,
    POSITIONS_OPEN,
    Number,
    Outputs,
    Tables,
)
from tests.engine.floor import Floor, instrument, open_floor

A, B = 64, 65
MARKETS = 6
FIND, OPEN, MOVE, ORDERS, BALANCE, RESERVE, FIND_ACCOUNT, INDEX, TOUCH, IS_USED, REMEMBER = range(11)


@entry_point
def act(t: Tables, out: Outputs, what: Number, n: np.ndarray) -> Number:
    """One entry for all kernels that the tests need, so that they are compiled once."""
    result = np.int64(0)
    if what == FIND:
        result = find_position(t, n[0], n[1])
    elif what == OPEN:
        result = open_position(t, n[0], n[1])
    elif what == MOVE:
        change_exposure(t, n[0], n[1], n[2], n[3], n[4], n[5], n[6])
    elif what == ORDERS:
        change_orders(t, n[0], n[1], n[2], n[3], n[4])
    elif what == BALANCE:
        move_balance(t, out, n[0], n[1])
    elif what == RESERVE:
        result = np.int64(reserve_positions(t, n[0]))
    elif what == FIND_ACCOUNT:
        result = find_account(t, n[0], n[1], n[2])
    elif what == INDEX:
        index_account(t, n[0])
    elif what == TOUCH:
        touch(t, out, n[0], n[1])
    elif what == IS_USED:
        result = np.int64(is_client_id_used(t, n[0], n[1]))
    else:
        remember_client_id(t, n[0], n[1])
    return result


def run(floor: Floor, what: int, *numbers: int) -> int:
    return int(act(floor.tables, floor.out, np.int64(what), np.array(numbers, np.int64)))


def open_markets(**terms: int) -> Floor:
    names = [f"C{number}-PERPETUAL" for number in range(MARKETS)]
    return open_floor(*(instrument(name) for name in names), **terms)


def list_rows(floor: Floor, account: int) -> list[int]:
    """Markets of an account's positions, walked forwards and checked backwards."""
    found, before, row = [], 0, int(floor.tables.accounts[account]["position_first"])
    while row:
        position = floor.tables.positions[row]
        assert (position["account"], position["previous"], position["is_live"]) == (account, before, 1)
        found.append(int(position["market"]))
        before, row = row, int(position["next"])
    return found


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(A, A + 3), st.integers(0, MARKETS - 1), st.integers(-2, 2)), max_size=80))
def test_positions_are_found_and_empty_ones_make_room(steps: list[tuple[int, int, int]]) -> None:
    """Eight rows for 24 possible positions: one that is not empty is never lost, and only a ninth is refused."""
    floor, held = open_markets(positions_max=9), {}
    for account, market, lots in steps:
        row = run(floor, OPEN, account, market)
        assert (row == 0) == ((account, market) not in held and len(held) == 8)
        if not row:
            continue
        run(floor, MOVE, account, row, lots, 0, 0, 0, 0)
        held[account, market] = held.get((account, market), 0) + lots
        held = {key: value for key, value in held.items() if value}
        for key, value in held.items():
            assert floor.tables.positions[run(floor, FIND, *key)]["lots"] == value
        assert floor.tables.counters[POSITIONS_LIVE] == floor.tables.counters[POSITIONS_OPEN] == len(held)
        for user in range(A, A + 4):
            markets = list_rows(floor, user)
            mine = {market for owner, market in held if owner == user}
            assert mine <= set(markets) and len(markets) == len(set(markets))
            assert floor.tables.accounts[user]["position_count"] == len(mine)


def test_two_rows_can_be_reserved_before_the_first_is_used() -> None:
    floor = open_markets(positions_max=4)
    for market in range(3):
        run(floor, OPEN, A, market)
    assert run(floor, RESERVE, 3) == 1 and run(floor, RESERVE, 4) == 0
    first, second = run(floor, OPEN, A, 4), run(floor, OPEN, B, 4)
    assert first and second and first != second and run(floor, FIND, A, 4) == first


def test_505_a_portfolio_has_at_most_128_positions() -> None:
    floor = open_floor(*(instrument(f"C{number}-PERPETUAL") for number in range(16)))
    floor.tables.accounts[A]["mode"] = MODE_PORTFOLIO
    floor.tables.accounts[A]["position_count"] = 128
    assert run(floor, OPEN, A, 0) == 0
    floor.tables.accounts[A]["position_count"] = 127
    assert run(floor, OPEN, A, 0) != 0


def test_a_position_with_open_orders_is_not_empty() -> None:
    floor = open_markets()
    row = run(floor, OPEN, A, 0)
    assert is_position_empty(floor.tables, np.int64(row))
    run(floor, ORDERS, A, row, 1, 5, 50)
    assert floor.tables.counters[POSITIONS_LIVE] == 1 and floor.tables.counters[POSITIONS_OPEN] == 0
    assert floor.tables.positions[row]["sell_lots"] == 5
    assert floor.tables.accounts[A]["order_charge_quote"] == 50
    run(floor, ORDERS, A, row, 1, -5, -50)
    assert floor.tables.counters[POSITIONS_LIVE] == 0


@settings(max_examples=40, deadline=None)
@given(st.sets(st.tuples(*(st.integers(-(1 << 63), (1 << 63) - 1),) * 3), max_size=60))
def test_acc_1_accounts_are_found_by_their_keys_also_in_new_indexes(keys: set[tuple[int, int, int]]) -> None:
    floor = open_floor(users=0)
    tables = floor.tables._replace(account_index=np.zeros(128, np.uint32))
    floor = Floor(tables, floor.out)
    known = sorted(keys)
    for account, key in enumerate(known, A):
        row = tables.accounts[account]
        row["key_a"], row["key_b"], row["key_c"] = key
        tables.counters[ACCOUNT_COUNT] += 1
        run(floor, INDEX, account)
    for where in (floor, Floor(make_indexes(tables), floor.out)):
        assert [run(where, FIND_ACCOUNT, *key) for key in known] == list(range(A, A + len(known)))
        assert run(where, FIND_ACCOUNT, 1, 2, 3) == (A + known.index((1, 2, 3)) if (1, 2, 3) in keys else -1)


def test_positions_are_found_in_new_indexes() -> None:
    floor = open_markets()
    rows = {(account, market): run(floor, OPEN, account, market) for account in (A, B) for market in range(MARKETS)}
    renewed = Floor(make_indexes(floor.tables), floor.out)
    assert {key: run(renewed, FIND, *key) for key in rows} == rows


def test_an_account_is_listed_as_changed_once() -> None:
    floor = open_floor()
    floor.tables.accounts["dirty"], floor.tables.counters[DIRTY_COUNT] = 0, 0
    run(floor, TOUCH, B, DIRTY_AUX)
    run(floor, BALANCE, A, 5)
    run(floor, BALANCE, B, 5)
    assert list(floor.out.dirty[: int(floor.tables.counters[DIRTY_COUNT])]) == [B, A]
    assert list(floor.tables.accounts["dirty"][[A, B]]) == [DIRTY_LEAF, DIRTY_LEAF | DIRTY_AUX]


@pytest.mark.parametrize("count", [1, 16, 17])
def test_acc_5_sixteen_client_ids_are_remembered_newest_first(count: int) -> None:
    floor = open_floor()
    for client_id in range(1, count + 1):
        run(floor, REMEMBER, A, client_id)
    assert floor.tables.client_ids[A][0] == count
    assert run(floor, IS_USED, A, count) == 1 and run(floor, IS_USED, A, 1) == int(count < 17)
    assert run(floor, IS_USED, B, count) == 0
