"""Workarounds for defects of py-libp2p 0.8.1 on the public side: a host for strangers, and gossipsub that none of them
can end, fill or slow down. Each with its reason; `net/hardening.py` has those of every connection.

What the library gets wrong here: an undecodable frame, a bogus key or a validator that raises ends the whole service;
every message of a frame becomes a task, checked at the sender's pace; a queue is bounded by count and not by bytes;
full messages are kept for ten minutes, for peers that never subscribe, and to detect equivocation; recent messages are
written past the queue, into the middle of other frames; sequence numbers begin with the second of the start, so that
a restarted node is not heard; a signed record of our addresses is made anew for each frame.
"""

import logging
import socket
import time
from collections import Counter, defaultdict, deque
from collections.abc import Awaitable, Callable, Sequence
from enum import Enum
from types import MethodType
from typing import Any, cast

import trio
from libp2p.abc import INetStream
from libp2p.crypto.keys import KeyPair
from libp2p.host.basic_host import BasicHost
from libp2p.identity.identify_push.identify_push import ID_PUSH
from libp2p.network.exceptions import SwarmException
from libp2p.network.swarm import Swarm
from libp2p.peer.id import ID
from libp2p.pubsub import gossipsub, pubsub
from libp2p.pubsub.gossipsub import PROTOCOL_ID_V11, GossipSub
from libp2p.pubsub.pb import rpc_pb2
from libp2p.pubsub.pubsub import Pubsub
from libp2p.pubsub.rpc_queue import RpcQueue
from libp2p.pubsub.validators import signature_validator
from libp2p.stream_muxer.yamux import yamux
from libp2p.utils.varint import read_varint_prefixed_bytes_limited
from multiaddr import Multiaddr

from net.hardening import (
    HardenedMuxer,
    HardenedYamux,
    abort_connection,
    end_stream,
    open_swarm,
)

FRAME_BYTES_MAX = 768 * 1024
MESSAGES_PER_FRAME_MAX = 16
SUBSCRIPTIONS_PER_FRAME_MAX = 16
CONTROLS_PER_FRAME_MAX = 64
IDS_PER_CONTROL_MAX = 512
MESSAGE_ID_BYTES_MAX = 80
QUEUE_FRAMES_MAX = 64
QUEUE_BYTES_MAX = 4 * 1024 * 1024
WRITE_TIMEOUT_S = 10.0
HEARTBEAT_S = 1
STREAMS_MAX = 16
WINDOW_STEP_BYTES = 64 * 1024
KEEPALIVE_S = 15
DEAD_AFTER_MS = 45_000
NEGOTIATE_TIMEOUT_S = 5
LINGER_S = 3.0
READ_BYTES = 4096

_log = logging.getLogger(__name__)


class Verdict(Enum):
    """What a node does with a message: relay it, drop it, or drop it and hold it against whoever passed it on."""

    ACCEPT = "accept"
    IGNORE = "ignore"
    REJECT = "reject"


def open_public_host(
    key_pair: KeyPair,
    listen: Multiaddr,
    advertise: Sequence[Multiaddr],
    admits: Callable[[ID], bool],
    admits_address: Callable[[str], bool],
    slots: int,
    slots_per_address: int,
) -> BasicHost:
    """A host for strangers: noise and yamux, identify and ping. `admits_address` is asked before any handshake."""

    async def refuse(_stream: INetStream) -> None:
        raise SwarmException("the host is not there yet")

    swarm = open_swarm(key_pair, listen, admits, admits, refuse, slots)
    swarm.upgrader.muxer_multistream = PublicMuxer(swarm.upgrader.muxer_multistream)
    _limit_addresses(swarm, admits_address, slots_per_address)
    host = BasicHost(
        swarm,
        negotiate_timeout=NEGOTIATE_TIMEOUT_S,
        announce_addrs=list(advertise) or None,
        disable_identify_address_discovery=True,
    )
    host.remove_stream_handler(ID_PUSH)  # nothing here asks for a peer's newest addresses
    swarm.set_stream_handler(_guard(host._swarm_stream_handler))
    return host


