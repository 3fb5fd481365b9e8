"""`/metrics` of a node, for Prometheus: base units, and CometBFT's names with the prefix `hansa_` where it has such a
number, so that an operator's panels work after a change of prefix.

What is counted while the node works are plain integers and small histograms; families are made when somebody asks. A
thread serves the page; it asks the node's loop for one look at its numbers, so they belong together.
"""

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

import trio

from contracts.records import ChainError
from validator.clocks import Clocks
from validator.disk import Disk
from validator.histogram import Histogram
from validator.vote_signer import VoteSigner

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Metric

    from validator.node import Node

log = logging.getLogger("hansa.metrics")

# The library takes a third of a second to load: first the node votes.
BEGIN_S = 2.0
LAG_INTERVAL_S = 1.0
ESCAPE_INTERVAL_S = 15.0


class NodeMetrics:
    """Lives in the node's loop, except `collect`."""

    def __init__(self, node: "Node", disk: Disk, signer: VoteSigner, clocks: Clocks) -> None:
        self._node = node
        self.disk, self.signer, self.clocks = disk, signer, clocks
        self._token: trio.lowlevel.TrioToken | None = None
        self.loop_lag = Histogram()
        self.escape_s: int | None = None  # chain time from which on anyone may freeze the contract; None: not known

    async def run(self, host: str, port: int) -> None:
        """Until cancelled. A port that is taken costs the page, not the validator."""
        self._token = trio.lowlevel.current_trio_token()
        await trio.sleep(BEGIN_S)
        registry = await trio.to_thread.run_sync(self._make_registry)
        from prometheus_client import start_http_server

        try:
            server, thread = start_http_server(port, host, registry)
        except OSError as error:
            log.error("metrics.unavailable host=%s port=%d error=%s (choose another metrics_port)", host, port, error)
            return
        log.info("metrics.ready url=%s", f"http://{host}:{server.server_port}/metrics")
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._measure_lag)
                nursery.start_soon(self._watch_escape)
        finally:
            self._token = None
            server.shutdown()
            server.server_close()
            thread.join(timeout=1)

    def _make_registry(self) -> "CollectorRegistry":
        """In a thread: this is where the library is loaded."""
        from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

        registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=registry)
        registry.register(self)
        return registry

    def describe(self) -> "list[Metric]":
        """Nothing: a registry would otherwise ask for all numbers before the node has any."""
        return []

    def collect(self) -> "Iterator[Metric]":
        """In the page's thread; nothing once the node has ended."""
        from validator.metric_families import list_families

        if self._token is None:
            return
        try:
            families = trio.from_thread.run_sync(list_families, self._node, self, trio_token=self._token)
        except (trio.RunFinishedError, trio.Cancelled):
            return
        yield from families

    async def _measure_lag(self) -> None:
        while True:
            due_s = trio.current_time() + LAG_INTERVAL_S
            await trio.sleep_until(due_s)
            self.loop_lag.observe(trio.current_time() - due_s)

    async def _watch_escape(self) -> None:
        """The settlement contract says from when on it may be frozen. An endpoint that is away leaves the last word."""
        while True:
            for reader in self._node.settling.readers:
                try:
                    deadlines = await trio.to_thread.run_sync(reader.freeze_deadlines_s, abandon_on_cancel=True)  # type: ignore[call-arg]
                    self.escape_s = min(deadlines)
                    break
                except ChainError:
                    continue
            await trio.sleep(ESCAPE_INTERVAL_S)
