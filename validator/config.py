"""Two configurations that must not be confused.

`NetworkConfig` (genesis.toml) must be equal on every node: its digest goes into every handshake. `NodeConfig`
(config.toml) is this operator's own. Both refuse unknown keys, naming the nearest known one, because a misspelt
option is a silent default.
"""

import dataclasses
import difflib
import json
import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from consensus.epochs import Schedule
from consensus.messages import keccak
from engine.params import ExchangeParams, MarketParams
from validator.logs import FORMATS, LEVELS
from validator.roster import Seats, make_founders

ENVIRONMENT_PREFIX = "HANSA_NODE_"
# What agreement may ask of any node (`store.RECENT_BLOCKS`).
KEEP_BLOCKS_MIN = 256
API_PROCESSES = ("own", "inside", "none")
SIGNER_INSIDE, SIGNER_SOCKET_PREFIX = "inside", "unix:"


class ConfigError(Exception):
    """The operator's mistake; the message says what to change."""


@dataclass(frozen=True, slots=True)
class ValidatorEntry:
    """One committee member as the settlement contract's registry has it."""

    operator: str
    bls_key: str
    network_key: str


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """What every node of one network agrees on before the first block."""

    name: str
    chain_id: int
    contract: str
    token: str
    genesis_time_ms: int
    validators: tuple[ValidatorEntry, ...]
    markets: tuple[MarketParams, ...]
    delta_ms: int = 400
    min_interval_ms: int = 50
    inbox_inclusion_ms: int = 10_000
    checkpoint_interval_blocks: int = 150
    checkpoint_interval_s: int = 600  # the longest time without one while blocks are certified
    court: str = ""  # address of the contract that takes evidence; empty: there is none
    epoch_length_ms: int = 0  # from an epoch's beginning until its committee may be replaced; 0: it never is
    epoch_extension_ms: int = 600_000  # EP7: the operator is told after several of these without a successor
    validators_max: int = 64  # how many may ever register, members of the past included
    accounts_max: int = 1 << 16
    orders_max: int = 1 << 16
    positions_max: int = 1 << 16
    markets_max: int = 256
    account_orders_max: int = 128  # open orders of one account
    governor: str = ""  # address that lists markets and changes parameters (GOV-1 of docs/spec.md); empty: nobody does

    def founders(self) -> Seats:
        """The committee of the first epoch."""
        keys = [(bytes.fromhex(entry.bls_key), bytes.fromhex(entry.network_key)) for entry in self.validators]
        return make_founders([bls_key for bls_key, _ in keys], [network_key for _, network_key in keys])

    def schedule(self) -> Schedule:
        """EP2, EP7: when the committee changes."""
        lead_ms = min(60_000, self.epoch_length_ms // 2)
        return Schedule(self.epoch_length_ms, self.epoch_extension_ms, ready_lead_ms=lead_ms)

    def digest(self) -> bytes:
        """32 bytes naming the network; compared in the handshake."""
        return keccak(json.dumps(_to_plain(self), sort_keys=True, separators=(",", ":")).encode())

    def exchange_params(self) -> ExchangeParams:
        return ExchangeParams(
            markets=self.markets,
            token=address_bytes(self.token),
            validator_count=max(self.validators_max, len(self.validators)),
            chain_id=self.chain_id,
            contract=address_bytes(self.contract),
            accounts_max=self.accounts_max,
            orders_max=self.orders_max,
            positions_max=self.positions_max,
            markets_max=self.markets_max,
            account_orders_max=self.account_orders_max,
            governor=address_bytes(self.governor) if self.governor else bytes(20),
        )


@dataclass(frozen=True, slots=True)
class PeerAddress:
    """Where a committee member listens for its peers."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """This node's own choices. `index`: the number of its registration, from 0, in the order of `validators`."""

    index: int
    rpc_urls: tuple[str, ...]
    listen_host: str = "127.0.0.1"
    listen_port: int = 26656
    api_host: str = "127.0.0.1"
    api_port: int = 8645
    # Who serves the API: a process of its own, which the node starts; the node's own loop; or nobody, as where
    # `hansa api` is run beside it.
    api_process: str = "own"
    peers: tuple[PeerAddress, ...] = ()
    price_source: str = "path:seed=1"
    # Who holds the voting key: the node itself, or the process that listens at `unix:PATH`.
    signer: str = SIGNER_INSIDE
    snapshot_interval_blocks: int = 200
    # Further behind than this, a snapshot is fetched instead of all blocks.
    snapshot_gap_blocks: int = 2_000
    # How many blocks stay on the disk at least; 0: all.
    keep_blocks: int = 0
    # How long to listen for another process with our key before voting.
    doppelganger_wait_ms: int = 500
    # For a validator that lost its guard: vote again, but only above this view. 0: stay an observer.
    vote_above_view: int = 0
    # The most that this operator pays for a unit of gas, in 1e-9 ether.
    gas_price_max_gwei: int = 300
    metrics_host: str = "127.0.0.1"
    # For Prometheus; 0: none.
    metrics_port: int = 26660
    log_level: str = "info"
    log_format: str = "auto"


@dataclass(frozen=True, slots=True)
class PublicConfig:
    """The choices of `hansa public` (public.toml, which may be missing). Addresses are multiaddrs, as hosts print them.
    `advertise` empty: where it listens. `slots`: how many strangers may connect, and how many of them from one address.
    """

    listen_host: str = "127.0.0.1"
    listen_port: int = 26676
    advertise: tuple[str, ...] = ()
    bootstrap: tuple[str, ...] = ()
    slots: int = 64
    slots_per_address: int = 8
    # How many connections it looks for itself.
    neighbours: int = 6
    # How long blocks are collected into one message.
    interval_ms: int = 200
    # Of our clients' sealed batches, before any block carries them; what is over it is left to the blocks.
    batch_bytes_per_s: int = 128 * 1024
    # A node's API that takes the orders of light clients; empty: they are refused.
    submit_url: str = ""
    log_level: str = "info"
    log_format: str = "auto"


@dataclass(frozen=True, slots=True)
class Home:
    """The folder of one node and the names inside it."""

    path: Path
    genesis: Path = field(init=False)
    config: Path = field(init=False)
    keys: Path = field(init=False)
    data: Path = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "genesis", self.path / "genesis.toml")
        object.__setattr__(self, "config", self.path / "config.toml")
        object.__setattr__(self, "keys", self.path / "keys")
        object.__setattr__(self, "data", self.path / "data")

    def signer_socket(self, config: NodeConfig) -> Path | None:
        """Where the process listens that holds the voting key, from this folder on; None: the node holds it."""
        if config.signer == SIGNER_INSIDE:
            return None
        return self.path / config.signer.removeprefix(SIGNER_SOCKET_PREFIX)


