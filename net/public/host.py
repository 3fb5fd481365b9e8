"""The public libp2p host of a node: gossip of what proves itself, request streams, and a handful of neighbours.

It lives in a process of its own. Strangers connect, within slots and allowances; what they send is judged before it is
relayed. The host looks for neighbours itself: those of the bootstrap list and those that neighbours name, whose address
it believes once it has dialed it. Whatever ends the library's host ends nothing else: it is built anew.
"""

import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import trio
from libp2p.custom_types import TProtocol
from libp2p.host.basic_host import BasicHost
from libp2p.network.swarm import Swarm
from libp2p.peer.id import ID
from libp2p.tools.anyio_service import background_trio_service
from multiaddr import Multiaddr

from net.doorkeeper import Doorkeeper, DoorLimits, network_of
from net.hardening import check_port_free, close_swarm, forget_failed_dial
from net.hardening_gossip import GuardedPubsub, GuardedRouter, Judge, Verdict, open_gossip, open_public_host
from net.identity import derive_network_key
from net.peer_identity import derive_key_pair, peer_id_of
from net.public.messages import (
    ANSWER_BYTES_MAX,
    PEERS_MAX,
    PEERS_PROTOCOL,
    REQUEST_BYTES_MAX,
    PublicError,
    Topics,
    decode_peers,
    encode_peers,
)
from net.public.requests import ask, serve_requests
from net.public.standing import StrangerLimits, Strangers

RESTART_DELAY_S = 1.0
CLOSE_TIMEOUT_S = 1.5
DIAL_TIMEOUT_S = 5.0
LOOK_INTERVAL_S = 2.0
EXCHANGE_INTERVAL_S = 30.0
CANDIDATES_MAX = 256
BACKOFF_FIRST_S = 1.0
BACKOFF_LAST_S = 120.0

log = logging.getLogger("hansa.public")


class PeerLost(Exception):
    """The peer is not connected, or does not answer."""


