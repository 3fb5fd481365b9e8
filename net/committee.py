"""The committee host: one link to every other member, and one bounded channel of all that they say.

Members come and go while it runs (`update`): besides those of the current committee there are the next ones, who follow
the chain before they vote, and those who have just left. The member with the higher index dials. Delivery is not
guaranteed: after each `PeerUp` both sides compare height and view and send again what the other lacks.

Whoever is no member may listen: up to `strangers_max` of them, each in a slot, as an index from `STRANGER_FIRST` on.
They are sent what is sent to all, may ask for what they lack, and stand in `peers` and `statistics` nowhere. They speak
and hear on a budget: what they say beyond questions is not heard, what would overdraw their share of our line not sent.
"""

import logging
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import trio
from libp2p.custom_types import TProtocol
from libp2p.network.swarm import Swarm
from libp2p.peer.id import ID
from libp2p.protocol_muxer.multiselect import Multiselect
from libp2p.protocol_muxer.multiselect_client import MultiselectClient
from libp2p.protocol_muxer.multiselect_communicator import MultiselectCommunicator
from libp2p.tools.anyio_service import background_trio_service
from multiaddr import Multiaddr

from net.allowance import KINDS, MEMBER, STRANGER, Kind, Rate
from net.fastlane import open_lane
from net.hardening import abort_connection, check_port_free, close_swarm, forget_failed_dial, open_swarm
from net.identity import derive_network_key
from net.link import HelloState, Link, LinkHooks, LinkLimits, PeerCounters, Wire
from net.peer_identity import derive_key_pair, peer_id_of
from net.peers import Offence, PeerBook, make_bucket
from net.wire import (
    BatchRequest,
    BlockRequest,
    ChunkRequest,
    Frame,
    FrameType,
    Priority,
    RangeRequest,
    SnapshotRequest,
    encode_frame,
    frame_type,
    priority_of,
)

LINK_PROTOCOL = TProtocol("/hansa/link/1")
NEGOTIATE_TIMEOUT_S = 5
STRANGER_FIRST = 1 << 16
# An honest member has one range, one offer and two chunks under way from each peer.
ANSWERS_WAITING_MAX = 4
# What all listeners together may cost our line: as much as two members at full load, and no more.
STRANGERS_BYTES_PER_S = 8.0 * 1024 * 1024
STRANGERS_BURST_S = 2.0

_QUESTIONS = (BlockRequest, BatchRequest, RangeRequest, SnapshotRequest, ChunkRequest)
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MemberAddress:
    """Where a member listens, and the ed25519 key that the registry binds it to. `index` is the number of its
    registration, which never changes.
    """

    index: int
    network_key: bytes
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class CommitteeLimits:
    """Limits of the host; those of a single link are in `link`."""

    link: LinkLimits = field(default_factory=LinkLimits)
    member_rates: Mapping[Kind, Rate] = field(default_factory=lambda: MEMBER)
    events_max: int = 256
    members_max: int = 160
    strangers_max: int = 0
    inbound_slots: int = 256
    dial_timeout_s: float = 5.0
    redial_first_s: float = 0.1
    redial_last_s: float = 1.0
    restart_delay_s: float = 0.5
    close_timeout_s: float = 1.5


class Inbound(NamedTuple):
    """A frame from a member; never `Hello`, `Ping` or `Pong`, which the link keeps to itself."""

    peer: int
    frame: Frame


class PeerUp(NamedTuple):
    """A link is up; `height` and `view` are the peer's, as of its hello."""

    peer: int
    height: int
    view: int


class PeerDown(NamedTuple):
    """The link that the last `PeerUp` announced has ended."""

    peer: int
    reason: str


Event = Inbound | PeerUp | PeerDown