def address_bytes(text: str) -> bytes:
    """20 bytes of a 0x-prefixed address. Raises `ConfigError`."""
    try:
        value = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        value = b""
    if len(value) != 20:
        raise ConfigError(f"{text!r} is no address: write 0x and 40 hexadecimal digits")
    return value


def load_network(path: Path) -> NetworkConfig:
    """Read genesis.toml. Raises `ConfigError`."""
    config: NetworkConfig = _build(NetworkConfig, _read_toml(path), str(path))
    return config


def load_node(path: Path, assignments: Sequence[str] = ()) -> NodeConfig:
    """Read config.toml and what stands above it. Raises `ConfigError`."""
    return load_settings(path, os.environ, assignments).config


@dataclass(frozen=True, slots=True)
class Settings:
    """A node's options and where each came from."""

    config: NodeConfig
    origins: dict[str, str]


def load_settings(path: Path, environment: Mapping[str, str], assignments: Sequence[str] = ()) -> Settings:
    """Defaults, then config.toml, then `HANSA_NODE_…` variables, then `name=value` assignments: the later one counts.
    Raises `ConfigError`.
    """
    plain = _read_toml(path)
    names = [item.name for item in dataclasses.fields(NodeConfig)]
    origins = dict.fromkeys(names, "default") | dict.fromkeys(plain, str(path))
    for name in names:
        variable = ENVIRONMENT_PREFIX + name.upper()
        if variable in environment:
            plain[name], origins[name] = _read_value(environment[variable]), variable
    for assignment in assignments:
        name, is_given, text = assignment.partition("=")
        if not is_given:
            raise ConfigError(f"{assignment!r}: write name=value")
        plain[name], origins[name] = _read_value(text), "--set"
    where = f"{path} with " + " and ".join(sorted(set(origins.values()) - {"default", str(path)}))
    config: NodeConfig = _build(NodeConfig, plain, where.removesuffix(" with "))
    if config.signer != SIGNER_INSIDE and not config.signer.removeprefix(SIGNER_SOCKET_PREFIX).strip("/"):
        raise ConfigError(f"{where}: signer names no socket: write unix:PATH, or inside")
    if config.signer != SIGNER_INSIDE and not config.signer.startswith(SIGNER_SOCKET_PREFIX):
        raise ConfigError(f"{where}: signer is inside or unix:PATH, not {config.signer!r}")
    if config.api_process not in API_PROCESSES:
        raise ConfigError(f"{where}: api_process is one of {', '.join(API_PROCESSES)}, not {config.api_process!r}")
    if 0 != config.keep_blocks < KEEP_BLOCKS_MIN:
        raise ConfigError(f"{where}: keep_blocks is 0 (all) or {KEEP_BLOCKS_MIN} at least, not {config.keep_blocks}")
    _check_logs(config, where)
    return Settings(config, origins)


