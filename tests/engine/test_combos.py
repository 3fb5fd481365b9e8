"""Combinations: all legs fill or none is an order (ORD-10). Two markets of one underlying at 50,000 USD."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.commands import (
    COMBO,
    FILL_OR_KILL,
    IMMEDIATE_OR_CANCEL,
    PLACE,
    POST_ONLY,
    REDUCE_ONLY,
    SET_PROTECTION,
    SET_SESSION,
    TRIGGER,
    UNDER_PROTECTION,
    WITHDRAW,
    Action,
)
from engine.results import Code, OrderState
from engine.tables import NEXT_SEQUENCE
from tests.engine.desk import Desk, open_desk
from tests.engine.floor import USD, instrument

TAKER, MAKER, OTHER = 64, 65, 66
BUY, SELL = 0, 1
ANY_COST = 1 << 60
MARKETS = (
    instrument("BTC-PERPETUAL"),
    instrument("BTC-SWAP", underlying="BTC"),
    instrument("BTC-NOTE", underlying="BTC"),
    instrument("BTC-BOND", underlying="BTC"),
    instrument("BTC-BILL", underlying="BTC"),
)


def desk_with_books(**terms: int) -> Desk:
    """In every market 10 lots rest at 499,000 to buy and 10 at 501,000 to sell."""
    desk = open_desk(*MARKETS, **terms)
    for market in range(len(MARKETS)):
        quotes = [place(BUY, 499_000, 10, market=market), place(SELL, 501_000, 10, market=market)]
        assert desk.code(MAKER, *quotes) == [Code.OK] * 2
    return desk


def place(side: int, price_ticks: int, size_lots: int = 1, market: int = 0, **fields: int) -> Action:
    return Action(PLACE, side=side, price_ticks=price_ticks, size_lots=size_lots, market=market, **fields)


def combo(*legs: Action, net_quote: int = ANY_COST, **fields: int) -> tuple[Action, ...]:
    return Action(COMBO, side=len(legs), price_ticks=net_quote, **fields), *legs


SPREAD = (place(BUY, 501_000, 10), place(SELL, 499_000, 10, market=1))
SPREAD_COST = 10 * 100 * (501_000 - 499_000)


def test_ord_10_all_legs_fill_and_have_receipts() -> None:
    desk = desk_with_books()
    receipts = desk.send(TAKER, *combo(*SPREAD))
    assert [receipt["code"] for receipt in receipts] == [Code.OK] * 3
    assert [receipt["filled_lots"] for receipt in receipts] == [0, 10, 10]
    assert [receipt["order_state"] for receipt in receipts[1:]] == [OrderState.FILLED] * 2
    assert (desk.lots(TAKER, 0), desk.lots(TAKER, 1)) == (10, -10)


def fail(*codes: Code) -> list[Code]:
    return [Code.LEG_FAILED, *codes]


FAILURES = [
    ("one leg only", combo(SPREAD[0]), [Code.UNKNOWN_ENUM, Code.LEG_FAILED]),
    ("five legs", combo(*[place(BUY, 501_000, market=m) for m in range(5)]), [Code.UNKNOWN_ENUM, *fail()[:1] * 5]),
    ("the same market twice", combo(SPREAD[0], SPREAD[0]), [Code.CONTRADICTORY, *fail()[:1] * 2]),
    ("too late", combo(*SPREAD, good_till_ms=1), [Code.CONTRADICTORY, *fail()[:1] * 2]),
    ("no such market", combo(SPREAD[0], place(SELL, 1, market=9)), fail(Code.LEG_FAILED, Code.UNKNOWN_MARKET)),
    ("more than rests", combo(place(BUY, 501_000, 11), SPREAD[1]), fail(Code.NOT_FILLABLE, Code.LEG_FAILED)),
    ("out of reach", combo(SPREAD[0], place(SELL, 500_000, market=1)), fail(Code.LEG_FAILED, Code.NOT_FILLABLE)),
    (
        "a leg that wants to rest alone",
        combo(SPREAD[0], place(SELL, 499_000, market=1, time_in_force=POST_ONLY)),
        fail(Code.LEG_FAILED, Code.CONTRADICTORY),
    ),
    (
        "an iceberg",
        combo(SPREAD[0], place(SELL, 499_000, 2, market=1, display_lots=1)),
        fail(Code.LEG_FAILED, Code.CONTRADICTORY),
    ),
    ("nothing to reduce", combo(place(BUY, 501_000, flags=REDUCE_ONLY), SPREAD[1]), fail(Code.NOT_REDUCING, 321)),
    (
        "of two failing legs the first is named",
        combo(place(BUY, 1 << 30), place(SELL, 499_000, 0, market=1)),
        fail(Code.PRICE_OUT_OF_RANGE, Code.LEG_FAILED),
    ),
    ("a tick too dear", combo(*SPREAD, net_quote=SPREAD_COST - 1), [Code.NOT_FILLABLE, *fail()[:1] * 2]),
]


@pytest.mark.parametrize(("what", "actions", "codes"), FAILURES)
def test_ord_10_otherwise_nothing_happens(what: str, actions: tuple[Action, ...], codes: list[Code]) -> None:
    desk = desk_with_books()
    sequence = int(desk.tables.counters[NEXT_SEQUENCE])
    assert desk.code(TAKER, *actions) == codes, what
    assert int(desk.tables.counters[NEXT_SEQUENCE]) == sequence
    assert desk.rows("fills") == []
    assert int(desk.tables.accounts[TAKER]["order_charge_quote"]) == 0


def test_ord_10_the_net_limit_is_exact() -> None:
    assert desk_with_books().code(TAKER, *combo(*SPREAD, net_quote=SPREAD_COST)) == [Code.OK] * 3


def test_ord_10_margin_is_that_of_all_legs_together() -> None:
    """Each leg of 10 lots at 50,000 needs 5 %: 25 USD, and a fee of 0.05 %. 40 USD carry one."""
    desk = desk_with_books()
    assert desk.code(TAKER, Action(WITHDRAW, size_lots=1_000_000 * USD - 40 * USD)) == [Code.OK]
    assert desk.code(TAKER, *combo(*SPREAD)) == [Code.INSUFFICIENT_MARGIN, Code.LEG_FAILED, Code.LEG_FAILED]
    assert desk.code(TAKER, place(BUY, 501_000, 10, time_in_force=FILL_OR_KILL)) == [Code.OK]


def test_ord_10_own_orders_do_not_count() -> None:
    desk = desk_with_books()
    assert desk.code(TAKER, place(SELL, 500_900, 5)) == [Code.OK]
    assert desk.code(TAKER, *combo(place(BUY, 501_000, 11), SPREAD[1]))[1] == Code.NOT_FILLABLE
    receipts = desk.send(TAKER, *combo(*SPREAD))
    assert receipts[1]["filled_lots"] == 10


def test_ord_10_protection_waits_for_the_last_leg() -> None:
    """The maker's first fill passes its maximum; its orders elsewhere go only when the combination is done."""
    desk = open_desk(*MARKETS)
    assert desk.code(MAKER, Action(SET_PROTECTION, good_till_ms=1_000, size_lots=1)) == [Code.OK]
    quotes = [
        place(SELL, 501_000, 20, flags=UNDER_PROTECTION),
        place(BUY, 499_000, 20, market=1, flags=UNDER_PROTECTION),
    ]
    assert desk.code(MAKER, *quotes) == [Code.OK] * 2
    assert desk.code(TAKER, *combo(*SPREAD)) == [Code.OK] * 3
    assert (desk.lots(TAKER, 0), desk.lots(TAKER, 1)) == (10, -10)
    assert int(desk.tables.accounts[MAKER]["order_count"]) == 0
    assert len(desk.rows("cancellations")) == 2


