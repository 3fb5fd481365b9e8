"""py-libp2p as it comes: each defect that net/hardening.py works around, reproduced against the pinned version.

A test here that fails says that a new version has mended a defect, or hides it differently: then its workaround and its
row in docs/network.md are to be read again. What our own hosts do in the same place is in test_hardening.py.
"""

import inspect
import logging
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from libp2p import new_host
from libp2p.crypto.keys import KeyPair
from libp2p.custom_types import TProtocol
from libp2p.network.config import ConnectionConfig
from libp2p.network.connection import swarm_connection
from libp2p.network.exceptions import SwarmException
from libp2p.peer import peerstore
from libp2p.peer.id import ID
from libp2p.protocol_muxer.multiselect_communicator import MultiselectCommunicator
from libp2p.pubsub import gossipsub, rpc_queue
from libp2p.pubsub import pubsub as pubsub_module
from libp2p.pubsub.gossipsub import PROTOCOL_ID_V11, GossipSub
from libp2p.pubsub.pubsub import Pubsub
from libp2p.security.insecure.transport import PLAINTEXT_PROTOCOL_ID, InsecureTransport
from libp2p.stream_muxer.yamux import yamux
from libp2p.tools.anyio_service import background_trio_service
from libp2p.utils import varint
from multiaddr import Multiaddr
from test_committee import HOST, make_seed, until
from trio.testing import MockClock

from net.hardening import check_port_free, forget_failed_dial
from net.peer_identity import derive_key_pair

ECHO = TProtocol("/hansa/test/echo/1")
VICTIM, OTHER = 0, 1
TOPIC = "hansa/test"


class Stock:
    """A host as `new_host` makes it. `error` is what ended it; None as long as it runs."""

    def __init__(self, seed_index: int, port: int = 0, **options: Any) -> None:
        self.listen = Multiaddr(f"/ip4/{HOST}/tcp/{port}")
        key_pair = derive_key_pair(make_seed(seed_index))
        self.host = new_host(**({"key_pair": key_pair, "listen_addrs": [self.listen]} | options))
        self.peer_id: ID = self.host.get_id()
        self.swarm: Any = self.host.get_network()
        self.ready, self.ended = trio.Event(), trio.Event()
        self.error: BaseException | None = None
        self.scope = trio.CancelScope()

    async def run(self, *services: Any) -> None:
        try:
            with self.scope:
                await self._run(services)
        except Exception as error:
            self.error = error
        finally:
            self.ended.set()

    async def _run(self, services: tuple[Any, ...]) -> None:
        async with self.host.run([self.listen]), AsyncExitStack() as stack:
            for service in services:
                await stack.enter_async_context(background_trio_service(service))
            self.ready.set()
            await trio.sleep_forever()

    @property
    def address(self) -> Multiaddr:
        return self.host.get_addrs()[0].decapsulate_code(421)  # without /p2p

    async def dial(self, other: "Stock") -> Any:
        return await self.swarm.dial_addr(other.address, other.peer_id)


def close_socket(muxed: Any) -> None:
    """Under a connection of the library over noise, at once."""
    muxed.secured_conn.conn.read_writer.read_write_closer.stream.stream.socket.close()


@asynccontextmanager
async def running(*hosts: Stock) -> AsyncIterator[None]:
    """All of them up; closed the way that does close, whatever became of them meanwhile."""
    async with trio.open_nursery() as nursery:
        for host in hosts:
            nursery.start_soon(host.run)
        for host in hosts:
            await host.ready.wait()
        try:
            yield
        finally:
            with trio.move_on_after(3, shield=True):
                for host in hosts:
                    for connection in host.swarm.get_connections():
                        with suppress(AttributeError):  # plaintext has another way down
                            close_socket(connection.muxed_conn)
                    with suppress(Exception):
                        await host.host.close()
            nursery.cancel_scope.cancel()


async def ignore(_stream: Any) -> None:
    await trio.sleep_forever()


