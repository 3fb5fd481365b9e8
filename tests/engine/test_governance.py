"""The governor lists, changes parameters, delists, sets phases (GOV, INS-1)."""

import pytest

from engine.commands import ALL_MARKETS, DELIST, LIST, PLACE, SET_PARAMETER, SET_PHASE, Action
from engine.governance import PARAMETERS
from engine.params import FeeTier
from engine.results import Code
from engine.tables import (
    EXPIRY_COUNT,
    GOVERNOR_ACCOUNT,
    INSURANCE_COVER,
    KIND_CALL,
    KIND_FUTURE,
    KIND_PERPETUAL,
    KIND_PUT,
    KIND_SPOT,
    MARKET_COUNT,
    NOTICE_LISTED,
    NOTICE_PARAMETER,
    PHASE,
    PHASE_AUCTION,
    PHASE_CANCEL_ONLY,
    PHASE_CONTINUOUS,
    PHASE_POST_ONLY,
    PHASE_SETTLED,
)
from tests.engine.desk import Desk, Sent, open_desk, read
from tests.engine.floor import DAY_MS, E8, START_MS, instrument

TRADER = 64
HOUR_MS = 3_600_000
EXPIRY_MS = START_MS + 30 * DAY_MS
WIDTH = 400_000
NUMBERS = {parameter.field: number for number, parameter in PARAMETERS.items()}


def governed(*markets, **terms) -> Desk:
    return open_desk(*markets, governor=b"g" * 20, **terms)


def govern(desk: Desk, action: Action) -> Code:
    return desk.code(GOVERNOR_ACCOUNT, action)[0]


def future(**fields: int) -> Action:
    """Prices up to 40,000 USD; the books of a full range would not fit into the tables of a test."""
    return Action(LIST, **{"side": KIND_FUTURE, "good_till_ms": EXPIRY_MS, "display_lots": WIDTH, **fields})


def call(strike_usd: int = 60_000, **fields: int) -> Action:
    terms = {"side": KIND_CALL, "good_till_ms": EXPIRY_MS, "price_ticks": strike_usd * E8, "display_lots": 10_000}
    return Action(LIST, **{**terms, **fields})


def change(name: str, value: int, market: int = 0) -> Action:
    return Action(SET_PARAMETER, link=NUMBERS[name], size_lots=value, market=market)


# -- listing ----------------------------------------------------------------------------------------------------------


def test_gov_2_a_listed_instrument_has_the_templates_parameters() -> None:
    desk = governed()
    assert govern(desk, call()) == Code.OK
    template, row = read(desk.tables.markets[0]), read(desk.tables.markets[1])
    for name in ("maker_fee_bps", "taker_fee_bps", "band_bps", "position_lots_max", "tick_e8", "lot_e8", "underlying"):
        assert row[name] == template[name], name
    assert (row["kind"], row["strike_e8"], row["is_listed"]) == (KIND_CALL, 60_000 * E8, 1)
    expiry = read(desk.tables.expiries[row["expiry"]])
    assert (expiry["underlying"], expiry["expiry_ms"]) == (0, EXPIRY_MS)
    (notice,) = [row for row in desk.rows("notices") if row["kind"] == NOTICE_LISTED]
    assert list(notice.values())[1:] == [1, KIND_CALL, 0, EXPIRY_MS, 60_000 * E8]


def test_gov_2_instruments_of_one_expiry_share_it() -> None:
    desk = governed()
    listings = [future(), call(), call(70_000), call(side=KIND_PUT), future(good_till_ms=EXPIRY_MS + DAY_MS)]
    assert [govern(desk, action) for action in listings] == [Code.OK] * 5
    assert (int(desk.tables.counters[MARKET_COUNT]), int(desk.tables.counters[EXPIRY_COUNT])) == (6, 2)


