"""`python -m testnet.newcomer`: how long it takes somebody new to see a certified root on the settlement chain.

A newcomer has nothing: the repository is cloned, packages come into an empty cache, the engine is compiled for the
first time, and then a network is founded and runs until its first root is on the chain. Once with processes, once with
containers, where building the image is a row of its own. What is told on the way is the commands' own: the rows are
their steps. A table, build/results/newcomer.json; exit code 0 only if every way came to its end.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import cyclopts
from cyclopts import Parameter
from rich.console import Console

from testnet.up import FIRST_ROOT
from testnet.verdicts import Row, exit_code, print_rows, write_rows

RESULTS = Path("build/results/newcomer.json")
ROOT = Path(__file__).resolve().parents[1]
STEP_S_MAX = 1200
STEP = re.compile(r"^ok (.+?) ([0-9.]+) s$")
IMAGE = "hansa:newcomer"
NOT_INHERITED = ("PYTHONPATH", "NUMBA_CACHE_DIR", "VIRTUAL_ENV", "MAKEFLAGS")
app = cyclopts.App(name="python -m testnet.newcomer", help=__doc__)


class NeverArrived(Exception):
    """A newcomer would have given up here; the message has the command's last words."""


@dataclass(frozen=True, slots=True)
class Step:
    """`total_s`: since the clone began."""

    way: str
    what: str
    took_s: float
    total_s: float


@app.default
def main(
    *,
    only: Annotated[Literal["processes", "docker"] | None, Parameter(help="one of the two ways")] = None,
    validators: Annotated[int, Parameter(help="committee size")] = 4,
    base_port: Annotated[int, Parameter(help="first port to try")] = 26600,
    warm: Annotated[bool, Parameter(help="packages and image layers that are here are used", negative="")] = False,
) -> int:
    """Some minutes, most of them downloads."""
    console = Console(stderr=True)
    steps: list[Step] = []
    problems: list[str] = []
    ways: tuple[str, ...] = (only,) if only else ("processes", "docker")
    for way in ways:
        try:
            with tempfile.TemporaryDirectory(prefix="hansa-newcomer-") as folder:
                path = Path(folder)
                for step in walk(way, path, make_environment(path, warm), warm, validators, base_port):
                    console.print(f"{way}: {step.what} {step.took_s:.1f} s", highlight=False)
                    steps.append(step)
        except NeverArrived as error:
            console.print(f"newcomer: {way}: {error}", markup=False, highlight=False, soft_wrap=True)
            problems.append(way)
    rows = [Row(f"{step.way}: {step.what}", f"{step.took_s:.1f} s") for step in steps]
    for way in dict.fromkeys(step.way for step in steps):
        rows.append(Row(f"{way}: from git clone to a certified root on chain", f"{find_total(steps, way):.1f} s"))
    rows.append(Row("ways that did not come to their end", ", ".join(problems) or "none", "none", not problems))
    caches = "warm caches" if warm else "empty caches"
    print_rows(f"A newcomer's first certified root: {validators} validators, {caches}", rows)
    write_rows(RESULTS, {"steps": [asdict(step) for step in steps], "is_warm": warm}, rows)
    return exit_code(rows)


def find_total(steps: list[Step], way: str) -> float:
    """Seconds from the beginning to the last step."""
    return max(step.total_s for step in steps if step.way == way)


def make_environment(folder: Path, is_warm: bool) -> dict[str, str]:
    """As a fresh account has it: caches are empty, nobody's PYTHONPATH."""
    caches = {"HANSA_CACHE": str(folder / "kernels")}
    if not is_warm:
        caches |= {"UV_CACHE_DIR": str(folder / "packages"), "PIP_CACHE_DIR": str(folder / "pip")}
    inherited = {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
    return inherited | caches


def walk(
    way: str, folder: Path, environment: dict[str, str], is_warm: bool, validators: int, base_port: int
) -> Iterator[Step]:
    """Each step when it is done. Raises `NeverArrived`."""
    clone = folder / "hansa"
    beginning_s = time.monotonic()

    def timed(what: str, argv: list[str], cwd: Path) -> Step:
        started_s = time.monotonic()
        run_to_end(argv, cwd, environment)
        now_s = time.monotonic()
        return Step(way, what, now_s - started_s, now_s - beginning_s)

    yield timed("git clone", ["git", "clone", "-q", str(ROOT), str(clone)], folder)
    # What `make testnet` does first, so that it is a row of its own.
    yield timed("packages installed", ["make", "-s", ".venv/.synced"], clone)
    options = ["--validators", str(validators), "--base-port", str(base_port), "--dir", str(folder / "network")]
    if way == "docker":
        build = [".venv/bin/hansa", "testnet", "image", "--tag", IMAGE]
        yield timed("image built", build if is_warm else [*build, "--no-cache"], clone)
        options += ["--docker", "--image", IMAGE]
    for what, took_s in watch_network([".venv/bin/hansa", "testnet", "up", *options], clone, environment):
        yield Step(way, what, took_s, time.monotonic() - beginning_s)
    if way == "docker":
        subprocess.run(["docker", "image", "rm", "-f", IMAGE], capture_output=True, check=False)


def run_to_end(argv: list[str], cwd: Path, environment: dict[str, str]) -> None:
    """Raises `NeverArrived`."""
    try:
        done = subprocess.run(argv, cwd=cwd, env=environment, capture_output=True, text=True, timeout=STEP_S_MAX)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NeverArrived(str(error)) from None
    if done.returncode:
        raise NeverArrived(f"`{' '.join(argv)}` ended with {done.returncode}:\n{(done.stdout + done.stderr)[-2000:]}")


def watch_network(argv: list[str], cwd: Path, environment: dict[str, str]) -> Iterator[tuple[str, float]]:
    """Its steps and how long each took by its own word, until the first root is on chain; then it is stopped."""
    process = subprocess.Popen(argv, cwd=cwd, env=environment, stderr=subprocess.PIPE, text=True, bufsize=1)
    assert process.stderr is not None
    said: list[str] = []
    has_arrived = False
    give_up_at_s = time.monotonic() + STEP_S_MAX
    try:
        for line in process.stderr:
            said.append(line)
            step = STEP.match(line.strip())
            if step:
                yield step[1], float(step[2])
                has_arrived = step[1] == FIRST_ROOT
            if has_arrived or time.monotonic() > give_up_at_s:
                break
    finally:
        process.terminate()  # not SIGINT, which a program in the background of a shell ignores
        for line in process.stderr:
            said.append(line)
        process.wait(60)
    if not has_arrived:
        raise NeverArrived(f"`{' '.join(argv)}` showed no certified root:\n{''.join(said)[-2000:]}")


if __name__ == "__main__":
    sys.exit(app())
