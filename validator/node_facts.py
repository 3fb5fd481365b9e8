"""What a node can say of itself beside its blocks, for its API and for its operator's other processes."""

import time
from typing import TYPE_CHECKING

import trio

from net.committee import PeerStatistics
from net.feed.facts import NodeFacts
from net.gateway.backend import LinkCounters, NodeCounters
from validator.stats import Stats

if TYPE_CHECKING:
    from validator.node import Node


def take_facts(node: "Node") -> NodeFacts:
    """As of now."""
    view, peer_count, is_syncing, refusal = node.health()
    on_chain = node.settling.on_chain
    return NodeFacts(
        node_key=node.info.node_key, epoch=node.agreement.epoch, view=view, peer_count=peer_count,
        is_syncing=is_syncing, refusal=0 if refusal is None else int(refusal),
        finality_p50_ms=node.stats.finality_ms(50), finality_p99_ms=node.stats.finality_ms(99),
        commands_per_s=node.stats.commands_per_s(), inbox_count=node.settling.inbox.count,
        onchain_height=on_chain.height, onchain_block=on_chain.block, onchain_hash=on_chain.header_hash,
        onchain_posted_height=on_chain.posted_height, endpoints=on_chain.endpoints,
    )  # fmt: skip


def take_counters(stats: Stats, links: dict[int, PeerStatistics], time_ms: int, height: int) -> NodeCounters:
    """Totals since the start; processor time and tasks are those of this process."""
    shown = tuple(
        LinkCounters(peer, seen.frames_in, seen.frames_out, seen.bytes_in, seen.bytes_out, seen.writes)
        for peer, seen in links.items()
    )
    return NodeCounters(
        time_ms=time_ms, cpu_us=time.process_time_ns() // 1000, height=height,
        actions_by_code=stats.actions_by_code(), blocks_by_finality_ms=stats.blocks_by_finality_ms(), links=shown,
        task_count=trio.lowlevel.current_statistics().tasks_living, blocks_by_step_ms=stats.steps.counts(),
    )  # fmt: skip
