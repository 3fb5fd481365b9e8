"""`hansa join`, `hansa leave` and `hansa committee`: becoming a validator and ceasing to be one, by the operator's own
transactions.

Whoever joins is told every reason against it before anything is sent: `join --dry-run` sends nothing.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import cyclopts
from cyclopts import Parameter

if TYPE_CHECKING:
    from contracts.registry import Registry
    from validator.join_checks import Applicant, Check

app = cyclopts.App(
    name="committee",
    help="Validators: join the queue, leave, look at committee and stakes.",
)
EXIT_FAILED = 1
EXIT_USAGE = 2

HomeOption = Annotated[Path, Parameter(help="The node's folder: genesis.toml, config.toml and keys/")]
KeyOption = Annotated[
    Path | None, Parameter(help="Key file of the account that registered, if keys/operator only pays gas")
]
RpcOption = Annotated[str | None, Parameter(help="Settlement chain endpoint; default: the first of config.toml")]
JsonOption = Annotated[bool, Parameter(name="--json", help="Print JSON", negative="")]


class CommandError(Exception):
    """What is wrong with the call, and what to do."""


@app.command
def join(
    *,
    home: HomeOption,
    advertise: Annotated[
        str | None, Parameter(help="host:port where others reach the node; default: listen_host:listen_port")
    ] = None,
    dry_run: Annotated[bool, Parameter(help="Only tell what stands against it", negative="")] = False,
    rpc: RpcOption = None,
    as_json: JsonOption = False,
) -> int:
    """Bring the stake, enter the queue, and tell the others where the node listens; or come again after leaving.

    First everything is checked: chain, contracts, gas, stake, keys, node, clock, address, place in the queue. If
    anything stands against it, all of that is printed, nothing is sent, and the exit status is 1.

    For example:

        hansa join --home node --advertise validator.example:26656 --dry-run
        hansa join --home node --advertise validator.example:26656
    """
    from contracts.records import ChainError, Refused
    from validator.config import ConfigError, Home
    from validator.join_checks import Applicant, run_checks

    try:
        applicant = Applicant(Home(home), rpc, advertise)
        checks = list(run_checks(applicant))
        done: list[str] = []
        is_well = all(check.is_ok for check in checks)
        if is_well and not dry_run:
            done = _send_join(applicant)
    except ConfigError as error:
        return _fail(CommandError(str(error)))
    except (ChainError, Refused) as error:
        return _fail(error)
    _print_checks(checks, done, as_json)
    return 0 if is_well else EXIT_FAILED


@app.command
def leave(*, home: HomeOption, key: KeyOption = None, rpc: RpcOption = None) -> int:
    """Leave the queue at once, or ask to leave the committee; the stake is paid back after the unbonding time.

    The node must go on until it is out of the committee: `hansa committee status` tells.

    For example:

        hansa leave --home node
    """
    from contracts.records import ChainError, Refused

    try:
        registry = _open(home, rpc, key)
        result = registry.leave()
        number = registry.number_of(registry.sender)
        state = None if number is None else registry.standing(number).state.name.lower()
    except (CommandError, ChainError, Refused) as error:
        return _fail(error)
    print(f"number {number} is {state}; transaction 0x{result.tx_hash.hex()}, gas {result.gas_used}")
    return 0


@app.command
def status(*, home: HomeOption, rpc: RpcOption = None, as_json: JsonOption = False) -> int:
    """Show committee, queue, stakes and who follows, as of the last finalised block of the settlement chain.

    For example:

        hansa committee status --home .hansa-testnet/node0
    """
    from rich.console import Console

    from contracts.records import ChainError, Refused
    from validator.committee_report import make_report, render

    try:
        registry = _open(home, rpc)
        report = make_report(registry)
    except (CommandError, ChainError, Refused) as error:
        return _fail(error)
    if as_json:
        print(json.dumps(report.to_plain(), indent=2))
    else:
        Console().print(render(report), highlight=False)
    return 0


@app.command
def stake(
    *,
    home: HomeOption,
    withdraw: Annotated[bool, Parameter(help="Have it paid back, after the unbonding time", negative="")] = False,
    key: KeyOption = None,
    rpc: RpcOption = None,
    as_json: JsonOption = False,
) -> int:
    """Show where the operator's stake is, and have it paid back.

    For example:

        hansa committee stake --home node
        hansa committee stake --home node --withdraw
    """
    from contracts.records import ChainError, Refused
    from validator.committee_report import describe_stake, make_validator_report

    try:
        registry = _open(home, rpc, key)
        number = registry.number_of(registry.sender)
        if number is None:
            raise CommandError(f"0x{registry.sender.hex()} is not registered: `hansa join` does that")
        if withdraw:
            registry.withdraw_stake()
        report = make_validator_report(registry, number, None, None)
        words = describe_stake(report, registry.unbonding_s(), registry.block_time_s())
    except (CommandError, ChainError, Refused) as error:
        return _fail(error)
    print(json.dumps({**asdict(report), "words": words}, indent=2) if as_json else words)
    return 0


def _open(home: Path, rpc: str | None, key: Path | None = None) -> "Registry":
    """As the operator's account sees it, or that of another key file."""
    from contracts.registry import Registry
    from contracts.settlement import Settlement
    from validator.config import ConfigError, Home, load_network, load_node
    from validator.keys import load_operator_key, read_key_file

    place = Home(home)
    try:
        network, node = load_network(place.genesis), load_node(place.config)
        operator = load_operator_key(place.keys) if key is None else read_key_file(key)
    except ConfigError as error:
        raise CommandError(str(error)) from None
    if rpc is None and not node.rpc_urls:
        raise CommandError(f"{place.config} names no rpc_urls: add one, or pass --rpc")
    url = rpc or node.rpc_urls[0]
    return Registry(url, Settlement(url, network.contract).registry(), operator)


def _send_join(applicant: "Applicant") -> list[str]:
    """What is not done yet; a word for each transaction."""
    from contracts.records import ValidatorState

    registry, candidate = applicant.registry, applicant.candidate
    done, number = [], registry.number_of(candidate.operator)
    if number is None:
        result = registry.register(candidate.bls_key, candidate.prove_possession(registry), candidate.network_key)
        number = registry.number_of(candidate.operator)
        done.append(f"registered as number {number}: transaction 0x{result.tx_hash.hex()}, gas {result.gas_used}")
    elif registry.standing(number).state in (ValidatorState.LEAVING, ValidatorState.UNBONDING, ValidatorState.GONE):
        result = registry.rejoin()
        done.append(f"number {number} comes again: transaction 0x{result.tx_hash.hex()}, gas {result.gas_used}")
    if number != applicant.node.index:
        done.append(f"somebody was faster: write index = {number} into config.toml and restart the node")
    if number is not None and registry.advertised_address(number) != applicant.advertised:
        result = registry.advertise(applicant.advertised)
        done.append(f"told the others {applicant.advertised}: transaction 0x{result.tx_hash.hex()}")
    return done or ["nothing to do: it has joined"]


def _print_checks(checks: "list[Check]", done: list[str], as_json: bool) -> None:
    if as_json:
        print(json.dumps({"checks": [asdict(check) for check in checks], "done": done}, indent=2))
        return
    for check in checks:
        print(f"{'ok' if check.is_ok else 'NO':4}{check.name:12}{check.words}")
    for words in done:
        print(words)


def _fail(error: Exception) -> int:
    print(f"hansa: {error}", file=sys.stderr)
    return EXIT_USAGE if isinstance(error, CommandError) else EXIT_FAILED