@dataclass(frozen=True, slots=True)
class PeerStatistics:
    """One member as seen from here. Counters are totals over all links since start."""

    connected: bool
    links: int
    frames_in: int
    frames_out: int
    bytes_in: int
    bytes_out: int
    writes: int
    queue_bytes: int
    last_heard_ago_s: float | None
    rtt_ms: float
    height: int
    view: int
    score: float
    banned_for_s: float


@asynccontextmanager
async def open_committee(
    *,
    seed: bytes,
    me: int,
    members: Sequence[MemberAddress],
    network_id: bytes,
    listen_host: str,
    hello: Callable[[], HelloState],
    listen_port: int | None = None,
    limits: CommitteeLimits = CommitteeLimits(),
) -> AsyncIterator["Committee"]:
    """Listens, dials and keeps all links up until the block is left. Raises `OSError` when the port is taken. `members`
    may lack this node itself, if `listen_port` is given.
    """
    own = next((member for member in members if member.index == me), None)
    if own is not None and own.network_key != derive_network_key(seed):
        raise ValueError(f"the seed is not that of member {me}")
    port = listen_port if own is None or listen_port is not None else own.port
    if port is None:
        raise ValueError(f"nothing says where member {me} listens")
    check_port_free(listen_host, port)
    async with trio.open_nursery() as nursery:
        committee = Committee(seed, me, network_id, hello, limits, nursery)
        committee.update(members)
        nursery.start_soon(committee._flush)
        await nursery.start(committee._serve, listen_host, port)
        try:
            yield committee
        finally:
            nursery.cancel_scope.cancel()


