"""Offers off the book (ORD-11). The mark is 50,000 USD = 500,000 ticks; a lot at that price is worth 50 USD."""

import pytest

from engine.commands import (
    ACCEPT,
    ALL_MARKETS,
    CANCEL,
    CANCEL_ALL,
    OFFER,
    PLACE,
    REDUCE_ONLY,
    SET_SESSION,
    WITHDRAW,
    Action,
)
from engine.offers import cancel_market_offers, cancel_offers
from engine.results import Code, OrderState
from engine.tables import BY_EXPIRY, BY_LIQUIDATION, BY_OWNER, BY_OWNER_ALL, NOTICE_OFFER, OFFERS_LIVE, PHASE_AUCTION
from tests.engine.desk import Desk, open_desk
from tests.engine.floor import USD, hold, instrument

MAKER, TAKER, OTHER = 64, 65, 66
BUY, SELL = 0, 1
LATER_MS = 1 << 50


def offer(side: int = SELL, price_ticks: int = 500_000, size_lots: int = 10, **fields: int) -> Action:
    return Action(
        OFFER, side=side, price_ticks=price_ticks, size_lots=size_lots, **{"good_till_ms": LATER_MS, **fields}
    )


def offered(desk: Desk, **fields: int) -> int:
    (receipt,) = desk.send(MAKER, offer(**fields))
    assert receipt["code"] == Code.OK
    return receipt["order_id"]


def accept(order_id: int, side: int = BUY, market: int = 0) -> Action:
    return Action(ACCEPT, order_id=order_id, side=side, market=market)


def removed(desk: Desk) -> list[tuple[int, int]]:
    return [(row["order_id"], row["reason"]) for row in desk.rows("cancellations")]


REFUSED = [
    ("no such market", offer(market=9), Code.UNKNOWN_MARKET),
    ("no size", offer(size_lots=0), Code.SIZE_NOT_POSITIVE),
    ("too large", offer(size_lots=500_001), Code.SIZE_TOO_LARGE),
    ("no price", offer(price_ticks=0), Code.PRICE_OUT_OF_RANGE),
    ("a sale below the band", offer(price_ticks=449_999), Code.PRICE_OUTSIDE_BAND),
    ("a purchase above it", offer(BUY, 550_001), Code.PRICE_OUTSIDE_BAND),
    ("an unknown side", offer(2), Code.UNKNOWN_ENUM),
    ("a time that has passed", offer(good_till_ms=1), Code.CONTRADICTORY),
    ("for itself", offer(link=MAKER), Code.CONTRADICTORY),
    ("for nobody there is", offer(link=99), Code.CONTRADICTORY),
]


@pytest.mark.parametrize(("what", "action", "code"), REFUSED)
def test_ord_11_what_is_refused(what: str, action: Action, code: Code) -> None:
    assert open_desk().code(MAKER, action) == [code], what


def test_ord_11_an_accepted_offer_trades_whole_at_its_price() -> None:
    """10 lots at 50,000 USD are 500 USD: the maker pays 2 bps, 0.1 USD, the taker 5 bps, 0.25 USD."""
    desk = open_desk()
    order_id = offered(desk)
    before = desk.balance(MAKER), desk.balance(TAKER)
    (receipt,) = desk.send(TAKER, accept(order_id))
    assert (receipt["code"], receipt["order_state"], receipt["filled_lots"]) == (Code.OK, OrderState.FILLED, 10)
    assert receipt["filled_value"] == 5_000_000
    assert (desk.lots(MAKER), desk.lots(TAKER)) == (-10, 10)
    assert desk.balance(MAKER) - before[0] == 500 * USD - 100_000
    assert desk.balance(TAKER) - before[1] == -500 * USD - 250_000
    (fill,) = desk.rows("fills")
    assert (fill["maker_order_id"], fill["taker_order_id"], fill["taker_side"]) == (order_id, 0, BUY)
    assert int(desk.tables.markets[0]["last_ticks"]) == 0, "the book's last price stays"
    assert desk.code(OTHER, accept(order_id)) == [Code.UNKNOWN_ORDER]


def test_ord_11_a_notice_tells_of_the_offer() -> None:
    desk = open_desk()
    order_id = offered(desk, link=TAKER)
    (notice,) = [row for row in desk.rows("notices") if row["kind"] == NOTICE_OFFER]
    assert (notice["subject"], notice["value_a"], notice["value_b"], notice["value_c"]) == (order_id, MAKER, 0, TAKER)


CANNOT_ACCEPT = [
    ("its own", MAKER, {}, Code.UNKNOWN_ORDER),
    ("of another market", TAKER, {"market": 1}, Code.UNKNOWN_ORDER),
    ("of no market", TAKER, {"market": 9}, Code.UNKNOWN_MARKET),
    ("on the same side", TAKER, {"side": SELL}, Code.CONTRADICTORY),
    ("on no side", TAKER, {"side": 2}, Code.UNKNOWN_ENUM),
]


@pytest.mark.parametrize(("what", "account", "fields", "code"), CANNOT_ACCEPT)
def test_ord_11_who_cannot_accept(what: str, account: int, fields: dict, code: Code) -> None:
    desk = open_desk(instrument(), instrument("ETH-PERPETUAL"))
    order_id = offered(desk)
    assert desk.code(account, accept(order_id, **fields)) == [code], what
    assert int(desk.tables.counters[OFFERS_LIVE]) == 1


def test_ord_11_an_offer_for_one_is_for_no_other() -> None:
    desk = open_desk()
    order_id = offered(desk, link=TAKER)
    assert desk.code(OTHER, accept(order_id)) == [Code.UNKNOWN_ORDER]
    assert desk.code(TAKER, accept(order_id)) == [Code.OK]