def _guard(on_stream: Callable[[INetStream], Awaitable[None]]) -> Callable[[INetStream], Awaitable[None]]:
    """An exception that leaves a stream handler ends the whole swarm, and a stream that only one side closes is kept
    for ever. A reset right behind an answer would make other implementations drop the answer: it waits a little."""

    async def handle(stream: INetStream) -> None:
        try:
            await on_stream(stream)
            with trio.move_on_after(LINGER_S):
                await stream.close()
                while await stream.read(READ_BYTES):
                    pass
        except Exception as error:
            _log.debug("gossip.stream_ended peer=%s error=%r", stream.muxed_conn.peer_id, error)
        finally:
            await end_stream(stream)

    return handle


class PublicMuxer(HardenedMuxer):
    """Negotiates as the library does and builds `PublicYamux`."""

    async def new_conn(self, conn: Any, peer_id: ID) -> "PublicYamux":
        protocol, _ = await self._selector.select(conn, conn.is_initiator, self.negotiate_timeout)
        muxed = PublicYamux(conn, peer_id, is_initiator=conn.is_initiator)
        self._annotate_connection(muxed, conn, protocol)
        return muxed


class PublicYamux(HardenedYamux):
    """More streams than a committee's link has, each with the window of the beginning: 256 KiB may lie unread."""

    streams_max = STREAMS_MAX

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.streams = _PublicStreams()


class _PublicStreams(dict[int, yamux.YamuxStream]):
    def __setitem__(self, stream_id: int, stream: yamux.YamuxStream) -> None:
        stream._auto_tune_and_send_window_update = MethodType(_fill_window, stream)  # type: ignore[method-assign]
        super().__setitem__(stream_id, stream)


async def _fill_window(stream: yamux.YamuxStream, *, bytes_read: int = 0) -> None:
    """Fills the window up in steps, and never widens it: the library grants twice what was read."""
    stream._pending_recv_release += bytes_read
    if stream._pending_recv_release >= WINDOW_STEP_BYTES:
        increment, stream._pending_recv_release = stream._pending_recv_release, 0
        stream.recv_window += increment
        await stream.send_window_update(increment)


def _limit_addresses(swarm: Swarm, admits_address: Callable[[str], bool], slots_per_address: int) -> None:
    """Few connections of one address, and no handshake (17 ms of a processor) for one that comes too often. The kernel
    is told to look after silent connections, which the library never does. What the library learned of a peer goes with
    its connection: it would keep a thousand strangers' own words about themselves."""
    upgrade = swarm.upgrade_inbound_raw_conn
    open_by_address: Counter[str] = Counter()

    async def upgrade_few(raw_conn: Any, maddr: Multiaddr) -> Any:
        remote = raw_conn.get_remote_address()
        address = remote[0] if remote else ""
        if open_by_address[address] >= slots_per_address or not admits_address(address):
            await raw_conn.close()
            raise SwarmException(f"no room for another connection from {address}")
        _watch_silence(raw_conn)
        open_by_address[address] += 1
        known = set(swarm.peerstore.peer_ids())
        try:
            return await upgrade(raw_conn, maddr)
        finally:
            open_by_address[address] -= 1
            if not open_by_address[address]:
                del open_by_address[address]
            for peer_id in set(swarm.peerstore.peer_ids()) - known - set(swarm.connections) - {swarm.get_peer_id()}:
                swarm.peerstore.clear_peerdata(peer_id)

    swarm.upgrade_inbound_raw_conn = upgrade_few  # type: ignore[method-assign]


def _watch_silence(raw_conn: Any) -> None:
    """Unanswered probes, or bytes that nobody acknowledges, end the connection."""
    raw_socket = raw_conn.stream.stream.socket
    raw_socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        raw_socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_S)
        raw_socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_S)
        raw_socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_AFTER_MS)


# gossip


class Judge:
    """What the gossip layer asks of the node above it. `judge` says what becomes of a message, by forwarder and topic;
    `take` accounts for what a peer sent and says how long to pause; `report` is told of what no honest peer does.
    """

    def __init__(
        self,
        judge: Callable[[ID, str, bytes], Verdict],
        take: Callable[[ID, int, int], float],
        report: Callable[[ID, str], None],
    ) -> None:
        self.judge, self.take, self.report = judge, take, report