def test_ord_10_legs_are_no_places_of_their_own() -> None:
    desk = desk_with_books()
    stop = Action(TRIGGER, side=SELL, flags=64, price_ticks=490_000, size_lots=1, trigger_ticks=490_000, link=1)
    assert desk.code(TAKER, *combo(*SPREAD), stop) == [Code.OK] * 3 + [Code.BAD_TRIGGER]


def test_acc_4_a_session_cap_holds_for_each_leg() -> None:
    desk = desk_with_books()
    grant = Action(SET_SESSION, flags=1, good_till_ms=1 << 50, size_lots=499_000 * 1000, data=b"k" * 20 + bytes(4))
    assert desk.code(TAKER, grant) == [Code.OK]
    codes = desk.code(TAKER, *combo(*SPREAD), signer=b"k" * 20)
    assert codes == fail(Code.ABOVE_SESSION_CAP, Code.LEG_FAILED)


legs = st.lists(
    st.tuples(st.sampled_from([BUY, SELL]), st.integers(1, 8), st.integers(498_000, 502_000)), min_size=2, max_size=4
)
books = st.lists(
    st.tuples(
        st.integers(0, 3), st.sampled_from([BUY, SELL]), st.integers(1, 5), st.integers(0, 4),
        st.sampled_from([TAKER, MAKER, OTHER]),
    ),
    max_size=20,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(books, legs, st.integers(-(10**9), 10**9))
def test_ord_10_all_or_none_at_no_more_than_the_limit(book: list, wanted: list, net_quote: int) -> None:
    desk = open_desk(*MARKETS)
    for market, side, lots, step, account in book:
        price_ticks = 498_000 + 250 * step if side == BUY else 502_000 - 250 * step
        desk.send(account, place(side, price_ticks, lots, market=market, time_in_force=POST_ONLY))
    before = [desk.lots(TAKER, market) for market in range(4)]
    actions = [place(side, ticks, lots, market=market) for market, (side, lots, ticks) in enumerate(wanted)]
    receipts = desk.send(TAKER, *combo(*actions, net_quote=net_quote))
    moved = [desk.lots(TAKER, market) - held for market, held in enumerate(before)]
    if receipts[0]["code"] != Code.OK:
        assert moved == [0] * 4 and desk.rows("fills") == []
        assert all(receipt["code"] != Code.OK for receipt in receipts)
        return
    assert moved[: len(wanted)] == [lots if side == BUY else -lots for side, lots, _ in wanted]
    signs = {BUY: 1, SELL: -1}
    paid = sum(signs[fill["taker_side"]] * fill["price_ticks"] * fill["size_lots"] * 100 for fill in desk.rows("fills"))
    assert paid <= net_quote


def test_ord_10_a_combination_may_reduce_and_open() -> None:
    desk = desk_with_books()
    assert desk.code(TAKER, place(BUY, 501_000, 4, time_in_force=IMMEDIATE_OR_CANCEL)) == [Code.OK]
    roll = (place(SELL, 499_000, 4, flags=REDUCE_ONLY), place(BUY, 501_000, 4, market=1))
    assert desk.code(TAKER, *combo(*roll)) == [Code.OK] * 3
    assert (desk.lots(TAKER, 0), desk.lots(TAKER, 1)) == (0, 4)
