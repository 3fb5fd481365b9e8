"""Scenarios with real validators, each a process or a container on this machine, on an embedded settlement chain.

Where they live, and what can be done to them from there, is `testnet.scenario.ground`: processes on loopback, or, where
a scenario has weather, in network namespaces joined by a router in user space (root and /dev/net/tun); or containers.
What no ground can do, the validators do to themselves on our word (`testnet.scenario.member`); everything else of them
is what operators run.
"""

import contextlib
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

import httpx
import trio
from rich.console import Console

from contracts.records import CheckpointRecord
from contracts.settlement import Settlement
from testnet.escape.chain import ChainControl
from testnet.homes import node_home
from testnet.launch import Launcher, Network, Options, Site, in_thread
from testnet.listing import Listing
from testnet.local import Child, ChildDied, Processes
from testnet.report import load_report
from testnet.scenario.backend import Abilities, Place
from testnet.scenario.controls import Controls
from testnet.scenario.facts import Facts, Verdict
from testnet.scenario.ground import Ground
from testnet.scenario.harms import DiskFull, Fault, TimeLeap
from testnet.scenario.probes import Probe
from testnet.scenario.probing.access import Access
from testnet.scenario.probing.attempting import attempt_trial
from testnet.scenario.process_facts import Looked, gather_facts, replay_disks
from testnet.scenario.process_faults import Bench, ProcessFaults, find_mount_obstacle, mounted
from testnet.scenario.records import LoadPlan, Scenario
from testnet.scenario.watching import Sampler
from testnet.terms import Terms
from testnet.watch import Watch

MEMBER = "testnet.scenario.member"
START_S_MAX = 180.0
FIRST_TRADE_S_MAX = 60.0
GUARD_S = 0.5


