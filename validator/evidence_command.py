"""`hansa evidence`: what proofs of faults there are, what they prove, and bringing them to the court by hand.

Everything is checked again here, from the committee's keys in genesis.toml; neither a node nor a file is believed.
"""

import dataclasses
import json
import sqlite3
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import cyclopts
from cyclopts import Parameter

from consensus.messages import DecodeError, encode_message

if TYPE_CHECKING:
    from contracts.court import Court
    from validator.config import NetworkConfig
    from validator.evidence_report import CaseReport, CourtReport

app = cyclopts.App(
    name="evidence",
    help="Proofs that committee members signed contradicting statements: list, show, submit.",
)
EXIT_FAILED = 1
EXIT_USAGE = 2

HomeOption = Annotated[Path | None, Parameter(help="A node's folder: its evidence, genesis.toml and RPC endpoint")]
UrlOption = Annotated[str | None, Parameter(help="A node's API, asked for its evidence")]
GenesisOption = Annotated[Path | None, Parameter(help="genesis.toml with the committee's keys; --home has its own")]
RpcOption = Annotated[str | None, Parameter(help="Settlement chain endpoint, to ask the court; --home has its own")]
JsonOption = Annotated[bool, Parameter(name="--json", help="Print JSON", negative="")]


class CommandError(Exception):
    """What is wrong with the call, and what to do."""


@app.command(name="list")
def list_cases(
    *, home: HomeOption = None, url: UrlOption = None, genesis: GenesisOption = None, rpc: RpcOption = None,
    as_json: JsonOption = False,
) -> int:  # fmt: skip
    """List the cases that a node has found or been told.

    For example:

        hansa evidence list --home .hansa-testnet/node0
        hansa evidence list --url http://127.0.0.1:8645 --genesis genesis.toml --json
    """
    return _run(None, home, url, genesis, rpc, as_json, is_list=True)


@app.command
def show(
    file: Annotated[Path | None, Parameter(help="A file with one piece of evidence, bytes or hexadecimal text")] = None,
    *, home: HomeOption = None, url: UrlOption = None, genesis: GenesisOption = None, rpc: RpcOption = None,
    as_json: JsonOption = False,
) -> int:  # fmt: skip
    """Show evidence in full: type, culprits and their keys, both statements, whether the signatures are right, and
    whether the court knows.

    Exits 1 if something shown proves nothing.

    For example:

        hansa evidence show --home .hansa-testnet/node0
        hansa evidence show case.hex --genesis genesis.toml --rpc http://127.0.0.1:8545 --json
    """
    return _run(file, home, url, genesis, rpc, as_json, is_list=False)


@app.command
def find(
    *homes: Annotated[Path, Parameter(help="Folders of nodes, running or not; their records are compared")],
    genesis: GenesisOption = None,
    rpc: RpcOption = None,
    last: Annotated[int, Parameter(help="How many certificates of each node to look at")] = 100_000,
    save: Annotated[Path | None, Parameter(help="Write what proves something there, one file a case")] = None,
    as_json: JsonOption = False,
) -> int:
    """Search the records of several nodes for contradictions, such as after a fork, when no node holds both halves.

    For example:

        hansa evidence find .hansa-testnet/node0 .hansa-testnet/node1 --save cases
    """
    from validator.evidence_search import search

    try:
        if not homes:
            raise CommandError("name the folder of at least one node")
        network = _read_network(homes[0], genesis)
        pieces = [encode_message(found) for found in search(list(homes), len(network.validators), last)]
        reports = _make_reports(pieces, network, rpc or _find_rpc(homes[0]))
    except sqlite3.OperationalError as error:
        return _fail(CommandError(f"{error}: is each folder that of a node that has run?"))
    except CommandError as error:
        return _fail(error)
    proven = [report for report in reports if not report.fault]
    if save is not None:
        save.mkdir(parents=True, exist_ok=True)
        for report in proven:
            (save / f"{report.type}-view{report.view}-{report.key[:12]}.hex").write_text(report.evidence + "\n")
    _print_reports(reports, as_json, is_list=True)
    return 0


@app.command
def submit(
    file: Annotated[Path, Parameter(help="A file with one piece of evidence, bytes or hexadecimal text")],
    *,
    rpc: Annotated[str, Parameter(help="Settlement chain endpoint")],
    genesis: Annotated[Path, Parameter(help="genesis.toml, which names the court")],
    key: Annotated[Path, Parameter(help="File with the secret key of the account that pays the gas, hexadecimal")],
) -> int:
    """Bring evidence to the court. Anyone may; a case that is known already costs little and changes nothing.

    For example:

        hansa evidence submit case.hex --rpc http://127.0.0.1:8545 --genesis genesis.toml --key operator.key
    """
    try:
        return _submit(file, rpc, genesis, key)
    except CommandError as error:
        return _fail(error)


def _run(
    file: Path | None, home: Path | None, url: str | None, genesis: Path | None, rpc: str | None, as_json: bool,
    is_list: bool,
) -> int:  # fmt: skip
    try:
        reports = _make_reports(_read_pieces(file, home, url), _read_network(home, genesis), rpc or _find_rpc(home))
    except CommandError as error:
        return _fail(error)
    _print_reports(reports, as_json, is_list)
    return EXIT_FAILED if any(report.fault for report in reports) and not is_list else 0


def _make_reports(pieces: list[bytes], network: "NetworkConfig", rpc: str | None) -> "list[CaseReport]":
    from validator.evidence_report import make_report

    try:
        reports = [make_report(data, network) for data in pieces]
    except DecodeError as error:
        advice = "expected what `show --json` prints as `evidence`"
        raise CommandError(f"this is no evidence ({error}): {advice}") from None
    if rpc is None or not network.court:
        return reports
    return [dataclasses.replace(report, court=_ask_court(report, rpc, network.court)) for report in reports]


