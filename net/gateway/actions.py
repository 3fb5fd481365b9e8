"""From parameters to a signed message: who, which nonce, until when, by what signature; and messages as raw bytes."""

from engine.commands import (
    AMEND,
    AT_MARKET,
    BUY,
    CANCEL,
    MESSAGE_BYTES_MAX,
    PLACE,
    REDUCE_ONLY,
    SELF_TRADE_SHIFT,
    SELL,
    TRIGGER,
    TRIGGER_BELOW,
    TRIGGER_ON_LAST,
    UNDER_PROTECTION,
    Action,
    Command,
    is_well_formed,
)
from engine.results import Code
from net.gateway.api import Call
from net.gateway.errors import BAD_HEX, NOT_SUPPORTED, UNKNOWN_VALUE, ApiError, engine_error
from net.gateway.order_actions import Actions
from net.gateway.params import I64_MAX, U32_MAX, Params

_KNOWN_TIMES_IN_FORCE = range(6)
_PLACE_FLAGS = REDUCE_ONLY | UNDER_PROTECTION | 3 << SELF_TRADE_SHIFT | AT_MARKET
_TRIGGER_FLAGS = _PLACE_FLAGS | TRIGGER_ON_LAST | TRIGGER_BELOW


def read_owner(call: Call) -> tuple[bytes, int]:
    """Owner and subaccount that a call is about: those it names, else those of the connection's `public/auth`."""
    known = None if call.session is None else call.session.account
    if known is None or call.params.values.get("owner") is not None:
        return call.params.hex_bytes("owner", 20), call.params.integer("subaccount", 0, U32_MAX, 0)
    return known[0], call.params.integer("subaccount", 0, U32_MAX, known[1])


def refuse_unknown(call: Call) -> None:
    """A write does what all its parameters say, or nothing."""
    known = {param.name for param in call.api.methods[call.request.method].params}
    for name in call.params.values:
        if name not in known:
            raise ApiError(NOT_SUPPORTED, name)


def read_signature(params: Params) -> bytes:
    """65 bytes, `v` being 0 or 1, or 27 or 28 as wallets write it."""
    signature = params.hex_bytes("signature", 65)
    return signature[:64] + bytes([signature[64] - 27]) if signature[64] in (27, 28) else signature


def read_signed(call: Call, actions: Actions) -> Command:
    """The message of these actions with the signature that the call carries."""
    params = call.params
    signature = read_signature(params)
    owner, subaccount = read_owner(call)
    nonce, expiry_ms = params.integer("nonce", 1, I64_MAX), params.integer("expiry_ms", 0, I64_MAX)
    if params.values.get("valid_until") is not None and params.integer("valid_until", 0, I64_MAX) < expiry_ms:
        raise ApiError(UNKNOWN_VALUE, "valid_until", "what holds is the signed expiry_ms: sign one that is not later")
    return Command(owner, nonce, expiry_ms, actions, subaccount, signature)


def read_message(params: Params) -> tuple[Command, bool]:
    """The message of docs/protocol.md, section 5, in `command`, and whether all of it is covered by its signature."""
    record = params.hex_message("command", MESSAGE_BYTES_MAX)
    try:
        command = Command.decode(record)
    except ValueError:
        raise ApiError(BAD_HEX, "command", "a header of 112 bytes, then as many actions of 96 as it counts") from None
    return command, is_well_formed(command) and command.encode() == record


def read_raw(call: Call) -> Command:
    """Any message, checked like the named forms."""
    command, is_whole = read_message(call.params)
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
