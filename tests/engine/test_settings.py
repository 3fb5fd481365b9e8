"""What an account decides about itself, and its money: ACC-4 to ACC-7, MAR-9, ORD-7, ORD-8."""

import pytest

from engine.commands import (
    ALL_MARKETS,
    CANCEL_ALL,
    CANCEL_ALL_AFTER,
    PLACE,
    SET_FEES,
    SET_MARGIN_MODE,
    SET_PROTECTION,
    TRANSFER,
    TRIGGER,
    UNDER_PROTECTION,
    WITHDRAW,
    Action,
)
from engine.params import CollateralParams
from engine.results import Code
from engine.tables import (
    BY_SWITCH,
    MODE_CROSS,
    MODE_ISOLATED,
    MODE_PORTFOLIO,
    NOTICE_TRANSFER,
    PROTECTIONS_USED,
    USER_ACCOUNT_FIRST,
    WITHDRAWALS,
)
from tests.engine.desk import Desk, open_desk
from tests.engine.floor import USD, hold, instrument

TRADER, OTHER, THIRD = 64, 65, 66
BUY, SELL = 0, 1
RICH = 1_000_000 * USD
LATER_MS = 1 << 50
SPOT = 1  # market of the collateral, asset 1


def place(side: int, price_ticks: int, size_lots: int = 1, **fields: int) -> Action:
    return Action(PLACE, side=side, price_ticks=price_ticks, size_lots=size_lots, **fields)


def address(desk: Desk, account: int) -> bytes:
    return desk.owner(account) + bytes(4)


def collateral_desk() -> Desk:
    """BTC counts as collateral at haircuts of 20 % and 10 %; account 64 holds 100 lots of 0.001, 50 USD each."""
    spot = instrument("BTC-SPOT", kind="spot", underlying="BTC", initial_margin_bps=2000, maintenance_margin_bps=1000)
    asset = CollateralParams(b"c" * 20, "BTC-SPOT", 100_000, 10_000)
    desk = open_desk(instrument(), spot, collaterals=(asset,))
    hold(desk, SPOT, a64=100)  # type: ignore[arg-type]
    desk.tables.assets[1]["deposited_units"] = 100 * 100_000
    desk.block()
    return desk


# -- money ------------------------------------------------------------------------------------------------------------


def test_mar_9_a_withdrawal_takes_what_margin_leaves() -> None:
    """10 lots long at 50,000 USD are 500 USD: initial 5 % is 25 USD, but a tenth, 50 USD, has to stay."""
    desk = open_desk()
    hold(desk, 0, a64=10, a65=-10)  # type: ignore[arg-type]
    desk.block()
    equity = desk.balance(TRADER) + 500 * USD
    most = equity - 50 * USD
    assert desk.code(TRADER, Action(WITHDRAW, size_lots=most + 1)) == [Code.INSUFFICIENT_BALANCE]
    (receipt,) = desk.send(TRADER, Action(WITHDRAW, size_lots=most))
    assert (receipt["code"], receipt["withdrawal_index"]) == (Code.OK, 0)
    (row,) = desk.rows("withdrawals")
    assert (row["account"], row["amount_units"], row["asset"]) == (TRADER, most, 0)
    assert int(desk.tables.counters[WITHDRAWALS]) == 1


@pytest.mark.parametrize(
    ("what", "action", "code"),
    [
        ("nothing", Action(WITHDRAW), Code.AMOUNT_NOT_POSITIVE),
        ("less than nothing", Action(WITHDRAW, size_lots=-1), Code.AMOUNT_NOT_POSITIVE),
        ("an unknown asset", Action(WITHDRAW, market=5, size_lots=1), Code.UNKNOWN_ASSET),
        ("nothing of it", Action(WITHDRAW, market=1), Code.AMOUNT_NOT_POSITIVE),
        ("more than is held", Action(WITHDRAW, market=1, size_lots=101), Code.INSUFFICIENT_BALANCE),
    ],
)
def test_mar_9_withdrawals_that_are_none(what: str, action: Action, code: Code) -> None:
    assert collateral_desk().code(TRADER, action) == [code], what


