"""The folder of a local network: what is written once (keys, genesis) and what is written at every start (ports).

DIR/manifest.json     how the network was made, and how far its making got
DIR/chain/            the settlement chain's data, log.txt
DIR/node0/ ...        one validator's home: genesis.toml, config.toml, keys/, data/, log.txt
DIR/bots/             what the traders report, log.txt
"""

import json
import secrets
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from consensus.crypto import derive_secret
from engine.params import DEFAULT_MARKETS, MarketParams
from testnet.terms import NUMBERS_MAX
from validator.config import Home, NetworkConfig, NodeConfig, PeerAddress, ValidatorEntry, load_network, save_toml
from validator.keys import Keys, save_keys

MANIFEST = "manifest.json"
LOOPBACK = "127.0.0.1"


class FolderError(Exception):
    """The folder cannot be used; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """How a network was made. `has_options`: it lists futures and options, and has traders for them. `is_ready`:
    committee active and homes written; `is_funded`: deposits made.
    """

    validator_count: int
    chain: str
    seed: int
    has_options: bool = False
    is_ready: bool = False
    is_funded: bool = False


@dataclass(frozen=True, slots=True)
class NodePorts:
    """Where one validator listens."""

    peer: int
    api: int
    peer_host: str = LOOPBACK
    api_host: str = LOOPBACK
    metrics: int = 0  # none

    @property
    def api_url(self) -> str:
        return f"http://{self.api_host}:{self.api}"


def open_folder(folder: Path, wanted: Manifest, is_fresh: bool) -> Manifest:
    """The manifest to continue from. A network whose making was interrupted is made again. Raises `FolderError`."""
    path = folder / MANIFEST
    if folder.exists() and not path.exists() and any(folder.iterdir()):
        raise FolderError(f"{folder} is not empty and holds no local network: choose another --dir")
    if path.exists():
        found = load_manifest(folder)
        if found.is_ready and not is_fresh:
            if (found.validator_count, found.chain) != (wanted.validator_count, wanted.chain):
                raise FolderError(
                    f"{folder} holds {found.validator_count} validators on chain {found.chain!r}: "
                    "repeat those options, or start anew with --fresh"
                )
            return found
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    save_manifest(folder, wanted)
    return wanted


def load_manifest(folder: Path) -> Manifest:
    try:
        return Manifest(**json.loads((folder / MANIFEST).read_text()))
    except (TypeError, ValueError) as error:
        raise FolderError(f"{folder / MANIFEST} cannot be read ({error}): start anew with --fresh") from None


def save_manifest(folder: Path, manifest: Manifest) -> None:
    """Replace the manifest in one step."""
    scratch = folder / (MANIFEST + ".new")
    scratch.write_text(json.dumps(asdict(manifest), indent=1) + "\n")
    scratch.replace(folder / MANIFEST)


def mark_ready(folder: Path) -> None:
    save_manifest(folder, replace(load_manifest(folder), is_ready=True))


def mark_funded(folder: Path) -> None:
    save_manifest(folder, replace(load_manifest(folder), is_funded=True))


def node_home(folder: Path, index: int) -> Home:
    return Home(folder / f"node{index}")


def make_keys(folder: Path, operators: list[bytes]) -> list[Keys]:
    """Fresh voting and network keys for each operator, written to the homes."""
    made = []
    for index, operator in enumerate(operators):
        keys = Keys(derive_secret(secrets.token_bytes(32)), secrets.token_bytes(32), operator)
        save_keys(node_home(folder, index).keys, keys)
        made.append(keys)
    return made


def make_network(
    chain_id: int, contract: str, token: str, validators: list[ValidatorEntry], genesis_time_ms: int, court: str = "",
    markets: tuple[MarketParams, ...] = DEFAULT_MARKETS, epoch_length_ms: int = 0, **terms: Any,
) -> NetworkConfig:  # fmt: skip
    """The configuration that is equal on every node; `terms` are further fields of it."""
    return NetworkConfig(
        name="hansa-local",
        chain_id=chain_id,
        contract=contract,
        token=token,
        genesis_time_ms=genesis_time_ms,
        validators=tuple(validators),
        markets=markets,
        checkpoint_interval_blocks=60,
        court=court,
        epoch_length_ms=epoch_length_ms,
        validators_max=NUMBERS_MAX,
        **terms,
    )


def write_genesis(folder: Path, network: NetworkConfig) -> None:
    for index in range(len(network.validators)):
        save_toml(node_home(folder, index).genesis, network)


def read_genesis(folder: Path) -> NetworkConfig:
    return load_network(node_home(folder, 0).genesis)


def write_node_configs(
    folder: Path, ports: list[NodePorts], rpc_url: str, seed: int, price_source: str = "", api_process: str = "inside"
) -> None:
    """Each operator's own file; ports may differ from start to start. `price_source` empty: the path of `seed`."""
    peers = tuple(PeerAddress(port.peer_host, port.peer) for port in ports)
    for index, port in enumerate(ports):
        config = NodeConfig(
            index=index,
            rpc_urls=(rpc_url,),
            listen_host=port.peer_host,
            listen_port=port.peer,
            api_host=port.api_host,
            api_port=port.api,
            api_process=api_process,
            metrics_host=port.api_host,
            metrics_port=port.metrics,
            peers=peers,
            log_format="console",
            price_source=price_source or f"path:seed={seed},noise_bps=2",
        )
        save_toml(node_home(folder, index).config, config)
