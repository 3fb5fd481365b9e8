"""Who may do what: signatures, session keys, nonces, governance (BLK-3, ACC-2 to ACC-4)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.commands import (
    ACCEPT,
    ALL_MARKETS,
    CANCEL_ALL,
    CANCEL_ALL_AFTER,
    DELIST,
    NO_SIGNER,
    PLACE,
    SET_FEES,
    SET_MARGIN_MODE,
    SET_PARAMETER,
    SET_PROTECTION,
    SET_SESSION,
    TRANSFER,
    WITHDRAW,
    Action,
)
from engine.results import Code
from engine.tables import GOVERNOR_ACCOUNT
from tests.engine.desk import Desk, Sent, open_desk

TRADER, OTHER = 64, 65
KEY, STRANGER = b"k" * 20, b"s" * 20
TRADE, CANCEL_ONLY, MOVE = 1, 2, 4
BUY_ORDER = Action(PLACE, price_ticks=499_000, size_lots=1)
LATER_MS = 1 << 50


def address(key: bytes) -> bytes:
    return key + bytes(4)


def grant(desk: Desk, scopes: int, key: bytes = KEY, until_ms: int = LATER_MS, cap_quote: int = 0) -> Code:
    action = Action(SET_SESSION, flags=scopes, good_till_ms=until_ms, size_lots=cap_quote, data=address(key))
    return desk.code(TRADER, action)[0]


MAY = [
    (TRADE, BUY_ORDER, True),
    (TRADE, Action(CANCEL_ALL, market=ALL_MARKETS), True),
    (TRADE, Action(CANCEL_ALL_AFTER), True),
    (TRADE, Action(SET_PROTECTION), True),
    (TRADE, Action(TRANSFER, size_lots=1, link=1), False),
    (CANCEL_ONLY, Action(CANCEL_ALL, market=ALL_MARKETS), True),
    (CANCEL_ONLY, Action(CANCEL_ALL_AFTER), True),
    (CANCEL_ONLY, BUY_ORDER, False),
    (CANCEL_ONLY, Action(ACCEPT), False),
    (MOVE, Action(TRANSFER, size_lots=1, link=1), True),
    (MOVE, BUY_ORDER, False),
    (7, Action(WITHDRAW, size_lots=1), False),
    (7, Action(SET_SESSION, flags=7, good_till_ms=LATER_MS, data=address(STRANGER)), False),
    (7, Action(SET_MARGIN_MODE), False),
    (7, Action(SET_FEES, data=address(STRANGER)), False),
    (7, Action(DELIST, good_till_ms=LATER_MS), False),
]


@pytest.mark.parametrize(("scopes", "action", "is_allowed"), MAY)
def test_acc_3_a_session_key_does_what_its_scopes_allow(scopes: int, action: Action, is_allowed: bool) -> None:
    desk = open_desk()
    assert grant(desk, scopes) == Code.OK
    (code,) = desk.code(TRADER, action, signer=KEY)
    assert (code != Code.NOT_PERMITTED) == is_allowed, code


def test_acc_3_a_key_moves_money_between_subaccounts_of_its_owner_only() -> None:
    desk = open_desk()
    grant(desk, MOVE)
    for receiver, code in ((desk.owner(TRADER), Code.OK), (desk.owner(OTHER), Code.NOT_PERMITTED)):
        action = Action(TRANSFER, size_lots=1, link=1, data=address(receiver))
        assert desk.code(TRADER, action, signer=KEY) == [code]


def test_acc_3_nobody_and_strangers_are_102_and_name_no_account() -> None:
    desk = open_desk()
    for signer in (NO_SIGNER, STRANGER, desk.owner(OTHER)):
        (receipt,) = desk.send(TRADER, BUY_ORDER, signer=signer)
        assert (receipt["code"], receipt["account_index"]) == (Code.BAD_SIGNATURE, -1)


def test_acc_3_a_key_ends_with_its_time_and_when_it_is_revoked() -> None:
    desk = open_desk()
    grant(desk, TRADE, until_ms=desk.time_ms + 3)  # granted in the first block from here, so two more may use it
    assert desk.code(TRADER, BUY_ORDER, signer=KEY) == [Code.OK]
    assert desk.code(TRADER, BUY_ORDER, signer=KEY) == [Code.OK]
    assert desk.code(TRADER, BUY_ORDER, signer=KEY) == [Code.BAD_SIGNATURE]
    grant(desk, TRADE)
    assert desk.code(TRADER, BUY_ORDER, signer=KEY) == [Code.OK]
    grant(desk, 0)
    assert desk.code(TRADER, BUY_ORDER, signer=KEY) == [Code.BAD_SIGNATURE]


def test_acc_3_keys_count_from_the_block_after_their_grant() -> None:
    desk = open_desk()
    setting = Action(SET_SESSION, flags=TRADE, good_till_ms=LATER_MS, data=address(KEY))
    receipts = desk.block(Sent(TRADER, (setting,)), Sent(TRADER, (BUY_ORDER,), KEY))
    assert [receipt["code"] for receipt in receipts] == [Code.OK, Code.BAD_SIGNATURE]


def test_acc_3_the_governor_governs_and_nothing_else() -> None:
    desk = open_desk(governor=b"g" * 20)
    change = Action(SET_PARAMETER, link=5, size_lots=3)
    assert desk.code(GOVERNOR_ACCOUNT, change) == [Code.OK]
    assert desk.code(GOVERNOR_ACCOUNT, BUY_ORDER) == [Code.NOT_PERMITTED]
    assert desk.code(TRADER, change) == [Code.NOT_PERMITTED]


def test_acc_4_a_key_places_no_more_than_its_cap_an_order() -> None:
    desk = open_desk()
    grant(desk, TRADE, cap_quote=499_000 * 100 * 2)
    for lots, code in ((2, Code.OK), (3, Code.ABOVE_SESSION_CAP)):
        order = Action(PLACE, price_ticks=499_000, size_lots=lots)
        assert desk.code(TRADER, order, signer=KEY) == [code]
        assert desk.code(TRADER, order) == [Code.OK], "the owner has no cap"


def test_acc_4_eight_keys_a_known_one_replaces_itself() -> None:
    desk = open_desk()
    keys = [bytes([number]) * 20 for number in range(1, 10)]
    assert [grant(desk, TRADE, key) for key in keys] == [Code.OK] * 8 + [Code.TABLE_FULL]
    assert grant(desk, CANCEL_ONLY, keys[0]) == Code.OK
    assert desk.code(TRADER, BUY_ORDER, signer=keys[0]) == [Code.NOT_PERMITTED]
    assert grant(desk, 0, keys[3]) == Code.OK
    assert grant(desk, TRADE, keys[8]) == Code.OK
    assert desk.code(TRADER, BUY_ORDER, signer=keys[8]) == [Code.OK]


BAD_GRANTS = [
    ("unknown scopes", {"scopes": 8}, Code.UNKNOWN_ENUM),
    ("nobody's key", {"scopes": 1, "key": bytes(20)}, Code.CONTRADICTORY),
    ("a time that has passed", {"scopes": 1, "until_ms": 1}, Code.CONTRADICTORY),
    ("a negative cap", {"scopes": 1, "cap_quote": -1}, Code.CONTRADICTORY),
    ("a negative cap of a revocation", {"scopes": 0, "cap_quote": -1}, Code.CONTRADICTORY),
    ("an unknown key revoked", {"scopes": 0}, Code.OK),
]


@pytest.mark.parametrize(("what", "terms", "code"), BAD_GRANTS)
def test_acc_4_grants_that_contradict_themselves(what: str, terms: dict, code: Code) -> None:
    assert grant(open_desk(), **terms) == code, what


def test_blk_3_codes_come_in_their_order_and_a_failing_message_changes_nothing() -> None:
    desk = open_desk()
    bad, fine = Action(PLACE, order_id=1), BUY_ORDER
    messages = [
        (Sent(TRADER, (fine, bad), STRANGER, 1, 0), [Code.MALFORMED] * 2),
        (Sent(TRADER, (fine, fine), STRANGER, 1, 0), [Code.BAD_SIGNATURE] * 2),
        (Sent(TRADER, (fine, fine), None, 1, 0), [Code.EXPIRED] * 2),
        (Sent(TRADER, (fine, Action(DELIST)), None, 1), [Code.NOT_PERMITTED] * 2),
        (Sent(TRADER, (fine, fine), None, 1), [Code.OK] * 2),
        (Sent(TRADER, (fine, fine), None, 1), [Code.NONCE_REUSED] * 2),
    ]
    receipts = desk.block(*[message for message, _ in messages])
    assert [receipt["code"] for receipt in receipts] == [code for _, codes in messages for code in codes]
    assert int(desk.tables.accounts[TRADER]["order_count"]) == 2
    named = [receipt["account_index"] for receipt in receipts]
    assert named == [-1] * 6 + [TRADER] * 6


def test_blk_3_an_unknown_account_is_202_if_its_owner_signed() -> None:
    desk = open_desk()
    desk.subaccount = lambda _: 7  # type: ignore[method-assign]
    assert desk.code(TRADER, BUY_ORDER) == [Code.UNKNOWN_ACCOUNT]
    assert desk.code(TRADER, BUY_ORDER, signer=STRANGER) == [Code.BAD_SIGNATURE]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 90), min_size=1, max_size=120))
def test_acc_2_the_64_highest_nonces_are_remembered(nonces: list[int]) -> None:
    desk = open_desk()
    receipts = desk.block(*[Sent(TRADER, (Action(CANCEL_ALL, market=ALL_MARKETS),), None, nonce) for nonce in nonces])
    known: list[int] = []
    for nonce, receipt in zip(nonces, receipts):
        if nonce in known:
            expected = Code.NONCE_REUSED
        elif len(known) == 64 and nonce < known[0]:
            expected = Code.NONCE_TOO_OLD
        else:
            expected, known = Code.OK, sorted([*known, nonce])[-64:]
        assert receipt["code"] == expected
    count = int(desk.tables.accounts[TRADER]["nonce_count"])
    assert desk.tables.nonces[TRADER, :count].tolist() == known
