"""Signed requests: parameters to `Command`, signature check, submission, and the answer.

A command that this node has queued may execute, so after `submit` there is no error: only the final result, which may
be a refusal by the engine, or the status reached so far.
"""

import logging
from typing import Any

from engine.commands import (
    ALL_MARKETS,
    AMEND,
    AT_MARKET,
    BUY,
    CANCEL,
    CANCEL_ALL,
    CANCEL_ALL_AFTER,
    FILL_OR_KILL,
    GOOD_TILL_CANCELLED,
    GOOD_TILL_TIME,
    IMMEDIATE_OR_CANCEL,
    MESSAGE_BYTES_MAX,
    NO_SIGNER,
    PLACE,
    POST_ONLY,
    POST_ONLY_SLIDE,
    REDUCE_ONLY,
    SELF_TRADE_SHIFT,
    SELL,
    TRANSFER,
    TRIGGER,
    TRIGGER_BELOW,
    TRIGGER_ON_LAST,
    UNDER_PROTECTION,
    WITHDRAW,
    Action,
    Command,
    command_id,
    compute_action_ids,
    is_well_formed,
    recover_signer,
)
from engine.results import Code
from net.gateway import present, present_account
from net.gateway.api import Call, Pending
from net.gateway.backend import CommandResult, Receipt, Status, Ticket
from net.gateway.errors import BAD_HEX, NOT_SUPPORTED, REFUSAL_FAULTS, UNKNOWN_VALUE, ApiError, engine_error
from net.gateway.instruments import read_amount_quote
from net.gateway.params import I64_MAX, U32_MAX, Params
from net.gateway.present_text import CURRENCY, hexed

logger = logging.getLogger(__name__)
_TIMES_IN_FORCE = {
    "good_til_cancelled": GOOD_TILL_CANCELLED, "immediate_or_cancel": IMMEDIATE_OR_CANCEL,
    "fill_or_kill": FILL_OR_KILL, "x_good_til_time": GOOD_TILL_TIME,
}  # fmt: skip
# Order types: whether it has a price, and on which side of its trigger price a buy waits (None: it does not wait).
_TYPES: dict[str, tuple[bool, bool | None]] = {
    "limit": (True, None), "market": (False, None), "stop_limit": (True, False), "stop_market": (False, False),
    "take_limit": (True, True), "take_market": (False, True),
}  # fmt: skip
_TRIGGERS = {"mark_price": 0, "last_price": TRIGGER_ON_LAST}
_SELF_TRADES = {"cancel_maker": 0, "cancel_taker": 1, "cancel_both": 2, "decrement": 3}
_KNOWN_TIMES_IN_FORCE = range(6)
_PLACE_FLAGS = REDUCE_ONLY | UNDER_PROTECTION | 3 << SELF_TRADE_SHIFT | AT_MARKET
_TRIGGER_FLAGS = _PLACE_FLAGS | TRIGGER_ON_LAST | TRIGGER_BELOW
_WAITS = {"final": True, "received": False}
_SIGNED = {"owner", "subaccount", "nonce", "expiry_ms", "signature", "x_wait", "x_timeout_s"}
_PLACE = _SIGNED | {
    "instrument_name", "amount", "type", "time_in_force", "post_only", "reject_post_only", "reduce_only", "label",
    "x_self_trade",
}  # fmt: skip


def _read_signed(params: Params, kind: int, allowed: set[str], **fields: Any) -> Command:
    """The command that the parameters describe, with the signature they carry."""
    for name in params.values:
        if name not in allowed:
            raise ApiError(NOT_SUPPORTED, name)
    signature = params.hex_bytes("signature", 65)
    if signature[64] in (27, 28):  # as wallets write it
        signature = signature[:64] + bytes([signature[64] - 27])
    return Command.of(
        kind, owner=params.hex_bytes("owner", 20), nonce=params.integer("nonce", 1, I64_MAX),
        expiry_ms=params.integer("expiry_ms", 0, I64_MAX), subaccount=params.integer("subaccount", 0, U32_MAX, 0),
        signature=signature, **fields,
    )  # fmt: skip


def read_client_id(params: Params) -> int:
    """`label` is signed as a number; 0 is none."""
    label = params.values.get("label")
    if label in (None, ""):
        return 0
    return params.integer("label", 0, I64_MAX)


