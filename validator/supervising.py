"""Composes a `Supervisor` of this machine's processes, signals and settlement chain."""

import logging
import signal
import sys
from collections.abc import Sequence

import trio

from contracts.records import ChainError, Refused
from validator.config import Home, load_network, load_node
from validator.supervisor import Supervisor

log = logging.getLogger("hansa.supervise")


def run_supervisor(home: Home, assignments: Sequence[str]) -> int:
    """Raises `ConfigError`."""
    network, node = load_network(home.genesis), load_node(home.config, assignments)

    def read_version() -> int:
        from contracts.settlement import Settlement

        for url in node.rpc_urls:
            try:
                return Settlement(url, network.contract).engine_version()
            except (ChainError, Refused, OSError) as error:
                log.warning("chain.unreachable error=%s (retrying)", error)
        return 0

    async def admitted() -> int:
        return await trio.to_thread.run_sync(read_version)

    words = [word for assignment in assignments for word in ("--set", assignment)]
    supervisor = Supervisor(home.path, (sys.executable, "-m", "validator"), words, admitted=admitted)
    return trio.run(_run, supervisor)


async def _run(supervisor: Supervisor) -> int:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_stop_on_signal, supervisor)
        code = await supervisor.run()
        nursery.cancel_scope.cancel()
    return code


async def _stop_on_signal(supervisor: Supervisor) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for number in signals:
            log.info("supervise.stopping signal=%s", signal.Signals(number).name)
            supervisor.stop()
