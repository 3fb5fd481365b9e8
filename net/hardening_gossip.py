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
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Sequence
from enum import Enum
from itertools import islice
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
from libp2p.pubsub.utils import safe_bytes_from_hex
from libp2p.pubsub.validators import signature_validator
from libp2p.stream_muxer.yamux import yamux
from multiaddr import Multiaddr

from net.doorkeeper import Doorkeeper
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
# Of a frame's message names so many are looked at, and so many count as a message does in the sender's allowance.
IDS_PER_FRAME_MAX = 512
IDS_PER_MESSAGE = 32
# We ask for no more at a time than one frame may bring, and answer in frames of that size.
WANTED_PER_FRAME_MAX = MESSAGES_PER_FRAME_MAX
# A peer asks for what it was told of seconds ago, and we remember names for two minutes.
UNKNOWN_WANTED_MAX = 16
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
FRAME_READ_BYTES = 64 * 1024
LENGTH_BYTES_MAX = 10

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
    slots: int,
    door: Doorkeeper,
    is_expected: Callable[[str], bool],
    on_peer: Callable[[ID, str], None],
) -> BasicHost:
    """A host for strangers: noise and yamux, identify and ping. `door` and `is_expected` as in `open_swarm`; `on_peer`
    is told of every connection that has a key, and of its address."""

    async def refuse(_stream: INetStream) -> None:
        raise SwarmException("the host is not there yet")

    swarm = open_swarm(key_pair, listen, admits, admits, refuse, slots, is_expected, door)
    swarm.upgrader.muxer_multistream = PublicMuxer(swarm.upgrader.muxer_multistream, on_peer)
    _keep_tidy(swarm)
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

    def __init__(self, original: Any, on_peer: Callable[[ID, str], None]) -> None:
        super().__init__(original)
        self._on_peer = on_peer

    async def new_conn(self, conn: Any, peer_id: ID) -> "PublicYamux":
        protocol, _ = await self._selector.select(conn, conn.is_initiator, self.negotiate_timeout)
        remote = conn.get_remote_address()  # now, for a socket that was reset does not tell
        self._on_peer(peer_id, remote[0] if remote else "")
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


