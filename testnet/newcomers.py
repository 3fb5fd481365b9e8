"""Validators that join a local network while it runs: a home, a place in the registry's queue, a process."""

import sys
from dataclasses import replace
from pathlib import Path

from eth_account import Account
from nacl.signing import SigningKey

from consensus import crypto
from contracts.digests import possession_digest
from contracts.registry import Registry
from contracts.settlement import Settlement
from testnet.funding import derive_account
from testnet.homes import NodePorts, node_home
from testnet.local import Child, Processes
from validator.config import NetworkConfig, address_bytes, load_node, save_toml
from validator.keys import Keys, save_keys

OPERATOR_FIRST = 10


def make_home(folder: Path, network: NetworkConfig, number: int, ports: NodePorts) -> Keys:
    """As an operator makes it: the network's genesis.toml, a config.toml of its own, fresh keys."""
    home = node_home(folder, number)
    operator = derive_account(OPERATOR_FIRST + number).key
    seed = crypto.derive_secret(f"newcomer {number} of {network.contract}".encode().ljust(32))
    keys = Keys(seed, bytes(SigningKey.generate()), operator)
    save_keys(home.keys, keys)
    save_toml(home.genesis, network)
    first = load_node(node_home(folder, 0).config)
    config = replace(first, index=number, listen_port=ports.peer, api_port=ports.api)
    save_toml(home.config, config)
    return keys


def open_registry(rpc_url: str, network: NetworkConfig, operator: bytes) -> Registry:
    """Blocking."""
    return Registry(rpc_url, Settlement(rpc_url, network.contract).registry(), operator)


def register(rpc_url: str, network: NetworkConfig, keys: Keys, listens_at: str) -> None:
    """Pay the stake, prove the key's possession, tell where the node listens. Blocking."""
    registry = open_registry(rpc_url, network, keys.operator)
    settlement = Settlement(rpc_url, network.contract, keys.operator)
    operator = address_bytes(Account.from_key(keys.operator).address)
    stake = registry.stake_amount()
    if stake > settlement.token_balance(operator):
        settlement.mint_test_usdc(operator, stake)
    bls_key, network_key = crypto.derive_public_key(keys.bls), bytes(SigningKey(keys.network).verify_key)
    digest = possession_digest(registry.chain_id, registry.address_bytes, operator, network_key, bls_key)
    registry.register(bls_key, crypto.prove_possession(keys.bls, digest), network_key)
    registry.advertise(listens_at)


def start_node(processes: Processes, folder: Path, number: int) -> Child:
    home = node_home(folder, number).path
    argv = [sys.executable, "-m", "validator", "start", "--home", str(home)]
    return processes.start(f"node{number}", argv, home / "log.txt")
