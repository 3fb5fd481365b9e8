"""Placing, amending and cancelling, rule by rule (docs/spec.md, ORD and its table of codes)."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.tables import (
    BY_EXPIRY,
    BY_OWNER_ALL,
    BY_SWITCH,
    MODE_ISOLATED,
    PHASE_AUCTION,
    PHASE_CANCEL_ONLY,
    PHASE_POST_ONLY,
    PHASE_SETTLED,
)
from tests.engine.floor import BUY, SELL, START_MS, instrument
from tests.engine.pit import (
    FOK,
    GTC,
    GTT,
    IOC,
    MARKET,
    OWN_CANCEL_TAKER,
    POST,
    PROTECT,
    REDUCE,
    SLIDE,
    Pit,
    mark,
    open_pit,
)

A, B, C, D = 64, 65, 66, 67
OPEN, FILLED, CANCELLED = 1, 2, 3

# (claim, what differs from a good order to buy 10 lots at 500,000, code)
JUDGED = [
    ("a good order", {}, 0),
    ("of a market that is not listed", {"market": 1}, 301),
    ("of no size", {"lots": 0}, 302),
    ("of a negative size", {"lots": -1}, 302),
    ("of the largest size", {"lots": 300_000, "price_ticks": 500_000}, 0),
    ("of more than the largest size", {"lots": 500_001}, 303),
    ("of price 0", {"price_ticks": 0}, 304),
    ("of a price beyond all", {"price_ticks": 1 << 60}, 304),
    ("a market order with a price", {"flags": MARKET, "kind": IOC}, 304),
    ("a market order", {"flags": MARKET, "kind": IOC, "price_ticks": 0}, 0),
    ("a buy at the band's edge", {"price_ticks": 550_000}, 0),
    ("a buy above the band", {"price_ticks": 550_001}, 305),
    ("a sell at the band's edge", {"side": SELL, "price_ticks": 450_000}, 0),
    ("a sell below the band", {"side": SELL, "price_ticks": 449_999}, 305),
    ("a buy far below the band", {"price_ticks": 1}, 0),
    ("of no side", {"side": 2}, 310),
    ("of no side and outside the band", {"side": 2, "price_ticks": 600_000}, 310),
    ("of no time in force", {"kind": 6}, 310),
    ("with a trigger's flag", {"flags": 32}, 310),
    ("more than rests, or nothing", {"kind": FOK}, 312),
    ("reduce-only without a position", {"flags": REDUCE}, 313),
    ("a market order that rests", {"flags": MARKET, "price_ticks": 0}, 314),
    ("good till time without one", {"kind": GTT}, 314),
    ("good till now", {"kind": GTT, "until_ms": START_MS}, 314),
    ("good till the next millisecond", {"kind": GTT, "until_ms": START_MS + 1}, 0),
    ("good till cancelled with a time", {"until_ms": START_MS + 1}, 314),
    ("showing more than it has", {"shown": 11}, 314),
    ("showing all it has", {"shown": 10}, 0),
    ("showing less than nothing", {"shown": -1}, 314),
    ("showing less than a hundredth", {"lots": 1001, "shown": 10}, 314),
    ("an iceberg that does not rest", {"kind": IOC, "shown": 5}, 314),
    ("protected without resting", {"kind": IOC, "flags": PROTECT}, 314),
    ("protected", {"flags": PROTECT}, 0),
    ("with a builder that does not exist", {"link": 70 << 16}, 314),
    ("with a builder that is not approved", {"link": B << 16}, 314),
    ("worth the session's cap", {"cap": 500_000_000}, 0),
    ("worth more than the session's cap", {"cap": 499_999_999}, 317),
    ("beyond its margin", {"lots": 400_000}, 401),
]


@pytest.mark.parametrize(("claim", "difference", "code"), JUDGED)
def test_a_place_is_judged(claim: str, difference: dict[str, int], code: int) -> None:
    pit = open_pit()
    order = {"account": A, "side": BUY, "price_ticks": 500_000, "lots": 10} | difference
    assert pit.place(**order) == code
    assert pit.receipt["code"] == code and pit.receipt["account_index"] == A
    pit.check()


def test_the_first_broken_rule_answers() -> None:
    """One order breaks all rules from 302 on; mended one by one, it is refused by the next."""
    pit = open_pit()
    pit.rest(B, SELL, 500_000, 1)
    pit.rest(A, BUY, 400_000, 1, client=7)
    bad = {
        "side": BUY, "lots": -1, "price_ticks": -1, "kind": FOK, "flags": REDUCE | 32, "client": 7, "shown": 5,
        "cap": 1,
    }  # fmt: skip
    codes = [pit.place(A, **bad)]
    for mended in (
        {"lots": 500_001}, {"lots": 400_000}, {"price_ticks": 600_000}, {"price_ticks": 500_000}, {"client": 0},
        {"flags": REDUCE}, {"lots": 1}, {"flags": 0}, {"shown": 0, "lots": 400_000, "kind": GTC}, {"cap": 0},
        {"lots": 1},
    ):  # fmt: skip
        bad |= mended
        codes.append(pit.place(A, **bad))
    assert codes == [302, 303, 304, 305, 309, 310, 312, 313, 314, 317, 401, 0]
    pit.check()


PHASES = [
    ("an auction", PHASE_AUCTION, {GTC: 0, IOC: 311, POST: 0, FOK: 311, SLIDE: 0}),
    ("post-only", PHASE_POST_ONLY, {GTC: 311, IOC: 311, POST: 0, FOK: 311, SLIDE: 0}),
    ("cancel-only", PHASE_CANCEL_ONLY, {GTC: 311, IOC: 311, POST: 311, FOK: 311, SLIDE: 311}),
    ("a settled market", PHASE_SETTLED, {GTC: 311, IOC: 311, POST: 311, FOK: 311, SLIDE: 311}),
]


@pytest.mark.parametrize(("claim", "phase", "codes"), PHASES)
def test_pha_1_phases_admit_kinds_of_orders_and_do_not_match(claim: str, phase: int, codes: dict[int, int]) -> None:
    pit = open_pit()
    pit.rest(B, SELL, 500_000, 5)
    pit.tables.markets["phase"] = phase
    assert {kind: pit.place(A, BUY, 500_000, 5, kind=kind) for kind in codes} == codes
    assert not pit.fills() and len(pit.orders(A)) == list(codes.values()).count(0)
    assert pit.cancel_all(A) == list(codes.values()).count(0), "cancels always"
    pit.check()


def test_306_without_a_fresh_mark_only_reducing_is_allowed() -> None:
    pit = open_pit()
    pit.rest(B, SELL, 500_000, 5)
    assert pit.place(A, BUY, 500_000, 5) == 0
    pit.tables.markets["is_fresh"] = 0
    assert pit.place(A, BUY, 500_000, 1) == 306
    assert pit.place(A, SELL, 500_000, 6) == 306, "more than it holds"
    assert pit.place(A, SELL, 500_000, 5) == 0
    assert pit.place(A, SELL, 500_000, 1) == 306, "open sells count"
    pit.tables.markets["mark_ms"] = 0
    assert pit.place(A, SELL, 0, 1, kind=IOC, flags=MARKET) == 306
    pit.check()


def test_307_post_only_orders_do_not_take() -> None:
    pit = open_pit()
    pit.rest(B, SELL, 500_000, 5)
    assert pit.place(A, BUY, 500_000, 1, kind=POST) == 307
    assert pit.place(A, BUY, 499_999, 1, kind=POST) == 0
    assert pit.place(A, BUY, 510_000, 2, kind=SLIDE) == 0, "slides below the best sell"
    assert pit.place(C, SELL, 490_000, 3, kind=SLIDE) == 0, "slides above the best buy"
    assert pit.orders(A) == [(BUY, 499_999, 1, 0), (BUY, 499_999, 2, 0)]
    assert pit.orders(C) == [(SELL, 500_000, 3, 0)]
    pit.check()


def test_307_there_is_a_lowest_price_to_slide_to() -> None:
    pit = open_pit()
    pit.tables.markets["sell_limit_ticks"] = 1
    pit.rest(B, SELL, 1, 5)
    assert pit.place(A, BUY, 5, 1, kind=SLIDE) == 307


def test_309_acc_5_client_ids_are_used_once() -> None:
    pit = open_pit()
    pit.rest(A, BUY, 400_000, 1, client=5)
    assert pit.place(A, BUY, 400_000, 1, client=5) == 309
    assert pit.place(B, BUY, 400_000, 1, client=5) == 0, "another account's"
    for client in range(100, 116):
        assert pit.place(A, BUY, 400_000, 1, kind=IOC, client=client) == 0
    assert pit.place(A, BUY, 400_000, 1, client=5) == 309, "forgotten, but an open order has it"
    pit.cancel_all(A)
    assert pit.place(A, BUY, 400_000, 1, client=101) == 309, "among the last 16"
    assert pit.place(A, BUY, 400_000, 1, client=5) == 0
    assert pit.place(A, BUY, 400_000, 1, client=100) == 0, "the seventeenth"
    assert list(pit.tables.client_ids[A][:3]) == [100, 5, 115]


def test_a_refused_order_leaves_its_client_id_free() -> None:
    pit = open_pit()
    assert pit.place(A, BUY, 400_000, 0, client=9) == 302
    assert pit.place(A, BUY, 400_000, 1, client=9) == 0


def test_313_reduce_only_is_cut_to_the_position() -> None:
    pit = open_pit()
    pit.rest(B, SELL, 500_000, 5)
    pit.place(A, BUY, 500_000, 5)
    pit.rest(C, BUY, 499_000, 20)
    assert pit.place(A, BUY, 500_000, 1, flags=REDUCE) == 313, "same side"
    assert pit.place(A, SELL, 499_000, 9, kind=IOC, flags=REDUCE) == 0
    assert pit.state() == (FILLED, 5, 0) and pit.held(A) == 0
    pit.check()


def test_402_positions_and_open_orders_stay_within_the_limit() -> None:
    pit = open_pit(instrument(size_lots_max=100, position_lots_max=100))
    pit.rest(A, BUY, 500_000, 60)
    assert pit.place(A, BUY, 500_000, 41) == 402
    assert pit.place(A, BUY, 500_000, 40) == 0
    assert pit.place(A, SELL, 500_001, 100) == 0
    assert pit.place(A, SELL, 500_001, 1) == 402
    pit.check()


def test_403_spot_can_be_sold_only_when_held() -> None:
    spot = instrument("BTC-SPOT", kind="spot", initial_margin_bps=1000, maintenance_margin_bps=500)
    pit = open_pit(spot)
    assert pit.place(A, SELL, 500_000, 1) == 403
    pit.rest(A, BUY, 500_000, 3)
    pit.tables.positions["lots"][:] = np.where(pit.tables.positions["account"] == A, 5, 0)
    assert pit.place(A, SELL, 500_001, 4) == 0
    assert pit.place(A, SELL, 500_001, 2) == 403, "open sells count"


def test_405_an_isolated_account_trades_one_market() -> None:
    pit = open_pit(instrument(), instrument("ETH-PERPETUAL"))
    pit.tables.accounts[A]["mode"] = MODE_ISOLATED
    order_id = pit.rest(A, BUY, 400_000, 1)
    assert pit.place(A, BUY, 400_000, 1, market=1) == 405
    assert pit.place(A, BUY, 400_000, 1) == 0, "the same market"
    assert order_id and pit.cancel_all(A) == 2
    assert pit.place(A, BUY, 400_000, 1, market=1) == 0
    pit.check()


def test_501_502_orders_are_counted() -> None:
    pit = open_pit(account_orders_max=2, book_orders_max=3)
    assert [pit.place(A, BUY, 400_000, 1) for _ in range(3)] == [0, 0, 501]
    assert [pit.place(B, BUY, 400_000, 1) for _ in range(2)] == [0, 502]
    assert pit.place(B, BUY, 400_000, 1, kind=IOC) == 0, "it does not rest"
    pit.check()


def test_502_price_levels_and_rows_can_run_out() -> None:
    pit = open_pit(blocks_max=2, orders_max=4)
    assert [pit.place(A, BUY, ticks, 1) for ticks in (400_000, 420_000, 440_000, 420_000)] == [0, 0, 502, 0]
    assert pit.place(B, BUY, 420_000, 1) == 502, "three rows"
    pit.check()


def test_505_positions_can_run_out() -> None:
    pit = open_pit(instrument(), instrument("ETH-PERPETUAL"), positions_max=4)
    assert [pit.place(A, BUY, 400_000, 1, market=market) for market in (0, 1)] == [0, 0]
    assert [pit.place(account, BUY, 400_000, 1) for account in (B, C)] == [0, 505]
    pit.cancel_all(A, market=1)
    assert pit.place(C, BUY, 400_000, 1) == 0, "an empty position's row is free"
    pit.check()


def test_ord_2_identifiers_have_a_row_only_when_they_rest() -> None:
    pit = open_pit()
    ids = [pit.rest(A, SELL, 500_000, 2), pit.rest(A, SELL, 500_000, 2)]
    assert ids == [1 << 24 | 1, 2 << 24 | 2]
    assert pit.place(B, BUY, 500_000, 3) == 0
    assert pit.receipt["order_id"] == 3 << 24
    assert pit.fills("maker_order_id", "taker_order_id") == [(ids[0], 3 << 24), (ids[1], 3 << 24)]
    assert pit.place(B, BUY, 500_000, 3) == 0
    assert pit.receipt["order_id"] == 4 << 24 | 1, "the lowest row that is free when it comes to rest"
    assert pit.fills("taker_order_id")[-1] == (4 << 24,)
    pit.check()


def test_ord_3_an_iceberg_shows_its_next_part_behind_the_others() -> None:
    pit = open_pit()
    pit.rest(A, SELL, 500_000, 25, shown=10)
    pit.rest(B, SELL, 500_000, 5)
    assert pit.orders(A) == [(SELL, 500_000, 10, 15)]
    assert pit.place(C, BUY, 500_000, 12, kind=IOC) == 0
    assert pit.fills() == [(500_000, 10, A, C), (500_000, 2, B, C)]
    assert pit.orders(A) == [(SELL, 500_000, 10, 5)]
    pit.check()
    assert pit.place(C, BUY, 500_000, 99, kind=IOC) == 0
    assert pit.fills()[2:] == [(500_000, 3, B, C), (500_000, 10, A, C), (500_000, 5, A, C)]
    assert pit.state() == (CANCELLED, 18, 81) and pit.orders(A) == []
    pit.check()


def test_ord_4_a_smaller_order_keeps_its_place() -> None:
    pit = open_pit()
    first = pit.rest(A, SELL, 500_000, 20, shown=5)
    pit.rest(B, SELL, 500_000, 5)
    assert pit.amend(A, first, 0, 7) == 0 and pit.state() == (OPEN, 0, 7)
    assert pit.orders(A) == [(SELL, 500_000, 5, 2)], "hidden lots go first"
    assert pit.amend(A, first, 500_000, 3) == 0 and pit.orders(A) == [(SELL, 500_000, 3, 0)]
    pit.place(C, BUY, 500_000, 1)
    assert pit.fills() == [(500_000, 1, A, C)]
    pit.check()


def test_ord_4_any_other_change_is_a_new_order_of_the_remainder() -> None:
    pit = open_pit()
    first = pit.rest(A, SELL, 500_000, 10, client=3)
    pit.rest(B, SELL, 500_000, 5)
    pit.place(C, BUY, 500_000, 4)
    assert pit.amend(A, first, 0, 12) == 0, "a total of 12, 4 of them filled"
    assert pit.receipt["order_id"] == first and pit.state() == (OPEN, 0, 8)
    pit.place(C, BUY, 500_000, 6)
    assert pit.fills()[1:] == [(500_000, 5, B, C), (500_000, 1, A, C)], "behind the others"
    pit.rest(D, BUY, 499_000, 3)
    assert pit.amend(A, 0, 499_000, 12, client=3) == 0
    assert pit.state() == (OPEN, 3, 4) and pit.fills("taker_order_id")[-1] == (first,)
    assert pit.amend(A, first, 0, 8) == 302, "all of that is filled"
    assert pit.amend(A, first, 700_000, 12) == 0 and pit.amend(A, first, 0, 1 << 40) == 303
    assert pit.orders(A) == [(SELL, 700_000, 4, 0)]
    pit.check()


def test_ord_4_a_refused_amendment_leaves_the_order_where_it_was() -> None:
    pit = open_pit()
    first = pit.rest(A, SELL, 500_000, 10, kind=POST)
    pit.rest(B, SELL, 500_000, 10)
    pit.rest(C, BUY, 499_000, 10)
    before = pit.free(A)
    refused = [(first, 499_000, 11), (first, 0, 400_000), (first, 400_000, 10), (first + 1, 0, 1), (0, 0, 1)]
    assert [pit.amend(A, *what) for what in refused] == [307, 401, 305, 308, 308]
    assert pit.amend(B, first, 0, 5) == 308, "somebody else's"
    assert pit.free(A) == before and pit.orders(A) == [(SELL, 500_000, 10, 0)]
    pit.place(C, BUY, 500_000, 1)
    assert pit.fills() == [(500_000, 1, A, C)], "still the first"
    pit.check()


def test_ord_4_the_old_self_does_not_count() -> None:
    """An order at all limits can still be changed into another of its size."""
    pit = open_pit(instrument(size_lots_max=100, position_lots_max=100), account_orders_max=1, book_orders_max=1)
    first = pit.rest(A, BUY, 400_000, 100)
    assert pit.place(A, BUY, 400_000, 1) == 402
    assert pit.amend(A, first, 400_001, 100) == 0
    assert pit.orders(A) == [(BUY, 400_001, 100, 0)]
    pit.check()


def test_ord_4_an_amended_order_may_end() -> None:
    pit = open_pit()
    first = pit.rest(A, SELL, 510_000, 10, flags=OWN_CANCEL_TAKER)
    pit.rest(B, BUY, 500_000, 10)
    assert pit.amend(A, first, 500_000, 10) == 0 and pit.state() == (FILLED, 10, 0)
    second = pit.rest(A, SELL, 510_000, 10, flags=OWN_CANCEL_TAKER)
    pit.rest(B, BUY, 500_000, 4)
    pit.rest(A, BUY, 499_000, 10)
    assert pit.amend(A, second, 499_000, 10) == 0 and pit.state() == (CANCELLED, 4, 6)
    assert pit.orders(A) == [(BUY, 499_000, 10, 0)]
    pit.check()


def test_ord_7_orders_past_their_time_are_cancelled_when_met() -> None:
    pit = open_pit()
    pit.rest(A, SELL, 500_000, 5, kind=GTT, until_ms=START_MS + 10)
    pit.rest(B, SELL, 500_000, 5)
    pit.rest(C, SELL, 500_000, 5)
    pit.tables.accounts[B]["cancel_at_ms"] = START_MS + 10
    pit.time_ms = START_MS + 9
    pit.place(D, BUY, 500_000, 1)
    pit.time_ms = START_MS + 10
    assert pit.place(D, BUY, 500_000, 11, kind=FOK) == 312, "what is dead does not count"
    assert pit.place(D, BUY, 500_000, 5) == 0
    assert pit.fills() == [(500_000, 1, A, D), (500_000, 5, C, D)]
    assert pit.cancellations() == [(A, 4, BY_EXPIRY), (B, 5, BY_SWITCH)]
    pit.check()


def test_cancel_all_goes_by_market_and_flags_in_order_of_ids() -> None:
    pit = open_pit(instrument(), instrument("ETH-PERPETUAL"))
    for lots, market, flags in ((1, 0, 0), (2, 1, PROTECT), (3, 0, PROTECT), (4, 0, 0)):
        pit.rest(A, BUY, 400_000, lots, market=market, flags=flags)
    pit.rest(B, BUY, 400_000, 9)
    assert pit.cancel_all(A, flags=PROTECT) == 2
    assert pit.cancel_all(A, market=1) == 0
    assert pit.cancel_all(A, market=0) == 2
    assert pit.cancellations() == [(A, lots, BY_OWNER_ALL) for lots in (2, 3, 1, 4)]
    pit.check()


STEP = st.tuples(
    st.sampled_from(("place", "place", "place", "place", "amend", "cancel", "mark", "time")),
    st.integers(A, D),
    st.integers(0, 1),
    st.integers(-4, 4),
    st.integers(1, 40),
    st.integers(0, 5),
    st.sampled_from((0, 0, REDUCE, 4, 8, 12, PROTECT, REDUCE | 12)),
    st.integers(0, 30),
)


def do(pit: Pit, step: tuple) -> None:
    what, account, side, away, lots, kind, flags, choice = step
    ticks = 500_000 + away
    if what == "place":
        shown = max(lots // 3, 1) if choice % 3 == 0 and kind not in (IOC, FOK) else 0
        until_ms = pit.time_ms + choice + 1 if kind == GTT else 0
        pit.place(account, side, ticks, lots, kind, flags, choice % 2, shown=shown, until_ms=until_ms)
    elif what == "amend":
        rows = [row for row in range(1, 200) if pit.record(row)["order_id"] and pit.record(row)["account"] == account]
        if rows:
            row = rows[choice % len(rows)]
            pit.amend(account, int(pit.record(row)["order_id"]), ticks, lots, int(pit.tables.details[row]["market"]))
    elif what == "cancel":
        pit.cancel_all(account, market=choice % 2)
    elif what == "mark":
        mark(pit, 50_000 + away * 1000, market=choice % 2, funding_quote=choice * 1000 - 9000)
    else:
        pit.time_ms += choice


@settings(max_examples=60, deadline=None)
@given(st.lists(STEP, max_size=60))
def test_whatever_happens_every_sum_is_the_sum_of_its_parts(steps: list) -> None:
    pit = open_pit(instrument(), instrument("ETH-PERPETUAL"))
    for account in (A, B):
        pit.tables.accounts[account]["balance_quote"] = 600_000_000
    pit.protect(C, quote_max=3_000_000_000, freeze_ms=5)
    deposits = int(pit.tables.accounts["balance_quote"].sum())
    for step in steps:
        do(pit, step)
        pit.check()
    traded = [int(row["size_lots"] * row["price_ticks"]) for row in pit.out.fills[: len(pit.fills())]]
    assert all(traded) and int(pit.tables.accounts["balance_quote"].sum()) == deposits
