"""Judges a soak: what grew after the warm-up, and whether it may.

A quantity has grown when even the low end of its slope's interval says so, and by more than noise over the whole time
looked at: a run of two minutes says little about an hour, and does not pretend to.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from testnet.hostile.watching import MIB
from testnet.soak.sampling import Holdings
from testnet.soak.slopes import HOUR_S, Slope, fit_slope

RESULTS = Path("build/results/soak.json")
SAMPLES_MIN = 8


@dataclass(frozen=True, slots=True)
class Measure:
    """`percent_per_hour_max` of the level, and `grace` in its own unit over the time looked at; None: it may grow."""

    name: str
    read: Callable[[Holdings], float]
    percent_per_hour_max: float | None
    grace: float


# A handful of connections more or less at either end is no growth; a leak of one a minute is sixty an hour.
MEASURES: tuple[Measure, ...] = (
    Measure("resident memory, MiB", lambda held: held.resident_bytes / MIB, 5.0, 8.0),
    Measure("open files", lambda held: float(held.open_files), 5.0, 6.0),
    Measure("threads", lambda held: float(held.threads), 5.0, 3.0),
    Measure("tasks", lambda held: float(held.tasks), 5.0, 10.0),
    Measure("data folder, MiB", lambda held: held.disk_bytes / MIB, None, 0.0),
)


@dataclass(frozen=True, slots=True)
class Row:
    """One quantity of one validator. `has_grown` None: it is history, and may."""

    node: str
    measure: str
    samples: int
    last: float
    slope: Slope
    has_grown: bool | None


def judge(measure: Measure, slope: Slope, duration_s: float) -> bool | None:
    """Whether it has grown beyond what it may."""
    if measure.percent_per_hour_max is None:
        return None
    limit_per_hour = slope.level * measure.percent_per_hour_max / 100
    growth = slope.per_hour * duration_s / HOUR_S
    return slope.low_per_hour > limit_per_hour and growth > measure.grace


def list_rows(name: str, held: list[Holdings]) -> list[Row]:
    """Of one process's life after its warm-up; none when it was too short."""
    if len(held) < SAMPLES_MIN:
        return []
    times_s = [moment.time_s for moment in held]
    rows = []
    for measure in MEASURES:
        values = [measure.read(moment) for moment in held]
        slope = fit_slope(times_s, values)
        has_grown = judge(measure, slope, times_s[-1] - times_s[0])
        rows.append(Row(name, measure.name, len(held), values[-1], slope, has_grown))
    return rows


def print_rows(rows: list[Row], console: Console) -> None:
    table = Table("validator", "measure", "samples", "level", "last", "slope per hour", "95 %", "%/h", "")
    for row in rows:
        slope = row.slope
        mark = "" if row.has_grown is None else "[red]GROWS[/]" if row.has_grown else "[green]ok[/]"
        table.add_row(
            row.node, row.measure, str(row.samples), f"{slope.level:.1f}", f"{row.last:.1f}", f"{slope.per_hour:+.2f}",
            f"{slope.low_per_hour:+.1f} to {slope.high_per_hour:+.1f}", f"{slope.percent_per_hour:+.1f}", mark,
        )  # fmt: skip
    console.print(table)


def write_results(rows: list[Row], problems: list[str], duration_s: int) -> None:
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    body = {"duration_s": duration_s, "rows": [asdict(row) for row in rows], "problems": problems}
    RESULTS.write_text(json.dumps(body, indent=1) + "\n")


def exit_code(rows: list[Row], problems: list[str]) -> int:
    """0 when nothing grew that must not and nothing went wrong on the way."""
    return 1 if problems or not rows or any(row.has_grown for row in rows) else 0
