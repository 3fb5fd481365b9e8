"""Forced actions: FRC."""

from engine.commands import (
    AT_MARKET,
    BUY,
    CANCEL_ALL,
    IMMEDIATE_OR_CANCEL,
    PLACE,
    REDUCE_ONLY,
    SELL,
    SET_SESSION,
    WITHDRAW,
    Action,
)
from engine.results import Code
from engine.tables import NOTICE_FORCED
from tests.reference import account_actions, margin, orders
from tests.reference.state import FIRST_USER

CANCEL, CLOSE, WITHDRAWAL, KEY = KINDS = (2, 3, 4, 5)


def run(x, entry):
    if entry.kind not in KINDS:
        return
    index = x.find_account(entry.sender, entry.subaccount)
    code, number = judge(x, entry, index)
    x.notify(NOTICE_FORCED, entry.index, -1 if index is None else index, int(code), entry.kind, number)


def judge(x, entry, index):
    """FRC-2: `(code, number of the notice)`."""
    if is_malformed(entry):
        return Code.MALFORMED, 0
    if index is None:
        return Code.UNKNOWN_ACCOUNT, 0
    if index < FIRST_USER:
        return Code.NOT_PERMITTED, 0
    kinds = {CANCEL: cancel, CLOSE: close, WITHDRAWAL: withdraw, KEY: set_key}
    code, number = kinds[entry.kind](x, entry, index)
    return (code, int(number)) if code == Code.OK else (code, 0)


def is_malformed(entry):
    data = int.from_bytes(entry.data, "big")
    if entry.beneficiary != entry.sender or (any(entry.token) and entry.kind != WITHDRAWAL):
        return True
    return {
        CANCEL: data >= 1 << 32 or entry.amount != 0,
        CLOSE: data >= 1 << 95,
        WITHDRAWAL: data != 0,
        KEY: data >= 1 << 255,
    }[entry.kind]


def blank_receipt():
    return [0] * 10 + [-1]


def cancel(x, entry, index):
    receipt = blank_receipt()
    code = orders.cancel_all(x, index, Action(CANCEL_ALL, market=int.from_bytes(entry.data, "big")), receipt)
    return code, receipt[9]


def set_key(x, entry, index):
    """FRC-3."""
    scopes = int.from_bytes(entry.data[8:12], "big")
    if scopes > 255:
        return Code.UNKNOWN_ENUM, 0
    action = Action(
        SET_SESSION, flags=scopes, good_till_ms=int.from_bytes(entry.data[:8], "big"), size_lots=entry.amount,
        data=entry.data[12:] + bytes(4),
    )  # fmt: skip
    return account_actions.set_session(x, index, action), scopes


def close(x, entry, index):
    """FRC-4."""
    numbers = int.from_bytes(entry.data, "big")
    market, limit = numbers % (1 << 32), numbers >> 32
    if market >= len(x.markets):
        return Code.UNKNOWN_MARKET, 0
    held = x.accounts[index].lots(market)
    if held == 0:
        return Code.NOT_REDUCING, 0
    side, flags = SELL if held > 0 else BUY, REDUCE_ONLY
    if limit == 0:
        flags |= AT_MARKET
    elif x.has_mark(market):
        highest_buy, lowest_sell = x.band(market)
        limit = max(limit, lowest_sell) if side == SELL else min(limit, highest_buy)
    action = Action(
        PLACE, side=side, time_in_force=IMMEDIATE_OR_CANCEL, flags=flags, market=market, price_ticks=limit,
        size_lots=entry.amount or min(abs(held), x.markets[market].order_lots_max),
    )  # fmt: skip
    receipt = blank_receipt()
    code = orders.place(x, index, action, receipt, 0)
    return code, receipt[4]


def withdraw(x, entry, index):
    """FRC-5."""
    tokens = [asset.token for asset in x.assets]
    if entry.token not in tokens:
        return Code.UNKNOWN_ASSET, 0
    asset = tokens.index(entry.token)
    lots, rest = divmod(entry.amount, x.assets[asset].units_per_lot)
    if rest:
        return Code.CONTRADICTORY, 0
    if not x.are_fresh(index):
        return Code.NO_PRICE, 0
    if entry.amount == 0 and asset == 0:
        lots = margin.withdrawable(x, index)
    elif entry.amount == 0:
        market = x.assets[asset].market
        lots = x.accounts[index].lots(market) - x.open_lots(index, market, SELL)
    receipt = blank_receipt()
    code = account_actions.withdraw(x, index, Action(WITHDRAW, market=asset, size_lots=lots), receipt)
    return code, receipt[10]
