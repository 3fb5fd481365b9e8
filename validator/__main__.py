"""The `hansa` command. Sub-commands import what they need when they run, so that `--help` answers at once."""

import gc
import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import cyclopts
from cyclopts import Parameter

from validator.claims_command import app as claims_app
from validator.cli.deposit_command import deposit
from validator.cli.key_command import app as key_app
from validator.cli.read_commands import (
    account,
    book,
    call,
    decode,
    orders,
    positions,
    proof,
    status,
    trades,
    watch,
)
from validator.cli.session_command import app as session_app
from validator.cli.terms import TRADERS, Terms
from validator.cli.trade_commands import buy, cancel, edit, order, sell, withdraw
from validator.committee_command import app as committee_app
from validator.committee_command import join, leave
from validator.council_command import app as council_app
from validator.dashboards_command import app as dashboards_app
from validator.doctor_command import doctor
from validator.evidence_command import app as evidence_app
from validator.force_command import app as force_app
from validator.gateway_command import app as gateway_app
from validator.init_command import config_app, init
from validator.rotate_command import rotate_key
from validator.signer_command import app as signer_app
from validator.supervise_command import supervise
from validator.top_command import top

if TYPE_CHECKING:
    from validator.config import Home, NodeConfig

app = cyclopts.App(
    name="hansa",
    help="One derivatives exchange run by a committee of validators.\n\nStart with `hansa testnet up`.",
    version="0.1.0",
)
app.register_install_completion_command(name="--install-completion", add_to_startup=False)
_TRADERS_COMMANDS: tuple[Callable[..., int], ...] = (
    account, book, buy, call, cancel, decode, deposit, edit, order, orders, positions, proof, sell, status, trades,
    watch, withdraw,
)  # fmt: skip
for _command in _TRADERS_COMMANDS:
    app.command(_command, group=TRADERS)
app.command(key_app)
app.command(session_app)
app.command(council_app)
app.command(claims_app)
app.command(committee_app)
app.command(doctor)
app.command(supervise)
app.command(join)
app.command(leave)
app.command(evidence_app)
app.command(force_app)
app.command(gateway_app)
app.command(init)
app.command(config_app)
app.command(dashboards_app)
app.command(top)
app.command(signer_app)
app.command(rotate_key)
EXIT_CONFIG = 2
# What only the extra `node` installs, as imports name it.
NODE_MODULES = frozenset(
    {"blspy", "docker", "eth", "eth_abi", "eth_account", "libp2p", "llvmlite", "multiaddr", "numba"}
    | {"py_arkworks_bls12381", "py_ecc", "requests", "rlp", "web3"}
)


@app.command
def start(
    *,
    home: Annotated[Path, Parameter(help="Folder with genesis.toml, config.toml and keys/")],
    set_: Annotated[tuple[str, ...], Parameter(name="--set", help="name=value above config.toml; several may be")] = (),
) -> int:
    """Run a validator until interrupted.

    For example:

        hansa start --home .hansa-testnet/node0
        hansa start --home ~/.hansa --set log_level=debug
    """
    found = _open_home(home, set_)
    if isinstance(found, int):
        return found
    from validator.run import run_node

    return run_node(*found)


@app.command
def api(
    *,
    home: Annotated[Path, Parameter(help="A validator's folder")],
    set_: Annotated[tuple[str, ...], Parameter(name="--set", help="name=value above config.toml; several may be")] = (),
    child: Annotated[bool, Parameter(help="End when the standard input does", negative="", show=False)] = False,
) -> int:
    """Run the API of a validator: a process of its own, so that nobody who asks delays a vote.

    `hansa start` runs it, unless `api_process` in config.toml says otherwise. It waits for the validator for ever,
    executes every block itself and compares each root.

    For example:

        hansa api --home .hansa-testnet/node0
    """
    found = _open_home(home, set_)
    if isinstance(found, int):
        return found
    from validator.api_command import run_api

    return run_api(*found, child)


@app.command
def public(*, home: Annotated[Path, Parameter(help="A validator's folder; public.toml in it has the choices")]) -> int:
    """Run the public side of a validator: anybody may follow the chain from it, and nobody reaches the validator.

    A process of its own beside `hansa start`, which it may outlive: it waits for the validator for ever.

    For example:

        hansa public --home .hansa-testnet/node0
    """
    from validator.public_command import run_public

    return run_public(home)


@app.command
def follow(
    *,
    bootstrap: Annotated[
        tuple[str, ...], Parameter(help="Multiaddr of a public host, as it prints it; several may be")
    ],
    genesis: Annotated[Path, Parameter(help="The network's genesis.toml, from somebody you trust")],
    from_height: Annotated[int, Parameter(help="Begin with this block; 0: with the next one")] = 0,
    blocks: Annotated[int, Parameter(help="End after so many; 0: never")] = 0,
    as_json: Annotated[bool, Parameter(name="--json", help="A JSON object a line", negative="")] = False,
) -> int:
    """Follow a network's chain from its public hosts and print every certified block.

    No peer is believed: each certificate is checked against the committee, and each later committee against the block
    in which the one before named it. Nothing is executed: that roots are right is the committee's word. Exits 1 if a
    host that you named gives anything forged, or if two certified blocks contradict each other.

    For example:

        hansa follow --genesis genesis.toml --bootstrap /ip4/127.0.0.1/tcp/26676/p2p/12D3KooW...
    """
    from validator.follow_command import run_follow

    return run_follow(genesis, bootstrap, from_height, blocks, as_json)