def open_gossip(host: BasicHost, topics: Sequence[str], judge: Judge, degree: int) -> "GuardedPubsub":
    """Gossipsub 1.1 (1.2 costs twice the processor), signed messages. Both it and its router are services to run."""
    _drop_own_records()
    pubsub.RpcQueue = BoundedQueue  # type: ignore[misc, assignment]  # the class is wired into the library's code
    router = GuardedRouter(
        [PROTOCOL_ID_V11],
        degree,
        max(1, degree - 1),
        2 * degree,
        heartbeat_interval=HEARTBEAT_S,  # the default keeps ten minutes of messages
        do_px=False,  # it would dial whatever a stranger names
        adaptive_gossip_enabled=False,
        spam_protection_enabled=False,  # counts our own messages and drops them silently; `take` is our limit
        eclipse_protection_enabled=False,  # asks for three addresses, which a small committee may not have
    )
    return GuardedPubsub(host, router, topics, judge)


class GuardedRouter(GossipSub):
    """The library's router without what grows with strangers' wishes."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Nobody reads it with adaptive gossip off, and nobody cleans it up.
        self.recent_message_deliveries = defaultdict(_short_list)
        # Up to a hundred full messages for each peer that is not subscribed, for thirty seconds.
        self._pending_messages = _Forgetful(list)

    def _check_equivocation(self, _msg: rpc_pb2.Message) -> bool:
        """Keeps a thousand full messages; (sender, number) is looked up among the seen before it comes to this."""
        return True

    async def send_recent_messages(self, peer_id: ID, topic: str) -> None:
        """Through the queue: written past it they end up inside the frame that is being written."""
        for message_id in self.mcache.window(topic):
            message = self.mcache.get(message_id)
            if message is not None:
                self.send_rpc(peer_id, rpc_pb2.RPC(publish=[message]))
        await trio.lowlevel.checkpoint()

    async def heartbeat(self) -> None:
        while True:
            try:
                await super().heartbeat()
            except Exception as error:
                _log.warning("gossip.heartbeat_failed error=%r", error)
            await trio.sleep(HEARTBEAT_S)


class GuardedPubsub(Pubsub):
    """The library's pubsub with a reader of its own: one message after the other, within a peer's allowance."""

    def __init__(self, host: BasicHost, router: GuardedRouter, topics: Sequence[str], judge: Judge) -> None:
        super().__init__(host, router, strict_signing=True, allowed_topics=frozenset(topics))
        self._topics, self._judge = frozenset(topics), judge
        self.counter = time.time_ns()  # seconds would repeat after a restart, and be taken for seen

    def forget(self, peer_id: ID) -> None:
        """Ends all connections of a peer, at once."""
        for connection in self.host.get_network().get_connections(peer_id):
            abort_connection(cast(Any, connection).muxed_conn)

    async def stream_handler(self, stream: INetStream) -> None:
        peer_id = stream.muxed_conn.peer_id
        try:
            await self.continuously_read_stream(stream)
        except Exception as error:
            _log.debug("gossip.ended peer=%s error=%r", peer_id, error)
            self._handle_dead_peer(peer_id)

    async def continuously_read_stream(self, stream: INetStream) -> None:
        peer_id = stream.muxed_conn.peer_id
        while self.manager.is_running:
            data = await read_varint_prefixed_bytes_limited(stream, FRAME_BYTES_MAX)
            rpc = rpc_pb2.RPC()
            try:
                rpc.ParseFromString(data)
            except Exception:
                self._judge.report(peer_id, "an undecodable gossip frame")
                raise
            pause_s = self._judge.take(peer_id, 1 + len(rpc.publish), len(data))
            if pause_s > 0:
                await trio.sleep(pause_s)
            await self._handle(peer_id, rpc)

    async def _handle(self, peer_id: ID, rpc: rpc_pb2.RPC) -> None:
        if len(rpc.publish) > MESSAGES_PER_FRAME_MAX or len(rpc.subscriptions) > SUBSCRIPTIONS_PER_FRAME_MAX:
            self._judge.report(peer_id, "an overfull gossip frame")
            return
        for subscription in rpc.subscriptions:
            if subscription.topicid in self._topics:
                self.handle_subscription(peer_id, subscription)
        for message in rpc.publish:
            await self.push_msg(peer_id, message)
        if rpc.HasField("control"):
            self._trim(peer_id, rpc)
            rpc.ClearField("senderRecord")
            await self.router.handle_rpc(rpc, peer_id)

    def _trim(self, peer_id: ID, rpc: rpc_pb2.RPC) -> None:
        """Leaves of a control message what is about our topics and of a reasonable size: the router remembers topics
        by whatever name a peer gives them."""
        control = rpc.control
        counts = [len(part) for part in (control.ihave, control.graft, control.prune, control.iwant)]
        if sum(counts) > CONTROLS_PER_FRAME_MAX:
            self._judge.report(peer_id, "an overfull gossip frame")
            rpc.ClearField("control")
            return
        parts: list[Any] = [control.ihave, control.graft, control.prune]
        for part in parts:
            kept = [entry for entry in part if entry.topicID in self._topics]
            del part[:]
            part.extend(kept)
        for prune in control.prune:
            del prune.peers[:]  # the router would dial whatever a stranger names, whether or not it names any itself
        for later_version in ("idontwant", "extensions", "observe", "unobserve"):
            control.ClearField(later_version)
        requests: list[Any] = [*control.ihave, *control.iwant]
        for request in requests:
            ids = [name for name in request.messageIDs if len(name) <= 2 * MESSAGE_ID_BYTES_MAX]
            del request.messageIDs[:]
            request.messageIDs.extend(ids[:IDS_PER_CONTROL_MAX])

    async def push_msg(self, msg_forwarder: ID, msg: rpc_pb2.Message) -> None:
        """A message of ours or of a peer: judged, then relayed. Never raises."""
        try:
            if msg_forwarder != self.my_id and not self._is_welcome(msg_forwarder, msg):
                await trio.lowlevel.checkpoint()
                return
            self._mark_msg_seen(msg)
            await self.router.publish(msg_forwarder, msg)
        except Exception as error:
            _log.info("gossip.message_failed peer=%s error=%r", msg_forwarder, error)

    def _is_welcome(self, forwarder: ID, msg: rpc_pb2.Message) -> bool:
        topics = list(msg.topicIDs)
        if len(topics) != 1 or len(msg.from_id) > MESSAGE_ID_BYTES_MAX - 8 or len(msg.seqno) != 8:
            self._judge.report(forwarder, "a malformed gossip message")
            return False
        if topics[0] not in self.topic_ids or self._is_msg_seen(msg) or ID(msg.from_id) == self.my_id:
            return False
        try:
            is_signed = signature_validator(msg)
        except Exception:  # the library raises whatever a strange key makes its parser raise
            is_signed = False
        if not is_signed:
            self._judge.report(forwarder, "a gossip message with a wrong signature")
            return False
        verdict = self._judge.judge(forwarder, topics[0], msg.data)
        if verdict is not Verdict.ACCEPT:
            self._mark_msg_seen(msg)  # or it would be asked for again
        return verdict is Verdict.ACCEPT

    async def write_msg(self, stream: INetStream, rpc_msg: rpc_pb2.RPC) -> bool:
        """A peer that does not take a frame within seconds loses its connection: the library would open the next
        stream to it at once, and fill another queue."""
        is_written = False
        try:
            with trio.fail_after(WRITE_TIMEOUT_S):
                is_written = await super().write_msg(stream, rpc_msg)
        except trio.TooSlowError:
            pass
        if not is_written:
            _log.info("gossip.unread peer=%s", stream.muxed_conn.peer_id)
            abort_connection(stream.muxed_conn)
        return is_written


class BoundedQueue(RpcQueue):
    """Bounded by bytes, too: the library's bound is a number of frames of up to a megabyte each."""

    def __init__(self) -> None:
        super().__init__(QUEUE_FRAMES_MAX, FRAME_BYTES_MAX)
        self._size_bytes = 0

    def push(self, rpc: rpc_pb2.RPC, priority: bool = False) -> bool:
        size_bytes = rpc.ByteSize()
        if self._size_bytes + size_bytes > QUEUE_BYTES_MAX or not super().push(rpc, priority):
            return False
        self._size_bytes += size_bytes
        return True

    async def pop(self) -> rpc_pb2.RPC | None:
        rpc = await super().pop()
        if rpc is not None:
            self._size_bytes -= rpc.ByteSize()
        return rpc


class _Forgetful(defaultdict[Any, Any]):
    """Gives an empty list for every key and keeps none."""

    def __missing__(self, _key: Any) -> list[Any]:
        return []


def _short_list() -> Any:
    return deque(maxlen=16)


def _drop_own_records() -> None:
    """A signed record of our addresses with every frame costs a seventh of all; identify tells them anyway."""

    def leave_out(_host: Any) -> tuple[bytes, bool]:
        return b"", False

    gossipsub.env_to_send_in_RPC = leave_out  # type: ignore[assignment]
    pubsub.env_to_send_in_RPC = leave_out  # type: ignore[assignment]