def _keep_tidy(swarm: Swarm) -> None:
    """The kernel is told to look after silent connections, which the library never does. What the library learned of a
    peer goes with its connection: it would keep a thousand strangers' own words about themselves."""
    upgrade = swarm.upgrade_inbound_raw_conn

    async def upgrade_and_forget(raw_conn: Any, maddr: Multiaddr) -> Any:
        _watch_silence(raw_conn)
        known = set(swarm.peerstore.peer_ids())
        try:
            return await upgrade(raw_conn, maddr)
        finally:
            for peer_id in set(swarm.peerstore.peer_ids()) - known - set(swarm.connections) - {swarm.get_peer_id()}:
                swarm.peerstore.clear_peerdata(peer_id)

    swarm.upgrade_inbound_raw_conn = upgrade_and_forget  # type: ignore[method-assign]


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
    `is_plausible` tells from its looks whether it is worth the check of a signature; `take` accounts for what a peer
    sent and says how long to pause; `report` is told of offences, the last argument being whether no honest peer
    commits it; `admits`: whether anybody listens to a peer still.
    """

    def __init__(
        self,
        judge: Callable[[ID, str, bytes], Verdict],
        is_plausible: Callable[[str, bytes], bool],
        take: Callable[[ID, int, int], float],
        report: Callable[[ID, str, bool], None],
        admits: Callable[[ID], bool],
    ) -> None:
        self.judge, self.is_plausible, self.take, self.report, self.admits = judge, is_plausible, take, report, admits


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
        peer_id, frames = stream.muxed_conn.peer_id, _Frames(stream)
        # What a peer said before it was banned may still lie there.
        while self.manager.is_running and self._judge.admits(peer_id):
            data = await frames.next()
            rpc = rpc_pb2.RPC()
            try:
                rpc.ParseFromString(data)
            except Exception:
                self._judge.report(peer_id, "an undecodable gossip frame", True)
                raise
            named: list[Any] = [*rpc.control.ihave, *rpc.control.iwant]
            names = sum(len(part.messageIDs) for part in named)
            pause_s = self._judge.take(peer_id, 1 + len(rpc.publish) + names // IDS_PER_MESSAGE, len(data))
            if pause_s > 0:
                await trio.sleep(pause_s)
            await self._handle(peer_id, rpc)

    async def _handle(self, peer_id: ID, rpc: rpc_pb2.RPC) -> None:
        if len(rpc.publish) > MESSAGES_PER_FRAME_MAX or len(rpc.subscriptions) > SUBSCRIPTIONS_PER_FRAME_MAX:
            self._judge.report(peer_id, "an overfull gossip frame", False)
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
            self._judge.report(peer_id, "an overfull gossip frame", False)
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
        self._trim_offers(control)
        self._trim_requests(peer_id, control)

    def _trim_offers(self, control: Any) -> None:
        """Leaves the names of messages that we lack, as many as we ask for at a time."""
        looked_at = wanted = 0
        for offer in control.ihave:
            names, kept = offer.messageIDs, []
            for name in names[: IDS_PER_FRAME_MAX - looked_at]:
                if wanted == WANTED_PER_FRAME_MAX:
                    break
                looked_at += 1
                message_id = _read_id(name)
                if message_id is not None and not self.seen_messages.has(message_id):
                    kept.append(name)
                    wanted += 1
            del names[:]
            names.extend(kept)

    def _trim_requests(self, peer_id: ID, control: Any) -> None:
        """Leaves the names of messages that we still have, in requests of as many as a frame holds. Nobody has heard
        from us of a name that we do not know."""
        memory = cast(GuardedRouter, self.router).mcache
        unknown, held = 0, dict[Any, None]()  # in the order asked for, once each
        names = (name for request in control.iwant for name in request.messageIDs)
        for name in islice(names, IDS_PER_FRAME_MAX):
            message_id = _read_id(name)
            if message_id is not None and memory.get(message_id) is not None:
                held[name] = None
            elif message_id is None or not self.seen_messages.has(message_id):
                unknown += 1
                if unknown > UNKNOWN_WANTED_MAX:
                    self._judge.report(peer_id, "asks for messages that nobody told it of", True)
                    held.clear()
                    break
        del control.iwant[:]
        asked = list(held)
        for at in range(0, len(asked), MESSAGES_PER_FRAME_MAX):
            control.iwant.add(messageIDs=asked[at : at + MESSAGES_PER_FRAME_MAX])

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
            self._judge.report(forwarder, "a malformed gossip message", False)
            return False
        if topics[0] not in self._topics:
            # Messages go to who has subscribed to their topic, and we never subscribe to another.
            self._judge.report(forwarder, "a message of a topic that nobody asked for", True)
            return False
        if topics[0] not in self.topic_ids or self._is_msg_seen(msg) or ID(msg.from_id) == self.my_id:
            return False
        # Whoever relays may not have known what this is; whoever wrote it has.
        is_own = msg.from_id == forwarder.to_bytes()
        if not self._judge.is_plausible(topics[0], msg.data):
            self._judge.report(forwarder, "a message that is none of its topic", is_own)
            return False
        try:
            is_signed = signature_validator(msg)
        except Exception:  # the library raises whatever a strange key makes its parser raise
            is_signed = False
        if not is_signed:
            self._judge.report(forwarder, "a gossip message with a wrong signature", False)
            return False
        verdict = self._judge.judge(forwarder, topics[0], msg.data)
        if verdict is Verdict.REJECT and is_own:
            self._judge.report(forwarder, "published what it cannot prove", True)
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


class _Frames:
    """The frames of a gossip stream, each behind its length, read in pieces as large as have come: the library reads a
    length byte by byte, and each byte takes its locks."""

    def __init__(self, stream: INetStream) -> None:
        self._stream, self._buffer = stream, bytearray()

    async def next(self) -> bytes:
        """Raises what the library raises when the stream ends, and `ValueError` for a length that is not allowed."""
        await trio.lowlevel.checkpoint()  # many small frames in one piece must not hold everybody else up
        while True:
            start, size_bytes = self._read_length()
            if start and len(self._buffer) >= start + size_bytes:
                frame = bytes(self._buffer[start : start + size_bytes])
                del self._buffer[: start + size_bytes]
                return frame
            piece = await self._stream.read(FRAME_READ_BYTES)
            if not piece:
                raise ValueError("a gossip stream ended within a frame")
            self._buffer += piece

    def _read_length(self) -> tuple[int, int]:
        """Where the frame begins and how long it is; 0, 0 while its length is not there yet."""
        size_bytes = 0
        for at, byte in enumerate(self._buffer[:LENGTH_BYTES_MAX]):
            size_bytes |= (byte & 0x7F) << 7 * at
            if size_bytes > FRAME_BYTES_MAX:
                raise ValueError("a gossip frame that is too long")
            if not byte & 0x80:
                return at + 1, size_bytes
        if len(self._buffer) >= LENGTH_BYTES_MAX:
            raise ValueError("the length of a gossip frame does not end")
        return 0, 0


def _read_id(name: str | bytes) -> bytes | None:
    """The id of a message by the name that a peer gives it."""
    return safe_bytes_from_hex(name) if len(name) <= 2 * MESSAGE_ID_BYTES_MAX else None


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