def test_mar_9_no_money_leaves_while_a_price_is_stale() -> None:
    desk = open_desk()
    hold(desk, 0, a64=10, a65=-10)  # type: ignore[arg-type]
    desk.block(step_ms=15_001)
    assert desk.code(TRADER, Action(WITHDRAW, size_lots=1)) == [Code.NO_PRICE]
    assert desk.code(TRADER, Action(TRANSFER, size_lots=1, link=1)) == [Code.NO_PRICE]
    assert desk.code(THIRD, Action(WITHDRAW, size_lots=1)) == [Code.OK]


def test_mar_9_collateral_leaves_in_lots_and_units() -> None:
    desk = collateral_desk()
    assert desk.code(TRADER, Action(WITHDRAW, market=1, size_lots=60)) == [Code.OK]
    (row,) = desk.rows("withdrawals")
    assert (row["amount_units"], row["asset"]) == (60 * 100_000, 1)
    assert desk.lots(TRADER, SPOT) == 40
    assert int(desk.tables.assets[1]["withdrawn_units"]) == 60 * 100_000


def test_mar_9_collateral_on_offer_or_needed_stays() -> None:
    """100 lots are worth 5,000 USD of which 4,000 count; 1,000 lots short of the perpetual need 2,500."""
    desk = collateral_desk()
    assert desk.code(TRADER, place(SELL, 501_000, 30, market=SPOT)) == [Code.OK]
    assert desk.code(TRADER, Action(WITHDRAW, market=1, size_lots=71)) == [Code.INSUFFICIENT_BALANCE]
    assert desk.code(TRADER, Action(CANCEL_ALL, market=ALL_MARKETS)) == [Code.OK]
    assert desk.code(TRADER, Action(WITHDRAW, size_lots=RICH)) == [Code.OK]
    assert desk.code(TRADER, place(SELL, 500_000, 1_000)) == [Code.OK]  # 2,500 USD and a fee of 25 USD
    assert desk.code(TRADER, Action(WITHDRAW, market=1, size_lots=37)) == [Code.INSUFFICIENT_BALANCE]
    assert desk.code(TRADER, Action(WITHDRAW, market=1, size_lots=36)) == [Code.OK]


def test_acc_6_a_transfer_makes_a_new_subaccount() -> None:
    desk = open_desk()
    assert desk.code(TRADER, Action(TRANSFER, size_lots=7, link=3)) == [Code.OK]
    made = USER_ACCOUNT_FIRST + 4
    assert (desk.owner(made), desk.subaccount(made), desk.balance(made)) == (desk.owner(TRADER), 3, 7)
    assert desk.balance(TRADER) == RICH - 7
    (notice,) = [row for row in desk.rows("notices") if row["kind"] == NOTICE_TRANSFER]
    assert [notice[name] for name in ("subject", "value_a", "value_b", "value_c")] == [TRADER, made, 0, 7]
    assert desk.code(made, Action(TRANSFER, size_lots=7)) == [Code.OK]
    assert desk.balance(TRADER) == RICH


def test_acc_6_another_owner_must_be_there() -> None:
    desk = open_desk()
    other = address(desk, OTHER)
    for terms, code in (
        ({"data": other}, Code.OK),
        ({"data": other, "link": 1}, Code.COUNTERPARTY_FAILED),
        ({"data": b"x" * 20 + bytes(4)}, Code.COUNTERPARTY_FAILED),
        ({"link": 1 << 32}, Code.COUNTERPARTY_FAILED),
        ({}, Code.CONTRADICTORY),
        ({"data": address(desk, TRADER)}, Code.CONTRADICTORY),
        ({"link": 1, "market": 9}, Code.UNKNOWN_ASSET),
        ({"link": 1, "size_lots": RICH}, Code.INSUFFICIENT_BALANCE),
        ({"link": 1, "size_lots": 0}, Code.AMOUNT_NOT_POSITIVE),
    ):
        assert desk.code(TRADER, Action(TRANSFER, **{"size_lots": 5, **terms})) == [code], terms
    assert desk.balance(OTHER) == RICH + 5


def test_acc_6_no_account_is_left() -> None:
    desk = open_desk(accounts_max=68)
    assert desk.code(TRADER, Action(TRANSFER, size_lots=5, link=1)) == [Code.TABLE_FULL]


