"""What one window of a load came to, and the text of it."""

from collections import Counter
from dataclasses import dataclass

from testnet.bench_net.nodes import Counted

OK = 0


@dataclass(frozen=True, slots=True)
class Figures:
    """One window. Rates are of the slowest node, percentiles of the worst; commands are actions.

    `finality_*` is what nodes measure: from the proposal's timestamp to its certificate in a node's hands. `client_*`
    is what a client sees: from the call that sends a message to its final answer.
    """

    setup: str
    kind: str
    load: str
    offered_per_s: float
    executed_per_s: float
    ok_share: float
    codes: dict[int, int]
    refused: int
    unanswered: int
    refusals: dict[str, int]
    finality_p50_ms: float
    finality_p99_ms: float
    client_p50_ms: float
    client_p99_ms: float
    blocks_per_s: float
    commands_per_block: float
    node_cpu_us_per_command: float
    node_cpu_ms_per_block: float
    node_cores: float
    client_cpu_us_per_command: float
    frames_per_block_and_link: float
    writes_per_block_and_link: float
    kb_per_block_and_link: float
    cpu_share_by_thread: dict[str, float]
    resident_mb: int
    is_sustained: bool

    @property
    def name(self) -> str:
        return f"{self.kind}, {self.load}"


@dataclass(frozen=True, slots=True)
class Clients:
    """What all client processes together report, in messages."""

    sent_inside: int
    refused: int
    unanswered: int
    refusals: dict[str, int]
    cpu_s: float
    latencies_ms: list[float]


SUSTAINED_SHARE = 0.99


def compute_figures(
    setup: str, kind: str, load: str, nodes: list[Counted], clients: Clients, actions_per_message: int, window_s: float
) -> Figures:
    """`nodes`: what happened at each inside the window."""
    rates = [node.action_count / (node.time_ms / 1000) for node in nodes]
    offered_per_s = clients.sent_inside * actions_per_message / window_s
    codes: Counter[int] = min((node.actions_by_code for node in nodes), key=lambda found: found.total())
    commands = max(1.0, sum(node.action_count for node in nodes) / len(nodes))
    blocks = max(1, min(node.height for node in nodes))
    links = max(1, sum(node.links for node in nodes))
    threads: Counter[str] = sum((node.cpu_s_by_thread for node in nodes), Counter())
    cpu_us = sum(node.cpu_us for node in nodes) / len(nodes)
    latencies_ms = sorted(clients.latencies_ms)
    return Figures(
        setup=setup, kind=kind, load=load, offered_per_s=offered_per_s, executed_per_s=min(rates),
        ok_share=codes[OK] / max(1, codes.total()), codes=dict(codes), refused=clients.refused,
        unanswered=clients.unanswered, refusals=clients.refusals,
        finality_p50_ms=max(read_percentile(node.blocks_by_finality_ms, 50) for node in nodes),
        finality_p99_ms=max(read_percentile(node.blocks_by_finality_ms, 99) for node in nodes),
        client_p50_ms=at_percent(latencies_ms, 50), client_p99_ms=at_percent(latencies_ms, 99),
        blocks_per_s=min(node.height / (node.time_ms / 1000) for node in nodes),
        commands_per_block=commands / blocks, node_cpu_us_per_command=cpu_us / commands,
        node_cpu_ms_per_block=cpu_us / 1000 / blocks, node_cores=sum(node.cpu_us for node in nodes) / 1e6 / window_s,
        client_cpu_us_per_command=clients.cpu_s * 1e6 / max(1, clients.sent_inside * actions_per_message),
        frames_per_block_and_link=sum(node.frames_out for node in nodes) / blocks / links,
        writes_per_block_and_link=sum(node.writes for node in nodes) / blocks / links,
        kb_per_block_and_link=sum(node.bytes_out for node in nodes) / 1000 / blocks / links,
        cpu_share_by_thread={name: used_s / max(0.001, threads.total()) for name, used_s in threads.most_common(4)},
        resident_mb=max(node.resident_mb for node in nodes),
        is_sustained=min(rates) >= SUSTAINED_SHARE * offered_per_s,
    )  # fmt: skip


def read_percentile(counts: Counter[int], percent: int) -> float:
    """Of a histogram of whole milliseconds; 0 without values."""
    left = counts.total() * percent / 100
    for value in sorted(counts):
        left -= counts[value]
        if left <= 0:
            return float(value)
    return 0.0


def at_percent(ordered: list[float], percent: int) -> float:
    """Of an ordered list; 0 without values."""
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] if ordered else 0.0
