"""Members of a scenario as containers.

Crash and pause are the engine's doing. A partition and a loss are rules of the host's firewall for pairs of addresses,
so they hold across restarts. A delay would need a queue in the network namespace of every container; it is refused
before the start, and network namespaces and the simulator have it. All else works through the members' own folders, as
with processes.
"""

from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from testnet.containers import rules
from testnet.containers.engine import EngineError, connect
from testnet.containers.faults import Member
from testnet.containers.place import Containers, Wanted, container_name
from testnet.faults.weather import Weather
from testnet.launch import Site
from testnet.local import Child, Processes
from testnet.scenario.backend import Abilities
from testnet.scenario.conditions import CONDITIONS
from testnet.scenario.ground import has_weather
from testnet.scenario.harms import KINDS
from testnet.scenario.probes import TRIALS
from testnet.scenario.records import Scenario

END_S_MAX = 30.0


class ContainerGround:
    """See `testnet.scenario.ground.Ground`."""

    name = "docker"
    abilities = Abilities(frozenset(KINDS) - {"delay"}, frozenset(CONDITIONS), frozenset(TRIALS))

    def __init__(self, console: Console) -> None:
        self._console = console
        self._places: Containers
        self._rules: dict[tuple[int, int], rules.Rule] = {}

    def find_obstacle(self, scenario: Scenario) -> str:
        try:
            connect()
        except EngineError as error:
            return str(error)
        return rules.find_obstacle() if has_weather(scenario) else ""

    def enter(self, stack: ExitStack, scenario: Scenario, folder: Path) -> Site:
        if has_weather(scenario):
            rules.remove_rules()
            stack.callback(rules.remove_rules)
        self._places = Containers(Wanted(folder), self._console)
        return stack.enter_context(self._places)

    def join(self, processes: Processes, scenario: Scenario, folder: Path) -> None:
        """A container is on the network from its start."""

    def kill(self, processes: Processes, children: list[Child]) -> None:
        for child in children:
            self._member(child).kill()
        for child in children:
            child.process.wait(END_S_MAX)
            processes.stop(child)

    def pause(self, child: Child) -> None:
        self._member(child).pause()

    def resume(self, child: Child) -> None:
        self._member(child).resume()

    def set_weather(self, start: int, end: int, weather: Weather) -> None:
        hosts = self._places.site.peer_hosts
        lost = 1.0 if weather.is_cut else weather.lost
        wanted = rules.Rule(hosts[start], hosts[end], lost) if lost else None
        found = self._rules.pop((start, end), None)
        if found is not None:
            rules.remove_rule(found)
        if wanted is not None:
            rules.add_rule(wanted)
            self._rules[start, end] = wanted

    def _member(self, child: Child) -> Member:
        """The chain is the only other child that lives in a container."""
        name = child.name if child.name.startswith("node") else "chain"
        network = self._places.network.name
        return Member(self._places.client, container_name(self._places.label, name), network)