@dataclass(frozen=True, slots=True)
class PublicLimits:
    """`neighbours`: how many connections this host looks for itself; `degree`: to how many peers it relays."""

    slots: int = 64
    slots_per_address: int = 8
    neighbours: int = 6
    degree: int = 4
    strangers: StrangerLimits = field(default_factory=StrangerLimits)

    def door(self) -> DoorLimits:
        """A handshake (17 ms of a processor) in two seconds for an address, and ten a second for all of them."""
        return DoorLimits(
            connections_per_address=self.slots_per_address, attempts_per_s=0.5, attempts_burst=16.0,
            strangers_per_s=10.0, strangers_burst=60.0, are_keys_free=True,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class PublicSetup:
    """Where a host listens and whom it knows. `advertise` empty: the address it listens on."""

    seed: bytes
    network_id: bytes
    listen_host: str
    listen_port: int
    advertise: tuple[str, ...] = ()
    bootstrap: tuple[str, ...] = ()
    limits: PublicLimits = PublicLimits()


@dataclass(slots=True)
class _Candidate:
    """An address that somebody named."""

    address: Multiaddr
    is_named_by_operator: bool
    failures: int = 0
    next_dial_s: float = 0.0


# A handler gets the peer's id and the request, and gives the answer. `PublicError` counts as an offence.
Handler = Callable[[bytes, bytes], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class Answers:
    """What answers the requests of a protocol, and how long such a request may be."""

    handler: Handler
    request_bytes_max: int = REQUEST_BYTES_MAX


Receiver = Callable[[str, bytes, bytes], Verdict]


def make_address(host: str, port: int, seed: bytes) -> str:
    """The multiaddr by which others reach the host of this seed."""
    family = "ip6" if ":" in host else "ip4"
    return f"/{family}/{host}/tcp/{port}/p2p/{peer_id_of(derive_network_key(seed))}"


def parse_address(text: str) -> tuple[Multiaddr, ID]:
    """Transport part and peer id of a multiaddr. Raises `PublicError`."""
    try:
        address = Multiaddr(text)
        peer_id = ID.from_base58(address.value_for_protocol("p2p"))
        address.value_for_protocol("tcp")
        return address.decapsulate(Multiaddr(f"/p2p/{peer_id}")), peer_id
    except Exception as error:  # the library's parsers raise many kinds on bad text
        raise PublicError(f"{text!r} is no address: write /ip4/HOST/tcp/PORT/p2p/PEER_ID") from error


class PublicHost:
    """`receive(topic, data, forwarder)` judges what comes by gossip; `answers` are those to requests, by protocol."""

    def __init__(self, setup: PublicSetup, receive: Receiver, answers: Mapping[str, Answers]) -> None:
        self._setup = setup
        self._receive = receive
        self._answers = {**answers, PEERS_PROTOCOL: Answers(self._answer_peers)}
        self.topics = Topics.of(setup.network_id)
        self._key_pair = derive_key_pair(setup.seed)
        self._strangers = Strangers(setup.limits.strangers)
        self._door = Doorkeeper(setup.limits.door())
        self._candidates: dict[ID, _Candidate] = {}
        self._homes: dict[ID, str] = {}  # where the neighbours of the operator's list live
        for text in setup.bootstrap:
            address, peer_id = parse_address(text)
            self._candidates[peer_id] = _Candidate(address, True)
            self._homes[peer_id] = _find_ip(address)
        self._host: BasicHost | None = None
        self._gossip: GuardedPubsub | None = None
        self.ready = trio.Event()
        self.verdicts = dict.fromkeys(Verdict, 0)

    @property
    def address(self) -> str:
        """Where others find this host."""
        setup = self._setup
        return setup.advertise[0] if setup.advertise else make_address(setup.listen_host, setup.listen_port, setup.seed)

    @property
    def peer_ids(self) -> list[bytes]:
        """Of everybody who is connected."""
        return [] if self._host is None else [peer_id.to_bytes() for peer_id in self._host.get_connected_peers()]

    @property
    def banned_count(self) -> int:
        return self._strangers.banned_count(trio.current_time())

    async def run(self) -> None:
        """Until cancelled. Raises `OSError` when the port is taken at the start."""
        check_port_free(self._setup.listen_host, self._setup.listen_port)
        while True:
            try:
                await self._run_once()
            except Exception as error:
                if not self.ready.is_set():
                    raise
                log.error("public.restarted error=%r", error)
            await trio.sleep(RESTART_DELAY_S)

    async def publish(self, topic: str, data: bytes) -> None:
        """To the peers of the topic's mesh; nothing happens while the host is being built."""
        if self._gossip is not None:
            await self._gossip.publish(topic, data)

    async def ask(self, peer: bytes, protocol: str, request: bytes) -> bytes:
        """The answer of a connected peer. Raises `PeerLost`."""
        if self._host is None:
            raise PeerLost("the host is not there")
        try:
            stream = await self._host.new_stream(ID(peer), [TProtocol(protocol)])
            return await ask(stream, request, ANSWER_BYTES_MAX)
        except Exception as error:  # the library's streams end with errors of many kinds
            raise PeerLost(str(error) or repr(error)) from error

    def report(self, peer: bytes, offence: str, is_certain: bool = False) -> None:
        """Something that honest peers do not do; a second one bans it, or the first that none of them ever does."""
        now_s = trio.current_time()
        log.info("public.offence peer=%s reason=%s", ID(peer), offence)
        if not self._strangers.report(peer, now_s, is_certain):
            return
        log.warning("public.banned peer=%s reason=%s", ID(peer), offence)
        if self._gossip is not None:
            self._gossip.forget(ID(peer))
        address = self._strangers.address(peer)
        shut_out_s = self._door.ban(address, now_s, self._is_shared(address, peer)) if address else 0.0
        if shut_out_s:
            log.warning("public.shut_out address=%s seconds=%.0f", network_of(address), shut_out_s)

    async def _run_once(self) -> None:
        setup, limits = self._setup, self._setup.limits
        family = "ip6" if ":" in setup.listen_host else "ip4"
        listen = Multiaddr(f"/{family}/{setup.listen_host}/tcp/{setup.listen_port}")
        advertise = [parse_address(text)[0] for text in setup.advertise]
        host = open_public_host(
            self._key_pair, listen, advertise, self._admits, limits.slots, self._door, self._is_home, self._note_address
        )  # fmt: skip
        for protocol, answers in self._answers.items():
            host.set_stream_handler(TProtocol(protocol), self._make_stream_handler(answers))
        judge = Judge(self._judge, self.topics.is_plausible, self._take, self._report, self._admits)
        gossip = open_gossip(host, self.topics.all(), judge, limits.degree)
        swarm = cast(Swarm, host.get_network())  # the library declares only the interface
        async with background_trio_service(swarm):
            try:
                if not await swarm.listen(listen):
                    raise OSError(f"cannot listen on {setup.listen_host}:{setup.listen_port}")
                router = cast(GuardedRouter, gossip.router)
                async with background_trio_service(gossip), background_trio_service(router):
                    await gossip.wait_until_ready()
                    for topic in self.topics.all():
                        await gossip.subscribe(topic)
                    self._host, self._gossip = host, gossip
                    self.ready.set()
                    async with trio.open_nursery() as nursery:
                        for service in (swarm, gossip, router):
                            nursery.start_soon(_raise_when_ended, service)
                        await self._keep_neighbours(host)
            finally:
                self._host = self._gossip = None
                gossip.seen_messages._stop_event.set()  # a thread that would outlive the service
                # trio-typing's stubs do not know the argument yet.
                with trio.move_on_after(CLOSE_TIMEOUT_S, shield=True):  # type: ignore[call-arg]
                    await close_swarm(swarm)

    # strangers

    def _admits(self, peer_id: ID) -> bool:
        return not self._strangers.is_banned(peer_id.to_bytes(), trio.current_time())

    def _note_address(self, peer_id: ID, address: str) -> None:
        self._strangers.note_address(peer_id.to_bytes(), address)

    def _is_home(self, address: str) -> bool:
        """Whether a neighbour of the operator's list lives there."""
        network = network_of(address)
        return any(network == network_of(home) for home in self._homes.values() if home)

    def _is_shared(self, address: str, banned: bytes) -> bool:
        """Whether somebody else is connected from there, and behaves."""
        network, now_s = network_of(address), trio.current_time()
        return any(
            peer != banned
            and network_of(self._strangers.address(peer)) == network
            and self._strangers.behaves(peer, now_s)
            for peer in self.peer_ids
        )

    def _take(self, peer_id: ID, messages: int, size_bytes: int) -> float:
        return self._strangers.take(peer_id.to_bytes(), messages, size_bytes, 0, trio.current_time())

    def _report(self, peer_id: ID, offence: str, is_certain: bool) -> None:
        self.report(peer_id.to_bytes(), offence, is_certain)

    def _judge(self, forwarder: ID, topic: str, data: bytes) -> Verdict:
        verdict = self._receive(topic, data, forwarder.to_bytes())
        self.verdicts[verdict] += 1
        return verdict

    def _make_stream_handler(self, answers: Answers) -> Callable[[object], Awaitable[None]]:
        async def serve(stream: object) -> None:
            peer = stream.muxed_conn.peer_id.to_bytes()  # type: ignore[attr-defined]

            async def answer(request: bytes) -> bytes:
                pause_s = self._strangers.take(peer, 0, len(request), 1, trio.current_time())
                if pause_s > 0:
                    await trio.sleep(pause_s)
                try:
                    return await answers.handler(peer, request)
                except PublicError as error:
                    self.report(peer, f"a bad request: {error}")
                    raise

            await serve_requests(stream, answer, answers.request_bytes_max)

        return serve

    # neighbours

    async def _answer_peers(self, _peer: bytes, _request: bytes) -> bytes:
        """Those that this host has dialed itself: nobody is sent to an address that only a stranger vouches for."""
        host, named = self._host, [self.address] if self._setup.listen_port or self._setup.advertise else []
        if host is not None:
            connected = set(host.get_connected_peers())
            known = [(peer_id, item) for peer_id, item in self._candidates.items() if peer_id in connected]
            named += [f"{item.address}/p2p/{peer_id}" for peer_id, item in known]
        return encode_peers(named[:PEERS_MAX])

    async def _keep_neighbours(self, host: BasicHost) -> None:
        """Until cancelled: keep as many connections as wanted, those of the operator's list first."""
        last_exchange_s = -EXCHANGE_INTERVAL_S
        while True:
            now_s = trio.current_time()
            connected = set(host.get_connected_peers())
            await self._dial_some(host, connected, now_s)
            if connected and now_s - last_exchange_s >= EXCHANGE_INTERVAL_S:
                last_exchange_s = now_s
                await self._exchange(random.choice(sorted(connected, key=str)))
            await trio.sleep(LOOK_INTERVAL_S)

    async def _dial_some(self, host: BasicHost, connected: set[ID], now_s: float) -> None:
        missing = self._setup.limits.neighbours - len(connected)
        waiting = [
            (peer_id, candidate)
            for peer_id, candidate in self._candidates.items()
            if peer_id not in connected and peer_id != host.get_id() and candidate.next_dial_s <= now_s
        ]
        waiting.sort(key=lambda entry: (not entry[1].is_named_by_operator, entry[1].failures))
        chosen = [entry for entry in waiting if entry[1].is_named_by_operator or missing > 0]
        async with trio.open_nursery() as nursery:
            for peer_id, candidate in chosen[: max(1, missing)]:
                nursery.start_soon(self._dial, host, peer_id, candidate)

    async def _dial(self, host: BasicHost, peer_id: ID, candidate: _Candidate) -> None:
        swarm = cast(Swarm, host.get_network())
        forget_failed_dial(swarm, peer_id)
        try:
            with trio.fail_after(DIAL_TIMEOUT_S):
                await swarm.dial_addr(candidate.address, peer_id)
            candidate.failures = 0
            if candidate.is_named_by_operator:
                self._homes[peer_id] = self._strangers.address(peer_id.to_bytes())
        except Exception as error:  # of many kinds, all meaning that nobody is there
            log.debug("public.unreachable peer=%s error=%r", peer_id, error)
            candidate.failures += 1
            if candidate.failures > 4 and not candidate.is_named_by_operator:
                self._candidates.pop(peer_id, None)
        delay_s = min(BACKOFF_LAST_S, BACKOFF_FIRST_S * 2.0 ** min(candidate.failures, 10))
        candidate.next_dial_s = trio.current_time() + delay_s * random.uniform(0.75, 1.25)

    async def _exchange(self, peer_id: ID) -> None:
        try:
            named = decode_peers(await self.ask(peer_id.to_bytes(), PEERS_PROTOCOL, b""))
        except PeerLost:
            return
        except PublicError as error:
            self.report(peer_id.to_bytes(), f"a bad answer: {error}")
            return
        for text in named:
            try:
                address, found = parse_address(text)
            except PublicError:
                continue
            if len(self._candidates) < CANDIDATES_MAX and found != peer_id_of(derive_network_key(self._setup.seed)):
                self._candidates.setdefault(found, _Candidate(address, False))


def _find_ip(address: Multiaddr) -> str:
    """The address in numbers; empty where it has a name."""
    return next((str(value) for protocol, value in address.items() if protocol.name in ("ip4", "ip6")), "")


async def _raise_when_ended(service: Any) -> None:
    """A service of the library may end without a word."""
    await service.get_manager().wait_finished()
    raise RuntimeError(f"{type(service).__name__} has ended")
