"""`hansa init` makes the folder of a validator; `hansa config show` tells its options and where they come from."""

import dataclasses
import json
import os
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import cyclopts
from cyclopts import Parameter

if TYPE_CHECKING:
    from validator.config import Home
    from validator.keys import Keys

config_app = cyclopts.App(name="config", help="A node's options.")
EXIT_MISTAKE = 2
_FETCH_S_MAX = 30


def init(
    *,
    home: Annotated[Path, Parameter(help="The folder to make")],
    genesis: Annotated[str, Parameter(help="The network's genesis.toml: a file or a URL, from somebody you trust")],
    rpc: Annotated[tuple[str, ...], Parameter(help="Endpoint of the settlement chain; best three, of different firms")],
    index: Annotated[int | None, Parameter(help="Number of your registration, if you know it")] = None,
    plain_keys: Annotated[bool, Parameter(help="Keys without a passphrase, for test networks", negative="")] = False,
) -> int:
    """Make a validator's folder: keys behind a passphrase, config.toml with every option explained, genesis.toml.

    What is there is kept: keys are never overwritten. The passphrase is asked for, or read from the file that
    HANSA_PASSPHRASE_FILE names.

    For example:

        hansa init --home ~/.hansa --genesis genesis.toml --rpc https://rpc.example.org --rpc https://rpc.example.net
    """
    from validator.config import ConfigError, Home

    try:
        told = make_home(Home(home), genesis, rpc, index, plain_keys)
    except (ConfigError, OSError) as error:
        print(f"hansa: {error}", file=sys.stderr)
        return EXIT_MISTAKE
    for name, value in told.items():
        print(f"{name:<16} {value}")
    return 0


@config_app.command
def show(
    *,
    home: Annotated[Path, Parameter(help="The node's folder")],
    set_: Annotated[tuple[str, ...], Parameter(name="--set", help="name=value, as `hansa start` takes it")] = (),
    origin: Annotated[bool, Parameter(help="Also where each value comes from", negative="")] = False,
    as_json: Annotated[bool, Parameter(name="--json", help="A JSON object", negative="")] = False,
) -> int:
    """Print the options that `hansa start` would run with: config.toml, HANSA_NODE_… variables, --set.

    For example:

        hansa config show --home ~/.hansa --origin
    """
    from validator.config import ConfigError, Home, load_settings

    try:
        settings = load_settings(Home(home).config, os.environ, set_)
    except ConfigError as error:
        print(f"hansa: {error}", file=sys.stderr)
        return EXIT_MISTAKE
    values = dataclasses.asdict(settings.config)
    if as_json:
        print(
            json.dumps({name: [value, settings.origins[name]] if origin else value for name, value in values.items()})
        )
        return 0
    for name, value in values.items():
        print(f"{name:<26} {json.dumps(value):<32}" + (f" {settings.origins[name]}" if origin else ""))
    return 0


def make_home(
    home: "Home", genesis: str, rpc_urls: tuple[str, ...], index: int | None, has_plain_keys: bool
) -> dict[str, str]:
    """Writes what is missing and tells what an operator needs next. Raises `ConfigError`."""
    from validator.candidate import make_candidate
    from validator.config import NodeConfig, load_network, load_node
    from validator.keys import has_keys, load_keys, save_keys
    from validator.options import write_explained
    from validator.passphrase import choose_passphrase
    from validator.voting_key import find_voting_key

    home.path.mkdir(parents=True, exist_ok=True)
    if not home.genesis.exists():
        _fetch_genesis(genesis, home.genesis)
    network = load_network(home.genesis)
    if not home.config.exists():
        number = len(network.validators) if index is None else index
        write_explained(home.config, NodeConfig(number, rpc_urls), network.name)
    config = load_node(home.config)
    if has_keys(home.keys):
        keys = load_keys(home.keys, has_voting_key=home.signer_socket(config) is None)
    else:
        phrase = None if has_plain_keys else choose_passphrase(f"the keys in {home.keys}")
        keys = _make_keys()
        save_keys(home.keys, keys, phrase)
    home.data.mkdir(exist_ok=True)
    candidate = make_candidate(keys, find_voting_key(home, network, config, keys))
    return {
        "network": f"{network.name}, chain {network.chain_id}, contract {network.contract}",
        "digest": network.digest().hex(),
        "operator": candidate.operator_text,
        "voting key": candidate.bls_key.hex(),
        "network key": candidate.network_key.hex(),
        "number": str(config.index),
        "backup": f"copy {home.keys} to a safe place now; never copy {home.data}",
        "next": f"send ether and the stake to the operator; hansa start --home {home.path}; "
        f"hansa join --home {home.path} --advertise HOST:PORT --dry-run",
    }


def _make_keys() -> "Keys":
    from consensus.crypto import derive_secret
    from validator.keys import Keys

    return Keys(derive_secret(secrets.token_bytes(32)), secrets.token_bytes(32), secrets.token_bytes(32))


def _fetch_genesis(source: str, path: Path) -> None:
    """Only a file that reads as a network's is kept. Raises `ConfigError`."""
    from validator.config import ConfigError, load_network

    scratch = path.with_name(path.name + ".new")
    if source.startswith(("http://", "https://")):
        import httpx

        try:
            answer = httpx.get(source, timeout=_FETCH_S_MAX, follow_redirects=True)
            answer.raise_for_status()
        except httpx.HTTPError as error:
            raise ConfigError(f"{source} gives no genesis.toml: {error}") from None
        scratch.write_bytes(answer.content)
    elif Path(source).is_file():
        scratch.write_bytes(Path(source).read_bytes())
    else:
        raise ConfigError(f"{source} is neither a file nor a URL: name the network's genesis.toml")
    try:
        load_network(scratch)
    except (ConfigError, UnicodeDecodeError) as error:
        scratch.unlink()
        raise ConfigError(f"{source} is no genesis.toml: {error}") from None
    scratch.replace(path)
