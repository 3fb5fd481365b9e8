"""The numbers of a node at one moment, as Prometheus' families. Runs in the node's loop: about a millisecond."""

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from engine.params import MarketParams
from engine.results import Code
from engine.tables import ACCOUNT_COUNT, INSURANCE_ACCOUNT, LIQUIDATION_COUNT_TOTAL
from validator.histogram import Histogram

if TYPE_CHECKING:
    from validator.metrics import NodeMetrics
    from validator.node import Node

PREFIX = "hansa_"
VERSION = "0.1.0"
# Seconds to finality, and of its steps.
FINALITY_S = (0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0)
QUOTE_PER_USDC = 1_000_000


def list_families(node: "Node", metrics: "NodeMetrics") -> list[Metric]:
    """All of them, in the order of the page."""
    return [
        *_list_consensus(node),
        *_list_peers(node),
        *_list_engine(node),
        *_list_settlement(node, metrics),
        *_list_oracle(node, metrics),
        *_list_host(node, metrics),
    ]


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(PREFIX + name, text, value=value)


def _gauges(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(PREFIX + name, text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _counters(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = CounterMetricFamily(PREFIX + name, text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _histogram(name: str, text: str, seen: Histogram) -> Metric:
    return HistogramMetricFamily(PREFIX + name, text, buckets=list(seen.buckets()), sum_value=seen.total)


def _of_milliseconds(counts: Mapping[int, int]) -> Histogram:
    seen = Histogram(FINALITY_S)
    for value_ms, count in counts.items():
        seen.observe(value_ms / 1000, count)
    return seen


def _list_consensus(node: "Node") -> Iterator[Metric]:
    status, uptime = node.service.status(), node.service.uptime()
    counters, me = node.service.counters(), node.config.index
    seats = node.roster.seats(status.epoch)
    seat = None if seats is None else seats.find(me)
    missing = [uptime.block_count - signed for signed in uptime.signed_counts]
    culprits = {number for item in node.service.evidence() for number in item.culprits}
    yield _gauge("consensus_height", "Height of the last final block", status.height)
    yield _gauge("store_earliest_height", "Height of the first block that is still here", status.earliest_height)
    yield _gauge("consensus_view", "View of the agreement", status.view)
    yield _gauge("consensus_epoch", "Number of the committee", status.epoch)
    yield _gauge("consensus_validators", "Members of the committee", status.validator_count)
    yield _gauge("consensus_is_member", "Whether this node has a seat", seat is not None)
    yield _gauge("consensus_catching_up", "Whether this node is behind and does not vote", status.is_syncing)
    yield _gauge(
        "consensus_missing_validators", "Members without a vote in any of the last thousand certificates",
        sum(absent == uptime.block_count for absent in missing) if uptime.block_count else 0,
    )  # fmt: skip
    if seat is not None and seat < len(missing):
        yield _gauge(
            "consensus_validator_missed_blocks", "Of the last thousand certificates, those without this node's vote",
            missing[seat],
        )  # fmt: skip
    # From zero on for every seat: an increase is seen only of a series that was there before.
    mismatches = node.agreement.mismatches.by_seat
    yield _counters(
        "state_root_mismatch", "Proposed blocks whose roots our own execution contradicts", "seat",
        {str(at): mismatches[at] for at in range(status.validator_count)},
    )  # fmt: skip
    yield _gauge("consensus_byzantine_validators", "Members that evidence convicts", len(culprits))
    yield _counter("consensus_txs", "Actions in final blocks", node.stats.commands_total)
    yield _histogram(
        "consensus_finality_seconds", "From a block's proposal to its certificate, by its proposer's clock",
        _of_milliseconds(counters.blocks_by_finality_ms),
    )  # fmt: skip
    steps = HistogramMetricFamily(
        PREFIX + "consensus_step_duration_seconds", "From a block's proposal to each step of it", labels=["step"]
    )
    for step, counts in counters.blocks_by_step_ms.items():
        seen = _of_milliseconds(counts)
        steps.add_metric([step], list(seen.buckets()), seen.total)
    yield steps


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(PREFIX + name, text, value=value)


def _list_peers(node: "Node") -> Iterator[Metric]:
    links = {str(link.peer): link for link in node.service.counters().links}
    yield _gauge("p2p_peers", "Members linked now", node.service.status().peer_count)

    def by_peer(field: str) -> dict[str, float]:
        return {peer: getattr(link, field) for peer, link in links.items()}

    yield _counters("p2p_peer_receive_bytes", "Bytes from a member", "peer", by_peer("bytes_in"))
    yield _counters("p2p_peer_send_bytes", "Bytes to a member", "peer", by_peer("bytes_out"))
    yield _counters("p2p_messages_received", "Frames from a member", "peer", by_peer("frames_in"))
    yield _counters("p2p_messages_sent", "Frames to a member", "peer", by_peer("frames_out"))


def _list_engine(node: "Node") -> Iterator[Metric]:
    state = node.executor.final.state
    by_code = node.stats.actions_by_code()
    yield _counters(
        "engine_orders", "Actions in final blocks by result", "result",
        {Code(code).name.lower(): count for code, count in by_code.items()},
    )  # fmt: skip
    yield _histogram("engine_block_seconds", "Time to execute a block", node.executor.seconds)
    yield _gauge("mempool_size", "Actions of own clients that no block has yet", node.own_batches.waiting_count)
    yield _gauge("engine_accounts", "Accounts of the exchange", int(state.tables.counters[ACCOUNT_COUNT]))
    yield _counter("liquidations", "Liquidations since genesis", int(state.tables.counters[LIQUIDATION_COUNT_TOTAL]))
    yield _gauge(
        "insurance_fund_usdc", "What pays for losses before anybody else does",
        int(state.tables.accounts["balance_quote"][INSURANCE_ACCOUNT]) / QUOTE_PER_USDC,
    )  # fmt: skip
    yield _gauges(
        "engine_open_interest_lots", "Longs of an instrument", "instrument",
        {
            market.symbol: float(state.tables.markets[at]["open_interest_lots"])
            for at, market in enumerate(_markets(node))
        },
    )  # fmt: skip


def _list_settlement(node: "Node", metrics: "NodeMetrics") -> Iterator[Metric]:
    status = node.service.status()
    waiting = node.settling.inbox.count - node.executor.final.state.inbox_cursor
    yield _gauge("settlement_last_root_height", "Height of the last final checkpoint on chain", status.onchain_height)
    yield _gauge(
        "settlement_lag_blocks", "Final blocks above the last checkpoint", status.height - status.onchain_height
    )
    yield _gauge("settlement_chain_block", "Last final block of the settlement chain", status.onchain_block)
    yield _gauge("settlement_inbox_pending", "Deposits and forced actions that no block has yet", max(0, waiting))
    yield _gauges(
        "settlement_endpoint_up", "Whether an endpoint of the settlement chain is well", "endpoint",
        {endpoint.name: float(endpoint.is_well) for endpoint in status.endpoints},
    )  # fmt: skip
    if metrics.escape_s is not None:
        left_s = metrics.escape_s - metrics.clocks.wall_ms() / 1000
        yield _gauge("escape_seconds_left", "Until anyone may freeze the settlement contract", left_s)


def _list_oracle(node: "Node", metrics: "NodeMetrics") -> Iterator[Metric]:
    final = node.executor.final
    rows = final.state.tables.underlyings
    names = dict.fromkeys(market.underlying_name for market in _markets(node))
    now_ms = metrics.clocks.wall_ms()
    yield _gauges(
        "oracle_age_seconds", "Age of the price of an index", "index",
        {name: (now_ms - int(rows[at]["index_ms"])) / 1000 for at, name in enumerate(names)},
    )  # fmt: skip
    yield _gauges(
        "oracle_spread_bps", "How far the validators' reports lie apart", "index",
        {name: float(rows[at]["dispersion_bps"]) for at, name in enumerate(names)},
    )  # fmt: skip


def _list_host(node: "Node", metrics: "NodeMetrics") -> Iterator[Metric]:
    room = os.statvfs(node.home.data)
    yield _gauge("disk_free_bytes", "Room where the node writes", room.f_bavail * room.f_frsize)
    yield _histogram("fsync_seconds", "Waits for the disk before something is said", metrics.disk.seconds)
    if node.clock_offset.ahead_ms is not None:
        yield _gauge(
            "clock_offset_seconds", "How far this clock is ahead of the others', by their price reports",
            node.clock_offset.ahead_ms / 1000,
        )  # fmt: skip
    yield _histogram("event_loop_lag_seconds", "How late the node's loop is, asked once a second", metrics.loop_lag)
    yield _gauge("signer_up", "Whether somebody holds the voting key and answers", metrics.signer.is_up)
    yield _counters("signer_refused", "Votes that the guard refused", "reason", metrics.signer.refused)
    build = GaugeMetricFamily(PREFIX + "build_info", "What runs here", labels=["version", "genesis", "chain_id"])
    build.add_metric([VERSION, node.network.digest().hex()[:16], str(node.network.chain_id)], 1)
    yield build


def _markets(node: "Node") -> tuple[MarketParams, ...]:
    return node.service.market_data.markets()
