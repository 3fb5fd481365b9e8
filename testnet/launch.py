"""Brings the processes of a local network up, step by step, and says what it does."""

import os
import shutil
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
import trio
from rich.console import Console

from testnet import funding, homes
from testnet.cast import DEPOSITS_QUOTE, list_cast
from testnet.funding import ChainAccount
from testnet.homes import LOOPBACK, FolderError, Manifest, NodePorts
from testnet.local import Child, Processes
from testnet.ports import PortLease
from testnet.public_hosts import start_public_hosts
from testnet.report import REPORT
from testnet.terms import DEFAULT_TERMS, Terms, choose_markets
from validator.config import NetworkConfig

CHAIN_START_S_MAX = 60
NODES_START_S_MAX = 180
COMPILE_S_MAX = 600
ACCOUNT_ORDERS_MAX = 256
PUBLIC_PORTS_OFFSET = 300
STARTS_PER_PROCESSOR = 2
CHAINS = ("embedded", "anvil")

T = TypeVar("T")
Question = Callable[[httpx.AsyncClient], Awaitable[bool]]


class LaunchError(Exception):
    """The network does not come up; the message says why and shows the log."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where the processes of a network live: all on this machine's own loopback address, unless each validator has a
    place of its own. `prefixes`: what its command line begins with, to start there. `inside`: the network's folder as
    they see it, and `names` what they are called, where they are containers.
    """

    chain_host: str = LOOPBACK
    peer_hosts: tuple[str, ...] = ()
    api_hosts: tuple[str, ...] = ()
    prefixes: tuple[tuple[str, ...], ...] = ()
    chain_prefix: tuple[str, ...] = ()
    python: str = sys.executable
    inside: Path | None = None
    has_kernels: bool = False  # the engine need not be compiled first
    names: tuple[str, ...] = ()

    def place(self, index: int, peer_port: int, api_port: int, metrics_port: int) -> NodePorts:
        if not self.prefixes:
            return NodePorts(peer_port, api_port, metrics=metrics_port)
        return NodePorts(peer_port, api_port, self.peer_hosts[index], self.api_hosts[index], metrics_port)

    def prefix(self, index: int) -> tuple[str, ...]:
        return self.prefixes[index] if self.prefixes else ()

    def locate(self, folder: Path, path: Path) -> str:
        """A path of the network's folder for somebody who lives there."""
        return str(path if self.inside is None else self.inside / path.relative_to(folder))


@dataclass(frozen=True, slots=True)
class Options:
    """What the user asked for."""

    validator_count: int
    folder: Path
    chain: str
    seed: int
    duration_s: int
    is_json: bool
    commands_per_s: float
    base_port: int
    is_fresh: bool
    terms: Terms = DEFAULT_TERMS
    site: Site = Site()
    validator_module: str = "validator"  # what `python -m` runs with `start --home`
    public_count: int = 0  # how many validators have a public host
    api_process: str = "inside"  # who serves each validator's API, as in its config.toml


@dataclass(frozen=True, slots=True)
class Network:
    """A running local network; `nodes` are its validators' processes. `cast`: role and account of each trader."""

    config: NetworkConfig
    rpc_url: str
    api_urls: list[str]
    nodes: list[Child]
    public_addresses: list[str] = field(default_factory=list)
    cast: list[tuple[str, ChainAccount]] = field(default_factory=list)


