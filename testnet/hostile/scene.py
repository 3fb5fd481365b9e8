"""Whom an attacker meets: a local network's validators, as its folder says. One member's keys are the attacker's."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from consensus.messages import compute_domain
from net.committee import MemberAddress
from net.identity import derive_network_key
from testnet.homes import node_home, read_genesis
from validator.config import address_bytes, load_node, load_public
from validator.keys import Keys, load_keys
from validator.public_command import PUBLIC_KEY, PUBLIC_TOML, load_public_seed

# The last member's operator is the enemy in the phases that need one; in all others it is honest.
TRAITOR = 3
Count = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class ApiAddress:
    """Where a validator answers its clients."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Scene:
    """`victims` are the committee ports of all honest validators, `apis` their clients' side, in the same order."""

    victims: tuple[MemberAddress, ...]
    apis: tuple[ApiAddress, ...]
    network_id: bytes
    traitor_keys: Keys
    domain: bytes
    public: tuple[MemberAddress, ...] = ()  # public hosts, under their validators' numbers


def load_scene(folder: Path) -> Scene:
    """Of a network of at least four validators."""
    network = read_genesis(folder)
    victims, apis = [], []
    for index, entry in enumerate(network.validators):
        if index == TRAITOR:
            continue
        config = load_node(node_home(folder, index).config)
        key = bytes.fromhex(entry.network_key.removeprefix("0x"))
        victims.append(MemberAddress(index, key, config.listen_host, config.listen_port))
        apis.append(ApiAddress(config.api_host, config.api_port))
    domain = compute_domain(network.chain_id, address_bytes(network.contract))
    keys = load_keys(node_home(folder, TRAITOR).keys)
    return Scene(tuple(victims), tuple(apis), network.digest(), keys, domain, _find_public_hosts(folder))


def _find_public_hosts(folder: Path) -> tuple[MemberAddress, ...]:
    found: list[MemberAddress] = []
    for home in sorted(folder.glob("node*")):
        if (home / PUBLIC_TOML).exists() and (home / PUBLIC_KEY).exists():
            config, seed = load_public(home / PUBLIC_TOML), load_public_seed(home / PUBLIC_KEY)
            host, port = config.listen_host, config.listen_port
            found.append(MemberAddress(len(found), derive_network_key(seed), host, port))
    return tuple(found)
