"""`python -m tests.net.show_web PORT`: the pages over an exchange that runs in this process, to look at."""

import sys
import tempfile
from pathlib import Path

import trio

from validator.compilecache import prepare_compile_cache


async def show(port: int) -> None:
    """Until interrupted."""
    from tests.net.web_exchange import TRADER, open_exchange  # after the cache of kernels is named

    with tempfile.TemporaryDirectory() as folder:
        async with open_exchange(Path(folder), port) as (url, _):
            print(f"{url}  key of an account with money: 0x{TRADER.secret.hex()}", flush=True)
            await trio.sleep_forever()


if __name__ == "__main__":
    prepare_compile_cache()
    trio.run(show, int(sys.argv[1]))