class Launcher:
    """Every step either ends well or raises `LaunchError`, `FolderError` or `ChildDied`."""

    def __init__(self, options: Options, processes: Processes, console: Console) -> None:
        self._options = options
        self._processes = processes
        self._console = console
        self._folder = options.folder.resolve()
        self._ports = PortLease()

    async def bring_up(self) -> Network:
        """Chain, contract, validators, deposits. A folder of an earlier run is continued."""
        network = await self.found()
        await self._start_nodes(network)
        self._start_public(network)
        await self.fund(network)
        return network

    async def found(self) -> Network:
        """All but the validators' processes and the deposits, which follow when they run."""
        options = self._options
        if options.validator_count not in range(1, funding.VALIDATORS_MAX + 1):
            raise FolderError(f"--validators goes from 1 to {funding.VALIDATORS_MAX}")
        has_options = options.terms.listing is not None
        wanted = Manifest(options.validator_count, options.chain, options.seed, has_options)
        manifest = homes.open_folder(self._folder, wanted, options.is_fresh)
        chain_port, *node_ports = self._ports.choose(options.base_port, 1 + 3 * options.validator_count)
        with self._step("settlement chain"):
            rpc_url = await self._start_chain(chain_port)
        if not manifest.is_ready:
            await self._found(rpc_url, manifest.seed)
        config = homes.read_genesis(self._folder)
        pair_ports, metrics_ports = node_ports[: -options.validator_count], node_ports[-options.validator_count :]
        triples = zip(pair_ports[::2], pair_ports[1::2], metrics_ports)
        ports = [options.site.place(index, *triple) for index, triple in enumerate(triples)]
        homes.write_node_configs(
            self._folder, ports, rpc_url, manifest.seed, options.terms.price_source, options.api_process
        )
        if not options.site.has_kernels:
            with self._step("engine compiled (about a minute the first time, cached afterwards)"):
                await self._compile()
        return Network(config, rpc_url, [port.api_url for port in ports], [], cast=list_cast(manifest.has_options))

    def _start_public(self, network: Network) -> None:
        """The public hosts asked for; of the first validators."""
        count = self._options.public_count
        if count not in range(self._options.validator_count + 1):
            raise FolderError("--public goes from 0 to the number of validators")
        ports = self._ports.choose(self._options.base_port + PUBLIC_PORTS_OFFSET, count) if count else []
        network.public_addresses.extend(start_public_hosts(self._folder, ports, self._processes))

    async def fund(self, network: Network) -> None:
        """Deposits, unless an earlier run has made them."""
        if not homes.load_manifest(self._folder).is_funded:
            with self._step(f"deposits of the insurance fund and {len(network.cast)} traders"):
                await self._fund(network)

    def start_node(self, index: int) -> Child:
        """One validator's process, in the home that was made for it."""
        home, site = homes.node_home(self._folder, index).path, self._options.site
        program = [site.python, "-m", self._options.validator_module, "start"]
        argv = [*site.prefix(index), *program, "--home", site.locate(self._folder, home)]
        return self._processes.start(f"node{index}", argv, home / "log.txt")

    def start_traders(self, withdraw_after_s: float) -> Child:
        """The traders' process."""
        options = self._options
        (self._folder / "bots" / REPORT).unlink(missing_ok=True)
        return self._processes.start(
            "bots",
            [sys.executable, "-m", "testnet.bots", str(self._folder), "--rate", str(options.commands_per_s)]
            + ["--seed", str(options.seed), "--withdraw-after", str(withdraw_after_s)],
            self._folder / "bots" / "log.txt",
        )

    async def _start_chain(self, port: int) -> str:
        chain = self._options.chain
        if chain not in CHAINS:
            await self._wait_for_chain(chain)
            return chain
        data = self._folder / "chain"
        site, host = self._options.site, self._options.site.chain_host
        argv = [*site.chain_prefix, site.python, "-m", "contracts.devchain", "--host", host, "--port", str(port)]
        argv += ["--data", site.locate(self._folder, data)]
        if chain == "anvil":
            if shutil.which("anvil") is None:
                raise LaunchError("anvil is not on the PATH: install it, or leave --chain at embedded")
            argv = [
                "anvil",
                "--host",
                host,
                "--port",
                str(port),
                "--state",
                str(data / "state.json"),
                "--block-time",
                "1",
            ]
            argv += ["--accounts", str(funding.ACCOUNT_COUNT), "--slots-in-an-epoch", "1", "--silent"]
        data.mkdir(parents=True, exist_ok=True)
        self._processes.start("settlement chain", argv, data / "log.txt")
        url = f"http://{host}:{port}"
        await self._wait_for_chain(url)
        return url

    async def _wait_for_chain(self, url: str) -> None:
        call = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}

        async def is_up(client: httpx.AsyncClient) -> bool:
            return "result" in (await client.post(url, json=call)).json()

        await self._wait_until(is_up, CHAIN_START_S_MAX, f"the settlement chain at {url}")

    async def _found(self, rpc_url: str, seed: int) -> None:
        """Contract, keys, committee and genesis."""
        with self._step("settlement contract"):
            deployment = await in_thread(funding.deploy_contracts, rpc_url, self._options.terms)
        with self._step("committee registered with proofs of possession"):
            operators = [funding.derive_operator(number) for number in range(self._options.validator_count)]
            keys = homes.make_keys(self._folder, [operator.key for operator in operators])
            chain_id, validators = await in_thread(funding.register_committee, rpc_url, deployment.settlement, keys)
        terms, genesis_time_ms = self._options.terms, time.time_ns() // 1_000_000
        network = homes.make_network(
            chain_id, deployment.settlement, deployment.token, validators, genesis_time_ms, deployment.court,
            choose_markets(terms, genesis_time_ms, seed), terms.epoch_length_ms,
            accounts_max=terms.accounts_max, **choose_governance(terms),
        )  # fmt: skip
        homes.write_genesis(self._folder, network)
        homes.mark_ready(self._folder)

    async def _compile(self) -> None:
        child = self._processes.start(
            "compiler", [sys.executable, "-m", "testnet.compile"], self._folder / "compile.log"
        )
        with trio.move_on_after(COMPILE_S_MAX):
            while child.process.poll() is None:
                await trio.sleep(0.05)
        code = child.process.poll()
        self._processes.stop(child)
        if code != 0:
            raise LaunchError(f"the engine does not compile; the end of {child.log_path}:\n{child.tail()}")

    async def _start_nodes(self, network: Network) -> None:
        """A few at a time: a start is two seconds of a processor's work, and whoever waits for a processor is late for
        its peers, too. Who answers may still be waiting for the others.
        """
        count, at_once = self._options.validator_count, STARTS_PER_PROCESSOR * (os.cpu_count() or 1)
        with self._step(f"{count} validators") as show:
            for index in range(count):
                if index >= at_once:
                    await self._wait_for_node(network, index - at_once, is_ready=False)
                network.nodes.append(self.start_node(index))
                show(f"{index + 1} of {count} validators started")
            for index in range(count):
                await self._wait_for_node(network, index, is_ready=True)
                show(f"{index + 1} of {count} validators ready")

    async def _wait_for_node(self, network: Network, index: int, is_ready: bool) -> None:
        """Until it answers; `is_ready`: until it has caught up and votes."""
        url = network.api_urls[index]

        async def is_up(client: httpx.AsyncClient) -> bool:
            result = (await client.get(f"{url}/api/v2/public/status")).json()["result"]
            return not (is_ready and result["is_syncing"])

        await self._wait_until(is_up, NODES_START_S_MAX, f"node{index} at {url}")

    async def _fund(self, network: Network) -> None:
        contract = network.config.contract
        await in_thread(funding.fund_insurance, network.rpc_url, contract, self._options.terms.insurance_quote)
        deposits = [(account, DEPOSITS_QUOTE[role]) for role, account in network.cast]
        await in_thread(funding.fund_traders, network.rpc_url, contract, deposits)
        homes.mark_funded(self._folder)

    async def _wait_until(
        self, is_up: Callable[[httpx.AsyncClient], Awaitable[bool]], limit_s: float, what: str
    ) -> None:
        """Ask until the answer is true, while all processes live."""
        give_up_at_s = trio.current_time() + limit_s
        async with httpx.AsyncClient(timeout=5) as client:
            while True:
                self._processes.check()
                try:
                    if await is_up(client):
                        return
                    error = "it is not ready"
                except (httpx.HTTPError, ValueError, KeyError) as failure:
                    error = repr(failure)
                if trio.current_time() > give_up_at_s:
                    raise LaunchError(f"{what} is not there after {limit_s:.0f} s: {error}")
                await trio.sleep(0.1)

    @contextmanager
    def _step(self, what: str) -> Iterator[Callable[[str], None]]:
        """Says what is done while it lasts and how long it took. The value shows how far it has come."""
        started_s = time.monotonic()
        with self._console.status(what) as status:
            yield status.update
        self._console.print(f"[green]ok[/] {what} [dim]{time.monotonic() - started_s:.1f} s[/]", highlight=False)


async def in_thread(action: Callable[..., T], *arguments: object) -> T:
    """A blocking call that an interrupt does not wait for."""
    # The stubs that libp2p's dependency trio-typing brings along are older than trio and do not know the argument.
    return await trio.to_thread.run_sync(action, *arguments, abandon_on_cancel=True)  # type: ignore[call-arg]


def choose_governance(terms: Terms) -> dict[str, Any]:
    """Where more than perpetuals are listed: somebody who lists what comes next, and room for a maker's quotes on all
    of it at once.
    """
    if terms.listing is None:
        return {}
    return {"governor": funding.derive_governor().address_text, "account_orders_max": ACCOUNT_ORDERS_MAX}