async def test_a_handler_that_raises_ends_the_whole_host() -> None:
    victim, other = Stock(VICTIM), Stock(OTHER)

    async def fail(_stream: Any) -> None:
        raise ValueError("a peer made us fail")

    victim.host.set_stream_handler(ECHO, fail)
    async with running(victim, other):
        await other.dial(victim)
        with suppress(Exception):  # the host that it speaks to may be gone before it has answered
            await other.host.new_stream(victim.peer_id, [ECHO])
        await until(victim.ended.is_set)
        assert victim.error is not None


def make_gossip(host: Any) -> tuple[GossipSub, Pubsub]:
    router = GossipSub([PROTOCOL_ID_V11], degree=3, degree_low=2, degree_high=4, heartbeat_interval=1)
    return router, Pubsub(host, router, strict_signing=True)


async def test_forty_bytes_of_bad_gossip_end_the_whole_host() -> None:
    victim, other = Stock(VICTIM), Stock(OTHER)
    router, pubsub = make_gossip(victim.host)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(victim.run, pubsub, router)
        async with running(other):
            await victim.ready.wait()
            await other.dial(victim)
            stream = await other.host.new_stream(victim.peer_id, [PROTOCOL_ID_V11])
            await stream.write(b"\x28" + b"\xff" * 40)
            await until(victim.ended.is_set)
        nursery.cancel_scope.cancel()
    assert victim.error is not None


class Claimed:
    """Instead of a private key: somebody else's public one."""

    def __init__(self, public_key: Any) -> None:
        self._public_key = public_key

    def get_public_key(self) -> Any:
        return self._public_key


async def test_plaintext_lets_anybody_be_anybody() -> None:
    """The claimed key is never used by its owner: no signature is asked for."""
    victim = Stock(VICTIM)
    claimed = derive_key_pair(make_seed(7)).public_key
    own: Any = Claimed(claimed)
    plaintext = {PLAINTEXT_PROTOCOL_ID: InsecureTransport(KeyPair(own, claimed))}
    attacker = Stock(OTHER, sec_opt=plaintext)
    seen: list[ID] = []

    async def note(stream: Any) -> None:
        seen.append(stream.muxed_conn.peer_id)
        await stream.close()

    victim.host.set_stream_handler(ECHO, note)
    async with running(victim, attacker):
        connection = await attacker.dial(victim)
        stream = await connection.new_stream()
        await attacker.host.multiselect_client.select_one_of([ECHO], MultiselectCommunicator(stream))
        await until(lambda: bool(seen))
    assert seen == [ID.from_pubkey(claimed)]


async def test_an_inbound_slot_is_never_given_back() -> None:
    slots = 3
    few = ConnectionConfig(
        max_connections=2 * slots, min_connections=slots, low_watermark=slots, high_watermark=2 * slots
    )
    victim, other = Stock(VICTIM, connection_config=few), Stock(OTHER)
    async with running(victim, other):
        for _ in range(slots):
            connection = await other.dial(victim)
            await until(lambda: victim.swarm.get_total_connections() == 1)
            close_socket(connection.muxed_conn)
            await until(lambda: victim.swarm.get_total_connections() == 0)
        await trio.sleep(0.2)
        other.swarm.unblock_peer(victim.peer_id)
        with pytest.raises(SwarmException), trio.fail_after(10):
            await other.dial(victim)
        assert victim.swarm.get_total_connections() == 0, "nobody is connected, and nobody may connect"


