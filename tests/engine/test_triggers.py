"""Stop and take-profit orders (ORD-9). The mark is 50,000 USD = 500,000 ticks when a desk opens."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.commands import (
    ALL_MARKETS,
    AT_MARKET,
    CANCEL,
    CANCEL_ALL,
    FILL_OR_KILL,
    GOOD_TILL_TIME,
    IMMEDIATE_OR_CANCEL,
    PLACE,
    REDUCE_ONLY,
    SET_SESSION,
    TRIGGER,
    TRIGGER_BELOW,
    TRIGGER_ON_LAST,
    Action,
)
from engine.results import Code
from engine.tables import (
    BY_OWNER,
    BY_OWNER_ALL,
    BY_REDUCE_ONLY,
    BY_SETTLEMENT,
    BY_SIBLING,
    NOTICE_TRIGGER,
    PHASE_POST_ONLY,
    TRIGGER_ROW,
    TRIGGERS_LIVE,
    TRIGGERS_MARKED,
)
from engine.triggers import cancel_market_triggers, restore_triggers
from tests.engine.desk import Desk, Sent, open_desk
from tests.engine.floor import hold

BUYER, SELLER, MAKER = 64, 65, 66
BUY, SELL = 0, 1
PARENT, SIBLING = 1, 2
IOC = IMMEDIATE_OR_CANCEL


def stop(trigger_ticks: int, side: int = SELL, flags: int = TRIGGER_BELOW, **fields: int) -> Action:
    """A limit order at the trigger's price unless it says otherwise."""
    terms = {"price_ticks": 0 if flags & AT_MARKET else trigger_ticks, "size_lots": 1} | fields
    return Action(TRIGGER, side=side, flags=flags, trigger_ticks=trigger_ticks, **terms)


def place(side: int, price_ticks: int, size_lots: int = 1, **fields: int) -> Action:
    return Action(PLACE, side=side, price_ticks=price_ticks, size_lots=size_lots, **fields)


def close_position(trigger_ticks: int, **fields: int) -> Action:
    """Sells whatever is held at market price when the mark is down there."""
    flags = TRIGGER_BELOW | REDUCE_ONLY | AT_MARKET
    return stop(trigger_ticks, flags=flags, size_lots=0, time_in_force=IOC, **fields)


def fired(desk: Desk) -> list[tuple[int, int]]:
    """(trigger id, code) of the triggers that fired in the last block."""
    return [(row["subject"], row["value_b"]) for row in desk.rows("notices") if row["kind"] == NOTICE_TRIGGER]


def removed(desk: Desk) -> list[tuple[int, int]]:
    """(id, reason) of the cancellations of triggers in the last block."""
    return [(row["order_id"], row["reason"]) for row in desk.rows("cancellations") if row["order_id"] & TRIGGER_ROW]


def sent(desk: Desk, account: int, *actions: Action) -> list[int]:
    """Ids of what the actions made; all of them must be accepted."""
    receipts = desk.send(account, *actions)
    assert [receipt["code"] for receipt in receipts] == [Code.OK] * len(actions)
    return [receipt["order_id"] for receipt in receipts]


