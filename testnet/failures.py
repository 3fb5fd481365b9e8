"""What may go wrong with a local network without being a mistake of this program: it is said in one line."""

import signal
from collections.abc import Callable
from typing import TypeVar

import trio
from rich.console import Console

from contracts.records import ChainError, Refused
from net.client import HansaError
from testnet.crash.validators import CrashTestError
from testnet.faults.namespaces import NoNamespaces
from testnet.homes import FolderError
from testnet.launch import LaunchError
from testnet.local import ChildDied, NoPlace

T = TypeVar("T")


class Interrupted(Exception):
    """Somebody wants the run to end; what it has started must not outlive it."""


EXIT_FAILED, EXIT_IMPOSSIBLE = 1, 2
# The options, the folder or the machine do not allow the run.
IMPOSSIBLE = (FolderError, NoNamespaces, NoPlace)
EXPECTED = (
    *IMPOSSIBLE, LaunchError, ChildDied, ChainError, Refused, HansaError, CrashTestError, Interrupted,
    trio.TooSlowError,
)  # fmt: skip


class Failed(Exception):
    """`exit_code` is what the command ends with; the reason was said."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


def attempt(console: Console, what: str, action: Callable[[], T]) -> T:
    """The action's result. Raises `Failed` after saying why it did not come to its end."""
    try:
        return action()
    except (*EXPECTED, BaseExceptionGroup) as error:
        leaf = find_leaf(error)
        if not isinstance(leaf, EXPECTED):
            raise
        console.print(f"{what}: {str(leaf) or repr(leaf)}", markup=False, highlight=False, soft_wrap=True)
        raise Failed(EXIT_IMPOSSIBLE if isinstance(leaf, IMPOSSIBLE) else EXIT_FAILED) from None


async def wait_for_signal() -> None:
    """In a nursery beside the run. Raises `Interrupted`."""
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        async for number in signals:
            raise Interrupted(f"stopped by {signal.Signals(number).name}")


def find_leaf(error: BaseException) -> BaseException:
    """The first error of nested groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
