"""`hansa force`: cancel, close, withdraw and admit keys by way of the settlement contract, with no validator's consent.

Needs an endpoint of the settlement chain, the contract's address and the owner's key; no node has to be alive.
stdout: JSON. stderr: what it means.
"""

import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import cyclopts
from cyclopts import Parameter
from cyclopts.validators import Number

if TYPE_CHECKING:
    from contracts.forced import EntryStatus, ForcedAction, ForcedActions

app = cyclopts.App(
    name="force",
    help="Act on your account by way of the settlement contract, when validators ignore you: no node is needed.",
)
EXIT_FAILED = 1
EXIT_USAGE = 2
KINDS = {1: "deposit", 2: "cancel", 3: "close", 4: "withdraw", 5: "key"}
SCOPES = {"trade": 1, "cancel": 2, "transfer": 4}
ALL_MARKETS = 0xFFFFFFFF
LOTS_LIMIT = 1 << 62
QUOTE_DECIMALS = 6

RpcOption = Annotated[str, Parameter(help="An endpoint of the settlement chain")]
ContractOption = Annotated[str, Parameter(help="Address of the settlement contract")]
KeyOption = Annotated[Path, Parameter(help="File with the owner's secret key, hexadecimal; it also pays the gas")]
NOT_NEGATIVE = Number(gte=0)
SubaccountOption = Annotated[int, Parameter(help="Which of the owner's accounts", validator=NOT_NEGATIVE)]
MARKET_HELP = "Number of the market, as `public/x_get_domain` and genesis.toml count them from 0"


class CommandError(Exception):
    """What is wrong with the call, and what to do."""


@app.command
def cancel(
    *, rpc: RpcOption, contract: ContractOption, key: KeyOption, subaccount: SubaccountOption = 0,
    market: Annotated[int | None, Parameter(help=MARKET_HELP + "; all without it", validator=NOT_NEGATIVE)] = None,
) -> int:  # fmt: skip
    """Cancel all orders, triggers and offers.

    For example:

        hansa force cancel --rpc http://127.0.0.1:8545 --contract 0x5FbD... --key owner.key
    """
    number = ALL_MARKETS if market is None else market
    return _send(rpc, contract, key, lambda forced: forced.cancel(subaccount, number))


@app.command
def close(
    *, rpc: RpcOption, contract: ContractOption, key: KeyOption, subaccount: SubaccountOption = 0,
    market: Annotated[int, Parameter(help=MARKET_HELP, validator=NOT_NEGATIVE)],
    lots: Annotated[int, Parameter(help="At most so many; the whole position without it", validator=NOT_NEGATIVE)] = 0,
    limit: Annotated[
        int, Parameter(help="Worst price in ticks; without it the band's edge", validator=NOT_NEGATIVE)
    ] = 0,
) -> int:  # fmt: skip
    """Reduce a position at once, at what the book offers. What finds nobody to trade with is dropped.

    For example:

        hansa force close --market 0 --rpc http://127.0.0.1:8545 --contract 0x5FbD... --key owner.key
    """
    return _send(rpc, contract, key, lambda forced: forced.close(subaccount, market, lots, limit))


@app.command
def withdraw(
    *, rpc: RpcOption, contract: ContractOption, key: KeyOption, subaccount: SubaccountOption = 0,
    amount_text: Annotated[str | None, Parameter(name="--amount", help="Decimal; all that is free without it")] = None,
    token: Annotated[str | None, Parameter(help="Address of a collateral token; USDC without it")] = None,
) -> int:  # fmt: skip
    """Withdraw to the owner. Money that positions need is not to be had: close them first, in the same way.

    For example:

        hansa force withdraw --amount 250.5 --rpc http://127.0.0.1:8545 --contract 0x5FbD... --key owner.key
    """

    def act(forced: "ForcedActions") -> "ForcedAction":
        address = forced.token if token is None else _read_address(token)
        units = 0 if amount_text is None else _to_units(amount_text, forced.decimals(address))
        if amount_text is not None and units == 0:
            raise CommandError("--amount: 0 would mean everything; leave the option out if you mean that")
        return forced.withdraw(subaccount, address, units)

    return _send(rpc, contract, key, act)


@app.command(name="key")
def set_key(
    session: Annotated[str, Parameter(help="Address of the session key")],
    *, rpc: RpcOption, contract: ContractOption, key: KeyOption, subaccount: SubaccountOption = 0,
    scopes: Annotated[str, Parameter(help="Of trade, cancel and transfer, with commas between")] = "trade",
    hours: Annotated[int, Parameter(help="How long it lives, from now", validator=Number(gte=1))] = 24 * 30,
    cap: Annotated[str | None, Parameter(help="Highest value of one order in USDC; any without it")] = None,
    revoke: Annotated[bool, Parameter(help="Take its rights away", negative="")] = False,
) -> int:  # fmt: skip
    """Let a session key sign for the account, or revoke it. No key can withdraw.

    For example:

        hansa force key 0x7099... --scopes trade,cancel --rpc http://127.0.0.1:8545 --contract 0x5FbD... --key owner.key
    """

    def act(forced: "ForcedActions") -> "ForcedAction":
        address = _read_address(session)
        if revoke:
            return forced.set_key(subaccount, address, 0, 0)
        names = [name.strip() for name in scopes.split(",")]
        unknown = [name for name in names if name not in SCOPES]
        if unknown:
            raise CommandError(f"--scopes: no such scope as {unknown[0]!r}; there are {', '.join(SCOPES)}")
        expiry_ms = int((time.time() + hours * 3600) * 1000)
        cap_quote = 0 if cap is None else _to_units(cap, QUOTE_DECIMALS)
        return forced.set_key(subaccount, address, sum({SCOPES[name] for name in names}), expiry_ms, cap_quote)

    return _send(rpc, contract, key, act)


