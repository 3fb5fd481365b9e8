"""`hansa council`: what operators of the committee decide about the custody, and how they vote.

Votes are transactions of the operator's own account. The key is that of a node's home, or one that is kept elsewhere.
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import cyclopts
from cyclopts import Parameter

if TYPE_CHECKING:
    from contracts.council import Council, Kind, PauseState, Proposal
    from contracts.registry import Registry

app = cyclopts.App(
    name="council",
    help="Votes of the committee's operators: pause withdrawal claims, change engine version, outflow caps and tokens.",
)
# A new token's setting has its outflow cap in the lowest 64 bits.
CAP_MASK = 2**64 - 1
EXIT_FAILED = 1
EXIT_USAGE = 2

HomeOption = Annotated[Path | None, Parameter(help="A node's folder: its genesis.toml, RPC endpoint and operator key")]
RpcOption = Annotated[str | None, Parameter(help="Settlement chain endpoint; --home has its own")]
ContractOption = Annotated[str | None, Parameter(help="Address of the settlement contract; --home has its own")]
KeyOption = Annotated[
    Path | None, Parameter(help="File with the operator's secret key, hexadecimal; --home has its own")
]
JsonOption = Annotated[bool, Parameter(name="--json", help="Print JSON", negative="")]
NumberArgument = Annotated[int, Parameter(help="The proposal's number, as `hansa council status` tells it")]


class CommandError(Exception):
    """What is wrong with the call, and what to do."""


@dataclass(frozen=True, slots=True)
class Chamber:
    """The council and the registry of one network; they send where there is a key."""

    council: "Council"
    registry: "Registry"

    def seat(self) -> int:
        """The caller's index in the current committee. Raises `CommandError` if it is no member."""
        epoch = self.registry.epoch()
        for member in self.registry.committee(epoch):
            if member.operator == self.council.sender:
                return member.index
        account = "0x" + self.council.sender.hex()
        raise CommandError(f"{account} is no operator of the committee of epoch {epoch}: only they vote")


@app.command
def status(
    *, home: HomeOption = None, rpc: RpcOption = None, contract: ContractOption = None, as_json: JsonOption = False,
) -> int:  # fmt: skip
    """Show whether claims are paused, who has voted, and all proposals with what can be done about them.

    For example:

        hansa council status --home .hansa-testnet/node0
        hansa council status --rpc http://127.0.0.1:8545 --contract 0x5FbDB2315678afecb367f032d93F642f64180aa3 --json
    """

    def show(chamber: Chamber) -> None:
        report = _make_report(chamber.council)
        if as_json:
            print(json.dumps(report, indent=2))
        else:
            _print_report(report)

    return _run(show, home, rpc, contract, None, needs_key=False)


@app.command
def pause(
    *, home: HomeOption = None, rpc: RpcOption = None, contract: ContractOption = None, key: KeyOption = None
) -> int:
    """Vote for a pause of withdrawal claims: for when the committee has signed what it should not have.

    With the vote of the f+1st operator the pause begins. Deposits, checkpoints, escapes and refunds go on.

    For example:

        hansa council pause --home .hansa-testnet/node0
    """

    def vote(chamber: Chamber) -> None:
        chamber.council.pause(chamber.seat())
        state = chamber.council.pause_state()
        print(_describe_pause(state, chamber.council.now_s()))

    return _run(vote, home, rpc, contract, key)


propose = cyclopts.App(name="propose", help="Put a change up for approval, and approve it.")
app.command(propose)


@propose.command(name="engine")
def propose_engine(
    version: Annotated[int, Parameter(help="Newest engine version whose headers are to be accepted")],
    *, home: HomeOption = None, rpc: RpcOption = None, contract: ContractOption = None, key: KeyOption = None,
) -> int:  # fmt: skip
    """Propose a newer engine version.

    For example:

        hansa council propose engine 2 --home .hansa-testnet/node0
    """
    return _propose("ENGINE_VERSION", "0x" + "00" * 20, version, home, rpc, contract, key)