class Committee:
    """All links of one validator. Made by `open_committee`."""

    def __init__(
        self,
        seed: bytes,
        me: int,
        network_id: bytes,
        hello: Callable[[], HelloState],
        limits: CommitteeLimits,
        nursery: trio.Nursery,
    ) -> None:
        self.me = me
        self._key_pair = derive_key_pair(seed)
        self._limits = limits
        self._nursery = nursery
        self._members: dict[int, MemberAddress] = {}
        self._peer_ids: dict[int, ID] = {}
        self._indices: dict[ID, int] = {}
        self._strangers: dict[int, ID] = {}
        self._dialed: dict[int, None] = {}  # those whom a task of ours keeps linked
        self._book = PeerBook()
        self._strangers_share = make_bucket(STRANGERS_BYTES_PER_S, STRANGERS_BURST_S, trio.current_time())
        self._counters: dict[int, PeerCounters] = {}
        self._links: dict[int, Link] = {}
        self._swarm: Swarm | None = None
        self._swarm_ready = trio.Event()
        self._scheduled: list[Link] = []
        self._has_scheduled = trio.Event()
        self._send_events, self.events = trio.open_memory_channel[Event](limits.events_max)
        self._hooks = LinkHooks(
            self._open_wire,
            network_id,
            me,
            hello,
            self._schedule,
            self._offer,
            self._deliver,
            self.report,
            self._take_allowance,
        )

    def update(self, members: Sequence[MemberAddress]) -> None:
        """From now on these are the members: new ones are admitted and dialed, the links of others end. Addresses may
        change, keys never do. More than `members_max` are not linked.
        """
        others = [member for member in members if member.index != self.me][: self._limits.members_max]
        wanted = {member.index: member for member in others}
        gone = [index for index in self._members if index not in wanted]
        self._members = wanted
        self._peer_ids = {index: peer_id_of(member.network_key) for index, member in wanted.items()}
        self._indices = {peer_id: index for index, peer_id in self._peer_ids.items()}
        for index in gone:
            if index in self._links:
                self._links[index].close("no member any more")
        for index, peer_id in self._strangers.items():
            if peer_id in self._indices and index in self._links:
                self._links[index].close("no stranger any more")
        for index in wanted:
            self._counters.setdefault(index, PeerCounters())
            if index < self.me and index not in self._dialed:
                self._dialed[index] = None
                self._nursery.start_soon(self._keep_linked, index)

    def send(self, peer: int, frame: Frame, priority: Priority | None = None) -> bool:
        """Queues a frame for a peer without waiting; False when its link is down or its queue full.

        Raises `WireError` for a frame over its limits, which is the caller's mistake.
        """
        order = priority_of(frame_type(frame)) if priority is None else priority
        link = self._links.get(peer)
        return link is not None and self._push(link, encode_frame(frame), order)

    def takes_answers(self, peer: int) -> bool:
        """Whether it has read what it was answered before, but for a few: more would be made for nobody."""
        link = self._links.get(peer)
        return link is not None and link.waiting_answers < ANSWERS_WAITING_MAX

    def broadcast(self, frame: Frame, priority: Priority | None = None) -> int:
        """Like `send` to every connected peer, encoded once; the number of links that took it."""
        data = encode_frame(frame)
        order = priority_of(frame_type(frame)) if priority is None else priority
        return sum(self._push(link, data, order) for link in list(self._links.values()))

    def _push(self, link: Link, data: bytes, priority: Priority) -> bool:
        if link.peer >= STRANGER_FIRST and self._strangers_share.debt_s(trio.current_time()) > 0:
            return False
        if not link.send(data, priority):
            return False
        if link.peer >= STRANGER_FIRST:
            self._strangers_share.take(len(data), trio.current_time())
        return True

    def peers(self) -> list[int]:
        """Indices of the connected members, ascending."""
        return sorted(index for index, link in self._links.items() if not link.reason and index in self._members)

    def report(self, peer: int, offence: Offence) -> None:
        """Counts an offence against a peer; too many in a short time ban it for a while."""
        now_s = trio.current_time()
        if self._is_banned(peer):
            return
        banned = self._book.report(peer, offence, now_s)
        _log.warning("link.offence peer=%d offence=%s", peer, offence)
        if banned:
            banned_for_s = self._book.banned_for_s(peer, now_s)
            _log.warning("link.banned peer=%d seconds=%.0f", peer, banned_for_s)
            if peer in self._links:
                self._links[peer].close(f"banned for {banned_for_s:.0f} s")

    def statistics(self) -> dict[int, PeerStatistics]:
        """Every other member, connected or not."""
        now_s = trio.current_time()
        return {index: self._describe(index, self._counters[index], now_s) for index in self._members}

    def _describe(self, index: int, counters: PeerCounters, now_s: float) -> PeerStatistics:
        link = self._links.get(index)
        return PeerStatistics(
            connected=link is not None and not link.reason,
            links=counters.links,
            frames_in=counters.frames_in,
            frames_out=counters.frames_out,
            bytes_in=counters.bytes_in,
            bytes_out=counters.bytes_out,
            writes=counters.writes,
            queue_bytes=link.queue_bytes if link else 0,
            last_heard_ago_s=now_s - counters.last_heard_s if counters.last_heard_s else None,
            rtt_ms=counters.rtt_ms,
            height=counters.height,
            view=counters.view,
            score=self._book.score(index, now_s),
            banned_for_s=self._book.banned_for_s(index, now_s),
        )

    def _admits_inbound(self, peer_id: ID) -> bool:
        index = self._indices.get(peer_id)
        if index is None:
            return self._find_slot(peer_id) is not None
        return index > self.me and not self._is_banned(index)

    def _find_slot(self, peer_id: ID) -> int | None:
        """The index under which a stranger may listen: the one it has, or a free one."""
        slots = range(STRANGER_FIRST, STRANGER_FIRST + self._limits.strangers_max)
        held = [index for index, known in self._strangers.items() if known == peer_id]
        free = [index for index in slots if index not in self._strangers and not self._is_banned(index)]
        return next(iter(held + free), None)

    def _admits_outbound(self, peer_id: ID) -> bool:
        index = self._indices.get(peer_id)
        return index is not None and index < self.me

    def _is_banned(self, index: int) -> bool:
        return self._book.banned_for_s(index, trio.current_time()) > 0

    def _take_allowance(self, peer: int, kind: FrameType, size_bytes: int) -> float:
        rates = self._limits.member_rates if peer < STRANGER_FIRST else STRANGER
        return self._book.take(peer, KINDS[kind], size_bytes, trio.current_time(), rates)

    def charge_signatures(self, peer: int, count: int) -> float:
        """Accounts for signatures that a peer's batches made us check; seconds that the next ones should wait."""
        rates = self._limits.member_rates if peer < STRANGER_FIRST else STRANGER
        return self._book.take(peer, Kind.SIGNATURES, 0, trio.current_time(), rates, count)

    def _offer(self, peer: int, frame: Frame) -> bool:
        """False when `_deliver` has to wait for room."""
        if peer >= STRANGER_FIRST and not isinstance(frame, _QUESTIONS):
            return True
        try:
            self._send_events.send_nowait(Inbound(peer, frame))
        except trio.WouldBlock:
            return False
        return True

    async def _deliver(self, peer: int, frame: Frame) -> None:
        await self._send_events.send(Inbound(peer, frame))

    # The stubs that libp2p's dependency trio-typing brings along are older than trio, and hide trio's own types.
    async def _serve(
        self,
        host: str,
        port: int,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,  # type: ignore[name-defined]
    ) -> None:
        """Runs the swarm, and again if ever it ends: no peer may end a validator, whatever the library misses."""
        started = False

        def note_start() -> None:
            nonlocal started
            if not started:
                started = True
                task_status.started()

        while True:
            try:
                await self._serve_once(host, port, note_start)
            except Exception as error:
                if not started:
                    raise
                _log.error("committee_host.restarted error=%r", error)
            await trio.sleep(self._limits.restart_delay_s)

    async def _serve_once(self, host: str, port: int, on_start: Callable[[], None]) -> None:
        listen = _tcp_address(host, port)
        swarm = open_swarm(
            self._key_pair,
            listen,
            self._admits_inbound,
            self._admits_outbound,
            self._accept_stream,
            self._limits.inbound_slots,
            lambda address: any(member.host == address for member in self._members.values()),
        )
        async with background_trio_service(swarm):
            try:
                if not await swarm.listen(listen):
                    raise OSError(f"cannot listen on {host}:{port}")
                self._swarm = swarm
                self._swarm_ready.set()
                on_start()
                await trio.sleep_forever()
            finally:
                self._swarm = None
                self._swarm_ready = trio.Event()
                # trio-typing's stubs do not know the argument yet.
                with trio.move_on_after(self._limits.close_timeout_s, shield=True):  # type: ignore[call-arg]
                    await close_swarm(swarm)

    async def _accept_stream(self, stream: Any) -> None:
        index = self._indices.get(stream.muxed_conn.peer_id)
        is_stranger = index is None
        if index is None:
            index = self._find_slot(stream.muxed_conn.peer_id)
        if index is None:
            abort_connection(stream.muxed_conn)  # no room any more, since it was admitted
            return
        if is_stranger:
            self._strangers[index] = stream.muxed_conn.peer_id
        try:
            protocols = Multiselect({LINK_PROTOCOL: None})
            await protocols.negotiate(MultiselectCommunicator(stream), NEGOTIATE_TIMEOUT_S)
            await self._serve_link(index, stream)
        finally:
            if is_stranger and index not in self._links:
                self._strangers.pop(index, None)

    async def _keep_linked(self, index: int) -> None:
        """Dials a member with a lower index whenever there is no link to it, for as long as it is one."""
        delay_s = self._limits.redial_first_s
        while index in self._members:
            if self._is_banned(index):
                await trio.sleep(self._limits.redial_last_s)
                continue
            stream = await self._dial(self._members[index])
            if stream is not None and await self._serve_link(index, stream):
                delay_s = self._limits.redial_first_s
            await trio.sleep(delay_s * random.uniform(0.75, 1.25))
            delay_s = min(2 * delay_s, self._limits.redial_last_s)
        del self._dialed[index]

    async def _dial(self, member: MemberAddress) -> Any | None:
        """A negotiated stream on a new connection, or None."""
        await self._swarm_ready.wait()
        swarm, connection = self._swarm, None
        assert swarm is not None, "ready means that there is one"
        try:
            with trio.fail_after(self._limits.dial_timeout_s):
                peer_id = peer_id_of(member.network_key)
                forget_failed_dial(swarm, peer_id)
                connection = await swarm.dial_addr(await _resolve(member.host, member.port), peer_id)
                stream = await connection.new_stream()
                await MultiselectClient().select_one_of([LINK_PROTOCOL], MultiselectCommunicator(stream))
                return stream
        except Exception as error:  # whatever goes wrong, the answer is to dial again
            _log.debug(
                "link.unreachable peer=%d host=%s port=%d error=%r", member.index, member.host, member.port, error
            )
        if connection is not None:
            abort_connection(connection.muxed_conn)
        return None

    async def _serve_link(self, peer: int, stream: Any) -> bool:
        """Runs a link from hello to end; False when it never was up."""
        if not self._is_known(peer):
            abort_connection(stream.muxed_conn)
            return False
        counters = self._counters.setdefault(peer, PeerCounters())
        link = Link(peer, stream, self._hooks, self._limits.link, counters, has_number=peer < STRANGER_FIRST)
        try:
            hello = await link.exchange_hello()
            if hello is None or self._is_banned(peer) or not self._is_known(peer):
                return False
            await self._replace(peer, link)
            _log.info("link.up peer=%d height=%d", peer, hello.height)
            announced = await link.run(lambda: self._send_events.send(PeerUp(peer, hello.height, hello.view)))
        finally:
            link.close("closed")
            if self._links.get(peer) is link:
                del self._links[peer]
            link.finished.set()
        _log.info("link.down peer=%d reason=%s", peer, link.reason)
        if announced:
            with suppress(trio.BrokenResourceError):  # nobody listens any more
                await self._send_events.send(PeerDown(peer, link.reason))
        return True

    def _schedule(self, link: Link) -> None:
        self._scheduled.append(link)
        self._has_scheduled.set()

    async def _flush(self) -> None:
        """One task writes to all links what was said to them in one turn of the scheduler: a turn a broadcast, not a
        turn a peer."""
        while True:
            await self._has_scheduled.wait()
            self._has_scheduled = trio.Event()
            links, self._scheduled = self._scheduled, []
            for link in links:
                link.flush()

    async def _open_wire(self, stream: Any) -> Wire:
        return await open_lane(stream)

    def _is_known(self, peer: int) -> bool:
        return peer in self._members or peer in self._strangers

    async def _replace(self, peer: int, link: Link) -> None:
        """The newer link wins: a peer that dials again has lost the old one, even if we have not noticed."""
        peer_id = self._strangers[peer] if peer in self._strangers else self._peer_ids[peer]
        while peer in self._links:
            old = self._links[peer]
            old.close("replaced by a newer link")
            await old.finished.wait()
        self._links[peer] = link
        self._counters[peer].links += 1
        for connection in self._swarm.get_connections(peer_id) if self._swarm else ():
            if connection.muxed_conn is not link.muxed_conn:
                abort_connection(connection.muxed_conn)


def _tcp_address(host: str, port: int) -> Multiaddr:
    return Multiaddr(f"/ip{6 if ':' in host else 4}/{host}/tcp/{port}")


async def _resolve(host: str, port: int) -> Multiaddr:
    """Names are looked up at each dial: a restarted container has a new address."""
    found = await trio.socket.getaddrinfo(host, port, type=trio.socket.SOCK_STREAM)
    return _tcp_address(found[0][4][0], port)
