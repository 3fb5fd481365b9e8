"""Runs one node and its API server until a signal or a broken invariant ends it."""

import logging
import signal
import sys

import trio

from engine.errors import InvariantBroken
from net.gateway.app import GatewayConfig, serve
from validator.agreement import Stop
from validator.allocator import keep_large_blocks_mapped, spare_what_stays
from validator.api_child import keep_api_process
from validator.chain_access import limit_recursion
from validator.config import ConfigError, Home, NodeConfig, load_network
from validator.journal import JournalError
from validator.keys import load_keys
from validator.logs import name_process
from validator.node import Node
from validator.restart import Restart
from validator.signer import SignerError
from validator.store import StoreError

log = logging.getLogger("hansa.run")
EXIT_CONFIG = 2
EXIT_STOPPED = 3
# How long a worker thread may hold the interpreter while the loop waits: each return from a system call may cost it.
SWITCH_INTERVAL_S = 0.0005


def run_node(home: Home, config: NodeConfig, is_warm: bool = False) -> int:
    """0 after a signal, 2 for the operator's mistake, 3 when the node stopped itself. `is_warm`: the kernels were run
    in this process or the one it was forked from.
    """
    limit_recursion()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    keep_large_blocks_mapped()
    for name in ("hypercorn", "httpx", "httpcore", "web3", "urllib3", "numba", "asyncio", "multiaddr"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        network = load_network(home.genesis)
        keys = load_keys(home.keys, has_voting_key=home.signer_socket(config) is None)
    except ConfigError as error:
        print(f"hansa: {error}", file=sys.stderr)
        return EXIT_CONFIG
    name_process(chain=network.name, node=config.index)
    while True:
        try:
            node = Node(home, network, config, keys, is_warm)
            spare_what_stays()
        except (ConfigError, SignerError, JournalError, StoreError, Stop) as error:
            print(f"hansa: {error}", file=sys.stderr)
            return EXIT_CONFIG
        exit_code = _run_once(node, config)
        if exit_code is not None:
            return exit_code


def _run_once(node: Node, config: NodeConfig) -> int | None:
    """None when the node is to be built anew from what it has put on its disk."""
    name_process(lambda: node.executor.final.height, chain=node.network.name, node=config.index)
    exit_code: int | None = 0
    try:
        trio.run(_main, node, config)
    except* Restart as group:
        log.info("node.starts_anew reason=%s", group.exceptions[0])
        exit_code = None
    except* (Stop, InvariantBroken, SignerError, JournalError) as group:
        log.critical("node.stopped (an invariant broke; nothing more is signed)", exc_info=group)
        exit_code = EXIT_STOPPED
    return exit_code


async def _main(node: Node, config: NodeConfig) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_wait_signal, nursery.cancel_scope)
        if config.api_process == "inside":
            urls = await nursery.start(serve, node.service, GatewayConfig(host=config.api_host, port=config.api_port))
            log.info("api.ready url=%s height=%d", urls[0], node.executor.final.height)
        elif config.api_process == "own":
            nursery.start_soon(_keep_api_process, node)
        log.info("node.ready height=%d", node.executor.final.height)
        await node.run()


async def _keep_api_process(node: Node) -> None:
    """Not before our own kernels are compiled: two processes would compile the same."""
    await node.warmed.wait()
    await keep_api_process(node.home.path, node.config)


async def _wait_signal(scope: trio.CancelScope) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for number in signals:
            log.info("process.stopping reason=%s", signal.Signals(number).name)
            scope.cancel()
            return
