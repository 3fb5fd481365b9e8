"""Money of an account: its log, transfers, deposits, withdrawals, settlements. A read needs no signature."""

from typing import Any

from net.gateway import present_money
from net.gateway.account_data import HistoryQuery, Kind, Movement
from net.gateway.actions import read_owner
from net.gateway.api import Call
from net.gateway.backend import Status
from net.gateway.order_reads import read_markets
from net.gateway.params import I64_MAX
from net.gateway.present_text import CURRENCY, hexed

_COUNT_MAX = 1000
# What Deribit's clients ask for by name, as kinds of ours.
_QUERIES: dict[str, frozenset[Kind] | None] = {"all": None} | {str(kind): frozenset((kind,)) for kind in Kind}
_SETTLEMENTS: dict[str, frozenset[Kind]] = {
    "all": frozenset((Kind.SETTLEMENT, Kind.DELIVERY)), "settlement": frozenset((Kind.SETTLEMENT,)),
    "delivery": frozenset((Kind.DELIVERY,)), "bankruptcy": frozenset(),
}  # fmt: skip


def _read_page(call: Call, kinds: frozenset[Kind] | None, count_default: int) -> list[Movement]:
    """Movements of these kinds, of the markets and the span that the call names, below its continuation."""
    params = call.params
    below = params.values.get("continuation")
    query = HistoryQuery(
        params.integer("count", 1, _COUNT_MAX, count_default), read_markets(call),
        params.integer("start_timestamp", 0, I64_MAX, 0), params.integer("end_timestamp", 0, I64_MAX, I64_MAX),
        kinds=kinds, below_place=I64_MAX if below in (None, "", "none") else params.integer("continuation", 0, I64_MAX),
    )  # fmt: skip
    return list(call.backend.account_data.movements(*read_owner(call), query))


def _continuation(page: list[Movement], call: Call, count_default: int) -> int | None:
    """Where the next page begins; None behind the last one."""
    count = call.params.integer("count", 1, _COUNT_MAX, count_default)
    return page[-1].place if len(page) >= count else None


async def get_transaction_log(call: Call) -> object:
    """Everything that moved the account's cash, newest first."""
    kinds = call.params.choice("query", _QUERIES, "all")
    page = _read_page(call, kinds, 100)
    return {
        "logs": [present_money.log_entry(call.instruments, item) for item in page],
        "continuation": _continuation(page, call, 100), "x_height": call.backend.account_data.height(),
    }  # fmt: skip


async def get_settlement_history(call: Call) -> object:
    """Funding payments and deliveries of what the account held."""
    page = _read_page(call, call.params.choice("type", _SETTLEMENTS, "all"), 20)
    return {
        "settlements": [present_money.settlement(call.instruments, item) for item in page],
        "continuation": _continuation(page, call, 20), "x_height": call.backend.account_data.height(),
    }  # fmt: skip


def _list(call: Call, kind: Kind) -> list[Movement]:
    count, offset = call.params.integer("count", 1, _COUNT_MAX, 10), call.params.integer("offset", 0, 10_000, 0)
    query = HistoryQuery(count + offset, kinds=frozenset((kind,)))
    return list(call.backend.account_data.movements(*read_owner(call), query))[offset:]


def _counted(call: Call, shown: list[dict[str, Any]]) -> dict[str, Any]:
    return {"count": len(shown), "data": shown, "x_height": call.backend.account_data.height()}


async def get_transfers(call: Call) -> object:
    owner, _ = read_owner(call)
    return _counted(call, [present_money.transfer(owner, item) for item in _list(call, Kind.TRANSFER)])


async def get_deposits(call: Call) -> object:
    """Those that were credited; `public/x_get_inbox` has those that wait."""
    owner, _ = read_owner(call)
    return _counted(call, [present_money.deposit(owner, item) for item in _list(call, Kind.DEPOSIT)])


async def get_withdrawals(call: Call) -> object:
    """With the proof's index: the contract pays against `public/x_get_withdrawal_proof`."""
    owner, _ = read_owner(call)
    states = {view.index: view for view in call.backend.withdrawals(owner)}
    shown = []
    for item in _list(call, Kind.WITHDRAWAL):
        view = states.get(item.index)
        is_claimed = view is not None and view.is_claimed
        shown.append(present_money.withdrawal(owner, item, is_claimed, view.status if view else Status.CERTIFIED))
    return _counted(call, shown)


async def get_current_deposit_address(call: Call) -> object:
    """The settlement contract's: `deposit` names whose account it is for."""
    read_owner(call)
    domain = call.backend.domain
    return {
        "address": hexed(domain.contract), "currency": CURRENCY, "type": "deposit", "creation_timestamp": 0,
        "status": "ready", "x_chain_id": domain.chain_id, "x_token": hexed(domain.token),
        "x_call": "deposit(beneficiary, subaccount, amount, token)",
    }  # fmt: skip
