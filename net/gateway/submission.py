"""A signed message on its way: taken up by the node, waited for, answered.

A command that this node has queued may execute, so after `submit` there is no error: only the final result, which may
be a refusal by the engine, or the status reached so far.
"""

import logging
from collections.abc import Callable
from typing import Any

from engine.commands import (
    ACCEPT,
    AMEND,
    CANCEL,
    CANCEL_ALL,
    NO_SIGNER,
    OFFER,
    PLACE,
    TRANSFER,
    TRIGGER,
    WITHDRAW,
    Action,
    Command,
    command_id,
    compute_action_ids,
    recover_signer,
)
from engine.results import Code
from net.gateway import present, present_account
from net.gateway.api import Call, Pending
from net.gateway.backend import CommandResult, Receipt, Status, Ticket
from net.gateway.errors import REFUSAL_FAULTS, ApiError, engine_error
from net.gateway.present_text import hexed

logger = logging.getLogger(__name__)
_WAITS = {"final": True, "received": False}
PATIENCE_S = 1.0
# Said of a command that a block carries already, too.
_SPENT = (Code.EXPIRED, Code.NONCE_REUSED, Code.NONCE_TOO_OLD)
Entry = dict[str, Any]
# What several actions come to in the answer, beside one entry for each.
Combine = Callable[[list[Entry]], Entry]


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


async def submit(call: Call, command: Command, combine: Combine | None = None) -> Pending:
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
        if len(results) == 1 and combine is None:
            return _shown(call, command, command.action, receipt, first)
        shown = _shown_many(call, command, name, receipt, results)
        return shown if combine is None else shown | combine(shown["x_actions"])

    return Pending(complete)


def _submit(call: Call, command: Command, name: bytes) -> Ticket | None:
    """None when the node failed half way, so that nobody knows whether it is queued."""
    try:
        return call.backend.submit(command)
    except Exception:
        logger.exception("submission.failed command=%s", name.hex())
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
    if submission.code in _SPENT and await _find(call, first_action) is not None:
        return None  # the process that serves the API had not heard of its block yet
    if submission.code == Code.BAD_SIGNATURE:
        raise _explain_signature(call, command)
    raise engine_error(submission.code, x_command_id=hexed(submission.command_id), stage="precheck")


async def _find(call: Call, name: bytes) -> CommandResult | None:
    """What the node itself knows of an action."""
    try:
        return await call.backend.find_command(name, PATIENCE_S)
    except Exception:
        logger.exception("gateway.command_not_found_out command=%s", name.hex())
        return None


async def _wait(call: Call, name: bytes, wait_s: float) -> CommandResult:
    """The most that is known after at most `wait_s`."""
    result = None
    try:
        if wait_s > 0:
            result = await call.backend.wait_result(name, wait_s)
        result = result or call.backend.command_status(name)
    except Exception:
        logger.exception("submission.wait_failed command=%s", name.hex())
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
    height = call.backend.account_data.height()
    if action.kind in (PLACE, TRIGGER):
        order = present_account.placed_order(call.instruments, command, action, result)
        trades = [present_account.fill(call.instruments, fill) for fill in result.fills]
        return {"order": order, "trades": [trade | {"order_type": order["order_type"]} for trade in trades]}
    if action.kind == AMEND:
        view = call.backend.order(action.market, result.order_id or action.order_id)
        shown = None if view is None else present_account.order(call.instruments, view, height)
        return {"order": shown, "trades": [present_account.fill(call.instruments, fill) for fill in result.fills]}
    if action.kind == WITHDRAW:
        return present_account.withdrawing(command.owner, action, result)
    if action.kind == TRANSFER:
        return present_account.transferring(command.owner, action, result)
    if action.kind == OFFER:
        return {"offer": present_account.made_offer(call.instruments, command, action, result)}
    if action.kind == ACCEPT:
        return {"trades": [present_account.fill(call.instruments, fill) for fill in result.fills]}
    if action.kind not in (CANCEL, CANCEL_ALL):
        return {}
    view = call.backend.order(action.market, action.order_id) if action.order_id else None
    cancelled = {"cancelled": result.cancelled_count if is_final else None}
    return cancelled if view is None else present_account.order(call.instruments, view, height) | cancelled
