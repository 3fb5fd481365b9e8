"""Faults of containers: what the engine's host is told, and what is refused before anything starts."""

import pytest
from rich.console import Console

from testnet.containers.rules import MARK, Rule
from testnet.scenario.backend import Place, Unable, refuse_what_it_lacks
from testnet.scenario.container_ground import ContainerGround
from testnet.scenario.ground import ProcessGround, has_weather
from testnet.scenario.parsing import parse_scenario
from testnet.scenario.process_backend import ProcessBackend

FAULT = """
title = "A fault"
story = "Of any kind."
[network]
duration_s = 30
[[fault]]
at_s = 5
for_s = 5
targets = [1]
kind = "{kind}"
{parameters}
[[assert]]
kind = "roots_equal"
"""


def scenario_of(kind, parameters=""):
    return parse_scenario(FAULT.format(kind=kind, parameters=parameters), kind, f"{kind}.toml")


def test_a_delay_is_refused_before_containers_start(tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    backend = ProcessBackend(Place(tmp_path), Console(), ContainerGround(Console()))
    with pytest.raises(Unable, match="'docker' has no fault delay"):
        refuse_what_it_lacks(backend, scenario_of("delay", "delay_ms = 40"))
    with pytest.raises(Unable, match="no Docker engine answers"):
        refuse_what_it_lacks(backend, scenario_of("crash"))


def test_processes_have_every_fault():
    for kind, parameters in (("delay", "delay_ms = 40"), ("loss", "share = 0.1"), ("partition", "")):
        scenario = scenario_of(kind, parameters)
        assert ProcessGround().abilities.find_refusals(scenario) == []
        assert has_weather(scenario)
    assert not has_weather(scenario_of("crash"))


@pytest.mark.parametrize(
    ("lost", "words"),
    [(1.0, "-j DROP"), (0.25, "-m statistic --mode random --probability 0.250000 -j DROP")],
)
def test_a_rule_drops_one_direction_and_carries_the_mark(lost, words):
    told = " ".join(Rule("198.18.0.10", "198.18.0.11", lost).words())
    assert told == f"-s 198.18.0.10/32 -d 198.18.0.11/32 -m comment --comment {MARK} {words}"
