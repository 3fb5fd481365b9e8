"""The network, its proofs and commands as JSON: what belongs neither to a market nor to an account."""

from dataclasses import asdict
from typing import Any

from consensus.messages import Commitment
from engine.commands import (
    ALL_MARKETS,
    AT_MARKET,
    BUY,
    CANCEL,
    CANCEL_ALL,
    PLACE,
    REDUCE_ONLY,
    SELL,
    TYPE_STRINGS,
    USED_FIELDS,
    WITHDRAW,
    Action,
    Command,
)
from engine.results import Code
from engine.units import format_price, format_quote, format_size
from net.gateway.backend import (
    AccountProof,
    EvidenceView,
    FinalisedHeader,
    InboxView,
    NetworkInfo,
    NodeCounters,
    UptimeView,
    WithdrawalProof,
    WithdrawalView,
)
from net.gateway.instruments import Instruments
from net.gateway.present_account import time_in_force
from net.gateway.present_market import instrument
from net.gateway.present_text import CURRENCY, DIRECTIONS, hexed

INBOX_KINDS = {1: "deposit", 2: "cancel", 3: "close", 4: "withdraw", 5: "key"}


def domain(info: NetworkInfo, types: dict[str, Any], instruments: Instruments) -> dict[str, Any]:
    return types | {
        "domain_separator": hexed(info.domain_separator), "network_id": hexed(info.network_id),
        "token": hexed(info.token), "node": info.node_index, "node_key": hexed(info.node_key),
        "testnet": info.is_testnet,
        "instruments": [instrument(instruments, number) for number in range(len(instruments.markets))],
    }  # fmt: skip


def certificate(finalised: FinalisedHeader) -> dict[str, Any]:
    header, proof = finalised.header, finalised.certificate
    commitment = Commitment.decode(header.commitment)
    return {
        "height": header.height, "epoch": header.epoch, "view": header.view, "timestamp": header.timestamp_ms,
        "header": hexed(header.encode()), "header_hash": hexed(header.hash()),
        "state_root": hexed(commitment.state_root), "account_root": hexed(commitment.account_root),
        "withdrawals_root": hexed(commitment.withdrawals_root), "kind": proof.kind, "bitmap": hexed(proof.bitmap),
        "signature": hexed(proof.signature), "signers": proof.signers(),
    }  # fmt: skip


def account_proof(view: AccountProof) -> dict[str, Any]:
    return {
        "index": view.index, "owner": hexed(view.owner), "subaccount": view.subaccount,
        "claims": format_quote(view.claims), "debt": format_quote(view.debt), "holdings": hexed(view.holdings),
        "aux_hash": hexed(view.aux_hash),
        "siblings": [
            {"hash": hexed(node), "claims": format_quote(claims), "debt": format_quote(debt)}
            for node, claims, debt in view.siblings
        ],
        "certificate": certificate(view.finalised),
    }  # fmt: skip


def withdrawal_proof(view: WithdrawalProof) -> dict[str, Any]:
    return {
        "index": view.index, "owner": hexed(view.owner), "token": hexed(view.token),
        "amount": format_quote(view.amount_quote), "siblings": [hexed(node) for node in view.siblings],
        "certificate": certificate(view.finalised),
    }  # fmt: skip


def withdrawal(view: WithdrawalView) -> dict[str, Any]:
    return {
        "index": view.index, "owner": hexed(view.owner), "subaccount": view.subaccount, "currency": CURRENCY,
        "amount": format_quote(view.amount_quote), "created_timestamp": view.time_ms, "x_height": view.height,
        "x_status": str(view.status), "state": "completed" if view.is_claimed else "confirmed",
    }  # fmt: skip


def inbox_entry(view: InboxView) -> dict[str, Any]:
    is_waiting = view.height == 0
    return {
        "index": view.index, "kind": INBOX_KINDS.get(view.kind, str(view.kind)), "owner": hexed(view.owner),
        "subaccount": view.subaccount, "token": hexed(view.token), "amount": str(view.amount_units),
        "data": hexed(view.data),
        "created_timestamp": view.entered_s * 1000,
        "state": "waiting" if is_waiting else "done" if view.code == Code.OK else "refused",
        "x_height": None if is_waiting else view.height, "x_timestamp": None if is_waiting else view.time_ms,
        "x_code": None if is_waiting else int(view.code), "x_number": None if is_waiting else view.number,
    }  # fmt: skip


def evidence(view: EvidenceView) -> dict[str, Any]:
    return {
        "key": hexed(view.key), "type": f"E{view.offence}", "epoch": view.epoch, "view": view.view,
        "culprits": list(view.culprits), "evidence": hexed(view.data), "is_in_court": view.is_in_court,
        "transaction_hash": hexed(view.transaction_hash) if view.transaction_hash else None,
    }  # fmt: skip


def uptime(view: UptimeView) -> dict[str, Any]:
    return {
        "first_height": view.first_height, "last_height": view.last_height, "blocks": view.block_count,
        "validators": [
            {"index": index, "signed": count, "signed_bps": count * 10_000 // max(1, view.block_count)}
            for index, count in enumerate(view.signed_counts)
        ],
    }  # fmt: skip


def counters(view: NodeCounters) -> dict[str, Any]:
    return {
        "time_ms": view.time_ms, "cpu_us": view.cpu_us, "height": view.height,
        "actions_by_code": {str(code): count for code, count in view.actions_by_code.items()},
        "blocks_by_finality_ms": {str(ms): count for ms, count in view.blocks_by_finality_ms.items()},
        "links": [asdict(link) for link in view.links], "task_count": view.task_count,
        "blocks_by_step_ms": {
            step: {str(ms): count for ms, count in counts.items()} for step, counts in view.blocks_by_step_ms.items()
        },
    }  # fmt: skip


def command(instruments: Instruments, value: Command) -> dict[str, Any]:
    """A message and its actions with the fields that are signed, and as text a human reads."""
    fields = asdict(value) | {"owner": hexed(value.owner), "signature": hexed(value.signature)}
    fields["actions"] = [asdict(action) | {"data": hexed(action.data)} for action in value.actions]
    return {"fields": fields, "text": "; ".join(_action_text(instruments, action) for action in value.actions)}


def _action_text(instruments: Instruments, value: Action) -> str:
    market = instruments.markets[value.market] if value.market < len(instruments.markets) else None
    name = market.symbol if market else "every market" if value.market == ALL_MARKETS else f"market {value.market}"
    if value.kind == PLACE and market and value.side in (BUY, SELL):
        at = "the market" if value.flags & AT_MARKET else format_price(value.price_ticks, market)
        terms = f"{format_size(value.size_lots, market)} {name} at {at} {time_in_force(value.time_in_force)}"
        return f"{DIRECTIONS[value.side]} {terms}" + (" reduce-only" if value.flags & REDUCE_ONLY else "")
    if value.kind == CANCEL:
        return f"cancel {name} order {value.order_id or f'with label {value.client_id}'}"
    if value.kind == CANCEL_ALL:
        return f"cancel all orders of {name}"
    if value.kind == WITHDRAW:
        return f"withdraw {format_quote(value.size_lots)} {CURRENCY}"
    if value.kind not in TYPE_STRINGS:
        return "nothing that is executed"
    title = TYPE_STRINGS[value.kind].decode().partition("(")[0]
    fields = {name: getattr(value, name) for name in USED_FIELDS[value.kind]}
    shown = {name: hexed(item) if isinstance(item, bytes) else item for name, item in fields.items()}
    return " ".join([title, *(f"{name}={item}" for name, item in shown.items() if item)])