@propose.command(name="cap")
def propose_cap(
    token: Annotated[str, Parameter(help="Address of the collateral token")],
    units: Annotated[int, Parameter(help="What may be claimed in 24 hours, in units of the token")],
    *, home: HomeOption = None, rpc: RpcOption = None, contract: ContractOption = None, key: KeyOption = None,
) -> int:  # fmt: skip
    """Propose another outflow cap: at most twice, at least half of the present one.

    For example:

        hansa council propose cap 0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512 2000000000000 --home .hansa-testnet/node0
    """
    return _propose("OUTFLOW_CAP", token, units, home, rpc, contract, key)


@propose.command(name="token")
def propose_token(
    token: Annotated[str, Parameter(help="Address of a plain ERC-20, without fees or rebasing")],
    units: Annotated[int, Parameter(help="Its outflow cap: what may be claimed in 24 hours, in its units")],
    market: Annotated[int, Parameter(help="Number of its spot market on the exchange")],
    units_per_lot: Annotated[int, Parameter(help="Units of the token in one lot of that market")],
    *, home: HomeOption = None, rpc: RpcOption = None, contract: ContractOption = None, key: KeyOption = None,
) -> int:  # fmt: skip
    """Propose one more collateral token. It can never be removed.

    For example:

        hansa council propose token 0x9fE46736679d2D9a65F0992F2272dE9f3c7fa6e0 1000000000000 5 1000 --home node0
    """
    from contracts.deployment import CollateralToken

    setting = CollateralToken(token, market, units_per_lot, units).setting()
    return _propose("ADD_TOKEN", token, setting, home, rpc, contract, key)


@app.command
def approve(
    number: NumberArgument,
    *, home: HomeOption = None, rpc: RpcOption = None, contract: ContractOption = None, key: KeyOption = None,
) -> int:  # fmt: skip
    """Approve a proposal; with the last vote of a quorum its exit window begins.

    For example:

        hansa council approve 0 --home .hansa-testnet/node1
    """
    return _vote_on(number, "approve", home, rpc, contract, key)


@app.command
def veto(
    number: NumberArgument,
    *, home: HomeOption = None, rpc: RpcOption = None, contract: ContractOption = None, key: KeyOption = None,
) -> int:  # fmt: skip
    """Vote against a proposal, approved or not; f+1 votes end it.

    For example:

        hansa council veto 0 --home .hansa-testnet/node2
    """
    return _vote_on(number, "veto", home, rpc, contract, key)


@app.command
def execute(
    number: NumberArgument,
    *, home: HomeOption = None, rpc: RpcOption = None, contract: ContractOption = None, key: KeyOption = None,
) -> int:  # fmt: skip
    """Carry out an approved proposal after its exit window. Anyone may.

    For example:

        hansa council execute 0 --home .hansa-testnet/node3
    """
    return _vote_on(number, "execute", home, rpc, contract, key)


def _propose(
    kind: str, target: str, setting: int, home: Path | None, rpc: str | None, contract: str | None, key: Path | None
) -> int:
    def put(chamber: Chamber) -> None:
        from contracts.council import Kind
        from validator.config import address_bytes

        number = chamber.council.propose(chamber.seat(), Kind[kind], address_bytes(target), setting)
        print(_describe_proposal(chamber.council, number))

    return _run(put, home, rpc, contract, key)


def _vote_on(number: int, verb: str, home: Path | None, rpc: str | None, contract: str | None, key: Path | None) -> int:
    def vote(chamber: Chamber) -> None:
        if verb == "execute":
            chamber.council.execute(number)
        elif verb == "veto":
            chamber.council.veto(chamber.seat(), number)
        else:
            chamber.council.approve(chamber.seat(), number)
        print(_describe_proposal(chamber.council, number))

    return _run(vote, home, rpc, contract, key)


def _run(
    act: Callable[[Chamber], None], home: Path | None, rpc: str | None, contract: str | None, key: Path | None,
    needs_key: bool = True,
) -> int:  # fmt: skip
    from contracts.records import ChainError, Refused
    from validator.config import ConfigError

    try:
        act(_open(home, rpc, contract, key, needs_key))
    except (CommandError, ConfigError, ValueError) as error:
        print(f"hansa: {error}", file=sys.stderr)
        return EXIT_USAGE
    except (ChainError, Refused) as error:
        print(f"hansa: {error}", file=sys.stderr)
        return EXIT_FAILED
    return 0


