"""Long runs of the engine against the reference exchange: `python -m tests.engine.fuzz --seconds 600`.

A seed is a run. Days at the exchange (`tests.engine.worlds`) are executed by both, and everything that happened and the
whole state are compared after every block. A disagreement is cut down, block by block and action by action, to what
still shows it, and written to build/fuzz/; the command that replays it is printed. build/results/fuzz.json says what
was tried. Exit code 1 when the two differ.

`--plant` shows that a bug would be found: a copy of the engine with one wrong line is tried instead, and the exit code
is 0 only if it is found within a minute. Set NUMBA_DISABLE_JIT=1 to run uncompiled.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

from engine.tables import NOTICE_FORCED
from tests.engine.agreement import Both, replay
from tests.engine.worlds import Script, Step, World, split_message

ROOT = Path(__file__).resolve().parents[2]
FOUND, RESULTS = ROOT / "build" / "fuzz", ROOT / "build" / "results" / "fuzz.json"
BLOCKS_A_RUN = 80
FUNDS_USD = (200, 2_000, 2_000, 20_000, 400_000)
TIGHT = {"account_orders_max": 3, "book_orders_max": 6, "accounts_max": 71}
PLANT_SECONDS = 60

# name: (file, what is there once, what is put there instead)
PLANTS = {
    "charge": ("engine/exposure.py", "taker_fee_bps\"] + BPS_UNIT - 1)", "taker_fee_bps\"] + BPS_UNIT)"),
    "cut": ("engine/execution.py", "hidden_lots = min(detail[\"hidden_lots\"], lots)", "hidden_lots = lots * 0"),
    "volume": ("engine/execution.py", "row[\"volume_lots\"] += lots", "row[\"volume_lots\"] += max(lots - 1, 1)"),
}  # fmt: skip


Test = Callable[[Script], bool]


class Campaign:
    """Counts of everything that was tried; `forced` by kind × 1000 + code."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.codes: Counter[str] = Counter()
        self.kinds: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.notices: Counter[str] = Counter()
        self.forced: Counter[str] = Counter()

    def count(self, both: Both, step: Step) -> None:
        x = both.x
        self.counts["blocks"] += 1
        self.counts["messages"] += len(step.messages)
        self.counts["actions"] += len(x.receipts)
        for name in ("fills", "cancellations", "liquidations", "deleverages", "notices", "withdrawals", "credits"):
            self.counts[name] += len(getattr(x, name))
        self.counts["liquidation_fills"] += sum(row[-1] for row in x.fills)
        self.codes.update(str(row[2]) for row in x.receipts)
        self.reasons.update(str(row[-1]) for row in x.cancellations)
        self.notices.update(str(row[0]) for row in x.notices)
        self.forced.update(str(row[4] * 1000 + row[3]) for row in x.notices if row[0] == NOTICE_FORCED)
        kinds = [raw[224 + 192 * at : 226 + 192 * at] for _, raw, _ in step.messages for at in range(len(raw) // 192)]
        self.kinds.update(str(int(kind, 16)) for kind in kinds if kind)

    def to_json(self, seconds: float, seed: int, found: str) -> str:
        sorted_counts = {
            name: dict(sorted(counter.items(), key=lambda item: int(item[0])))
            for name, counter in (
                ("codes", self.codes), ("kinds", self.kinds), ("reasons", self.reasons), ("notices", self.notices),
                ("forced", self.forced),
            )
        }  # fmt: skip
        head = {"seconds": round(seconds, 1), "first_seed": seed, "disagreement": found, **dict(self.counts)}
        return json.dumps(head | sorted_counts, indent=1)


def show_progress(done: float, campaign: Campaign, seed: int) -> None:
    """One line on stderr, rewritten in place on a terminal."""
    width = 30
    bar = "#" * int(width * min(done, 1)) + "." * (width - int(width * min(done, 1)))
    counts = campaign.counts
    text = f"[{bar}] seed {seed}: {counts['blocks']} blocks, {counts['actions']} actions, {counts['fills']} fills"
    sys.stderr.write(("\r" if sys.stderr.isatty() else "") + text + ("" if sys.stderr.isatty() else "\n"))
    sys.stderr.flush()


def run_seed(seed: int, campaign: Campaign, deadline: float, on_block) -> tuple[Script, list[str]]:
    """One day at the exchange; the script and the differences at its end."""
    random = Random(seed)
    both = Both(TIGHT if random.randrange(6) == 0 else None)
    world = World(random.randrange)
    for at in range(BLOCKS_A_RUN):
        is_first = at == 0
        step = world.first_step(both.x, random.choice(FUNDS_USD)) if is_first else None
        step = step or world.next_step(both.x, random.randrange(2, 26))
        found = both.step(step)
        campaign.count(both, step)
        on_block()
        if found:
            return both.script, found
        if time.monotonic() > deadline:
            break
    return both.script, []


# -- cutting down -----------------------------------------------------------------------------------------------------


def name_difference(found: list[str]) -> str:
    """What a disagreement is about, numbers left out: cutting down must not wander off to another one."""
    if not found:
        return ""
    what = found[0] if found[0].startswith("engine raised") else found[0].partition(":")[0]
    return re.sub(r"[0-9]+", "#", what)


def drop_parts(parts: list, test, deadline: float) -> list:
    """A shorter list for which `test` still holds: chunks are left out, ever smaller ones."""
    size = max(len(parts) // 2, 1)
    while parts:
        at = 0
        while at < len(parts) and time.monotonic() < deadline:
            shorter = parts[:at] + parts[at + size :]
            if test(shorter):
                parts = shorter
            else:
                at += size
        if size == 1 or time.monotonic() > deadline:
            return parts
        size = max(size // 2, 1)
    return parts


def with_items(script: Script, name: str, pairs: list) -> Script:
    """A script whose steps hold only these `(number of the step, item)` of one kind."""
    chosen: dict[int, list] = {}
    for number, item in pairs:
        chosen.setdefault(number, []).append(item)
    return replace(script, steps=[replace(step, **{name: chosen.get(n, [])}) for n, step in enumerate(script.steps)])


def with_actions(script: Script, number: int, place: int, actions: list) -> Script:
    """A script in which one message has these actions."""
    steps = list(script.steps)
    messages = list(steps[number].messages)
    author, raw, signer = messages[place]
    messages[place] = [author, split_message(raw)[0](actions), signer]
    steps[number] = replace(steps[number], messages=messages)
    return replace(script, steps=steps)


def cut_items(script: Script, name: str, differs: Test, deadline: float) -> Script:
    pairs = [(number, item) for number, step in enumerate(script.steps) for item in getattr(step, name)]
    kept = drop_parts(pairs, lambda part: differs(with_items(script, name, part)), deadline)
    return with_items(script, name, kept)


def cut_message(script: Script, number: int, place: int, differs: Test, deadline: float) -> Script:
    actions = split_message(script.steps[number].messages[place][1])[1]
    if len(actions) == 1:
        return script
    kept = drop_parts(actions, lambda part: part and differs(with_actions(script, number, place, part)), deadline)
    return with_actions(script, number, place, kept)


def cut_down(script: Script, seconds: float) -> Script:
    """A small script that still makes the two differ: fewer blocks, then messages, deposits, reports, actions."""
    deadline = time.monotonic() + seconds
    if seconds == 0:
        return script
    at, found = replay(script)
    script, wanted = replace(script, steps=script.steps[: at + 1]), name_difference(found)

    def differs(part: Script) -> bool:
        return name_difference(replay(part)[1]) == wanted

    steps = drop_parts(script.steps, lambda part: differs(replace(script, steps=part)), deadline)
    script = replace(script, steps=steps)
    for name in ("messages", "deposits", "reports"):
        script = cut_items(script, name, differs, deadline)
    for number, step in enumerate(script.steps):
        for place in range(len(step.messages)):
            script = cut_message(script, number, place, differs, deadline)
    return script


def report(script: Script, found: list[str], seed: int, seconds: float) -> Path:
    """Cut down, write, and say how to replay."""
    print(f"seed {seed}: the engines differ", *found[:8], sep="\n  ", file=sys.stderr)
    small = cut_down(script, seconds)
    at, differences = replay(small)
    FOUND.mkdir(parents=True, exist_ok=True)
    path = FOUND / f"seed-{seed}.json"
    path.write_text(small.to_json())
    print(f"cut down to {len(small.steps)} blocks; at block {at}:", *differences[:8], sep="\n  ", file=sys.stderr)
    print(f"replay: .venv/bin/python -m tests.engine.fuzz --replay {path.relative_to(ROOT)}", file=sys.stderr)
    return path


# -- planted bugs -----------------------------------------------------------------------------------------------------


def run_plant(name: str) -> bool:
    """Whether a copy of the engine with the planted bug is caught within a minute."""
    file, old, new = PLANTS[name]
    with tempfile.TemporaryDirectory() as folder:
        for part in ("engine", "tests"):
            shutil.copytree(ROOT / part, Path(folder) / part, ignore=shutil.ignore_patterns("__pycache__"))
        path = Path(folder) / file
        text = path.read_text()
        if text.count(old) != 1:
            raise SystemExit(
                f"plant {name}: {file} has {text.count(old)} times {old!r}; name a line that is there once"
            )
        path.write_text(text.replace(old, new))
        environment = os.environ | {"PYTHONPATH": folder, "NUMBA_DISABLE_JIT": "1"}
        limits = ["--seconds", str(PLANT_SECONDS), "--shrink-seconds", "0"]
        command = [sys.executable, "-m", "tests.engine.fuzz", *limits]
        started = time.monotonic()
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        seconds = time.monotonic() - started
    is_found = done.returncode == 1 and "the engines differ" in done.stderr
    print(f"plant {name}: {'found' if is_found else 'MISSED'} after {seconds:.0f} s", file=sys.stderr)
    if not is_found:
        print(done.stderr[-2000:], file=sys.stderr)
    return is_found


# -- command line -----------------------------------------------------------------------------------------------------


def run_campaign(seconds: float, first_seed: int, shrink_seconds: float) -> int:
    campaign, started = Campaign(), time.monotonic()
    deadline, shown, path = started + seconds, [0.0], ""
    seed = first_seed

    def on_block() -> None:
        now = time.monotonic()
        if now - shown[0] > (0.5 if sys.stderr.isatty() else 20):
            shown[0] = now
            show_progress((now - started) / seconds, campaign, seed)

    while time.monotonic() < deadline and not path:
        script, found = run_seed(seed, campaign, deadline, on_block)
        campaign.counts["runs"] += 1
        if found:
            path = str(report(script, found, seed, shrink_seconds))
        seed += 1
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(campaign.to_json(time.monotonic() - started, first_seed, path))
    counts = campaign.counts
    print(
        f"{counts['runs']} runs, {counts['blocks']} blocks, {counts['actions']} actions, {counts['fills']} fills, "
        f"{counts['liquidations']} liquidations, {len(campaign.codes)} codes: {'differ' if path else 'agree'}"
    )
    return 1 if path else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.engine.fuzz", description="the engine against the reference")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1, help="of the first run")
    parser.add_argument("--shrink-seconds", type=float, default=120)
    parser.add_argument("--replay", type=Path, help="a file that a failed run wrote")
    parser.add_argument("--plant", nargs="?", const="all", help="try a copy of the engine with a bug; a name, or all")
    options = parser.parse_args()
    if options.plant:
        names = list(PLANTS) if options.plant == "all" else [options.plant]
        missed = [name for name in names if not run_plant(name)]
        return 1 if missed else 0
    if options.replay:
        at, found = replay(Script.from_json(options.replay.read_text()))
        print(*([f"block {at}:", *found] if found else ["the engines agree"]), sep="\n  ")
        return 1 if found else 0
    return run_campaign(options.seconds, options.seed, options.shrink_seconds)


if __name__ == "__main__":
    raise SystemExit(main())