class ProcessBackend:
    """See `testnet.scenario.backend.Backend`."""

    def __init__(self, place: Place, console: Console, ground: Ground) -> None:
        self._place, self._console, self._ground = place, console, ground
        self._stack = ExitStack()
        self._processes: Processes
        self._network: Network
        self._launcher: Launcher
        self._scenario: Scenario
        self._bench: Bench
        self._faults: ProcessFaults
        self._watch: Watch
        self._sampler: Sampler
        self._first: CheckpointRecord | None = None
        self._settlement: Settlement
        self._began_ms = 0
        self._leaps: list[tuple[float, float]] = []

    @property
    def name(self) -> str:
        return self._ground.name

    @property
    def abilities(self) -> Abilities:
        return self._ground.abilities

    def find_obstacle(self, scenario: Scenario) -> str:
        if obstacle := self._ground.find_obstacle(scenario):
            return obstacle
        if any(isinstance(fault.harm, DiskFull) for fault in scenario.faults):
            return find_mount_obstacle()
        return ""

    # -------------------------------------------------------- start and stop

    async def start(self, scenario: Scenario) -> None:
        self._scenario = scenario
        site = self._ground.enter(self._stack, scenario, self._place.folder)
        self._processes = self._stack.enter_context(Processes())
        self._ground.join(self._processes, scenario, self._place.folder)
        options = self._make_options(scenario, site)
        self._launcher = Launcher(options, self._processes, self._console)
        self._network = network = await self._launcher.found()
        folder = self._place.folder
        for index in sorted({index for fault in scenario.faults for index in fault.targets if is_disk_full(fault)}):
            self._stack.enter_context(mounted(node_home(folder, index).data))
        controls = [Controls(node_home(folder, index).path) for index in range(scenario.network.validators)]
        self._bench = Bench(
            folder, self._processes, network.nodes, self._launcher.start_node, controls, Controls(folder),
            tuple(dict.fromkeys(market.underlying_name for market in network.config.markets)),
            ChainControl(network.rpc_url).pass_time, self._ground,
        )  # fmt: skip
        self._faults = ProcessFaults(self._bench)
        for index in range(scenario.network.validators):
            network.nodes.append(self._launcher.start_node(index))
        await self._wait_for_nodes()
        await self._launcher.fund(network)
        if scenario.load is not None:
            await self._start_traders(scenario.load)
        self._settlement = await in_thread(Settlement, network.rpc_url, network.config.contract)
        self._first = await in_thread(self._settlement.last_checkpoint)
        self._watch = Watch([network.api_urls[member] for member in scenario.honest])
        self._sampler = Sampler(network.api_urls, scenario.honest, trio.current_time())
        self._began_ms = await self._read_time_ms()

    def _make_options(self, scenario: Scenario, site: Site) -> Options:
        plan = scenario.network
        terms = Terms(
            listing=Listing(int(plan.expiry_s * 1_000)) if plan.has_options else None,
            epoch_length_ms=int(plan.epoch_s * 1_000),
        )
        return Options(
            plan.validators, self._place.folder, "embedded", plan.seed, 0, True, 0.0, self._place.base_port, True,
            terms, site, MEMBER,
        )  # fmt: skip

    async def _wait_for_nodes(self) -> None:
        """Until all answer and vote."""
        with trio.fail_after(START_S_MAX):
            for url in self._network.api_urls:
                while not await is_voting(url):
                    self._processes.check()
                    await trio.sleep(0.2)

    async def _start_traders(self, load: LoadPlan) -> None:
        """They have traded when this returns, if they can."""
        folder, bots = self._place.folder, self._place.folder / "bots"
        argv = [sys.executable, "-m", "testnet.scenario.traders", str(folder), "--rate", str(load.commands_per_s)]
        argv += ["--seed", str(self._scenario.network.seed), "--withdraw-after", str(load.withdraw_after_s)]
        self._processes.start("bots", argv, bots / "log.txt")
        with trio.move_on_after(FIRST_TRADE_S_MAX):
            while not load_report(bots).trades_seen:
                self._processes.check()
                await trio.sleep(0.2)

    async def _read_time_ms(self) -> int:
        """Of the newest block."""
        async with httpx.AsyncClient(timeout=10) as client:
            answer = await client.get(f"{self._network.api_urls[self._scenario.honest[0]]}/api/v2/public/status")
            time_ms: int = answer.json()["result"]["time_ms"]
            return time_ms

    async def stop(self) -> None:
        self._stack.close()

    # -------------------------------------------------------- while it runs

    @asynccontextmanager
    async def _watching(self) -> AsyncIterator[None]:
        """Members are looked at, and deaths noticed, meanwhile."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._sampler.run)
            nursery.start_soon(self._watch.run)
            nursery.start_soon(self._faults.ramp)
            nursery.start_soon(self._guard)
            yield
            nursery.cancel_scope.cancel()

    async def _guard(self) -> None:
        """Whoever ends without being meant to ends the run. Raises `ChildDied`."""
        while True:
            for child in self._processes.find_dead():
                if child not in self._mortals():
                    raise ChildDied(child.describe_end())
            await trio.sleep(GUARD_S)

    def _mortals(self) -> list[Child]:
        """Liars stop when they hear their own guilt proven; whose disk is full stops, too."""
        members = {*self._scenario.liars, *self._bench.may_die, *self._bench.down}
        return [self._bench.nodes[index] for index in members]

    async def wait_until(self, at_s: float) -> float:
        async with self._watching():
            await trio.sleep(max(0.0, at_s - self._sampler.now_s))
        return self._sampler.now_s

    async def apply(self, fault: Fault) -> None:
        async with self._watching():
            await self._faults.begin(fault)
        if isinstance(fault.harm, TimeLeap):
            self._leaps.append((self._sampler.now_s, fault.harm.leap_s))

    async def heal(self, fault: Fault) -> None:
        async with self._watching():
            await self._faults.end(fault)

    async def attempt(self, probe: Probe) -> list[Verdict]:
        access = Access(
            self._network.config, self._network.rpc_url,
            tuple(self._network.api_urls[member] for member in self._scenario.honest), tuple(self._network.cast),
        )  # fmt: skip
        async with self._watching():
            return await attempt_trial(probe.trial, access)

    async def observe(self) -> Facts:
        with contextlib.suppress(StopIteration):
            await in_thread(self._processes.stop, self._processes.named("bots"))
        looked = Looked(
            self._scenario, self._place.folder, self._network, self._settlement, self._watch, self._sampler,
            0 if self._first is None else self._first.height, self._began_ms, self._leaps,
        )  # fmt: skip
        async with self._watching():
            facts = await gather_facts(looked)
        for node in self._network.nodes:
            await in_thread(self._processes.stop, node)
        await replay_disks(facts, looked)
        return facts


def is_disk_full(fault: Fault) -> bool:
    return isinstance(fault.harm, DiskFull)


async def is_voting(url: str) -> bool:
    try:
        async with httpx.AsyncClient(timeout=5) as client:
            result = (await client.get(f"{url}/api/v2/public/status")).json()["result"]
    except (httpx.HTTPError, ValueError, KeyError):
        return False
    return not result["is_syncing"]
