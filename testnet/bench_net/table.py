"""The table at the end: every window in a row, ratios beside the baselines, goals judged, and where the time went."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from testnet.bench_net.figures import Figures
from testnet.bench_net.profiler import TOP, Profile
from testnet.bench_net.rounds import KINDS

FINALITY_P50_MS_MAX, FINALITY_P99_MS_MAX, IDLE_P50_MS_MAX = 60, 200, 30
COLUMNS = (
    "setup", "commands", "load", "offered/s", "executed/s", "OK", "finality p50/p99", "client p50/p99", "blocks/s",
    "a block", "node µs", "client µs", "cores", "frames", "writes", "MB",
)  # fmt: skip
EXPLANATION = (
    "executed/s on the slowest node, with OK the share that the engine accepted; finality in ms from the proposal to "
    "the certificate, worst node; client: from sending to the final answer; node µs: CPU of one node for one command; "
    "cores: all nodes together; frames and writes of one link for one block. Clients sign before the "
    "window and send every 20 ms what is due."
)


@dataclass(frozen=True, slots=True)
class Goal:
    """One figure and what it should be."""

    what: str
    value: float
    goal: str
    is_met: bool


def judge(rows: list[Figures], hansa: str) -> list[Goal]:
    """The goals of the four-node network, as far as they were measured."""
    goals = []
    for kind in KINDS.values():
        for row in rows:
            if row.setup != hansa or row.kind != kind.name or not kind.goal_per_s:
                continue
            if row.load == "full":
                is_met = row.executed_per_s >= kind.goal_per_s and row.is_sustained
                goals.append(Goal(f"{kind.name}: executed/s", row.executed_per_s, f">= {kind.goal_per_s:,}", is_met))
            elif row.load == "half":
                text = f"{kind.name}: finality at half load"
                goals.append(_limit(f"{text}, p50 ms", row.finality_p50_ms, FINALITY_P50_MS_MAX))
                goals.append(_limit(f"{text}, p99 ms", row.finality_p99_ms, FINALITY_P99_MS_MAX))
            elif row.load == "idle":
                goals.append(_limit("finality idle, p50 ms", row.finality_p50_ms, IDLE_P50_MS_MAX))
    return goals


def _limit(what: str, value: float, limit: int) -> Goal:
    return Goal(what, value, f"<= {limit}", value <= limit)


def print_rows(console: Console, rows: list[Figures]) -> None:
    table = Table(title="make bench-net", title_justify="left", caption=EXPLANATION, caption_justify="left")
    for name in COLUMNS:
        table.add_column(name, justify="left" if name in COLUMNS[:3] else "right", overflow="fold")
    for row in rows:
        table.add_row(
            row.setup, row.kind, row.load + ("" if row.is_sustained or row.load == "idle" else " [red]not kept up[/]"),
            f"{row.offered_per_s:,.0f}", f"{row.executed_per_s:,.0f}", f"{row.ok_share:.0%}",
            f"{row.finality_p50_ms:.0f} / {row.finality_p99_ms:.0f}",
            f"{row.client_p50_ms:.0f} / {row.client_p99_ms:.0f}", f"{row.blocks_per_s:.1f}",
            f"{row.commands_per_block:,.0f}", f"{row.node_cpu_us_per_command:,.1f}",
            f"{row.client_cpu_us_per_command:,.1f}", f"{row.node_cores:.2f}",
            f"{row.frames_per_block_and_link:.1f}", f"{row.writes_per_block_and_link:.1f}", str(row.resident_mb),
        )  # fmt: skip
    console.print(table)


def print_ratios(console: Console, rows: list[Figures], hansa: str) -> None:
    """What the network costs: the baselines' rates and CPU over its own."""
    own = {row.kind: row for row in rows if row.setup == hansa and row.load == "full"}
    table = Table("baseline", "commands", "executed/s", "x ours", "node µs a command", "x ours", title_justify="left")
    for row in rows:
        if row.setup != hansa and row.load == "full" and row.kind in own:
            ours = own[row.kind]
            table.add_row(
                row.setup, row.kind, f"{row.executed_per_s:,.0f}",
                f"{row.executed_per_s / max(1.0, ours.executed_per_s):.2f}", f"{row.node_cpu_us_per_command:,.1f}",
                f"{row.node_cpu_us_per_command / max(0.001, ours.node_cpu_us_per_command):.2f}",
            )  # fmt: skip
    if table.row_count:
        console.print(table)


def print_details(console: Console, rows: list[Figures]) -> None:
    """Result codes, refusals and threads of the full loads."""
    for row in rows:
        threads = ", ".join(f"{name} {share:.0%}" for name, share in row.cpu_share_by_thread.items())
        codes = ", ".join(f"{code}: {count:,}" for code, count in sorted(row.codes.items()))
        refused = f"; refused {row.refusals}" if row.refused else ""
        lost = f"; {row.unanswered} messages without an answer" if row.unanswered else ""
        text = f"{row.setup}, {row.name}: CPU of nodes by thread {threads}; codes {codes}{refused}{lost}"
        console.print(text, highlight=False)


def print_goals(console: Console, goals: list[Goal]) -> None:
    table = Table("measure", "value", "goal", "")
    for goal in goals:
        table.add_row(goal.what, f"{goal.value:,.0f}", goal.goal, "[green]ok[/]" if goal.is_met else "[red]MISSED[/]")
    console.print(table)


def print_profiles(console: Console, profiles: list[Profile]) -> None:
    for profile in profiles:
        console.print(f"profile: {profile.label}, {profile.samples:,} samples", highlight=False)
        for counts, limit in ((profile.groups, len(profile.groups)), (profile.functions, TOP)):
            for name, count in counts.most_common(limit):
                console.print(f"  {count / max(1, profile.samples):6.1%}  {name}", highlight=False, markup=False)


def write_results(path: Path, rows: list[Figures], goals: list[Goal], about: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    found = {"about": about, "rows": [asdict(row) for row in rows], "goals": [asdict(goal) for goal in goals]}
    path.write_text(json.dumps(found, indent=1) + "\n")
