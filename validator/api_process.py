"""`hansa api`: the API of a validator in a process of its own, so that no reader and no client delays a vote.

It waits for the node for ever, makes its own copy of the exchange (`mirror.py`), and opens its port once that copy is
where the node is. While the node is away, or the copy lags, orders are refused as by a node that is catching up.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from consensus.messages import compute_domain
from engine.commands import compute_domain_separator
from net.feed.client import Feed, FeedEnded, open_feed
from net.feed.facts import decode_facts
from net.feed.orders import ORDERS_SOCKET
from net.feed.protocol import BLOCKS, FACTS, FEED_SOCKET, CommitteeEvent, FactsEvent, FeedError, FinalEvent
from net.gateway.app import GatewayConfig, serve
from validator.allocator import spare_what_stays
from validator.clocks import Clocks
from validator.config import ConfigError, Home, NetworkConfig, NodeConfig, address_bytes
from validator.logs import name_process
from validator.mirror import Greeting, Mirror, Told
from validator.order_line import OrderLine
from validator.roster import Seats

log = logging.getLogger("hansa.api")

RETRY_S = 0.25
# A node whose loop turns tells its facts every second.
SILENCE_S_MAX = 5.0
# An API process that ended just now may still hold the port.
BIND_TRIES, BIND_PAUSE_S = 40, 0.25


class ApiProcess:
    """Feed on one side, gateway on the other."""

    def __init__(self, home: Home, network: NetworkConfig, config: NodeConfig) -> None:
        self._home, self._network, self._config = home, network, config
        contract = address_bytes(network.contract)
        self._names = network.digest(), compute_domain(network.chain_id, contract)
        separator = compute_domain_separator(network.chain_id, contract)
        self._line = OrderLine(home.path / ORDERS_SOCKET, separator)
        self._clocks = Clocks()
        self._news = trio.Event()

    async def run(self) -> None:
        """Until cancelled. Raises `Stop` at a wrong root, `StartAnew`, `ConfigError` for another network's node."""
        greeting = await self._meet_node()
        mirror = Mirror(
            self._home, self._network, self._config.index, greeting, self._line, self._clocks.wall_ms
        )  # fmt: skip
        name_process(
            lambda: mirror.height, chain=self._network.name, node=self._config.index, process="api"
        )  # fmt: skip
        log.info("api.built height=%d", mirror.height)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._listen, mirror)
                nursery.start_soon(self._follow, mirror)
                nursery.start_soon(mirror.ledger.keep_index)
                nursery.start_soon(self._line.run)
                while not (mirror.is_at_head and self._line.is_open):
                    await trio.sleep(0.02)
                spare_what_stays()
                config = GatewayConfig(self._config.api_host, self._config.api_port, is_behind=lambda: mirror.is_behind)
                urls = await open_gateway(nursery, mirror, config)
                log.info("api.ready url=%s height=%d", urls[0], mirror.height)
        finally:
            mirror.close()

    # the feed

    async def _meet_node(self) -> Greeting:
        """Wait for the node, and hear who it is. The feed is closed again: making a copy takes seconds."""
        seats: dict[int, Seats] = {}
        is_told = False
        while True:
            try:
                async with self._open_feed() as feed:
                    while True:
                        match await feed.next_event():
                            case CommitteeEvent(data):
                                known = Seats.decode(data)
                                seats[known.epoch] = known
                            case FactsEvent(data):
                                return Greeting(Told(*decode_facts(data)), list(seats.values()))
            except* (FeedEnded, FeedError) as group:
                if not is_told:
                    log.info("api.waits_for_node error=%r", group.exceptions[0])
                is_told = True
            await trio.sleep(RETRY_S)

    @asynccontextmanager
    async def _open_feed(self) -> AsyncIterator[Feed]:
        async with open_feed(self._home.path / FEED_SOCKET, BLOCKS | FACTS) as feed:
            hello = feed.hello
            assert hello is not None, "an open feed has greeted"
            if (hello.network_id, hello.domain) != self._names:
                raise ConfigError(f"the node at {self._home.path} is of another network than genesis.toml")
            yield feed

    async def _listen(self, mirror: Mirror) -> None:
        is_told = False
        while True:
            try:
                async with self._open_feed() as feed:
                    is_told = False
                    await self._read(feed, mirror)
            except* (FeedEnded, FeedError, trio.TooSlowError) as group:
                if not is_told:
                    log.warning("api.node_lost error=%r (trying again for ever)", group.exceptions[0])
                is_told = True
            mirror.is_connected = False
            await trio.sleep(RETRY_S)

    async def _read(self, feed: Feed, mirror: Mirror) -> None:
        assert feed.hello is not None
        mirror.check_files()
        mirror.head_height = max(mirror.height, feed.hello.head_height)
        mirror.is_connected = True
        self._news.set()
        while True:
            with trio.fail_after(SILENCE_S_MAX):
                event = await feed.next_event()
            match event:
                case FinalEvent(height):
                    mirror.head_height = max(mirror.head_height, height)
                    self._news.set()
                case CommitteeEvent(data):
                    mirror.learn(Seats.decode(data))
                case FactsEvent(data):
                    mirror.on_told(Told(*decode_facts(data)))
                    self._news.set()

    async def _follow(self, mirror: Mirror) -> None:
        while True:
            await self._news.wait()
            self._news = trio.Event()
            await mirror.follow()


async def open_gateway(nursery: trio.Nursery, mirror: Mirror, config: GatewayConfig) -> list[str]:
    """Serve in the nursery; gives the URLs. Raises `OSError` when the port stays taken."""
    for tries_left in reversed(range(BIND_TRIES)):
        try:
            urls: list[str] = await nursery.start(serve, mirror.service, config)
            return urls
        except* OSError as group:
            if not tries_left:
                raise OSError(f"{config.host}:{config.port}: {group.exceptions[0]}") from None
        await trio.sleep(BIND_PAUSE_S)
    raise AssertionError("the last try raises")
