"""A network that is founded here and runs elsewhere: contracts, committee, genesis, deposits, and no process left.

The chain runs on this machine for as long as that takes; its data folder moves with the network.
"""

from dataclasses import dataclass
from pathlib import Path

import trio
from rich.console import Console

from testnet.homes import NodePorts, load_manifest, write_node_configs
from testnet.launch import Launcher, Network, Options, Site
from testnet.listing import Listing
from testnet.local import Processes
from testnet.terms import Terms

PEER_PORT, API_PORT, METRICS_PORT, CHAIN_PORT = 26656, 8645, 26660, 8545


@dataclass(frozen=True, slots=True)
class Hosts:
    """Where each validator and the chain will be found: addresses or names."""

    chain: str
    validators: tuple[str, ...]

    def ports_of(self, index: int) -> NodePorts:
        host = self.validators[index]
        return NodePorts(PEER_PORT, API_PORT, host, host, METRICS_PORT)


def found_network(folder: Path, validator_count: int, seed: int, base_port: int, console: Console) -> Network:
    """In a new folder. Raises what a launcher raises."""
    options = Options(
        validator_count, folder, "embedded", seed, 0, False, 0.0, base_port, False,
        Terms(listing=Listing(0)), Site(has_kernels=True),
    )  # fmt: skip
    with Processes() as processes:
        return trio.run(_found, Launcher(options, processes, console))


async def _found(launcher: Launcher) -> Network:
    network = await launcher.found()
    await launcher.fund(network)
    return network


def settle(folder: Path, hosts: Hosts) -> None:
    """Write everybody's config.toml for the place where they will run."""
    ports = [hosts.ports_of(index) for index in range(len(hosts.validators))]
    seed = load_manifest(folder).seed
    write_node_configs(folder, ports, f"http://{hosts.chain}:{CHAIN_PORT}", seed, api_process="own")