def _open(home: Path | None, rpc: str | None, contract: str | None, key: Path | None, needs_key: bool) -> Chamber:
    from contracts.council import Council
    from contracts.registry import Registry
    from contracts.settlement import Settlement
    from validator.config import Home, load_network, load_node

    if home is None and (rpc is None or contract is None or (needs_key and key is None)):
        raise CommandError("say which network: --home DIR, or --rpc, --contract" + (" and --key" if needs_key else ""))
    if home is not None:
        place = Home(home)
        rpc = rpc or load_node(place.config).rpc_urls[0]
        contract = contract or load_network(place.genesis).contract
        locked = place.keys / "operator.json"
        key = key or (locked if locked.exists() else place.keys / "operator.key")
    assert rpc is not None and contract is not None
    secret = _read_key(key) if needs_key and key is not None else None
    settlement = Settlement(rpc, contract)
    if settlement.council() == bytes(20):
        raise CommandError("this network was founded without a council: nothing pauses, nothing changes")
    return Chamber(Council(rpc, settlement.council(), secret), Registry(rpc, settlement.registry(), secret))


def _read_key(path: Path) -> bytes:
    from validator.config import ConfigError
    from validator.keys import read_key_file

    try:
        return read_key_file(path)
    except (ConfigError, OSError) as error:
        raise CommandError(f"the operator's secret key: {error}") from None


# ---------------------------------------------------------------- words


def _make_report(council: "Council") -> dict[str, Any]:
    now_s, exit_window_s = council.now_s(), council.exit_window_s()
    few, quorum = council.thresholds()
    pause_state = council.pause_state()
    return {
        "now_s": now_s,
        "is_paused": pause_state.is_paused,
        "pause": _describe_pause(pause_state, now_s),
        "pause_votes": list(pause_state.voters),
        "needed_to_pause_or_veto": few,
        "needed_to_approve": quorum,
        "pause_s": council.pause_s(),
        "cooldown_s": council.cooldown_s(),
        "exit_window_s": exit_window_s,
        "proposals": [
            _report_proposal(council.proposal(number), now_s, exit_window_s)
            for number in range(council.proposal_count())
        ],
    }


def _report_proposal(proposal: "Proposal", now_s: int, exit_window_s: int) -> dict[str, Any]:
    return {
        "number": proposal.number,
        "what": _describe_change(proposal.kind, proposal.target, proposal.setting),
        "stage": proposal.stage(now_s, exit_window_s).value,
        "approved_by_seats": list(proposal.approvers),
        "vetoed_by_seats": list(proposal.opponents),
        "executable_from_s": proposal.approved_s + exit_window_s if proposal.approved_s else None,
    }


def _describe_change(kind: "Kind", target: bytes, setting: int) -> str:
    names = {
        1: f"engine version {setting}",
        2: f"outflow cap of 0x{target.hex()}: {setting:,} units a day",
        3: f"new collateral 0x{target.hex()}, outflow cap {setting & CAP_MASK:,} units a day",
    }
    return names[int(kind)]


def _describe_pause(state: "PauseState", now_s: int) -> str:
    if state.is_paused:
        return f"claims are paused until {_clock(state.until_s)}"
    if now_s < state.pausable_from_s:
        return f"claims are paid; no pause before {_clock(state.pausable_from_s)}"
    return f"claims are paid; {len(state.voters)} of {state.few} votes for a pause"


def _describe_proposal(council: "Council", number: int) -> str:
    exit_window_s = council.exit_window_s()
    report = _report_proposal(council.proposal(number), council.now_s(), exit_window_s)
    _, quorum = council.thresholds()
    line = f"proposal {number}: {report['what']}; {report['stage']}, {len(report['approved_by_seats'])} of {quorum}"
    executable_from_s = report["executable_from_s"]
    return line + (f"; executable from {_clock(executable_from_s)}" if executable_from_s else "")


def _clock(moment_s: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(moment_s))


def _print_report(report: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    console.print(report["pause"], highlight=False)
    if not report["proposals"]:
        console.print("no proposals")
        return
    table = Table("number", "change", "stage", "approved by", "vetoed by")
    for row in report["proposals"]:
        seats = [", ".join(map(str, row[name])) for name in ("approved_by_seats", "vetoed_by_seats")]
        table.add_row(str(row["number"]), row["what"], row["stage"], *seats)
    console.print(table)
