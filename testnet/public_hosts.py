"""Public hosts beside the validators of a local network: written, started, and where they are."""

import secrets
import sys
from pathlib import Path

from net.public.host import make_address
from testnet.homes import node_home
from testnet.local import Processes
from validator.config import PublicConfig, save_toml
from validator.public_command import PUBLIC_KEY, PUBLIC_TOML, load_public_seed

HOST = "127.0.0.1"
# All of a local network's strangers come from one address.
SLOTS_PER_ADDRESS = 48


def start_public_hosts(folder: Path, ports: list[int], processes: Processes) -> list[str]:
    """One for each of the first validators, each with the addresses of those before it. Returns all addresses."""
    addresses: list[str] = []
    for index, port in enumerate(ports):
        home = node_home(folder, index).path
        key = home / PUBLIC_KEY
        if not key.exists():
            key.write_text(secrets.token_hex(32) + "\n")
            key.chmod(0o600)
        config = PublicConfig(
            listen_host=HOST, listen_port=port, bootstrap=tuple(addresses), slots_per_address=SLOTS_PER_ADDRESS,
            log_format="console",
        )  # fmt: skip
        save_toml(home / PUBLIC_TOML, config)
        addresses.append(make_address(HOST, port, load_public_seed(key)))
        argv = [sys.executable, "-m", "validator", "public", "--home", str(home)]
        processes.start(f"public{index}", argv, home / "public.txt")
    return addresses
