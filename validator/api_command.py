"""`hansa api`: reads its files and runs until a signal, its parent's end or a wrong root ends it."""

import logging
import os
import signal
import sqlite3
import sys
import time

import trio

from engine.errors import InvariantBroken
from validator.agreement import Stop
from validator.allocator import keep_large_blocks_mapped
from validator.api_process import ApiProcess
from validator.causes import find_first_cause
from validator.config import ConfigError, Home, NetworkConfig, NodeConfig, load_network
from validator.mirror import StartAnew
from validator.store import StoreError

log = logging.getLogger("hansa.api")
EXIT_CONFIG, EXIT_STOPPED = 2, 3
ANEW_PAUSE_S = 1.0


def run_api(home: Home, config: NodeConfig, is_child: bool) -> int:
    """0 after a signal, 2 for the operator's mistake, 3 at a wrong root. `is_child`: it ends when its input does."""
    keep_large_blocks_mapped()
    for name in ("hypercorn", "httpx", "httpcore", "numba", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        network = load_network(home.genesis)
    except ConfigError as error:
        print(f"hansa: {error}", file=sys.stderr)
        return EXIT_CONFIG
    while True:
        exit_code = _run_once(home, network, config, is_child)
        if exit_code is not None:
            return exit_code


def _run_once(home: Home, network: NetworkConfig, config: NodeConfig, is_child: bool) -> int | None:
    """None when everything is to be made anew from the node's files."""
    exit_code: int | None = 0
    try:
        trio.run(_main, ApiProcess(home, network, config), is_child)
    except* (StartAnew, sqlite3.OperationalError) as group:
        log.warning("api.starts_anew error=%s", find_first_cause(group))
        time.sleep(ANEW_PAUSE_S)
        exit_code = None
    except* (ConfigError, StoreError, OSError) as group:
        print(f"hansa: {find_first_cause(group)}", file=sys.stderr)
        exit_code = EXIT_CONFIG
    except* (Stop, InvariantBroken) as group:
        log.critical("api.stopped error=%s", find_first_cause(group))
        exit_code = EXIT_STOPPED
    return exit_code


async def _main(process: ApiProcess, is_child: bool) -> None:
    async with trio.open_nursery() as nursery:
        if is_child:
            nursery.start_soon(_wait_parent, nursery.cancel_scope)
        nursery.start_soon(process.run)
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for number in signals:
                log.info("process.stopping reason=%s", signal.Signals(number).name)
                nursery.cancel_scope.cancel()
                return


async def _wait_parent(scope: trio.CancelScope) -> None:
    """Our input is a pipe whose other end only the node holds: it ends with the node, however that ends."""
    stream = trio.lowlevel.FdStream(os.dup(sys.stdin.fileno()))
    while await stream.receive_some(64):
        pass
    log.info("process.stopping reason=%s", "the node has ended")
    scope.cancel()
