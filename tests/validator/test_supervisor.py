"""A supervisor with real child processes: small programs that make blocks in a file, crash, or disagree, as the file
beside them says.
"""

import json
import os
import sqlite3
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from validator.config import ConfigError
from validator.supervisor import Pace, Supervisor, read_height
from validator.upgrades import UpgradeState, find_due, list_plans, load_state, save_state

PACE = Pace(poll_s=0.04, pause_s_min=0.01, pause_s_max=0.02, healthy_s=60, patience_s=60, admission_s=0.01)
# What stands for a node: `start` adds blocks until it is told to end, `audit` replays them.
NODE = """#!{python} -SE
import json, os, signal, sqlite3, sys, time
said = json.load(open(os.path.join(os.path.dirname(__file__), "habits.json")))
home = sys.argv[sys.argv.index("--home") + 1]
with open(os.path.join(home, "runs"), "a") as runs:
    runs.write(said["name"] + " " + sys.argv[1] + "\\n")
if sys.argv[1] == "audit":
    print(said.get("mismatch", "all roots agree"))
    sys.exit(1 if "mismatch" in said else 0)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
database = sqlite3.connect(os.path.join(home, "data", "blocks.sqlite"), isolation_level=None)
for _ in range(said.get("blocks", 10**6)):
    database.execute("INSERT INTO blocks SELECT COALESCE(MAX(height), 0) + 1 FROM blocks")
    time.sleep(0.005)
time.sleep(said.get("sleep_s", 0))
sys.exit(said.get("code", 0))
"""