def _read_time_in_force(params: Params, is_limit: bool) -> int:
    time_in_force = params.choice("time_in_force", _TIMES_IN_FORCE, "good_til_cancelled")
    if not is_limit and time_in_force == GOOD_TILL_CANCELLED:
        return IMMEDIATE_OR_CANCEL  # what a market order does not get at once is cancelled
    if not params.flag("post_only"):
        return time_in_force
    if time_in_force != GOOD_TILL_CANCELLED:
        raise ApiError(UNKNOWN_VALUE, "time_in_force", "a post-only order has a price and is good_til_cancelled")
    return POST_ONLY if params.flag("reject_post_only", True) else POST_ONLY_SLIDE


def read_place(call: Call, side: int) -> Command:
    """An order, or by its `type` a trigger that places one later."""
    params, instruments = call.params, call.instruments
    market = instruments.read_market(params)
    is_limit, is_trigger_below = params.choice("type", _TYPES, "limit")
    time_in_force = _read_time_in_force(params, is_limit)
    flags = REDUCE_ONLY if params.flag("reduce_only") else 0
    flags |= params.choice("x_self_trade", _SELF_TRADES, "cancel_maker") << SELF_TRADE_SHIFT
    flags |= 0 if is_limit else AT_MARKET
    allowed = _PLACE | ({"price"} if is_limit else set())
    fields: dict[str, Any] = {"market": market, "side": side, "time_in_force": time_in_force}
    if is_trigger_below is None:
        allowed = (
            allowed | {"mmp", "display_amount"} | ({"x_good_till_ms"} if time_in_force == GOOD_TILL_TIME else set())
        )
        flags |= UNDER_PROTECTION if params.flag("mmp") else 0
        if params.values.get("display_amount") is not None:
            fields["display_lots"] = instruments.read_size_lots(params, market, "display_amount")
        if time_in_force == GOOD_TILL_TIME:
            fields["good_till_ms"] = params.integer("x_good_till_ms", 1, I64_MAX)
    else:
        if time_in_force == GOOD_TILL_TIME:
            raise ApiError(UNKNOWN_VALUE, "time_in_force", "an order with a trigger has no time of its own")
        allowed = allowed | {"trigger_price", "trigger", "x_link"}
        flags |= params.choice("trigger", _TRIGGERS, "mark_price")
        flags |= TRIGGER_BELOW if is_trigger_below == (side == BUY) else 0
        fields["trigger_ticks"] = instruments.read_price_ticks(params, market, "trigger_price")
        fields["link"] = params.integer("x_link", 0, I64_MAX, 0)
    # A reduce-only trigger without an amount closes whatever the position will be.
    is_whole = is_trigger_below is not None and flags & REDUCE_ONLY and params.values.get("amount") is None
    return _read_signed(
        params, PLACE if is_trigger_below is None else TRIGGER, allowed, flags=flags,
        price_ticks=instruments.read_price_ticks(params, market) if is_limit else 0,
        size_lots=0 if is_whole else instruments.read_size_lots(params, market), client_id=read_client_id(params),
        **fields,
    )  # fmt: skip


def read_edit(call: Call) -> Command:
    """A new total size, and a new price unless it stays; by `order_id`, or by `instrument_name` and `label`."""
    market, order_id, client_id = _read_named(call)
    price_ticks = 0
    if call.params.values.get("price") is not None:
        price_ticks = call.instruments.read_price_ticks(call.params, market)
    return _read_signed(
        call.params, AMEND, _SIGNED | {"order_id", "instrument_name", "label", "amount", "price"}, market=market,
        order_id=order_id, client_id=client_id, price_ticks=price_ticks,
        size_lots=call.instruments.read_size_lots(call.params, market),
    )  # fmt: skip


def read_cancel_all_after(call: Call) -> Command:
    deadline_ms = call.params.integer("x_deadline_ms", 0, I64_MAX)
    return _read_signed(call.params, CANCEL_ALL_AFTER, _SIGNED | {"x_deadline_ms"}, good_till_ms=deadline_ms)


def _read_usdc(call: Call) -> int:
    if call.params.text("currency", CURRENCY) != CURRENCY:
        raise ApiError(UNKNOWN_VALUE, "currency", f"only {CURRENCY}")
    return read_amount_quote(call.params)


def read_transfer_to_subaccount(call: Call) -> Command:
    """USDC to another subaccount of the same owner."""
    return _read_signed(
        call.params, TRANSFER, _SIGNED | {"amount", "currency", "destination"}, size_lots=_read_usdc(call),
        link=call.params.integer("destination", 0, U32_MAX),
    )  # fmt: skip


