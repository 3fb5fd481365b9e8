"""What the trader's commands share: which nodes, which account, which key, how to show, and what they exit with.

Exit codes: 0 done, 1 refused by the exchange (or its answer does not hold), 2 a wrong call, 3 no node answers.
"""

import dataclasses
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from cyclopts import Parameter

if TYPE_CHECKING:
    from rich.console import RenderableType

    from net.client import Client, HansaError

T = TypeVar("T")
EXIT_DONE, EXIT_REFUSED, EXIT_USAGE, EXIT_UNREACHABLE = range(4)
DEFAULT_URL = "http://127.0.0.1:8645"
KEY_VARIABLE = "HANSA_KEY"


class UsageError(Exception):
    """What is wrong with the call, and what to do."""


@Parameter(name="*")
@dataclass(frozen=True)
class Terms:
    """Options of every command that talks to nodes."""

    url: Annotated[
        str, Parameter(env_var="HANSA_URL", help="A node's API; several with commas: the first that answers")
    ] = DEFAULT_URL
    account: Annotated[
        str | None,
        Parameter(env_var="HANSA_ACCOUNT", help="ADDRESS or ADDRESS/SUBACCOUNT; default: the key's own, subaccount 0"),
    ] = None
    key: Annotated[
        str | None,
        Parameter(env_var="HANSA_KEYSTORE", help="Name or file of the key that signs; without it the hex in HANSA_KEY"),
    ] = None
    as_json: Annotated[bool, Parameter(name="--json", help="Print JSON", negative="")] = False

    @property
    def urls(self) -> list[str]:
        return [url.strip().rstrip("/") for url in self.url.split(",") if url.strip()]

    @property
    def subaccount(self) -> int:
        digits = (self.account or "").partition("/")[2]
        if digits and not (digits.isascii() and digits.isdigit()):
            raise UsageError(f"{self.account!r} is no account: write ADDRESS or ADDRESS/SUBACCOUNT")
        return int(digits or 0)

    @property
    def owner(self) -> str | None:
        return (self.account or "").partition("/")[0] or None

    def client(self, *, is_signing: bool = False) -> "Client":
        """With the key only for what is signed: reading asks nobody for a passphrase, unless only the key says who."""
        from net.client import Client

        needs_key = is_signing or self.owner is None
        return Client(self.urls, self._find_key() if needs_key else None, owner=self.owner, subaccount=self.subaccount)

    def reader(self) -> "Client":
        """For what belongs to nobody."""
        from net.client import Client

        return Client(self.urls, owner=self.owner, subaccount=self.subaccount)

    def _find_key(self) -> str:
        from validator.cli.keyring import open_key

        if self.key is not None:
            return open_key(self.key)
        secret = os.environ.get(KEY_VARIABLE)
        if not secret:
            raise UsageError("no key: `hansa key new NAME` makes one; then say --key NAME or set HANSA_KEYSTORE=NAME")
        return secret


HERE = Terms()
TRADERS = "For traders"


def run(
    terms: Terms, ask: "Callable[[Client], T]", show: "Callable[[T], RenderableType]", *, is_signing: bool = False,
    is_public: bool = False,
) -> int:  # fmt: skip
    """Ask, show the answer as a table or as JSON, and say what went wrong in one sentence."""
    return guard(terms, lambda: _ask(terms, ask, show, is_signing, is_public))


def _ask(
    terms: Terms, ask: "Callable[[Client], T]", show: "Callable[[T], RenderableType]", is_signing: bool, is_public: bool
) -> None:
    with terms.reader() if is_public else terms.client(is_signing=is_signing) as client:
        answer = ask(client)
    if terms.as_json:
        print_json(answer)
    else:
        from rich.console import Console

        Console().print(show(answer))


def guard(terms: Terms, work: Callable[[], None]) -> int:
    """The exit code of `work`; every failure that has a name becomes a sentence on stderr."""
    from engine.units import UnitError
    from net.client import HansaError, OutcomeUnknown, ProofError
    from validator.config import ConfigError

    try:
        work()
        sys.stdout.flush()
    except BrokenPipeError:  # `hansa trades ... | head` ends quietly
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OutcomeUnknown as error:
        say(f"no answer from {', '.join(terms.urls)}: {error.message}. Is the node running?")
        return EXIT_UNREACHABLE
    except HansaError as error:
        if terms.as_json and error.code:
            print_json({"error": {"code": error.code, "message": error.message, "hint": error.hint}})
        say(describe(error))
        return EXIT_REFUSED if error.code else EXIT_USAGE
    except ProofError as error:
        say(f"the node's proof does not hold: {error}")
        return EXIT_REFUSED
    except (UnitError, UsageError, ConfigError, ValueError) as error:
        say(str(error))
        return EXIT_USAGE
    except KeyboardInterrupt:
        return EXIT_DONE
    return EXIT_DONE


def describe(error: "HansaError") -> str:
    """One line for people."""
    number = f"refused, code {error.code}: " if error.code else ""
    return number + error.message + (f" ({error.hint})" if error.hint else "")


def say(text: str) -> None:
    """To people."""
    print(f"hansa: {text}", file=sys.stderr)


def print_json(answer: object) -> None:
    print(json.dumps(to_json(answer), indent=2))


def to_json(value: Any) -> Any:
    """Records as objects, decimals as text."""
    if isinstance(value, Exception):
        return {"code": getattr(value, "code", 0), "message": getattr(value, "message", str(value))}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(name): to_json(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, bytes):
        return "0x" + value.hex()
    return value.name.lower() if isinstance(value, Enum) else value