REFUSED = [
    ("no such market", stop(499_000, market=9), Code.UNKNOWN_MARKET),
    ("no size", stop(499_000, size_lots=0), Code.SIZE_NOT_POSITIVE),
    ("a negative size", stop(499_000, size_lots=-1, flags=REDUCE_ONLY), Code.SIZE_NOT_POSITIVE),
    ("too large", stop(499_000, size_lots=500_001), Code.SIZE_TOO_LARGE),
    ("no price", stop(499_000, price_ticks=0), Code.PRICE_OUT_OF_RANGE),
    ("a market order with a price", stop(499_000, flags=AT_MARKET, price_ticks=1), Code.PRICE_OUT_OF_RANGE),
    ("an unknown side", stop(499_000, side=2), Code.UNKNOWN_ENUM),
    ("good till a time it cannot name", stop(499_000, time_in_force=GOOD_TILL_TIME), Code.UNKNOWN_ENUM),
    ("an unknown flag", stop(499_000, flags=128), Code.UNKNOWN_ENUM),
    ("a market order that rests", stop(499_000, flags=AT_MARKET), Code.CONTRADICTORY),
    ("no trigger price", stop(0, price_ticks=1), Code.BAD_TRIGGER),
    ("a trigger price out of range", stop(1 << 30, price_ticks=1), Code.BAD_TRIGGER),
    ("a link to nothing", stop(499_000, link=99 << 24), Code.BAD_TRIGGER),
    ("no place before it", stop(499_000, link=PARENT), Code.BAD_TRIGGER),
    ("no trigger before it", stop(499_000, link=SIBLING), Code.BAD_TRIGGER),
]


@pytest.mark.parametrize(("what", "action", "code"), REFUSED)
def test_ord_9_what_is_refused_at_once(what: str, action: Action, code: Code) -> None:
    assert open_desk().code(BUYER, action) == [code], what


FIRING = [
    ("a rise of the mark reaches it", stop(501_000, BUY, 0), 50_100, True),
    ("a rise does not quite", stop(501_000, BUY, 0), 50_099.99, False),
    ("a fall reaches it", stop(499_000, SELL), 49_900, True),
    ("a fall does not quite", stop(499_000, SELL), 49_900.01, False),
    ("a stop to buy waits for no fall", stop(501_000, BUY, 0), 49_000, False),
    ("it may be there already", stop(499_000, BUY, 0), 50_000, True),
]


@pytest.mark.parametrize(("what", "action", "usd", "does_fire"), FIRING)
def test_ord_9_the_mark_decides_exactly(what: str, action: Action, usd: float, does_fire: bool) -> None:
    desk = open_desk()
    (order_id,) = sent(desk, BUYER, action)
    desk.price(usd)
    assert fired(desk) == ([(order_id, Code.OK)] if does_fire else []), what
    assert int(desk.tables.counters[TRIGGERS_LIVE]) == (not does_fire)


def test_ord_9_the_last_price_decides_if_asked() -> None:
    desk = open_desk()
    (order_id,) = sent(desk, BUYER, stop(501_000, BUY, TRIGGER_ON_LAST))
    desk.price(50_500)
    assert fired(desk) == []
    sent(desk, MAKER, place(SELL, 501_000))
    sent(desk, SELLER, place(BUY, 501_000))
    desk.block()
    assert fired(desk) == [(order_id, Code.OK)]


def test_ord_9_nothing_fires_unless_the_market_is_continuous_and_fresh() -> None:
    desk = open_desk()
    (order_id,) = sent(desk, BUYER, stop(499_000, BUY, 0))
    desk.tables.markets[0]["phase"] = PHASE_POST_ONLY
    desk.block()
    assert fired(desk) == []
    desk.tables.markets[0]["phase"] = 0
    desk.block(step_ms=15_001)
    assert fired(desk) == []
    desk.price(50_000)
    assert fired(desk) == [(order_id, Code.OK)]


def test_ord_9_triggers_fire_in_order_of_ids_each_once() -> None:
    desk = open_desk()
    ids = [sent(desk, account, stop(501_000 - step, BUY, 0))[0] for step, account in enumerate((66, 64, 65, 64))]
    desk.price(50_100)
    assert fired(desk) == [(order_id, Code.OK) for order_id in ids]
    desk.block()
    assert fired(desk) == []


def test_ord_9_a_refused_order_is_gone_too() -> None:
    desk = open_desk()
    (order_id,) = sent(desk, BUYER, stop(499_000, SELL, TRIGGER_BELOW, price_ticks=400_000))
    desk.price(49_900)
    assert fired(desk) == [(order_id, Code.PRICE_OUTSIDE_BAND)]
    assert int(desk.tables.counters[TRIGGERS_LIVE]) == 0