def read_transfer_to_user(call: Call) -> Command:
    """USDC to another owner's account, which must exist."""
    return _read_signed(
        call.params, TRANSFER, _SIGNED | {"amount", "currency", "destination", "x_destination_subaccount"},
        size_lots=_read_usdc(call), data=call.params.hex_bytes("destination", 20) + bytes(4),
        link=call.params.integer("x_destination_subaccount", 0, U32_MAX, 0),
    )  # fmt: skip


def _read_named(call: Call) -> tuple[int, int, int]:
    """(market, order_id, client_id) of the order that the parameters name."""
    if call.params.values.get("order_id") is not None:
        return (*call.instruments.read_order_id(call.params), 0)
    return call.instruments.read_market(call.params), 0, call.params.integer("label", 1, I64_MAX)


def read_cancel(call: Call) -> Command:
    """By `order_id`, or by `instrument_name` and `label`."""
    market, order_id, client_id = _read_named(call)
    allowed = _SIGNED | {"order_id", "instrument_name", "label"}
    return _read_signed(call.params, CANCEL, allowed, market=market, order_id=order_id, client_id=client_id)


def read_cancel_all(call: Call) -> Command:
    return _read_signed(call.params, CANCEL_ALL, _SIGNED, market=ALL_MARKETS)


def read_cancel_all_by_instrument(call: Call) -> Command:
    market = call.instruments.read_market(call.params)
    return _read_signed(call.params, CANCEL_ALL, _SIGNED | {"instrument_name"}, market=market)


def read_withdraw(call: Call) -> Command:
    """To the owner's own address; there is no other."""
    return _read_signed(call.params, WITHDRAW, _SIGNED | {"amount", "currency"}, size_lots=_read_usdc(call))


def read_message(call: Call) -> tuple[Command, bool]:
    """The message of docs/protocol.md, section 5, in `command`, and whether all of it is covered by its signature."""
    record = call.params.hex_message("command", MESSAGE_BYTES_MAX)
    try:
        command = Command.decode(record)
    except ValueError:
        raise ApiError(BAD_HEX, "command", "a header of 112 bytes, then as many actions of 96 as it counts") from None
    return command, is_well_formed(command) and command.encode() == record


def read_raw(call: Call) -> Command:
    """Any message, checked like the named forms."""
    command, is_whole = read_message(call)
    if not is_whole:
        raise engine_error(Code.MALFORMED, "command")
    for action in command.actions:
        _check_raw(call, action)
    return command


def _check_raw(call: Call, action: Action) -> None:
    if action.kind in (PLACE, CANCEL, AMEND, TRIGGER) and action.market >= len(call.instruments.markets):
        raise engine_error(Code.UNKNOWN_MARKET, "command")
    if action.kind == PLACE and action.size_lots <= 0:
        raise engine_error(Code.SIZE_NOT_POSITIVE, "command")
    if action.kind not in (PLACE, TRIGGER):
        return
    known_flags = _PLACE_FLAGS if action.kind == PLACE else _TRIGGER_FLAGS
    is_known = action.side in (BUY, SELL) and action.time_in_force in _KNOWN_TIMES_IN_FORCE
    if not is_known or action.flags & ~known_flags:
        raise engine_error(Code.UNKNOWN_ENUM, "command")


def _explain_signature(call: Call, command: Command) -> ApiError:
    """BAD_SIGNATURE with all that is needed to see why."""
    domain = call.backend.domain
    signer = recover_signer(command, domain.domain_separator)
    owner, contract = hexed(command.owner), hexed(domain.contract)
    nobody = "by nobody (v is not 0 or 1, s is high, or r is no point)"
    who = nobody if signer == NO_SIGNER else f"by {hexed(signer)}"
    place = f"for chain id {domain.chain_id} and contract {contract}"
    hint = f"{place} this is signed {who}, not by the owner {owner} or a session key of the account"
    return engine_error(
        Code.BAD_SIGNATURE, "signature", hint=hint, recovered_signer=hexed(signer), owner=owner,
        domain={"name": "Hansa", "version": "1", "chainId": domain.chain_id, "verifyingContract": contract},
        digest=hexed(command_id(command, domain.domain_separator)),
        command=present.command(call.instruments, command),
    )  # fmt: skip


