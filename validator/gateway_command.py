"""`hansa gateway`: the trader's own machine speaks Deribit to the trader's programs and signs what they ask for.

The gateway itself is `net.trader`; here are its options, its keys, and who judges certificates.
"""

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import cyclopts
from cyclopts import Parameter

if TYPE_CHECKING:
    from net.client.verifying import Verifier
    from net.trader.api_keys import KeyRing
    from net.trader.gateway import TraderConfig, TraderGateway

app = cyclopts.App(name="gateway", help="Deribit's API on this machine: it holds the key and signs for programs.")
keys_app = cyclopts.App(name="keys", help="API keys for the programs on this machine. No node ever sees them.")
app.command(keys_app)

EXIT_USAGE = 2
_KEY_VARIABLE = "HANSA_KEY"
_DEFAULT_FOLDER = Path("~/.hansa/gateway")
_FIRST_LOOK_S = 5.0

FolderOption = Annotated[Path, Parameter(help="Where API keys, labels and proofs are kept")]
KeystoreOption = Annotated[
    Path | None,
    Parameter(env_var="HANSA_KEYSTORE", help=f"File of the signing key; without it the hex in {_KEY_VARIABLE}"),
]


class UsageError(Exception):
    """What is wrong with the call, and what to do."""


@app.default
def run(
    *,
    node: Annotated[tuple[str, ...], Parameter(env_var="HANSA_URL", help="A node's URL; several may and should be")],
    owner: Annotated[
        str | None, Parameter(env_var="HANSA_ACCOUNT", help="Whose account; default: the address of the key itself")
    ] = None,
    keystore: KeystoreOption = None,
    genesis: Annotated[
        Path | None, Parameter(help="The network's genesis.toml, from somebody you trust: it checks certificates")
    ] = None,
    folder: FolderOption = _DEFAULT_FOLDER,
    subaccount: Annotated[int, Parameter(help="Of the owner")] = 0,
    host: Annotated[str, Parameter(help="Where to listen; nobody but this machine should reach it")] = "127.0.0.1",
    port: Annotated[int, Parameter(help="0: any free one")] = 8777,
    fanout: Annotated[int, Parameter(help="How many nodes get a command at once")] = 3,
    wait: Annotated[str, Parameter(help="final: answer when nothing can undo it; received: before")] = "final",
    verbose: Annotated[bool, Parameter(help="Tell of every connection", negative="")] = False,
) -> int:
    """Serve Deribit's API v2 on this machine until interrupted.

    Programs written for Deribit, ccxt among them, need another URL and an API key of `hansa gateway keys new`. The key
    that signs should be a session key of the account: scoped, expiring, and unable to withdraw.

    For example:

        hansa gateway keys new --name bot --keystore session.json
        hansa gateway --node http://a.example:8645 --node http://b.example:8645 --owner 0x70... --keystore session.json
    """
    import trio

    from validator.logs import begin_logs

    begin_logs("info" if verbose else "warning", "console")
    try:
        gateway, ring = _make(node, owner, keystore, genesis, folder.expanduser(), subaccount, host, port, fanout, wait)
    except UsageError as error:
        print(f"hansa: {error}", file=sys.stderr)
        return EXIT_USAGE
    failure = ""
    try:
        trio.run(_serve, gateway, ring, genesis is not None)
    except* OSError as group:
        failure = f"cannot listen on {host}:{port}: {group.exceptions[0]}"
    if failure:
        print(f"hansa: {failure}", file=sys.stderr)
    return EXIT_USAGE if failure else 0


