"""Deleveraging: whom it meets, how much, and that every unit of the shortfall is accounted for (ADL)."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.deleverage import sort_by_account
from engine.exposure import compute_equity
from engine.stages import liquidate
from engine.tables import ADL_COUNT, DELEVERAGE, DELEVERAGES_MAX, INSURANCE_ACCOUNT, LIQUIDATION_COUNT
from tests.engine.floor import E8, START_MS, USD, Floor, continuous, hold, instrument, money, open_floor
from tests.engine.test_waterfall import ETH, lots_of, price

SPOT = instrument("BTC-SPOT", kind="spot", initial_margin_bps=9_000, maintenance_margin_bps=8_000)
BANKRUPT = 64
RICH_QUOTE = 1_000_000 * USD


def insolvent(*holders: int, equity_quote: int = -900 * USD, insurance_quote: int = 0) -> Floor:
    """The first user is long what all holders together are short, at 50 USD a lot, and is worth `equity_quote`."""
    floor = continuous(open_floor(instrument(), ETH, users=1 + len(holders)))
    held = {f"a{65 + at}": -lots for at, lots in enumerate(holders)}
    hold(floor, 0, a64=sum(holders), **held)
    price(floor, 50_000, 50_000)
    worth(floor, BANKRUPT, equity_quote)
    floor.tables.accounts[INSURANCE_ACCOUNT]["balance_quote"] = insurance_quote
    return floor


def worth(floor: Floor, account: int, equity_quote: int) -> None:
    row = floor.tables.accounts[account]
    row["balance_quote"] += equity_quote - int(compute_equity(floor.tables, np.int64(account)))
    row["bound_epoch"] = 0xFFFFFFFF


def run(floor: Floor) -> tuple[list[dict[str, int]], list[dict[str, int]]]:
    """Liquidation and deleveraging rows."""
    liquidate(floor.tables, floor.out, np.int64(START_MS))
    tables = ((floor.out.liquidations, LIQUIDATION_COUNT), (floor.out.deleverages, ADL_COUNT))
    return tuple(  # type: ignore[return-value]
        [{name: int(row[name]) for name in rows.dtype.names} for row in rows[: int(floor.tables.counters[counter])]]
        for rows, counter in tables
    )


def part(rows: list[dict[str, int]], *names: str) -> list[tuple[int, ...]]:
    return [tuple(row[name] for name in names) for row in rows]


def test_adl_1_each_holder_gives_his_part_and_missing_lots_go_one_each_by_index() -> None:
    floor = continuous(open_floor(users=5))
    hold(floor, 0, a64=-10, a65=8, a66=2, a67=1, a68=-1)
    price(floor, 50_000)
    worth(floor, BANKRUPT, -1)
    _, rows = run(floor)
    # Parts of 10 of 11 lots: 7.27, 1.82, 0.91; two lots are missing.
    assert part(rows, "account", "size_lots") == [(65, 8), (66, 2)]
    assert [lots_of(floor, account) for account in range(64, 69)] == [0, 0, 0, 1, -1]


def test_adl_1_a_part_of_the_other_side() -> None:
    floor = continuous(open_floor(users=5))
    hold(floor, 0, a64=7, a65=-5, a66=-5, a67=-5, a68=8)
    price(floor, 50_000)
    worth(floor, BANKRUPT, -1)
    _, rows = run(floor)
    assert part(rows, "account", "size_lots") == [(65, 3), (66, 2), (67, 2)], "floor(7 x 5 / 15) = 2, one missing"
    assert [lots_of(floor, account) for account in range(64, 69)] == [0, -2, -3, -3, 8]


def test_adl_1_insurance_first_then_haircuts_by_value() -> None:
    floor = insolvent(6, 3, 1, equity_quote=-900 * USD, insurance_quote=400 * USD)
    before, total = [int(compute_equity(floor.tables, np.int64(a))) for a in range(64, 68)], money(floor)
    (row,), rows = run(floor)
    assert part(rows, "account", "size_lots", "haircut_quote") == [
        (65, 6, 300 * USD), (66, 3, 150 * USD), (67, 1, 50 * USD)
    ]  # fmt: skip
    assert set(part(rows, "bankrupt_account", "market", "price_e8", "shortfall_quote")) == {
        (BANKRUPT, 0, 50_000 * E8, 900 * USD)
    }
    after = [int(compute_equity(floor.tables, np.int64(a))) for a in range(64, 68)]
    assert [new - old for new, old in zip(after, before, strict=True)] == [
        900 * USD, -300 * USD, -150 * USD, -50 * USD
    ]  # fmt: skip
    assert (row["insurance_quote"], row["haircut_quote"], row["shortfall_quote"]) == (
        400 * USD, 500 * USD, 900 * USD
    )  # fmt: skip
    assert (row["deleveraged_lots"], row["equity_after_quote"], money(floor)) == (10, 0, total)


def test_adl_1_missing_units_go_one_each_and_the_sum_is_exact() -> None:
    _, rows = run(insolvent(1, 1, 1, equity_quote=-100))
    assert part(rows, "haircut_quote") == [(34,), (33,), (33,)]


def test_adl_1_nobody_pays_more_than_he_has_and_the_rest_stays_as_debt() -> None:
    floor = insolvent(1, 1, equity_quote=-100)
    worth(floor, 65, 30)
    (row,), rows = run(floor)
    # User 65 is below maintenance himself, but he is judged after the first; what he gave up has left him 30.
    assert part(rows, "account", "haircut_quote") == [(65, 30), (66, 50)]
    assert (row["equity_after_quote"], row["haircut_quote"]) == (-20, 80)


def test_adl_1_markets_in_order_and_only_their_own_other_side() -> None:
    floor = insolvent(4, 4, equity_quote=-800)
    hold(floor, 1, a64=-2, a66=2)
    worth(floor, BANKRUPT, -1_000)
    _, rows = run(floor)
    assert part(rows, "market", "account", "size_lots", "haircut_quote") == [
        (0, 65, 4, 400), (0, 66, 4, 400), (1, 66, 2, 200)
    ]  # fmt: skip


def test_adl_1_collateral_is_no_reason_and_no_object() -> None:
    floor = continuous(open_floor(instrument(), SPOT, users=2))
    hold(floor, 1, a64=4)
    price(floor, 50_000)
    worth(floor, BANKRUPT, -5)
    liquidations, rows = run(floor)
    assert (liquidations, rows) == ([], []), "lots of collateral are for the book"
    hold(floor, 0, a64=1, a65=-1)
    worth(floor, BANKRUPT, -5)
    (row,), rows = run(floor)
    assert part(rows, "market", "size_lots") == [(0, 1)]
    assert (lots_of(floor, BANKRUPT), row["equity_after_quote"]) == (4, 0)


def test_adl_2_a_full_block_leaves_the_next_account_for_the_next_one() -> None:
    floor = insolvent(3)
    floor.tables.counters[ADL_COUNT] = DELEVERAGES_MAX
    liquidate(floor.tables, floor.out, np.int64(START_MS))
    assert floor.tables.counters[LIQUIDATION_COUNT] == 0
    assert lots_of(floor, BANKRUPT) == 3


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 50), min_size=1, max_size=8),
    st.integers(1, 10**12),
    st.integers(0, 10**12),
    st.lists(st.integers(0, 10**11), min_size=8, max_size=8),
)
def test_adl_1_haircuts_insurance_and_debt_sum_to_the_shortfall(
    holders: list[int], shortfall: int, insurance: int, worths: list[int]
) -> None:
    floor = insolvent(*holders, equity_quote=-shortfall, insurance_quote=insurance)
    for at in range(len(holders)):
        worth(floor, 65 + at, worths[at] + 50 * USD * holders[at])
    before = [int(compute_equity(floor.tables, np.int64(65 + at))) for at in range(len(holders))]
    total = money(floor)
    liquidations, rows = run(floor)
    first = next(row for row in liquidations if row["account"] == BANKRUPT)
    own = [row for row in rows if row["bankrupt_account"] == BANKRUPT]
    haircuts = sum(row["haircut_quote"] for row in own)
    assert first["shortfall_quote"] == shortfall
    assert first["insurance_quote"] + haircuts - first["equity_after_quote"] == shortfall
    assert first["haircut_quote"] == haircuts
    assert sum(row["size_lots"] for row in own) == sum(holders) == first["deleveraged_lots"]
    assert money(floor) == total
    for at in range(len(holders)):
        paid = sum(row["haircut_quote"] for row in own if row["account"] == 65 + at)
        assert 0 <= paid <= before[at]
        assert compute_equity(floor.tables, np.int64(65 + at)) == before[at] - paid


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 99), st.integers(1, 9)), max_size=40), st.integers(0, 3))
def test_rows_are_sorted_by_account(pairs: list[tuple[int, int]], first: int) -> None:
    rows = np.zeros(first + len(pairs) + 2, DELEVERAGE)
    rows["account"][first : first + len(pairs)] = [account for account, _ in pairs]
    rows["size_lots"][first : first + len(pairs)] = [lots for _, lots in pairs]
    sort_by_account(rows, np.int64(first), np.int64(len(pairs)))
    found = [(int(row["account"]), int(row["size_lots"])) for row in rows[first : first + len(pairs)]]
    assert sorted(found) == sorted(pairs)
    assert [account for account, _ in found] == sorted(account for account, _ in pairs)
