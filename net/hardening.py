"""Workarounds for defects of py-libp2p 0.8.1, each with its reason. Nothing else in Hansa knows of them, but
`net/fastlane.py` beside it: noise and yamux, where the library is correct but slow, and too trusting of its peer.

They touch private attributes, hence the assertion: another version of the library needs this file re-read first.
"""

import logging
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from importlib.metadata import version
from typing import Any, cast

import trio
from libp2p import new_swarm
from libp2p.abc import INetStream
from libp2p.crypto.keys import KeyPair
from libp2p.crypto.x25519 import create_new_key_pair as create_noise_key_pair
from libp2p.custom_types import TProtocol
from libp2p.exceptions import ParseError
from libp2p.network.config import ConnectionConfig, RetryConfig
from libp2p.network.connection import swarm_connection
from libp2p.network.exceptions import SwarmException
from libp2p.network.swarm import Swarm
from libp2p.peer.id import ID
from libp2p.protocol_muxer import multiselect_communicator
from libp2p.security.exceptions import HandshakeFailure
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as NoiseTransport
from libp2p.stream_muxer.muxer_multistream import MuxerMultistream
from libp2p.stream_muxer.yamux import yamux
from libp2p.transport.tcp.tcp import TCPListener
from libp2p.utils.varint import read_varint_prefixed_bytes_limited
from multiaddr import Multiaddr

from net.doorkeeper import Doorkeeper
from net.fastlane import FastYamux

LIBRARY_VERSION = "0.8.1"
assert version("libp2p") == LIBRARY_VERSION, f"net/hardening.py was verified against libp2p {LIBRARY_VERSION}"

NEGOTIATION_BYTES_MAX = 1024
UPGRADE_TIMEOUT_S = 5.0
INBOUND_SLOTS = 256
RESET_TIMEOUT_S = 0.5
# Sockets of addresses that are shut out are closed for so long, then nobody is accepted for so long.
CLOSING_S, CLOSING_PAUSE_S = 0.005, 0.05

_log = logging.getLogger(__name__)


def open_swarm(
    key_pair: KeyPair,
    listen: Multiaddr,
    admits_inbound: Callable[[ID], bool],
    admits_outbound: Callable[[ID], bool],
    on_stream: Callable[[INetStream], Awaitable[None]],
    inbound_slots: int = INBOUND_SLOTS,
    is_expected: Callable[[str], bool] = lambda _: False,
    door: Doorkeeper | None = None,
) -> Swarm:
    """A swarm without a host around it: TCP, noise and yamux; no identify, no discovery, no dialing on its own.
    `is_expected`: whether a peer is configured to live at an address. `door`: a doorkeeper for members if left out.
    """
    quiet_library_logging()
    gate = GatedNoise(key_pair, admits_inbound, admits_outbound)
    service = new_swarm(
        key_pair=key_pair,
        # The default also offers plaintext, where a dialer may claim any identity.
        sec_opt={NOISE: gate},
        muxer_opt={TProtocol(yamux.PROTOCOL_ID): yamux.Yamux},
        listen_addrs=[listen],
        retry_config=RetryConfig(max_retries=0),
        connection_config=ConnectionConfig(
            max_connections=2 * inbound_slots,
            min_connections=inbound_slots,  # the difference is the number of inbound slots
            low_watermark=inbound_slots,
            high_watermark=2 * inbound_slots,
            inbound_upgrade_timeout=UPGRADE_TIMEOUT_S,
            outbound_upgrade_timeout=UPGRADE_TIMEOUT_S,
        ),
    )
    swarm = cast(Swarm, service)  # the library declares only the interface
    swarm.upgrader.muxer_multistream = HardenedMuxer(swarm.upgrader.muxer_multistream)
    _bound_negotiation()
    _keep_the_door(swarm, door or Doorkeeper(), is_expected)
    _disable_auto_connector(swarm)
    swarm.set_stream_handler(_guarded(on_stream))
    return swarm