async def test_a_receive_window_is_a_wish() -> None:
    """Eight windows of data arrive in one stream that nobody reads, and all of it is kept."""
    victim, other = Stock(VICTIM), Stock(OTHER)
    victim.host.set_stream_handler(ECHO, ignore)
    pushed = 8 * yamux.DEFAULT_WINDOW_SIZE
    async with running(victim, other):
        muxed = (await other.dial(victim)).muxed_conn
        stream = await other.host.new_stream(victim.peer_id, [ECHO])
        header = yamux.struct.pack(
            yamux.YAMUX_HEADER_FORMAT, 0, yamux.TYPE_DATA, 0, stream.muxed_stream.stream_id, 65_536
        )
        for _ in range(pushed // 65_536):
            await muxed.secured_conn.write(header + bytes(65_536))
        [connection] = victim.swarm.get_connections(other.peer_id)
        buffers = connection.muxed_conn.stream_buffers
        await until(lambda: max((len(buffer) for buffer in buffers.values()), default=0) >= pushed)


async def test_every_read_costs_a_frame() -> None:
    victim, other = Stock(VICTIM), Stock(OTHER)
    reads = 50
    finished = trio.Event()

    async def read(stream: Any) -> None:
        for _ in range(reads):
            await stream.read(200)
        finished.set()
        await trio.sleep_forever()

    victim.host.set_stream_handler(ECHO, read)
    async with running(victim, other):
        await other.dial(victim)
        stream = await other.host.new_stream(victim.peer_id, [ECHO])
        [connection] = victim.swarm.get_connections(other.peer_id)
        muxed, sent = connection.muxed_conn, []
        original = muxed._write_frame

        async def count(data: bytes) -> None:
            sent.append(data)
            await original(data)

        muxed._write_frame = count
        await stream.write(bytes(200 * reads))
        with trio.fail_after(5):
            await finished.wait()
    assert len(sent) >= reads


class _Deaf:
    """A connection whose other side takes everything and says nothing."""

    is_initiator = True

    async def write(self, _data: bytes) -> None:
        await trio.lowlevel.checkpoint()

    async def read(self, _count: int | None = None) -> bytes:
        await trio.sleep_forever()
        raise AssertionError

    async def close(self) -> None:
        await trio.lowlevel.checkpoint()

    def get_remote_address(self) -> None:
        return None


async def test_a_silent_peer_counts_as_connected_for_ever(autojump_clock: MockClock) -> None:
    """Ten minutes of unanswered pings."""
    deaf: Any = _Deaf()
    muxed = yamux.Yamux(deaf, derive_peer_id(OTHER), is_initiator=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(muxed.start)
        await trio.sleep(600)
        assert muxed._ping_id > 5, "it has asked"
        assert muxed.is_established and not muxed.is_closed
        nursery.cancel_scope.cancel()


def derive_peer_id(index: int) -> ID:
    return ID.from_pubkey(derive_key_pair(make_seed(index)).public_key)


class Wire:
    """A TCP relay that can be told to stop reading, which is what a stopped process looks like from outside."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._flows = True

    def stop(self) -> None:
        self._flows = False

    async def serve(self, nursery: trio.Nursery) -> int:
        listeners = await trio.open_tcp_listeners(0, host=HOST)
        for listener in listeners:
            listener.socket.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, 4096)
        nursery.start_soon(trio.serve_listeners, self._relay, listeners)
        port: int = listeners[0].socket.getsockname()[1]
        return port

    async def _relay(self, near: trio.SocketStream) -> None:
        far = await trio.open_tcp_stream(HOST, self._target_port)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._copy, near, far)
            nursery.start_soon(self._copy, far, near)

    async def _copy(self, source: trio.SocketStream, sink: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while data := await source.receive_some(4096):
                while not self._flows:
                    await trio.sleep_forever()
                await sink.send_all(data)
            await sink.aclose()


@asynccontextmanager
async def stuck_write() -> AsyncIterator[tuple[Stock, Any]]:
    """A host whose only connection has a write under way to a peer that was stopped."""
    victim, other = Stock(VICTIM), Stock(OTHER)
    other.host.set_stream_handler(ECHO, ignore)
    async with trio.open_nursery() as nursery, running(victim, other):
        wire = Wire(int(other.address.value_for_protocol("tcp")))
        port = await wire.serve(nursery)
        connection = await victim.swarm.dial_addr(Multiaddr(f"/ip4/{HOST}/tcp/{port}"), other.peer_id)
        raw = connection.muxed_conn.secured_conn.conn.read_writer.read_write_closer.stream.stream.socket
        raw.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_SNDBUF, 4096)
        stream = await victim.host.new_stream(other.peer_id, [ECHO])
        wire.stop()

        async def write() -> None:
            with suppress(Exception):
                await stream.write(bytes(200_000))

        nursery.start_soon(write)
        await trio.sleep(0.3)
        yield victim, connection
        nursery.cancel_scope.cancel()


async def test_disconnecting_a_stopped_peer_hangs() -> None:
    """It waits for the write lock, which the stuck write holds; to give up leaves an entry for a dead connection."""
    async with stuck_write() as (victim, connection):
        with trio.move_on_after(2) as scope:
            await victim.host.disconnect(connection.muxed_conn.peer_id)
        assert scope.cancelled_caught
        assert victim.swarm.get_connections(connection.muxed_conn.peer_id)


async def test_closing_the_socket_of_a_stopped_peer_unwinds_everything() -> None:
    async with stuck_write() as (victim, connection):
        close_socket(connection.muxed_conn)
        await until(lambda: not victim.swarm.get_connections(), 2)


async def test_a_peer_that_was_down_once_is_not_dialed_for_a_minute() -> None:
    victim, other = Stock(VICTIM), Stock(OTHER)
    async with running(victim):
        nobody = Multiaddr(f"/ip4/{HOST}/tcp/1")
        victim.host.get_peerstore().add_addrs(other.peer_id, [nobody], 60)
        with pytest.raises(SwarmException):
            await victim.swarm.dial_peer(other.peer_id)
        async with running(other):
            victim.host.get_peerstore().clear_addrs(other.peer_id)
            victim.host.get_peerstore().add_addrs(other.peer_id, [other.address], 60)
            with pytest.raises(SwarmException, match="negative cache"):
                await victim.swarm.dial_peer(other.peer_id)
            forget_failed_dial(victim.swarm, other.peer_id)
            assert await victim.swarm.dial_peer(other.peer_id)


async def test_both_dialing_at_once_make_two_connections() -> None:
    one, other = Stock(VICTIM), Stock(OTHER)
    async with running(one, other):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.dial, other)
            nursery.start_soon(other.dial, one)
        await until(lambda: len(one.swarm.get_connections(other.peer_id)) == 2)


async def test_leaving_a_host_leaves_the_connections_open_that_it_dialed() -> None:
    one, other = Stock(VICTIM), Stock(OTHER)
    async with running(one, other):
        await one.dial(other)
        await until(lambda: bool(other.swarm.get_connections(one.peer_id)))
        one.scope.cancel()
        await one.ended.wait()
        await trio.sleep(0.5)
        assert other.swarm.get_connections(one.peer_id), "the host is gone, and its peer does not know"


async def test_two_hosts_share_a_port_without_a_word() -> None:
    first = Stock(VICTIM)
    async with running(first):
        port = int(first.address.value_for_protocol("tcp"))
        with pytest.raises(OSError):
            check_port_free(HOST, port)
        second = Stock(OTHER, port)
        async with running(second):
            assert second.address == first.address and second.error is None


async def test_a_stream_that_one_side_closes_is_kept_by_both() -> None:
    victim, other = Stock(VICTIM), Stock(OTHER)
    count = 20

    async def leave_open(_stream: Any) -> None:
        await trio.lowlevel.checkpoint()

    victim.host.set_stream_handler(ECHO, leave_open)
    async with running(victim, other):
        muxed = (await other.dial(victim)).muxed_conn
        for _ in range(count):
            stream = await other.host.new_stream(victim.peer_id, [ECHO])
            await stream.close()
        await trio.sleep(0.3)
        [connection] = victim.swarm.get_connections(other.peer_id)
        assert len(muxed.streams) >= count and len(connection.muxed_conn.streams) >= count


async def test_a_host_dials_whoever_it_has_heard_of() -> None:
    """A validator would dial back its traders."""
    victim, other = Stock(VICTIM), Stock(OTHER)
    async with running(victim, other):
        victim.host.get_peerstore().add_addrs(other.peer_id, [other.address], 60)
        await victim.swarm.auto_connector.maybe_connect()
        await until(lambda: bool(victim.swarm.get_connections(other.peer_id)))


async def test_a_stranger_says_how_much_is_read_before_the_handshake() -> None:
    """The length of a negotiation message is believed, up to what memory holds."""
    asked: list[int] = []

    class Reader:
        _head = iter(b"\xff\xff\xff\x7f")

        async def read(self, count: int | None = None) -> bytes:
            await trio.lowlevel.checkpoint()
            if count == 1:
                return bytes([next(self._head)])
            asked.append(count or 0)
            return b""

    reader: Any = Reader()
    with suppress(Exception):
        await varint.read_delim(reader)
    assert max(asked) > 100 * 1024 * 1024


def test_gossip_starts_to_count_anew_where_it_was_before() -> None:
    """Its counter is the second at which it was made: whoever has sent more than one message a second since then sends
    the same numbers again after a restart, and all of them are taken for known."""
    host: Any = Stock(VICTIM).host
    first = make_gossip(host)[1]
    for _ in range(100):
        first.counter += 1  # what `publish` does
    assert make_gossip(host)[1].counter < first.counter < time.time() + 1_000


def test_gossip_comes_with_settings_for_nobody() -> None:
    defaults = {name: value.default for name, value in inspect.signature(GossipSub.__init__).parameters.items()}
    assert defaults["heartbeat_interval"] == 120, "ten minutes of full messages are kept"
    assert defaults["spam_protection_enabled"] is True and defaults["max_messages_per_topic_per_second"] == 10.0


async def test_the_eleventh_message_of_ones_own_in_a_second_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    # As the library comes, whatever was opened in this process before.
    for module in (gossipsub, pubsub_module):
        monkeypatch.setattr(module, "env_to_send_in_RPC", peerstore.env_to_send_in_RPC)
    monkeypatch.setattr(pubsub_module, "RpcQueue", rpc_queue.RpcQueue)
    one, other = Stock(VICTIM), Stock(OTHER)
    ends = [make_gossip(host.host) for host in (one, other)]
    async with trio.open_nursery() as nursery:
        for host, (router, pubsub) in zip((one, other), ends):
            nursery.start_soon(host.run, pubsub, router)
            await host.ready.wait()
        await other.dial(one)
        sender, receiver = ends[0][1], ends[1][1]
        subscription = await receiver.subscribe(TOPIC)
        await sender.subscribe(TOPIC)
        await until(lambda: other.peer_id in ends[0][0].mesh.get(TOPIC, ()))
        with monkeypatch.context() as patch:  # within one second, however busy the machine is
            now_s = time.time()
            patch.setattr(gossipsub, "time", SimpleNamespace(time=lambda: now_s))
            for number in range(20):
                await sender.publish(TOPIC, bytes([number]))
        received = 0
        with trio.move_on_after(1.5):
            while True:
                await subscription.get()
                received += 1
        for host in (one, other):
            await host.host.close()
        nursery.cancel_scope.cancel()
    assert received == 10


async def test_a_reader_that_pauses_for_five_seconds_costs_the_stream(autojump_clock: MockClock) -> None:
    deaf: Any = _Deaf()
    muxed = yamux.Yamux(deaf, derive_peer_id(OTHER), is_initiator=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(muxed.start)
        await muxed.event_started.wait()
        stream = await muxed.open_stream()
        start_s = trio.current_time()
        with pytest.raises(Exception):  # noqa: B017 (the library's choice)
            await stream.write(bytes(yamux.DEFAULT_WINDOW_SIZE + 1))
        assert 4.9 < trio.current_time() - start_s < 6
        nursery.cancel_scope.cancel()


def test_a_module_of_the_library_logs_through_the_root() -> None:
    """Its first use would install a handler there; `quiet_library_logging` puts a logger where the module was."""
    assert isinstance(swarm_connection.logging, logging.Logger) or swarm_connection.logging is logging
    source = inspect.getsource(swarm_connection)
    assert "logging.debug(" in source and "getLogger" not in source
