"""Every method that changes something: which actions its parameters mean, and what several of them answer together.

Whoever signs for a client makes the message's actions by the same row of this table.
"""

from dataclasses import dataclass
from typing import Any

from engine.results import Code
from net.gateway import account_actions as account
from net.gateway import order_actions as orders
from net.gateway.actions import read_raw, read_signed, refuse_unknown
from net.gateway.api import Call
from net.gateway.errors import ApiError, engine_error
from net.gateway.order_actions import Builder
from net.gateway.submission import Combine, Entry, submit


@dataclass(frozen=True, slots=True)
class Write:
    """`combine` is of methods whose message may have several actions."""

    build: Builder
    combine: Combine | None = None


def _combine_linked(entries: list[Entry]) -> Entry:
    """The first order's answer; the linked ones stand in `x_actions`."""
    first = entries[0]
    if "error" in first:
        raise _again(first, entries)
    linked = [entry["order"]["order_id"] for entry in entries[1:] if "order" in entry]
    return {"order": first["order"] | ({"oto_order_ids": linked} if linked else {}), "trades": first["trades"]}


def _combine_legs(entries: list[Entry]) -> Entry:
    """The combination is done as a whole or refused as a whole."""
    if "error" in entries[0]:
        raise _again(entries[0], entries)
    return _list_orders(entries)


def _combine_quotes(entries: list[Entry]) -> Entry:
    """Orders and trades, and how many of the actions were refused."""
    return _list_orders(entries) | {"errors_count": sum(1 for entry in entries if "error" in entry)}


def _list_orders(entries: list[Entry]) -> Entry:
    placed = [entry for entry in entries if "order" in entry]
    return {
        "orders": [entry["order"] for entry in placed],
        "trades": [trade for entry in placed for trade in entry["trades"]],
    }


def _combine_cancels(entries: list[Entry]) -> Entry:
    """How many orders left."""
    counts = [entry.get("cancelled") for entry in entries]
    return {"cancelled": None if None in counts and "error" not in entries[0] else sum(count or 0 for count in counts)}


def _again(entry: Entry, entries: list[Entry]) -> ApiError:
    """The refusal of an action as the answer to its message."""
    data: dict[str, Any] = entry["error"]["data"]
    rest = {name: value for name, value in data.items() if name not in ("reason", "code", "hint", "param")}
    return engine_error(Code(data["code"]), hint=data["hint"], **rest, x_actions=entries)


WRITES: dict[str, Write] = {
    "private/buy": Write(orders.buy, _combine_linked),
    "private/sell": Write(orders.sell, _combine_linked),
    "private/edit": Write(orders.edit),
    "private/edit_by_label": Write(orders.edit),
    "private/cancel": Write(orders.cancel),
    "private/cancel_by_label": Write(orders.cancel),
    "private/cancel_all": Write(orders.cancel_all),
    "private/cancel_all_by_instrument": Write(orders.cancel_all_by_instrument),
    "private/cancel_all_by_currency": Write(orders.cancel_all_by_kind, _combine_cancels),
    "private/cancel_all_by_kind_or_type": Write(orders.cancel_all_by_kind, _combine_cancels),
    "private/close_position": Write(orders.close_position),
    "private/mass_quote": Write(orders.mass_quote, _combine_quotes),
    "private/cancel_quotes": Write(orders.cancel_quotes, _combine_cancels),
    "private/x_place_combo": Write(orders.combo, _combine_legs),
    "private/set_mmp_config": Write(account.set_mmp_config),
    "private/reset_mmp": Write(account.set_mmp_config),
    "private/x_cancel_all_after": Write(account.cancel_all_after),
    "private/enable_cancel_on_disconnect": Write(account.cancel_all_after),
    "private/disable_cancel_on_disconnect": Write(account.disable_cancel),
    "private/submit_transfer_to_subaccount": Write(account.transfer_to_subaccount),
    "private/submit_transfer_to_user": Write(account.transfer_to_user),
    "private/withdraw": Write(account.withdraw),
    "private/x_withdraw": Write(account.withdraw),
    "private/change_margin_model": Write(account.set_margin_mode),
    "private/x_set_margin_mode": Write(account.set_margin_mode),
    "private/x_register_session_key": Write(account.register_session_key),
    "private/x_revoke_session_key": Write(account.revoke_session_key),
    "private/x_set_referrer": Write(account.set_referrer),
    "private/x_approve_builder": Write(account.approve_builder),
    "private/x_make_offer": Write(account.make_offer),
    "private/x_accept_offer": Write(account.accept_offer),
}


async def write(call: Call) -> object:
    """Any method of the table."""
    row = WRITES[call.request.method]
    actions = row.build(call.params, call.instruments)
    refuse_unknown(call)
    # What one action comes to needs no combining where the method's usual answer is that of one.
    is_combined = row.combine is not None and (len(actions) > 1 or row.combine is not _combine_linked)
    return await submit(call, read_signed(call, actions), row.combine if is_combined else None)


async def submit_raw(call: Call) -> object:
    """A message as bytes."""
    return await submit(call, read_raw(call))
