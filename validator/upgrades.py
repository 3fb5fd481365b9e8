"""Prepared versions of this program, when each is to take over, and how far that has come.

DIR/upgrades/NAME/bin/hansa   an environment of its own, as `python -m venv` and `pip install` make one
DIR/upgrades/NAME/plan.toml   height = 1200000        after this block is final it takes over
                              engine_version = 3      optional: not before the contract takes headers of that version
                              watch_blocks = 200      optional: so many blocks it must agree on before it is trusted
DIR/upgrades/state.json       what runs, what ran before, what was refused

The council admits an engine version (`hansa council propose engine`); no rule of the exchange names a height, so
operators agree on one and write the same into their plans.
"""

import json
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path

from validator.config import ConfigError
from validator.files import write_whole

FOLDER, PLAN, STATE = "upgrades", "plan.toml", "state.json"
WATCH_BLOCKS = 200
_KEYS = {"height", "engine_version", "watch_blocks"}
# What runs without any upgrade: the environment that `hansa supervise` itself is of.
OWN = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """`program`: the command of that version. `engine_version` 0: the engine stays."""

    name: str
    program: Path
    height: int
    engine_version: int = 0
    watch_blocks: int = WATCH_BLOCKS


@dataclass(frozen=True, slots=True)
class UpgradeState:
    """`before`: what is gone back to while `running` is on trial, until a height; None once it is trusted."""

    running: str = OWN
    before: str | None = None
    until_height: int = 0
    refused: tuple[str, ...] = ()


def list_plans(home: Path) -> list[Plan]:
    """By height. Raises `ConfigError` for one that cannot be carried out."""
    plans = [_read_plan(path) for path in sorted((home / FOLDER).glob(f"*/{PLAN}"))]
    return sorted(plans, key=lambda plan: (plan.height, plan.name))


def _read_plan(path: Path) -> Plan:
    try:
        plain = tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from None
    if set(plain) - _KEYS or "height" not in plain:
        raise ConfigError(f"{path}: write height, and engine_version or watch_blocks if need be, nothing else")
    if any(type(value) is not int or value < 1 for value in plain.values()):
        raise ConfigError(f"{path}: all values are whole numbers above 0")
    program = find_program(path.parent.parent.parent, path.parent.name)
    if not program.exists():
        raise ConfigError(f"{program} is missing: make the environment first, the plan last")
    return Plan(path.parent.name, program, **plain)


def find_program(home: Path, name: str) -> Path:
    """Where a version's command is."""
    return home / FOLDER / name / "bin" / "hansa"


def load_state(home: Path) -> UpgradeState:
    """Raises `ConfigError`."""
    path = home / FOLDER / STATE
    try:
        plain = json.loads(path.read_text())
        return UpgradeState(**{**plain, "refused": tuple(plain["refused"])})
    except FileNotFoundError:
        return UpgradeState()
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigError(f"{path} is damaged ({error}): delete it to run this version again") from None


def save_state(home: Path, state: UpgradeState) -> None:
    """Durable when it returns."""
    write_whole(home / FOLDER / STATE, json.dumps(asdict(state), indent=1).encode() + b"\n")


def find_due(plans: list[Plan], state: UpgradeState, height: int) -> Plan | None:
    """The newest version whose height has come, unless it runs, was refused, or another one is on trial."""
    if state.before is not None:
        return None
    running_height = max((plan.height for plan in plans if plan.name == state.running), default=0)
    due = [
        plan for plan in plans
        if running_height < plan.height <= height and plan.name not in (state.running, *state.refused)
    ]  # fmt: skip
    return due[-1] if due else None