def test_acc_6_collateral_moves_and_the_receiver_can_hold_it() -> None:
    desk = collateral_desk()
    move = Action(TRANSFER, market=1, size_lots=40, data=address(desk, OTHER))
    assert desk.code(OTHER, Action(SET_MARGIN_MODE, side=MODE_ISOLATED), place(BUY, 490_000)) == [Code.OK] * 2
    assert desk.code(TRADER, move) == [Code.WRONG_MARGIN_MODE]
    assert desk.code(OTHER, Action(CANCEL_ALL, market=ALL_MARKETS)) == [Code.OK]
    assert desk.code(TRADER, move) == [Code.OK]
    assert (desk.lots(TRADER, SPOT), desk.lots(OTHER, SPOT)) == (60, 40)
    new = Action(TRANSFER, market=1, size_lots=60, link=8)
    assert desk.code(TRADER, new) == [Code.OK]
    assert desk.lots(USER_ACCOUNT_FIRST + 4, SPOT) == 60


# -- fees, modes ------------------------------------------------------------------------------------------------------


def test_acc_4_a_referrer_is_named_once() -> None:
    desk = open_desk()
    for who, terms, code in (
        (THIRD, {"data": b"x" * 20 + bytes(4)}, Code.COUNTERPARTY_FAILED),
        (THIRD, {"data": address(desk, THIRD)}, Code.CONTRADICTORY),
        (THIRD, {"data": address(desk, OTHER), "size_lots": 1}, Code.CONTRADICTORY),
        (THIRD, {"data": address(desk, OTHER), "link": 2}, Code.CONTRADICTORY),
        (THIRD, {"data": address(desk, OTHER)}, Code.OK),
        (THIRD, {"data": address(desk, TRADER)}, Code.CONTRADICTORY),
    ):
        assert desk.code(who, Action(SET_FEES, **terms)) == [code], terms
    assert int(desk.tables.accounts[THIRD]["referrer"]) == OTHER


def test_acc_4_a_builder_takes_no_more_than_was_approved() -> None:
    desk = open_desk()
    builder = address(desk, OTHER)

    def order(ppm: int) -> Code:
        return desk.code(TRADER, place(BUY, 490_000, link=OTHER << 16 | ppm))[0]

    assert order(10) == Code.CONTRADICTORY
    for ppm, code in ((-1, Code.CONTRADICTORY), (65_536, Code.CONTRADICTORY), (100, Code.OK)):
        assert desk.code(TRADER, Action(SET_FEES, data=builder, link=1, size_lots=ppm)) == [code]
    assert (order(100), order(101)) == (Code.OK, Code.CONTRADICTORY)
    assert desk.code(TRADER, Action(SET_FEES, data=builder, link=1)) == [Code.OK]
    assert order(1) == Code.CONTRADICTORY
    assert desk.code(TRADER, place(BUY, 490_000), signer=desk.owner(OTHER)) == [Code.BAD_SIGNATURE]


def test_acc_7_modes() -> None:
    desk = open_desk(instrument(), instrument("ETH-PERPETUAL"))
    for mode, code in ((3, Code.UNKNOWN_ENUM), (MODE_PORTFOLIO, Code.OK), (MODE_ISOLATED, Code.OK)):
        assert desk.code(TRADER, Action(SET_MARGIN_MODE, side=mode)) == [code]
    orders = place(BUY, 490_000), place(BUY, 490_000, market=1)
    assert desk.code(TRADER, *orders) == [Code.OK, Code.WRONG_MARGIN_MODE]
    assert desk.code(TRADER, Action(SET_MARGIN_MODE, side=MODE_CROSS), orders[1]) == [Code.OK] * 2
    assert desk.code(TRADER, Action(SET_MARGIN_MODE, side=MODE_ISOLATED)) == [Code.WRONG_MARGIN_MODE]
    desk.block(step_ms=15_001)
    assert desk.code(TRADER, Action(SET_MARGIN_MODE, side=MODE_CROSS)) == [Code.NO_PRICE]