class GatedNoise(NoiseTransport):
    """Noise that ends a connection whose authenticated peer is not admitted: before the muxer, before any handler.

    The library knows no gate by peer id, only by IP address.
    """

    def __init__(
        self, key_pair: KeyPair, admits_inbound: Callable[[ID], bool], admits_outbound: Callable[[ID], bool]
    ) -> None:
        super().__init__(key_pair, noise_privkey=create_noise_key_pair().private_key)
        self._admits_inbound = admits_inbound
        self._admits_outbound = admits_outbound

    async def secure_inbound(self, conn: Any) -> Any:
        return await self._admit(await super().secure_inbound(conn), self._admits_inbound)

    async def secure_outbound(self, conn: Any, peer_id: ID) -> Any:
        return await self._admit(await super().secure_outbound(conn, peer_id), self._admits_outbound)

    async def _admit(self, secured: Any, admits: Callable[[ID], bool]) -> Any:
        peer_id = secured.get_remote_peer()
        if not admits(peer_id):
            await secured.close()
            raise HandshakeFailure(f"peer {peer_id} is not admitted")
        return secured


class HardenedMuxer(MuxerMultistream):
    """Negotiates yamux as the library does, but builds `HardenedYamux`: the library's class is wired into its code."""

    def __init__(self, original: MuxerMultistream) -> None:
        super().__init__({TProtocol(yamux.PROTOCOL_ID): HardenedYamux}, original.negotiate_timeout)

    async def new_conn(self, conn: Any, peer_id: ID) -> "HardenedYamux":
        protocol, _ = await self._selector.select(conn, conn.is_initiator, self.negotiate_timeout)
        muxed = HardenedYamux(conn, peer_id, is_initiator=conn.is_initiator)
        self._annotate_connection(muxed, conn, protocol)
        return muxed


class HardenedYamux(FastYamux):
    """Yamux whose start cannot raise."""

    async def start(self) -> None:
        # The swarm runs this as a task of its own; an exception here would end the swarm with all its connections.
        try:
            await self.serve()
        except Exception as error:
            _log.warning("connection.failed peer=%s error=%r", self.peer_id, error)
            self.abort()


async def _read_delim_bounded(reader: Any) -> bytes:
    message = await read_varint_prefixed_bytes_limited(reader, NEGOTIATION_BYTES_MAX)
    if message[-1:] != b"\n":
        raise ParseError("a negotiation message ends with a newline")
    return message[:-1]


def _bound_negotiation() -> None:
    """Protocol negotiation reads whatever length a stranger announces, before anybody is authenticated."""
    multiselect_communicator.read_delim = _read_delim_bounded


def _keep_the_door(swarm: Swarm, door: Doorkeeper, is_expected: Callable[[str], bool]) -> None:
    """An inbound slot is held until the swarm stops, long after its connection has ended: hold it as long as the
    connection lives. And before anything is negotiated, the doorkeeper is asked, for the library knows no rates. An
    address that is shut out meets a closed socket where sockets are accepted, before the library has built anything
    around the connection."""
    upgrade, listen = swarm.upgrade_inbound_raw_conn, swarm.listen

    async def listen_behind_the_door(*addresses: Multiaddr) -> bool:
        is_listening = await listen(*addresses)
        for listener in swarm.listeners.values():
            for sockets in cast(TCPListener, listener).listeners:
                _accept_only(sockets, lambda host: is_expected(host) or not door.is_shut_out(host, trio.current_time()))
        return is_listening

    async def upgrade_and_wait(raw_conn: Any, maddr: Multiaddr) -> Any:
        remote = raw_conn.get_remote_address()
        address = remote[0] if remote else ""
        refusal = door.knock(address, trio.current_time(), is_expected(address))
        if refusal:
            raise SwarmException(f"{address}: {refusal}")
        try:
            muxed = await _upgrade(address, raw_conn, maddr)
            await muxed.event_closed.wait()
        finally:
            door.leave(address)
        raise SwarmException("the connection has ended")  # makes the caller free the slot

    async def _upgrade(address: str, raw_conn: Any, maddr: Multiaddr) -> HardenedYamux:
        try:
            muxed = await upgrade(raw_conn, maddr)
        except Exception:
            shut_out_s = door.fail(address, trio.current_time())
            if shut_out_s:
                _log.warning(
                    "address.shut_out address=%s seconds=%.0f (its attempts come to nothing)", address, shut_out_s
                )
            raise
        door.admit(address, trio.current_time())
        return cast(HardenedYamux, muxed)  # the library declares only the interface

    swarm.upgrade_inbound_raw_conn = upgrade_and_wait  # type: ignore[method-assign]
    swarm.listen = listen_behind_the_door  # type: ignore[method-assign]