async def submit(call: Call, command: Command) -> Pending:
    """Has the command taken up at once. The answer is an `ApiError` only for what is certainly not queued here."""
    limits = call.api.limits
    is_final_wanted = call.params.choice("x_wait", _WAITS, "final")
    wait_s = limits.final_wait_s
    if call.params.values.get("x_timeout_s") is not None:
        wait_s = call.params.integer("x_timeout_s", 0, limits.final_wait_s_max)
    name = command_id(command, call.backend.domain.domain_separator)
    ticket = _submit(call, command, name)

    async def complete() -> object:
        names = compute_action_ids(name, len(command.actions))
        receipt = await _accept(call, command, names[0], ticket)
        # The actions of a message are in one block: after the first result nobody waits for the others.
        first = await _wait(call, names[0], wait_s if is_final_wanted else 0)
        results = [first, *[await _wait(call, other, 0) for other in names[1:]]]
        if len(results) == 1:
            return _shown(call, command, command.action, receipt, first)
        return _shown_many(call, command, name, receipt, results)

    return Pending(complete)


def _submit(call: Call, command: Command, name: bytes) -> Ticket | None:
    """None when the node failed half way, so that nobody knows whether it is queued."""
    try:
        return call.backend.submit(command)
    except Exception:
        logger.exception("submission of %s failed", name.hex())
        return None


async def _accept(call: Call, command: Command, first_action: bytes, ticket: Ticket | None) -> Receipt | None:
    """None for what may be queued but has no receipt of this node. Raises `ApiError` for a refusal."""
    if ticket is None:
        return None
    submission = await ticket.wait()
    if submission.receipt is not None:
        return submission.receipt
    if call.backend.command_status(first_action) is not None:
        return None  # it came to a block through another node, or before this one was started
    if submission.refusal is not None:
        raise ApiError(REFUSAL_FAULTS[submission.refusal], x_command_id=hexed(submission.command_id))
    if submission.code == Code.BAD_SIGNATURE:
        raise _explain_signature(call, command)
    raise engine_error(submission.code, x_command_id=hexed(submission.command_id), stage="precheck")


async def _wait(call: Call, name: bytes, wait_s: float) -> CommandResult:
    """The most that is known after at most `wait_s`."""
    result = None
    try:
        if wait_s > 0:
            result = await call.backend.wait_result(name, wait_s)
        result = result or call.backend.command_status(name)
    except Exception:
        logger.exception("waiting for %s failed", name.hex())
    return result or CommandResult(name, Status.RECEIVED)


def _about(name: bytes, receipt: Receipt | None, result: CommandResult) -> dict[str, Any]:
    return {
        "x_command_id": hexed(name), "x_status": str(result.status), "x_is_final": present_account.is_final(result),
        "x_height": result.height or None, "x_receipt": None if receipt is None else present_account.receipt(receipt),
    }  # fmt: skip


def _shown(
    call: Call, command: Command, action: Action, receipt: Receipt | None, result: CommandResult
) -> dict[str, Any]:
    """The answer in Deribit's shape. Raises `ApiError` when the engine has finally refused the action."""
    about = _about(result.command_id, receipt, result)
    if about["x_is_final"] and result.code != Code.OK:
        raise engine_error(result.code, stage="final", **about)
    return _outcome(call, command, action, result, about["x_is_final"]) | about


def _shown_many(
    call: Call, command: Command, name: bytes, receipt: Receipt | None, results: list[CommandResult]
) -> dict[str, Any]:
    """One entry an action: what a message with only it would have been answered, an error as `error`."""
    entries = []
    for action, result in zip(command.actions, results):
        try:
            entries.append(_shown(call, command, action, None, result))
        except ApiError as error:
            entries.append({"error": error.to_json()} | _about(result.command_id, None, result))
    return _about(name, receipt, results[0]) | {"x_actions": entries}


def _outcome(call: Call, command: Command, action: Action, result: CommandResult, is_final: bool) -> dict[str, Any]:
    if action.kind in (PLACE, TRIGGER):
        order = present_account.placed_order(call.instruments, command, action, result)
        return {"order": order, "trades": [present_account.fill(call.instruments, fill) for fill in result.fills]}
    if action.kind == AMEND:
        view = call.backend.order(action.market, result.order_id or action.order_id)
        shown = None if view is None else present_account.order(call.instruments, view)
        return {"order": shown, "trades": [present_account.fill(call.instruments, fill) for fill in result.fills]}
    if action.kind == WITHDRAW:
        return present_account.withdrawing(command.owner, action, result)
    if action.kind == TRANSFER:
        return present_account.transferring(command.owner, action, result)
    if action.kind not in (CANCEL, CANCEL_ALL):
        return {}
    view = call.backend.order(action.market, action.order_id) if action.order_id else None
    cancelled = {"cancelled": result.cancelled_count if is_final else None}
    return cancelled if view is None else present_account.order(call.instruments, view) | cancelled
