"""Blocks, committees and price reports as JSON. All names are our own."""

from dataclasses import replace
from typing import Any

from consensus.messages import Commitment, quorum
from engine.commands import TYPE_STRINGS
from net.gateway import present, present_account
from net.gateway.backend import NodeStatus, UptimeView
from net.gateway.explorer import ActionView, BlockView, MemberView, OracleRoundView, ReportView
from net.gateway.instruments import Instruments
from net.gateway.market_data import ExpiryView, UnderlyingView
from net.gateway.present_text import e8_text, hexed

# Numbers that a report has of each expiry: forward, then a, b, rho, m and sigma; a, rho and m are shifted by this, so
# that 0 is no opinion (docs/spec.md, ORA-1).
_EXPIRY_FEEDS = 6
_SHIFT = 1 << 32
_SHIFTED = (1, 3, 4)


def block(view: BlockView, onchain_height: int) -> dict[str, Any]:
    header = view.finalised.header
    return {
        "height": header.height, "hash": hexed(view.block_hash), "parent_hash": hexed(header.parent_hash),
        "epoch": header.epoch, "view": header.view, "proposer": header.proposer, "timestamp": header.timestamp_ms,
        "commands": view.action_count, "trades": view.trade_count, "batches": len(view.batches),
        "price_reports": view.report_count, "inbox_entries": view.inbox_count, "size_bytes": view.size_bytes,
        "state_root": hexed(Commitment.decode(header.commitment).state_root), "l1_block": view.l1_block,
        "is_direct": view.is_direct, "signers": view.finalised.certificate.signers(),
        "is_on_chain": header.height <= onchain_height,
    }  # fmt: skip


def batches(view: BlockView) -> list[dict[str, Any]]:
    return [{"author": author, "sequence": sequence, "hash": hexed(name)} for author, sequence, name in view.batches]


def action(instruments: Instruments, view: ActionView) -> dict[str, Any]:
    shown = present.command(instruments, replace(view.command, actions=(view.action,)))
    kind = TYPE_STRINGS.get(view.action.kind, b"").decode().partition("(")[0]
    return {
        "command_id": hexed(view.action_id), "height": view.height, "number": view.number,
        "owner": hexed(view.command.owner), "subaccount": view.command.subaccount, "nonce": view.command.nonce,
        "expiry_ms": view.command.expiry_ms, "kind": kind, "text": shown["text"],
        "fields": shown["fields"]["actions"][0], "result": present_account.command_result(instruments, view.result),
    }  # fmt: skip


def checkpoint(status: NodeStatus) -> dict[str, Any]:
    return {
        "height": status.onchain_height, "block": status.onchain_block, "posted_height": status.onchain_posted_height
    }  # fmt: skip


def committee(epoch: int, members: list[MemberView], uptime: UptimeView, own_number: int) -> dict[str, Any]:
    counts = dict(enumerate(uptime.signed_counts))
    return {
        "epoch": epoch, "quorum": quorum(sum(member.weight for member in members)),
        "first_height": uptime.first_height, "last_height": uptime.last_height, "blocks": uptime.block_count,
        "validators": [
            {
                "index": member.index, "number": member.number, "bls_key": hexed(member.bls_key),
                "network_key": hexed(member.network_key), "weight": member.weight,
                "signed": counts.get(member.index, 0),
                "signed_bps": counts.get(member.index, 0) * 10_000 // max(1, uptime.block_count),
                "is_this_node": member.number == own_number,
            }
            for member in members
        ],
    }  # fmt: skip


def oracle_round(
    view: OracleRoundView, underlyings: list[UnderlyingView], expiries: list[ExpiryView]
) -> dict[str, Any]:
    """`underlyings` and `expiries` as they are now: later ones are not in an older block's reports."""
    return {
        "height": view.height, "timestamp": view.time_ms,
        "reports": [_report(report, underlyings, expiries) for report in view.reports],
        "indexes": [
            {
                "name": item.name, "price": e8_text(item.index_e8) if item.index_e8 else None,
                "timestamp": item.index_ms, "is_fresh": item.is_fresh, "dispersion_bps": item.dispersion_bps,
            }
            for item in underlyings
        ],
    }  # fmt: skip


def _report(view: ReportView, underlyings: list[UnderlyingView], expiries: list[ExpiryView]) -> dict[str, Any]:
    first = len(underlyings)
    dated = [
        (expiry, view.feeds_e8[at : at + _EXPIRY_FEEDS])
        for expiry, at in zip(expiries, range(first, len(view.feeds_e8), _EXPIRY_FEEDS))
    ]
    return {
        "validator": view.validator, "timestamp": view.time_ms,
        "indexes": {
            item.name: e8_text(feed_e8) if feed_e8 else None for item, feed_e8 in zip(underlyings, view.feeds_e8)
        },
        "expiries": [
            {
                "underlying": underlyings[expiry.underlying].name, "expiration_timestamp": expiry.expiry_ms,
                "forward": e8_text(feeds[0]) if feeds[0] else None, "surface": _surface(feeds),
            }
            for expiry, feeds in dated
        ],
    }  # fmt: skip


def _surface(feeds_e8: tuple[int, ...]) -> list[str] | None:
    if 0 in feeds_e8[1:]:
        return None
    return [e8_text(feed - _SHIFT if at in _SHIFTED else feed) for at, feed in enumerate(feeds_e8) if at]


def round_notice(view: BlockView, finality_ms: int) -> dict[str, Any]:
    header = view.finalised.header
    return {
        "height": header.height, "view": header.view, "proposer": header.proposer, "timestamp": header.timestamp_ms,
        "finality_ms": max(finality_ms, 0), "commands": view.action_count, "trades": view.trade_count,
        "is_direct": view.is_direct, "signers": view.finalised.certificate.signers(),
    }  # fmt: skip
