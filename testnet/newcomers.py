"""Validators that join a local network while it runs: a home, a process, and the command that an operator types."""

import json
import secrets
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from consensus import crypto
from contracts.registry import Registry
from contracts.settlement import Settlement
from testnet.funding import derive_operator
from testnet.homes import FolderError, NodePorts, node_home
from testnet.local import Child, Processes
from validator.config import NetworkConfig, load_node, save_toml
from validator.keys import Keys, save_keys

JOIN_S_MAX = 180


def make_home(folder: Path, network: NetworkConfig, number: int, ports: NodePorts) -> Keys:
    """As an operator makes it: the network's genesis.toml, a config.toml of its own, fresh keys."""
    home = node_home(folder, number)
    operator = derive_operator(number).key
    keys = Keys(crypto.derive_secret(secrets.token_bytes(32)), secrets.token_bytes(32), operator)
    save_keys(home.keys, keys)
    save_toml(home.genesis, network)
    first = load_node(node_home(folder, 0).config)
    config = replace(first, index=number, listen_port=ports.peer, api_port=ports.api, metrics_port=ports.metrics)
    save_toml(home.config, config)
    return keys


def bring_stake(rpc_url: str, network: NetworkConfig, keys: Keys) -> None:
    """What the registry asks for, in test money. Blocking."""
    settlement = Settlement(rpc_url, network.contract, keys.operator)
    settlement.mint_test_usdc(settlement.sender, Registry(rpc_url, settlement.registry()).stake_amount())


@dataclass(frozen=True, slots=True)
class Answer:
    """What `hansa committee join` said: the names of its checks, those that stand against it with their words."""

    exit_code: int
    checks: tuple[str, ...]
    against: dict[str, str]


def join(folder: Path, number: int, *options: str) -> Answer:
    """The command that an operator types. Blocking."""
    argv = [sys.executable, "-m", "validator", "committee", "join", "--home", str(node_home(folder, number).path)]
    done = subprocess.run([*argv, *options, "--json"], capture_output=True, text=True, timeout=JOIN_S_MAX)
    try:
        checks = json.loads(done.stdout)["checks"]
    except (ValueError, KeyError):
        raise FolderError(f"`hansa committee join` of node{number} failed: {done.stderr.strip()}") from None
    against = {check["name"]: check["words"] for check in checks if not check["is_ok"]}
    return Answer(done.returncode, tuple(check["name"] for check in checks), against)


def leave(folder: Path, number: int) -> None:
    """The same of leaving. Blocking."""
    argv = [sys.executable, "-m", "validator", "committee", "leave", "--home", str(node_home(folder, number).path)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=JOIN_S_MAX)
    if done.returncode:
        raise FolderError(f"`hansa committee leave` of node{number} failed: {done.stderr.strip()}")


def start_node(processes: Processes, folder: Path, number: int) -> Child:
    home = node_home(folder, number).path
    argv = [sys.executable, "-m", "validator", "start", "--home", str(home)]
    return processes.start(f"node{number}", argv, home / "log.txt")
