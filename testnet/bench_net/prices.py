"""Prices that do not move, so that what was signed a minute ago is still near the mark."""

import json
import os
from pathlib import Path
from typing import Any

import trio

from testnet.bench_net.traffic import PRICES_USD

REFRESH_S = 2.0


async def keep_prices(path: Path, task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
    """Write the file that the validators read (`validator.pricefile`), again and again, for it may not be old."""
    scratch = path.with_suffix(".new")
    while True:
        scratch.write_text(json.dumps(PRICES_USD))
        os.replace(scratch, path)
        task_status.started()
        task_status = trio.TASK_STATUS_IGNORED
        await trio.sleep(REFRESH_S)