def _print_reports(reports: "list[CaseReport]", as_json: bool, is_list: bool) -> None:
    from rich.console import Console

    from validator.evidence_report import render_case, render_list, report_to_json

    console = Console(soft_wrap=not is_list)
    if as_json:
        print(json.dumps([report_to_json(report) for report in reports], indent=2))
    elif not reports:
        console.print("no evidence")
    elif is_list:
        console.print(render_list(reports))
    else:
        for report in reports:
            console.print(render_case(report))


def _fail(error: CommandError) -> int:
    print(f"hansa: {error}", file=sys.stderr)
    return EXIT_USAGE


def read_file(path: Path) -> bytes:
    """Evidence as bytes or as hexadecimal text. Raises `CommandError`."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}") from None
    try:
        return bytes.fromhex(data.decode("ascii").strip().removeprefix("0x"))
    except ValueError:
        return data


def _read_pieces(file: Path | None, home: Path | None, url: str | None) -> list[bytes]:
    if file is not None:
        return [read_file(file)]
    if url is not None:
        return _ask_node(url)
    if home is None:
        raise CommandError("say what to look at: a file, --home DIR or --url URL")
    from validator.config import Home
    from validator.store import Store

    path = Home(home).data / "blocks.sqlite"
    try:
        store = Store(path, is_read_only=True)
        pieces = [data for _, data, _ in store.evidence()]
        store.close()
    except sqlite3.OperationalError as error:
        raise CommandError(f"{path} cannot be read ({error}): is --home the folder of a node that has run?") from None
    return pieces


def _ask_node(url: str) -> list[bytes]:
    import httpx

    try:
        answer = httpx.get(f"{url.rstrip('/')}/api/v2/public/x_get_evidence", timeout=10).json()
        return [bytes.fromhex(entry["evidence"].removeprefix("0x")) for entry in answer["result"]]
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        raise CommandError(f"no answer from {url}: {error}. Is the node running?") from None


def _read_network(home: Path | None, genesis: Path | None) -> "NetworkConfig":
    from validator.config import ConfigError, Home, load_network

    path = genesis or (None if home is None else Home(home).genesis)
    if path is None:
        raise CommandError("give --genesis PATH: the committee's keys in it are needed to check the signatures")
    try:
        return load_network(path)
    except ConfigError as error:
        raise CommandError(str(error)) from None


def _find_rpc(home: Path | None) -> str | None:
    from validator.config import ConfigError, Home, load_node

    try:
        return None if home is None else load_node(Home(home).config).rpc_urls[0]
    except (ConfigError, IndexError):
        return None


def _ask_court(report: "CaseReport", rpc: str, address: str) -> "CourtReport | None":
    """None, with a word on stderr, when the chain does not answer: the rest of the report stands without it."""
    from contracts.court import Court
    from contracts.records import ChainError, Refused
    from validator.evidence_report import CourtReport

    if not report.key:
        return None
    try:
        court = Court(rpc, address)
        culprits = [culprit.index for culprit in report.culprits]
        told = [known for known in court.convictions() if (known.epoch, known.view) == (report.epoch, report.view)]
        transaction = next((known.tx_hash.hex() for known in told if known.member in culprits), None)
        guilty = [member for member in culprits if court.is_culprit(report.epoch, member)]
        return CourtReport(court.is_decided(bytes.fromhex(report.key)), guilty, transaction)
    except (ChainError, Refused) as error:
        print(f"hansa: the court was not asked: {error}", file=sys.stderr)
        return None


def _submit(file: Path, rpc: str, genesis: Path, key: Path) -> int:
    from contracts.court import Court
    from contracts.records import ChainError, Refused
    from validator.evidence_report import make_report, pair_of
    from validator.prosecutor import make_statement

    network = _read_network(None, genesis)
    if not network.court:
        raise CommandError(f"{genesis} names no court: this network takes no evidence on chain")
    try:
        report = make_report(read_file(file), network)
        secret = bytes.fromhex(key.read_text().strip().removeprefix("0x"))
    except (OSError, ValueError) as error:
        raise CommandError(str(error)) from None
    if report.fault:
        raise CommandError(f"{file} proves nothing: {report.fault}. The court would refuse it")
    evidence = pair_of(report)
    try:
        court = Court(rpc, network.court, secret)
        if court.is_decided(bytes.fromhex(report.key)):
            print("the court has decided this case before")
            _slash(court, report)
            return 0
        result = court.submit(report.epoch, make_statement(evidence.first), make_statement(evidence.second))
    except (ChainError, Refused, ValueError) as error:
        print(f"hansa: not submitted: {error}", file=sys.stderr)
        return EXIT_FAILED
    culprits = ", ".join(f"member {culprit.index} ({culprit.operator})" for culprit in report.culprits)
    print(f"convicted: {culprits}; transaction 0x{result.tx_hash.hex()}, gas {result.gas_used}")
    try:
        _slash(court, report)
    except (ChainError, Refused) as error:
        print(f"hansa: convicted, but the stake was not taken: {error}; run this again", file=sys.stderr)
        return EXIT_FAILED
    return 0


def _slash(court: "Court", report: "CaseReport") -> None:
    """Take the stakes that nobody has taken yet; the caller gets the reporter's part."""
    for culprit in report.culprits:
        if not court.is_jailed(report.epoch, culprit.index):
            result = court.slash(report.epoch, culprit.index)
            print(f"took the stake of member {culprit.index}: transaction 0x{result.tx_hash.hex()}")
