"""What a node refuses before a block does: certain things only, and never what a session key may do."""

import pytest

from engine.commands import (
    AT_MARKET,
    BUY,
    CANCEL_ALL,
    IMMEDIATE_OR_CANCEL,
    PLACE,
    SET_SESSION,
    TRIGGER,
    WITHDRAW,
    address_of,
)
from engine.results import Code
from tests.validator.chainlet import EXPIRY_MS, OWNERS, SEPARATOR, TRADERS, Chainlet, seal, sign
from validator.prechecks import list_expiries, may_sign, precheck

STRANGER = TRADERS[2]


@pytest.fixture(scope="module")
def chain():
    made = Chainlet()
    made.fund()
    return made


@pytest.mark.parametrize(
    ("kind", "fields", "code"),
    [
        (PLACE, {"price_ticks": 1, "size_lots": 1}, Code.OK),
        (PLACE, {"price_ticks": 0, "size_lots": 1}, Code.PRICE_OUT_OF_RANGE),
        (PLACE, {"flags": AT_MARKET, "time_in_force": IMMEDIATE_OR_CANCEL, "size_lots": 1}, Code.OK),
        (PLACE, {"price_ticks": 1}, Code.SIZE_NOT_POSITIVE),
        (PLACE, {"price_ticks": 1, "size_lots": 1 << 40}, Code.SIZE_TOO_LARGE),
        (PLACE, {"market": 2, "price_ticks": 1, "size_lots": 1}, Code.UNKNOWN_MARKET),
        (TRIGGER, {"side": BUY, "trigger_ticks": 5}, Code.OK),  # the engine's question
        (TRIGGER, {"market": 2}, Code.UNKNOWN_MARKET),
        (WITHDRAW, {"size_lots": 0}, Code.AMOUNT_NOT_POSITIVE),
        (WITHDRAW, {"size_lots": 1, "market": 5}, Code.OK),
    ],
)
def test_what_is_certain_is_refused_at_once(chain, kind, fields, code):
    assert precheck(chain.executor.final.state, sign(0, kind, 1, **fields), 5_000) == code


def test_who_may_sign_is_the_owner_or_a_key_of_the_account(chain):
    key = address_of(STRANGER.public_key)
    state = chain.executor.final.state
    assert may_sign(state, OWNERS[0], 0, OWNERS[0]) and not may_sign(state, OWNERS[0], 0, key)
    assert not may_sign(state, bytes(20), 0, bytes(20))
    grant = sign(0, SET_SESSION, 5, flags=1, good_till_ms=EXPIRY_MS, data=key + bytes(4))
    chain.add([seal(0, 1, [grant.encode()])])
    state = chain.executor.final.state
    assert may_sign(state, OWNERS[0], 0, key)
    assert not may_sign(state, OWNERS[0], 1, key) and not may_sign(state, OWNERS[1], 0, key)
    command = sign(0, CANCEL_ALL, 6, market=0).signed(STRANGER, SEPARATOR)
    chain.add([seal(0, 2, [command.encode()])])
    assert chain.executor.final.result.receipts["code"].tolist() == [Code.OK]


def test_without_dated_markets_there_are_no_expiries(chain):
    assert list_expiries(chain.executor.final.state) == ()