@app.command
def status(
    index: Annotated[int, Parameter(help="Index of the entry, as printed when it was sent", validator=NOT_NEGATIVE)],
    *, rpc: RpcOption, contract: ContractOption,
) -> int:  # fmt: skip
    """Show how far an entry of the inbox has come.

    For example:

        hansa force status 17 --rpc http://127.0.0.1:8545 --contract 0x5FbD...
    """

    def show(forced: "ForcedActions") -> int:
        found = forced.status(index)
        if found.entry is None:
            raise CommandError(f"the inbox has no entry {index} yet: wait for its transaction, or check the index")
        print(json.dumps(describe_status(found), indent=2))
        _say(explain_status(found))
        return 0

    return _run(rpc, contract, None, show)


def describe_status(status: "EntryStatus") -> dict[str, object]:
    """An entry and how far it has come, as JSON."""
    entry = status.entry
    assert entry is not None
    return {
        "index": entry.index, "kind": KINDS.get(entry.kind, str(entry.kind)), "owner": "0x" + entry.sender.hex(),
        "subaccount": entry.subaccount, "amount": entry.amount, "data": "0x" + entry.data.hex(),
        "block": entry.block_number, "due": _show_time(status.due_s), "due_s": status.due_s,
        "is_consumed": status.is_consumed, "is_frozen": status.is_frozen, "can_freeze": status.can_freeze,
        "checkpoint_height": status.checkpoint_height,
    }  # fmt: skip


def explain_status(status: "EntryStatus") -> str:
    """One sentence for people."""
    if status.is_consumed:
        return (
            f"consumed: the checkpoint at height {status.checkpoint_height} or an earlier one holds it."
            " `hansa call public/x_get_inbox owner=ADDRESS` at a node says what became of it."
        )
    if status.is_frozen:
        return "the contract is frozen and this entry has not happened: leave with `hansa escape`"
    if status.can_freeze:
        return "overdue: no checkpoint that leaves it out is accepted, and anyone may freeze: `hansa escape` does it"
    return f"waiting; {status.due_s - status.now_s} s are left to consume it, until {_show_time(status.due_s)}"


def _send(rpc: str, contract: str, key: Path, act: "Callable[[ForcedActions], ForcedAction]") -> int:
    def run(forced: "ForcedActions") -> int:
        sent = act(forced)
        shown = {
            "index": sent.index, "owner": "0x" + forced.owner.hex(), "due": _show_time(sent.due_s),
            "due_s": sent.due_s, "transaction": "0x" + sent.tx_hash.hex(), "gas": sent.gas_used,
        }  # fmt: skip
        print(json.dumps(shown, indent=2))
        _say(
            f"entry {sent.index} of the inbox. A checkpoint must consume it by {_show_time(sent.due_s)}; the exchange"
            " then obeys it, or refuses it by the rule that forbids it.\n"
            "If validators ignore it: after that time none of their checkpoints is accepted, and anyone may freeze the"
            " contract and leave (`hansa escape`).\n"
            f"Follow it with: hansa force status {sent.index} --rpc {rpc} --contract {contract}"
        )
        return 0

    return _run(rpc, contract, key, run)


def _run(rpc: str, contract: str, key: Path | None, act: "Callable[[ForcedActions], int]") -> int:
    """Reach the contract and act; failures become a sentence and an exit status."""
    from contracts.forced import ForcedActions
    from contracts.records import ChainError, Refused

    try:
        address = "0x" + _read_address(contract).hex()
        return act(ForcedActions(rpc, address, None if key is None else _read_secret(key)))
    except CommandError as error:
        print(f"hansa: {error}", file=sys.stderr)
        return EXIT_USAGE
    except Refused as refusal:
        print(f"hansa: the contract refuses: {refusal.reason}", file=sys.stderr)
    except ChainError as error:
        print(f"hansa: {error}", file=sys.stderr)
    return EXIT_FAILED


def _read_address(text: str) -> bytes:
    from validator.config import ConfigError, address_bytes

    try:
        return address_bytes(text)
    except ConfigError as error:
        raise CommandError(str(error)) from None


def _read_secret(path: Path) -> bytes:
    from coincurve import PrivateKey

    try:
        return PrivateKey(bytes.fromhex(path.read_text().strip().removeprefix("0x"))).secret
    except (OSError, ValueError) as error:
        raise CommandError(f"{path} holds no secret key of 64 hexadecimal digits: {error}") from None


def _to_units(text: str, decimals: int) -> int:
    """A decimal amount in the token's units, exactly."""
    try:
        units = Decimal(text).scaleb(decimals)
        whole = int(units)
    except (InvalidOperation, ValueError, OverflowError):
        raise CommandError(f"{text!r} is no decimal number") from None
    if units != whole or not 0 <= whole < LOTS_LIMIT:
        raise CommandError(f"{text} is negative, too large, or finer than {decimals} decimals")
    return whole


def _show_time(moment_s: int) -> str:
    return datetime.fromtimestamp(moment_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _say(text: str) -> None:
    print(text, file=sys.stderr)