BAD_LISTINGS = [
    ("no template", future(market=9), Code.UNKNOWN_MARKET),
    ("spot", Action(LIST, side=KIND_SPOT), Code.UNKNOWN_ENUM),
    ("a kind there is not", Action(LIST, side=9), Code.UNKNOWN_ENUM),
    ("a future that never ends", future(good_till_ms=0), Code.CONTRADICTORY),
    ("one that ends within the hour", future(good_till_ms=START_MS + HOUR_MS), Code.CONTRADICTORY),
    ("a perpetual that ends", Action(LIST, side=KIND_PERPETUAL, good_till_ms=EXPIRY_MS), Code.CONTRADICTORY),
    ("an option without strike", call(0), Code.CONTRADICTORY),
    ("a future with strike", future(price_ticks=1), Code.CONTRADICTORY),
    ("the same perpetual again", Action(LIST, side=KIND_PERPETUAL), Code.CONTRADICTORY),
    ("no such underlying", future(link=2), Code.PARAMETER_OUT_OF_BOUNDS),
    ("a strike below zero", call(-1), Code.PARAMETER_OUT_OF_BOUNDS),
    ("a tick below zero", future(trigger_ticks=-1), Code.PARAMETER_OUT_OF_BOUNDS),
    ("a price range below zero", future(display_lots=-1), Code.PARAMETER_OUT_OF_BOUNDS),
    ("a price range too large", future(display_lots=1 << 24), Code.PARAMETER_OUT_OF_BOUNDS),
    ("a tick and a lot worth a fraction", future(trigger_ticks=1, size_lots=1), Code.PARAMETER_OUT_OF_BOUNDS),
]


@pytest.mark.parametrize(("what", "action", "code"), BAD_LISTINGS)
def test_gov_2_what_cannot_be_listed(what: str, action: Action, code: Code) -> None:
    desk = governed()
    assert govern(desk, action) == code, what
    assert int(desk.tables.counters[MARKET_COUNT]) == 1


def test_gov_2_tick_and_lot_bound_position_and_price() -> None:
    """Tick 1 USD, lot 1 BTC: v = 1,000,000 quote. 2**54 / v = 18,014,398,509 lots, so the template's limit stays."""
    desk = governed()
    assert govern(desk, future(trigger_ticks=E8, size_lots=E8)) == Code.OK  # 18,014 ticks
    row = read(desk.tables.markets[1])
    assert row["quote_per_tick_lot"] == 1_000_000
    assert row["position_lots_max"] == 1_000_000
    assert row["price_ticks_max"] == (1 << 54) // (1_000_000 * 1_000_000)


def test_gov_2_the_tables_end() -> None:
    desk = governed(markets_max=2)
    assert [govern(desk, action) for action in (future(display_lots=9_000), call())] == [Code.OK, Code.TABLE_FULL]


def test_gov_2_a_listed_market_can_be_traded_in_the_same_block() -> None:
    desk = governed()
    order = Action(PLACE, market=1, price_ticks=399_000, size_lots=1)
    receipts = desk.block(Sent(TRADER, (order,)), Sent(GOVERNOR_ACCOUNT, (future(),)))
    assert [receipt["code"] for receipt in receipts] == [Code.NO_PRICE, Code.OK], "listed, but not priced yet"


def test_pha_2_a_listed_market_opens_with_its_auction() -> None:
    desk = governed(instrument(auction_ms=5_000))
    assert govern(desk, future()) == Code.OK
    row = read(desk.tables.markets[1])
    assert (row["phase"], row["phase_until_ms"]) == (PHASE_AUCTION, desk.time_ms + 5_000)


# -- parameters -------------------------------------------------------------------------------------------------------

CHANGES = [
    ("by a half up", change("initial_bps", 750), Code.OK),
    ("by a half down", change("position_lots_max", 500_000), Code.OK),
    ("by more than a half up", change("initial_bps", 751), Code.PARAMETER_OUT_OF_BOUNDS),
    ("by more than a half down", change("band_bps", 499), Code.PARAMETER_OUT_OF_BOUNDS),
    ("a small one by one", change("maker_fee_bps", 1), Code.OK),
    ("a small one by two", change("maker_fee_bps", 0), Code.PARAMETER_OUT_OF_BOUNDS),
    ("from zero anywhere", change("oi_high_quote", 10**15), Code.OK),
    ("outside its bounds", change("oi_high_quote", 1 << 60), Code.PARAMETER_OUT_OF_BOUNDS),
    ("maintenance not below initial", change("initial_bps", 250), Code.PARAMETER_OUT_OF_BOUNDS),
    ("a maker who pays more than a taker", change("taker_fee_bps", 3), Code.OK),
    ("an order above a position", change("order_lots_max", 750_000), Code.OK),
    ("of the underlying", change("oracle_stale_ms", 20_000), Code.OK),
    ("of no market", change("initial_bps", 600, market=7), Code.UNKNOWN_MARKET),
    ("of the exchange for one market", change("insurance_cover", 5), Code.UNKNOWN_MARKET),
    ("of the exchange", change("insurance_cover", 5, market=ALL_MARKETS), Code.OK),
    ("one there is not", Action(SET_PARAMETER, link=31, size_lots=1), Code.PARAMETER_OUT_OF_BOUNDS),
]