def test_ord_9_a_stop_without_size_closes_the_whole_position() -> None:
    desk = open_desk()
    hold(desk, 0, a64=7, a65=-7)  # type: ignore[arg-type]
    sent(desk, MAKER, place(BUY, 498_000, 20))
    (order_id,) = sent(desk, BUYER, close_position(499_000))
    desk.price(49_900)
    assert fired(desk) == [(order_id, Code.OK)]
    assert desk.lots(BUYER) == 0


def test_ord_9_a_stop_without_size_ends_with_the_position() -> None:
    desk = open_desk()
    hold(desk, 0, a64=7, a65=-7)  # type: ignore[arg-type]
    (order_id,) = sent(desk, BUYER, close_position(499_000))
    desk.block()
    assert removed(desk) == []
    sent(desk, MAKER, place(BUY, 500_000, 7))
    sent(desk, BUYER, place(SELL, 500_000, 7))
    assert removed(desk) == []
    desk.block()
    assert removed(desk) == [(order_id, BY_REDUCE_ONLY)]


def test_ord_9_the_client_id_moves_to_the_order() -> None:
    desk = open_desk()
    sent(desk, BUYER, stop(501_000, BUY, 0, client_id=5))
    assert desk.code(BUYER, place(BUY, 499_000, client_id=5)) == [Code.DUPLICATE_CLIENT_ID]
    desk.price(50_100)
    assert fired(desk)[0][1] == Code.OK
    assert desk.code(BUYER, Action(CANCEL, client_id=5)) == [Code.OK]


def test_ord_9_siblings_cancel_each_other() -> None:
    desk = open_desk()
    hold(desk, 0, a64=7, a65=-7)  # type: ignore[arg-type]
    loss, gain = sent(desk, BUYER, close_position(499_000), stop(501_000, SELL, REDUCE_ONLY, link=SIBLING))
    desk.price(50_100)
    assert (fired(desk), removed(desk)) == ([(gain, Code.OK)], [(loss, BY_SIBLING)])


def test_ord_9_a_cancelled_sibling_leaves_the_other_alone() -> None:
    desk = open_desk()
    first, second = sent(desk, BUYER, stop(499_000), stop(501_000, BUY, 0, link=SIBLING))
    assert desk.code(BUYER, stop(502_000, BUY, 0, link=second)) == [Code.BAD_TRIGGER], "it has a sibling"
    assert desk.code(BUYER, Action(CANCEL, order_id=first)) == [Code.OK]
    assert removed(desk) == [(first, BY_OWNER)]
    assert desk.code(BUYER, stop(502_000, BUY, 0, link=second)) == [Code.OK]


def test_ord_9_a_bracket_sleeps_until_its_order_has_a_fill() -> None:
    desk = open_desk()
    bracket = (
        place(BUY, 499_000, 5),
        stop(499_500, SELL, REDUCE_ONLY, size_lots=5, link=PARENT),
        close_position(490_000, link=SIBLING),
    )
    _, gain, loss = sent(desk, BUYER, *bracket)
    desk.block()
    assert (fired(desk), removed(desk)) == ([], []), "the price is there, but it sleeps"
    sent(desk, SELLER, place(SELL, 499_000, 2))
    desk.block()
    assert (fired(desk), removed(desk)) == ([(gain, Code.OK)], [(loss, BY_SIBLING)])


def test_ord_9_a_bracket_ends_with_an_order_that_never_filled() -> None:
    desk = open_desk()
    parent, gain, loss = sent(
        desk,
        BUYER,
        place(BUY, 499_000, 5),
        stop(499_500, SELL, REDUCE_ONLY, link=PARENT),
        close_position(490_000, link=SIBLING),
    )
    sent(desk, BUYER, Action(CANCEL, order_id=parent))
    desk.block()
    assert removed(desk) == [(gain, BY_SIBLING), (loss, BY_SIBLING)]


