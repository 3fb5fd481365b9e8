"""The units for systemd call commands that exist, by their options."""

import shlex
from pathlib import Path

import pytest

from validator.__main__ import app

UNITS = sorted((Path(__file__).parents[2] / "docs" / "systemd").glob("*.service"))


@pytest.mark.parametrize("unit", UNITS, ids=[unit.stem for unit in UNITS])
def test_a_unit_calls_a_command_that_exists(unit):
    (line,) = [line for line in unit.read_text().splitlines() if line.startswith("ExecStart=")]
    command, bound, _ = app.parse_args(shlex.split(line)[1:], print_error=False, exit_on_error=False)
    assert callable(command) and "home" in bound.arguments
    assert "RestartPreventExitStatus=2 3" in unit.read_text()


def test_there_are_units():
    assert {unit.stem for unit in UNITS} >= {"hansa", "hansa-signer"}
