"""Every figure of the engine in one table: `make bench-engine`.

Each row states its target and how many times as long a baseline took that computed the same in the same run; where
results differ no speed is printed. Figures are medians of interleaved rounds of thread CPU time, unless the row says
"wall".
"""

import argparse
import gc
import importlib
import json
import os
import platform
import sys
from pathlib import Path

from tests.engine.bench_row import Disagreement, Row, report

PARTS = {
    "matching": "bench_matching",
    "whole": "bench_whole",
    "options": "bench_options",
    "pricing": "bench_pricing",
    "portfolio": "bench_portfolio",
    "root": "bench_root",
    "snapshot": "bench_snapshot",
    "signatures": "bench_signatures",
    "block": "bench_block",
    "growth": "bench_growth",
    "start": "bench_start",
}
ROUNDS = 11
RESULTS = Path("build/results/bench-engine.json")
EXAMPLES = """examples:
  python -m tests.engine.bench                               everything, some ten minutes
  python -m tests.engine.bench --only whole --rounds 3       the whole exchange alone, quickly
  python -m tests.engine.bench --only root --only block      two parts

parts: """


def format_number(number: float) -> str:
    """Three figures or whole numbers, with separators."""
    if number >= 1_000_000:
        return f"{number / 1e6:,.2f} M"
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def format_row(row: Row) -> str:
    """One line: name, figure, target, ratio."""
    sign = ">=" if row.unit.endswith("/s") else "<="
    target = f"{sign} {format_number(row.target)}" if row.target else ""
    verdict = "" if not row.target else "met" if row.is_met else "MISSED"
    ratio = f"{row.ratio:,.3g} x" if isinstance(row.ratio, (int, float)) else row.ratio
    figure = f"{format_number(row.figure)} {row.unit}"
    return f"{row.name:62} {figure:>20} {target:>12} {verdict:7} {ratio:>10} {row.baseline}"


def run_parts(names: list[str], rounds: int) -> tuple[list[Row], list[str]]:
    """All rows, printed as they come, and what disagreed."""
    rows, wrong = [], []
    for name in names:
        report(f"{name} ...")
        try:
            found = importlib.import_module(f"tests.engine.{PARTS[name]}").run(rounds)
        except Disagreement as error:
            wrong.append(f"{name}: {error}")
            print(f"{name:62} DISAGREES: {error}", flush=True)
            continue
        for row in found:
            print(format_row(row), flush=True)
            if row.note:
                print(f"    {row.note}", flush=True)
        rows += found
        gc.collect()
    return rows, wrong


def describe_machine() -> dict[str, object]:
    """What the figures were measured on."""
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if "model name" in line
    ]
    load = [round(value, 1) for value in os.getloadavg()]
    return {
        "cpu": models[0] if models else "unknown",
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load": load,
    }


def main() -> int:
    """0, or 1 when two ways to a result disagree; a missed target is no error."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.engine.bench", description=__doc__, epilog=EXAMPLES + ", ".join(PARTS),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"rounds of each measurement (default {ROUNDS})")
    parser.add_argument("--only", action="append", choices=PARTS, metavar="NAME", help="this part; may be repeated")
    options = parser.parse_args()
    machine = describe_machine()
    print(f"{machine['cpu']}, {machine['cores']} cores, Python {machine['python']}, load {machine['load']}", flush=True)
    rows, wrong = run_parts(options.only or list(PARTS), max(options.rounds, 1))
    missed = [row.name for row in rows if not row.is_met]
    print(f"{len(rows)} rows, {len(missed)} targets missed, {len(wrong)} disagreements")
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    table = [row._asdict() | {"is_met": row.is_met} for row in rows]
    RESULTS.write_text(json.dumps({"machine": machine, "rows": table, "disagreements": wrong}, indent=1) + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
