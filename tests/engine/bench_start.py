"""From nothing to the first executed block: `python -m tests.engine.bench --only start`.

A process of its own compiles every kernel into an empty cache, another one finds them there; both must end with the
same root. CPU time of the process; the wall's is in the note.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time

from tests.engine.bench_row import Row, report, require_equal

TARGETS_S = {"from an empty cache": 60.0, "from a warm cache": 3.0}
SCRIPT = "from engine.warm import warm; print(warm().hex())"


def start(folder: str) -> tuple[float, float, str]:
    """CPU and wall seconds of one start, and its root."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=os.environ | {"NUMBA_CACHE_DIR": folder}, check=True, capture_output=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu_s, time.perf_counter() - began, done.stdout.decode().strip()


def run(_rounds: int) -> list[Row]:
    """Cold, then warm."""
    rows, roots, cold_s = [], [], 0.0
    with tempfile.TemporaryDirectory() as folder:
        for name, target_s in TARGETS_S.items():
            report(f"start: {name}")
            cpu_s, wall_s, root = start(folder)
            roots.append(root)
            ratio: float | str = cold_s / cpu_s if cold_s else "-"
            cold_s = cold_s or cpu_s
            baseline = "an empty cache" if len(roots) > 1 else ""
            title = f"process to first blocks, {name}"
            rows.append(Row(title, cpu_s, "s", target_s, ratio, baseline, root[:16], f"wall {wall_s:.1f} s"))
    require_equal("root of a warm start", roots[1], roots[0])
    return rows
