"""What a long run has shown: a table of rows, some with a goal; printed, written as JSON, and judged."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

# Where nobody tells how wide a line may be.
LINE_WIDTH = 120


@dataclass(frozen=True, slots=True)
class Row:
    """`is_met` None for a figure without a goal."""

    measure: str
    value: str
    goal: str = ""
    is_met: bool | None = None


def at_most(measure: str, value: float, limit: float, unit: str) -> Row:
    return Row(measure, f"{value:.4g} {unit}", f"<= {limit:g} {unit}", value <= limit)


def print_rows(title: str, rows: Sequence[Row]) -> None:
    table = Table("measure", "value", "goal", "", title=title, title_justify="left")
    for row in rows:
        mark = "" if row.is_met is None else "[green]ok[/]" if row.is_met else "[red]MISSED[/]"
        table.add_row(row.measure, row.value, row.goal, mark)
    console = Console()
    (console if console.is_terminal else Console(width=LINE_WIDTH)).print(table)


def write_rows(path: Path, body: dict[str, Any], rows: Sequence[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(body | {"rows": [asdict(row) for row in rows]}, indent=1) + "\n")


def exit_code(rows: Sequence[Row]) -> int:
    """0 only if no goal is missed."""
    return 1 if any(row.is_met is False for row in rows) else 0
