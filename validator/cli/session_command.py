"""`hansa session`: keys that may trade for an account and never withdraw, for programs and for other machines."""

import re
import time
from typing import TYPE_CHECKING, Annotated

import cyclopts
from cyclopts import Parameter

from validator.cli.terms import HERE, TRADERS, Terms, UsageError, guard, print_json, run

if TYPE_CHECKING:
    from rich.console import RenderableType

    from net.client import Client
    from net.client.records import Progress, SessionKey

app = cyclopts.App(
    name="session", group=TRADERS, help="Session keys: they sign for your account within limits, and never withdraw."
)
_SPAN = re.compile(r"([1-9][0-9]{0,5})([smhdw])")
_UNIT_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}


def parse_span_ms(text: str) -> int:
    """Milliseconds of `90m`, `12h`, `30d`, `4w`. Raises `UsageError`."""
    match = _SPAN.fullmatch(text)
    if match is None:
        raise UsageError(f"{text!r} is no span of time: a number and one of s, m, h, d, w, such as 30d")
    return int(match[1]) * _UNIT_MS[match[2]]


@app.command
def new(
    name: str,
    *,
    scope: Annotated[tuple[str, ...], Parameter(help="trade, cancel or transfer; several may be")] = ("trade",),
    expires: Annotated[str, Parameter(help="For how long it may sign: 90m, 12h, 30d, 4w")] = "30d",
    order_cap: Annotated[str, Parameter(help="The most USDC one order may be worth; 0: no limit")] = "0",
    terms: Terms = HERE,
) -> int:
    """Make a key, keep it under NAME, and let it sign for your account.

    Scope trade holds orders and protection, cancel only cancels, transfer moves money between your subaccounts.

    For example:

        hansa session new bot --key main --scope trade --expires 7d --order-cap 50000
    """

    def make() -> None:
        from coincurve import PrivateKey

        from net.client.protocol import Signer
        from validator.cli.keyring import save_key

        valid_until_ms = time.time_ns() // 1_000_000 + parse_span_ms(expires)
        secret = PrivateKey().secret
        with terms.client(is_signing=True) as client:
            path = save_key(name, secret)  # first on disk: a key that is registered and lost would be a pity
            address = Signer.parse(secret.hex(), 0).address
            progress: Progress = client.set_session_key(
                address, scope, valid_until_ms=valid_until_ms, order_cap_usdc=order_cap
            )
            facts = {"name": name, "address": address, "file": str(path), "account": client.owner}
        if terms.as_json:
            print_json(facts | {"valid_until_ms": valid_until_ms, "progress": progress})
        else:
            print("\n".join(f"{fact:8} {value}" for fact, value in facts.items()))
            print(f"it signs with: --key {name} --account {facts['account']}/{terms.subaccount}")

    return guard(terms, make)


@app.command(name="list")
def list_(*, terms: Terms = HERE) -> int:
    """The keys that may sign for your account, and for how long."""
    from validator.cli import shown

    def show(answer: "list[SessionKey]") -> "RenderableType":
        columns = ("key", "scopes", "valid until", "order cap USDC")
        return shown.rows(columns, ((k.address, " ".join(k.scopes), k.valid_until, k.order_cap_usdc) for k in answer))

    return run(terms, lambda client: client.session_keys(), show)


@app.command
def revoke(address: str, *, terms: Terms = HERE) -> int:
    """Take a key's rights away at once. ADDRESS may also be the name of a key that you keep.

    For example:

        hansa session revoke bot --key main
    """
    from validator.cli import shown
    from validator.cli.keyring import find_file, read_address

    def act(client: "Client") -> "Progress":
        named = address if address.startswith("0x") else read_address(find_file(address))
        progress: Progress = client.revoke_session_key(named)
        return progress

    return run(terms, act, shown.progress, is_signing=True)
