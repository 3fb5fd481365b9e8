"""How every example begins and ends: which node, whose key, for how long."""

import argparse
import contextlib
import os
from collections.abc import Awaitable, Callable

import anyio

from net.client import AsyncClient

DEFAULT_URL = "http://127.0.0.1:26602"


def start(description: str | None, run: Callable[[AsyncClient], Awaitable[None]]) -> None:
    """Runs an example until Ctrl-C, or for `--seconds`."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    urls = os.environ.get("HANSA_URL", DEFAULT_URL)
    parser.add_argument("--url", default=urls, help="nodes, with commas; the testnet prints them (HANSA_URL)")
    parser.add_argument("--account", default=os.environ.get("HANSA_ACCOUNT"), help="default: the key's (HANSA_ACCOUNT)")
    parser.add_argument("--seconds", type=int, default=0, help="0: until Ctrl-C")
    parser.epilog = "The key is read from HANSA_KEY, in hexadecimal; the testnet prints some that have money."
    arguments = parser.parse_args()
    owner, _, digits = (arguments.account or "").partition("/")

    async def connect() -> None:
        async with AsyncClient(
            arguments.url.split(","), os.environ.get("HANSA_KEY"), owner=owner or None, subaccount=int(digits or 0)
        ) as client:
            # Within the connection: what a program does at its end still needs it.
            with anyio.move_on_after(arguments.seconds or None):
                await run(client)

    with contextlib.suppress(KeyboardInterrupt):
        anyio.run(connect)
