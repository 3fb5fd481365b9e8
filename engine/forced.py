"""Forced actions: what owners had put into the settlement contract's inbox, asking no validator (docs/spec.md, FRC).

An entry becomes the action that its owner could have signed and goes through the same code, by the same rules, at the
prices and phases of its own block. It has no receipt: a notice says what became of it. Whatever the entry holds, it is
consumed; nothing in it can raise.
"""

from typing import NamedTuple

import numpy as np

from engine.commands import (
    ACTION,
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
from engine.exposure import compute_withdrawable
from engine.inbox import NO_ACCOUNT, find_asset, look_up
from engine.intake import CLASS_ACCOUNT, Intake
from engine.payload import FORCED_KINDS, KIND_CANCEL, KIND_CLOSE, KIND_WITHDRAW, InboxEntry
from engine.results import Code
from engine.stages import apply_actions
from engine.state import EngineState
from engine.tables import (
    MARKET_COUNT,
    NOTICE_COUNT,
    NOTICE_FORCED,
    USER_ACCOUNT_FIRST,
    Outputs,
)

_NO_ADDRESS, _NO_DATA = bytes(20), bytes(32)
_INT64_LIMIT, _FLAGS_LIMIT = 1 << 63, 1 << 8
_ONE_ROW = np.zeros(1, np.int64)


class Request(NamedTuple):
    """An entry's numbers: `market` of kinds 2 and 3, the rest of `data` by kind."""

    market: int = 0
    limit_ticks: int = 0
    key: bytes = _NO_ADDRESS
    scopes: int = 0
    expiry_ms: int = 0


def read_request(entry: InboxEntry) -> Request | None:
    """What an entry of a forced kind asks for; None where its bytes are none that the contract makes (FRC-2)."""
    has_token, data = entry.token != _NO_ADDRESS, entry.data
    if entry.beneficiary != entry.sender:
        return None
    if entry.kind == KIND_WITHDRAW:
        return Request() if data == _NO_DATA else None
    if has_token:
        return None
    if entry.kind in (KIND_CANCEL, KIND_CLOSE):
        limit_ticks, market = int.from_bytes(data[20:28], "big"), int.from_bytes(data[28:], "big")
        is_cancel = entry.kind == KIND_CANCEL
        if any(data[:20]) or limit_ticks >= _INT64_LIMIT or (is_cancel and (limit_ticks or entry.amount)):
            return None
        return Request(market=market, limit_ticks=limit_ticks)
    expiry_ms, scopes = int.from_bytes(data[:8], "big"), int.from_bytes(data[8:12], "big")
    return Request(key=data[12:], scopes=scopes, expiry_ms=expiry_ms) if expiry_ms < _INT64_LIMIT else None


def _read_holding(state: EngineState, account: int, market: int) -> tuple[int, int]:
    """`(lots, lots in open sells)` of an account in a market."""
    row = int(state.tables.accounts[account]["position_first"])
    while row:
        position = state.tables.positions[row]
        if int(position["market"]) == market:
            return int(position["lots"]), int(position["sell_lots"])
        row = int(position["next"])
    return 0, 0


def _make_close(state: EngineState, account: int, request: Request, lots: int) -> Code | Action:
    """FRC-4: a reduce-only order that takes what there is and never rests, at the limit or the band if stricter."""
    if request.market >= int(state.tables.counters[MARKET_COUNT]):
        return Code.UNKNOWN_MARKET
    market = state.tables.markets[request.market]
    held_lots, _ = _read_holding(state, account, request.market)
    if held_lots == 0:
        return Code.NOT_REDUCING
    side = SELL if held_lots > 0 else BUY
    flags, price_ticks = REDUCE_ONLY | AT_MARKET, 0
    if request.limit_ticks:
        flags, price_ticks = REDUCE_ONLY, request.limit_ticks
        if market["mark_ms"] != 0:
            band_ticks = int(market["sell_limit_ticks" if side == SELL else "buy_limit_ticks"])
            price_ticks = max(price_ticks, band_ticks) if side == SELL else min(price_ticks, band_ticks)
    return Action(
        PLACE, side=side, time_in_force=IMMEDIATE_OR_CANCEL, flags=flags, market=request.market,
        price_ticks=price_ticks, size_lots=lots or min(abs(held_lots), int(market["order_lots_max"])),
    )  # fmt: skip


def _make_withdrawal(state: EngineState, account: int, entry: InboxEntry) -> Code | Action:
    """FRC-5: whole lots of an asset; without an amount all that is free."""
    asset = find_asset(state, entry.token)
    if asset == NO_ACCOUNT:
        return Code.UNKNOWN_ASSET
    row = state.tables.assets[asset]
    lots, rest = divmod(entry.amount, int(row["units_per_lot"]))
    if rest:
        return Code.CONTRADICTORY
    if entry.amount == 0 and asset == 0:
        lots = int(compute_withdrawable(state.tables, np.int64(account)))
    elif entry.amount == 0:
        held_lots, sell_lots = _read_holding(state, account, int(row["market"]))
        lots = held_lots - sell_lots
    return Action(WITHDRAW, market=asset, size_lots=lots)


def _make_action(state: EngineState, account: int, entry: InboxEntry, request: Request) -> Code | Action:
    """The action that the owner could have signed, or why there is none."""
    if entry.kind == KIND_CANCEL:
        return Action(CANCEL_ALL, market=request.market)
    if entry.kind == KIND_CLOSE:
        return _make_close(state, account, request, entry.amount)
    if entry.kind == KIND_WITHDRAW:
        return _make_withdrawal(state, account, entry)
    if request.scopes >= _FLAGS_LIMIT:
        return Code.UNKNOWN_ENUM
    return Action(
        SET_SESSION, flags=request.scopes, size_lots=entry.amount, good_till_ms=request.expiry_ms,
        data=request.key + bytes(4),
    )  # fmt: skip


def _run(state: EngineState, outputs: Outputs, account: int, action: Action, time_ms: int) -> tuple[Code, int]:
    """Execute one action like any other of the block; `(code, number of the notice)`. Its receipt is scratch."""
    row = np.frombuffer(bytearray(action.encode()), ACTION)  # one that may be written, as kernels expect
    nobody = np.zeros((0, 20), np.uint8)
    intake = Intake(np.empty(0), row, nobody, _ONE_ROW, _ONE_ROW, _ONE_ROW, np.full(1, CLASS_ACCOUNT, np.int64))
    codes, accounts = np.zeros(1, np.int64), np.array([account], np.int64)
    apply_actions(state.tables, outputs, intake, _ONE_ROW, codes, accounts, np.zeros(1, np.int64), time_ms)
    receipt = outputs.receipts[0]
    code = Code(int(receipt["code"]))
    if code != Code.OK:
        return code, 0
    numbers = {CANCEL_ALL: "cancelled_count", PLACE: "order_id", WITHDRAW: "withdrawal_index"}
    return code, int(receipt[numbers[action.kind]]) if action.kind in numbers else action.flags


def apply_forced(state: EngineState, outputs: Outputs, entry: InboxEntry, time_ms: int) -> None:
    """Execute an entry, if it is a forced action, and say what became of it."""
    if entry.kind not in FORCED_KINDS:
        return
    request, account, number = read_request(entry), look_up(state, entry.sender, entry.subaccount), 0
    made: Code | Action = Code.MALFORMED
    if request is not None:
        made = Code.UNKNOWN_ACCOUNT
        if account != NO_ACCOUNT:
            made = Code.NOT_PERMITTED
        if account >= USER_ACCOUNT_FIRST:
            made = _make_action(state, account, entry, request)
    if isinstance(made, Action):
        code, number = _run(state, outputs, account, made, time_ms)
    else:
        code = made
    count = int(state.tables.counters[NOTICE_COUNT])
    outputs.notices[count] = (NOTICE_FORCED, entry.index, account, int(code), entry.kind, number)
    state.tables.counters[NOTICE_COUNT] = count + 1