@keys_app.command
def new(
    *,
    name: Annotated[str, Parameter(help="For your own memory")] = "",
    scope: Annotated[str | None, Parameter(help="Such as 'trade:read_write account:read'")] = None,
    keystore: KeystoreOption = None,
    folder: FolderOption = _DEFAULT_FOLDER,
) -> int:
    """Make an API key; its secret is printed once and stored nowhere.

    For example:

        hansa gateway keys new --name dashboard --scope "trade:read account:read" --keystore session.json
    """
    from net.keystore import KeystoreError
    from net.trader.scopes import DEFAULT_SCOPE, ScopeError

    try:
        ring, _ = _open(keystore, folder.expanduser())
        key, secret = ring.add(name, scope or DEFAULT_SCOPE, time.time_ns() // 1_000_000)
    except (UsageError, KeystoreError, ScopeError) as error:
        print(f"hansa: {error}", file=sys.stderr)
        return EXIT_USAGE
    print(f"client_id      {key.client_id}\nclient_secret  {secret}\nscope          {key.scope}")
    return 0


@keys_app.command(name="list")
def list_keys(*, folder: FolderOption = _DEFAULT_FOLDER) -> int:
    """Print the API keys of this machine: id, scope, name."""
    from net.keystore import KeystoreError
    from net.trader.api_keys import KeyRing

    try:
        for key in KeyRing.read(folder.expanduser() / _KEYS_FILE):
            print(f"{key.client_id}  {key.scope}  {key.name}")
    except KeystoreError as error:
        print(f"hansa: {error}", file=sys.stderr)
        return EXIT_USAGE
    return 0


@keys_app.command
def remove(client_id: str, *, folder: FolderOption = _DEFAULT_FOLDER) -> int:
    """End an API key, in a running gateway too. Exits 1 if there is none of that id."""
    from net.keystore import KeystoreError
    from net.trader.api_keys import KeyRing

    try:
        is_removed = KeyRing(folder.expanduser() / _KEYS_FILE, b"").remove(client_id)
    except KeystoreError as error:
        print(f"hansa: {error}", file=sys.stderr)
        return EXIT_USAGE
    return 0 if is_removed else 1


_KEYS_FILE = "api_keys.json"


def _open(keystore: Path | None, folder: Path) -> tuple["KeyRing", bytes | None]:
    """The API keys, and the signing key. Raises `UsageError`, `KeystoreError`."""
    from net.keystore import load_secret
    from net.trader.api_keys import KeyRing
    from validator.config import ConfigError
    from validator.passphrase import choose_passphrase, find_passphrase

    named = os.environ.get(_KEY_VARIABLE)
    path = folder / _KEYS_FILE
    try:
        if keystore is not None:
            passphrase = find_passphrase(str(keystore))
            return KeyRing.open(path, passphrase), load_secret(keystore, passphrase)
        if named:
            return KeyRing.open(path, named), bytes.fromhex(named.removeprefix("0x"))
        return KeyRing.open(path, (find_passphrase if path.exists() else choose_passphrase)(str(path))), None
    except ConfigError as error:
        raise UsageError(str(error)) from None
    except ValueError:
        raise UsageError(f"{_KEY_VARIABLE} is no hexadecimal key") from None


def _make(
    nodes: tuple[str, ...], owner: str | None, keystore: Path | None, genesis: Path | None, folder: Path,
    subaccount: int, host: str, port: int, fanout: int, wait: str,
) -> tuple["TraderGateway", "KeyRing"]:  # fmt: skip
    """Raises `UsageError`."""
    from coincurve import PrivateKey

    from engine.commands import address_of
    from net.keystore import KeystoreError
    from net.trader.gateway import TraderConfig, TraderGateway
    from validator.config import ConfigError, address_bytes

    if not nodes:
        raise UsageError("name a node's URL with --node, or in HANSA_URL")
    if wait not in ("final", "received"):
        raise UsageError(f"--wait {wait}: final or received")
    try:
        ring, secret = _open(keystore, folder)
        key = None if secret is None else PrivateKey(secret)
        if owner is None and key is None:
            raise UsageError("name the account with --owner, or a key with --keystore")
        address = address_of(key.public_key) if owner is None and key is not None else address_bytes(owner or "")
        verifier = None if genesis is None else _make_verifier(genesis, folder)
    except (KeystoreError, ConfigError) as error:
        raise UsageError(str(error)) from None
    urls = [url.rstrip("/") for url in nodes]
    config = TraderConfig(urls, folder, address, key, subaccount, host, port, fanout, wait)
    return TraderGateway(config, ring, verifier), ring


def _make_verifier(genesis: Path, folder: Path) -> "Verifier":
    """Raises `UsageError`, `ConfigError`."""
    try:
        from validator.verifier import open_verifier
    except ImportError as error:
        raise UsageError(f"--genesis: {error}") from None
    return open_verifier(genesis, folder)


async def _serve(gateway: "TraderGateway", ring: "KeyRing", is_checked: bool) -> None:
    import signal

    import trio

    async with trio.open_nursery() as nursery:
        url = await nursery.start(gateway.run)
        with trio.move_on_after(_FIRST_LOOK_S):
            while not all(node.is_connected for node in gateway.pool.nodes):
                await gateway.pool.wait_change()
        _introduce(gateway, ring, url, is_checked)
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for _ in signals:
                nursery.cancel_scope.cancel()
                return


def _introduce(gateway: "TraderGateway", ring: "KeyRing", url: str, is_checked: bool) -> None:
    """What a trader needs to see: the nodes, the URL, and lines to paste."""
    from rich.console import Console
    from rich.table import Table

    from net.trader.gateway import describe

    console = Console(stderr=True)
    table = Table("node", "state", "height", "latency")
    for row in describe(gateway.pool.nodes):
        table.add_row(*row)
    console.print(table)
    config: TraderConfig = gateway.config
    console.print(f"account       0x{config.owner.hex()}, subaccount {config.subaccount}")
    console.print(f"signs         {'yes' if config.key else 'no: reading only'}")
    console.print(f"certificates  {'checked' if is_checked else 'not checked: name genesis.toml with --genesis'}")
    console.print(f"proofs        {gateway.proof_folder}")
    client_id = next(iter(ring.keys), None)
    if client_id is None:
        console.print("API keys      none yet: hansa gateway keys new")
    console.print("\nccxt:", style="bold")
    print(snippet(url, client_id or "CLIENT_ID"), flush=True)


def snippet(url: str, client_id: str) -> str:
    """Python that trades through the gateway at `url`."""
    socket = url.replace("http", "ws", 1)
    return f"""import ccxt
exchange = ccxt.deribit({{"apiKey": "{client_id}", "secret": "CLIENT_SECRET"}})
exchange.urls["api"] = {{"rest": "{url}", "ws": "{socket}/ws/api/v2"}}
exchange.options["code"] = "USDC"
print(exchange.fetch_balance())"""