def test_ord_11_the_band_and_the_phase_are_those_of_the_moment() -> None:
    desk = open_desk()
    order_id = offered(desk, price_ticks=549_000)
    desk.price(49_000)
    assert desk.code(TAKER, accept(order_id)) == [Code.PRICE_OUTSIDE_BAND]
    desk.price(50_000)
    desk.tables.markets[0]["phase"] = PHASE_AUCTION
    desk.tables.markets[0]["phase_until_ms"] = LATER_MS
    assert desk.code(TAKER, accept(order_id)) == [Code.PHASE_REFUSES]
    assert desk.code(MAKER, offer()) == [Code.PHASE_REFUSES]


def test_ord_11_both_need_margin() -> None:
    desk = open_desk()
    order_id = offered(desk)
    assert desk.code(TAKER, Action(WITHDRAW, size_lots=1_000_000 * USD)) == [Code.OK]
    assert desk.code(TAKER, accept(order_id)) == [Code.INSUFFICIENT_MARGIN]
    assert desk.code(MAKER, Action(WITHDRAW, size_lots=1_000_000 * USD)) == [Code.OK]
    assert desk.code(OTHER, accept(order_id)) == [Code.COUNTERPARTY_FAILED]


def test_ord_11_positions_stay_within_their_limit() -> None:
    desk = open_desk(instrument(position_lots_max=600_000), user_quote=10**15)
    order_id = offered(desk, size_lots=500_000)
    assert desk.code(TAKER, accept(order_id)) == [Code.OK]
    order_id = offered(desk, size_lots=500_000)
    assert desk.code(TAKER, accept(order_id)) == [Code.POSITION_TOO_LARGE]
    assert desk.code(OTHER, accept(order_id)) == [Code.COUNTERPARTY_FAILED], "the maker would be short 1,000,000"


def test_ord_6_a_block_trade_cuts_reduce_only_orders() -> None:
    desk = open_desk()
    hold(desk, 0, a64=10, a65=-10)  # type: ignore[arg-type]
    order = Action(PLACE, side=SELL, price_ticks=510_000, size_lots=10, flags=REDUCE_ONLY)
    assert desk.code(MAKER, order) == [Code.OK]
    assert desk.code(TAKER, accept(offered(desk, size_lots=10))) == [Code.OK]
    assert int(desk.tables.accounts[MAKER]["order_count"]) == 0


def test_ord_11_eight_offers_an_account() -> None:
    desk = open_desk()
    assert desk.code(MAKER, *[offer()] * 9) == [Code.OK] * 8 + [Code.TABLE_FULL]
    assert desk.code(OTHER, offer()) == [Code.OK]


def test_ord_11_offers_end_with_their_time_in_order_of_ids() -> None:
    desk = open_desk()
    late = offered(desk, good_till_ms=desk.time_ms + 1000)
    ids = [offered(desk, good_till_ms=desk.time_ms + 500) for _ in range(2)]
    desk.block(step_ms=400)
    assert removed(desk) == []
    desk.block(step_ms=300)
    assert removed(desk) == [(order_id, BY_EXPIRY) for order_id in ids]
    desk.block(step_ms=1000)
    assert removed(desk) == [(late, BY_EXPIRY)]


def test_acc_5_cancelling_offers() -> None:
    desk = open_desk()
    order_id = offered(desk, client_id=7)
    for action in (
        Action(CANCEL, client_id=7),
        Action(CANCEL, order_id=order_id, client_id=8),
        Action(CANCEL, order_id=order_id, market=9),
    ):
        assert desk.code(MAKER, action)[0] in (Code.UNKNOWN_ORDER, Code.UNKNOWN_MARKET)
    assert desk.code(OTHER, Action(CANCEL, order_id=order_id)) == [Code.UNKNOWN_ORDER]
    assert desk.code(MAKER, Action(CANCEL, order_id=order_id, client_id=7)) == [Code.OK]
    assert removed(desk) == [(order_id, BY_OWNER)]
    offered(desk)
    (receipt,) = desk.send(MAKER, Action(CANCEL_ALL, market=ALL_MARKETS))
    assert (receipt["cancelled_count"], removed(desk)[0][1]) == (1, BY_OWNER_ALL)


def test_offers_of_an_account_or_a_market_can_be_removed() -> None:
    desk = open_desk(instrument(), instrument("ETH-PERPETUAL"))
    for account, market in ((64, 0), (65, 1), (64, 1), (66, 0)):
        assert desk.code(account, offer(market=market)) == [Code.OK]
    desk.block()
    assert cancel_offers(desk.tables, desk.out, 64, -1, BY_LIQUIDATION) == 2
    assert cancel_market_offers(desk.tables, desk.out, 1, BY_LIQUIDATION) == 1
    assert [row["account"] for row in desk.rows("cancellations")] == [64, 64, 65]


def test_acc_4_a_session_cap_holds_for_both_sides() -> None:
    desk = open_desk()
    key = b"k" * 20
    for account in (MAKER, TAKER):
        grant = Action(SET_SESSION, flags=1, good_till_ms=LATER_MS, size_lots=500 * USD, data=key + bytes(4))
        assert desk.code(account, grant) == [Code.OK]
    assert desk.code(MAKER, offer(), offer(size_lots=11), signer=key) == [Code.OK, Code.ABOVE_SESSION_CAP]
    order_id = offered(desk, size_lots=11)
    assert desk.code(TAKER, accept(order_id), signer=key) == [Code.ABOVE_SESSION_CAP]