@pytest.mark.parametrize(("what", "action", "code"), CHANGES)
def test_gov_3_changes_have_bounds(what: str, action: Action, code: Code) -> None:
    assert govern(governed(), action) == code, what


def test_num_4_a_position_is_never_worth_more_than_its_limit() -> None:
    """At 2**22 - 1 ticks of 100 quote, 42,949,683 lots are worth 2**54."""
    desk = governed(instrument(position_lots_max=40_000_000))
    assert govern(desk, change("position_lots_max", 42_949_684)) == Code.PARAMETER_OUT_OF_BOUNDS
    assert govern(desk, change("position_lots_max", 42_949_683)) == Code.OK


def test_gov_3_a_change_takes_effect_and_is_told() -> None:
    desk = governed()
    assert govern(desk, change("taker_fee_bps", 6)) == Code.OK
    assert int(desk.tables.markets[0]["taker_fee_bps"]) == 6
    (notice,) = [row for row in desk.rows("notices") if row["kind"] == NOTICE_PARAMETER]
    assert list(notice.values())[1:] == [0, NUMBERS["taker_fee_bps"], 6, 5, 0]
    assert govern(desk, change("insurance_cover", 9, market=ALL_MARKETS)) == Code.OK
    assert int(desk.tables.counters[INSURANCE_COVER]) == 9


def test_gov_3_rebates_stay_paid_by_takers() -> None:
    """A maker discount of 20,000 pays the whole maker fee back, so a taker must pay at least that."""
    desk = governed(fee_tiers=(FeeTier(0, 0, 20_000),))
    assert govern(desk, change("taker_fee_bps", 3)) == Code.OK
    assert govern(desk, change("maker_fee_bps", 3)) == Code.OK
    assert govern(desk, change("taker_fee_bps", 2)) == Code.PARAMETER_OUT_OF_BOUNDS


# -- delisting and phases ---------------------------------------------------------------------------------------------


def test_gov_3_a_perpetual_is_delisted_an_hour_ahead() -> None:
    desk = governed()
    assert govern(desk, future()) == Code.OK
    now = desk.time_ms + 1
    for action, code in (
        (Action(DELIST, good_till_ms=now + HOUR_MS - 1), Code.CONTRADICTORY),
        (Action(DELIST, good_till_ms=now + HOUR_MS + 10), Code.OK),
        (Action(DELIST, good_till_ms=EXPIRY_MS, market=1), Code.CONTRADICTORY),
        (Action(DELIST, good_till_ms=EXPIRY_MS, market=2), Code.UNKNOWN_MARKET),
    ):
        assert govern(desk, action) == code
    assert int(desk.tables.markets[0]["delist_ms"]) == now + HOUR_MS + 10
    assert govern(desk, Action(DELIST)) == Code.OK
    assert int(desk.tables.markets[0]["delist_ms"]) == 0


def test_gov_3_phases_of_a_market() -> None:
    desk = governed()
    for phase, code in (
        (PHASE_CANCEL_ONLY, Code.OK), (PHASE_POST_ONLY, Code.OK), (PHASE_AUCTION, Code.OK), (PHASE_CONTINUOUS, Code.OK),
        (PHASE_SETTLED, Code.UNKNOWN_ENUM),
    ):  # fmt: skip
        assert govern(desk, Action(SET_PHASE, side=phase)) == code
        if code == Code.OK:
            assert int(desk.tables.markets[0]["phase"]) == phase
    assert govern(desk, Action(SET_PHASE, market=3)) == Code.UNKNOWN_MARKET


def test_gov_3_the_exchange_can_be_halted_only() -> None:
    desk = governed()
    assert govern(desk, Action(SET_PHASE, market=ALL_MARKETS, side=PHASE_POST_ONLY)) == Code.UNKNOWN_ENUM
    order = Action(PLACE, price_ticks=499_000, size_lots=1)
    halt = Action(SET_PHASE, market=ALL_MARKETS, side=PHASE_CANCEL_ONLY)
    receipts = desk.block(Sent(TRADER, (order,)), Sent(GOVERNOR_ACCOUNT, (halt,)))
    assert [receipt["code"] for receipt in receipts] == [Code.PHASE_REFUSES, Code.OK], "the governor comes first"
    assert int(desk.tables.counters[PHASE]) == PHASE_CANCEL_ONLY