def _read_value(text: str) -> Any:
    """As it would stand in config.toml; text needs no quotes here."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def load_public(path: Path) -> PublicConfig:
    """Read public.toml, if there is one. Raises `ConfigError`."""
    config: PublicConfig = _build(PublicConfig, _read_toml(path) if path.exists() else {}, str(path))
    _check_logs(config, str(path))
    return config


def _check_logs(config: NodeConfig | PublicConfig, where: str) -> None:
    if config.log_level not in LEVELS:
        raise ConfigError(f"{where}: log_level is one of {', '.join(LEVELS)}, not {config.log_level!r}")
    if config.log_format not in FORMATS:
        raise ConfigError(f"{where}: log_format is one of {', '.join(FORMATS)}, not {config.log_format!r}")


def save_toml(path: Path, config: NetworkConfig | NodeConfig | PublicConfig) -> None:
    """Write a configuration so that the loaders above read back an equal value."""
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = _to_plain(config)
    lines = [f"{key} = {json.dumps(value)}" for key, value in plain.items() if not _is_table_array(value)]
    for key, value in plain.items():
        if _is_table_array(value):
            for row in value:
                lines += ["", f"[[{key}]]", *(f"{name} = {json.dumps(item)}" for name, item in row.items())]
    path.write_text("\n".join(lines) + "\n")


def _is_table_array(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _to_plain(config: Any) -> Any:
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        return {item.name: _to_plain(getattr(config, item.name)) for item in dataclasses.fields(config)}
    if isinstance(config, (tuple, list)):
        return [_to_plain(item) for item in config]
    return config


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist: `hansa testnet up` writes one, or pass --home") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is no TOML: {error}") from None


_CONTAINERS: dict[str, type] = {
    "rpc_urls": tuple, "validators": tuple, "markets": tuple, "peers": tuple,
    "advertise": tuple, "bootstrap": tuple,
}  # fmt: skip
_TYPE_NAMES = {int: "a whole number", str: "text in quotes", tuple: "a list in brackets"}
_NESTED: dict[str, type] = {"validators": ValidatorEntry, "markets": MarketParams, "peers": PeerAddress}


def _build(kind: type, plain: dict[str, Any], where: str) -> Any:
    known = {item.name: item for item in dataclasses.fields(kind)}
    for key in plain:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            raise ConfigError(f"{where}: unknown key {key!r}" + (f", did you mean {near[0]!r}?" if near else ""))
    values = {}
    for key, value in plain.items():
        if key in _NESTED:
            value = tuple(_build(_NESTED[key], row, f"{where} [[{key}]]") for row in value)
        values[key] = tuple(value) if isinstance(value, list) else value
        wanted = _CONTAINERS.get(key) or known[key].type
        if isinstance(wanted, type) and type(values[key]) is not wanted:
            raise ConfigError(f"{where}: {key} must be {_TYPE_NAMES[wanted]}, not {value!r}")
    required = {
        name
        for name, item in known.items()
        if item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING
    }
    missing = sorted(required - set(values))
    if missing:
        raise ConfigError(f"{where}: missing {', '.join(missing)}")
    return kind(**values)
