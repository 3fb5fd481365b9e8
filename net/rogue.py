"""A peer that keeps no rule, for tests and for `make bench-hostile`: it dials whom it likes, from where it likes, as
whomever it holds the key of, and hands out bare connections and streams.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio
from libp2p.custom_types import TProtocol
from libp2p.network.swarm import Swarm
from libp2p.protocol_muxer.multiselect_client import MultiselectClient
from libp2p.protocol_muxer.multiselect_communicator import MultiselectCommunicator
from libp2p.tools.anyio_service import background_trio_service
from multiaddr import Multiaddr

from net.committee import LINK_PROTOCOL, MemberAddress
from net.hardening import abort_connection, close_swarm, forget_failed_dial, open_swarm
from net.peer_identity import derive_key_pair, peer_id_of

CLOSE_TIMEOUT_S = 2.0


class Rogue:
    """Made by `open_rogue`. Every method may raise whatever the library raises when the other side hangs up."""

    def __init__(self, swarm: Swarm) -> None:
        self._swarm = swarm

    async def connect(self, target: MemberAddress, source_host: str = "") -> Any:
        """A new connection: TCP, noise and yamux done. `source_host`: an own address to come from."""
        peer_id = peer_id_of(target.network_key)
        forget_failed_dial(self._swarm, peer_id)
        address = Multiaddr(f"/ip4/{target.host}/tcp/{target.port}")
        return await self._swarm.dial_addr(address, peer_id, (source_host, 0) if source_host else None)

    async def open_link(self, target: MemberAddress, source_host: str = "") -> Any:
        """A negotiated stream on a new connection, nothing said yet."""
        return await self.open_stream(target, LINK_PROTOCOL, source_host)

    async def open_stream(self, target: MemberAddress, protocol: str, source_host: str = "") -> Any:
        """The same for any protocol."""
        stream = await (await self.connect(target, source_host)).new_stream()
        await MultiselectClient().select_one_of([TProtocol(protocol)], MultiselectCommunicator(stream))
        return stream


def stop_reading(muxed: Any) -> None:
    """After what is on its way nothing is taken from the socket: what a stopped process looks like to its peer."""
    muxed.read_some = trio.sleep_forever


def hang_up(muxed: Any) -> None:
    """At once, without a word."""
    abort_connection(muxed)


@asynccontextmanager
async def open_rogue(seed: bytes) -> AsyncIterator[Rogue]:
    """Listens nowhere, obeys nobody."""

    async def ignore(_stream: object) -> None:
        await trio.sleep_forever()

    listen = Multiaddr("/ip4/127.0.0.1/tcp/0")
    swarm = open_swarm(derive_key_pair(seed), listen, lambda _: True, lambda _: True, ignore)
    async with background_trio_service(swarm):
        try:
            yield Rogue(swarm)
        finally:
            # trio-typing's stubs, which the library brings along, do not know the argument.
            with trio.move_on_after(CLOSE_TIMEOUT_S, shield=True):  # type: ignore[call-arg]
                await close_swarm(swarm)
