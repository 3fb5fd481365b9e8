"""What a node knows beside its blocks, as it tells the process that serves its API: once a second, and when commands
begin or cease to be taken.

One value in canonical CBOR inside a frame of the feed. Decoding is total: any bytes give facts or `FeedError`.
"""

from dataclasses import dataclass, fields
from typing import Any

import cbor2

from net.feed.protocol import FeedError
from net.gateway.backend import EndpointStatus, LinkCounters, NodeCounters, Refusal


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """`refusal`: why the node takes no commands now, 0 when it does. `inbox_count`: entries of the settlement
    contract's inbox that are final as far as it knows.
    """

    node_key: bytes
    epoch: int
    view: int
    peer_count: int
    is_syncing: bool
    refusal: int
    finality_p50_ms: int
    finality_p99_ms: int
    commands_per_s: int
    inbox_count: int
    onchain_height: int
    onchain_block: int
    onchain_hash: bytes
    onchain_posted_height: int
    endpoints: tuple[EndpointStatus, ...]


def refusal_of(facts: NodeFacts) -> Refusal | None:
    return Refusal(facts.refusal) if facts.refusal else None


def encode_facts(facts: NodeFacts, counters: NodeCounters) -> bytes:
    """What a `FactsEvent` carries."""
    return cbor2.dumps([_to_plain(facts), _to_plain(counters)], canonical=True)


def decode_facts(data: bytes) -> tuple[NodeFacts, NodeCounters]:
    """Inverse of `encode_facts`. Raises `FeedError` and nothing else."""
    try:
        plain_facts, plain_counters = cbor2.loads(data)
        *values, endpoints = plain_facts
        facts = _make_facts(values, tuple(EndpointStatus(*row) for row in endpoints))
        time_ms, cpu_us, height, by_code, by_finality_ms, links, task_count, by_step_ms = plain_counters
        counters = NodeCounters(
            time_ms, cpu_us, height, by_code, by_finality_ms, tuple(LinkCounters(*row) for row in links), task_count,
            by_step_ms,
        )  # fmt: skip
        Refusal(facts.refusal or Refusal.SYNCING)
        is_whole = encode_facts(facts, counters) == data
    except Exception as error:  # hostile bytes fail in many ways; all mean the same here
        raise FeedError("no facts of a node") from error
    if not is_whole:
        raise FeedError("not the canonical encoding of a node's facts")
    return facts, counters


def _make_facts(values: list[Any], endpoints: tuple[EndpointStatus, ...]) -> NodeFacts:
    return NodeFacts(**dict(zip((item.name for item in fields(NodeFacts)), (*values, endpoints), strict=True)))


def _to_plain(record: Any) -> list[Any]:
    """The fields in their order; records in tuples likewise."""
    values = [getattr(record, item.name) for item in fields(record)]
    return [[_to_plain(row) for row in value] if isinstance(value, tuple) else value for value in values]
