"""Judges a campaign: the table, its goals, the file for machines."""

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from testnet.hostile.phases import Phase
from testnet.hostile.scene import TRAITOR
from testnet.hostile.watching import MIB, NodePhase, percentile

RESULTS = Path("build/results/bench-hostile.json")
FINALITY_RATIO_MAX = 1.5
# The two quiet windows of one run differ by chance, too; below this a ratio says nothing.
FINALITY_GRACE_MS = 30
GROWTH_BYTES_MAX = 256 * MIB


@dataclass(slots=True)
class Row:
    """One phase. Finality and memory are those of the worst honest validator."""

    phase: Phase
    duration_s: float
    blocks_per_s: float
    finality_p50_ms: int
    finality_p99_ms: int
    resident_bytes_max: int
    cpu_share: float
    bans: dict[str, int]
    done: dict[str, int]
    observed_blocks: int = 0
    public_bytes_max: int = 0
    ratio: float = 0.0
    problems: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Ending:
    """How the network stood when all attackers had left and the traitor's own validator was back."""

    are_all_alive: bool
    heights: list[int]
    heights_compared: int
    disagreements: list[str]
    problems: list[str] = field(default_factory=list)


def make_row(
    phase: Phase,
    duration_s: float,
    seen: dict[int, NodePhase],
    done: dict[str, int],
    observed_blocks: int = 0,
    public_bytes_max: int = 0,
) -> Row:
    """Put together what the honest validators were seen to do, and the observer beside them."""
    bans: Counter[str] = Counter()
    for node in seen.values():
        bans.update(node.bans)
    row = Row(
        phase=phase,
        duration_s=duration_s,
        blocks_per_s=min(node.blocks for node in seen.values()) / duration_s,
        finality_p50_ms=max(percentile(node.finality_ms, 50) for node in seen.values()),
        finality_p99_ms=max(percentile(node.finality_ms, 99) for node in seen.values()),
        resident_bytes_max=max(node.resident_bytes_max for node in seen.values()),
        cpu_share=max(node.cpu_ms for node in seen.values()) / 1000 / duration_s,
        bans=dict(bans),
        done=done,
        observed_blocks=observed_blocks,
        public_bytes_max=public_bytes_max,
    )
    if phase.needs_observer and not observed_blocks:
        row.problems.append("an observer of the chain saw nothing")
    row.problems += [f"the attack did not happen: {name} is 0" for name in phase.proofs if not done.get(name)]
    if not all(node.blocks for node in seen.values()):
        row.problems.append("a validator's height stood still")
    traitor = f"member {TRAITOR}"
    honest = [name for name in bans if name.startswith("member") and name != traitor]
    if honest or (bans and not phase.attack):
        row.problems.append(f"somebody honest was banned: {', '.join(honest or bans)}")
    without = [index for index, node in seen.items() if not node.bans[traitor] and traitor not in node.held]
    if 0 < phase.ban_s_max <= duration_s and without and not row.problems:
        row.problems.append(f"not banned by validators {without}")
    return row


def judge(rows: list[Row]) -> None:
    """Hold every phase against its quiet window."""
    quiet = {row.phase.name: row for row in rows if not row.phase.attack}
    resident_bytes = max(row.resident_bytes_max for row in quiet.values())
    for row in rows:
        base = quiet[row.phase.baseline]
        row.ratio = row.finality_p99_ms / max(1, base.finality_p99_ms)
        if row.ratio > FINALITY_RATIO_MAX and row.finality_p99_ms - base.finality_p99_ms > FINALITY_GRACE_MS:
            row.problems.append(f"finality p99 is {row.ratio:.1f} times that of the quiet window")
        growth_bytes = row.resident_bytes_max - resident_bytes
        if growth_bytes > GROWTH_BYTES_MAX:
            row.problems.append(f"memory grew by {growth_bytes / MIB:.0f} MiB")


def print_rows(rows: list[Row], ending: Ending, console: Console) -> None:
    table = Table("phase", "s", "blocks/s", "finality p50 / p99 ms", "p99 ratio", "MiB max", "CPU", "shut out", "")
    for row in rows:
        mark = "[red]" + "; ".join(row.problems) + "[/]" if row.problems else "[green]ok[/]"
        bans = ", ".join(f"{name} ({count}x)" for name, count in row.bans.items())
        table.add_row(
            row.phase.name, f"{row.duration_s:.0f}", f"{row.blocks_per_s:.1f}",
            f"{row.finality_p50_ms} / {row.finality_p99_ms}", f"{row.ratio:.2f}",
            f"{row.resident_bytes_max / MIB:.0f}", f"{row.cpu_share:.2f}", bans, mark,
        )  # fmt: skip
    console.print(table)
    for row in rows:
        if row.done:
            what = ", ".join(f"{name} {count}" for name, count in sorted(row.done.items()))
            console.print(f"{row.phase.name}: {what}", markup=False, highlight=False, soft_wrap=True)
    observed_blocks, public_bytes = sum(row.observed_blocks for row in rows), max(row.public_bytes_max for row in rows)
    console.print(
        f"the observer saw {observed_blocks} certified blocks; its host held {public_bytes / MIB:.0f} MiB at most",
        highlight=False,
    )
    console.print(
        f"at the end: heights {ending.heights}, {ending.heights_compared} heights compared, "
        f"{len(ending.disagreements)} disagreements", highlight=False,
    )  # fmt: skip
    for problem in ending.problems:
        console.print(f"problem: {problem}", markup=False, highlight=False, soft_wrap=True)


def write_results(rows: list[Row], ending: Ending) -> None:
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    body = {"rows": [asdict(row) for row in rows], "ending": asdict(ending)}
    RESULTS.write_text(json.dumps(body, indent=1) + "\n")


def exit_code(rows: list[Row], ending: Ending) -> int:
    """0 when every phase and the end are as they should be."""
    return 1 if ending.problems or any(row.problems for row in rows) else 0
