"""`hansa key`: make, import, list and show the keys that sign."""

import getpass
import sys
from typing import Annotated

import cyclopts
from cyclopts import Parameter

from validator.cli.terms import TRADERS, Terms, UsageError, guard, print_json

app = cyclopts.App(name="key", group=TRADERS, help="Keys that sign, in encrypted files that any Ethereum wallet opens.")
JsonOption = Annotated[bool, Parameter(name="--json", help="Print JSON", negative="")]


@app.command
def new(name: str, *, as_json: JsonOption = False) -> int:
    """Make a key. Its passphrase is asked for, or read from the file that HANSA_PASSPHRASE_FILE names.

    For example:

        hansa key new main
    """
    from coincurve import PrivateKey

    return guard(Terms(as_json=as_json), lambda: _save(name, PrivateKey().secret, as_json))


@app.command(name="import")
def import_(name: str, *, as_json: JsonOption = False) -> int:
    """Keep a key that you have: its 32 bytes in hexadecimal are asked for, or read from stdin.

    For example:

        hansa key import trader < trader.hex
    """
    return guard(Terms(as_json=as_json), lambda: _save(name, _read_secret(), as_json))


@app.command(name="list")
def list_(*, as_json: JsonOption = False) -> int:
    """Names and addresses; needs no passphrase."""

    def show() -> None:
        from rich.console import Console

        from validator.cli import shown
        from validator.cli.keyring import list_keys

        keys = list_keys()
        if as_json:
            print_json(keys)
        else:
            Console().print(shown.rows(("name", "address"), keys.items()))

    return guard(Terms(as_json=as_json), show)


@app.command
def show(
    name: str,
    *,
    secret: Annotated[bool, Parameter(help="The key itself, too: whoever reads it owns the account")] = False,
    as_json: JsonOption = False,
) -> int:
    """Where a key is and which address it has."""

    def tell() -> None:
        from validator.cli.keyring import find_file, open_key, read_address

        path = find_file(name)
        facts = {"name": name, "address": read_address(path), "file": str(path)}
        if secret:
            facts["secret"] = open_key(name)
        _tell(facts, as_json)

    return guard(Terms(as_json=as_json), tell)


def _save(name: str, secret: bytes, as_json: bool) -> None:
    from validator.cli.keyring import read_address, save_key

    path = save_key(name, secret)
    _tell({"name": name, "address": read_address(path), "file": str(path)}, as_json)


def _tell(facts: dict[str, str], as_json: bool) -> None:
    if as_json:
        print_json(facts)
    else:
        print("\n".join(f"{name:8} {value}" for name, value in facts.items()))


def _read_secret() -> bytes:
    from coincurve import PrivateKey

    text = getpass.getpass("key in hexadecimal: ") if sys.stdin.isatty() else sys.stdin.read()
    try:
        return PrivateKey(bytes.fromhex(text.strip().removeprefix("0x"))).secret
    except ValueError:
        raise UsageError("this is no private key: 32 bytes in hexadecimal, not zero") from None
