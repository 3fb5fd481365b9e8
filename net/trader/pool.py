"""All nodes that the trader named: whom to ask, and whom to ask next when one goes away."""

import logging
from collections.abc import Sequence
from typing import Any

import trio

from net.client.protocol import Network
from net.gateway.errors import HALTED, NO_QUORUM, QUEUE_FULL, RATE_LIMITED, SYNCING, TOO_MANY_CONNECTIONS, ApiError
from net.trader.faults import NO_NODE
from net.trader.upstream import NodeLost, NodeRefused, OnChange, OnNotification, Upstream

logger = logging.getLogger(__name__)
# What one node says of itself; another may do better.
ELSEWHERE = frozenset(
    fault.number for fault in (SYNCING, NO_QUORUM, QUEUE_FULL, RATE_LIMITED, TOO_MANY_CONNECTIONS, HALTED)
)
_ANSWER_S = 8.0
_PATIENCE_S = 15.0  # longest time without any node before a client hears of it
_BEHIND_BLOCKS = 8
_AGAIN_S = 0.1


class Pool:
    """`run` keeps all connections; `call` asks the best node, then the others."""

    def __init__(
        self, urls: Sequence[str], on_notification: OnNotification, on_change: OnChange, account: dict[str, Any],
        network_id: str | None = None,
    ) -> None:  # fmt: skip
        """`network_id`: the only network to speak with; without it, that of the first node that answers."""
        self.nodes = [Upstream(url, on_notification, self._on_change, account) for url in urls]
        self._tell_change = on_change
        self._changed = trio.Event()
        self._favourite: Upstream | None = None
        self._network_id = network_id
        self._network: Network | None = None
        self.seen_height = 0  # what a client has been told of; no later read may be older

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            for node in self.nodes:
                nursery.start_soon(node.run)

    @property
    def is_testnet(self) -> bool:
        domain = next((node.domain for node in self.nodes if node.domain is not None), None)
        return domain is None or bool(domain.get("testnet", True))

    def ranked(self) -> list[Upstream]:
        """Nodes with a connection, the one to ask first in front: it stays in front while it is well."""
        top = max((node.height for node in self.nodes if node.is_connected), default=0)
        there = [node for node in self.nodes if self._is_ours(node)]
        there.sort(key=lambda node: (not node.is_well, node.height < top - _BEHIND_BLOCKS, node.latency_s))
        favourite = self._favourite
        if favourite in there and favourite.is_well and favourite.height >= top - _BEHIND_BLOCKS:
            there.remove(favourite)
            there.insert(0, favourite)
        self._favourite = there[0] if there else None
        return there

    async def network(self, is_renewed: bool = False) -> Network:
        """Chain, contract and markets. `is_renewed`: with the markets that were listed since."""
        node = await self.wait_node(_PATIENCE_S)
        if self._network is None or is_renewed:
            answer = await self.call("public/x_get_domain", {}) if is_renewed else node.domain
            self._network = Network.parse(answer or {})
        return self._network

    def _is_ours(self, node: Upstream) -> bool:
        """Whether it is there and of the network that this gateway is for."""
        if not node.is_connected or node.domain is None:
            return False
        name = node.domain.get("network_id")
        self._network_id = self._network_id or name
        return name == self._network_id

    async def wait_node(self, timeout_s: float) -> Upstream:
        """The node to ask first. Raises `ApiError` when none comes in time."""
        with trio.move_on_after(timeout_s):
            while not self.ranked():
                await self._changed.wait()
        ranked = self.ranked()
        if not ranked:
            raise ApiError(NO_NODE)
        return ranked[0]

    async def wait_change(self) -> None:
        """Until a node comes, goes, falls ill or recovers."""
        await self._changed.wait()

    async def call(self, method: str, params: dict[str, Any], *, is_fresh: bool = False) -> Any:
        """A read, by the first node that has an answer. `is_fresh`: not before what the client was told last.

        Raises `NodeRefused` with a node's refusal, `ApiError` without any node.
        """
        give_up_at_s = trio.current_time() + _PATIENCE_S
        refused: NodeRefused | None = None
        while trio.current_time() < give_up_at_s:
            for node in self.ranked() or [await self.wait_node(give_up_at_s - trio.current_time())]:
                try:
                    if is_fresh and not await node.wait_height(self.seen_height, 2.0):
                        continue
                    return await node.call(method, params, _ANSWER_S)
                except NodeLost:
                    continue
                except NodeRefused as error:
                    if error.number not in ELSEWHERE:
                        raise
                    refused = error
            if refused is not None:
                raise refused
            await trio.sleep(_AGAIN_S)
        raise ApiError(NO_NODE)

    def _on_change(self, node: Upstream) -> None:
        logger.info(
            "gateway.node url=%s state=%s",
            node.url,
            "well" if node.is_well else "not well" if node.is_connected else "gone",
        )
        self._changed.set()
        self._changed = trio.Event()
        self._tell_change(node)