@app.command
def uptime(
    url: Annotated[str, Parameter(help="The node's API")] = "http://127.0.0.1:8645",
    *,
    home: Annotated[Path | None, Parameter(help="Read a node's folder instead, running or not")] = None,
    blocks: Annotated[int, Parameter(help="With --home: how many certificates to look at")] = 1_000,
) -> int:
    """Print how many of the last finalisation certificates each validator signed, as JSON.

    A certificate is made by the first quorum, so q of n is an even share; a validator far below the others is slow or
    absent.

    For example:

        hansa uptime http://127.0.0.1:8645
        hansa uptime --home .hansa-testnet/node0 --blocks 5000
    """
    if home is None:
        return call("public/x_get_uptime", terms=Terms(url))
    from validator.uptime_report import print_uptime

    return print_uptime(home, blocks)


@app.command
def audit(
    *,
    home: Annotated[Path, Parameter(help="The node's folder, running or not, or a copy of it")],
    from_snapshot: Annotated[Path | None, Parameter(help="Begin with this state instead of genesis")] = None,
    compare: Annotated[tuple[Path, ...], Parameter(help="Another node's folder, a snapshot or a claims file")] = (),
    rpc: Annotated[str | None, Parameter(help="Settlement chain endpoint; the node's own by default")] = None,
    contract: Annotated[str | None, Parameter(help="Settlement contract; that of genesis.toml by default")] = None,
    offline: Annotated[bool, Parameter(help="Leave the chain out", negative="")] = False,
    as_json: Annotated[bool, Parameter(name="--json", help="Print JSON", negative="")] = False,
) -> int:
    """Replay a node's stored blocks and compare everything with what the committee certified and the chain accepted.

    Exits 1 and names height, table and field if something does not fit. With --compare, a root that differs is traced
    to the first account or market that does.

    For example:

        hansa audit --home .hansa-testnet/node0
        hansa audit --home node0 --from-snapshot node0/data/snapshots/000000001000.snapshot --compare node1 --json
    """
    from validator.audit_command import run_audit

    return run_audit(home, from_snapshot, compare, rpc, contract, offline, as_json)


@app.command
def testnet(*tokens: Annotated[str, Parameter(allow_leading_hyphen=True)]) -> None:
    """Run a local network: `hansa testnet up --help` tells how."""
    _become("testnet", list(tokens))


@app.command
def devnet(*tokens: Annotated[str, Parameter(allow_leading_hyphen=True)]) -> None:
    """Run an exchange in one process, for developers: `hansa devnet --help` tells how."""
    _become("testnet.devnet", list(tokens))


@app.command(name="verify-me")
def verify_me(*tokens: Annotated[str, Parameter(allow_leading_hyphen=True)]) -> int:
    """Check a saved account proof against the chain alone: `hansa verify-me --help` tells how."""
    from contracts.verify_me import main as verify

    return verify(list(tokens))


@app.command
def escape(*tokens: Annotated[str, Parameter(allow_leading_hyphen=True)]) -> int:
    """Take money out of the contract when the committee is gone: `hansa escape --help` tells how."""
    from contracts.escape_tool import main as run_escape

    return run_escape(list(tokens))


def _open_home(home: Path, assignments: tuple[str, ...]) -> "tuple[Home, NodeConfig] | int":
    """The folder and its options, with logging and the compiler's cache made ready; an exit code where that cannot
    be.
    """
    if not __debug__:
        print("hansa: refuses to run under python -O, which strips the checks a validator depends on", file=sys.stderr)
        return EXIT_CONFIG
    gc.disable()  # until the node stands (`spare_what_stays`): imports leave next to no garbage to look for
    from validator.compilecache import prepare_compile_cache
    from validator.config import ConfigError, Home, load_node
    from validator.left_out import leave_out
    from validator.logs import begin_logs

    place = Home(home)
    try:
        config = load_node(place.config, assignments)
    except ConfigError as error:
        print(f"hansa: {error}", file=sys.stderr)
        return EXIT_CONFIG
    prepare_compile_cache()
    begin_logs(config.log_level, config.log_format)
    leave_out(has_keystores=any(place.keys.glob("*.json")))
    return place, config


def _become(module: str, arguments: list[str]) -> NoReturn:
    """Replace this process, so that the launcher is not orphaned by a wrapper that is killed."""
    if importlib.util.find_spec("libp2p") is None:
        _end_light("libp2p")
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])


def _end_light(module: str) -> NoReturn:
    """Ends a command that the installed packages cannot run."""
    print(
        f"hansa: this command needs {module}, which traders do without: pip install 'hansa[node]', "
        "or make in a checkout",
        file=sys.stderr,
    )
    sys.exit(EXIT_CONFIG)


def main() -> None:
    """Entry point of the `hansa` command."""
    try:
        _run()
    except ModuleNotFoundError as error:
        module = (error.name or "").split(".")[0]
        if module not in NODE_MODULES:
            raise
        _end_light(module)


def run_words(words: list[str]) -> int:
    """The exit code of one command: 2 where the words make no call of it."""
    try:
        result = app(words, exit_on_error=False, result_action="return_value")
    except cyclopts.CycloptsError:
        return EXIT_CONFIG  # it has been explained
    return result if isinstance(result, int) else 0


def _run() -> None:
    modules = {"testnet": "testnet", "devnet": "testnet.devnet"}
    if sys.argv[1:2] and sys.argv[1] in modules:
        _become(modules[sys.argv[1]], sys.argv[2:])  # before its options, --help among them, are taken for ours
    own_parsers = {"verify-me": verify_me, "escape": escape}
    if sys.argv[1:2] and sys.argv[1] in own_parsers:
        sys.exit(own_parsers[sys.argv[1]](*sys.argv[2:]))
    sys.exit(run_words(sys.argv[1:]))


if __name__ == "__main__":
    main()