def test_ord_9_a_bracket_of_an_order_that_filled_at_once_is_awake() -> None:
    desk = open_desk()
    sent(desk, MAKER, place(SELL, 500_000, 5))
    _, stop_id = sent(desk, BUYER, place(BUY, 500_000, 5, time_in_force=IOC), close_position(499_000, link=PARENT))
    desk.block()
    assert removed(desk) == []
    sent(desk, MAKER, place(BUY, 497_000, 5))
    desk.price(49_900)
    assert fired(desk) == [(stop_id, Code.OK)]


def test_ord_9_no_link_to_an_order_that_came_to_nothing() -> None:
    desk = open_desk()
    for order in (place(BUY, 500_000, time_in_force=IOC), place(SELL, 1), place(BUY, 499_000, market=9)):
        assert desk.code(BUYER, order, stop(499_000, link=PARENT))[1] == Code.BAD_TRIGGER


def test_ord_9_at_most_32_an_account() -> None:
    desk = open_desk()
    codes = desk.code(BUYER, *[stop(490_000)] * 33)
    assert codes == [Code.OK] * 32 + [Code.TOO_MANY_TRIGGERS]
    assert desk.code(BUYER, Action(CANCEL_ALL, market=ALL_MARKETS), stop(490_000)) == [Code.OK] * 2
    assert {reason for _, reason in removed(desk)} == {BY_OWNER_ALL}


def test_ord_9_a_session_key_has_its_cap_here_too() -> None:
    desk = open_desk()
    grant = Action(SET_SESSION, flags=1, good_till_ms=1 << 50, size_lots=499_000 * 100, data=b"k" * 20 + bytes(4))
    assert desk.code(BUYER, grant) == [Code.OK]
    one, two = stop(499_000), stop(499_000, size_lots=2)
    at_market = stop(499_001, flags=AT_MARKET, time_in_force=FILL_OR_KILL)
    codes = desk.code(BUYER, one, two, at_market, signer=b"k" * 20)
    assert codes == [Code.OK, Code.ABOVE_SESSION_CAP, Code.ABOVE_SESSION_CAP]


def test_exp_2_a_market_loses_all_its_triggers_in_order_of_ids() -> None:
    desk = open_desk()
    ids = [sent(desk, account, stop(490_000 + account))[0] for account in (66, 64, 65, 64, 66)]
    desk.block()
    assert cancel_market_triggers(desk.tables, desk.out, 0, BY_SETTLEMENT) == 5
    assert removed(desk) == [(order_id, BY_SETTLEMENT) for order_id in ids]


def test_ord_9_firing_changes_what_later_triggers_see() -> None:
    """The first stop sells down the book; its last price sets off the second, which has the higher id, at once."""
    desk = open_desk()
    sent(desk, MAKER, place(BUY, 499_500), place(BUY, 498_000, 5))
    late = sent(desk, SELLER, stop(498_000, SELL, TRIGGER_BELOW | TRIGGER_ON_LAST, price_ticks=495_000))
    sells_two = stop(500_000, SELL, TRIGGER_BELOW, size_lots=2, price_ticks=495_000, time_in_force=IOC)
    follows = stop(499_000, SELL, TRIGGER_BELOW | TRIGGER_ON_LAST, price_ticks=495_000)
    receipts = desk.block(Sent(BUYER, (sells_two,)), Sent(SELLER, (follows,)))
    desk.block()
    assert fired(desk) == [(receipt["order_id"], Code.OK) for receipt in receipts]
    desk.block()
    assert fired(desk) == [(late[0], Code.OK)], "its turn had passed"


