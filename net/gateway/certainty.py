"""How far a command has come and what a signature says: status by id, nonce or label, receipts, explanations."""

from typing import Any

from engine.commands import (
    MANY_TYPE_HASH,
    MANY_TYPE_STRING,
    MEMBERS_BY_KIND,
    PLACE,
    TYPE_HASHES,
    TYPE_STRINGS,
    Action,
    Command,
    command_id,
    compute_action_ids,
    keccak,
    recover_signer,
)
from engine.results import Code
from net.gateway import present, present_account
from net.gateway.account_data import WhatIf, WhatIfOrder
from net.gateway.actions import read_message, read_owner, read_signed
from net.gateway.api import Call
from net.gateway.backend import CommandResult
from net.gateway.errors import MISSING_PARAM, NOT_FOUND, ApiError
from net.gateway.params import I64_MAX, Params
from net.gateway.present_settings import margin_preview
from net.gateway.present_text import hexed
from net.gateway.writes import WRITES

_WRITE_NAMES = {name: name for name in WRITES}
_SCOPE_NAMES = {1: "trade", 2: "cancel", 4: "transfer"}


async def get_command_status(call: Call) -> object:
    """By `command_id`, by account and `nonce`, or by account and `label`: on any node, whichever took the command."""
    params, backend = call.params, call.backend
    if params.values.get("command_id") is not None:
        found = await backend.find_command(params.hex_bytes("command_id", 32))
        results, named = [] if found is None else [found], "command_id"
    elif params.values.get("nonce") is not None:
        found_all = await backend.find_by_nonce(*read_owner(call), params.integer("nonce", 1, I64_MAX))
        results, named = list(found_all), "nonce"
    elif params.values.get("label") is not None:
        found_all = await backend.find_by_label(*read_owner(call), params.integer("label", 1, I64_MAX))
        results, named = list(found_all), "label"
    else:
        raise ApiError(MISSING_PARAM, "command_id", "command_id, or owner with nonce or label")
    if not results:
        raise ApiError(NOT_FOUND, named)
    first = _show_result(call, results[0])
    others = [_show_result(call, result) for result in results[1:]]
    return first | ({"x_others": others} if others else {})


def _show_result(call: Call, result: CommandResult) -> dict[str, Any]:
    shown = present_account.command_result(call.instruments, result)
    finalised = call.backend.certificate(result.height) if present_account.is_final(result) else None
    if finalised is None:
        return shown
    certificate = finalised.certificate
    return shown | {
        "x_certificate": {
            "header_hash": hexed(certificate.header_hash), "epoch": certificate.epoch, "view": certificate.view,
            "height": finalised.header.height,
        }
    }  # fmt: skip


async def get_receipt(call: Call) -> object:
    """The receipt of a command that came to this node as JSON, among the last ones."""
    receipt = call.backend.receipt(call.params.hex_bytes("command_id", 32))
    if receipt is None:
        raise ApiError(NOT_FOUND, "command_id", "this node gave none, or long ago; another node may have")
    return present_account.receipt(receipt)


async def decode_action(call: Call) -> object:
    """A message as bytes."""
    command, is_whole = read_message(call.params)
    shown = present.command(call.instruments, command) | {"is_well_formed": is_whole}
    return shown | _explain_signature(call, command) if is_whole else shown


def _explain_signature(call: Call, command: Command) -> dict[str, Any]:
    domain = call.backend.domain
    signer = recover_signer(command, domain.domain_separator)
    name = command_id(command, domain.domain_separator)
    return {
        "domain_separator": hexed(domain.domain_separator), "command_id": hexed(name),
        "action_ids": [hexed(item) for item in compute_action_ids(name, len(command.actions))],
        "recovered_signer": hexed(signer), "is_signed_by_owner": signer == command.owner != bytes(20),
    }  # fmt: skip


async def order_debug(call: Call) -> object:
    """All that decides whether a command would be taken; nothing is sent."""
    command = _read_debugged(call)
    domain = call.backend.domain
    signer = recover_signer(command, domain.domain_separator)
    judged = call.backend.account_data.judge(command, signer)
    is_one = len(command.actions) == 1
    shown = present.command(call.instruments, command) | _explain_signature(call, command)
    return shown | {
        "is_well_formed": True, "type": (TYPE_STRINGS[command.action.kind] if is_one else MANY_TYPE_STRING).decode(),
        "type_hash": hexed(TYPE_HASHES[command.action.kind] if is_one else MANY_TYPE_HASH),
        "struct_hash": hexed(hash_struct(command)), "signer_role": judged.signer_role,
        "signer_scopes": [name for bit, name in _SCOPE_NAMES.items() if judged.scopes & bit],
        "nonce_state": judged.nonce_state, "is_expired": judged.is_expired, "time_ms": judged.time_ms,
        "code": int(judged.code), "reason": judged.code.name.lower(), "margin": _preview(call, command),
        "x_height": judged.height,
    }  # fmt: skip


def _read_debugged(call: Call) -> Command:
    """A message as bytes, or the parameters of any method that writes."""
    if call.params.values.get("command") is not None:
        command, is_whole = read_message(call.params)
        if not is_whole:
            raise ApiError(NOT_FOUND, "command", "not a well-formed message: see public/x_decode_action")
        return command
    name = call.params.choice("method", _WRITE_NAMES)
    nested = call.params.nested("params")
    inner = Call(call.api, call.request, call.start_us, call.session)
    inner.params = Params(nested.values)
    if nested.values.get("signature") is None:
        inner.params = Params({**nested.values, "signature": "00" * 65})
    return read_signed(inner, WRITES[name].build(inner.params, call.instruments))


def _preview(call: Call, command: Command) -> dict[str, Any] | None:
    """Of the orders of a message that would rest or trade at their limit; None where nothing can be said."""
    orders = tuple(
        WhatIfOrder(action.market, action.side, action.size_lots, action.price_ticks) for action in command.actions
        if action.kind == PLACE and action.price_ticks > 0 and action.size_lots > 0 and action.side in (0, 1)
    )  # fmt: skip
    if not orders:
        return None
    owner = command.owner, command.subaccount
    before = call.backend.account_data.simulate(*owner, WhatIf())
    after = call.backend.account_data.simulate(*owner, WhatIf(orders=orders))
    if isinstance(before, Code) or isinstance(after, Code):
        return None
    return margin_preview(before, after)


def hash_struct(command: Command) -> bytes:
    """The EIP-712 struct hash: what is hashed with the domain separator to the digest that is signed."""
    if len(command.actions) == 1:
        action = command.action
        head = TYPE_HASHES[action.kind]
        body = b"".join(_encode_member(kind, field, action) for kind, field in MEMBERS_BY_KIND[action.kind])
    else:
        head, body = MANY_TYPE_HASH, keccak(command.encode_actions())
    who = bytes(12) + command.owner + _word(command.subaccount)
    return keccak(head + who + body + _word(command.nonce) + _word(command.expiry_ms))


def _encode_member(kind: str, field: str, action: Action) -> bytes:
    if kind == "address":
        return bytes(12) + action.data[:20]
    return action.data + bytes(8) if kind == "bytes24" else _word(getattr(action, field))


def _word(number: int) -> bytes:
    return (number % (1 << 256)).to_bytes(32, "big")