def test_acc_7_a_mode_needs_its_margin() -> None:
    desk = open_desk()
    hold(desk, 0, a64=10, a65=-10)  # type: ignore[arg-type]
    desk.tables.accounts[TRADER]["balance_quote"] = -490 * USD  # 10 USD of equity for a demand of 25
    assert desk.code(TRADER, Action(SET_MARGIN_MODE, side=MODE_ISOLATED)) == [Code.INSUFFICIENT_MARGIN]
    assert int(desk.tables.accounts[TRADER]["mode"]) == MODE_CROSS


# -- protection and the switch ----------------------------------------------------------------------------------------


def protection(**fields: int) -> Action:
    return Action(SET_PROTECTION, **fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"good_till_ms": 86_400_001}, {"good_till_ms": 1, "display_lots": 86_400_001},
        {"good_till_ms": 1, "display_lots": -1}, {"good_till_ms": 1, "size_lots": -1},
        {"good_till_ms": 1, "price_ticks": -1}, {"good_till_ms": 1, "trigger_ticks": -1},
    ],
)  # fmt: skip
def test_ord_8_bounds_of_protection(fields: dict) -> None:
    assert open_desk().code(TRADER, protection(**fields)) == [Code.CONTRADICTORY]


def test_ord_8_protection_freezes_until_its_time_or_until_it_is_set_again() -> None:
    desk = open_desk()
    settings = protection(good_till_ms=1_000, display_lots=100, size_lots=50 * USD)  # one lot is worth 50 USD
    quote = place(SELL, 500_000, 2, flags=UNDER_PROTECTION)
    assert desk.code(TRADER, settings, quote) == [Code.OK] * 2
    assert desk.code(OTHER, place(BUY, 500_000, 1)) == [Code.OK]
    assert desk.code(TRADER, quote) == [Code.OK], "50 USD do not pass 50 USD"
    assert desk.code(OTHER, place(BUY, 500_000, 1)) == [Code.OK]
    assert int(desk.tables.accounts[TRADER]["order_count"]) == 0
    assert desk.code(TRADER, quote) == [Code.PROTECTED]
    desk.block(step_ms=99)
    assert desk.code(TRADER, quote) == [Code.OK]
    assert desk.code(OTHER, place(BUY, 500_000, 2)) == [Code.OK]
    assert desk.code(TRADER, quote) == [Code.PROTECTED]
    assert desk.code(TRADER, settings, quote) == [Code.OK] * 2
    assert desk.code(TRADER, protection()) == [Code.OK]
    assert int(desk.tables.counters[PROTECTIONS_USED]) == 2


def test_ord_8_no_protection_takes_no_row() -> None:
    desk = open_desk()
    assert desk.code(TRADER, protection()) == [Code.OK]
    assert int(desk.tables.counters[PROTECTIONS_USED]) == 1


def test_ord_7_the_switch_cancels_orders_and_triggers() -> None:
    desk = open_desk()
    stop = Action(TRIGGER, side=SELL, flags=64, price_ticks=480_000, size_lots=1, trigger_ticks=480_000)
    assert desk.code(TRADER, place(BUY, 490_000), stop) == [Code.OK] * 2
    now = desk.time_ms + 1  # of the next block
    assert desk.code(TRADER, Action(CANCEL_ALL_AFTER, good_till_ms=now + 999)) == [Code.CONTRADICTORY]
    assert desk.code(TRADER, Action(CANCEL_ALL_AFTER, good_till_ms=now + 1_001)) == [Code.OK]
    desk.block(step_ms=999)
    assert desk.rows("cancellations") == []
    desk.block(step_ms=1)
    assert [row["reason"] for row in desk.rows("cancellations")] == [BY_SWITCH] * 2
    assert int(desk.tables.accounts[TRADER]["cancel_at_ms"]) == 0


def test_ord_7_the_switch_can_be_disarmed() -> None:
    desk = open_desk()
    assert desk.code(TRADER, Action(CANCEL_ALL_AFTER, good_till_ms=LATER_MS)) == [Code.OK]
    assert desk.code(TRADER, Action(CANCEL_ALL_AFTER)) == [Code.OK]
    assert int(desk.tables.accounts[TRADER]["cancel_at_ms"]) == 0