prices = st.integers(495_000, 505_000)
stops = st.builds(
    lambda ticks, side, flags, lots, rests: stop(
        ticks, side, flags | (0 if lots else REDUCE_ONLY), size_lots=lots, price_ticks=495_000 if side else 505_000,
        time_in_force=0 if rests else IOC,
    ),
    prices, st.sampled_from([BUY, SELL]), st.sampled_from([0, 32, 64, 96, 1, 65]), st.integers(0, 3), st.booleans(),
)  # fmt: skip
orders = st.builds(
    lambda side, ticks, lots: place(side, ticks, lots), st.sampled_from([BUY, SELL]), prices, st.integers(1, 3)
)
linked = st.tuples(orders, stops, stops).map(
    lambda parts: (parts[0], with_link(parts[1], PARENT), with_link(parts[2], SIBLING))
)


def with_link(action: Action, link: int) -> Action:
    fields = {name: getattr(action, name) for name in action.__slots__}
    return Action(**{**fields, "link": link})


messages = st.one_of(st.tuples(orders), st.tuples(stops), linked, st.just((Action(CANCEL_ALL, market=ALL_MARKETS),)))


class Obvious:
    """ORD-9 word by word on the same tables: before each clock, what every trigger is about to do."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def look(self) -> list[int]:
        """Ids, in order, of triggers whose condition holds now and that are awake or wake: the first must fire."""
        t = self.desk.tables
        found = []
        for row in sorted(t.triggers[t.triggers["is_live"] != 0], key=lambda row: int(row["order_id"])):
            if self.is_awake(row) and not self.is_idle(row) and self.is_due(row):
                found.append(int(row["order_id"]))
        return found

    def reducible(self, row) -> int:
        lots = self.desk.lots(int(row["account"]))
        return max(lots if row["side"] else -lots, 0)

    def is_awake(self, row) -> bool:
        if not row["parent_id"]:
            return True
        book = self.desk.tables.orderbook.book
        index = (int(row["parent_id"]) & 0xFFFFFF) + len(self.desk.tables.orderbook.blocks) * 64
        if int(book[index]["order_id"]) == int(row["parent_id"]):
            return bool(self.desk.tables.details[int(row["parent_id"]) & 0xFFFFFF]["filled_lots"])
        return self.reducible(row) > 0

    def is_idle(self, row) -> bool:
        return row["size_lots"] == 0 and self.reducible(row) == 0

    def is_due(self, row) -> bool:
        market = self.desk.tables.markets[0]
        seen = int(market["last_ticks"]) * 10_000_000 if row["flags"] & 32 else int(market["mark_e8"])
        goal = int(row["trigger_ticks"]) * 10_000_000
        return seen != 0 and (seen <= goal if row["flags"] & 64 else seen >= goal)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([64, 65, 66]), messages), max_size=25), st.data())
def test_ord_9_no_trigger_is_overlooked(traffic: list, data: st.DataObject) -> None:
    """Bounds and marks leave out nothing: whatever an obvious look finds due first, fires; if it finds none, none."""
    desk = open_desk()
    for account, actions in traffic:
        due = Obvious(desk).look()
        desk.block(Sent(account, actions))
        names = [order_id for order_id, _ in fired(desk)]
        assert names[:1] == due[:1]
        assert names == sorted(names)
        assert_marks_are_right(desk)


def assert_marks_are_right(desk: Desk) -> None:
    """Bounds may be wide, but hold; marks are exactly what a fresh look would mark."""
    t = desk.tables
    kept = (t.triggers["is_live"].copy(), int(t.counters[TRIGGERS_MARKED]))
    bounds = [int(t.markets[0][name]) for name in ("above_mark_ticks", "below_mark_ticks")]
    restore_triggers(t)
    assert (t.triggers["is_live"].tolist(), int(t.counters[TRIGGERS_MARKED])) == (kept[0].tolist(), kept[1])
    above, below = (int(t.markets[0][name]) for name in ("above_mark_ticks", "below_mark_ticks"))
    assert above == 0 or 0 < bounds[0] <= above
    assert below <= bounds[1]
    assert not t.triggers["spare"].any()