class Town:
    """A node's folder with versions of that program."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        (self.home / "data").mkdir(parents=True)
        database = sqlite3.connect(self.home / "data" / "blocks.sqlite", isolation_level=None)
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE blocks (height INTEGER PRIMARY KEY)")
        database.close()
        self.own = self.make(folder / "own", "own")

    def make(self, folder: Path, name: str, **habits: object) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        program = folder / "hansa"
        program.write_text(NODE.format(python=sys.executable))
        program.chmod(0o755)
        (folder / "habits.json").write_text(json.dumps({"name": name, **habits}))
        return program

    def plan(self, name: str, text: str, **habits: object) -> None:
        folder = self.home / "upgrades" / name
        self.make(folder / "bin", name, **habits)
        (folder / "plan.toml").write_text(text)

    @property
    def runs(self) -> list[str]:
        path = self.home / "runs"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def state(self) -> UpgradeState:
        return load_state(self.home)

    def supervise(self, until, admitted=None, pace=PACE) -> int:
        """Until the question is true, or the supervisor ends by itself; its exit code."""
        supervisor = Supervisor(self.home, (str(self.own),), pace=pace, admitted=admitted)

        async def run() -> int:
            async with trio.open_nursery() as nursery:

                async def look() -> None:
                    while not until():
                        await trio.sleep(0.01)
                    supervisor.stop()

                nursery.start_soon(look)
                with trio.fail_after(120):
                    code = await supervisor.run()
                nursery.cancel_scope.cancel()
            return code

        return trio.run(run)


@pytest.fixture
def town(tmp_path):
    return Town(tmp_path)


def test_who_crashes_is_started_again_and_who_stopped_itself_is_not(town):
    town.make(town.own.parent, "own", blocks=2, code=1)
    assert town.supervise(lambda: len(town.runs) >= 3) == 0
    for code in (2, 3):
        town.make(town.own.parent, "own", blocks=1, code=code)
        count = len(town.runs)
        assert town.supervise(lambda: False) == code
        assert len(town.runs) == count + 1
    town.make(town.own.parent, "own", blocks=1, code=0)
    assert town.supervise(lambda: False) == 0


def test_a_version_takes_over_at_its_height_after_a_rehearsal_and_is_trusted_after_its_trial(town):
    town.plan("v2", "height = 20\nwatch_blocks = 15\n")
    assert town.supervise(lambda: town.state.running == "v2" and town.state.before is None) == 0
    assert town.runs == ["own start", "v2 audit", "v2 start"]
    assert town.state == UpgradeState("v2", None, town.state.until_height, ())
    assert 20 + 15 <= town.state.until_height <= read_height(town.home)
    count = len(town.runs)
    assert town.supervise(lambda: len(town.runs) > count) == 0
    assert town.runs[-1] == "v2 start"


@pytest.mark.parametrize("fault", [{"code": 3, "blocks": 5}, {"code": 1, "blocks": 5}, {"blocks": 3, "sleep_s": 60}])
def test_a_version_that_disagrees_crashes_or_stands_still_on_trial_is_taken_back(town, fault):
    town.plan("v2", "height = 10\nwatch_blocks = 1000\n", **fault)
    pace = replace(PACE, patience_s=1.0 if "sleep_s" in fault else 60)
    assert town.supervise(lambda: town.runs[-1:] == ["own start"] and len(town.runs) > 1, pace=pace) == 0
    assert town.runs == ["own start", "v2 audit", "v2 start", "own start"]
    assert town.state == UpgradeState("", None, 0, ("v2",))


def test_a_version_that_replays_other_roots_never_runs(town):
    town.plan("v2", "height = 5\n", mismatch="height 4: account_root differs")
    assert town.supervise(lambda: town.state.refused == ("v2",) and read_height(town.home) > 60) == 0
    assert town.runs == ["own start", "v2 audit"]


def test_a_new_engine_waits_for_the_council(town):
    asked = []

    async def admitted() -> int:
        asked.append(read_height(town.home))
        return 3 if len(asked) > 2 else 2

    town.plan("v3", "height = 5\nengine_version = 3\nwatch_blocks = 5\n")
    assert town.supervise(lambda: town.state.running == "v3", admitted) == 0
    assert len(asked) == 3 and min(asked) >= 5 and town.state.until_height >= asked[-1] + 5


def test_after_a_crash_of_the_supervisor_a_trial_goes_on(town):
    town.plan("v2", "height = 5\nwatch_blocks = 1000\n", blocks=3, code=3)
    save_state(town.home, UpgradeState("v2", "", 6))
    assert town.supervise(lambda: town.runs[-1:] == ["own start"]) == 0
    assert town.runs == ["v2 start", "own start"] and town.state.refused == ("v2",)


def test_the_next_of_several_plans_is_the_newest_that_has_come(town):
    for name, height in (("a", 10), ("b", 20), ("c", 30)):
        town.plan(name, f"height = {height}\n")
    plans = list_plans(town.home)

    def due(state, height):
        found = find_due(plans, state, height)
        return None if found is None else found.name

    assert [due(UpgradeState(), height) for height in (9, 10, 29, 30)] == [None, "a", "b", "c"]
    assert due(UpgradeState("b"), 25) is None and due(UpgradeState("b"), 30) == "c"
    assert due(UpgradeState(refused=("b",)), 25) == "a" and due(UpgradeState("a", "", 10), 40) is None


@pytest.mark.parametrize(
    "text", ["", "height = 0", "height = 1.5", "height = 5\nhight = 6", "height = 5\nengine_version = '3'", "height"]
)
def test_a_plan_that_cannot_be_read_is_named_and_stops_nobody(town, text):
    town.plan("v2", text)
    with pytest.raises(ConfigError, match=r"v2/plan\.toml"):
        list_plans(town.home)
    os.unlink(town.home / "upgrades" / "v2" / "bin" / "hansa")
    (town.home / "upgrades" / "v2" / "plan.toml").write_text("height = 5\n")
    with pytest.raises(ConfigError, match="environment first"):
        list_plans(town.home)
    town.make(town.own.parent, "own", blocks=20, code=1)
    assert town.supervise(lambda: town.runs.count("own start") > 1) == 0
