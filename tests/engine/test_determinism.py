"""The engine is integers only, and the same with and without the compiler, on every processor and interpreter.

A day with everything in it is written down here and lived again elsewhere: the roots after every block are compared.
"""

import os
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from numba import config, njit
from numba.core.dispatcher import Dispatcher

import engine
from tests.engine.days import live, write_day

ROOT = Path(__file__).parent.parent.parent
BOUNDS = {"NUMBA_BOUNDSCHECK": "1"}
ANY_PROCESSOR = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}
# Each compiles everything anew; `make determinism` asks for all of them, the test suite for the first.
SETTINGS = {
    "bounds checked on any processor": {**BOUNDS, **ANY_PROCESSOR},
    "bounds": BOUNDS,
    "any processor": ANY_PROCESSOR,
    "no optimisation": {"NUMBA_OPT": "0"},
}
IS_CAMPAIGN = os.environ.get("HANSA_DETERMINISM") == "all"
CHOSEN = dict(list(SETTINGS.items())[: None if IS_CAMPAIGN else 1])


def run_day(script: Path, settings: dict[str, str], cache: Path, python: str = sys.executable) -> list[str]:
    """State roots of a day in a process of its own."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": str(ROOT), **settings}
    answer = subprocess.run(
        [python, "-m", "tests.engine.days", str(script)],
        env=environment, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.split()


def roots_of(blocks: int, tmp_path: Path) -> tuple[Path, list[str]]:
    """A day on disk, and its roots in this process."""
    script = write_day(4, blocks, 14)
    path = tmp_path / "day.json"
    path.write_text(script.to_json())
    return path, [state.state_root.hex() for state, _ in live(script)]


def test_without_the_compiler_the_roots_are_the_same(tmp_path) -> None:
    """Plain Python runs the same kernels, with bounds checks of its own and a warning for every overflow."""
    path, roots = roots_of(12, tmp_path)
    assert len(set(roots)) == 12
    assert run_day(path, {"NUMBA_DISABLE_JIT": "1"}, tmp_path) == roots


@pytest.mark.slow
@pytest.mark.skipif(config.DISABLE_JIT, reason="nothing is compiled")
@pytest.mark.parametrize("settings", CHOSEN.values(), ids=CHOSEN.keys())
def test_however_it_is_compiled_the_roots_are_the_same(settings, tmp_path) -> None:
    path, roots = roots_of(40, tmp_path)
    assert run_day(path, settings, tmp_path) == roots


@pytest.mark.slow
def test_on_another_interpreter_the_roots_are_the_same(tmp_path) -> None:
    python = shutil.which("python3.12") if IS_CAMPAIGN else None
    if python is None or subprocess.run([python, "-c", "import numba"], capture_output=True, check=False).returncode:
        pytest.skip("no python3.12 with numba here")
    path, roots = roots_of(40, tmp_path)
    assert run_day(path, {}, tmp_path, python) == roots


def list_entry_points() -> list[Dispatcher]:
    """Every compiled function that the shell calls: those whose machine code is kept."""
    names = sorted(path.stem for path in Path(engine.__path__[0]).glob("*.py") if path.stem != "__init__")
    found: dict[int, Any] = {}
    for name in names:
        for item in vars(import_module(f"engine.{name}")).values():
            if isinstance(item, Dispatcher) and type(item._cache).__name__ != "NullCache":
                found[id(item)] = item
    return list(found.values())


@pytest.mark.slow
@pytest.mark.skipif(config.DISABLE_JIT, reason="nothing is compiled")
def test_no_entry_point_computes_with_floats() -> None:
    """The optimised code of every entry point, which holds all kernels below it, names no floating-point type."""
    for _ in live(write_day(4, 20, 14)):
        pass
    entry_points = list_entry_points()
    checked = set()
    for function in entry_points:
        for signature in function.signatures:
            fresh = njit(_nrt=function.targetoptions.get("_nrt", True))(function.py_func)
            fresh.compile(signature)
            code = fresh.inspect_llvm(signature)
            lines = [line for line in code.splitlines() if " double" in line or " float" in line]
            assert lines == [], function.__name__
            checked.add(function.__name__)
    assert {"_run_stage", "check_block", "update_tree", "hash_leaves", "_value_accounts"} <= checked