def _accept_only(listener: trio.SocketListener, is_let_in: Callable[[str], bool]) -> None:
    """Closes sockets of other addresses as soon as they are accepted: what has piled up at once, then none for a while.
    To wake up for each would cost most of it.
    """
    accept_any, closing_until_s = listener.accept, 0.0

    async def accept() -> trio.SocketStream:
        nonlocal closing_until_s
        while True:
            stream = await accept_any()
            with suppress(OSError):  # it has left already
                if is_let_in(stream.socket.getpeername()[0]):
                    return stream
            stream.socket.close()
            if trio.current_time() > closing_until_s:
                await trio.sleep(CLOSING_PAUSE_S)
                closing_until_s = trio.current_time() + CLOSING_S

    listener.accept = accept  # type: ignore[method-assign]


def _disable_auto_connector(swarm: Swarm) -> None:
    """It dials every address it ever saw; the committee has its own rule of who dials whom."""

    async def stay() -> None:
        await trio.lowlevel.checkpoint()

    swarm.auto_connector.maybe_connect = stay  # type: ignore[method-assign]


def _guarded(on_stream: Callable[[INetStream], Awaitable[None]]) -> Callable[[INetStream], Awaitable[None]]:
    """An exception that leaves a stream handler ends the whole swarm; and a stream that only one side closes is kept
    for ever, hence the reset."""

    async def handle(stream: INetStream) -> None:
        try:
            await on_stream(stream)
        except Exception as error:
            _log.info("stream.ended peer=%s error=%r", stream.muxed_conn.peer_id, error)
        finally:
            await end_stream(stream)

    return handle


async def end_stream(stream: INetStream) -> None:
    """Resets a stream, or ends its connection when the peer does not let us.

    Shielded and bounded: a reset writes, and the peer may not be reading.
    """
    # trio-typing's stubs, which the library brings along, are older than trio and do not know the argument.
    with trio.move_on_after(RESET_TIMEOUT_S, shield=True) as scope:  # type: ignore[call-arg]
        await stream.reset()
    if scope.cancelled_caught:
        abort_connection(stream.muxed_conn)


def abort_connection(muxed: Any) -> None:
    """Closes the TCP socket under a connection, at once and without waiting for anybody.

    The library's own ways down wait for the write lock, which a write to a stopped peer holds for ever.
    """
    if isinstance(muxed, FastYamux):
        muxed.abort()
    else:
        muxed.secured_conn.conn.read_writer.read_write_closer.stream.stream.socket.close()


async def close_swarm(swarm: Swarm) -> None:
    """Ends a swarm and all its sockets.

    Leaving the swarm's own context only tries to close, in a cancelled scope, and its connections live on; closing them
    its way costs 0.2 s each, one after the other.
    """
    for connection in swarm.get_connections():
        abort_connection(connection.muxed_conn)
    await swarm.close()


def forget_failed_dial(swarm: Swarm, peer_id: ID) -> None:
    """A failed dial puts a peer into a negative cache for 60 s; to be called before each dial."""
    swarm.unblock_peer(peer_id)


def check_port_free(host: str, port: int) -> None:
    """Raises `OSError` when somebody listens there already.

    The library listens with SO_REUSEPORT: a second node on the same port would silently steal half of the connections.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))


def quiet_library_logging() -> None:
    """Keeps the library off stderr: it has no handler of its own, and one of its modules logs through the root logger,
    whose first use installs a handler there. Errors of peers are logged by us, in our words."""
    library = logging.getLogger("libp2p")
    if not library.handlers:
        library.addHandler(logging.NullHandler())
    library.propagate = False
    # On purpose a logger where a module was: that file calls nothing of it but what a logger has too.
    logger = logging.getLogger("libp2p.network.connection.swarm_connection")
    swarm_connection.logging = logger  # type: ignore[assignment]
